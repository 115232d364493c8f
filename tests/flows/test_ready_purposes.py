"""The purposes that come with a country, lived through: a car is rented, a ward is brought to the hospital."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code, Refused
from town import Citizen, Officer, Town


def obtain(officer: Officer, citizen: Citizen, kind: str, about: str = "") -> Any:
    officer.find(citizen)
    officer.do("/desk/cases", task="issue", kind=kind, about=about)
    officer.compare()
    officer.do("/file")
    return citizen.receive(officer.offer())


def shown(citizen: Citizen) -> list[str]:
    return sorted(str(item).rsplit(".", 1)[-1] for item in citizen.wallet.history[-1].items)


def test_a_licence_from_its_own_register_rents_a_car(town: Town) -> None:
    """Name, classes and last day are shown, no number; a licence that has run out is not issued at all."""
    jisoo = town.citizen("jisoo")
    assert jisoo.enrol() == "active"
    cards = obtain(town.officer(town.office_of(jisoo)), jisoo, "driving_licence")
    assert cards
    hire = town.till("car_hire")
    for form in ("sd_jwt", "mdoc"):
        assert hire.check(jisoo, "rental_car", form)["outcome"] == "accepted"
        assert shown(jisoo) == ["licence_classes", "name", "valid_until"]
    assert hire.page is not None and "2종 보통" in hire.page.text

    sunhee = town.citizen("sunhee")
    assert sunhee.enrol() == "active"
    listed = {one["id"]: one for one in town.call(sunhee.wallet.documents)["documents"]}
    assert (listed["driving_licence"]["state"], listed["driving_licence"]["reason"]) == ("not_eligible", "no_record")


def test_a_guardian_checks_a_ward_in_at_the_hospital(town: Town) -> None:
    """The document names guardian and ward, so one question is enough; without a ward there is no such document."""
    guardian, jisoo = town.citizen("guardian"), town.citizen("jisoo")
    assert guardian.enrol() == "active"
    obtain(town.officer(town.office_of(guardian)), guardian, "guardian_card")
    hospital = town.till("hospital")
    assert hospital.check(guardian, "hospital_ward")["outcome"] == "accepted"
    assert shown(guardian) == ["name", "valid_until", "ward_birth_date", "ward_name"]
    assert hospital.page is not None and "엄이슬" in hospital.page.text
    assert jisoo.enrol() == "active"
    listed = {one["id"]: one for one in town.call(jisoo.wallet.documents)["documents"]}
    assert (listed["guardian_card"]["state"], listed["guardian_card"]["reason"]) == ("not_eligible", "no_record")
    with pytest.raises(Refused) as refused:
        jisoo.show(hospital.ask("hospital_ward"))
    assert refused.value.code is Code.NOT_WHAT_WAS_ASKED


def test_a_mother_of_two_has_a_certificate_for_each_and_says_which(town: Town) -> None:
    """One child a document: the officer chooses, and the second ends nothing of the first."""
    mother = town.citizen("parent")
    assert mother.enrol() == "active"
    officer = town.officer(town.office_of(mother))
    page = officer.find(mother)
    elder, younger = [tag.attributes["value"] for tag in page.tags if tag.attributes.get("name") == "about"]
    assert page.text.index("지온유") < page.text.index("지온별"), "the eldest first"
    assert officer.do("/desk/cases", task="issue", kind="guardian_card", about="").status == 400
    assert (
        officer.find(mother) and officer.do("/desk/cases", task="issue", kind="guardian_card", about="x").status == 400
    )

    obtain(officer, mother, "guardian_card", elder)
    listed = {one["id"]: one["state"] for one in town.call(mother.wallet.documents)["documents"]}
    assert listed["guardian_card"] == "available", "there is another child"
    obtain(officer, mother, "guardian_card", younger)
    listed = {one["id"]: one["state"] for one in town.call(mother.wallet.documents)["documents"]}
    assert listed["guardian_card"] == "held"

    hospital = town.till("hospital")
    brought = []
    for at in (0, 1):
        asked = town.call(mother.wallet.open_request, hospital.ask("hospital_ward", "sd_jwt"))
        assert len(asked.options) == 2, "she says which"
        option = sorted(asked.options, key=lambda option: option[0].card)[at]
        town.call(lambda asked=asked, option=option: mother.wallet.present(asked, option))
        assert hospital.verdict()["outcome"] == "accepted"
        assert hospital.page is not None
        brought += [child for child in ("지온유", "지온별") if child in hospital.page.text]
    assert sorted(brought) == ["지온별", "지온유"]
