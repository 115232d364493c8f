"""The signed trust list: what the registry says today, in one JWT that anybody can check and keep.

Promises: `TrustList.parse` gives a list only when the pinned key signed it and it is in date; `sign` writes exactly
what `parse` reads. Trusts: the pinned public key. Keeps: nothing. Refuses: another type, another key, a list that is
over, an authority or a certificate hash that is none, the same relying party, certificate or signer twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

import msgspec

from mapae.catalog import Words
from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, check_times, sign_jws, unb64u
from mapae.formats.x509 import Anchors
from mapae.trust import signers as logged
from mapae.trust.signers import RevokedReader, Signer, Signers

TYPE: Final = "mapae-trust-list+jwt"
LIMIT: Final = 4 * 1024 * 1024
_ID = re.compile(r"[a-z0-9][a-z0-9_.:/-]{0,127}")
_ACCOUNT = re.compile(r"|[0-9a-f]{40}")


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose seals count, for which types of credential, and where its status lists are.

    `logged`: only signers it has entered in the trust log count. `voice` (RFC 7638 thumbprint of the key that signs its
    statements to the log; empty: the key of its first certificate) and `account` (20 bytes in hexadecimal, where the
    log is on a chain; empty: the voice's last 20 bytes) are the same for each kind of party.
    """

    id: str
    name: Words
    ca: tuple[bytes, ...]  # DER anchors; standard base64 on the wire
    vcts: tuple[str, ...]
    doctypes: tuple[str, ...]
    status_prefix: str
    logged: bool = False
    voice: str = ""
    account: str = ""


class WalletProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Who vouches for wallets. `logged`: only with attesters it has entered in the trust log."""

    id: str
    name: Words
    ca: tuple[bytes, ...]
    logged: bool = False
    voice: str = ""
    account: str = ""


class AccessAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """Who certifies the keys with which relying parties sign their requests, and speaks for them to the log."""

    id: str
    name: Words
    ca: tuple[bytes, ...]
    voice: str = ""
    account: str = ""


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


Party = Issuer | WalletProvider | AccessAuthority
Entry = Party | RelyingParty
KINDS: Final[Mapping[str, type[Entry]]] = {
    "issuer": Issuer,
    "wallet_provider": WalletProvider,
    "access_ca": AccessAuthority,
    "relying_party": RelyingParty,
}


def kind_of(entry: Entry) -> str:
    match entry:
        case Issuer():
            return "issuer"
        case WalletProvider():
            return "wallet_provider"
        case AccessAuthority():
            return "access_ca"
        case RelyingParty():
            return "relying_party"
        case _:
            assert_never(entry)


def registry_id(entry: Entry) -> str:
    """How the log and its signers name an entry: its kind and its id."""
    return f"{kind_of(entry)}:{entry.id}"


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
    if not isinstance(entry, RelyingParty):
        _require(not entry.voice or len(unb64u(entry.voice)) == 32, "the voice is not a SHA-256")
        _require(_ACCOUNT.fullmatch(entry.account) is not None, "an account is 20 bytes in hexadecimal")


class TrustList(msgspec.Struct, frozen=True, kw_only=True):
    """A checked list. `seq` grows with every change: a list with a lower one is older, whatever its date says.

    `signers` and `revoked_readers` came with the log. A list without them still reads: no issuer on it is `logged`, and
    a reader that has seen a later list refuses the earlier by its `seq`.
    """

    iat: int
    exp: int
    issuers: tuple[Issuer, ...]
    wallet_providers: tuple[WalletProvider, ...]
    access_ca: tuple[bytes, ...]
    relying_parties: tuple[RelyingParty, ...]
    seq: int = 0
    signers: tuple[Signer, ...] = ()
    revoked_readers: tuple[RevokedReader, ...] = ()

    @classmethod
    def of(
        cls, entries: Sequence[Entry], *, seq: int, now: datetime, life: timedelta, signers: Iterable[Signer] = (),
        revoked_readers: Iterable[RevokedReader] = (),
    ) -> TrustList:  # fmt: skip
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
            signers=tuple(sorted(signers, key=lambda signer: signer.x5t)),
            revoked_readers=tuple(sorted(revoked_readers, key=lambda revoked: revoked.reader)),
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
        logged.must_be_sound(read.signers, read.revoked_readers)
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
        raise self.stranger(x509_hash)

    def stranger(self, x509_hash: str) -> Refused:
        """Why nobody on the list has this access certificate: it was taken back, or it was never registered."""
        if any(revoked.x509_hash == x509_hash for revoked in self.revoked_readers):
            return Refused(Code.SIGNER_REVOKED, "the registration of whoever asks was revoked")
        return Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this certificate")

    def signers_of(self, entry: Issuer | WalletProvider) -> Signers | None:
        """The certificates this party has entered in the log; None when any under its authorities counts."""
        if not entry.logged:
            return None
        party = registry_id(entry)
        return Signers(signer for signer in self.signers if signer.issuer == party)


def _must_be_anchors(ders: Sequence[bytes]) -> None:
    if not ders:
        raise Refused(Code.BAD_CERTIFICATE, "an authority without a certificate")
    Anchors(ders)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise)
