"""OpenID4VP 1.0 sections 6 and 7, rule by rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hands import public_vectors
from mapae.errors import Code, Refused
from mapae.formats import dcql
from mapae.formats.dcql import find, parse

VCT = "urn:card"
# The example credential of OpenID4VP 1.0 section 7.3.
ARTHUR: dict[str, Any] = {
    "name": "Arthur Dent",
    "address": {"street_address": "42 Market Street", "locality": "Milliways", "postal_code": "12345"},
    "degrees": [
        {"type": "Bachelor of Science", "university": "University of Betelgeuse"},
        {"type": "Master of Science", "university": "University of Betelgeuse"},
    ],
    "nationalities": ["British", "Betelgeusian"],
    "mixed": [{"a": 1}, "b"],
    "uneven": [["x", "y"], ["z"]],
    "age": 42,
    "adult": True,
}


def query(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "q", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}} | changes
    return {name: value for name, value in made.items() if value is not None}


def mdoc(**changes: Any) -> dict[str, Any]:
    claims = [{"path": ["kr.card", "adult"]}]
    return query(id="m", format="mso_mdoc", meta={"doctype_value": "kr.card"}, claims=claims) | changes


def one(*claims: Any, **changes: Any) -> dcql.Query:
    return parse({"credentials": [query(claims=list(claims) or None, **changes)]}).queries[0]


# --- claims path pointers, section 7 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (["name"], ["Arthur Dent"]),
        (["address"], [ARTHUR["address"]]),
        (["address", "street_address"], ["42 Market Street"]),
        (["degrees", None, "type"], ["Bachelor of Science", "Master of Science"]),
        (["nationalities", 1], ["Betelgeusian"]),
    ],
)
def test_the_examples_of_section_7_3(path: list[Any], values: list[Any]) -> None:
    assert [value for _, value in find(ARTHUR, tuple(path))] == values


@pytest.mark.parametrize(
    ("path", "places"),
    [
        (["degrees", None], [("degrees", 0), ("degrees", 1)]),
        (["uneven", None, 1], [("uneven", 0, 1)]),  # step 2.3: an array without this index is taken out, no error
        (["uneven", 0, None], [("uneven", 0, 0), ("uneven", 0, 1)]),
        (["mixed", 0, "a"], [("mixed", 0, "a")]),
        (["nothing"], []), (["address", "nothing"], []), (["nationalities", 2], []), (["uneven", None, 5], []),
        (["mixed", None, "a"], []),  # step 2.1: any selected element that is not an object ends it all
        (["name", "a"], []), (["nationalities", "0"], []),
        (["name", None], []), (["address", None], []),  # step 2.2
        (["name", 0], []), (["address", 0], []),  # step 2.3
        ([None], []), ([0], []),  # the root is an object
    ],
)  # fmt: skip
def test_a_path_is_followed_as_section_7_1_1_says(path: list[Any], places: list[Any]) -> None:
    assert [place for place, _ in find(ARTHUR, tuple(path))] == places


def test_an_element_that_moved_up_when_others_stayed_hidden_is_found() -> None:
    """RFC 9901 7.1 step 3d: what is not disclosed leaves its array, so an index may be smaller for the verifier."""
    shown = {"nationalities": ["Betelgeusian"]}
    assert find(shown, ("nationalities", 1)) == []
    assert find(shown, ("nationalities", 1), moved=True) == [(("nationalities", 0), "Betelgeusian")]
    assert find({"nationalities": []}, ("nationalities", 1), moved=True) == []
    asked = one({"path": ["nationalities", 1]})
    assert asked.answered_by(shown) and asked.selects(shown) is None


# --- selecting claims, section 6.4.1 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values", "fits"),
    [
        (["name"], ["Arthur Dent", "Ford"], True), (["name"], ["Ford"], False),
        (["age"], [42], True), (["age"], ["42"], False), (["age"], [True], False),
        (["adult"], [True], True), (["adult"], [1], False), (["address"], ["42 Market Street"], False),
        (["nationalities", 0], ["British"], True), (["nationalities", 0], ["Betelgeusian"], False),
    ],
)  # fmt: skip
def test_values_match_by_type_and_value(path: list[Any], values: list[Any], fits: bool) -> None:
    assert one({"path": path, "values": values}).selects(ARTHUR) == ((tuple(path),) if fits else None)


def test_of_an_array_asked_by_value_only_the_elements_with_the_value_are_given() -> None:
    assert one({"path": ["nationalities", None], "values": ["Betelgeusian", "Vogon"]}).selects(ARTHUR) == (
        ("nationalities", 1),
    )
    assert one({"path": ["nationalities", None]}).selects(ARTHUR) == (("nationalities", None),)


def test_without_claims_nothing_that_could_stay_hidden_is_asked() -> None:
    assert one().selects(ARTHUR) == ()


def test_with_claims_it_is_all_of_them_or_nothing() -> None:
    assert one({"path": ["name"]}, {"path": ["age"]}).selects(ARTHUR) == (("name",), ("age",))
    assert one({"path": ["name"]}, {"path": ["nothing"]}).selects(ARTHUR) is None


def test_of_claim_sets_it_is_the_first_that_can_be_met() -> None:
    claims = [{"id": "a", "path": ["nothing"]}, {"id": "b", "path": ["adult"]}, {"id": "c", "path": ["name"]}]
    assert one(*claims, claim_sets=[["a", "c"], ["b"], ["c"]]).selects(ARTHUR) == (("adult",),)
    assert one(*claims, claim_sets=[["c", "b"]]).selects(ARTHUR) == (("name",), ("adult",))
    assert one(*claims, claim_sets=[["a"]]).selects(ARTHUR) is None


def test_a_value_that_does_not_match_sends_on_to_the_next_claim_set() -> None:
    """Section 6.4.1: the claim is treated as if it did not exist."""
    claims = [{"id": "a", "path": ["age"], "values": [18]}, {"id": "b", "path": ["age"], "values": [42]}]
    assert one(*claims, claim_sets=[["a"], ["b"]]).selects(ARTHUR) == (("age",),)


def test_the_same_claim_asked_twice_counts_once() -> None:
    assert one({"path": ["name"]}, {"path": ["name"]}).selects(ARTHUR) == (("name",),)


def test_an_mdoc_is_walked_by_namespace_and_element() -> None:
    (asked,) = parse({"credentials": [mdoc()]}).queries
    assert asked.selects({"kr.card": {"adult": True, "name": "Kim"}}) == (("kr.card", "adult"),)
    assert asked.selects({"kr.other": {"adult": True}}) is None
    assert asked.selects({"kr.card": {"name": "Kim"}}) is None


# --- selecting credentials, section 6.4.2 -----------------------------------------------------------------------------


def test_without_sets_every_query_must_be_answered() -> None:
    asked = parse({"credentials": [query(), mdoc()]})
    assert asked.answered_by(["q", "m"])
    assert not asked.answered_by(["q"])
    assert not asked.answered_by(["q", "m", "x"])
    assert not asked.answered_by([])


def test_with_sets_each_required_one_needs_one_whole_option() -> None:
    queries = [query(id=id) for id in ("a", "b", "c", "d", "e")]
    sets = [{"options": [["a"], ["b", "c"]]}, {"options": [["d"]], "required": False}]
    asked = parse({"credentials": queries, "credential_sets": sets})
    for ids in (["a"], ["b", "c"], ["a", "d"], ["a", "b"]):
        assert asked.answered_by(ids), ids
    for ids in ([], ["b"], ["d"], ["c", "d"], ["a", "e"]):  # e is in no option: nobody asked for it
        assert not asked.answered_by(ids), ids


def test_only_optional_sets_can_be_answered_with_nothing() -> None:
    asked = parse({"credentials": [query()], "credential_sets": [{"options": [["q"]], "required": False}]})
    assert asked.answered_by([]) and asked.answered_by(["q"])


# --- parsing, sections 6.1 to 6.3, B.2.3, B.2.4, B.3.5 ----------------------------------------------------------------


def test_every_member_is_read() -> None:
    raw = {
        "credentials": [
            query(
                multiple=True, require_cryptographic_holder_binding=False,
                trusted_authorities=[
                    {"type": "aki", "values": ["s9tIpPmhxdiuNkHMEWNpYim8S8Y"]},
                    {"type": "etsi_tl", "values": ["https://lotl.example.com"]},
                    {"type": "openid_federation", "values": ["https://trustanchor.example.com"]},
                    {"type": "of tomorrow", "values": ["x"]},
                ],
                claims=[{"id": "a", "path": ["tags", None, 0], "values": ["x", 1, True]}], claim_sets=[["a"]],
            ),
            mdoc(claims=[{"path": ["kr.card", "adult"], "intent_to_retain": True}, {"path": ["kr.card", "name"]}]),
        ],
        "credential_sets": [{"options": [["q"], ["m"]], "required": False}],
    }  # fmt: skip
    read = parse(raw)
    first, second = read.queries
    assert (first.multiple, first.must_be_bound, second.multiple, second.must_be_bound) == (True, False, False, True)
    assert (first.kinds, second.kinds) == ({VCT}, {"kr.card"})
    assert [name for name, _ in first.authorities] == ["aki", "etsi_tl", "openid_federation", "of tomorrow"]
    assert first.claims == (dcql.ClaimQuery(("tags", None, 0), "a", ("x", 1, True)),)
    assert [claim.intent_to_retain for claim in second.claims] == [True, None]
    assert read.sets == (dcql.SetQuery((("q",), ("m",)), required=False),)
    assert read.query("m") is second and read.query("x") is None


def test_members_nobody_has_defined_are_ignored() -> None:
    """Section 6: implementations must ignore any unknown properties."""
    plain = {"credentials": [query(claims=[{"path": ["a"]}])], "credential_sets": [{"options": [["q"]]}]}
    more = {
        "credentials": [query(claims=[{"path": ["a"], "x": 1}], x=1, meta={"vct_values": [VCT], "x": 1})],
        "credential_sets": [{"options": [["q"]], "purpose": "x"}], "x": {},
    }  # fmt: skip
    assert parse(more) == parse(plain)


def test_names_are_the_claims_a_purpose_lists() -> None:
    read = parse({"credentials": [query(claims=[{"path": ["address", "city"]}, {"path": [None]}]), mdoc()]})
    assert [asked.names for asked in read.queries] == [("address", None), ("adult",)]


@pytest.mark.parametrize(
    "raw",
    [
        None, [], {}, {"credentials": []}, {"credentials": {}}, {"credentials": ["q"]},
        {"credentials": [query(id=None)]}, {"credentials": [query(id="")]}, {"credentials": [query(id="a b")]},
        {"credentials": [query(id="가")]}, {"credentials": [query(id="a\n")]}, {"credentials": [query(id=1)]},
        {"credentials": [query(), query()]}, {"credentials": [query(meta=None)]}, {"credentials": [query(format=None)]},
        {"credentials": [query(format="")]}, {"credentials": [query(format=["dc+sd-jwt"])]},
        {"credentials": [query(format="ldp_vc", meta=[])]},
        {"credentials": [query(meta={})]}, {"credentials": [query(meta={"vct_values": []})]},
        {"credentials": [query(meta={"vct_values": VCT})]}, {"credentials": [query(meta={"vct_values": [1]})]},
        {"credentials": [mdoc(meta={})]}, {"credentials": [mdoc(meta={"doctype_value": ["kr.card"]})]},
        {"credentials": [mdoc(claims=[{"path": ["one"]}])]}, {"credentials": [mdoc(claims=[{"path": ["a"] * 3}])]},
        {"credentials": [mdoc(claims=[{"path": ["one", 1]}])]}, {"credentials": [mdoc(claims=[{"path": [None, "a"]}])]},
        {"credentials": [mdoc(claims=[{"path": ["a", "b"], "intent_to_retain": 1}])]},
        {"credentials": [query(multiple="yes")]}, {"credentials": [query(multiple=1)]},
        {"credentials": [query(require_cryptographic_holder_binding="no")]},
        {"credentials": [query(claims=[])]}, {"credentials": [query(claims=["a"])]},
        {"credentials": [query(claims=[{}])]}, {"credentials": [query(claims=[{"path": "a"}])]},
        {"credentials": [query(claims=[{"path": []}])]}, {"credentials": [query(claims=[{"path": [-1]}])]},
        {"credentials": [query(claims=[{"path": [True]}])]}, {"credentials": [query(claims=[{"path": [1.0]}])]},
        {"credentials": [query(claims=[{"path": [["a"]]}])]},
        {"credentials": [query(claims=[{"path": ["a"], "id": ""}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": []}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": "x"}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": [1.5]}])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": [None]}])]},
        {"credentials": [query(claim_sets=[["a"]])]},
        {"credentials": [query(claims=[{"path": ["a"]}], claim_sets=[["a"]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}], claim_sets=[])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}], claim_sets=[[]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}], claim_sets=["a"])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}], claim_sets=[["b"]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}, {"path": ["b"]}], claim_sets=[["a"]])]},
        {"credentials": [query(claims=[{"id": "a", "path": ["a"]}, {"id": "a", "path": ["b"]}])]},
        {"credentials": [query(trusted_authorities=[])]},
        {"credentials": [query(trusted_authorities=[{"type": "aki"}])]},
        {"credentials": [query(trusted_authorities=[{"type": "aki", "values": []}])]},
        {"credentials": [query(trusted_authorities=[{"type": "aki", "values": ["s9tI="]}])]},
        {"credentials": [query(trusted_authorities=[{"values": ["a"]}])]},
        {"credentials": [query()], "credential_sets": []},
        {"credentials": [query()], "credential_sets": [{}]},
        {"credentials": [query()], "credential_sets": [{"options": []}]},
        {"credentials": [query()], "credential_sets": [{"options": [[]]}]},
        {"credentials": [query()], "credential_sets": [{"options": ["q"]}]},
        {"credentials": [query()], "credential_sets": [{"options": [["x"]]}]},
        {"credentials": [query()], "credential_sets": [{"options": [[["q"]]]}]},
        {"credentials": [query()], "credential_sets": [{"options": [["q"]], "required": 1}]},
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_malformed(raw: Any) -> None:
    with pytest.raises(Refused) as refused:
        parse(raw)
    assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    "raw",
    [
        {"credentials": [query(id=f"q{n}") for n in range(dcql.MAX_QUERIES + 1)]},
        {"credentials": [query(claims=[{"path": [f"c{n}"]} for n in range(dcql.MAX_CLAIMS + 1)])]},
        {"credentials": [query(claims=[{"path": ["a"], "values": list(range(dcql.MAX_CLAIMS + 1))}])]},
        {"credentials": [query(meta={"vct_values": [f"v{n}" for n in range(dcql.MAX_CLAIMS + 1)]})]},
        {"credentials": [query()], "credential_sets": [{"options": [["q"]]}] * (dcql.MAX_QUERIES + 1)},
    ],
)
def test_what_is_too_long_is_not_read(raw: Any) -> None:
    with pytest.raises(Refused) as refused:
        parse(raw)
    assert refused.value.code is Code.TOO_LARGE


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("simple", ["my_credential"]),
        ("simple_mdoc", ["my_credential"]),
        ("value_matching_simple", ["my_credential"]),
        ("claims_alternatives", ["pid"]),
        ("multi_credentials", ["pid", "mdl"]),
        ("credentials_alternatives", ["pid_reduced_cred_1", "pid_reduced_cred_2"]),
        ("complex_mdoc", ["photo_card-id", "mdl-address"]),
    ],
)
def test_the_queries_of_the_specification_are_read_and_answered(name: str, ids: list[str]) -> None:
    folder = public_vectors("openid4vp/examples/query_lang")
    assert parse(json.loads((folder / f"{name}.json").read_text())).answered_by(ids)
    assert len(list(folder.glob("*.json"))) == 7, "a new example is not read here"
