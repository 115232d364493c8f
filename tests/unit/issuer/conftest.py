"""The issuer's database, migrated, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mapae.db import Db, connect, migrate
from unit.issuer.desk_world import DeskWorld


@pytest.fixture
async def issuer_db(database_url: str) -> AsyncIterator[Db]:
    opened = await connect(database_url.replace("{role}", "issuer"))
    await migrate(opened, "issuer")
    yield opened
    await opened.close()


@pytest.fixture
async def desk_world(issuer_db: Db) -> DeskWorld:
    """Two offices with officers who can sign in, one citizen with card and phone."""
    world = DeskWorld(issuer_db)
    await world.enrol()
    return world
