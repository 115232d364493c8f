"""Each write of the wallet provider failed, and failed but was kept: asking again is always enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mapae.audit import first_broken_link
from mapae.db import Body, Db
from mapae.keys import Signer
from mapae.wallet_provider.devices import WalletProvider
from mapae.wallet_provider.store import DeviceState


class PowerCut(Exception):
    """The database did not answer."""


class Failing:
    """A database whose next write fails: before it happened, or after it was kept."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self.next: str | None = None

    async def write(self, body: Body[Any]) -> Any:
        fault, self.next = self.next, None
        if fault == "lost":
            raise PowerCut
        result = await self._db.write(body)
        if fault == "kept":
            raise PowerCut
        return result

    async def all(self, sql: str, *args: Any) -> Any:
        return await self._db.all(sql, *args)

    async def one(self, sql: str, *args: Any) -> Any:
        return await self._db.one(sql, *args)


@pytest.fixture
async def faulty(house: Any) -> Any:
    """The house again, with a provider on a database that can fail."""
    db = Failing(house.db)
    whole = house.provider
    await whole.prune()
    house.provider = WalletProvider(
        db, house.clock, whole._dice, urls=whole.urls, attester=whole._attester, identity_keys=house.registers.key
    )
    house.provider._pruned = int(house.clock.now().timestamp())  # else the next write is the housekeeping
    house.faults = db
    return house


async def rows(house: Any) -> list[tuple[str, str, str]]:
    found = await house.db.all("SELECT person, state, reason FROM device ORDER BY registered, state")
    return [(row["person"], row["state"], row["reason"]) for row in found]


async def twice(house: Any, fault: str, act: Callable[[], Awaitable[Any]]) -> Any:
    house.faults.next = fault
    with pytest.raises(PowerCut):
        await act()
    result = await act()
    assert await first_broken_link(house.db) is None
    return result


faults = pytest.mark.parametrize("fault", ["lost", "kept"])


@faults
async def test_registering(faulty: Any, fault: str) -> None:
    phone, assertion = faulty.phone(), faulty.registers.assertion("person-1")
    proof = phone.proof(assertion)
    device = await twice(faulty, fault, lambda: faulty.provider.register(assertion, proof))
    assert device.state is DeviceState.ACTIVE
    assert await rows(faulty) == [("person-1", "active", "")]


@faults
async def test_attesting(faulty: Any, fault: str) -> None:
    """The request is signed anew, as a phone does; the client key is the same."""
    phone, client = faulty.phone(), Signer.ephemeral()
    await faulty.register(phone, "person-1")
    await twice(faulty, fault, lambda: faulty.provider.attest(phone.request(), client.jwk))
    await twice(faulty, fault, lambda: faulty.provider.attest_keys(phone.request(), [client.jwk], None))
    assert (await faulty.provider.standing(client.kid)).person == "person-1"
    counted = await faulty.db.one("SELECT count(*) AS n FROM attested_client")
    assert counted["n"] == 1


@faults
async def test_suspending_and_releasing(faulty: Any, fault: str) -> None:
    await faulty.register(faulty.phone(), "person-1")
    await twice(faulty, fault, lambda: faulty.provider.suspend("person-1", "lost", "issuer"))
    assert await rows(faulty) == [("person-1", "suspended", "lost")]
    await twice(faulty, fault, lambda: faulty.provider.release("person-1", "officer-7"))
    assert await rows(faulty) == [("person-1", "active", "")]
    counted = await faulty.db.one("SELECT count(*) AS n FROM audit_event WHERE action IN ('suspended', 'released')")
    assert counted["n"] == 2


@faults
async def test_moving(faulty: Any, fault: str) -> None:
    old = await faulty.register(faulty.phone(), "person-1")
    new = await faulty.register(faulty.phone(), "person-1")
    await twice(faulty, fault, lambda: faulty.provider.move("person-1", new.device_id, "officer-7", old.device_id))
    assert sorted(await rows(faulty)) == [("person-1", "active", ""), ("person-1", "ended", "moved")]


@faults
async def test_ending(faulty: Any, fault: str) -> None:
    phone = faulty.phone()
    await faulty.register(phone, "person-1")
    await twice(faulty, fault, lambda: faulty.provider.give_up(phone.request()))
    assert await rows(faulty) == [("person-1", "ended", "given_up")]
    await faulty.register(faulty.phone(), "person-2")
    await twice(faulty, fault, lambda: faulty.provider.end("person-2", "deceased", "issuer"))
    assert ("person-2", "ended", "deceased") in await rows(faulty)
    assert [number for number, _ in await faulty.provider.ended(0)] == [1, 2]


@faults
async def test_forgetting(faulty: Any, fault: str) -> None:
    await faulty.register(faulty.phone(), "person-1")
    faulty.clock.advance(days=1)
    await twice(faulty, fault, faulty.provider.prune)
    counted = await faulty.db.one("SELECT count(*) AS n FROM spent_assertion")
    assert counted["n"] == 0
