"""A shop's website with the button. Its page never sees the API key, and the answer counts in one visitor's session."""

import hashlib
import html
import os
import secrets

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

MAPAE = os.environ.get("MAPAE", "http://localhost:8080")
HERE = os.environ.get("HERE", "http://localhost:8090")
KEY = {"Authorization": f"Bearer {os.environ['MAPAE_KEY']}"}
PURPOSE = os.environ.get("PURPOSE", "name_birth_date")
POLICY = f"default-src 'none'; script-src 'self' {MAPAE}; connect-src 'self' {MAPAE}; style-src {MAPAE}"
PAGE = """<!doctype html><html lang="{lang}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Guest house</title><script src="{mapae}/v1/button.js" defer></script><script src="/page.js" defer></script>
<h1>Guest house</h1><p id="who" role="status">{who}</p>
<button type="button" data-mapae-start="/ask" data-mapae-finish="/answer">Check in</button></html>"""
# The session knows more after a yes: the page asks its own server what it says of this visitor.
SCRIPT = """document.addEventListener("mapae", async ({ detail }) => {
  if (detail.state !== "accepted") return;
  document.getElementById("who").textContent = await (await fetch("/who")).text();
});"""

GUESTS: dict[str, str] = {}  # by session: a real shop's own session store
mapae = httpx.AsyncClient(base_url=MAPAE, headers=KEY, trust_env=False)


def session(request: Request) -> str:
    """What the verifier knows this browser by: it learns no cookie of ours."""
    return hashlib.sha256(request.cookies.get("visit", "").encode()).hexdigest()


def known(request: Request) -> str:
    return GUESTS.get(session(request), "Nobody has checked in.")


async def page(request: Request) -> Response:
    who, lang = html.escape(known(request)), request.query_params.get("lang", "en")
    answer = HTMLResponse(PAGE.format(mapae=MAPAE, who=who, lang="ko" if lang == "ko" else "en"))
    answer.headers["Content-Security-Policy"] = POLICY
    if "visit" not in request.cookies:
        answer.set_cookie("visit", secrets.token_urlsafe(32), httponly=True, samesite="lax")
    return answer


async def script(request: Request) -> Response:
    return Response(SCRIPT, media_type="text/javascript")


async def who(request: Request) -> Response:
    return PlainTextResponse(known(request))


async def ask(request: Request) -> Response:
    """The button was pressed in this session."""
    here = bool((await request.json()).get("same_device"))
    question = {"purpose": PURPOSE, "session": session(request), "same_device": here, "return_to": f"{HERE}/back"}
    put = await mapae.post("/v1/checks", json=question)
    return JSONResponse(put.json(), put.status_code)


async def answer(request: Request) -> Response:
    """The page got a code: redeem it in the name of the session that is really here."""
    told = await request.json()
    read = await redeem(request, told["id"], told["code"])
    return JSONResponse({"state": read.get("state", "refused"), "words": read.get("words")})


async def back(request: Request) -> Response:
    """The wallet was on the same device and led the browser back."""
    await redeem(request, request.query_params["mapae_check"], request.query_params["mapae_code"])
    return RedirectResponse("/", 303)


async def redeem(request: Request, check: str, code: str) -> dict:
    read = (await mapae.post(f"/v1/checks/{check}/redeem", json={"code": code, "session": session(request)})).json()
    if read.get("state") == "accepted":
        GUESTS[session(request)] = f"{read['values']['name']} has checked in."
    return read


app = Starlette(
    routes=[
        Route("/", page),
        Route("/page.js", script),
        Route("/who", who),
        Route("/ask", ask, methods=["POST"]),
        Route("/answer", answer, methods=["POST"]),
        Route("/back", back),
    ]
)
