"""The door of /v1 where a relying party's server asks the phone of a person it names.

Promises: what comes back is the same for everybody who is spelled right. The page watches, and the server redeems, as
with any check in a session. Trusts: the API key. Keeps: token buckets. Refuses: more than `EACH` of a relying party.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.ui.http import Rate, answer_header, json_answer, json_body
from mapae.ui.rate import Buckets
from mapae.verifier.asking.ask import Form
from mapae.verifier.relay.push import Pusher
from mapae.verifier.site.api import Api
from mapae.verifier.site.api_types import Ask, Asking, PurposeId, SessionWord, Url
from mapae.verifier.site.api_web import Op

EACH: Final = Rate(60, 60)  # of pushes, a relying party


class Push(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A question to the phone of a person, as your visitor wrote her name."""

    purpose: PurposeId
    name: Annotated[str, Meta(max_length=100)]
    birth_date: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    phone: Annotated[str, Meta(max_length=32)]
    session: SessionWord = ""
    return_to: Url = ""
    form: Form = Form.EITHER
    in_person: Annotated[
        bool,
        Meta(description="The holder stands before you. Without it a push needs a session and a return_to, and a code"
             " that the phone shows is typed into the page"),
    ] = False  # fmt: skip


class Pushed(Struct):
    """Asked, if there is such a person with a phone who wants to be asked; nobody is told whether there is."""

    id: str
    purpose: Asking
    expires_at: datetime
    page: Annotated[str | None, Meta(description="Bearer token with which the page watches; null without a session")]
    typed_back: Annotated[bool, Meta(description="Once answered, the phone shows a code to type into the page")] = False


def operations(pusher: Pusher, api: Api, clock: Clock) -> list[Op]:
    buckets = Buckets(EACH)

    async def push(request: Request) -> Response:
        try:
            key = await api.key(request.headers.get("authorization"))
        except Refused:
            answer_header(request, "WWW-Authenticate", "Bearer")  # RFC 6750 3
            raise
        wait = buckets.take(key.relying_party, clock.now().timestamp())
        if wait and getattr(request.app.state, "rates", True):
            answer_header(request, "Retry-After", str(wait))
            raise Refused(Code.TOO_OFTEN, f"try again in {wait} seconds")
        asked, retry = await json_body(request, Push), request.headers.get("idempotency-key")
        if retry is not None and not 1 <= len(retry) <= 128:
            raise Refused(Code.MALFORMED, "an Idempotency-Key has 1 to 128 characters")
        whom = pusher.whom(asked.name, asked.birth_date, asked.phone)
        ask = Ask(
            asked.purpose, asked.form, asked.session, qr=False, return_to=asked.return_to, in_person=asked.in_person
        )
        started = await pusher.start(key, ask, whom, retry)
        # Without the link: another phone than the one that was named has no part in this.
        said = Pushed(started.id, started.purpose, started.expires_at, started.page, started.typed_back)
        return json_answer(said, 201, {"Location": f"/v1/checks/{started.id}"})

    refuses = (Code.NOT_SIGNED_IN, Code.OVER_ASKING, Code.NOT_ALLOWED, Code.CONFLICT, Code.MALFORMED, Code.NOT_FOUND,
               Code.UNSUPPORTED, Code.TOO_OFTEN)  # fmt: skip
    return [
        Op("POST", "/v1/pushes", push, "Put a question to the phone of a named person", {201: Pushed}, "key", Push,
           ("Idempotency-Key",), refuses, Rate(600, 60), cors=False),
    ]  # fmt: skip
