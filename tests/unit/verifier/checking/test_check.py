"""The numbered steps of docs/checking.md: each passes, and each failure says which step it was, in both formats."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from mapae.errors import Code, Refused
from mapae.formats import cbor, jose, mdoc, p256, sd_jwt, status
from mapae.formats.x509 import Profile
from mapae.keys import Signer
from mapae.verifier.checking.check import Ask, Format, Item, Shown, Trusted, Verified, check, check_many
from unit.verifier.world import (
    AUTHORITY,
    CLAIMS,
    DOCTYPE,
    FORMATS,
    HOLDER,
    LIST,
    NAMESPACE,
    NOW,
    STATUS_PREFIX,
    STRANGER,
    TODAY,
    VCT,
    WHO,
    Authority,
    Card,
    ask,
    transcript,
    trusted,
)  # fmt: skip

both = pytest.mark.parametrize("format", FORMATS)


def refusal(shown: Shown, asked: Ask | None = None, trust: Trusted | None = None, now: Any = NOW) -> tuple[str, Code]:
    """Alone and among others: the same, and the others are what they are without it."""
    asked, trust = asked or ask(), trust or trusted()
    with pytest.raises(Refused) as refused:
        check(shown, asked, trust, now)
    assert refused.value.step is not None
    other = (Card().show(Format.SD_JWT, ask()), ask())
    [before] = check_many([other], trust, now)
    first, among, last = check_many([other, (shown, asked), other], trust, now)
    assert isinstance(among, Refused)
    assert (among.step, among.code) == (refused.value.step, refused.value.code)
    assert [_said(first), _said(last)] == [_said(before)] * 2
    return refused.value.step, refused.value.code


def _said(outcome: Verified | Refused) -> object:
    return (outcome.step, outcome.code) if isinstance(outcome, Refused) else outcome


# --- what passes ------------------------------------------------------------------------------------------------------


@both
def test_an_adult_card_passes_all_six_steps(format: Format) -> None:
    asked = ask()
    verified = check(Card().show(format, asked), asked, trusted(), NOW)
    assert verified == Verified({"adult_by_year": True}, format, "demo-issuer", renew=False)


@both
def test_a_name_and_a_birth_date_come_back_as_text_and_date(format: Format) -> None:
    asked = ask(WHO)
    verified = check(Card().show(format, asked), asked, trusted(), NOW)
    assert verified.claims["name"] == CLAIMS["name"]
    assert str(verified.claims["birth_date"]) == "2001-03-09"


@both
def test_a_no_is_a_checked_answer_too(format: Format) -> None:
    asked = ask()
    card = Card(claims={**CLAIMS, "adult_by_year": False})
    assert check(card.show(format, asked), asked, trusted(), NOW).claims == {"adult_by_year": False}


@both
def test_a_card_to_renew_is_accepted_with_a_note(format: Format) -> None:
    asked = ask()
    assert check(Card().show(format, asked), asked, trusted(standing=status.RENEW), NOW).renew is True


@pytest.mark.parametrize("batch", ["", "crypto_mb"])
def test_many_are_checked_together_and_a_forged_one_is_refused_alone(batch: str) -> None:
    """Wherever it stands among sixteen, in either format, and by its own step."""
    try:
        p256.use(batch=batch)
    except Refused as refused:
        pytest.skip(refused.detail)  # the user's to install: docs/decisions/0008
    try:
        asked = ask()
        shown = [(Card().show(format, asked), asked) for _ in range(8) for format in FORMATS]
        good = [Verified({"adult_by_year": True}, one.format, "demo-issuer", renew=False) for one, _ in shown]
        assert check_many(shown, trusted(), NOW) == good
        thief = Signer.ephemeral()
        for at, (one, _) in enumerate(shown):
            forged = Card().show(one.format, asked, holder=thief)
            outcomes = check_many([*shown[:at], (forged, asked), *shown[at + 1 :]], trusted(), NOW)
            assert [outcomes[other] for other in range(16) if other != at] == good[:at] + good[at + 1 :]
            wrong = outcomes[at]
            assert isinstance(wrong, Refused)
            assert (wrong.step, wrong.code) == ("holder", Code.BAD_HOLDER_PROOF)
    finally:
        p256.use()


def test_none_are_checked_as_none() -> None:
    assert check_many([], trusted(), NOW) == []


# --- 1 issuer ---------------------------------------------------------------------------------------------------------


@both
def test_a_card_of_an_unlisted_authority_is_refused(format: Format) -> None:
    assert refusal(Card(STRANGER).show(format, ask())) == ("issuer", Code.UNTRUSTED_ISSUER)


@both
def test_a_listed_authority_may_not_issue_a_type_it_is_not_listed_for(format: Format) -> None:
    limited = AUTHORITY.issuer(vcts=frozenset(), doctypes=frozenset())
    assert refusal(Card().show(format, ask()), trust=trusted(limited)) == ("issuer", Code.UNTRUSTED_ISSUER)


@both
def test_an_expired_document_signer_is_refused(format: Format) -> None:
    old = AUTHORITY.certify(Profile.DOCUMENT_SIGNER, AUTHORITY.signer, end=NOW - timedelta(seconds=1))
    assert refusal(Card(x5c=(old,)).show(format, ask())) == ("issuer", Code.EXPIRED)


@both
def test_the_right_issuers_expired_signer_is_named_before_its_neighbours_ignorance(format: Format) -> None:
    old = AUTHORITY.certify(Profile.DOCUMENT_SIGNER, AUTHORITY.signer, end=NOW - timedelta(seconds=1))
    for issuers in ((AUTHORITY.issuer(), STRANGER.issuer()), (STRANGER.issuer(), AUTHORITY.issuer())):
        found = refusal(Card(x5c=(old,)).show(format, ask()), trust=trusted(*issuers))
        assert found == ("issuer", Code.EXPIRED)


@both
def test_a_status_signer_may_not_sign_documents(format: Format) -> None:
    card = Card(x5c=(AUTHORITY.status_leaf,), signer=AUTHORITY.status_signer)
    assert refusal(card.show(format, ask())) == ("issuer", Code.BAD_CERTIFICATE)


@both
def test_the_anchor_may_not_come_along(format: Format) -> None:
    card = Card(x5c=(AUTHORITY.leaf, AUTHORITY.root))
    assert refusal(card.show(format, ask())) == ("issuer", Code.BAD_CERTIFICATE)


@both
def test_two_issuers_are_both_known(format: Format) -> None:
    asked = ask()
    trust = trusted(STRANGER.issuer(id="other", status_prefix="http://other.test/"), AUTHORITY.issuer())
    assert check(Card().show(format, asked), asked, trust, NOW).issuer == "demo-issuer"


@both
@pytest.mark.parametrize("raw", ["", "~", "a.b.c~", "AAAA", "not base64 url!", "x" * 200_000])
def test_what_is_no_credential_is_refused(format: Format, raw: str) -> None:
    step, code = refusal(Shown(format, raw))
    assert step == "issuer"
    assert code in (Code.MALFORMED, Code.TOO_LARGE, Code.UNSUPPORTED)


def test_the_algorithm_none_is_refused() -> None:
    shown = Card().show(Format.SD_JWT, ask()).presentation
    header, payload, _ = shown.split("~")[0].split(".")
    fields = jose.decode_json(jose.unb64u(header)) | {"alg": "none"}
    forged = f"{jose.b64u(msgspec.json.encode(fields))}.{payload}."
    assert refusal(Shown(Format.SD_JWT, "~".join([forged, *shown.split("~")[1:]])))[0] == "issuer"


def test_a_second_algorithm_is_refused() -> None:
    shown = Card().show(Format.SD_JWT, ask()).presentation
    header, payload, seal = shown.split("~")[0].split(".")
    fields = jose.decode_json(jose.unb64u(header)) | {"alg": "HS256"}
    forged = f"{jose.b64u(msgspec.json.encode(fields))}.{payload}.{seal}"
    step, code = refusal(Shown(Format.SD_JWT, "~".join([forged, *shown.split("~")[1:]])))
    assert (step, code) == ("issuer", Code.UNSUPPORTED)


def test_a_header_with_a_member_twice_is_refused() -> None:
    shown = Card().show(Format.SD_JWT, ask()).presentation
    header, rest = shown.split(".", 1)
    twice = jose.unb64u(header)[:-1] + b',"typ":"dc+sd-jwt"}'
    assert refusal(Shown(Format.SD_JWT, f"{jose.b64u(twice)}.{rest}")) == ("issuer", Code.MALFORMED)


def test_two_documents_in_one_answer_are_refused() -> None:
    raw = jose.unb64u(Card().show(Format.MDOC, ask()).presentation)
    response = cbor.loads(raw)
    response["documents"] = response["documents"] * 2
    assert refusal(Shown(Format.MDOC, jose.b64u(cbor.dumps(response))))[0] == "issuer"


# --- 2 seal -----------------------------------------------------------------------------------------------------------


@both
def test_a_signature_of_another_key_is_refused(format: Format) -> None:
    card = Card(signer=Signer.ephemeral())
    assert refusal(card.show(format, ask())) == ("seal", Code.BAD_SIGNATURE)


def test_an_altered_disclosure_is_refused() -> None:
    asked = ask()
    young = Card(claims={**CLAIMS, "adult_by_year": False})
    jwt, disclosure, _ = young.show(Format.SD_JWT, asked).presentation.split("~")
    salt, name, _ = msgspec.json.decode(jose.unb64u(disclosure))
    forged = jose.b64u(msgspec.json.encode([salt, name, True]))
    assert refusal(_bound(f"{jwt}~{forged}~", asked)) == ("seal", Code.BAD_DIGEST)


def test_a_surplus_disclosure_is_refused() -> None:
    asked = ask()
    jwt, disclosure, _ = Card().show(Format.SD_JWT, asked).presentation.split("~")
    surplus = jose.b64u(msgspec.json.encode(["c2FsdHNhbHRzYWx0c2FsdA", "sex", "F"]))
    assert refusal(_bound(f"{jwt}~{disclosure}~{surplus}~", asked)) == ("seal", Code.BAD_DIGEST)


def test_a_disclosure_shown_twice_is_refused() -> None:
    asked = ask()
    jwt, disclosure, _ = Card().show(Format.SD_JWT, asked).presentation.split("~")
    assert refusal(_bound(f"{jwt}~{disclosure}~{disclosure}~", asked))[0] in ("issuer", "seal")


def test_an_altered_element_is_refused() -> None:
    asked = ask()
    response = _response(Card(claims={**CLAIMS, "adult_by_year": False}), asked)
    item = _items(response)[0]
    inner = cbor.loads(item.value)
    _items(response)[0] = cbor.Tag(24, cbor.dumps({**inner, "elementValue": True}))
    assert refusal(_encoded(response)) == ("seal", Code.BAD_DIGEST)


def test_a_surplus_element_is_refused() -> None:
    asked = ask()
    response = _response(Card(), asked)
    inner = cbor.loads(_items(response)[0].value)
    made_up = {**inner, "digestID": 999, "elementIdentifier": "sex", "elementValue": "F"}
    _items(response).append(cbor.Tag(24, cbor.dumps(made_up)))
    assert refusal(_encoded(response)) == ("seal", Code.BAD_DIGEST)


# --- 3 holder ---------------------------------------------------------------------------------------------------------


def test_an_answer_to_an_earlier_question_is_refused() -> None:
    shown = Card().show(Format.SD_JWT, ask(nonce="an earlier question"))
    assert refusal(shown) == ("holder", Code.WRONG_NONCE)


def test_an_answer_meant_for_another_shop_is_refused() -> None:
    shown = Card().show(Format.SD_JWT, ask(client_id="x509_hash:other"))
    assert refusal(shown) == ("holder", Code.WRONG_AUDIENCE)


def test_the_audience_is_the_whole_client_id_with_its_prefix() -> None:
    shown = Card().show(Format.SD_JWT, ask(client_id="shop"))
    assert refusal(shown) == ("holder", Code.WRONG_AUDIENCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "an earlier question"}, {"client_id": "x509_hash:other"}, {"key_thumbprint": bytes(32)},
        {"response_uri": "http://mapae.test/verifier/responses/2"},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_an_mdoc_answer_is_tied_to_every_part_of_the_question(changed: dict[str, Any]) -> None:
    shown = Card().show(Format.MDOC, ask(**changed))
    assert refusal(shown) == ("holder", Code.BAD_HOLDER_PROOF)


@both
def test_a_copy_on_another_phone_is_refused(format: Format) -> None:
    shown = Card().show(format, ask(), holder=Signer.ephemeral())
    assert refusal(shown) == ("holder", Code.BAD_HOLDER_PROOF)


def test_a_card_without_the_holders_proof_is_refused() -> None:
    bare = Card().sd_jwt().disclose([["adult_by_year"]]).encode()
    assert refusal(Shown(Format.SD_JWT, bare)) == ("holder", Code.BAD_HOLDER_PROOF)


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(minutes=-2), timedelta(seconds=-61)])
def test_a_proof_made_long_ago_or_in_the_future_is_refused(off: timedelta) -> None:
    shown = Card().show(Format.SD_JWT, ask(), at=NOW - off)
    assert refusal(shown) == ("holder", Code.BAD_HOLDER_PROOF)


@pytest.mark.parametrize("off", [timedelta(seconds=55), timedelta(seconds=-55)])
def test_a_phones_clock_may_be_a_minute_off(off: timedelta) -> None:
    asked = ask()
    assert check(Card().show(Format.SD_JWT, asked, at=NOW - off), asked, trusted(), NOW)


def test_a_proof_over_fewer_disclosures_is_refused() -> None:
    asked = ask(WHO)
    jwt, first, second, proof = Card().show(Format.SD_JWT, asked).presentation.split("~")
    assert refusal(Shown(Format.SD_JWT, f"{jwt}~{second}~{proof}"), asked) == ("holder", Code.BAD_HOLDER_PROOF)
    assert first


# --- 4 dates ----------------------------------------------------------------------------------------------------------


@both
def test_an_expired_copy_is_refused_from_its_last_second_on(format: Format) -> None:
    asked = ask()
    card = Card(ends=TODAY + timedelta(hours=3))
    end, good = card.ends, trusted(good_until=NOW)
    last = end - timedelta(seconds=1)
    assert check(card.show(format, asked, at=last), asked, good, last)
    assert refusal(card.show(format, asked, at=end), asked, good, end) == ("dates", Code.EXPIRED)


@both
def test_a_copy_clipped_at_the_birthday_is_refused_on_the_birthday(format: Format) -> None:
    """A copy that says "not 19" ends with the day before; on the day itself it is refused, never read as a no."""
    birthday = TODAY + timedelta(days=1)  # midnight in the country's own time zone is the issuer's business
    asked = ask((Item("age_over_19", "yes_no"),))
    young = Card(claims={**CLAIMS, "age_over_19": False}, ends=birthday)
    eve = birthday - timedelta(seconds=1)
    verified = check(young.show(format, asked, at=eve), asked, trusted(good_until=eve), eve)
    assert verified.claims == {"age_over_19": False}
    found = refusal(young.show(format, asked, at=birthday), asked, trusted(good_until=birthday), birthday)
    assert found == ("dates", Code.EXPIRED)


@both
def test_a_copy_for_tomorrow_is_refused_today(format: Format) -> None:
    card = Card(starts=NOW.replace(microsecond=0) + timedelta(minutes=2))
    assert refusal(card.show(format, ask())) == ("dates", Code.NOT_YET_VALID)


@both
def test_a_copy_that_starts_within_a_minute_passes(format: Format) -> None:
    asked = ask()
    assert check(Card(starts=NOW + timedelta(seconds=30)).show(format, asked), asked, trusted(), NOW)


@both
def test_a_copy_signed_before_its_signer_lived_is_refused(format: Format) -> None:
    card = Card(signed=AUTHORITY.start - timedelta(days=2), starts=AUTHORITY.start - timedelta(days=2))
    assert refusal(card.show(format, ask())) == ("dates", Code.BAD_CERTIFICATE)


@both
def test_a_copy_signed_on_the_day_its_signer_began_passes(format: Format) -> None:
    """Copies round their dates down to whole days; the signer's certificate may begin later that day."""
    young = Authority("Young", start=NOW - timedelta(hours=1))
    asked = ask()
    assert check(Card(young).show(format, asked), asked, trusted(young.issuer()), NOW)


def test_a_card_without_an_end_is_refused() -> None:
    asked = ask()
    claims = {"vct": VCT, "cnf": {"jwk": HOLDER.jwk}, "adult_by_year": sd_jwt.Hidden(True)}
    assert refusal(_signed(claims, asked)) == ("dates", Code.MALFORMED)


@pytest.mark.parametrize("end", ["tomorrow", True, -1, 2**39, 2**60])  # 2**39 is the year 19391, beyond a calendar
def test_an_end_that_is_no_date_is_refused(end: object) -> None:
    asked = ask()
    claims = {"vct": VCT, "exp": end, "cnf": {"jwk": HOLDER.jwk}, "adult_by_year": sd_jwt.Hidden(True)}
    assert refusal(_signed(claims, asked)) == ("dates", Code.MALFORMED)


# --- 5 standing -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(("standing", "code"), [(status.SUSPENDED, Code.SUSPENDED), (status.INVALID, Code.REVOKED)])
def test_a_card_that_does_not_stand_is_refused(format: Format, standing: int, code: Code) -> None:
    assert refusal(Card().show(format, ask()), trust=trusted(standing=standing)) == ("standing", code)


@both
def test_a_standing_outside_the_list_is_refused(format: Format) -> None:
    card = Card(reference=status.StatusRef(LIST, 64))
    assert refusal(card.show(format, ask())) == ("standing", Code.STATUS_UNKNOWN)


@both
def test_without_a_status_list_nothing_is_accepted(format: Format) -> None:
    trust = Trusted((AUTHORITY.issuer(),))
    assert refusal(Card().show(format, ask()), trust=trust) == ("standing", Code.STATUS_UNKNOWN)


@both
def test_a_status_list_that_is_too_old_is_refused(format: Format) -> None:
    trust = trusted(good_until=NOW - timedelta(seconds=1))
    assert refusal(Card().show(format, ask()), trust=trust) == ("standing", Code.STATUS_UNKNOWN)


@both
def test_a_card_without_a_status_is_refused(format: Format) -> None:
    assert refusal(Card(reference=None).show(format, ask())) == ("standing", Code.STATUS_UNKNOWN)


@both
@pytest.mark.parametrize(
    "uri",
    [
        "http://elsewhere.test/issuer/status/list-1", "http://mapae.test/issuer/status/../../verifier",
        "http://mapae.test/issuer/status/", "http://mapae.test/issuer/status/a?b", "http://mapae.test/issuer/status/a/b",
        "http://mapae.test/issuer/status.evil/list",
    ],
)  # fmt: skip
def test_a_status_list_elsewhere_is_refused_unread(format: Format, uri: str) -> None:
    card = Card(reference=status.StatusRef(uri, 7))
    assert refusal(card.show(format, ask()), trust=trusted(uri=uri)) == ("standing", Code.STATUS_UNKNOWN)


# --- 6 request --------------------------------------------------------------------------------------------------------


@both
def test_a_missing_item_is_refused(format: Format) -> None:
    shown = Card().show(format, ask(WHO), items=("name",))
    assert refusal(shown, ask(WHO)) == ("request", Code.NOT_WHAT_WAS_ASKED)


@both
def test_a_surplus_item_is_refused(format: Format) -> None:
    """The holder's wallet gave away more than was asked: nobody may come to rely on that."""
    shown = Card().show(format, ask(), items=("adult_by_year", "address"))
    assert refusal(shown) == ("request", Code.NOT_WHAT_WAS_ASKED)


@both
def test_another_type_of_the_same_issuer_is_refused(format: Format) -> None:
    licence = Card(vct="urn:mapae:kr:licence:1", doctype="kr.mapae.licence.1")
    assert refusal(licence.show(format, ask()))[1] in (Code.NOT_WHAT_WAS_ASKED, Code.UNTRUSTED_ISSUER)


@both
def test_the_other_format_of_what_was_asked_is_refused_when_only_one_was(format: Format) -> None:
    asked = ask(vct=None) if format is Format.SD_JWT else ask(doctype=None, namespace=None)
    assert refusal(Card().show(format, ask()), asked)[1] in (Code.UNTRUSTED_ISSUER, Code.NOT_WHAT_WAS_ASKED)


@both
@pytest.mark.parametrize("value", ["true", 1, "yes"])
def test_a_yes_that_is_not_a_yes_is_refused(format: Format, value: object) -> None:
    card = Card(claims={**CLAIMS, "adult_by_year": value})
    assert refusal(card.show(format, ask())) == ("request", Code.NOT_WHAT_WAS_ASKED)


def test_a_date_has_one_spelling() -> None:
    card = Card(claims={**CLAIMS, "birth_date": "20010309"})
    assert refusal(card.show(Format.SD_JWT, ask(WHO)), ask(WHO)) == ("request", Code.NOT_WHAT_WAS_ASKED)


def test_an_element_of_another_namespace_is_surplus() -> None:
    """Even one with the name that was asked."""
    shown = Card(namespace="org.example.other").show(Format.MDOC, ask())
    assert refusal(shown) == ("request", Code.NOT_WHAT_WAS_ASKED)


def test_a_claim_the_issuer_left_open_is_surplus_too() -> None:
    asked = ask()
    claims = {
        "vct": VCT, "exp": int((TODAY + timedelta(days=3)).timestamp()), "cnf": {"jwk": HOLDER.jwk},
        "status": status.StatusRef(LIST, 7).claim(), "adult_by_year": sd_jwt.Hidden(True), "sub": "somebody",
    }  # fmt: skip
    assert refusal(_signed(claims, asked)) == ("request", Code.NOT_WHAT_WAS_ASKED)


# --- the order of the steps -------------------------------------------------------------------------------------------


@both
def test_the_first_step_that_fails_is_the_one_that_is_named(format: Format) -> None:
    """Spoil the steps from the last to the first; each time the earlier one is named."""
    asked = ask(WHO)
    card, trust = Card(), trusted()
    assert refusal(card.show(format, asked, items=("name",)), asked, trust)[0] == "request"
    trust = trusted(standing=status.INVALID)
    assert refusal(card.show(format, asked, items=("name",)), asked, trust)[0] == "standing"
    card = replace(card, ends=TODAY + timedelta(hours=1))
    assert refusal(card.show(format, asked, items=("name",)), asked, trust)[0] == "dates"
    stolen = Signer.ephemeral()
    assert refusal(card.show(format, asked, items=("name",), holder=stolen), asked, trust)[0] == "holder"
    card = replace(card, signer=Signer.ephemeral())
    assert refusal(card.show(format, asked, items=("name",), holder=stolen), asked, trust)[0] == "seal"
    trust = trusted(STRANGER.issuer(status_prefix=STATUS_PREFIX))
    assert refusal(card.show(format, asked, items=("name",), holder=stolen), asked, trust)[0] == "issuer"


# --- hands ------------------------------------------------------------------------------------------------------------


def _bound(bare: str, asked: Ask) -> Shown:
    """A presentation with these disclosures and a holder's proof over exactly them."""
    return Shown(
        Format.SD_JWT,
        sd_jwt.SdJwt.parse(bare).bind(HOLDER, nonce=asked.nonce, audience=asked.client_id, now=NOW),
    )


def _signed(claims: dict[str, Any], asked: Ask) -> Shown:
    header = {"typ": "dc+sd-jwt", "x5c": [b64encode(AUTHORITY.leaf).decode()]}
    draft = sd_jwt.draft(header, claims, entropy=bytes)
    return _bound(draft.complete(AUTHORITY.signer.sign(draft.signing_input)), asked)


def _response(card: Card, asked: Ask) -> dict[str, Any]:
    disclosed = card.mdoc().disclose({NAMESPACE: [item.name for item in asked.items]})
    raw = mdoc.present(disclosed, session_transcript=transcript(asked), holder=HOLDER)
    response: dict[str, Any] = cbor.loads(raw)
    assert response["documents"][0]["docType"] == DOCTYPE
    return response


def _items(response: dict[str, Any]) -> list[Any]:
    items: list[Any] = response["documents"][0]["issuerSigned"]["nameSpaces"][NAMESPACE]
    return items


def _encoded(response: dict[str, Any]) -> Shown:
    return Shown(Format.MDOC, jose.b64u(cbor.dumps(response)))
