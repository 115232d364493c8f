"""Wiring of whoever asks: tills, websites, offline counters and every other way to put a question.

Promises: the verifier is built once, from the settings, and each way to ask adds its doors, promises and rounds in one
place. Trusts: the settings. Keeps: nothing (the house keeps it). Refuses: a relying party that never had an access
certificate here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from starlette.routing import BaseRoute

from . import __version__
from .db import Tx
from .errors import Code, Refused
from .formats.meet import relay_of
from .house import Foundation, House, Role, Round
from .keys import Signer, Vault
from .outbox import Handler
from .packing import living
from .verifier.asking.ending import Ending
from .verifier.asking.registrations import Registrations
from .verifier.login.bridge import Bridge
from .verifier.login.holdings import clients
from .verifier.login.keys import IdTokenSigner, Keys
from .verifier.login.web import routes as login_routes
from .verifier.privacy.requests import Privacy
from .verifier.privacy.web import routes as privacy_routes
from .verifier.relay import push_store
from .verifier.relay.gateway import Gateway
from .verifier.relay.gateway_web import routes as gateway_routes
from .verifier.relay.mailbox_web import routes as relay_routes
from .verifier.relay.mailboxes import Relay
from .verifier.relay.meet import Meetings
from .verifier.relay.meet_web import routes as meet_routes
from .verifier.relay.push import Pusher
from .verifier.relay.push_web import operations as push_operations
from .verifier.site import hosting as hosting_web
from .verifier.site.api import Api
from .verifier.site.api_web import Op, leads_back, operations
from .verifier.site.holdings import Holdings, keys, tills
from .verifier.site.hosting import ROUND, Hosting
from .verifier.site.openapi import document
from .verifier.site.shop_web import routes as shop_routes
from .verifier.till.checker_web import routes as offline_routes
from .verifier.till.kiosk import Access, Verifier
from .verifier.till.paper_web import routes as paper_routes
from .verifier.till.web import routes as verifier_routes

_log = structlog.get_logger("mapae.verifier")


async def verifier(house: House) -> None:
    """`house.verifier`, and the verifier's role. Whoever adds a way to ask adds a line to `doors`, `promises` or
    `rounds`, and builds it in a function of its own below."""
    f = house.foundation
    trust, vault = f.trust_reader(), f.keys("verifier").vault("file:verifier")
    access = access_of(house.foundation)
    basement, refresh = await living(house, trust, access.keys(), vault)
    house.access = access
    asking = house.verifier = Verifier(
        db=await f.database("verifier"), vault=vault, clock=f.clock, dice=f.dice,
        http=f.http, base=f.settings.base_url, trust=trust, country=f.country, access=access,
        own_queries=f.settings.demo, basement=basement,
    )  # fmt: skip
    asking.questions.registration = Registrations(f.http, f.settings.url_of("trust"), f.clock).of
    house.api = Api(
        db=await f.database("verifier"), vault=vault, clock=f.clock, dice=f.dice, questions=asking.questions
    )
    family_doors = await _family(house)
    pusher = await _pusher(house, vault)
    login_doors = await _login(house)
    relay, meetings = await _relay(house)
    hosting = house.hosting = await _hosting(house, access)
    privacy = Privacy(
        db=await f.database("verifier"), vault=vault, clock=f.clock, dice=f.dice, country=f.country,
        parties=access.keys(), own=asking.questions.purposes,
    )  # fmt: skip
    doors: list[BaseRoute] = [
        *verifier_routes(asking, meetings.collect),
        *meet_routes(asking, meetings),
        *relay_routes(relay),
        *family_doors,
        *paper_routes(asking),
        *offline_routes(asking, access, f.clock, f.dice),
        *shop_routes(asking, leads_back(house.api), digital_credentials=f.settings.digital_credentials),
        *_over_http(house, pusher),
        *privacy_routes(asking, privacy),
        *hosting_web.routes(hosting, *_on_behalf(house)),
        *login_doors,
    ]
    promises: dict[str, Handler] = pusher.promises()
    ending = Ending(access, f.clock)
    await ending.look()
    rounds: list[Round] = [(5, asking.sweep), (5, house.api.sweep), (5, relay.sweep), (3600, privacy.sweep), refresh]
    rounds += [(ROUND, hosting.round), (5, house.gateway.sweep), (5, house.login.sweep), (5, pusher.sweep)]
    rounds += [(3600, ending.look)]
    await house.add("verifier", Role(doors, promises, rounds))


async def _hosting(house: House, access: dict[str, Access]) -> Hosting:
    """Shops that applied to be asked for here; those of before are there from the start."""
    f = house.foundation

    db, trust = await f.database("verifier"), f.trust_reader()

    async def besides(tx: Tx, questions: list[str]) -> None:
        await push_store.drop_all(tx, questions)

    hosting = Hosting(
        db=db, clock=f.clock, http=f.http, trust_url=f.settings.url_of("trust"), trust=trust, keyring=_Keyring(f),
        shops=access, holdings=Holdings(db, f.clock, [tills(besides), keys(), clients()]), look_again=trust.look_again,
    )  # fmt: skip
    await hosting.open()
    return hosting


class _Keyring:
    """Of hosted parties: keys of the verifier, and certificates beside all others."""

    def __init__(self, f: Foundation) -> None:
        self._f = f

    def signer(self, name: str) -> Signer:
        return self._f.signer("verifier", name)

    def kept(self, name: str, signer: Signer) -> tuple[bytes, ...] | None:
        return self._f.certificates.usable(name, signer)

    def keep(self, name: str, der: bytes) -> None:
        self._f.certificates.keep(name, der)

    def destroy(self, name: str) -> None:
        self._f.certificates.drop(name)
        self._f.keys("verifier").forget(f"file:{name}")


def _on_behalf(house: House) -> tuple[Callable[[str], Awaitable[str]], Callable[[str, str], Awaitable[str]]]:
    """What a hosted party is given by its secret link: a till's code, a key of the HTTP interface."""

    async def invite(party: str) -> str:
        return (await house.verifier.invite(party)).code

    async def api_key(party: str, label: str) -> str:
        return (await house.api.make_key(party, label))[1]

    return invite, api_key


def _over_http(house: House, pusher: Pusher) -> list[BaseRoute]:
    """The doors of `house.api`."""
    f = house.foundation
    found: list[Op] = []
    found += operations(house.api, f.clock, lambda: document(found, f.settings.base_url, __version__))
    found += push_operations(pusher, house.api, f.clock)
    return [op.door() for op in found]


async def _pusher(house: House, vault: Vault) -> Pusher:
    """Questions to a named person's phone, for the API and for the gateway."""
    f = house.foundation
    pusher = Pusher(
        db=await f.database("verifier"), vault=vault, clock=f.clock, peers=f.peers("verifier"),
        questions=house.verifier.questions, api=house.api, gateway=house.gateway,
        phone_layout=f.country.identity.phone_layout,
    )  # fmt: skip
    house.gateway.push = pusher.family
    return pusher


async def _login(house: House) -> list[BaseRoute]:
    """`house.login`, the OpenID Connect bridge, and its doors."""
    f = house.foundation
    db, keys = await f.database("verifier"), f.keys("verifier")

    def opened(name: str, alg: str) -> IdTokenSigner:
        return keys.rsa(f"file:{name}") if alg == "RS256" else f.signer("verifier", name)

    house.login = Bridge(
        db=db, vault=keys.vault("file:login"), clock=f.clock, dice=f.dice, questions=house.verifier.questions,
        keys=Keys(db, f.clock, opened), base=f.settings.base_url,
    )  # fmt: skip
    return login_routes(house.login, house.verifier.questions, digital_credentials=f.settings.digital_credentials)


async def _relay(house: House) -> tuple[Relay, Meetings]:
    """Our own relay, and the way to whichever relay the shops use: our own unless the settings name another, and then
    answers are fetched there, for a shop's own verifier has no address that phones reach."""
    f = house.foundation
    ours = relay_of(f.settings.base_url)
    elsewhere = f.settings.relay_url.rstrip("/")
    relay = Relay(await f.database("verifier"), f.clock)
    return relay, Meetings(house.verifier.questions, f.http, [elsewhere or ours], reachable=not elsewhere)


async def _family(house: House) -> list[BaseRoute]:
    """`house.gateway`, for relying parties that speak the Korean message family, and its doors. After the API, whose
    keys say which relying party speaks."""
    f = house.foundation
    house.gateway = Gateway(
        db=await f.database("verifier"), clock=f.clock, dice=f.dice, questions=house.verifier.questions,
        services=f.settings.gateway_services,
    )  # fmt: skip
    return gateway_routes(house.gateway, house.api.key, f.settings.base_url)


def access_of(f: Foundation) -> dict[str, Access]:
    """The relying parties this process asks for, each with its key and certificate. One whose certificate is over is
    left out, and said: it must not keep all others from being asked for."""
    access = {}
    for shop in f.settings.relying_parties:
        key = f.signer("verifier", f"access-{shop}")
        x5c = f.certificates.usable(f"access-{shop}", key)
        if x5c is not None:
            access[shop] = Access(key, x5c)
        elif f.certificates.over(f"access-{shop}"):
            _log.error("an access certificate is over: it is not asked for", party=shop)
        else:
            raise Refused(
                Code.BAD_CONFIG,
                f"relying_parties: {shop} has no access certificate in date here; start the trust role first, or leave"
                " it out",
            )
    return access
