"""The purposes that come with a country, lived through: a car is rented, a ward is brought to the hospital."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code, Refused
from town import Citizen, Officer, Town


def obtain(officer: Officer, citizen: Citizen, kind: str) -> Any:
    officer.find(citizen)
    officer.do("/desk/cases", task="issue", kind=kind)
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
