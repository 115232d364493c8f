"""The registry of trust: members, what each may do, and two people behind every change.

Promises: what holds is the last approved change of each subject; nobody approves his own proposal; a proposal made
against a state that has moved on is refused; the signed list follows every approval at once. Trusts: the caller to say
who is acting. Keeps: every proposal, decision and access certificate, for ever. Refuses: an unsound entry, a purpose
that asks for an item no card may be asked for, one certificate for two relying parties.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

import msgspec

from mapae import audit
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u
from mapae.formats.x509 import Profile, Subject, leaf, serial_number, x509_hash
from mapae.keys import Signer
from mapae.trust import store
from mapae.trust.entries import (
    KINDS,
    AccessAuthority,
    Entry,
    Issuer,
    Purpose,
    RelyingParty,
    WalletProvider,
    kind_of,
    must_be_sound,
)  # fmt: skip
from mapae.trust.publish import TrustList
from mapae.trust.store import Proposal

__all__ = [
    "AccessAuthority", "AccessCa", "Entry", "Issuer", "Proposal", "Published", "Purpose", "Registry", "RelyingParty",
    "TrustList", "WalletProvider",
]  # fmt: skip

LIST_LIFE: Final = timedelta(days=1)
RESIGN_AFTER: Final = timedelta(hours=1)
CERTIFICATE_LIFE: Final = timedelta(days=365)
_ACTOR: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")  # one spelling, so that Kim and kim are not two people


@dataclass(frozen=True, slots=True)
class AccessCa:
    """Our own authority for access certificates: its key and its certificate."""

    signer: Signer
    der: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The signed list and its ETag."""

    token: str
    etag: str
    list: TrustList


class Registry:
    """`may_be_asked`: the items the country's documents allow anybody to ask for."""

    def __init__(
        self,
        *,
        db: Db,
        signer: Signer,
        clock: Clock,
        dice: Dice,
        may_be_asked: Collection[str],
        access: AccessCa | None = None,
    ) -> None:
        self._db, self._signer, self._clock, self._dice = db, signer, clock, dice
        self._may_be_asked = frozenset(may_be_asked)
        self._access = access
        self._published: Published | None = None

    @property
    def key(self) -> dict[str, str]:
        """The public key of the list, to be pinned."""
        return {**self._signer.jwk, "kid": self._signer.kid, "alg": "ES256", "use": "sig"}

    # --- changes ------------------------------------------------------------------------------------------------------

    async def propose(self, entry: Entry, by: str) -> str:
        """Ask for an entry to be added, or to replace the one of its id. Returns the proposal's id."""
        self._must_be_allowed(entry)
        return await self._propose(kind_of(entry), entry.id, msgspec.json.encode(entry).decode(), by)

    async def propose_removal(self, kind: str, id: str, by: str) -> str:
        """Ask for an entry to be struck off. `kind` is one of KINDS."""
        if kind not in KINDS:
            raise Refused(Code.MALFORMED, "there is no such kind of entry")
        return await self._propose(kind, id, None, by)

    async def approve(self, id: str, by: str) -> int:
        """The second person agrees: the change holds from now on. Returns its place among approved changes.

        NOT_FOUND, NOT_ALLOWED (one's own proposal), CONFLICT (decided already, or made against a state that has moved).
        """
        return await self._decide(id, by, _approved)

    async def reject(self, id: str, by: str) -> None:
        """The second person disagrees, or the first thinks better of it."""
        await self._decide(id, by, _rejected)

    async def ensure(self, entries: Iterable[Entry], proposer: str, approver: str) -> int:
        """Bring these entries to hold, each by an ordinary proposal and approval; those that hold already are left
        alone. For setting a country up. Returns how many changed."""
        changed = 0
        for entry in entries:
            if entry in await self.entries():
                continue
            try:
                await self.approve(await self.propose(entry, proposer), approver)
                changed += 1
            except Refused as refused:
                # Another process that starts at the same moment may have brought the same about.
                if refused.code is not Code.CONFLICT or entry not in await self.entries():
                    raise
        return changed

    # --- reading ------------------------------------------------------------------------------------------------------

    async def entries(self) -> tuple[Entry, ...]:
        """What holds now."""
        return tuple(_entry(change) for change in _standing(await store.approved(self._db)).values() if change.entry)

    async def waiting(self) -> list[Proposal]:
        return await store.undecided(self._db)

    async def history(self, limit: int = 100) -> list[Proposal]:
        return await store.history(self._db, limit)

    async def published(self) -> Published:
        """The signed list, kept until a change is approved or it has grown old."""
        seq, now, kept = await store.last_change(self._db), self._clock.now(), self._published
        age = now.timestamp() - kept.list.iat if kept is not None else 0
        if kept is None or kept.list.seq != seq or not 0 <= age < RESIGN_AFTER.total_seconds():
            changes = await store.approved(self._db)
            seq = max((change.approved or 0 for change in changes), default=0)
            standing = [_entry(change) for change in _standing(changes).values() if change.entry]
            made = TrustList.of(standing, seq=seq, now=now, life=LIST_LIFE)
            token = made.sign(self._signer)
            kept = self._published = Published(token, f'"{b64u(sha256(token.encode()).digest())}"', made)
        return kept

    # --- access certificates ------------------------------------------------------------------------------------------

    async def certify(self, party: str, key: PublicKey, subject: Subject, by: str, dns: tuple[str, ...] = ()) -> bytes:
        """An access certificate (DER) for a relying party's key. It counts once an approved entry holds its hash."""
        if self._access is None:
            raise Refused(Code.UNSUPPORTED, "this registry has no access authority of its own")
        _must_be_actor(by)
        now = self._clock.now().replace(microsecond=0)
        start, end = now - timedelta(hours=1), now + CERTIFICATE_LIFE
        der = leaf(
            Profile.ACCESS, subject, key, ca=self._access.signer, ca_der=self._access.der,
            serial=serial_number(self._dice.bytes(16)), not_before=start, not_after=end, dns=dns,
        )  # fmt: skip
        digest = x509_hash(der)

        async def body(tx: Tx) -> None:
            await store.add_certificate(tx, digest, party, der, by, now, end)
            await audit.record(tx, audit.Event(party, "access_certificate", "issued", by, {"hash": digest}), now)

        await self._db.write(body)
        return der

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _propose(self, kind: str, subject: str, entry: str | None, by: str) -> str:
        _must_be_actor(by)
        id, now = self._dice.token(16), self._clock.now()

        async def body(tx: Tx) -> None:
            held = _standing(await store.approved(tx)).get((kind, subject))
            if entry is None and (held is None or held.entry is None):
                raise Refused(Code.NOT_FOUND, "there is no such entry")
            replaces = held.approved or 0 if held is not None else 0
            await store.add_proposal(tx, Proposal(id, kind, subject, entry, replaces, by, now))
            await audit.record(tx, audit.Event(subject, kind, "proposed", by, {"proposal": id}), now)

        await self._db.write(body)
        return id

    async def _decide(self, id: str, by: str, verdict: Callable[[Proposal, list[Proposal], str], int | None]) -> int:
        _must_be_actor(by)
        now = self._clock.now()

        async def body(tx: Tx) -> int:
            await tx.serial("trust")  # approvals are numbered without a gap, each against the one before
            proposed = await store.proposal(tx, id)
            if proposed is None:
                raise Refused(Code.NOT_FOUND, "there is no such proposal")
            if proposed.decider is not None:
                raise Refused(Code.CONFLICT, "this proposal has been decided")
            place = verdict(proposed, await store.approved(tx), by)
            await store.add_decision(tx, id, place, by, now)
            action = "approved" if place is not None else "rejected"
            await audit.record(tx, audit.Event(proposed.subject, proposed.kind, action, by, {"proposal": id}), now)
            return place or 0

        try:
            return await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "this proposal has been decided") from None

    def _must_be_allowed(self, entry: Entry) -> None:
        must_be_sound(entry)
        if isinstance(entry, RelyingParty):
            for purpose in entry.purposes:
                if not self._may_be_asked.issuperset(purpose.items):
                    raise Refused(Code.OVER_ASKING, f"purpose {purpose.id} asks for an item that may not be asked")


def _approved(proposed: Proposal, changes: list[Proposal], by: str) -> int:
    """1 two people  2 nothing moved since  3 one certificate, one relying party. The change's place."""
    if proposed.proposer == by:
        raise Refused(Code.NOT_ALLOWED, "a second person has to approve")
    standing = _standing(changes)
    held = standing.get((proposed.kind, proposed.subject))
    if (held.approved if held is not None else 0) != proposed.replaces:
        raise Refused(Code.CONFLICT, "this entry was changed after the proposal was made")
    if proposed.entry is not None and isinstance(asker := _entry(proposed), RelyingParty):
        for other in standing.values():
            if other.entry is None or other.subject == proposed.subject or other.kind != proposed.kind:
                continue
            if isinstance(taken := _entry(other), RelyingParty) and taken.x509_hash == asker.x509_hash:
                raise Refused(Code.CONFLICT, "another relying party has this certificate")
    return 1 + max((change.approved or 0 for change in changes), default=0)


def _rejected(proposed: Proposal, changes: list[Proposal], by: str) -> None:
    return None


def _standing(changes: Iterable[Proposal]) -> dict[tuple[str, str], Proposal]:
    """The last approved change of each subject."""
    return {(change.kind, change.subject): change for change in changes}


def _entry(change: Proposal) -> Entry:
    return msgspec.json.decode(change.entry or "null", type=KINDS[change.kind])


def _must_be_actor(by: str) -> None:
    if not _ACTOR.fullmatch(by):
        raise Refused(Code.MALFORMED, "an actor is small letters, digits and . : _ -")
