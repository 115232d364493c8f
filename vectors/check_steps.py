"""Cases of the second to the sixth step, of whole answers, and of status lists as they come from their issuer."""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import check_curves
import check_world as world
from cast import AT, HOLDER, ISSUER, THIEF, Case, refused, taken
from check_cases import (
    ADULT,
    DEVICE,
    DOCUMENT,
    MDOC,
    SD_JWT,
    SIGNED,
    _auth,
    _device,
    _digests,
    at,
    case,
    confusion,
    good,
    issuer,
    no,
    shapes,
)
from check_world import CODE, DAY, FORMATS, MADE, NOW, PASS, SPACE, VCT, Shown

from hands import Hand
from mapae.formats import cbor, cose, jose, mdoc, qr, status
from mapae.formats.sd_jwt import _hash
from mapae.formats.x509 import Profile

SALTED = jose.b64u(jose.encode_json(["salt of more", "more", 1]))


# --- 2 seal -----------------------------------------------------------------------------------------------------------


def seal() -> Iterator[Case]:
    yield from no("signed by another key", "seal", "bad_signature", issuer=THIEF)
    for name, signature in [("of nothing but zeros", bytes(64)), ("cut", bytes(63)), ("in DER", b"\x30\x06" * 36)]:
        yield from no(f"a signature {name}", "seal", "bad_signature", seal=lambda _, made=signature: made)
    yield from no("the payload changed after it was signed", "seal", "bad_signature", formats=SD_JWT,
                  bent=lambda text: _resaid(text, {"exp": AT + 99 * 86_400}))  # fmt: skip
    yield from no("another payload under the seal", "seal", "bad_signature", formats=MDOC,
                  bent=_auth(2, lambda payload: payload.replace(b"2026", b"2027")))  # fmt: skip
    yield from no("a disclosure nobody signed", "seal", "bad_digest", formats=SD_JWT,
                  disclosing=lambda all: [*all, SALTED])  # fmt: skip
    changed = jose.b64u(jose.encode_json(["salt of age_over_19", "age_over_19", False]))
    yield from no("another value than was signed", "seal", "bad_digest", formats=SD_JWT,
                  disclosing=lambda all: [changed])  # fmt: skip
    yield from no("a decoy's digest for a made-up disclosure", "seal", "bad_digest", formats=SD_JWT,
                  body={"_sd": _digests("decoy")}, disclosing=lambda all: [*all, SALTED])  # fmt: skip
    for name, change in [
        ("another value than was signed", {"elementValue": False}), ("another salt", {"random": bytes(32)}),
        ("another number", {"digestID": 40}), ("another name", {"elementIdentifier": "age_over_18"}),
    ]:  # fmt: skip
        yield from no(f"an element with {name}", "seal", "bad_digest", formats=MDOC, bent=_item(change))
    yield from no("a namespace nobody signed", "seal", "bad_digest", formats=MDOC,
                  bent=at(*SIGNED, "nameSpaces", value=lambda all: {**all, "more": all[SPACE]}))  # fmt: skip
    for name, body in [("no digests", {"valueDigests": {SPACE: {}}}),
                       ("other digests", {"valueDigests": {SPACE: {n: bytes(32) for n in range(5)}}})]:  # fmt: skip
        yield from no(f"{name} in the security object", "seal", "bad_digest", formats=MDOC, body=body)
    yield from no("an element twice", "seal", "malformed", formats=MDOC,
                  bent=at(*SIGNED, "nameSpaces", SPACE, value=lambda all: all * 2))  # fmt: skip
    yield from _disclosures()


def _disclosures() -> Iterator[Case]:
    """RFC 9901 7.1."""
    first = _digests()[0]
    for name, spoil in [
        ("a disclosure twice", {"disclosing": lambda all: all * 2}),
        ("a digest twice", {"body": {"_sd": [*_digests(), first]}}),
        ("a digest twice, once deep inside", {"body": {"deep": {"_sd": [first]}}}),
        ("a decoy that is a card's own digest, in an array", {"body": {"list": [{"...": first}]}}),
        ("a digest that is no text", {"body": {"_sd": [*_digests(), 5]}}),
        ("a disclosure with a name that is there", {"body": {"age_over_19": False}}),
        ("no type", {"body": {"vct": None}}),
        ("a type that is no text", {"body": {"vct": 5}}),
        ("a member twice", {"raw": lambda raw: raw[:-1] + b',"vct":"' + VCT.encode() + b'"}'}),
        ("a payload that is no object", {"raw": lambda raw: b"[]"}),
    ]:
        code = "malformed"
        yield from no(name, "seal", code, formats=SD_JWT, **spoil)
    for claim, value in [("exp", AT), ("vct", VCT), ("cnf", {}), ("status", {}), ("_sd", []), ("...", 1)]:
        text = jose.b64u(jose.encode_json(["salt", claim, value]))
        yield from no(f"{claim} from a disclosure", "seal", "malformed", formats=SD_JWT,
                      body={"_sd": _digests(text)} | ({claim: None} if value not in ([], 1) else {}),
                      disclosing=lambda all, text=text: [*all, text])  # fmt: skip
    yield from no("another hash", "seal", "unsupported", formats=SD_JWT, body={"_sd_alg": "sha-512"})
    deep = b'{"deep":' + b"[" * 20 + b"]" * 20 + b","
    yield from no("nested too deeply", "seal", "too_large", formats=SD_JWT, raw=lambda raw: deep + raw[1:])


def _resaid(text: str, change: dict[str, Any]) -> str:
    head, body, rest = text.split(".", 2)
    return f"{head}.{jose.b64u(jose.encode_json(jose.decode_json(jose.unb64u(body)) | change))}.{rest}"


def _item(change: Mapping[str, Any]) -> Any:
    def bend(all: Any) -> Any:
        return [cbor.Tag(24, cbor.dumps(cbor.loads(one.value) | change)) for one in all]

    return at(*SIGNED, "nameSpaces", SPACE, value=bend)


# --- 3 holder ---------------------------------------------------------------------------------------------------------


def holder() -> Iterator[Case]:
    proof = "bad_holder_proof"
    in_one_hash = ("holder", proof)
    yield from no("photographed, and shown later", "holder", "presentation_stale", change={"now": MADE + 36})
    yield from no("from the future", "holder", "clock_off", change={"now": MADE - 6})
    yield from no("replayed: another nonce", "holder", "wrong_nonce", tie={"nonce": b"of another one!!".hex()},
                  change={"nonce": b"of another one!!".hex()})  # fmt: skip
    yield from no("replayed: the nonce is only said", "holder", "wrong_nonce", in_one_hash,
                  tie={"nonce": b"of another one!!".hex()})  # fmt: skip
    yield from no("relayed: asked by another shop", "holder", "wrong_audience", in_one_hash,
                  tie={"audience": _other_shop().audience})  # fmt: skip
    yield from no("relayed: shown unasked elsewhere", "holder", "wrong_audience", in_one_hash,
                  tie={"audience": qr.OPEN})  # fmt: skip
    yield from no("dated anew", "holder", proof, tie={"made": MADE - 60})
    yield from no("shown by another key", "holder", proof, holder=THIEF)
    yield from no("shown by the issuer's key", "holder", proof, holder=ISSUER)
    for by in ("redirect", "browser"):
        yield from no(f"{by}: another nonce", "holder", "wrong_nonce", in_one_hash, by=by, tie={"nonce": "another"})
        member = "client_id" if by == "redirect" else "origin"
        yield from no(f"{by}: relayed, another {member}", "holder", "wrong_audience", in_one_hash, by=by,
                      tie={member: "https://else.example"})  # fmt: skip
        yield from no(f"{by}: relayed, another encryption key", "holder", proof, formats=MDOC, by=by,
                      tie={"thumbprint": bytes(32).hex()})  # fmt: skip
        yield from no(f"{by}: shown by another key", "holder", proof, by=by, holder=THIEF)
    yield from no("redirect: relayed, another address", "holder", proof, formats=MDOC, by="redirect",
                  tie={"response_uri": "https://else.example/"})  # fmt: skip
    for name, iat in [("long ago", AT - 400), ("in the future", AT + 90)]:
        yield from no(f"redirect: bound {name}", "holder", proof, formats=SD_JWT, by="redirect", said={"iat": iat})
    yield from _bindings()
    yield from _devices()


def _other_shop() -> qr.Ask:
    return qr.Ask(nonce=world.NONCE, purpose="adult", items=("age_over_19",), name="Another shop")


def _bindings() -> Iterator[Case]:
    """RFC 9901 7.3; OpenID4VP 1.0 B.3.6."""
    proof, key = "bad_holder_proof", b"\x04" + HOLDER.key.x + HOLDER.key.y
    other = Shown(items=("name",)).sd_jwt().rsplit("~", 1)[1]
    more = Shown(items=("age_over_19", "name")).sd_jwt().split("~")[2]
    issuers = Shown().sd_jwt().split("~")[0]
    for name, spoil in [
        ("key binding stripped", {"bent": lambda text: text[: text.rindex("~") + 1]}),
        ("key binding of another presentation", {"bent": lambda text: text[: text.rindex("~") + 1] + other}),
        ("a disclosure added after it was bound", {"bent": lambda text: text.replace("~", f"~{more}~", 1)}),
        ("a disclosure taken away after it was bound", {"bent": _without}),
        ("the issuer's token as key binding", {"bent": lambda text: text[: text.rindex("~") + 1] + issuers}),
        ("sd_hash of something else", {"said": {"sd_hash": _hash("x")}}), ("no sd_hash", {"said": {"sd_hash": None}}),
        ("several audiences", {"said": {"aud": [CODE["audience"]]}}), ("no nonce", {"said": {"nonce": None}}),
        ("no time", {"said": {"iat": None}}), ("a time that is text", {"said": {"iat": str(MADE)}}),
        ("key binding that is over", {"said": {"exp": MADE}}),
        ("key binding that begins later", {"said": {"nbf": MADE + 1}}),
        ("key binding of another type", {"proof": {"typ": "jwt"}}),
        ("key binding by none", {"proof": {"alg": "none"}, "proves": lambda _: b""}),
        ("key binding by HS256 with the holder's public key",
         {"proof": {"alg": "HS256"}, "proves": lambda raw: hmac.digest(key, raw, "sha256")}),
        ("key binding by ES384", {"proof": {"alg": "ES384"}}),
        ("crit in the key binding", {"proof": {"crit": ["typ"]}}),
        ("key binding with a key of its own", {"proof": {"jwk": dict(THIEF.jwk)}, "holder": THIEF}),
        ("key binding of zeros", {"proves": lambda _: bytes(64)}),
        ("a transaction nobody asked for", {"said": {"transaction_data_hashes": [_hash("x")]}}),
    ]:  # fmt: skip
        yield from no(name, "holder", proof, formats=SD_JWT, **spoil)
    koblitz = {"kty": "EC", "crv": "secp256k1", "x": HOLDER.jwk["x"], "y": HOLDER.jwk["y"]}
    off = {**HOLDER.jwk, "y": HOLDER.jwk["x"]}
    for name, cnf, code in [
        ("bound to no key", None, "malformed"), ("bound to a key by name", {"kid": "1"}, "malformed"),
        ("bound to a key on another curve", {"jwk": koblitz}, "unsupported"),
        ("bound to an RSA key", {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, "unsupported"),
        ("bound to a secret", {"jwk": {"kty": "oct", "k": "AAAA"}}, "unsupported"),
        ("bound to a point off the curve", {"jwk": off}, "malformed"),
    ]:  # fmt: skip
        yield from no(name, "holder", code, formats=SD_JWT, body={"cnf": cnf})


def _without(text: str) -> str:
    token, *_, binding = text.split("~")
    return f"{token}~{binding}"


def _devices() -> Iterator[Case]:
    """ISO/IEC 18013-5 9.1.3."""
    proof = "bad_holder_proof"
    mac = {"deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]}
    said = cbor.Tag(24, cbor.dumps({SPACE: {"age_over_19": True}}))
    for name, bend in [
        ("the device's signature by ES384", _device(0, cbor.dumps({1: -35}))),
        ("a MAC, where nobody agreed on a key", at(*DEVICE, "deviceAuth", value=mac)),
        ("elements of the device that it did not sign", at(*DEVICE, "nameSpaces", value=said)),
        ("the device's signature with a payload", _device(2, b"x")),
        ("the device's signature of zeros", _device(3, bytes(64))),
        ("the device's signature cut", _device(3, bytes(63))), ("the device's proof of another", _foreign()),
    ]:  # fmt: skip
        yield from no(name, "holder", proof, formats=MDOC, bent=bend)
    yield from no("elements of the device that nobody authorized", "holder", proof, formats=MDOC, bent=_surplus)
    may = {"deviceKey": cose.key_to_cose(HOLDER.key), "keyAuthorizations": {"nameSpaces": [SPACE]}}
    yield from no("elements signed by the device alone", "holder", "unsupported", formats=MDOC, bent=_surplus,
                  body={"deviceKeyInfo": may})  # fmt: skip


def _foreign() -> Any:
    response = cbor.loads(jose.unb64u(Shown(tie={"nonce": b"of another one!!".hex()}).mdoc()))
    return at(*DOCUMENT, "deviceSigned", value=response["documents"][0]["deviceSigned"])


def _surplus(response: Any) -> Any:
    """The device says more than the issuer, and signs that."""
    said = cbor.dumps({SPACE: {"member": True}})
    _, _, transcript = world.tied("code", CODE)
    signed = mdoc.device_authentication(world.DOCTYPE, transcript, said)
    response["documents"][0]["deviceSigned"] = {
        "nameSpaces": cbor.Tag(24, said),
        "deviceAuth": {"deviceSignature": [cose.PROTECTED, {}, None, HOLDER.sign(cose.to_be_signed(signed))]},
    }
    return response


# --- 4 dates, 5 standing ----------------------------------------------------------------------------------------------


def dates() -> Iterator[Case]:
    soon = NOW + timedelta(seconds=61 + MADE + 2 - AT)
    yield from no("begins in more than a minute", "dates", "not_yet_valid", starts=soon)
    yield from no("over", "dates", "expired", ends=NOW - timedelta(hours=1))
    yield from no("over in this very second", "dates", "expired", ends=NOW + timedelta(seconds=MADE + 2 - AT))
    yield from no("signed before the signer's certificate began", "dates", "bad_certificate",
                  chain=(world.LATE_LEAF,), signed=NOW - 2 * DAY)  # fmt: skip
    yield from no("signed before the signer's authority began", "dates", "bad_certificate",
                  chain=(world.EARLY_LEAF,), signed=NOW - 2 * DAY)  # fmt: skip
    week = {"age": 8 * 86_400}
    yield from no("newer than what is known of its issuer", "dates", "stale_pack", change=week)
    old = NOW - 20 * DAY
    yield from no("lives too long for what is known", "dates", "stale_pack", change=week, signed=old, starts=old,
                  ends=NOW + 30 * DAY)  # fmt: skip
    for name, body in [
        ("no end", {"exp": None}), ("an end that is text", {"exp": str(AT + 99)}), ("an end before 1970", {"exp": -1}),
        ("a beginning that is true", {"nbf": True}), ("a signing time that is text", {"iat": "1"}),
    ]:  # fmt: skip
        yield from no(name, "dates", "malformed", formats=SD_JWT, body=body)
    validity = {"signed": NOW - DAY, "validFrom": NOW - DAY, "validUntil": NOW + DAY}
    whole = {name: cbor.Tag(0, f"{moment:%Y-%m-%dT%H:%M:%SZ}") for name, moment in validity.items()}
    for name, change in [
        ("no end", {"validUntil": None}), ("an end that is no date", {"validUntil": "2027"}),
        ("over before it begins", {"validUntil": whole["signed"]}),
    ]:  # fmt: skip
        body = {"validityInfo": {key: value for key, value in (whole | change).items() if value is not None}}
        yield from no(name, "issuer", "malformed", formats=MDOC, body=body)


def standing() -> Iterator[Case]:
    unknown = "status_unknown"
    yield from no("revoked", "standing", "revoked", place=8)
    yield from no("suspended", "standing", "suspended", place=9)
    yield from no("a status nobody knows", "standing", unknown, place=8, uri=world.ODD_LIST)
    yield from no("a place outside the list", "standing", unknown, place=64)
    yield from no("a place far outside the list", "standing", unknown, place=2**32 - 1)
    yield from no("no status", "standing", unknown, uri=None)
    yield from no("a list nobody has", "standing", unknown, uri=world.PREFIX + "none")
    yield from no("a list of another issuer", "standing", unknown, uri=world.NEIGHBOURS + "1")
    yield from no("a list at an address of somebody's choice", "standing", unknown, uri="https://else.example/1")
    yield from no("a list beside the issuer's folder", "standing", unknown, uri=world.PREFIX + "../1")
    for name, value in [("a status that is no place", {"status_list": {"idx": -1, "uri": world.LIST}}),
                        ("a status of another kind", {"other": 1})]:  # fmt: skip
        yield from no(name, "standing", "malformed", formats=SD_JWT, body={"status": value})


# --- 6 request --------------------------------------------------------------------------------------------------------


def request() -> Iterator[Case]:
    wrong = "not_what_was_asked"
    unasked: dict[str, Any] = {"tie": {"audience": qr.OPEN}, "change": {"asked": None, "purpose": "who"}}
    yield from no("over-disclosed", "request", wrong, items=("age_over_19", "name"))
    yield from no("under-disclosed", "request", wrong, items=())
    yield from no("under-disclosed: one of two", "request", wrong, items=("name",), **unasked)
    yield from no("something else disclosed", "request", wrong, items=("name",))
    yield from no("another type", "request", wrong, type=PASS)
    for format, other in (FORMATS, FORMATS[::-1]):
        change = {"asked": None, "purpose": f"of_{other}"}
        yield from no("a format nobody asked for", "request", wrong, formats=(format,), tie={"audience": qr.OPEN},
                      change=change)  # fmt: skip
    pictures = {"tie": {"audience": qr.OPEN}, "change": {"asked": None, "purpose": "picture"}}
    yield from no("a picture that is a number", "request", wrong, claims=world.CLAIMS | {"portrait": 7},
                  items=("portrait",), formats=SD_JWT, **pictures)  # fmt: skip
    open_ = {"body": {"member": True}, "formats": SD_JWT}
    yield from no("a claim nobody asked for, in the open", "request", wrong, **open_)
    for name, value in [
        ("yes as a text", "true"),
        ("yes as a number", 1),
        ("nothing for a yes", None),
        ("yes in a list", [True]),
    ]:
        yield from no(name, "request", wrong, claims=world.CLAIMS | {"age_over_19": value})
    for name, value in [
        ("a date without hyphens", "20010309"),
        ("a day that is none", "2001-02-30"),
        ("a date as number", 5),
    ]:
        formats = SD_JWT if name.startswith("a day") else FORMATS
        yield from no(name, "request", wrong, claims=world.CLAIMS | {"birth_date": value}, formats=formats,
                      items=world.ITEMS["who"], **unasked)  # fmt: skip
    yield from no("a name that is a number", "request", wrong, claims=world.CLAIMS | {"name": 7},
                  items=world.ITEMS["who"], **unasked)  # fmt: skip
    yield from _answers()


def _answers() -> Iterator[Case]:
    """Whole answers: OpenID4VP 1.0 8.1, 8.6."""
    both = {format: [Shown(by="redirect").show(format)] for format in FORMATS}
    for format, [text] in both.items():
        given = case(format, Shown(by="redirect"))
        for name, token in [
            ("a query nobody put", {"another": [text]}), ("two presentations", {format: [text, text]}),
            ("no presentation", {format: []}), ("both formats, where either will do", both),
        ]:  # fmt: skip
            yield refused(f"{format}: answer: {name}", given | {"token": token}, "request", "not_what_was_asked")
        large = [["x", 131_073]] if format == "sd_jwt" else [["00", 98_305]]
        yield refused(f"{format}: too large", given | {"presentation": large}, "issuer", "too_large")
        yield from _own_queries(format, text, given)


def _own_queries(format: str, text: str, given: dict[str, Any]) -> Iterator[Case]:
    sd_jwt = format == "sd_jwt"
    claim = {"path": ["age_over_19"] if sd_jwt else [SPACE, "age_over_19"]}
    query: dict[str, Any] = {
        "id": "q", "format": "dc+sd-jwt" if sd_jwt else "mso_mdoc", "claims": [claim],
        "meta": {"vct_values": [VCT]} if sd_jwt else {"doctype_value": world.DOCTYPE},
    }  # fmt: skip

    def asks(*texts: str, **change: Any) -> dict[str, Any]:
        return given | {"query": {"credentials": [query | change]}, "token": {"q": list(texts or (text,))}}

    yield taken(f"{format}: answer: a query of one's own", asks(), ADULT)
    yield taken(f"{format}: answer: several allowed", asks(text, text, multiple=True), ADULT)
    authority = [{"type": "aki", "values": [jose.b64u(bytes(20))]}]
    for name, asked, code in [
        ("seventeen presentations", asks(*[text[:8]] * 17, multiple=True), "too_large"),
        ("another value than asked", asks(claims=[claim | {"values": [False]}]), "not_what_was_asked"),
        ("another authority than asked", asks(trusted_authorities=authority), "not_what_was_asked"),
    ]:
        yield refused(f"{format}: answer: {name}", asked, "request", code)


# --- status lists -----------------------------------------------------------------------------------------------------


def lists() -> Iterator[Case]:
    """A list as its issuer publishes it, for the copy at place 7 of `uri`: Token Status List draft-21 8.3."""
    leaf = world.LIST_LEAF
    told: dict[str, Any] = {"uri": world.LIST, "now": NOW, "life": timedelta(hours=1), "ttl": 5}

    def given(token: str, uri: str = world.LIST) -> dict[str, Any]:
        return {"format": "status_list", "by": "list", "presentation": token, "uri": uri, "place": 7, "now": AT + 9}

    def published(hand: Hand = world.LIST_SIGNER, chain: tuple[bytes, ...] = (leaf,), **change: Any) -> str:
        return status.publish(world.LISTS[world.LIST], hand, list(chain), **told | change)

    yield taken("list: good", given(published()), 0)
    token = published()
    claims = status.status_claims(world.LISTS[world.LIST], **told)

    def by_hand(head: dict[str, Any] | None = None, sign: Any = world.LIST_SIGNER.sign, **change: Any) -> str:
        header = {"alg": "ES256", "typ": status.TYP, "x5c": jose.x5c_header([leaf])} | (head or {})
        return world.signed(header, jose.encode_json(claims | change), sign)

    bomb = jose.b64u(zlib.compress(bytes(17 * 1024 * 1024), 9))
    key = b"\x04" + world.LIST_SIGNER.key.x + world.LIST_SIGNER.key.y
    fake = world.leaf(world.LIST_SIGNER, Profile.STATUS_SIGNER, ca=THIEF, ca_der=world.FALSE_ROOT)
    other = world.leaf(Hand("another list signer"), Profile.STATUS_SIGNER)
    for name, text in [
        ("signed by another key", published(THIEF)),
        ("under another authority", published(chain=(fake,))),
        ("under a document signer's certificate", published(ISSUER, (world.LEAF,))),
        ("by a signer that was never entered in the log", published(Hand("another list signer"), (other,))),
        ("over", published(now=NOW - timedelta(hours=2))),
        ("of another address", published(uri=world.ODD_LIST)),
        ("by none", by_hand({"alg": "none"}, lambda _: b"")),
        ("by HS256 with the public key", by_hand({"alg": "HS256"}, lambda raw: hmac.digest(key, raw, "sha256"))),
        ("with crit", by_hand({"crit": ["typ"]})),
        ("of another type", by_hand({"typ": "jwt"})),
        ("that is a bomb", by_hand(status_list={"bits": 2, "lst": bomb})),
        ("that is cut", by_hand(status_list={"bits": 2, "lst": claims["status_list"]["lst"][:-4]})),
        ("of three bits", by_hand(status_list=claims["status_list"] | {"bits": 3})),
        ("without a time", by_hand(iat=None)),
        ("changed after it was signed", token[:-8] + "AAAAAAAA"),
        ("that is none", "<html></html>"),
    ]:
        yield refused(f"list: {name}", given(text), "standing", "status_unknown")


def cases() -> Iterator[Case]:
    for group in (good, issuer, confusion, shapes, seal, holder, dates, standing, request, check_curves.cases, lists):
        yield from group()


def written() -> dict[str, Any]:
    """`usual`: what an input does not say. `base`: what the parts of presentations are slices of."""
    usual = case("sd_jwt", Shown())
    del usual["format"], usual["presentation"]
    bases = {format: _said(format, Shown().show(format)) for format in FORMATS}
    folded = []
    for one in cases():
        given = {name: value for name, value in one["input"].items() if value != usual.get(name, _NEVER)}
        folded.append(one | {"input": _folded(given, bases)})
    return {"pack": world.pack(), "usual": usual, "base": bases, "cases": folded}


_NEVER = object()


def _said(format: str, text: str) -> str:
    """An mdoc in hexadecimal: bytes that are the same look the same, wherever they stand."""
    return jose.unb64u(text).hex() if format == "mdoc" else text


def _folded(given: dict[str, Any], bases: Mapping[str, str]) -> dict[str, Any]:
    def parts(format: str, text: Any) -> Any:
        return world.parts(_said(format, text), bases.get(format, "")) if isinstance(text, str) else text

    format = given["format"]
    if "token" not in given:
        return given | {"presentation": parts(format, given["presentation"])}
    del given["presentation"]
    ways = {id: id if id in bases else format for id in given["token"]}
    return given | {"token": {id: [parts(ways[id], text) for text in all] for id, all in given["token"].items()}}
