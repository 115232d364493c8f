"""The issuer's protocol doors: OpenID4VCI 1.0, OAuth 2.0 and the status lists.

Promises: each door reads its message, calls one use case and renders the answer; a fresh DPoP nonce goes out with
every answer that may need one. Trusts: the doors of mapae.ui for sizes and refusals. Keeps: nothing.
Refuses: an access token in the query (RFC 9449 section 7.1), a repeated header.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.issuer.authorization import Knock
from mapae.issuer.authorize import Authorize
from mapae.issuer.encryption import Sealing, parse_sealing
from mapae.issuer.issue import Issuer
from mapae.issuer.oid4vci import CredentialRequest, DeferredRequest, NotificationRequest
from mapae.issuer.status import Form
from mapae.ui.http import (
    Answer,
    Caller,
    Door,
    Rate,
    answer_header,
    door,
    form,
    json_answer,
    json_body,
    json_message,
    media_type,
    not_modified,
    preferred,
    raw_body,
)
from mapae.ui.words import accepted, say

M = TypeVar("M", CredentialRequest, DeferredRequest)
# Generous: a whole counter hall may stand behind one address.
_RATE = Rate(1200, 60)
_PUBLIC = {"Cache-Control": "public, max-age=300"}


class IssuerDoors:
    def __init__(self, issuer: Issuer, authorize: Authorize) -> None:
        self._issuer = issuer
        self._authorize = authorize

    async def par(self, request: Request) -> Response:
        self._dpop_nonce(request)
        return json_answer(await self._authorize.push(self._knock(request), await form(request)), 201)

    async def token(self, request: Request) -> Response:
        self._dpop_nonce(request)
        return json_answer(await self._issuer.grants.token(self._knock(request), await form(request)))

    async def nonce(self, request: Request) -> Response:
        self._dpop_nonce(request)
        return json_answer({"c_nonce": self._issuer.grants.nonces.make("c_nonce")})

    async def credential(self, request: Request) -> Response:
        self._dpop_nonce(request)
        body, sealed = await self._message(request, CredentialRequest)
        sealing = parse_sealing(body.credential_response_encryption, request_was_sealed=sealed)
        return _credentials(await self._issuer.issue(self._knock(request), body), sealing)

    async def deferred(self, request: Request) -> Response:
        self._dpop_nonce(request)
        body, sealed = await self._message(request, DeferredRequest)
        sealing = parse_sealing(body.credential_response_encryption, request_was_sealed=sealed)
        return _credentials(await self._issuer.collect(self._knock(request), body), sealing)

    async def _message(self, request: Request, type_: type[M]) -> tuple[M, bool]:
        """A request in the clear or under encryption of its own, and which (OpenID4VCI 10)."""
        if media_type(request) != "application/jwt":
            return await json_body(request, type_, extra=True), False
        raw = self._issuer.request_keys.open(await raw_body(request))
        return json_message(request, raw, type_, extra=True), True

    async def notification(self, request: Request) -> Response:
        self._dpop_nonce(request)
        body = await json_body(request, NotificationRequest, extra=True)
        await self._issuer.notify(self._knock(request), body)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def offer(self, request: Request) -> Response:
        words = say(accepted(request.headers.get("accept-language", "")), "authorize.tx_code")
        return json_answer(await self._issuer.offers.scan(request.path_params["id"], words))

    async def documents(self, request: Request) -> Response:
        return json_answer({"documents": await self._issuer.documents(self._knock(request))})

    async def status(self, request: Request) -> Response:
        form = Form(preferred(request, *Form))
        published = await self._issuer.lists.token(request.path_params["id"], form)
        # no-cache: keep it, but ask each time whether it is still the one; the answer to that is 304 and costs nothing.
        headers = {"ETag": published.etag, "Cache-Control": "no-cache", "Vary": "Accept"}
        return not_modified(request, headers) or Response(published.token, headers=headers, media_type=form.value)

    async def statuses(self, request: Request) -> Response:
        return json_answer({"status_lists": await self._issuer.lists.all()}, headers={"Cache-Control": "no-cache"})

    async def issuer_metadata(self, request: Request) -> Response:
        said, headers = self._issuer.publication, {**_PUBLIC, "Vary": "Accept"}
        if preferred(request, "application/json", "application/jwt") == "application/jwt":
            return Response(said.signed, headers=headers, media_type="application/jwt")
        return Response(said.plain, headers=headers, media_type="application/json")

    async def authorization_metadata(self, request: Request) -> Response:
        said = self._issuer.publication.authorization_server
        return Response(said, headers=_PUBLIC, media_type="application/json")

    def _dpop_nonce(self, request: Request) -> None:
        answer_header(request, "DPoP-Nonce", self._issuer.grants.nonces.make("dpop"))

    def _knock(self, request: Request) -> Knock:
        return knock(request, self._issuer.base)


def knock(request: Request, base: str) -> Knock:
    """What a wallet proves itself with at any of our doors."""
    if "access_token" in request.query_params:
        raise Refused(Code.INVALID_REQUEST, "an access token never travels in the address")
    headers = request.headers
    authorizations = headers.getlist("authorization")
    if len(authorizations) > 1:
        raise Refused(Code.INVALID_REQUEST, "more than one Authorization header")
    return Knock(
        method=request.method,
        url=base + request.url.path,
        authorization=authorizations[0] if authorizations else "",
        dpop=tuple(headers.getlist("dpop")),
        attestation=tuple(headers.getlist("oauth-client-attestation")),
        attestation_pop=tuple(headers.getlist("oauth-client-attestation-pop")),
    )


def _credentials(message: dict[str, Any], sealing: Sealing | None) -> Response:
    """Section 8.3: 200 with credentials, 202 with a transaction id; errors are never sealed."""
    status = 202 if "transaction_id" in message else 200
    if sealing is None:
        return json_answer(message, status)
    text = sealing.seal(msgspec.json.encode(message))
    return Response(text, status, {"Cache-Control": "no-store"}, "application/jwt")


def routes(issuer: Issuer, authorize: Authorize) -> list[Door]:
    doors = IssuerDoors(issuer, authorize)
    wallet: dict[str, Any] = {"caller": Caller.WALLET, "answer": Answer.OAUTH, "cors": True, "rate": _RATE}
    anyone: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "cors": True}
    credential, notification = Code.INVALID_CREDENTIAL_REQUEST, Code.INVALID_NOTIFICATION_REQUEST
    return [
        door("POST", "/issuer/par", doors.par, malformed=Code.INVALID_REQUEST, **wallet),
        door("POST", "/issuer/token", doors.token, malformed=Code.INVALID_REQUEST, **wallet),
        door("POST", "/issuer/nonce", doors.nonce, limit=1024, **wallet),
        door("POST", "/issuer/credential", doors.credential, challenge="DPoP", malformed=credential, **wallet),
        door("POST", "/issuer/deferred", doors.deferred, challenge="DPoP", malformed=credential, **wallet),
        door("POST", "/issuer/notification", doors.notification, challenge="DPoP", malformed=notification,
             limit=4096, **wallet),
        door("GET", "/issuer/offers/{id}", doors.offer, rate=_RATE, **anyone),
        door("GET", "/issuer/documents", doors.documents, **wallet),
        door("GET", "/issuer/status", doors.statuses, **anyone),
        door("GET", "/issuer/status/{id}", doors.status, **anyone),
        door("GET", "/.well-known/openid-credential-issuer/issuer", doors.issuer_metadata, **anyone),
        door("GET", "/.well-known/oauth-authorization-server/issuer", doors.authorization_metadata, **anyone),
        # Where drafts before 16 looked; what we publish is the address above.
        door("GET", "/issuer/.well-known/openid-credential-issuer", doors.issuer_metadata, **anyone),
    ]  # fmt: skip
