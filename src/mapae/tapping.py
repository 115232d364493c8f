"""The helper between a card reader and the issuer: it opens a line outward, asks the PIN itself, and carries commands.

Promises: it listens on no port; the PIN goes to the card and nowhere else; what it shows before it asks for the PIN is
what the issuer said of the session: who asks, what for, four digits to compare; whoever the link leads to cannot spend
a try of the PIN, for only reading through the channel is carried; it ends in time. Trusts: the address in the link as
far as TLS does (a link without TLS must point at this very machine). Keeps: nothing. Refuses: links of another shape,
messages out of their order, words that would move about on a screen, answers of the issuer that are larger than the
protocol's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import unicodedata
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from .clock import Dice
from .errors import Code, Refused
from .formats.jose import b64u, decode_json_value, unb64u
from .issuer.ic_card import terminal, tlv
from .issuer.ic_card.apdu import OK, Command, Response
from .issuer.ic_card.pace import Password
from .issuer.ic_card.profile import PROFILE_A, SECURITY
from .issuer.ic_card.reader import Transport, drive
from .issuer.ic_card.secure import TerminalChannel

A = TypeVar("A")
T = TypeVar("T", bound=msgspec.Struct)

VERSION: Final = 1
PATH: Final = "/issuer/tap/helper"
LONGEST: Final = 65536
LONGEST_WORDS: Final = 200  # letters that say who asks
MOST: Final = 400  # commands the issuer may have carried
ANSWER_WITHIN: Final = 30.0  # seconds the issuer may take for one message
CARRY_WITHIN: Final = 300.0  # seconds for all that is carried; the issuer gives a chip far less
_PROTECTED, _CARRIED = 0x0C, (0xA4, 0xB0)  # ISO/IEC 7816-4: SELECT and READ BINARY
_MOVES_ABOUT: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # Unicode categories
_LINK: Final = re.compile(
    r"(?P<base>(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-f:]{2,45}\])(?::[0-9]{1,5})?)"
    r"/tap#(?P<secret>[A-Za-z0-9_-]{16,128})"
)
_HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Link:
    """Where the issuer is, and the secret of one session."""

    base: str
    secret: str
    host: str

    @classmethod
    def parse(cls, raw: str) -> Link:
        """`https://issuer/tap#secret`, as the wallet shows it. Without TLS only this very machine: whoever stands on
        the way would read the secret and stand in for the issuer."""
        whole = _LINK.fullmatch(raw.strip())
        if whole is None:
            if not raw.strip().startswith(("https://", "http://")):
                raise Refused(Code.MALFORMED, "a link begins with https:// and is shown by the wallet")
            raise Refused(Code.MALFORMED, "the link is not whole: copy all of it, with what stands behind #")
        if whole["scheme"] == "http" and whole["host"] not in _HERE:
            raise Refused(Code.MALFORMED, "a link begins with https:// and is shown by the wallet")
        return cls(whole["base"], whole["secret"], whole["host"])

    @property
    def line(self) -> str:
        return "ws" + self.base.removeprefix("http") + PATH


class Wire(Protocol):
    """A line to the issuer, as the helper holds it."""

    async def say(self, message: dict[str, Any]) -> None: ...

    async def hear(self) -> bytes:
        """The next message. Raises Refused(UNAVAILABLE) when the line is gone."""
        ...

    async def close(self) -> None: ...


def _gone() -> Refused:
    return Refused(Code.UNAVAILABLE, "the issuer has hung up; begin again in the wallet", step="line")


class Network:
    """Over the network, outward only."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, link: Link, tls: ssl.SSLContext | None = None) -> Network:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        # A kiosk may stand behind a proxy; this very machine never does.
        proxy: Literal[True] | None = None if link.host in _HERE else True
        try:
            connection = await connect(
                link.line, max_size=LONGEST, compression=None, open_timeout=10, ssl=tls, proxy=proxy,
                user_agent_header="mapae-card",
            )  # fmt: skip
        except ssl.SSLCertVerificationError:
            why = f"nobody this machine trusts says that this is {link.base}: stop, or name its authority with --cacert"
            raise Refused(Code.BAD_CERTIFICATE, why, step="line") from None
        # ValueError: a port, a host or a redirection that there cannot be.
        except (OSError, TimeoutError, WebSocketException, ValueError) as error:
            why = f"{link.base} does not answer ({type(error).__name__}); look at the network and try again"
            raise Refused(Code.UNAVAILABLE, why, step="line") from None
        return cls(connection)

    async def say(self, message: dict[str, Any]) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(msgspec.json.encode(message).decode())
        except ConnectionClosed:
            raise _gone() from None

    async def hear(self) -> bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                text = await self._connection.recv()
        except (ConnectionClosed, TimeoutError):
            raise _gone() from None
        return text.encode() if isinstance(text, str) else bytes(text)

    async def close(self) -> None:
        await self._connection.close()


Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Inside:
    """To an application of this very process, by the interface a server would use (ASGI 3.0, WebSocket)."""

    def __init__(
        self, app: App, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = (), client: str = "127.0.0.1"
    ) -> None:
        self._to: asyncio.Queue[Message] = asyncio.Queue()
        self._from: asyncio.Queue[Message] = asyncio.Queue()
        self.ended: Message | None = None
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": list(headers),
            "client": (client, 0), "server": ("localhost", 0), "subprotocols": [], "state": {},
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self._to.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: App, scope: Message) -> None:
        try:
            await app(scope, self._to.get, self._from.put)
        finally:
            await self._from.put({"type": "websocket.close", "code": 1006})

    @classmethod
    async def open(
        cls, app: App, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = (), client: str = "127.0.0.1"
    ) -> Inside:
        wire = cls(app, path, headers, client)
        answer = await wire._from.get()
        if answer["type"] != "websocket.accept":
            wire.ended = answer
            await wire._task
            raise Refused(Code.UNAVAILABLE, "the issuer does not take the line", step="line")
        return wire

    async def say(self, message: dict[str, Any]) -> None:
        await self.say_text(msgspec.json.encode(message).decode())

    async def say_text(self, text: str) -> None:
        if self.ended is not None:
            raise _gone()
        await self._to.put({"type": "websocket.receive", "text": text})

    async def hear(self) -> bytes:
        if self.ended is not None:
            raise _gone()
        async with asyncio.timeout(ANSWER_WITHIN):
            message = await self._from.get()
        if message["type"] != "websocket.send":
            self.ended = message
            raise _gone()
        return str(message["text"]).encode()

    async def close(self) -> None:
        await self._to.put({"type": "websocket.disconnect", "code": 1000})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.wait([self._task])


class _Kind(msgspec.Struct, frozen=True):
    type: str
    code: str = ""
    step: str = ""


async def hear(wire: Wire, type_: type[T], kind: str | None) -> T:
    """The next message, which must be of this kind (None: any); the issuer's refusal arrives as the same Refused."""
    return read(await wire.hear(), type_, kind)


def read(raw: bytes, type_: type[T], kind: str | None) -> T:
    """One message of the issuer's. Raises Refused: its own, or ours for what is none."""
    if len(raw) > LONGEST:
        raise Refused(Code.TOO_LARGE, "the issuer says more than the protocol allows", step="line")
    value = decode_json_value(raw, limit=len(raw))
    try:
        said = msgspec.convert(value, _Kind)
        if said.type == "refused":
            known = said.code if said.code in set(Code) else Code.UNAVAILABLE.value
            raise Refused(Code(known), "the issuer refuses", step=said.step or None)
        if kind is not None and said.type != kind:
            raise Refused(Code.MALFORMED, f"the issuer says {said.type[:20]!r} where {kind!r} is next", step="order")
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "the issuer's message has another shape", step="line") from None


# --- one tap ----------------------------------------------------------------------------------------------------------


class Asks(msgspec.Struct, frozen=True):
    """Who asks and what for, in both languages."""

    ko: str
    en: str
    new_phone: bool

    def pick(self, language: str) -> str:
        return self.ko if language == "ko" else self.en


class Ready(msgspec.Struct, frozen=True):
    code: str
    expires_in: int
    asks: Asks = msgspec.field(name="for")


class _Authenticate(msgspec.Struct, frozen=True):
    point: str


class _Next(msgspec.Struct, frozen=True):
    type: str
    n: int = 0
    apdu: str = ""


class Holder(Protocol):
    """The person at the reader."""

    async def shown(self, ready: Ready) -> None:
        """Shows who asks and the four digits, before any PIN is asked."""
        ...

    async def pin(self, tries_left: int, last: Refused | None) -> str:
        """Asks the PIN; `last` is why the one before did not do. Raises Refused(ACCESS_DENIED) when there is none."""
        ...

    async def can(self) -> str:
        """One try is left: asks the number printed on the card, for the last one."""
        ...


async def ask_card(card: Transport, talk: Generator[bytes, bytes, A]) -> A:
    """A whole conversation with the card, off the loop: a reader may take a second for one answer."""
    return await asyncio.to_thread(drive, talk, card)


async def open_channel(card: Transport, holder: Holder, dice: Dice) -> tuple[bytes, TerminalChannel]:
    """EF.CardAccess and the holder's channel. Asks for the PIN until it is right, or the card has enough."""
    access = await ask_card(card, terminal.read_card_access())
    last: Refused | None = None
    while True:
        left = await ask_card(card, tries_left())
        if left == 0:
            raise Refused(Code.CHIP_BLOCKED, "no try is left", step="pin")
        outer = None
        if left == 1:
            outer = await ask_card(card, terminal.resume(await holder.can(), access, dice))
        pin = await holder.pin(left, last)
        try:
            return access, (await ask_card(card, terminal.pace(Password.PIN, pin, access, dice, outer))).channel
        except Refused as refused:
            if refused.code not in (Code.CHIP_PIN_WRONG, Code.CHIP_SUSPENDED):
                raise
            last = refused
            card.reset()


def tries_left() -> Generator[bytes, bytes, int]:
    """How many tries the PIN has, by asking for PACE and going no further (BSI TR-03110-3 B.11.1: MSE:Set AT)."""
    chosen = tlv.encode(0x80, PROFILE_A.pace_oid) + tlv.encode(0x83, bytes((Password.PIN,)))
    answer = Response.parse((yield Command(0x00, 0x22, 0xC1, 0xA4, chosen).encode()))
    if answer.sw == OK:
        return PROFILE_A.pin_tries
    if answer.sw & 0xFFF0 != 0x63C0:
        raise Refused(Code.CHIP_REFUSED, f"the card answers {answer.sw:04X}", step="pin")
    return answer.sw & 0x0F


async def tap(wire: Wire, secret: str, card: Transport, holder: Holder, dice: Dice) -> int:
    """The whole of it; how many commands were carried. 1 who asks  2 the PIN, here  3 the card's signed files  4 the
    issuer's key to the chip  5 from here on only carrying. Raises Refused, the issuer's or the card's."""
    await wire.say({"type": "hello", "version": VERSION, "secret": secret})
    ready = await hear(wire, Ready, "ready")
    _must_be_plain(ready)
    await holder.shown(ready)  # 1
    try:
        access, channel = await open_channel(card, holder, dice)  # 2
        await ask_card(card, terminal.select_application(channel))  # 3
        sod = await ask_card(card, terminal.read_file(channel, PROFILE_A.sod_fid))
        dg14 = await ask_card(card, terminal.read_file(channel, PROFILE_A.fid(SECURITY)))
    except Refused as refused:
        with contextlib.suppress(Refused):
            await wire.say({"type": "stopped", "code": refused.code.value})
            await wire.hear()  # the issuer has written it down
        raise
    await wire.say({"type": "card", "card_access": b64u(access), "sod": b64u(sod), "dg14": b64u(dg14)})
    point = unb64u((await hear(wire, _Authenticate, "authenticate")).point)
    await ask_card(card, terminal.chip_auth_commands(channel, point))  # 4
    await wire.say({"type": "authenticated"})
    try:
        async with asyncio.timeout(CARRY_WITHIN):
            return await _carry(wire, card)  # 5
    except TimeoutError:
        raise Refused(Code.UNAVAILABLE, "the issuer took too long; begin again in the wallet", step="line") from None


def _must_be_plain(ready: Ready) -> None:
    """What is compared before a PIN is typed: nothing in it may erase, overwrite or turn what is beside it."""
    words = (ready.asks.ko, ready.asks.en)
    if not re.fullmatch("[0-9]{4}", ready.code) or any(
        len(one) > LONGEST_WORDS or any(unicodedata.category(letter) in _MOVES_ABOUT for letter in one) for one in words
    ):
        raise Refused(Code.MALFORMED, "the issuer's words are not what a screen may show", step="line")


async def _carry(wire: Wire, card: Transport) -> int:
    carried = 0
    while True:
        said = await hear(wire, _Next, None)
        if said.type == "done":
            return carried
        if said.type != "apdu" or said.n != carried + 1 or carried >= MOST:
            raise Refused(Code.MALFORMED, "the issuer's commands are out of their order", step="order")
        raw = unb64u(said.apdu)
        command = Command.parse(raw)
        if command.cla != _PROTECTED or command.ins not in _CARRIED:
            raise Refused(Code.MALFORMED, "the issuer may read through its channel, and nothing else", step="order")
        answer = await asyncio.to_thread(card.transmit, raw)
        carried += 1
        await wire.say({"type": "answer", "n": carried, "apdu": b64u(answer)})


# --- what a holder does with the card alone ---------------------------------------------------------------------------


async def resume_pin(card: Transport, can: str, pin: str, dice: Dice) -> None:
    """The last try, with the number printed on the card; the right PIN gives all tries back."""
    access = await ask_card(card, terminal.read_card_access())
    outer = await ask_card(card, terminal.resume(can, access, dice))
    await ask_card(card, terminal.pace(Password.PIN, pin, access, dice, outer))


async def unblock_pin(card: Transport, puk: str, dice: Dice) -> None:
    """All tries again; the PIN stays the same."""
    access = await ask_card(card, terminal.read_card_access())
    await ask_card(card, terminal.unblock(puk, access, dice))


async def replace_pin(card: Transport, now: str, new: str, dice: Dice) -> None:
    """`now` is the PIN, or the one of the letter the card came with."""
    access = await ask_card(card, terminal.read_card_access())
    channel = (await ask_card(card, terminal.pace(Password.PIN, now, access, dice))).channel
    await ask_card(card, terminal.change_pin(channel, new))
