"""The door where a phone learns who looked at its person.

Promises: the answer is cached nowhere. Trusts: `Looks` for whose phone it is. Keeps: nothing. Refuses: more than six
hundred a minute from one address (a whole office may stand behind it).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mapae.issuer.looks import Looks
from mapae.issuer.web import knock
from mapae.ui.http import Answer, Caller, Door, Rate, door, json_answer


def routes(looks: Looks, base: str) -> list[Door]:
    async def mine(request: Request) -> Response:
        return json_answer({"looks": await looks.of(knock(request, base))})

    return [
        door("GET", "/issuer/looks", mine, caller=Caller.WALLET, answer=Answer.OAUTH, cors=True, rate=Rate(600, 60))
    ]
