"""A citizen shows a code, a shop reads it, and the question comes over the relay: nobody reaches either of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import pytest_asyncio

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, b64u
from mapae.formats.meet import MeetCode, mailbox, seal
from mapae.holder.meet import Meeting
from mapae.holder.request import TYPE
from mapae.verifier.asking.store import Till
from mapae.verifier.relay.meet import Meetings
from mapae.verifier.till.kiosk import Waiting
from unit.holder.conftest import BASE, Country, opened

RELAY = f"{BASE}/relay"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Met(Country):
    """One country for all of these, and one citizen with a card in it."""

    holder: Any = None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def country(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Met]:
    async with opened(tmp_path_factory.mktemp("meet") / "var") as made:
        yield Met(**vars(made), holder=(await made.carded()).wallet)


@pytest.fixture(autouse=True)
def unwatched(country: Met) -> None:
    country.line.watch = None


class Shop:
    """A till behind a wall: its verifier reaches the relay, and nobody reaches it."""

    def __init__(self, country: Country, till: Till, *, reachable: bool = False) -> None:
        self.verifier, self.till = country.house.verifier, till
        questions, http = self.verifier.questions, country.house.foundation.http
        self.meetings = Meetings(questions, http, [RELAY], reachable=reachable)

    @classmethod
    async def of(cls, country: Country, **how: Any) -> Shop:
        till, _ = await country.house.verifier.enrol((await country.house.verifier.invite("mart")).code)
        return cls(country, till, **how)

    async def asks(self, text: str, purpose: str = "alcohol_tobacco") -> str:
        return await self.meetings.begin(self.till.id, self.till.relying_party, purpose, text)

    async def sees(self, id: str) -> str:
        await self.meetings.collect(self.till.id, id)
        look = await self.verifier.look(self.till, id)
        return "waiting" if isinstance(look, Waiting) else look.verdict.outcome.value


async def refused(work: Any) -> Code:
    with pytest.raises(Refused) as raised:
        await work
    return raised.value.code


async def test_the_answer_goes_back_over_the_relay(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    assert await wallet.met(meeting, wait=0) is None
    id = await shop.asks(meeting.text)
    assert await shop.sees(id) == "waiting"
    asked = await wallet.met(meeting)
    assert (asked.who["en"], asked.items, asked.registered) == ("Mart", ["adult_by_year"], True)
    country.line.sent.clear()
    shown = await wallet.present(asked)
    assert shown.outcome == "sent"
    assert [path for path in country.line.sent if path.startswith("POST /verifier/responses")] == []
    assert await shop.sees(id) == "accepted"
    assert await shop.sees(id) == "accepted"


async def test_a_verifier_that_phones_reach_is_answered_straight(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country, reachable=True)
    meeting = await wallet.meet()
    id = await shop.asks(meeting.text)
    asked = await wallet.met(meeting)
    await wallet.present(asked)
    assert asked.request.way.uri == f"{BASE}/verifier/responses/{id}"
    assert await shop.sees(id) == "accepted"


async def test_the_relay_sees_nothing_but_sealed_bytes(country: Any) -> None:
    """Not who asks, not what, not the answer, and not that it was a no."""
    wallet, shop = country.holder, await Shop.of(country)
    carried: list[bytes] = []

    async def watch(request: httpx.Request, go_on: Any) -> httpx.Response:
        answer = await go_on(request)
        if request.url.path.startswith("/relay/"):
            carried.extend([request.content, await answer.aread()])
        return answer

    country.line.watch = watch
    for goes in ("yes", "no"):
        meeting = await wallet.meet()
        id = await shop.asks(meeting.text)
        asked = await wallet.met(meeting)
        await (wallet.present(asked) if goes == "yes" else wallet.refuse(asked))
        assert await shop.sees(id) == ("accepted" if goes == "yes" else "declined")
    whole = b" ".join(carried)
    assert len(carried) > 6
    for word in (b"mart", b"adult", b"client_id", b"x509", b"access_denied", b"vp_token", b"state"):
        assert word not in whole
    forms = [one for one in carried if one.startswith(b"response=")]
    assert [list(parse_qs(one.decode())) for one in forms] == [["response"], ["response"]]


async def test_a_code_works_once(country: Any) -> None:
    """Two shops read it, or one reads it again: the first wins, the second sees that it is used."""
    wallet = country.holder
    first, second = await Shop.of(country), await Shop.of(country)
    meeting = await wallet.meet()
    id = await first.asks(meeting.text)
    assert await refused(second.asks(meeting.text)) is Code.PRESENTATION_SPENT
    await wallet.present(await wallet.met(meeting))
    assert await refused(second.asks(meeting.text)) is Code.PRESENTATION_SPENT
    assert await refused(wallet.met(meeting)) is Code.SESSION_SPENT
    assert await first.sees(id) == "accepted"


async def test_a_code_that_was_photographed_is_stale_after_two_minutes(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    country.clock.advance(seconds=119)
    await wallet.met(meeting, wait=0)
    country.clock.advance(seconds=7)
    assert await refused(shop.asks(meeting.text)) is Code.PRESENTATION_STALE
    assert await refused(wallet.met(meeting)) is Code.EXPIRED
    meeting = await wallet.meet()
    country.clock.advance(seconds=122)  # within the skew a shop allows, but the mailbox is gone
    assert await refused(shop.asks(meeting.text)) is Code.PRESENTATION_STALE


async def test_a_code_that_is_not_shown_any_more_is_used(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    await wallet.stop_meeting(meeting)
    assert await refused(shop.asks(meeting.text)) is Code.PRESENTATION_SPENT


async def test_whoever_photographed_the_code_reads_nothing(country: Any) -> None:
    """The name of the mailbox is in the code; what opens it is not."""
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    await shop.asks(meeting.text)
    thief = await country.http.get(meeting.code.mailbox, headers={"Authorization": f"Bearer {b64u(b'x' * 32)}"})
    assert thief.status_code == 403
    assert (await wallet.met(meeting)) is not None


async def test_a_request_that_was_made_for_another_code_is_not_shown(country: Any) -> None:
    """A shop in the middle shows its own phone's code to a bank, and passes the bank's request on to a customer: the
    request was signed for the other code (OpenID4VP 1.0 5.10.1)."""
    wallet, shop = country.holder, await Shop.of(country)
    before = len(wallet.history)
    mine, theirs = await wallet.meet(), await wallet.meet()
    id = await shop.asks(theirs.text)
    request = await shop.verifier.questions.request_object(id, theirs.code.nonce)
    await country.http.post(mine.code.mailbox, content=seal(request, mine.code))
    with pytest.raises(Refused) as raised:
        await wallet.met(mine)
    assert (raised.value.step, raised.value.code) == ("meant", Code.WRONG_NONCE)
    assert len(wallet.history) == before


async def test_a_relay_that_swaps_messages_is_found_out(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    one, other = await wallet.meet(), await wallet.meet()
    swapped = Meeting(one.code, one.key, other.token)
    await shop.asks(other.text)
    swapped_code = MeetCode(one.code.relay, other.code.channel, one.code.key, one.code.made, one.code.raw)
    assert await refused(wallet.met(Meeting(swapped_code, swapped.key, other.token))) is Code.MALFORMED


async def test_an_answer_in_another_questions_mailbox_changes_nothing(country: Any) -> None:
    """A relay hands a shop the answer of another question, or noise; the question stays open."""
    wallet = country.holder
    first, second = await Shop.of(country), await Shop.of(country)
    meeting, other = await wallet.meet(), await wallet.meet()
    one, two = await first.asks(meeting.text), await second.asks(other.text)
    await wallet.present(await wallet.met(meeting))
    questions = first.verifier.questions
    box = mailbox(RELAY, questions.reply_token(one))
    proof = {"Authorization": f"Bearer {b64u(questions.reply_token(one))}"}
    stolen = (await country.http.get(box, headers=proof)).content
    await country.http.post(mailbox(RELAY, questions.reply_token(two)), content=stolen)
    assert await second.sees(two) == "waiting"
    assert await first.sees(one) == "waiting"


@pytest.mark.parametrize("noise", ["\xff", "response=1", "a=1&a=2", "vp_token=x", "nothing"])
async def test_noise_in_the_mailbox_changes_nothing(country: Any, noise: str) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    id = await shop.asks(meeting.text)
    await country.http.post(mailbox(RELAY, shop.verifier.questions.reply_token(id)), content=noise.encode())
    assert await shop.sees(id) == "waiting"


async def test_the_address_in_a_code_is_not_believed(country: Any) -> None:
    """It would have a shop's server knock wherever a stranger likes."""
    shop = await Shop.of(country)
    meeting = await country.holder.meet()
    code = MeetCode.make("https://internal.example/relay", meeting.code.channel, meeting.code.key, country.clock.now())
    assert await refused(shop.asks(code.text)) is Code.UNSUPPORTED
    assert await refused(shop.asks("MAPAE-SHOW:ABC")) is Code.MALFORMED


async def test_killed_between_the_answer_is_still_there(country: Any) -> None:
    """The shop's process dies after it has asked: the next one fetches the answer, for all it needs is on the disk."""
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    id = await shop.asks(meeting.text)
    await wallet.present(await wallet.met(meeting))
    again = Shop(country, shop.till)
    assert await again.sees(id) == "accepted"


async def test_a_question_that_did_not_arrive_is_not_left_open(country: Any) -> None:
    """The relay is away between the two: the till may ask again at once."""
    shop = await Shop.of(country)
    meeting = await country.holder.meet()

    class Gone(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("down")

    async with httpx.AsyncClient(transport=Gone()) as http:
        shop.meetings = Meetings(shop.verifier.questions, http, [RELAY])
        assert await refused(shop.asks(meeting.text)) is Code.TRANSPORT_LOST
    db = country.house.foundation.databases["verifier"]
    assert await db.all("SELECT id FROM check_session WHERE state = 'open' AND till = $1", shop.till.id) == []


async def test_a_name_is_asked_for_in_person_as_well(country: Any) -> None:
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    id = await shop.asks(meeting.text, "name_birth_date")
    await wallet.present(await wallet.met(meeting))
    await shop.sees(id)
    look = await shop.verifier.look(shop.till, id)
    assert [name for _, name, _ in look.shown] == ["name", "birth_date"]


async def test_a_shop_without_a_page_asks_with_one_call(country: Any) -> None:
    """`mapae meet`, and whoever has a program of his own: it waits until the customer has decided."""
    wallet, shop = country.holder, await Shop.of(country)
    meeting = await wallet.meet()
    asking = asyncio.create_task(shop.meetings.ask("a-program", "mart", "alcohol_tobacco", meeting.text))
    asked = await wallet.met(meeting)
    await wallet.present(asked)
    session = await asyncio.wait_for(asking, 5)
    assert session.verdict.outcome.value == "accepted"


async def test_the_request_is_signed_for_the_code(country: Any) -> None:
    shop = await Shop.of(country)
    meeting = await country.holder.meet()
    id = await shop.asks(meeting.text)
    claims = Jws.parse(await shop.verifier.questions.request_object(id, meeting.code.nonce), typ=TYPE).claims()
    assert claims["wallet_nonce"] == meeting.code.nonce
    assert claims["response_uri"] == mailbox(RELAY, shop.verifier.questions.reply_token(id))
