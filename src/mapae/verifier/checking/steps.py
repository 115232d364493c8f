"""Steps 1 to 5 of docs/checking.md for one presentation, SD-JWT VC or mdoc. `check.py` has the public names.

Promises: `examine` does steps 1 to 4 in their order, `stands` step 5; a refusal names its step. Pure: time, trust and
status lists are arguments. Trusts: the anchors and status lists in `Trusted`, nothing that came with the presentation.
Keeps: nothing. Refuses: anything that is not the one spelling `formats` reads; what `Policy` could let pass, unless the
caller says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec import Struct

from mapae.errors import Code, Refused, step
from mapae.formats import dcql, mdoc, qr, sd_jwt
from mapae.formats.cose import ES256_ONLY, Algorithms
from mapae.formats.jose import b64u, unb64u
from mapae.formats.mdoc import Agreeing
from mapae.formats.status import INVALID, RENEW, SUSPENDED, VALID, StatusList, StatusRef
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain
from mapae.trust.signers import Purpose, Signer, Signers, must_be_signed_before_its_end

# In seconds, all three. A phone's clock may be this far from ours: for the holder's proof, and for a copy's start.
TOLERANCE: Final = 60
# A holder's proof is for a question that is on the screen now.
PROOF_LIFE: Final = 300
# Copies round their dates to whole days so that a batch cannot be linked; a signing time may thus stand up to one day
# before the certificate that signed. The end is never rounded up, so there is no tolerance there.
ROUNDING: Final = 86_400

LIMIT: Final = 131_072  # characters of one presentation; a resident card with its portrait takes about 20,000
# Next to each other only the phone's own message bounds it: licences of elsewhere come with large portraits.
LIMIT_NEAR: Final = -(-mdoc.MAX_MDOC * 4 // 3)

_LIST_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_LICENCE_SPACE: Final = "org.iso.18013.5.1"
_YEAR_10000: Final = 253_402_300_800  # where Python's calendar ends


class Format(StrEnum):
    """The value is also the id of the credential query in a shop's own questions."""

    SD_JWT = "sd_jwt"
    MDOC = "mdoc"


FORMATS: Final = {dcql.SD_JWT: Format.SD_JWT, dcql.MDOC: Format.MDOC}  # by the name OpenID4VP 1.0 Appendix B has


@dataclass(frozen=True, slots=True)
class Policy:
    """What the caller lets pass that the profile of this country would not. As it stands: nothing."""

    without_status: bool = False  # a credential that names no status list
    without_end: bool = False  # an SD-JWT VC without `exp`
    open_claims: bool = False  # claims the issuer did not make disclosable come along unasked


STRICT: Final = Policy()


@dataclass(frozen=True, slots=True)
class Young:
    """Where what is known of an issuer is old (`offline.py`): only copies count that live no longer than `longest`
    seconds and were signed before `signed_before`, by whoever was trusted then. Their own end then bounds what we may
    have missed."""

    signed_before: float
    longest: float

    def must_be(self, starts: float | None, ends: float | None, signed: float | None) -> None:
        since = signed if signed is not None else starts
        # Copies round their dates down to whole days: one dated today may have been signed a day later than it says.
        if since is None or since + ROUNDING > self.signed_before:
            raise Refused(Code.STALE_PACK, "issued after what this checker knows of its issuer")
        if ends is None or ends - since > self.longest + ROUNDING:
            raise Refused(Code.STALE_PACK, "lives too long to be accepted on what this checker knows")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose signatures count, for which types. None: for any type, and status lists wherever its credentials say.

    `profile` is what its signers' certificates must be for; None for an authority with profiles of its own. `policy` is
    what is let pass of this issuer; None: what is let pass of all. `signers`: the certificates it has entered in the
    trust log, and no other counts; None for an issuer that enters none. `young`: what its copies have to be where our
    knowledge of it is old.
    """

    id: str
    anchors: Anchors
    vcts: frozenset[str] | None
    doctypes: frozenset[str] | None
    status_prefix: str | None
    profile: Profile | None = Profile.DOCUMENT_SIGNER
    status_profile: Profile | None = Profile.STATUS_SIGNER
    policy: Policy | None = None
    signers: Signers | None = None
    young: Young | None = None

    @property
    def algorithms(self) -> Algorithms:
        """What it and its holders may sign with: ES256 alone, unless its anchors say `NIST` or `ISO`."""
        return self.anchors.algorithms

    def may_issue(self, format: Format, kinds: Iterable[str]) -> bool:
        """Whether one of `kinds` is among its types; of no kinds in particular, any of its types will do."""
        types = self.vcts if format is Format.SD_JWT else self.doctypes
        return types is None or not types.isdisjoint(kinds)


@dataclass(frozen=True, slots=True)
class Listed:
    """A checked status list and until when it may be relied on."""

    list: StatusList
    good_until: datetime


@dataclass(frozen=True, slots=True)
class Trusted:
    issuers: tuple[Issuer, ...]
    lists: Mapping[str, Listed] = field(default_factory=dict)

    @property
    def algorithms(self) -> Algorithms:
        """The most that one of the issuers may use."""
        most = ES256_ONLY
        for issuer in self.issuers:
            if len(issuer.anchors.algorithms.jws) > len(most.jws):
                most = issuer.anchors.algorithms
        return most


class ByRedirect(Struct, frozen=True):
    """What ties an answer to a question put by link or QR code: OpenID4VP 1.0 14.1.2 and B.2.6.1."""

    client_id: str  # with its prefix
    nonce: str
    response_uri: str
    key_thumbprint: bytes | None  # RFC 7638, of the key the answer is encrypted to

    @property
    def audience(self) -> str:
        return self.client_id

    @property
    def transcript(self) -> bytes:
        return mdoc.openid4vp_transcript(
            client_id=self.client_id, nonce=self.nonce, response_uri=self.response_uri, thumbprint=self.key_thumbprint
        )


@dataclass(frozen=True, slots=True)
class ByBrowser:
    """The same for a question put through the Digital Credentials API: OpenID4VP 1.0 A.4 and B.2.6.2."""

    origin: str
    nonce: str
    key_thumbprint: bytes | None

    @property
    def audience(self) -> str:
        return f"origin:{self.origin}"

    @property
    def transcript(self) -> bytes:
        return mdoc.openid4vp_dc_api_transcript(origin=self.origin, nonce=self.nonce, thumbprint=self.key_thumbprint)


class ByCode(Struct, frozen=True):
    """The same for a code on a phone's screen (`formats/qr.py`): `made` and `said` are what the code says of itself,
    `nonce_raw` what was asked, or `said` where nobody asked. Nothing else came between the phone and us, so it counts
    for `qr.LIFE` seconds only."""

    audience: str
    nonce_raw: bytes
    said: bytes
    made: int

    @property
    def nonce(self) -> str:
        return b64u(self.nonce_raw)

    @property
    def transcript(self) -> bytes:
        return qr.transcript(self.audience, self.nonce_raw, self.made)

    def must_be_now(self, now: datetime) -> None:
        age = now.timestamp() - self.made
        if age < -qr.SKEW:
            raise Refused(Code.CLOCK_OFF, "the code is from the future: one of the two clocks is wrong")
        if age > qr.LIFE + qr.SKEW:
            raise Refused(Code.PRESENTATION_STALE, "the code was made too long ago")
        if self.said != self.nonce_raw:
            raise Refused(Code.WRONG_NONCE, "the holder answered another question")


@dataclass(frozen=True, slots=True)
class ByProximity:
    """The same next to each other (ISO/IEC 18013-5 9.1.5.1): `transcript` is the session's. `reader`: our ephemeral
    key, with which a device may have proved itself by a MAC (9.1.3.5)."""

    transcript: bytes
    reader: Agreeing | None = None

    @property
    def audience(self) -> str:
        raise Refused(Code.UNSUPPORTED, "only an mdoc is shown to a reader")

    @property
    def nonce(self) -> str:
        raise Refused(Code.UNSUPPORTED, "only an mdoc is shown to a reader")


Tie = ByRedirect | ByBrowser | ByCode | ByProximity


class Expected(Struct, frozen=True):
    """What one presentation has to be, as far as steps 1 to 4 look.

    `transactions`: the sets of transaction data its key binding may authorize, one of them and exactly that.
    """

    format: Format
    kinds: frozenset[str]
    tie: Tie
    must_be_bound: bool = True
    transactions: tuple[tuple[str, ...], ...] = ((),)


class Examined(Struct, frozen=True):
    """Steps 1 to 4 are done. What is left needs the status list at `status.uri`, which only now is worth fetching.

    `claims` as the credential has them (an mdoc's by namespace); `disclosed` where those stand that the holder chose to
    show, told only to a caller who lets open claims pass.
    """

    format: Format
    issuer: Issuer
    type: str
    claims: Mapping[str, Any]
    x5c: tuple[bytes, ...]
    status: StatusRef | None
    bound: bool = True
    authorized: tuple[str, ...] = ()  # transaction data
    disclosed: tuple[tuple[str | int, ...], ...] | None = None


def examine(presentation: str, expected: Expected, trusted: Trusted, policy: Policy, now: datetime) -> Examined:
    """Steps 1 to 4: all that can be known without a status list."""
    with step("issuer"):
        if len(presentation) > (LIMIT if not isinstance(expected.tie, ByProximity) else LIMIT_NEAR):
            raise Refused(Code.TOO_LARGE, "the presentation is too large")
    match expected.format:
        case Format.SD_JWT:
            return _examine_sd_jwt(presentation, expected, trusted, policy, now)
        case Format.MDOC:
            return _examine_mdoc(presentation, expected, trusted, policy, now)
        case _:
            assert_never(expected.format)


def stands(examined: Examined, lists: Mapping[str, Listed], now: datetime) -> bool:
    """Step 5. Whether a renewal is asked for; raises unless the copy stands. No status: `examine` let that pass."""
    if examined.status is None:
        return False
    with step("standing"):
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


def must_be_of(reference: StatusRef, issuer: Issuer) -> None:
    """Only lists the issuer has registered: a stolen signer key cannot send us to an address of its choice."""
    if issuer.status_prefix is None:
        return
    uri, prefix = reference.uri, issuer.status_prefix
    if not uri.startswith(prefix) or not _LIST_NAME.fullmatch(uri, len(prefix)):
        raise Refused(Code.STATUS_UNKNOWN, "the status list is not one of this issuer's")


def _examine_sd_jwt(text: str, expected: Expected, trusted: Trusted, policy: Policy, now: datetime) -> Examined:
    with step("issuer"):
        shown = sd_jwt.SdJwt.parse(text, algorithms=trusted.algorithms.jws)
        x5c = shown.x5c
        issuer, signer, entered = issuer_behind(x5c, trusted, Format.SD_JWT, expected.kinds, now)
        if shown.jws.algorithm not in issuer.algorithms.jws:  # a neighbour may use more
            raise Refused(Code.UNSUPPORTED, "the token's algorithm is not one we accept of its issuer")
    with step("seal"):
        claims = shown.open(signer.signer)
        type_ = claims.get("vct")
        if not isinstance(type_, str):
            raise Refused(Code.MALFORMED, "the credential names no type")
    if not issuer.may_issue(Format.SD_JWT, (type_,)):  # another of the types asked for, of an issuer not listed for it
        with step("issuer"):
            issuer, signer, entered = issuer_behind(x5c, trusted, Format.SD_JWT, (type_,), now)
    signer_stood(entered, claims.get("iat"))
    policy = issuer.policy or policy
    bound = expected.must_be_bound or shown.key_binding is not None
    with step("holder"):
        if isinstance(expected.tie, ByCode):
            expected.tie.must_be_now(now)
        authorized = _bound(shown, claims, expected, now, issuer.algorithms) if bound else ()
    with step("dates"):
        starts, ends, signed = _seconds(claims, "nbf"), _seconds(claims, "exp"), _seconds(claims, "iat")
        if ends is None and not policy.without_end:
            raise Refused(Code.MALFORMED, "the credential says nothing about its end")
        must_be_within(starts, ends, now.timestamp())
        must_be_signed_in_time(signed, signer)
        if issuer.young is not None:
            issuer.young.must_be(starts, ends, signed)
    with step("standing"):
        status = StatusRef.parse(claims["status"]) if claims.get("status") is not None else None
        _must_have_status(status, issuer, policy)
    disclosed = tuple(shown.paths()) if policy.open_claims else None
    return Examined(Format.SD_JWT, issuer, type_, claims, x5c, status, bound, authorized, disclosed)


def _bound(
    shown: sd_jwt.SdJwt, claims: Mapping[str, Any], expected: Expected, now: datetime, algorithms: Algorithms
) -> tuple[str, ...]:
    """RFC 9901 section 7.3 with OpenID4VP 1.0 B.3.6; the transactions it authorizes (B.3.3.1)."""
    key = algorithms.jwk(sd_jwt.holder_jwk(claims))
    last = len(expected.transactions) - 1
    moment, life, skew = now, PROOF_LIFE, TOLERANCE
    if isinstance(expected.tie, ByCode):  # signed in the very second the code names
        moment, life, skew = datetime.fromtimestamp(expected.tie.made, UTC), 0, 0
    for at, transactions in enumerate(expected.transactions):
        try:
            shown.check_binding(
                key, nonce=expected.tie.nonce, audience=expected.tie.audience, now=moment,
                max_age=life, skew=skew, transaction_data=transactions, algorithms=algorithms.jws,
            )  # fmt: skip
        except Refused as refused:
            if at == last or refused.code is not Code.BAD_HOLDER_PROOF:
                raise
        else:
            return transactions
    raise AssertionError("unreachable: one set of transactions is always expected")


def _examine_mdoc(text: str, expected: Expected, trusted: Trusted, policy: Policy, now: datetime) -> Examined:
    with step("issuer"):
        # OpenID4VP 1.0 B.2.5 with HAIP 5.3.1: one document a DeviceResponse
        raw, algorithms = unb64u(text), trusted.algorithms
        document = mdoc.DeviceResponse.parse(raw, algorithms=algorithms).one()
        signed = document.issuer_signed
        x5c = signed.x5chain
        candidates = (document.doctype,) if document.doctype in expected.kinds else expected.kinds
        issuer, signer, entered = issuer_behind(x5c, trusted, Format.MDOC, candidates, now)
        if issuer.algorithms is not algorithms:  # a neighbour may use more: read again by what this issuer may
            document = mdoc.DeviceResponse.parse(raw, algorithms=issuer.algorithms).one()
            signed = document.issuer_signed
    policy = issuer.policy or policy
    with step("seal"):
        namespaces = signed.open(signer.signer)
    signer_stood(entered, signed.mso.validity.signed.timestamp())
    _must_be_of_its_signers_country(namespaces, signer)
    with step("holder"):
        if isinstance(expected.tie, ByCode):
            expected.tie.must_be_now(now)
        # The transcript covers client_id or origin, nonce, our encryption key and response_uri.
        reader = expected.tie.reader if isinstance(expected.tie, ByProximity) else None
        if document.check_device(expected.tie.transcript, reader):
            # We ask for what the issuer signed; what the device says about itself is no answer.
            raise Refused(Code.UNSUPPORTED, "elements signed by the device alone are not accepted")
    with step("dates"):
        validity = signed.mso.validity
        must_be_within(validity.valid_from.timestamp(), validity.valid_until.timestamp(), now.timestamp())
        must_be_signed_in_time(validity.signed.timestamp(), signer)
        if issuer.young is not None:
            from_, until, at = validity.valid_from, validity.valid_until, validity.signed
            issuer.young.must_be(from_.timestamp(), until.timestamp(), at.timestamp())
    with step("standing"):
        _must_have_status(signed.mso.status, issuer, policy, unread=signed.mso.unread)
    return Examined(Format.MDOC, issuer, document.doctype, namespaces, x5c, signed.mso.status)


def issuer_behind(
    x5c: tuple[bytes, ...], trusted: Trusted, format: Format, kinds: Iterable[str], now: datetime
) -> tuple[Issuer, Checked, Signer | None]:
    """The one listed issuer this chain leads to, and what the trust log has of the signer. A chain that is wrong in
    itself is said to be so."""
    refusal: Refused | None = None
    for issuer in trusted.issuers:
        if not issuer.may_issue(format, kinds):
            continue
        try:
            checked = check_chain(x5c, issuer.anchors, now, issuer.profile)
            if issuer.signers is None:
                return issuer, checked, None
            return issuer, checked, issuer.signers.entered(checked.leaf, Purpose.DOCUMENT_SIGNER, now)
        except Refused as refused:
            # Prefer "your certificate has expired" of the right issuer to "not my certificate" of its neighbour, or to
            # "not on P-256" of one who knows ES256 alone.
            elsewhere = Code.UNTRUSTED_ISSUER if refused.code is Code.UNTRUSTED_ISSUER else Code.UNSUPPORTED
            if refusal is None or refusal.code in (Code.UNTRUSTED_ISSUER, elsewhere):
                refusal = refused
    raise refusal or Refused(Code.UNTRUSTED_ISSUER, "nobody on the trust list may issue what was asked for")


def signer_stood(entered: Signer | None, signed: Any) -> None:
    """Step 1 again, now that the seal vouches for the date the document names."""
    if entered is not None and entered.since is not None:
        with step("issuer"):
            dated = type(signed) is int or type(signed) is float
            must_be_signed_before_its_end(entered, signed if dated else None)


def must_be_within(starts: float | None, ends: float | None, at: float) -> None:
    if starts is not None and at + TOLERANCE < starts:
        raise Refused(Code.NOT_YET_VALID, "the document is not valid yet")
    if ends is not None and at >= ends:
        raise Refused(Code.EXPIRED, "the document has expired")


def must_be_signed_in_time(signed: float | None, signer: Checked) -> None:
    """ISO/IEC 18013-5 9.3.3: signed within the life of the signer's certificate. Held for both formats."""
    if signed is None:
        return
    if not signer.not_before.timestamp() - ROUNDING <= signed <= signer.not_after.timestamp():
        raise Refused(Code.BAD_CERTIFICATE, "signed outside the life of the signer's certificate")


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # RFC 7519 section 2 allows fractions; bool is an int in Python and no date.
    kind = type(value)
    if (kind is not int and kind is not float) or not 0 <= value < _YEAR_10000:
        raise Refused(Code.MALFORMED, f"{name} is not a date")
    return float(value)


def _must_be_of_its_signers_country(namespaces: Mapping[str, Mapping[str, Any]], signer: Checked) -> None:
    """Step 1 again. ISO/IEC 18013-5 7.2.1, B.1.4: who signs licences of one country signs none of another, whoever else
    is on the list. A state or province is compared where the certificate names one."""
    with step("issuer"):
        said = namespaces.get(_LICENCE_SPACE, {})
        if said.get("issuing_country", signer.country) != signer.country:
            raise Refused(Code.UNTRUSTED_ISSUER, "the licence is of another country than its signer")
        if signer.state and said.get("issuing_jurisdiction", signer.state) not in (
            signer.state, f"{signer.country}-{signer.state}"  # ISO 3166-2
        ):  # fmt: skip
            raise Refused(Code.UNTRUSTED_ISSUER, "the licence is of another jurisdiction than its signer")


def _must_have_status(status: StatusRef | None, issuer: Issuer, policy: Policy, *, unread: bool = False) -> None:
    if unread:  # it may say "revoked": to take it for no status would be to open where the issuer has closed
        raise Refused(Code.STATUS_UNKNOWN, "the document's status is kept in a way we do not read")
    if status is not None:
        must_be_of(status, issuer)
    elif not policy.without_status:
        raise Refused(Code.STATUS_UNKNOWN, "the document names no status list")
