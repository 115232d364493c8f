"""The world of physical cards, on each engine."""

from __future__ import annotations

import pytest

from mapae.db import Db
from unit.issuer.cards.card_world import CardWorld


@pytest.fixture
async def world(issuer_db: Db) -> CardWorld:
    return CardWorld(issuer_db)
