"""Requests to the phone of a person whom a relying party names.

A request waits in the phone's mailbox here; the push that wakes the phone says nothing but "look", so that the push
service (Google's, Apple's, Mozilla's) learns neither who asks nor what. Decision 18.

Promises: whoever hands a request in is told the same, whether or not there is such a person, a phone, a wish not to be
asked; a phone sees its own mailbox alone, with requests of its own hand; a request and the promise to wake are one
write, so that a killed process wakes later; a phone that is suspended or has ended is neither woken nor shown anything.
Trusts: the registers for who it is, the verifier role for which relying party asks. Keeps: sealed requests for their
minutes; which party asked a phone for which purpose until that phone has it in its own history, a day at the most, and
an hour to count. Refuses: push addresses of hosts that are not listed, an address that is another phone's; silently,
more than `EACH` requests of one party and `ALL` of everybody.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import httpx
import msgspec
import structlog

from mapae import outbox
from mapae.audit import Event, record
from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing, b64u
from mapae.keys import Vault

from . import push_store as store
from . import webpush
from .devices import WalletProvider, must_be
from .proofs import SKEW, SignedRequest
from .push_store import Mail
from .store import Device, DeviceState, by_id, of_person
from .webpush import Subscription

KIND: Final = "push"
WAKE: Final = b"mapae"  # all a push says; sealed, so that a browser knows who says it
TOPIC: Final = "mapae"  # RFC 8030 5.4: of several wake-ups the last one is enough
LONGEST: Final = 600  # seconds a request waits
MOST_TEXT: Final = 4096
EACH: Final = 3  # requests of one party to one phone
EACH_IN: Final = 600  # in so many seconds
ALL: Final = 10  # and of everybody
ALL_IN: Final = 3600
KEPT: Final = 86400  # who tried, for a phone that was not opened
MOST_MUTED: Final = 200
PATIENCE: Final = 5.0  # seconds a push service has: they are asked one after the other
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PARTY: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_log = structlog.get_logger("mapae.wallet_provider")

Named = Callable[[str, date, str], Awaitable[str | None]]
"""The person with this name, birthday and phone number, if there is one."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as the verifier hands it in. `text` is what a QR code would hold."""

    id: str
    party: str
    purpose: str
    text: str
    name: str
    birth_date: date
    phone: str
    expires: int


@dataclass(frozen=True, slots=True)
class Waiting:
    id: str
    party: str
    purpose: str
    text: str
    at: int
    expires: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What waits, who tried, whom this phone does not want to hear, and whether it can be woken."""

    requests: tuple[Waiting, ...]
    tried: tuple[Mail, ...]
    muted: tuple[str, ...]
    subscribed: bool


@dataclass(frozen=True, slots=True)
class Services:
    """The push services we send to, and who we say we are. `local`: the simulator's address, in a demo."""

    hosts: Collection[str]
    contact: str
    local: str = ""


class Pushes:
    """One object a process; all state is in the database."""

    def __init__(
        self, *, db: Db, clock: Clock, vault: Vault, provider: WalletProvider, signer: Signing,
        http: httpx.AsyncClient, services: Services, named: Named,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._vault = db, clock, vault
        self._provider, self._signer, self._http = provider, signer, http
        self._services, self._named = services, named

    @property
    def provider(self) -> WalletProvider:
        return self._provider

    @property
    def key(self) -> str:
        """What a browser subscribes with: pushes signed by another key do not reach it (RFC 8292 4)."""
        return b64u(webpush.point(self._signer))

    def promises(self) -> dict[str, outbox.Handler]:
        return {KIND: self.wake}

    # --- the phone's side ---------------------------------------------------------------------------------------------

    async def subscribe(self, request: SignedRequest, endpoint: str, p256dh: str, auth: str) -> None:
        """Wake this phone there from now on. Raises Refused(CONFLICT) when that address is another phone's."""
        parsed = Subscription.parse(
            endpoint, p256dh, auth, services=self._services.hosts, local=self._services.local
        )  # fmt: skip
        plain = msgspec.json.encode([endpoint, p256dh, auth])
        at = self._at()

        async def body(tx: Tx, device: Device, now: Any) -> None:
            must_be(device, DeviceState.ACTIVE)
            sealed = self._vault.seal(plain, _context("push_subscription", device.device_id))
            if not await store.subscribe(tx, device.device_id, self._address(parsed.endpoint), sealed, at):
                raise Refused(Code.CONFLICT, "that push address is another phone's")
            await record(tx, Event(device.device_id, "device", "push_on", device.person), now)

        await self._provider.admitted(request, body)

    async def unsubscribe(self, request: SignedRequest) -> None:
        async def body(tx: Tx, device: Device, now: Any) -> None:
            if await store.unsubscribe(tx, device.device_id):
                await record(tx, Event(device.device_id, "device", "push_off", device.person), now)

        await self._provider.admitted(request, body)

    async def mailbox(self, request: SignedRequest) -> Mailbox:
        async def body(tx: Tx, device: Device, now: Any) -> tuple[list[Mail], list[str], bool]:
            must_be(device, DeviceState.ACTIVE)
            id = device.device_id
            return await store.mailbox(tx, id), await store.muted(tx, id), await store.subscribed(tx, id)

        found, muted, subscribed = await self._provider.admitted(request, body)
        at = self._at()
        requests, tried = [], []
        for mail in found:
            if mail.state == "waiting" and mail.sealed is not None and mail.expires > at:
                text = self._vault.open(mail.sealed, _context("push_mail", mail.id)).decode()
                requests.append(Waiting(mail.id, mail.party, mail.purpose, text, mail.at, mail.expires))
            else:
                tried.append(mail)
        return Mailbox(tuple(requests), tuple(tried), tuple(muted), subscribed)

    async def put_aside(self, request: SignedRequest, id: str) -> None:
        """The phone has dealt with it, or has it in its own history. Of another phone's: nothing happens."""

        async def body(tx: Tx, device: Device, now: Any) -> None:
            must_be(device, DeviceState.ACTIVE)
            await store.put_aside(tx, device.device_id, id[:64])

        await self._provider.admitted(request, body)

    async def mute(self, request: SignedRequest, parties: Sequence[str]) -> None:
        """Exactly these from now on; an empty word: everybody."""
        wanted = sorted(set(parties))
        if len(wanted) > MOST_MUTED or any(party and not _PARTY.fullmatch(party) for party in wanted):
            raise Refused(Code.MALFORMED, f"at most {MOST_MUTED} ids of relying parties")

        async def body(tx: Tx, device: Device, now: Any) -> None:
            must_be(device, DeviceState.ACTIVE)
            await store.mute(tx, device.device_id, wanted)
            for party in wanted:
                await store.close(tx, device.device_id, party)

        await self._provider.admitted(request, body)

    # --- the verifier's side ------------------------------------------------------------------------------------------

    async def post(self, posted: Posted) -> None:
        """1 its shape  2 whose it is  3 that person's phone  4 how often  5 whether it is wanted  6 waiting, and the
        promise to wake. From 2 on nothing is told. Raises Refused(MALFORMED), and UNAVAILABLE of the registers."""
        at = self._at()
        _must_be_post(posted)
        expires = min(posted.expires, at + LONGEST)
        if expires <= at:
            return
        try:
            person = await self._named(posted.name, posted.birth_date, posted.phone)
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                raise
            return
        if person is not None:
            await self._db.write(lambda tx: self._deliver(tx, posted, person, at, expires))

    async def _deliver(self, tx: Tx, posted: Posted, person: str, at: int, expires: int) -> None:
        await tx.serial(f"push:{person}")
        active = [one for one in await of_person(tx, person) if one.state is DeviceState.ACTIVE]
        if not active or await store.known(tx, posted.id):
            return
        device = active[0].device_id
        until = at + SKEW  # what was asked later than that was asked while the clock was ahead
        asked = await store.between(tx, device, at - ALL_IN, until)
        lately = (await store.between(tx, device, at - EACH_IN, until)).count(posted.party)
        if len(asked) >= ALL or lately >= EACH:
            return
        muted = await store.muted(tx, device)
        wanted = store.EVERYBODY not in muted and posted.party not in muted
        sealed = self._vault.seal(posted.text.encode(), _context("push_mail", posted.id)) if wanted else None
        state = "waiting" if wanted else "muted"
        await store.add(tx, Mail(posted.id, device, posted.party, posted.purpose, state, sealed, at, expires))
        if wanted and await store.subscribed(tx, device):
            await outbox.promise(tx, KIND, posted.id, {"id": posted.id}, self._clock.now())

    # --- waking -------------------------------------------------------------------------------------------------------

    async def wake(self, payload: Mapping[str, Any]) -> None:
        """Kept promise of `post`. What cannot succeed is given up; what may (429, 5xx, no answer) is raised, so that
        the outbox asks again, less and less often, until the request is over."""
        at = self._at()
        found = await store.to_wake(self._db, str(payload["id"]), at)
        if found is None:
            return
        device, address, sealed, expires = found
        phone = await by_id(self._db, device)
        if phone is None or phone.state is not DeviceState.ACTIVE:  # reported lost since
            return
        endpoint, p256dh, auth = msgspec.json.decode(
            self._vault.open(sealed, _context("push_subscription", device)), type=tuple[str, str, str]
        )
        try:
            subscription = Subscription.parse(
                endpoint, p256dh, auth, services=self._services.hosts, local=self._services.local
            )
        except Refused:  # the list of push services has changed since
            await store.gone(self._db, device, address)
            return
        status = await self._send(subscription, expires - at)
        if status in (404, 410):  # RFC 8030 7.3: that subscription is over
            await store.gone(self._db, device, address)
        elif status == 429 or status >= 500:
            raise Refused(Code.UNAVAILABLE, "the push service does not take this now")
        elif not 200 <= status < 300:  # ours to mend (RFC 8292 4.2, RFC 8030 7.2); the mailbox is there all the same
            _log.warning("push refused", status=status)

    async def _send(self, subscription: Subscription, ttl: int) -> int:
        headers = {
            "Authorization": webpush.vapid(
                self._signer, subscription.origin, self._services.contact, self._clock.now()
            ),
            "TTL": str(ttl), "Urgency": "high", "Topic": TOPIC,  # RFC 8030 5.2 to 5.4
            "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream",
        }  # fmt: skip
        body = subscription.seal(WAKE)
        try:
            # A stranger's server: no redirect is followed, and of its answer nothing but the status is read.
            async with self._http.stream(
                "POST", subscription.endpoint, content=body, headers=headers, timeout=PATIENCE, follow_redirects=False
            ) as answer:
                return answer.status_code
        except httpx.HTTPError:
            return 503

    async def sweep(self) -> None:
        at = self._at()
        await store.sweep(self._db, at, at - ALL_IN, at - KEPT)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _address(self, endpoint: str) -> bytes:
        return self._vault.index(endpoint, b"push_subscription.address")

    def _at(self) -> int:
        return int(self._clock.now().timestamp())


def _must_be_post(posted: Posted) -> None:
    if not _ID.fullmatch(posted.id) or not _PARTY.fullmatch(posted.party) or not _PARTY.fullmatch(posted.purpose):
        raise Refused(Code.MALFORMED, "id, party and purpose are short words")
    if not posted.text.startswith("openid4vp://") or len(posted.text) > MOST_TEXT or not posted.text.isascii():
        raise Refused(Code.MALFORMED, "what is pushed is an openid4vp link")


def _context(table: str, id: str) -> bytes:
    return f"{table}.sealed|{id}".encode()
