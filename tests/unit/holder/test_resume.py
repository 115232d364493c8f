"""Killed at any line, a wallet finishes what it began: nothing double, nothing lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mapae.errors import Refused
from mapae.holder import MemoryStore
from mapae.verifier.asking.ask import Form
from unit.holder.conftest import MDOC, SD_JWT, Citizen, Country, Killed


def kill_at(country: Country, number: int, after: bool) -> None:
    """The process dies at its `number`-th request: before it leaves, or when the answer would arrive."""
    left = number

    async def watch(request: httpx.Request, send: Any) -> httpx.Response:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise Killed
        answer: httpx.Response = await send(request)
        if left == 0:
            raise Killed
        return answer

    country.line.watch = watch


class DyingStore(MemoryStore):
    """Dies at the n-th save, before or after it is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.kept = False

    def save(self, raw: bytes) -> None:
        self.left -= 1
        if self.left == 0 and not self.kept:
            raise Killed
        super().save(raw)
        if self.left == 0:
            raise Killed


async def restarted(country: Country, citizen: Citizen) -> Citizen:
    """The same phone after a power cut."""
    country.line.watch = None
    return Citizen(country.wallet(citizen.store), citizen.store, citizen.resident, citizen.person)


async def must_be_whole(country: Country, citizen: Citizen) -> None:
    wallet = citizen.wallet
    assert sorted(card.configuration for card in wallet.cards) == [MDOC, SD_JWT]
    for card in wallet.cards:
        assert wallet.copies_left(card) == 10
        assert await wallet.check_status(card) == "valid"
    live = [held.state for held in await country.house.issuer.holdings(citizen.person) if held.state != "ended"]
    assert live == ["valid"]
    for form in (Form.SD_JWT, Form.MDOC):
        qr, id = await country.asks("alcohol_tobacco", form)
        await wallet.present(await wallet.open_request(qr))
        assert (await country.verdict(id)).outcome.value == "accepted"


async def fresh(country: Country, citizen: Citizen, registered: bytes, store: MemoryStore) -> Citizen:
    """The same registered phone before it ever had a card."""
    await country.house.issuer.end(citizen.person, "test", "officer-1")
    store.save(registered)
    return await restarted(country, Citizen(citizen.wallet, store, citizen.resident, citizen.person))


async def requests_of_an_issuance(country: Country) -> int:
    citizen = await country.citizen(1)
    offer = await country.offer(citizen.person)
    country.line.sent.clear()
    await citizen.wallet.receive(offer)
    return len(country.line.sent)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_each_request_of_an_issuance(country: Any, after: bool) -> None:
    total = await requests_of_an_issuance(country)
    assert total > 10
    citizen = await country.citizen(0)
    registered = citizen.store.load()
    for number in range(1, total + 1):
        citizen = await fresh(country, citizen, registered, MemoryStore())
        offer = await country.offer(citizen.person)
        kill_at(country, number, after)
        with pytest.raises(Killed):
            await citizen.wallet.receive(offer)
        again = await restarted(country, citizen)
        await again.wallet.resume()
        if not again.wallet.cards:  # it died before the offer was on disk: the QR is still good
            await again.wallet.receive(offer)
        await must_be_whole(country, again)


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_killed_at_each_save_of_an_issuance(country: Any, kept: bool) -> None:
    """Each write failed, and each write failed but was kept."""
    finished = False
    number = 0
    citizen = await country.citizen(0)
    registered = citizen.store.load()
    while not finished:
        number += 1
        store = DyingStore()
        citizen = await fresh(country, citizen, registered, store)
        offer = await country.offer(citizen.person)
        store.left, store.kept = number, kept
        try:
            await citizen.wallet.receive(offer)
            finished = True
        except Killed:
            pass
        store.left = 0
        again = await restarted(country, citizen)
        await again.wallet.resume()
        if not again.wallet.cards:
            await again.wallet.receive(offer)
        await must_be_whole(country, again)
    assert number > 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_each_request_of_a_renewal(country: Any, after: bool) -> None:
    citizen = await country.carded()
    country.line.sent.clear()
    await citizen.wallet.renew(citizen.wallet.card(SD_JWT))
    total = len(country.line.sent)
    for number in range(1, total + 1):
        kill_at(country, number, after)
        with pytest.raises(Killed):
            await citizen.wallet.renew(citizen.wallet.card(SD_JWT))
        citizen = await restarted(country, citizen)
        await citizen.wallet.resume()
        for card in citizen.wallet.cards:
            assert citizen.wallet.copies_left(card) == 10
            assert await citizen.wallet.check_status(card) == "valid"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_while_registering(country: Any, after: bool) -> None:
    country.line.sent.clear()
    await country.citizen(1)
    total = len([line for line in country.line.sent if "carrier" not in line])
    assert total == 3
    for number in range(3, total + 1):  # before the assertion is there, the person simply starts again
        store = MemoryStore()
        wallet = country.wallet(store)
        country.clock.advance(minutes=2)

        async def read_code(check: dict[str, Any], number: int = number) -> str:
            code: str = await country.read_code(check)
            kill_at(country, number - 1, after)
            return code

        with pytest.raises(Killed):
            await wallet.identify(country.typed(country.residents[0]), read_code)
        country.line.watch = None
        again = country.wallet(store)
        await again.resume()
        assert (await again.standing()).state == "active"
        assert (
            len(
                await country.house.foundation.databases["wallet_provider"].all(
                    "SELECT * FROM device WHERE state <> 'ended'"
                )
            )
            == 2
        )


async def test_an_answer_that_may_have_arrived_is_never_sent_again(country: Any) -> None:
    citizen = await country.carded()
    qr, id = await country.asks("alcohol_tobacco", Form.SD_JWT)
    asked = await citizen.wallet.open_request(qr)
    kill_at(country, 1, after=True)
    with pytest.raises(Killed):
        await citizen.wallet.present(asked)
    again = await restarted(country, citizen)
    await again.wallet.resume()
    assert [line.outcome for line in again.wallet.history] == ["unknown"]
    assert again.wallet.copies_left(again.wallet.card(SD_JWT)) == 9
    assert (await country.verdict(id)).outcome.value == "accepted"


async def test_a_network_that_comes_back_loses_nothing(country: Any) -> None:
    """Every request fails once; asking again is all it takes."""
    citizen = await country.citizen()
    offer = await country.offer(citizen.person)
    failed: set[str] = set()

    async def flaky(request: httpx.Request, send: Any) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        if name not in failed:
            failed.add(name)
            raise httpx.ConnectError("no network")
        answer: httpx.Response = await send(request)
        return answer

    country.line.watch = flaky
    for _ in range(30):
        try:
            await citizen.wallet.receive(offer)
            break
        except Refused:
            continue
    await citizen.wallet.resume()
    country.line.watch = None
    await must_be_whole(country, citizen)


async def test_a_dead_order_does_not_hold_up_the_others(country: Any) -> None:
    """One QR was scanned and then cancelled at the counter, the next one was interrupted."""
    citizen = await country.citizen()
    for number in (8, 12):
        offer = await country.offer(citizen.person)
        kill_at(country, number, after=False)
        with pytest.raises(Killed):
            await citizen.wallet.receive(offer)
        citizen = await restarted(country, citizen)
        if number == 8:
            await country.house.issuer.cancel_offer("case-1")
    with pytest.raises(Refused):
        await citizen.wallet.resume()
    await must_be_whole(country, citizen)
    await citizen.wallet.resume()
