"""A shop with tills, on each database engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mapae.clock import MovableClock
from mapae.db import Db
from unit.verifier.shop import Shop, opened
from unit.verifier.world import NOW


@pytest.fixture
async def shop(migrated: Callable[[str], Awaitable[Db]]) -> AsyncIterator[Shop]:
    async with opened(await migrated("verifier"), MovableClock(NOW)) as shop:
        yield shop
