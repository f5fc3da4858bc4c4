# SPDX-License-Identifier: Apache-2.0
"""What a test does to the cloud, and what is true there.

Mixed into EmbeddedCloud: deaths and returns, faults, and the answers for a
judge, who asks the machines and never Nova's database.
"""

import logging

from nova_pets.tests.cloud import faults
from nova_pets.tests.cloud import ground
from nova_pets.tests.cloud import hooks
from nova_pets.tests.cloud import processes

LOG = logging.getLogger(__name__)


class Deeds:
    """Needs services, ground, board, messages, start_service of its class."""

    # Deaths and returns

    def crash(self, host):
        """The machine dies as if its kernel had stopped; the BMC says on.

        Heartbeats and RPC end, guests are gone, the port is silent, and no
        thread of its nova-compute does anything any more. For 'conductor'
        and 'scheduler' the service alone dies, as by kill -9.
        """
        if host in self.services:
            self.services[host].cloud_process.kill()
            return
        LOG.info('crash of %s', host)
        self.ground.machines[host].lose_power()

    def restart(self, host):
        """Boot the machine (if it is down) and start its nova-compute.

        For 'conductor' and 'scheduler': a new service takes its place.
        """
        if host in self.services:
            self.crash(host)
            self.start_service(self._process(host).topic, host)
            return
        machine = self.ground.machines[host]
        if machine.read_bmc() != 'on':
            machine.write_bmc('on')
        self._boot_machine(machine)

    def wait_up(self, host, timeout_s=90):
        """Wait until the host's nova-compute has started, after a boot."""
        machine = self.ground.machines[host]
        processes.wait_until(
            lambda: (machine.is_running and not machine.process.is_dead and
                     machine.service.cloud_process is machine.process),
            timeout_s, 'nova-compute on %s' % host)

    def silence_service(self, host):
        """Kill nova-compute alone: guests run on, the port answers."""
        self.ground.machines[host].process.kill()

    def silence_port(self, host):
        self.ground.machines[host].port.silence()

    def partition(self, host):
        """Cut the host off: nobody hears of it, but its guests run on.

        heal() undoes it; what nova-compute had begun goes on then.
        """
        machine = self.ground.machines[host]
        machine.process.stop()
        machine.port.silence()

    def heal(self, host):
        machine = self.ground.machines[host]
        machine.port.answer()
        machine.process.go_on()

    def suspend(self, name):
        """Stop a service as SIGSTOP does; resume() lets it go on."""
        self._process(name).stop()

    def resume(self, name):
        self._process(name).go_on()

    def power_off(self, host):
        """Write ``off`` into the BMC and wait until the machine is dead."""
        machine = self.ground.machines[host]
        machine.write_bmc('off')
        processes.wait_until(lambda: not machine.is_running, 10,
                             'power off of %s' % host)

    def _process(self, name):
        if name in self.services:
            return self.services[name].cloud_process
        return self.ground.machines[name].process

    # Faults

    def hold(self, name, point, instance=None):
        """Let whoever of that service comes to the point wait there.

        :param name: host, 'conductor', 'scheduler', 'compute' for all
            hosts, or None for anybody.
        :param point: see the package's docstring.
        :returns: a faults.Hold; wait() for it, release() it.
        """
        return self.board.add(faults.Hold, point, name, instance)

    def wait_held(self, point, instance=None, timeout_s=90):
        """Wait until a thread is held at a point (for that instance)."""
        self.board.wait_held(point, instance, timeout_s)

    def fail(self, name, point, error, times=-1, instance=None):
        """Raise an error (instance, or what makes one) at a point.

        :param times: how often; -1: until release() of what is returned.
        """
        rule = self.board.add(faults.Failure, point, name, instance, 0)
        rule.error = error
        rule.left = times
        return rule

    def answer(self, name, point, answer, times=-1, instance=None):
        """Give a false answer at a point of placement."""
        rule = self.board.add(faults.Answer, point, name, instance, 0)
        rule.answer = answer
        rule.left = times
        return rule

    def defer(self, message, instance=None, sender=None, times=-1):
        """Keep messages '<topic>.<method>' back until release()."""
        return self.board.add(faults.Deferral, 'message:' + message, sender,
                              instance, times)

    def lose(self, message, instance=None, sender=None, times=-1):
        """Let messages '<topic>.<method>' vanish."""
        return self.board.add(faults.Loss, 'message:' + message, sender,
                              instance, times)

    def placement_down(self, name=None):
        """Let nobody (or not that service) reach placement until release."""
        return self.fail(name, 'placement', hooks.placement_is_away)

    # The truth, for a judge

    def guests(self):
        """Return {host: {instance uuid: 'running' or 'shutdown'}}."""
        return {name: {uuid: guest.state.value for uuid, guest
                       in list(machine.guests.items())}
                for name, machine in self.ground.machines.items()}

    def power(self):
        """Return {host: 'on' or 'off'} as the BMCs say."""
        return {name: machine.read_bmc()
                for name, machine in self.ground.machines.items()}

    def running(self, instance):
        """Return the hosts where a guest of the instance truly runs."""
        return sorted(
            name for name, guests in self.guests().items()
            if guests.get(instance) == ground.GuestState.RUNNING.value)

    def starts(self, instance):
        """Return {host: how often a guest of the instance was started}."""
        return {name: machine.starts[instance]
                for name, machine in self.ground.machines.items()
                if instance in machine.starts}

    @property
    def evacuate_casts(self):
        """(instance, request id) of rebuild calls that reached a conductor.
        """
        return list(self.messages.evacuate_casts)

    @property
    def port(self):
        """The TCP port number of every machine; addresses: address()."""
        return self.ground.port_number

    def address(self, host):
        return self.ground.machines[host].address
