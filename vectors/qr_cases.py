"""Cases of the offline codes: what a shop's screen asks, what a phone's screen shows, and what is refused where.

`ask` in the input: the steps of the wallet (`code client seal purpose`). `show`: the texts of a code's frames, with the
purpose the checker checks for, the ask it answers (or null) and when that was made, the checker's clock, and the nonces
it has accepted before: the steps of the checker (`code request`, then the six, then `holder` again for a code that
counted before).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from cast import AT, CA, HOLDER, ISSUER, THIEF, Case, refused, taken

from hands import NOW, Hand
from mapae.clock import SeededDice
from mapae.formats import base45, cbor, cose, jose, mdoc, qr, sd_jwt, x509
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.formats.status import INVALID, StatusList, StatusRef
from mapae.rules import Words
from mapae.trust import registration
from mapae.trust.entries import Issuer, Purpose, RelyingParty
from mapae.trust.publish import TrustList
from mapae.trust.purposes import About, Listed
from mapae.trust.signers import Reason, RevokedReader

VCT = "urn:mapae:kr:resident-card:1"
SPACE = DOCTYPE = "kr.mapae.resident.1"
PREFIX = "https://issuer.example/status/"
NONCE, OWN_NONCE = b"the shop's nonce", b"the phone's own!"
SHOP, FORMER, STRANGER = Hand("shop"), Hand("former shop"), Hand("strange shop")
LIST_KEY = Hand("trust list")
MADE = AT + 7
STATUS = StatusList.of(2, 64, [(8, INVALID)])

_LIFE = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=365)}
ROOT = x509.root(x509.Subject("Codes root"), CA, serial=17, **_LIFE)
ACCESS_ROOT = x509.root(x509.Subject("Access root"), CA, serial=21, **_LIFE)
_FALSE_ROOT = x509.root(x509.Subject("Codes root"), THIEF, serial=17, **_LIFE)


def _leaf(profile: x509.Profile, hand: Hand, root: bytes = ROOT, ca: Hand = CA) -> bytes:
    return x509.leaf(profile, x509.Subject(hand.kid), hand.key, ca=ca, ca_der=root, serial=18, **_LIFE)


LEAF = _leaf(x509.Profile.DOCUMENT_SIGNER, ISSUER)
ACCESS, FORMER_ACCESS = (_leaf(x509.Profile.ACCESS, hand, ACCESS_ROOT) for hand in (SHOP, FORMER))
UNLISTED_ACCESS = _leaf(x509.Profile.ACCESS, STRANGER, ACCESS_ROOT)


# --- who and what -----------------------------------------------------------------------------------------------------


def _words(text: str) -> Words:
    return Words(ko=text, en=text)


def _listed(id: str, kinds: dict[str, Any], **more: Any) -> Listed:
    given: dict[str, Any] = {"anyone": False, "by_holder": True, "risk": "low"} | more
    about = About(id="resident_card", name=_words("Card"), vct=VCT, doctype=DOCTYPE, namespace=SPACE)
    same = dict.fromkeys(("name", "why", "legal_basis", "retention"), _words(id))
    return Listed(
        id=id, document=about, items=tuple(kinds), kinds=kinds, labels={item: _words(item) for item in kinds},
        **same, **given,
    )  # fmt: skip


PURPOSES = (
    _listed("adult", {"age_over_19": "yes_no"}, anyone=True),
    _listed("name_birth", {"name": "text", "birth_date": "date"}),
    _listed("account", {"name": "text", "birth_date": "date"}, by_holder=False, risk="high"),
)


def _registered(id: str, *items: str) -> Purpose:
    same = dict.fromkeys(("name", "why", "legal_basis", "retention"), _words(id))
    return Purpose(id=id, items=items, **same)


def trust_list() -> TrustList:
    issuer = Issuer(
        id="them", name=_words("Them"), ca=(ROOT,), vcts=(VCT,), doctypes=(DOCTYPE,), status_prefix=PREFIX
    )  # fmt: skip
    shop = RelyingParty(
        id="shop", name=_words("Shop"), x509_hash=x509.x509_hash(ACCESS),
        purposes=(_registered("name_birth", "name", "birth_date"),),
    )  # fmt: skip
    former = RevokedReader(
        reader=x509.x509_hash(b"former"), x509_hash=x509.x509_hash(FORMER_ACCESS), since=AT, reason=Reason.CEASED
    )  # fmt: skip
    return TrustList(
        iat=AT, exp=AT + 86_400, issuers=(issuer,), wallet_providers=(), access_ca=(ACCESS_ROOT,),
        relying_parties=(shop,), revoked_readers=(former,),
    )  # fmt: skip


def registered(signer: Hand = LIST_KEY, certificate: bytes = UNLISTED_ACCESS, since: int = 0, *items: str) -> str:
    """A registration certificate of a shop that is too new for the list."""
    party = RelyingParty(
        id="new_shop", name=_words("New shop"), x509_hash=x509.x509_hash(certificate),
        purposes=(_registered("name_birth", *(items or ("name", "birth_date"))),),
    )  # fmt: skip
    return registration.make(party, "https://country.example", signer, NOW - timedelta(seconds=since))


# --- asks -------------------------------------------------------------------------------------------------------------


def anyone_asks(**change: Any) -> qr.Ask:
    return qr.Ask(**{"nonce": NONCE, "purpose": "adult", "items": ("age_over_19",), "name": "구멍가게"} | change)


def shop_asks(hand: Hand = SHOP, certificate: bytes = ACCESS, **change: Any) -> qr.Ask:
    usual = {"nonce": NONCE, "purpose": "name_birth", "items": ("name", "birth_date"), "until": AT + qr.ASK_LIFE}
    ask = qr.Ask(**usual | change)
    return ask.sealed(hand.sign(ask.to_be_signed()), certificate)


def _text(value: Any) -> dict[str, str]:
    raw = value if isinstance(value, bytes) else cbor.dumps(value)
    return {"ask": qr.ASK + base45.encode(raw)}


def asks() -> Iterator[Case]:
    for name, ask, party in [
        ("asked by anybody", anyone_asks(), None), ("asked by a registered shop", shop_asks(), "shop"),
        ("asked for a part of what is registered", shop_asks(items=("name",)), "shop"),
        ("asked with a registration along that is not needed", shop_asks(registration="e30.e30.e30"), "shop"),
        ("asked by a shop that is newer than the list", shop_asks(
            STRANGER, UNLISTED_ACCESS, registration=registered()), "new_shop"),
        ("asked in its last second", shop_asks(until=AT - qr.SKEW), "shop"),
        ("asked as far ahead as can be", shop_asks(until=AT + qr.ASK_LONGEST + qr.SKEW), "shop"),
    ]:  # fmt: skip
        told = {
            "party": party, "name": ask.name, "purpose": ask.purpose, "items": list(ask.items),
            "nonce": ask.nonce.hex(), "audience": ask.audience, "raw": ask.raw.hex(), "until": ask.until,
        }  # fmt: skip
        yield taken(name, {"ask": ask.encode()}, told)
    yield from _misread_asks()
    good = shop_asks()
    for name, ask, step, code in [
        ("more than anybody may ask", anyone_asks(purpose="name_birth", items=("name", "birth_date")), "purpose",
         "over_asking"),
        ("an item more than the purpose has", anyone_asks(items=("age_over_19", "name")), "purpose", "over_asking"),
        ("a purpose nobody knows", anyone_asks(purpose="nothing"), "purpose", "over_asking"),
        ("a purpose the shop has not registered", shop_asks(purpose="account"), "purpose", "over_asking"),
        ("an item the shop has not registered", shop_asks(items=("name", "address")), "purpose", "over_asking"),
        ("asked by a shop that was struck off", shop_asks(FORMER, FORMER_ACCESS), "client", "signer_revoked"),
        ("asked by a shop that is not listed", shop_asks(STRANGER, UNLISTED_ACCESS), "client",
         "unknown_relying_party"),
        ("asked with a certificate for another purpose", shop_asks(ISSUER, _leaf(
            x509.Profile.DOCUMENT_SIGNER, ISSUER, ACCESS_ROOT)), "client", "bad_certificate"),
        ("asked under another authority", shop_asks(SHOP, _leaf(x509.Profile.ACCESS, SHOP)), "client",
         "untrusted_issuer"),
        ("signed by somebody else", shop_asks(THIEF, ACCESS), "seal", "bad_signature"),
        ("photographed, and shown when it is over", shop_asks(until=AT - qr.SKEW - 1), "seal", "presentation_stale"),
        ("asked further ahead than anybody may", shop_asks(until=AT + qr.ASK_LONGEST + qr.SKEW + 1), "seal",
         "malformed"),
        ("over, and signed by somebody else", shop_asks(THIEF, ACCESS, until=AT - 60), "seal", "bad_signature"),
        ("struck off, with a registration", shop_asks(FORMER, FORMER_ACCESS, registration=registered(
            certificate=FORMER_ACCESS)), "client", "signer_revoked"),
        ("another shop's registration", shop_asks(STRANGER, UNLISTED_ACCESS, registration=registered(
            certificate=ACCESS)), "client", "unknown_relying_party"),
        ("a registration that somebody else signed", shop_asks(STRANGER, UNLISTED_ACCESS, registration=registered(
            THIEF)), "client", "bad_signature"),
        ("a registration that is over", shop_asks(STRANGER, UNLISTED_ACCESS, registration=registered(
            since=31 * 86_400)), "client", "expired"),
        ("a registration older than the list", shop_asks(STRANGER, UNLISTED_ACCESS, registration=registered(
            since=60)), "client", "unknown_relying_party"),
        ("more than the registration has", shop_asks(STRANGER, UNLISTED_ACCESS, registration=registered(
            LIST_KEY, UNLISTED_ACCESS, 0, "name")), "purpose", "over_asking"),
    ]:  # fmt: skip
        yield refused(f"ask: {name}", {"ask": ask.encode()}, step, code)
    other = cose.Sign1(good.seal.protected, good.seal.unprotected, shop_asks(nonce=OWN_NONCE).payload(),
                       good.seal.signature)  # fmt: skip
    yield refused("ask: another question in its place", _text(cbor.Tag(18, other.encode())), "seal", "bad_signature")


def _misread_asks() -> Iterator[Case]:
    plain = {1: 1, 2: NONCE, 3: "adult", 4: ["age_over_19"], 5: "Shop"}
    for name, change, code in [
        ("another version", {1: 2}, "unsupported"), ("no version", {1: None}, "malformed"),
        ("a member more", {8: 1}, "malformed"), ("an end without a seal", {7: AT + 60}, "malformed"),
        ("a registration without a seal", {6: "e30.e30.e30"}, "malformed"),
        ("no name", {5: None}, "malformed"), ("a name of 61 characters", {5: "x" * 61}, "malformed"),
        ("a name with a character that is not seen", {5: "Shop\u202e"}, "malformed"),
        ("a nonce of 15 bytes", {2: NONCE[:15]}, "malformed"), ("no items", {4: []}, "malformed"),
        ("an item twice", {4: ["name", "name"]}, "malformed"), ("an item that is no text", {4: [1]}, "malformed"),
    ]:  # fmt: skip
        bent = {label: value for label, value in (plain | change).items() if value is not None}
        yield refused(f"ask: {name}", _text(bent), "code", code)
    raw = cbor.dumps(plain)
    assert raw.startswith(b"\xa5\x01\x01")
    yield refused("ask: a number in two bytes", _text(b"\xa5\x01\x18\x01" + raw[3:]), "code", "malformed")
    yield refused("ask: something after it", _text(raw + b"\x00"), "code", "malformed")
    yield refused("ask: nothing in it", {"ask": qr.ASK}, "code", "malformed")
    yield refused("ask: a foreign character", {"ask": qr.ASK + "a00"}, "code", "malformed")
    yield refused("ask: another kind of code", {"ask": qr.SHOW + base45.encode(raw)}, "code", "malformed")
    yield refused("ask: longer than a QR code", {"ask": qr.ASK + "0" * 4290}, "code", "too_large")
    seal = shop_asks().seal.encode()
    for name, change, code in [
        ("two certificates", {1: {33: [ACCESS, ACCESS]}}, "malformed"),
        ("another unprotected header", {1: {33: ACCESS, 4: b"k"}}, "malformed"),
        ("another content type", {0: cbor.dumps({1: -7, 16: "x"})}, "malformed"),
        ("sealed with a MAC", {0: cbor.dumps({1: 5, 16: qr.ASK_TYPE})}, "unsupported"),
        ("a payload elsewhere", {2: None}, "malformed"), ("a signature that is cut", {3: bytes(63)}, "malformed"),
        ("a name under a seal", {2: raw}, "malformed"),
    ]:  # fmt: skip
        bent = [change.get(at, part) for at, part in enumerate(seal)]
        yield refused(f"ask: {name}", _text(cbor.Tag(18, bent)), "code", code)
    for name, end in [
        ("no end", None), ("an end that is a text", str(AT)), ("an end that is a yes", True),
        ("an end before all time", -1), ("an end after all time", 253_402_300_800),
    ]:  # fmt: skip
        said = cbor.loads(shop_asks().payload()) | {7: end}
        payload = cbor.dumps({label: value for label, value in said.items() if value is not None})
        sealed = [seal[0], seal[1], payload, SHOP.sign(cose.to_be_signed(payload, seal[0]))]
        yield refused(f"ask: {name} under a seal", _text(cbor.Tag(18, sealed)), "code", "malformed")
    yield refused("ask: without its tag", _text(seal), "code", "malformed")
    yield refused("ask: with another tag", _text(cbor.Tag(17, seal)), "code", "malformed")


# --- cards ------------------------------------------------------------------------------------------------------------

CLAIMS: dict[str, Any] = {"name": "한지수", "birth_date": "2001-03-09", "age_over_19": True, "address": "세종"}
ITEMS = {"adult": ("age_over_19",), "name_birth": ("name", "birth_date"), "account": ("name", "birth_date")}


def sd_jwt_card(leaf: bytes, hand: Hand, place: int, ends: datetime, claims: Mapping[str, Any]) -> SdJwt:
    said = {
        "iss": "https://issuer.example", "vct": VCT, "iat": AT, "nbf": AT, "exp": int(ends.timestamp()),
        "cnf": {"jwk": dict(HOLDER.jwk)}, "status": StatusRef(PREFIX + "1", place).claim(),
    } | {name: Hidden(value) for name, value in claims.items()}  # fmt: skip
    header = {"typ": "dc+sd-jwt", "x5c": jose.x5c_header([leaf])}
    draft = sd_jwt.draft(header, said, entropy=SeededDice("code").bytes)
    return SdJwt.parse(draft.complete(hand.sign(draft.signing_input)))


def mdoc_card(leaf: bytes, hand: Hand, place: int, ends: datetime, claims: Mapping[str, Any]) -> mdoc.IssuerSigned:
    elements = {n: date.fromisoformat(value) if n == "birth_date" else value for n, value in claims.items()}
    draft = mdoc.draft(
        DOCTYPE, {SPACE: elements}, device_key=HOLDER.key, validity=mdoc.Validity(NOW, NOW, ends), x5chain=[leaf],
        status=StatusRef(PREFIX + "1", place), entropy=SeededDice("code").bytes,
    )  # fmt: skip
    return mdoc.IssuerSigned.parse(draft.complete(hand.sign(draft.signing_input)))


class Shows(msgspec.Struct, kw_only=True):
    """A code as the wallet makes it; a case spoils one thing."""

    format: str = SD_JWT
    purpose: str = "adult"
    ask: qr.Ask | None = None
    made: int = MADE
    signed_at: int | None = None  # another moment than the code names
    nonce: bytes | None = None  # another than the one that was signed
    audience: str | None = None
    items: tuple[str, ...] | None = None
    leaf: bytes = LEAF
    issuer: Any = ISSUER
    holder: Any = HOLDER
    place: int = 7
    ends: datetime = NOW + timedelta(days=14)
    claims: dict[str, Any] = msgspec.field(default_factory=lambda: dict(CLAIMS))

    @property
    def show(self) -> qr.Show:
        signed = self.ask.nonce if self.ask is not None else OWN_NONCE
        audience = self.audience or (self.ask.audience if self.ask is not None else qr.OPEN)
        items = self.items if self.items is not None else ITEMS[self.purpose]
        at = self.signed_at if self.signed_at is not None else self.made
        made_of = (self.leaf, self.issuer, self.place, self.ends, self.claims)
        if self.format == SD_JWT:
            shown = sd_jwt_card(*made_of).disclose([[item] for item in items])
            text = shown.bind(
                self.holder, nonce=jose.b64u(signed), audience=audience, now=NOW + timedelta(seconds=at - AT)
            )  # fmt: skip
        else:
            transcript = qr.transcript(audience, signed, at)
            disclosed = mdoc_card(*made_of).disclose({SPACE: items})
            text = jose.b64u(mdoc.present(disclosed, session_transcript=transcript, holder=self.holder))
        return qr.Show(
            format=self.format, made=self.made, nonce=self.nonce or signed, purpose=self.purpose, presentation=text
        )  # fmt: skip

    def input(self, **change: Any) -> dict[str, Any]:
        given = {
            "show": list(self.show.frames()), "purpose": self.purpose,
            "asked": self.ask.encode() if self.ask is not None else None, "asked_at": AT, "now": self.made + 2,
            "spent": [],
        }  # fmt: skip
        return given | change


def shows() -> Iterator[Case]:
    for format in (SD_JWT, MDOC):
        for name, made in [
            ("an adult, unasked", Shows(format=format)),
            ("an adult, asked by anybody", Shows(format=format, ask=anyone_asks())),
            ("name and birth date, unasked", Shows(format=format, purpose="name_birth")),
            ("name and birth date, asked by a shop", Shows(format=format, purpose="name_birth", ask=shop_asks())),
            ("no adult", Shows(format=format, claims=CLAIMS | {"age_over_19": False})),
        ]:
            yield taken(f"{format}: {name}", made.input(), _expected(made))
        made = Shows(format=format)
        frames = made.show.frames(300)
        backwards = [*reversed(frames), frames[0]]
        yield taken(f"{format}: small frames, backwards, one twice", made.input(show=backwards), _expected(made))
        for name, at in [("in its last second", made.made + 35), ("the phone's clock is ahead", made.made - 5)]:
            yield taken(f"{format}: {name}", made.input(now=at), _expected(made))
        yield from _refused(format)
    yield from _unreadable()


def _expected(made: Shows) -> dict[str, Any]:
    show = made.show
    claims = {item: made.claims[item] for item in ITEMS[made.purpose]}
    return {
        "claims": claims, "format": show.format, "made": show.made, "nonce": show.nonce.hex(),
        "purpose": show.purpose, "presentation": show.presentation, "whole": show.encode().hex(),
    }  # fmt: skip


def _refused(format: str) -> Iterator[Case]:
    def no(name: str, step: str, code: str, change: dict[str, Any] | None = None, **spoilt: Any) -> Case:
        return refused(f"{format}: {name}", Shows(format=format, **spoilt).input(**change or {}), step, code)

    ask, other = anyone_asks(), anyone_asks(nonce=b"another's nonce!")
    proof = "bad_holder_proof"
    yield no("photographed, and shown later", "holder", "presentation_stale", {"now": MADE + 36})
    yield no("from the future", "holder", "clock_off", {"now": MADE - 6})
    yield no("shown a second time", "holder", "presentation_spent", {"spent": [OWN_NONCE.hex()]})
    yield no("an answer shown a second time", "holder", "presentation_spent", {"spent": [NONCE.hex()]}, ask=ask)
    yield no("an answer to another shop's question", "holder", "wrong_nonce", {"asked": other.encode()}, ask=ask)
    named = anyone_asks(name="Another shop")
    yield no("the same nonce in another shop's question", "holder",
             "wrong_audience" if format == SD_JWT else proof, {"asked": named.encode()}, ask=ask)  # fmt: skip
    yield no("made unasked, for a question", "holder", "wrong_nonce", {"asked": ask.encode()})
    yield no("an answer, in place of a code made unasked", "holder",
             "wrong_audience" if format == SD_JWT else proof, {"asked": None}, ask=ask)  # fmt: skip
    yield no("another nonce than was signed", "holder", "wrong_nonce" if format == SD_JWT else proof,
             nonce=b"another's nonce!")  # fmt: skip
    yield no("dated anew", "holder", proof, signed_at=MADE - 60)
    yield no("shown by another key", "holder", proof, holder=THIEF)
    yield no("a question put too long ago", "request", "session_spent", {"asked_at": MADE - 119}, ask=ask)
    yield no("made for another purpose", "request", "not_what_was_asked", {"purpose": "name_birth"})
    yield no("unasked, for a purpose that must be asked", "request", "over_asking", purpose="account")
    yield no("more than the purpose has", "request", "not_what_was_asked", items=("age_over_19", "name"))
    yield no("less than the purpose has", "request", "not_what_was_asked", purpose="name_birth", items=("name",))
    fake = _leaf(x509.Profile.DOCUMENT_SIGNER, ISSUER, _FALSE_ROOT, THIEF)
    yield no("issued under another authority", "issuer", "untrusted_issuer", leaf=fake)
    yield no("issued by another key", "seal", "bad_signature", issuer=THIEF)
    yield no("expired", "dates", "expired", ends=NOW + timedelta(seconds=5))
    yield no("revoked", "standing", "revoked", place=8)
    yield no("a place the list does not have", "standing", "status_unknown", place=64)


def _unreadable() -> Iterator[Case]:
    good = Shows()
    whole, folded = good.show.encode(), qr.fold(good.show.encode())

    def no(name: str, frames: list[str] | tuple[str, ...], code: str = "malformed") -> Case:
        return refused(f"code: {name}", good.input(show=list(frames)), "code", code)

    def frame(count: int, number: int, chunk: bytes, mark: bytes | None = None) -> str:
        mark = hashlib.sha256(folded).digest()[:4] if mark is None else mark
        return qr.SHOW + base45.encode(bytes((count, number)) + mark + chunk)

    half, other = len(folded) // 2, Shows(purpose="name_birth").show.frames(300)
    some = good.show.frames(300)
    yield no("no frame", [])
    yield no("a frame is missing", some[:-1])
    yield no("a frame of another sequence", [*some[:-1], other[len(some) - 1]])
    yield no("two frames in one place", [*some, frame(len(some), 0, b"x" * 300)])
    yield no("a frame that was bent", [frame(len(some), 0, b"x" * 300), *some[1:]])
    yield no("frames of different sizes", [frame(2, 0, folded[: half - 9]), frame(2, 1, folded[half - 9 :])])
    yield no("a frame of none", [frame(0, 0, folded)])
    yield no("a frame beyond its count", [frame(2, 2, folded)])
    yield no("a sequence of 33", [frame(33, 0, folded)])
    yield no("a frame without a chunk", [frame(1, 0, b"")])
    yield no("an ask", [anyone_asks().encode()])
    yield no("small letters", [some[0].lower(), *some[1:]])
    yield no("longer than a QR code", [qr.SHOW + "0" * 4290], "too_large")
    yield no("not folded", qr.split(whole))
    yield no("folded, and cut", qr.split(folded[:-1]))
    yield no("something after it", qr.split(folded + b"\x00"))
    yield no("a bomb", qr.split(_bomb()), "too_large")

    def bent(name: str, change: dict[int, Any], code: str = "malformed") -> Case:
        made = cbor.loads(whole) | change
        raw = cbor.dumps({label: value for label, value in made.items() if value is not None})
        return no(name, qr.split(qr.fold(raw)), code)

    parts = cbor.loads(whole)[6]
    for name, change, code in [
        ("another version", {1: 2}, "unsupported"), ("another format", {2: 2}, "unsupported"),
        ("a member more", {7: 0}, "malformed"), ("no purpose", {5: None}, "malformed"),
        ("a moment that is none", {3: -1}, "malformed"), ("a nonce of 17 bytes", {4: bytes(17)}, "malformed"),
        ("an mdoc that is no bytes", {2: 1}, "malformed"), ("an SD-JWT that is bytes", {6: b"x"}, "malformed"),
        ("an SD-JWT of six parts", {6: parts[:6]}, "malformed"),
        ("a signature of 63 bytes", {6: [*parts[:2], bytes(63), *parts[3:]]}, "malformed"),
        ("a disclosure that is a text", {6: [*parts[:3], ["x"], *parts[4:]]}, "malformed"),
        ("an empty part", {6: [b"", *parts[1:]]}, "malformed"),
    ]:  # fmt: skip
        yield bent(name, change, code)
    assert whole.startswith(b"\xa6\x01\x01")
    yield no("a number in two bytes", qr.split(qr.fold(b"\xa6\x01\x18\x01" + whole[3:])))
    yield no("a map of indefinite length", qr.split(qr.fold(b"\xbf" + whole[1:] + b"\xff")))
    yield no("nested too deeply", qr.split(qr.fold(b"\x81" * 40 + whole)))


def _bomb() -> bytes:
    import zlib

    folder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return folder.compress(bytes(8 * 1024 * 1024)) + folder.flush()


def written() -> dict[str, Any]:
    trusted = trust_list()
    return {
        "now": AT,
        "rules": {
            "life": qr.LIFE,
            "skew": qr.SKEW,
            "ask_life": qr.ASK_LIFE,
            "ask_longest": qr.ASK_LONGEST,
            "frame": qr.FRAME,
        },
        "list_jwk": dict(LIST_KEY.jwk),
        "trust_list": msgspec.to_builtins(trusted),
        "purposes": msgspec.to_builtins(PURPOSES),
        "lists": {PREFIX + "1": {"bits": STATUS.bits, "lst": STATUS.compressed().lst()}},
        "cases": [*asks(), *shows()],
    }
