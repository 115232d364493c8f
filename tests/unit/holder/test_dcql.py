"""OpenID4VP 1.0 section 6, rule by rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.holder.dcql import Candidate, answers, asked_claims, parse

VCT = "urn:card"
CARD = Candidate(
    "card-1", "dc+sd-jwt", VCT,
    {"name": "Kim", "age": 20, "adult": True, "address": {"city": "Sejong"}, "tags": ["a", "b"]}, frozenset({"aki-1"}),
)  # fmt: skip
MDOC = Candidate("card-2", "mso_mdoc", "kr.card", {"kr.card": {"name": "Kim", "adult": True}}, frozenset({"aki-2"}))


def query(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "q", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}} | changes
    return {name: value for name, value in made.items() if value is not None}


def mdoc(**changes: Any) -> dict[str, Any]:
    claims = [{"path": ["kr.card", "adult"]}]
    return query(id="m", format="mso_mdoc", meta={"doctype_value": "kr.card"}, claims=claims) | changes


def found(raw: dict[str, Any], *cards: Candidate) -> list[list[tuple[str, str, list[Any]]]]:
    options = answers(parse(raw), cards or (CARD, MDOC))
    return [[(match.query, match.card, [list(path) for path in match.paths]) for match in option] for option in options]


def one(*claims: Any, **changes: Any) -> dict[str, Any]:
    return {"credentials": [query(claims=list(claims) or None, **changes)]}


def test_without_claims_only_what_is_always_there_is_asked() -> None:
    assert found(one()) == [[("q", "card-1", [])]]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (["name"], True), (["address", "city"], True), (["tags", 1], True), (["tags", None], True),
        (["nothing"], False), (["tags", 2], False), (["name", None], False), (["name", "city"], False),
        (["address", 0], False), ([None], False),
    ],
)  # fmt: skip
def test_a_path_finds_what_is_there(path: list[Any], there: bool) -> None:
    assert bool(found(one({"path": path}))) is there


@pytest.mark.parametrize(
    ("path", "values", "fits"),
    [
        (["name"], ["Kim", "Lee"], True), (["name"], ["Lee"], False), (["age"], [20], True), (["age"], ["20"], False),
        (["adult"], [True], True), (["adult"], [1], False), (["age"], [True], False), (["tags", None], ["b"], True),
    ],
)  # fmt: skip
def test_values_match_by_type_and_value(path: list[Any], values: list[Any], fits: bool) -> None:
    assert bool(found(one({"path": path, "values": values}))) is fits


def test_all_claims_or_no_card() -> None:
    assert found(one({"path": ["name"]}, {"path": ["nothing"]})) == []


def test_claim_sets_take_the_first_that_can_be_met() -> None:
    claims = [{"id": "a", "path": ["nothing"]}, {"id": "b", "path": ["adult"]}, {"id": "c", "path": ["name"]}]
    raw = {"credentials": [query(claims=claims, claim_sets=[["a", "c"], ["b"], ["c"]])]}
    assert found(raw) == [[("q", "card-1", [["adult"]])]]
    raw = {"credentials": [query(claims=claims, claim_sets=[["a"]])]}
    assert found(raw) == []


def test_type_format_and_authority_must_fit() -> None:
    assert found(one(meta={"vct_values": ["urn:other"]})) == []
    assert found(one(trusted_authorities=[{"type": "aki", "values": ["aki-1", "x"]}]))
    assert found(one(trusted_authorities=[{"type": "aki", "values": ["aki-2"]}])) == []
    assert found(one(trusted_authorities=[{"type": "etsi_tl", "values": ["aki-1"]}])) == []
    assert found(one(format="ldp_vc", meta={})) == []


def test_every_query_must_be_met_when_there_are_no_sets() -> None:
    assert found({"credentials": [query(), mdoc()]}) == [[("q", "card-1", []), ("m", "card-2", [["kr.card", "adult"]])]]
    assert found({"credentials": [query(), mdoc()]}, CARD) == []


def test_sets_offer_alternatives_in_the_verifiers_order() -> None:
    raw = {"credentials": [query(), mdoc()], "credential_sets": [{"options": [["m"], ["q"]]}]}
    assert [option[0][0] for option in found(raw)] == ["m", "q"]
    assert [option[0][0] for option in found(raw, CARD)] == ["q"]
    assert found(raw, Candidate("x", "dc+sd-jwt", "urn:other", {}, frozenset())) == []


def test_what_is_optional_is_not_given() -> None:
    sets = [{"options": [["q"]]}, {"options": [["m"]], "required": False}]
    assert found({"credentials": [query(), mdoc()], "credential_sets": sets}) == [[("q", "card-1", [])]]


def test_two_cards_of_a_kind_are_two_ways() -> None:
    other = Candidate("card-3", "dc+sd-jwt", VCT, CARD.claims, CARD.authorities)
    assert [option[0][1] for option in found(one(), CARD, other)] == ["card-1", "card-3"]


def test_many_alternatives_stay_few() -> None:
    """A hostile query cannot make the wallet count for ever."""
    queries = [query(id=f"q{n}") for n in range(16)]
    sets = [{"options": [[f"q{n}"] for n in range(16)]} for _ in range(16)]
    cards = [Candidate(f"c{n}", "dc+sd-jwt", VCT, {}, frozenset()) for n in range(16)]
    assert 0 < len(found({"credentials": queries, "credential_sets": sets}, *cards)) <= 64


def test_asked_claims_are_the_names_a_purpose_lists() -> None:
    dcql = parse({"credentials": [query(claims=[{"path": ["address", "city"]}, {"path": [None]}]), mdoc()]})
    assert [asked_claims(asked) for asked in dcql.queries] == [("address", None), ("adult",)]


@pytest.mark.parametrize(
    "raw",
    [
        None, [], {}, {"credentials": []}, {"credentials": [query(id="")]}, {"credentials": [query(id="a b")]},
        {"credentials": [query(), query()]}, {"credentials": [query(meta=None)]}, {"credentials": [query(format=None)]},
        {"credentials": [query(meta={})]}, {"credentials": [query(meta={"vct_values": []})]},
        {"credentials": [mdoc(meta={})]}, {"credentials": [mdoc(claims=[{"path": ["one"]}])]},
        {"credentials": [mdoc(claims=[{"path": ["one", 1]}])]},
        {"credentials": [query(multiple="yes")]}, {"credentials": [query(claims=[])]},
        {"credentials": [query(claims=[{"path": []}])]}, {"credentials": [query(claims=[{"path": [-1]}])]},
        {"credentials": [query(claims=[{"path": [True]}])]}, {"credentials": [query(claims=[{"path": [1.5]}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": []}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": [1.5]}])]},
        {"credentials": [query(claim_sets=[["a"]])]},
        {"credentials": [query(claims=[{"path": ["a"]}], claim_sets=[["a"]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}], claim_sets=[["b"]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}, {"id": "a", "path": ["b"]}])]},
        {"credentials": [query(trusted_authorities=[])]},
        {"credentials": [query(trusted_authorities=[{"type": "aki"}])]},
        {"credentials": [query()], "credential_sets": []},
        {"credentials": [query()], "credential_sets": [{"options": []}]},
        {"credentials": [query()], "credential_sets": [{"options": [["x"]]}]},
        {"credentials": [query()], "credential_sets": [{"options": [["q"]], "required": 1}]},
        {"credentials": [query(id=f"q{n}") for n in range(17)]},
    ],
)  # fmt: skip
def test_what_breaks_the_rules_is_malformed(raw: Any) -> None:
    with pytest.raises(Refused) as refused:
        parse(raw)
    assert refused.value.code is Code.MALFORMED


def test_the_specifications_own_queries_are_read(vectors: Path) -> None:
    """`aki`, `claim_sets`, values, several credentials: the examples of OpenID4VP 1.0."""
    read = 0
    for file in sorted((vectors / "openid4vp" / "examples" / "query_lang").glob("*.json")):
        raw = json.loads(file.read_text())
        if isinstance(raw, dict) and "credentials" in raw:
            parse(raw)
            read += 1
    assert read > 3
