# SPDX-License-Identifier: Apache-2.0
"""Tables of a false database: frozen rows, atomic writes, a journal.

Holds no rule of Nova or of the product. The journal lets a failover lose the
last commits: everything that was committed after a moment is undone.
"""

import collections.abc
import contextlib
import dataclasses
import typing

Row = typing.Any
Key = collections.abc.Hashable
Watcher = collections.abc.Callable[[Key, Row | None, Row | None], None]

MISSING = object()


@dataclasses.dataclass(slots=True)
class _Transaction:
    writes: list[tuple[str, Key, Row, int]] = dataclasses.field(
        default_factory=list)
    """(table, key, the row before or MISSING, its place then)"""
    counters: dict[str, int] = dataclasses.field(default_factory=dict)
    """As they were before it."""
    at: float = 0.0


class Tables:
    """Rows by table and key; a row is never changed in place.

    ``put`` and ``drop`` are only allowed within ``commit()``; an exception
    in it undoes what it wrote. Reads need no transaction: the simulator runs
    one thing at a time, and no task gives its turn away within a commit.

    :param now: returns the virtual time in seconds, for the journal.
    """

    def __init__(self, now: collections.abc.Callable[[], float]):
        self.now = now
        self._rows: dict[str, dict[Key, Row]] = {}
        self._places: dict[str, dict[Key, int]] = {}
        self._place = 0
        self._journal: list[_Transaction] = []
        self._open: _Transaction | None = None
        self._counters: dict[str, int] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        self.commits = 0
        """Transactions that wrote something."""
        self.on_commit: collections.abc.Callable[
            [list[tuple[str, Key, Row, int]]], None] | None = None
        """Told (table, key, row before or MISSING, its place) of each write
        of a transaction, right after it."""

    def table(self, name: str) -> dict[typing.Any, Row]:
        """Return the rows of a table, in the order of their insertion; to
        be read only. It is the same dict for ever."""
        return self._rows.setdefault(name, {})

    def get(self, table: str, key: Key) -> Row | None:
        return self.table(table).get(key)

    def next_id(self, table: str) -> int:
        """Return a number never used before in the table, unless a failover
        took numbers back (``lose_since``)."""
        last = self._counters.get(table, 0)
        if self._open is not None:
            self._open.counters.setdefault(table, last)
        self._counters[table] = last + 1
        return last + 1

    def watch(self, table: str, watcher: Watcher) -> None:
        """Have ``watcher(key, old, new)`` called after each change of a row,
        those that undo one included; None: no such row.

        What is derived from rows stays right so, whatever is rolled back or
        lost.
        """
        self._watchers.setdefault(table, []).append(watcher)

    @contextlib.contextmanager
    def commit(self) -> collections.abc.Iterator[None]:
        """One transaction; a nested one joins the outer one, and undoes its
        own part if it fails."""
        outer = self._open
        if outer is None:
            self._open = _Transaction()
        mine = typing.cast(_Transaction, self._open)
        begun = len(mine.writes)
        try:
            yield
            if outer is None and mine.writes:
                mine.at = self.now()
                self._journal.append(mine)
                self.commits += 1
                if self.on_commit is not None:
                    self.on_commit(mine.writes)
        except BaseException:
            self._undo(mine.writes[begun:])
            del mine.writes[begun:]
            raise
        finally:
            self._open = outer

    def put(self, table: str, key: Key, row: Row) -> None:
        old = self._remember(table, key)
        if old is MISSING:
            self._place += 1
            self._places.setdefault(table, {})[key] = self._place
        self._set(table, key, old, row)

    def drop(self, table: str, key: Key) -> None:
        """:raises KeyError: there is no such row."""
        if key not in self.table(table):
            raise KeyError(f'{table} {key}')
        self._set(table, key, self._remember(table, key), MISSING)

    def lose_since(self, moment: float, with_counters: bool = False) -> int:
        """Undo all that was committed after ``moment``; return how many
        transactions were lost.

        :param with_counters: ids of lost rows are given to others later, as
            by a replica that counts on from the highest that it knows.
        """
        lost = 0
        while self._journal and self._journal[-1].at > moment:
            last = self._journal.pop()
            self._undo(last.writes)
            if with_counters:
                self._counters |= last.counters
            lost += 1
        return lost

    def touched_since(self, moment: float) -> set[str]:
        """Return the tables that were written after ``moment``."""
        return {write[0] for entry in self._journal if entry.at > moment
                for write in entry.writes}

    def forget_before(self, moment: float) -> None:
        """Drop journal entries that no failover will reach."""
        self._journal = [entry for entry in self._journal
                         if entry.at > moment]

    def _remember(self, table: str, key: Key) -> Row:
        """Note how the row is now, to undo what comes; return it."""
        if self._open is None:
            raise RuntimeError(f'a write of {table} outside a transaction')
        old = self.table(table).get(key, MISSING)
        self._open.writes.append((
            table, key, old, self._places.get(table, {}).get(key, 0)))
        return old

    def _set(self, table: str, key: Key, old: Row, new: Row) -> None:
        if new is MISSING:
            del self.table(table)[key]
        else:
            self.table(table)[key] = new
        for watcher in self._watchers.get(table, ()):
            watcher(key, None if old is MISSING else old,
                    None if new is MISSING else new)

    def _undo(self, writes: list[tuple[str, Key, Row, int]]) -> None:
        for table, key, old, place in reversed(writes):
            rows = self.table(table)
            present = rows.get(key, MISSING)
            self._set(table, key, present, old)
            if present is MISSING:
                self._put_back(table, key, place)

    def _put_back(self, table: str, key: Key, place: int) -> None:
        """Have a row that was dropped where it was, in the order."""
        rows, places = self.table(table), self._places[table]
        places[key] = place
        in_order = sorted(rows.items(), key=lambda pair: places[pair[0]])
        rows.clear()
        rows.update(in_order)
