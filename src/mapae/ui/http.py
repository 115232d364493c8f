"""The web edge: every route of every role is a door, and a door says who may knock, how much may be carried in and how
it answers.

Promises: a body over the door's limit is refused with 413 while it is still arriving; a `Refused` from anywhere becomes
the protocol's own answer through the one `PROTOCOL` table; anything else that is raised becomes a 500 with an incident
number and nothing more. Trusts: the ASGI server for the client address. Keeps: the token buckets of a rate-limited
door, in bounded memory. Refuses: a missing or wrong CSRF token where the door asks for one, a query or a path with
characters no database would take, and more knocks per address than the door's rate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mapae.clock import SystemClock, SystemDice
from mapae.errors import Code, Refused, where
from mapae.ui import csrf as tokens
from mapae.ui.body import form, form_with_files, json_body, json_message, media_type, preferred, raw_body, read_within
from mapae.ui.pages import refused_page, remember_language
from mapae.ui.rate import Buckets, Rate

_log = structlog.get_logger("mapae.ui")

__all__ = [
    "PROTOCOL", "Answer", "Caller", "Csrf", "Door", "Rate", "answer_header", "door", "doors", "form", "form_with_files",
    "json_answer", "json_body", "json_message", "media_type", "not_modified", "preferred", "raw_body", "see_other",
]  # fmt: skip

Handler = Callable[[Request], Awaitable[Response]]

QUERY_LIMIT = 8192

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate, ETag, Retry-After, Location",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_CORS = [(name.lower().encode(), value.encode()) for name, value in CORS_HEADERS.items()]
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, DPoP, If-None-Match, Mapae-Device, "
    "OAuth-Client-Attestation, OAuth-Client-Attestation-PoP",
    "Access-Control-Max-Age": "600",
}


class Caller(Enum):
    """Who a door is for. Wallets, officers, citizens and peers prove themselves to the role behind the door."""

    ANYONE = "anyone"
    WALLET = "wallet"
    OFFICER = "officer"
    CITIZEN = "citizen"
    PEER = "peer"


class Answer(Enum):
    """The shape of a refusal."""

    PAGE = "page"
    OAUTH = "oauth"
    JSON = "json"


class Csrf(Enum):
    NONE = "none"  # no ambient authority: nothing here is done in the name of a cookie
    TOKEN = "form"  # noqa: S105  form field or header, bound to the session cookie


# The one table from refusal to protocol: HTTP status and OAuth error code (RFC 6749 5.2, RFC 6750 3.1, RFC 9449 5 and
# 8, OpenID4VCI 1.0 8.3.1.2 and 11.3). An OAUTH door narrows the status, see `_oauth_status`.
PROTOCOL: dict[Code, tuple[int, str]] = {
    Code.MALFORMED: (400, "invalid_request"),
    Code.TOO_LARGE: (413, "invalid_request"),
    Code.UNSUPPORTED: (400, "invalid_request"),
    Code.NOT_FOUND: (404, "invalid_request"),
    Code.WRONG_METHOD: (405, "invalid_request"),
    Code.TOO_OFTEN: (429, "temporarily_unavailable"),
    Code.UNAVAILABLE: (503, "temporarily_unavailable"),
    Code.CONFLICT: (409, "invalid_request"),
    Code.NOT_SIGNED_IN: (401, "access_denied"),
    Code.NOT_ALLOWED: (403, "access_denied"),
    Code.BAD_CSRF: (403, "access_denied"),
    Code.BAD_PASSKEY: (403, "access_denied"),
    Code.NO_SUCH_PERSON: (403, "access_denied"),
    Code.WRONG_CODE: (403, "access_denied"),
    Code.CODE_EXPIRED: (410, "invalid_grant"),
    Code.CODE_SPENT: (410, "invalid_grant"),
    Code.TOO_YOUNG: (403, "credential_request_denied"),
    Code.NO_RECORD: (403, "credential_request_denied"),
    Code.NO_PHYSICAL_CARD: (403, "credential_request_denied"),
    Code.PHYSICAL_CARD_LOST: (403, "credential_request_denied"),
    Code.OUTSIDE_PILOT: (403, "credential_request_denied"),
    Code.NOT_STARTED: (403, "credential_request_denied"),
    Code.DECEASED: (403, "credential_request_denied"),
    Code.NOT_A_CITIZEN: (403, "credential_request_denied"),
    Code.NO_PHONE: (409, "credential_request_denied"),
    Code.PHONE_ALREADY_ACTIVE: (409, "credential_request_denied"),
    Code.ALREADY_HOLDS: (409, "credential_request_denied"),
    Code.RECORD_PHOTO_TOO_OLD: (403, "credential_request_denied"),
    Code.WRONG_OFFICE: (403, "access_denied"),
    Code.CASE_CLOSED: (409, "credential_request_denied"),
    Code.EVIDENCE_MISSING: (409, "credential_request_denied"),
    Code.FACE_UNAVAILABLE: (503, "temporarily_unavailable"),
    Code.FACE_SPENT: (403, "credential_request_denied"),
    Code.CHALLENGE_SPENT: (410, "invalid_request"),
    Code.PHOTO_REFUSED: (400, "invalid_request"),
    Code.SECOND_OFFICER: (409, "credential_request_denied"),
    Code.CHIP_REFUSED: (403, "credential_request_denied"),
    Code.CHIP_NOT_ACTIVE: (403, "credential_request_denied"),
    Code.CHIP_USED: (403, "credential_request_denied"),
    Code.CHIP_PIN_WRONG: (403, "access_denied"),
    Code.CHIP_SUSPENDED: (403, "access_denied"),
    Code.CHIP_BLOCKED: (403, "access_denied"),
    Code.PAYMENT_FAILED: (402, "invalid_request"),
    Code.INVALID_REQUEST: (400, "invalid_request"),
    Code.INVALID_CLIENT: (401, "invalid_client"),
    Code.USE_FRESH_ATTESTATION: (400, "use_fresh_attestation"),
    Code.INVALID_GRANT: (400, "invalid_grant"),
    Code.INVALID_SCOPE: (400, "invalid_scope"),
    Code.INVALID_AUTHORIZATION_DETAILS: (400, "invalid_authorization_details"),
    Code.UNSUPPORTED_RESPONSE_TYPE: (400, "unsupported_response_type"),
    Code.UNAUTHORIZED_CLIENT: (400, "unauthorized_client"),
    Code.UNSUPPORTED_GRANT_TYPE: (400, "unsupported_grant_type"),
    Code.INVALID_TOKEN: (401, "invalid_token"),
    Code.INVALID_DPOP_PROOF: (400, "invalid_dpop_proof"),
    Code.USE_DPOP_NONCE: (400, "use_dpop_nonce"),
    Code.INVALID_CREDENTIAL_REQUEST: (400, "invalid_credential_request"),
    Code.UNKNOWN_CREDENTIAL_CONFIGURATION: (400, "unknown_credential_configuration"),
    Code.UNKNOWN_CREDENTIAL_IDENTIFIER: (400, "unknown_credential_identifier"),
    Code.INVALID_PROOF: (400, "invalid_proof"),
    Code.INVALID_NONCE: (400, "invalid_nonce"),
    Code.INVALID_ENCRYPTION_PARAMETERS: (400, "invalid_encryption_parameters"),
    Code.CREDENTIAL_REQUEST_DENIED: (400, "credential_request_denied"),
    Code.INVALID_TRANSACTION_ID: (400, "invalid_transaction_id"),
    Code.INVALID_TRANSACTION_DATA: (400, "invalid_transaction_data"),
    Code.INVALID_NOTIFICATION_ID: (400, "invalid_notification_id"),
    Code.INVALID_NOTIFICATION_REQUEST: (400, "invalid_notification_request"),
    Code.ACCESS_DENIED: (403, "access_denied"),
    Code.OVER_ASKING: (403, "invalid_request"),
    Code.UNKNOWN_RELYING_PARTY: (403, "invalid_client"),
    Code.SESSION_SPENT: (410, "invalid_request"),
    Code.EXCESSIVE: (422, "invalid_request"),
    Code.LOGIN_REQUIRED: (403, "login_required"),
    Code.WRONG_BROWSER: (403, "access_denied"),
    Code.UNTRUSTED_ISSUER: (400, "invalid_request"),
    Code.BAD_CERTIFICATE: (400, "invalid_request"),
    Code.BAD_SIGNATURE: (400, "invalid_request"),
    Code.BAD_DIGEST: (400, "invalid_request"),
    Code.BAD_HOLDER_PROOF: (400, "invalid_request"),
    Code.WRONG_NONCE: (400, "invalid_request"),
    Code.WRONG_AUDIENCE: (400, "invalid_request"),
    Code.NOT_YET_VALID: (400, "invalid_request"),
    Code.EXPIRED: (400, "invalid_request"),
    Code.SUSPENDED: (400, "invalid_request"),
    Code.REVOKED: (400, "invalid_request"),
    Code.STATUS_UNKNOWN: (400, "invalid_request"),
    Code.NOT_WHAT_WAS_ASKED: (400, "invalid_request"),
    Code.SIGNER_REVOKED: (400, "invalid_request"),
    Code.STALE_PACK: (400, "invalid_request"),
    Code.PRESENTATION_STALE: (400, "invalid_request"),
    Code.PRESENTATION_SPENT: (409, "invalid_request"),
    Code.CLOCK_OFF: (400, "invalid_request"),
    Code.TRANSPORT_LOST: (503, "temporarily_unavailable"),
    Code.LEDGER_RULE: (409, "invalid_request"),
    Code.FORKED: (409, "invalid_request"),
    Code.BAD_PROOF: (400, "invalid_request"),
    Code.UNWITNESSED: (503, "temporarily_unavailable"),
    Code.BAD_PACK: (400, "invalid_request"),
    Code.DEVICE_SUSPENDED: (403, "invalid_client"),
    Code.DEVICE_ENDED: (403, "invalid_client"),
    Code.UNKNOWN_DEVICE: (403, "invalid_client"),
    Code.BAD_CONFIG: (500, "server_error"),
    Code.KEY_SPENT: (500, "server_error"),
    Code.LINT: (500, "server_error"),
}

# RFC 9449 7.1 and 9: at a protected resource these three are 401 with a challenge; RFC 6750 3.1 for the first.
CHALLENGED = {Code.INVALID_TOKEN, Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE}


class Door(Route):
    """A route that declares its caller, limit, CSRF stance and shape of refusal, and keeps all four."""

    def __init__(
        self, method: str, path: str, handler: Handler, *, caller: Caller, answer: Answer, csrf: Csrf, limit: int,
        cors: bool, rate: Rate | None, challenge: str | None, malformed: Code, camera: bool,
    ) -> None:  # fmt: skip
        self.caller, self.answer, self.csrf, self.limit = caller, answer, csrf, limit
        self.cors, self.rate, self.challenge, self.malformed, self.camera = cors, rate, challenge, malformed, camera
        self.handler = handler
        self.session_cookie = tokens.COOKIES.get(caller.value, tokens.FORM_COOKIE)
        self.allowed: set[str] = set()  # methods of every door on this path, for the Allow header
        self._buckets = Buckets(rate) if rate else None
        super().__init__(path, self._serve, methods=[method, "OPTIONS"] if cors else [method], name=None)
        self.app = self._knocked
        self.allowed |= self.methods or set()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods and scope["method"] not in self.methods:
            request = Request(scope, receive)
            scope["mapae.door"] = self
            answer_header(request, "Allow", ", ".join(sorted(self.allowed)))
            await self._finish(request, self._refuse(request, Refused(Code.WRONG_METHOD)))(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    async def _knocked(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._serve(Request(scope, receive, send)))(scope, receive, send)

    async def _serve(self, request: Request) -> Response:
        request.scope["mapae.door"] = self
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**CORS_HEADERS, **PREFLIGHT_HEADERS})
        try:
            await self._admit(request)
            answer = await self.handler(request)
        except Refused as refused:
            answer = self._refuse(request, refused)
        except ClientDisconnect:
            answer = Response(status_code=400)  # nobody is listening any more
        except Exception as bug:  # noqa: BLE001  our own mistake must show a stranger nothing but a number to quote
            answer = self._incident(request, bug)
        return self._finish(request, answer)

    async def _admit(self, request: Request) -> None:
        """1 rate  2 size of query and body  3 characters  4 CSRF."""
        if self._buckets is not None and getattr(request.app.state, "rates", True):
            clock = getattr(request.app.state, "clock", None) or SystemClock()
            wait = self._buckets.take(request.client.host if request.client else "", clock.now().timestamp())
            if wait:
                answer_header(request, "Retry-After", str(wait))
                raise Refused(Code.TOO_OFTEN, f"try again in {wait} seconds")
        if len(request.scope["query_string"]) > QUERY_LIMIT:
            raise Refused(Code.TOO_LARGE, "the query is too long")
        await read_within(request, self.limit)
        # PostgreSQL's text takes no NUL: refused at the door, so that no random byte becomes a 500.
        if any("\x00" in value for value in request.path_params.values() if isinstance(value, str)):
            raise Refused(Code.NOT_FOUND, "no such thing")
        if request.scope["query_string"] and any(
            "\x00" in part for pair in request.query_params.multi_items() for part in pair
        ):
            raise Refused(self.malformed, "a NUL character in the query")
        if self.csrf is Csrf.TOKEN:
            await tokens.must_match(request, None if self.caller is Caller.ANYONE else self.session_cookie)

    def _finish(self, request: Request, answer: Response) -> Response:
        for name, value in getattr(request.state, "answer_headers", {}).items():
            answer.headers[name] = value
        if self.answer is Answer.PAGE and answer.status_code == 303:
            remember_language(request, answer)
        if self.cors:
            answer.raw_headers += _CORS
        if self.camera:
            request.scope["mapae.camera"] = True
        return answer

    def _refuse(self, request: Request, refused: Refused, incident: str | None = None) -> Response:
        status, error = PROTOCOL.get(refused.code, (400, "invalid_request"))
        if status == 500 and incident is None:
            return self._incident(request, refused)
        if refused.code is Code.TOO_LARGE:
            answer_header(request, "Connection", "close")  # the rest of the body is not read
        match self.answer:
            case Answer.PAGE:
                return refused_page(request, refused, status, incident)
            case Answer.OAUTH:
                status = _oauth_status(status, error)
                if self.challenge and refused.code in CHALLENGED:
                    status = 401
                    asked = f'{self.challenge} error="{error}"'
                    if refused.detail:
                        asked += f', error_description="{_oauth_text(refused.detail)}"'
                    answer_header(request, "WWW-Authenticate", asked + ', algs="ES256"')
                elif self.challenge and refused.code is Code.NOT_SIGNED_IN:
                    status = 401  # RFC 6750 3.1: no authentication information, so no error code in the challenge
                    answer_header(request, "WWW-Authenticate", f'{self.challenge} algs="ES256"')
                value: dict[str, str] = {"error": error}
                if refused.detail or incident:
                    value["error_description"] = _oauth_text(refused.detail or f"incident {incident}")
                return json_answer(value, status)
            case Answer.JSON:
                value = {"error": refused.code.value if incident is None else "incident", "detail": refused.detail}
                if refused.step is not None:
                    value["step"] = refused.step
                if incident is not None:
                    value["incident"] = incident
                return json_answer(value, status)

    def _incident(self, request: Request, bug: Exception) -> Response:
        return self._refuse(request, Refused(Code.BAD_CONFIG), report(request.method, self.path, bug))


def door(
    method: str,
    path: str,
    handler: Handler,
    *,
    caller: Caller,
    answer: Answer,
    csrf: Csrf = Csrf.NONE,
    limit: int = 65536,
    cors: bool = False,
    rate: Rate | None = None,
    challenge: str | None = None,
    malformed: Code = Code.MALFORMED,
    camera: bool = False,
) -> Door:
    """A route. `rate` is knocks per client address; `challenge` ("DPoP") marks an OAuth protected resource, whose token
    refusals are 401 with WWW-Authenticate; `malformed` is the code for a body we cannot read; `camera` lets the page
    use the camera."""
    return Door(method, path, handler, caller=caller, answer=answer, csrf=csrf, limit=limit, cors=cors, rate=rate,
                challenge=challenge, malformed=malformed, camera=camera)  # fmt: skip


def doors(routes: Iterable[BaseRoute]) -> list[Door]:
    """Every door among these routes, and among those they lead to."""
    found: list[Door] = []
    for route in routes:
        found.extend([route] if isinstance(route, Door) else doors(getattr(route, "routes", ())))
    return found


def report(method: str, path: str, bug: Exception) -> str:
    """Log where our code broke, without the message or any value (either may hold somebody's name), and number it."""
    incident = SystemDice().token(6)
    code = {"code": bug.code.value} if isinstance(bug, Refused) else {}
    _log.error(
        "incident",
        incident=incident,
        method=method,
        door=path,
        kind=type(bug).__name__,
        where=where(bug),
        **code,
    )
    return incident


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, never cached unless `headers` says so. `value` may hold msgspec Structs."""
    return Response(
        msgspec.json.encode(value), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json"
    )


def not_modified(request: Request, headers: Mapping[str, str]) -> Response | None:
    """304 for whoever has what `headers` name in `ETag`; If-None-Match compares weakly (RFC 9110 13.1.2)."""
    asked = request.headers.get("if-none-match", "")
    known = [tag.strip().removeprefix("W/") for tag in asked.split(",")]
    has = headers["ETag"].removeprefix("W/") in known or known == ["*"]
    return Response(status_code=304, headers=dict(headers)) if has else None


def see_other(path: str) -> Response:
    """After a deed: 303 to a page of our own."""
    if not path.startswith("/") or path.startswith(("//", "/\\")):
        raise ValueError("redirects stay on this site")
    return Response(status_code=303, headers={"Location": path, "Cache-Control": "no-store"})


def answer_header(request: Request, name: str, value: str) -> None:
    """Put this header on whatever answer goes out, refusals included (DPoP-Nonce, Retry-After)."""
    if not hasattr(request.state, "answer_headers"):
        request.state.answer_headers = {}
    request.state.answer_headers[name] = value


def _oauth_status(status: int, error: str) -> int:
    """RFC 6749 5.2 and OpenID4VCI 8.3.1.2 want 400 where plain HTTP would say more."""
    if error == "invalid_client":
        return 401
    return status if status in (401, 404, 405, 413, 429, 500, 503) else 400


def _oauth_text(text: str) -> str:
    """RFC 6749 5.2: printable ASCII without quote and backslash."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" if c == '"' else "?" for c in text)
