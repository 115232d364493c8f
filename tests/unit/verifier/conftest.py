"""A shop with tills, on each database engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mapae.clock import MovableClock
from mapae.db import connect, migrate
from unit.verifier.till import Shop, opened
from unit.verifier.world import NOW


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    db = await connect(database_url.replace("{role}", "verifier"))
    await migrate(db, "verifier")
    async with opened(db, MovableClock(NOW)) as shop:
        yield shop
    await db.close()
