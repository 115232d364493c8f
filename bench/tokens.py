"""One-time tokens: written and consumed exactly once, durably, while 64 requests wait.

The limit is plain sqlite3 in NORMAL mode with autocommit and no event loop: faster, but a power cut may bring the last
consumed codes back to life. Ours is `db.write` in FULL mode, where waiting transactions share one commit. Wall times:
the disk is part of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite

from bench.harness import Effort, Figure, Measured, Rival, rounds_of
from mapae.db import Db, Tx, connect

TASKS = 64
TABLE = "CREATE TABLE token (id TEXT PRIMARY KEY, exp BIGINT NOT NULL)"
FOREVER = 2**40


def figures(effort: Effort) -> list[Figure]:
    rounds = max(2, effort.http_rounds)
    limits, costs, peers = asyncio.run(_rounds(rounds, effort.tokens))
    measured = Measured.of(limits, costs)
    return [
        Figure(
            "storage", "one-time token, durable", measured.ratio, "plain sqlite3, NORMAL, autocommit",
            statistics.median(limits), measured.cost, clock="wall", target=0.5,
            peers=(Rival("aiosqlite, FULL", rounds_of(limits, peers), rounds_of(peers, costs), wanted=5),),
            note=f"written and consumed exactly once: db.write on SQLite, FULL, {TASKS} tasks waiting; "
            f"{1 / measured.cost:,.0f} tokens a second",
        )
    ]  # fmt: skip


async def _rounds(rounds: int, tokens: int) -> tuple[list[float], list[float], list[float]]:
    with TemporaryDirectory(prefix="mapae-bench-") as folder:
        plain = _plain(Path(folder) / "plain.db")
        db = await connect(f"sqlite:///{folder}/ours.db")
        await db.run(TABLE)
        await _ours(db, "warm", TASKS)
        limits, costs, peers = [], [], []
        async with aiosqlite.connect(Path(folder) / "peer.db", isolation_level=None) as peer:
            for words in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", TABLE):
                await peer.execute(words)
            for at in range(rounds):
                limits.append(plain_tokens(plain, f"{at}", tokens))
                costs.append(await _ours(db, f"{at}", tokens))
                peers.append(await peer_tokens(peer, f"{at}", max(tokens // 8, 1)))
        plain.close()
        await db.close()
    return limits, costs, peers


async def peer_tokens(peer: aiosqlite.Connection, prefix: str, tokens: int) -> float:
    """aiosqlite as durable as ours, each statement committed: one connection, as it is used with one file."""
    started = time.perf_counter()

    async def one(id: str) -> int:
        await peer.execute("INSERT INTO token VALUES (?1, ?2)", (id, FOREVER))
        rows = await peer.execute_fetchall("DELETE FROM token WHERE id = ?1 AND exp > ?2 RETURNING id", (id, 0))
        return len(list(rows))

    waiting = iter(range(tokens))

    async def task() -> int:
        return sum([await one(f"{prefix}-{at}") for at in waiting])

    if sum(await asyncio.gather(*(task() for _ in range(TASKS)))) != tokens:
        raise AssertionError("a token was lost")
    return (time.perf_counter() - started) / tokens


def _plain(path: Path) -> sqlite3.Connection:
    plain = sqlite3.connect(path, isolation_level=None)
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = NORMAL")
    plain.execute(TABLE)
    return plain


def plain_tokens(plain: sqlite3.Connection, prefix: str, tokens: int) -> float:
    started = time.perf_counter()
    for at in range(tokens):
        id = f"{prefix}-{at}"
        plain.execute("INSERT INTO token VALUES (?1, ?2)", (id, FOREVER))
        consume = "DELETE FROM token WHERE id = ?1 AND exp > ?2 RETURNING id"
        if len(plain.execute(consume, (id, 0)).fetchall()) != 1:
            raise AssertionError("a token was lost")
    return (time.perf_counter() - started) / tokens


async def _ours(db: Db, prefix: str, tokens: int) -> float:
    each = tokens // TASKS
    started = time.perf_counter()
    consumed = await asyncio.gather(*(_task(db, f"{prefix}-{task}", each) for task in range(TASKS)))
    if sum(consumed) != each * TASKS:
        raise AssertionError("a token was lost")
    return (time.perf_counter() - started) / (each * TASKS)


async def _task(db: Db, prefix: str, tokens: int) -> int:
    consumed = 0
    for at in range(tokens):
        id = f"{prefix}-{at}"

        async def put(tx: Tx, id: str = id) -> int:
            return await tx.run("INSERT INTO token VALUES ($1, $2)", id, FOREVER)

        async def take(tx: Tx, id: str = id) -> int:
            return len(await tx.all("DELETE FROM token WHERE id = $1 AND exp > $2 RETURNING id", id, 0))

        await db.write(put)
        consumed += await db.write(take)
    return consumed
