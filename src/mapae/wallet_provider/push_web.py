"""The doors of pushes: for phones, and the one where the verifier hands requests in.

Promises: a phone reads and changes what is its own, by the key it signs with; the verifier is told the same whomever it
names. Trusts: `web.signed` for the phone's header, the gate in front of peer doors for which role calls. Keeps:
nothing. Refuses: a request without the signature of its phone, a peer other than the verifier, other shapes of message.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui.http import Answer, Caller, Door, door, json_answer, json_body

from .push import MOST_TEXT, Mailbox, Posted, Pushes
from .web import Nothing, phone, signed

_Text = Annotated[str, msgspec.Meta(max_length=MOST_TEXT)]
_Short = Annotated[str, msgspec.Meta(max_length=128)]


class NewSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: _Text
    p256dh: _Short
    auth: _Short


class Mute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parties: list[_Short]


class Post(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: _Short
    party: _Short
    purpose: _Short
    text: _Text
    name: _Short
    birth_date: date
    phone: _Short
    expires: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def routes(pushes: Pushes) -> list[Door]:
    return [*_phones(pushes), *_verifier(pushes)]


def _phones(pushes: Pushes) -> list[Door]:
    provider = pushes.provider

    async def key(request: Request) -> Response:
        return json_answer({"key": pushes.key}, headers={"Cache-Control": "public, max-age=300"})

    async def subscribe(request: Request) -> Response:
        asked = await json_body(request, NewSubscription)
        await pushes.subscribe(await signed(provider, request), asked.endpoint, asked.p256dh, asked.auth)
        return json_answer({}, 201)

    async def unsubscribe(request: Request) -> Response:
        await json_body(request, Nothing)
        await pushes.unsubscribe(await signed(provider, request))
        return json_answer({})

    async def mailbox(request: Request) -> Response:
        return json_answer(_shown(await pushes.mailbox(await signed(provider, request))))

    async def put_aside(request: Request) -> Response:
        await json_body(request, Nothing)
        await pushes.put_aside(await signed(provider, request), request.path_params["id"])
        return json_answer({})

    async def mute(request: Request) -> Response:
        asked = await json_body(request, Mute)
        await pushes.mute(await signed(provider, request), asked.parties)
        return json_answer({})

    return [
        phone("GET", "push/key", key, 0),
        phone("POST", "push/subscription", subscribe, 8192),
        phone("POST", "push/subscription/end", unsubscribe, 64),
        phone("GET", "mailbox", mailbox, 0),
        phone("POST", "mailbox/mute", mute, 32768),
        phone("POST", "mailbox/{id}/end", put_aside, 64),
    ]


def _verifier(pushes: Pushes) -> list[Door]:
    async def post(request: Request) -> Response:
        peer = getattr(request.state, "peer", None)
        if peer is None:
            raise Refused(Code.NOT_SIGNED_IN, "this door is for other roles of the platform")
        if peer != "verifier":
            raise Refused(Code.NOT_ALLOWED, "only the verifier hands requests in")
        asked = await json_body(request, Post)
        await pushes.post(Posted(**msgspec.structs.asdict(asked)))
        return json_answer({})

    path = "/wallet-provider/peer/push"
    return [door("POST", path, post, caller=Caller.PEER, answer=Answer.JSON, limit=16384)]


def _shown(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "requests": [
            {"id": one.id, "party": one.party, "purpose": one.purpose, "text": one.text, "at": one.at,
             "expires": one.expires}
            for one in mailbox.requests
        ],
        "tried": [
            {"id": one.id, "party": one.party, "purpose": one.purpose, "at": one.at, "muted": one.state == "muted"}
            for one in mailbox.tried
        ],
        "muted": list(mailbox.muted),
        "subscribed": mailbox.subscribed,
    }  # fmt: skip
