"""The tables of published packs: heads, and the blobs they share.

Promises: a pack is there whole or not at all; the newest is never deleted; a blob goes when the last pack that has it
does. Trusts: its caller that bodies fit their digests. Keeps: the newest `RECENT` packs, one an hour for a day and one
a day for `DAYS` days, so that a checker that comes back after a week still gets a delta. Refuses: two packs of one
number (Duplicate).
"""

from __future__ import annotations

from typing import Final

from mapae.db import Db, Tx
from mapae.trust.pack import format
from mapae.trust.pack.format import Manifest, Pack

RECENT: Final = 12
DAYS: Final = 7
HOUR: Final = 3600
DAY: Final = 86_400


async def add(db: Db, pack: Pack) -> None:
    """One transaction. Raises Duplicate when another process has published this number."""

    async def body(tx: Tx) -> None:
        await tx.serial("pack")
        manifest = pack.manifest
        await tx.run(
            "INSERT INTO pack (number, id, made, head) VALUES ($1, $2, $3, $4)",
            manifest.number, pack.id, manifest.made, pack.head,
        )  # fmt: skip
        rows = [(place, coding, raw) for place, (coding, raw) in pack.bodies.items()]
        await tx.many("INSERT INTO pack_blob (digest, coding, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", rows)
        await _prune(tx, manifest)

    await db.write(body)


async def newest(db: Db) -> Pack | None:
    row = await db.one("SELECT head FROM pack ORDER BY number DESC LIMIT 1")
    return await _whole(db, bytes(row["head"])) if row is not None else None


async def by_id(db: Db, id: bytes) -> Pack | None:
    row = await db.one("SELECT head FROM pack WHERE id = $1", id)
    return await _whole(db, bytes(row["head"])) if row is not None else None


async def newest_number(db: Db) -> int:
    row = await db.one("SELECT MAX(number) AS number FROM pack")
    return 0 if row is None or row["number"] is None else int(row["number"])


async def _whole(db: Db, head: bytes) -> Pack:
    manifest = format.manifest_of(head)
    bodies: dict[bytes, tuple[int, bytes]] = {}
    for row in await db.all("SELECT digest, coding, body FROM pack_blob"):
        place = bytes(row["digest"])
        if place in manifest.blobs:
            bodies[place] = int(row["coding"]), bytes(row["body"])
    return Pack(manifest, head, bodies, manifest.id)


async def _prune(tx: Tx, newest: Manifest) -> None:
    rows = await tx.all("SELECT number, made, head FROM pack ORDER BY number DESC")
    kept, taken = [], set[tuple[int, int]]()
    for at, row in enumerate(rows):
        age = newest.made - row["made"]
        steps = [(step, row["made"] // step) for step, within in ((HOUR, DAY), (DAY, DAYS * DAY)) if age < within]
        if at < RECENT or not taken.issuperset(steps):
            kept.append(row)
        taken.update(steps)
    if len(kept) == len(rows):
        return
    alive = {row["number"] for row in kept}
    for row in rows:
        if row["number"] not in alive:
            await tx.run("DELETE FROM pack WHERE number = $1", row["number"])
    used = {place for row in kept for place in format.manifest_of(bytes(row["head"])).blobs}
    for row in await tx.all("SELECT digest FROM pack_blob"):
        if bytes(row["digest"]) not in used:
            await tx.run("DELETE FROM pack_blob WHERE digest = $1", bytes(row["digest"]))
