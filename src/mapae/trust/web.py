"""The registry's doors: the signed list, its key, and a page that says the same in words.

Promises: anybody may read, nobody may write here. Trusts: the registry. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mapae.rules import Words
from mapae.trust.registry import Published, Registry
from mapae.ui.http import Answer, Caller, Door, door, json_answer
from mapae.ui.pages import page


def routes(registry: Registry, items: dict[str, Words] | None = None) -> list[Door]:
    """`items`: the words for claim names, from the country pack."""
    words = items or {}

    async def trust_list(request: Request) -> Response:
        published = await registry.published()
        headers = {"ETag": published.etag, "Cache-Control": "public, max-age=5"}
        if published.etag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(published.token, headers=headers, media_type="application/jwt")

    async def key(request: Request) -> Response:
        return json_answer(registry.key, headers={"Cache-Control": "public, max-age=300"})

    async def overview(request: Request) -> Response:
        published: Published = await registry.published()
        decided = [change for change in await registry.history(20) if change.holds]
        return page(request, "trust/overview.html", list=published.list, kid=registry.key["kid"], changes=decided,
                    items=words)  # fmt: skip

    return [
        door("GET", "/trust/list", trust_list, caller=Caller.ANYONE, answer=Answer.JSON, cors=True),
        door("GET", "/trust/key", key, caller=Caller.ANYONE, answer=Answer.JSON, cors=True),
        door("GET", "/trust/", overview, caller=Caller.ANYONE, answer=Answer.PAGE),
    ]
