"""The only wiring: settings in, a running house out.

Promises: every role is built here once, with all its collaborators; roles in this process reach each other through the
same HTTP interfaces as roles elsewhere. Trusts: the settings. Keeps: nothing (the house keeps it). Refuses: to start
with an unreadable pack, key or certificate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.routing import BaseRoute

from .asking import verifier
from .catalog import Country
from .certificates import ANCHOR_LIFE
from .certified import Authority, Certified, ending, voice_of
from .clock import Clock, Dice, SystemClock, SystemDice
from .config import Settings, country_tree, sms_key
from .db import Db
from .errors import Code, Refused
from .formats import p256
from .formats.x509 import Profile, Subject
from .founding import first_checkpoint, found_registry, governors, open_log, publish_schemas
from .house import Foundation, House, Role, Round
from .issuer import authorize_web, desk_web, epochs_web, portal_web
from .issuer.anchoring import AnchorsLog
from .issuer.authorization import Attesters
from .issuer.authorize import Authorize
from .issuer.desk import Desk
from .issuer.epochs import Epochs
from .issuer.identity import Identity
from .issuer.issue import Issuer
from .issuer.looks import Looks
from .issuer.looks_web import routes as looks_routes
from .issuer.officers import Officers, Site
from .issuer.portal import Portal
from .issuer.status import Seal, StatusLists
from .issuer.web import routes as issuer_routes
from .onchain import account_named
from .packing import publishing
from .proofing import cards, faces, papers, simulators, taps
from .registers.carrier import SimulatedCarrier
from .registers.carrier_web import carrier_routes
from .registers.identity import Carrier, IdentityCheck
from .registers.population import Population, PopulationClient
from .registers.telling import Telling
from .registers.web import naming_routes, telling_routes
from .registers.web import routes as registers_routes
from .simulators.push import PATH as PUSH_SIMULATOR
from .simulators.push import SimulatedPushService
from .trust import ledger_web, witness_web
from .trust import publish as trusted
from .trust.checkpoints import origin
from .trust.complaints import Complaints
from .trust.complaints_web import routes as complaints_routes
from .trust.explorer_web import Explorer
from .trust.lint import rules_of
from .trust.on_behalf import OnBehalf
from .trust.onboarding import Onboarding, Vouched
from .trust.onboarding_web import routes as onboarding_routes
from .trust.publish import Entry, TrustList
from .trust.purposes import Purposes
from .trust.purposes_web import routes as purposes_routes
from .trust.reader import TrustReader
from .trust.registration_web import Registrations
from .trust.registry import AccessCa, Registry
from .trust.signers import Purpose
from .trust.web import routes as trust_routes
from .ui.http import Door
from .verifier.site.hosting import PATH as HOSTED
from .wallet_provider.attest import Attester, Urls
from .wallet_provider.devices import WalletProvider
from .wallet_provider.push import Pushes, Services
from .wallet_provider.push_web import routes as push_routes
from .wallet_provider.web import routes as wallet_routes

ISSUER = "issuer:issuer"  # our own, as the registry names it
ACCESS_CA = "access_ca:access-ca"
WALLET_PROVIDER = "wallet-provider"  # our own, among those of the trust list
# Which role speaks to the log for which of our own parties.
VOICES = {ISSUER: "issuer", f"wallet_provider:{WALLET_PROVIDER}": "wallet_provider", ACCESS_CA: "trust"}

More = Callable[[House], Sequence[BaseRoute]]
Founding = Callable[[House], Awaitable[None]]


async def open_house(
    settings: Settings,
    *,
    clock: Clock | None = None,
    dice: Dice | None = None,
    country: Country | None = None,
    founding: Founding | None = None,
    more: More = lambda house: (),
    rates: bool = True,
    line: httpx.AsyncBaseTransport | None = None,
) -> House:
    """Build every role the settings name and put their doors into one application (`house.site`).

    `country` stands in for the pack the settings name. `founding` runs once trust is there and before anybody relies
    on it (the demo registers its shops). `more` adds doors of its own (the demo's start page). `rates=False` switches
    rate limits off, for load tests. `line` is the way to what answers under base_url, for drills that cut it.
    """
    p256.use(settings.engine, settings.batch_engine)
    house = House(Foundation(settings, clock or SystemClock(), dice or SystemDice(), country, line))
    build = {
        "registers": _registers, "trust": _trust, "wallet_provider": _wallet_provider, "issuer": _issuer,
        "verifier": verifier,
    }  # fmt: skip
    unknown = set(settings.roles) - set(build)
    if unknown:
        raise Refused(Code.BAD_CONFIG, f"there is no role {sorted(unknown)[0]}; the roles are {', '.join(build)}")
    for role in build:
        if role in settings.roles:
            house.foundation.publish_key(role, house.foundation.signer(role, "peer").jwk)
            await build[role](house)
        if role == "trust" and role in settings.roles and founding is not None:
            await founding(house)
    house.open(more(house), rates=rates)
    if "trust" in house.roles:
        await first_checkpoint(house)
    return house


async def _registers(house: House) -> None:
    f = house.foundation
    db, vault = await f.database("registers"), f.keys("registers").vault("file:resident-numbers")
    house.population = Population(db, vault, f.clock, f.country.number)
    key = sms_key(f.data)
    carrier = Carrier(f.http, f.settings.sms_url or f"{f.settings.url_of('registers')}/carrier/messages", key)
    house.identity = IdentityCheck(
        db, vault, f.clock, f.dice, scheme=f.country.number, rules=f.country.identity,
        signer=f.signer("registers", "peer"), carrier=carrier,
    )  # fmt: skip
    telling = Telling(db, vault, f.clock, carrier)
    naming = naming_routes(house.population, f.country.identity.phone_layout)
    doors = [*registers_routes(house.population, house.identity), *telling_routes(telling), *naming]
    await house.add("registers", Role(doors))
    if not f.settings.sms_url:
        house.carrier = SimulatedCarrier(await f.database("carrier"), f.clock, f.dice, key=key)
        await house.add("carrier", Role(carrier_routes(house.carrier)))


async def _trust(house: House) -> None:
    f = house.foundation
    await open_log(house)
    signer = f.signer("trust", "list")
    f.publish_key("trust-list", signer.jwk)
    house.registry = await registry_of(house)
    doors = [
        *trust_routes(house.registry, f.country),
        *ledger_web.routes(await f.database("trust"), house.ledger, house.checkpoints),
        *witness_web.routes(house.witnesses),
        *purposes_routes(Purposes(f.country, signer, f.clock)),
        *complaints_routes(await complaints_of(house)),
        *Explorer(await f.database("trust"), house.ledger, house.checkpoints, f.clock).doors(),
    ]
    packs, due = await publishing(house, signer)
    house.onboarding = await onboarding_of(house, house.checkpoints.vouched)
    registrations = Registrations(house.registry, signer, f.settings.base_url, f.clock)
    doors += [*registrations.routes(), *_applying(house)]
    certified = await _certified(house, "trust", ACCESS_CA)
    promises = house.registry.promises() | dict(certified.promises()) | house.onboarding.promises()
    await house.add(
        "trust",
        Role([*doors, *packs], promises, rounds=[(1, house.checkpoints.tick), due, (10, house.onboarding.round)]),
    )
    await found_registry(house, _founding_entries(f))
    await certified.anchor(_access_ca(f))
    await certified.bare_key(signer, Purpose.LIST_SIGNER, f.clock.now() + ANCHOR_LIFE)
    await publish_schemas(house, voice_of(house, "issuer", ISSUER))


async def complaints_of(house: House) -> Complaints:
    async def listed() -> TrustList:
        return (await house.registry.published()).list

    return Complaints(await house.foundation.database("trust"), house.foundation.clock, listed)


async def registry_of(house: House) -> Registry:
    """The registry on the house's log."""
    f = house.foundation
    askable = {item for document in f.country.documents.values() for item in document.may_be_asked}
    return Registry(
        db=await f.database("trust"), signer=f.signer("trust", "list"), clock=f.clock, dice=f.dice,
        may_be_asked=askable, ledger=house.ledger, origin=origin(f.settings.base_url),
        access=AccessCa(f.signer("trust", "access-ca"), _access_ca(f), f.signer("trust", "voice")),
    )  # fmt: skip


async def onboarding_of(house: House, vouched: Vouched | None = None) -> Onboarding:
    """How organisations come to be relying parties, on the house's registry."""
    f = house.foundation
    host = urlsplit(f.settings.base_url).hostname or ""
    checker = on_behalf(house)
    return Onboarding(
        db=await f.database("trust"), clock=f.clock, dice=f.dice, country=f.country,
        rules=rules_of(country_tree(f.settings.country, "lint")), registry=house.registry,
        hosted=checker.key, let_go=checker.let_go, hosts=(host,) if host.strip("0123456789.:[]") else (),
        vouched=vouched,
    )  # fmt: skip


def on_behalf(house: House) -> OnBehalf:
    """What the verifier does for parties that have none, over its peer doors."""
    peers = house.foundation.peers("trust")

    async def call(name: str, message: Mapping[str, Any]) -> dict[str, Any]:
        return await peers.call("verifier", f"{HOSTED}/{name}", message)

    return OnBehalf(call)


def _applying(house: House) -> list[Door]:
    """The page; in the demo country with its governors' keys to be pressed."""
    f = house.foundation
    pressed = governors(f)[:2] if f.settings.demo else []
    return onboarding_routes(house.onboarding, f.clock, on_behalf(house), f.settings.base_url, pressed)


def _founding_entries(f: Foundation) -> list[Entry]:
    """Who is trusted from the first day: our own issuer, wallet provider and access authority."""
    documents = [document.formats for document in f.country.documents.values() if document.formats is not None]
    name = f.country.name
    issuer, wallet_provider, trust = (f.signer(role, "voice") for role in ("issuer", "wallet_provider", "trust"))
    return [
        trusted.Issuer(
            id="issuer", name=name, ca=(issuing_authority(f),), status_prefix=f"{f.settings.base_url}/issuer/status/",
            vcts=tuple(formats.sd_jwt.vct for formats in documents if formats.sd_jwt is not None),
            doctypes=tuple(formats.mdoc.doctype for formats in documents if formats.mdoc is not None),
            logged=True, voice=issuer.kid, account=account_named(f, issuer),
        ),
        trusted.WalletProvider(
            id=WALLET_PROVIDER, name=name, ca=(_wallet_ca(f),), logged=True,
            voice=wallet_provider.kid, account=account_named(f, wallet_provider),
        ),
        trusted.AccessAuthority(
            id="access-ca", name=name, ca=(_access_ca(f),), voice=trust.kid, account=account_named(f, trust)
        ),
    ]  # fmt: skip


def _subject(f: Foundation, name: str) -> Subject:
    return Subject(f"{f.country.name.en} {name}", organization="mapae", country=f.country.code)


def issuing_authority(f: Foundation) -> bytes:
    if f.elsewhere("issuer", "issuing-ca"):
        held = f.certificates.held("issuing-ca")
        if held is None:
            raise Refused(
                Code.BAD_CONFIG, "the issuing authority's key is elsewhere, and its certificate is not here: `mapae ca"
                " import` it"
            )  # fmt: skip
        return held
    return f.certificates.anchor("issuing-ca", _subject(f, "Issuing CA"), f.signer("issuer", "issuing-ca"))


def _wallet_ca(f: Foundation) -> bytes:
    return f.certificates.anchor(
        "wallet-ca", _subject(f, "Wallet Provider CA"), f.signer("wallet_provider", "wallet-ca")
    )


def _access_ca(f: Foundation) -> bytes:
    return f.certificates.anchor("access-ca", _subject(f, "Access CA"), f.signer("trust", "access-ca"))


async def _wallet_provider(house: House) -> None:
    f = house.foundation
    certified = await _certified(house, "wallet_provider", f"wallet_provider:{WALLET_PROVIDER}")
    ca = Authority(f.signer("wallet_provider", "wallet-ca"), _wallet_ca(f))
    await certified.anchor(ca.der)
    key, x5c = await certified.signer(
        "attester", Profile.WALLET_PROVIDER, _subject(f, "Wallet Provider"), f.signer("wallet_provider", "attester"),
        ca, Purpose.ATTESTER,
    )  # fmt: skip
    house.wallet_provider = WalletProvider(
        await f.database("wallet_provider"), f.clock, f.dice, urls=Urls(f.settings.base_url),
        attester=Attester(key, x5c), identity_keys=_identity_keys(f),
    )  # fmt: skip
    prune = (300, house.wallet_provider.prune)
    house.pushes = Pushes(
        db=await f.database("wallet_provider"), clock=f.clock, vault=f.keys("wallet_provider").vault("file:push"),
        provider=house.wallet_provider, signer=f.signer("wallet_provider", "push"), http=f.http,
        services=_push_services(f), named=PopulationClient(f.peers("wallet_provider")).named,
    )  # fmt: skip
    doors = [*wallet_routes(house.wallet_provider), *push_routes(house.pushes)]
    promises = dict(certified.promises()) | house.pushes.promises()
    role = Role(doors, promises, rounds=[prune, (30, house.pushes.sweep)])
    await house.add("wallet_provider", role)
    if f.settings.demo:
        house.push_service = SimulatedPushService(f.clock, f.dice, f.settings.base_url)
        await house.add("push_service", Role(house.push_service.doors()))


def _push_services(f: Foundation) -> Services:
    """In a demo also the simulated one, whose address is our own."""
    local = f"{f.settings.base_url}{PUSH_SIMULATOR}" if f.settings.demo else ""
    return Services(f.settings.push_services, f.settings.push_contact or f.settings.base_url, local)


def _identity_keys(f: Foundation) -> Callable[[str | None], Mapping[str, str] | None]:
    """The registers role signs identity assertions with its peer key."""

    def lookup(kid: str | None) -> Mapping[str, str] | None:
        key = f.public_key("registers")
        return key.jwk if key is not None and kid in (None, "", key.thumbprint) else None

    return lookup


async def _issuer(house: House) -> None:
    f, base = house.foundation, house.settings.base_url
    db, peers = await f.database("issuer"), f.peers("issuer")
    register = PopulationClient(peers)
    keys = f.keys("issuer")
    trust = house.foundation.trust_reader()
    certified = await _certified(house, "issuer", ISSUER)
    await certified.anchor(issuing_authority(f))
    documents = await _seal(certified, "document-signer", Profile.DOCUMENT_SIGNER, Purpose.DOCUMENT_SIGNER)
    house.issuer = Issuer(
        db=db, clock=f.clock, dice=f.dice, vault=keys.vault("file:issuer"), base=base, country=f.country,
        documents=documents,
        statuses=await _seal(certified, "status-signer", Profile.STATUS_SIGNER, Purpose.STATUS_SIGNER),
        register=register, peers=peers, attesters=_Attesters(trust),
    )  # fmt: skip
    await house.issuer.recover()
    house.officers = Officers(db, f.clock, f.dice, Site(_host(base), f"mapae {f.country.name.en}", base))
    house.desk = Desk(db, f.clock, f.dice, keys.vault("file:desk"), f.country, register, peers, house.issuer, register)
    identity_url = f"{f.settings.url_of('registers')}/identity"
    identity = Identity(clock=f.clock, keys=_identity_keys(f), peers=peers, http=f.http, url=identity_url)
    house.portal = Portal(
        db, f.clock, f.dice, keys.vault("file:portal"), f.country, house.issuer, identity, register
    )  # fmt: skip
    house.authorize = Authorize(
        db=db, clock=f.clock, dice=f.dice, vault=keys.vault("file:authorize"), country=f.country,
        grants=house.issuer.grants, identity=identity,
    )  # fmt: skip
    simulator = f"{f.settings.url_of('issuer')}/demo/authenticator"
    demo = desk_web.DemoAuthenticator(simulator, f.http) if f.settings.demo else None
    house.epochs = _epochs(f, db, house.issuer.lists)
    face_doors, face_rounds = await faces(house, register)
    desk_doors = desk_web.routes(house.desk, house.officers, demo, house.faces)
    await simulators(house)
    paper_doors, paper_round = await papers(house, documents, register)
    card_doors, card_promises, card_rounds = await cards(house, register, demo)
    tap_doors, tap_promises, tap_rounds = await taps(house, register, peers)
    routes = [
        *issuer_routes(house.issuer, house.authorize),
        *looks_routes(Looks(db, house.issuer.grants, f.country), base),
        *desk_doors,
        *face_doors,
        *paper_doors,
        *card_doors,
        *tap_doors,
        *portal_web.routes(house.portal),
        *authorize_web.routes(house.authorize, f.dice),
        *epochs_web.routes(house.epochs),
    ]
    rounds: list[Round] = [
        (300, house.issuer.prune), (300, house.authorize.prune), (10, house.issuer.follow_devices), paper_round,
        (min(5, f.settings.epoch), house.epochs.cut_when_due), *face_rounds, *card_rounds, *tap_rounds,
    ]  # fmt: skip
    promises = house.issuer.promises() | house.epochs.promises() | dict(certified.promises())
    promises |= card_promises | tap_promises
    await house.add("issuer", Role(routes, promises, rounds))


def _epochs(f: Foundation, db: Db, lists: StatusLists) -> Epochs:
    ours = origin(f.settings.base_url)
    log = AnchorsLog(f.peers("issuer"), f.clock, ISSUER, ours, f.signer("issuer", "voice"))
    return Epochs(db, f.clock, lists, ISSUER, timedelta(seconds=f.settings.epoch), log)


async def _seal(certified: Certified, name: str, profile: Profile, purpose: Purpose) -> Seal:
    f = certified.foundation
    elsewhere = f.elsewhere("issuer", "issuing-ca")
    ca = Authority(None if elsewhere else f.signer("issuer", "issuing-ca"), issuing_authority(f))
    return Seal(*await certified.signer(name, profile, signer_subject(f, name), f.signer("issuer", name), ca, purpose))


def signer_subject(f: Foundation, name: str) -> Subject:
    return _subject(f, name.replace("-", " ").title())


async def _certified(house: House, role: str, party: str) -> Certified:
    db = await house.foundation.database(role)
    return Certified(house.foundation, db, voice_of(house, role, party), ending(house))


class _Attesters:
    """Whose wallet attestations count, from the trust list; parsed again only when the list changes."""

    def __init__(self, trust: TrustReader) -> None:
        self._trust = trust
        self._of: TrustList | None = None
        self._attesters = Attesters((), WALLET_PROVIDER)

    async def __call__(self) -> Attesters:
        current = await self._trust()
        if current is not self._of:
            self._of = current
            self._attesters = Attesters.listed(current, WALLET_PROVIDER)
        return self._attesters


def _host(base: str) -> str:
    return urlsplit(base).hostname or "localhost"
