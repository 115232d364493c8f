"""The issuer's database, migrated, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mapae.db import Db, connect, migrate


@pytest.fixture
async def issuer_db(database_url: str) -> AsyncIterator[Db]:
    opened = await connect(database_url.replace("{role}", "issuer"))
    await migrate(opened, "issuer")
    yield opened
    await opened.close()
