"""OpenID4VP 1.0 section 6.4.2: which cards answer. Paths, values and claim sets are formats/test_dcql.py's."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.formats.dcql import parse
from mapae.holder.choose import Candidate, Match, accepts, answers, matches, within
from unit.formats.test_dcql import VCT, mdoc, query

CARD = Candidate(
    "card-1", "dc+sd-jwt", VCT, {"name": "Kim", "age": 20, "address": {"city": "Sejong"}}, frozenset({"aki1"})
)
OTHER = Candidate("card-3", "dc+sd-jwt", VCT, CARD.claims, CARD.authorities)
MDOC = Candidate("card-2", "mso_mdoc", "kr.card", {"kr.card": {"name": "Kim", "adult": True}}, frozenset({"aki2"}))


def found(raw: dict[str, Any], *cards: Candidate) -> list[list[tuple[str, str, list[Any]]]]:
    asked = parse(raw)
    options = answers(asked, matches(asked, cards or (CARD, MDOC)))
    return [[(match.query, match.card, [list(path) for path in match.paths]) for match in option] for option in options]


def one(*claims: Any, **changes: Any) -> dict[str, Any]:
    return {"credentials": [query(claims=list(claims) or None, **changes)]}


def test_only_what_is_asked_is_picked() -> None:
    assert found(one()) == [[("q", "card-1", [])]]
    assert found(one({"path": ["address", "city"]})) == [[("q", "card-1", [["address", "city"]])]]
    assert found(one({"path": ["name"]}, {"path": ["nothing"]})) == []


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"meta": {"vct_values": ["urn:other"]}}, False),
        ({"meta": {"vct_values": ["urn:other", VCT]}}, True),
        ({"format": "ldp_vc", "meta": {}}, False),
        ({"trusted_authorities": [{"type": "aki", "values": ["aki1", "abcd"]}]}, True),
        ({"trusted_authorities": [{"type": "aki", "values": ["aki2"]}]}, False),
        ({"trusted_authorities": [{"type": "etsi_tl", "values": ["aki1"]}]}, False),
        (
            {"trusted_authorities": [{"type": "etsi_tl", "values": ["x"]}, {"type": "aki", "values": ["aki1"]}]}, True,
        ),
    ],
)  # fmt: skip
def test_type_format_and_authority_must_fit(changes: dict[str, Any], fits: bool) -> None:
    assert bool(found(one(**changes))) is fits


def test_a_card_that_tells_everybody_more_than_is_allowed_is_left_out_and_another_is_not() -> None:
    frank = Candidate("frank", "dc+sd-jwt", VCT, CARD.claims, CARD.authorities, open=("address",))
    asked = matches(parse(one({"path": ["name"]})), (frank, CARD))
    assert [match.open for match in asked["q"]] == [("address",), ()]
    assert [match.card for match in within(asked, ("name",))["q"]] == ["card-1"]
    assert [match.card for match in within(asked, ("name", "address"))["q"]] == ["frank", "card-1"]


def test_a_card_without_a_key_is_given_only_where_no_proof_is_asked() -> None:
    """Section 6.1: a cryptographic holder binding is required unless the query says otherwise."""
    ticket = Candidate("ticket", "dc+sd-jwt", VCT, {}, frozenset(), bound=False)
    assert found(one(), ticket) == []
    assert found(one(require_cryptographic_holder_binding=False), ticket) == [[("q", "ticket", [])]]


def test_every_query_must_be_met_when_there_are_no_sets() -> None:
    assert found({"credentials": [query(), mdoc()]}) == [[("q", "card-1", []), ("m", "card-2", [["kr.card", "adult"]])]]
    assert found({"credentials": [query(), mdoc()]}, CARD) == []


def test_sets_offer_alternatives_in_the_verifiers_order() -> None:
    raw = {"credentials": [query(), mdoc()], "credential_sets": [{"options": [["m"], ["q"]]}]}
    assert [option[0][0] for option in found(raw)] == ["m", "q"]
    assert [option[0][0] for option in found(raw, CARD)] == ["q"]
    assert found(raw, Candidate("x", "dc+sd-jwt", "urn:other", {}, frozenset())) == []


def test_two_cards_of_a_kind_are_two_ways() -> None:
    assert [option[0][1] for option in found(one(), CARD, OTHER)] == ["card-1", "card-3"]


def test_one_card_may_answer_two_queries() -> None:
    """Section 6.1: several queries may ask for the same credential."""
    raw = {"credentials": [query(id="a", claims=[{"path": ["name"]}]), query(id="b", claims=[{"path": ["age"]}])]}
    assert found(raw, CARD) == [[("a", "card-1", [["name"]]), ("b", "card-1", [["age"]])]]


def test_what_is_optional_is_given_only_when_the_holder_says_so() -> None:
    sets = [{"options": [["q"]]}, {"options": [["m"]], "required": False}]
    raw = {"credentials": [query(), mdoc()], "credential_sets": sets}
    assert found(raw) == [[("q", "card-1", [])]]
    asked = parse(raw)
    fitting = matches(asked, (CARD, MDOC))
    assert accepts(asked, fitting, (*fitting["q"], *fitting["m"]))
    assert not accepts(asked, fitting, fitting["m"])


def test_several_cards_for_one_query_only_where_it_says_multiple() -> None:
    for multiple in (True, False):
        asked = parse(one(multiple=multiple))
        fitting = matches(asked, (CARD, OTHER))
        assert [len(option) for option in answers(asked, fitting)] == [1, 1]
        assert accepts(asked, fitting, fitting["q"]) is multiple


def test_what_was_not_matched_is_no_answer() -> None:
    asked = parse(one({"path": ["name"]}))
    fitting = matches(asked, (CARD,))
    (match,) = fitting["q"]
    assert accepts(asked, fitting, (match,))
    assert not accepts(asked, fitting, ())
    assert not accepts(asked, fitting, (match, match))
    assert not accepts(asked, fitting, (Match("q", "card-1", "dc+sd-jwt", (("name",), ("age",))),))
    assert not accepts(asked, fitting, (Match("x", "card-1", "dc+sd-jwt", (("name",),)),))


def test_many_alternatives_stay_few() -> None:
    """A hostile query cannot make the wallet count for ever."""
    queries = [query(id=f"q{n}") for n in range(16)]
    sets = [{"options": [[f"q{n}"] for n in range(16)]} for _ in range(16)]
    cards = [Candidate(f"c{n}", "dc+sd-jwt", VCT, {}, frozenset()) for n in range(16)]
    assert 0 < len(found({"credentials": queries, "credential_sets": sets}, *cards)) <= 64
