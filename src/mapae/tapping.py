"""The helper between a card reader and the issuer: it opens a line outward, asks the PIN itself, and carries commands.

Promises: it listens on no port; the PIN goes to the card and nowhere else; what it shows before it asks for the PIN is
what the issuer said of the session: who asks, what for, four digits to compare. Trusts: the address in the link as far
as TLS does (a link without TLS must point at this very machine). Keeps: nothing. Refuses: links of another shape,
messages out of their order, answers of the issuer that are larger than the protocol's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from .errors import Code, Refused
from .formats.jose import decode_json_value

T = TypeVar("T", bound=msgspec.Struct)

VERSION: Final = 1
PATH: Final = "/issuer/tap/helper"
LONGEST: Final = 65536
ANSWER_WITHIN: Final = 30.0  # seconds the issuer may take for one message
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Link:
    """Where the issuer is, and the secret of one session."""

    base: str
    secret: str

    @classmethod
    def parse(cls, raw: str) -> Link:
        """`https://issuer/tap#secret`, as the wallet shows it. Without TLS only this very machine: whoever stands on
        the way would read the secret and stand in for the issuer."""
        parts = urlsplit(raw.strip())
        plain = parts.scheme == "http" and parts.hostname in _HERE
        if (parts.scheme != "https" and not plain) or not parts.hostname or parts.username or parts.query:
            raise Refused(Code.MALFORMED, "a link begins with https:// and is shown by the wallet")
        if parts.path != "/tap" or not _SECRET.fullmatch(parts.fragment):
            raise Refused(Code.MALFORMED, "the link is not whole: copy all of it, with what stands behind #")
        return cls(f"{parts.scheme}://{parts.netloc}", parts.fragment)

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
        from websockets.exceptions import InvalidHandshake

        # A kiosk may stand behind a proxy; this very machine never does.
        proxy: Literal[True] | None = None if urlsplit(link.base).hostname in _HERE else True
        try:
            connection = await connect(
                link.line, max_size=LONGEST, compression=None, open_timeout=10, ssl=tls, proxy=proxy,
                user_agent_header="mapae-card",
            )  # fmt: skip
        except (OSError, TimeoutError, InvalidHandshake) as error:
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

    def __init__(self, app: App, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._to: asyncio.Queue[Message] = asyncio.Queue()
        self._from: asyncio.Queue[Message] = asyncio.Queue()
        self.ended: Message | None = None
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": list(headers),
            "client": ("127.0.0.1", 0), "server": ("localhost", 0), "subprotocols": [], "state": {},
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
    async def open(cls, app: App, path: str = PATH, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Inside:
        wire = cls(app, path, headers)
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


async def hear(wire: Wire, type_: type[T], kind: str) -> T:
    """The next message, which must be of this kind; the issuer's refusal arrives as the same Refused."""
    raw = await wire.hear()
    if len(raw) > LONGEST:
        raise Refused(Code.TOO_LARGE, "the issuer says more than the protocol allows", step="line")
    value = decode_json_value(raw, limit=len(raw))
    try:
        said = msgspec.convert(value, _Kind)
        if said.type == "refused":
            known = said.code if said.code in set(Code) else Code.UNAVAILABLE.value
            raise Refused(Code(known), "the issuer refuses", step=said.step or None)
        if said.type != kind:
            raise Refused(Code.MALFORMED, f"the issuer says {said.type[:20]!r} where {kind!r} is next", step="order")
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "the issuer's message has another shape", step="line") from None
