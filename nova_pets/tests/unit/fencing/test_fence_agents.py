# SPDX-License-Identifier: Apache-2.0
"""Driver fence_agents, with agents that say what a test wants."""

import time

import pytest

from nova_pets import exception
from nova_pets.fencing import fence_agents
from nova_pets.fencing import registry
from nova_pets.model import states

P = states.PowerState
AGENT = """\
#!/bin/sh
while read -r line; do
    echo "$line" >> {log}
    case $line in action=*) action=${{line#action=}};; esac
done
if [ "$action" = metadata ]; then
    {delay}
    cat <<'XML'
<resource-agent name="fence_x">
<parameters><parameter name="action"/><parameter name="plug"/>
<parameter name="password"/><parameter name="ssl_insecure"/></parameters>
<actions>{actions}</actions>
</resource-agent>
XML
    exit 0
fi
{does}
"""
ACTIONS = ''.join(f'<action name="{name}"/>' for name in (
    'on', 'off', 'reboot', 'status', 'metadata', 'validate-all'))


@pytest.fixture
def agent(tmp_path):
    """agent(shell, options) -> a driver whose agent does that."""
    def agent(does, options=None, actions=ACTIONS, delay=':'):
        path = tmp_path / 'fence_x'
        path.write_text(AGENT.format(log=tmp_path / 'log', does=does,
                                     actions=actions, delay=delay))
        path.chmod(0o755)
        return fence_agents.FenceAgentsFencing(
            'host1', {'agent': str(path), 'options': options or {}})
    return agent


@pytest.mark.parametrize('code, said, found', [
    (0, 'Status: ON', P.ON), (2, 'Status: OFF', P.OFF),
    (2, 'warming up\nStatus: OFF\n', P.OFF),
    (0, 'Status: OFF', P.UNKNOWN), (2, 'Status: ON', P.UNKNOWN),
    (2, '', P.UNKNOWN), (0, '', P.UNKNOWN), (2, 'OFF', P.UNKNOWN),
    (2, 'Status: POWERING OFF', P.UNKNOWN),
    (2, 'Status: ON\nStatus: OFF', P.UNKNOWN),
    (2, 'not Status: OFF', P.UNKNOWN)])
def test_code_and_words_have_to_say_the_same(agent, code, said, found):
    driver = agent(f"printf '%s\\n' '{said}'; exit {code}")

    assert driver.power_state(20) is found


@pytest.mark.parametrize('code', [1, 3, 126])
def test_any_other_code_is_an_error(agent, code):
    driver = agent(f'echo "Status: OFF"; echo "no: hunter2" >&2; exit {code}',
                   {'password': 'hunter2'})

    for ask in (driver.power_state, driver.power_off, driver.validate):
        with pytest.raises(exception.FencingError) as caught:
            ask(20) if ask != driver.validate else ask()
        assert f'fence_x ended with {code}: no: ***' in str(caught.value)


def test_an_agent_that_ignores_an_option_is_not_believed(agent):
    driver = agent(
        "echo 'Status: OFF'; echo 'Ignoring unknown option plug=1' >&2; "
        'exit 2', {'plug': 1})

    with pytest.raises(exception.FencingError, match='ignored an option'):
        driver.power_state(20)


def test_an_option_that_it_does_not_have_is_refused_before(agent, tmp_path):
    driver = agent("echo 'Status: OFF'; exit 2", {'outlet': 1})

    for ask in (driver.power_state, driver.power_off):
        with pytest.raises(exception.FencingError) as caught:
            ask(20)
        assert 'it has no option outlet; expected some of ' \
               'password, plug, ssl_insecure' in str(caught.value)
        assert caught.value.fields['is_refused']
    assert 'off' not in (tmp_path / 'log').read_text()


def test_only_what_is_meant_is_sent(agent, tmp_path):
    driver = agent('exit 0', {'plug': 7, 'password': 'p', 'ssl_insecure':
                              False})
    driver.power_off(20)

    lines = (tmp_path / 'log').read_text().splitlines()
    # The action is last, so that no option can be one.
    assert lines[-3:] == ['plug=7', 'password=p', 'action=off']
    assert 'action=reboot' not in lines
    assert not [line for line in lines if line.startswith('ssl_insecure')]


def test_a_flag_that_only_has_to_be_there_is_left_out_when_false(agent):
    assert agent('exit 0', {'ssl_insecure': '0'}).warnings() == ()
    assert 'ssl_insecure' in agent(
        'exit 0', {'ssl_insecure': True}).warnings()[0]


def test_an_agent_without_off_is_no_fence(agent):
    driver = agent('exit 0', actions='<action name="status"/>')

    with pytest.raises(exception.FencingError, match='expected off'):
        driver.power_off(20)


def test_an_agent_that_hangs_is_unknown(agent):
    driver = agent('sleep 600')

    with pytest.raises(exception.FencingError) as caught:
        driver.power_off(1)
    assert 'may have done it' in str(caught.value)
    assert not caught.value.fields['is_refused']


def test_the_deadline_is_for_the_whole_call(agent):
    driver = agent('sleep 600', delay='sleep 2')
    began = time.monotonic()

    with pytest.raises(exception.FencingError, match='no answer'):
        driver.power_state(3)
    assert time.monotonic() - began < 4.5


def test_an_agent_too_slow_to_describe_itself_is_no_refusal(agent):
    driver = agent('exit 0', delay='sleep 600')

    with pytest.raises(exception.FencingError) as caught:
        driver.power_off(1)
    assert 'describe itself within 1.0 s' in str(caught.value)
    assert not caught.value.fields['is_refused']


@pytest.mark.parametrize('text', ['', '<xml', 'exec format'])
def test_an_agent_that_does_not_describe_itself_is_not_asked(tmp_path, text):
    path = tmp_path / 'fence_odd'
    path.write_text(f'#!/bin/sh\necho "{text}"\n')
    path.chmod(0o755)
    driver = fence_agents.FenceAgentsFencing('host1', {'agent': str(path)})

    with pytest.raises(exception.FencingError, match='describe itself'):
        driver.power_state(20)


def test_an_agent_that_is_not_there_is_named():
    driver = fence_agents.FenceAgentsFencing(
        'host1', {'agent': 'fence_no_such'})

    with pytest.raises(exception.FencingError, match='no fence_no_such in'):
        driver.power_off(5)


@pytest.mark.parametrize('allow_fake', [True, False])
def test_fence_dummy_is_as_fake_as_fake(tmp_path, allow_fake):
    path = tmp_path / 'bindings.yaml'
    path.write_text('hosts:\n  - match: [host1]\n    levels:\n'
                    '      - devices:\n          - driver: fence_agents\n'
                    '            settings: {agent: fence_dummy, options: '
                    '{status_file: /x}}\n')
    built = registry.Registry(str(path), allow_fake)

    assert built.uses_fake() is allow_fake
    assert (built.problem() is None) is allow_fake
