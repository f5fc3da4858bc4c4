# SPDX-License-Identifier: Apache-2.0
"""The way into Nova's databases: cells, contexts, transactions.

Makes a fresh context per call (Nova keeps the transaction in it, and some of
Nova's calls target it in place), so any number of threads may use one Cells.
Reads nothing but the cell and host mappings, which rarely change.
"""

import threading
import time

from nova import objects
import nova.context
from nova.db.api import api as api_db
from nova.db.main import api as main_db

from nova_pets import exception
from nova_pets.compute import errors
from nova_pets.model import observations

MAPPINGS_MAX_AGE_S = 60.0


class Cells:
    def __init__(self, max_age_s: float = MAPPINGS_MAX_AGE_S,
                 clock=time.monotonic):
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.Lock()
        self._mappings: dict = {}
        self._read_at: float | None = None
        self._cell_of_host: dict[str, str] = {}

    def mappings(self) -> dict:
        """Return all cell mappings, cell0 and disabled ones too, by uuid."""
        with self._lock:
            now = self._clock()
            if (self._read_at is None
                    or now - self._read_at > self._max_age_s):
                with errors.unavailable('read the cell mappings'):
                    found = objects.CellMappingList.get_all(
                        nova.context.get_admin_context())
                self._mappings = {cell.uuid: cell for cell in found}
                self._read_at = now
            return self._mappings

    def enabled(self) -> list[observations.Cell]:
        return [observations.Cell(uuid=cell.uuid, name=cell.name or '')
                for cell in self.mappings().values()
                if not cell.disabled and not cell.is_cell0()]

    def context(self, cell_uuid: str, base=None):
        """Return a fresh context that is targeted to the cell.

        :param base: an untargeted context whose identity and request_id are
            kept; default: an admin context without token.
        :raises NovaUnavailable: no such cell.
        """
        mapping = self.mappings().get(cell_uuid)
        if mapping is None:
            raise exception.NovaUnavailable(
                what='reach a cell', found='no cell mapping ' + cell_uuid)
        base = base or nova.context.get_admin_context()
        with nova.context.target_cell(base, mapping) as cctxt:
            return cctxt

    def transport_url(self, cell_uuid: str) -> str:
        """Return where the messages of the cell go; it holds a password.

        :raises NovaUnavailable: no such cell.
        """
        mapping = self.mappings().get(cell_uuid)
        if mapping is None:
            raise exception.NovaUnavailable(
                what='reach a cell', found='no cell mapping ' + cell_uuid)
        return mapping.transport_url

    def remember_host(self, host: str, cell_uuid: str) -> None:
        """Note a host's cell, as just read from that cell."""
        self._cell_of_host[host] = cell_uuid

    def cell_of(self, host: str) -> str:
        cell_uuid = self._cell_of_host.get(host)
        if cell_uuid is None:
            with errors.unavailable(f'read the host mapping of {host}'):
                found = objects.HostMapping.get_by_host(
                    nova.context.get_admin_context(), host)
            cell_uuid = found.cell_mapping.uuid
            self._cell_of_host[host] = cell_uuid
        return cell_uuid


def reading(cctxt):
    """Return a transaction for reads of a cell, as a context manager."""
    return main_db.get_context_manager(cctxt).reader.using(cctxt)


def writing(cctxt):
    """Return a transaction for writes to a cell, as a context manager."""
    return main_db.get_context_manager(cctxt).writer.using(cctxt)


def reading_api(context):
    """Return a transaction for reads of the API database."""
    return api_db.context_manager.reader.using(context)
