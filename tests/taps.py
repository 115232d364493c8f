"""A physical card with a chip, a reader, and somebody who tries things with them."""

from __future__ import annotations

import io
from collections.abc import Generator
from datetime import date, timedelta
from functools import cache
from typing import TypeVar

import msgspec
from PIL import Image

from chips import PORTRAIT, START, State
from mapae.clock import SeededDice
from mapae.issuer.ic_card import chip_auth, infos, passive, terminal
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import ChipImage, FileMemory, RamMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.personalise import Blank, Holder, Pins, prepare, seal
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.reader import SimulatedReader, drive
from mapae.issuer.ic_card.secure import TerminalChannel

PIN, CAN, PUK, LETTER = "1234", "246810", "1234567890", "80351"
MRZ, FACE, DETAILS, KEYS, SOD = 0x0101, 0x0102, 0x010B, 0x010E, 0x011D
READ = (KEYS, MRZ, FACE, DETAILS, SOD)
STATE = State()
ANCHORS = STATE.anchors()
NOW = START + timedelta(days=30)
HOLDER = Holder(
    name_latin="Han Jisoo", name="한지수", address="세종특별자치시 한누리대로 2130", number="K12345678",
    birth_date=date(2001, 3, 9), sex="female", nationality="KOR", expires=date(2036, 11, 2), portrait=PORTRAIT,
)  # fmt: skip
Answer = TypeVar("Answer")


@cache
def blank(*, detailed: bool = False) -> Blank:
    """Jisoo's chip before it is signed; `detailed`: with a portrait as large as a real one, some 10 kB."""
    return prepare(msgspec.structs.replace(HOLDER, portrait=_noise()) if detailed else HOLDER, SeededDice("factory"))


@cache
def image(*, delivery: bool = False, detailed: bool = False) -> ChipImage:
    """Jisoo's chip, signed by the state: with her PIN, or as the letter brings it."""
    pins = Pins(pin=LETTER if delivery else PIN, can=CAN, puk=PUK, delivery=delivery)
    made = blank(detailed=detailed)
    return seal(made, STATE.sod(made.groups), pins)


def _noise() -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (120, 150), SeededDice("noise").bytes(120 * 150 * 3)).save(out, "JPEG", quality=50)
    return out.getvalue()


def holding(files: dict[int, bytes]) -> ChipImage:
    """Her chip with other files in it, whoever wrote them."""
    return msgspec.structs.replace(image(), files={**image().files, **files})


def clone() -> ChipImage:
    """All that can be read of her chip, and a key of somebody else's."""
    return msgspec.structs.replace(image(), chip_key=(4711).to_bytes(32, "big"))


class Tap:
    """One card in a reader, and a helper with a terminal."""

    def __init__(self, memory: RamMemory | FileMemory | None = None, *, seed: str = "tap") -> None:
        self.memory = memory or RamMemory(image())
        self.card = Card(self.memory, SeededDice(seed + " chip"))
        self.reader = SimulatedReader(self.card)
        self.dice = SeededDice(seed + " terminal")
        self.access = self.memory.image.files[PROFILE_A.card_access_fid]

    def ask(self, talk: Generator[bytes, bytes, Answer]) -> Answer:
        return drive(talk, self.reader)

    def say(self, apdu: str) -> str:
        return self.reader.transmit(bytes.fromhex(apdu)).hex().upper()

    def open(
        self, secret: str = PIN, password: Password = Password.PIN, channel: TerminalChannel | None = None
    ) -> TerminalChannel:
        return self.ask(terminal.pace(password, secret, self.access, self.dice, channel)).channel

    def resumed(self, secret: str = PIN) -> TerminalChannel:
        return self.open(secret, channel=self.ask(terminal.resume(CAN, self.access, self.dice)))

    def unblock(self, puk: str = PUK) -> None:
        self.ask(terminal.unblock(puk, self.access, self.dice))

    def read(self, channel: TerminalChannel, *files: int) -> dict[int, bytes]:
        return self.ask(terminal.read_under(channel, files))


def whole_issuance(pin: str, dice: SeededDice) -> Generator[bytes, bytes, dict[int, bytes]]:
    """What the helper and the issuer together ask a chip, with the checks in between."""
    access = yield from terminal.read_card_access()
    channel = (yield from terminal.pace(Password.PIN, pin, access, dice)).channel
    seen = yield from terminal.read_under(channel, (SOD, KEYS))
    passive.check(seen[SOD], {14: seen[KEYS]}, ANCHORS, NOW)
    infos.must_match(access, seen[KEYS])
    far = chip_auth.Terminal(infos.read_dg14(seen[KEYS]), dice)
    yield from terminal.chip_auth_commands(channel, far.public)
    found = yield from terminal.read_under(far.channel(), READ)
    passive.check(found[SOD], {file & 0xFF: found[file] for file in READ if file != SOD}, ANCHORS, NOW)
    return found
