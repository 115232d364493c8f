"""Which phone belongs to which person.

Promises: a person has at most one live phone (active, or suspended after a report of loss), however many register or
move at the same second; every change of state is one transaction with its audit event; a lost answer can be asked for
again without harm. Trusts: the registers role's identity assertions, and the issuer role for what its officers decide.
Keeps: an opaque person id, thumbprints, states and times; no name and no number. Refuses: a spent assertion, a request
seen before, attestations for a phone that is suspended or has ended.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar, assert_never

from mapae.audit import Event, record
from mapae.clock import Clock, Dice
from mapae.db import Body, Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey

from . import attest, proofs, push_store, store
from .attest import Attester, Urls
from .proofs import IdentityKeys, SignedRequest
from .store import Device, DeviceState

T = TypeVar("T")

REQUESTS_PER_WINDOW: Final = 300  # a phone's signed requests inside the clock window: bounds the replay table
LONGEST_SEEN: Final = proofs.WINDOW + 3 * proofs.SKEW  # seconds; what is kept for longer, a clock ahead has kept
REGISTRATIONS_PER_DAY: Final = 10  # a person's
CLIENT_KEYS: Final = 64  # a phone's: one per issuer it has met
CLIENT_KEY_LIFE: Final = 90 * 86400
PRUNE_EVERY: Final = 60
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Attestation:
    token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Binding:
    """A person's live phone, if any, and those that wait for an officer."""

    live: Device | None
    waiting: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    device_id: str
    ended: str | None


class WalletProvider:
    """Registers phones and vouches for them."""

    def __init__(
        self, db: Db, clock: Clock, dice: Dice, *, urls: Urls, attester: Attester, identity_keys: IdentityKeys
    ) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._attester = attester
        self._identity_keys = identity_keys
        self._pruned = 0
        self.urls = urls

    # --- the phone's side ---

    async def register(self, assertion: str, proof: str, platform: str = "web") -> Device:
        """Bind the phone that made `proof` to the person of `assertion`; waiting when that person has another one."""
        now = self._clock.now()
        identity = proofs.open_assertion(assertion, self._identity_keys, now)
        jkt = proofs.open_device_proof(proof, assertion, self.urls.provider, now)
        at = int(now.timestamp())
        new = Device(
            self._dice.token(16), identity.person, jkt, _word(platform, "platform"), DeviceState.ACTIVE, "", at, at
        )

        async def body(tx: Tx) -> Device:
            spender = await store.spend_assertion(tx, identity.jti, jkt, identity.expires + proofs.WINDOW)
            known = await store.by_key(tx, jkt)
            if spender is not None and (spender != jkt or known is None):
                raise Refused(Code.CODE_SPENT, "this identity check has been used; do it again")
            if known is None:
                return await self._add(tx, new, now)
            if known.person != identity.person:
                raise Refused(Code.CONFLICT, "this phone belongs to somebody else")
            return await self._return(tx, known, now)

        return await self._settled(body)

    async def _add(self, tx: Tx, new: Device, now: datetime) -> Device:
        # Two at the same moment may both pass this count; it bounds the table, it protects no one.
        if await store.registered(tx, new.person, new.since - 86400, new.since + proofs.SKEW) >= REGISTRATIONS_PER_DAY:
            raise Refused(Code.TOO_OFTEN, "too many phones were registered today; try again tomorrow")
        device = new
        if not await store.add(tx, new):
            device = replace(new, state=DeviceState.WAITING, reason="other_phone")
            await store.add_waiting(tx, device)
        facts = {"state": device.state.value, "platform": device.platform}
        await record(tx, Event(device.device_id, "device", "registered", device.person, facts), now)
        return device

    async def _return(self, tx: Tx, known: Device, now: datetime) -> Device:
        """A phone we know registers again: a lost answer, or it waited and the other phone has ended meanwhile."""
        match known.state:
            case DeviceState.ENDED:
                raise Refused(Code.DEVICE_ENDED, "this phone's registration has ended; start again with a new one")
            case DeviceState.ACTIVE | DeviceState.SUSPENDED:
                return known
            case DeviceState.WAITING:
                at = int(now.timestamp())
                if not await store.promote(tx, known.device_id, known.person, at):
                    return known
                await record(tx, Event(known.device_id, "device", "activated", known.person), now)
                return replace(known, state=DeviceState.ACTIVE, reason="", since=at)
            case _:
                assert_never(known.state)

    async def me(self, request: SignedRequest) -> Device:
        """How this phone stands. The one call that a suspended or ended phone may still make."""

        async def body(tx: Tx, device: Device, now: datetime) -> Device:
            return device

        return await self.admitted(request, body)

    async def attest(self, request: SignedRequest, client_jwk: Mapping[str, Any]) -> Attestation:
        """A wallet attestation for one client key. A waiting phone gets one too: it may ask what it could be issued;
        the issuer looks at `standing` before it issues."""
        client_key = PublicKey.from_jwk(client_jwk)

        async def body(tx: Tx, device: Device, now: datetime) -> datetime:
            must_be(device, DeviceState.ACTIVE, DeviceState.WAITING)
            if await store.client_count(tx, device.device_id) >= CLIENT_KEYS:
                owner = await store.by_client_key(tx, client_key.thumbprint)
                if owner is None:
                    raise Refused(Code.TOO_OFTEN, "this phone has too many client keys")
            expires = int(now.timestamp()) + CLIENT_KEY_LIFE
            if not await store.attest_client(tx, client_key.thumbprint, device.device_id, expires):
                raise Refused(Code.CONFLICT, "this client key belongs to another phone")
            return now

        now = await self.admitted(request, body)
        claims = attest.wallet_claims(self.urls, client_key, now)
        return Attestation(self._attester.sign(attest.WALLET_TYPE, claims), attest.LIFE)

    async def attest_keys(
        self, request: SignedRequest, jwks: Sequence[Mapping[str, Any]], nonce: str | None
    ) -> Attestation:
        """One statement about all the keys of a batch."""
        keys = attest.read_keys(jwks)

        async def body(tx: Tx, device: Device, now: datetime) -> datetime:
            must_be(device, DeviceState.ACTIVE)
            return now

        now = await self.admitted(request, body)
        claims = attest.key_claims(keys, nonce, now)
        return Attestation(self._attester.sign(attest.KEYS_TYPE, claims), attest.KEYS_LIFE)

    async def give_up(self, request: SignedRequest) -> Device:
        """The holder takes the wallet off this phone; the place is free for another one."""

        async def body(tx: Tx, device: Device, now: datetime) -> Device:
            if device.state is DeviceState.ENDED:
                return device
            if device.state is DeviceState.SUSPENDED:  # else a finder could free the place behind a report of loss
                raise Refused(Code.DEVICE_SUSPENDED, "this phone is reported lost; only an officer can change that")
            at = int(now.timestamp())
            if not await store.change(tx, device.device_id, device.state, DeviceState.ENDED, "given_up", at):
                raise Refused(Code.CONFLICT, "this phone has just changed; try again")
            await push_store.forget(tx, device.device_id)
            await record(tx, Event(device.device_id, "device", "ended", device.person, {"reason": "given_up"}), now)
            return replace(device, state=DeviceState.ENDED, reason="given_up", since=at)

        return await self.admitted(request, body)

    # --- the issuer's side ---

    async def standing(self, jkt: str) -> Device:
        """Whose attested client key this is, and how that phone stands."""
        device = await store.by_client_key(self._db, jkt)
        if device is None:
            raise Refused(Code.NOT_FOUND, "no phone has had this key attested")
        return device

    async def active(self, person: str) -> Binding:
        devices = await store.of_person(self._db, person)
        live = [device for device in devices if device.state is not DeviceState.WAITING]
        waiting = tuple(device for device in devices if device.state is DeviceState.WAITING)
        return Binding(live[0] if live else None, waiting)

    async def suspend(self, person: str, reason: str, actor: str, *, waiting: bool = False) -> Device | None:
        """Stop the person's live phone; None when there is none. Saying it twice is the same as once.

        `waiting`: also end the phones that wait to be the person's, so that a move under way finds none.
        """
        now = self._clock.now()
        at, word, by = int(now.timestamp()), _word(reason, "reason"), _word(actor, "actor")

        async def body(tx: Tx) -> Device | None:
            for one in await store.of_person(tx, person) if waiting else ():
                if one.state is DeviceState.WAITING:
                    if not await store.change(tx, one.device_id, one.state, DeviceState.ENDED, word, at):
                        raise Duplicate("changed meanwhile")
                    await record(tx, Event(one.device_id, "device", "ended", by, {"reason": word}), now)
            live = await _live(tx, person)
            if live is None or (live.state is DeviceState.SUSPENDED and live.reason in (word, "lost")):
                return live  # a lost phone stays lost, whatever is reported next
            if not await store.change(tx, live.device_id, live.state, DeviceState.SUSPENDED, word, at):
                raise Duplicate("changed meanwhile")
            await record(tx, Event(live.device_id, "device", "suspended", by, {"reason": word}), now)
            return replace(live, state=DeviceState.SUSPENDED, reason=word, since=at)

        return await self._settled(body)

    async def release(self, person: str, actor: str) -> Device:
        """Give a suspended phone back. Who may decide that is the caller's rule: at the counter only."""
        now = self._clock.now()
        at, by = int(now.timestamp()), _word(actor, "actor")

        async def body(tx: Tx) -> Device:
            live = await _live(tx, person)
            if live is None:
                raise Refused(Code.NOT_FOUND, "this person has no suspended phone")
            if live.state is DeviceState.ACTIVE:
                return live
            if not await store.change(tx, live.device_id, live.state, DeviceState.ACTIVE, "", at):
                raise Duplicate("changed meanwhile")
            await record(tx, Event(live.device_id, "device", "released", by), now)
            return replace(live, state=DeviceState.ACTIVE, reason="", since=at)

        return await self._settled(body)

    async def move(self, person: str, device_id: str, actor: str, old: str | None = None) -> Moved:
        """End the person's live phone and make the waiting `device_id` the live one.

        `old` is the phone the officer saw as live; CONFLICT when it is another one by now. Two desks at once: one
        succeeds, the other gets CONFLICT.
        """
        now = self._clock.now()
        at, by = int(now.timestamp()), _word(actor, "actor")

        async def body(tx: Tx) -> Moved:
            known = await store.of_person(tx, person)
            target = next((device for device in known if device.device_id == device_id), None)
            if target is None:
                raise Refused(Code.NOT_FOUND, "this person has no such phone waiting")
            if target.state is DeviceState.ACTIVE:
                return Moved(device_id, None)
            if target.state is DeviceState.SUSPENDED:
                raise Refused(Code.DEVICE_SUSPENDED, "that phone is suspended; release it instead")
            ended = await store.end_live_except(tx, person, device_id, "moved", at)
            if old is not None and ended != old:
                raise Refused(Code.CONFLICT, "another phone is live by now; look again")
            if not await store.change(tx, device_id, DeviceState.WAITING, DeviceState.ACTIVE, "", at):
                raise Refused(Code.CONFLICT, "that phone has just changed; look again")
            if ended is not None:
                await push_store.forget(tx, ended)
                await record(tx, Event(ended, "device", "ended", by, {"reason": "moved"}), now)
            await record(tx, Event(device_id, "device", "activated", by), now)
            return Moved(device_id, ended)

        try:
            return await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "somebody else moved this person's phone at the same moment") from None

    async def end(self, person: str, reason: str, actor: str) -> list[str]:
        """End every phone of the person; which ones."""
        now = self._clock.now()
        at, word, by = int(now.timestamp()), _word(reason, "reason"), _word(actor, "actor")

        async def body(tx: Tx) -> list[str]:
            ended = await store.end_all(tx, person, word, at)
            for device_id in ended:
                await push_store.forget(tx, device_id)
                await record(tx, Event(device_id, "device", "ended", by, {"reason": word}), now)
            return ended

        return await self._db.write(body)

    async def ended(self, after: int, limit: int = 100) -> list[tuple[int, Device]]:
        """Phones that ended after the end of this number, each with its own, in their order. No clock is asked: an end
        that is told late, or while a clock was wrong, still has the next number."""
        return await store.ended_after(self._db, after, max(1, min(limit, 1000)))

    async def last_end(self) -> int:
        """The number of the newest end. Lower than before: our database was put back to an earlier day."""
        return await store.last_end(self._db)

    async def prune(self) -> int:
        """Forget what can no longer be replayed; how many rows. And number what was ended without one."""
        at = int(self._clock.surely().timestamp())
        self._pruned = at

        async def body(tx: Tx) -> int:
            await store.number_the_rest(tx)
            return await store.forget_expired(tx, at)

        return await self._db.write(body)

    # --- shared ---

    async def admitted(self, request: SignedRequest, body: Callable[[Tx, Device, datetime], Awaitable[T]]) -> T:
        """Run `body` for the phone that signed `request`, once, in the transaction that remembers the request. Also for
        what else a phone asks of this role (`push.py`)."""
        now = self._clock.now()
        at = int(now.timestamp())
        proven = proofs.open_request(request, self.urls.provider, now)
        keep = proven.issued_at + proofs.WINDOW + 2 * proofs.SKEW

        async def admit(tx: Tx) -> T:
            device = await store.by_key(tx, proven.jkt)
            if device is None:
                raise Refused(Code.UNKNOWN_DEVICE, "this phone is not registered")
            if await store.seen(tx, device.device_id, proven.jti, keep):
                raise Refused(Code.INVALID_PROOF, "this request was made before; sign a new one")
            if await store.seen_count(tx, device.device_id, at, at + LONGEST_SEEN) > REQUESTS_PER_WINDOW:
                raise Refused(Code.TOO_OFTEN, "too many requests from this phone; try again in five minutes")
            return await body(tx, device, now)

        if not 0 <= int(self._clock.surely().timestamp()) - self._pruned < PRUNE_EVERY:
            await self.prune()
        return await self._db.write(admit)

    async def _settled(self, body: Body[T]) -> T:
        """Run `body` again when a unique index or a compare-and-swap says that somebody was faster."""
        for _ in range(4):
            try:
                return await self._db.write(body)
            except Duplicate:
                continue
        raise Refused(Code.CONFLICT, "too much is happening to this person's phones at once; try again")


async def _live(tx: Tx, person: str) -> Device | None:
    devices = await store.of_person(tx, person)
    return next((device for device in devices if device.state is not DeviceState.WAITING), None)


def must_be(device: Device, *states: DeviceState) -> None:
    if device.state in states:
        return
    match device.state:
        case DeviceState.SUSPENDED:
            raise Refused(Code.DEVICE_SUSPENDED, "this phone is suspended")
        case DeviceState.ENDED:
            raise Refused(Code.DEVICE_ENDED, "this phone's registration has ended")
        case DeviceState.WAITING:
            raise Refused(Code.PHONE_ALREADY_ACTIVE, "another phone is active; an officer can move the binding")
        case DeviceState.ACTIVE:
            raise Refused(Code.CONFLICT, "this phone is active")
        case _:
            assert_never(device.state)


def _word(value: str, name: str) -> str:
    if not _WORD.fullmatch(value):
        raise Refused(Code.MALFORMED, f"{name} is one short word")
    return value
