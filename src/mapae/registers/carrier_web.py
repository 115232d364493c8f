"""The simulated carrier's doors: messages in, an inbox page out.

Promises: the page says that it is a simulator and shows what a phone would show. Trusts: nobody; messages and faults
need the carrier's key. Keeps: nothing. Refuses: a wrong key, other shapes of message.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ..ui.http import Answer, Caller, door, json_answer, json_body
from ..ui.pages import page
from .carrier import Post, SimulatedCarrier


class NewMessage(msgspec.Struct):
    to: str
    text: str
    id: str


class NewFault(msgspec.Struct):
    mode: str
    seconds: int = 0
    count: int = 1


def carrier_routes(carrier: SimulatedCarrier) -> list[BaseRoute]:
    async def take(request: Request) -> Response:
        carrier.admit(request.headers.get("authorization"))
        sent = await json_body(request, NewMessage)
        return json_answer({"message": await carrier.take(Post(sent.to, sent.text, sent.id))}, status=202)

    async def misbehave(request: Request) -> Response:
        carrier.admit(request.headers.get("authorization"))
        fault = await json_body(request, NewFault)
        await carrier.misbehave(fault.mode, fault.seconds, fault.count)
        return json_answer({"mode": fault.mode, "count": fault.count})

    async def inbox_json(request: Request) -> Response:
        found = await carrier.inbox(request.query_params.get("phone", ""))
        messages = [{"id": one.id, "to": one.written, "text": one.body, "at": one.visible_at} for one in found]
        return json_answer({"messages": messages})

    async def inbox(request: Request) -> Response:
        phone = request.query_params.get("phone", "")[:20]
        part = "carrier/messages.html" if request.headers.get("hx-request") == "true" else "carrier/inbox.html"
        return page(request, part, phone=phone, messages=await carrier.inbox(phone))

    anyone, json_, page_ = Caller.ANYONE, Answer.JSON, Answer.PAGE
    return [
        door("POST", "/carrier/messages", take, caller=anyone, answer=json_, limit=16384),
        door("POST", "/carrier/faults", misbehave, caller=anyone, answer=json_, limit=1024),
        door("GET", "/carrier/inbox.json", inbox_json, caller=anyone, answer=json_),
        door("GET", "/carrier/inbox", inbox, caller=anyone, answer=page_),
    ]
