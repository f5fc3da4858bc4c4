# SPDX-License-Identifier: Apache-2.0
"""Every failure window on the false Nova, without any engine."""

import pytest

from nova_pets.tests.conformance import false_stage
from nova_pets.tests.conformance import windows


@pytest.mark.parametrize('seed', [1, 2, 3])
@pytest.mark.parametrize('name', windows.WINDOWS)
def test_a_window_leaves_what_nova_leaves(name, seed):
    window, stage = windows.WINDOWS[name], false_stage.FalseStage(seed)
    windows.play(window, stage)
    stage.settle()
    assert stage.left('pet') == window.left


def test_an_outage_stops_every_heartbeat():
    """W23"""
    stage = false_stage.FalseStage()
    for host in stage.beats():
        stage.cell_away(host, True)
    stage.wait_beats()
    before = stage.beats()
    stage.wait_beats()
    assert stage.beats() == before
    for host in before:
        stage.cell_away(host, False)
    stage.wait_beats()
    after = stage.beats()
    assert all(after[host] > before[host] for host in before)
