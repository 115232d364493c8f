"""A wallet in Python, without screens: the library, the tests' citizen, the load generator.

Promises: the same protocols, checks and order of work as any wallet of the country; killed at any line, `resume`
finishes what was begun. Trusts: the base it was given and the trust list's key. Keeps: what its store keeps. Refuses:
issuers and relying parties the trust list does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from mapae.clock import Clock, Dice, SystemClock, SystemDice
from mapae.errors import Code, Refused, step
from mapae.formats.status import INVALID, RENEW, SUSPENDED, VALID, StatusToken
from mapae.formats.x509 import Profile, check_chain

from .choose import Option
from .device import Device, DeviceStanding, Person, ReadCode
from .issuance import Issuance
from .pocket import Keys, Pocket
from .presentation import Asked, Presentation, usable
from .received import claims_of
from .store import Card, MemoryStore, Shown, Store
from .trusted import TrustSource
from .wire import Wire

STANDINGS = {VALID: "valid", INVALID: "invalid", SUSPENDED: "suspended", RENEW: "renew"}


class Wallet:
    """One holder's wallet. `base` is the country's address, with the roles under it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        dice: Dice | None = None,
        trust_key: Mapping[str, Any] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        clock = clock or SystemClock()
        self._wire = Wire(http)
        self._pocket = Pocket(store or MemoryStore(), clock, dice or SystemDice(), keys)
        self._trust = TrustSource(self._pocket, http, self._base, clock, trust_key)
        self._device = Device(self._pocket, self._wire, self._base)
        self._issuance = Issuance(self._pocket, self._wire, self._device, self._trust)
        self._presentation = Presentation(self._pocket, self._wire, self._trust)

    # --- what there is ---

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(self._pocket.state.cards.values())

    @property
    def history(self) -> tuple[Shown, ...]:
        return tuple(self._pocket.state.history)

    @property
    def device_id(self) -> str | None:
        return self._pocket.state.device_id

    def card(self, configuration: str) -> Card:
        """The newest card of a configuration."""
        found = [card for card in self.cards if card.configuration == configuration]
        if not found:
            raise Refused(Code.NOT_FOUND, "there is no such card")
        return max(found, key=lambda card: card.received)

    def claims(self, card: Card) -> dict[str, Any]:
        """Everything on the card, for the holder's own eyes."""
        return claims_of(card)

    def copies_left(self, card: Card) -> int:
        return usable(card, self._pocket.at())

    # --- the phone ---

    async def identify(self, person: Person, read_code: ReadCode) -> DeviceStanding:
        return await self._device.identify(person, read_code)

    async def standing(self) -> DeviceStanding:
        """Ask how this phone stands; the cards are erased when it is lost or has ended."""
        return await self._device.standing()

    async def give_up(self) -> DeviceStanding:
        return await self._device.give_up()

    async def documents(self) -> dict[str, Any]:
        """What this person could be issued, with where and what to bring."""
        issuer = f"{self._base}/issuer"
        headers = await self._device.client_headers(issuer)
        return (await self._wire.get(f"{issuer}/documents", headers())).json()

    # --- receiving ---

    async def receive(self, offer: str, tx_code: str | None = None) -> list[Card]:
        return await self._issuance.receive(offer, tx_code)

    async def resume(self) -> None:
        """Finish whatever a kill interrupted: registration, orders, acknowledgements.

        An order that cannot be finished does not keep the others from it; the first refusal is raised at the end.
        """
        self._presentation.settle()
        if self._pocket.state.assertion is not None:
            await self._device.register()
        first: Refused | None = None
        for order in self._issuance.unfinished():
            try:
                await self._issuance.finish(order)
            except Refused as refused:
                first = first or refused
        if first is not None:
            raise first

    async def renew(self, card: Card) -> list[Card]:
        """A new batch of this card and of those that came with it."""
        return await self._issuance.renew(card.order)

    async def renew_if_needed(self) -> int:
        """Renew what runs out of copies or time, or what the issuer marked; how many orders."""
        due = self._issuance.due(self._pocket.at())
        for card in self.cards:
            if card.order not in due and await self.check_status(card) == "renew":
                due.append(card.order)
        for order in due:
            await self._issuance.renew(order)
        return len(due)

    async def check_status(self, card: Card) -> str:
        """valid, invalid, suspended or renew: read from the issuer's whole list, so the issuer learns nothing."""
        issuer = (await self._trust.get()).issuer(card.issuer)
        left = [copy for copy in card.copies if not copy.used] or card.copies
        copy = left[0]
        with step("standing"):
            reply = await self._wire.get(copy.status_uri, {"Accept": "application/statuslist+jwt"}, limit=24 * 1024**2)
            reply.must_be_ok()
            token = StatusToken.parse(reply.body)
            now = self._pocket.now()
            signer = check_chain(token.x5c, issuer.anchors, now, Profile.STATUS_SIGNER)
            token.check(signer.key, copy.status_uri, now)
            standing = STANDINGS.get(token.list.read(copy.status_index))
            if standing is None:
                raise Refused(Code.STATUS_UNKNOWN, "the list holds a status without a meaning")
            return standing

    # --- showing ---

    async def open_request(self, text: str) -> Asked:
        """Who asks for what, checked. Sends nothing about the holder."""
        return await self._presentation.open(text)

    async def present(self, asked: Asked, option: Option | None = None) -> Shown:
        """Show it. `option`: one of `asked.options`; without it the verifier's preferred one."""
        return await self._presentation.answer(asked, option)

    async def refuse(self, asked: Asked) -> Shown:
        return await self._presentation.refuse(asked)
