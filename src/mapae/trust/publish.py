"""The signed trust list: what the registry says today, in one JWT that anybody can check and keep.

Promises: `TrustList.parse` gives a list only when the pinned key signed it and it is in date; `sign` writes exactly
what `parse` reads. Trusts: the pinned public key. Keeps: nothing. Refuses: another type, another key, a list that is
over, an authority or a certificate hash that is none, the same relying party or certificate twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mapae.catalog import Words
from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, check_times, sign_jws, unb64u
from mapae.formats.x509 import Anchors

TYPE: Final = "mapae-trust-list+jwt"
LIMIT: Final = 4 * 1024 * 1024
_ID = re.compile(r"[a-z0-9][a-z0-9_.:/-]{0,127}")


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose seals count, for which types of credential, and where its status lists are."""

    id: str
    name: Words
    ca: tuple[bytes, ...]  # DER anchors; standard base64 on the wire
    vcts: tuple[str, ...]
    doctypes: tuple[str, ...]
    status_prefix: str


class WalletProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Who vouches for wallets."""

    id: str
    name: Words
    ca: tuple[bytes, ...]


class AccessAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """Who certifies the keys with which relying parties sign their requests."""

    id: str
    name: Words
    ca: tuple[bytes, ...]


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """What a relying party may ask for, why, on which legal basis, and how long it may keep the answer."""

    id: str
    name: Words
    why: Words
    legal_basis: Words
    items: tuple[str, ...]
    retention: Words


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask, with which certificate (base64url SHA-256 of its DER, as in `x509_hash:`), for which purposes."""

    id: str
    name: Words
    x509_hash: str
    purposes: tuple[Purpose, ...]


Entry = Issuer | WalletProvider | AccessAuthority | RelyingParty


def must_be_sound(entry: Entry) -> None:
    """What no entry may be, whoever approved it. MALFORMED, or BAD_CERTIFICATE for an authority that is none."""
    _require(_ID.fullmatch(entry.id) is not None, "an id is small letters, digits and . : / _ -")
    match entry:
        case RelyingParty():
            _require(len(unb64u(entry.x509_hash)) == 32, "the certificate hash is not a SHA-256")
            _require(len({p.id for p in entry.purposes}) == len(entry.purposes) > 0, "purposes must differ")
            for purpose in entry.purposes:
                _require(len(set(purpose.items)) == len(purpose.items) > 0, "a purpose asks for each item once")
        case Issuer():
            _must_be_anchors(entry.ca)
            _require(bool(entry.vcts or entry.doctypes), "an issuer issues something")
            _require(
                entry.status_prefix.startswith(("https://", "http://")) and entry.status_prefix.endswith("/"),
                "the status prefix is a URL that ends in a slash",
            )
        case WalletProvider() | AccessAuthority():
            _must_be_anchors(entry.ca)


class TrustList(msgspec.Struct, frozen=True, kw_only=True):
    """A checked list. `seq` counts approved changes: a list with a lower one is older, whatever its date says."""

    iat: int
    exp: int
    issuers: tuple[Issuer, ...]
    wallet_providers: tuple[WalletProvider, ...]
    access_ca: tuple[bytes, ...]
    relying_parties: tuple[RelyingParty, ...]
    seq: int = 0

    @classmethod
    def of(cls, entries: Sequence[Entry], *, seq: int, now: datetime, life: timedelta) -> TrustList:
        def each(kind: type[Any]) -> tuple[Any, ...]:
            return tuple(sorted((e for e in entries if isinstance(e, kind)), key=lambda e: e.id))

        issued = int(now.timestamp())
        return cls(
            iat=issued,
            exp=issued + int(life.total_seconds()),
            issuers=each(Issuer),
            wallet_providers=each(WalletProvider),
            access_ca=tuple(dict.fromkeys(der for authority in each(AccessAuthority) for der in authority.ca)),
            relying_parties=each(RelyingParty),
            seq=seq,
        )

    @classmethod
    def parse(cls, token: str | bytes, key: PublicKey | Mapping[str, str], now: datetime) -> TrustList:
        """1 its type  2 the pinned key  3 in date  4 sound entries."""
        jws = Jws.parse(token, typ=TYPE, limit=LIMIT)
        jws.verify(key if isinstance(key, PublicKey) else PublicKey.from_jwk(key))
        check_times(jws.claims(), now, need=("iat", "exp"))
        read = jws.typed(cls)
        entries: tuple[Entry, ...] = (*read.issuers, *read.wallet_providers, *read.relying_parties)
        for entry in entries:
            must_be_sound(entry)
        Anchors(read.access_ca)  # none at all is a country that nobody may ask yet
        _require(len({p.id for p in read.relying_parties}) == len(read.relying_parties), "a relying party twice")
        _require(len({p.x509_hash for p in read.relying_parties}) == len(read.relying_parties), "a certificate twice")
        return read

    def sign(self, signer: Signing) -> str:
        return sign_jws(signer, {"typ": TYPE, "kid": signer.kid}, msgspec.json.encode(self))

    def relying_party(self, id: str) -> RelyingParty:
        for party in self.relying_parties:
            if party.id == id:
                return party
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this relying party")

    def asker(self, x509_hash: str) -> RelyingParty:
        """The relying party with this access certificate."""
        for party in self.relying_parties:
            if party.x509_hash == x509_hash:
                return party
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this certificate")


def _must_be_anchors(ders: Sequence[bytes]) -> None:
    if not ders:
        raise Refused(Code.BAD_CERTIFICATE, "an authority without a certificate")
    Anchors(ders)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise)
