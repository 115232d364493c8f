"""What a till keeps in a file of its own: codes until they are over, and how often which question ended how.

    code_seen     nonce, until                      gone when the code is over; random, of nobody
    code_floor    until                             how far that went: `spent.py` says why
    check_counted day, purpose, outcome, count      and nothing else: no time of day, no order, no card

A counter that goes up by one a visit says in which order visits came only to whoever reads it between two of them.

Promises: of all processes that share the file one accepts a code; a count is kept or not kept, never half. Trusts: the
file system's locks. Keeps: the file. Refuses: PRESENTATION_SPENT, PRESENTATION_STALE, a file it cannot use.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.verifier.checking.spent import again, forgotten

PATIENCE: Final = 5.0  # seconds another process may take
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS code_seen (nonce BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS code_floor (one INTEGER PRIMARY KEY CHECK (one = 1), until INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS check_counted (day TEXT, purpose TEXT, outcome TEXT, count INTEGER NOT NULL,"
    " PRIMARY KEY (day, purpose, outcome)) WITHOUT ROWID",
)


class Count(msgspec.Struct, frozen=True):
    day: str
    purpose: str
    outcome: str
    count: int


class Notebook:
    """A `Spent`, and the counter. For any number of threads: they take turns at the one connection."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._turn = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            for table in _TABLES:
                self._connection.execute(table)
        except sqlite3.Error as error:
            raise Refused(Code.BAD_CONFIG, f"{path} cannot be used as a checker's memory: {error}") from None

    def close(self) -> None:
        self._connection.close()

    def take(self, nonce: bytes, until: int, now: int) -> None:
        """As `spent.Spent`."""
        with self._writing() as tx:
            if tx.execute("SELECT 1 FROM code_seen WHERE nonce = ?", (nonce,)).fetchone():
                raise again()
            floor = tx.execute("SELECT until FROM code_floor").fetchone()
            if floor is not None and until <= floor[0]:
                raise forgotten()
            over = tx.execute("SELECT max(until) FROM code_seen WHERE until < ?", (now,)).fetchone()[0]
            if over is not None:
                tx.execute("DELETE FROM code_seen WHERE until < ?", (now,))
                tx.execute(
                    "INSERT INTO code_floor VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET until = max(until, ?)",
                    (over, over),
                )
            tx.execute("INSERT INTO code_seen VALUES (?, ?)", (nonce, until))

    def count(self, day: date, purpose: str, outcome: str) -> None:
        with self._writing() as tx:
            tx.execute(
                "INSERT INTO check_counted VALUES (?, ?, ?, 1)"
                " ON CONFLICT (day, purpose, outcome) DO UPDATE SET count = count + 1",
                (day.isoformat(), purpose, outcome),
            )

    def counts(self) -> list[Count]:
        with self._turn:
            rows = self._connection.execute(
                "SELECT day, purpose, outcome, count FROM check_counted ORDER BY day, purpose, outcome"
            )
            return [Count(*row) for row in rows]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One at a time, from the first look to the end. What cannot be kept has not happened: a code is then refused,
        and where it was kept after all it is refused the next time as well."""
        with self._turn:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise Refused(Code.UNAVAILABLE, f"the checker's memory cannot be written: {error}") from None
