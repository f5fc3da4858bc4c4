# SPDX-License-Identifier: Apache-2.0
"""The processes of a lab: started, signalled and ended by their own pid.

Each is a session of its own, so that its workers are reached through its
process group. What to run is in one file, so that any later command (and a
BMC) can start a process again; a pid counts only while the process that has
it began when the one that was started did.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import time

END_S = 20


class Processes:
    """The processes of the lab in this directory."""

    def __init__(self, directory: pathlib.Path):
        self.directory = pathlib.Path(directory)
        self._known = self.directory / 'processes.json'

    def define(self, specs: dict[str, dict]) -> None:
        """Say what there is: name -> argv, env (besides ours) and host.

        ``host`` is the machine that it dies with; None: none.
        ``before_kill`` is a command that is run then, if there is one.
        """
        for part in ('pids', 'logs'):
            (self.directory / part).mkdir(exist_ok=True)
        self._known.write_text(json.dumps(specs, indent=1))
        self._known.chmod(0o600)

    @property
    def specs(self) -> dict[str, dict]:
        with contextlib.suppress(FileNotFoundError):
            return json.loads(self._known.read_text())
        return {}

    def of_host(self, host: str) -> list[str]:
        return [name for name, spec in self.specs.items()
                if spec['host'] == host]

    def log(self, name: str) -> pathlib.Path:
        """What the process wrote to its outputs."""
        return self.directory / 'logs' / f'{name}.out'

    def start(self, name: str, prefix: tuple[str, ...] = (),
              env: dict[str, str] | None = None) -> None:
        """Start it unless it runs.

        :param prefix: put before its command, e.g. a clock changer.
        """
        # Not twice, whoever else starts it now: a BMC, a chaos run.
        with self._pid_file(f'{name}.lock').open('a') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.pid(name) is None:
                self._start(name, prefix, env)

    def _start(self, name, prefix, env):
        spec = self.specs[name]
        environ = {**os.environ, **spec['env'], **(env or {})}
        # Else every start of nova compiles all of it again.
        environ.pop('PYTHONDONTWRITEBYTECODE', None)
        with self.log(name).open('ab') as log:
            process = subprocess.Popen(
                [*prefix, *spec['argv']], env=environ, cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self._pid_file(name).write_text(
            f'{process.pid} {_began(process.pid)}')

    def pid(self, name: str) -> int | None:
        """Return its pid while it runs."""
        try:
            pid, began = self._pid_file(name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _began(int(pid)) == began else None

    def signal(self, name: str, number: int) -> bool:
        """Signal it with all its workers; return whether it ran."""
        pid = self.pid(name)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)
        return True

    def kill(self, name: str) -> None:
        """kill -9, and wait until no process of it is left."""
        pid = self.pid(name)
        if pid is None:
            return
        before = self.specs[name].get('before_kill')
        if before:
            subprocess.run(before, stdin=subprocess.DEVNULL,
                           capture_output=True)
        deadline = time.monotonic() + END_S
        while _is_group_alive(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _reap(pid)
            time.sleep(0.02)
        self._pid_file(name).unlink(missing_ok=True)

    def state(self, name: str) -> str:
        """Return running, paused or gone."""
        pid = self.pid(name)
        if pid is None:
            return 'gone'
        return 'paused' if _stat(pid)[0] == 'T' else 'running'

    def _pid_file(self, name):
        return self.directory / 'pids' / name


def _stat(pid):
    """Return state, ..., as of proc(5) behind the name; None: no process."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(')')[2].split()


def is_gone(pid: int) -> bool:
    """Return whether a process is no more; a zombie is none."""
    found = _stat(pid)
    return found is None or found[0] in 'ZX'


def is_still(pid: int) -> bool:
    """Return whether a process is stopped, or gone."""
    found = _stat(pid)
    return found is None or found[0] in 'TtZX'


def _began(pid):
    """Return when a process began, in ticks since boot; '' if it is gone."""
    found = _stat(pid)
    return '' if found is None or found[0] in 'ZX' else found[19]


def _is_group_alive(group):
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            found = _stat(entry.name)
            if found and found[0] not in 'ZX' and found[2] == str(group):
                return True
    return False


def _reap(pid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
