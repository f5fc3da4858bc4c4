# SPDX-License-Identifier: Apache-2.0
"""Shows the story on a live screen; fits 80 columns and 24 lines.

The left part of each table is what is true (the machines say it), the right
part what nova-pets says. A larger terminal shows a longer log.
"""

import time

from rich import console as rich_console
from rich import live as rich_live
from rich import text as rich_text

from nova_pets.tests.demo import watching

_COLOURS = {
    'up': 'green', 'recovered': 'green', 'fenced': 'green',
    'vacated': 'green', 'protected': 'green', 'tagged': 'dim',
    'suspect': 'yellow', 'down': 'red', 'fencing': 'yellow',
    'unproven': 'red', 'quarantined': 'red',
    'pending': 'yellow', 'ready': 'yellow', 'requesting': 'cyan',
    'scheduling': 'cyan', 'building': 'cyan', 'verifying': 'bright_cyan',
    'settling': 'magenta', 'waiting': 'magenta', 'needs_operator': 'red',
    'abandoned': 'red'}
_WHO = {watching.TRUTH: 'bold', watching.PETS: 'cyan',
        watching.DEMO: 'bold red'}
_STEPS = 18
_FEWEST_LOG_LINES = 3


class Screen:
    """The live screen; leaves nothing behind when it closes."""

    is_live = True

    def __init__(self, title, began, console=None):
        """:param began: time.monotonic() when the demo began."""
        self._title = title
        self._began = began
        self._console = console or rich_console.Console(highlight=False)
        self._live = rich_live.Live(
            console=self._console, screen=True, auto_refresh=False)
        self._phase = ''
        self._log = []
        self._steps = []
        self._scene = None

    def __enter__(self):
        self._live.start()
        return self

    def __exit__(self, *exc_info):
        self._live.stop()

    def step(self, text):
        self._steps = (self._steps + [text])[-_STEPS:]
        self._show()

    def phase(self, text):
        self._phase = text
        self._steps = []
        if self._scene is None:
            self._show()

    def lines(self, lines):
        self._log += lines

    def draw(self, scene):
        self._scene = scene
        self._show()

    def _show(self):
        width, height = self._console.size
        clock = f'{time.monotonic() - self._began:.1f} s'
        if self._scene is not None:
            clock = self._scene.clock
        self._live.update(
            frame(self._title, clock, self._phase, self._steps, self._scene,
                  self._log, width, height), refresh=True)


def frame(title, clock, phase, steps, scene, log, width, height):
    """Return one picture of at most ``height`` lines."""
    if clock.startswith('+'):
        clock = f'{clock[1:]} after the crash'
    bar = f' {title}'.ljust(width - len(clock) - 1) + clock + ' '
    rows = [rich_text.Text(bar[:width], style='reverse'),
            _cut(rich_text.Text(phase, style='bold'), width)]
    if scene is None or not scene.instances:
        rows += [rich_text.Text(f'  {text}', style='dim') for text in steps]
        return _page(rows, width, height)
    room = height - len(rows) - 2 - len(scene.hosts) - _FEWEST_LOG_LINES
    rows += _hosts(scene.hosts, width)
    rows += _instances(scene.instances, room, width)
    rows += [_log_line(line) for line in
             log[-max(height - len(rows), _FEWEST_LOG_LINES):]]
    return _page(rows, width, height)


def _hosts(hosts, width):
    rows = [rich_text.Text(
        'HOST    power kernel  guests   nova-pets says', style='underline')]
    for host in hosts:
        row = rich_text.Text()
        row.append(f'{host.host:7} ', style='bold')
        row.append(f'{host.power:6}',
                   style='green' if host.power == 'on' else 'dim')
        row.append('runs    ' if host.is_alive else 'dead    ',
                   style='green' if host.is_alive else 'bold red')
        row.append(f'{host.running:6}   ')
        rows.append(_said(row, host.state, host.why, 9, width))
    return rows


def _instances(instances, room, width):
    rows = [rich_text.Text(
        'INSTANCE        truly runs on  nova-pets says', style='underline')]
    shown = instances
    if len(instances) > room:
        # The ones under way first, in their order.
        shown = sorted(instances, key=_calm)[:max(room - 1, 1)]
    for one in shown:
        row = rich_text.Text()
        row.append(f'{one.name:8}', style='bold' if one.is_pet else 'dim')
        row.append('pet     ' if one.is_pet else 'cattle  ',
                   style='' if one.is_pet else 'dim')
        row.append(f'{" ".join(one.runs_on) or "nowhere":14} ', style=(
            'green' if len(one.runs_on) == 1 else 'bold red'))
        rows.append(_said(row, one.state, one.why, 12, width))
    if len(shown) < len(instances):
        rows.append(rich_text.Text(
            f'and {len(instances) - len(shown)} more', style='dim'))
    return rows


def _calm(one):
    return (not one.is_pet, one.state in ('recovered', 'tagged'))


def _said(row, state, why, column, width):
    """Append the state, and the longest of the words that fits."""
    if state:
        row.append(f'{state.replace("_", " "):{column}} ',
                   style=_COLOURS.get(state, ''))
    fitting = [text for text in why if row.cell_len + len(text) <= width]
    row.append(fitting[0] if fitting else why[-1], style='dim')
    return row


def _log_line(line):
    row = rich_text.Text()
    row.append(f'{line.clock:>8} ', style='dim')
    row.append(f'{line.who:5} ', style=_WHO[line.who])
    row.append(line.text, style=_COLOURS.get(line.state, ''))
    return row


def _page(rows, width, height):
    return rich_text.Text('\n').join(
        _cut(row, width) for row in rows[:height])


def _cut(row, width):
    row.truncate(width, overflow='ellipsis')
    row.no_wrap = True
    return row
