"""What an issuer offers: the QR text and the offer in it. Pure, OpenID4VCI 1.0 section 4.1.

Promises: an `Offer` names its issuer, what is offered and how it may be had. Trusts: nothing; every member is checked
for its type. Keeps: nothing. Refuses: an offer with both forms or neither, without a configuration, with a grant it
cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json

from .wire import must_be_safe

GRANT: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
CODE: Final = "authorization_code"
SCHEMES: Final = frozenset({"openid-credential-offer", "haip-vci", "https", "http"})
MAX_TEXT: Final = 16384


@dataclass(frozen=True, slots=True)
class TxCode:
    """What the person must type in besides (section 4.1.1)."""

    numeric: bool
    length: int | None
    description: str


@dataclass(frozen=True, slots=True)
class PreAuthorized:
    code: str
    tx_code: TxCode | None
    server: str | None  # the authorization server the offer names


@dataclass(frozen=True, slots=True)
class ByCode:
    """The authorization code flow: the person signs in with the issuer."""

    issuer_state: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    issuer: str
    configurations: tuple[str, ...]
    pre_authorized: PreAuthorized | None
    by_code: ByCode | None


def read_link(text: str) -> tuple[str, str]:
    """("value", json) or ("reference", url) of an offer's QR text or link. Exactly one of the two forms."""
    if len(text) > MAX_TEXT:
        raise Refused(Code.TOO_LARGE, "the offer is too long")
    try:
        parts = urlsplit(text.strip())
        fields = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        raise Refused(Code.MALFORMED, "this is not a credential offer") from None
    if parts.scheme not in SCHEMES:
        raise Refused(Code.UNSUPPORTED, "this is not a credential offer")
    found = [(name, values) for name, values in fields.items() if name in ("credential_offer", "credential_offer_uri")]
    if len(found) != 1 or len(found[0][1]) != 1:
        raise Refused(Code.MALFORMED, "an offer holds exactly one of credential_offer and credential_offer_uri")
    name, values = found[0]
    if name == "credential_offer":
        return "value", values[0]
    return "reference", must_be_safe(values[0])


def read_offer(raw: bytes | str) -> Offer:
    offer = decode_json(raw)
    ids = offer.get("credential_configuration_ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 16 or not all(isinstance(id, str) and id for id in ids):
        raise Refused(Code.MALFORMED, "the offer names no credential configuration")
    if len(set(ids)) != len(ids):
        raise Refused(Code.MALFORMED, "the offer names a configuration twice")
    issuer = must_be_safe(_text(offer, "credential_issuer"))
    grants = _object(offer.get("grants", {}), "grants")
    if not grants:  # then the authorization server's metadata says what is possible; a pre-authorized code there is not
        return Offer(issuer, tuple(ids), None, ByCode())
    pre = _pre_authorized(_object(grants[GRANT], "the grant")) if GRANT in grants else None
    code = _by_code(_object(grants[CODE], "the grant")) if CODE in grants else None
    if pre is None and code is None:
        raise Refused(Code.UNSUPPORTED, "the offer has no grant this wallet knows")
    return Offer(issuer, tuple(ids), pre, code)


def _pre_authorized(grant: Mapping[str, Any]) -> PreAuthorized:
    tx_code = grant.get("tx_code")
    needs = None if tx_code is None else _tx_code(_object(tx_code, "tx_code"))
    return PreAuthorized(_text(grant, "pre-authorized_code"), needs, _optional(grant, "authorization_server"))


def _by_code(grant: Mapping[str, Any]) -> ByCode:
    return ByCode(_optional(grant, "issuer_state"), _optional(grant, "authorization_server"))


def _tx_code(raw: Mapping[str, Any]) -> TxCode:
    mode, length, description = raw.get("input_mode", "numeric"), raw.get("length"), raw.get("description", "")
    if mode not in ("numeric", "text"):
        raise Refused(Code.MALFORMED, "input_mode is numeric or text")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or length < 1):
        raise Refused(Code.MALFORMED, "the length of a transaction code is a whole number")
    if not isinstance(description, str) or len(description) > 300:
        raise Refused(Code.MALFORMED, "the description of a transaction code has at most 300 characters")
    return TxCode(mode == "numeric", length, description)


def _optional(raw: Mapping[str, Any], name: str) -> str | None:
    return None if raw.get(name) is None else _text(raw, name)


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(Code.MALFORMED, f"{what} is not an object")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"{name} is missing or no text")
    return value
