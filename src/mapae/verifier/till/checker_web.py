"""The checker that works offline: its page, its own files with their digests, and the doors it knocks at when there is
a network.

Promises: the page, its worker and its manifest are the same for everybody, so they may be kept; the worker's list has
the digest of each file, so a version is kept whole or not at all. Anybody gets the page and the till pack: a yes or no
about age needs no account. Trusts: the till cookie, for questions in a shop's name, its own purposes and its receipts.
Keeps: nothing. Refuses: signed questions for anybody but an enrolled till, or for a purpose its shop has not
registered.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.errors import Code, Refused
from mapae.formats import qr
from mapae.trust.pack.verify import Opened
from mapae.ui import csrf
from mapae.ui.files import STATIC
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, json_answer, json_body, not_modified, see_other
from mapae.ui.pages import environment
from mapae.ui.site import content_policy
from mapae.ui.words import Language, language, say, words
from mapae.verifier.asking.store import Till
from mapae.verifier.till import till_pack
from mapae.verifier.till.kiosk import SEEN, Access, Verifier
from mapae.verifier.till.till_receipts import MOST, Reported, signed
from mapae.verifier.till.web import COOKIE

BASE: Final = "/checker/offline/"
MOST_ASKS: Final = 32  # signed at one request
# A weekend without a network; below `qr.ASK_LONGEST`, for phones whose clocks are slow.
ASKS_LIVE: Final = timedelta(days=2)
_LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
_APP, _WORKER, _WASM = "vendor/checker/app.js", "vendor/checker/sw.js", "vendor/zxing/zxing_reader.wasm"
_ICONS: Final = {"checker.svg": "any", "checker-192.png": "192x192", "checker-512.png": "512x512"}
_FILES: Final = ("mapae.css", "checker.css", "basement.css", _APP, _WASM, *_ICONS)
# The page's words: its own, and those of the online checker's verdicts.
_SAID: Final = (
    "basement.", "checker.outcome.", "checker.reason.", "checker.next.", "checker.step.", "checker.age.",
    "checker.pack.age", "checker.pack.late", "checker.offline.", "checker.verdict.", "checker.yes", "checker.no",
    "checker.renew", "checker.waiting.qr", "checker.start.learn_items",
)  # fmt: skip
_log = structlog.get_logger("mapae.verifier")
# The reader of QR codes is WebAssembly, as the wallet's is.
_HEADERS: Final = {"Content-Security-Policy": content_policy(wasm=True), "Cache-Control": "no-cache"}


def routes(
    verifier: Verifier, access: Mapping[str, Access], clock: Clock, dice: Dice, static: Path = STATIC
) -> list[Door]:  # fmt: skip
    """`access`: with what each relying party of this process signs; parties may join later. `static`: the folder behind
    `/static/`."""
    page, doors = _Page(static), _Doors(verifier, access, clock, dice)
    everybody: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "rate": Rate(240, 60)}
    found = [
        door("GET", "/checker/adult", page.lead_on, caller=Caller.ANYONE, answer=Answer.PAGE),
        door("GET", BASE, page.lead_on, caller=Caller.ANYONE, answer=Answer.PAGE),
        door("GET", f"{BASE}sw.js", page.worker, caller=Caller.ANYONE, answer=Answer.PAGE),
        door("GET", f"{BASE}till", doors.till, **everybody),
        door("GET", f"{BASE}pack", doors.pack, **everybody),
        # A first look fetches every list there is, one by one; they come from memory, and may be kept on the way.
        door("GET", f"{BASE}lists/{{digest}}", doors.list, caller=Caller.ANYONE, answer=Answer.JSON),
        door("POST", f"{BASE}asks", doors.asks, csrf=Csrf.TOKEN, limit=1024, **everybody),
        door("POST", f"{BASE}receipts", doors.receipts, csrf=Csrf.TOKEN, limit=131_072, **everybody),
    ]
    for lang in _LANGUAGES:
        of = f"{BASE}{lang}/"
        found += [
            door("GET", of, page.shell(lang), caller=Caller.ANYONE, answer=Answer.PAGE, camera=True),
            door("GET", f"{of}manifest.webmanifest", page.manifest(lang), caller=Caller.ANYONE, answer=Answer.PAGE),
        ]
    return found


# --- the page ---------------------------------------------------------------------------------------------------------


class _Page:
    def __init__(self, static: Path) -> None:
        self._static = static

    async def lead_on(self, request: Request) -> Response:
        return see_other(f"{BASE}{language(request)}/")

    def shell(self, lang: Language) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self._must_be_built()
            headers = {**_HEADERS, "Content-Language": lang}
            return Response(self._shell(lang, _demo(request)), headers=headers, media_type="text/html")

        return answer

    def manifest(self, lang: Language) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return Response(self._manifest(lang), headers=_HEADERS, media_type="application/manifest+json")

        return answer

    async def worker(self, request: Request) -> Response:
        """The list of files stands before the worker's own text, so that any change of any file is a new worker."""
        self._must_be_built()
        files = self._listed(_demo(request))
        version = sha256(json.dumps(files).encode()).hexdigest()[:16]
        told = json.dumps({"version": version, "scope": BASE, "files": files})
        text = f"self.MAPAE = {told};\n".encode() + (self._static / _WORKER).read_bytes()
        return Response(text, headers=_HEADERS, media_type="text/javascript")

    def _listed(self, demo: bool) -> dict[str, str]:
        """Address by address, what the worker keeps: its digest, as a browser's `integrity` has it."""
        files = {self._url(name): _integrity(self._digest(name)) for name in _FILES}
        for lang in _LANGUAGES:
            for path, raw in (("", self._shell(lang, demo)), ("manifest.webmanifest", self._manifest(lang))):
                files[f"{BASE}{lang}/{path}"] = _integrity(sha256(raw).digest())
        return files

    def _shell(self, lang: Language, demo: bool) -> bytes:
        """Without cookie, token or anything of whoever asks: it is kept, and for both languages at once."""
        said = {key: text for key, text in words(lang).items() if key.startswith(_SAID)}
        text = environment().get_template("checker/offline.html").render(
            lang=lang, t=lambda key, **values: say(lang, key, **values), static=self._url, demo=demo,
            words=json.dumps(said, ensure_ascii=False), seconds=int(SEEN.total_seconds()),
        )  # fmt: skip
        return text.encode()

    def _manifest(self, lang: Language) -> bytes:
        """W3C Web Application Manifest: what a browser wants before it offers to install a page."""
        kinds = {".svg": "image/svg+xml", ".png": "image/png"}
        icons = [
            {"src": self._url(name), "sizes": size, "type": kinds[Path(name).suffix]} for name, size in _ICONS.items()
        ]
        told = {
            "id": BASE, "name": f"{say(lang, 'ui.name')} · {say(lang, 'basement.title')}",
            "short_name": say(lang, "basement.short"), "lang": lang, "start_url": f"{BASE}{lang}/", "scope": BASE,
            "display": "standalone", "background_color": "#f4f5f6", "theme_color": "#0b1f4b", "icons": icons,
        }  # fmt: skip
        return json.dumps(told, ensure_ascii=False).encode()

    def _url(self, name: str) -> str:
        """As `ui.files.static_url` has it."""
        return f"/static/{name}?v={self._digest(name).hex()[:12]}"

    def _digest(self, name: str) -> bytes:
        path = self._static / name
        return _digest(path, path.stat().st_mtime_ns)

    def _must_be_built(self) -> None:
        if not all((self._static / name).is_file() for name in (_APP, _WORKER, _WASM)):
            raise Refused(Code.UNAVAILABLE, "the checker that works offline has not been built here; `make` builds it")


@lru_cache(maxsize=64)
def _digest(path: Path, stamp: int) -> bytes:
    return sha256(path.read_bytes()).digest()


def _integrity(digest: bytes) -> str:
    return "sha256-" + base64.b64encode(digest).decode()


def _demo(request: Request) -> bool:
    return bool(getattr(request.app.state, "demo", False))


# --- what it fetches --------------------------------------------------------------------------------------------------


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    purpose: str
    count: int


class _Receipts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    receipts: tuple[Reported, ...]


class _Doors:
    def __init__(self, verifier: Verifier, access: Mapping[str, Access], clock: Clock, dice: Dice) -> None:
        self._verifier, self._access, self._clock, self._dice = verifier, access, clock, dice
        self._made: tuple[Opened, str, bytes] | None = None

    @property
    def _country(self) -> Country:
        return self._verifier.questions.country

    def _opened(self) -> Opened:
        basement = self._verifier.basement
        if basement is None or basement.opened is None:
            raise Refused(Code.UNAVAILABLE, "this verifier has no offline pack yet")
        return basement.opened

    async def _till(self, request: Request) -> Till | None:
        return await self._verifier.till(csrf.session_token(request, COOKIE))

    async def till(self, request: Request) -> Response:
        """Who this browser asks for and what, the time, and the token that its posts have to show. `own`: purposes that
        are not in the pack, or not as its shop has registered them."""
        till, (token, fresh) = await self._till(request), csrf.token_for_page(request)
        about = await self._about(till) if till is not None else None
        answer = json_answer({"now": int(self._clock.now().timestamp()), "csrf": token, "till": about})
        if fresh is not None:
            csrf.set_cookie(request, answer, csrf.FORM_COOKIE, fresh, None)
        return answer

    async def _about(self, till: Till) -> dict[str, Any] | None:
        """None where the list does not name its shop, now or for good: then the page asks what anybody may, and goes on
        getting the pack for that."""
        try:
            may, shop = await self._verifier.purposes(till), await self._verifier.shop(till)
        except Refused as refused:
            if refused.code is not Code.UNKNOWN_RELYING_PARTY:
                raise
            return None
        ready = self._country.purposes
        own = [till_pack.purpose(self._country, one) for one in may if ready.get(one.id) != one]
        return {
            "party": till.relying_party, "shop": msgspec.to_builtins(shop),
            "purposes": [purpose.id for purpose in may], "own": msgspec.to_builtins(own),
            "until": int(till.expires_at.timestamp()),
        }  # fmt: skip

    async def pack(self, request: Request) -> Response:
        opened = self._opened()
        if self._made is None or self._made[0] is not opened:
            self._made = opened, *till_pack.made(opened, self._country)
        _, id, raw = self._made
        headers = {"ETag": f'"{id}"', "Cache-Control": "no-cache"}
        return not_modified(request, headers) or Response(raw, headers=headers, media_type="application/json")

    async def list(self, request: Request) -> Response:
        try:
            digest = bytes.fromhex(request.path_params["digest"])
        except ValueError:
            digest = b""
        folded = till_pack.folded(self._opened(), digest)
        if folded is None:
            raise Refused(Code.NOT_FOUND, "the offline pack has no such list")
        forever = {"Cache-Control": f"public, max-age={int(timedelta(days=30).total_seconds())}, immutable"}
        return Response(folded, headers=forever, media_type="application/octet-stream")

    async def asks(self, request: Request) -> Response:
        """Questions signed beforehand, each with a nonce of its own: a till in a basement shows one, once, and none
        after `until`."""
        till, asked = await self._till(request), await json_body(request, _Asked)
        if till is None:
            raise Refused(Code.NOT_ALLOWED, "only an enrolled till asks in a shop's name")
        may = {purpose.id: purpose for purpose in await self._verifier.purposes(till)}
        purpose = may.get(asked.purpose)
        if purpose is None:
            raise Refused(Code.OVER_ASKING, "this relying party has not registered this purpose")
        count = min(max(asked.count, 0), MOST_ASKS)
        until = int((self._clock.now() + ASKS_LIVE).timestamp())
        asks = [self._ask(till.relying_party, purpose.id, purpose.items, until) for _ in range(count)]
        return json_answer({"asks": asks, "until": until})

    async def receipts(self, request: Request) -> Response:
        """In their order; null where one is not to be believed, so that one bad line holds up no other."""
        till, said = await self._till(request), await json_body(request, _Receipts)
        if till is None:
            raise Refused(Code.NOT_ALLOWED, "only an enrolled till has receipts in a shop's name")
        questions, opened, now = self._verifier.questions, self._opened(), self._clock.now()
        party = questions.party(await questions.trust(), till.relying_party)
        found: list[str | None] = []
        for one in said.receipts[:MOST]:
            try:
                found.append(signed(one, party, self._access[party.id], opened, now))
            except Refused as refused:
                _log.warning("a receipt was not signed", code=refused.code.value, step=refused.step)
                found.append(None)
        return json_answer({"receipts": found})

    def _ask(self, party: str, purpose: str, items: tuple[str, ...], until: int) -> str:
        access = self._access[party]
        question = qr.Ask(nonce=self._dice.bytes(qr.NONCE), purpose=purpose, items=items, until=until)
        return question.sealed(access.signer.sign(question.to_be_signed()), access.x5c[0]).encode()
