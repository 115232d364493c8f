"""The helper at a reader, and a server that a stranger's link leads to: what it may not do to a person or a card."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import tapped
from mapae import tapping
from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, unb64u
from mapae.issuer.ic_card import chip_auth, infos
from mapae.issuer.ic_card.apdu import Command
from taps import Tap

READY: dict[str, Any] = {"code": "4711", "expires_in": 600, "for": {"ko": "가", "en": "a card", "new_phone": False}}


class Hostile:
    """A server that follows the protocol until the chip has its key, and then has `carried` carried."""

    def __init__(self, *carried: bytes, **ready: Any) -> None:
        self.carried, self.ready = list(carried), READY | ready
        self.answers: list[bytes] = []
        self._next: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def say(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "hello":
                self._next.put_nowait({"type": "ready", **self.ready})
            case "card":
                ours = chip_auth.Terminal(infos.read_dg14(unb64u(message["dg14"])), SeededDice("hostile"))
                self._next.put_nowait({"type": "authenticate", "point": b64u(ours.public)})
            case "answer":
                self.answers.append(unb64u(message["apdu"]))
                self._go_on()
            case "authenticated":
                self._go_on()

    def _go_on(self) -> None:
        if len(self.answers) == len(self.carried):
            self._next.put_nowait({"type": "done"})
            return
        n = len(self.answers)
        self._next.put_nowait({"type": "apdu", "n": n + 1, "apdu": b64u(self.carried[n])})

    async def hear(self) -> bytes:
        return msgspec.json.encode(await self._next.get())

    async def close(self) -> None:
        pass


def tap(card: Tap, server: Hostile, typing: tapped.Typing | None = None) -> int:
    return asyncio.run(tapping.tap(server, "x" * 24, card.reader, typing or tapped.Typing(), SeededDice("helper")))


SET_PIN = Command(0x00, 0x22, 0xC1, 0xA4, bytes.fromhex("800A04007F00070202040202830103"))


@pytest.mark.parametrize(
    "command",
    [
        SET_PIN.encode(), b"\x0c" + SET_PIN.encode()[1:], bytes.fromhex("10860000027C00"), bytes.fromhex("0C2C0203"),
        bytes.fromhex("0C2400010430303030"), bytes.fromhex("00B09D0000"), bytes.fromhex("00A4040C00"), b"", b"\x0c\xb0",
    ],
    ids=["PACE", "PACE, as if protected", "GENERAL AUTHENTICATE", "RESET RETRY COUNTER", "CHANGE REFERENCE DATA",
         "plain READ", "plain SELECT", "nothing", "half"],
)  # fmt: skip
def test_whoever_a_link_leads_to_cannot_spend_a_try_of_the_pin(command: bytes) -> None:
    """Two wrong guesses would suspend the card, a third with the number printed on it would block it."""
    card = Tap()
    server = Hostile(command)
    with pytest.raises(Refused):
        tap(card, server)
    assert server.answers == [] and card.memory.state.tries == 3


def test_reading_through_the_channel_is_carried() -> None:
    """What is not of the channel the chip refuses by itself."""
    server = Hostile(bytes.fromhex("0CB09D000D9701008E08") + bytes(8) + b"\0")
    assert tap(Tap(), server) == 1
    assert server.answers == [b"\x69\x88"]


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "1\x1b[2J"}, {"code": "12345"}, {"code": ""}, {"code": "１２３４"},
        {"for": READY["for"] | {"en": "Maru\x1b[1A\x1b[2K"}}, {"for": READY["for"] | {"en": "Maru\u202e card"}},
        {"for": READY["for"] | {"ko": "마루\n안전합니다"}}, {"for": READY["for"] | {"ko": "가" * 201}},
        {"for": READY["for"] | {"en": "\x9b2J"}}, {"for": READY["for"] | {"en": "a\u2028b"}},
    ],
    ids=["escape", "five", "none", "wide", "up a line", "turned round", "second line", "long", "C1", "line separator"],
)  # fmt: skip
def test_words_that_would_hide_what_stands_beside_them_are_not_shown(changed: dict[str, Any]) -> None:
    """The digits to compare and the warning are all that stands between a person and somebody else's session."""
    typing = tapped.Typing()
    with pytest.raises(Refused) as refused:
        tap(Tap(), Hostile(**changed), typing)
    assert (refused.value.code, refused.value.step) == (Code.MALFORMED, "line")
    assert typing.ready is None and typing.left == []


def test_a_server_that_is_slow_with_everything_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapping, "CARRY_WITHIN", 0.05)

    class Slow(Hostile):
        def _go_on(self) -> None:
            pass

    with pytest.raises(Refused) as refused:
        tap(Tap(), Slow())
    assert (refused.value.code, refused.value.step) == (Code.UNAVAILABLE, "line")
