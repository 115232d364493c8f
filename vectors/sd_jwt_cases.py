"""Cases for SD-JWT VC, compact and in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from cast import AT, AUDIENCE, HOLDER, ISSUER, NONCE, THIEF, Case, refused, taken

from hands import NOW, Hand
from mapae.clock import SeededDice
from mapae.formats import jose, sd_jwt
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.formats.status import StatusRef

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
