# SPDX-License-Identifier: Apache-2.0
"""Many seeds, in processes of their own, one per processor.

Each process runs a share of the seeds (``python -m nova_pets.simulator``)
and ends, so that none grows old; what it found comes as a line of JSON per
seed. Processes and not threads, and not forked: whoever asks may have
threads of its own. Interrupted, or left early, it ends its processes.

The lines may be kept in a file, and a run that was cut off goes on from it.
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

SHARES = (10, 100)
"""The fewest and the most seeds per process: its start costs as much as two
of them, and at the end the others wait for the last."""


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
    line: bytes = b''
    """As its process said it; b'': it said nothing."""


def run(seeds: collections.abc.Sequence[int], processes: int | None = None
        ) -> collections.abc.Iterator[Brief]:
    """Yield what each seed did, in the order in which they end."""
    processes = processes or os.cpu_count() or 1
    least, most = SHARES
    size = max(least, min(most, len(seeds) // (4 * processes)))
    shares = [seeds[place:place + size]
              for place in range(0, len(seeds), size)]
    shares.reverse()
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(processes):
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


def kept(file: typing.BinaryIO,
         seeds: collections.abc.Container[int]
         ) -> collections.abc.Iterator[Brief]:
    """Yield what the lines of an earlier run say of these seeds, each once.
    A last line that was cut off is removed: what is added begins a line."""
    known: set[int] = set()
    end = file.seek(0)
    for line in file:
        if not line.endswith(b'\n'):
            file.truncate(end)
            return
        end += len(line)
        brief = read(line)
        if brief.seed in seeds and brief.seed not in known:
            known.add(brief.seed)
            yield brief


class _Share:
    def __init__(self, seeds: collections.abc.Sequence[int]):
        self.missing = list(seeds)
        self.is_over = False
        self.buffer = b''
        self.process = subprocess.Popen(  # nosec B603
            [sys.executable, '-m', 'nova_pets.simulator',
             *map(str, seeds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True)

    @property
    def output(self) -> typing.IO[bytes]:
        assert self.process.stdout is not None  # nosec: it is a pipe
        return self.process.stdout


def _start(selector: selectors.BaseSelector, shares: list[
            collections.abc.Sequence[int]]) -> None:
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
    return Brief(counts=counts, line=line.rstrip(b'\n'), **found)


def _plain(key: typing.Any) -> typing.Any:
    return str(key) if isinstance(key, str) else [str(one) for one in key]
