"""What a helper may say, in which order, how much and how long. Whatever it does else ends its session and nothing
more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from issuing import BASE
from mapae.db import Db
from mapae.errors import Refused
from mapae.formats.jose import b64u
from mapae.tapping import Inside
from tapped import SOD, Issued, TapHall, TapPhone, Told, sha

Migrated = Callable[[str], Awaitable[Db]]
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both: test_both_engines.py


@pytest.fixture
async def hall(migrated: Migrated) -> TapHall:
    return TapHall(await migrated("issuer"))


async def begun(hall: TapHall) -> tuple[TapPhone, Told]:
    phone = TapPhone(hall)
    await phone.begin()
    return phone, await Told.open(hall)


async def failed(phone: TapPhone) -> tuple[str, str]:
    said = await phone.state()
    assert said["state"] == "failed", said
    return said["reason"], said["step"]


async def test_a_link_takes_one_helper_ever(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    assert (await helper.hello(phone.secret))["type"] == "ready"
    second = await Told.open(hall)
    assert (await second.hello(phone.secret))["code"] == "session_spent"
    assert (await helper.card())["type"] == "authenticate", "the first one is not disturbed"
    await helper.wire.close()
    third = await Told.open(hall)
    assert (await third.hello(phone.secret))["code"] == "session_spent"


async def test_two_helpers_at_the_same_moment_are_one(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    others = [helper, *[await Told.open(hall) for _ in range(3)]]
    heard = await asyncio.gather(*(one.hello(phone.secret) for one in others))
    assert sorted(one["type"] for one in heard) == ["ready", "refused", "refused", "refused"]


@pytest.mark.parametrize(
    "secret", ["", "x", "x" * 32, "' OR 1=1 --", "비밀"], ids=["none", "short", "wrong", "sql", "ko"]
)
async def test_a_wrong_secret_opens_nothing(hall: TapHall, secret: str) -> None:
    phone, helper = await begun(hall)
    assert (await helper.hello(secret))["code"] == "not_found"
    assert (await phone.state())["state"] == "waiting"


async def test_an_old_link_opens_nothing(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    hall.clock.advance(seconds=600)
    assert (await helper.hello(phone.secret))["code"] == "session_spent"
    assert await failed(phone) == ("session_spent", "time")


async def test_a_helper_of_another_version_is_told_so_and_the_link_stays_good(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    assert (await helper.hello(phone.secret, version=2))["code"] == "unsupported"
    assert (await (await Told.open(hall)).hello(phone.secret))["type"] == "ready"


async def drop_after(hall: TapHall, messages: int) -> TapPhone:
    """An honest helper that is gone after so many messages."""
    phone, helper = await begun(hall)
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: helper.hello(phone.secret),
        helper.card,
        lambda: helper.say(type="authenticated"),
        lambda: helper.answer(1, b"ok"),
    ]
    for one in steps[:messages]:
        await one()
    await helper.wire.close()
    return phone


@pytest.mark.parametrize("messages", [1, 2, 3, 4])
async def test_a_helper_that_drops_leaves_a_failed_session_and_nothing_else(hall: TapHall, messages: int) -> None:
    """At any command: the card is back in the pocket, the wallet begins anew, and the card is not used up."""
    phone = await drop_after(hall, messages)
    assert await failed(phone) == ("unavailable", "helper")
    assert (await phone.confirm()).status_code == 503
    assert hall.told_people == [] and hall.pen.signed == []
    assert not await hall.db.all("SELECT * FROM tap_use")
    await phone.begin()
    assert (await (await Told.open(hall)).whole(phone.secret)) == {"type": "done"}


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        (0, {"type": "card", "sod": ""}),
        (0, {"type": "apdu", "n": 1, "apdu": ""}),
        (1, {"type": "hello", "version": 1, "secret": "again"}),
        (1, {"type": "authenticated"}),
        (1, {"type": "card", "sod": b64u(SOD), "dg14": b64u(b"dg14"), "card_access": "", "person": "minho"}),
        (1, {"type": "card", "sod": "not base64url!", "dg14": "", "card_access": ""}),
        (2, {"type": "card", "sod": b64u(SOD), "dg14": b64u(b"dg14"), "card_access": ""}),
        (2, {"type": "answer", "n": 1, "apdu": ""}),
        (3, {"type": "authenticated"}),
        (3, {"type": "answer", "n": 2, "apdu": b64u(b"ok")}),
        (3, {"type": "answer", "n": 0, "apdu": b64u(b"ok")}),
        (3, {"type": "answer", "n": "1", "apdu": b64u(b"ok")}),
        (3, {"type": "answer", "n": 1, "apdu": b64u(bytes(4097))}),
        (3, {"type": "answer", "n": 1, "apdu": b64u(b"a lie")}),
        (4, {"type": "answer", "n": 1, "apdu": b64u(b"ok")}),
        (4, {"type": "done"}),
    ],
    ids=[
        "card-first", "apdu-first", "hello-twice", "before-the-card", "surplus", "not-base64", "card-twice",
        "answer-early", "authenticated-twice", "next-number", "number-nought", "number-as-text", "too-long", "a-lie",
        "old-number", "done-by-itself",
    ],
)  # fmt: skip
async def test_what_comes_out_of_its_order_or_shape_ends_the_session(
    hall: TapHall, messages: int, wrong: dict[str, Any]
) -> None:
    phone, helper = await begun(hall)
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: helper.hello(phone.secret),
        helper.card,
        lambda: helper.say(type="authenticated"),
        lambda: helper.answer(1, b"ok"),
    ]
    for one in steps[:messages]:
        await one()
    await helper.wire.say(wrong)
    assert (await helper.hear())["type"] == "refused"
    with pytest.raises(Refused):
        await helper.hear()
    assert (await phone.state())["state"] == ("failed" if messages else "waiting")
    assert not await hall.db.all("SELECT * FROM tap_use")


async def test_a_message_over_the_limit_ends_the_session(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    assert (await helper.card(sod=bytes(60_000)))["code"] == "too_large"
    assert await failed(phone) == ("too_large", "message")


async def test_a_chip_that_is_slow_runs_out_of_time(hall: TapHall) -> None:
    """Time limits catch breakage and slow relays. They do not prove nearness, and the docs say so."""
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    hall.clock.advance(seconds=300)  # the person looks for the card: that is not the chip's time
    await helper.card()
    await helper.say(type="authenticated")
    hall.clock.advance(seconds=61)
    assert (await helper.answer(1, b"ok"))["code"] == "session_spent"
    assert await failed(phone) == ("session_spent", "time")


async def test_a_session_that_is_over_is_over_in_mid_sentence(hall: TapHall) -> None:
    """The person said no while the helper was at it."""
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    await helper.card()
    await phone.cancel()
    await helper.say(type="authenticated")
    await helper.answer(1, b"ok")
    assert (await helper.answer(2, b"M12345678"))["code"] == "session_spent"
    assert await failed(phone) == ("access_denied", "wallet")


@pytest.mark.parametrize(
    ("code", "told"),
    [("chip_pin_wrong", "chip_pin_wrong"), ("chip_blocked", "chip_blocked"), ("chip_suspended", "chip_suspended"),
     ("chip_not_active", "chip_not_active"), ("deceased", "chip_refused"), ("", "chip_refused")],
)  # fmt: skip
async def test_the_wallet_learns_why_a_card_let_nobody_in(hall: TapHall, code: str, told: str) -> None:
    """In the card's own words only: a helper cannot make us say something about the person."""
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    assert (await helper.say(type="stopped", code=code))["code"] == told
    assert await failed(phone) == (told, "card")


async def test_the_sod_of_another_card_is_refused_when_the_chip_says_otherwise(hall: TapHall) -> None:
    """A helper shows the SOD of one card of the person and lets another answer."""
    other = b"a document security object, of another card"
    hall.cards.by[sha(other)] = Issued(number="M00000001")
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    await helper.card(sod=other)
    await helper.say(type="authenticated")
    await helper.answer(1, b"ok")
    assert (await helper.answer(2, b"M12345678"))["step"] == "number"
    assert await failed(phone) == ("chip_refused", "number")


async def test_a_card_lost_while_it_is_read_is_noticed(hall: TapHall) -> None:
    phone, helper = await begun(hall)
    await helper.hello(phone.secret)
    await helper.card()
    hall.cards.mark("lost")
    await helper.say(type="authenticated")
    await helper.answer(1, b"ok")
    assert (await helper.answer(2, b"M12345678"))["code"] == "chip_not_active"


async def test_no_page_of_another_site_may_be_a_helper(hall: TapHall) -> None:
    with pytest.raises(Refused):
        await Inside.open(hall.app, headers=((b"origin", b"https://evil.test"),))
    await (await Inside.open(hall.app, headers=((b"origin", BASE.encode()),))).close()


async def test_the_landing_page_says_nothing_secret_and_refuses_none(hall: TapHall) -> None:
    """The secret is behind #: no server hears of it, so the page is the same for everybody."""
    for language, words in (("ko", "주민등록증을"), ("en", "Tap your resident card")):
        page = await hall.http.get("/tap", headers={"accept-language": language})
        assert page.status_code == 200 and words in page.text and "vendor/qrcode.js" in page.text
