# SPDX-License-Identifier: Apache-2.0
"""The end of the demo as text and as JSON; pure.

One can read it from top to bottom: what happened to the hosts, what became of
each pet, what the seconds were, what ``nova-manage pets status`` says, and
the verdict.
"""

import dataclasses

from nova_pets.tests.demo import watching

_STEPS = (
    ('suspect_s', 'suspect'), ('down_s', 'down'), ('fenced_s', 'proven off'),
    ('forced_down_s', 'forced down'), ('first_pet_s', 'first pet runs'),
    ('last_pet_s', 'last pet runs'))
_SHORT = {'pending': 'pend', 'ready': 'ready', 'requesting': 'req',
          'scheduling': 'sched', 'building': 'build', 'verifying': 'verif',
          'settling': 'settl', 'waiting': 'wait'}
"""Headings of the states of timings.WORK."""


def text(outcome, title, took_s):
    parts = [_story(outcome), _host_seconds(outcome), _pet_seconds(outcome),
             _status(outcome), _verdict(outcome, took_s)]
    return f'\n{title}\n' + '\n'.join(parts)


def document(outcome, title, took_s, options):
    return {
        'title': title, 'is_well': not outcome.problems,
        'problems': list(outcome.problems), 'took_s': round(took_s, 1),
        'options': dataclasses.asdict(options),
        'hosts': [dataclasses.asdict(steps) for steps in outcome.hosts],
        'pets': [dataclasses.asdict(pet) for pet in outcome.pets],
        'falls': [dataclasses.asdict(fall) for fall in outcome.truth.falls],
        'power': outcome.truth.power, 'guests': outcome.truth.guests,
        'instances': [dataclasses.asdict(one)
                      for one in outcome.truth.cast],
        'story': [dataclasses.asdict(line) for line in outcome.lines]}


def _story(outcome):
    """The demo's own deeds and what became of the hosts."""
    fallen = [fall.host for fall in outcome.truth.falls]
    lines = ['', 'What happened to the hosts (seconds after the crash)']
    for line in outcome.lines:
        if line.is_after_crash and (
                line.who == watching.DEMO or
                line.text.split(':')[0] in fallen):
            lines.append(f'  {line.at_s:5.1f}  {line.who:5} {line.text}')
    return '\n'.join(lines)


def _host_seconds(outcome):
    lines = ['', 'Seconds from a crash to each step',
             '  ' + 'host'.ljust(6) + ''.join(
                 f'{title:>{len(title) + 2}}' for _key, title in _STEPS)]
    for steps in outcome.hosts:
        lines.append('  ' + steps.host.ljust(6) + ''.join(
            f'{_number(getattr(steps, key)):>{len(title) + 2}}'
            for key, title in _STEPS))
    return '\n'.join(lines)


def _pet_seconds(outcome):
    lines = ['', 'What became of each pet: where it ran (in brackets: a '
             'receiver that fell first),',
             'seconds until it ran again after the crash that took it, and '
             'its seconds in',
             'each state of recovery']
    lines.append('  ' + 'pet'.ljust(5) + 'where'.ljust(20) + ' back' +
                 ''.join(f'{word:>6}' for word in _SHORT.values()))
    for pet in outcome.pets:
        lines.append(
            f'  {pet.name:5}{">".join(pet.path):20}'
            f'{_number(pet.back_s):>5}' + ''.join(
                f'{_number(pet.seconds.get(state)):>6}' for state in _SHORT))
    return '\n'.join(lines)


def _status(outcome):
    lines = ['', '$ nova-manage pets status']
    lines += ['  ' + line if line else '' for line in
              outcome.status.split('\n')]
    return '\n'.join(lines)


def _verdict(outcome, took_s):
    pets = [one for one in outcome.truth.cast if one.is_pet]
    cattle = [one for one in outcome.truth.cast if not one.is_pet]
    if outcome.problems:
        lines = ['', 'VERDICT: it did NOT end well']
        lines += [f'  - {problem}' for problem in outcome.problems]
    else:
        fallen = {fall.host for fall in outcome.truth.falls}
        lost = sum(one.born in fallen for one in cattle)
        lines = [
            '', 'VERDICT: it ended well, by the hypervisors\' own lists and '
            'the BMCs',
            f'  - each of {len(pets)} pets runs exactly once, on a host '
            f'whose BMC says on, with',
            '    the disk it always had; none was ever seen on two hosts',
            f'  - powered off: {", ".join(sorted(fallen))}; no other host',
            f'  - no cattle was touched: {lost} died with their hosts, '
            f'{len(cattle) - lost} untouched elsewhere']
    lines += [f'The demo took {took_s:.1f} s.', '']
    return '\n'.join(lines)


def _number(value):
    return '-' if value is None else f'{value:.1f}'
