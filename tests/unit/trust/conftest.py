"""The trust role's database, migrated, on each engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from mapae.db import Db


@pytest.fixture
async def db(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("trust")
