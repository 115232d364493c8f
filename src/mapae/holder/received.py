"""Looking at a credential before keeping it. Pure.

Promises: a `Copy` made here is signed by an issuer the trust list lets issue this type, bound to a key of this wallet,
in date, with a status of its own. Trusts: the trust list. Keeps: nothing. Refuses: anything else, naming the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pybase64
from cryptography import x509

from mapae.errors import Code, Refused, step
from mapae.formats.jose import PublicKey, b64u, check_times, unb64u
from mapae.formats.mdoc import IssuerSigned
from mapae.formats.sd_jwt import SdJwt, holder_key
from mapae.formats.status import StatusRef
from mapae.formats.x509 import Profile, check_chain

from .choose import Candidate
from .offer import MDOC, SD_JWT
from .store import Card, Copy
from .trusted import TrustedIssuer


def examine(raw: str, format_: str, kind: str, issuer: TrustedIssuer, now: datetime) -> tuple[PublicKey, Copy]:
    """1 issuer  2 seal  3 type  4 dates  5 status. The key it is bound to, and the copy (without the key's name)."""
    with step("issuer"):
        if not issuer.may_issue(kind):
            raise Refused(Code.UNTRUSTED_ISSUER, "this issuer may not issue this document")
    if format_ == SD_JWT:
        return _sd_jwt(raw, kind, issuer, now)
    return _mdoc(raw, kind, issuer, now)


def batch(
    raws: Sequence[str], format_: str, kind: str, keys: Mapping[str, str], issuer: TrustedIssuer, now: datetime
) -> list[Copy]:
    """A whole answer of the credential endpoint. `keys`: names by thumbprint. Each copy has its own key and status."""
    if not 1 <= len(raws) <= len(keys):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "more or fewer copies than keys")
    copies = []
    left = dict(keys)
    for raw in raws:
        key, copy = examine(raw, format_, kind, issuer, now)
        with step("holder"):
            name = left.pop(key.thumbprint, None)
            if name is None:
                raise Refused(Code.BAD_HOLDER_PROOF, "a copy is bound to a key that is not ours, or to one twice")
        copy.key = name
        copies.append(copy)
    places = {(copy.status_uri, copy.status_index) for copy in copies}
    if len(places) != len(copies):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "two copies share a status, so a verifier could tell they are the same")
    return copies


def _sd_jwt(raw: str, kind: str, issuer: TrustedIssuer, now: datetime) -> tuple[PublicKey, Copy]:
    credential = SdJwt.parse(raw)
    with step("issuer"):
        signer = check_chain(credential.x5c, issuer.anchors, now, Profile.DOCUMENT_SIGNER)
    with step("seal"):
        claims = credential.open(signer.key)
    with step("type"):
        if claims.get("vct") != kind:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the credential is of another type")
    with step("dates"):
        check_times(claims, now, need=("exp",))
    with step("status"):
        status = _status(StatusRef.parse(claims.get("status")), issuer)
    return holder_key(claims), Copy("", "", raw, int(claims["exp"]), status.uri, status.index)


def _mdoc(raw: str, kind: str, issuer: TrustedIssuer, now: datetime) -> tuple[PublicKey, Copy]:
    credential = IssuerSigned.parse(unb64u(raw))
    with step("issuer"):
        signer = check_chain(credential.x5chain, issuer.anchors, now, Profile.DOCUMENT_SIGNER)
    with step("seal"):
        credential.open(signer.key)
    mso = credential.mso
    with step("type"):
        if mso.doctype != kind:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the credential is of another type")
    with step("dates"):
        if now > mso.validity.valid_until:
            raise Refused(Code.EXPIRED, "the credential has expired")
    with step("status"):
        if mso.status is None:
            raise Refused(Code.STATUS_UNKNOWN, "the credential has no status")
        status = _status(mso.status, issuer)
    return mso.device_key, Copy("", "", raw, int(mso.validity.valid_until.timestamp()), status.uri, status.index)


def _status(status: StatusRef, issuer: TrustedIssuer) -> StatusRef:
    if not status.uri.startswith(issuer.status_prefix):
        raise Refused(Code.STATUS_UNKNOWN, "the status list is somewhere the trust list does not name")
    return status


# --- the holder's own look at what she has ----------------------------------------------------------------------------


def claims_of(card: Card) -> dict[str, Any]:
    """Everything on the card, as JSON values: names to values, an mdoc's namespaces merged away."""
    tree = _tree(card)
    if card.format != MDOC:
        return tree
    return {name: value for elements in tree.values() for name, value in elements.items()}


def candidate(card: Card) -> Candidate:
    """The card as a query sees it."""
    if card.format == MDOC:
        chain = IssuerSigned.parse(unb64u(card.copies[0].raw)).x5chain
    else:
        chain = SdJwt.parse(card.copies[0].raw).x5c
    return Candidate(card.id, card.format, card.kind, _tree(card), frozenset(filter(None, map(_aki, chain))))


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
    except (ValueError, x509.ExtensionNotFound):
        return None
    identifier = found.value.key_identifier
    return None if identifier is None else b64u(identifier)
