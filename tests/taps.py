"""A physical card with a chip, a reader, and somebody who tries things with them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from mapae.clock import SeededDice
from mapae.issuer.ic_card import chip_auth, terminal, tlv
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.ec import SECP256R1, Pair
from mapae.issuer.ic_card.memory import ChipImage, FileMemory, RamMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.pin import PinState
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.reader import SimulatedReader, drive
from mapae.issuer.ic_card.secure import TerminalChannel

PIN, CAN, PUK, LETTER = "1234", "246810", "1234567890", "80351"
GROUPS = (0x010E, 0x0101, 0x0102)
Answer = TypeVar("Answer")

_PACE_INFO = tlv.join([(0x06, PROFILE_A.pace_oid), (0x02, b"\x02"), (0x02, b"\x0c")])
_SECRET = 0x1C0FFEE1234567890ABCDEF
KEY = Pair(_SECRET, SECP256R1.g.times(_SECRET))


def image(*, delivery: bool = False, files: dict[int, bytes] | None = None, key: int = KEY.secret) -> ChipImage:
    made = {
        PROFILE_A.card_access_fid: tlv.encode(0x31, tlv.encode(0x30, _PACE_INFO)),
        0x0101: tlv.encode(0x61, tlv.encode(0x5F1F, b"I<XKR" + b"<" * 85)),
        0x0102: tlv.encode(0x75, b"\xff\xd8" + bytes(12_000) + b"\xff\xd9"),
        0x010E: tlv.encode(0x6E, tlv.encode(0x31, tlv.encode(0x30, _PACE_INFO) + KEY.public.encode())),
        0x011D: tlv.encode(0x77, bytes(900)),
    }
    first = PinState(LETTER, True) if delivery else PinState(PIN, False)
    return ChipImage({**made, **(files or {})}, key.to_bytes(32, "big"), CAN, PUK, 4, first)


class Tap:
    """One card in a reader, and a helper with a terminal."""

    def __init__(self, memory: RamMemory | FileMemory | None = None, *, seed: str = "tap") -> None:
        self.memory = memory or RamMemory(image())
        self.card = Card(self.memory, SeededDice(seed + " chip"))
        self.reader = SimulatedReader(self.card)
        self.dice = SeededDice(seed + " terminal")
        self.infos = self.memory.image.files[PROFILE_A.card_access_fid]

    def ask(self, talk: Generator[bytes, bytes, Answer]) -> Answer:
        return drive(talk, self.reader)

    def say(self, apdu: str) -> str:
        return self.reader.transmit(bytes.fromhex(apdu)).hex().upper()

    def open(
        self, secret: str = PIN, password: Password = Password.PIN, channel: TerminalChannel | None = None
    ) -> TerminalChannel:
        return self.ask(terminal.pace(password, secret, self.infos, self.dice, channel)).channel

    def resumed(self, secret: str = PIN) -> TerminalChannel:
        return self.open(secret, channel=self.ask(terminal.resume(CAN, self.infos, self.dice)))

    def unblock(self, puk: str = PUK) -> None:
        self.ask(terminal.unblock(puk, self.infos, self.dice))

    def read(self, channel: TerminalChannel, *files: int) -> dict[int, bytes]:
        return self.ask(terminal.read_under(channel, files))


def whole_issuance(pin: str, dice: SeededDice) -> Generator[bytes, bytes, dict[int, bytes]]:
    """What the helper and the issuer together ask a chip, the issuer's checks of signatures left out."""
    infos = yield from terminal.read_card_access()
    channel = (yield from terminal.pace(Password.PIN, pin, infos, dice)).channel
    yield from terminal.read_under(channel, (0x011D, 0x010E))
    far = chip_auth.Terminal(KEY.public, dice)
    yield from terminal.chip_auth_commands(channel, far.public)
    return (yield from terminal.read_under(far.channel(), (*GROUPS, 0x011D)))
