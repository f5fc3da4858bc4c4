# SPDX-License-Identifier: Apache-2.0
"""What a person's check asks beyond a reading."""

import pytest

from nova_pets import exception
from nova_pets.fencing import fencer
from nova_pets.fencing import sequence


class Devices:
    """What a registry gives: one device, or an error."""

    def __init__(self, device, error=None):
        self._device, self._error = device, error

    def levels(self, host):
        if self._error is not None:
            raise self._error
        return ((self._device,),)


def check(device, error=None):
    return fencer.Fencer(Devices(device, error), sequence.SystemClock(),
                         1.0, 5.0).check('host1')


def test_a_device_that_works_works(device):
    assert check(device()).is_working


def test_what_does_not_fit_is_said_and_nothing_is_asked(device, monkeypatch):
    built = device()
    monkeypatch.setattr(built, 'power_state', pytest.fail)
    monkeypatch.setattr(built, 'validate', raising(exception.FencingError(
        what='check', host='host1', device='x', found='no such option')))

    found = check(built)
    assert not found.is_working and 'no such option' in found.detail


def test_a_secret_that_cannot_be_read_is_said():
    found = check(None, exception.BindingsInvalid(
        path='/f', where=' line 3', problem='no file'))
    assert not found.is_working and '/f line 3: no file' in found.detail


def test_a_broken_driver_is_named_without_its_words(device, monkeypatch):
    built = device()
    monkeypatch.setattr(built, 'validate', raising(KeyError('hunter2')))

    assert check(built).detail == 'a driver raised KeyError'


def raising(error):
    def call():
        raise error
    return call
