"""Path B with the card in a PC/SC reader of this machine: helper, reader, chip and issuer, each by its own protocol."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from mapae.db import Db
from mapae.issuer.ic_card.pcsc import Pcsc
from mapae.issuer.ic_card.vpcd import Vpcd
from tapped import Plastic, RealHall, TapPhone, helped
from unit.issuer.tap.test_sessions import fetched

from .test_card_in_a_reader import readers, slot

__all__ = ["readers", "slot"]
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


async def test_a_card_in_a_real_reader_is_tapped_for_a_wallet(
    migrated: Callable[[str], Awaitable[Db]], readers: Pcsc, slot: int
) -> None:
    hall = RealHall(await migrated("issuer"))
    plastic, phone = Plastic.made().entered(hall), TapPhone(hall)
    await phone.begin()
    inserted = Vpcd(plastic.card().card, slot)
    serving = threading.Thread(target=inserted.serve)
    serving.start()
    try:
        virtual = [name for name in readers.readers() if "Virtual PCD" in name]
        name = await asyncio.to_thread(readers.wait_for_card, 5, virtual)
        assert name is not None
        with closing(readers.connect(name)) as reader:
            assert await helped(hall, phone, reader) > 10
    finally:
        inserted.take_out()
        serving.join()
    await fetched(phone)
    assert (await phone.state())["state"] == "done"
