"""The fictional country's people, offices and shops, and the page that shows the way in.

Promises: seeding twice is seeding once; `/demo.json` tells a script everything the start page tells a person. Where
roles run as processes of their own, the verifier's serves the start page and the issuer's the software passkeys.
Trusts: nobody is real here: names, numbers and portraits come from the pack and our own generator. Keeps: the software
passkeys of the demo's officers. Refuses: to run unless the settings say `demo = true`; a folder or a database that
holds something else.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .app import open_house
from .catalog import Country, parse_country
from .clock import SystemClock
from .config import ROLES, Settings, checked, country_tree
from .db import Tx
from .demo_ask import DemoAsk
from .demo_card import DemoCard
from .demo_chips import PIN, chips, holds_chip
from .demo_lives import lived
from .demo_login import sample_site
from .demo_offer import DemoOffer
from .demo_sandbox import Sandbox
from .demo_you import PATH as YOU
from .demo_you import DemoYou, you_of
from .errors import Code, Refused
from .formats.jose import PublicKey
from .formats.x509 import Subject, x509_hash
from .founding import OUR_WITNESSES, governors, witness_role
from .house import House, open_database
from .issuer import soft_authenticator
from .issuer.metadata import authorization_metadata, configuration_ids, issuer_metadata
from .issuer.officers import Officer
from .keys import Signer
from .registers.people import Named, parse_people
from .registers.portraits import portrait
from .rules import Words
from .trust.application import as_registered
from .trust.publish import Entry, RelyingParty
from .ui import gallery
from .ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body
from .ui.pages import page

BEGUN = "begun"
MARK = "demo-country"  # holds the day the country was made
RESIDENTS = 1500  # besides the named people; `mapae demo people --count` adds more
SURFACES = ("wallet", "desk", "checker", "portal", "inbox", "simulators", "log")
PATHS = {
    "wallet": "/wallet/",
    "desk": "/desk/",
    "checker": "/checker/",
    "portal": "/portal/",
    "inbox": "/carrier/inbox",
    "simulators": "/simulators/",
    "log": "/trust/log/",
}
KIT = {"offline": "/checker/offline/", "apply": "/rp/", "sandbox": "/sandbox/"}


Progress = Callable[[int], None]
EPOCH = 60  # seconds: a visitor can wait for a lock to reach the offline packs
_KEY = re.compile(r"[a-z0-9_-]{1,40}")


class _Ceremony(msgspec.Struct, forbid_unknown_fields=True):
    officer: str
    options: dict[str, Any]
    origin: str = ""


class Shop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relying party of the demo country, as the pack's shops.toml has it. `own_queries`: on its behalf `mapae demo
    ask --dcql` asks whatever somebody wrote."""

    name: dict[str, str]
    purposes: tuple[str, ...]
    own_queries: bool = False


def shops(country: str) -> dict[str, Shop]:
    return msgspec.convert(country_tree(country, "shops")["shops"], dict[str, Shop])


def demo_settings(**given: Any) -> Settings:
    """Settings of a demo country: every role, its shops, simulators."""
    return with_shops(checked(Settings(**{"demo": True, "epoch": EPOCH, "digital_credentials": True, **given})))


def with_shops(settings: Settings) -> Settings:
    """The same, asking on behalf of every shop of the pack unless the settings name some."""
    return msgspec.structs.replace(settings, relying_parties=settings.relying_parties or tuple(shops(settings.country)))


def _contact(base: str, party: str) -> str:
    """Our own door for requests to erase, where the address is one that a trust entry may name."""
    return f"{base}/privacy/{party}/requests" if base.startswith(("https://", "http://localhost")) else ""


async def found(house: House) -> None:
    """Register the demo's shops: an access certificate and the purposes each may ask for."""
    f, country = house.foundation, house.country
    entries: list[Entry] = []
    for id, shop in shops(house.settings.country).items():
        key = f.signer("verifier", f"access-{id}")
        x5c = f.certificates.given(f"access-{id}", key)
        if x5c is None:
            subject = Subject(shop.name["en"], organization=shop.name["en"], country=country.code)
            host = urlsplit(house.settings.base_url).hostname or ""
            der = await house.registry.certify(
                id,
                PublicKey.from_jwk(key.jwk),
                subject,
                governors(f)[0],
                dns=(host,) if host.strip("0123456789.:") else (),
            )
            f.certificates.keep(f"access-{id}", der)
            x5c = (der,)
        purposes = tuple(as_registered(country.purposes[purpose], country) for purpose in shop.purposes)
        name = Words(ko=shop.name["ko"], en=shop.name["en"])
        contact = _contact(house.settings.base_url, id)
        entries.append(
            RelyingParty(id=id, name=name, x509_hash=x509_hash(x5c[0]), contact=contact, purposes=purposes)
        )  # fmt: skip
    if lacking := await house.registry.lacks(entries):
        await house.registry.ensure(lacking, *governors(f))


async def prepare(settings: Settings, residents: int = RESIDENTS, progress: Progress = lambda done: None) -> bool:
    """Make a new demo country in the settings' data folder; False when it is there already.

    It is built beside its place and moved there when whole, so a kill leaves nothing half made: the next try throws
    away what was begun, in the database too. Raises Refused(BAD_CONFIG) when the folder or the database holds something
    else.
    """
    place = Path(settings.data).absolute()
    if is_made(settings):
        return False
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise Refused(Code.BAD_CONFIG, f"{place} holds something that is not a demo country: choose another --data")
    country, now = parse_country(country_tree(settings.country)), SystemClock().now()
    building = place.with_name(f"{place.name}.building")
    begun = building / BEGUN  # which database a try that did not end was filling
    ours = begun.is_file() and begun.read_text(encoding="ascii") == _fingerprint(settings)
    await clear_databases(settings, sure=ours)
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(parents=True, mode=0o700)
    begun.write_text(_fingerprint(settings), encoding="ascii")
    (building / MARK).write_text(country.today(now).isoformat(), encoding="ascii")
    there = msgspec.structs.replace(settings, data=str(building), roles=ROLES, role_urls={}, sms_url="")

    async def seed(house: House) -> None:
        await Demo(house).seed(residents=0)

    people = parse_people(country_tree(settings.country), country).named(country.today(now))
    await lived(there, country, people, now, found, seed)
    house = await open_house(there, founding=found)
    await Demo(house).more_people(residents, "mapae", progress)
    await house.close()
    if place.exists():
        place.rmdir()
    building.rename(place)
    (place / BEGUN).unlink()
    return True


def is_made(settings: Settings) -> bool:
    return (Path(settings.data) / MARK).is_file()


def _fingerprint(settings: Settings) -> str:
    return hashlib.sha256(settings.database.encode()).hexdigest()


async def clear_databases(settings: Settings, *, sure: bool) -> int:
    """Drop every table of the roles' PostgreSQL databases; how many. SQLite files go with their folder.

    Raises Refused(BAD_CONFIG) unless `sure` when there is anything.
    """
    if not settings.database:
        return 0
    dropped = 0
    for role in (*ROLES, "carrier", *map(witness_role, OUR_WITNESSES)):
        db = await open_database(settings, role)
        tables = [row["tablename"] for row in await db.all(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        )]  # fmt: skip
        if tables and sure:

            async def drop(tx: Tx, tables: list[str] = tables) -> None:
                for table in tables:
                    await tx.run(f'DROP TABLE "{table}" CASCADE')

            await db.write(drop)
        await db.close()
        if tables and not sure:
            raise Refused(
                Code.BAD_CONFIG,
                f"the database of {role} holds something already: choose another --database, or forget what it holds"
                " with `mapae demo reset --database`",
            )
        dropped += len(tables)
    return dropped


def _born_on(house: House) -> date:
    """The day the demo country was made: "turned 17 today" was true then, and numbers must not change."""
    mark = house.foundation.data / MARK
    if mark.exists():
        return date.fromisoformat(mark.read_text(encoding="ascii").strip())
    return house.country.today(house.clock.now())


def _endpoints(country: Country, base: str) -> dict[str, str]:
    """Every address the issuer's metadata names."""
    said = {**issuer_metadata(country, base, {}), **authorization_metadata(country, base)}
    return {name: value for name, value in sorted(said.items()) if name.endswith("_endpoint")}


def _certificate(der: bytes) -> dict[str, str]:
    return {"der": base64.b64encode(der).decode(), "pem": ssl.DER_cert_to_PEM_cert(der)}


def _officers(names: Mapping[str, Sequence[str]], country: Country) -> tuple[Officer, ...]:
    """`officer-<office>` and, for whatever takes two, `officer-<office>-2`."""
    return tuple(
        Officer(f"officer-{office}" + (f"-{place}" if place > 1 else ""), name, office)
        for office in country.offices
        for place, name in enumerate(names[office], start=1)
    )


class Demo:
    """The demo country on top of a house; each door is where the role is that it needs."""

    def __init__(self, house: House) -> None:
        if not house.settings.demo:
            raise Refused(Code.BAD_CONFIG, "the demo country runs only where the settings say demo = true")
        self._house = house
        self._base = house.settings.base_url
        self._today = _born_on(house)
        pack = country_tree(house.settings.country, "people", "generator", "officers")
        self._generator = parse_people(pack, house.country)
        self._officers = _officers(msgspec.convert(pack["officers"], dict[str, tuple[str, ...]]), house.country)
        self._people = self._generator.named(self._today)
        self._own_queries = tuple(id for id, shop in shops(house.settings.country).items() if shop.own_queries)

    @property
    def people(self) -> tuple[Named, ...]:
        return self._people

    async def seed(self, progress: Progress = lambda done: None, *, residents: int = RESIDENTS) -> int:
        """Load people and appoint officers; how many residents are new. Nothing happens the second time."""
        before = await self._house.population.count()
        if before < len(self._people):
            await self._house.population.load(named.resident for named in self._people)
            await self.more_people(residents, "mapae", progress)
        for officer in self._officers:
            await self._appoint(officer)
        await chips(self._house, self._people)
        await sample_site(self._house)
        return await self._house.population.count() - before

    async def more_people(self, count: int, seed: str, progress: Progress) -> int:
        before = await self._house.population.count()
        people = self._generator.residents(count=count, seed=seed, today=self._today)
        await self._house.population.load(people, progress)
        return await self._house.population.count() - before

    async def _appoint(self, officer: Officer) -> None:
        officers = self._house.officers
        await officers.appoint(officer, actor="demo")
        if not await officers.passkeys(officer.id):
            knock, options = await officers.begin_passkey(officer.id)
            answer = soft_authenticator.make(self._key(officer.id), options, officers.site.origin)
            await officers.add_passkey(officer.id, knock, msgspec.json.encode(answer).decode(), "demo")

    def _key(self, officer: str) -> Signer:
        if not _KEY.fullmatch(officer):
            raise Refused(Code.NOT_FOUND, "no such officer")
        return self._house.foundation.signer("demo", officer)

    # --- doors -----------------------------------------------------------------------------------------------------

    def routes(self) -> list[Door]:
        anyone: dict[str, Any] = {"caller": Caller.ANYONE}
        often = Rate(120, 60)
        there: list[Door] = []
        if "verifier" in self._house.roles:
            there += [
                *gallery.routes(),
                door("GET", "/", self._start, answer=Answer.PAGE, **anyone),
                door("GET", "/demo.json", self._json, answer=Answer.JSON, cors=True, **anyone),
                door("GET", "/demo/portraits/{key}", self._portrait, answer=Answer.JSON, **anyone),
                *DemoAsk(self._house, self._own_queries).routes(),
            ]
        if "issuer" in self._house.roles:
            there += DemoCard(self._house).routes() if self._house.country.chip is not None else []
            there += [
                door("POST", "/demo/authenticator/assert", self._assert, answer=Answer.JSON, rate=often, **anyone),
                door("POST", "/demo/authenticator/register", self._register, answer=Answer.JSON, rate=often, **anyone),
            ]
        there += Sandbox(self._house, self._people).routes()
        return [*there, *DemoOffer(self._house, self._people).routes(), *DemoYou(self._house, self._people).routes()]

    async def _start(self, request: Request) -> Response:
        you = self._base + YOU if you_of(self._people) is not None and self._house.country.face is not None else ""
        country = self._house.country
        first = next(one for one in country.documents.values() if one.issued_here)
        age = next((one for one in country.purposes.values() if one.anyone), None)
        return page(request, "demo/start.html", you=you, card=first.name, age=age, **await self._facts())

    async def _json(self, request: Request) -> Response:
        return json_answer(await self._facts())

    async def _facts(self) -> dict[str, Any]:
        base, country = self._base, self._house.country
        listed = await self._house.foundation.trust() if self._house.foundation.trust is not None else None
        parties = listed.relying_parties if listed is not None else ()
        documents = [document for document in country.documents.values() if document.issued_here]
        return {
            "country": {"code": country.code, "name": msgspec.to_builtins(country.name)},
            "base_url": base,
            "surfaces": {
                name: base + PATHS[name] for name in SURFACES if name != "simulators" or country.chip is not None
            },
            "roles": {
                "issuer": {
                    "credential_issuer": f"{base}/issuer",
                    "metadata": f"{base}/.well-known/openid-credential-issuer/issuer",
                    "authorization_server": f"{base}/.well-known/oauth-authorization-server/issuer",
                    "endpoints": _endpoints(country, base),
                    "credential_configuration_ids": [
                        id for document in documents for id in configuration_ids(country, document.id)
                    ],
                    "anchors": [_certificate(der) for entry in listed.issuers for der in entry.ca] if listed else [],
                },
                "verifier": {
                    "url": f"{base}/verifier",
                    "client_ids": {party.id: f"x509_hash:{party.x509_hash}" for party in parties},
                },
                "wallet_provider": {
                    "url": f"{base}/wallet-provider",
                    "client_id": f"{base}/wallet/",
                    "anchors": {entry.id: [_certificate(der) for der in entry.ca] for entry in listed.wallet_providers}
                    if listed
                    else {},
                },
                "trust": {
                    "list": f"{base}/trust/list",
                    "key": f"{base}/trust/key",
                    "access_anchors": [_certificate(der) for der in listed.access_ca] if listed else [],
                },
                "identity": {"url": f"{base}/identity"},
                "carrier": {"messages": f"{base}/carrier/inbox.json"},
            },
            "officers": [
                {
                    "id": officer.id,
                    "name": officer.name,
                    "office": officer.office,
                    "office_name": msgspec.to_builtins(country.offices[officer.office].name),
                    "authenticator": f"{base}/demo/authenticator/assert",
                }
                for officer in self._officers
            ],
            "kit": {name: base + path for name, path in KIT.items()},
            "shops": [await self._shop(party) for party in parties if party.id in self._house.settings.relying_parties],
            "people": [self._person(named) for named in self._people],
        }

    async def _shop(self, shop: RelyingParty) -> dict[str, Any]:
        invitation = await self._house.verifier.invite(shop.id)
        return {
            "id": shop.id,
            "name": msgspec.to_builtins(shop.name),
            "purposes": [purpose.id for purpose in shop.purposes],
            "till": f"{self._base}/checker/?code={invitation.code}",
            "website": f"{self._base}/shops/{shop.id}/",
            "code": invitation.code,
        }

    def _person(self, named: Named) -> dict[str, Any]:
        who = named.resident
        return {
            "key": named.key,
            "name": who.name,
            "name_latin": who.name_latin,
            "resident_number": who.number.written,
            "birth_date": who.number.birth_date.isoformat(),
            "phones": list(who.phones),
            "municipality": who.municipality,
            "odd": {"ko": named.odd.ko, "en": named.odd.en},
            "portrait": f"{self._base}/demo/portraits/{named.key}" if who.photo_seed else None,
            "chip": {"card": who.card.number, "pin": PIN} if who.card is not None and holds_chip(named) else None,
        }

    async def _portrait(self, request: Request) -> Response:
        for named in self._people:
            if named.key == request.path_params["key"] and named.resident.photo_seed:
                who = named.resident
                age = self._today.year - who.number.birth_date.year
                picture = portrait(who.photo_seed, age=age, sex=who.number.sex)
                return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "max-age=86400"})
        raise Refused(Code.NOT_FOUND, "no portrait of that name")

    async def _assert(self, request: Request) -> Response:
        """The simulator of a passkey: signs for a demo officer without asking anybody for a finger."""
        return await self._ceremony(request, soft_authenticator.assert_)

    async def _register(self, request: Request) -> Response:
        return await self._ceremony(request, soft_authenticator.make)

    async def _ceremony(self, request: Request, act: Callable[[Signer, Mapping[str, Any], str], Any]) -> Response:
        asked = await json_body(request, _Ceremony)
        if asked.officer not in {officer.id for officer in self._officers}:
            raise Refused(Code.NOT_FOUND, "no such officer")
        if asked.origin not in ("", self._house.officers.site.origin):
            raise Refused(Code.BAD_PASSKEY, "the simulator signs for the desk's own origin only")
        return json_answer(act(self._key(asked.officer), asked.options, self._house.officers.site.origin))
