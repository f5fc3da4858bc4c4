# SPDX-License-Identifier: Apache-2.0
"""A MariaDB of a test's own whose clock can be stepped while it works.

Its data lies in a directory of the test, it listens on 127.0.0.1 alone, and
Debian's libfaketime gives it another time of day, from one call to the next:
NOW() of every connection steps, what waits goes on waiting. The monotonic
clock is left alone, as it is when a real clock is stepped.
"""

import contextlib
import pathlib
import shutil
import subprocess
import time

import sqlalchemy as sa
from sqlalchemy import pool

from nova_pets.tests.fencing import servers

START_S = 120


class Missing(Exception):
    """A program or a library is not installed."""


def _library() -> pathlib.Path:
    for found in sorted(pathlib.Path('/usr/lib').glob(
            '*/faketime/libfaketimeMT.so.1')):
        return found
    raise Missing('libfaketimeMT.so.1 (package faketime) is not installed')


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path='/usr/sbin')
    if found is None:
        raise Missing(f'{name} (package mariadb-server) is not installed')
    return found


class Server:
    """:param directory: of its own; it need not exist."""

    def __init__(self, directory: pathlib.Path):
        self._directory = pathlib.Path(directory)
        self._clock = self._directory / 'clock'
        self._process: subprocess.Popen | None = None
        self.port = servers.free_port()

    @property
    def url(self) -> str:
        return f'mysql+pymysql://root@127.0.0.1:{self.port}/'

    def start(self) -> None:
        """:raises Missing: it cannot be started here."""
        library, mariadbd = _library(), _program('mariadbd')
        install = _program('mariadb-install-db')
        self._directory.mkdir(parents=True, exist_ok=True)
        self.step(0)
        data = self._directory / 'data'
        with (self._directory / 'log').open('ab') as log:
            subprocess.run(
                [install, '--no-defaults', f'--datadir={data}',
                 '--user=root', '--skip-test-db',
                 '--auth-root-authentication-method=normal'],
                check=True, stdout=log, stderr=log, timeout=START_S)
            self._process = subprocess.Popen(
                [mariadbd, '--no-defaults', '--user=root',
                 f'--datadir={data}', '--bind-address=127.0.0.1',
                 f'--port={self.port}',
                 f'--socket={self._directory / "socket"}',
                 f'--pid-file={self._directory / "pid"}',
                 '--skip-log-bin', '--innodb-flush-log-at-trx-commit=2',
                 '--innodb-buffer-pool-size=128M',
                 '--max-connections=600'],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, env={
                    'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
                    'LD_PRELOAD': str(library), 'FAKETIME_NO_CACHE': '1',
                    'FAKETIME_DONT_FAKE_MONOTONIC': '1',
                    'FAKETIME_TIMESTAMP_FILE': str(self._clock)})
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(sa.exc.OperationalError):
                self.ahead_s()
                return
            assert self._process.poll() is None, self._directory / 'log'
            assert time.monotonic() < deadline, self._directory / 'log'
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def step(self, seconds: int) -> None:
        """Let its clock be so far ahead of the machine's from now on."""
        new = self._clock.with_suffix('.new')
        new.write_text(f'{seconds:+d}\n')
        new.replace(self._clock)

    def ahead_s(self) -> float:
        """Return by how much NOW() is ahead of this machine's clock."""
        engine = sa.create_engine(self.url, poolclass=pool.NullPool)
        with engine.connect() as conn:
            now = conn.scalar(sa.text('SELECT UNIX_TIMESTAMP(NOW(6))'))
        return float(now) - time.time()

    def create(self, name: str) -> str:
        """Return the URL of a new database."""
        engine = sa.create_engine(self.url, poolclass=pool.NullPool,
                                  isolation_level='AUTOCOMMIT')
        with engine.connect() as conn:
            conn.execute(sa.text(f'CREATE DATABASE {name}'))
        return f'{self.url}{name}'
