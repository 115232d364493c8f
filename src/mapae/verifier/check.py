"""The numbered steps that decide whether what a wallet showed is true, for SD-JWT VC and for mdoc.

1 `issuer`    the certificate chain leads to an issuer that the trust list lets issue this type
2 `seal`      the issuer's signature holds, and every disclosed item is one the issuer signed
3 `holder`    the key the copy is bound to has just signed our nonce, for us, at our address
4 `dates`     the copy is valid now
5 `standing`  the issuer's status list says neither revoked nor suspended
6 `request`   it is the type and exactly the items that were asked, no more and no less

Promises: the steps run in this order, none can be skipped, and a refusal names its step. docs/checking.md has the same
list with each refusal's code. Pure: time, trust and status lists are arguments, so this is usable without any server.
Trusts: the anchors and status lists in `Trusted`, nothing that came with the presentation. Keeps: nothing.
Refuses: anything that is not the one spelling `formats` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, assert_never

from mapae.errors import Code, Refused, step
from mapae.formats import mdoc, sd_jwt
from mapae.formats.jose import unb64u
from mapae.formats.status import INVALID, RENEW, SUSPENDED, VALID, StatusList, StatusRef
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain

# A phone's clock may be this far from ours: for the holder's proof and for the first second of a copy.
TOLERANCE: Final = timedelta(seconds=60)
# A holder's proof is for a question that is on the screen now.
PROOF_LIFE: Final = timedelta(seconds=300)
# Copies round their dates to whole days so that a batch cannot be linked; a signing time may thus stand up to one day
# before the certificate that signed. The end is never rounded up, so there is no tolerance there.
ROUNDING: Final = timedelta(days=1)

LIMIT: Final = 131_072  # characters of one presentation; a resident card with its portrait takes about 20,000

# RFC 9901 and SD-JWT VC: what a credential says about itself. Not items about the person.
_ABOUT_ITSELF: Final = sd_jwt.SIGNED_OPEN | {"iat"}

_YEAR_10000: Final = 253_402_300_800  # where Python's calendar ends

ItemValue = bool | str | date | bytes


class Format(StrEnum):
    """The value is also the id of the credential query in our DCQL."""

    SD_JWT = "sd_jwt"
    MDOC = "mdoc"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to ask for. `kind` as in the country pack: text, date, image, yes_no, code."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked, of which type, and what ties an answer to this one question."""

    items: tuple[Item, ...]
    vct: str | None
    doctype: str | None
    namespace: str | None
    client_id: str
    nonce: str
    response_uri: str
    key_thumbprint: bytes  # RFC 7638, of the key the answer is encrypted to


@dataclass(frozen=True, slots=True)
class Issuer:
    """An entry of the trust list: whose signatures count, for which types."""

    id: str
    anchors: Anchors
    vcts: frozenset[str]
    doctypes: frozenset[str]
    status_prefix: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A checked status list and until when it may be relied on."""

    list: StatusList
    good_until: datetime


@dataclass(frozen=True, slots=True)
class Trusted:
    issuers: tuple[Issuer, ...]
    lists: Mapping[str, Listed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """One presentation as it came in the VP token, unchecked."""

    format: Format
    presentation: str


@dataclass(frozen=True, slots=True)
class Examined:
    """Steps 1 to 4 are done. What is left needs the status list at `status.uri`, which only now is worth fetching."""

    format: Format
    issuer: Issuer
    type: str
    items: Mapping[str, Any]
    status: StatusRef


@dataclass(frozen=True, slots=True)
class Verified:
    """All six steps passed. `claims` holds exactly the items asked; `renew` asks the holder to refresh the card."""

    claims: Mapping[str, ItemValue]
    format: Format
    issuer: str
    renew: bool


def check(shown: Shown, ask: Ask, trusted: Trusted, now: datetime) -> Verified:
    """All six steps. Raises Refused with `step` and the codes of docs/checking.md."""
    return conclude(examine(shown, ask, trusted, now), ask, trusted.lists, now)


def examine(shown: Shown, ask: Ask, trusted: Trusted, now: datetime) -> Examined:
    """Steps 1 to 4: all that can be known without a status list."""
    with step("issuer"):
        if len(shown.presentation) > LIMIT:
            raise Refused(Code.TOO_LARGE, "the presentation is too large")
    match shown.format:
        case Format.SD_JWT:
            return _examine_sd_jwt(shown.presentation, ask, trusted, now)
        case Format.MDOC:
            return _examine_mdoc(shown.presentation, ask, trusted, now)
        case _:
            assert_never(shown.format)


def conclude(examined: Examined, ask: Ask, lists: Mapping[str, Listed], now: datetime) -> Verified:
    """Steps 5 and 6."""
    with step("standing"):
        renew = _standing(examined, lists, now)
    with step("request"):
        expected = ask.vct if examined.format is Format.SD_JWT else ask.doctype
        if examined.type != expected:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "another type of document was shown")
        claims = _exactly(ask.items, examined.items)
    return Verified(claims, examined.format, examined.issuer.id, renew)


def _examine_sd_jwt(presentation: str, ask: Ask, trusted: Trusted, now: datetime) -> Examined:
    with step("issuer"):
        shown = sd_jwt.SdJwt.parse(presentation)
        issuer, signer = _issuer(shown.x5c, [i for i in trusted.issuers if ask.vct in i.vcts], now)
    with step("seal"):
        claims = shown.open(signer.key)
        type_ = claims.get("vct")
        if not isinstance(type_, str):
            raise Refused(Code.MALFORMED, "the credential names no type")
    with step("holder"):
        # RFC 9901 section 7.3 with OpenID4VP 1.0 B.3.6: aud is the whole client_id, prefix included.
        shown.check_binding(
            sd_jwt.holder_key(claims), nonce=ask.nonce, audience=ask.client_id, now=now,
            max_age=int(PROOF_LIFE.total_seconds()), skew=int(TOLERANCE.total_seconds()),
        )  # fmt: skip
    with step("dates"):
        starts, ends, signed = (_moment(claims, name) for name in ("nbf", "exp", "iat"))
        if ends is None:
            raise Refused(Code.MALFORMED, "the credential says nothing about its end")
        _within(starts, ends, now)
        _signed_in_time(signed, signer)
    with step("standing"):
        status = _reference(claims.get("status"), issuer)
    items = {name: value for name, value in claims.items() if name not in _ABOUT_ITSELF}
    return Examined(Format.SD_JWT, issuer, type_, items, status)


def _examine_mdoc(presentation: str, ask: Ask, trusted: Trusted, now: datetime) -> Examined:
    with step("issuer"):
        response = mdoc.DeviceResponse.parse(unb64u(presentation))
        if len(response.documents) != 1:  # OpenID4VP 1.0 B.2.5 with HAIP 5.3.1: one document a DeviceResponse
            raise Refused(Code.MALFORMED, "one document was asked for")
        document = response.documents[0]
        signed = document.issuer_signed
        issuer, signer = _issuer(signed.x5chain, [i for i in trusted.issuers if ask.doctype in i.doctypes], now)
    with step("seal"):
        namespaces = signed.open(signer.key)
    with step("holder"):
        # OpenID4VP 1.0 B.2.6.1: the transcript covers client_id, nonce, our encryption key and response_uri.
        document.check_device(
            mdoc.openid4vp_transcript(
                client_id=ask.client_id, nonce=ask.nonce, response_uri=ask.response_uri, thumbprint=ask.key_thumbprint
            )
        )
    with step("dates"):
        validity = signed.mso.validity
        _within(validity.valid_from, validity.valid_until, now)
        _signed_in_time(validity.signed, signer)
    with step("standing"):
        status = signed.mso.status
        if status is None:
            raise Refused(Code.STATUS_UNKNOWN, "the document names no status list")
        must_be_of(status, issuer)
    # Elements of namespaces that were not asked keep their namespace in front: step 6 counts them as surplus.
    items = {
        element if name == ask.namespace else f"{name} {element}": value
        for name, elements in namespaces.items()
        for element, value in elements.items()
    }
    return Examined(Format.MDOC, issuer, document.doctype, items, status)


# --- the steps --------------------------------------------------------------------------------------------------------


def _issuer(x5c: tuple[bytes, ...], candidates: list[Issuer], now: datetime) -> tuple[Issuer, Checked]:
    """The one listed issuer this chain leads to. A chain that is wrong in itself is said to be so."""
    refusal = Refused(Code.UNTRUSTED_ISSUER, "nobody on the trust list may issue what was asked for")
    for issuer in candidates:
        try:
            return issuer, check_chain(x5c, issuer.anchors, now, Profile.DOCUMENT_SIGNER)
        except Refused as refused:
            # Prefer "your certificate has expired" of the right issuer to "not my certificate" of its neighbour.
            if refusal.code is Code.UNTRUSTED_ISSUER:
                refusal = refused
    raise refusal


def _within(starts: datetime | None, ends: datetime, now: datetime) -> None:
    if starts is not None and now + TOLERANCE < starts:
        raise Refused(Code.NOT_YET_VALID, "the document is not valid yet")
    if now >= ends:
        raise Refused(Code.EXPIRED, "the document has expired")


def _signed_in_time(signed: datetime | None, signer: Checked) -> None:
    """ISO/IEC 18013-5 9.3.3: signed within the life of the signer's certificate. Held for both formats."""
    if signed is not None and not signer.not_before - ROUNDING <= signed <= signer.not_after:
        raise Refused(Code.BAD_CERTIFICATE, "signed outside the life of the signer's certificate")


def _moment(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    # RFC 7519 section 2 allows fractions; bool is an int in Python and no date.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000:
        raise Refused(Code.MALFORMED, f"{name} is not a date")
    return datetime.fromtimestamp(value, UTC)


def _reference(status: Any, issuer: Issuer) -> StatusRef:
    if status is None:
        raise Refused(Code.STATUS_UNKNOWN, "the credential names no status list")
    reference = StatusRef.parse(status)
    must_be_of(reference, issuer)
    return reference


def must_be_of(reference: StatusRef, issuer: Issuer) -> None:
    """Only lists the issuer has registered: a stolen signer key cannot send us to an address of its choice."""
    rest = reference.uri.removeprefix(issuer.status_prefix)
    if rest == reference.uri or not rest or not all(c.isascii() and (c.isalnum() or c in "-_") for c in rest):
        raise Refused(Code.STATUS_UNKNOWN, "the status list is not one of this issuer's")


def _standing(examined: Examined, lists: Mapping[str, Listed], now: datetime) -> bool:
    """Whether a renewal is asked for; raises unless the copy stands."""
    listed = lists.get(examined.status.uri)
    if listed is None or now > listed.good_until:
        raise Refused(Code.STATUS_UNKNOWN, "no status list fresh enough")
    value = listed.list.read(examined.status.index)
    if value == INVALID:
        raise Refused(Code.REVOKED, "the document has been revoked")
    if value == SUSPENDED:
        raise Refused(Code.SUSPENDED, "the document is locked")
    if value not in (VALID, RENEW):
        raise Refused(Code.STATUS_UNKNOWN, "the status list says something we do not know")
    return bool(value == RENEW)


def _exactly(wanted: tuple[Item, ...], shown: Mapping[str, Any]) -> dict[str, ItemValue]:
    names = {item.name for item in wanted}
    if missing := names - shown.keys():
        raise Refused(Code.NOT_WHAT_WAS_ASKED, f"not shown: {', '.join(sorted(missing))}")
    if shown.keys() - names:  # names of what was not asked stay out of the detail
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "items were shown that were not asked for")
    return {item.name: _typed(item, shown[item.name]) for item in wanted}


def _typed(item: Item, value: Any) -> ItemValue:
    """`"false"` is no answer to a yes-or-no question, and a date has one spelling."""
    match item.kind, value:
        case "yes_no", bool():
            return value
        case "date", datetime():
            pass
        case "date", date():
            return value
        case "date", str():
            return _full_date(item, value)
        case (("text" | "code"), str()):
            return value
        case "image", bytes() | str():
            return value
    raise Refused(Code.NOT_WHAT_WAS_ASKED, f"{item.name} is of another kind than asked")


def _full_date(item: Item, value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, f"{item.name} is not a date")
    return day
