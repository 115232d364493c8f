"""Server-rendered pages.

Promises: every page escapes what it shows, carries its language, a CSRF token for its forms and no inline script or
style, and is never cached. Trusts: our own templates and words. Keeps: compiled templates. Refuses: an undefined name
in a template (it raises, and the door makes an incident of it).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mapae.errors import Refused
from mapae.ui import csrf, files, words
from mapae.ui.codes import drawn

PACKAGE = Path(__file__).parent.parent


@cache
def environment() -> Environment:
    folders = [*sorted(PACKAGE.glob("*/templates")), *sorted(PACKAGE.glob("services/*/templates"))]
    return Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """Render `template` with `values` and the names of `_given`."""
    token, fresh = csrf.token_for_page(request)
    given = _given(request, token)
    text = environment().get_template(template).render(given | values)
    answer = HTMLResponse(
        text, status,
        {"Cache-Control": "no-store", "Content-Language": given["lang"], "Vary": "Accept-Language, Cookie, HX-Request"}
        | dict(headers or {}),
    )  # fmt: skip
    if fresh is not None:
        csrf.set_cookie(request, answer, csrf.FORM_COOKIE, fresh, None)
    remember_language(request, answer)
    return answer


def remember_language(request: Request, answer: Response) -> None:
    """The switch holds for later pages, also when it was used on an address that only leads on to another."""
    chosen = request.query_params.get("lang")
    if chosen in words.LANGUAGES:
        answer.set_cookie(
            words.LANGUAGE_COOKIE, chosen, max_age=31536000, path="/", httponly=True, samesite="lax",
            secure=csrf.secure(request),
        )  # fmt: skip


def refused_page(request: Request, refused: Refused, status: int, incident: str | None) -> Response:
    """What happened and what to do next, in the person's words. To htmx: only the panel."""
    fragment = request.headers.get("hx-request") == "true"
    return page(
        request, "refused_panel.html" if fragment else "refused.html", status=status,
        headers={"HX-Retarget": "#refusal", "HX-Reswap": "innerHTML"} if fragment else None,
        code="incident" if incident else refused.code.value, detail=refused.detail, incident=incident,
        retry=_back(request),
    )  # fmt: skip


def _given(request: Request, token: str) -> dict[str, Any]:
    """The names every template has."""
    lang = words.language(request)
    zone = getattr(request.app.state, "zone", UTC)
    return {
        "request": request,
        "lang": lang,
        "t": lambda key, **values: words.say(lang, key, **values),
        "has_words": words.knows,
        "pick": lambda both: both[lang] if isinstance(both, Mapping) else getattr(both, lang),  # {"ko": .., "en": ..}
        "day": lambda value: words.day(lang, value, zone),
        "moment": lambda value: words.moment(lang, value, zone),
        "number": words.number,
        "money": lambda amount, currency: words.money(lang, amount, currency),
        "csrf": token,
        "static": files.static_url,
        "qr": drawn,
        "jpeg": lambda raw: "data:image/jpeg;base64," + base64.b64encode(raw).decode(),
        "lang_url": lambda other: _lang_url(request, other),
        "demo": bool(getattr(request.app.state, "demo", False)),
    }


def _lang_url(request: Request, other: str) -> str:
    """This page in the other language; after a post, the page the form stood on."""
    path, query = request.url.path, list(request.query_params.multi_items())
    if request.method not in ("GET", "HEAD"):
        path, query = _back(request), []
    return f"{path}?{urlencode([*((k, v) for k, v in query if k != 'lang'), ('lang', other)])}"


def _back(request: Request) -> str:
    """The page of ours the person was on."""
    if request.method in ("GET", "HEAD"):
        return request.url.path
    came_from = referer(request)
    return came_from.path if came_from.netloc == request.url.netloc and came_from.path else "/"


def referer(request: Request) -> SplitResult:
    """Where the browser says it comes from; nowhere, where that is no address."""
    try:
        return urlsplit(request.headers.get("referer", ""))
    except ValueError:  # half an IPv6 address
        return urlsplit("")
