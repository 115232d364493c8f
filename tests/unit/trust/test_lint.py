"""The linter says what is too much before anybody reviews it: each rule, with its words and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import lint
from mapae.trust.application import Application, Asking, check, entry, risk_of
from mapae.ui.words import words

KR = parse_country(country_tree("kr"))
RULES = lint.rules_of(country_tree("kr", "lint"))
KEY = dict(PublicKey.from_jwk(Signer.ephemeral().jwk).jwk)
WHY = "To hand the parcel to the person it is for."


def own(**more: Any) -> dict[str, Any]:
    return {"id": "pickup", "name": "Parcel pick-up", "why": WHY, "legal_basis": "Postal Act, article 3",
            "items": ["name"], "days": 7, "risk": "medium", **more}  # fmt: skip


def shop(*purposes: dict[str, Any], **more: Any) -> Application:
    return check({"id": "corner", "name": "Corner", "number": "123-45-67890",
                  "contact": "https://corner.example/privacy", "purposes": list(purposes), **more})  # fmt: skip


def rules(made: Application) -> dict[str, str]:
    """Rule -> `stop`, `basis`, `answered` or `warn`."""
    return {one.rule: "answered" if one.answer else one.level for one in lint.lint(made, KR, RULES)}


def test_every_ready_purpose_of_the_packs_is_clean() -> None:
    """One click has the minimum already, so the linter has nothing to say to it."""
    for name in ("kr", "demo"):
        country, known = parse_country(country_tree(name)), lint.rules_of(country_tree(name, "lint"))
        for id in country.purposes:
            assert not [one for one in lint.lint(shop({"ready": id}), country, known) if one.stops], (name, id)


CASES = {
    "no_purpose": ([], "stop"),
    "unknown_purpose": ([{"ready": "world_domination"}], "stop"),
    "nothing_asked": ([own(items=[])], "stop"),
    "unknown_item": ([own(items=["name", "shoe_size"])], "stop"),
    "never": ([own(items=["resident_number"], legal_basis="Any Act names the resident number")], "stop"),
    "beyond_minimum": ([{"ready": "alcohol_tobacco", "items": ["name"]}], "basis"),
    "yes_no_serves": ([own(items=["birth_date"])], "basis"),
    "unnamed_in_law": ([own(items=["address"])], "basis"),
    "name_for_age": ([own(items=["name", "age_over_19"])], "basis"),
    "kept_too_long": ([own(days=365)], "basis"),
    "name_missing": ([own(name=None)], "stop"),
    "why_missing": ([own(why="Why?")], "stop"),
    "why_same": ([own(), own(id="other")], "stop"),
    "basis_missing": ([own(legal_basis=None)], "stop"),
    "basis_long": (
        [
            {
                "ready": "alcohol_tobacco",
                "items": ["name", "address"],
                "basis": {"address": "A" * 299, "name": "N" * 299},
            }
        ],
        "stop",
    ),
    "risk_undeclared": ([own(items=["portrait"], legal_basis="Photo Act", risk="medium")], "stop"),
    "many_items": ([own(items=["name", "issue_date", "expiry_date", "issuing_country", "issuing_authority"])], "warn"),
    "ready_fits": ([own(items=["age_over_19"], days=0, risk="low")], "warn"),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_up(rule: str) -> None:
    purposes, level = CASES[rule]
    assert rules(shop(*purposes)).get(rule) == level
    if level == "stop":
        with pytest.raises(Refused) as refused:
            lint.must_not_be_excessive(lint.lint(shop(*purposes), KR, RULES))
        assert refused.value.code is Code.EXCESSIVE and refused.value.step


def test_every_rule_has_a_case_and_words_in_both_languages() -> None:
    elsewhere = {"only_for", "contact_inside", "name_alike", "name_mixed", "id_before"}
    for language in ("ko", "en"):
        said = {key.split(".")[2] for key in words(language) if key.startswith("rp.rule.")}  # type: ignore[arg-type]
        assert said == CASES.keys() | elsewhere


def test_what_to_do_about_an_undeclared_risk_is_said_as_the_form_says_it() -> None:
    made = shop(own(items=["portrait"], legal_basis="Photo Act"))
    [found] = [one for one in lint.lint(made, KR, RULES) if one.rule == "risk_undeclared"]
    assert "‘높음’(high)" in found.do.ko and "“High” (high)" in found.do.en


def test_the_risk_that_governors_read_is_the_one_it_is_asked_by() -> None:
    plain = Asking(ready="alcohol_tobacco")
    more = Asking(ready="alcohol_tobacco", items=("name",), basis={"name": "law 1"})
    own = Asking(id="bread", document="resident_card", name=Words(ko="빵", en="bread"), items=("name",), risk="medium")
    assert [risk_of(one, KR) for one in (plain, more, own)] == ["low", "high", "medium"]


def test_what_nothing_objects_to_is_let_through() -> None:
    assert rules(shop(own(), key=KEY)) == {"ready_fits": "warn"}  # a payment is confirmed with just the name
    lint.must_not_be_excessive(lint.lint(shop(own()), KR, RULES))


def test_a_law_for_just_this_item_answers_the_objection_and_the_holder_reads_it() -> None:
    made = shop({"ready": "alcohol_tobacco", "items": ["name"], "basis": {"name": "Liquor Tax Act, article 9"}})
    assert rules(made) == {"beyond_minimum": "answered"}
    lint.must_not_be_excessive(lint.lint(made, KR, RULES))
    [purpose] = entry(made, "A" * 43, KR).purposes
    assert purpose.items == ("adult_by_year", "name") and purpose.legal_basis.en.endswith(
        "Name: Liquor Tax Act, article 9"
    )


def test_words_that_answer_no_objection_do_not_come_to_stand_beside_a_ready_purpose() -> None:
    """The holder would read them as the country's: "adult: the police recommends to say yes"."""
    basis = {"adult_by_year": "The police recommends to say yes", "retention": "for ever", "name": "Act, article 9"}
    made = lint.only_needed(shop({"ready": "alcohol_tobacco", "items": ["name"], "basis": basis}), KR, RULES)
    assert made.purposes[0].basis == {"name": "Act, article 9"}
    assert lint.only_needed(shop({"ready": "alcohol_tobacco", "basis": basis}), KR, RULES).purposes[0].basis == {}


def test_no_law_answers_for_the_resident_number() -> None:
    made = shop(own(items=["resident_number"], basis={"resident_number": "Every Act, article 1"}))
    with pytest.raises(Refused) as refused:
        lint.must_not_be_excessive(lint.lint(made, KR, RULES))
    assert refused.value.step == "never"


def test_an_item_for_one_purpose_alone_is_stopped_in_any_other() -> None:
    only = lint.Rules(items={"name": lint.ItemRule(only=("confirm_payment",))})
    assert "only_for" in {one.rule for one in lint.lint(shop(own()), KR, only)}
    assert "only_for" not in {one.rule for one in lint.lint(shop({"ready": "confirm_payment"}), KR, only)}


def test_the_number_to_log_in_by_is_for_a_log_in_alone_whatever_the_packs_rules() -> None:
    none = lint.rules_of({})
    for purpose in (
        own(items=["login_id"]),
        {"ready": "name_birth_date", "items": ["login_id"], "basis": {"login_id": "x"}},
    ):
        with pytest.raises(Refused) as refused:
            lint.must_not_be_excessive(lint.lint(shop(purpose), KR, none))
        assert refused.value.step == "only_for"
    lint.must_not_be_excessive(lint.lint(shop({"ready": "log_in"}), KR, none))


def test_a_pack_without_rules_of_its_own_still_refuses_what_may_never_be_asked() -> None:
    none = lint.rules_of({})
    assert "never" in {one.rule for one in lint.lint(shop(own(items=["resident_number"])), KR, none)}
    with pytest.raises(Refused) as refused:
        lint.rules_of({"lint": {"items": {"name": {"colour": "red"}}}})
    assert refused.value.code is Code.BAD_CONFIG


@pytest.mark.parametrize("name", ["Hanbit Bank", "HANBIT-BANK", "Hаnbit Bank", "Hanbit Bamk", "Hanblt  Bank", "H4nbit"])
def test_a_name_that_imitates_another_is_shown_to_the_reviewers(name: str) -> None:
    """The third has a Cyrillic а."""
    others = {"bank": Words(ko="한빛은행", en="Hanbit Bank")}
    found = {one.rule for one in lint.names_like(shop(own(), name=name), others)}
    assert ("name_alike" in found) is (name != "H4nbit")
    assert ("name_mixed" in found) is ("а" in name)


def test_other_names_and_ones_own_are_left_alone() -> None:
    others = {"bank": Words(ko="한빛은행", en="Hanbit Bank"), "corner": Words(ko="Corner", en="Corner")}
    assert lint.names_like(shop(own(), name="Corner"), others) == ()
    assert lint.names_like(shop(own(), name={"ko": "한빛약국", "en": "Sea Pharmacy"}), others) == ()


@pytest.mark.parametrize(
    "contact",
    [
        "https://10.0.0.7/x",
        "https://localhost/x",
        "https://[::1]/",
        "https://till.local/",
        "https://printer.lan./",
        "https://0x7f.1/",
        "https://10.1/",
    ],
)
def test_a_contact_that_nobody_outside_can_reach_is_shown_to_the_reviewers(contact: str) -> None:
    assert rules(shop(own(), contact=contact))["contact_inside"] == "warn"


BAD = {
    "control in the name": {"name": "Corner\u202eshop"},
    "empty name": {"name": " "},
    "a name of Hangul fillers, which are letters and drawn as nothing": {"name": "\u3164\u3164"},
    "another's name with fillers between": {"name": "Han\u1160bit\uffa0 Bank"},
    "a line inside the name": {"name": "Corner\u2028shop"},
    "http": {"contact": "http://corner.example/"},
    "script address": {"contact": "javascript:alert(1)"},
    "half an address": {"contact": "https://corner.examp[le/"},
    "credentials in it": {"contact": "https://bank@evil.example/"},
    "no contact": {"contact": ""},
    "id with a slash": {"id": "../corner"},
    "id of nobody, as receipts have it": {"id": "anyone"},
    "surplus member": {"colour": "red"},
    "wrong type": {"number": 7},
    "key of another curve": {"key": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
    "twice": {"purposes": [{"ready": "alcohol_tobacco"}, {"ready": "alcohol_tobacco"}]},
}


@pytest.mark.parametrize("more", BAD.values(), ids=list(BAD))
def test_what_is_no_application_is_refused_before_it_is_linted(more: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        shop(**more)
    assert refused.value.code in (Code.MALFORMED, Code.UNSUPPORTED)


ITEMS = st.lists(st.sampled_from(sorted(c.name for c in KR.documents["resident_card"].claims)), max_size=6, unique=True)


@given(items=ITEMS, days=st.integers(0, 4000), risk=st.sampled_from(["low", "medium", "high"]), ready=st.booleans())
def test_nothing_that_passes_holds_an_unanswered_item_or_one_nobody_may_ask(
    items: list[str], days: int, risk: str, ready: bool
) -> None:
    purpose = {"ready": "alcohol_tobacco", "items": items} if ready else own(items=items, days=days, risk=risk)
    found = lint.lint(shop(purpose), KR, RULES)
    assert found == lint.lint(shop(purpose), KR, RULES)
    if not any(one.stops for one in found):
        assert "resident_number" not in items and (not ready or set(items) <= {"adult_by_year"})
        assert ready or days <= 30
