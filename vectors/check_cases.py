"""Cases of the numbered steps: for each step and each code of docs/checking.md a presentation in each format, and the
attacks by name. `checks.json`; Python's checker and the browser's run the same.

A presentation is a text, or parts of one with how often each is repeated. By `code` it came off a phone's screen, by
`redirect` or `browser` as a `vp_token` for `tie`. `age`: seconds since what the checker knows was so.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import check_world as world
from cast import AT, ISSUER, THIEF, Case, refused, taken
from check_world import CODE, MADE, NOW, PASS, Shown, digest
from cryptography.hazmat.primitives.asymmetric import ec

from hands import Hand
from mapae.formats import cbor, cose, jose, qr
from mapae.formats.x509 import Profile

Bend = Callable[[Any], Any]


def case(format: str, shown: Shown, **change: Any) -> dict[str, Any]:
    """The input: how `shown` reaches whoever asked the question of `change`."""
    given: dict[str, Any] = {
        "format": format, "by": shown.by, "purpose": "adult", "presentation": shown.show(format), "now": MADE + 2,
        "age": 0,
    }  # fmt: skip
    if shown.by == "code":
        given |= {"made": MADE, "nonce": CODE["nonce"], "asked": world.ASK.encode(), "asked_at": AT}
    else:
        given["tie"] = world.TIES[shown.by]
    return given | change


def yes(name: str, told: dict[str, Any], formats: tuple[str, ...] = world.FORMATS, **spoil: Any) -> Iterator[Case]:
    change = spoil.pop("change", {})
    for format in formats:
        yield taken(f"{format}: {name}", case(format, Shown(**spoil), **change), told)


def no(name: str, step: str, code: str, mdoc: tuple[str, str] | None = None, **spoil: Any) -> Iterator[Case]:
    """`mdoc`: where that format says it in other words; `formats`: the ones that can be spoiled so."""
    change, formats = spoil.pop("change", {}), spoil.pop("formats", world.FORMATS)
    for format in formats:
        said = mdoc if mdoc is not None and format == "mdoc" else (step, code)
        yield refused(f"{format}: {name}", case(format, Shown(**spoil), **change), *said)


SD_JWT, MDOC = ("sd_jwt",), ("mdoc",)
ADULT = {"age_over_19": True}


def at(*path: Any, value: Any) -> Bend:
    """Of a decoded response: something in its place."""

    def bend(response: Any) -> Any:
        place = response
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value(place.get(path[-1])) if callable(value) else value
        return response

    return bend


DOCUMENT = ("documents", 0)
SIGNED, DEVICE = (*DOCUMENT, "issuerSigned"), (*DOCUMENT, "deviceSigned")


# --- what passes ------------------------------------------------------------------------------------------------------


def good() -> Iterator[Case]:
    unasked = {"audience": qr.OPEN}
    yield from yes("an adult", ADULT)
    yield from yes("no adult", {"age_over_19": False}, claims=world.CLAIMS | {"age_over_19": False})
    who = {"items": world.ITEMS["who"], "tie": unasked, "change": {"purpose": "who", "asked": None}}
    yield from yes("name and birth date", {"name": "한지수", "birth_date": "2001-03-09"}, **who)
    pictured = {"items": ("portrait",), "tie": unasked, "change": {"purpose": "picture", "asked": None}}
    yield from yes("a picture", {"portrait": "/9j/2Q=="}, SD_JWT, **pictured)
    yield from yes("a picture", {"portrait": {"hex": "ffd8ffd9"}}, MDOC, **pictured)
    yield from yes("unasked", ADULT, tie=unasked, change={"asked": None})
    yield from yes("a card to renew", ADULT, place=10)
    yield from yes("an authority between", ADULT, chain=(world.UNDER_MIDDLE, world.MIDDLE_CA))
    yield from yes("a retired signer, signed before", ADULT, chain=(world.RETIRED_LEAF,), issuer=world.RETIRED)
    yield from yes("in its last second", ADULT, ends=NOW + timedelta(seconds=10))
    yield from yes("begins within a minute", ADULT, starts=NOW + timedelta(seconds=60))
    for by in ("redirect", "browser"):
        yield from yes(f"by {by}", ADULT, by=by)
    yield from yes("with decoys", ADULT, SD_JWT, body={"_sd": _digests("decoy", "another decoy")})
    yield from yes("the algorithm names its curve", ADULT, MDOC, head={1: cose.ESP256})


def _digests(*more: str) -> list[str]:
    """Of the card's own disclosures, and of others."""
    items = [jose.b64u(jose.encode_json([f"salt of {name}", name, value])) for name, value in world.CLAIMS.items()]
    return sorted([*map(digest, items), *map(digest, more)])


# --- 1 issuer ---------------------------------------------------------------------------------------------------------


def issuer() -> Iterator[Case]:
    false, spoilt = world.leaf(ca=THIEF, ca_der=world.FALSE_ROOT), "bad_certificate"
    yield from no("another authority of the same name", "issuer", "untrusted_issuer", chain=(false,))
    yield from no("the signer of another issuer", "issuer", "untrusted_issuer", chain=(world.NEIGHBOUR_LEAF,),
                  issuer=world.NEIGHBOUR)  # fmt: skip
    # An mdoc's type is looked for among those asked for; that it is none of them is found at the end.
    yield from no("a type of another issuer", "issuer", "untrusted_issuer", ("request", "not_what_was_asked"),
                  type=world.LICENCE)  # fmt: skip
    yield from no("the signer was never entered in the log", "issuer", "signer_revoked",
                  chain=(world.leaf(world.UNKNOWN),), issuer=world.UNKNOWN)  # fmt: skip
    yield from no("a stolen signer", "issuer", "signer_revoked", chain=(world.STOLEN_LEAF,), issuer=world.STOLEN)
    yield from no("a retired signer, signed after", "issuer", "signer_revoked", chain=(world.RETIRED_LEAF,),
                  issuer=world.RETIRED, signed=NOW - timedelta(hours=1), starts=NOW - timedelta(hours=1))  # fmt: skip
    over, early = world.leaf(not_after=NOW - timedelta(hours=1)), world.leaf(not_before=NOW + timedelta(hours=1))
    yield from no("the signer's certificate is over", "issuer", "expired", chain=(over,))
    yield from no("the signer's certificate begins later", "issuer", "not_yet_valid", chain=(early,))
    yield from no("known too long ago", "issuer", "stale_pack", change={"age": 31 * 86_400})
    gone = {"not_after": NOW - timedelta(hours=1)}
    yield from no("over, and under another authority", "issuer", "untrusted_issuer",
                  chain=(world.leaf(ca=THIEF, ca_der=world.FALSE_ROOT, **gone),))  # fmt: skip
    yield from no("over, and for readers", "issuer", spoilt, chain=(world.leaf(profile=Profile.ACCESS, **gone),))
    for name, chain, hand in _chains():
        yield from no(f"x5c: {name}", "issuer", spoilt, chain=chain, issuer=hand)
    other = world.certificate("Brainpool", _OTHER_CURVE, "Checks root", world.CA, may=world.SIGN)
    yield from no("x5c: on another curve", "issuer", "unsupported", chain=(other,))
    many = (world.LEAF,) * 5
    yield from no("x5c: five certificates", "issuer", "malformed", chain=many)


def _chains() -> Iterator[tuple[str, tuple[bytes, ...], Hand]]:
    from cryptography import x509

    made, root, ca = world.certificate, "Checks root", world.CA
    constrained = x509.NameConstraints([x509.DNSName("example")], None)
    yield "its anchor inside", (world.LEAF, world.ROOT), ISSUER
    yield "self-signed", (made("Alone", ISSUER, "Alone", ISSUER, may=world.SIGN),), ISSUER
    yield "the anchor alone", (world.ROOT,), world.CA
    yield "for readers", (world.leaf(profile=Profile.ACCESS),), ISSUER
    yield "for status lists", (world.leaf(profile=Profile.STATUS_SIGNER),), ISSUER
    yield "for nothing in particular", (made("Any", ISSUER, root, ca, may=world.SIGN, purposes=None),), ISSUER
    yield "an authority as signer", (world.MIDDLE_CA,), world.MIDDLE
    yield "may not sign", (made("Mute", ISSUER, root, ca, may=("key_agreement",)),), ISSUER
    yield "may certify as well", (made("Both", ISSUER, root, ca, may=(*world.SIGN, "key_cert_sign")),), ISSUER
    yield "without a usage", (made("Usage", ISSUER, root, ca),), ISSUER
    yield "in the wrong order", (world.MIDDLE_CA, world.UNDER_MIDDLE), ISSUER
    yield "twice the same", (world.LEAF, world.LEAF), ISSUER
    yield "an authority twice", (world.UNDER_MIDDLE, world.MIDDLE_CA, world.MIDDLE_CA), ISSUER
    yield "path too long", (world.UNDER_LOWER, world.LOWER_CA, world.MIDDLE_CA), ISSUER
    yield "a link is missing", (world.UNDER_LOWER, world.MIDDLE_CA), ISSUER
    yield "a signer as authority", (made("Below", THIEF, "issuer", ISSUER, may=world.SIGN), world.LEAF), THIEF
    names = made("Names", world.LOWER, "Middle", world.MIDDLE, authority=True, more=((constrained, True),))
    below = made("Signer", ISSUER, "Names", world.LOWER, may=world.SIGN)
    yield "name-constrained", (below, names, world.MIDDLE_CA), ISSUER
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00"), True)
    yield "a critical extension nobody knows", (made("Odd", ISSUER, root, ca, may=world.SIGN, more=(odd,)),), ISSUER
    yield "cut", (world.LEAF[:-1],), ISSUER
    yield "something after it", (world.LEAF + b"\x00",), ISSUER


class _Curve:
    """A key on brainpoolP256r1, as far as a certificate needs it."""

    public_key = ec.derive_private_key(2026, ec.BrainpoolP256R1()).public_key()


_OTHER_CURVE: Any = _Curve()


def confusion() -> Iterator[Case]:
    """Algorithms, extensions, and members that are read in two ways (RFC 7515 4.1.11, 10.7; RFC 8725 2.1, 3.1)."""
    key = b"\x04" + ISSUER.key.x + ISSUER.key.y

    def keyed(message: bytes) -> bytes:
        return hmac.digest(key, message, "sha256")

    nothing: Callable[[bytes], bytes] = lambda message: b""  # noqa: E731
    for name, alg, label, seal in [
        ("HS256 with the issuer's public key", "HS256", 5, keyed), ("RS256", "RS256", -257, bytes.swapcase),
        ("EdDSA", "EdDSA", -8, ISSUER.sign), ("ES256K", "ES256K", -47, ISSUER.sign),
    ]:  # fmt: skip
        yield from no(name, "issuer", "unsupported", formats=SD_JWT, head={"alg": alg}, seal=seal)
        yield from no(name, "issuer", "unsupported", formats=MDOC, head={1: label}, seal=seal)
    yield from no("none", "issuer", "unsupported", formats=SD_JWT, head={"alg": "none"}, seal=nothing)
    yield from no("nOnE", "issuer", "unsupported", formats=SD_JWT, head={"alg": "nOnE"}, seal=nothing)
    yield from no("no algorithm", "issuer", "unsupported", formats=SD_JWT, head={"alg": None})
    yield from no("no algorithm", "issuer", "malformed", formats=MDOC, head=b"", seal=nothing)
    yield from no("crit", "issuer", "unsupported", formats=SD_JWT, head={"crit": ["exp"], "exp": AT})
    yield from no("crit", "issuer", "unsupported", formats=MDOC, head={2: [4], 4: b"k"})
    yield from no("b64", "issuer", "unsupported", formats=SD_JWT, head={"crit": ["b64"], "b64": False})
    yield from no("another type of token", "issuer", "malformed", formats=SD_JWT, head={"typ": "jwt"})
    yield from no("no type of token", "issuer", "malformed", formats=SD_JWT, head={"typ": None})
    yield from no("no chain", "issuer", "malformed", formats=SD_JWT, head={"x5c": None})
    yield from no("an empty chain", "issuer", "malformed", formats=SD_JWT, head={"x5c": []})
    yield from no("a key in place of a chain", "issuer", "malformed", formats=SD_JWT,
                  head={"x5c": None, "jwk": dict(THIEF.jwk)}, issuer=THIEF)  # fmt: skip
    doubled = _header_twice(Shown().sd_jwt())
    yield from no("alg twice", "issuer", "malformed", formats=SD_JWT, bent=lambda _: doubled)
    for name, bend, code in [
        ("the algorithm outside", _auth(1, lambda one: one | {1: -7}), "malformed"),
        ("crit outside", _auth(1, lambda one: one | {2: [4]}), "malformed"),
        ("no chain", _auth(1, lambda one: {}), "malformed"),
        ("no payload", _auth(2, lambda one: None), "malformed"),
    ]:
        yield from no(name, "issuer", code, formats=MDOC, bent=bend)


def _auth(part: int, change: Bend) -> Bend:
    def bend(response: Any) -> Any:
        auth = response["documents"][0]["issuerSigned"]["issuerAuth"]
        auth[part] = change(auth[part])
        return response

    return bend


def _header_twice(text: str) -> str:
    head, rest = text.split(".", 1)
    return jose.b64u(jose.unb64u(head)[:-1] + b',"alg":"ES256"}') + f".{rest}"


def shapes() -> Iterator[Case]:
    """Bytes that are no presentation at all, and presentations that say a thing twice."""
    text = Shown().sd_jwt()
    deep = "[" * 40 + "]" * 40
    for name, bent in [
        ("no tilde", text.split("~")[0]),
        ("an empty disclosure", text.replace("~", "~~", 1)),
        ("padded", text.replace("~", "=~", 1)),
        ("two parts", text.replace(".", "", 1)),
        ("a foreign character", "é" + text),
        ("nothing", ""),
        ("a disclosure that is no array", text.replace("~", f"~{jose.b64u(b'{}')}~", 1)),
        ("a disclosure of four", text.replace("~", f"~{jose.b64u(b'[1,2,3,4]')}~", 1)),
    ]:
        yield from no(name, "issuer", "malformed", formats=SD_JWT, bent=lambda _, bent=bent: bent)
    yield from no("a disclosure nested too deeply", "issuer", "too_large", formats=SD_JWT,
                  bent=lambda _: text.replace("~", "~" + jose.b64u(f'["s","x",{deep}]'.encode()) + "~", 1))  # fmt: skip
    yield from no("a disclosure with a member twice", "issuer", "malformed", formats=SD_JWT,
                  bent=lambda _: text.replace("~", "~" + jose.b64u(b'["s","x",{"a":1,"a":2}]') + "~", 1))  # fmt: skip
    token, disclosure, proof = text.split("~")
    many = [*world.parts(f"{token}~{disclosure}", text), ["~WyIiLDBd", 513], *world.parts(f"~{proof}", text)]
    change = {"presentation": many}
    yield from no("too many disclosures", "issuer", "too_large", formats=SD_JWT, change=change)
    good = jose.unb64u(Shown().mdoc())
    head = b"\xa3" + cbor.dumps("status")
    assert good.startswith(head)
    for name, raw, code in [
        ("cut", good[:-2], "malformed"), ("something after it", good + b"\x00", "malformed"),
        ("a member twice", b"\xa4" + head[1:] + b"\x00" + good[1:], "malformed"),
        ("a map of indefinite length", b"\xbf" + good[1:] + b"\xff", "malformed"),
        ("nested too deeply", b"\x81" * 40 + good, "malformed"),
        ("a list longer than the input", head + b"\x9b" + b"\xff" * 8, "malformed"), ("nothing", b"", "malformed"),
    ]:  # fmt: skip
        yield from no(name, "issuer", code, formats=MDOC, bent=lambda _, raw=raw: raw)
    for name, bend, code in [
        ("another version", at("version", value="2.0"), "unsupported"),
        ("status not 0", at("status", value=10), "malformed"),
        ("a member more", at("more", value=1), "malformed"),
        ("two documents", at("documents", value=lambda all: all * 2), "malformed"),
        ("no document", at("documents", value=[]), "malformed"),
        ("docType of the document is not the one signed", at(*DOCUMENT, "docType", value=PASS), "malformed"),
        ("no proof of the device", at(*DOCUMENT, "deviceSigned", value=lambda _: {}), "malformed"),
        ("signature and MAC of the device", at(*DEVICE, "deviceAuth", value=lambda auth: auth | {
            "deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]}), "malformed"),
        ("neither signature nor MAC", at(*DEVICE, "deviceAuth", value={"other": []}), "unsupported"),
        ("the device's signature by ES256K", _device(0, cbor.dumps({1: -47})), "unsupported"),
        ("crit in the device's signature", _device(0, cbor.dumps({1: -7, 2: [4]})), "unsupported"),
    ]:  # fmt: skip
        yield from no(name, "issuer", code, formats=MDOC, bent=bend)
    for name, body, code in [
        ("a security object of another version", {"version": "1.1"}, "unsupported"),
        ("another hash", {"digestAlgorithm": "SHA-512"}, "unsupported"),
        ("no device key", {"deviceKeyInfo": {}}, "malformed"),
        ("a status that is no place", {"status": {"status_list": {"idx": -1, "uri": "x"}}}, "malformed"),
    ]:  # fmt: skip
        yield from no(name, "issuer", code, formats=MDOC, body=body)


def _device(part: int, value: Any) -> Bend:
    return at(*DEVICE, "deviceAuth", value=lambda auth: {
        "deviceSignature": [value if place == part else one for place, one in enumerate(auth["deviceSignature"])]
    })  # fmt: skip
