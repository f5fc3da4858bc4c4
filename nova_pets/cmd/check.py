# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the configuration, as seen from this machine.

Each look_* function judges one subject and returns findings; it is given
what it judges, so that it stays pure. ``run`` gathers that through
access.py. Changes nothing; asks fencing devices only with --fencing
(fence_table.py).
"""

import collections.abc
import dataclasses
import typing

from nova_pets import exception
from nova_pets.cmd import console as console_module
from nova_pets.cmd import documents
from nova_pets.cmd import fence_table
from nova_pets.cmd import layout
from nova_pets.cmd import questions
from nova_pets.cmd import reading
from nova_pets.cmd import words
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states

if typing.TYPE_CHECKING:
    from nova_pets.cmd import access as access_module

OK, WARNING, PROBLEM, UNKNOWN = 'ok', 'warning', 'problem', 'unknown'
_EXIT = {OK: questions.Exit.WELL, WARNING: questions.Exit.UNDER_WAY,
         PROBLEM: questions.Exit.ACT, UNKNOWN: questions.Exit.CANNOT_TELL}
_ORDER = (PROBLEM, UNKNOWN, WARNING, OK)
_SHOWN = {OK: 'ok', WARNING: 'warning', PROBLEM: 'PROBLEM',
          UNKNOWN: 'CANNOT TELL'}

OUR_FILTERS = 'nova_pets.scheduler.filters.all_filters'
NOVA_FILTERS = 'nova.scheduler.filters.all_filters'
OUR_WEIGHERS = 'nova_pets.scheduler.weights.all_weighers'
NOVA_WEIGHERS = 'nova.scheduler.weights.all_weighers'
NEEDED_FILTERS = ('FencedHostFilter', 'EvacuationGateFilter',
                  'SharedStorageFilter')


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    result: str
    """ok, warning, problem or unknown."""
    text: str
    advice: str = ''


def run(access: 'access_module.Access',
        console: console_module.Console | None, with_fencing: bool
        ) -> documents.Document:
    """Return the document of ``check``.

    :param console: where progress is shown; None: nowhere.
    """
    found = look_at_options(access.option_problems(),
                            access.invalid_options())
    found += look_at_filters(access.filters())
    found += look_at_weighers(access.weight_classes())
    found += look_at_credentials(*access.credentials())
    facts, store_findings = _look_at_store(access)
    found += store_findings
    fencing = []
    hosts = facts.hosts if facts else ()
    bound, digest, bindings_findings = _look_at_bindings(access, facts)
    found += bindings_findings
    if facts is not None:
        found += look_at_engines(facts, digest)
        found += look_at_pets(facts)
    if with_fencing:
        fencing = fence_table.ask([host.host for host in hosts], bound,
                                  access.read_power, console)
        found += look_at_fences(fencing)
        restartable = access.restartable(host.host for host in hosts)
        found += look_at_restarts(restartable, fence_table.log_in(
            restartable, access.check_restart))
    found.sort(key=lambda one: _ORDER.index(one.result))
    results = {one.result for one in found}
    worst = (PROBLEM if PROBLEM in results else
             UNKNOWN if UNKNOWN in results else
             WARNING if WARNING in results else OK)
    return {'exit_code': int(_EXIT[worst]), 'result': worst,
            'config_files': access.config_files(),
            'findings': [{'subject': one.subject, 'result': one.result,
                          'text': one.text, 'advice': one.advice or None}
                         for one in found],
            'fencing': fencing if with_fencing else None}


def _look_at_store(access: 'access_module.Access'
                   ) -> tuple[questions.Facts | None, list[Finding]]:
    try:
        facts = reading.facts(access.store(), access.settings())
    # A check goes on with its other subjects, whatever the database does.
    except Exception as error:
        code, text = console_module.explain(error)
        if code is questions.Exit.UNEXPECTED:
            raise
        return None, [Finding('tables', UNKNOWN, text)]
    return facts, [Finding('tables', OK, 'the schema fits')] + [
        Finding('tables', WARNING, problem,
                'upgrade nova-pets on this machine') for problem in
        facts.problems]


def _look_at_bindings(access: 'access_module.Access',
                      facts: questions.Facts | None
                      ) -> tuple[frozenset[str], str, list[Finding]]:
    """Return the hosts that a device is bound to, the digest, findings."""
    try:
        registry = access.registry()
        names = [host.host for host in facts.hosts] if facts else []
        bound = registry.bound(names)
        pets = reading.pets_by_host(list(facts.pets)) if facts else {}
        return bound, registry.digest(), look_at_bindings(
            registry.problem(),
            registry.ambiguous(names) + registry.warnings(names),
            registry.uses_fake(), names, bound, pets)
    except exception.BindingsInvalid as error:
        return frozenset(), '', [Finding('fencing', PROBLEM, str(error))]


# -- one subject each, pure ---------------------------------------------------


def look_at_options(problems: collections.abc.Sequence[str],
                    invalid: collections.abc.Collection[str]
                    ) -> list[Finding]:
    """:param invalid: those of ``problems`` that stop us from acting."""
    if not problems:
        return [Finding('options', OK, 'all options fit together')]
    return [Finding('options', PROBLEM if text in invalid else WARNING,
                    text, 'until then the mode is observe'
                    if text in invalid else '') for text in problems]


@dataclasses.dataclass(frozen=True, slots=True)
class Filters:
    """[filter_scheduler], resolved."""

    available: tuple[str, ...]
    """The option: paths of classes or functions."""
    enabled: tuple[str, ...]
    novas: frozenset[str]
    """Every filter class of Nova, by name."""
    effective: frozenset[str]
    """Every filter class that ``available`` gives."""
    broken: tuple[str, ...] = ()
    """Sentences: paths that cannot be loaded."""


def look_at_filters(filters: Filters) -> list[Finding]:
    """Ours must be there in addition to Nova's, and must be named."""
    subject = 'filters'
    found = [Finding(subject, PROBLEM, text) for text in filters.broken]
    if OUR_FILTERS not in filters.available:
        found.append(Finding(
            subject, PROBLEM,
            f'available_filters does not name {OUR_FILTERS}: this '
            f'nova-scheduler does not load nova-pets; one more line does it',
            f'[filter_scheduler] available_filters = {OUR_FILTERS}'))
    lost = sorted(filters.novas - filters.effective)
    if lost:
        found.append(Finding(
            subject, PROBLEM,
            f'available_filters has lost filters of Nova: '
            f'{words.listing(lost, 4)}; name Nova\'s beside ours',
            f'[filter_scheduler] available_filters = {NOVA_FILTERS}'))
    unknown = [name for name in filters.enabled
               if name not in filters.effective]
    if unknown:
        found.append(Finding(
            subject, PROBLEM,
            f'enabled_filters names what no available filter is: '
            f'{", ".join(unknown)}; nova-scheduler does not start so'))
    missing = [name for name in NEEDED_FILTERS
               if name not in filters.enabled]
    if missing:
        found.append(Finding(
            subject, PROBLEM,
            f'enabled_filters does not name {", ".join(missing)}',
            '[filter_scheduler] enabled_filters = FencedHostFilter,'
            'EvacuationGateFilter,<those of Nova>,SharedStorageFilter'))
    return found or [Finding(
        subject, OK, f'ours are enabled in addition to Nova\'s '
        f'({len(filters.enabled)} in all)')]


def look_at_weighers(weight_classes: collections.abc.Sequence[str]
                     ) -> list[Finding]:
    missing = [path for path in (NOVA_WEIGHERS, OUR_WEIGHERS)
               if path not in weight_classes]
    if not missing:
        return [Finding('weighers', OK,
                        'ours are used in addition to Nova\'s')]
    advice = (f'[filter_scheduler] weight_classes = {NOVA_WEIGHERS},'
              f'{OUR_WEIGHERS}')
    return [Finding(
        'weighers', PROBLEM if path == NOVA_WEIGHERS else WARNING,
        f'weight_classes does not name {path}' + (
            ': Nova\'s weighers are lost' if path == NOVA_WEIGHERS else
            ': evacuated instances are not spread'), advice)
        for path in missing]


def look_at_credentials(section: str, plugin: str | None, problem: str
                        ) -> list[Finding]:
    """:param section: the group that counts; plugin: its auth_type."""
    if problem:
        return [Finding('credentials', PROBLEM,
                        f'[{section}] cannot be used: {problem}')]
    if not plugin:
        return [Finding(
            'credentials', PROBLEM,
            'neither [pets_auth] nor [service_user] has an auth_type: '
            'evacuations would be sent without a token, and fail on the '
            'destination', 'fill [pets_auth] or [service_user]')]
    return [Finding('credentials', OK,
                    f'[{section}] has auth_type {plugin}')]


def look_at_bindings(problem: str | None,
                     unwise: collections.abc.Iterable[str],
                     uses_fake: bool, hosts: collections.abc.Sequence[str],
                     bound: frozenset[str], pets: dict[str, int]
                     ) -> list[Finding]:
    """:param unwise: sentences about what the bindings may say, and better
    did not.
    :param pets: how many pets each host has.
    """
    subject = 'fencing'
    found = [Finding(subject, PROBLEM, problem)] if problem else []
    found += [Finding(subject, WARNING, text) for text in unwise]
    if uses_fake:
        found.append(Finding(
            subject, WARNING,
            'the fake driver is bound: it powers no machine off'))
    unbound = sorted(set(hosts) - bound)
    with_pets = [host for host in unbound if pets.get(host)]
    if with_pets:
        found.append(Finding(
            subject, WARNING,
            f'no device can power off {words.listing(with_pets)}, and pets '
            f'run there', 'without one, every failure waits for '
            'confirm_fenced by a person'))
    if found:
        return found
    return [Finding(
        subject, OK, f'{len(bound)} of {words.count(len(hosts), "host")} '
        f'can be powered off by a device')]


def look_at_restarts(hosts: collections.abc.Sequence[str],
                     failing: dict[str, str]) -> list[Finding]:
    """:param hosts: whose bindings have a service_restart.
    :param failing: why a login failed, by host."""
    subject = 'service restart'
    if failing:
        return [Finding(subject, WARNING, text,
                        'until that is mended, a dead nova-compute there is '
                        'an alarm and nothing else')
                for _, text in sorted(failing.items())]
    return [Finding(subject, OK, f'{words.count(len(hosts), "host")} let us '
                    f'in to restart nova-compute')] if hosts else []


def look_at_engines(facts: questions.Facts, digest: str) -> list[Finding]:
    """:param digest: of the bindings on this machine."""
    subject = 'engines'
    found = []
    for alarm in questions.alarms(facts):
        if alarm.about in ('engines', 'gate'):
            found.append(Finding(
                subject, PROBLEM, alarm.text,
                'is nova-pets in available_filters, periodic_enable true '
                'and nova-scheduler running? Its log says why'))
    for what, value_of in _MUST_AGREE:
        values: dict[str, set[str]] = {}
        among = documents.working(facts.engines) if what == 'modes' \
            else facts.engines
        for engine in among:
            values.setdefault(value_of(engine), set()).add(engine.host)
        if len(values) > 1:
            said = '; '.join(
                f'{value or "none"} on {words.listing(sorted(hosts))}'
                for value, hosts in sorted(values.items()))
            found.append(Finding(
                subject, WARNING, f'the schedulers have different {what}: '
                f'{said}', 'make them the same, restart what is old'))
    digests = {documents.digest(engine)
               for engine in documents.working(facts.engines)}
    if digest and digests and digests != {digest}:
        found.append(Finding(
            subject, WARNING,
            'the fencing bindings on this machine are not those of the '
            'engines', 'compare [pets_fencing] bindings_file'))
    for engine in documents.working(facts.engines):
        said = documents.engine(engine, None, None)
        found += [Finding(subject, PROBLEM, f'{engine.host} says: {text}')
                  for text in said['problems']]
        if said['is_sane'] is False:
            found.append(Finding(
                subject, PROBLEM, f'the engine on {engine.host} does not '
                f'trust its own view: {said["why_not_sane"]}'))
    if facts.mode is not states.Mode.ACT:
        why = facts.mode_reason or words.MODE_WORDS[facts.mode]
        found.append(Finding(subject, WARNING,
                             f'[pets] mode is {facts.mode} here: {why}'))
    if found:
        return found
    at_work = sum(1 for engine in facts.engines if engine.slot is not None)
    return [Finding(subject, OK, f'{at_work} at work, '
                    f'{len(facts.engines) - at_work} in reserve, the gate '
                    f'is loaded everywhere')]


_MUST_AGREE: tuple[tuple[str, collections.abc.Callable[
    [records.Engine], str]], ...] = (
        ('versions of nova-pets', lambda engine: engine.version),
        ('modes', lambda engine: str(engine.mode)),
        ('fencing bindings', lambda engine: documents.digest(engine)[:12]))


def look_at_pets(facts: questions.Facts) -> list[Finding]:
    counts = documents.pet_counts(facts.pets)
    found = [Finding(
        'pets', WARNING, f'{words.count(why["pets"], "pet")} not protected: '
        f'{why["reason_text"]}',
        next(iter(reasons.next_commands(why['reason'])), ''))
        for why in counts['unprotected_by_reason']]
    found += [Finding('pets', WARNING, f'{pet.name}: {problem}')
              for pet in facts.pets for problem in pet.problems]
    return found or [Finding('pets', OK, words.count(
        counts['total'], 'pet') + ', all protected')]


def look_at_fences(rows: collections.abc.Sequence[documents.Document]
                   ) -> list[Finding]:
    failing = [row['host'] for row in rows if not row['works']]
    if failing:
        return [Finding('fences', PROBLEM,
                        f'{len(failing)} of {len(rows)} would fail now: '
                        f'{words.listing(failing)}')]
    partly = [row['host'] for row in rows if row['silent']]
    if partly:
        return [Finding('fences', WARNING, 'a device does not answer, while '
                        'another way works, on '
                        f'{words.listing(partly)}')]
    return [Finding('fences', OK, f'all {len(rows)} answered')]


def screen(doc: documents.Document, width: int) -> str:
    lines = []
    label = max(len(word) for word in _SHOWN.values()) + 2
    for one in doc['findings']:
        first = f'{_SHOWN[one["result"]]:<{label}}'
        hanging = ' ' * label
        lines += layout.paragraph(f'{one["subject"]}: {one["text"]}', width,
                                  first, hanging)
        if one['advice'] and one['advice'].startswith('['):
            # To be copied into nova.conf, so never wrapped.
            lines.append(f'    {one["advice"]}')
        elif one['advice']:
            lines += layout.paragraph(one['advice'], width, hanging + '-> ',
                                      hanging + '   ')
    if doc['fencing'] is not None:
        lines += fence_table.screen(doc['fencing'], width)
    files = ', '.join(doc['config_files']) or 'no nova.conf (none was found)'
    lines += ['', *layout.paragraph(f'Read: {files}', width, '')]
    return '\n'.join(lines)
