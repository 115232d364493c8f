"""Whatever knocks at the wallet provider, no answer is a 500; and whatever the order of events, one phone a person."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from mapae.audit import first_broken_link
from mapae.db import connect
from mapae.errors import Code, Refused
from unit.wallet_provider.conftest import House, open_house

PATHS = ("devices", "devices/me", "devices/me/end", "attestations", "key-attestations")
PEERS = ("standing", "active", "suspend", "release", "move", "end", "ended")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
named = st.dictionaries(
    st.sampled_from([
        "assertion", "proof", "platform", "client_jwk", "keys", "nonce", "person", "jkt", "reason", "actor",
        "device_id", "old", "since", "limit",
    ]), values, max_size=4,
)  # fmt: skip


def in_a_house(story: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            db = await connect(f"sqlite:///{folder}/db")
            async with open_house(db, Path(folder)) as house:
                await story(house)
            await db.close()

    asyncio.run(run())


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(PATHS), named | values), min_size=1, max_size=8), st.binary(max_size=40))
def test_no_body_makes_a_phones_door_fail(bodies: list[tuple[str, Any]], noise: bytes) -> None:
    async def story(house: House) -> None:
        phone = house.phone()
        await house.register(phone, "person-1")
        for path, value in bodies:
            url = f"/wallet-provider/{path}"
            answer = await house.send(phone, url, value)
            assert answer.status_code < 500, (path, value, answer.text)
            answer = await house.http.post(url, content=noise, headers={"Content-Type": "application/json"})
            assert answer.status_code < 500
            header = noise.decode("latin-1").replace("\r", "").replace("\n", "")
            with suppress(httpx.LocalProtocolError):
                answer = await house.http.get(url, headers={"Mapae-Device": header.encode("latin-1")})
                assert answer.status_code < 500

    in_a_house(story)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(PEERS), named), min_size=1, max_size=8))
def test_no_message_makes_a_peers_door_fail(messages: list[tuple[str, dict[str, Any]]]) -> None:
    async def story(house: House) -> None:
        await house.register(house.phone(), "person-1")
        for path, message in messages:
            try:
                await house.issuer.call("wallet_provider", f"/wallet-provider/peer/{path}", message)
            except Refused as refused:  # a door that fails is unreadable to its peer
                assert refused.code is not Code.UNAVAILABLE, (path, message)

    in_a_house(story)


events = st.lists(
    st.tuples(
        st.sampled_from(["register", "again", "suspend", "release", "move", "give_up", "end"]),
        st.sampled_from(["person-1", "person-2"]),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40)
@given(events, st.booleans())
def test_any_order_of_events_leaves_one_live_phone_a_person(story: list[tuple[str, str, int]], at_once: bool) -> None:
    async def play(house: House) -> None:
        phones = {person: [house.phone() for _ in range(6)] for person in ("person-1", "person-2")}

        async def act(what: str, person: str, which: int) -> None:
            phone = phones[person][which]
            device = await house.db.one("SELECT device_id FROM device WHERE jkt = $1", phone.signer.kid)
            with suppress(Refused):
                match what:
                    case "register" | "again":
                        await house.register(phone, person)
                    case "suspend":
                        await house.provider.suspend(person, "lost", "issuer")
                    case "release":
                        await house.provider.release(person, "issuer")
                    case "move":
                        await house.provider.move(person, device["device_id"] if device else "nothing", "issuer")
                    case "give_up":
                        await house.provider.give_up(phone.request())
                    case "end":
                        await house.provider.end(person, "deceased", "issuer")

        if at_once:
            await asyncio.gather(*(act(*event) for event in story))
        else:
            for event in story:
                await act(*event)
        rows = await house.db.all(
            "SELECT person, count(*) AS n FROM device WHERE state IN ('active', 'suspended') GROUP BY person"
        )
        assert all(row["n"] == 1 for row in rows)
        assert await first_broken_link(house.db) is None

    in_a_house(play)
