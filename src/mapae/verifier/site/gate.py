"""A yes-or-no question inside any Python web application: no server of ours, no key, no registration.

    pack = mapae.open_pack("pack-folder")                      # `mapae pack fetch` keeps it up to date
    gate = Gate("https://bar.example/age", mapae.purpose("kr", "alcohol_tobacco"), lambda: pack)
    application.mount("/age", gate.asgi)                       # or gate.wsgi

    <script src="/age/button.js" defer></script> <button data-mapae-purpose="alcohol_tobacco">...</button>

    if gate.passed(request.headers.get("cookie", "")): ...     # this very browser was answered yes

Promises: the answer counts in the browser that asked, for `PASS`, and nowhere else; it passed the six steps against the
pack. Trusts: the pack, and whoever serves `url` over TLS. Keeps: in this process's memory open questions and hashes of
the cookies that passed; of a person nothing. Refuses: a purpose that is not for anyone, more than `MOST` open
questions, an answer to another question, a second answer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec

from mapae.clock import Clock, Dice, SystemClock, SystemDice
from mapae.errors import Code, Refused
from mapae.ui.codes import drawn
from mapae.ui.cookies import cookie
from mapae.ui.words import LANGUAGES, knows, say
from mapae.verifier.asking import anyone, oid4vp
from mapae.verifier.asking.ask import Form, Question, written
from mapae.verifier.checking.check import either
from mapae.verifier.checking.kit import Pack, Put, Wanted, verify

COOKIE: Final = "mapae_gate"
PASS: Final = timedelta(hours=1)
MOST: Final = 1000
BODY: Final = oid4vp.RESPONSE_LIMIT + 4096
STATIC: Final = Path(__file__).parents[2] / "ui" / "static"
FILES: Final = {"/button.js": "text/javascript; charset=utf-8", "/button.css": "text/css; charset=utf-8"}
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
Headers = Mapping[str, str]
Answered = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class _Open:
    pending: anyone.Pending
    cookie: bytes
    page: str
    state: str = "open"
    step: str | None = None
    code: str | None = None


@dataclass(slots=True)
class Gate:
    """`url` is where it is mounted, as a phone reaches it. `pack` gives the newest one there is. `words` is the name of
    the purpose, `wallet` the address of a wallet on the web for visitors whose wallet is on the same device."""

    url: str
    wanted: Wanted
    pack: Callable[[], Pack]
    words: Mapping[str, str] = field(default_factory=dict)
    wallet: str = ""
    clock: Clock = field(default_factory=SystemClock)
    dice: Dice = field(default_factory=SystemDice)
    _open: dict[str, _Open] = field(default_factory=dict)
    _passed: dict[bytes, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        if not (self.wanted.anyone and self.wanted.yes_or_no):
            raise Refused(Code.OVER_ASKING, "only a registered relying party may ask this")

    def passed(self, cookies: str) -> bool:
        """Whether the browser with this Cookie header has been answered yes within `PASS`."""
        until = self._passed.get(_hash(self._cookie(cookies)))
        return until is not None and self.clock.now() < until

    # --- what is asked over HTTP --------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, headers: Headers, body: bytes) -> Answered:
        """`path` below `url`; header names in lower case."""
        parts = path.strip("/").split("/")
        self._forget()
        try:
            match method, *parts:
                case ["GET", name] if f"/{name}" in FILES:
                    kind = {"Content-Type": FILES[f"/{name}"], "Cache-Control": "no-cache"}
                    return 200, kind, (STATIC / name).read_bytes()
                case ["POST", "anyone", "checks"]:
                    return self._start(headers)
                case ["GET", "pages", id]:
                    return _json(self._look(self._mine(id, headers)))
                case ["POST", "pages", id, "cancel"]:
                    self._end(self._mine(id, headers), "cancelled")
                    return _json({})
                case ["POST", "answers", id]:
                    self._answer(id, body)
                    return _json({}, more=_CORS)
            raise Refused(Code.NOT_FOUND, "no such address")
        except Refused as refused:
            status = {Code.NOT_FOUND: 404, Code.TOO_OFTEN: 429, Code.SESSION_SPENT: 410}.get(refused.code, 400)
            return _json({"error": refused.code.value, "detail": refused.detail}, status, _CORS)

    def _start(self, headers: Headers) -> Answered:
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(Code.NOT_FOUND, "this is asked from its own site")
        if len(self._open) >= MOST:
            raise Refused(Code.TOO_OFTEN, "too many questions are open; try again in two minutes")
        had = self._cookie(headers.get("cookie", ""))
        cookie = had or self.dice.token()
        pending = anyone.put(self.wanted.purpose, Form.EITHER, self.clock.now(), self.dice)
        self._open[pending.id] = _Open(pending, _hash(cookie), self.dice.token())
        link = anyone.link(self._question(), pending, self._answers_at(pending.id))
        wallet = f"{self.wallet}#request={quote(link, safe='')}" if self.wallet else ""
        name = {language: self.words.get(language, self.wanted.purpose) for language in ("ko", "en")}
        told = {
            "id": pending.id, "page": self._open[pending.id].page, "link": link, "wallet_link": wallet,
            "purpose": {"id": self.wanted.purpose, "name": name, "items": []}, "qr": _qr(link),
            "expires_at": pending.expires_at,
        }  # fmt: skip
        more = {} if had else {"Set-Cookie": self._set_cookie(cookie)}
        return _json(told, 201, more)

    def _answer(self, id: str, body: bytes) -> None:
        """OpenID4VP 1.0 8.2. What is no answer to this question changes nothing; an answer ends it."""
        found = self._open.get(id)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        if found.state != "open" or self.clock.now() >= found.pending.expires_at:
            raise Refused(Code.SESSION_SPENT, "this question has ended")
        try:
            fields = dict(parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=20))
        except ValueError:
            raise Refused(Code.MALFORMED, "the form cannot be read") from None
        answered, tie = anyone.read(found.pending, fields, self._answers_at(id))
        if isinstance(answered, oid4vp.Declined):
            self._end(found, "declined")
            return
        verdict = verify(answered.value, Put(self.wanted, tie), self.pack(), now=self.clock.now())
        self._end(found, verdict.outcome, verdict.step, verdict.code)
        if verdict.outcome == "accepted":
            self._passed[found.cookie] = self.clock.now() + PASS

    def _look(self, found: _Open) -> dict[str, Any]:
        left = max(0, round((found.pending.expires_at - self.clock.now()).total_seconds()))
        state = "expired" if found.state == "open" and left == 0 else found.state
        return {
            "id": found.pending.id, "state": state, "seconds_left": left, "step": found.step, "code": found.code,
            "words": _words(state),
        }  # fmt: skip

    # --- inside -------------------------------------------------------------------------------------------------------

    def _mine(self, id: str, headers: Headers) -> _Open:
        found = self._open.get(id)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if found is None or not token.isascii() or not hmac.compare_digest(found.page, token):
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return found

    def _end(self, found: _Open, state: str, step: str | None = None, code: Code | None = None) -> None:
        if found.state == "open":
            found.state, found.step, found.code = state, step, code.value if code is not None else None

    def _question(self) -> Question:
        wanted = self.wanted
        query = either(wanted.items, wanted.vct, wanted.doctype, wanted.namespace)
        return Question(wanted.purpose, wanted.items, query, written(query))

    def _answers_at(self, id: str) -> str:
        return f"{self.url}/answers/{id}"

    @property
    def _name(self) -> str:
        """RFC 6265bis 4.1.3.2: with the prefix no sibling site plants a cookie here that it already knows."""
        return f"__Host-{COOKIE}" if self.url.startswith("https:") else COOKIE

    def _cookie(self, header: str) -> str:
        found = cookie((header,), self._name)
        return found if found is not None and 20 <= len(found) <= 64 else ""

    def _set_cookie(self, value: str) -> str:
        secure = "; Secure" if self.url.startswith("https:") else ""
        return f"{self._name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"

    def _forget(self) -> None:
        now = self.clock.now()
        # Copied first: a WSGI server calls this from several threads.
        for id in [id for id, one in list(self._open.items()) if now >= one.pending.expires_at + anyone.LIFE]:
            self._open.pop(id, None)
        for value in [value for value, until in list(self._passed.items()) if now >= until]:
            self._passed.pop(value, None)

    # --- in front of an application -----------------------------------------------------------------------------------

    def wsgi(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """PEP 3333, mounted: PATH_INFO is the path below `url`."""
        size = str(environ.get("CONTENT_LENGTH") or "0")
        length = int(size) if size.isdigit() else 0
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
        if length > BODY:
            status, more, said = _json({"error": Code.TOO_LARGE.value, "detail": ""}, 413)
        else:
            body = environ["wsgi.input"].read(length) if length else b""
            status, more, said = self.handle(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), headers, body)
        start(f"{status} {HTTPStatus(status).phrase}", list(more.items()))
        return [said]

    async def asgi(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:  # fmt: skip
        """ASGI 3, mounted: `root_path` is cut off."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more and len(body) <= BODY:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, told, said = _json({"error": Code.TOO_LARGE.value, "detail": ""}, 413)
        if len(body) <= BODY:
            status, told, said = self.handle(scope["method"], path, headers, body)
        raw = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": said})


def _words(state: str) -> dict[str, str] | None:
    key = f"api.outcome.{state}"
    return {language: say(language, key) for language in LANGUAGES} if knows(key) else None


def _json(value: Any, status: int = 200, more: Mapping[str, str] | None = None) -> Answered:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return status, headers | dict(more or {}), msgspec.json.encode(value)


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()


def _qr(link: str) -> str:
    """Where the library that draws codes is installed; else the page shows the link alone."""
    try:
        return drawn(link, "L")
    except ImportError:
        return ""
