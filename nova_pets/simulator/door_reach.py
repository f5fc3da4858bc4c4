# SPDX-License-Identifier: Apache-2.0
"""What one engine reaches of the false Nova, and what it is told if not."""

import collections.abc
import typing

from nova_pets import exception
from nova_pets.simulator import nova_rows as rows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module


def everything() -> bool:
    return True


class Reach:
    """Each method raises NovaUnavailable where that cannot be reached.

    :param link: whether the engine reaches anything.
    """

    def __init__(self, nova: 'nova_module.Nova',
                 link: collections.abc.Callable[[], bool] = everything):
        self._nova = nova
        self.link = link

    def check_link(self) -> None:
        if not self.link():
            raise exception.NovaUnavailable(
                what='reach Nova', found='no route to its services')

    def cell(self, cell_uuid: str) -> rows.CellDatabase:
        self.check_link()
        if not self._nova.is_cell_up(cell_uuid):
            raise exception.NovaUnavailable(
                what=f'read or write cell {cell_uuid}',
                found='its database is away')
        return self._nova.cells[cell_uuid]

    def api(self) -> None:
        self.check_link()
        if not self._nova.world.is_api_db_up:
            raise exception.NovaUnavailable(
                what='read the API database', found='it is away')

    def placement(self) -> None:
        self.check_link()
        if not self._nova.world.is_placement_up:
            raise exception.NovaUnavailable(
                what='ask placement', found='it does not answer')
