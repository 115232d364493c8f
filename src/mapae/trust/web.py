"""The registry's doors: the signed list, its key, and a page that says the same in words.

Promises: anybody may read, nobody may write here. Trusts: the registry. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mapae.catalog import Country, Document
from mapae.rules import Words
from mapae.trust.application import asked_of
from mapae.trust.entries import Purpose
from mapae.trust.registry import Published, Registry
from mapae.ui.http import Answer, Caller, Door, door, json_answer
from mapae.ui.pages import page


def routes(registry: Registry, country: Country) -> list[Door]:
    """`country`: whose pack has the words for documents and for their items."""

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
                    labels=lambda purpose: labels_of(purpose, country), documents=_documents(country))  # fmt: skip

    return [
        door("GET", "/trust/list", trust_list, caller=Caller.ANYONE, answer=Answer.JSON, cors=True),
        door("GET", "/trust/key", key, caller=Caller.ANYONE, answer=Answer.JSON, cors=True),
        door("GET", "/trust/", overview, caller=Caller.ANYONE, answer=Answer.PAGE),
    ]


def labels_of(purpose: Purpose, country: Country) -> list[Words]:
    """What its items are called. Two documents may each have a `name`, of another person: an item is called what the
    purpose's own document calls it; where neither the pack nor the registration says which, the first that has all of
    its items."""
    ready, documents = country.purposes.get(purpose.id), list(country.documents.values())
    if ready is not None:
        owned = [country.documents[ready.document]]
    else:
        named = [one for one in documents if one.formats is not None and asked_of(one) == purpose.document]
        owned = named or documents
    for document in owned:
        labels = {claim.name: claim.label for claim in document.claims}
        if labels.keys() >= set(purpose.items):
            return [labels[item] for item in purpose.items]
    return [Words(ko=item, en=item) for item in purpose.items]


def _documents(country: Country) -> dict[str, Words]:
    """Names of documents by the types that credentials of them say."""
    names: dict[str, Words] = {}
    for document in country.documents.values():
        for type in _types(document):
            names[type] = document.name
    return names


def _types(document: Document) -> list[str]:
    formats = document.formats
    if formats is None:
        return []
    both = (formats.sd_jwt and formats.sd_jwt.vct, formats.mdoc and formats.mdoc.doctype)
    return [type for type in both if type]
