"""The door for complaints about over-asking.

Promises: what is sent is one signed request and nothing about whoever sends it; the answer says what was found in it.
Trusts: `complaints.py` for the judgement. Keeps: nothing. Refuses: a body over 72 KiB, more than ten a minute from one
address.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.trust.complaints import Complaints
from mapae.ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body


class _Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    evidence: str


def routes(complaints: Complaints) -> list[Door]:
    async def report(request: Request) -> Response:
        purpose, items = await complaints.report((await json_body(request, _Report)).evidence)
        return json_answer({"purpose": purpose, "items": items}, 201)

    return [
        door("POST", "/trust/complaints", report, caller=Caller.ANYONE, answer=Answer.JSON, cors=True, limit=72 * 1024,
             rate=Rate(10, 60))
    ]  # fmt: skip
