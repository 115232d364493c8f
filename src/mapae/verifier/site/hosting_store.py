"""Which parties applied to be asked for here. Keeps: hosted_party."""

from __future__ import annotations

from datetime import datetime

from mapae.db import Db


async def add(db: Db, party: str, now: datetime) -> None:
    await db.run(
        "INSERT INTO hosted_party (party, made_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", party, int(now.timestamp())
    )


async def all(db: Db) -> list[str]:
    return [row["party"] for row in await db.all("SELECT party FROM hosted_party ORDER BY party")]
