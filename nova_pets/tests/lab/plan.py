# SPDX-License-Identifier: Apache-2.0
"""What a lab consists of: sizes, names, ports, passwords; one JSON file.

Decided once by ``up`` and read by everything else. Touches nothing but that
file.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import secrets
import socket
import tempfile

import sqlalchemy as sa

from nova_pets.tests.lab.truehost import network

DEFAULT_DIRECTORY = pathlib.Path(tempfile.gettempdir()) / 'nova-pets-lab'
SERVERS = {
    'mysql': os.environ.get('NOVA_PETS_TEST_MYSQL',
                            'mysql+pymysql://root@127.0.0.1:3306/'),
    'postgresql': os.environ.get(
        'NOVA_PETS_TEST_POSTGRES',
        'postgresql+psycopg2://postgres@127.0.0.1:5432/postgres')}
BROKER = os.environ.get('NOVA_PETS_TEST_RABBIT',
                        'rabbit://guest:guest@127.0.0.1:5672/')
APIS = ('keystone', 'placement', 'glance', 'neutron', 'api')
ADDRESS = '127.0.%d.%d'
"""All of 127/8 is loopback: a host has an address, and so a port, of its
own."""
FILE = 'plan.json'
ENDED = 'plan.ended.json'
"""What it is called when only files of the lab are left."""


class Other(Exception):
    """A plan that this version cannot read."""


@dataclasses.dataclass
class Plan:
    directory: pathlib.Path
    prefix: str
    """Of the databases and virtual hosts of this lab."""
    server: str
    """URL of the database server."""
    broker: str
    cells: int
    computes: int
    """Of all cells: the first ones belong to cell1, and so on."""
    schedulers: int
    workers: int
    report_interval_s: int
    password: str
    has_true_hosts: bool
    """Namespaces with libvirt and guests in them, see truehost/."""
    ports: dict[str, int]
    """Of the services; of the links as database.CLIENT and broker.CLIENT."""

    @property
    def hosts(self) -> list[str]:
        return [f'host{number + 1}' for number in range(self.computes)]

    @property
    def scheduler_names(self) -> list[str]:
        return [f'scheduler{number + 1}' for number in range(self.schedulers)]

    @property
    def cell_names(self) -> list[str]:
        return [f'cell{number + 1}' for number in range(self.cells)]

    @property
    def conductors(self) -> dict[str, str]:
        """Return conductor -> cell; the one above the cells has cell0."""
        return {'super': 'cell0'} | {
            f'conductor{number + 1}': name
            for number, name in enumerate(self.cell_names)}

    def hosts_of(self, cell: str) -> list[str]:
        return [host for host in self.hosts if self.cell_of(host) == cell]

    def cell_of(self, host: str) -> str:
        number = self.hosts.index(host)
        return self.cell_names[number * self.cells // self.computes]

    @property
    def databases(self) -> list[str]:
        return ['keystone', 'placement', 'api', 'cell0', *self.cell_names]

    @property
    def vhosts(self) -> list[str]:
        return ['super', *self.cell_names]

    @property
    def clients(self) -> dict[str, list[str]]:
        """Who has a way of its own to the database and to the broker."""
        nova = ['api', *self.conductors, *self.scheduler_names]
        return {'database': ['keystone', 'placement', *nova],
                'broker': [*nova, *self.hosts]}

    def address(self, host: str) -> str:
        number = self.hosts.index(host) + 1
        if self.has_true_hosts:
            return network.HOST % number
        return ADDRESS % (1 + number // 200, number % 200 or 200)

    def database(self, name: str, client: str | None) -> str:
        """Return the URL of a database by the way of this client.

        :param client: None: the server itself.
        """
        url = sa.engine.make_url(self.server).set(
            database=f'{self.prefix}_{name}')
        if client is not None:
            url = url.set(host='127.0.0.1',
                          port=self.ports[f'database.{client}'])
        return url.render_as_string(hide_password=False)

    def transport(self, vhost: str, client: str) -> str:
        user = self.broker.split('//')[1].split('@')[0]
        port = self.ports[f'broker.{client}']
        return (f'rabbit://{user}@{self._reached(client)}:{port}/'
                f'{self.prefix}_{vhost}')

    def url(self, service: str, client: str | None = None) -> str:
        """Return where this client finds a service; None: a person."""
        return f'http://{self._reached(client)}:{self.ports[service]}'

    def _reached(self, client):
        return network.CONTROLLER if self.has_true_hosts and \
            client in self.hosts else '127.0.0.1'

    def save(self) -> None:
        path = self.directory / FILE
        path.touch(mode=0o600)
        said = dataclasses.asdict(self)
        said['directory'] = str(self.directory)
        path.write_text(json.dumps(said, indent=1))


def prefix_of(directory: pathlib.Path) -> str:
    """Two labs in two directories do not meet on the servers."""
    digest = hashlib.sha256(str(directory).encode()).hexdigest()
    return f'pets_lab_{digest[:8]}'


def load(directory: pathlib.Path) -> Plan | None:
    """Return the plan of the lab there, None: there is none.

    :raises Other: it was made by another version of this module.
    """
    said = _read(directory)
    if said is None:
        return None
    try:
        return Plan(**{**said, 'directory': directory})
    except TypeError as error:
        raise Other(f'the lab in {directory} was made by another version; '
                    'only "down" and "up" can be done to it') from error


def server_of(directory: pathlib.Path) -> str | None:
    """Return the database server of the lab there, whoever made it."""
    said = _read(directory)
    return said and said['server']


def _read(directory):
    try:
        return json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        return None


def make(directory: pathlib.Path, *, cells: int, computes: int,
         schedulers: int, workers: int, report_interval_s: int,
         database: str, has_true_hosts: bool = False) -> Plan:
    plan = Plan(
        directory=directory, prefix=prefix_of(directory),
        server=SERVERS[database], broker=BROKER, cells=cells,
        computes=computes, schedulers=schedulers, workers=workers,
        report_interval_s=report_interval_s, has_true_hosts=has_true_hosts,
        password=secrets.token_urlsafe(12), ports={})
    names = [*APIS, 'bmc', 'witness']
    for service, clients in plan.clients.items():
        names += [f'{service}.{client}' for client in clients]
    plan.ports = dict(zip(names, _free_ports(len(names))))
    return plan


def _free_ports(count):
    # All at once, or two of them could be the same.
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
