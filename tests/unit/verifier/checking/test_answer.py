"""A whole answer to any DCQL query, and what a caller may let pass: OpenID4VP 1.0 sections 6, 7, 8.4 and 8.6."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats import dcql, jose, mdoc, status
from mapae.formats.sd_jwt import Hidden
from mapae.formats.x509 import Anchors, Profile, authority_key_ids
from mapae.keys import Signer
from mapae.verifier.checking.check import (
    STRICT,
    Answer,
    Asked,
    ByBrowser,
    ByRedirect,
    Format,
    Issuer,
    Policy,
    Tie,
    Transaction,
    Trusted,
    check_answer,
    must_be_askable,
)
from unit.verifier.world import (
    AUTHORITY,
    CLAIMS,
    DOCTYPE,
    HOLDER,
    NAMESPACE,
    NOW,
    STRANGER,
    THUMBPRINT,
    VCT,
    Authority,
    Card,
    trusted,
)  # fmt: skip

TIE = ByRedirect("x509_hash:shop", "a-nonce-of-this-question", "http://mapae.test/verifier/responses/1", THUMBPRINT)
LICENCE = "urn:mapae:kr:licence:1"
HOME = {
    "address": {"city": Hidden("Sejong"), "street": Hidden("Hannuri-daero 2130")},
    "nationalities": [Hidden("KR"), Hidden("FR"), Hidden("US")],
    "degrees": [Hidden({"type": Hidden("BSc"), "year": Hidden(2020)}), Hidden({"type": Hidden("MSc"), "year": 2024})],
    "age": 25,
    "adult": True,
}
BOTH_TYPES = AUTHORITY.issuer(vcts=frozenset({VCT, LICENCE}))


def sd(id: str, *paths: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A credential query. A claim of its own is given as a dict, a plain one as its path."""
    query = {"id": id, "format": "dc+sd-jwt", "meta": {"vct_values": more.pop("vcts", [VCT])}, **more}
    return query | ({"claims": [p if isinstance(p, dict) else {"path": list(p)} for p in paths]} if paths else {})


def md(id: str, *names: Any, **more: Any) -> dict[str, Any]:
    claims = [n if isinstance(n, dict) else {"path": [NAMESPACE, n]} for n in names]
    query = {"id": id, "format": "mso_mdoc", "meta": {"doctype_value": DOCTYPE}, **more}
    return query | ({"claims": claims} if claims else {})


def asking(
    *queries: dict[str, Any], tie: Tie = TIE, transactions: Iterable[Transaction] = (), sets: Any = None
) -> Asked:
    raw: dict[str, Any] = {"credentials": list(queries)}
    if sets is not None:
        raw["credential_sets"] = sets
    return Asked(dcql.parse(raw), tie, tuple(transactions))


def shows(
    card: Card, *paths: Sequence[Any], tie: Tie = TIE, transactions: Sequence[str] = (), by: Signer = HOLDER
) -> str:
    return card.sd_jwt().disclose(paths).bind(
        by, nonce=tie.nonce, audience=tie.audience, now=NOW, transaction_data=transactions
    )  # fmt: skip


def shows_mdoc(card: Card, *names: str, tie: Tie = TIE) -> str:
    signed = card.mdoc().disclose({NAMESPACE: names})
    return jose.b64u(mdoc.present(signed, session_transcript=tie.transcript, holder=HOLDER))


def passes(token: Any, asked: Asked, trust: Trusted | None = None, policy: Policy = STRICT) -> Answer:
    must_be_askable(asked.query, asked.transactions)
    return check_answer(token, asked, trust or trusted(), NOW, policy)


def refusal(token: Any, asked: Asked, trust: Trusted | None = None, policy: Policy = STRICT) -> tuple[str, Code]:
    with pytest.raises(Refused) as refused:
        check_answer(token, asked, trust or trusted(), NOW, policy)
    assert refused.value.step is not None
    return refused.value.step, refused.value.code


SURPLUS = MISSING = WRONG = ("request", Code.NOT_WHAT_WAS_ASKED)
NAME, BORN = ("name",), ("birth_date",)


def test_the_library_brings_no_server_along() -> None:
    """`pip install mapae` without extras: none of what only servers need is even looked for."""
    code = "import sys, mapae.verifier.checking.check; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "mapae.verifier.checking.check" in loaded
    assert not {"starlette", "httpx", "jinja2", "asyncpg", "uvicorn", "typer", "structlog"} & set(loaded)


# --- which queries were answered: sections 6.2, 6.4.2, 8.1 ------------------------------------------------------------


def test_two_documents_are_asked_and_two_arrive() -> None:
    asked = asking(sd("who", NAME), md("adult", "adult_by_year"))
    token = {"who": [shows(Card(), NAME)], "adult": [shows_mdoc(Card(), "adult_by_year")]}
    answer = passes(token, asked)
    assert answer["who"].claims == {NAME: CLAIMS["name"]}
    assert answer["adult"].claims == {(NAMESPACE, "adult_by_year"): True}
    assert (answer["who"].format, answer["adult"].format) == (Format.SD_JWT, Format.MDOC)
    assert "other" not in answer


def test_without_sets_every_query_must_be_answered() -> None:
    """6.4.2: without credential_sets, presentations for all credentials are requested."""
    asked = asking(sd("who", NAME), md("adult", "adult_by_year"))
    assert refusal({"who": [shows(Card(), NAME)]}, asked) == MISSING


def test_of_a_set_one_option_is_answered_and_no_second() -> None:
    asked = asking(sd("a", NAME), md("b", "name"), sets=[{"options": [["a"], ["b"]]}])
    a, b = [shows(Card(), NAME)], [shows_mdoc(Card(), "name")]
    assert passes({"a": a}, asked)
    assert passes({"b": b}, asked)
    assert refusal({"a": a, "b": b}, asked) == SURPLUS


def test_an_option_of_two_needs_both() -> None:
    asked = asking(sd("a", NAME), sd("b", BORN), md("c", "name"), sets=[{"options": [["a", "b"], ["c"]]}])
    assert refusal({"a": [shows(Card(), NAME)]}, asked) == MISSING
    assert passes({"a": [shows(Card(), NAME)], "b": [shows(Card(), BORN)]}, asked)


def test_an_optional_set_may_be_left_out_or_answered() -> None:
    """6.2: required is true unless it says false."""
    sets = [{"options": [["a"]]}, {"options": [["b"]], "required": False}]
    asked = asking(sd("a", NAME), sd("b", BORN), sets=sets)
    assert passes({"a": [shows(Card(), NAME)]}, asked)
    assert passes({"a": [shows(Card(), NAME)], "b": [shows(Card(), BORN)]}, asked)
    assert refusal({"b": [shows(Card(), BORN)]}, asked) == MISSING


def test_a_query_in_no_set_is_not_asked_for() -> None:
    asked = asking(sd("a", NAME), sd("spare", BORN), sets=[{"options": [["a"]]}])
    assert refusal({"a": [shows(Card(), NAME)], "spare": [shows(Card(), BORN)]}, asked) == SURPLUS


def test_several_presentations_only_where_multiple_was_asked() -> None:
    """8.1: when `multiple` is omitted or false, the array holds one presentation."""
    two = [shows(Card(), NAME), shows(Card(claims={**CLAIMS, "name": "김민준"}), NAME)]
    assert refusal({"a": two}, asking(sd("a", NAME))) == SURPLUS
    answer = passes({"a": two}, asking(sd("a", NAME, multiple=True)))
    assert [one.claims[NAME] for one in answer.of("a")] == [CLAIMS["name"], "김민준"]
    assert refusal({"a": two * 9}, asking(sd("a", NAME, multiple=True))) == ("request", Code.TOO_LARGE)


@pytest.mark.parametrize("token", [None, [], {}, "x", {"a": []}, {"a": "x"}, {"a": [1]}, {"a": [{}]}, {"z": ["x"]}])
def test_a_token_of_another_shape_is_refused_before_the_steps(token: Any) -> None:
    assert refusal(token, asking(sd("a", NAME))) == WRONG


def test_one_bad_presentation_refuses_the_whole_answer() -> None:
    """8.6 lets a verifier discard it; 14.1.2 rejects the answer for a wrong nonce. We do so for every step."""
    sets = [{"options": [["a"]]}, {"options": [["b"]], "required": False}]
    asked = asking(sd("a", NAME), sd("b", BORN), sets=sets)
    token = {"a": [shows(Card(), NAME)], "b": [shows(Card(STRANGER), BORN)]}
    assert refusal(token, asked) == ("issuer", Code.UNTRUSTED_ISSUER)


# --- which claims: sections 6.3, 6.4.1, 7 -----------------------------------------------------------------------------


def test_without_claims_nothing_may_be_disclosed() -> None:
    """6.4.1: if `claims` is absent, no claims that are selectively disclosable are requested."""
    assert passes({"a": [shows(Card())]}, asking(sd("a")))["a"].claims == {}
    assert refusal({"a": [shows(Card(), NAME)]}, asking(sd("a"))) == SURPLUS
    assert passes({"a": [shows_mdoc(Card())]}, asking(md("a")))["a"].claims == {}
    assert refusal({"a": [shows_mdoc(Card(), "name")]}, asking(md("a"))) == SURPLUS


def claim_set_query() -> Asked:
    claims = [
        {"id": "y", "path": ["adult_by_year"]},
        {"id": "n", "path": ["name"]},
        {"id": "b", "path": ["birth_date"]},
    ]
    return asking(sd("a", *claims, claim_sets=[["y"], ["n", "b"], ["y", "n"]]))


@pytest.mark.parametrize("names", [["adult_by_year"], ["name", "birth_date"], ["adult_by_year", "name"]])
def test_any_claim_set_will_do(names: list[str]) -> None:
    answer = passes({"a": [shows(Card(), *[(name,) for name in names])]}, claim_set_query())
    assert set(answer["a"].claims) == {(name,) for name in names}


@pytest.mark.parametrize("names", [[], ["name"], ["adult_by_year", "name", "birth_date"], ["adult_by_year", "address"]])
def test_less_or_more_than_one_claim_set_is_refused(names: list[str]) -> None:
    assert refusal({"a": [shows(Card(), *[(name,) for name in names])]}, claim_set_query()) == WRONG


def test_values_are_held_against_what_arrived() -> None:
    """6.3: type and value match exactly. 6.4.1: a verifier does not rely on the wallet for it."""
    card = Card(claims={"age": 25, "adult": True})
    for path, values, fits in (
        (["age"], [25], True), (["age"], [24, 25], True), (["age"], ["25"], False), (["adult"], [1], False),
        (["adult"], [True], True), (["adult"], [False], False),
    ):  # fmt: skip
        token, asked = {"a": [shows(card, path)]}, asking(sd("a", {"path": path, "values": values}))
        if fits:
            assert passes(token, asked)
        else:
            assert refusal(token, asked) == WRONG


def test_values_of_an_mdoc_are_compared_as_json() -> None:
    """6.3: converted as RFC 8949 section 6.1 says, so a full-date is its text."""
    token = {"a": [shows_mdoc(Card(), "birth_date")]}
    path = [NAMESPACE, "birth_date"]
    assert passes(token, asking(md("a", {"path": path, "values": ["2001-03-09"]})))
    assert refusal(token, asking(md("a", {"path": path, "values": ["2001-03-10"]}))) == WRONG


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("address", "city"), "Sejong"),
        (("address",), {"city": "Sejong", "street": "Hannuri-daero 2130"}),
        (("nationalities", None), ["KR", "FR", "US"]),
        (("nationalities", 1), ["FR"]),
        (("degrees", None, "type"), ["BSc", "MSc"]),
        (("degrees", 0, "type"), ["BSc"]),
        (("degrees", 0), [{"type": "BSc", "year": 2020}]),
    ],
)
def test_a_path_leads_into_objects_and_arrays(path: tuple[Any, ...], value: Any) -> None:
    """7.1.1. Elements that stay hidden leave the array (RFC 9901 7.1 step 3d), so an index may have moved."""
    card = Card(claims=HOME)
    policy = Policy(open_claims=True)
    assert passes({"a": [shows(card, path)]}, asking(sd("a", path)), policy=policy)["a"].claims == {path: value}


@pytest.mark.parametrize(
    ("asked_for", "shown"),
    [
        (("address", "city"), [("address",)]),
        (("address", "city"), [("address", "city"), ("nationalities", 0)]),
        (("nationalities", 1), [("nationalities", None)]),
        (("nationalities", 0), [("nationalities", 0), ("nationalities", 2)]),
        (("degrees", None, "type"), [("degrees", None)]),
        (("degrees", 0, "type"), [("degrees", None, "type")]),
    ],
)
@pytest.mark.parametrize("policy", [STRICT, Policy(open_claims=True)], ids=["strict", "open"])
def test_a_surplus_inside_an_object_or_array_is_seen(asked_for: Any, shown: Any, policy: Policy) -> None:
    assert refusal({"a": [shows(Card(claims=HOME), *shown)]}, asking(sd("a", asked_for)), policy=policy) == SURPLUS


@pytest.mark.parametrize(
    "path", [("address", "zip"), ("nationalities", 5), ("name", "first"), ("degrees", "type"), (0,)]
)
def test_a_path_that_leads_nowhere_is_a_missing_claim(path: Any) -> None:
    card = Card(claims={**HOME, "name": "x"})
    token = {"a": [shows(card, ("address", "city"))]}
    assert refusal(token, asking(sd("a", path)), policy=Policy(open_claims=True))[0] == "request"


def test_claims_for_two_queries_may_come_in_one_presentation() -> None:
    """6.4: a presentation may hold more if the same credential is selected in a separate query of the same request."""
    asked = asking(sd("a", NAME), sd("b", BORN))
    both = [shows(Card(), NAME, BORN)]
    assert passes({"a": both, "b": both}, asked)["b"].claims == {BORN: CLAIMS["birth_date"]}
    lone = asking(sd("a", NAME), sd("b", BORN), sets=[{"options": [["a"]]}, {"options": [["b"]], "required": False}])
    assert refusal({"a": both}, lone) == SURPLUS


# --- types and authorities: 6.1.1, B.2.3, B.3.5 -----------------------------------------------------------------------


def test_one_of_several_types_will_do() -> None:
    asked = asking(sd("a", NAME, vcts=[LICENCE, VCT]))
    for vct in (VCT, LICENCE):
        assert passes({"a": [shows(Card(vct=vct), NAME)]}, asked, trusted(BOTH_TYPES))["a"].type == vct


def test_a_type_its_issuer_is_not_listed_for_is_refused_although_it_was_asked() -> None:
    asked = asking(sd("a", NAME, vcts=[LICENCE, VCT]))
    assert refusal({"a": [shows(Card(vct=LICENCE), NAME)]}, asked) == ("issuer", Code.UNTRUSTED_ISSUER)
    second = AUTHORITY.issuer(id="second", vcts=frozenset({LICENCE}))
    answer = passes({"a": [shows(Card(vct=LICENCE), NAME)]}, asked, trusted(AUTHORITY.issuer(), second))
    assert answer["a"].issuer == "second"


def test_another_type_than_asked_is_refused() -> None:
    found = refusal({"a": [shows(Card(vct=LICENCE), NAME)]}, asking(sd("a", NAME)), trusted(BOTH_TYPES))
    assert found == WRONG


@pytest.mark.parametrize("form", ["sd", "mdoc"])
def test_an_authority_is_compared_by_its_key_identifier(form: str) -> None:
    """6.1.1.1; HAIP 1.0 section 5: aki must be supported."""
    [ours] = authority_key_ids((AUTHORITY.leaf,))
    [other] = authority_key_ids((STRANGER.leaf,))
    token = {"a": [shows(Card(), NAME) if form == "sd" else shows_mdoc(Card(), "name")]}

    def asked(*values: bytes) -> Asked:
        authorities = [{"type": "aki", "values": [jose.b64u(value) for value in values]}]
        make = sd("a", NAME, trusted_authorities=authorities), md("a", "name", trusted_authorities=authorities)
        return asking(make[form == "mdoc"])

    assert passes(token, asked(other, ours))
    assert refusal(token, asked(other)) == WRONG


@pytest.mark.parametrize(
    "query",
    [
        sd("a", NAME, trusted_authorities=[{"type": "etsi_tl", "values": ["https://lotl.example.com"]}]),
        sd(
            "a", NAME,
            trusted_authorities=[{"type": "aki", "values": ["AA"]}, {"type": "openid_federation", "values": ["x"]}],
        ),
        {"id": "a", "format": "jwt_vc_json", "meta": {"type_values": [["x"]]}},
        md("a", "name", require_cryptographic_holder_binding=False),
    ],
    ids=["etsi_tl", "openid_federation", "another format", "an unbound mdoc"],
)  # fmt: skip
def test_what_we_could_not_check_is_not_asked(query: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        must_be_askable(asking(query).query)
    assert refused.value.code is Code.UNSUPPORTED


def test_a_query_with_too_many_ways_to_answer_is_not_asked() -> None:
    sets = [{"options": [["a"], ["b"]], "required": False}] * 20
    with pytest.raises(Refused) as refused:
        must_be_askable(asking(sd("a", NAME), sd("b", BORN), sets=sets).query)
    assert refused.value.code is Code.TOO_LARGE


# --- the holder: B.3, A.4 ---------------------------------------------------------------------------------------------


def test_an_unbound_credential_only_where_the_query_lets_it() -> None:
    """B.3, 5.3: with require_cryptographic_holder_binding false the key binding may be missing; if there, it holds."""
    bare = Card().sd_jwt().disclose([NAME]).encode()
    lax = asking(sd("a", NAME, require_cryptographic_holder_binding=False))
    assert refusal({"a": [bare]}, asking(sd("a", NAME))) == ("holder", Code.BAD_HOLDER_PROOF)
    assert passes({"a": [bare]}, lax)["a"].bound is False
    assert passes({"a": [shows(Card(), NAME)]}, lax)["a"].bound is True
    stolen = shows(Card(), NAME, by=Signer.ephemeral())
    assert refusal({"a": [stolen]}, lax) == ("holder", Code.BAD_HOLDER_PROOF)


def test_through_the_browser_the_audience_is_the_origin() -> None:
    """A.4, B.2.6.2: origin with its prefix in a key binding, the handover of the API in an mdoc."""
    tie = ByBrowser("https://shop.example", "a-nonce-of-this-question", THUMBPRINT)
    asked = asking(sd("a", NAME), md("b", "name"), tie=tie)
    token = {"a": [shows(Card(), NAME, tie=tie)], "b": [shows_mdoc(Card(), "name", tie=tie)]}
    assert passes(token, asked)
    elsewhere = replace(tie, origin="https://evil.example")
    assert refusal({**token, "a": [shows(Card(), NAME, tie=elsewhere)]}, asked) == ("holder", Code.WRONG_AUDIENCE)
    assert refusal({**token, "b": [shows_mdoc(Card(), "name", tie=elsewhere)]}, asked) == (
        "holder", Code.BAD_HOLDER_PROOF,
    )  # fmt: skip
    assert refusal({**token, "a": [shows(Card(), NAME)]}, asked) == ("holder", Code.WRONG_AUDIENCE)
    assert refusal({**token, "b": [shows_mdoc(Card(), "name")]}, asked) == ("holder", Code.BAD_HOLDER_PROOF)


# --- transaction data: 5.1, 8.4, B.3.3.1 ------------------------------------------------------------------------------

PAYMENT = "urn:mapae:transaction:payment:1"
FIELDS = {"payee": "한빛마트", "amount": "12000", "currency": "KRW"}


def pay(*ids: str, **fields: str) -> Transaction:
    return Transaction.make(PAYMENT, ids, {**FIELDS, **fields})


def test_a_holder_authorizes_exactly_the_payment_on_the_screen() -> None:
    one = pay("a")
    asked = asking(sd("a", NAME), transactions=[one])
    assert passes({"a": [shows(Card(), NAME, transactions=[one.text])]}, asked)
    other = pay("a", amount="12001").text
    for wrong in ([], [other], [one.text, other], [one.text, one.text]):
        found = refusal({"a": [shows(Card(), NAME, transactions=wrong)]}, asked)
        assert found == ("holder", Code.BAD_HOLDER_PROOF)
    unasked = refusal({"a": [shows(Card(), NAME, transactions=[one.text])]}, asking(sd("a", NAME)))
    assert unasked == ("holder", Code.BAD_HOLDER_PROOF)


def test_of_the_credentials_a_payment_names_one_authorizes_it() -> None:
    """5.1: if there is more than one element, the wallet must use only one of the referenced credentials."""
    either, only_b = pay("a", "b"), pay("b", payee="다른 가게")
    asked = asking(sd("a", NAME), sd("b", BORN), transactions=[either, only_b])

    def token(a: list[str], b: list[str]) -> dict[str, list[str]]:
        return {"a": [shows(Card(), NAME, transactions=a)], "b": [shows(Card(), BORN, transactions=b)]}

    assert passes(token([either.text], [only_b.text]), asked)
    assert passes(token([], [either.text, only_b.text]), asked)
    assert refusal(token([], [only_b.text]), asked)[0] == "holder"
    assert refusal(token([either.text], [either.text, only_b.text]), asked)[0] == "holder"
    assert refusal(token([either.text], []), asked)[0] == "holder"


def test_an_alternative_that_was_not_shown_authorizes_nothing() -> None:
    one = pay("a", "b")
    asked = asking(sd("a", NAME), sd("b", BORN), sets=[{"options": [["a"], ["b"]]}], transactions=[one])
    assert passes({"b": [shows(Card(), BORN, transactions=[one.text])]}, asked)
    assert refusal({"b": [shows(Card(), BORN)]}, asked) == ("holder", Code.BAD_HOLDER_PROOF)


@pytest.mark.parametrize(
    ("type", "ids", "fields", "code"),
    [
        ("urn:other", ["a"], FIELDS, Code.UNSUPPORTED), (PAYMENT, [], FIELDS, Code.MALFORMED),
        (PAYMENT, ["a"], {"payee": "x", "amount": "1"}, Code.MALFORMED),
        *((PAYMENT, ["a"], {**FIELDS, **wrong}, Code.MALFORMED) for wrong in (
            {"tip": "1"}, {"amount": 1}, {"amount": "01"}, {"amount": "-1"}, {"amount": "1."}, {"currency": "krw"},
            {"payee": ""}, {"payee": "a\nb"},
        )),
    ],
)  # fmt: skip
def test_a_payment_has_one_spelling(type: str, ids: list[str], fields: dict[str, Any], code: Code) -> None:
    with pytest.raises(Refused) as refused:
        Transaction.make(type, ids, fields)
    assert refused.value.code is code


def test_a_payment_reads_back_as_it_was_made() -> None:
    made = pay("a", "b", reference="주문 7")
    assert Transaction.parse(made.text) == made
    assert jose.decode_json(jose.unb64u(made.text))["transaction_data_hashes_alg"] == ["sha-256"]


@pytest.mark.parametrize(
    "query",
    [md("a", "name"), sd("a", NAME, require_cryptographic_holder_binding=False), sd("a", NAME, multiple=True)],
    ids=["mdoc", "unbound", "multiple"],
)
def test_a_payment_nobody_could_sign_is_not_asked(query: dict[str, Any]) -> None:
    """B.2.1 and B.3.3."""
    with pytest.raises(Refused) as refused:
        must_be_askable(asking(query).query, (pay("a"),))
    assert refused.value.code is Code.UNSUPPORTED
    with pytest.raises(Refused) as refused:
        must_be_askable(asking(sd("b", NAME)).query, (pay("a"),))
    assert refused.value.code is Code.MALFORMED
    with pytest.raises(Refused) as refused:
        must_be_askable(asking(sd("a", NAME)).query, tuple([pay("a")] * 9))
    assert refused.value.code is Code.TOO_LARGE


# --- other people's credentials ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Foreign(Authority):
    """An authority with certificate profiles of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.leaf = self.certify(Profile.STATUS_SIGNER, self.signer)


ABROAD = Foreign("Abroad")
ELSEWHERE = status.StatusRef("https://abroad.example/statuslists/1?v=2", 7)


def abroad(**changes: Any) -> Issuer:
    issuer = Issuer("abroad", Anchors([ABROAD.root]), None, None, None, profile=None)
    return replace(issuer, **changes)


def pid(**changes: Any) -> Card:
    card = Card(ABROAD, vct="urn:eudi:pid:1", claims={"family_name": "Dupont"}, reference=None)
    return replace(card, **changes)


FAMILY = ("family_name",)


def test_a_foreign_card_passes_under_an_anchor_its_caller_gives() -> None:
    asked = asking(sd("pid", FAMILY, vcts=["urn:eudi:pid:1"]))
    token = {"pid": [shows(pid(), FAMILY)]}
    answer = passes(token, asked, Trusted((abroad(),)), Policy(without_status=True))
    assert (answer["pid"].type, answer["pid"].claims) == ("urn:eudi:pid:1", {FAMILY: "Dupont"})
    assert refusal(token, asked, Trusted((abroad(),))) == ("standing", Code.STATUS_UNKNOWN)
    assert refusal(token, asked, trusted(), Policy(without_status=True)) == ("issuer", Code.UNTRUSTED_ISSUER)
    ours_only = Trusted((abroad(profile=Profile.DOCUMENT_SIGNER),))
    assert refusal(token, asked, ours_only, Policy(without_status=True)) == ("issuer", Code.BAD_CERTIFICATE)


def test_a_foreign_status_list_may_be_anywhere_when_its_issuer_is_trusted_so() -> None:
    asked = asking(sd("pid", FAMILY, vcts=["urn:eudi:pid:1"]))
    token = {"pid": [shows(pid(reference=ELSEWHERE), FAMILY)]}
    assert passes(token, asked, trusted(abroad(), uri=ELSEWHERE.uri))
    for standing, code in ((status.INVALID, Code.REVOKED), (status.SUSPENDED, Code.SUSPENDED)):
        assert refusal(token, asked, trusted(abroad(), uri=ELSEWHERE.uri, standing=standing)) == ("standing", code)
    near = trusted(abroad(status_prefix="https://abroad.example/lists/"), uri=ELSEWHERE.uri)
    assert refusal(token, asked, near) == ("standing", Code.STATUS_UNKNOWN)
    # A policy for cards without a status is none for a card whose status nobody could read.
    unread = Trusted((abroad(),))
    assert refusal(token, asked, unread, Policy(without_status=True)) == ("standing", Code.STATUS_UNKNOWN)


def test_open_claims_and_a_missing_end_pass_only_by_policy() -> None:
    """`iat`, `exp` and `sub` are optional in SD-JWT VC; claims the issuer left open cannot be withheld (6.4)."""
    claims = {
        "vct": VCT, "cnf": {"jwk": HOLDER.jwk}, "sub": "urn:person:1", "issuing_country": "FR", "name": Hidden("x"),
        "email": Hidden("y"),
    }  # fmt: skip
    card = _Signed(claims=claims)
    asked = asking(sd("a", NAME))
    token = {"a": [shows(card, NAME)]}
    trust = trusted()
    assert refusal(token, asked, trust) == ("dates", Code.MALFORMED)
    some = Policy(without_end=True, without_status=True)
    assert refusal(token, asked, trust, some) == SURPLUS
    lax = replace(some, open_claims=True)
    assert passes(token, asked, trust, lax)["a"].claims == {NAME: "x"}
    assert refusal({"a": [shows(card, NAME, ("email",))]}, asked, trust, lax) == SURPLUS


class _Signed(Card):
    """A card with exactly these claims in its payload."""

    def sd_jwt(self) -> Any:
        from mapae.formats import sd_jwt

        header = {"typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.chain)}
        draft = sd_jwt.draft(header, self.claims, entropy=lambda n: bytes(range(n)))
        return sd_jwt.SdJwt.parse(draft.complete(self.key.sign(draft.signing_input)))


def test_a_foreign_mdoc_passes_too() -> None:
    card = Card(ABROAD, doctype="org.iso.18013.5.1.mDL", namespace="org.iso.18013.5.1", reference=None)
    query = {
        "id": "mdl", "format": "mso_mdoc", "meta": {"doctype_value": "org.iso.18013.5.1.mDL"},
        "claims": [{"path": ["org.iso.18013.5.1", "name"], "intent_to_retain": True}],
    }  # fmt: skip
    signed = card.mdoc().disclose({"org.iso.18013.5.1": ["name"]})
    token = {"mdl": [jose.b64u(mdoc.present(signed, session_transcript=TIE.transcript, holder=HOLDER))]}
    answer = passes(token, asking(query), Trusted((abroad(),)), Policy(without_status=True))
    assert answer["mdl"].claims == {("org.iso.18013.5.1", "name"): CLAIMS["name"]}


def test_what_is_let_pass_of_one_issuer_is_not_of_another() -> None:
    asked = asking(sd("a", NAME, vcts=[VCT]))
    lax = abroad(policy=Policy(without_status=True))
    foreign = shows(pid(vct=VCT, claims={"name": "x"}), NAME)
    assert passes({"a": [foreign]}, asked, Trusted((AUTHORITY.issuer(), lax)))["a"].issuer == "abroad"
    ours = shows(Card(reference=None), NAME)
    assert refusal({"a": [ours]}, asked, Trusted((AUTHORITY.issuer(), lax))) == ("standing", Code.STATUS_UNKNOWN)


def test_an_expired_foreign_card_is_refused_whatever_the_policy() -> None:
    old = pid(ends=NOW - timedelta(seconds=1))
    asked = asking(sd("pid", FAMILY, vcts=["urn:eudi:pid:1"]))
    lax = Policy(without_status=True, without_end=True, open_claims=True)
    assert refusal({"pid": [shows(old, FAMILY)]}, asked, Trusted((abroad(),)), lax) == ("dates", Code.EXPIRED)
