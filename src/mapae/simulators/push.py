"""A simulated push service: RFC 8030 between an application server and a browser that is not there.

Promises: it takes what a real one takes (TTL, VAPID over its own origin by the key the subscription was made with,
aes128gcm of at most 4096 bytes) and refuses the rest with the real status; of one topic the last message waits; what is
over its TTL is gone. It cannot read what it carries. Trusts: nobody. Keeps: in memory, a bounded number of
subscriptions and messages. Refuses: a sender with another key, a subscription that has ended. Told to fail, it answers
the next so many pushes with that status.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock, Dice
from mapae.errors import Code, Refused
from mapae.formats.jose import unb64u
from mapae.ui.http import Answer, Caller, Door, door, json_answer, json_body, raw_body
from mapae.wallet_provider import webpush

PATH: Final = "/demo/push/to/"  # push resources; a subscription is below BOX
BOX: Final = "/demo/push/of/"
MOST: Final = 1000  # subscriptions; the oldest makes room
EACH: Final = 20  # messages of one


@dataclass(frozen=True, slots=True)
class Message:
    body: bytes
    topic: str
    urgency: str
    ends: float


@dataclass
class Box:
    """One browser's. `key`: whose pushes it takes (RFC 8292 4.1), or anybody's."""

    sender: bytes | None
    messages: list[Message] = field(default_factory=list)


class SimulatedPushService:
    """One object a process."""

    def __init__(self, clock: Clock, dice: Dice, base: str) -> None:
        self._clock, self._dice, self._base = clock, dice, base
        self._boxes: OrderedDict[str, Box] = OrderedDict()
        self._failing: list[int] = []

    def fail(self, status: int, times: int = 1) -> None:
        """Answer the next pushes with this status."""
        self._failing = [status] * min(times, MOST)

    def subscribe(self, sender: bytes | None = None) -> str:
        """A browser subscribes: the last part of both its addresses. The browser's keys stay with it."""
        if len(self._boxes) >= MOST:
            self._boxes.popitem(last=False)
        name = self._dice.token(18)
        self._boxes[name] = Box(sender)
        return name

    def end(self, name: str) -> None:
        self._boxes.pop(name, None)

    def address(self, name: str) -> str:
        return f"{self._base}{PATH}{name}"

    def take(self, name: str) -> list[Message]:
        """What a browser would be handed now."""
        box = self._boxes.get(name)
        if box is None:
            raise Refused(Code.NOT_FOUND, "there is no such subscription")
        at = self._clock.now().timestamp()
        taken = [message for message in box.messages if message.ends > at]
        box.messages.clear()
        return taken

    def doors(self) -> list[Door]:
        def public(method: str, path: str, handler: object, limit: int = 0) -> Door:
            return door(
                method, path, handler, caller=Caller.ANYONE, answer=Answer.JSON, limit=limit, cors=True  # type: ignore[arg-type]
            )  # fmt: skip

        return [
            public("POST", "/demo/push", self._subscribe, 1024),
            public("POST", f"{PATH}{{name}}", self._push, webpush.MOST_BODY),
            public("GET", f"{BOX}{{name}}", self._take),
            public("POST", f"{BOX}{{name}}/end", self._end),
        ]

    async def _subscribe(self, request: Request) -> Response:
        """RFC 8030 4, with RFC 8292 4.1."""
        asked = await json_body(request, dict[str, str])
        key = asked.get("vapid")
        name = self.subscribe(unb64u(key) if key else None)
        link = f'<{PATH}{name}>; rel="urn:ietf:params:push"'
        return json_answer({"endpoint": self.address(name)}, 201, {"Location": f"{BOX}{name}", "Link": link})

    async def _push(self, request: Request) -> Response:
        """RFC 8030 5: 1 told to fail  2 the subscription  3 the sender  4 what it sent."""
        if self._failing:
            return Response(status_code=self._failing.pop())
        box = self._boxes.get(request.path_params["name"])
        if box is None:
            raise Refused(Code.CODE_SPENT, "there is no such subscription (any more)")  # 410: RFC 8030 7.3
        try:
            sender = webpush.read_vapid(
                request.headers.get("authorization", ""), self._origin(), self._clock.now()
            )  # fmt: skip
        except Refused:
            raise Refused(Code.NOT_SIGNED_IN, "no sender says who it is") from None
        if box.sender is not None and sender != box.sender:
            raise Refused(Code.NOT_ALLOWED, "the subscription is for another sender")  # RFC 8292 4.2
        ttl, body = request.headers.get("ttl", ""), await raw_body(request)
        sealed = request.headers.get("content-encoding") == "aes128gcm" and len(body) > 86
        if not (ttl.isascii() and ttl.isdigit() and len(ttl) < 9) or not sealed:  # RFC 8030 5.2
            raise Refused(Code.MALFORMED, "no lifetime, or the message is not sealed")
        topic = request.headers.get("topic", "")[:32]
        kept = [message for message in box.messages if not topic or message.topic != topic][-EACH + 1 :]
        urgency = request.headers.get("urgency", "normal")
        box.messages = [*kept, Message(body, topic, urgency, self._clock.now().timestamp() + int(ttl))]
        return Response(status_code=201, headers={"Location": f"/demo/push/message/{self._dice.token(9)}", "TTL": ttl})

    async def _take(self, request: Request) -> Response:
        """RFC 8030 6 has a server push here; a simulated browser asks."""
        taken = self.take(request.path_params["name"])
        return json_answer({"messages": [msg.body for msg in taken], "topics": [msg.topic for msg in taken]})

    async def _end(self, request: Request) -> Response:
        self.end(request.path_params["name"])
        return json_answer({})

    def _origin(self) -> str:
        parts = urlsplit(self._base)
        return f"{parts.scheme}://{parts.netloc}"
