"""ISO mdoc by three other libraries, npm's @owf/mdoc and @auth0/mdl, PyPI's pymdoccbor, against ours: each reads what
the others make, and what they make wrongly is refused by the numbered step of docs/checking.md that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509
from pymdoccbor.mdoc.issuer import MdocCborIssuer
from pymdoccbor.mdoc.verifier import MdocCbor

from conformance.peers import Node, PeerRefused, deviates
from conformance.world import (
    AUTHORITY,
    CHAIN,
    HOLDER,
    ISSUER,
    LATER,
    NONCE,
    NOW,
    OTHER_DOCTYPE,
    STRANGER,
    TODAY,
    Pair,
    ask,
    dice,
    just_now,
    transcript,
    transcript_words,
    trusted,
)
from mapae.errors import Code, Refused
from mapae.formats import mdoc
from mapae.formats.jose import b64u, unb64u
from mapae.formats.mdoc import DeviceResponse, IssuerSigned
from mapae.verifier.checking.check import Format, Shown, check
from unit.verifier.world import DOCTYPE, NAMESPACE, PLACE

ASK = ask()
READER = Pair.new()
NAMES = ["name", "birth_date"]
# What everybody issues: in our words, in theirs, and as every library reads it back.
OURS: dict[str, Any] = {
    "name": "김지수", "birth_date": date(2001, 3, 9), "adult_by_year": True, "height": 165,
    "portrait": bytes(range(64)), "places": [{"name": "세종", "since": 2012}, {"name": "서울"}],
}  # fmt: skip
THEIRS: dict[str, Any] = {**OURS, "birth_date": {"$date": "2001-03-09"}, "portrait": {"$bytes": b64u(OURS["portrait"])}}
ANCHORS = [b64u(AUTHORITY.root)]


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


VALIDITY = {"signed": iso(TODAY), "validFrom": iso(TODAY), "validUntil": iso(LATER)}


def ours() -> IssuerSigned:
    draft = mdoc.draft(
        DOCTYPE, {NAMESPACE: OURS}, device_key=HOLDER.key, validity=mdoc.Validity(TODAY, TODAY, LATER), x5chain=CHAIN,
        status=PLACE, entropy=dice.bytes,
    )  # fmt: skip
    return IssuerSigned.parse(draft.complete(ISSUER.signer.sign(draft.signing_input)))


def issued(peer: str, node: Node, **changes: Any) -> Any:
    """A card by @owf/mdoc (an IssuerSigned) or @auth0/mdl (a document in their wrapping)."""
    given = {
        "doctype": DOCTYPE, "namespaces": {NAMESPACE: THEIRS}, "key": ISSUER.private, "deviceKey": HOLDER.public,
        "chain": [b64u(der) for der in CHAIN], "validity": VALIDITY,
    }  # fmt: skip
    if peer == "owf":
        given["status"] = PLACE.claim()
    else:
        given["key"] = {**ISSUER.private, "alg": "ES256", "kid": "issuer"}
    return getattr(node, peer).issue(**{**given, **changes})


def by_pymdoccbor() -> dict[str, Any]:
    d = unb64u(ISSUER.private["d"])
    private = {"KTY": "EC2", "CURVE": "P_256", "ALG": "ES256", "D": d, "KID": b"k"}
    issuer = MdocCborIssuer(private_key=private, alg="ES256")
    key = {"KTY": "EC2", "CURVE": "P_256", "X": unb64u(HOLDER.public["x"]), "Y": unb64u(HOLDER.public["y"])}
    validity = {"issuance_date": TODAY.date().isoformat(), "expiry_date": LATER.date().isoformat()}
    elements = {**OURS, "birth_date": "2001-03-09"}
    return dict(issuer.new(
        data={NAMESPACE: elements}, doctype=DOCTYPE, validity=validity, devicekeyinfo=key, revocation=PLACE.claim(),
        x509_chain=[x509.load_der_x509_certificate(der) for der in CHAIN],
    ))  # fmt: skip


def wrapped(card: IssuerSigned) -> str:
    """Our card as @auth0/mdl and pymdoccbor keep one: a response without the device's part."""
    documents = [{"docType": DOCTYPE, "issuerSigned": cbor2.loads(card.encode())}]
    return b64u(cbor2.dumps({"version": "1.0", "documents": documents, "status": 0}))


def unwrapped(response: str | bytes) -> IssuerSigned:
    raw = unb64u(response) if isinstance(response, str) else response
    return IssuerSigned.parse(cbor2.dumps(cbor2.loads(raw)["documents"][0]["issuerSigned"]))


def show(card: IssuerSigned, names: list[str] | None = None) -> str:
    disclosed = card.disclose({NAMESPACE: NAMES if names is None else names})
    return b64u(mdoc.present(disclosed, session_transcript=transcript(ASK), holder=HOLDER.signer))


def owf_shows(node: Node, card: str | None = None, names: list[str] | None = None, **changes: Any) -> str:
    given = {
        "card": card or b64u(ours().encode()), "doctype": DOCTYPE, "wanted": {NAMESPACE: names or NAMES},
        "transcript": transcript_words(ASK), "holder": HOLDER.private,
    }  # fmt: skip
    return str(node.owf.present(**{**given, **changes}))


def auth0_shows(node: Node, card: str | None = None, names: list[str] | None = None, **changes: Any) -> str:
    given = {
        "mdoc": card or wrapped(ours()), "doctype": DOCTYPE, "wanted": {NAMESPACE: names or NAMES},
        "transcript": b64u(transcript(ASK)), "holder": {**HOLDER.private, "alg": "ES256", "kid": "device"},
    }  # fmt: skip
    return str(node.auth0.present(**{**given, **changes}))


def owf_reads(node: Node, response: str, **changes: Any) -> dict[str, Any]:
    given = {"response": response, "transcript": transcript_words(ASK), "trusted": ANCHORS, "now": iso(NOW)}
    return dict(node.owf.verify(**{**given, **changes})[NAMESPACE])


def auth0_reads(node: Node, response: str, **changes: Any) -> dict[str, Any]:
    given = {"response": response, "transcript": b64u(transcript(ASK)), "trusted": ANCHORS}
    return dict(node.auth0.verify(**{**given, **changes})[NAMESPACE])


def pymdoccbor_reads(response: str) -> dict[str, Any]:
    """It reads documents, not what the device signed."""
    reader = MdocCbor()
    reader.loads(unb64u(response))
    if not reader.verify(trusted_root_certs=[x509.load_der_x509_certificate(AUTHORITY.root)]):
        raise PeerRefused("verify() is False")
    return dict(reader.disclosure_map[NAMESPACE])


# --- each reads what the other makes ----------------------------------------------------------------------------------


def test_owf_reads_every_element_we_issue(node: Node) -> None:
    """ISO/IEC 18013-5 9.1.2.4, 9.1.2.5; 7.2.1 for dates."""
    assert node.owf.check(card=b64u(ours().encode()), trusted=ANCHORS, now=iso(NOW)) == {NAMESPACE: THEIRS}


def test_auth0_reads_every_element_we_issue(node: Node) -> None:
    assert node.auth0.read(mdoc=wrapped(ours())) == {NAMESPACE: THEIRS}


def test_pymdoccbor_verifies_every_element_we_issue() -> None:
    read = pymdoccbor_reads(wrapped(ours()))
    assert {**read, "birth_date": str(read["birth_date"])} == {**OURS, "birth_date": "2001-03-09"}


def test_we_read_every_element_they_issue(node: Node) -> None:
    by_owf = IssuerSigned.parse(unb64u(issued("owf", node)))
    assert by_owf.open(ISSUER.key) == {NAMESPACE: OURS}
    assert (by_owf.mso.device_key, by_owf.mso.status) == (HOLDER.key, PLACE)
    by_auth0 = unwrapped(issued("auth0", node))
    assert by_auth0.open(ISSUER.key) == {NAMESPACE: {**OURS, "birth_date": "2001-03-09"}}
    by_python = unwrapped(cbor2.dumps(by_pymdoccbor()))
    assert by_python.open(ISSUER.key) == {NAMESPACE: OURS}
    assert (by_python.mso.device_key, by_python.mso.status) == (HOLDER.key, PLACE)


@pytest.mark.parametrize("names", [NAMES, ["portrait"], ["places", "height", "adult_by_year"]], ids=str)
def test_they_verify_what_our_holder_shows(names: list[str], node: Node) -> None:
    """ISO/IEC 18013-5 9.1.3, OpenID4VP 1.0 B.2.6.1: our device signature over a transcript each side makes itself."""
    for card in (ours(), IssuerSigned.parse(unb64u(issued("owf", node)))):
        response = show(card, names)
        expected = {name: THEIRS[name] for name in names}
        assert owf_reads(node, response) == expected
        assert auth0_reads(node, response) == expected
    assert set(pymdoccbor_reads(show(ours(), names))) == set(names)


def test_our_steps_accept_what_their_holders_show(node: Node) -> None:
    """All six steps: our card shown by two others, and a card wholly issued and shown by others."""
    python_card = b64u(unwrapped(cbor2.dumps(by_pymdoccbor())).encode())
    for response in (
        owf_shows(node), auth0_shows(node), owf_shows(node, issued("owf", node)), owf_shows(node, python_card),
    ):  # fmt: skip
        verified = check(Shown(Format.MDOC, response), ASK, trusted(), just_now())
        assert verified.claims == {"name": OURS["name"], "birth_date": OURS["birth_date"]}


def test_a_card_without_a_status_is_refused_by_step_5_alone(node: Node) -> None:
    """The first edition knows no status (@auth0/mdl writes none); who it is has been established by then."""
    response = auth0_shows(node, issued("auth0", node))
    document = DeviceResponse.parse(unb64u(response)).documents[0]
    assert document.issuer_signed.open(ISSUER.key)[NAMESPACE]["name"] == OURS["name"]
    document.check_device(transcript(ASK))
    with pytest.raises(Refused) as refused:
        check(Shown(Format.MDOC, response), ASK, trusted(), NOW)
    assert (refused.value.step, refused.value.code) == ("standing", Code.STATUS_UNKNOWN)


@pytest.mark.parametrize("thumbprint", [None, HOLDER.key.thumbprint_raw], ids=["plain", "encrypted"])
def test_transcripts_are_the_same_bytes(thumbprint: bytes | None, node: Node) -> None:
    """OpenID4VP 1.0 B.2.6.1 and B.2.6.2, with and without an encryption key."""
    text = b64u(thumbprint) if thumbprint else None
    words = transcript_words(ASK, thumbprint=text)
    ours_ = mdoc.openid4vp_transcript(
        client_id=ASK.client_id, nonce=NONCE, response_uri=ASK.response_uri, thumbprint=thumbprint
    )
    assert unb64u(node.owf.transcript(**words)) == ours_
    words = {"kind": "dc_api", "origin": "https://shop.example", "nonce": NONCE, "thumbprint": text}
    ours_ = mdoc.openid4vp_dc_api_transcript(origin="https://shop.example", nonce=NONCE, thumbprint=thumbprint)
    assert unb64u(node.owf.transcript(**words)) == ours_


# --- proximity: device MAC and the transcript of a QR -----------------------------------------------------------------


def session(node: Node) -> tuple[bytes, dict[str, Any]]:
    """A QR's session transcript, made by us and by @owf/mdoc from the same engagement and reader key."""
    ble = [2, 1, {0: False, 1: True, 11: bytes(range(16))}]
    engagement = cbor2.dumps({0: "1.0", 1: [1, cbor2.CBORTag(24, STRANGER.cose())], 2: [ble]})
    ours_ = mdoc.qr_transcript(engagement=engagement, reader_key=READER.cose())
    words = {"kind": "qr", "engagement": b64u(engagement), "readerKey": b64u(READER.cose())}
    assert unb64u(node.owf.transcript(**words)) == ours_
    return ours_, words


def test_a_device_mac_goes_both_ways(node: Node) -> None:
    """ISO/IEC 18013-5 9.1.3.5, 9.1.5.1: two libraries come to the same EMacKey over the same transcript."""
    transcript_, _ = session(node)
    key = mdoc.MacKey.between(HOLDER, READER.key, transcript_)
    shown_ = ours().disclose({NAMESPACE: NAMES})
    response = b64u(mdoc.present(shown_, session_transcript=transcript_, holder=key))
    private = b64u(READER.cose(private=True))
    assert auth0_reads(node, response, transcript=b64u(transcript_), reader=private).keys() == set(NAMES)

    by_auth0 = auth0_shows(node, transcript=b64u(transcript_), reader=b64u(READER.cose()))
    document = DeviceResponse.parse(unb64u(by_auth0)).documents[0]
    assert document.check_device(transcript_, READER) == {}
    for reader in (None, STRANGER):
        with pytest.raises(Refused) as refused:
            document.check_device(transcript_, reader)
        assert refused.value.code is Code.BAD_HOLDER_PROOF


@deviates("RFC 9052 6.3", "leaves external_aad out of the MAC structure when it is empty")
def test_owf_mdoc_makes_a_device_mac(node: Node) -> None:
    transcript_, words = session(node)
    response = owf_shows(node, transcript=words, reader=READER.public)
    try:
        DeviceResponse.parse(unb64u(response)).documents[0].check_device(transcript_, READER)
    except Refused as refused:
        raise AssertionError(refused.detail) from None


@deviates("ISO/IEC 18013-5 9.1.3.5", "takes no MAC for one by HMAC 256/256, its own neither")
def test_owf_mdoc_checks_a_device_mac(node: Node) -> None:
    _, words = session(node)
    response = owf_shows(node, transcript=words, reader=READER.public)
    assert owf_reads(node, response, transcript=words, reader=READER.private).keys() == set(NAMES)


def test_a_device_mac_is_no_answer_online(node: Node) -> None:
    """OpenID4VP 1.0 B.2: the verifier has no key in the session, so nobody could check it."""
    response = owf_shows(node, reader=READER.public)
    with pytest.raises(Refused) as refused:
        check(Shown(Format.MDOC, response), ASK, trusted(), NOW)
    assert (refused.value.step, refused.value.code) == ("holder", Code.BAD_HOLDER_PROOF)


# --- their wrong answers, our steps -----------------------------------------------------------------------------------

Make = Callable[[Node], str]


def shows(**changes: Any) -> Make:
    """Our good card, shown wrongly by @owf/mdoc."""
    return lambda node: owf_shows(node, **changes)


def bends(**bend: Any) -> Make:
    """The same, changed after it was made: their classes put it together again."""
    return lambda node: owf_shows(node, bend=bend)


def issues(shown_as: str = DOCTYPE, **changes: Any) -> Make:
    """A card wrongly issued by @owf/mdoc, shown as it should be."""
    return lambda node: owf_shows(node, issued("owf", node, **changes), doctype=shown_as)


def valid(**moments: timedelta) -> dict[str, str]:
    base = {"signed": TODAY, "validFrom": TODAY, "validUntil": LATER}
    return {name: iso(base[name] + moments.get(name, timedelta(0))) for name in base}


def elsewhere(**changes: Any) -> Make:
    """Signed for another session: the transcript has one part that differs."""
    return shows(transcript=transcript_words(ASK, **changes))


LONG_AGO = timedelta(days=-20)
PAST = valid(signed=LONG_AGO, validFrom=LONG_AGO, validUntil=LONG_AGO)
ELSEWHERE = {"status_list": {"idx": 7, "uri": "http://elsewhere.test/1"}}

WRONG: dict[str, tuple[Make, str, Code]] = {
    # ISO/IEC 18013-5 9.1.3, OpenID4VP 1.0 B.2.6.1: the device's signature
    "another nonce": (elsewhere(nonce="another"), "holder", Code.BAD_HOLDER_PROOF),
    "another client": (elsewhere(clientId="x509_hash:other"), "holder", Code.BAD_HOLDER_PROOF),
    "another address": (elsewhere(responseUri="http://other.test/"), "holder", Code.BAD_HOLDER_PROOF),
    "another encryption key": (elsewhere(thumbprint=b64u(bytes(32))), "holder", Code.BAD_HOLDER_PROOF),
    "no encryption key": (elsewhere(thumbprint=None), "holder", Code.BAD_HOLDER_PROOF),
    "another device's key": (shows(holder=STRANGER.private), "holder", Code.BAD_HOLDER_PROOF),
    "elements of the device": (shows(deviceElements={NAMESPACE: {"extra": True}}), "holder", Code.BAD_HOLDER_PROOF),
    # 9.3.1: digests
    "an element altered": (bends(alter={"name": "somebody else"}), "seal", Code.BAD_DIGEST),
    "an element twice": (bends(duplicate=True), "seal", Code.MALFORMED),
    "a namespace added": (bends(addNamespace=OTHER_DOCTYPE), "seal", Code.BAD_DIGEST),
    "moved to another namespace": (bends(move=OTHER_DOCTYPE), "seal", Code.BAD_DIGEST),
    "another docType outside": (bends(doctype=OTHER_DOCTYPE), "issuer", Code.MALFORMED),
    "the document twice": (bends(twice=True), "issuer", Code.MALFORMED),
    "an error status": (bends(status=10), "issuer", Code.MALFORMED),
    # 9.1.2.4, 9.3.1: the issuer's part
    "another issuer's signature": (issues(key=STRANGER.private), "seal", Code.BAD_SIGNATURE),
    "digests by another hash": (issues(digest="SHA-512"), "issuer", Code.UNSUPPORTED),
    "expired": (issues(validity=PAST), "dates", Code.EXPIRED),
    "not yet valid": (issues(validity=valid(validFrom=timedelta(days=3))), "dates", Code.NOT_YET_VALID),
    "valid upside down": (issues(validity=valid(validUntil=timedelta(days=-30))), "issuer", Code.MALFORMED),
    "signed before the certificate": (
        issues(validity=valid(signed=timedelta(days=-400))), "dates", Code.BAD_CERTIFICATE,
    ),
    "another type": (issues(OTHER_DOCTYPE, doctype=OTHER_DOCTYPE), "request", Code.NOT_WHAT_WAS_ASKED),
    # standing and request
    "no status": (issues(status=None), "standing", Code.STATUS_UNKNOWN),
    "a list elsewhere": (issues(status=ELSEWHERE), "standing", Code.STATUS_UNKNOWN),
    "an item not shown": (shows(names=["name"]), "request", Code.NOT_WHAT_WAS_ASKED),
    "more than was asked": (shows(names=[*NAMES, "height"]), "request", Code.NOT_WHAT_WAS_ASKED),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_their_wrong_mdoc_is_refused_by_the_step_that_is_there_for_it(wrong: str, node: Node) -> None:
    make, step, code = WRONG[wrong]
    answer = make(node)
    with pytest.raises(Refused) as refused:
        check(Shown(Format.MDOC, answer), ASK, trusted(), NOW)
    assert (refused.value.step, refused.value.code) == (step, code), refused.value.detail


AUTH0_WRONG: dict[str, tuple[Make, str, Code]] = {
    "another session": (
        lambda node: auth0_shows(node, transcript=b64u(transcript(ask(client_id="x509_hash:other")))),
        "holder", Code.BAD_HOLDER_PROOF,
    ),
    "another device's key": (
        lambda node: auth0_shows(node, holder={**STRANGER.private, "alg": "ES256", "kid": "device"}),
        "holder", Code.BAD_HOLDER_PROOF,
    ),
    "another issuer's signature": (
        lambda node: auth0_shows(node, issued("auth0", node, key={**STRANGER.private, "alg": "ES256", "kid": "i"})),
        "seal", Code.BAD_SIGNATURE,
    ),
    "digests by another hash": (
        lambda node: auth0_shows(node, issued("auth0", node, digest="SHA-512")), "issuer", Code.UNSUPPORTED,
    ),
    "expired": (lambda node: auth0_shows(node, issued("auth0", node, validity=PAST)), "dates", Code.EXPIRED),
    "an item not shown": (lambda node: auth0_shows(node, names=["name"]), "request", Code.NOT_WHAT_WAS_ASKED),
}  # fmt: skip


@pytest.mark.parametrize("wrong", AUTH0_WRONG)
def test_a_wrong_mdoc_by_auth0_is_refused_by_the_step_that_is_there_for_it(wrong: str, node: Node) -> None:
    make, step, code = AUTH0_WRONG[wrong]
    answer = make(node)
    with pytest.raises(Refused) as refused:
        check(Shown(Format.MDOC, answer), ASK, trusted(), NOW)
    assert (refused.value.step, refused.value.code) == (step, code), refused.value.detail


# --- what they make of the same wrong answers -------------------------------------------------------------------------

# Not a library's to decide: what was asked, where the status is, which hash a profile allows (HAIP 1.0 8); or our rule.
LEFT = {
    "another type", "no status", "a list elsewhere", "an item not shown", "more than was asked",
    "digests by another hash", "the document twice", "an element twice", "an error status",
}  # fmt: skip
BOTH_ACCEPT = {"elements of the device": "ISO/IEC 18013-5 9.1.2.4 (keyAuthorizations)"}


def judged(bugs: dict[str, str]) -> list[Any]:
    """Every wrong answer that is the library's to refuse. `bugs`: what it lets pass, by clause."""
    return [
        pytest.param(wrong, marks=[deviates(bugs[wrong], "accepts " + wrong)] if wrong in bugs else [], id=wrong)
        for wrong in WRONG
        if wrong not in LEFT
    ]


@pytest.mark.parametrize("wrong", judged(BOTH_ACCEPT))
def test_owf_mdoc_refuses_it_too(wrong: str, node: Node) -> None:
    answer = WRONG[wrong][0](node)
    with pytest.raises(PeerRefused):
        owf_reads(node, answer)


@pytest.mark.parametrize("wrong", judged(BOTH_ACCEPT))
def test_auth0_mdl_refuses_it_too(wrong: str, node: Node) -> None:
    answer = WRONG[wrong][0](node)
    with pytest.raises(PeerRefused):
        auth0_reads(node, answer)


def test_pymdoccbor_refuses_a_stranger_as_issuer(node: Node) -> None:
    """It reads issuer-signed documents only, and checks less than the six steps."""
    with pytest.raises(PeerRefused):
        pymdoccbor_reads(WRONG["another issuer's signature"][0](node))
