"""Certificates the trust log names, and when a signature made with one still counts. Pure.

Promises: one rule for issuers' signers, status lists, wallet attesters and relying parties, in every role and (held to
the same vectors) in the wallet. Trusts: the trust list or replica the certificates were read from. Keeps: nothing.
Refuses: a certificate that was never entered, one entered for another purpose, one out of its time, one revoked.

The rule. What is *signed anew whenever somebody asks* (status lists, attestations, requests) does not outlive its
signer: once revoked, for whatever reason, it is refused. A *credential* lives for weeks, so there the reason decides:

- `compromised`: every credential of that certificate is refused, whatever date it names. The date was written by the
  key that may have been stolen, so it cannot show that the credential is older than the theft; nothing else we hold
  does (a credential is not timestamped by anybody but its issuer).
- any other reason: the key was its owner's throughout, so its dates are believed: credentials that say they were signed
  before `since` stand until their own end, those at or after it, and those that do not say when, are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import unb64u

TOLERANCE: Final = 60  # seconds the log's clock and ours may differ, for the first moments of a certificate


class Purpose(StrEnum):
    """What a certificate was entered for. The order is that of the log's numbers, from 1."""

    ANCHOR = "anchor"
    DOCUMENT_SIGNER = "document_signer"
    STATUS_SIGNER = "status_signer"
    ATTESTER = "attester"
    LIST_SIGNER = "list_signer"


class Reason(StrEnum):
    """Why something was revoked. The order is that of the log's numbers, from 1."""

    SUPERSEDED = "superseded"
    CEASED = "ceased"
    COMPROMISED = "compromised"
    WITHDRAWN = "withdrawn"


class Signer(msgspec.Struct, frozen=True, kw_only=True, rename={
    "x5t": "x5t#S256", "starts": "from", "ends": "until",
}):  # fmt: skip
    """One certificate of one party (`issuer:…`, `wallet_provider:…`, `access_ca:…`), by base64url SHA-256 of its DER.
    Times are seconds; `since` is when it stopped counting, `revoked_at` when the log was told."""

    issuer: str
    x5t: str
    purpose: Purpose
    starts: int
    ends: int
    revoked_at: int | None = None
    since: int | None = None
    reason: Reason | None = None


class RevokedReader(msgspec.Struct, frozen=True, kw_only=True):
    """A relying party's registration that was taken back: SHA-256 of its document, and of its access certificate where
    that is known (a replica of the registry log alone does not hold it)."""

    reader: str
    x509_hash: str | None
    since: int
    reason: Reason


class Signers:
    """What one party has entered: certificate by certificate."""

    __slots__ = ("_by_digest",)

    def __init__(self, entered: Iterable[Signer]) -> None:
        self._by_digest: Mapping[bytes, Signer] = {unb64u(one.x5t): one for one in entered}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signers) and self._by_digest == other._by_digest

    def __hash__(self) -> int:
        return hash(frozenset(self._by_digest))

    def entered(self, leaf: bytes, purpose: Purpose, now: datetime) -> Signer:
        """1 entered, for this purpose  2 in its time  3 not compromised. `leaf` is DER."""
        found = self._by_digest.get(sha256(leaf).digest())
        if found is None or found.purpose is not purpose:
            raise Refused(Code.SIGNER_REVOKED, "the signer's certificate was never entered in the trust log")
        at = now.timestamp()
        if at + TOLERANCE < found.starts:
            raise Refused(Code.NOT_YET_VALID, "the trust log lets the signer's certificate begin later")
        if at >= found.ends:
            raise Refused(Code.EXPIRED, "the trust log let the signer's certificate end")
        if found.reason is Reason.COMPROMISED:
            raise Refused(Code.SIGNER_REVOKED, "the signer's key was reported stolen")
        return found

    def standing(self, leaf: bytes, purpose: Purpose, now: datetime) -> Signer:
        """The same for what is signed anew whenever it is asked for: any revocation ends it."""
        found = self.entered(leaf, purpose, now)
        if found.revoked_at is not None:
            raise Refused(Code.SIGNER_REVOKED, "the signer's certificate was revoked")
        return found


def must_be_signed_before_its_end(signer: Signer, signed: float | None) -> None:
    """A credential of a certificate revoked for another reason than theft: by the date it names."""
    if signer.since is None:
        return
    if signed is None:
        raise Refused(Code.SIGNER_REVOKED, "the signer's certificate was revoked, and the document has no signing time")
    if signed >= signer.since:
        raise Refused(Code.SIGNER_REVOKED, "signed after the signer's certificate was revoked")


def must_be_sound(signers: Iterable[Signer], readers: Iterable[RevokedReader]) -> None:
    """What a signed list must not say, whoever signed it. MALFORMED."""
    seen: set[str] = set()
    for one in signers:
        revoked = {one.revoked_at is None, one.since is None, one.reason is None}
        if len(unb64u(one.x5t)) != 32 or one.x5t in seen or len(revoked) != 1 or one.ends <= one.starts:
            raise Refused(Code.MALFORMED, "a signer of the trust list is not one")
        seen.add(one.x5t)
    for reader in readers:
        hashes = (reader.reader,) if reader.x509_hash is None else (reader.reader, reader.x509_hash)
        if any(len(unb64u(hash)) != 32 for hash in hashes):
            raise Refused(Code.MALFORMED, "a revoked reader of the trust list is not one")
