"""A house: the roles of one process, what they stand on, and the work they do in the background.

Promises: every role is built here once, with all its collaborators; roles in this process reach each other through the
same HTTP interfaces as roles elsewhere. Trusts: the settings. Keeps: open databases, background loops, the HTTP client;
`close()` ends them in order. Refuses: to start with an unreadable pack, key or certificate.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from .catalog import Country, parse_country
from .certificates import Certificates
from .clock import Clock, Dice
from .config import ELSEWHERE, ROLES, Settings, country_tree, passphrase
from .db import Db, connect, migrate
from .errors import Code, Refused, where
from .formats.jose import PublicKey
from .issuer.authorize import Authorize
from .issuer.cards.authority import ChipAuthority
from .issuer.cards.desk_web import CardOffice
from .issuer.cards.register import IssuedCards
from .issuer.desk import Desk
from .issuer.epochs import Epochs
from .issuer.face.checks import FaceChecks
from .issuer.face.values import PhotoJudge
from .issuer.issue import Issuer
from .issuer.officers import Officers
from .issuer.papers.issue import Papers
from .issuer.portal import Portal
from .issuer.tap.sessions import Taps
from .keys import KeyStore, Signer
from .outbox import Handler, Outbox
from .peers import Gate, Inside, Peers
from .registers.carrier import SimulatedCarrier
from .registers.identity import IdentityCheck
from .registers.population import Population
from .simulators.later import Ahead
from .simulators.push import SimulatedPushService
from .simulators.web import Simulators
from .trust.checkpoints import Checkpoints
from .trust.engine import Ledger
from .trust.onboarding import Onboarding
from .trust.pack.build import Packs
from .trust.reader import TrustReader
from .trust.registry import Registry
from .trust.witness import Witness
from .ui.http import Caller, Door, doors, raw_body
from .ui.site import application
from .verifier.login.bridge import Bridge
from .verifier.relay.gateway import Gateway
from .verifier.site.api import Api
from .verifier.site.hosting import Hosting
from .verifier.till.kiosk import Access, Verifier
from .wallet_provider.devices import WalletProvider
from .wallet_provider.push import Pushes

INSIDE = "http://house.invalid"  # this very process, whatever its address (RFC 2606: never a name of anybody)
_WORD = re.compile(r"[a-z_-]{1,64}")
_log = structlog.get_logger("mapae.app")


@lru_cache(maxsize=1)
def _authorities() -> ssl.SSLContext:
    """Whose certificates other people's servers have: a long list, read once a process."""
    return httpx.create_ssl_context(trust_env=False)


class Foundation:
    """What every role stands on: settings, time, chance, the pack, keys, the HTTP client and the way to its peers."""

    def __init__(
        self, settings: Settings, clock: Clock, dice: Dice, country: Country | None = None,
        line: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.clock, self.dice = settings, clock, dice
        self.country = country or parse_country(country_tree(settings.country))
        self.zone = ZoneInfo(self.country.timezone)
        self.data = Path(settings.data)
        self.site: Starlette | None = None
        self.trust: TrustReader | None = None
        self.databases: dict[str, Db] = {}
        self._keys: dict[str, KeyStore] = {}
        self._public: dict[str, PublicKey] = {}
        self._passphrase = passphrase(self.data)
        self.certificates = Certificates(self.data / "certificates", clock, dice)
        # Where every role lives here, what we ask of base_url is answered without the network. A process that runs some
        # of the roles goes out like everybody else: what it wants is behind the proxy or at `role_urls`, or on a line.
        together = line is None and set(ROLES) <= set(settings.roles)
        way = line or httpx.ASGITransport(app=self._answer, client=("127.0.0.1", 0))
        mounts: dict[str, httpx.AsyncBaseTransport | None] = {INSIDE: way}
        if together or line is not None:
            mounts[settings.base_url] = way
        self._inside = Inside(settings.base_url, self._answer) if together else None
        self.http = httpx.AsyncClient(
            mounts=mounts, timeout=10, follow_redirects=False, trust_env=False, verify=_authorities()
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.site is None:
            raise RuntimeError("the house is not open yet")
        await self.site(scope, receive, send)

    def keys(self, role: str) -> KeyStore:
        if role not in self._keys:
            self._keys[role] = KeyStore(self.data / "keys" / role, self._passphrase)
        return self._keys[role]

    def elsewhere(self, role: str, name: str) -> bool:
        """Whether the key is on no machine of ours (`mapae ca`)."""
        return self.settings.keys.get(f"{role}/{name}") == ELSEWHERE

    def signer(self, role: str, name: str) -> Signer:
        """The role's key of this name, made on first use."""
        if self.elsewhere(role, name):
            raise Refused(Code.BAD_CONFIG, f"{role}/{name} is elsewhere: `mapae ca request` asks it for a certificate")
        uri = self.settings.keys.get(f"{role}/{name}", f"file:{name}")
        self.keys(role).create(uri)
        return self.keys(role).signer(uri)

    async def database(self, role: str) -> Db:
        if role not in self.databases:
            db = await open_database(self.settings, role)
            await migrate(db, role)
            self.databases[role] = db
        return self.databases[role]

    def peers(self, role: str) -> Peers:
        return Peers(role, self.signer(role, "peer"), self.settings.url_of, self.http, self.clock, self._inside)

    def publish_key(self, name: str, jwk: Mapping[str, str]) -> None:
        """Let the other roles of this installation know a public key."""
        folder = self.data / "public"
        folder.mkdir(parents=True, exist_ok=True)
        path, wanted = folder / f"{name}.jwk", msgspec.json.encode(jwk)
        if not path.exists() or path.read_bytes() != wanted:
            draft = path.with_name(f".{name}.{self.dice.token(6)}")  # another process may be reading
            draft.write_bytes(wanted)
            draft.replace(path)
            self._public.pop(name, None)

    def public_key(self, name: str) -> PublicKey | None:
        """A published key of this installation, or None."""
        if name not in self._public:
            path = self.data / "public" / f"{name}.jwk"
            if not _WORD.fullmatch(name) or not path.is_file():
                return None
            self._public[name] = PublicKey.from_jwk(msgspec.json.decode(path.read_bytes(), type=dict[str, str]))
        return self._public[name]

    def trust_reader(self) -> TrustReader:
        """The trust list as everybody else reads it. Raises Refused(BAD_CONFIG) without the key it is signed with."""
        if self.trust is None:
            key = self.public_key("trust-list")
            if key is None:
                raise Refused(
                    Code.BAD_CONFIG, "the trust list's key is not in the data folder: start the trust role first"
                )
            self.trust = TrustReader(self.http, f"{self.settings.url_of('trust')}/trust/list", key, self.clock)
        return self.trust


async def open_database(settings: Settings, role: str) -> Db:
    """The role's database. Raises Refused(BAD_CONFIG) when it cannot be reached."""
    try:
        return await connect(settings.database_url(role))
    except (OSError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = f"the database of {role} does not open ({type(error).__name__})"
        raise Refused(Code.BAD_CONFIG, f"{why}: is it running, and is `database` right?") from None


@asynccontextmanager
async def role_database(settings: Settings, role: str) -> AsyncIterator[Db]:
    """The role's database, migrated, for a command that needs nothing else of the house."""
    db = await open_database(settings, role)
    try:
        await migrate(db, role)
        yield db
    finally:
        await db.close()


Round = tuple[float, Callable[[], Awaitable[object]]]


@dataclass
class Role:
    """One role as `open_house` builds it: its doors, what its outbox must do, what it does every so many seconds."""

    routes: Sequence[BaseRoute]
    promises: dict[str, Handler] = field(default_factory=dict)
    rounds: Sequence[Round] = ()


class House:
    """Every role of this process, running. The roles below are there when the settings name them."""

    ledger: Ledger
    checkpoints: Checkpoints
    witnesses: dict[str, Witness]
    population: Population
    identity: IdentityCheck
    carrier: SimulatedCarrier
    registry: Registry
    onboarding: Onboarding
    wallet_provider: WalletProvider
    pushes: Pushes
    push_service: SimulatedPushService  # in a demo
    issuer: Issuer
    officers: Officers
    desk: Desk
    faces: FaceChecks | None = None  # where the country has face rules
    photo_judge: PhotoJudge | None = None
    portal: Portal
    papers: Papers
    cards: CardOffice | None = None  # where the country has cards with a chip
    card_clock: Ahead | None = None  # of the demo's physical cards
    chips: ChipAuthority
    issued_cards: IssuedCards
    taps: Taps
    simulators: Simulators
    authorize: Authorize
    epochs: Epochs
    access: Mapping[str, Access]  # with what the verifier asks for each relying party
    verifier: Verifier
    gateway: Gateway
    api: Api
    hosting: Hosting
    login: Bridge
    packs: Packs

    def __init__(self, foundation: Foundation) -> None:
        self.foundation = foundation
        self.witnesses = {}
        self.settings, self.clock = foundation.settings, foundation.clock
        self.country = foundation.country
        self.roles: dict[str, Role] = {}
        self.outboxes: dict[str, Outbox] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.endings: list[Callable[[], Awaitable[object]]] = []  # what else runs and must be ended with the house

    @property
    def site(self) -> Starlette:
        if self.foundation.site is None:
            raise RuntimeError("the house is not open yet")
        return self.foundation.site

    async def add(self, name: str, role: Role) -> None:
        self.roles[name] = role
        for route in doors(role.routes):
            if route.caller is Caller.PEER:
                _guard(route, Gate(name, self.foundation.public_key, self.clock))
        if role.promises:
            self.outboxes[name] = Outbox(await self.foundation.database(name), self.clock, role.promises)

    def open(self, more: Sequence[BaseRoute] = (), *, rates: bool = True) -> None:
        """Put all doors into one application."""
        routes = [route for role in self.roles.values() for route in role.routes]
        self.foundation.site = application(
            [*routes, *more],
            clock=self.clock,
            https=self.settings.base_url.startswith("https:"),
            zone=self.foundation.zone,
            demo=self.settings.demo,
            rates=rates,
        )

    def start(self) -> None:
        """Begin the background work: outboxes and rounds."""
        for outbox in self.outboxes.values():
            self._tasks.append(asyncio.create_task(outbox.run_forever()))
        self._tasks.append(asyncio.create_task(_every("certificates", 3600, self._look_at_certificates)))
        for name, role in self.roles.items():
            for seconds, work in role.rounds:
                self._tasks.append(asyncio.create_task(_every(name, seconds, work)))

    async def _look_at_certificates(self) -> None:
        """They are renewed where a process starts; say in good time that it should."""
        # Those of relying parties are for governors to renew (verifier/asking/ending.py); a demo does it at its start.
        theirs = set() if self.settings.demo else {f"access-{party}" for party in self.settings.relying_parties}
        due = [one for one in self.foundation.certificates.due()
               if one not in theirs and not one.startswith("hosted-")]  # fmt: skip
        if due:
            _log.warning("certificates are due: start this process again to renew them", names=due)

    async def settle(self) -> None:
        """Do all promised work that is due now; tests call this instead of `start`."""
        for _ in range(5):
            if not sum([await outbox.run_once() for outbox in self.outboxes.values()]):
                break
        if "trust" in self.roles:
            await self.checkpoints.tick()

    async def turn(self) -> None:
        """What `start` keeps doing, once and now: every round, then what is due. For who moves the clock himself."""
        for name, role in self.roles.items():
            for _, work in role.rounds:
                await _once(name, work)
        await self.settle()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self.endings:
            try:
                await end()
            except Exception as failed:  # noqa: BLE001  the databases are closed all the same
                _log.error("something did not end well", kind=type(failed).__name__)
        await self.foundation.http.aclose()
        for db in self.foundation.databases.values():
            await db.close()


def _guard(route: Door, gate: Gate) -> None:
    inner = route.handler

    async def guarded(request: Request) -> Response:
        body = await raw_body(request)
        request.state.peer = gate.admit(request.headers.get("authorization"), request.url.path, body)
        return await inner(request)

    route.handler = guarded


async def _every(role: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _once(role, work)


async def _once(role: str, work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except Refused as refused:
        _log.warning("round refused", role=role, code=refused.code.value)
    except Exception as bug:  # noqa: BLE001 must not escape: the next round may succeed, and the role serves meanwhile
        _log.error("round failed", role=role, kind=type(bug).__name__, where=where(bug))
