"""The registry of trust: members, what each may do, and two people behind every change.

Promises: what holds is what the trust log has; a change is proposed by one governor and agreed to by others, each with
a signature of his own over the very act the log is handed; what was agreed on is handed to the log in its order, at
once or as soon as that can be, and the signed list follows. Trusts: the log for who governs. Keeps: every proposal,
signature, decision and access certificate, for ever. Refuses: an unsound entry, a purpose that asks for an item no card
may be asked for, one certificate for two relying parties, a governor who agrees with himself, a proposal made against a
state that has moved on, a party that was struck off under its old id.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog

from mapae import audit, outbox
from mapae.clock import Clock, Dice
from mapae.db import Body, Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, Signing, b64u, unb64u
from mapae.formats.x509 import Profile, Subject, leaf, serial_number, x509_hash
from mapae.keys import Signer
from mapae.trust import changes, ledger_store, store
from mapae.trust.changes import Asked, Submission
from mapae.trust.engine import Ledger
from mapae.trust.entries import (
    KINDS,
    AccessAuthority,
    Entry,
    Issuer,
    Purpose,
    RelyingParty,
    WalletProvider,
    digest_of,
    document,
    kind_of,
    must_be_sound,
)
from mapae.trust.listing import Listing, Published
from mapae.trust.log import statement
from mapae.trust.log.entry import Reason
from mapae.trust.log.state import Tables
from mapae.trust.publish import TrustList
from mapae.trust.store import Proposal, Vote

__all__ = [
    "AccessAuthority", "AccessCa", "Agreed", "Entry", "Governor", "Issuer", "Proposal", "Published", "Purpose",
    "Registry", "RelyingParty", "TrustList", "WalletProvider",
]  # fmt: skip

CERTIFICATE_LIFE: Final = timedelta(days=365)
PROMISE: Final = "ledger"  # in the outbox: hand the log what was agreed on
TRIES: Final = 20  # of setting up one entry while other processes do the same, or the log takes its time
PAUSE: Final = 0.5  # seconds between them where it is the log
TWO: Final = 2  # people behind a change, also where the log is content with one
_ACTOR: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
_log = structlog.get_logger("mapae.trust")


@dataclass(frozen=True, slots=True)
class Governor:
    """Somebody who may change the registry. `id` is what people call him; the log knows the key."""

    id: str
    signer: Signing

    @property
    def voice(self) -> bytes:
        return unb64u(self.signer.kid)


@dataclass(frozen=True, slots=True)
class AccessCa:
    """Our own authority for access certificates: its key and its certificate; and the voice with which, as the entry
    `id` of the registry, it speaks to the log for relying parties."""

    signer: Signer
    der: bytes
    voice: Signing
    id: str = "access-ca"

    @property
    def party(self) -> str:
        return f"access_ca:{self.id}"


@dataclass(frozen=True, slots=True)
class Agreed:
    """`missing`: how many governors have to agree yet. With none missing the change holds, or waits for the log to
    answer, or broke a rule of the log (`rule`) and never will."""

    missing: int
    holds: bool = False
    rule: str | None = None


class Registry:
    """`may_be_asked`: the items the country's documents let anybody ask for. `origin`: what statements are for."""

    def __init__(
        self,
        *,
        db: Db,
        signer: Signer,
        clock: Clock,
        dice: Dice,
        may_be_asked: Collection[str],
        ledger: Ledger,
        origin: str,
        access: AccessCa | None = None,
    ) -> None:
        self._db, self._signer, self._clock, self._dice = db, signer, clock, dice
        self._may_be_asked = frozenset(may_be_asked)
        self._ledger, self._origin = ledger, origin
        self._access = access
        self._listing = Listing(db, ledger, signer, clock)

    @property
    def key(self) -> dict[str, str]:
        """The public key of the list, to be pinned."""
        return {**self._signer.jwk, "kid": self._signer.kid, "alg": "ES256", "use": "sig"}

    def promises(self) -> dict[str, outbox.Handler]:
        async def handed_over(promised: dict[str, Any]) -> None:
            await self.hand_over()

        return {PROMISE: handed_over}

    # --- changes ------------------------------------------------------------------------------------------------------

    async def propose(self, entry: Entry, by: Governor) -> str:
        """Ask for an entry to be added, or to replace the one of its id. Returns the proposal's id."""
        self._must_be_allowed(entry)
        state, id = await self._governed(by), self._new_id()
        if isinstance(entry, RelyingParty):
            now, party = int(self._clock.now().timestamp()), self._registrar().party
            until = await store.certificate_end(self._db, entry.x509_hash)
            until = until if until is not None else now + int(CERTIFICATE_LIFE.total_seconds())
            asked = changes.registration(entry, id, party, until, state, now)
        else:
            asked = changes.admission(entry, id, state)
        return await self._propose(id, (kind_of(entry), entry.id), msgspec.json.encode(entry).decode(), asked, by)

    async def propose_removal(
        self, kind: str, id: str, by: Governor, reason: Reason = Reason.CEASED, since: int = 0
    ) -> str:  # fmt: skip
        """Ask for an entry to be struck off. `kind` is one of KINDS; `since`: of a relying party whose key was stolen
        earlier. For a party this is final: it never comes back under this id."""
        if kind not in KINDS:
            raise Refused(Code.MALFORMED, f"there is no such kind of entry; the kinds are {', '.join(KINDS)}")
        await self._governed(by)
        held = _standing(await store.approved(self._db)).get((kind, id))
        if held is None or held.entry is None:
            raise Refused(Code.NOT_FOUND, "there is no such entry")
        if kind == "relying_party":
            reader = changes.reader_of(_entry(held), held.id)
            asked = changes.taking_back(self._registrar().party, reader, reason, since)
        else:
            asked = changes.striking_off(f"{kind}:{id}", reason)
        return await self._propose(self._new_id(), (kind, id), None, asked, by)

    async def propose_key_revocation(self, thumbprint: bytes, by: Governor, reason: Reason, since: int = 0) -> str:
        """Ask for a party's certificate to be revoked, against its will or because it has lost its own voice."""
        asked = changes.ending_of_key(thumbprint, reason, since, await self._governed(by))
        return await self._propose(self._new_id(), (changes.KEY, b64u(thumbprint)), None, asked, by)

    async def propose_governor(
        self, name: str, key: PublicKey, by: Governor, *, standing: bool = True, account: bytes | None = None
    ) -> str:  # fmt: skip
        """Ask for somebody to govern, or (`standing` false) no longer. `account`: where the log is on a chain."""
        await self._governed(by)
        asked = changes.governing(key, account, standing)
        written = msgspec.json.encode(key.thumbprint).decode() if standing else None
        return await self._propose(self._new_id(), (changes.GOVERNOR, name), written, asked, by)

    async def propose_policy(self, policy: str, threshold: int, delay: int, by: Governor) -> str:
        """Ask for another policy of the log (C2SP tlog-policy): other witnesses, another threshold or delay."""
        await self._governed(by)
        asked, written = changes.agreement(policy, threshold, delay), msgspec.json.encode(policy).decode()
        return await self._propose(self._new_id(), (changes.POLICY, "policy"), written, asked, by)

    async def approve(self, id: str, by: Governor) -> Agreed:
        """Another governor agrees; with enough of them the change is handed to the log.

        NOT_FOUND, NOT_ALLOWED (one's own proposal, or no governor), CONFLICT (decided, or agreed to by this governor
        before, or made against a state that has moved).
        """
        state, now = await self._governed(by), self._clock.now()
        proposed, votes = await self._open(self._db, id)
        if by.voice == votes[0].voice:
            raise Refused(Code.NOT_ALLOWED, "a second person has to approve")
        before = await store.approved(self._db)
        _must_mean(proposed, votes[0].signed, before)
        approval = statement.approve(statement.digest(votes[0].signed), by.signer, int(now.timestamp()))
        signed = [*(vote.signed for vote in votes), approval]
        missing = max(max(TWO, state.threshold) - len(signed), 0)
        order = [] if missing else self._order(proposed, signed, before)

        async def body(tx: Tx) -> None:
            await tx.serial("trust")  # approvals are numbered without a gap, each against the one before
            _, again = await self._open(tx, id)
            if by.voice in {vote.voice for vote in again}:
                raise Refused(Code.CONFLICT, "this governor has agreed already")
            if len(again) != len(votes) or len(await store.approved(tx)) != len(before):
                raise Refused(Code.CONFLICT, "somebody else decided something at this moment; look, and try again")
            await store.add_vote(tx, id, len(votes), Vote(by.voice, by.id, approval), now)
            if not missing:
                _must_still_fit(proposed, before)
                await store.add_decision(tx, id, await store.last_place(tx) + 1, by.id, now)
                await store.add_order(tx, id, changes.written(order))
                if (paper := _paper(proposed)) is not None:
                    await ledger_store.add_document(tx, *paper, int(now.timestamp()))
                await outbox.promise(tx, PROMISE, id, {}, now)
            await self._record(tx, proposed, "agreed" if missing else "approved", by.id)

        await self._deciding(body)
        return Agreed(missing) if missing else await self._at_once(id)

    async def reject(self, id: str, by: Governor) -> None:
        """A governor disagrees, or the first thinks better of it."""
        await self._governed(by)
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            await tx.serial("trust")
            proposed, _ = await self._open(tx, id)
            await store.add_decision(tx, id, None, by.id, now)
            await self._record(tx, proposed, "rejected", by.id)

        await self._deciding(body)

    async def ensure(self, entries: Iterable[Entry], *governors: Governor) -> int:
        """Bring these entries to hold, each by an ordinary proposal and approvals; those agreed on already are left
        alone. For setting a country up. Returns how many changed."""
        return sum([await self._ensure(entry, governors) for entry in entries])

    async def lacks(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those that are not agreed on. What is agreed on and waits for the log is handed over."""
        await self._hand_over_now()
        agreed = await self._agreed()
        return [entry for entry in entries if entry not in agreed]

    async def _ensure(self, entry: Entry, governors: Sequence[Governor]) -> bool:
        for _ in range(TRIES):
            if entry in await self._agreed():
                await self._hand_over_now()  # whoever agreed on it may not have come to that yet
                return False
            if isinstance(entry, RelyingParty) and not await self._registrar_lives() and await self.unsettled():
                await self._hand_over_now()  # agreed on, and in no block that is final yet
                await asyncio.sleep(PAUSE)
                continue
            id = await self.propose(entry, governors[0])
            if entry in await self._agreed():  # while we signed, another process brought it about
                await self.reject(id, governors[0])
                continue
            try:
                for other in governors[1:]:
                    agreed = await self.approve(id, other)
                    if not agreed.missing:
                        break
            except Refused as refused:
                # Another process that starts at the same moment was faster, with this entry or with another.
                if refused.code is not Code.CONFLICT:
                    raise
                await self.reject(id, governors[0])
                continue
            if agreed.rule is not None:
                raise Refused(Code.LEDGER_RULE, agreed.rule)
            return True
        raise Refused(Code.CONFLICT, "others change the registry all the time; try again")

    async def hand_over(self) -> None:
        """Hand the log everything agreed on that it has not taken, in order. Raises Refused(UNAVAILABLE)."""
        for proposed, order in await store.unsettled(self._db):
            rule = None
            for one in changes.read(order):
                if changes.has_happened(one.act, await self._ledger.state()):
                    continue
                try:
                    await self._ledger.submit(one.act, one.signed)
                except Refused as refused:
                    if refused.code is Code.UNAVAILABLE:
                        raise
                    rule = refused.detail or refused.code.value  # it will never hold; what comes after need not wait
                    _log.error("the log refused a change", kind=proposed.kind, rule=rule)
                    break
            await self._settle(proposed, rule)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def entries(self) -> tuple[Entry, ...]:
        """What holds now."""
        return (await self._listing.standing()).entries

    async def published(self) -> Published:
        """The signed list, kept until the log has something new or it has grown old."""
        return await self._listing.published()

    async def waiting(self) -> list[Proposal]:
        """Proposals governors have to decide."""
        return await store.undecided(self._db)

    async def unsettled(self) -> list[Proposal]:
        """Changes agreed on that wait for the log."""
        return [proposed for proposed, _ in await store.unsettled(self._db)]

    async def proposal(self, id: str) -> tuple[Proposal, list[Vote]]:
        found = await store.proposal(self._db, id)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such proposal")
        return found, await store.votes(self._db, id)

    async def history(self, limit: int = 100) -> list[Proposal]:
        return await store.history(self._db, limit)

    # --- access certificates ------------------------------------------------------------------------------------------

    async def certify(
        self, party: str, key: PublicKey, subject: Subject, by: Governor, dns: tuple[str, ...] = ()
    ) -> bytes:  # fmt: skip
        """An access certificate (DER) for a relying party's key. It counts once an approved entry holds its hash."""
        access = self._registrar()
        await self._governed(by)
        now = self._clock.now().replace(microsecond=0)
        start, end = now - timedelta(hours=1), now + CERTIFICATE_LIFE
        der = leaf(
            Profile.ACCESS, subject, key, ca=access.signer, ca_der=access.der,
            serial=serial_number(self._dice.bytes(16)), not_before=start, not_after=end, dns=dns,
        )  # fmt: skip
        digest = x509_hash(der)

        async def body(tx: Tx) -> None:
            await store.add_certificate(tx, digest, party, der, by.id, now, end)
            await audit.record(tx, audit.Event(party, "access_certificate", "issued", by.id, {"hash": digest}), now)

        await self._db.write(body)
        return der

    async def certificate(self, x509_hash: str) -> bytes | None:
        return await store.certificate(self._db, x509_hash)

    async def certificates_of(self, party: str) -> list[bytes]:
        return await store.certificates_of(self._db, party)

    async def must_govern(self, by: Governor) -> None:
        await self._governed(by)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _new_id(self) -> str:
        """In hexadecimal: it is typed into commands, where a leading hyphen would be an option."""
        return self._dice.bytes(10).hex()

    async def _propose(self, id: str, what: tuple[str, str], entry: str | None, asked: Asked, by: Governor) -> str:
        now = self._clock.now()
        signed = asked.signed(self._origin, by.signer, now)

        async def body(tx: Tx) -> None:
            held = _standing(await store.approved(tx)).get(what)
            proposed = Proposal(id, *what, entry, held.approved or 0 if held is not None else 0, by.id, now)
            await store.add_proposal(tx, proposed)
            await store.add_vote(tx, id, 0, Vote(by.voice, by.id, signed), now)
            await self._record(tx, proposed, "proposed", by.id)

        await self._db.write(body)
        return id

    def _order(self, proposed: Proposal, signed: list[str], before: list[Proposal]) -> list[Submission]:
        """What the log is handed. For relying parties it is the access authority that speaks: it enters the new
        registration and takes the replaced one back."""
        if proposed.entry is None or proposed.kind != "relying_party":
            return changes.by_votes(signed)
        access, now = self._registrar(), self._clock.now()
        order = [changes.by_registrar(signed[0], self._origin, access.voice, now)]
        held = _standing(before).get((proposed.kind, proposed.subject))
        if held is not None and held.entry is not None:
            old = changes.reader_of(_entry(held), held.id)
            asked = changes.taking_back(access.party, old, Reason.SUPERSEDED, 0)
            order.append(changes.submission(asked.signed(self._origin, access.voice, now)))
        return order

    async def _open(self, on: Db | Tx, id: str) -> tuple[Proposal, list[Vote]]:
        proposed = await store.proposal(on, id)
        votes = await store.votes(on, id) if proposed is not None else []
        if proposed is None or not votes:
            raise Refused(Code.NOT_FOUND, "there is no such proposal")
        if proposed.decider is not None:
            raise Refused(Code.CONFLICT, "this proposal has been decided")
        return proposed, votes

    async def _deciding(self, body: Body[None]) -> None:
        try:
            await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "this proposal has been decided") from None

    async def _at_once(self, id: str) -> Agreed:
        await self._hand_over_now()
        proposed, _ = await self.proposal(id)
        return Agreed(0, proposed.holds, proposed.rule)

    async def _hand_over_now(self) -> None:
        try:
            await self.hand_over()
        except Refused as refused:  # the log is away: the outbox goes on trying
            if refused.code is not Code.UNAVAILABLE:
                raise

    async def _settle(self, proposed: Proposal, rule: str | None) -> None:
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if await store.add_outcome(tx, proposed.id, now, rule):
                await self._record(tx, proposed, "entered" if rule is None else "refused", "ledger")

        await self._db.write(body)

    async def _agreed(self) -> tuple[Entry, ...]:
        held = _standing(await store.approved(self._db)).values()
        return tuple(_entry(change) for change in held if change.entry is not None and change.kind in KINDS)

    async def _governed(self, by: Governor) -> Tables:
        """The log's state, in which `by` governs."""
        if not _ACTOR.fullmatch(by.id):
            raise Refused(Code.MALFORMED, "a governor's name is small letters, digits and . : _ -")
        state = await self._ledger.state()
        if not any(one.standing and one.voice == by.voice for one in state.governors.values()):
            raise Refused(Code.NOT_ALLOWED, f"the trust log has no standing governor with the key of {by.id}")
        return state

    async def _registrar_lives(self) -> bool:
        known = (await self._ledger.state()).parties.get(digest_of(self._registrar().party))
        return known is not None and known.live(int(self._clock.now().timestamp()))

    def _registrar(self) -> AccessCa:
        if self._access is None:
            raise Refused(Code.UNSUPPORTED, "this registry has no access authority of its own")
        return self._access

    async def _record(self, tx: Tx, proposed: Proposal, action: str, by: str) -> None:
        event = audit.Event(proposed.subject, proposed.kind, action, by, {"proposal": proposed.id})
        await audit.record(tx, event, self._clock.now())

    def _must_be_allowed(self, entry: Entry) -> None:
        must_be_sound(entry)
        if isinstance(entry, RelyingParty):
            for purpose in entry.purposes:
                if not self._may_be_asked.issuperset(purpose.items):
                    raise Refused(Code.OVER_ASKING, f"purpose {purpose.id} asks for an item that may not be asked")


def _must_still_fit(proposed: Proposal, before: list[Proposal]) -> None:
    """1 nothing moved since  2 nothing of it is somebody else's."""
    standing = _standing(before)
    held = standing.get((proposed.kind, proposed.subject))
    if (held.approved if held is not None else 0) != proposed.replaces:
        raise Refused(Code.CONFLICT, "this entry was changed after the proposal was made")
    if proposed.kind in KINDS and proposed.entry is not None:
        others = [
            _entry(other) for other in standing.values()
            if other.entry is not None and other.kind == proposed.kind and other.subject != proposed.subject
        ]  # fmt: skip
        changes.must_be_its_own(_entry(proposed), others)


def _must_mean(proposed: Proposal, signed: str, before: list[Proposal]) -> None:
    """The proposal is what its statement asks for: the statement is what will be approved."""
    reader = None
    if proposed.kind == "relying_party" and proposed.entry is None:
        held = _standing(before).get((proposed.kind, proposed.subject))
        if held is None or held.entry is None or held.approved != proposed.replaces:
            raise Refused(Code.CONFLICT, "this entry was changed after the proposal was made")
        reader = changes.reader_of(_entry(held), held.id)
    changes.must_mean(signed, proposed.kind, proposed.subject, proposed.entry, proposed.id, reader)


def _standing(changes: Iterable[Proposal]) -> dict[tuple[str, str], Proposal]:
    """The last approved change of each subject that the log did not turn down."""
    return {(change.kind, change.subject): change for change in changes if change.rule is None}


def _paper(proposed: Proposal) -> tuple[bytes, str] | None:
    """What the log will name by its digest, and of which kind it is."""
    if proposed.entry is None or proposed.kind == changes.GOVERNOR:
        return None
    if proposed.kind == changes.POLICY:
        return msgspec.json.decode(proposed.entry, type=str).encode(), "text/plain"
    return document(_entry(proposed), proposed.id), "application/json"


def _entry(change: Proposal) -> Entry:
    entry: Entry = msgspec.json.decode(change.entry or "null", type=KINDS[change.kind])
    return entry
