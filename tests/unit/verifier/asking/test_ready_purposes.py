"""What each ready purpose asks, as it goes over the wire (OpenID4VP 1.0 section 6): this table is the minimum, and a
purpose that comes to ask for more changes it here."""

from __future__ import annotations

import pytest

from mapae.catalog import Country, parse_country
from mapae.config import country_tree
from mapae.verifier.asking.ask import Form, question

PACKS = {name: parse_country(country_tree(name)) for name in ("kr", "demo")}
RESIDENT = ("urn:mapae:kr:resident-card:1", "kr.mapae.resident.1")
DRIVING = ("urn:mapae:kr:driving-licence:1", "kr.mapae.driving.1")
GUARDIAN = ("urn:mapae:kr:guardian-card:1", "kr.mapae.guardian.1")
ISLANDER = ("urn:mapae:demo:islander-card:1", "demo.mapae.islander.1")
READY = {
    ("kr", "alcohol_tobacco"): (RESIDENT, ["adult_by_year"]),
    ("kr", "adult_contract"): (RESIDENT, ["age_over_19"]),
    ("kr", "name_birth_date"): (RESIDENT, ["name", "birth_date"]),
    ("kr", "rental_car"): (DRIVING, ["name", "licence_classes", "valid_until"]),
    ("kr", "bank_account"): (RESIDENT, ["name", "birth_date", "address", "nationality"]),
    ("kr", "hospital_reception"): (RESIDENT, ["name", "birth_date"]),
    ("kr", "hospital_ward"): (GUARDIAN, ["name", "ward_name", "ward_birth_date", "valid_until"]),
    ("kr", "phone_contract"): (RESIDENT, ["name", "birth_date"]),
    ("kr", "library_card"): (RESIDENT, ["name", "address"]),
    ("demo", "bar"): (ISLANDER, ["age_over_18"]),
    ("demo", "ferry"): (ISLANDER, ["name", "home"]),
    ("demo", "clinic"): (ISLANDER, ["name", "born"]),
    ("demo", "boat_hire"): (("urn:mapae:demo:boat-licence:1", "demo.mapae.boat.1"), ["name", "boats", "valid_until"]),
    ("demo", "clinic_ward"): (("urn:mapae:demo:guardian-letter:1", "demo.mapae.guardian.1"),
                              ["name", "ward_name", "ward_born", "valid_until"]),
}  # fmt: skip


@pytest.mark.parametrize(("pack", "purpose"), sorted(READY))
def test_the_query_of_a_ready_purpose_is_its_minimum_in_either_format(pack: str, purpose: str) -> None:
    country: Country = PACKS[pack]
    (vct, doctype), items = READY[pack, purpose]
    asked = question(country, country.purposes[purpose], Form.EITHER)
    assert asked.dcql == {
        "credentials": [
            {"id": "sd_jwt", "format": "dc+sd-jwt", "meta": {"vct_values": [vct]},
             "claims": [{"path": [item]} for item in items]},
            {"id": "mdoc", "format": "mso_mdoc", "meta": {"doctype_value": doctype},
             "claims": [{"path": [doctype, item]} for item in items]},
        ],
        "credential_sets": [{"options": [["sd_jwt"], ["mdoc"]]}],
    }  # fmt: skip


@pytest.mark.parametrize("pack", sorted(PACKS))
def test_every_ready_purpose_says_why_by_which_law_for_how_long_and_in_both_languages(pack: str) -> None:
    for purpose in PACKS[pack].purposes.values():
        for words in (purpose.name, purpose.why, purpose.legal_basis, purpose.retention):
            assert words.ko and words.en and words.ko != words.en, purpose.id


def test_a_wrong_yes_that_costs_much_is_not_given_by_an_old_pack() -> None:
    """Bank, phone and guardian: beyond a day without network there is no verdict."""
    for purpose in ("bank_account", "phone_contract", "hospital_ward"):
        found = PACKS["kr"].purposes[purpose]
        assert found.risk == "high" and found.offline.last <= 24 and not found.by_holder and not found.anyone
