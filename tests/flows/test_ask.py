"""`mapae demo ask` and a shop's website, with the wallet in Python on the other side."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest

from mapae.demo_ask import Wanted, ask
from mapae.errors import Code, Refused
from mapae.verifier.asking.ask import Form
from running import Running, mapae
from town import BASE, Citizen, Town

PAYMENT = {"payee": "Hanbit", "amount": "12.50", "currency": "USD"}


def client(town: Town) -> httpx.AsyncClient:
    """A browser or program of its own, knocking at the country's doors."""
    return httpx.AsyncClient(base_url=BASE, transport=httpx.ASGITransport(app=town.house.site))


class Asking:
    """The command, running beside the test."""

    def __init__(self, town: Town, wanted: Wanted) -> None:
        self.said: list[dict[str, Any]] = []
        self._town = town
        inside = client(town)
        self._future: Future[bool] = town.portal.start_task_soon(ask, inside, wanted, self.said.append)
        self._until(lambda: self.said)

    @property
    def link(self) -> str:
        return str(self.said[0]["request_uri"])

    def _until(self, there: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not there() and not self._future.done():
            assert time.monotonic() < end
            time.sleep(0.01)

    def verdict(self) -> dict[str, Any]:
        accepted = self._future.result(30)
        assert accepted == (self.said[1]["outcome"] == "accepted")
        return self.said[1]


@pytest.fixture
def jisoo(town: Town) -> Citizen:
    citizen = town.citizen()
    citizen.obtain()
    return citizen


@pytest.mark.parametrize("form", [Form.SD_JWT, Form.MDOC])
@pytest.mark.parametrize(("prefix", "method"), [("x509_hash", "get"), ("x509_san_dns", "post")])
def test_a_question_from_a_command_line_is_answered(
    town: Town, jisoo: Citizen, form: Form, prefix: str, method: str
) -> None:
    """OpenID4VP 1.0 5.9.3, 5.10: both client identifiers, the request fetched both ways."""
    asking = Asking(town, Wanted("name_birth_date", form, prefix, method))
    assert f"client_id={prefix}%3A" in asking.link
    assert ("request_uri_method=post" in asking.link) == (method == "post")
    jisoo.show(asking.link)
    verdict = asking.verdict()
    assert (verdict["outcome"], verdict["format"], verdict["code"]) == ("accepted", form.value, None)
    [claims] = verdict["claims"][form.value]
    assert [value for name, value in claims.items() if name.endswith("name")] == [jisoo.named.resident.name]


def test_a_yes_or_no_comes_with_its_answer(town: Town) -> None:
    """The command sees what a till's page need not."""
    young = town.citizen("minorbyyear")
    young.obtain()
    asking = Asking(town, Wanted("alcohol_tobacco", Form.SD_JWT))
    young.show(asking.link)
    verdict = asking.verdict()
    assert (verdict["outcome"], verdict["code"]) == ("no", "answer_no")
    assert verdict["claims"] == {"sd_jwt": [{"adult_by_year": False}]}


def test_a_payment_is_authorized_with_the_card(town: Town, jisoo: Citizen) -> None:
    """OpenID4VP 1.0 8.4 and B.3.3.1, from the holder's screen to the verifier's check."""
    asking = Asking(town, Wanted("confirm_payment", transaction=PAYMENT))
    asked = town.call(jisoo.wallet.open_request, asking.link)
    [payment] = asked.payments
    assert (payment.payee, payment.amount, payment.currency) == ("Hanbit", "12.50", "USD")
    town.call(jisoo.wallet.present, asked)
    assert asking.verdict()["outcome"] == "accepted"


def test_an_answer_on_the_same_device_counts_in_the_browser_that_asked(town: Town, jisoo: Citizen) -> None:
    """HAIP 1.0 5.1: the wallet follows redirect_uri, and only the session that asked may take the answer."""
    for follows in (True, False):
        asking = Asking(town, Wanted("alcohol_tobacco", same_device=True))
        browser, stranger = client(town), client(town)
        start = town.call(browser.get, asking.said[0]["browser"])
        assert start.status_code == 303
        page = town.call(browser.get, start.headers["location"])
        assert asking.link in page.text.replace("&amp;", "&")
        shown = jisoo.show(asking.link)
        assert shown.redirect_uri is not None
        back = town.call((browser if follows else stranger).get, shown.redirect_uri)
        assert back.status_code == (303 if follows else 403)
        verdict = asking.verdict()
        assert verdict["outcome"] == ("accepted" if follows else "refused")
        assert (verdict["step"], verdict["code"]) == ((None, None) if follows else ("return", "wrong_browser"))


def test_the_holder_may_say_no(town: Town, jisoo: Citizen) -> None:
    asking = Asking(town, Wanted("alcohol_tobacco"))
    asked = town.call(jisoo.wallet.open_request, asking.link)
    town.call(jisoo.wallet.refuse, asked)
    verdict = asking.verdict()
    assert (verdict["outcome"], verdict["code"], verdict["claims"]) == ("declined", "access_denied", {})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted("curiosity"), Code.OVER_ASKING),
        (Wanted("confirm_payment", Form.MDOC, transaction=PAYMENT), Code.UNSUPPORTED),
        (Wanted("confirm_payment", transaction={**PAYMENT, "amount": "1e3"}), Code.MALFORMED),
        (Wanted("confirm_payment", transaction={**PAYMENT, "type": "urn:other"}), Code.UNSUPPORTED),
        (Wanted(query={"credentials": []}), Code.MALFORMED),
        (Wanted(query={"credentials": [{"id": "a", "format": "ldp_vc", "meta": {}}]}), Code.UNSUPPORTED),
        (Wanted(query={"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["x"]}}]},
                anchors=(b"no certificate",)), Code.BAD_CERTIFICATE),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_not_put(town: Town, wanted: Wanted, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        Asking(town, wanted)._future.result(20)
    assert refused.value.code is code


def test_a_foreign_card_is_checked_under_the_anchor_that_was_given(town: Town) -> None:
    """A query of one's own, a credential type of nobody's here, an authority believed for this question alone."""
    from mapae.formats import jose, jwe
    from unit.verifier.world import STRANGER, Card

    query = {
        "credentials": [
            {
                "id": "pid", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:eudi:pid:1"]},
                "claims": [{"path": ["family_name"]}],
            }
        ]
    }  # fmt: skip
    http, now = client(town), town.clock.now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    authority = type(STRANGER)("Abroad", start=day, end=day.replace(year=day.year + 1))
    card = Card(
        authority, vct="urn:eudi:pid:1", claims={"family_name": "Dupont"}, reference=None, starts=day, signed=day,
        ends=day.replace(year=day.year + 1),
    )  # fmt: skip
    for anchors, outcome in (((authority.root,), "accepted"), ((), "refused")):
        asking = Asking(town, Wanted(query=query, anchors=anchors))
        assert asking.said[0]["shop"] == "interop_bench"
        uri = httpx.URL(asking.link).params["request_uri"]
        request = jose.Jws.parse(town.call(http.get, uri).text, typ="oauth-authz-req+jwt").claims()
        assert request["dcql_query"] == query and "mapae_purpose" not in request
        shown = card.sd_jwt().disclose([["family_name"]]).bind(
            card.holder, nonce=request["nonce"], audience=request["client_id"], now=now
        )  # fmt: skip
        payload = {"vp_token": {"pid": [shown]}, "state": request["state"]}
        sealed = jwe.encrypt(json.dumps(payload).encode(), request["client_metadata"]["jwks"]["keys"][0])

        async def answer(uri: str = request["response_uri"], sealed: str = sealed) -> httpx.Response:
            return await http.post(uri, data={"response": sealed})

        assert town.call(answer).status_code == 200
        verdict = asking.verdict()
        assert verdict["outcome"] == outcome
        assert verdict["code"] == (None if anchors else "untrusted_issuer")
        assert verdict["claims"] == ({"pid": [{"family_name": "Dupont"}]} if anchors else {})


# --- the Digital Credentials API, without a browser: OpenID4VP 1.0 Appendix A -----------------------------------------


@pytest.mark.parametrize("kind", ["multisigned", "signed"])
@pytest.mark.parametrize("form", ["sd_jwt", "mdoc"])
def test_a_browser_asks_its_wallet_itself(town: Town, jisoo: Citizen, kind: str, form: str) -> None:
    """What the page hands to navigator.credentials.get goes to the holder by hand, with the origin a platform names."""
    visitor, path = _visit(town, form)
    asked = town.call(lambda: visitor("browser-request", {}))
    [request] = [one for one in asked.json()["requests"] if one["protocol"] == f"openid4vp-v1-{kind}"]
    with pytest.raises(Refused) as refused:  # A.2: expected_origins
        town.call(jisoo.wallet.open_browser_request, request["protocol"], request["data"], "https://evil.example")
    assert refused.value.step == "origin"
    opened = town.call(jisoo.wallet.open_browser_request, request["protocol"], request["data"], BASE)
    _, data = jisoo.wallet.present_in_browser(opened)
    done = town.call(lambda: visitor("browser-answer", {"protocol": request["protocol"], "data": data}))
    assert done.status_code == 200, done.text
    assert 'data-outcome="accepted"' in town.call(lambda: visitor(path, None)).text
    again = town.call(lambda: visitor("browser-answer", {"protocol": request["protocol"], "data": data}))
    assert again.json()["error"] == "session_spent"


def _visit(town: Town, form: str) -> tuple[Any, str]:
    """A visitor's browser on a shop's website, with a question open."""
    browser = client(town)

    async def begin() -> tuple[str, str]:
        start = await browser.get("/shops/guest_house/")
        [token] = set(re.findall(r'name="csrf" value="([^"]+)"', start.text))
        fields = {"csrf": token, "purpose": "alcohol_tobacco", "form": form}
        put = await browser.post("/shops/guest_house/checks", data=fields)
        page = await browser.get(put.headers["location"])
        [token] = set(re.findall(r'data-csrf="([^"]+)"', page.text))
        return put.headers["location"], token

    path, token = town.call(begin)

    async def knock(where: str, message: Any) -> httpx.Response:
        if message is None:
            return await browser.get(where)
        return await browser.post(f"{path}/{where}", json=message, headers={"X-CSRF-Token": token})

    return knock, path


# --- the command as a person types it ---------------------------------------------------------------------------------


def test_the_command_prints_the_request_first_and_ctrl_c_takes_it_back(tmp_path: Path) -> None:
    country = Running(tmp_path).wait()
    words = [sys.executable, "-m", "mapae", "demo", "ask", "--purpose", "alcohol_tobacco", "--url", country.base]
    heard = ["env", "--default-signal=INT"]  # in the background a shell has it ignored
    with subprocess.Popen([*heard, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        link = asking.stdout.readline().strip()
        assert link.startswith("openid4vp://?client_id=x509_hash%3A")
        uri = httpx.URL(link).params["request_uri"]
        assert httpx.get(uri, trust_env=False).status_code == 200
        asking.send_signal(signal.SIGINT)
        assert asking.wait(20) == 130
    gone = httpx.get(uri, trust_env=False)
    assert (gone.status_code, gone.json()["error"]) == (400, "invalid_request")
    told = mapae(tmp_path, "demo", "ask", "--purpose", "curiosity", "--url", country.base)
    assert told.returncode == 1 and "over_asking" in told.stderr
    assert country.stop() == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--purpose", "alcohol_tobacco", "--url", "http://localhost:9"], "mapae demo up"),
        ([], "--purpose and --dcql"),
        (["--purpose", "x", "--form", "pdf"], "either, sd_jwt, mdoc"),
        (["--purpose", "x", "--client-id-prefix", "did"], "x509_hash, x509_san_dns"),
        (["--purpose", "x", "--method", "put"], "get, post"),
        (["--purpose", "x", "--transaction-data", "[]"], "not a JSON object"),
        (["--dcql", "missing.json"], "cannot be read"),
        (["--purpose", "x", "--anchor", "missing.pem"], "no certificate in PEM"),
    ],
)
def test_a_wrong_command_says_what_to_try(tmp_path: Path, words: list[str], said: str) -> None:
    done = mapae(tmp_path, "demo", "ask", *words)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr
