"""The checker's pages and the wallet's two doors, over HTTP."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from mapae.errors import Code, Refused
from mapae.formats import jose
from mapae.formats.x509 import leaf_key
from mapae.ui.words import knows
from mapae.verifier.asking.ask import OWN, Form, Manner
from mapae.verifier.asking.oid4vp import RESPONSE_LIMIT
from mapae.verifier.asking.store import Outcome
from mapae.verifier.checking.check import Format
from mapae.verifier.till.kiosk import SEEN, Ended, Waiting
from unit.verifier.shop import BASE, Shop, opened, request_id
from unit.verifier.world import CLAIMS, Card

HTMX = {"HX-Request": "true"}


async def post(
    site: httpx.AsyncClient, path: str, fields: dict[str, str], page: str = "/checker/", **more: Any
) -> httpx.Response:
    """Send a form as the browser on `page` does."""
    html = (await site.get(page)).text
    token = re.search(r'name="csrf" value="([^"]+)"', html)
    assert token is not None
    return await site.post(path, data={"csrf": token[1], **fields}, **more)


async def enrolled(shop: Shop, site: httpx.AsyncClient, party: str = "mart") -> httpx.AsyncClient:
    answer = await post(site, "/checker/till", {"code": (await shop.verifier.invite(party)).code})
    assert (answer.status_code, answer.headers["location"]) == (303, "/checker/")
    return site


async def asked(site: httpx.AsyncClient, purpose: str = "alcohol_tobacco", form: str = "either") -> tuple[str, str]:
    """Put a question; the page's path and the request's id."""
    answer = await post(site, "/checker/checks", {"purpose": purpose, "form": form})
    assert answer.status_code == 303
    html = (await site.get(answer.headers["location"])).text
    qr = re.search(r'data-request="([^"]+)"', html)
    assert qr is not None
    return answer.headers["location"], request_id(qr[1].replace("&amp;", "&"))


async def test_a_browser_that_is_no_till_can_only_enrol(shop: Shop) -> None:
    async with shop.site() as site:
        assert 'id="till-code"' in (await site.get("/checker/")).text
        for path in ("/checker/checks/x", "/checker/checks/x/panel"):
            assert (await site.get(path)).headers["location"] == "/checker/"
        assert (await post(site, "/checker/checks", {"purpose": "alcohol_tobacco"})).headers["location"] == "/checker/"
        panel = await site.get("/checker/checks/x/panel", headers=HTMX)
        assert panel.headers["hx-redirect"] == "/checker/"


async def test_a_wrong_code_says_so_and_a_right_one_makes_a_till(shop: Shop) -> None:
    async with shop.site() as site:
        wrong = await post(site, "/checker/till", {"code": "0000-0000-00"})
        assert wrong.status_code == 422
        assert 'id="till-code-error"' in wrong.text
        await enrolled(shop, site)
        page = await site.get("/checker/?lang=en")
        assert "Hanbit Mart Sejong" in page.text
        for purpose in ("alcohol_tobacco", "adult_contract", "name_birth_date"):
            assert f'id="purpose-{purpose}"' in page.text


async def test_the_code_in_the_link_is_filled_in(shop: Shop) -> None:
    async with shop.site() as site:
        assert 'value="K7Q2-M9XD-4T"' in (await site.get("/checker/?code=K7Q2-M9XD-4T")).text
        assert "<script>alert" not in (await site.get("/checker/?code=%22%3E%3Cscript%3Ealert(1)")).text


async def test_a_tablet_moves_to_another_shop(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        code = (await shop.verifier.invite("rental")).code
        page = await site.get(f"/checker/?lang=en&code={code}")
        assert "This device is a till of Hanbit Mart Sejong now." in page.text
        await post(site, "/checker/till", {"code": code}, page=f"/checker/?code={code}")
        assert "Baro Car Rental" in (await site.get("/checker/")).text
        assert len(await shop.db.all("SELECT id FROM till")) == 1


async def test_a_tablet_that_slept_goes_back_to_the_start(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        path, _ = await asked(site)
        shop.clock.advance(minutes=3)
        await shop.verifier.sweep()
        shop.clock.advance(minutes=11)
        assert (await site.get(f"{path}/panel", headers=HTMX)).headers["hx-redirect"] == "/checker/"
        assert (await site.get(path)).status_code == 404


async def test_a_form_from_elsewhere_does_nothing(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        assert (await site.post("/checker/checks", data={"purpose": "alcohol_tobacco"})).status_code == 403
        crossed = await post(
            site, "/checker/checks", {"purpose": "alcohol_tobacco"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert crossed.status_code == 403


async def test_the_whole_story_in_a_shop(shop: Shop) -> None:
    async with shop.site() as site, shop.site() as wallet:
        await enrolled(shop, site)
        path, id = await asked(site)
        panel = await site.get(f"{path}/panel?seen=waiting", headers=HTMX)
        assert 'data-phase="waiting"' in panel.text
        assert "hx-swap-oob" not in panel.text
        signed = await wallet.get(f"/verifier/requests/{id}")
        assert signed.headers["content-type"] == "application/oauth-authz-req+jwt"
        assert signed.headers["access-control-allow-origin"] == "*"
        panel = await site.get(f"{path}/panel?seen=waiting", headers=HTMX)
        assert 'data-phase="opened"' in panel.text
        assert "hx-swap-oob" in panel.text  # the screen reader hears it once
        answer = await wallet.post(f"/verifier/responses/{id}", data=await shop.reply(id))
        assert (answer.status_code, answer.json()) == (200, {})
        panel = await site.get(f"{path}/panel?seen=opened", headers=HTMX)
        assert panel.headers["hx-retarget"] == "#panel"
        assert 'data-outcome="accepted"' in panel.text
        whole = await site.get(path)
        assert 'data-outcome="accepted"' in whole.text
        assert 'http-equiv="refresh" content="20;url=/checker/"' in whole.text
        done = await post(site, f"{path}/done", {}, page=path, headers=HTMX)
        assert done.headers["hx-redirect"] == "/checker/"


async def test_name_and_birth_date_are_on_the_page_for_seconds(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        path, id = await asked(site, "name_birth_date")
        await shop.verifier.answer(id, await shop.reply(id))
        first = await site.get(f"{path}?keep=1")
        assert f'<dd id="shown-name">{CLAIMS["name"]}</dd>' in first.text
        assert 'id="shown-birth_date"' in first.text
        assert 'http-equiv="refresh"' in first.text  # a name is not kept on the screen, whatever the link says
        assert first.headers["cache-control"] == "no-store"
        shop.clock.advance(SEEN)
        assert CLAIMS["name"] not in (await site.get(path)).text


async def test_a_refusal_shows_step_and_code(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        shop.lists.up = False
        path, id = await asked(site, form="mdoc")
        await shop.verifier.answer(id, await shop.reply(id, Card(), Format.MDOC))
        text = (await site.get(f"{path}?lang=en")).text
        assert 'data-outcome="refused" data-step="standing" data-code="status_unknown" data-format="mdoc"' in text
        assert "Step 5:" in text


async def test_cancel_goes_back_to_the_start(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        path, _ = await asked(site)
        answer = await post(site, f"{path}/cancel", {}, page=path)
        assert answer.headers["location"] == "/checker/"
        assert 'data-outcome="cancelled"' in (await site.get(path)).text


async def test_another_shops_check_is_not_there(shop: Shop) -> None:
    async with shop.site() as mine, shop.site() as other:
        await enrolled(shop, mine)
        await enrolled(shop, other, "rental")
        path, _ = await asked(mine)
        assert (await other.get(path)).status_code == 404
        assert (await post(other, f"{path}/cancel", {})).status_code == 404


async def test_signing_the_till_off(shop: Shop) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        assert (await post(site, "/checker/till/end", {})).status_code == 303
        assert 'id="till-code"' in (await site.get("/checker/")).text


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"purpose": "everything"}, 404), ({}, 404), ({"purpose": "alcohol_tobacco", "form": "pdf"}, 400)],
)
async def test_what_cannot_be_asked_is_refused_in_words(shop: Shop, fields: dict[str, str], status: int) -> None:
    async with shop.site() as site:
        await enrolled(shop, site)
        assert (await post(site, "/checker/checks", fields)).status_code == status


# --- the wallet's doors -----------------------------------------------------------------------------------------------


async def test_a_wallet_nonce_comes_back_signed(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    async with shop.site() as wallet:
        answer = await wallet.post(f"/verifier/requests/{id}", data={"wallet_nonce": "n-1", "wallet_metadata": "{}"})
        jws = jose.Jws.parse(answer.text, typ="oauth-authz-req+jwt")
        jws.verify(leaf_key(jws.x5c[0]))
        claims = jws.claims()
        assert claims["wallet_nonce"] == "n-1"
        assert claims["aud"] == "https://self-issued.me/v2"
        assert claims["response_uri"] == f"{BASE}/verifier/responses/{id}"
        assert (await wallet.post(f"/verifier/requests/{id}")).status_code == 200
        bad = await wallet.post(f"/verifier/requests/{id}", data={"wallet_nonce": "n" * 600})
        assert (bad.status_code, bad.json()["error"]) == (400, "invalid_request")


async def test_a_wallet_that_could_not_answer_is_told_and_ends_nothing(shop: Shop) -> None:
    """OpenID4VP 1.0 5.10.2: with any error response the wallet must terminate; another one may still answer."""
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    async with shop.site() as wallet:
        url = f"/verifier/requests/{id}"
        for metadata in ('{"vp_formats_supported":{"ldp_vc":{}}}', "{", '{"jwks":{"keys":[]}}'):
            refused = await wallet.post(url, data={"wallet_metadata": metadata})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert (await wallet.post(f"/verifier/responses/{id}", data=await shop.reply(id))).status_code == 200


async def test_a_shop_is_known_by_its_hosts_name_where_its_certificate_says_so(shop: Shop) -> None:
    """OpenID4VP 1.0 5.9.3, x509_san_dns; the certificate of one shop names the host, that of the other does not."""
    rental, mart = await shop.till("rental"), await shop.till("mart")
    named = Manner(prefix="x509_san_dns", method="post")
    id = await shop.verifier.open(rental, "alcohol_tobacco", Form.EITHER, named)
    look = await shop.verifier.look(rental, id)
    assert isinstance(look, Waiting)
    assert look.qr.startswith("openid4vp://?client_id=x509_san_dns%3Amapae.test&")
    assert look.qr.endswith("&request_uri_method=post")
    assert (await shop.request(id))["client_id"] == "x509_san_dns:mapae.test"
    await shop.verifier.answer(id, await shop.reply(id))
    ended = await shop.verifier.look(rental, id)
    assert isinstance(ended, Ended) and ended.verdict.outcome is Outcome.ACCEPTED
    with pytest.raises(Refused) as refused:
        await shop.verifier.open(mart, "alcohol_tobacco", Form.EITHER, named)
    assert refused.value.code is Code.UNSUPPORTED


async def test_a_query_of_ones_own_is_for_the_demo_country_alone(shop: Shop) -> None:
    own = Manner(query='{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["x"]}}]}')
    till = await shop.till()
    with pytest.raises(Refused) as refused:  # not under the name of a registered purpose
        await shop.verifier.open(till, "alcohol_tobacco", Form.EITHER, own)
    assert refused.value.code is Code.OVER_ASKING
    assert await shop.verifier.open(till, OWN, Form.EITHER, own)
    async with opened(shop.db, shop.clock, own_queries=False) as real:
        with pytest.raises(Refused) as refused:
            await real.verifier.open(till, OWN, Form.EITHER, own)
    assert refused.value.code is Code.OVER_ASKING


async def test_strangers_get_the_protocols_errors(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    async with shop.site() as wallet:
        url = f"/verifier/responses/{id}"
        reply = await shop.reply(id)
        assert (await wallet.get("/verifier/requests/none")).status_code == 404
        assert (await wallet.post("/verifier/responses/none", data=reply)).status_code == 404
        assert (await wallet.post(url, json={"response": "x"})).status_code == 400
        assert (await wallet.post(url, content=b"")).status_code == 400
        assert (await wallet.post(url, data={"response": "x" * (RESPONSE_LIMIT + 5000)})).status_code == 413
        assert (await wallet.delete(url)).status_code == 405
        assert (await wallet.post(url, data=reply)).status_code == 200
        replay = await wallet.post(url, data=reply)
        assert (replay.status_code, replay.json()["error"]) == (400, "invalid_request")
        assert (await wallet.get(f"/verifier/requests/{id}")).status_code == 400


def test_every_code_a_check_can_end_with_has_words() -> None:
    codes = [
        Code.UNTRUSTED_ISSUER, Code.BAD_CERTIFICATE, Code.BAD_SIGNATURE, Code.BAD_DIGEST, Code.BAD_HOLDER_PROOF,
        Code.WRONG_NONCE, Code.WRONG_AUDIENCE, Code.NOT_YET_VALID, Code.SUSPENDED, Code.REVOKED, Code.STATUS_UNKNOWN,
        Code.NOT_WHAT_WAS_ASKED, Code.MALFORMED, Code.UNSUPPORTED, Code.TOO_LARGE,
    ]  # fmt: skip
    for reason in (
        *codes,
        "answer_no",
        "document_expired",
        "access_denied",
        "declined",
        "nobody",
        "cancelled",
        "accepted",
    ):
        assert knows(f"checker.reason.{reason}")
