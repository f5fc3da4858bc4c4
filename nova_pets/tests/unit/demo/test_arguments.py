# SPDX-License-Identifier: Apache-2.0
"""The demo refuses a story that cannot be played, and says why."""

import pytest

from nova_pets.tests.demo import arguments


def test_without_arguments_it_is_the_story_of_the_readme():
    options = arguments.parse([])
    assert (options.hosts, options.instances, options.pets) == (5, 12, 8)
    assert options.falls == 2


def test_without_a_second_crash_one_host_falls():
    assert arguments.parse(['--no-second-crash']).falls == 1


@pytest.mark.parametrize('given, expected', [
    ('--hosts 2', '3 to 20 hosts, found 2'),
    ('--pets 0', '1 to 12 pets'),
    ('--pets 13', '1 to 12 pets'),
    ('--instances 61', 'at most 60 instances'),
    ('--hosts 4 --crash-receiver 3', 'at most 2 crashing receivers'),
    ('--crash-receiver -1', 'crashing receivers'),
    ('--heartbeat 0', 'a heartbeat of 1 to 60 s'),
    ('--no-second-crash --crash-receiver 2', 'not allowed with'),
    ('--json /nowhere/at/all.json', 'cannot write /nowhere'),
    ('--pets many', 'invalid int value'),
])
def test_what_cannot_be_played_is_refused(given, expected, capsys):
    with pytest.raises(SystemExit) as refused:
        arguments.parse(given.split())
    assert refused.value.code == 2
    assert expected in capsys.readouterr().err
