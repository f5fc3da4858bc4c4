# SPDX-License-Identifier: Apache-2.0
"""What is done to true hosts: killed, cut off, frozen, mended."""

import contextlib
import signal

from nova_pets.tests.lab import checker
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import machine
from nova_pets.tests.lab.truehost import guest
from nova_pets.tests.lab.truehost import network
from nova_pets.tests.lab.truehost import spaces
from nova_pets.tests.lab.truehost import watcher


class TrueLab(deeds.Lab):
    """A lab whose hosts are true."""

    def fail_host(self, host: str) -> None:
        """The machine is dead at once with all that ran on it; as its power
        switch was not touched, its BMC goes on saying On."""
        self.truth.note(host, fault='killed')
        self.processes.kill(host)

    def cut_off_host(self, host: str) -> None:
        """Its cable is pulled; all that runs on it runs on."""
        self.truth.note(host, fault='cut off')
        self.truth.cut_off(host, True)
        network.set_link(self.plan.directory, host, False)

    def freeze_host(self, host: str) -> None:
        """It stands still with all that runs on it, and may go on.

        A kernel that stands still answers nothing. Here there is but one
        kernel, which goes on, so the cable is pulled, too.
        """
        self.truth.note(host, fault='frozen')
        self.truth.cut_off(host, True)
        network.set_link(self.plan.directory, host, False)
        space = self._space(host)
        if space:
            spaces.stop_all(space)

    def thaw_host(self, host: str) -> None:
        """What stood still goes on; the cable is plugged."""
        space = self._space(host)
        if space:
            spaces.signal_all(space, signal.SIGCONT)
        self.truth.cut_off(host, False)
        network.set_link(self.plan.directory, host, True)

    def mend_host(self, host: str) -> None:
        """The cable is plugged, the machine well and switched on."""
        self.thaw_host(host)
        self.truth.set_power(host, machine.ON)
        self.processes.start(host)

    def pause(self, name: str) -> None:
        if name in self.plan.hosts:
            self.freeze_host(name)
        else:
            super().pause(name)

    def resume(self, name: str) -> None:
        if name in self.plan.hosts:
            self.thaw_host(name)
        else:
            super().resume(name)

    def partition(self, client: str, service: str, mode: str) -> None:
        if service != 'network':
            super().partition(client, service, mode)
            return
        for host in self.plan.hosts if client == '*' else [client]:
            if mode == 'pass':
                self.thaw_host(host)
            else:
                self.cut_off_host(host)

    # -- looking --------------------------------------------------------------

    def guests(self, host: str) -> list[str]:
        names = {line['guest']: line['name'] for line in self.truth.journal()
                 if 'guest' in line}
        found = []
        for uuid, places in checker.running(self.truth.journal()).items():
            if any(place.split()[0] == host for place in places):
                with contextlib.suppress(FileNotFoundError):
                    found.append(f'{names[uuid]} running, '
                                 f'{self.beats(uuid)} beats')
        return found

    def beats(self, uuid: str) -> int:
        """Return how far the instance has counted on its disk."""
        return guest.beats(
            self.plan.directory / 'instances' / uuid / 'disk')

    def copies(self) -> dict[str, list[int]]:
        """Return instance uuid -> the pids of its qemu, counted anew."""
        return watcher.copies(self.plan.directory)

    def _space(self, host):
        return next(iter(spaces.of_hosts(self.processes, [host])), None)
