# SPDX-License-Identifier: Apache-2.0
"""The reader of traces names the window that was played, and no other."""

import pytest

from nova_pets.simulator import windows as windows_module
from nova_pets.tests.conformance import false_stage
from nova_pets.tests.conformance import windows

OF_ENGINES = {'W1', 'W2', 'W15', 'W16', 'W23'}
"""Told from an engine's rows and the run's faults, which a play has not."""
BESIDES = {
    # A forced evacuation over the leaked room of one that was lost.
    'W6_forced': {'W7'},
    'W19': {'W13'},
    # What was late was lost, as far as its sender knew.
    'W21': {'W7'}, 'W21_deleted': {'W7'}, 'W21_request': {'W3'}}
GOOD = ('none', 'none_stopped', 'none_forced', 'W7_returns')


def named(name):
    return name.partition('_')[0]


@pytest.mark.parametrize('name', [
    name for name in windows.WINDOWS
    if name.startswith('W') and named(name) not in OF_ENGINES
    and name not in GOOD])
def test_a_window_is_known_by_its_trace(name):
    stage = false_stage.FalseStage()
    windows.play(windows.WINDOWS[name], stage)
    stage.settle()
    found = set(windows_module.reached(stage.kernel.lines))
    assert named(name) in found
    assert found <= {named(name), *BESIDES.get(name, ())}


@pytest.mark.parametrize('name', GOOD)
def test_a_good_evacuation_is_no_window(name):
    stage = false_stage.FalseStage()
    windows.play(windows.WINDOWS[name], stage)
    stage.settle()
    assert not windows_module.reached(stage.kernel.lines)


def test_every_window_of_the_reference_is_known():
    played = {named(name) for name in windows.WINDOWS
              if name.startswith('W')}
    assert played | OF_ENGINES == set(windows_module.WINDOWS)


@pytest.mark.parametrize('expected, lines', [
    ('W1', [('recovery', 'db1', 'requesting', 'waiting', 'nova_refused')]),
    ('W2', [('nova', 'accepted', 'db1', 1),
            ('recovery', 'db1', 'requesting', 'settling', 'uncertain')]),
    ('W15', [('recovery', 'db1', 'verifying', 'pending', 'rebased')]),
    ('W16', [('nova', 'booted', 'db1', 'host1'), ('system crashes', 'host1'),
             ('recovery', 'db1', 'pending', 'ready', 'source_proven'),
             ('system up', 'host1')]),
    ('W23', [('fault', 'broker away', '', 30.0, 0.0)])])
def test_what_a_play_does_not_show(expected, lines):
    assert set(windows_module.reached(
        [(0.0, *line) for line in lines])) == {expected}
