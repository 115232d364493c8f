"""What the trust list says, from the log itself: a state that was folded, and the documents its entries name. Pure.

Promises: the same state and documents give the same list, in the trust role, in a replica and from a pack; whatever is
listed stands in the log and is live at `now`. Trusts: the caller that the state is the log's. Keeps: nothing. Refuses:
nothing: a party without a sound document of its own is left out, for the log may name what nobody handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from mapae.errors import Refused
from mapae.formats.jose import b64u
from mapae.trust.entries import (
    AccessAuthority,
    Entry,
    Issuer,
    Party,
    RelyingParty,
    WalletProvider,
    digest_of,
    read_document,
    registry_id,
)
from mapae.trust.log import entry as log
from mapae.trust.log.state import Key, Tables
from mapae.trust.signers import Purpose, Reason, RevokedReader, Signer

ROLES: Final[Mapping[type[Party], log.Role]] = {
    Issuer: log.Role.ISSUER | log.Role.STATUS | log.Role.AUDIT,
    WalletProvider: log.Role.WALLET_PROVIDER | log.Role.AUDIT,
    AccessAuthority: log.Role.REGISTRAR | log.Role.AUDIT,
}
# What each kind must at least be admitted for, to be listed as such.
_NEEDED: Final[Mapping[type[Party], log.Role]] = {
    Issuer: log.Role.ISSUER, WalletProvider: log.Role.WALLET_PROVIDER, AccessAuthority: log.Role.REGISTRAR,
}  # fmt: skip
# An authority revoked for these reasons certifies nobody any more; one that was superseded or ceased still stands
# behind the signers it certified, each of which has an entry of its own.
_ENDS_ANCHOR: Final = (log.Reason.COMPROMISED, log.Reason.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Held:
    """A registration of a relying party that counts."""

    entry: RelyingParty
    reader: bytes
    registrar: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """All that holds at a moment, and the next moment at which something begins or ends by itself."""

    parties: tuple[Party, ...]
    readers: tuple[Held, ...]
    signers: tuple[Signer, ...]
    revoked_readers: tuple[RevokedReader, ...]
    seq: int
    at: int
    until: int | None

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (*self.parties, *(held.entry for held in self.readers))


def standing(
    state: Tables, documents: Mapping[bytes, bytes], now: int, known: dict[bytes, Entry | None] | None = None
) -> Standing:  # fmt: skip
    """`documents`: by SHA-256. Those of relying parties may be missing: a pack does not carry them. `known`: what was
    read of them before, to be handed in again the next time."""
    read = _Reading(documents, {} if known is None else known)
    parties = dict(_parties(state, read, now))
    readers: dict[str, tuple[int, Held]] = {}
    for index, held in _readers(state, read, now):
        if held.entry.id not in readers or readers[held.entry.id][0] < index:  # a replaced one is revoked right after
            readers[held.entry.id] = index, held
    names = {digest: registry_id(entry) for digest, entry in parties.items()}
    return Standing(
        parties=tuple(parties.values()),
        readers=tuple(held for _, held in readers.values()),
        signers=tuple(_signers(state, names, now)),
        revoked_readers=tuple(_revoked_readers(state, now)),
        seq=seq_of(state),
        at=now,
        until=min((at for at in _moments(state) if at > now), default=None),
    )


def seq_of(state: Tables) -> int:
    """Grows with whatever is listed: both of these only grow, and nothing else changes it but the clock."""
    return state.size(log.Log.REGISTRY) + len(state.readers)


def _parties(state: Tables, read: _Reading, now: int) -> Iterator[tuple[bytes, Party]]:
    for digest, party in state.parties.items():
        if not party.live(now):
            continue
        entry = read(party.document)
        if entry is None or isinstance(entry, RelyingParty) or digest_of(registry_id(entry)) != digest:
            continue
        needed = _NEEDED[type(entry)]
        ca = tuple(der for der in entry.ca if not _ended(state.keys.get(sha256(der).digest())))
        if party.roles & needed == needed and ca:
            yield digest, msgspec.structs.replace(entry, ca=ca)


def _ended(anchor: Key | None) -> bool:
    return anchor is not None and anchor.revoked is not None and anchor.revoked.reason in _ENDS_ANCHOR


def _readers(state: Tables, read: _Reading, now: int) -> Iterator[tuple[int, Held]]:
    for digest, reader in state.readers.items():
        registrar = state.parties.get(reader.registrar)
        # A registrar struck off takes its relying parties along: nobody answers for them any more.
        if digest in state.readers_revoked or registrar is None or not registrar.live(now):
            continue
        if not reader.valid_from <= now < reader.valid_until:
            continue
        entry = read(digest)
        if isinstance(entry, RelyingParty) and entry.x509_hash == b64u(reader.certificate):
            yield reader.index, Held(entry, digest, reader.registrar)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Each document once: a digest never means anything else."""

    documents: Mapping[bytes, bytes]
    known: dict[bytes, Entry | None]

    def __call__(self, digest: bytes) -> Entry | None:
        raw = self.documents.get(digest)
        if raw is None:
            return None
        if digest not in self.known:
            self.known[digest] = _read(raw) if sha256(raw).digest() == digest else None
        return self.known[digest]


def _read(raw: bytes) -> Entry | None:
    try:
        return read_document(raw)
    except Refused:
        return None


def _signers(state: Tables, names: Mapping[bytes, str], now: int) -> Iterator[Signer]:
    for thumbprint, key in state.keys.items():
        if key.party in names and now < key.valid_until:
            ended = key.revoked
            yield Signer(
                issuer=names[key.party], x5t=b64u(thumbprint), purpose=_purpose(key.purpose), starts=key.valid_from,
                ends=key.valid_until, revoked_at=None if ended is None else ended.at,
                since=None if ended is None else ended.since, reason=None if ended is None else _reason(ended.reason),
            )  # fmt: skip


def _revoked_readers(state: Tables, now: int) -> Iterator[RevokedReader]:
    for digest, end in state.readers_revoked.items():
        known = state.readers.get(digest)  # None in a replica of the registry log alone
        if known is not None and now >= known.valid_until:
            continue
        certificate = None if known is None else b64u(known.certificate)
        yield RevokedReader(
            reader=b64u(digest), x509_hash=certificate, since=end.revoked.since, reason=_reason(end.revoked.reason)
        )


def _moments(state: Tables) -> Iterator[int]:
    for table in (state.parties, state.keys, state.readers):
        for one in table.values():
            yield one.valid_from
            yield one.valid_until


def _purpose(number: int) -> Purpose:
    return Purpose(log.Purpose(number).name.lower())


def _reason(number: int) -> Reason:
    return Reason(log.Reason(number).name.lower())
