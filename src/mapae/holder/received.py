"""Looking at a credential before keeping it. Pure.

Promises: a `Copy` made here is signed by an issuer the trust policy lets issue this type, bound to a key of this wallet
where keys were asked for, in date, with a status of its own. Trusts: that policy. Keeps: nothing. Refuses: anything
else, naming the step. Of an issuer on a country's list an end and a status are demanded; strangers may do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import pybase64
from cryptography import x509

from mapae.errors import Code, Refused, step
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.formats.jose import PublicKey, b64u, check_times, unb64u
from mapae.formats.mdoc import IssuerSigned
from mapae.formats.sd_jwt import SIGNED_OPEN, SdJwt, holder_key
from mapae.formats.status import StatusRef
from mapae.formats.x509 import UNREADABLE, Profile

from .choose import Candidate
from .store import Card, Copy, Standing
from .trusted import TrustedIssuer, standing_of

_ENVELOPE: Final = SIGNED_OPEN | {"iat"}  # not `sub`: it names the holder
FOREVER: Final = 253_402_300_799  # the end of 9999: a credential that says no end


@dataclass(frozen=True, slots=True)
class Received:
    copies: list[Copy]
    standing: Standing


@dataclass(frozen=True, slots=True)
class Examined:
    key: PublicKey | None  # None: bound to no key
    copy: Copy  # without the key's name
    standing: Standing


def examine(raw: str, format_: str, kind: str, issuer: TrustedIssuer, now: datetime) -> Examined:
    """1 issuer  2 seal  3 type  4 dates  5 status."""
    with step("issuer"):
        if not issuer.may_issue(kind):
            raise Refused(Code.UNTRUSTED_ISSUER, "this issuer may not issue this document")
    if format_ == SD_JWT:
        return _sd_jwt(raw, kind, issuer, now)
    return _mdoc(raw, kind, issuer, now)


def batch(
    raws: Sequence[str], format_: str, kind: str, keys: Mapping[str, str], issuer: TrustedIssuer, now: datetime
) -> Received:
    """A whole answer of the credential endpoint. `keys`: names by thumbprint. Each copy has its own key and status."""
    if not 1 <= len(raws) <= max(len(keys), 1):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "more or fewer copies than keys")
    copies = []
    left = dict(keys)
    for raw in raws:
        examined = examine(raw, format_, kind, issuer, now)
        with step("holder"):
            examined.copy.key = _own_key(examined.key, left, bound=bool(keys))
        copies.append(examined.copy)
    places = {(copy.status_uri, copy.status_index) for copy in copies}
    if copies[0].status_uri and len(places) != len(copies):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "two copies share a status, so a verifier could tell they are the same")
    return Received(copies, examined.standing)


def _own_key(key: PublicKey | None, left: dict[str, str], *, bound: bool) -> str:
    """The name of the key, which is then no longer free. Nothing for a credential that was asked for without a key."""
    if key is None and not bound:
        return ""
    name = None if key is None else left.pop(key.thumbprint, None)
    if name is None:
        raise Refused(Code.BAD_HOLDER_PROOF, "a copy is bound to a key that is not ours, or to one twice")
    return name


def _sd_jwt(raw: str, kind: str, issuer: TrustedIssuer, now: datetime) -> Examined:
    credential = SdJwt.parse(raw)
    with step("issuer"):
        signer = issuer.signer(credential.x5c, Profile.DOCUMENT_SIGNER, now)
    with step("seal"):
        claims = credential.open(signer.key)
    with step("issuer"):
        issued = claims.get("iat")
        issuer.must_have_signed(signer, issued if type(issued) in (int, float) else None, now)
    with step("type"):
        if claims.get("vct") != kind:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the credential is of another type")
    with step("dates"):
        check_times(claims, now, need=("exp",) if issuer.strict else ())
    with step("status"):
        status = None if claims.get("status") is None else StatusRef.parse(claims["status"])
        uri, index = _status(status, issuer)
    key = holder_key(claims) if "cnf" in claims else None
    return Examined(
        key, Copy("", "", raw, int(min(claims.get("exp", FOREVER), FOREVER)), uri, index), standing_of(issuer, signer)
    )


def _mdoc(raw: str, kind: str, issuer: TrustedIssuer, now: datetime) -> Examined:
    credential = IssuerSigned.parse(unb64u(raw))
    with step("issuer"):
        signer = issuer.signer(credential.x5chain, Profile.DOCUMENT_SIGNER, now)
    with step("seal"):
        credential.open(signer.key)
    mso = credential.mso
    with step("issuer"):
        issuer.must_have_signed(signer, mso.validity.signed.timestamp(), now)
    with step("type"):
        if mso.doctype != kind:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the credential is of another type")
    with step("dates"):
        if now > mso.validity.valid_until:
            raise Refused(Code.EXPIRED, "the credential has expired")
    with step("status"):
        uri, index = _status(mso.status, issuer)
    copy = Copy("", "", raw, int(mso.validity.valid_until.timestamp()), uri, index)
    assert isinstance(mso.device_key, PublicKey)  # read by ES256 alone
    return Examined(mso.device_key, copy, standing_of(issuer, signer))


def _status(status: StatusRef | None, issuer: TrustedIssuer) -> tuple[str, int]:
    if status is None:
        if issuer.strict:
            raise Refused(Code.STATUS_UNKNOWN, "the credential has no status")
        return "", 0
    if not issuer.may_publish(status.uri):
        raise Refused(Code.STATUS_UNKNOWN, "the status list is somewhere the trust list does not name")
    return status.uri, status.index


# --- the holder's own look at what she has ----------------------------------------------------------------------------


def claims_of(card: Card) -> dict[str, Any]:
    """Everything on the card, as JSON values: names to values, an mdoc's namespaces merged away."""
    tree = _tree(card)
    if card.format != MDOC:
        return tree
    return {name: value for elements in tree.values() for name, value in elements.items()}


def candidate(card: Card) -> Candidate:
    """The card as a query sees it."""
    told: tuple[str, ...] = ()
    if card.format == MDOC:
        chain = IssuerSigned.parse(unb64u(card.copies[0].raw)).x5chain
    else:
        credential = SdJwt.parse(card.copies[0].raw)
        chain, told = credential.x5c, left_open(credential)
    return Candidate(
        card.id,
        card.format,
        card.kind,
        _tree(card),
        frozenset(filter(None, map(_aki, chain))),
        bool(card.copies[0].key),
        told,
    )


def left_open(credential: SdJwt) -> tuple[str, ...]:
    """What the issuer left open for everybody, by the names at the top; what is of the card itself is none of it."""
    hidden = credential.paths()

    def tells(value: Any, *path: str | int) -> bool:
        if path in hidden:
            return False
        match value:
            case dict():
                return any(tells(inner, *path, name) for name, inner in value.items())
            case list():
                return any(tells(inner, *path, place) for place, inner in enumerate(value))
            case _:
                return True

    return tuple(name for name, value in credential.peek().items() if name not in _ENVELOPE and tells(value, name))


def _tree(card: Card) -> dict[str, Any]:
    raw = card.copies[0].raw
    if card.format == MDOC:
        namespaces = IssuerSigned.parse(unb64u(raw)).peek()
        return {space: {name: _json(value) for name, value in items.items()} for space, items in namespaces.items()}
    return SdJwt.parse(raw).peek()


def _json(value: Any) -> Any:
    """RFC 8949 section 6.1, as far as our elements go."""
    match value:
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()
        case bytes():
            return pybase64.b64encode(value).decode()
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(name): _json(item) for name, item in value.items()}
        case _:
            return value


def _aki(der: bytes) -> str | None:
    """OpenID4VP 1.0 section 6.1.1.1: the key identifier inside the certificate's AuthorityKeyIdentifier."""
    try:
        found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (*UNREADABLE, x509.ExtensionNotFound):
        return None
    identifier = found.value.key_identifier
    return None if identifier is None else b64u(identifier)
