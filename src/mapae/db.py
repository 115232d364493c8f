"""One way to talk to a database, on two engines.

Promises: `write(body)` runs one transaction to the end or not at all, and returns only when it is durable (SQLite:
WAL with synchronous=FULL behind one writer that commits waiting bodies together; PostgreSQL: READ COMMITTED). The
dialect is what both engines share: placeholders `$1 $2`, types BIGINT, TEXT and BYTEA, times as epoch seconds.
Trusts: its callers to be right through unique indexes and compare-and-swap (`UPDATE .. WHERE state = ..`, then look
at the count), never through read-then-write. Keeps: connections, one writer thread a SQLite file. Refuses: a
transaction body that awaits anything but its own `tx`; a migration file that changed after it was applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import queue
import re
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload
from urllib.parse import parse_qs, urlsplit

import asyncpg

from .errors import Code, Refused

T = TypeVar("T")
Value = str | int | bytes | None

BATCH = 64  # bodies committed together at the most
_PLACEHOLDER = re.compile(r"\$(\d+)")
_WORD = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@overload
def epoch(moment: datetime) -> int: ...
@overload
def epoch(moment: None) -> None: ...
@overload
def epoch(moment: datetime | None) -> int | None: ...
def epoch(moment: datetime | None) -> int | None:
    """As a column has it."""
    return None if moment is None else int(moment.timestamp())


@overload
def moment(epoch: int) -> datetime: ...
@overload
def moment(epoch: None) -> None: ...
@overload
def moment(epoch: int | None) -> datetime | None: ...
def moment(epoch: int | None) -> datetime | None:
    """As a column had it."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


class Duplicate(Exception):
    """A unique index said no. It ends the transaction; where a conflict is expected use ON CONFLICT instead."""


class Tx(ABC):
    """One transaction in progress. The only thing a transaction body may await."""

    @abstractmethod
    async def all(self, sql: str, *args: Value) -> list[Row]: ...

    @abstractmethod
    async def one(self, sql: str, *args: Value) -> Row | None: ...

    @abstractmethod
    async def run(self, sql: str, *args: Value) -> int:
        """Run a statement; how many rows it touched."""

    @abstractmethod
    async def many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None: ...

    @abstractmethod
    async def serial(self, name: str) -> None:
        """From here to the end, nobody else is between `serial(name)` and their end. For hash chains."""


Body = Callable[[Tx], Coroutine[Any, Any, T]]


class Db(ABC):
    """One role's database."""

    engine: str

    @abstractmethod
    async def write(self, body: Body[T]) -> T:
        """Run `body(tx)` in one durable transaction and return its result; it may run again after a deadlock.

        Raises Duplicate when a unique index refused, and whatever the body raises (then nothing is kept).
        """

    @abstractmethod
    async def all(self, sql: str, *args: Value) -> list[Row]: ...

    @abstractmethod
    async def one(self, sql: str, *args: Value) -> Row | None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def run(self, sql: str, *args: Value) -> int:
        """One statement as its own transaction."""
        return await self.write(lambda tx: tx.run(sql, *args))


# --- SQLite -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def _numbered(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", sql)


class _SqliteTx(Tx):
    """Runs on the writer's thread; its methods never suspend, so the writer can drive a body by hand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._failed = False

    def _execute(self, sql: str, args: Sequence[Value]) -> sqlite3.Cursor:
        if self._failed:  # PostgreSQL would say the same
            raise RuntimeError("this transaction has already failed; let the exception end it")
        try:
            return self._connection.execute(_numbered(sql), args)
        except sqlite3.IntegrityError as error:
            raise self._no(error) from None

    def _no(self, error: sqlite3.IntegrityError) -> Exception:
        self._failed = True
        return Duplicate(str(error)) if "UNIQUE" in str(error) else error

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return self._execute(sql, args).fetchall()

    async def one(self, sql: str, *args: Value) -> Row | None:
        rows = self._execute(sql, args).fetchall()  # to the end: a RETURNING statement is only then complete
        return rows[0] if rows else None

    async def run(self, sql: str, *args: Value) -> int:
        return self._execute(sql, args).rowcount

    async def many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        if self._failed:
            raise RuntimeError("this transaction has already failed; let the exception end it")
        try:
            self._connection.executemany(_numbered(sql), rows)
        except sqlite3.IntegrityError as error:
            raise self._no(error) from None

    async def serial(self, name: str) -> None:
        """Nothing to do: there is one writer."""


def _drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a transaction body awaited something other than its tx")


_Job = tuple[Body[Any], asyncio.Future[Any], asyncio.AbstractEventLoop]


def _settle(done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in done:
        if future.cancelled():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Sqlite(Db):
    engine = "sqlite"

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._writer = self._open()
        self._reader = self._open()
        self._reader.execute("PRAGMA query_only = ON")
        self._thread = threading.Thread(target=self._write_for_ever, name=f"db-writer {Path(path).stem}", daemon=True)
        self._closed = False
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=512
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an acknowledged one-time code must not come back to life
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is not to stand in the file
        return connection

    async def write(self, body: Body[T]) -> T:
        if self._closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        # What this turn of the loop wants written goes to the writer together, at the turn's end: one wake of its
        # thread and one commit for all of it. Handing each over at once would make a commit of nearly each.
        gathered = self._gathered.get(loop)
        if gathered is None:
            gathered = self._gathered[loop] = []
            loop.call_soon(self._hand_over, loop)
        gathered.append((body, future, loop))
        return await future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop, None)
        if gathered:  # else `close` was faster
            self._jobs.put(gathered)

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return self._reader.execute(_numbered(sql), args).fetchall()

    async def one(self, sql: str, *args: Value) -> Row | None:
        row: Row | None = self._reader.execute(_numbered(sql), args).fetchone()
        return row

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for loop in list(self._gathered):
            self._hand_over(loop)
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()

    def _write_for_ever(self) -> None:
        while True:
            jobs = self._jobs.get()
            if jobs is None:
                return
            batch = list(jobs)
            last = False
            while len(batch) < BATCH:
                try:
                    jobs = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if jobs is None:
                    last = True
                    break
                batch += jobs
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[_Job]) -> None:
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            if len(batch) == 1:  # nobody else's work is at stake: the transaction itself is the body's
                outcomes.append((_drive(batch[0][0](_SqliteTx(self._writer))), None))
            else:
                for body, _, _ in batch:
                    outcomes.append(self._one_body(body))
            self._writer.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 must not escape: the writer's thread serves everybody, and they wait
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            outcomes = [(None, error)] * len(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
        for (_, future, loop), (result, failure) in zip(batch, outcomes, strict=True):
            by_loop.setdefault(loop, []).append((future, result, failure))
        for loop, done in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody is waiting any more
                loop.call_soon_threadsafe(_settle, done)

    def _one_body(self, body: Body[Any]) -> tuple[Any, BaseException | None]:
        self._writer.execute("SAVEPOINT body")
        try:
            result = _drive(body(_SqliteTx(self._writer)))
        except BaseException as error:  # noqa: BLE001 must not escape: it belongs to the one caller whose body it was
            self._writer.execute("ROLLBACK TO body")
            self._writer.execute("RELEASE body")
            return None, error
        self._writer.execute("RELEASE body")
        return result, None


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


class _PostgresTx(Tx):
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def all(self, sql: str, *args: Value) -> list[Row]:
        with _duplicates():
            rows: list[Row] = await self._connection.fetch(sql, *args)
            return rows

    async def one(self, sql: str, *args: Value) -> Row | None:
        with _duplicates():
            row: Row | None = await self._connection.fetchrow(sql, *args)
            return row

    async def run(self, sql: str, *args: Value) -> int:
        with _duplicates():
            return _count(await self._connection.execute(sql, *args))

    async def many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        with _duplicates():
            await self._connection.executemany(sql, rows)

    async def serial(self, name: str) -> None:
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        await self._connection.execute("SELECT pg_advisory_xact_lock($1)", key)


@contextlib.contextmanager
def _duplicates() -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Duplicate(str(error)) from None


def _count(status: str) -> int:
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


class Postgres(Db):
    engine = "postgresql"

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def write(self, body: Body[T]) -> T:
        for attempt in range(5):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    return await body(_PostgresTx(connection))
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                if attempt == 4:
                    raise
        raise AssertionError("unreachable")

    async def all(self, sql: str, *args: Value) -> list[Row]:
        rows: list[Row] = await self._pool.fetch(sql, *args)
        return rows

    async def one(self, sql: str, *args: Value) -> Row | None:
        row: Row | None = await self._pool.fetchrow(sql, *args)
        return row

    async def close(self) -> None:
        await self._pool.close()


# --- opening and migrating --------------------------------------------------------------------------------------------


async def connect(url: str) -> Db:
    """Open `sqlite:///path` (a relative or absolute path after it) or `postgresql://...`.

    A `search_path=name` in a PostgreSQL URL names the role's schema, which is made when it is not there.
    Raises Refused(BAD_CONFIG) on another URL.
    """
    if url.startswith("sqlite:///"):
        return Sqlite(url.removeprefix("sqlite:///"))
    if url.startswith(("postgresql://", "postgres://")):
        schemas = parse_qs(urlsplit(url).query).get("search_path", [])
        if not all(_WORD.fullmatch(schema) for schema in schemas):
            raise Refused(Code.BAD_CONFIG, "the search_path of a database URL is one lower-case word")
        db = Postgres(await asyncpg.create_pool(url, min_size=1, max_size=8))
        for schema in schemas:
            await db.write(lambda tx, schema=schema: _alone(tx, f"CREATE SCHEMA IF NOT EXISTS {schema}"))  # type: ignore[misc]
        return db
    raise Refused(Code.BAD_CONFIG, "a database URL starts with sqlite:/// or postgresql://")


def _statements(script: str) -> list[str]:
    found, pending = [], ""
    for line in script.splitlines():
        bare = line.split("--", 1)[0].rstrip()
        if bare:
            pending += bare + "\n"
        if bare.endswith(";"):
            found.append(pending)
            pending = ""
    if pending.strip():
        raise Refused(Code.BAD_CONFIG, "a migration's last statement has no semicolon")
    return found


async def _alone(tx: Tx, statement: str) -> None:
    """PostgreSQL's IF NOT EXISTS fails when two processes that start together both find nothing there."""
    await tx.serial("migrate")
    await tx.run(statement)


async def migrate(db: Db, role: str) -> list[str]:
    """Bring a role's database up to date; the names applied now. Forward only.

    Applies `migrations/common` and then `migrations/<role>` in name order, each file in one transaction. Raises
    Refused(BAD_CONFIG) when an applied file has changed since.
    """
    table = (
        "CREATE TABLE IF NOT EXISTS schema_migration (name TEXT PRIMARY KEY, digest TEXT NOT NULL, at BIGINT NOT NULL)"
    )
    await db.write(lambda tx: _alone(tx, table))
    applied = []
    root = resources.files("mapae") / "migrations"
    for folder in ("common", role):
        files = [file for file in (root / folder).iterdir() if file.name.endswith(".sql")]
        for file in sorted(files, key=lambda file: file.name):
            name, script = f"{folder}/{file.name}", file.read_text(encoding="utf-8")
            if await db.write(lambda tx, name=name, script=script: _apply(tx, name, script)):  # type: ignore[misc]
                applied.append(name)
    return applied


async def _apply(tx: Tx, name: str, script: str) -> bool:
    digest = hashlib.sha256(script.encode()).hexdigest()
    await tx.serial("migrate")
    before = await tx.one("SELECT digest FROM schema_migration WHERE name = $1", name)
    if before is not None:
        if before["digest"] != digest:
            raise Refused(Code.BAD_CONFIG, f"migration {name} was changed after it was applied")
        return False
    for statement in _statements(script):
        await tx.run(statement)
    await tx.run("INSERT INTO schema_migration (name, digest, at) VALUES ($1, $2, 0)", name, digest)
    return True


__all__ = ["Body", "Db", "Duplicate", "Row", "Tx", "connect", "migrate"]
