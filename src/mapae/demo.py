"""The fictional country's people, offices and shops, and the page that shows the way in.

Promises: seeding twice is seeding once; `/demo.json` tells a script everything the start page tells a person. Trusts:
nobody is real here: names, numbers and portraits come from the pack and our own generator. Keeps: the software
passkeys of the demo's officers. Refuses: to run unless the settings say `demo = true`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .app import open_house
from .catalog import parse_country
from .clock import SystemClock
from .config import Settings, country_tree
from .demo_lives import lived
from .errors import Code, Refused
from .formats.jose import PublicKey
from .formats.x509 import Subject, x509_hash
from .house import House
from .issuer import soft_authenticator
from .issuer.officers import Officer
from .keys import Signer
from .registers.people import Named, parse_people
from .registers.portraits import portrait
from .trust.publish import Entry, RelyingParty
from .ui import gallery
from .ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body
from .ui.pages import page

MARK = "demo-country"  # holds the day the country was made
RESIDENTS = 1500  # besides the named people; `mapae demo people --count` adds more
SURFACES = ("wallet", "desk", "checker", "portal", "inbox")
PATHS = {
    "wallet": "/wallet/",
    "desk": "/desk/",
    "checker": "/checker/",
    "portal": "/portal/",
    "inbox": "/carrier/inbox",
}
Progress = Callable[[int], None]
_KEY = re.compile(r"[a-z0-9_-]{1,40}")


class _Ceremony(msgspec.Struct, forbid_unknown_fields=True):
    officer: str
    options: dict[str, Any]
    origin: str = ""


class Shop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relying party of the demo country, as the pack's shops.toml has it."""

    name: dict[str, str]
    purposes: tuple[str, ...]


def shops(country: str) -> dict[str, Shop]:
    return msgspec.convert(country_tree(country)["shops"], dict[str, Shop])


def demo_settings(**given: Any) -> Settings:
    """Settings of a demo country: every role, its shops, simulators."""
    chosen = Settings(demo=True, **given)
    return msgspec.structs.replace(chosen, relying_parties=tuple(shops(chosen.country)))


async def found(house: House) -> None:
    """Register the demo's shops: an access certificate and the purposes each may ask for."""
    f, country = house.foundation, house.country
    entries: list[Entry] = []
    for id, shop in shops(house.settings.country).items():
        key = f.signer("verifier", f"access-{id}")
        x5c = f.certificates.given(f"access-{id}", key)
        if x5c is None:
            subject = Subject(shop.name["en"], organization=shop.name["en"], country=country.code)
            der = await house.registry.certify(id, PublicKey.from_jwk(key.jwk), subject, "demo")
            f.certificates.keep(f"access-{id}", der)
            x5c = (der,)
        purposes = [msgspec.to_builtins(country.purposes[purpose]) for purpose in shop.purposes]
        entries.append(
            msgspec.convert({"id": id, "name": shop.name, "x509_hash": x509_hash(x5c[0]), "purposes": [
                {name: value for name, value in purpose.items() if name != "document"} for purpose in purposes
            ]}, RelyingParty)
        )  # fmt: skip
    await house.registry.ensure(entries, "demo:1", "demo:2")


async def prepare(settings: Settings, residents: int = RESIDENTS, progress: Progress = lambda done: None) -> bool:
    """Make a new demo country in the settings' data folder; False when it is there already.

    It is built beside its place and moved there when whole, so a kill leaves nothing half made. Raises
    Refused(BAD_CONFIG) when the folder holds something else.
    """
    place, building = Path(settings.data), Path(f"{settings.data}.building")
    if (place / MARK).exists():
        return False
    if place.exists() and any(place.iterdir()):
        raise Refused(Code.BAD_CONFIG, f"{place} holds something that is not a demo country: choose another --data")
    if building.exists():
        shutil.rmtree(building)
    there = msgspec.structs.replace(settings, data=str(building))
    country, now = parse_country(country_tree(settings.country)), SystemClock().now()
    building.mkdir(parents=True, mode=0o700)
    (building / MARK).write_text(country.today(now).isoformat(), encoding="ascii")

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
    return True


def _born_on(house: House) -> date:
    """The day the demo country was made: "turned 17 today" was true then, and numbers must not change."""
    mark = house.foundation.data / MARK
    if mark.exists():
        return date.fromisoformat(mark.read_text(encoding="ascii").strip())
    return house.country.today(house.clock.now())


class Demo:
    """The demo country on top of a house that runs every role."""

    def __init__(self, house: House) -> None:
        if not house.settings.demo:
            raise Refused(Code.BAD_CONFIG, "the demo country runs only where the settings say demo = true")
        self._house = house
        self._base = house.settings.base_url
        self._today = _born_on(house)
        pack = country_tree(house.settings.country)
        self._generator = parse_people(pack, house.country)
        self._officers = msgspec.convert(pack["officers"], dict[str, str])
        self._people = self._generator.named(self._today)

    @property
    def people(self) -> tuple[Named, ...]:
        return self._people

    async def seed(self, progress: Progress = lambda done: None, *, residents: int = RESIDENTS) -> int:
        """Load people and appoint officers; how many residents are new. Nothing happens the second time."""
        before = await self._house.population.count()
        if before < len(self._people):
            await self._house.population.load(named.resident for named in self._people)
            await self.more_people(residents, "mapae", progress)
        for office in self._house.country.offices.values():
            await self._appoint(office.id)
        return await self._house.population.count() - before

    async def more_people(self, count: int, seed: str, progress: Progress) -> int:
        before = await self._house.population.count()
        people = self._generator.residents(count=count, seed=seed, today=self._today)
        await self._house.population.load(people, progress)
        return await self._house.population.count() - before

    async def _appoint(self, office: str) -> None:
        officers = self._house.officers
        officer = Officer(id=f"officer-{office}", name=self._officers[office], office=office)
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
        return [
            *gallery.routes(),
            door("GET", "/", self._start, answer=Answer.PAGE, **anyone),
            door("GET", "/demo.json", self._json, answer=Answer.JSON, cors=True, **anyone),
            door("GET", "/demo/portraits/{key}", self._portrait, answer=Answer.JSON, **anyone),
            door("POST", "/demo/authenticator/assert", self._assert, answer=Answer.JSON, rate=often, **anyone),
            door("POST", "/demo/authenticator/register", self._register, answer=Answer.JSON, rate=often, **anyone),
        ]

    async def _start(self, request: Request) -> Response:
        return page(request, "demo/start.html", **await self._facts())

    async def _json(self, request: Request) -> Response:
        return json_answer(await self._facts())

    async def _facts(self) -> dict[str, Any]:
        base, country = self._base, self._house.country
        parties = (await self._house.registry.published()).list.relying_parties
        return {
            "country": {"code": country.code, "name": msgspec.to_builtins(country.name)},
            "base_url": base,
            "surfaces": {name: base + PATHS[name] for name in SURFACES},
            "roles": {
                "issuer": {
                    "credential_issuer": f"{base}/issuer",
                    "metadata": f"{base}/.well-known/openid-credential-issuer/issuer",
                    "authorization_server": f"{base}/.well-known/oauth-authorization-server/issuer",
                },
                "verifier": {
                    "url": f"{base}/verifier",
                    "client_ids": {party.id: f"x509_hash:{party.x509_hash}" for party in parties},
                },
                "wallet_provider": {"url": f"{base}/wallet-provider", "client_id": f"{base}/wallet/"},
                "trust": {"list": f"{base}/trust/list", "key": f"{base}/trust/key"},
                "identity": {"url": f"{base}/identity"},
                "carrier": {"messages": f"{base}/carrier/inbox.json"},
            },
            "officers": [
                {
                    "id": f"officer-{office.id}",
                    "name": self._officers[office.id],
                    "office": office.id,
                    "office_name": msgspec.to_builtins(office.name),
                    "authenticator": f"{base}/demo/authenticator/assert",
                }
                for office in country.offices.values()
            ],
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
        if asked.officer not in {f"officer-{office}" for office in self._house.country.offices}:
            raise Refused(Code.NOT_FOUND, "no such officer")
        if asked.origin not in ("", self._house.officers.site.origin):
            raise Refused(Code.BAD_PASSKEY, "the simulator signs for the desk's own origin only")
        return json_answer(act(self._key(asked.officer), asked.options, self._house.officers.site.origin))
