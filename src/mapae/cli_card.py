"""`mapae card ...`: the helper at a card reader, on a desk or in a kiosk.

Promises: it shows who asks and four digits to compare before it asks for a PIN; PIN, CAN and PUK are typed without an
echo, go to the card and nowhere else; it opens a connection outward and listens nowhere. Trusts: the person at the
keyboard to compare the digits. Keeps: nothing. Refuses: a link that is not whole, a card that another program holds.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .issuer.ic_card.reader import Transport
    from .tapping import Ready
    from .ui.words import Language

card_app = typer.Typer(
    no_args_is_help=True, help="A physical card in a reader: tap it for a wallet, look after its PIN."
)

Reader = Annotated[str, typer.Option("--reader", help="Name of the PC/SC reader; default: the first with a card in it")]
Simulated = Annotated[Path | None, typer.Option("--simulated", help="A simulated card (file) instead of a reader")]
Lang = Annotated[str, typer.Option("--language", help="ko or en; default: what LANG says")]
WAIT: Final = 120.0  # seconds for a card to be put on the reader
PIN_DIGITS: Final = (4, 6)


@card_app.command("issue")
def card_issue(
    link: Annotated[str, typer.Argument(help="The whole link the wallet shows, with what stands behind #")] = "",
    kiosk: Annotated[bool, typer.Option("--kiosk", help="One after the other; a scanner types the links")] = False,
    reader: Reader = "",
    simulated: Simulated = None,
    language: Lang = "",
    cacert: Annotated[
        Path | None, typer.Option(help="Authority of an issuer's own TLS (PEM), besides the known")
    ] = None,
) -> None:
    """Tap the card for the wallet whose link this is: a mobile card at home, or on a new phone."""
    desk = _Desk(_language(language), reader, simulated, cacert)
    if kiosk == bool(link):
        raise Refused(Code.BAD_CONFIG, "give the link the wallet shows, or --kiosk")
    if not kiosk:
        run(partial(desk.issue, link))
        return
    while True:
        scanned = desk.scanned()
        if scanned is None:
            return
        try:
            run(partial(desk.issue, scanned))
        except Refused as refused:  # the next in the queue is not to blame
            desk.regret(refused)
        desk.next_please()


@card_app.command("info")
def card_info(reader: Reader = "", simulated: Simulated = None, language: Lang = "") -> None:
    """Which readers there are, and how the card's PIN stands. Asks for nothing and uses up nothing."""
    desk = _Desk(_language(language), reader, simulated, None)
    run(desk.info)


@card_app.command("pin")
def card_pin(reader: Reader = "", simulated: Simulated = None, language: Lang = "") -> None:
    """Change the PIN, or replace the one of the letter by one's own."""
    desk = _Desk(_language(language), reader, simulated, None)
    run(desk.change)


@card_app.command("resume")
def card_resume(reader: Reader = "", simulated: Simulated = None, language: Lang = "") -> None:
    """After two wrong PINs: the last try, with the number printed on the card."""
    desk = _Desk(_language(language), reader, simulated, None)
    run(desk.resume)


@card_app.command("unblock")
def card_unblock(reader: Reader = "", simulated: Simulated = None, language: Lang = "") -> None:
    """After three wrong PINs: all tries again, with the PUK from the sealed letter."""
    desk = _Desk(_language(language), reader, simulated, None)
    run(desk.unblock)


class _Desk:
    """A person, a keyboard, a screen and a reader. Implements `tapping.Holder`."""

    def __init__(self, language: Language, reader: str, simulated: Path | None, cacert: Path | None) -> None:
        from .clock import SystemDice

        self._language, self._reader, self._simulated, self._cacert = language, reader, simulated, cacert
        self._dice = SystemDice()

    # --- tapping.Holder --------------------------------------------------------------------------------------------

    async def shown(self, ready: Ready) -> None:
        self._say("asks", who=ready.asks.pick(self._language))
        if ready.asks.new_phone:
            self._say("new_phone", style="yellow")
        self._say("code", code=ready.code, style="bold")

    async def pin(self, tries_left: int, last: Refused | None) -> str:
        if last is not None:
            self._say("pin_wrong", style="yellow")
        self._say("pin_left", left=str(tries_left))
        return await self._secret("pin", PIN_DIGITS)

    async def can(self) -> str:
        self._say("last_try", style="yellow")
        return await self._secret("can", (6, 6))

    # --- commands --------------------------------------------------------------------------------------------------

    async def issue(self, raw: str) -> None:
        from .tapping import Link, Network, tap

        link = Link.parse(raw)
        with self._card() as card:
            wire = await Network.open(link, self._tls() if link.base.startswith("https:") else None)
            try:
                await tap(wire, link.secret, card, self, self._dice)
            finally:
                await wire.close()
        self._say("done", style="green")

    async def info(self) -> None:
        from .tapping import ask_card, tries_left

        if self._simulated is None:
            for name in _readers():
                typer.echo(self._words("reader", reader=name))
        with self._card() as card:
            left = await ask_card(card, tries_left())
        state = {0: "state_blocked", 1: "state_suspended"}.get(left, "state_ok")
        typer.echo(self._words(state, **({"left": str(left)} if state == "state_ok" else {})))

    async def change(self) -> None:
        from .tapping import replace_pin

        with self._card() as card:
            now = await self._secret("pin", (4, 8))  # the one of the letter may be longer than one's own
            new = await self._secret("new_pin", PIN_DIGITS, digits="4")
            if new != await self._secret("new_pin_again", PIN_DIGITS):
                raise Refused(Code.MALFORMED, self._words("differ"))
            await replace_pin(card, now, new, self._dice)
        self._say("pin_changed", style="green")

    async def resume(self) -> None:
        from .tapping import resume_pin

        with self._card() as card:
            can, pin = await self._secret("can", (6, 6)), await self._secret("pin", PIN_DIGITS)
            await resume_pin(card, can, pin, self._dice)
        self._say("resumed", style="green")

    async def unblock(self) -> None:
        from .tapping import unblock_pin

        with self._card() as card:
            await unblock_pin(card, await self._secret("puk", (10, 10)), self._dice)
        self._say("unblocked", style="green")

    # --- kiosk -----------------------------------------------------------------------------------------------------

    def scanned(self) -> str | None:
        """A line from the scanner, which types like a keyboard; None at the end of the day. It is not shown: whoever
        stands behind could use it faster."""
        self._say("kiosk_scan", style="bold")
        try:
            return str(typer.prompt("", prompt_suffix="", hide_input=True)).strip()
        except (EOFError, typer.Abort):
            return None

    def next_please(self) -> None:
        """Nothing of one person stays on the screen for the next."""
        talk.clear()
        self._say("kiosk_next")

    def regret(self, refused: Refused) -> None:
        from .ui.words import say

        words = [say(self._language, f"refused.{refused.code.value}.{part}") for part in ("what", "next")]
        talk.print(f"[red]{refused.code.value}[/]: {escape(' '.join(words))}", highlight=False, soft_wrap=True)

    # --- shared ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _card(self) -> Iterator[Transport]:
        if self._simulated is not None:
            from .issuer.ic_card.card import Card
            from .issuer.ic_card.memory import FileMemory
            from .issuer.ic_card.reader import SimulatedReader

            memory = FileMemory(self._simulated)
            self._say("simulated", name=self._simulated.name, style="yellow")
            simulated = SimulatedReader(Card(memory, self._dice), memory.close)
            try:
                yield simulated
            finally:
                simulated.close()
            return
        from .issuer.ic_card.pcsc import Pcsc

        service = Pcsc()
        try:
            if self._reader:
                self._say("put", reader=self._reader)
            else:
                self._say("put_any")
            found = service.wait_for_card(WAIT, [self._reader] if self._reader else None)
            if found is None:
                raise Refused(Code.UNAVAILABLE, self._words("no_card"), step="reader")
            card = service.connect(found)
            try:
                yield card
            finally:
                card.close()
        finally:
            service.close()

    async def _secret(self, key: str, lengths: tuple[int, int], **values: str) -> str:
        """Without an echo, in a thread: the line to the issuer stays alive while somebody looks for a letter."""
        while True:
            text = self._words(key, **values)
            typed = str(await asyncio.to_thread(typer.prompt, text, hide_input=True, err=True)).strip()
            if typed.isascii() and typed.isdecimal() and lengths[0] <= len(typed) <= lengths[1]:
                return typed
            self._say("digits", style="yellow")

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._cacert is not None:
            try:
                context.load_verify_locations(cafile=str(self._cacert))
            except (OSError, ssl.SSLError):
                raise Refused(Code.BAD_CONFIG, f"{self._cacert} holds no certificate in PEM") from None
        return context

    def _words(self, key: str, **values: str) -> str:
        from .ui.words import say

        return say(self._language, f"card.{key}", **values)

    def _say(self, key: str, *, style: str = "", **values: str) -> None:
        talk.print(escape(self._words(key, **values)), style=style or None, highlight=False, soft_wrap=True)


def _readers() -> list[str]:
    from .issuer.ic_card.pcsc import Pcsc

    service = Pcsc()
    try:
        return service.readers()
    finally:
        service.close()


def _language(asked: str) -> Language:
    if asked not in ("", "ko", "en"):
        raise Refused(Code.BAD_CONFIG, "--language is ko or en")
    chosen = asked or os.environ.get("LANG", "")
    return "ko" if chosen.startswith("ko") else "en"
