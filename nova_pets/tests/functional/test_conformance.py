# SPDX-License-Identifier: Apache-2.0
"""Real Nova leaves in every window what the false one leaves.

The windows are those of tests/conformance/windows.py, and what they leave is
what tests/unit/simulator proves of the false Nova. Windows in which the same
hosts and services die share a cloud.
"""

import collections
import contextlib

import pytest

from nova_pets.tests.conformance import windows


class _Recorder:
    """A stage on which nothing happens: what deeds does a play yield?"""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def _companies():
    """Return {deeds: names of the windows in which they are done}."""
    found = collections.defaultdict(list)
    for name, window in windows.WINDOWS.items():
        found[tuple(window.plan(_Recorder()))].append(name)
    return dict(found)


COMPANIES = _companies()
# Setting up a company boots up to thirty instances.
pytestmark = pytest.mark.timeout(900)
CASES = [(deeds, name) for deeds, names in COMPANIES.items()
         for name in names]


class _Theatre:
    """Keeps the cloud of one company until another one comes."""

    def __init__(self):
        self._deeds = None
        self._cloud = contextlib.ExitStack()

    def views(self, deeds):
        """Return {name: view} of all windows with these deeds, played."""
        if deeds != self._deeds:
            self.close()
            self._views = self._play(deeds)
            self._deeds = deeds
        return self._views

    def close(self):
        self._deeds = None
        self._cloud.close()

    def _play(self, deeds):
        from nova_pets.tests.conformance import real_stage
        real = self._cloud.enter_context(real_stage.RealCloud())
        views = {name: real.view(name) for name in COMPANIES[deeds]}
        plays = {name: windows.WINDOWS[name].plan(view)
                 for name, view in views.items()}
        for name, *arguments in deeds:
            for play in plays.values():
                next(play)
            getattr(real, name)(*arguments)
        for play in plays.values():
            assert next(play, None) is None
        return views


@pytest.fixture(scope='module')
def theatre():
    theatre = _Theatre()
    yield theatre
    theatre.close()


@pytest.mark.parametrize('deeds, name', CASES, ids=[
    name for _, name in CASES])
def test_the_false_nova_leaves_what_nova_leaves(theatre, deeds, name):
    window = windows.WINDOWS[name]
    found = theatre.views(deeds)[name].wait_for('pet', window.left)
    assert found == window.left


@pytest.fixture(scope='module')
def quick_cloud(theatre):
    """Another one, with heartbeats to wait for."""
    theatre.close()
    from nova_pets.tests.conformance import real_stage
    with real_stage.RealCloud(report_interval_s=1) as real:
        yield real


@pytest.mark.parametrize('name', sorted(
    windows.OUTAGES.keys() - windows.WITH_PROCESSES))
def test_an_outage_does_what_it_does_to_nova(quick_cloud, name):
    """W23"""
    assert windows.play_outage(
        name, quick_cloud.view(name)) == windows.OUTAGE
