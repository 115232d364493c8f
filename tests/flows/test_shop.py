"""In the shop: what is shown, to whom, and on which day the answer changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mapae.errors import Code, Refused
from town import Town

FORMS = ["sd_jwt", "mdoc"]


@pytest.mark.parametrize("form", FORMS)
def test_name_and_birth_date_are_shown_once_and_then_forgotten(town: Town, form: str) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    jisoo.show(till.ask("name_birth_date", form))
    assert till.verdict()["outcome"] == "accepted"
    assert till.page is not None
    assert jisoo.named.resident.name in till.page["shown-name"].text
    till.do("/done")
    town.call(town.house.verifier.sweep)
    raw = b"".join(path.read_bytes() for path in town.house.foundation.data.glob("verifier.db*"))
    assert jisoo.named.resident.name.encode() not in raw


@pytest.mark.parametrize("form", FORMS)
def test_an_age_check_hands_over_one_yes_or_no_and_nothing_else(town: Town, form: str) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    jisoo.show(town.till().ask("alcohol_tobacco", form))
    shown = jisoo.wallet.history[-1]
    assert [str(item).rsplit(".", 1)[-1] for item in shown.items] == ["adult_by_year"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("key", "alcohol", "contract"),
    [
        ("birthday19today", "accepted", "accepted"),
        ("birthday19tomorrow", "accepted", "no"),
        ("adultbyyear", "accepted", "no"),
        ("minorbyyear", "no", "no"),
    ],
)
def test_both_adult_tests_are_right_on_the_day(town: Town, form: str, key: str, alcohol: str, contract: str) -> None:
    """Youth Protection Act article 2: from 1 January of the year; Civil Act article 4: from the birthday."""
    citizen = town.citizen(key)
    citizen.obtain()
    till = town.till()
    assert till.check(citizen, "alcohol_tobacco", form)["outcome"] == alcohol
    assert till.check(citizen, "adult_contract", form)["outcome"] == contract


def test_the_answer_changes_with_the_birthday_and_not_an_hour_later(town: Town) -> None:
    citizen = town.citizen("birthday19tomorrow")
    citizen.obtain()
    till = town.till()
    midnight = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # 3 March, 0 o'clock in Seoul
    town.clock.set(midnight)
    town.clock.advance(minutes=2)
    with pytest.raises(Refused) as refused:  # yesterday's copies say no: they ended at midnight
        citizen.show(till.ask("adult_contract"))
    assert refused.value.code is Code.EXPIRED
    town.call(citizen.wallet.renew_if_needed)
    assert till.check(citizen, "adult_contract")["outcome"] == "accepted"


def test_the_answer_changes_with_the_year(town: Town) -> None:
    citizen = town.citizen("minorbyyear")
    citizen.obtain()
    town.clock.set(datetime(2026, 12, 31, 15, 1, tzinfo=UTC))  # 1 January 2027 in Seoul
    town.call(citizen.wallet.renew_if_needed)
    assert town.till().check(citizen, "alcohol_tobacco")["outcome"] == "accepted"


@pytest.mark.parametrize("form", FORMS)
def test_after_a_change_in_the_register_the_card_is_accepted_with_a_note_and_refreshes_itself(
    town: Town, form: str
) -> None:
    """RENEW: the officer asks, the shop says so and accepts, the wallet fetches today's record, the note is gone."""
    jisoo = town.citizen()
    jisoo.obtain()
    officer = town.officer(town.office_of(jisoo))
    officer.find(jisoo, "enquiry")
    officer.do("/renew")
    town.clock.advance(seconds=5)
    till = town.till()
    assert till.check(jisoo, "name_birth_date", form)["outcome"] == "accepted"
    assert till.page is not None and till.page.find("renew") is not None
    assert town.call(jisoo.wallet.check_status, jisoo.wallet.cards[0]) == "renew"
    assert town.call(jisoo.wallet.renew_if_needed) == 1
    assert town.call(jisoo.wallet.check_status, jisoo.wallet.cards[0]) == "valid"
    town.clock.advance(seconds=5)
    assert till.check(jisoo, "name_birth_date", form)["outcome"] == "accepted"
    assert till.page.find("renew") is None


def test_ten_copies_are_used_once_each_and_then_renewed(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    for _ in range(12):
        town.call(jisoo.wallet.renew_if_needed)
        assert till.check(jisoo, "alcohol_tobacco", "sd_jwt")["outcome"] == "accepted"


def test_a_card_is_over_after_three_years(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    town.clock.advance(days=3 * 365 + 2)
    town.restart()  # certificates are renewed at a start
    jisoo.restart()
    with pytest.raises(Refused) as refused:
        town.call(jisoo.wallet.renew, jisoo.wallet.cards[0])
    assert refused.value.code is Code.INVALID_GRANT
    with pytest.raises(Refused):
        jisoo.show(town.till().ask("alcohol_tobacco"))


def test_a_shop_may_ask_only_for_its_registered_purposes(town: Town) -> None:
    till = town.till("corner_store")
    till.go("/checker/")
    page = till.do("/checker/checks", purpose="name_birth_date", form="either")
    assert page.find("qr") is None
    assert page.status >= 400


def test_a_question_is_answered_once(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    qr = till.ask("alcohol_tobacco")
    jisoo.show(qr)
    with pytest.raises(Refused):
        jisoo.show(qr)
    assert till.verdict()["outcome"] == "accepted"


def test_saying_no_is_shown_without_a_reason(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    asked = town.call(jisoo.wallet.open_request, till.ask("alcohol_tobacco"))
    town.call(jisoo.wallet.refuse, asked)
    assert till.verdict()["outcome"] == "declined"


def test_a_question_runs_out(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    qr = till.ask("alcohol_tobacco")
    town.clock.advance(minutes=10)
    with pytest.raises(Refused):
        jisoo.show(qr)
    assert till.verdict()["outcome"] == "expired"
