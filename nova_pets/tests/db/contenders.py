# SPDX-License-Identifier: Apache-2.0
"""What the processes of the race tests do; each has a store of its own."""

import dataclasses
import multiprocessing
import os
import pathlib
import random
import traceback

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.tests.db import databases
from nova_pets.tests.db import samples

_TIMEOUT_S = 400
SPAWN = multiprocessing.get_context('spawn')


class Ring:
    """Processes that wait to race each other; started once, used often."""

    def __init__(self):
        self._processes, self._pipes = [], []
        self._barriers = {}

    def race(self, url, contender, turns, count=2):
        """Run ``contender(store, me, *turn)`` in ``count`` processes.

        :param turns: one tuple of arguments per turn; all processes begin
            each turn together.
        :returns: one tuple of answers (one per process) for each turn.
        """
        if not self._processes:
            self._barriers = {n: SPAWN.Barrier(n) for n in (2, 3)}
        while len(self._processes) < count:
            ours, theirs = SPAWN.Pipe()
            process = SPAWN.Process(target=_serve, daemon=True, args=(
                len(self._processes), self._barriers, theirs))
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes[:count]:
            pipe.send((url, contender, turns, count))
        try:
            answers = [_receive(pipe) for pipe in self._pipes[:count]]
        except AssertionError:
            # Some may still be at it: the next race gets new ones.
            self.close()
            raise
        return list(zip(*answers, strict=True))

    def close(self):
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            process.kill()
        self._processes, self._pipes = [], []


def _receive(pipe):
    assert pipe.poll(_TIMEOUT_S), 'a contender did not answer'
    kind, answer = pipe.recv()
    assert kind == 'done', answer
    return answer


def _serve(number, barriers, pipe):
    while True:
        try:
            url, contender, turns, count = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(('done', _take_turns(
                number, url, contender, turns, barriers[count])))
        except Exception:  # whatever it is, the parent must hear of it
            barriers[count].abort()
            pipe.send(('failed', traceback.format_exc()))


def _take_turns(number, url, contender, turns, barrier):
    facade = databases.facade(url)
    store = store_.SqlStore(facade, f'engine {number}')
    me = samples.registered(store, worker=str(number))
    answers = []
    try:
        for turn in turns:
            barrier.wait(_TIMEOUT_S)
            answers.append(contender(store, me, *turn))
    finally:
        facade.writer.get_engine().dispose()
    return answers


# -- contenders ---------------------------------------------------------------

def claim_and_act(store, me, recovery_ids, tries, directory):
    """Try ``tries`` claims; each one won has an effect, then is given up.

    The effect is a line in a file, written while an exclusive file proves
    that nobody else acts on this recovery.

    :returns: claims won.
    """
    chooser = random.Random(me)
    row = {id_: store.recovery(id_) for id_ in recovery_ids}
    engine = sa.create_engine(store._run.engine().url,
                              isolation_level='AUTOCOMMIT')
    generations = sa.select(models.RECOVERIES.c.id,
                            models.RECOVERIES.c.generation)
    won = 0
    with (open(pathlib.Path(directory) / me, 'a') as effects,
          engine.connect() as looking):
        for _ in range(tries):
            id_ = chooser.choice(recovery_ids)
            read = dict(looking.execute(generations).all())[id_]
            generation = store.claim_recovery(id_, read, me)
            if generation is None:
                continue
            won += 1
            alone = pathlib.Path(directory) / f'acting-on-{id_}'
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            effects.write(f'{id_} {generation}\n')
            alone.unlink()
            store.advance_recovery(
                dataclasses.replace(row[id_], owner=None), generation, me,
                None)
    return won


def sync(store, me, url):
    return schema.sync(databases.facade(url).writer.get_engine())


def claim(store, me, recovery_id, generation):
    return store.claim_recovery(recovery_id, generation, me) is not None


def depose(store, me, engine_id):
    return store.depose_engine(engine_id, 0)


def take_slot(store, me, slot):
    return store.take_slot(samples.registered(store), slot)


def consume(store, me, attempt_id, request_id):
    return store.consume_gate(attempt_id, request_id)


def open_recoveries(store, me, uuids):
    shuffled = sorted(uuids, key=lambda uuid: random.Random(
        me + uuid).random())
    return store.open_recoveries(
        [samples.recovery(instance_uuid=uuid) for uuid in shuffled],
        samples.event())


def upsert_and_forget(store, me, uuids):
    """Write the same pets in another order each; forget half of them."""
    shuffled = sorted(uuids, key=lambda uuid: random.Random(
        me + uuid).random())
    store.upsert_pets([samples.pet(instance_uuid=uuid, name=me)
                       for uuid in shuffled])
    return store.forget_pets(shuffled[::2], 'untagged')


def forget(store, me, uuids):
    return store.forget_pets(uuids, 'untagged')


def ensure_hosts(store, me, names):
    return store.ensure_hosts([(name, samples.CELL) for name in names])


def advance_until_deposed(url, pipe):
    """For each (engine, recovery id, generation) sent: advance without end.

    Answers with the generation that the last successful advance left.
    """
    store = store_.SqlStore(databases.facade(url), 'engine loser')
    while (turn := pipe.recv()) is not None:
        me, recovery_id, generation = turn
        row = store.recovery(recovery_id)
        try:
            while True:
                row, _ = store.advance_recovery(row, generation, me,
                                                samples.event('moved'))
                generation = row.generation
        except exception.RowConflict:
            pipe.send(generation)
