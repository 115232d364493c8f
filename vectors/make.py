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
sys.path.insert(0, str(HERE.parent / "tests"))

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402

from hands import NOW, Hand  # noqa: E402
from mapae.clock import SeededDice  # noqa: E402
from mapae.formats import cbor, cose, jose, jwe, jws_json, mdoc, proximity, sd_jwt, status, x509  # noqa: E402
from mapae.formats.sd_jwt import Hidden, SdJwt  # noqa: E402
from mapae.formats.status import StatusList, StatusRef  # noqa: E402

ISSUER, HOLDER, THIEF, CA = Hand("issuer"), Hand("holder"), Hand("thief"), Hand("ca")
AT = int(NOW.timestamp())
EPHEMERAL, RESPONSE = Hand("ephemeral"), Hand("response encryption")
SECRET = RESPONSE._private.private_numbers().private_value.to_bytes(32, "big")
PRIVATE = {**RESPONSE.jwk, "d": jose.b64u(SECRET), "kid": "1", "alg": "ECDH-ES", "use": "enc"}
NONCE, AUDIENCE = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA", "x509_hash:uwXjyMHMSrh3HM8I1zHRNg"
Case = dict[str, Any]


def refused(name: str, input_: Any, step: str, code: str) -> Case:
    return {"name": name, "input": input_, "refused": {"step": step, "code": code}}


def taken(name: str, input_: Any, expected: Any) -> Case:
    return {"name": name, "input": input_, "expected": expected}


# --- jose ---------------------------------------------------------------------------------------------------------


def base64url() -> Iterator[Case]:
    yield taken("nothing", "", "")
    yield taken("one byte", "_w", "ff")
    yield taken("two bytes", "-_8", "fbff")
    yield taken("three bytes", "AAEC", "000102")
    yield refused("padding", "_w==", "base64url", "malformed")
    yield refused("standard alphabet", "+/8", "base64url", "malformed")
    yield refused("spare bits after one byte", "_x", "base64url", "malformed")
    yield refused("spare bits after two bytes", "-_9", "base64url", "malformed")
    yield refused("one character left over", "AAECA", "base64url", "malformed")
    yield refused("white space", "AA EC", "base64url", "malformed")
    yield refused("line end", "AAEC\n", "base64url", "malformed")
    yield refused("padding inside", "AA==AAEC", "base64url", "malformed")
    yield refused("foreign letter", "AAEé", "base64url", "malformed")


def json_objects() -> Iterator[Case]:
    yield taken("plain", '{"a":[1,{"b":"c:d"}]}', {"a": [1, {"b": "c:d"}]})
    yield taken("escaped quote and colon", '{"a\\":b":1}', {'a":b': 1})
    yield refused("member twice", '{"a":1,"a":1}', "json", "malformed")
    yield refused("member twice, escaped", '{"a":1,"\\u0061":2}', "json", "malformed")
    yield refused("member twice, inside", '{"x":[{"a":1,"a":2}]}', "json", "malformed")
    yield refused("not an object", "[1]", "json", "malformed")
    yield refused("not a number", '{"a":NaN}', "json", "malformed")
    yield refused("something after it", '{"a":1}{}', "json", "malformed")
    yield refused("a byte order mark", '\ufeff{"a":1}', "json", "malformed")
    yield refused("a control character", '{"a":"\x01"}', "json", "malformed")
    yield refused("member twice, spaced", '{"a" : 1, "b:" : "a":", "a" : 2}', "json", "malformed")
    yield refused("half a surrogate pair", '{"a":"\\ud800"}', "json", "malformed")
    yield refused("too deep", '{"a":' + "[" * 20 + "]" * 20 + "}", "json", "too_large")


def tokens() -> Iterator[Case]:
    good = jose.sign_jws(ISSUER, {"typ": "vector+jwt"}, {"iss": "x"})
    head, body, signature = good.split(".")
    short = jose.b64u(jose.unb64u(signature)[:63])
    yield taken("good", good, {"iss": "x"})
    other = jose.sign_jws(THIEF, {"typ": "vector+jwt"}, {"iss": "x"})
    yield refused("signed by another key", other, "signature", "bad_signature")
    yield refused("another payload", f"{head}.{jose.b64u(b'{}')}.{signature}", "signature", "bad_signature")
    yield refused("signature cut", f"{head}.{body}.{short}", "signature", "bad_signature")
    yield refused("no signature", f"{head}.{body}.", "signature", "bad_signature")
    yield refused("two parts", f"{head}.{body}", "parse", "malformed")
    yield refused("padded", f"{head}.{body}=.{signature}", "parse", "malformed")
    yield refused("four parts", f"{good}.{signature}", "parse", "malformed")
    yield refused("spare bits in the signature", good[:-1] + SPARE[good[-1]], "parse", "malformed")
    yield refused("another spelling of the header", f"{jose.b64u(jose.unb64u(head) + b' ')}.{body}.{signature}",
                  "signature", "bad_signature")  # fmt: skip
    twice = jose.b64u(b'{"alg":"ES256","typ":"vector+jwt","alg":"ES256"}')
    yield refused("header member twice", signed_as(twice, body), "parse", "malformed")
    yield refused("header that is no object", signed_as(jose.b64u(b"[]"), body), "parse", "malformed")
    for name, header, code in [
        ("alg none", {"alg": "none", "typ": "vector+jwt"}, "unsupported"),
        ("alg HS256", {"alg": "HS256", "typ": "vector+jwt"}, "unsupported"),
        ("alg missing", {"typ": "vector+jwt"}, "unsupported"),
        ("crit", {"alg": "ES256", "typ": "vector+jwt", "crit": ["exp"]}, "unsupported"),
        ("payload not encoded", {"alg": "ES256", "typ": "vector+jwt", "b64": False}, "unsupported"),
        ("typ is not a text", {"alg": "ES256", "typ": ["vector+jwt"]}, "malformed"),
        ("typ of another token", {"alg": "ES256", "typ": "other+jwt"}, "malformed"),
        ("typ missing", {"alg": "ES256"}, "malformed"),
    ]:
        yield refused(name, signed_as(jose.b64u(jose.encode_json(header)), body), "parse", code)


# The next character of the alphabet, where the last of 86 may only be one in sixteen (RFC 4648 3.5).
SPARE = dict(zip("AQgw", "BRhx", strict=True))


def signed_as(head: str, body: str) -> str:
    message = f"{head}.{body}".encode()
    return jose.jws_complete(message, ISSUER.sign(message))


def several() -> Iterator[Case]:
    """JWS in JSON, RFC 7515 7.2. What counts is whose signatures are there."""
    header = {"typ": "vector+jwt"}
    one = jws_json.write({"iss": "x"}, [(ISSUER, header)])
    both = jws_json.write({"iss": "x"}, [(THIEF, header), (ISSUER, header)])
    flat = jws_json.write({"iss": "x"}, [(ISSUER, header)], general=False)
    [first] = one["signatures"]
    yield taken("flattened", flat, [True])
    yield taken("general", one, [True])
    yield taken("two signatures, one of them by another", both, [False, True])
    eddsa = {"protected": jose.b64u(b'{"alg":"EdDSA"}'), "signature": "AAAA"}
    yield taken("one we cannot judge", one | {"signatures": [eddsa, first]}, [True])
    yield taken("an unprotected header", flat | {"header": {"kid": "1"}}, [True])
    for name, raw, code in [
        ("none we can judge", one | {"signatures": [eddsa]}, "unsupported"),
        ("two forms at once", one | {"signature": first["signature"]}, "malformed"),
        ("no payload", {"signatures": [first]}, "malformed"),
        ("no signatures", one | {"signatures": []}, "malformed"),
        ("no protected header", flat | {"protected": ""}, "malformed"),
        ("a parameter in both headers", flat | {"header": {"typ": "vector+jwt"}}, "malformed"),
        ("an extension that is not protected", flat | {"header": {"crit": ["x"]}}, "malformed"),
        ("an empty unprotected header", flat | {"header": {}}, "malformed"),
        ("a dot in the payload", flat | {"payload": flat["payload"] + ".AAAA"}, "malformed"),
        ("too many signatures", one | {"signatures": [first] * 9}, "too_large"),
    ]:
        yield refused(name, raw, "parse", code)


def messages() -> Iterator[Case]:
    """JWE, RFC 7516 and 7518 4.6: to Hand("response encryption") under the kid "1"."""

    def sealed(header: dict[str, Any], text: bytes = b'{"a":1}', *, part: str = "", tag: str = "") -> str:
        whole = {"alg": "ECDH-ES", "enc": "A128GCM", "epk": EPHEMERAL.jwk, "kid": "1"} | header
        head = jose.b64u(jose.encode_json({name: value for name, value in whole.items() if value is not None}))
        apu = jose.unb64u(whole["apu"]) if isinstance(whole.get("apu"), str) else b""
        shared = EPHEMERAL._private.exchange(ec.ECDH(), RESPONSE.public_key)
        enc = whole["enc"] if whole["enc"] in jwe.ENCS else "A128GCM"
        done = AESGCM(jwe._derive(shared, enc, apu, b"")).encrypt(bytes(12), text, head.encode())
        return f"{head}.{part}.{jose.b64u(bytes(12))}.{jose.b64u(done[:-16])}.{tag or jose.b64u(done[-16:])}"

    yield taken("A128GCM", sealed({}), {"a": 1})
    yield taken("A256GCM", sealed({"enc": "A256GCM"}), {"a": 1})
    yield taken("with the parties named", sealed({"apu": "QWxpY2U"}), {"a": 1})
    for name, header, code in [
        ("another algorithm", {"alg": "ECDH-ES+A128KW"}, "unsupported"),
        ("another cipher", {"enc": "A128CBC-HS256"}, "unsupported"),
        ("compressed", {"zip": "DEF"}, "unsupported"),
        ("an extension", {"crit": ["x"]}, "unsupported"),
        ("a key off the curve", {"epk": EPHEMERAL.jwk | {"y": EPHEMERAL.jwk["x"]}}, "malformed"),
        ("a key of another curve", {"epk": EPHEMERAL.jwk | {"crv": "P-384"}}, "unsupported"),
        ("no key", {"epk": None}, "malformed"),
        ("another key's name", {"kid": "2"}, "malformed"),
        ("no key's name", {"kid": None}, "malformed"),
        ("another ephemeral key", {"epk": HOLDER.jwk}, "malformed"),
    ]:
        yield refused(name, sealed(header), "decrypt", code)
    good = sealed({})
    yield refused("something in the place of an encrypted key", sealed({}, part="AAAA"), "decrypt", "malformed")
    yield refused("a short tag", sealed({}, tag=jose.b64u(bytes(12))), "decrypt", "malformed")
    yield refused("another tag", sealed({}, tag=jose.b64u(bytes(16))), "decrypt", "malformed")
    yield refused("four parts", good.rsplit(".", 1)[0], "decrypt", "malformed")
    yield refused("padded", good + "=", "decrypt", "malformed")


def keys() -> Iterator[Case]:
    good = dict(HOLDER.jwk)
    yield taken("plain", good, HOLDER.key.thumbprint)
    yield taken("with members that do not matter", good | {"kid": "1", "use": "sig"}, HOLDER.key.thumbprint)
    yield refused("another curve", good | {"crv": "P-384"}, "key", "unsupported")
    yield refused("another kind", good | {"kty": "OKP"}, "key", "unsupported")
    yield refused("private part", good | {"d": good["x"]}, "key", "malformed")
    yield refused("not on the curve", good | {"y": good["x"]}, "key", "malformed")
    yield refused("coordinate too long", good | {"x": "AA" + good["x"]}, "key", "malformed")
    yield refused("coordinate missing", {n: v for n, v in good.items() if n != "y"}, "key", "malformed")
    yield refused("coordinate that is no text", good | {"x": 1}, "key", "malformed")
    yield refused("spare bits in a coordinate", good | {"x": "A" * 42 + "B"}, "key", "malformed")
    yield refused("for another algorithm", good | {"alg": "RS256"}, "key", "unsupported")
    yield refused("not an object", "key", "key", "malformed")
    yield refused("coordinate padded", good | {"x": good["x"][:-1] + "="}, "key", "malformed")


# --- SD-JWT VC ----------------------------------------------------------------------------------------------------

VCT, KID, AKA = ["s", "vct", "urn:x"], ["s", "kid", "1"], ["s", "aka_vcts", ["urn:y"]]
STATUS = ["s", "status", {}]
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.example/issuer",
    "vct": "urn:mapae:kr:resident-card:1",
    "exp": AT + 86_400,
    "cnf": {"jwk": dict(HOLDER.jwk)},
    "status": StatusRef("https://issuer.example/status/1", 7).claim(),
    "name": Hidden("한지수"),
    "birth_date": Hidden("2001-03-09"),
    "age_over_19": Hidden(True),
    "address": Hidden({"city": "세종", "street": Hidden("한누리대로 2130")}),
    "nationality": [Hidden("KR"), Hidden("XM")],
}


def card(decoys: int = 2) -> SdJwt:
    draft = sd_jwt.draft({"typ": "dc+sd-jwt"}, CLAIMS, entropy=SeededDice("card").bytes, decoys=decoys)
    return SdJwt.parse(draft.complete(ISSUER.sign(draft.signing_input)))


def handmade(payload: dict[str, Any], *items: Any) -> SdJwt:
    body = {"vct": "urn:x", "cnf": {"jwk": dict(HOLDER.jwk)}} | payload
    token = jose.sign_jws(ISSUER, {"typ": "dc+sd-jwt"}, body)
    return SdJwt.parse("~".join((token, *(jose.b64u(jose.encode_json(item)) for item in items), "")))


def digest(item: Any) -> str:
    return sd_jwt._hash(jose.b64u(jose.encode_json(item)))


def bound(shown: SdJwt, holder: Hand = HOLDER, **change: Any) -> str:
    options = {"nonce": NONCE, "audience": AUDIENCE, "now": NOW} | change
    return shown.bind(holder, **options)


def rebound(shown: SdJwt, typ: str = "kb+jwt", **change: Any) -> str:
    """A key binding put together by hand."""
    claims = {"nonce": NONCE, "aud": AUDIENCE, "iat": AT, "sd_hash": sd_jwt._hash(shown.shown)} | change
    claims = {name: value for name, value in claims.items() if value is not None}
    return shown.shown + jose.sign_jws(HOLDER, {"typ": typ}, claims)


def in_json() -> Iterator[Case]:
    """RFC 9901 8."""
    shown = SdJwt.parse(bound(card().disclose([["name"]])))
    flat, general = shown.to_json(), shown.to_json(general=True)
    [first] = general["signatures"]
    yield taken("flattened", flat, shown.peek())
    yield taken("general", general, shown.peek())
    header = flat["header"]
    for name, raw in [
        ("disclosures beside a later signature", general | {"signatures": [first, first]}),
        ("disclosures that are no list", flat | {"header": header | {"disclosures": "x"}}),
        ("a disclosure with a tilde", flat | {"header": header | {"disclosures": ["~".join(shown.disclosures * 2)]}}),
        ("a key binding that is no text", flat | {"header": header | {"kb_jwt": 1}}),
        ("no protected header", {"payload": flat["payload"], "header": header, "signature": flat["signature"]}),
    ]:
        yield refused(name, raw, "parse", "malformed")
    alone, less = {"disclosures": header["disclosures"]}, header | {"disclosures": []}
    yield refused("no key binding", flat | {"header": alone}, "holder", "bad_holder_proof")
    yield refused("a disclosure taken away", flat | {"header": less}, "holder", "bad_holder_proof")
    theirs = {"signature": jose.b64u(THIEF.sign(shown.jws.signing_input))}
    yield refused("issued by another key", flat | theirs, "seal", "bad_signature")


def sd_jwts() -> Iterator[Case]:
    whole = card()
    for name, paths in [
        ("everything", [[claim] for claim in CLAIMS]),
        ("nothing", []),
        ("one claim", [["age_over_19"]]),
        ("a nested claim", [["address", "street"]]),
        ("one element of an array", [["nationality", 1]]),
    ]:
        shown = whole.disclose(paths)
        yield taken(name, bound(shown), shown.peek())
    shown = whole.disclose([["name"]])
    good = bound(shown)
    token, disclosure, proof = good.split("~")
    more = whole.disclose([["birth_date"]]).disclosures[0]
    yield refused("no tilde", token, "parse", "malformed")
    yield refused("an empty disclosure", f"{token}~~{proof}", "parse", "malformed")
    for name, item in [
        ("a salt that is no text", b'[1,"name","x"]'), ("a name that is no text", b'["s",1,"x"]'),
        ("a disclosure of one", b'["s"]'), ("a disclosure of four", b'["s","n",1,2]'),
    ]:  # fmt: skip
        yield refused(name, f"{token}~{jose.b64u(item)}~{proof}", "parse", "malformed")
    yield refused("a padded disclosure", f"{token}~{disclosure}=~{proof}", "parse", "malformed")
    yield refused("a disclosure that is not an array", f"{token}~{jose.b64u(b'{}')}~{proof}", "parse", "malformed")
    bad = jose.jws_complete(whole.jws.signing_input, THIEF.sign(whole.jws.signing_input))
    yield refused("issued by another key", f"{bad}~{disclosure}~{proof}", "seal", "bad_signature")
    name_, element = ["salt", "name", "x"], ["salt", "x"]
    for name, forged, code in [
        ("a digest twice", handmade({"_sd": [digest(name_)] * 2}, name_), "malformed"),
        ("a disclosure twice", handmade({"_sd": [digest(name_)]}, name_, name_), "malformed"),
        ("a disclosure nobody signed", handmade({}, name_), "bad_digest"),
        ("the name of another claim", handmade({"_sd": [digest(name_)], "name": 1}, name_), "malformed"),
        ("an element in an object", handmade({"_sd": [digest(element)]}, element), "malformed"),
        ("a member in an array", handmade({"a": [{"...": digest(name_)}]}, name_), "malformed"),
        ("company in an array", handmade({"a": [{"...": digest(element), "b": 1}]}, element), "malformed"),
        ("a reserved name", handmade({"_sd": [digest(["s", "_sd", []])]}, ["s", "_sd", []]), "malformed"),
        ("another hash", handmade({"_sd_alg": "sha-512"}), "unsupported"),
        ("exp from a disclosure", handmade({"_sd": [digest(["s", "exp", 1])]}, ["s", "exp", 1]), "malformed"),
        ("no vct", handmade({"vct": 5}), "malformed"),
        ("a digest that is no text", handmade({"_sd": [5]}), "malformed"),
        ("digests that are no list", handmade({"_sd": "x"}), "malformed"),
        ("a digest twice, deep down", handmade({"_sd": ["d" * 43], "a": {"_sd": ["d" * 43]}}), "malformed"),
        ("a digest of an element that is no text", handmade({"a": [{"...": 5}]}), "malformed"),
        ("three dots in an object", handmade({"a": {"...": "x"}}), "malformed"),
        ("_sd_alg inside", handmade({"a": {"_sd_alg": "sha-256"}}), "malformed"),
        ("the name ...", handmade({"_sd": [digest(["s", "...", 1])]}, ["s", "...", 1]), "malformed"),
        ("vct from a disclosure", handmade({"vct": None, "_sd": [digest(VCT)]}, VCT), "malformed"),
        (
            "status from a disclosure",
            handmade({"_sd": [digest(STATUS)]}, STATUS),
            "malformed",
        ),
        ("a part of cnf from a disclosure", handmade({"cnf": {"_sd": [digest(KID)]}}, KID), "malformed"),
        ("aka_vcts from a disclosure", handmade({"_sd": [digest(AKA)]}, AKA), "malformed"),
        ("aka_vcts that is no list", handmade({"aka_vcts": "urn:y"}), "malformed"),
        ("aka_vcts that repeats vct", handmade({"aka_vcts": ["urn:x"]}), "malformed"),
    ]:
        yield refused(name, bound(forged), "seal", code)
    for name, text, code in [
        ("no key binding", shown.encode(), "bad_holder_proof"),
        ("bound by another key", bound(shown, THIEF), "bad_holder_proof"),
        ("another nonce", bound(shown, nonce="another"), "wrong_nonce"),
        ("another audience", bound(shown, audience="x509_hash:another"), "wrong_audience"),
        ("bound long ago", bound(shown, now=NOW - timedelta(minutes=10)), "bad_holder_proof"),
        ("bound in the future", bound(shown, now=NOW + timedelta(minutes=10)), "bad_holder_proof"),
        ("a transaction nobody asked for", bound(shown, transaction_data=[jose.b64u(b"{}")]), "bad_holder_proof"),
        ("a key binding of another type", rebound(shown, typ="jwt"), "bad_holder_proof"),
        ("several audiences", rebound(shown, aud=[AUDIENCE]), "bad_holder_proof"),
        ("no nonce", rebound(shown, nonce=None), "bad_holder_proof"),
        ("no time", rebound(shown, iat=None), "bad_holder_proof"),
        ("no sd_hash", rebound(shown, sd_hash=None), "bad_holder_proof"),
        ("a disclosure added", f"{token}~{disclosure}~{more}~{proof}", "bad_holder_proof"),
        ("a disclosure taken away", f"{token}~{proof}", "bad_holder_proof"),
    ]:
        yield refused(name, text, "holder", code)


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


# --- status lists and certificates --------------------------------------------------------------------------------


def lists() -> Iterator[Case]:
    uri = "https://issuer.example/status/1"
    list_ = StatusList.of(2, 64, [(1, 1), (2, 2), (3, 3), (63, 2)])
    good = status.publish(list_, ISSUER, [b"\x30\x00"], uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    yield taken("good", good, {"1": 1, "2": 2, "3": 3, "4": 0, "63": 2})
    old = status.publish(list_, ISSUER, [], uri=uri, now=NOW - timedelta(hours=2), life=timedelta(hours=1), ttl=5)
    yield refused("past its end", old, "standing", "status_unknown")
    other = status.publish(list_, ISSUER, [], uri=uri + "2", now=NOW, life=timedelta(hours=1), ttl=5)
    yield refused("another list", other, "standing", "status_unknown")
    fake = status.publish(list_, THIEF, [], uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    yield refused("another signer", fake, "standing", "bad_signature")
    claims = status.status_claims(list_, uri=uri, now=NOW, life=timedelta(hours=1), ttl=5)
    for name, change in [
        ("three bits", {"bits": 3, "lst": list_.lst()}),
        ("not compressed", {"bits": 2, "lst": "AAAA"}),
        ("cut", {"bits": 2, "lst": list_.lst()[:-4]}),
        ("something after it", {"bits": 2, "lst": jose.b64u(list_.compressed() + b"x")}),
        ("padded", {"bits": 2, "lst": list_.lst() + "="}),
        ("no list", {"bits": 2}),
        ("bits that are no number", {"bits": "2", "lst": list_.lst()}),
    ]:
        text = jose.sign_jws(ISSUER, {"typ": "statuslist+jwt"}, claims | {"status_list": change})
        yield refused(name, text, "parse", "malformed")


def lists_as_cwt() -> Iterator[Case]:
    """draft-21 5.2."""
    uri = "https://issuer.example/status/1"
    list_ = StatusList.of(2, 64, [(1, 1), (2, 2), (3, 3), (63, 2)])
    told: dict[str, Any] = {"uri": uri, "now": NOW, "life": timedelta(hours=1), "ttl": 5}
    old = told | {"now": NOW - timedelta(hours=2)}
    good = status.publish_cwt(list_, ISSUER, [b"\x30\x00"], **told)
    yield taken("good", good.hex(), {"1": 1, "2": 2, "3": 3, "4": 0, "63": 2})
    for name, raw, code in [
        (
            "past its end",
            status.publish_cwt(list_, ISSUER, [], **old),
            "status_unknown",
        ),
        ("another list", status.publish_cwt(list_, ISSUER, [], **told | {"uri": uri + "2"}), "status_unknown"),
        ("another signer", status.publish_cwt(list_, THIEF, [], **told), "bad_signature"),
    ]:
        yield refused(name, raw.hex(), "standing", code)

    def made(protected: dict[int, Any] | None = None, **change: Any) -> bytes:
        claims = {2: uri, 6: AT, 65533: {"bits": 2, "lst": list_.compressed()}}
        claims |= {int(label[1:]): value for label, value in change.items()}
        head = cbor.dumps({1: -7, 16: status.TYPE_CWT} if protected is None else protected)
        body = cbor.dumps({label: value for label, value in claims.items() if value is not None})
        return b"\xd2" + cbor.dumps([head, {}, body, ISSUER.sign(cose.to_be_signed(body, head))])

    for name, raw, code in [
        ("under a MAC", b"\xd1" + good[1:], "unsupported"),
        ("with the CWT tag", b"\xd8\x3d" + good, "malformed"),
        ("no tag", good[1:], "malformed"),
        ("something after it", good + b"\0", "malformed"),
        ("another type", made({1: -7, 16: "application/cwt"}), "malformed"),
        ("no type", made({1: -7}), "malformed"),
        ("another algorithm", made({1: -8, 16: status.TYPE_CWT}), "unsupported"),
        ("an extension", made({1: -7, 2: [16], 16: status.TYPE_CWT}), "unsupported"),
        ("no subject", made(_2=None), "malformed"),
        ("no time of issue", made(_6=None), "malformed"),
        ("an end that is no time", made(_4="x"), "malformed"),
        ("a time to live of nothing", made(_65534=0), "malformed"),
        ("no list", made(_65533=None), "malformed"),
        ("three bits", made(_65533={"bits": 3, "lst": list_.compressed()}), "malformed"),
        ("a list that is text", made(_65533={"bits": 2, "lst": list_.lst()}), "malformed"),
        ("a list that is cut", made(_65533={"bits": 2, "lst": list_.compressed()[:-4]}), "malformed"),
    ]:
        yield refused(name, raw.hex(), "parse", code)


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
        "base64url": {"cases": list(base64url())},
        "json": {"cases": list(json_objects())},
        "jws": {**issuer, "typ": "vector+jwt", "cases": list(tokens())},
        "jws_json": {**issuer, "typ": "vector+jwt", "cases": list(several())},
        "jwe": {"private_jwk": PRIVATE, "cases": list(messages())},
        "jwk": {"cases": list(keys())},
        "sd_jwt": {**issuer, **asked, "cases": list(sd_jwts())},
        "sd_jwt_json": {**issuer, **asked, "cases": list(in_json())},
        "proximity": {
            "now": AT,
            "anchors": jose.x5c_header([ROOT]),
            "device_seed": bytes(range(48)).hex(),
            "cases": list(meetings()),
        },
        "mdoc": {**issuer, "session_transcript": TRANSCRIPT.hex(), "cases": list(responses())},
        "status": {**issuer, "uri": "https://issuer.example/status/1", "cases": list(lists())},
        "status_cwt": {**issuer, "uri": "https://issuer.example/status/1", "cases": list(lists_as_cwt())},
        "dcql": {"vct": "urn:vector", "claims": ARTHUR, "cases": list(queries())},
        "x509": {"now": AT, "anchors": jose.x5c_header([ROOT]), "profile": "DOCUMENT_SIGNER", "cases": list(chains())},
    }


def written(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name, content in everything().items():
        (HERE / f"{name}.json").write_text(written(content), encoding="utf-8")
        print(f"{name}.json: {len(content['cases'])} cases", file=sys.stderr)
