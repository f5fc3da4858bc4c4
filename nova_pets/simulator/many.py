# SPDX-License-Identifier: Apache-2.0
"""Many seeds, in processes of their own, one per processor.

Each process runs a share of the seeds (``python -m nova_pets.simulator``)
and ends, so that none grows old; what it found comes as a line of JSON per
seed. Processes and not threads, and not forked: whoever asks may have
threads of its own. Interrupted, or left early, it ends its processes.
"""

import collections
import collections.abc
import dataclasses
import json
import os
import selectors
import subprocess  # nosec B404: only this very Python, no shell
import sys
import typing

from nova_pets.simulator import run as run_module

SHARE = 20
"""Seeds per process: its start costs as much as one of them."""


@dataclasses.dataclass(frozen=True)
class Brief:
    """What is kept of one run."""

    seed: int
    violations: list[str]
    effective: int
    took_s: float
    digest: str
    counts: dict[str, collections.Counter[typing.Any]] = dataclasses.field(
        default_factory=dict)


def run(seeds: range, processes: int | None = None
        ) -> collections.abc.Iterator[Brief]:
    """Yield what each seed did, in the order in which they end."""
    shares = [seeds[place:place + SHARE]
              for place in range(0, len(seeds), SHARE)]
    shares.reverse()
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(processes or os.cpu_count() or 1):
                _start(selector, shares)
            while selector.get_map():
                for key, _ in selector.select():
                    yield from _heard(selector, key.data)
                    if key.data.is_over:
                        _start(selector, shares)
        finally:
            for key in list(selector.get_map().values()):
                key.data.process.kill()
                key.data.process.wait()


class _Share:
    def __init__(self, seeds: range):
        self.missing = list(seeds)
        self.is_over = False
        self.buffer = b''
        self.process = subprocess.Popen(  # nosec B603
            [sys.executable, '-m', 'nova_pets.simulator',
             str(seeds.start), str(seeds.stop)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True)

    @property
    def output(self) -> typing.IO[bytes]:
        assert self.process.stdout is not None  # nosec: it is a pipe
        return self.process.stdout


def _start(selector: selectors.BaseSelector, shares: list[range]) -> None:
    if shares:
        share = _Share(shares.pop())
        selector.register(share.output, selectors.EVENT_READ, share)


def _heard(selector: selectors.BaseSelector, share: _Share
           ) -> collections.abc.Iterator[Brief]:
    data = os.read(share.output.fileno(), 65536)
    if data:
        *lines, share.buffer = (share.buffer + data).split(b'\n')
        for line in lines:
            brief = read(line)
            share.missing.remove(brief.seed)
            yield brief
        return
    selector.unregister(share.output)
    share.output.close()
    share.is_over = True
    code = share.process.wait()
    for seed in share.missing:
        yield Brief(seed, [f'bug: its process ended with {code} and said '
                           f'nothing of it'], 0, 0.0, '')


def write(result: run_module.Result) -> str:
    """Return one line of JSON about a run."""
    return json.dumps({
        'seed': result.seed, 'violations': result.violations,
        'effective': result.effective, 'took_s': result.took_s,
        'digest': result.digest, 'counts': {
            name: sorted([_plain(key), count]
                         for key, count in counter.items())
            for name, counter in result.counts.items()}})


def read(line: bytes) -> Brief:
    found = json.loads(line)
    counts = {
        name: collections.Counter({
            key if isinstance(key, str) else tuple(key): count
            for key, count in pairs})
        for name, pairs in found.pop('counts').items()}
    return Brief(counts=counts, **found)


def _plain(key: typing.Any) -> typing.Any:
    return str(key) if isinstance(key, str) else [str(one) for one in key]
