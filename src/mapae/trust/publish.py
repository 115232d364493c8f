"""The signed trust list: what the registry says today, in one JWT that anybody can check and keep.

Promises: `TrustList.parse` gives a list only when the pinned key signed it and it is in date; `sign` writes exactly
what `parse` reads. Trusts: the pinned public key. Keeps: nothing. Refuses: another type, another key, a list that is
over, an authority or a certificate hash that is none, the same relying party, certificate or signer twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, check_times, sign_jws
from mapae.formats.x509 import Anchors
from mapae.trust import signers as logged
from mapae.trust.entries import (
    AccessAuthority,
    Entry,
    Issuer,
    Purpose,
    RelyingParty,
    WalletProvider,
    must_be_sound,
    registry_id,
)  # fmt: skip
from mapae.trust.log.state import Tables
from mapae.trust.replicated import Standing, standing
from mapae.trust.signers import RevokedReader, Signer, Signers

__all__ = [
    "AccessAuthority", "Entry", "Issuer", "Purpose", "RelyingParty", "TrustList", "WalletProvider",
]  # fmt: skip

TYPE: Final = "mapae-trust-list+jwt"
LIMIT: Final = 4 * 1024 * 1024


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
    def of_replica(
        cls, state: Tables, documents: Mapping[bytes, bytes], *, now: datetime, life: timedelta
    ) -> TrustList:  # fmt: skip
        """The same list from the log: a folded state, and the documents it names, by their SHA-256.

        A replica that holds the registry log alone has no relying parties on it, only those revoked.
        """
        return cls.of_standing(standing(state, documents, int(now.timestamp())), now=now, life=life)

    @classmethod
    def of_standing(cls, standing: Standing, *, now: datetime, life: timedelta) -> TrustList:
        return cls.of(
            standing.entries, seq=standing.seq, now=now, life=life, signers=standing.signers,
            revoked_readers=standing.revoked_readers,
        )  # fmt: skip

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


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise)
