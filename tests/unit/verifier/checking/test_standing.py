"""Status lists are fetched whole, kept for seconds, and only from where the trust list says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats import status
from mapae.formats.x509 import Profile
from mapae.keys import Signer
from mapae.verifier.checking.standing import FRESH, LIMIT, MOST, StatusLists
from unit.verifier.shop import Lists
from unit.verifier.world import AUTHORITY, LIST, NOW, PLACE, STRANGER


@pytest.fixture
def server() -> Lists:
    return Lists(MovableClock(NOW))


@pytest.fixture
async def lists(server: Lists) -> AsyncIterator[StatusLists]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        yield StatusLists(http, server.clock)


async def read(lists: StatusLists) -> int:
    listed = await lists.listed(PLACE, AUTHORITY.issuer())
    return listed[LIST].list.read(PLACE.index)


async def refusal(lists: StatusLists, reference: status.StatusRef = PLACE, **issuer: Any) -> Code:
    with pytest.raises(Refused) as refused:
        await lists.listed(reference, AUTHORITY.issuer(**issuer))
    return refused.value.code


async def test_a_fresh_list_is_not_asked_for_again(lists: StatusLists, server: Lists) -> None:
    assert await read(lists) == status.VALID
    server.clock.advance(FRESH - timedelta(milliseconds=1))
    assert await read(lists) == status.VALID
    assert server.asked == 1


async def test_a_lock_is_seen_after_two_seconds(lists: StatusLists, server: Lists) -> None:
    await read(lists)
    server.standing = status.SUSPENDED
    server.clock.advance(FRESH)
    assert await read(lists) == status.SUSPENDED


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=20)], ids=["minutes", "weeks"])
async def test_a_list_fetched_while_the_clock_was_ahead_does_not_outlive_that(
    lists: StatusLists, server: Lists, ahead: timedelta
) -> None:
    """Every true list would look older than it, and a locked card be accepted for as long as the clock was ahead."""
    server.clock.advance(ahead)
    assert await read(lists) == status.VALID
    server.clock.advance(-ahead + timedelta(seconds=10))
    server.standing = status.SUSPENDED
    assert await read(lists) == status.SUSPENDED


async def test_an_unchanged_list_is_confirmed_without_sending_it_again(lists: StatusLists, server: Lists) -> None:
    await read(lists)
    server.clock.advance(FRESH)
    assert await read(lists) == status.VALID
    assert (server.asked, server.answered_304) == (2, 1)


async def test_many_tills_ask_once(lists: StatusLists, server: Lists) -> None:
    await asyncio.gather(*(read(lists) for _ in range(20)))
    assert server.asked == 1


async def test_the_last_list_serves_for_its_ttl_while_the_server_is_down(lists: StatusLists, server: Lists) -> None:
    await read(lists)
    server.up = False
    server.clock.advance(seconds=4)
    listed = (await lists.listed(PLACE, AUTHORITY.issuer()))[LIST]
    assert listed.good_until == NOW + timedelta(seconds=5)


async def test_without_any_list_there_is_no_standing(lists: StatusLists, server: Lists) -> None:
    server.up = False
    assert await refusal(lists) is Code.STATUS_UNKNOWN


async def test_an_older_list_does_not_replace_a_newer_one(lists: StatusLists, server: Lists) -> None:
    """A cache on the way, or somebody who kept a list from before the lock."""
    server.standing = status.SUSPENDED
    await read(lists)
    server.clock.advance(FRESH)
    server.standing, server.changes = status.VALID, {"now": NOW.replace(microsecond=0) - timedelta(seconds=30)}
    assert await read(lists) == status.SUSPENDED


async def test_an_older_list_of_another_issuing_process_confirms_the_newer_one(
    lists: StatusLists, server: Lists
) -> None:
    """Two processes sign in turn: one's list may be seconds older than the other's, and neither is out of reach."""
    server.standing = status.SUSPENDED
    await read(lists)
    server.clock.advance(FRESH)
    server.standing, server.changes = status.VALID, {"now": NOW.replace(microsecond=0) - timedelta(seconds=1)}
    assert await read(lists) == status.SUSPENDED
    listed = (await lists.listed(PLACE, AUTHORITY.issuer()))[LIST]
    assert listed.good_until == NOW + FRESH + timedelta(seconds=5)


async def test_a_server_that_is_down_lets_one_till_wait_and_not_each(lists: StatusLists, server: Lists) -> None:
    server.up = False
    for _ in range(3):
        assert await refusal(lists) is Code.STATUS_UNKNOWN
    assert server.asked == 1
    server.up = True
    server.clock.advance(FRESH)
    assert await read(lists) == status.VALID


@pytest.mark.parametrize(
    "changes",
    [
        {"authority": STRANGER}, {"signer": Signer.ephemeral()}, {"uri": LIST + "x"}, {"x5c": (AUTHORITY.leaf,)},
        {"now": NOW - timedelta(hours=1)}, {"status_code": 200, "content": b"not a token"},
        {"status_code": 200, "content": b"x" * 100}, {"status_code": 302, "headers": {"Location": "http://evil.test/"}},
        {"status_code": 404}, {"status_code": 500}, {"status_code": 304},
        {"x5c": (AUTHORITY.certify(Profile.STATUS_SIGNER, AUTHORITY.status_signer, end=NOW - timedelta(seconds=1)),)},
    ],
    ids=["another issuer", "bad signature", "another address", "a document signer", "expired", "rubbish", "rubbish 2",
         "a redirect", "missing", "broken", "304 to nothing", "expired signer"],
)  # fmt: skip
async def test_a_list_that_does_not_check_is_no_list(
    lists: StatusLists, server: Lists, changes: dict[str, Any]
) -> None:
    server.changes = changes
    assert await refusal(lists) is Code.STATUS_UNKNOWN


@pytest.mark.parametrize("changes", [{"ttl": 2**60}, {"life": timedelta.max}], ids=["ttl", "exp"])
async def test_a_list_with_times_beyond_the_calendar_is_read(
    lists: StatusLists, server: Lists, changes: dict[str, Any]
) -> None:
    server.changes = changes
    assert await read(lists) == status.VALID


async def test_a_forged_newer_list_is_refused_even_while_an_old_one_is_here(lists: StatusLists, server: Lists) -> None:
    await read(lists)
    server.clock.advance(FRESH)
    server.standing, server.changes = status.RENEW, {"authority": STRANGER}
    assert await refusal(lists) is Code.STATUS_UNKNOWN


async def test_a_list_that_does_not_end_is_cut_off() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(1024 * 1024)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as http:
        assert await refusal(StatusLists(http, MovableClock(NOW))) is Code.STATUS_UNKNOWN
    assert sent == LIMIT // 1024 // 1024 + 1


async def test_an_address_outside_the_prefix_is_never_asked(lists: StatusLists, server: Lists) -> None:
    for uri in ("http://169.254.169.254/latest", "file:///etc/passwd", LIST + "/../x", "http://mapae.test@evil.test/"):
        assert await refusal(lists, status.StatusRef(uri, 1)) is Code.STATUS_UNKNOWN
    assert server.asked == 0


async def test_a_list_is_asked_for_anew_when_the_issuers_anchors_change(lists: StatusLists, server: Lists) -> None:
    await read(lists)
    with pytest.raises(Refused):
        await lists.listed(PLACE, STRANGER.issuer())
    assert server.asked == 2


async def test_memory_is_bounded(lists: StatusLists, server: Lists) -> None:
    for n in range(MOST + 5):
        uri = f"{LIST}-{n}"
        server.changes = {"uri": uri}
        await lists.listed(status.StatusRef(uri, 1), AUTHORITY.issuer())
    assert len(lists._places) == MOST
