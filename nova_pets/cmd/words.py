# SPDX-License-Identifier: Apache-2.0
"""Words for people: states, durations, times, counts; pure.

Every enum that a person can meet on a screen has its words here, so that no
code appears without them. Decides nothing.
"""

import datetime

from nova_pets.model import states

H = states.HostState
R = states.RecoveryState
C = states.ControlKind

HOST_WORDS: dict[str, str] = {
    H.UP: 'nothing known against it',
    H.SUSPECT: 'heartbeat silent, being looked at',
    H.DOWN: 'down, not proven off yet',
    H.FENCING: 'being powered off',
    H.FENCED: 'proven off, its pets are leaving',
    H.VACATED: 'proven off and empty, waits for release',
    H.RETURNING: 'coming back, cleaning up',
    H.QUARANTINED: 'showed life although proven off, nobody goes there',
    H.UNPROVEN: 'down, but could not be proven off',
}

RECOVERY_WORDS: dict[str, str] = {
    R.PENDING: 'waits until its host is proven off',
    R.READY: 'may be evacuated now',
    R.REQUESTING: 'the evacuation is being requested',
    R.SCHEDULING: 'nova looks for a destination',
    R.BUILDING: 'a destination builds it',
    R.VERIFYING: 'arrived, is being checked',
    R.SETTLING: 'finding out what the last attempt left',
    R.WAITING: 'clean, backs off before the next attempt',
    R.NEEDS_OPERATOR: 'no safe step is left without a person',
    R.RECOVERED: 'runs on its destination',
    R.ABANDONED: 'ended, nothing more is done',
}

OUTCOME_WORDS: dict[str, str] = {
    states.Outcome.OPEN: 'under way',
    states.Outcome.SUCCEEDED: 'succeeded',
    states.Outcome.ADOPTED: 'adopted: its guest was found there',
    states.Outcome.FAILED: 'failed, left nothing behind',
    states.Outcome.UNSETTLED: 'given up: a guest may be there',
    states.Outcome.NOT_SENT: 'never reached nova',
}

ATTEMPT_WORDS: dict[str, str] = {
    states.AttemptKind.OWN: 'ours',
    states.AttemptKind.FOREIGN: "somebody else's",
}

PROOF_WORDS: dict[str, str] = {
    states.ProofKind.POWER_OFF: 'its power reads off',
    states.ProofKind.CONFIRMED: 'an operator confirmed it',
    states.ProofKind.EXTERNAL: 'a trusted external event',
}

SIGN_WORDS: dict[str, str] = {
    states.Sign.LIFE: 'sees life',
    states.Sign.SILENT: 'silent',
    states.Sign.UNKNOWN: 'cannot tell',
}

POWER_WORDS: dict[str, str] = {
    states.PowerState.ON: 'on',
    states.PowerState.OFF: 'off',
    states.PowerState.TURNING_ON: 'turning on',
    states.PowerState.TURNING_OFF: 'turning off',
    states.PowerState.UNKNOWN: 'unknown',
}

ORDER_WORDS: dict[str, str] = {
    C.PAUSE: 'pause: no new recovery starts',
    C.MAINTENANCE: 'maintenance: alarm only, never fenced',
    C.APPROVAL: 'approval: may pass a storm, and the limit of a day',
    C.FENCE: 'fence the host now',
    C.CONFIRM_FENCED: 'confirmed by a person to be off',
    C.RELEASE: 'let the host come back',
    C.RECOVER: 'begin its recovery now',
    C.RETRY: 'begin the next attempt now',
    C.ABANDON: 'end its recovery',
    C.AUDIT: 'look for what should not be, and mend what is safe',
}

MODE_WORDS: dict[str, str] = {
    states.Mode.ACT: 'fences and evacuates',
    states.Mode.OBSERVE: 'only reports, fences and evacuates nothing',
    states.Mode.OFF: 'off: nothing is watched, nova works as without us',
}

_STEPS = ((86400, 'd'), (3600, 'h'), (60, 'min'), (1, 's'))


def duration(seconds: float | None) -> str:
    """Return '34 s', '12 min', '3 h 20 min' or '2 d 4 h'; '-' for None.

    Two units at most; minutes alone from ten minutes on. A negative one
    (a clock was set back) counts as 0.
    """
    if seconds is None:
        return '-'
    whole = max(0, int(seconds))
    place = next((number for number, (size, _unit) in enumerate(_STEPS)
                  if whole >= size), len(_STEPS) - 1)
    size, unit = _STEPS[place]
    amount, rest = divmod(whole, size)
    text = f'{amount} {unit}'
    if rest and unit != 's' and not 600 <= whole < 3600:
        smaller, smaller_unit = _STEPS[place + 1]
        if rest // smaller:
            text += f' {rest // smaller} {smaller_unit}'
    return text


def ago(seconds: float | None) -> str:
    return 'at an unknown time' if seconds is None else (
        f'{duration(seconds)} ago')


def seconds_since(then: datetime.datetime | None,
                  now: datetime.datetime | None) -> float | None:
    """Seconds between two database times, for display; None: not known."""
    if then is None or now is None:
        return None
    return max(0.0, (_naive(now) - _naive(then)).total_seconds())


def iso(when: datetime.datetime | None) -> str | None:
    """Return '2026-11-21T03:14:07Z' of a naive UTC time."""
    if when is None:
        return None
    return _naive(when).replace(microsecond=0).isoformat() + 'Z'


def clock(when: str | None) -> str:
    """Return '2026-11-21 03:14:07' of iso()'s form; '-' for None."""
    return '-' if when is None else when.replace('T', ' ').rstrip('Z')


def count(number: int, one: str, many: str | None = None) -> str:
    """Return '1 host', '2 hosts'."""
    return f'{number} {one if number == 1 else many or one + "s"}'


def listing(names: list[str], most: int = 8) -> str:
    """Return 'a, b, c and 4 more'."""
    if len(names) <= most:
        return ', '.join(names)
    return f'{", ".join(names[:most])} and {len(names) - most} more'


def instance(name: str | None, uuid: str | None) -> str:
    """Return 'db1 (5f0c3b1e)': the short form is accepted by every verb."""
    short = (uuid or '')[:8]
    return f'{name} ({short})' if name and name != uuid else (uuid or '-')


def _naive(when: datetime.datetime) -> datetime.datetime:
    if when.tzinfo is None:
        return when
    return when.astimezone(datetime.UTC).replace(tzinfo=None)
