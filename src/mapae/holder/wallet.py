"""A wallet in Python, without screens: the library, the tests' citizen, the load generator.

Promises: the same protocols, checks and order of work as any wallet of the country; killed at any line, `resume`
finishes what was begun. Trusts: the base it was given and the trust list's key, or the trust policy in their place.
Keeps: what its store keeps. Refuses: issuers and relying parties the trust list or that policy does not know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mapae.clock import Clock, Dice, SystemClock, SystemDice
from mapae.errors import Code, Refused, step
from mapae.formats.jose import PublicKey
from mapae.formats.meet import relay_of
from mapae.formats.status import INVALID, RENEW, SUSPENDED, VALID, StatusToken
from mapae.formats.x509 import Profile

from .choose import Option
from .client import Attester, Clients
from .country import CountryTrust
from .credentials import Credentials
from .device import Device, DeviceStanding, Person, ReadCode
from .dpop import ClientHeaders, Dpop
from .face import Camera, FaceCheck, FaceSaid, FaceStanding
from .family import Family
from .issuance import Issuance, SignIn
from .mailbox import Mailbox
from .meet import Meet, Meeting
from .offer import ByCode, Offer, read_link
from .pocket import Keys, Pocket
from .presentation import Asked, Presentation, usable
from .qr import Codes
from .received import claims_of
from .store import Card, MemoryStore, Shown, Store
from .tap import TapBegun, Tapping, TapSaid
from .tokens import Tokens
from .trusted import Trust, Widened
from .wire import Wire

if TYPE_CHECKING:
    import httpx

STANDINGS = {VALID: "valid", INVALID: "invalid", SUSPENDED: "suspended", RENEW: "renew"}


class Wallet:
    """One holder's wallet.

    With `base`, a citizen's: the country's address with the roles under it; her phone is registered with its wallet
    provider, and its trust list says who is believed. `also` widens that list by a policy for strangers. Without `base`
    a wallet of no country: `trust` says who is believed, `attester` vouches for it where an issuer wants that.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str | None = None,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        dice: Dice | None = None,
        trust_key: Mapping[str, Any] | None = None,
        keys: Keys | None = None,
        trust: Trust | None = None,
        also: Trust | None = None,
        attester: Attester | None = None,
        client_id: str = "mapae-holder",
        camera: Camera | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._base = None if base is None else base.rstrip("/")
        self._wire = Wire(http)
        self._pocket = Pocket(store or MemoryStore(), clock, dice or SystemDice(), keys)
        self._registered = None if self._base is None else Device(self._pocket, self._wire, self._base)
        country = None
        if trust is None and self._base is not None:
            trust = country = CountryTrust(self._pocket, http, self._base, clock, trust_key)
        if trust is None:
            raise Refused(Code.BAD_CONFIG, "a wallet needs a country or a trust policy")
        self._trust: Trust = trust if also is None else Widened(trust, also)
        self._dpop = Dpop(self._pocket, self._wire)
        self._clients = Clients(self._pocket, self._wire, self._dpop, attester or self._registered, client_id)
        tokens = Tokens(self._pocket, self._dpop, self._clients)
        credentials = Credentials(self._pocket, self._wire, self._dpop, self._clients, tokens, self._trust)
        self._issuance = Issuance(self._pocket, self._wire, self._clients, tokens, credentials, self._trust)
        self._presentation = Presentation(self._pocket, self._wire, self._trust, self._base)
        self._meeting = Meet(self._pocket, self._wire, self._presentation)
        self.family = Family(self._wire, self._presentation)  # requests in the Korean message family
        self.mailbox = None if self._registered is None else Mailbox(self._registered)
        self._camera = camera
        introduced = None if country is None else country.introduced
        self.codes = Codes(self._pocket, self._trust, country, introduced)  # with no network: answer one, or show one

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
        found: dict[str, Any] = await self._of_mine("documents")
        return found

    async def looks(self) -> list[dict[str, Any]]:
        """What officers did with this person's record, the newest first."""
        found: list[dict[str, Any]] = (await self._of_mine("looks"))["looks"]
        return found

    async def _of_mine(self, what: str) -> Any:
        issuer = f"{self._base}/issuer"
        server = await self._issuance.server(issuer)
        client = await self._clients.authenticate(server, issuer)
        headers = {} if client is None else client(None)
        return (await self._wire.get(f"{issuer}/{what}", headers)).json()

    @property
    def _device(self) -> Device:
        if self._registered is None:
            raise Refused(Code.BAD_CONFIG, "this wallet belongs to no country")
        return self._registered

    # --- receiving ---

    async def offer(self, text: str) -> Offer:
        """What a QR text offers: whether by pre-authorized code, and with which transaction code, or by signing in."""
        return await self._issuance.read(text)

    async def receive(self, offer: str, tx_code: str | None = None) -> list[Card]:
        """The cards of an offer with a pre-authorized code. Fewer than offered while some are deferred: `resume` gets
        them. With a `camera` a face check that is asked for is answered until it passes or another way must be gone."""
        cards = await self._issuance.receive(offer, tx_code)
        if self._camera is not None and self.ask_again_at is not None:
            await self.prove_face(offer, self._camera)
        return cards

    async def face_standing(self, offer: str) -> FaceStanding:
        """What an order still waits for, once its offer has been redeemed."""
        return await (await self._faces()).standing(await self._subject(offer))

    async def prove_face(self, offer: str, camera: Camera) -> FaceSaid | None:
        """Look into the camera until the issuer has seen enough, or has seen too much. None: nobody asks for a face."""
        return await self._look_into(await self._faces(), await self._subject(offer), camera)

    async def _look_into(self, faces: FaceCheck, subject: str, camera: Camera) -> FaceSaid | None:
        said = None
        while (await faces.standing(subject)).by_camera:
            asked = await faces.challenge(subject)
            said = await faces.answer(asked, await camera(asked))
        return said

    async def begin_tap(self, document: str = "") -> TapBegun:
        """A card for whoever taps the chip of the physical one; also on a phone that waits to be the person's only
        one. The link is for whoever has a card reader."""
        key = self._pocket.keys.create()
        self._pocket.save()
        jkt = PublicKey.from_jwk(self._pocket.keys.signer(key).jwk).thumbprint
        return await Tapping(self._wire, *await self._own_issuer()).open(key, jkt, document)

    async def tapped(self, tap: TapBegun) -> TapSaid:
        """How it stands. With a `camera` a face check that is asked for is answered meanwhile."""
        asking = Tapping(self._wire, *await self._own_issuer())
        said = await asking.state(tap.session)
        if "face" in said.needs and self._camera is not None:
            await self._look_into(await self._faces(), f"tap:{tap.session}", self._camera)
            said = await asking.state(tap.session)
        return said

    async def refuse_tap(self, tap: TapBegun) -> TapSaid:
        return await Tapping(self._wire, *await self._own_issuer()).cancel(tap.session)

    async def receive_tapped(self, tap: TapBegun) -> list[Card]:
        """Say yes to what was proven, and fetch the cards."""
        said = await Tapping(self._wire, *await self._own_issuer()).confirm(tap.session)
        return await self._issuance.receive(said.offer, dpop_key=tap.dpop_key)

    async def _faces(self) -> FaceCheck:
        return FaceCheck(self._wire, *await self._own_issuer())

    async def _own_issuer(self) -> tuple[str, Callable[[], Awaitable[ClientHeaders | None]]]:
        """The country's issuer, and how this wallet proves itself there."""
        if self._base is None:
            raise Refused(Code.BAD_CONFIG, "this wallet belongs to no country")
        issuer = f"{self._base}/issuer"
        server = await self._issuance.server(issuer)
        return issuer, lambda: self._clients.authenticate(server, issuer)

    async def _subject(self, offer: str) -> str:
        """The name of the order at the face checks' doors: that of its offer."""
        form, value = read_link(offer)
        if form != "reference" or not value.startswith(f"{self._base}/issuer/offers/"):
            raise Refused(Code.UNSUPPORTED, "only an offer of this country's issuer has a face check behind it")
        return "offer:" + value.rpartition("/")[2]

    async def authorize(self, offer: str, redirect_uri: str, *, details: bool = False) -> SignIn:
        """Begin an offer that wants the person to sign in. Open `url` for her; then `redeem` what comes back."""
        made = await self._issuance.read(offer)
        if made.by_code is None:
            raise Refused(Code.UNSUPPORTED, "the offer has no authorization code grant")
        return await self._issuance.authorize(
            made.issuer, made.configurations, redirect_uri, made.by_code, details=details
        )

    async def apply(
        self, issuer: str, configurations: Sequence[str], redirect_uri: str, *, details: bool = False
    ) -> SignIn:
        """The same without an offer: the wallet asks."""
        return await self._issuance.authorize(issuer, configurations, redirect_uri, ByCode(), details=details)

    async def redeem(self, redirect: str) -> list[Card]:
        """The cards, from the address the browser was sent back to."""
        return await self._issuance.redeem(redirect)

    @property
    def sign_ins(self) -> list[SignIn]:
        """Begun, and not yet redeemed; also after a restart."""
        return self._issuance.sign_ins()

    @property
    def ask_again_at(self) -> int | None:
        """When `resume` can fetch the next card that was deferred. None: nothing is waited for."""
        return self._issuance.deferred()

    async def resume(self) -> None:
        """Finish whatever a kill interrupted or an issuer deferred: registration, orders, acknowledgements.

        An order that cannot be finished does not keep the others from it; the first refusal is raised at the end.
        """
        self._presentation.settle()
        if self._pocket.state.assertion is not None and self._registered is not None:
            await self._registered.register()
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
            if card.order not in due and card.copies[0].status_uri and await self.check_status(card) == "renew":
                due.append(card.order)
        for order in due:
            await self._issuance.renew(order)
        return len(due)

    async def check_status(self, card: Card) -> str:
        """valid, invalid, suspended or renew: read from the issuer's whole list, so the issuer learns nothing."""
        issuer = (await self._trust.today()).issuer(card.issuer)
        left = [copy for copy in card.copies if not copy.used] or card.copies
        copy = left[0]
        with step("standing"):
            if not copy.status_uri:
                raise Refused(Code.STATUS_UNKNOWN, "the issuer keeps no status of this card")
            reply = await self._wire.get(copy.status_uri, {"Accept": "application/statuslist+jwt"}, limit=24 * 1024**2)
            reply.must_be_ok()
            token = StatusToken.parse(reply.body)
            now = self._pocket.now()
            signer = issuer.signer(token.x5c, Profile.STATUS_SIGNER, now)
            token.check(signer.key, copy.status_uri, now)
            standing = STANDINGS.get(token.list.read(copy.status_index))
            if standing is None:
                raise Refused(Code.STATUS_UNKNOWN, "the list holds a status without a meaning")
            return standing

    # --- showing ---

    async def open_request(self, text: str) -> Asked:
        """Who asks for what, checked. Sends nothing about the holder."""
        return await self._presentation.open(text)

    async def meet(self, relay: str | None = None) -> Meeting:
        """A one-time code to show, for whoever wants to ask; `relay`: another than the country's."""
        if relay is None and self._base is None:
            raise Refused(Code.BAD_CONFIG, "this wallet belongs to no country, so it needs to know a relay")
        return await self._meeting.begin(relay or relay_of(self._base or ""))

    async def met(self, meeting: Meeting, *, wait: int = 20) -> Asked | None:
        """Who asks for what, checked, once somebody has read the code; None: nobody yet."""
        return await self._meeting.hear(meeting, wait=wait)

    async def stop_meeting(self, meeting: Meeting) -> None:
        """The code is not shown any more; whoever reads it now hears that it is used."""
        await self._meeting.stop(meeting)

    async def open_browser_request(self, protocol: str, data: Mapping[str, Any], origin: str) -> Asked:
        """The same for a request of the Digital Credentials API; `origin` is the platform's word for who asks."""
        return await self._presentation.open_browser(protocol, data, origin)

    async def present(self, asked: Asked, option: Option | None = None) -> Shown:
        """Show it. `option`: one of `asked.options`, or matches put together by the holder; without it the verifier's
        preferred one. The person's browser goes to the `redirect_uri` of what comes back, if there is one."""
        return await self._presentation.answer(asked, option)

    def present_in_browser(self, asked: Asked, option: Option | None = None) -> tuple[Shown, dict[str, Any]]:
        """Show it through the Digital Credentials API: what to return as `data`."""
        return self._presentation.answer_browser(asked, option)

    async def refuse(self, asked: Asked) -> Shown:
        return await self._presentation.refuse(asked)
