"""Somebody with a card, for flows that share one town a file."""

from __future__ import annotations

import pytest

from town import Citizen, Town


@pytest.fixture(scope="module")
def holder(shared_town: Town) -> Citizen:
    citizen = shared_town.citizen()
    citizen.obtain()
    return citizen


@pytest.fixture
def jisoo(shared_town: Town, holder: Citizen) -> Citizen:
    """With copies left to show."""
    shared_town.call(holder.wallet.renew_if_needed)
    return holder
