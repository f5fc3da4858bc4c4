# SPDX-License-Identifier: Apache-2.0
"""Claims per second when the engines of three schedulers race.

``python -m nova_pets.tests.bench.claims``: three processes take claims of the
same recoveries on MariaDB and PostgreSQL; each that is won is given up again.
"""

import pathlib
import sys
import tempfile
import time

from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.tests.db import contenders
from nova_pets.tests.db import databases
from nova_pets.tests.db import samples

ENGINES = 3
TRIES = 300
RECOVERIES = 20


def measure(backend, ring):
    with tempfile.TemporaryDirectory() as name, \
            databases.database(backend, pathlib.Path(name)) as url:
        facade = databases.facade(url)
        schema.sync(facade.writer.get_engine())
        store = store_.SqlStore(facade, 'bench')
        store.open_recoveries(
            [samples.recovery(instance_uuid=f'i{number}')
             for number in range(RECOVERIES)], samples.event())
        ids = [row.id for row in store.recoveries()]
        # The first turn connects, and is not counted.
        ring.race(url, contenders.claim_and_act, [(ids, 10, name)], ENGINES)
        began = time.monotonic()
        [won] = ring.race(url, contenders.claim_and_act,
                          [(ids, TRIES, name)], ENGINES)
        took_s = time.monotonic() - began
        facade.writer.get_engine().dispose()
    tried = ENGINES * TRIES
    print(f'{backend:11} {tried / took_s:7.0f} claims/s tried, '
          f'{sum(won) / took_s:7.0f} won and given up again, '
          f'{100 * (1 - sum(won) / tried):.0f} % lost to another')


def main():
    ring = contenders.Ring()
    print(f'{ENGINES} processes, {RECOVERIES} recoveries')
    try:
        for backend in databases.SERVERS:
            measure(backend, ring)
    finally:
        ring.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
