"""A counter hall whose issuer also issues to whoever taps a card: a register of issued cards, phones that wait, a line
for helpers, and everything one may break about them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

import chips
import taps
from issuing import BASE, START, Hall, Phone, new_key
from mapae import outbox
from mapae.clock import SystemDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.issuer.evidence import Need
from mapae.issuer.face.checks import CameTo, Standing, Subject
from mapae.issuer.ic_card import infos, lds
from mapae.issuer.ic_card.ec import Pair
from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.passive import Anchors
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.tap import web
from mapae.issuer.tap.chip import ChipProver
from mapae.issuer.tap.notices import Notices
from mapae.issuer.tap.remote import Remote
from mapae.issuer.tap.sessions import Taps
from mapae.issuer.tap.values import Read
from mapae.issuer.web import routes
from mapae.keys import Vault
from mapae.rules import ChipRules
from mapae.tapping import Inside, Link, Ready, tap
from mapae.ui.site import application

SOD = b"a document security object"


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Issued:
    """A physical card as the register of issued cards has it."""

    person: str = "jisoo"
    number: str = "M12345678"
    state: str = "active"
    chip_key_hash: bytes = sha(b"dg14")
    expires: date = date(2034, 5, 1)


@dataclass
class Cards:
    """The register of issued cards. `silent`: it does not answer."""

    by: dict[bytes, Issued] = field(default_factory=lambda: {sha(SOD): Issued()})
    silent: bool = False
    asked: int = 0

    async def by_sod(self, digest: bytes) -> Issued | None:
        self.asked += 1
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "the register of cards does not answer")
        return self.by.get(digest)

    def mark(self, state: str, sod: bytes = SOD) -> None:
        self.by[sha(sod)] = replace(self.by[sha(sod)], state=state)


class Faces:
    """Face checks as they turn out."""

    def __init__(self) -> None:
        self.came = CameTo(None, spent=False)
        self.standing = Standing((Need.FACE,), by_face=True, tries_left=5, model=None)
        self.asked: list[str] = []

    async def came_to(self, subject: str, asked: str) -> CameTo:
        self.asked.append(asked)
        return self.came

    async def standing_of(self, subject: Subject) -> Standing:
        return self.standing


class ToldChip:
    """A chip that a test speaks for: two commands, and the number the chip names is the answer to the second."""

    def __init__(self, sod: bytes, dg14: bytes) -> None:
        self.digest, self.key_hash, self.point = sha(sod), sha(dg14), b"\x04" + bytes(64)

    def talk(self) -> Generator[bytes, bytes, Read]:
        first = yield b"select"
        if first != b"ok":
            raise Refused(Code.CHIP_REFUSED, "not the chip of that key", step="chip")
        number = yield b"read"
        return Read(self.digest, number.decode())


class ToldProver:
    async def begin(self, card_access: bytes, sod: bytes, dg14: bytes) -> ToldChip:
        if not sod.startswith(b"a document"):
            raise Refused(Code.CHIP_REFUSED, "not signed by anybody we trust", step="sod")
        return ToldChip(sod, dg14)


class Phones:
    """The wallet provider, with phones that move: those that the hall's own provider knows by their client keys."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.moved: list[dict[str, Any]] = []
        self.silent = False
        self.fail_after_move = False

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert role == "wallet_provider", path
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "the wallet provider does not answer")
        if path.endswith("/active"):
            return self._active(message["person"])
        if path.endswith("/move"):
            return self._move(message)
        return await self.hall.provider.call(role, path, message)

    def suspend(self, message: Mapping[str, Any]) -> None:
        for one in self.of(message["person"]):
            if one["state"] == "active":
                one["state"] = "suspended"
            elif one["state"] == "waiting" and message.get("waiting"):
                one["state"] = "ended"

    def of(self, person: str) -> list[dict[str, Any]]:
        known = {one["device_id"]: one for one in self.hall.provider.phones.values() if one["person"] == person}
        return list(known.values())

    def _active(self, person: str) -> dict[str, Any]:
        live = next((one for one in self.of(person) if one["state"] in ("active", "suspended")), None)
        waiting = [{"device_id": one["device_id"]} for one in self.of(person) if one["state"] == "waiting"]
        return {"device_id": live and live["device_id"], "state": live and live["state"], "waiting": waiting}

    def _move(self, message: Mapping[str, Any]) -> dict[str, Any]:
        phones = self.of(message["person"])
        target = next((one for one in phones if one["device_id"] == message["device_id"]), None)
        if target is None or target["state"] == "ended":
            raise Refused(Code.NOT_FOUND, "no such phone waits")
        if target["state"] == "suspended":
            raise Refused(Code.DEVICE_SUSPENDED, "suspended")
        ended = None
        if target["state"] == "waiting":
            live = next((one for one in phones if one["state"] in ("active", "suspended")), None)
            if message.get("old") and (live is None or live["device_id"] != message["old"]):
                raise Refused(Code.CONFLICT, "another phone is live by now")
            if live is not None:
                live["state"], ended = "ended", live["device_id"]
            target["state"] = "active"
            self.moved.append(dict(message))
        if self.fail_after_move:
            raise Refused(Code.UNAVAILABLE, "the answer was lost")
        return {"device_id": message["device_id"], "ended": ended}


class TapHall(Hall):
    """A hall with the doors of the taps. `told`: what the registers were asked to tell."""

    def __init__(self, db: Db, *, rules: ChipRules | None = None, face: bool = False, prover: Any = None) -> None:
        self.cards, self.faces, self.told_people = Cards(), Faces(), []
        self.rules = rules or ChipRules(face="always" if face else "never")
        self.prover = prover or ToldProver()
        self.phones: Phones | None = None
        super().__init__(db, key=new_key)

    def opened(self, db: Db, checkpoint: Any = lambda name: None) -> Any:
        issuer = super().opened(db, checkpoint)
        self.phones = self.phones or Phones(self)
        notices = Notices(db, self.clock, Vault(b"the secret of the stop links, 32"), BASE, self, issuer.lock)
        self.notices = notices
        self.taps = Taps(
            db=db, clock=self.clock, dice=self.dice, country=self.country, rules=self.rules, issuer=issuer,
            register=self.register, peers=self.phones, cards=self.cards, notices=notices, faces=self.faces,
        )  # fmt: skip
        issuer.batches.guard = self.taps.still_active
        remote = Remote(self.taps, self.prover, self.clock, self.country)
        everything = [
            *routes(issuer, self.authorize), *web.routes(self.taps, BASE), *web.stop_routes(notices),
            *web.lines(remote, BASE),
        ]  # fmt: skip
        self.app = application(everything, clock=self.clock, rates=False)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE)
        self.outbox = outbox.Outbox(db, self.clock, {**issuer.promises(), **notices.promises()})
        return issuer

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """The registers, for the notices."""
        assert (role, path) == ("registers", "/registers/persons/tell")
        self.told_people.append(dict(message))
        return {"numbers": 1}

    async def stop_links(self) -> list[str]:
        await self.outbox.run_once()
        return [one["terms"]["link"].removeprefix(BASE) for one in self.told_people]


class TapPhone(Phone):
    """A wallet at the doors of the taps."""

    def __init__(self, hall: TapHall, person: str = "jisoo", state: str = "waiting", device: str = "new-phone") -> None:
        super().__init__(hall, person, state, device)
        self.session = self.secret = self.code = ""

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.hall.http.post(f"{BASE}{path}", json=body or {}, headers=self.attestation())

    async def begin(self, **body: Any) -> dict[str, Any]:
        answer = await self.ask("/issuer/tap/sessions", {"dpop_jkt": self.dpop_key.kid, **body})
        assert answer.status_code == 201, answer.text
        said: dict[str, Any] = answer.json()
        self.session, self.code = said["session"], said["code"]
        self.secret = Link.parse(said["link"].replace("http://mapae.test", "https://mapae.test")).secret
        return said

    async def state(self) -> dict[str, Any]:
        answer = await self.ask(f"/issuer/tap/sessions/{self.session}/state")
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    async def confirm(self) -> httpx.Response:
        return await self.ask(f"/issuer/tap/sessions/{self.session}/confirm")

    async def cancel(self) -> httpx.Response:
        return await self.ask(f"/issuer/tap/sessions/{self.session}/cancel")

    async def offered_code(self, uri: str) -> str:
        at = parse_qs(urlsplit(uri).query)["credential_offer_uri"][0]
        answer = await self.hall.http.get(at)
        assert answer.status_code == 200, answer.text
        grants = answer.json()["grants"]
        return str(next(iter(grants.values()))["pre-authorized_code"])


class Told:
    """A helper that says what a test wants, message by message."""

    def __init__(self, wire: Inside) -> None:
        self.wire = wire

    @classmethod
    async def open(cls, hall: TapHall) -> Told:
        return cls(await Inside.open(hall.app))

    async def say(self, **message: Any) -> dict[str, Any]:
        await self.wire.say(message)
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        said: dict[str, Any] = msgspec.json.decode(await self.wire.hear())
        return said

    async def hello(self, secret: str, version: int = 1) -> dict[str, Any]:
        return await self.say(type="hello", version=version, secret=secret)

    async def card(self, sod: bytes = SOD, dg14: bytes = b"dg14", access: bytes = b"infos") -> dict[str, Any]:
        return await self.say(type="card", card_access=b64u(access), sod=b64u(sod), dg14=b64u(dg14))

    async def answer(self, n: int, apdu: bytes) -> dict[str, Any]:
        return await self.say(type="answer", n=n, apdu=b64u(apdu))

    async def whole(self, secret: str, number: str = "M12345678") -> dict[str, Any]:
        """Everything, as an honest helper does it; the last message."""
        await self.hello(secret)
        said = await self.card()
        if said["type"] == "refused":
            return said
        await self.say(type="authenticated")
        await self.answer(1, b"ok")
        return await self.answer(2, number.encode())


# --- a real chip, as a program ----------------------------------------------------------------------------------------

SIGNED = chips.State(start=START - timedelta(days=10))


@dataclass
class Plastic:
    """A physical card that a state signed, in a reader; and its entry in the register of issued cards."""

    files: dict[int, bytes]
    sod: bytes
    pair: Pair
    number: str = chips.MRZ.number

    @classmethod
    def made(cls, groups: dict[int, bytes] | None = None, state: chips.State = SIGNED, word: str = "chip") -> Plastic:
        pair = chips.chip_key(word)
        groups = groups or chips.groups(pair)
        sod = state.sod(groups)
        files = {PROFILE_A.fid(number): content for number, content in groups.items()}
        files |= {PROFILE_A.sod_fid: sod, PROFILE_A.com_fid: lds.com()}
        files[PROFILE_A.card_access_fid] = infos.card_access()
        return cls(files, sod, pair)

    def card(self, seed: str = "tap") -> taps.Tap:
        key = self.pair.secret.to_bytes(32, "big")
        return taps.Tap(RamMemory(msgspec.structs.replace(taps.image(), files=self.files, chip_key=key)), seed=seed)

    def entered(self, hall: TapHall, **changed: Any) -> Plastic:
        issued = Issued(number=self.number, chip_key_hash=sha(self.pair.public.encode()))
        hall.cards.by[sha(self.sod)] = replace(issued, **changed)
        return self


class RealHall(TapHall):
    """The same hall with the issuer's own eyes for chips."""

    def __init__(self, db: Db, **more: Any) -> None:
        self.anchors = SIGNED.anchors(at=START)
        super().__init__(db, prover=None, **more)

    def opened(self, db: Db, checkpoint: Any = lambda name: None) -> Any:
        async def trusted() -> Anchors:
            return self.anchors

        self.prover = ChipProver(trusted, self.clock, SystemDice())
        return super().opened(db, checkpoint)


class Typing:
    """Somebody who types these PINs, one after the other, and the CAN when asked."""

    def __init__(self, *pins: str, can: str = taps.CAN) -> None:
        self.pins, self._can = list(pins or (taps.PIN,)), can
        self.ready: Ready | None = None
        self.left: list[int] = []

    async def shown(self, ready: Ready) -> None:
        self.ready = ready

    async def pin(self, tries_left: int, last: Refused | None) -> str:
        self.left.append(tries_left)
        if not self.pins:
            raise Refused(Code.ACCESS_DENIED, "nobody types any more")
        return self.pins.pop(0)

    async def can(self) -> str:
        return self._can


async def helped(hall: TapHall, phone: TapPhone, reader: Any, typing: Typing | None = None) -> int:
    """The helper of the product, on a line within this process."""
    wire = await Inside.open(hall.app)
    try:
        return await tap(wire, phone.secret, reader, typing or Typing(), SystemDice())
    finally:
        await wire.close()
