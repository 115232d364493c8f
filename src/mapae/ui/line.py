"""A line: a WebSocket door. Like every door it says who may knock, how often and how much may be carried in.

Promises: a message over the line's limit ends the line before it is parsed; a message is one JSON object of a declared
type, read one way only; whoever says nothing for the line's `patience` is let go; a `Refused` from the handler reaches
the other side as a last message and is never shown twice; anything else that is raised becomes an incident number.
Trusts: the ASGI server for the client address and for the framing (RFC 6455). Keeps: token buckets, a count of open
lines. Refuses: a page of another site (Origin, RFC 6455 10.2), more knocks per address than the rate, more open lines
than `OPEN`, or than `EACH` from one address, binary messages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from mapae.clock import SystemClock
from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json_value
from mapae.ui.http import Caller, report
from mapae.ui.rate import Buckets, Rate, network

T = TypeVar("T", bound=msgspec.Struct)

OPEN: Final = 1024  # lines of one door at once, in one process
EACH: Final = 16  # of them from one address: a hall of kiosks, and not everybody's share
NORMAL, POLICY, TOO_BIG, BROKEN = 1000, 1008, 1009, 1011  # RFC 6455 7.4.1


class HungUp(Exception):
    """The other side is gone, or said nothing for too long."""


class Wire:
    """One open line, as its handler sees it."""

    def __init__(self, receive: Receive, send: Send, limit: int, patience: float) -> None:
        self._receive, self._send = receive, send
        self._limit, self._patience = limit, patience
        self._open = True

    async def hear(self, type_: type[T], *, within: float | None = None) -> T:
        """The next message. Raises HungUp, or Refused(TOO_LARGE, MALFORMED)."""
        try:
            async with asyncio.timeout(self._patience if within is None else min(within, self._patience)):
                message = await self._receive()
        except TimeoutError:
            raise HungUp("nothing was said for too long") from None
        if message["type"] == "websocket.disconnect":
            self._open = False
            raise HungUp("the other side is gone")
        text = message.get("text")
        if text is None:
            raise Refused(Code.MALFORMED, "messages are text")
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) > self._limit:
            raise Refused(Code.TOO_LARGE, f"a message has at most {self._limit} bytes")
        return read_message(raw, type_)

    async def say(self, message: Any) -> None:
        """`message` may be a msgspec Struct. Raises HungUp."""
        await self._deliver({"type": "websocket.send", "text": msgspec.json.encode(message).decode()})

    async def hang_up(self, code: int = NORMAL) -> None:
        if self._open:
            self._open = False
            await self._send({"type": "websocket.close", "code": code, "reason": ""})

    async def _deliver(self, message: Message) -> None:
        if not self._open:
            raise HungUp("the other side is gone")
        try:
            await self._send(message)
        except Exception:  # noqa: BLE001  each server has its own exception for a peer that has left; all mean this
            self._open = False
            raise HungUp("the other side is gone") from None


def read_message(raw: bytes, type_: type[T]) -> T:
    """One JSON object of this type and no other. Raises Refused(MALFORMED)."""
    value = decode_json_value(raw, limit=len(raw))
    if not isinstance(value, dict) or set(value) - set(type_.__struct_encode_fields__):
        raise Refused(Code.MALFORMED, "the message has a member this line does not know")
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "the message does not have the expected shape") from None


Handler = Callable[[Wire], Awaitable[None]]


class Line(BaseRoute):
    """A route that declares its caller, message limit, rate and patience, and keeps all four."""

    def __init__(
        self, path: str, handler: Handler, *, caller: Caller, origin: str, limit: int, rate: Rate, patience: float
    ) -> None:
        self.path, self.handler, self.caller, self.origin = path, handler, caller, origin
        self.limit, self.rate, self.patience = limit, rate, patience
        self._buckets = Buckets(rate)
        self._open: Counter[str] = Counter()  # by network

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """1 rate  2 origin  3 room  4 the handler."""
        if (await receive())["type"] != "websocket.connect":
            return
        status = self._turned_away(scope)
        if status:
            await _no(scope, send, status)
            return
        whose = network(_address(scope))
        self._open[whose] += 1
        try:
            await send({"type": "websocket.accept", "headers": [], "subprotocol": None})
            await self._serve(Wire(receive, send, self.limit, self.patience))
        finally:
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]

    def _turned_away(self, scope: Scope) -> int:
        state, address = scope["app"].state, _address(scope)
        limited = getattr(state, "rates", True)
        if limited:
            clock = getattr(state, "clock", None) or SystemClock()
            if self._buckets.take(address, clock.now().timestamp()):
                return 429
        # A helper is no browser and sends none; a browser always does, and only our own pages may connect.
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"origin"]
        if origins and origins != [self.origin]:
            return 403
        too_many = limited and self._open[network(address)] >= EACH
        return 503 if too_many or self._open.total() >= OPEN else 0

    async def _serve(self, wire: Wire) -> None:
        try:
            await self.handler(wire)
            await wire.hang_up()
        except HungUp:
            await _quietly(wire, NORMAL)
        except Refused as refused:
            await _last(wire, {"type": "refused", "code": refused.code.value, "step": refused.step or ""})
            await _quietly(wire, TOO_BIG if refused.code is Code.TOO_LARGE else POLICY)
        except Exception as bug:  # noqa: BLE001  our own mistake must show a stranger nothing but a number to quote
            incident = report("WEBSOCKET", self.path, bug)
            await _last(wire, {"type": "refused", "code": "incident", "step": "", "incident": incident})
            await _quietly(wire, BROKEN)


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("", 0))[0])


async def _last(wire: Wire, message: dict[str, str]) -> None:
    try:
        await wire.say(message)
    except HungUp:
        return  # nobody is listening any more


async def _quietly(wire: Wire, code: int) -> None:
    try:
        await wire.hang_up(code)
    except Exception:  # noqa: BLE001  the line is over either way, and there is nobody left to tell
        return


async def _no(scope: Scope, send: Send, status: int) -> None:
    """With a status of our own where the server can (ASGI extension `websocket.http.response`), else its plain 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})


def line(
    path: str, handler: Handler, *, caller: Caller, origin: str, limit: int = 65536, rate: Rate, patience: float
) -> Line:
    """`origin`: the one whose pages may connect. `patience`: seconds a line may be silent."""
    return Line(path, handler, caller=caller, origin=origin, limit=limit, rate=rate, patience=patience)


def lines(routes: Any) -> list[Line]:
    return [route for route in routes if isinstance(route, Line)]
