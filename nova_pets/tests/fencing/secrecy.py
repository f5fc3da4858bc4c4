# SPDX-License-Identifier: Apache-2.0
"""The password is seen nowhere while devices are asked and told.

Secrecy is a part of the suite for the endpoints that have a password.

Looked at while each driver works: the command lines of all processes below
this one, polled; every log at DEBUG; what errors and drivers say of
themselves.
"""

import logging
import pathlib
import threading
import traceback

import psutil

from nova_pets import exception
from nova_pets.fencing import sequence
from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import servers


class Watch(threading.Thread):
    """Collects the command lines and environments of our children."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self._is_over = threading.Event()

    def run(self):
        me = psutil.Process()
        while not self._is_over.wait(0.01):
            for process in me.children(recursive=True):
                self._look(process)

    def _look(self, process):
        try:
            for name in ('cmdline', 'environ'):
                text = pathlib.Path(f'/proc/{process.pid}/{name}')
                found = text.read_bytes()
                if found:
                    self.seen.setdefault(found, process.pid)
        except OSError:
            pass  # it has ended

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self._is_over.set()
        self.join()


class Secrecy:

    endpoint = None

    def test_the_password_is_seen_nowhere(self, secret, world, caplog):
        caplog.set_level(logging.DEBUG)
        scene = self.endpoint(world).scene(secret)
        [driver] = scene.level
        said = [repr(driver), str(driver)]

        with Watch() as watch:
            result = sequence.fence([scene.level], sequence.SystemClock(),
                                    2.0, lambda: None, 2.0)
            for ask in (driver.power_state, driver.power_off):
                try:
                    ask(2.0)
                except exception.FencingError as error:
                    said += [str(error), repr(error), repr(error.fields),
                             *traceback.format_exception(error)]
        said += [repr(result), repr(result.evidence), caplog.text]

        words = (servers.PASSWORD, endpoints.WRONG)
        for word in words:
            assert not [text for text in said if word in text]
        shown = [line for line in watch.seen
                 if any(word.encode() in line for word in words)]
        if self.endpoint is endpoints.FenceIpmilan:
            # The agent's own doing, which check --fencing warns of.
            assert 'command line of ipmitool' in driver.warnings()[0]
            shown = [line for line in shown if not line.startswith(
                b'/usr/bin/ipmitool\0')]
        assert not shown
        if self.endpoint is not endpoints.Redfish:
            assert watch.seen, 'no child was seen: the watch proves nothing'
