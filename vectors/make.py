"""Writes the JSON cases of this folder: what must be read, and what must be refused at which step.

Both languages run them: tests/unit/formats/test_vectors.py here, the wallet's tests in TypeScript. Everything is
repeatable (named keys, RFC 6979 signatures, seeded salts), so a second run changes nothing; a test checks that.

    .venv/bin/python vectors/make.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import check_steps  # noqa: E402
import chip_cases  # noqa: E402
import face_cases  # noqa: E402
import jose_cases  # noqa: E402
import qr_cases  # noqa: E402
import sd_jwt_cases  # noqa: E402
import status_cases  # noqa: E402
import till_cases  # noqa: E402
import trust_cases  # noqa: E402
from cast import AT, AUDIENCE, CA, HOLDER, ISSUER, NONCE, PRIVATE, THIEF, Case, refused, taken  # noqa: E402

from hands import NOW, Hand  # noqa: E402
from mapae.clock import SeededDice  # noqa: E402
from mapae.formats import cbor, cose, jose, mdoc, proximity, x509  # noqa: E402
from mapae.formats.status import StatusRef  # noqa: E402

# --- mdoc ---------------------------------------------------------------------------------------------------------

NAMESPACE = "kr.mapae.resident.1"
TRANSCRIPT = mdoc.openid4vp_transcript(
    client_id=AUDIENCE,
    nonce=NONCE,
    response_uri="https://verifier.example/responses/1",
    thumbprint=Hand("response encryption").key.thumbprint_raw,
)


def resident() -> mdoc.IssuerSigned:
    elements = {"name": "한지수", "birth_date": date(2001, 3, 9), "age_over_19": True, "portrait": b"\xff\xd8\xff"}
    draft = mdoc.draft(
        "kr.mapae.resident.1",
        {NAMESPACE: elements},
        device_key=HOLDER.key,
        validity=mdoc.Validity(NOW, NOW, NOW + timedelta(days=30)),
        x5chain=[leaf(x509.Profile.DOCUMENT_SIGNER)],
        status=StatusRef("https://issuer.example/status/1", 7),
        entropy=SeededDice("mdoc").bytes,
    )
    return mdoc.IssuerSigned.parse(draft.complete(ISSUER.sign(draft.signing_input)))


def readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return value.isoformat() if isinstance(value, date) else value


def responses() -> Iterator[Case]:
    whole = resident()

    def show(card_: mdoc.IssuerSigned, holder: Hand = HOLDER, transcript: bytes = TRANSCRIPT) -> bytes:
        return mdoc.present(card_, session_transcript=transcript, holder=holder)

    for name, wanted in [("everything", whole.names[NAMESPACE]), ("one element", ("age_over_19",)), ("nothing", ())]:
        shown = whole.disclose({NAMESPACE: wanted})
        opened = {space: {k: readable(v) for k, v in some.items()} for space, some in shown.peek().items()}
        yield taken(name, show(shown).hex(), opened)

    def changed(path: list[Any], value: Any) -> str:
        raw = cbor.loads(show(whole.disclose({NAMESPACE: ["name"]})))
        at = raw
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return cbor.dumps(raw).hex()

    first = ["documents", 0]
    signed = [*first, "issuerSigned"]
    item = cbor.Tag(24, cbor.dumps({"random": bytes(16), "digestID": 0, "elementIdentifier": "x", "elementValue": 1}))
    good = show(whole).hex()
    yield refused("something after it", good + "00", "parse", "malformed")
    yield refused("status not 0", changed(["status"], 10), "parse", "malformed")
    yield refused("another version", changed(["version"], "2.0"), "parse", "unsupported")
    yield refused("another docType", changed([*first, "docType"], "org.iso.18013.5.1.mDL"), "parse", "malformed")
    mac = {"deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]}
    yield refused("a MAC", changed([*first, "deviceSigned", "deviceAuth"], mac), "holder", "bad_holder_proof")
    empty = {"deviceMac": []}
    yield refused("an empty MAC", changed([*first, "deviceSigned", "deviceAuth"], empty), "parse", "malformed")
    added = cbor.Tag(24, b"\xa1\x61a\xa1\x61b\x01")
    yield refused(
        "elements of the device, not in what it signed",
        changed([*first, "deviceSigned", "nameSpaces"], added),
        "holder",
        "bad_holder_proof",
    )
    yield refused("an element nobody signed", changed([*signed, "nameSpaces", NAMESPACE], [item]), "seal", "bad_digest")
    yield refused("a namespace nobody signed", changed([*signed, "nameSpaces", "added"], [item]), "seal", "bad_digest")
    forged = THIEF.sign(cose.to_be_signed(whole.auth.payload or b""))
    yield refused("issued by another key", changed([*signed, "issuerAuth", 3], forged), "seal", "bad_signature")
    yield refused("shown by another key", show(whole, THIEF).hex(), "holder", "bad_holder_proof")
    elsewhere = mdoc.openid4vp_transcript(
        client_id=AUDIENCE, nonce="another", response_uri="https://verifier.example/responses/1", thumbprint=None
    )
    yield refused("shown in another session", show(whole, transcript=elsewhere).hex(), "holder", "bad_holder_proof")
    yield from encodings(good)
    yield from signatures(changed, [*signed, "issuerAuth"])
    yield from security_objects(changed, [*signed, "issuerAuth"])
    yield from items(changed, [*signed, "nameSpaces"], whole)
    yield from devices(changed, [*first, "deviceSigned"])


Changed = Callable[[list[Any], Any], str]


def encodings(good: str) -> Iterator[Case]:
    """RFC 8949 3, 5.3, 5.6."""
    head = "a3" + "66737461747573"  # status comes first
    assert good.startswith(head)
    rest = good[len(head) :]
    yield refused("cut", good[:-2], "parse", "malformed")
    yield refused("a map of indefinite length", "bf" + good[2:] + "ff", "parse", "malformed")
    yield refused("a member twice", "a4" + head[2:] + "00" + head[2:] + rest, "parse", "malformed")
    yield refused("a text that is not UTF-8", "a3" + "6673746174c328" + rest, "parse", "malformed")
    yield refused("a member more", "a4" + head[2:] + rest + "617800", "parse", "malformed")
    yield refused("nested too deeply", "81" * 40 + good, "parse", "malformed")
    yield refused("a list longer than the input", head + "9bffffffffffffffff", "parse", "malformed")


def signatures(changed: Changed, auth: list[Any]) -> Iterator[Case]:
    """RFC 9052 3, 4.2; RFC 9053 2.1; RFC 9864 2.1."""
    es384, mac, named, twice, crit = (
        cbor.dumps(h) for h in ({1: -35}, {1: 5}, {1: -7, 4: b"k"}, {1: -7, 33: b""}, {1: -7, 2: [4]})
    )
    yield refused("signed with another algorithm", changed([*auth, 0], es384), "parse", "unsupported")
    yield refused("sealed with a MAC", changed([*auth, 0], mac), "parse", "unsupported")
    yield refused("an extension that must be understood", changed([*auth, 0], crit), "parse", "unsupported")
    yield refused("no algorithm", changed([*auth, 0], b""), "parse", "malformed")
    yield refused("the algorithm unprotected", changed([*auth, 1], {1: -7, 33: b"0"}), "parse", "malformed")
    yield refused("a label in both headers", changed([*auth, 0], twice), "parse", "malformed")
    yield refused("another protected header", changed([*auth, 0], named), "seal", "bad_signature")
    yield refused("no payload", changed([*auth, 2], None), "parse", "malformed")
    yield refused("a signature that is cut", changed([*auth, 3], bytes(63)), "seal", "bad_signature")


def security_objects(changed: Changed, auth: list[Any]) -> Iterator[Case]:
    """ISO/IEC 18013-5 9.1.2.4, each signed again by the issuer."""
    mso = cbor.loads(cbor.unwrap(resident().auth.payload or b""))

    def signed(**change: Any) -> str:
        payload = cbor.embed(cbor.dumps({k: v for k, v in (mso | change).items() if v is not None}))
        return changed(auth, [cose.PROTECTED, {33: b"0"}, payload, ISSUER.sign(cose.to_be_signed(payload))])

    def dated(**change: str) -> str:
        return signed(validityInfo=mso["validityInfo"] | {name: cbor.Tag(0, at) for name, at in change.items()})

    key = mso["deviceKeyInfo"]["deviceKey"]
    yield refused("a security object of another version", signed(version="1.1"), "parse", "unsupported")
    yield refused("another hash", signed(digestAlgorithm="SHA-512"), "parse", "unsupported")
    yield refused("no device key", signed(deviceKeyInfo={}), "parse", "malformed")
    for name, change, code in [
        ("a device key on another curve", {-1: 2, -2: bytes(48), -3: bytes(48)}, "unsupported"),
        ("a device key off the curve", {-3: key[-2]}, "malformed"),
        ("a device key with its private part", {-4: bytes(32)}, "malformed"),
    ]:
        yield refused(name, signed(deviceKeyInfo={"deviceKey": key | change}), "parse", code)
    for name, change in [
        ("a fraction of a second", {"signed": "2026-11-21T09:00:00.5Z"}),
        ("an offset from UTC", {"signed": "2026-11-21T18:00:00+09:00"}),
        ("a day that is none", {"signed": "2026-02-30T09:00:00Z"}),
        ("valid before it is signed", {"validFrom": "2026-11-20T09:00:00Z"}),
        ("over before it begins", {"validUntil": "2026-11-21T09:00:00Z"}),
    ]:
        yield refused(name, dated(**change), "parse", "malformed")
    untagged = mso["validityInfo"] | {"signed": "2026-11-21T09:00:00Z"}
    yield refused("a date that is not tagged", signed(validityInfo=untagged), "parse", "malformed")
    short = {NAMESPACE: {0: bytes(31)}}
    yield refused("a digest of 31 bytes", signed(valueDigests=short), "parse", "malformed")
    yield refused("a digest by name", signed(valueDigests={NAMESPACE: {"0": bytes(32)}}), "parse", "malformed")
    yield refused(
        "a status that is no place", signed(status={"status_list": {"idx": -1, "uri": "x"}}), "parse", "malformed"
    )
    both = {"deviceKey": key, "keyAuthorizations": {"nameSpaces": ["x"], "dataElements": {"x": ["y"]}}}
    yield refused("an authorization in two places", signed(deviceKeyInfo=both), "parse", "malformed")


def items(changed: Changed, spaces: list[Any], whole: mdoc.IssuerSigned) -> Iterator[Case]:
    """ISO/IEC 18013-5 7.2.1, 9.1.2.5, 9.3.1."""

    def one(**change: Any) -> cbor.Tag:
        parts = {"random": bytes(16), "digestID": 0, "elementIdentifier": "x", "elementValue": 1} | change
        return cbor.Tag(24, cbor.dumps({name: value for name, value in parts.items() if value is not None}))

    for name, item, code in [
        ("a salt of 15 bytes", one(random=bytes(15)), "malformed"),
        ("an element without number", one(digestID=None), "malformed"),
        ("a number below zero", one(digestID=-1), "malformed"),
        ("an element with something more", one(more=1), "malformed"),
        ("a full date spelled otherwise", one(elementValue=cbor.Tag(1004, "20010309")), "malformed"),
        ("a value of a type mdoc does not have", one(elementValue=cbor.Tag(2, b"\x01" * 9)), "unsupported"),
    ]:
        yield refused(name, changed([*spaces, NAMESPACE], [item]), "parse", code)
    untagged = cbor.embedded(one())
    yield refused(
        "an element that is not tagged as encoded", changed([*spaces, NAMESPACE], [untagged]), "parse", "malformed"
    )
    yield refused("a namespace without elements", changed([*spaces, NAMESPACE], []), "parse", "malformed")
    kept = [cbor.loads(item.raw) for item in whole.items[NAMESPACE]]
    yield refused("an element moved to another namespace", changed([*spaces], {"other": kept}), "seal", "bad_digest")
    yield refused("an element twice", changed([*spaces, NAMESPACE], [*kept, kept[0]]), "seal", "malformed")


def devices(changed: Changed, device: list[Any]) -> Iterator[Case]:
    """ISO/IEC 18013-5 8.3.2.1.2.2, 9.1.3."""
    auth = [cose.PROTECTED, {}, None, bytes(64)]
    both = {"deviceSignature": auth, "deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]}
    yield refused("a signature and a MAC", changed([*device, "deviceAuth"], both), "parse", "malformed")
    yield refused("neither signature nor MAC", changed([*device, "deviceAuth"], {"x": auth}), "parse", "unsupported")
    short = {"deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(16)]}
    yield refused("a MAC that is cut", changed([*device, "deviceAuth"], short), "parse", "malformed")
    inside = {"deviceSignature": [cose.PROTECTED, {}, b"x", bytes(64)]}
    yield refused("a payload inside", changed([*device, "deviceAuth"], inside), "holder", "bad_holder_proof")
    yield refused("no namespaces of the device", changed(device, {"deviceAuth": {}}), "parse", "malformed")
    empty = cbor.Tag(24, b"\xa1\x61a\xa0")
    yield refused(
        "a namespace of the device without elements", changed([*device, "nameSpaces"], empty), "parse", "malformed"
    )
    said = {NAMESPACE: {"x": "1"}}
    yield refused("an error that is no number", changed([*device[:-1], "errors"], said), "parse", "malformed")


# --- proximity ----------------------------------------------------------------------------------------------------

PHONE, TILL = proximity.EphemeralKey(bytes(range(48))), proximity.EphemeralKey(bytes(range(48, 96)))
MET = proximity.engagement(PHONE.public, [proximity.Ble(False, True, None, bytes(range(16)))])
NEAR = mdoc.qr_transcript(engagement=MET, reader_key=TILL.cose)


def meetings() -> Iterator[Case]:
    """From the code on the phone's screen to the request it decrypts; and, with its last message, the goodbye.

    Input: the code, the reader's first message, and its second."""

    def asked(**change: Any) -> bytes:
        options: dict[str, Any] = {"session_transcript": NEAR, "reader": ISSUER, "x5chain": [leaf(x509.Profile.ACCESS)]}
        items = mdoc.items_request(NAMESPACE, {NAMESPACE: {"name": True, "age_over_19": False}})
        return mdoc.device_request([mdoc.doc_request(items, **(options | change))])

    def said(request: bytes, code: bytes = MET, own: proximity.EphemeralKey = TILL) -> list[str]:
        session = proximity.Session.of_reader(own, PHONE.public, NEAR)
        first = proximity.establishment(own.cose, session.seal(request))
        goodbye = proximity.session_data(session.seal(b"bye"), proximity.TERMINATION)
        return [proximity.uri(code), first.hex(), goodbye.hex()]

    good = said(asked())
    yield taken("good", good, {NAMESPACE: {NAMESPACE: {"name": True, "age_over_19": False}}})
    yield refused("another scheme", ["mdl" + good[0][4:], *good[1:]], "engagement", "malformed")
    for name, change, code in [
        ("another version", {0: "2.0"}, "unsupported"),
        ("another cipher suite", {1: [2, cbor.Tag(24, PHONE.cose)]}, "unsupported"),
        ("a key that is not tagged", {1: [1, PHONE.cose]}, "malformed"),
        ("a retrieval method without options", {2: [[2, 1]]}, "malformed"),
        ("a Bluetooth UUID of 15 bytes", {2: [[2, 1, {0: True, 1: True, 10: bytes(15)}]]}, "malformed"),
    ]:
        bent = proximity.uri(cbor.dumps(cbor.loads(MET) | change))
        yield refused(name, [bent, *good[1:]], "engagement", code)
    first = cbor.loads(bytes.fromhex(good[1]))
    for name, change, code in [
        ("no data", {"data": None}, "malformed"),
        ("a reader's key on another curve", {"eReaderKey": cbor.Tag(24, cbor.dumps({1: 2, -1: 2}))}, "unsupported"),
        ("a member more", {"more": 1}, "malformed"),
    ]:
        bent = cbor.dumps({k: v for k, v in (first | change).items() if v is not None}).hex()
        yield refused(name, [good[0], bent, good[2]], "establishment", code)
    data = first["data"]
    flipped = cbor.dumps(first | {"data": bytes([data[0] ^ 1]) + data[1:]}).hex()
    yield refused("a bit turned", [good[0], flipped, good[2]], "session", "malformed")
    stranger = proximity.EphemeralKey(bytes(48))
    yield refused("another reader's key in place of the first", said(asked(), own=stranger), "session", "malformed")
    yield refused("no document asked for", said(mdoc.device_request([])), "request", "malformed")
    later = cbor.dumps(cbor.loads(asked()) | {"version": "2.0"})
    yield refused("a request of another version", said(later), "request", "unsupported")
    elsewhere = mdoc.qr_transcript(engagement=MET, reader_key=b"\xa0")
    yield refused("signed for another session", said(asked(session_transcript=elsewhere)), "reader", "bad_signature")
    yield refused("signed by another reader", said(asked(reader=THIEF)), "reader", "bad_signature")
    wrong = [leaf(x509.Profile.DOCUMENT_SIGNER)]
    yield refused("a certificate for another purpose", said(asked(x5chain=wrong)), "reader", "bad_certificate")
    yield refused("a reader who does not say who it is", said(asked(reader=None)), "reader", "bad_signature")
    yield refused("the first message again", [*good[:2], proximity.session_data(data).hex()], "goodbye", "malformed")
    yield refused("nothing said", [*good[:2], "a0"], "goodbye", "malformed")


# --- certificates ------------------------------------------------------------------------------------------------


ROOT_OPTIONS = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=365)}
ROOT = x509.root(x509.Subject("Vector root"), CA, serial=17, **ROOT_OPTIONS)


def leaf(profile: x509.Profile, **change: Any) -> bytes:
    options: dict[str, Any] = {"ca": CA, "ca_der": ROOT, "serial": 18, **ROOT_OPTIONS} | change
    return x509.leaf(profile, x509.Subject("Vector signer"), ISSUER.key, **options)


def chains() -> Iterator[Case]:
    profile = x509.Profile.DOCUMENT_SIGNER
    good = leaf(profile)
    yield taken("good", jose.x5c_header([good]), ISSUER.key.jwk)
    yield refused("anchor inside", jose.x5c_header([good, ROOT]), "issuer", "bad_certificate")
    yield refused("another purpose", jose.x5c_header([leaf(x509.Profile.ACCESS)]), "issuer", "bad_certificate")
    false_root = x509.root(x509.Subject("Vector root"), THIEF, serial=17, **ROOT_OPTIONS)
    fake = leaf(profile, ca=THIEF, ca_der=false_root)
    yield refused("another authority of the same name", jose.x5c_header([fake]), "issuer", "untrusted_issuer")
    alone = x509.root(x509.Subject("Alone"), ISSUER, serial=1, **ROOT_OPTIONS)
    yield refused("self-signed", jose.x5c_header([alone]), "issuer", "bad_certificate")
    yield refused(
        "a signer as authority", jose.x5c_header([good, leaf(profile, serial=19)]), "issuer", "bad_certificate"
    )
    old = leaf(profile, not_after=NOW - timedelta(hours=1))
    yield refused("expired", jose.x5c_header([old]), "issuer", "expired")
    early = leaf(profile, not_before=NOW + timedelta(hours=1))
    yield refused("not valid yet", jose.x5c_header([early]), "issuer", "not_yet_valid")


# --- dcql -----------------------------------------------------------------------------------------------------------

# The example credential of OpenID4VP 1.0 7.3, and a few more members.
ARTHUR: dict[str, Any] = {
    "name": "Arthur Dent",
    "address": {"street_address": "42 Market Street", "locality": "Milliways", "postal_code": "12345"},
    "degrees": [
        {"type": "Bachelor of Science", "university": "University of Betelgeuse"},
        {"type": "Master of Science", "university": "University of Betelgeuse"},
    ],
    "nationalities": ["British", "Betelgeusian"], "mixed": [{"a": 1}, "b"], "age": 42, "adult": True,
}  # fmt: skip


def queries() -> Iterator[Case]:
    """The input is one credential query put to ARTHUR; expected is what is disclosed, null: it does not fit."""

    def asks(*claims: Any, **more: Any) -> Any:
        listed = {"claims": list(claims)} if claims else {}
        return {"id": "q", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:vector"]}, **listed, **more}

    def wrong(name: str, input_: Any) -> Case:
        return refused(name, input_, "query", "malformed")

    for path, found in (
        (["name"], ["Arthur Dent"]), (["address", "street_address"], ["42 Market Street"]),
        (["degrees", None, "type"], ["Bachelor of Science", "Master of Science"]),
        (["nationalities", 1], ["Betelgeusian"]), (["nationalities", None], ["British", "Betelgeusian"]),
        (["nothing"], None), (["nationalities", 2], None), (["name", None], None), (["name", "a"], None),
        (["address", 0], None), ([None], None), (["mixed", None, "a"], None), (["mixed", 0, "a"], [1]),
    ):  # fmt: skip
        yield taken(f"7.1.1: {json.dumps(path)}", asks({"path": path}), found)
    yield taken("6.4.1: no claims", asks(), [])
    yield taken("6.4.1: all claims or none", asks({"path": ["name"]}, {"path": ["nothing"]}), None)
    for path, values, found in (
        (["age"], [41, 42], [42]), (["age"], ["42"], None), (["adult"], [True], [True]), (["adult"], [1], None),
        (["nationalities", None], ["Betelgeusian", "Vogon"], ["Betelgeusian"]), (["address"], ["Milliways"], None),
    ):  # fmt: skip
        yield taken(f"6.3: {path[0]} is one of {json.dumps(values)}", asks({"path": path, "values": values}), found)
    named = [{"id": "a", "path": ["nothing"]}, {"id": "b", "path": ["adult"]}, {"id": "c", "path": ["name"]}]
    yield taken(
        "6.4.1: the first claim set that can be met", asks(*named, claim_sets=[["a", "c"], ["b"], ["c"]]), [True]
    )
    yield taken("6.4.1: no claim set can be met", asks(*named, claim_sets=[["a"], ["a", "b"]]), None)
    yield taken("6: members nobody defined", asks({"path": ["age"], "x": 1}, x={}), [42])
    yield wrong("6.1: no id", {**asks(), "id": None})
    yield wrong("6.1: an id with a space", {**asks(), "id": "a b"})
    yield wrong("6.1: no meta", {"id": "q", "format": "dc+sd-jwt"})
    yield wrong("B.3.5: no vct_values", {**asks(), "meta": {}})
    yield wrong("6.1: multiple is a text", asks(multiple="true"))
    yield wrong("6.1: claims are empty", {**asks(), "claims": []})
    yield wrong("6.3: an empty path", asks({"path": []}))
    yield wrong("7: a negative index", asks({"path": ["nationalities", -1]}))
    yield wrong("7: half an index", asks({"path": ["nationalities", 0.5]}))
    yield wrong("6.3: values are empty", asks({"path": ["age"], "values": []}))
    yield wrong("6.3: a fraction among the values", asks({"path": ["age"], "values": [0.5]}))
    yield wrong("6.4.1: claim_sets without claims", asks(claim_sets=[["a"]]))
    yield wrong("6.3: claim_sets and a claim without id", asks({"path": ["age"]}, claim_sets=[["a"]]))
    yield wrong("6.1: a claim set names what is not there", asks({"id": "a", "path": ["age"]}, claim_sets=[["b"]]))
    yield wrong("6.3: the same id twice", asks({"id": "a", "path": ["age"]}, {"id": "a", "path": ["name"]}))
    yield wrong("6.1.1: an authority without values", asks(trusted_authorities=[{"type": "aki", "values": []}]))


def everything() -> dict[str, dict[str, Any]]:
    issuer = {"issuer_jwk": dict(ISSUER.jwk), "now": AT}
    asked = {"nonce": NONCE, "audience": AUDIENCE}
    return {
        "base64url": {"cases": list(jose_cases.base64url())},
        "json": {"cases": list(jose_cases.json_objects())},
        "jws": {**issuer, "typ": "vector+jwt", "cases": list(jose_cases.tokens())},
        "jws_json": {**issuer, "typ": "vector+jwt", "cases": list(jose_cases.several())},
        "jwe": {"private_jwk": PRIVATE, "cases": list(jose_cases.messages())},
        "jwk": {"cases": list(jose_cases.keys())},
        "sd_jwt": {**issuer, **asked, "cases": list(sd_jwt_cases.sd_jwts())},
        "sd_jwt_json": {**issuer, **asked, "cases": list(sd_jwt_cases.in_json())},
        "proximity": {
            "now": AT,
            "anchors": jose.x5c_header([ROOT]),
            "device_seed": bytes(range(48)).hex(),
            "cases": list(meetings()),
        },
        "mdoc": {**issuer, "session_transcript": TRANSCRIPT.hex(), "cases": list(responses())},
        "status": {**issuer, "uri": "https://issuer.example/status/1", "cases": list(status_cases.lists())},
        "status_cwt": {**issuer, "uri": "https://issuer.example/status/1", "cases": list(status_cases.lists_as_cwt())},
        "dcql": {"vct": "urn:vector", "claims": ARTHUR, "cases": list(queries())},
        "x509": {"now": AT, "anchors": jose.x5c_header([ROOT]), "profile": "DOCUMENT_SIGNER", "cases": list(chains())},
        "chip": {**chip_cases.trusted(), "cases": list(chip_cases.everything())},
        "face_burst": {"cases": list(face_cases.bursts())},
        "checks": check_steps.written(),
        "qr": qr_cases.written(),
        "till": till_cases.written(),
        **trust_cases.written(),
    }


def written(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name, content in everything().items():
        (HERE / f"{name}.json").write_text(written(content), encoding="utf-8")
        print(f"{name}.json: {len(content['cases'])} cases", file=sys.stderr)
