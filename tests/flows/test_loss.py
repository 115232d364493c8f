"""A phone is lost: one report stops everything, and only the counter lets it go again."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from mapae.errors import Code, Refused
from town import Town


@pytest.mark.parametrize("form", ["sd_jwt", "mdoc"])
def test_every_copy_of_every_format_is_locked_by_one_report(town: Town, form: str) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    assert till.check(jisoo, "alcohol_tobacco", form)["outcome"] == "accepted"
    jisoo.report_phone_lost()
    town.clock.advance(seconds=5)
    for _ in range(3):
        assert till.check(jisoo, "alcohol_tobacco", form)["code"] == "suspended"


def test_a_lost_phone_erases_its_cards_at_its_next_contact(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    jisoo.report_phone_lost()
    standing = town.call(jisoo.wallet.standing)
    assert (str(standing.state), standing.reason) == ("suspended", "lost")
    assert jisoo.wallet.cards == ()


def test_a_locked_phone_cannot_renew(town: Town) -> None:
    jisoo = town.citizen()
    cards = jisoo.obtain()
    jisoo.report_phone_lost()
    with pytest.raises(Refused) as refused:
        town.call(jisoo.wallet.renew, cards[0])
    assert refused.value.code is Code.INVALID_GRANT


def test_release_happens_at_the_counter_and_the_shop_accepts_again(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    jisoo.report_phone_lost()
    officer = town.officer(town.office_of(jisoo))
    officer.open_case(jisoo, task="release")
    officer.do("/face", same="yes")
    officer.do("/release")
    town.settle()
    town.clock.advance(seconds=6)
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_the_portal_offers_no_way_to_release(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    page = jisoo.report_phone_lost()
    assert page["locked-since"]
    assert not [form for form in page.forms if "release" in form.action]


def test_reporting_twice_changes_nothing(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    jisoo.report_phone_lost()
    town.clock.advance(seconds=5)
    assert jisoo.report_phone_lost().status == 200


def test_a_stranger_cannot_lock_somebody_elses_cards(town: Town) -> None:
    """Name and number leak; the code goes to the phone on record."""
    jisoo, minjae = town.citizen(), town.citizen("minjae")
    jisoo.obtain()
    browser = town.browser()
    who = jisoo.named.resident
    start = town.call(browser.get, "/portal/check")
    asked = {"name": who.name, "resident_number": who.number.written, "phone": minjae.number}
    page = town.call(lambda: browser.post(start, "/portal/check", **asked))
    assert not [form for form in page.forms if form.action.endswith("/portal/code")]
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_while_the_wallet_provider_is_away_the_lock_holds_and_the_message_waits(town: Town) -> None:
    """The issuer's lock does not depend on the other role; the promise to tell it is kept later."""
    jisoo = town.citizen()
    jisoo.obtain()
    house, whole = town.house.foundation, town.house.site

    async def cut(scope: Any, receive: Any, send: Any) -> None:
        """A proxy that finds nobody behind the wallet provider's doors for peers."""
        if "/wallet-provider/peer/" in scope["path"]:
            await PlainTextResponse("bad gateway", 502)(scope, receive, send)
        else:
            await whole(scope, receive, send)

    house.site = cut  # type: ignore[assignment]
    jisoo.report_phone_lost()
    town.clock.advance(seconds=5)
    assert town.till().check(jisoo, "alcohol_tobacco")["code"] == "suspended"
    assert str(town.call(jisoo.wallet.standing).state) == "active"
    house.site = whole
    town.clock.advance(minutes=10)
    town.settle()
    assert str(town.call(jisoo.wallet.standing).state) == "suspended"
