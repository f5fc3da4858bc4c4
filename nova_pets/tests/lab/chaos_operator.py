# SPDX-License-Identifier: Apache-2.0
"""The operator of a lab after chaos: does what nova-pets asks of a person.

Knows nothing but the screens: the commands that ``status`` gives for a host
and ``show`` for an instance are carried out as they stand there, each when
the matter has stood for a while. Where a command says what to do to a machine
(power it off by hand, restart nova-compute), that is done to the machine.
Reads no database and none of our tables.
"""

import collections
import json
import re
import subprocess
import time

from nova_pets.tests.lab import chaos_story
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import machine

PATIENCE_S = 10.0
"""What stands for so long, in one state for one reason, is looked at."""
STARTS_S = 40.0
"""What a nova-compute may need to start on a busy machine."""
_COMMAND = re.compile(r'^(nova-manage pets (\w+)|rabbitmqctl purge_queue|'
                      r'systemctl restart nova-compute)')
_PREFERRED = ('approve', 'release', 'retry', 'confirm_fenced', 'resume',
              'maintenance')
"""Of several commands the first of these; what only looks is not tried."""


class Operator:

    def __init__(self, lab: deeds.Lab, story: chaos_story.Story):
        self._lab, self._story = lab, story
        self._seen: dict[str, tuple[str, float]] = {}
        self.did: collections.Counter[str] = collections.Counter()
        """(command, state and reason that asked for it)"""

    def turn(self, status: dict) -> None:
        """Look at the screen once, and do what stands there."""
        for row in status['hosts']['not_up']:
            # Who restarts what is just starting makes it late.
            patience_s = STARTS_S if any(
                'restart nova-compute' in text for text in row['commands']
            ) else PATIENCE_S
            if self._is_old(row['host'], f'{row["state"]} {row["reason"]}',
                            patience_s):
                self._host(row)
        for row in status['recoveries']['rows']:
            if row['state'] == 'needs_operator' or any(
                    row['reason'] == reason for reason in (
                        'building_slow', 'verify_failed')):
                if self._is_old(row['uuid'],
                                f'{row["state"]} {row["reason"]}'):
                    self._recovery(row)
        for order in status['orders']:
            # An approval whose host is up again has done its work.
            if order['kind'] == 'approval' and self._is_old(
                    f'order {order["target"]}', 'stands') and all(
                    row['host'] != order['target']
                    for row in status['hosts']['not_up']):
                self._run('approve', '--host', order['target'], '--off',
                          why='approval has done its work')

    def audit(self, servers: dict[str, dict], status: dict) -> None:
        """After an incident: what people left in Nova is looked for."""
        under_way = {row['uuid'] for row in status['recoveries']['rows']}
        stuck = sorted(
            server['name'] for uuid, server in servers.items()
            if (server['OS-EXT-STS:task_state'] or '').startswith('rebuil')
            and uuid not in under_way)
        if stuck and self._is_old('audit', ' '.join(stuck)):
            code, text = self._lab.pets('audit', '--fix')
            self._did('nova-manage pets audit --fix', 'audit',
                      'rebuilding outside a recovery',
                      '' if code in (0, 1) else f'ended with {code}: '
                      f'{text.strip()[-200:]}')

    def _host(self, row):
        lab, host, why = self._lab, row['host'], (
            f'{row["state"]} {row["reason"]}')
        commands = row['commands']
        facts = lab.truth.facts(host)
        if any('restart nova-compute' in text for text in commands):
            if facts.power == machine.ON and not facts.is_cut_off:
                self._restart(host, why)
            else:
                self._mend(host, why)
            return
        if any(text.startswith('rabbitmqctl purge_queue')
               for text in commands):
            self._purge(host, why)
            self._mend(host, why)
            return
        verb = self._preferred(commands)
        if any('or power' in text and 'off by hand' in text
               for text in commands) and (
                facts.power == machine.ON and lab.processes.pid(host) is None):
            # Nothing of nova runs there that could be released.
            self._power_off(host, why)
        elif verb == 'confirm_fenced':
            self._power_off(host, why)
            # One's word is for the failure that one has looked at.
            self._run(verb, host, '--epoch', str(row['epoch']), why=why)
        elif verb == 'release':
            # What broke the machine is mended before it may come back.
            lab.truth.cut_off(host, False)
            self._run(verb, host, why=why)
        elif verb in ('approve', 'maintenance', 'resume'):
            words = {'approve': ('--host', host),
                     'maintenance': (host, '--off')}.get(verb, ())
            self._run(verb, *words, why=why)
        elif any('power on' in text or 'console' in text
                 for text in commands) or row['state'] == 'returning' or (
                row['reason'] == 'not_wanted'):
            self._mend(host, why)

    def _recovery(self, row):
        why = f'{row["state"]} {row["reason"]}'
        code, text = self._lab.pets('show', row['uuid'], '--json')
        try:
            commands = json.loads(text)['commands']
        except ValueError:
            return
        destination = row['destination']
        if destination and any('restart nova-compute there' in text
                               for text in commands):
            self._restart(destination, why)
        verb = self._preferred(commands)
        if verb in ('retry', 'release', 'approve'):
            self._run(verb, row['uuid'] if verb == 'retry' else
                      row['source'], why=why)

    def _preferred(self, commands):
        verbs = [match[2] for match in map(_COMMAND.match, commands)
                 if match and match[2]]
        return next((verb for verb in _PREFERRED if verb in verbs), None)

    # -- hands ----------------------------------------------------------------

    def _run(self, verb, *words, why):
        sure = () if verb in ('resume', 'maintenance', 'pause') else (
            '--yes',)
        code, text = self._lab.pets(verb, *words, '--reason',
                                    'as status says', *sure)
        self._did(f'nova-manage pets {verb} {" ".join(words)}', verb, why,
                  '' if code in (0, 1) else f'ended with {code}: '
                  f'{text.strip()[-200:]}')

    def _power_off(self, host, why):
        if self._lab.truth.facts(host).power != machine.OFF:
            self._lab.lose_power(host)
            self._did(f'power {host} off by hand', 'power off', why)

    def _restart(self, host, why):
        self._lab.processes.kill(host)
        self._lab.processes.start(host)
        self._did(f'systemctl restart nova-compute on {host}',
                  'restart nova-compute', why)

    def _mend(self, host, why):
        lab = self._lab
        facts = lab.truth.facts(host)
        if facts.power == machine.ON and facts.is_cut_off:
            # It hangs: nothing but its power helps.
            lab.lose_power(host)
        lab.mend_host(host)
        self._did(f'power on {host} by hand', 'power on', why)

    def _purge(self, host, why):
        vhost = f'{self._lab.plan.prefix}_{self._lab.plan.cell_of(host)}'
        for queue in (f'compute.{host}', f'compute-alt.{host}'):
            subprocess.run(['rabbitmqctl', '-q', '-p', vhost, 'purge_queue',
                            queue], capture_output=True, timeout=60)
        self._did(f'rabbitmqctl purge_queue compute.{host}', 'purge', why)

    def _did(self, text, what, why, problem=''):
        self.did[f'{what} ({why})'] += 1
        self._story.tell('operator', f'{text}   ({why})' + (
            f': {problem}' if problem else ''))

    def _is_old(self, key, value, patience_s=PATIENCE_S):
        now = time.monotonic()
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = (value, now)
            return False
        if now - before[1] < patience_s:
            return False
        self._seen[key] = (value, now)
        return True
