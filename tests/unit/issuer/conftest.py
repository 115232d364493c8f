"""The issuer's database, migrated, on each engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from mapae.db import Db
from unit.issuer.desk_world import DeskWorld


@pytest.fixture
async def issuer_db(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("issuer")


@pytest.fixture
async def desk_world(issuer_db: Db) -> DeskWorld:
    """Two offices with officers who can sign in, one citizen with card and phone."""
    world = DeskWorld(issuer_db)
    await world.enrol()
    return world
