# SPDX-License-Identifier: Apache-2.0
"""What of a device's words is shown."""

import base64

import pytest

from nova_pets.fencing import wording

SECRET = 'p"a ss/w'


@pytest.mark.parametrize('said', [
    f'login as root with {SECRET} failed', f'x={SECRET}{SECRET}'.encode(),
    'https://u:p%22a%20ss%2Fw@bmc', '{"Password": "p\\"a ss/w"}',
    'Authorization: Basic ' + base64.b64encode(
        f'root:{SECRET}'.encode()).decode()], ids=[
            'plain', 'bytes', 'address', 'json', 'header'])
def test_no_secret_in_any_dress(said):
    shown = wording.Words([SECRET], 'root').of(said)

    assert '***' in shown
    for form in (SECRET, 'p%22a', 'p\\"a', base64.b64encode(
            f'root:{SECRET}'.encode()).decode()):
        assert form not in shown


@pytest.mark.parametrize('said, shown', [
    ('a\r\n\tb\x1b[2Jc\0', 'a b [2Jc'), ('', 'nothing'), (None, 'None'),
    (b'\xff', '\ufffd'), ('  ', 'nothing')])
def test_one_printable_line(said, shown):
    assert wording.Words([]).of(said) == shown


def test_only_the_beginning():
    shown = wording.Words(['']).of('word ' * 10 ** 6)

    assert len(shown) <= wording.MOST_CHARS and shown.endswith('...')
