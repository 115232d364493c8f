"""The relay: one message, one reader, once; and what it does not let itself be used for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.formats.meet import LIFE, TOKEN, channel_of
from mapae.ui.site import application
from mapae.verifier.relay import mailboxes as relays
from mapae.verifier.relay.mailbox_web import routes
from mapae.verifier.relay.mailboxes import LIMIT, NEAR, Relay
from unit.verifier.world import NOW

READER, OTHER = b"r" * TOKEN, b"o" * TOKEN
BOX = channel_of(READER)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW)


@pytest.fixture
async def relay(migrated: Callable[[str], Awaitable[Db]], clock: MovableClock) -> Relay:
    return Relay(await migrated("verifier"), clock)


@pytest.fixture
def lines(tmp_path: object, clock: MovableClock) -> dict[str, int]:
    return {}


def site(relay: Relay, clock: MovableClock, *, rates: bool = False, address: str = "198.51.100.7") -> httpx.AsyncClient:
    app = application(routes(relay), clock=clock, rates=rates)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=(address, 1)), base_url="http://relay.test")


async def refused(work: Awaitable[object]) -> Code:
    with pytest.raises(Refused) as raised:
        await work
    return raised.value.code


async def test_a_message_is_read_once_and_is_gone(relay: Relay) -> None:
    await relay.open(BOX, READER)
    await relay.put(BOX, b"sealed")
    assert await relay.take(BOX, READER) == b"sealed"
    assert await refused(relay.take(BOX, READER)) is Code.SESSION_SPENT
    row = await relay._db.one("SELECT body, state FROM relay_box")
    assert row is not None and (row["body"], row["state"]) == (None, "spent")


async def test_the_second_who_writes_hears_that_it_is_used(relay: Relay) -> None:
    """Two shops read the same code: the first wins, also once the phone has read it."""
    await relay.open(BOX, READER)
    won = await asyncio.gather(relay.put(BOX, b"one"), relay.put(BOX, b"two"), return_exceptions=True)
    assert [one for one in won if one is None] == [None]
    assert [one.code for one in won if isinstance(one, Refused)] == [Code.SESSION_SPENT]
    assert await relay.take(BOX, READER) in (b"one", b"two")
    assert await refused(relay.put(BOX, b"three")) is Code.SESSION_SPENT
    assert await refused(relay.open(BOX, READER)) is Code.SESSION_SPENT


async def test_only_the_reader_opens_reads_and_closes(relay: Relay) -> None:
    """Whoever photographed the code knows the mailbox's name and nothing more."""
    for work in (relay.open(BOX, OTHER), relay.take(BOX, OTHER), relay.close(BOX, OTHER), relay.open(BOX, BOX)):
        assert await refused(work) is Code.NOT_ALLOWED


async def test_nobody_fills_a_mailbox_that_nobody_opened(relay: Relay) -> None:
    assert await refused(relay.put(BOX, b"sealed")) is Code.NOT_FOUND
    assert await refused(relay.take(BOX, READER)) is Code.NOT_FOUND


async def test_what_nobody_reads_is_gone_after_two_minutes(relay: Relay, clock: MovableClock) -> None:
    await relay.open(BOX, READER)
    await relay.put(BOX, b"sealed")
    clock.advance(LIFE)
    assert await refused(relay.take(BOX, READER)) is Code.NOT_FOUND
    await relay.sweep()
    assert await relay._db.all("SELECT channel FROM relay_box") == []


async def test_a_closed_mailbox_takes_nothing(relay: Relay) -> None:
    await relay.open(BOX, READER)
    await relay.close(BOX, READER)
    assert await refused(relay.put(BOX, b"sealed")) is Code.SESSION_SPENT


async def test_a_reader_who_waits_hears_at_once(relay: Relay) -> None:
    await relay.open(BOX, READER)
    waiting = asyncio.create_task(relay.take(BOX, READER, wait=20))
    await asyncio.sleep(0.01)
    await relay.put(BOX, b"sealed")
    assert await asyncio.wait_for(waiting, 1) == b"sealed"


async def test_of_a_reader_who_comes_again_the_newest_look_gets_the_message(relay: Relay) -> None:
    """A phone whose network changed asks again while its old connection still seems to wait."""
    await relay.open(BOX, READER)
    old = asyncio.create_task(relay.take(BOX, READER, wait=20))
    await asyncio.sleep(0.01)
    new = asyncio.create_task(relay.take(BOX, READER, wait=20))
    assert await asyncio.wait_for(old, 1) is None
    await relay.put(BOX, b"sealed")
    assert await asyncio.wait_for(new, 1) == b"sealed"
    assert relay._waiting.total() == 0 and not relay._news


async def test_a_message_is_not_given_to_a_connection_that_is_gone(relay: Relay) -> None:
    gone = False

    async def hung_up() -> bool:
        return gone

    await relay.open(BOX, READER)
    waiting = asyncio.create_task(relay.take(BOX, READER, wait=20, gone=hung_up))
    await asyncio.sleep(0.01)
    gone = True
    await relay.put(BOX, b"sealed")
    assert await asyncio.wait_for(waiting, 1) is None
    assert await relay.take(BOX, READER) == b"sealed"


async def test_the_door_gives_no_message_to_a_phone_that_has_hung_up(relay: Relay, clock: MovableClock) -> None:
    """Over a real socket a server says so by `http.disconnect`."""
    said = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"", "more_body": False}]
    answered: list[Any] = []

    async def receive() -> Any:
        return said.pop() if len(said) > 1 else said[0]

    async def send(message: Any) -> None:
        answered.append(message)

    await relay.open(BOX, READER)
    await relay.put(BOX, b"sealed")
    path = f"/relay/{b64u(BOX)}"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"wait=1", "root_path": "", "client": ("192.0.2.1", 1),
        "server": ("relay.test", 80), "headers": [(b"authorization", f"Bearer {b64u(READER)}".encode())],
    }  # fmt: skip
    await application(routes(relay), clock=clock, rates=False)(scope, receive, send)
    assert answered[0]["status"] == 204
    assert await relay.take(BOX, READER) == b"sealed"


async def test_a_mailbox_opened_again_says_how_long_it_lives_yet(relay: Relay, clock: MovableClock) -> None:
    assert await relay.open(BOX, READER) == LIFE.total_seconds()
    clock.advance(timedelta(seconds=50))
    assert await relay.open(BOX, READER) == LIFE.total_seconds() - 50
    clock.advance(LIFE)
    assert await refused(relay.open(BOX, READER)) is Code.SESSION_SPENT, "nobody could write to it"


async def test_a_message_too_large_or_empty_is_refused(relay: Relay) -> None:
    await relay.open(BOX, READER)
    assert await refused(relay.put(BOX, bytes(LIMIT + 1))) is Code.TOO_LARGE
    assert await refused(relay.put(BOX, b"")) is Code.MALFORMED
    await relay.put(BOX, bytes(LIMIT))


async def test_waiting_readers_of_one_address_leave_room_for_others(relay: Relay) -> None:
    """Long polls are the one thing that costs us while nothing happens."""
    tokens = [bytes([n]) * TOKEN for n in range(NEAR + 1)]
    for token in tokens:
        await relay.open(channel_of(token), token)
    waiting = [asyncio.create_task(relay.take(channel_of(t), t, wait=20, address="203.0.113.9")) for t in tokens[:-1]]
    await asyncio.sleep(0.01)
    last = tokens[-1]
    assert await asyncio.wait_for(relay.take(channel_of(last), last, wait=20, address="203.0.113.9"), 1) is None
    await relay.open(BOX, READER)
    elsewhere = asyncio.create_task(relay.take(BOX, READER, wait=20, address="192.0.2.1"))
    await asyncio.sleep(0.01)
    assert not elsewhere.done()
    for task in (*waiting, elsewhere):
        task.cancel()
    await asyncio.gather(*waiting, elsewhere, return_exceptions=True)
    assert relay._waiting.total() == 0


async def test_a_flood_of_mailboxes_ends_at_the_limit(relay: Relay, clock: MovableClock, monkeypatch: object) -> None:
    small = relays.MOST
    try:
        relays.MOST = 3  # type: ignore[misc]
        for n in range(3):
            await relay.open(channel_of(bytes([n]) * TOKEN), bytes([n]) * TOKEN)
        assert await refused(relay.open(BOX, READER)) is Code.TOO_OFTEN
        clock.advance(LIFE + timedelta(seconds=1))
        await relay.open(BOX, READER)  # the dead make room
    finally:
        relays.MOST = small  # type: ignore[misc]


# --- over HTTP --------------------------------------------------------------------------------------------------------


def proof(token: bytes = READER) -> dict[str, str]:
    return {"Authorization": f"Bearer {b64u(token)}"}


async def test_the_doors_of_a_mailbox(relay: Relay, clock: MovableClock) -> None:
    path = f"/relay/{b64u(BOX)}"
    async with site(relay, clock) as http:
        opened = await http.put(path, headers=proof())
        assert (opened.status_code, opened.json()) == (201, {"expires_in": 120})
        empty = await http.get(path, headers=proof())
        assert (empty.status_code, empty.content) == (204, b"")
        put = await http.post(path, content=b"sealed")
        assert (put.status_code, put.json()) == (200, {})  # OpenID4VP 1.0 8.2: what a wallet expects of a response_uri
        assert (await http.post(path, content=b"sealed")).json()["error"] == "session_spent"
        assert (await http.get(path, headers=proof(OTHER))).status_code == 403
        assert (await http.get(path)).status_code == 403
        read = await http.get(path, headers=proof())
        assert (read.content, read.headers["cache-control"]) == (b"sealed", "no-store")
        assert (await http.get(path, headers=proof())).status_code == 410
        assert (await http.delete(path, headers=proof())).status_code == 204
        assert (await http.get("/relay/short", headers=proof())).status_code == 404
        assert (await http.get(f"{path}?wait=-1", headers=proof())).status_code == 400
        assert (await http.post(path, content=bytes(LIMIT + 1))).status_code == 413


async def test_one_address_opens_sixty_mailboxes_a_minute(relay: Relay, clock: MovableClock) -> None:
    async with site(relay, clock, rates=True) as http:
        said = [(await http.put("/relay/x", headers=proof())).status_code for _ in range(61)]
    assert said == [404] * 60 + [429]
