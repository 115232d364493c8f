"""The answer counts in the browser that asked, and nowhere else: HAIP 1.0 5.1, OpenID4VP 1.0 8.2, 13.3, 14.2."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from mapae.audit import first_broken_link
from mapae.errors import Code, Refused
from mapae.formats import jose
from mapae.verifier.asking.questions import REMEMBER, RETURN, UNSEEN
from mapae.verifier.checking.check import Format
from mapae.verifier.checking.transaction import PAYMENT, Transaction
from unit.verifier.shop import BASE, Shop, asked_in, request_id, sealed
from unit.verifier.till.test_web import post
from unit.verifier.world import CLAIMS, Card


async def asked(site: httpx.AsyncClient, purpose: str = "alcohol_tobacco", **fields: str) -> tuple[str, str]:
    """Start on the shop's website; the page's path and the request's id."""
    answer = await post(site, "/shops/mart/checks", {"purpose": purpose, **fields}, page="/shops/mart/")
    assert answer.status_code == 303, answer.text
    html = (await site.get(answer.headers["location"])).text
    link = re.search(r'data-request="(openid4vp:[^"]+)"', html)
    assert link is not None
    return answer.headers["location"], request_id(link[1].replace("&amp;", "&"))


async def told(site: httpx.AsyncClient, path: str) -> dict[str, str]:
    html = (await site.get(path)).text
    return dict(re.findall(r'data-(outcome|step|code|phase)="([^"]*)"', html))


async def answered(shop: Shop, wallet: httpx.AsyncClient, id: str, card: Card | None = None) -> str:
    """The wallet answers; where it leads the browser, as a path."""
    answer = await wallet.post(f"/verifier/responses/{id}", data=await shop.reply(id, card))
    assert answer.status_code == 200
    back = answer.json()["redirect_uri"]
    assert back.startswith(f"{BASE}/shop/back/{id}?response_code=")
    return str(back.removeprefix(BASE))


async def test_a_visitor_asks_answers_and_comes_back(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        page = (await site.get(path)).text
        there = re.search(r'id="open-wallet"[^>]* href="/wallet/#request=([^"]+)"', page)
        assert there is not None and unquote(there[1]).startswith("openid4vp://?client_id=x509_hash%3A")
        back = await answered(shop, wallet, id)
        assert await told(site, path) == {"phase": "answered"}
        done = await site.get(back)
        assert (done.status_code, done.headers["location"]) == (303, path)
        assert (await told(site, path))["outcome"] == "accepted"
    assert await first_broken_link(shop.db) is None


async def test_an_answer_counts_only_when_its_browser_comes_back(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        back = await answered(shop, wallet, id)
        shop.clock.advance(RETURN)
        assert await told(site, path) == {"outcome": "refused", "step": "return", "code": "wrong_browser"}
        assert (await site.get(back)).status_code == 303
        assert (await told(site, path))["outcome"] == "refused"


@pytest.mark.parametrize("visitor", ["nobody", "somebody"])
async def test_the_code_in_another_browser_ends_the_question(shop: Shop, visitor: str) -> None:
    """14.2: session fixation. Whoever relayed the request learns nothing, and nor does whoever was made to answer."""
    async with shop.site() as attacker, shop.site() as victim, shop.site() as wallet:
        path, id = await asked(attacker, "name_birth_date")
        if visitor == "somebody":
            await asked(victim)
        back = await answered(shop, wallet, id)
        refused = await victim.get(back)
        assert refused.status_code == 403
        assert 'data-code="wrong_browser"' in refused.text
        assert (await told(attacker, path))["code"] == "wrong_browser"
        assert (await attacker.get(back)).status_code == 303
        assert (await told(attacker, path))["outcome"] == "refused"
        assert CLAIMS["name"] not in (await attacker.get(path)).text
        row = await shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
        assert row is not None and row["shown"] is None


async def test_the_right_browser_with_another_code_gets_nothing(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        assert (await site.get(f"/shop/back/{id}?response_code=early")).status_code == 403
        back = await answered(shop, wallet, id)
        for code in ("", "guess", "x" * 5000):
            assert (await site.get(f"/shop/back/{id}?response_code={code}")).status_code == 403
        assert (await site.get("/shop/back/none?response_code=x")).status_code == 403
        assert (await site.get(back)).status_code == 303
        assert (await told(site, path))["outcome"] == "accepted"


async def test_a_code_is_fresh_and_good_once(shop: Shop) -> None:
    """8.2: the verifier must include a fresh, cryptographically random value; 128 bits or more."""
    codes = set()
    async with shop.site() as site, shop.site() as wallet:
        for _ in range(3):
            _, id = await asked(site)
            back = await answered(shop, wallet, id)
            [code] = parse_qs(urlsplit(back).query)["response_code"]
            assert len(jose.unb64u(code)) >= 16
            codes.add(code)
            await site.get(back)
            row = await shop.db.one("SELECT return_code FROM check_session WHERE id = $1", id)
            assert row is not None and row["return_code"] is None
    assert len(codes) == 3


async def test_who_says_no_is_led_back_too(shop: Shop) -> None:
    """8.2: the response endpoint may return redirect_uri for error responses as well."""
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        request = await shop.request(id)
        fields = {"error": "access_denied", "state": request["state"]}
        back = (await wallet.post(f"/verifier/responses/{id}", data=fields)).json()["redirect_uri"]
        assert (await site.get(back.removeprefix(BASE))).headers["location"] == path
        assert (await told(site, path))["outcome"] == "declined"


async def test_a_card_that_fails_is_refused_without_waiting(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site)
        back = await answered(shop, wallet, id, Card(reference=None))
        assert (await told(site, path))["code"] == "status_unknown"
        assert (await site.get(back)).headers["location"] == path


async def test_the_second_answer_is_refused_while_the_first_waits(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        _, id = await asked(site)
        reply = await shop.reply(id)
        await answered(shop, wallet, id)
        again = await wallet.post(f"/verifier/responses/{id}", data=reply)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_request")


async def test_names_are_seen_by_the_visitor_and_then_erased(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet, shop.site() as other:
        path, id = await asked(site, "name_birth_date")
        back = await answered(shop, wallet, id)
        assert CLAIMS["name"] not in (await site.get(path)).text
        await site.get(back)
        assert f'<dd id="shown-name">{CLAIMS["name"]}</dd>' in (await site.get(path)).text
        assert (await other.get(path)).status_code == 404
        shop.clock.advance(UNSEEN)
        assert CLAIMS["name"] not in (await site.get(path)).text
        shop.clock.advance(REMEMBER)
        assert (await site.get(path)).status_code == 404


async def test_a_new_question_drops_the_one_that_waits(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        first, id = await asked(site, "name_birth_date")
        back = await answered(shop, wallet, id)
        await asked(site)
        assert await told(site, first) == {"outcome": "cancelled", "step": "", "code": ""}
        assert (await site.get(back)).headers["location"] == first
        row = await shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
        assert row is not None and row["shown"] is None


async def test_a_visitor_confirms_a_payment(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        path, id = await asked(site, "name_birth_date", amount="12000", currency="KRW")
        assert "12000 KRW" in (await site.get(path)).text
        request = await shop.request(id)
        [text] = request["transaction_data"]
        paid = Transaction.parse(text)
        assert (paid.type, paid.credential_ids) == (PAYMENT, ("sd_jwt",))
        assert paid.fields == {"payee": "한빛마트 세종점", "amount": "12000", "currency": "KRW"}
        assert [query["format"] for query in request["dcql_query"]["credentials"]] == ["dc+sd-jwt"]
        tie = asked_in(request)
        disclosed = Card().sd_jwt().disclose([["name"], ["birth_date"]])
        shown = disclosed.bind(
            Card().holder, nonce=tie.nonce, audience=tie.client_id, now=shop.clock.now(), transaction_data=[text]
        )  # fmt: skip
        token = {"vp_token": {"sd_jwt": [shown]}, "state": request["state"]}
        answer = await wallet.post(f"/verifier/responses/{id}", data={"response": sealed(request, token)})
        await site.get(answer.json()["redirect_uri"].removeprefix(BASE))
        assert (await told(site, path))["outcome"] == "accepted"
        _, id = await asked(site, "name_birth_date", amount="12000", currency="KRW")
        await answered(shop, wallet, id)  # shows the name and authorizes nothing
        session = await shop.db.one("SELECT step, code FROM check_session WHERE id = $1", id)
        assert session is not None and (session["step"], session["code"]) == ("holder", "bad_holder_proof")


async def test_a_payment_in_another_spelling_is_asked_again_on_the_page(shop: Shop) -> None:
    async with shop.site() as site:
        fields = {"purpose": "name_birth_date", "amount": "12,000", "currency": "KRW"}
        wrong = await post(site, "/shops/mart/checks", fields, page="/shops/mart/")
        assert wrong.status_code == 422
        assert 'id="amount-error"' in wrong.text and 'value="12,000"' in wrong.text
        mdoc = await post(site, "/shops/mart/checks", {**fields, "amount": "1", "form": "mdoc"}, page="/shops/mart/")
        assert mdoc.status_code == 400


async def test_the_site_has_its_shops_and_no_others(shop: Shop) -> None:
    async with shop.site() as site:
        for lang, name in (("en", "Hanbit Mart Sejong"), ("ko", "한빛마트 세종점")):
            assert name in (await site.get(f"/shops/?lang={lang}")).text
            assert name in (await site.get(f"/shops/mart/?lang={lang}")).text
        assert (await site.get("/shops/nowhere/")).status_code == 404
        assert (await site.get("/shop/checks/none")).status_code == 404
        assert (await post(site, "/shops/mart/checks", {"purpose": "x"}, page="/shops/mart/")).status_code == 404
        odd = {"purpose": "alcohol_tobacco", "form": "pdf"}
        assert (await post(site, "/shops/mart/checks", odd, page="/shops/mart/")).status_code == 400
        assert (await site.post("/shops/mart/checks", data={"purpose": "alcohol_tobacco"})).status_code == 403


async def test_a_visitor_goes_back_to_the_shop(shop: Shop) -> None:
    async with shop.site() as site:
        path, id = await asked(site)
        gone = await post(site, f"{path}/cancel", {}, page=path)
        assert gone.headers["location"] == "/shops/mart/"
        with pytest.raises(Refused) as refused:
            await shop.verifier.request_object(id)
        assert refused.value.code is Code.SESSION_SPENT
        assert (await told(site, path))["outcome"] == "cancelled"


async def test_a_till_gets_no_way_back(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    assert await shop.verifier.answer(id, await shop.reply(id, Card(), Format.SD_JWT)) is None
