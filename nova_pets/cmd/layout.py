# SPDX-License-Identifier: Apache-2.0
"""How text fits a terminal: tables, wrapped lines, headings; pure.

Knows nothing of hosts or instances. A table that is too wide first loses its
least important columns, then wraps its longest texts; no line is ever wider
than asked for, as long as the columns that must stay have room for a word.
"""

import collections.abc
import dataclasses
import textwrap

import prettytable

NARROWEST = 40
_BOX = 3
"""Characters of frame per column; one more for the table."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    title: str
    key: str
    rank: int = 0
    """0 stays; the highest rank is dropped first when room is short."""
    least: int = 8
    """Never wrapped narrower than this."""
    number: bool = False


def table(columns: collections.abc.Sequence[Column],
          rows: collections.abc.Sequence[
              collections.abc.Mapping[str, object]],
          width: int) -> str:
    """Return a framed table of at most ``width`` characters."""
    texts = [{column.key: _cell(row.get(column.key)) for column in columns}
             for row in rows]
    kept = _without_empty(columns, texts)
    widths = _natural(kept, texts)
    while _total(widths) > width:
        droppable = [column for column in kept if column.rank]
        if not droppable:
            break
        # Wrap first where that is enough, drop only when it is not.
        if _total(_squeezed(kept, widths, width)) <= width:
            break
        last = max(droppable, key=lambda column: column.rank)
        kept = [column for column in kept if column is not last]
        widths = _natural(kept, texts)
    widths = _squeezed(kept, widths, width)
    framed = prettytable.PrettyTable([column.title for column in kept])
    framed.align = 'l'
    for column in kept:
        if column.number:
            framed.align[column.title] = 'r'
    for text in texts:
        framed.add_row([_wrapped(text[column.key], widths[column.key])
                        for column in kept])
    return framed.get_string()


def paragraph(text: str, width: int, indent: str = '  ',
              hanging: str | None = None) -> list[str]:
    """Return the lines of one wrapped paragraph; a word that is longer than
    a line, such as a path that somebody will copy, stays whole."""
    return textwrap.wrap(
        text, max(width, NARROWEST), initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False, break_long_words=False) or [indent.rstrip()]


def fields(pairs: collections.abc.Sequence[tuple[str, str]], width: int,
           indent: str = '  ') -> list[str]:
    """Return 'label  text' lines, the texts aligned and wrapped."""
    pairs = [(label, text) for label, text in pairs if text]
    if not pairs:
        return []
    label_width = max(len(label) for label, _text in pairs) + 2
    lines: list[str] = []
    for label, text in pairs:
        lines += paragraph(text, width,
                           indent + label.ljust(label_width),
                           ' ' * (len(indent) + label_width))
    return lines


def commands(pairs: collections.abc.Sequence[tuple[str, str]], width: int
             ) -> list[str]:
    """Return command lines with what each does; a command is never
    wrapped, so that it can be copied."""
    if not pairs:
        return []
    longest = max(len(command) for command, _why in pairs)
    lines: list[str] = []
    for command, why in pairs:
        aligned = f'  {command.ljust(longest)}   {why}'.rstrip()
        if len(aligned) <= width or not why:
            lines.append(aligned)
        else:
            lines.append(f'  {command}')
            lines += paragraph(why, width, '      ')
    return lines


def heading(text: str) -> list[str]:
    return ['', text]


def _cell(value: object) -> str:
    if value is None or value == '':
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return str(value)


def _without_empty(columns: collections.abc.Sequence[Column],
                   texts: list[dict[str, str]]) -> list[Column]:
    """Drop columns that may be dropped and say nothing in any row."""
    return [column for column in columns
            if not column.rank
            or any(text[column.key] != '-' for text in texts)]


def _natural(columns: collections.abc.Sequence[Column],
             texts: list[dict[str, str]]) -> dict[str, int]:
    return {column.key: max([len(column.title)]
                            + [len(text[column.key]) for text in texts])
            for column in columns}


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + _BOX * len(widths) + 1


def _squeezed(columns: collections.abc.Sequence[Column],
              widths: dict[str, int], width: int) -> dict[str, int]:
    """Take characters from the widest columns until the table fits, or
    every column is at its least."""
    widths = dict(widths)
    floors = {column.key: max(len(column.title),
                              min(column.least, widths[column.key]))
              for column in columns}
    while _total(widths) > width:
        shrinkable = [key for key in widths if widths[key] > floors[key]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda key: widths[key])] -= 1
    return widths


def _wrapped(text: str, width: int) -> str:
    return '\n'.join(textwrap.wrap(text, width,
                                   break_on_hyphens=False) or [''])
