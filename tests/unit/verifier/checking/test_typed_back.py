"""Across devices, where much is at stake: the answer counts once the code only the phone shows is typed where it was
asked. OpenID4VP 1.0 13.3 and 14.2 (session fixation), which a code answers where no way leads back."""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Awaitable, Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.audit import first_broken_link
from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.verifier.asking.ask import Manner
from mapae.verifier.asking.questions import TYPING, asker_of
from mapae.verifier.checking import typed
from unit.verifier.asking.test_same_device import answered, told
from unit.verifier.shop import Shop, opened, request_id, trust_list
from unit.verifier.till.test_web import post
from unit.verifier.world import CLAIMS, NOW, Card

HIGH = "confirm_payment"


@pytest.fixture
async def shop(migrated: Callable[[str], Awaitable[Db]]) -> Shop:
    async with opened(await migrated("verifier"), MovableClock(NOW)) as shop:
        shop.trust[:] = [trust_list(purposes=("alcohol_tobacco", "name_birth_date", HIGH))]
        yield shop


async def asked(site: httpx.AsyncClient, purpose: str = HIGH) -> tuple[str, str]:
    answer = await post(site, "/shops/mart/checks", {"purpose": purpose}, page="/shops/mart/")
    path = answer.headers["location"]
    link = re.search(r'data-request="(openid4vp:[^"]+)"', (await site.get(path)).text)
    assert link is not None
    return path, request_id(link[1].replace("&amp;", "&"))


async def shown_to(phone: httpx.AsyncClient, back: str) -> str:
    page = await phone.get(back)
    assert page.status_code == 200, page.text
    code = re.search(r'id="to-type"[^>]* data-code="([^"]*)"', page.text)
    return code[1] if code else ""


async def type_in(site: httpx.AsyncClient, path: str, code: str) -> httpx.Response:
    return await post(site, f"{path}/code", {"code": code}, page=path)


async def test_a_question_of_high_risk_shows_a_code_for_another_device_and_others_do_not(shop: Shop) -> None:
    async with shop.site() as site:
        path, _ = await asked(site)
        assert 'id="qr"' in (await site.get(path)).text
        path, _ = await asked(site, "name_birth_date")
        assert 'id="qr"' not in (await site.get(path)).text


async def test_the_code_off_the_phone_makes_the_answer_count(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as phone:
        path, id = await asked(site)
        back = await answered(shop, phone, id)
        assert (await told(site, path))["phase"] == "answered"
        code = await shown_to(phone, back)
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}", code)
        assert (await shown_to(phone, back)) == code, "the phone's page may be loaded again"
        assert (await site.get(f"{path}/phase")).json() == {"phase": "answered"}
        done = await type_in(site, path, code.lower().replace("-", " "))
        assert (done.status_code, done.headers["location"]) == (303, path)
        page = (await site.get(path)).text
        assert (await told(site, path))["outcome"] == "accepted" and CLAIMS["name"] in page
        assert (await shown_to(phone, back)) == "", "there is nothing to type any more"
        assert (await site.get(f"{path}/phase")).json() == {"phase": "ended"}
    assert await first_broken_link(shop.db) is None


async def test_on_the_same_device_nothing_is_typed(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        back = await answered(shop, wallet, id)
        assert (await site.get(back)).headers["location"] == path
        assert (await told(site, path))["outcome"] == "accepted"


async def test_three_wrong_codes_end_the_question_and_erase_what_was_shown(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as phone:
        path, id = await asked(site)
        back = await answered(shop, phone, id)
        code = await shown_to(phone, back)
        wrong = [other for other in ("000000", "111111", "222222", "333333") if other != code.replace("-", "")][:3]
        for left, guess in zip((2, 1), wrong, strict=False):
            page = await type_in(site, path, guess)
            assert page.status_code == 422 and f">{left}<" not in page.text and str(left) in page.text
        assert (await type_in(site, path, "not a code at all")).status_code == 422, "what cannot be a code costs no try"
        assert (await type_in(site, path, wrong[2])).status_code == 303
        assert await told(site, path) == {"outcome": "refused", "step": "return", "code": "wrong_code"}
        row = await shop.db.one("SELECT shown, typed_code FROM check_session WHERE id = $1", id)
        assert row is not None and (row["shown"], row["typed_code"]) == (None, None)
        with pytest.raises(Refused) as refused:  # and the right one comes too late
            await shop.verifier.questions.type_back(await whose(shop, id), id, code)
        assert refused.value.code is Code.SESSION_SPENT


async def whose(shop: Shop, id: str) -> str:
    row = await shop.db.one("SELECT till FROM check_session WHERE id = $1", id)
    assert row is not None
    return str(row["till"])


async def test_after_two_minutes_the_code_is_worth_nothing(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as phone:
        path, id = await asked(site)
        back = await answered(shop, phone, id)
        code = await shown_to(phone, back)
        asker = await whose(shop, id)
        shop.clock.advance(TYPING)
        with pytest.raises(Refused) as refused:
            await shop.verifier.questions.type_back(asker, id, code)
        assert refused.value.code is Code.SESSION_SPENT
        assert await told(site, path) == {"outcome": "refused", "step": "return", "code": "wrong_browser"}
        assert CLAIMS["name"] not in (await site.get(path)).text
        assert (await shown_to(phone, back)) == ""


async def test_nobody_types_into_a_question_of_somebody_else(shop: Shop) -> None:
    """Whoever learned the code can use it in the browser that asked, and in no other."""
    async with shop.site() as site, shop.site() as phone, shop.site() as other:
        _, id = await asked(site)
        back = await answered(shop, phone, id)
        code = await shown_to(phone, back)
        await asked(other)
        with pytest.raises(Refused) as refused:
            await shop.verifier.questions.type_back(asker_of("other"), id, code)
        assert refused.value.code is Code.NOT_FOUND
        assert (await other.get(f"/shop/back/{id}?response_code=guess")).status_code == 403
        assert (await other.get(f"/shop/checks/{id}/phase")).status_code == 404


async def test_whoever_says_no_on_the_phone_finds_nothing_to_type(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as phone:
        path, id = await asked(site)
        request = await shop.request(id)
        said = {"error": "access_denied", "state": request["state"]}
        back = (await phone.post(f"/verifier/responses/{id}", data=said)).json()["redirect_uri"]
        assert (await told(site, path))["outcome"] == "declined"
        assert (await shown_to(phone, back)) == ""


async def test_a_card_that_fails_waits_for_no_code(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as phone:
        path, id = await asked(site)
        back = await answered(shop, phone, id, Card(reference=None))
        assert (await told(site, path))["code"] == "status_unknown"
        assert (await shown_to(phone, back)) == ""


async def test_the_code_is_kept_nowhere(shop: Shop) -> None:
    id = await shop.verifier.questions.put("me", "mart", HIGH, manner=Manner(typed_back=True))
    back = await shop.verifier.answer(id, await shop.reply(id))
    assert back is not None
    code = await shop.verifier.questions.come_back("another", id, back.rsplit("=", 1)[1])
    assert code is not None and len(code) == typed.BACK
    kept = ("typed_code", "return_code", "shown", "manner", "nonce", "echo")
    row = await shop.db.one("SELECT * FROM check_session WHERE id = $1", id)
    assert row is not None and not any(code in str(row[column]) for column in kept)
    assert await shop.verifier.questions.type_back("me", id, code) == 0


@given(st.binary(min_size=8, max_size=32))
def test_a_code_survives_being_read_aloud(tag: bytes) -> None:
    code = typed.spelled(tag)
    for spoken in (
        code,
        code.lower(),
        typed.shown(code),
        f" {code[:2]}- {code[2:]} ",
        code.replace("0", "o").replace("1", "l"),
    ):
        assert typed.read(spoken, typed.BACK) == code


@given(st.text())
def test_any_text_is_a_code_or_is_none(text: str) -> None:
    read = typed.read(text, typed.BACK)
    assert read is None or (len(read) == typed.BACK and set(read) <= set(typed.ALPHABET))


def test_a_code_is_the_first_thirty_bits() -> None:
    """Each character stands for five bits, as in RFC 4648 6, with another alphabet."""
    rfc4648 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", typed.ALPHABET)
    tag = bytes(range(7, 39))
    assert typed.spelled(tag) == b32encode(tag[:5]).decode()[: typed.BACK].translate(rfc4648)
