# SPDX-License-Identifier: Apache-2.0
"""Every failure window on the false Nova, without any engine."""

import pathlib
import re

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


@pytest.mark.parametrize('name', windows.OUTAGES)
def test_an_outage_stops_every_heartbeat(name):
    """W23"""
    assert windows.play_outage(
        name, false_stage.FalseStage()) == windows.OUTAGE


def test_every_window_of_the_spec_is_played():
    """Here, and so on real Nova (functional/test_conformance.py)."""
    spec = (pathlib.Path(windows.__file__).parents[3] / 'specs' /
            '0007-windows.rst')
    named = set(re.findall(r'^(W\d+b?)  ', spec.read_text(), re.MULTILINE))
    assert len(named) == 25
    played = {name.partition('_')[0]
              for name in (*windows.WINDOWS, *windows.OUTAGES)}
    assert named <= played
