# SPDX-License-Identifier: Apache-2.0
"""What the hosts and BMCs of a lab say happened, judged. Pure.

Reads the journal of machine.Truth (every change of every guest and power, in
order) and never Nova's database: never twice, nobody lost, who was fenced.
"""

import collections
import collections.abc

from nova_pets.tests.lab import machine

Journal = collections.abc.Iterable[dict]


def running(journal: Journal) -> dict[str, set[str]]:
    """Return instance uuid -> the hosts on which it runs at the end."""
    return collections.deque(_replay(journal), maxlen=1)[0][1]


def twice(journal: Journal) -> list[str]:
    """Return a line for each moment at which a second copy began to run."""
    found = []
    for line, places in _replay(journal):
        guest = line.get('guest')
        if guest and line['state'] in machine.ALIVE and \
                len(places[guest]) > 1:
            found.append(f'{line["at"]:.3f}: {line["name"]} ({guest}) runs '
                         f'on {", ".join(sorted(places[guest]))}')
    return found


def fences(journal: Journal, since: float = 0.0) -> list[dict]:
    """Return the lines of hosts that were powered off.

    :param since: by the monotonic clock of the machine, as ``at``.
    """
    return [line for line in journal if line['at'] >= since and
            line.get('power') == machine.OFF]


def wrong(journal: Journal, wanted: collections.abc.Iterable[str],
          not_on: collections.abc.Iterable[str] = ()) -> list[str]:
    """Return what is not as it should be at the end; []: converged.

    :param wanted: uuids of which each has to run exactly once.
    :param not_on: hosts on which none of them may run.
    """
    journal = list(journal)
    found = twice(journal)
    places = running(journal)
    for uuid in wanted:
        hosts = places.get(uuid, set())
        if len(hosts) != 1:
            found.append(f'{uuid} runs on {sorted(hosts) or "no host"}')
        elif hosts & set(not_on):
            found.append(f'{uuid} still runs on {min(hosts)}')
    return found


def _replay(journal):
    """Yield each line, and instance uuid -> hosts where it runs then."""
    places = {}
    yield {}, places
    for line in journal:
        if 'guest' in line:
            hosts = places.setdefault(line['guest'], set())
            if line['state'] in machine.ALIVE:
                hosts.add(line['host'])
            else:
                hosts.discard(line['host'])
        yield line, places
