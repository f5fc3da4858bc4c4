# SPDX-License-Identifier: Apache-2.0
"""Measurements as tables. Pure."""

import collections
import statistics

PHASES = ('detection', 'fence', 'wait', 'claim', 'scheduling', 'rebuild',
          'verification')


def lines(results: list[dict]) -> list[str]:
    """Return the tables: seconds, processor seconds, parts of a recovery.

    ``left``: instances that a way left behind in all its rounds; "last" is
    then the last of those that came, which flatters it.
    """
    cells: dict[tuple, list[dict]] = collections.defaultdict(list)
    for result in results:
        cells[result['instances'], result['spawn_s'], result['way']].append(
            result)
    wide = _widest(cells)
    text = ['seconds from the proof (nova-pets) or from forced_down accepted '
            '(REST) to running; median (least to most)',
            f'{"instances":>9} {"spawn":>5} {"way":{wide}} {"rounds":>6} '
            f'{"first":>16} {"median":>16} {"last":>18} {"at rest":>16} '
            f'{"CPU-s":>18} {"... closed":>18} {"left":>4}  hosts, most to '
            'least']
    for (instances, spawn_s, way), found in sorted(cells.items()):
        load = [statistics.median(column) for column in zip(
            *(result['load'] for result in found))]
        text.append(
            f'{instances:9} {spawn_s:5g} {way:{wide}} {len(found):6} '
            f'{spread(found, "first"):>16} {spread(found, "median"):>16} '
            f'{spread(found, "last"):>18} {spread(found, "at_rest"):>16} '
            f'{spread(found, "cpu_total"):>18} '
            f'{spread(found, "cpu_closed"):>18} '
            f'{sum(result.get("left", 0) for result in found):4}  '
            + ' '.join(f'{number:g}' for number in load))
    return text + _ratios(cells) + _processor(cells) + _phases(cells)


def spread(found: list[dict], name: str) -> str:
    values = [result[name] for result in found]
    return (f'{statistics.median(values):.1f} '
            f'({min(values):.1f}-{max(values):.1f})')


def _ratios(cells):
    text = ['', 'nova-pets against the fastest REST way of the same run: '
            'last running, CPU']
    wide = _widest(cells)
    for (instances, spawn_s, way), ours in sorted(cells.items()):
        others = [found for (*key, other), found in cells.items()
                  if key == [instances, spawn_s] and not _is_ours(other)]
        if not _is_ours(way) or not others:
            continue
        best = min(others, key=lambda found: _median(found, 'last'))
        text.append(
            f'{instances:9} {spawn_s:5g} {way:{wide}}  last '
            f'{_median(ours, "last") / _median(best, "last"):.2f}   CPU '
            f'{_median(ours, "cpu_total") / _median(best, "cpu_total"):.2f}')
    return text


def _is_ours(way):
    return way.partition(':')[0] == 'nova-pets'


def _widest(cells):
    return max([10, *(len(way) for _, _, way in cells)])


def _median(found, name):
    return statistics.median(result[name] for result in found)


def _processor(cells):
    wide = _widest(cells)
    names = sorted({name for found in cells.values() for result in found
                    for name in result['cpu']})
    text = ['', 'processor seconds by service until Nova is at rest; median. '
            '*: the whole server, not in the sum',
            f'{"instances":>9} {"spawn":>5} {"way":{wide}} ' + ' '.join(
                f'{name[:14]:>14}' for name in names)]
    for (instances, spawn_s, way), found in sorted(cells.items()):
        text.append(f'{instances:9} {spawn_s:5g} {way:{wide}} ' + ' '.join(
            '%14.1f' % statistics.median(
                result['cpu'].get(name, 0) for result in found)
            for name in names))
    return text


def _phases(cells):
    wide = _widest(cells)
    text = ['', 'nova-pets: parts, from the history (host: once; the others: '
            'median of the instances); from crash: proof and last running',
            f'{"instances":>9} {"spawn":>5} {"way":{wide}} ' + ' '.join(
                f'{name:>12}' for name in PHASES) +
            f' {"crash-proof":>12} {"crash-last":>12}']
    for (instances, spawn_s, way), found in sorted(cells.items()):
        if 'phases' not in found[0]:
            continue
        text.append(f'{instances:9} {spawn_s:5g} {way:{wide}} ' + ' '.join(
            '%12.2f' % statistics.median(
                result['phases'].get(name, 0) for result in found)
            for name in PHASES) +
            f' {_median(found, "proof_from_crash"):12.1f}'
            f' {_median(found, "last_from_crash"):12.1f}')
    return text
