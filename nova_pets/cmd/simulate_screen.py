# SPDX-License-Identifier: Apache-2.0
"""What ``simulate`` found, as a screen; from its document, pure."""

from nova_pets.cmd import documents
from nova_pets.cmd import layout

SHOWN = 20
"""Failing seeds, or things never reached, that fit a screen."""


def screen(document: documents.Document, width: int) -> str:
    if 'story' in document:
        lines = list(document['story'])
        if document.get('shrunk'):
            lines += ['', *layout.paragraph(
                'A short story that breaks the same, as a scenario file:',
                width, ''), '', document['shrunk'].rstrip('\n')]
        return '\n'.join(lines)
    lines = [_many_headline(document), *_failures(document, width)]
    lines += layout.heading('Reached')
    for part in document['coverage']:
        lines += layout.paragraph(_part_line(part, document['is_verbose']),
                                  width, '  ', '      ')
    if document['is_complete']:
        lines += _left_out(document, width)
    return '\n'.join(lines)


def _many_headline(document: documents.Document) -> str:
    last = document['first'] + document['asked'] - 1
    text = (f'Seeds {document["first"]} to {last}: '
            f'{document["runs"]} run in {document["took_s"]:.0f} s by '
            f'{document["processes"]} processes '
            f'({document["runs_per_s"]} seeds/s)')
    if document['kept']:
        text += f', {document["kept"]} of them before'
    if document['interrupted']:
        text += ', then interrupted'
    if document['least_effective'] is not None:
        text += (f'.\nEach had at least {document["least_effective"]} faults '
                 f'that changed something; the slowest came to rest after '
                 f'{document["slowest_rest_s"]:.0f} s (virtual)')
    return text + '.'


def _left_out(document: documents.Document, width: int) -> list[str]:
    """What a complete run was to reach, and did not: all of it."""
    if not document['is_left_out']:
        return ['', 'Complete: all that there is was reached.']
    lines = layout.heading('NOT COMPLETE: never reached')
    for part in document['coverage']:
        for name in part['missed'] if part['is_demanded'] else ():
            lines += layout.paragraph(f'{part["what"]}: {name}', width, '  ',
                                      '      ')
    return lines


def _failures(document: documents.Document, width: int) -> list[str]:
    failed = document['failed']
    if not failed:
        return ['No invariant was violated.']
    lines = layout.heading(f'VIOLATIONS in {len(failed)} seeds')
    for seed, sentences in list(failed.items())[:SHOWN]:
        first = sentences[0].strip().splitlines()
        text = first[0] if len(first) == 1 else f'{first[0]} {first[-1]}'
        lines += layout.paragraph(f'{seed:>6}  {text}', width, '  ',
                                  ' ' * 10)
    if len(failed) > SHOWN:
        lines.append(f'  and {len(failed) - SHOWN} more: see --json')
    seed = next(iter(failed))
    return [*lines, f'  nova-manage pets simulate --seed {seed} --shrink']


def _part_line(part: documents.Document, is_verbose: bool) -> str:
    text = f'{part["hit"]} of {part["all"]} {part["what"]}'
    if is_verbose or part['what'] == 'invariants':
        text += ': ' + ', '.join(
            f'{name} {count}' for name, count in part['hits'].items())
    elif part['missed']:
        names = part['missed'][:SHOWN]
        text += ' (never: ' + '; '.join(names)
        text += '; ...)' if len(part['missed']) > SHOWN else ')'
    return text
