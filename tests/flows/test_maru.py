"""The second country: Maru's own rules, from data alone, through the same code as Korea's.

Whatever is tested here differs between the packs: adult at eighteen, five-digit codes, a card without a card before it,
batches of six, children from twelve.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from mapae.catalog import hindrances
from mapae.errors import Code, Refused
from town import Citizen, Officer, Town

FORMS = ["sd_jwt", "mdoc"]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maru's data folder, made once and copied for each test: seeding takes longer than what is tested."""
    data = tmp_path_factory.mktemp("maru") / "var"
    with start_blocking_portal() as portal:
        Town.open(portal, data, country="demo").close()
    return data


@pytest.fixture
def maru(seeded: Path, tmp_path: Path) -> Iterator[Town]:
    shutil.copytree(seeded, tmp_path / "var")
    with start_blocking_portal() as portal:
        town = Town.open(portal, tmp_path / "var", country="demo")
        yield town
        town.close()


def offer(officer: Officer, citizen: Citizen) -> str:
    """The counter in Maru: no physical card to look at, only the face."""
    officer.find(citizen)
    officer.do("/desk/cases", task="issue", kind="islander_card")
    officer.do("/face", same="yes")
    officer.do("/file")
    return officer.offer()


def obtain(maru: Town, citizen: Citizen) -> Any:
    assert citizen.enrol() == "active"
    cards = citizen.receive(offer(maru.officer(maru.office_of(citizen)), citizen))
    maru.settle()
    return cards


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_story_holds_in_another_country(maru: Town, form: str) -> None:
    alia = maru.citizen("alia")
    obtain(maru, alia)
    bar = maru.till("harbour_bar")
    assert bar.check(alia, "bar", form)["outcome"] == "accepted"

    alia.report_phone_lost()
    maru.clock.advance(seconds=5)
    assert bar.check(alia, "bar", form) == {"outcome": "refused", "step": "standing", "code": "suspended"}

    officer = maru.officer(maru.office_of(alia))
    officer.find(alia, "release")
    officer.do("/desk/cases", task="release", kind="islander_card")
    officer.do("/face", same="yes")
    officer.do("/release")
    maru.settle()
    maru.clock.advance(seconds=6)
    assert bar.check(alia, "bar", form)["outcome"] == "accepted"


@pytest.mark.parametrize("form", FORMS)
def test_eighteen_is_adult_in_maru_on_the_birthday(maru: Town, form: str) -> None:
    berin = maru.citizen("berin")  # turned 18 today
    obtain(maru, berin)
    assert maru.till("harbour_bar").check(berin, "bar", form)["outcome"] == "accepted"


def test_the_day_before_the_eighteenth_birthday_is_too_early(maru: Town) -> None:
    dove = maru.citizen("dove")  # turns 18 tomorrow
    obtain(maru, dove)
    bar = maru.till("harbour_bar")
    assert bar.check(dove, "bar")["outcome"] == "no"
    maru.clock.set(datetime(2026, 3, 2, 11, 1, tzinfo=UTC))  # 3 March, 0:01 in Apia
    maru.call(dove.wallet.renew_if_needed)
    assert bar.check(dove, "bar")["outcome"] == "accepted"


def test_codes_have_five_digits_and_three_tries(maru: Town) -> None:
    alia = maru.citizen("alia")
    http, base = maru.house.foundation.http, maru.house.settings.base_url
    who = alia.named.resident
    asked = {
        "name": who.name, "resident_number": who.number.written, "phone": alia.number, "audience": "wallet_provider",
    }  # fmt: skip
    started = maru.call(lambda: http.post(f"{base}/identity/checks", json=asked)).json()
    assert (started["tries"], started["expires_in"]) == (3, 120)
    assert len(maru.code_sent_to(alia.number)) == 5


def test_a_batch_holds_six_copies(maru: Town) -> None:
    alia = maru.citizen("alia")
    obtain(maru, alia)
    ferry = maru.till("ferry_line")
    for _ in range(6):
        alia.show(ferry.ask("ferry", "sd_jwt"))
        assert ferry.verdict()["outcome"] == "accepted"
    with pytest.raises(Refused) as refused:
        alia.show(ferry.ask("ferry", "sd_jwt"))
    assert refused.value.code is Code.EXPIRED


def test_a_child_of_eleven_is_told_why_not(maru: Town) -> None:
    cini = maru.citizen("cini")
    assert cini.enrol() == "active"
    listed = {document["id"]: document for document in maru.call(cini.wallet.documents)["documents"]}
    assert listed["islander_card"]["state"] == "not_eligible"
    assert listed["islander_card"]["reason"] == "too_young"


def test_a_shop_may_ask_for_its_own_purposes_only(maru: Town) -> None:
    page = maru.till("ferry_line").go("/checker/")
    assert "alcohol" not in page.html.lower()
    assert "ferry" in page.html


def test_nobody_needs_a_plastic_card_but_everybody_a_face_on_record(maru: Town) -> None:
    """Maru's card presupposes no other card; the officer still compares a face, so a photo must be there."""
    document = maru.house.country.documents["islander_card"]
    today = maru.house.country.today(maru.clock.now())
    alia = maru.named("alia").resident

    class Facts:
        birth_date, citizen, municipality = alia.number.birth_date, True, alia.municipality
        deceased_on, card = None, None
        photo_taken: Any = today
        records: Any = {}

    assert hindrances(maru.house.country, document, Facts(), today) == ()  # type: ignore[arg-type]
    Facts.photo_taken = None
    assert hindrances(maru.house.country, document, Facts(), today) == (Code.RECORD_PHOTO_TOO_OLD,)  # type: ignore[arg-type]
