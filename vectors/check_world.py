"""The small world of `checks.json`: authorities and their certificates, what a checker knows, cards and how each is
shown. A case spoils one thing of `Shown`; everything else stays as the issuer, the holder and the phone make it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from cast import AT, CA, HOLDER, ISSUER, THIEF
from cryptography import x509 as cx509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hands import NOW, By, Hand, Wide
from mapae.formats import cbor, cose, jose, mdoc, qr, x509
from mapae.formats.sd_jwt import _hash
from mapae.formats.status import INVALID, RENEW, SUSPENDED, StatusList, StatusRef
from mapae.formats.x509 import Profile, x509_hash
from mapae.trust.signers import Purpose, Reason, Signer

VCT, LICENCE, PASS = "urn:mapae:kr:resident-card:1", "urn:mapae:kr:licence:1", "urn:mapae:kr:pass:1"
SPACE = DOCTYPE = "kr.mapae.resident.1"
PREFIX, NEIGHBOURS = "https://issuer.example/status/", "https://neighbour.example/status/"
LIST, ODD_LIST = PREFIX + "1", PREFIX + "2"
NONCE = b"of this question"
MADE = AT + 7
DAY = timedelta(days=1)
FORMATS = ("sd_jwt", "mdoc")

# --- certificates -----------------------------------------------------------------------------------------------------

NEIGHBOUR_CA, WIDE_CA, MIDDLE, LOWER = Hand("neighbour ca"), Hand("wide ca"), Hand("middle ca"), Hand("lower ca")
STOLEN, RETIRED, UNKNOWN, NEIGHBOUR = Hand("stolen"), Hand("retired"), Hand("unknown signer"), Hand("neighbour")
LIST_SIGNER = Hand("list signer")
_LIFE = {"not_before": NOW - 30 * DAY, "not_after": NOW + 365 * DAY}


def _anchor(name: str, ca: Hand, **change: Any) -> bytes:
    return x509.root(x509.Subject(name), ca, serial=17, **_LIFE | change)


ROOT, NEIGHBOUR_ROOT = _anchor("Checks root", CA), _anchor("Neighbour root", NEIGHBOUR_CA)
YOUNG_ROOT = _anchor("Young root", CA, not_before=NOW - timedelta(hours=1))
FALSE_ROOT = _anchor("Checks root", THIEF)


def leaf(hand: Hand = ISSUER, profile: Profile = Profile.DOCUMENT_SIGNER, **change: Any) -> bytes:
    options: dict[str, Any] = {"ca": CA, "ca_der": ROOT, "serial": 18, **_LIFE} | change
    return x509.leaf(profile, x509.Subject(hand.kid), hand.key, **options)


def certificate(
    name: str, hand: Hand, issuer: str, ca: Hand, *, authority: bool = False, path: int | None = None,
    may: tuple[str, ...] | None = None, purposes: tuple[Profile, ...] | None = (Profile.DOCUMENT_SIGNER,),
    more: tuple[tuple[Any, bool], ...] = (), serial: int = 33,
) -> bytes:  # fmt: skip
    """By hand, for what `x509.leaf` would not sign. `may`: the key usages, None for no such extension."""
    named = [x509.Subject(one).name() for one in (issuer, name)]
    builder = (
        cx509.CertificateBuilder().issuer_name(named[0]).subject_name(named[1]).public_key(hand.public_key)
        .serial_number(serial).not_valid_before(NOW - 30 * DAY).not_valid_after(NOW + 365 * DAY)
        .add_extension(cx509.BasicConstraints(authority, path if authority else None), critical=True)
    )  # fmt: skip
    may = may if may is not None or not authority else ("key_cert_sign", "crl_sign")
    if may is not None:
        every = (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )  # fmt: skip
        builder = builder.add_extension(cx509.KeyUsage(**{one: one in may for one in every}), critical=True)
    if purposes is not None and not authority:
        builder = builder.add_extension(cx509.ExtendedKeyUsage([one.value for one in purposes]), critical=True)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return ca.certify(builder).public_bytes(Encoding.DER)


WIDE_ROOT = certificate("Wide root", WIDE_CA, "Wide root", WIDE_CA, authority=True, path=1)
MIDDLE_CA = certificate("Middle", MIDDLE, "Wide root", WIDE_CA, authority=True, path=1)
LOWER_CA = certificate("Lower", LOWER, "Middle", MIDDLE, authority=True)
SIGN = ("digital_signature",)
UNDER_MIDDLE = certificate("Signer", ISSUER, "Middle", MIDDLE, may=SIGN)
UNDER_LOWER = certificate("Signer", ISSUER, "Lower", LOWER, may=SIGN)
AUTHORITY_384, AUTHORITY_521 = Wide("authority 384", "P-384"), Wide("authority 521", "P-521")
SIGNER_384, SIGNER_521 = Wide("signer 384", "P-384"), Wide("signer 521", "P-521")
ROOT_384 = certificate("P-384", AUTHORITY_384, "P-384", AUTHORITY_384, authority=True, path=1)
ROOT_521 = certificate("P-521", AUTHORITY_521, "P-521", AUTHORITY_521, authority=True)
MIDDLE_521 = certificate("Between", AUTHORITY_521, "P-384", AUTHORITY_384, authority=True)
LEAF_384 = certificate("Signer", SIGNER_384, "P-384", AUTHORITY_384, may=SIGN)
LEAF_521 = certificate("Signer", SIGNER_521, "P-521", AUTHORITY_521, may=SIGN)
LEAF_384_HERE = certificate("Signer", SIGNER_384, "Checks root", CA, may=SIGN)
LEAF_384_BELOW = certificate("Signer", SIGNER_384, "Between", AUTHORITY_521, may=SIGN)
# The signer everybody has, under each authority, by each hash (RFC 5758 3.2).
_HASHES: tuple[Any, ...] = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
CERTIFIED = {
    f"{crv} with {hash_.name.upper()}": certificate("Signer", ISSUER, issuer, By(ca, hash_), may=SIGN)
    for crv, issuer, ca in (
        ("P-256", "Checks root", CA), ("P-384", "P-384", AUTHORITY_384), ("P-521", "P-521", AUTHORITY_521),
    )
    for hash_ in _HASHES
}  # fmt: skip
LEAF, STOLEN_LEAF, RETIRED_LEAF = leaf(), leaf(STOLEN), leaf(RETIRED)
LATE_LEAF = leaf(serial=20, not_before=NOW - timedelta(hours=1))
EARLY_LEAF = leaf(ca_der=YOUNG_ROOT, serial=21)
LIST_LEAF = leaf(LIST_SIGNER, Profile.STATUS_SIGNER)
NEIGHBOUR_LEAF = leaf(NEIGHBOUR, ca=NEIGHBOUR_CA, ca_der=NEIGHBOUR_ROOT)
SINCE = AT - 7200


def _entered(der: bytes, reason: Reason | None = None, purpose: Purpose = Purpose.DOCUMENT_SIGNER) -> Signer:
    ended: dict[str, Any] = {"revoked_at": AT - 60, "since": SINCE, "reason": reason} if reason else {}
    return Signer(
        issuer="issuer:them", x5t=x509_hash(der), purpose=purpose, starts=AT - 30 * 86_400,
        ends=AT + 365 * 86_400, **ended,
    )  # fmt: skip


SIGNERS = (
    *map(_entered, (LEAF, UNDER_MIDDLE, UNDER_LOWER, LATE_LEAF, EARLY_LEAF)),
    *map(_entered, (LEAF_384, LEAF_521, LEAF_384_HERE, LEAF_384_BELOW, *CERTIFIED.values())),
    _entered(LIST_LEAF, purpose=Purpose.STATUS_SIGNER),
    _entered(STOLEN_LEAF, Reason.COMPROMISED), _entered(RETIRED_LEAF, Reason.SUPERSEDED),
)  # fmt: skip

# --- what a checker knows ---------------------------------------------------------------------------------------------

ITEMS = {
    "adult": ("age_over_19",),
    "who": ("name", "birth_date"),
    "picture": ("portrait",),
    "of_sd_jwt": ("age_over_19",),
    "of_mdoc": ("age_over_19",),
}
KINDS = {"age_over_19": "yes_no", "name": "text", "birth_date": "date", "portrait": "image"}
LISTS = {
    LIST: StatusList.of(2, 64, [(8, INVALID), (9, SUSPENDED), (10, RENEW)]),
    ODD_LIST: StatusList.of(4, 64, [(8, 5)]),
}


def pack() -> dict[str, Any]:
    """As a till keeps it (`mapae.verifier.till.till_pack`); the age of what it knows is the case's."""

    def issuer(id: str, anchors: list[bytes], vcts: list[str], doctypes: list[str], prefix: str) -> dict[str, Any]:
        return {
            "id": id, "ca": jose.x5c_header(anchors), "vcts": vcts, "doctypes": doctypes, "status_prefix": prefix,
            "signers": msgspec.to_builtins(SIGNERS) if id == "them" else None,
        }  # fmt: skip

    return {
        "issuers": [
            issuer("neighbour", [NEIGHBOUR_ROOT], [LICENCE], [LICENCE], NEIGHBOURS),
            issuer("them", [ROOT, WIDE_ROOT, YOUNG_ROOT, ROOT_384, ROOT_521], [VCT, PASS], [DOCTYPE, PASS], PREFIX),
        ],
        "lists": {uri: {"bits": one.bits, "lst": one.lst()} for uri, one in LISTS.items()},
        "purposes": [
            {
                "id": id, "items": [{"name": item, "kind": KINDS[item]} for item in items],
                "vct": VCT if id != "of_mdoc" else None, "doctype": DOCTYPE if id != "of_sd_jwt" else None,
                "namespace": SPACE, "risk": "low", "by_holder": True,
                "offline": {"full": 24, "marked": 168, "last": 720},
            }
            for id, items in ITEMS.items()
        ],
    }  # fmt: skip


# --- ties -------------------------------------------------------------------------------------------------------------

ASK = qr.Ask(nonce=NONCE, purpose="adult", items=("age_over_19",), name="Shop")
REDIRECT: dict[str, Any] = {
    "client_id": "x509_hash:shop", "nonce": "n-of-this-question", "response_uri": "https://shop.example/responses/1",
    "thumbprint": Hand("response encryption").key.thumbprint_raw.hex(),
}  # fmt: skip
BROWSER = {"origin": "https://shop.example", "nonce": REDIRECT["nonce"], "thumbprint": REDIRECT["thumbprint"]}


def tied(by: str, tie: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Nonce and audience as a key binding says them, and the transcript."""
    if by == "code":
        raw = bytes.fromhex(tie["nonce"])
        return jose.b64u(raw), tie["audience"], qr.transcript(tie["audience"], raw, tie["made"])
    thumb = bytes.fromhex(tie["thumbprint"])
    if by == "browser":
        transcript = mdoc.openid4vp_dc_api_transcript(origin=tie["origin"], nonce=tie["nonce"], thumbprint=thumb)
        return tie["nonce"], f"origin:{tie['origin']}", transcript
    transcript = mdoc.openid4vp_transcript(
        client_id=tie["client_id"], nonce=tie["nonce"], response_uri=tie["response_uri"], thumbprint=thumb
    )
    return tie["nonce"], tie["client_id"], transcript


CODE = {"nonce": NONCE.hex(), "audience": ASK.audience, "made": MADE}
TIES: dict[str, dict[str, Any]] = {"code": CODE, "redirect": REDIRECT, "browser": BROWSER}

# --- cards, and how they are shown ------------------------------------------------------------------------------------

CLAIMS: dict[str, Any] = {
    "name": "한지수", "birth_date": "2001-03-09", "age_over_19": True, "address": "세종", "portrait": "/9j/2Q==",
}  # fmt: skip
Change = Mapping[str, Any]


class Shown(msgspec.Struct, kw_only=True):
    """`head` and `body` change what the issuer signs (None takes a member away), `said` and `proof` what the holder
    signs; `raw` changes the signed payload as bytes; `bent` what is left of it all, after every signature."""

    items: tuple[str, ...] = ("age_over_19",)
    by: str = "code"
    tie: Change = {}  # what the holder signed for, where that is not what was asked
    chain: tuple[bytes, ...] = (LEAF,)
    issuer: Any = ISSUER
    holder: Any = HOLDER
    place: int = 7
    uri: str | None = LIST
    starts: datetime = NOW - DAY
    ends: datetime = NOW + 14 * DAY
    signed: datetime = NOW - DAY
    claims: Change | None = None  # CLAIMS
    type: str | None = None
    head: Any = {}
    body: Change = {}
    proof: Change = {}
    said: Change = {}
    seal: Callable[[bytes], bytes] | None = None
    proves: Callable[[bytes], bytes] | None = None
    raw: Callable[[bytes], bytes] | None = None
    disclosing: Callable[[list[str]], list[str]] | None = None
    bent: Callable[[Any], Any] | None = None

    def show(self, format: str) -> str:
        return self.sd_jwt() if format == "sd_jwt" else self.mdoc()

    def sd_jwt(self) -> str:
        salted = {name: [f"salt of {name}", name, value] for name, value in (self.claims or CLAIMS).items()}
        written = {name: jose.b64u(jose.encode_json(item)) for name, item in salted.items()}
        said = {
            "iss": "https://issuer.example", "vct": self.type or VCT, "iat": int(self.signed.timestamp()),
            "nbf": int(self.starts.timestamp()), "exp": int(self.ends.timestamp()), "_sd_alg": "sha-256",
            "cnf": {"jwk": dict(HOLDER.jwk)}, "_sd": sorted(map(digest, written.values())),
        }  # fmt: skip
        if self.uri is not None:
            said["status"] = StatusRef(self.uri, self.place).claim()
        payload = jose.encode_json(_changed(said, self.body))
        payload = self.raw(payload) if self.raw is not None else payload
        header = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.chain)}
        token = signed(_changed(header, self.head), payload, self.seal or self.issuer.sign)
        disclosed = [written[item] for item in self.items]
        disclosed = self.disclosing(disclosed) if self.disclosing is not None else disclosed
        shown = "~".join((token, *disclosed, ""))
        nonce, audience, _ = tied(self.by, TIES[self.by] | dict(self.tie))
        proof = {"nonce": nonce, "aud": audience, "iat": self.tie.get("made", MADE), "sd_hash": _hash(shown)}
        kb = _changed({"alg": "ES256", "typ": "kb+jwt"}, self.proof)
        text = shown + signed(kb, jose.encode_json(_changed(proof, self.said)), self.proves or self.holder.sign)
        return self.bent(text) if self.bent is not None else text

    def mdoc(self) -> str:
        elements = {name: _element(name, value) for name, value in (self.claims or CLAIMS).items()}
        status = StatusRef(self.uri, self.place) if self.uri is not None else None
        draft = mdoc.draft(
            self.type or DOCTYPE, {SPACE: elements}, device_key=HOLDER.key,
            validity=mdoc.Validity(self.signed, self.starts, self.ends), x5chain=self.chain, status=status,
            entropy=_Salts().bytes,
        )  # fmt: skip
        card = mdoc.IssuerSigned.parse(draft.complete(self.issuer.sign(draft.signing_input)))
        _, _, transcript = tied(self.by, TIES[self.by] | dict(self.tie))
        shown = mdoc.present(card.disclose({SPACE: self.items}), session_transcript=transcript, holder=self.holder)
        response = cbor.loads(shown)
        auth = response["documents"][0]["issuerSigned"]["issuerAuth"]
        if self.body or self.head or self.seal or self.raw:
            inside = cbor.dumps(_changed(cbor.loads(cbor.unwrap(auth[2])), self.body))
            payload = cbor.embed(self.raw(inside) if self.raw is not None else inside)
            head = self.head if isinstance(self.head, bytes) else cbor.dumps(_changed({1: -7}, self.head))
            auth[0], auth[2] = head, payload
            auth[3] = (self.seal or self.issuer.sign)(cose.to_be_signed(payload, head))
        response = self.bent(response) if self.bent is not None else response
        return jose.b64u(response if isinstance(response, bytes) else cbor.dumps(response))


class _Salts:
    """The salt of an element by its turn: the same in every card, so that cases differ only where they are spoiled."""

    def __init__(self) -> None:
        self._at = 0

    def bytes(self, size: int) -> bytes:
        self._at += 1
        return hashlib.shake_128(f"salt {self._at}".encode()).digest(size)


def signed(header: Mapping[str, Any], payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    input_ = f"{jose.b64u(jose.encode_json(header))}.{jose.b64u(payload)}".encode()
    return f"{input_.decode()}.{jose.b64u(sign(input_))}"


def digest(disclosure: str) -> str:
    return jose.b64u(hashlib.sha256(disclosure.encode()).digest())


def _changed(members: dict[Any, Any], change: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in (members | dict(change)).items() if value is not None}


def _element(name: str, value: Any) -> Any:
    if name == "birth_date" and isinstance(value, str) and len(value) == 10:
        return date.fromisoformat(value)
    return b"\xff\xd8\xff\xd9" if name == "portrait" else value


_STRIDE = 24


def parts(text: str, base: str) -> list[Any]:
    """`[from, length]`: so much of the base; `[text, times]`: a run; else a text."""
    places = {base[at : at + _STRIDE]: at for at in range(len(base) - _STRIDE, -1, -1)}
    found: list[Any] = []
    at = plain = 0
    while at < len(text):
        there, size = places.get(text[at : at + _STRIDE]), 0
        if there is not None:
            while at + size < len(text) and text[at + size] == base[there + size : there + size + 1]:
                size += 1
        run = (
            len(text) - at - len(text[at:].lstrip(text[at]))
            if there is None and text[at] * 99 == text[at : at + 99]
            else 0
        )
        if not size and not run:
            at += 1
            continue
        found += [text[plain:at]] if at > plain else []
        found.append([there, size] if size else [text[at], run])
        at = plain = at + (size or run)
    return [*found, text[plain:]] if plain < len(text) else found
