# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with databases, broker, conductors and Nova's steps."""

import typing

from nova_pets.simulator import deeds
from nova_pets.simulator import nova_rows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import cloud as cloud_module
    from nova_pets.simulator import faults


@deeds.kind('side tables away', lasts_s=(0.5, 40.0))
def _api_away(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> deeds.Call:
    world = injector.cloud.world
    if not world.is_api_db_up:
        raise deeds.NothingToDo
    world.is_api_db_up = False

    def end() -> None:
        world.is_api_db_up = True
    return end


@deeds.kind('store call refused', amount=(1, 5), is_later=True, weight=1.5)
def _refused(injector: 'faults.Injector', fault: 'faults.Fault',
             number: int) -> None:
    injector.calls['refused'] += [number] * max(int(fault.amount), 1)


@deeds.kind('commit unseen', amount=(1, 4), is_later=True, weight=2)
def _unseen(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> None:
    """The write is committed, and its acknowledgement is lost."""
    injector.calls['unseen'] += [number] * max(int(fault.amount), 1)


@deeds.kind('side tables fail over', amount=(0.1, 4.0), weight=1)
def _lose_api(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> None:
    """A replica takes over, and the last commits are lost."""
    cloud = injector.cloud
    since = cloud.kernel.now - fault.amount
    if _is_lost_twice(cloud, 'api', since):
        raise deeds.NothingToDo
    lost = cloud.lose_commits(since)
    cloud.kernel.note('commits lost', 'api', lost)
    if not lost:
        raise deeds.NothingToDo


@deeds.kind('cell database away', 'cell', lasts_s=(0.5, 40.0))
def _cell_away(injector: 'faults.Injector', fault: 'faults.Fault',
               number: int) -> deeds.Call:
    down = injector.cloud.world.down_cells
    if fault.target in down:
        raise deeds.NothingToDo
    down.add(fault.target)
    return lambda: down.discard(fault.target)


@deeds.kind('cell database fails over', 'cell', amount=(0.05, 2.0),
            share=0.4)
def _lose_cell(injector: 'faults.Injector', fault: 'faults.Fault',
               number: int) -> None:
    """A replica takes over, and the last commits in one cell are lost; all
    who wrote there were told that they are committed. Placement and the API
    database, our side tables with it, are other databases and lose none."""
    cloud, cell = injector.cloud, fault.target
    if cell in cloud.world.down_cells:
        raise deeds.NothingToDo
    database = cloud.nova.cells[cell]
    since = cloud.kernel.now - fault.amount
    if any(at >= since and uuid in database.instances
           for uuid, at in sorted(cloud.checks.forced_at.items())):
        # What a person forced would run somewhere without a trace, before
        # any engine had seen one: no design can close it (specs/0009).
        raise deeds.NothingToDo
    if _is_lost_twice(cloud, cell, since):
        raise deeds.NothingToDo
    if any((row.deleted_at or 0.0) >= since and cloud.world.running(uuid)
           for uuid, row in sorted(database.instances.items())):
        # Deleted while a destination built it, which Nova forgets; then that
        # it was deleted: an instance whose only record is of elsewhere.
        raise deeds.NothingToDo
    tables = cloud.cell_tables[cell].touched_since(since)
    before = _flags(database)
    lost = cloud.lose_cell_commits(cell, since)
    cloud.kernel.note('cell commits lost', cell, lost, sorted(tables))
    for uuid in sorted(cloud.checks.untagged_at):
        row = database.instances.get(uuid)
        if row is not None and row.metadata.get('ha') == 'true':
            del cloud.checks.untagged_at[uuid]  # it is a pet again
    if tables <= {'services'} and before == _flags(database):
        raise deeds.NothingToDo  # but heartbeats


def _is_lost_twice(cloud: 'cloud_module.Cloud', database: str, since: float
                   ) -> bool:
    """Return whether the last trace of a request would be lost: our attempt
    in one failover, Nova's record in the other. Then a guest runs that nobody
    knows of (0001, Limits)."""
    others = [(begin, end) for name, begin, end in cloud.lost_times
              if (name == 'api') != (database == 'api')]
    return any(at >= since and any(begin <= at <= end
                                   for begin, end in others)
               for at in cloud.checks.requested_at)


def _flags(database: nova_rows.CellDatabase) -> list[tuple[str, bool, bool]]:
    return sorted((row.host, row.forced_down, row.disabled)
                  for row in database.services.values())


@deeds.kind('broker away', lasts_s=(0.5, 30.0))
def _broker(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> deeds.Call:
    broker = injector.cloud.world.broker
    if not broker.is_up:
        raise deeds.NothingToDo
    broker.is_up = False

    def end() -> None:
        broker.is_up = True
    return end


@deeds.kind('message lost', amount=(1, 3), is_later=True, weight=2)
def _lost(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> None:
    injector.messages += [('lost', 0.0, number)] * max(int(fault.amount), 1)


@deeds.kind('message late', amount=(2.0, 120.0), is_later=True, weight=1.5)
def _late(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> None:
    injector.messages.append(('late', fault.amount, number))


@deeds.kind('message doubled', amount=(0.01, 30.0), is_later=True)
def _doubled(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> None:
    injector.messages.append(('doubled', fault.amount, number))


@deeds.kind('conductor killed', 'conductor', lasts_s=(1.0, 40.0), weight=2)
def _kill_conductor(injector: 'faults.Injector', fault: 'faults.Fault',
                    number: int) -> deeds.Call:
    nova = injector.cloud.nova
    if not nova.conductors[fault.target].is_alive:
        raise deeds.NothingToDo
    nova.kill_conductor(fault.target)
    return lambda: _start_conductor(injector, fault.target)


def _start_conductor(injector: 'faults.Injector', name: str) -> None:
    nova = injector.cloud.nova
    if not nova.conductors[name].is_alive:
        nova.start_conductor(name)


@deeds.kind('conductor paused', 'conductor', lasts_s=(1.0, 60.0))
def _pause_conductor(injector: 'faults.Injector', fault: 'faults.Fault',
                     number: int) -> deeds.Call:
    process = injector.cloud.nova.conductors[fault.target]
    if not process.is_alive or process.is_paused:
        raise deeds.NothingToDo
    process.pause()
    return process.resume


@deeds.kind('placement away', lasts_s=(1.0, 40.0))
def _placement(injector: 'faults.Injector', fault: 'faults.Fault',
               number: int) -> deeds.Call:
    world = injector.cloud.world
    if not world.is_placement_up:
        raise deeds.NothingToDo
    world.is_placement_up = False

    def end() -> None:
        world.is_placement_up = True
    return end


STAGES = ('claim', 'neutron', 'cinder', 'group', 'checks', 'glance', 'spawn',
          'after_spawn', 'stop', 'notify', 'db', 'reply', 'conductor',
          'schedule', 'placement_claim')


@deeds.kind('stage fails', 'stage', amount=(1, 3), is_later=True, weight=4)
def _stage(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> None:
    injector.stages.setdefault((fault.target, ''), []).extend(
        [number] * max(int(fault.amount), 1))
