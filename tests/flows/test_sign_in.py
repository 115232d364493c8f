"""Our own wallet gets cards by every road the issuer offers: signing in, with a transaction code, later.

The Python wallet and the issuer meet over HTTP; the pages are driven without script (HAIP 1.0 section 4, both sides).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest

from foreign import knock
from mapae.errors import Code, Refused
from town import BASE, Citizen, Town, Visitor

REDIRECT = f"{BASE}/wallet/back"


class Page(Visitor):
    """The browser the wallet opened."""

    def sign_in(self, url: str, who: dict[str, str]) -> None:
        self.go(url.removeprefix(BASE))
        self.town.clock.advance(seconds=2)  # so that the newest text message is the newest
        self.do("/check", name=who["name"], number=who["number"], phone=who["phone"])
        inbox = self.town.get_json(unquote(who["inbox"]).removeprefix(BASE))
        found = re.search(r"(?<!\d)(\d{4,10})(?!\d)", inbox["messages"][0]["text"])
        assert found
        self.do("/code", code=found[1])

    def answer(self, action: str = "/approve") -> str:
        """The address the browser is sent back to."""
        assert self.page is not None
        form = self.page.form(action)
        sent = self.town.call(self.browser._send, "POST", form.action, form.fields)
        assert sent.status_code == 303, sent.text
        return str(sent.headers["location"])


def _begin(town: Town, citizen: Citizen, **wanted: Any) -> tuple[dict[str, Any], Page, str]:
    offer = knock(town, "/demo/offers", person=citizen.named.key, grant="authorization-code", **wanted)
    start = town.call(citizen.wallet.authorize, offer["offer"], REDIRECT)
    return offer, Page(town, "en"), start.url


@pytest.mark.parametrize("details", [False, True], ids=["scope", "details"])
def test_by_signing_in(town: Town, details: bool) -> None:
    jisoo = town.citizen()
    assert jisoo.enrol() == "active"
    offer = knock(town, "/demo/offers", person=jisoo.named.key, grant="authorization-code")
    start = town.call(lambda: jisoo.wallet.authorize(offer["offer"], REDIRECT, details=details))
    page = Page(town, "ko")
    page.sign_in(start.url, offer["sign_in"])
    cards = town.call(jisoo.wallet.redeem, page.answer())
    assert {card.format for card in cards} == {"dc+sd-jwt", "mso_mdoc"}
    town.settle()
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"
    assert town.call(jisoo.wallet.renew, cards[0])


def test_the_wallet_asks_by_itself_while_an_order_waits(town: Town) -> None:
    """No offer: the officer's QR is on the desk's screen, the wallet knows the issuer (wallet-initiated)."""
    jisoo = town.citizen()
    jisoo.enrol()
    town.officer(town.office_of(jisoo)).offer_for(jisoo)
    ids = town.get_json("/demo.json")["roles"]["issuer"]["credential_configuration_ids"]
    ids = [id for id in ids if id.startswith("resident_card")]  # one document at a time
    start = town.call(jisoo.wallet.apply, f"{BASE}/issuer", ids, REDIRECT)
    page = Page(town, "en")
    who = jisoo.named.resident
    inbox = f"{BASE}/carrier/inbox.json?phone={jisoo.number}"
    page.sign_in(start.url, {"name": who.name, "number": who.number.written, "phone": jisoo.number, "inbox": inbox})
    assert len(town.call(jisoo.wallet.redeem, page.answer())) == 2


def test_who_says_no_gets_nothing_and_may_begin_again(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    offer, page, url = _begin(town, jisoo)
    page.sign_in(url, offer["sign_in"])
    with pytest.raises(Refused) as refused:
        town.call(jisoo.wallet.redeem, page.answer("/refuse"))
    assert refused.value.code is Code.ACCESS_DENIED
    assert jisoo.wallet.cards == ()
    offer, page, url = _begin(town, jisoo)
    page.sign_in(url, offer["sign_in"])
    assert len(town.call(jisoo.wallet.redeem, page.answer())) == 2


def test_somebody_who_signs_in_for_another_is_turned_away(town: Town) -> None:
    """Minjae signs in, on Jisoo's phone and offer: the page says so, and the wallet hears access_denied."""
    jisoo = town.citizen()
    jisoo.enrol()
    _, page, url = _begin(town, jisoo)
    minjae = knock(town, "/demo/offers", person="minjae", grant="authorization-code")["sign_in"]
    page.sign_in(url, minjae)
    assert page.page is not None and page.page.status == 403 and page.page["denied"]
    with pytest.raises(Refused) as refused:
        town.call(jisoo.wallet.redeem, page.answer("/refuse"))
    assert refused.value.code is Code.ACCESS_DENIED


def test_a_card_that_is_looked_at_twice_comes_later(town: Town) -> None:
    """Deferred (OpenID4VCI 9), over a restart of every role and of the wallet."""
    jisoo = town.citizen()
    jisoo.enrol()
    offer = knock(town, "/demo/offers", person=jisoo.named.key, deferred=90)
    assert town.call(jisoo.wallet.receive, offer["offer"]) == []
    town.restart()
    jisoo.restart()
    assert jisoo.wallet.ask_again_at is not None
    town.clock.advance(seconds=91)
    town.call(jisoo.wallet.resume)
    assert {card.format for card in jisoo.wallet.cards} == {"dc+sd-jwt", "mso_mdoc"}


def test_a_transaction_code_travels_beside_the_qr(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    offer = knock(town, "/demo/offers", person=jisoo.named.key, tx_code=True)
    made = town.call(jisoo.wallet.offer, offer["offer"])
    assert made.pre_authorized is not None and made.pre_authorized.tx_code is not None
    assert len(town.call(jisoo.wallet.receive, offer["offer"], offer["tx_code"])) == 2
