"""The doors of the OpenID Connect bridge: for browsers under /login/, for sites' servers, for whoever reads metadata.

Promises: every page works without script and by keyboard, in both languages; what is wrong before the site's address is
certain stays on a page of ours, later the site hears it in OAuth's words; a page of ours is in no frame. Trusts: one
cookie that names the browser. Keeps: nothing. Refuses: a form from another site, another browser's log-in, a body over
its limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.errors import Code, Refused
from mapae.oauth import form_target
from mapae.ui import csrf, words
from mapae.ui.body import media_type
from mapae.ui.http import (
    PROTOCOL,
    Answer,
    Caller,
    Csrf,
    Rate,
    answer_header,
    door,
    form,
    json_answer,
    json_body,
    see_other,
)
from mapae.ui.pages import page
from mapae.ui.site import content_policy
from mapae.verifier.asking.oid4vp import RESPONSE_LIMIT
from mapae.verifier.asking.questions import Questions
from mapae.verifier.asking.store import Outcome
from mapae.verifier.login.bridge import LOGIN_LIFE, Bridge, Done, Misled, Open, Over
from mapae.verifier.login.openid import KNOWN, Wrong
from mapae.verifier.site.shop_web import Credential, Nothing, code_page

COOKIE: Final = "mapae_login"
_T = TypeVar("_T")


def routes(bridge: Bridge, questions: Questions, *, digital_credentials: bool = False) -> list[BaseRoute]:
    pages, site = _Pages(bridge, questions, digital_credentials), _Sites(bridge)
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE, rate=Rate(240, 60))
    do = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=4096)
    script = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.JSON, csrf=Csrf.TOKEN)
    public = partial(door, caller=Caller.ANYONE, answer=Answer.OAUTH, cors=True)
    browser = [
        script("/login/requests/{id}/browser-request", pages.browser_request, limit=4096),
        script("/login/requests/{id}/browser-answer", pages.browser_answer, limit=RESPONSE_LIMIT + 4096),
    ]
    return [
        public("GET", "/login/.well-known/openid-configuration", site.discovery),
        public("GET", "/.well-known/oauth-authorization-server/login", site.discovery),  # RFC 8414 3.1
        public("GET", "/login/jwks", site.jwks),
        public("POST", "/login/token", site.token, limit=16384, malformed=Code.INVALID_REQUEST, rate=Rate(600, 60)),
        public("POST", "/login/par", site.par, limit=16384, malformed=Code.INVALID_REQUEST, rate=Rate(600, 60)),
        public("GET", "/login/userinfo", site.userinfo),
        public("POST", "/login/userinfo", site.userinfo, limit=4096, malformed=Code.INVALID_REQUEST),
        see("/login/authorize", pages.begin),
        # OpenID Connect Core 1.0 3.1.2.1: GET and POST. A site's form is from another site, and does nothing in the
        # name of a cookie: a browser sends none with it.
        door("POST", "/login/authorize", pages.begin, caller=Caller.ANYONE, answer=Answer.PAGE, limit=16384,
             rate=Rate(240, 60)),
        see("/login/requests/{id}", pages.show),
        door("GET", "/login/requests/{id}/phase", pages.phase, caller=Caller.ANYONE, answer=Answer.JSON),
        do("/login/requests/{id}/code", pages.code),
        do("/login/requests/{id}/again", pages.again),
        do("/login/requests/{id}/refuse", pages.refuse),
        see("/login/back/{id}", pages.back),
        see("/login/end", pages.end),
        door("POST", "/login/end", pages.end, caller=Caller.ANYONE, answer=Answer.PAGE, limit=16384),
        *(browser if digital_credentials else []),
    ]  # fmt: skip


class _Pages:
    def __init__(self, bridge: Bridge, questions: Questions, digital_credentials: bool) -> None:
        self._bridge, self._questions = bridge, questions
        self._digital_credentials = digital_credentials

    async def begin(self, request: Request) -> Response:
        """The authorization endpoint."""
        parameters, twice = await _parameters(request)
        try:
            begun = await self._bridge.begin(parameters, twice, csrf.read_cookie(request, COOKIE))
        except Refused as refused:
            if refused.code not in (Code.UNKNOWN_RELYING_PARTY, Code.INVALID_REQUEST):
                raise
            status, _ = PROTOCOL[refused.code]
            return page(request, "login/wrong.html", status=status, why=refused.detail, code=refused.code.value)
        if isinstance(begun, Misled):
            return _onward(
                request, begun.way.mode, begun.way.redirect_uri, begun.answer, begun.way.address(begun.answer)
            )
        language = _spoken(begun.locales)
        answer = see_other(f"/login/requests/{begun.id}{f'?lang={language}' if language else ''}")
        csrf.set_cookie(request, answer, COOKIE, begun.browser, int(LOGIN_LIFE.total_seconds()))
        return answer

    async def show(self, request: Request) -> Response:
        return await self._show(request)

    async def _show(self, request: Request, *, status: int = 200, wrong: str = "", left: int = 0) -> Response:
        try:
            look = await self._bridge.look(request.path_params["id"], self._browser(request))
        except Refused as refused:
            if refused.code not in (Code.NOT_FOUND, Code.SESSION_SPENT):
                raise
            return page(request, "login/spent.html", status=PROTOCOL[refused.code][0], code=refused.code.value)
        if isinstance(look, Done):
            return self._done(request, look)
        site, uri = msgspec.to_builtins(look.site), look.login.asked.redirect_uri
        headers = {"Content-Security-Policy": content_policy(form_target=form_target(uri))}
        shared: dict[str, Any] = {
            "id": look.login.id,
            "site": site,
            "host": form_target(uri).partition("://")[2] or uri,
        }
        if isinstance(look, Over):
            return page(request, "login/over.html", status=status, headers=headers, **shared, **_over(look))
        return page(
            request, "login/ask.html", status=status, headers=headers, **shared, **_open(look), wrong=wrong,
            tries=left, browser_api=self._digital_credentials,
        )  # fmt: skip

    def _done(self, request: Request, done: Done) -> Response:
        return _onward(
            request, done.way.mode, done.way.redirect_uri, done.answer, done.way.address(done.answer), done.site
        )

    async def phase(self, request: Request) -> Response:
        """For the page's script: whether there is something else to show. It changes nothing."""
        asker, check = await self._bridge.asker(request.path_params["id"], self._browser(request))
        await self._questions.sweep()
        session = await self._questions.of(asker, check)
        ended = "ended" if session.verdict is not None else None
        return json_answer({"phase": ended or _phase(session.answered, session.fetched)})

    async def code(self, request: Request) -> Response:
        id, typed = request.path_params["id"], (await form(request)).get("code", "")
        try:
            left = await self._bridge.type_back(id, self._browser(request), typed)
        except Refused as refused:
            match refused.code:
                case Code.MALFORMED:
                    return await self._show(request, status=422, wrong="shape")
                case Code.SESSION_SPENT | Code.NOT_FOUND:
                    return await self._show(request)
                case _:
                    raise
        return await self._show(request, status=422, wrong="code", left=left) if left else _to(id)

    async def again(self, request: Request) -> Response:
        id = request.path_params["id"]
        await self._bridge.again(id, self._browser(request))
        return _to(id)

    async def refuse(self, request: Request) -> Response:
        return self._done(request, await self._bridge.refuse(request.path_params["id"], self._browser(request)))

    async def back(self, request: Request) -> Response:
        """Where the wallet leads the holder's browser."""
        code = request.query_params.get("response_code", "")
        found = await self._bridge.back(request.path_params["id"], code, self._browser(request))
        if isinstance(found, str):
            return code_page(request, found, urlsplit(self._bridge.base).netloc)
        return _to(found.id)

    async def end(self, request: Request) -> Response:
        """RP-Initiated Logout 1.0 2."""
        parameters, _ = await _parameters(request)
        onward = await self._bridge.logout(parameters)
        answer = page(request, "login/off.html") if onward is None else _away(onward)
        csrf.end_session(request, answer, COOKIE)
        return answer

    async def browser_request(self, request: Request) -> Response:
        await json_body(request, Nothing)
        asker, check = await self._bridge.asker(request.path_params["id"], self._browser(request))
        return json_answer({"requests": await self._questions.browser_requests(asker, check)})

    async def browser_answer(self, request: Request) -> Response:
        credential = await json_body(request, Credential)
        asker, check = await self._bridge.asker(request.path_params["id"], self._browser(request))
        await self._questions.answer_from_browser(asker, check, credential.data)
        return json_answer({})

    def _browser(self, request: Request) -> str | None:
        return csrf.read_cookie(request, COOKIE)


class _Sites:
    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def discovery(self, request: Request) -> Response:
        return _kept(self._bridge.discovery())

    async def jwks(self, request: Request) -> Response:
        return _kept(await self._bridge.keys.set())

    async def token(self, request: Request) -> Response:
        told = await self._proven(request, self._bridge.token)
        return json_answer(told, headers={"Pragma": "no-cache"})  # and no-store: RFC 6749 5.1

    async def par(self, request: Request) -> Response:
        """RFC 9126 2.2 and 2.3."""
        told = await self._proven(request, self._bridge.push)
        if isinstance(told, Wrong):
            return json_answer({"error": told.error, "error_description": told.description}, 400)
        return json_answer(told, 201)

    async def _proven(self, request: Request, work: Callable[[str | None, dict[str, str]], Awaitable[_T]]) -> _T:
        """With what a client proves itself by; its refusal as RFC 6749 5.2 has it."""
        authorization = request.headers.get("authorization")
        try:
            return await work(authorization, await form(request))
        except Refused as refused:
            if refused.code is Code.INVALID_CLIENT and authorization is not None:  # RFC 6749 5.2
                answer_header(request, "WWW-Authenticate", 'Basic realm="login"')
            raise

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect Core 1.0 5.3, with the errors of RFC 6750 3.1."""
        try:
            return json_answer(await self._bridge.userinfo(await _bearer(request)))
        except Refused as refused:
            match refused.code:
                case Code.NOT_SIGNED_IN:  # no error code for whoever showed no token at all
                    status, error = 401, ""
                case Code.INVALID_TOKEN:
                    status, error = 401, ', error="invalid_token"'
                case Code.INVALID_REQUEST:
                    status, error = 400, ', error="invalid_request"'
                case _:
                    raise
            answer_header(request, "WWW-Authenticate", f'Bearer realm="login"{error}')
            name = "invalid_request" if status == 400 else "invalid_token"
            return json_answer({"error": name, "error_description": refused.detail}, status)


async def _bearer(request: Request) -> str:
    """RFC 6750 2: in the header or in a form, not in both; never in the address, which gets written down."""
    scheme, _, header = request.headers.get("authorization", "").partition(" ")
    if "access_token" in request.query_params:
        raise Refused(Code.INVALID_REQUEST, "an access token in the address is not taken")
    posted = request.method == "POST" and media_type(request) == "application/x-www-form-urlencoded"
    inside = (await form(request)).get("access_token", "") if posted else ""
    if header and inside:
        raise Refused(Code.INVALID_REQUEST, "the access token came in two ways")
    if inside:
        return inside
    if scheme.lower() != "bearer" or not header.strip():
        raise Refused(Code.NOT_SIGNED_IN, "userinfo wants an access token")
    return header.strip()


def _open(look: Open) -> dict[str, Any]:
    return {
        "purpose": msgspec.to_builtins(look.purpose.name),
        "legal_basis": msgspec.to_builtins(look.purpose.legal_basis),
        "items": [msgspec.to_builtins(label) for label in look.items],
        "qr_text": look.link,
        "seconds_left": look.seconds_left,
        "phase": _phase(look.session.answered, look.session.fetched),
    }


def _over(look: Over) -> dict[str, Any]:
    verdict = look.verdict
    reason = {
        Outcome.EXPIRED: "nobody", Outcome.CANCELLED: "cancelled",
        Outcome.DECLINED: "access_denied" if verdict.code == Code.ACCESS_DENIED else "declined",
    }.get(verdict.outcome, verdict.code or "malformed")  # fmt: skip
    if reason == Code.EXPIRED:
        reason = "document_expired"
    surface = "login" if words.knows(f"login.reason.{reason}") else "checker"
    known = reason if words.knows(f"{surface}.reason.{reason}") else "malformed"
    # A card from before there were log-in numbers declines, or shows too little.
    renew = reason in ("access_denied", Code.NOT_WHAT_WAS_ASKED.value)
    return {
        "reason": f"{surface}.reason.{known}", "renew": renew, "outcome": verdict.outcome.value, "code": verdict.code,
    }  # fmt: skip


def _phase(answered: bool, fetched: bool) -> str:
    return "answered" if answered else "opened" if fetched else "waiting"


def _onward(request: Request, mode: str, uri: str, answer: Any, address: str, site: Any = None) -> Response:
    """The answer goes to the site: in the address, or in a form (OAuth 2.0 Form Post Response Mode 2)."""
    if mode == "query":
        return _away(address)
    headers = {
        "Content-Security-Policy": content_policy(form_target=form_target(uri)),
        "Referrer-Policy": "no-referrer",
    }
    names = msgspec.to_builtins(site) if site is not None else None
    return page(request, "login/post.html", headers=headers, action=uri, fields=dict(answer), site=names)


def _away(address: str) -> Response:
    """To an address that was registered to the letter. 303, so that nothing of a form travels on (RFC 9700 4.12)."""
    headers = {"Location": address, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status_code=303, headers=headers)


async def _parameters(request: Request) -> tuple[dict[str, str], frozenset[str]]:
    """By query or form; which of those we know came twice."""
    if request.method == "POST":
        return await form(request), frozenset()
    pairs = request.query_params.multi_items()
    counted = Counter(name for name, _ in pairs)
    return dict(reversed(pairs)), frozenset(name for name, count in counted.items() if count > 1 and name in KNOWN)


def _spoken(locales: str) -> str | None:
    """OpenID Connect Core 1.0 3.1.2.1: the first of ui_locales that we speak; Accept-Language otherwise."""
    tags = [tag.partition("-")[0].lower() for tag in locales.split(" ")]
    return next((tag for tag in tags if tag in words.LANGUAGES), None)


def _to(id: str) -> Response:
    return see_other(f"/login/requests/{id}")


def _kept(value: Any) -> Response:
    return json_answer(value, headers={"Cache-Control": "public, max-age=3600"})
