"""A yes-or-no question inside somebody's own web application, checked against the offline pack there."""

from __future__ import annotations

import io
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from mapae.errors import Code, Refused
from mapae.holder import Wallet
from mapae.verifier.checking import kit
from mapae.verifier.site import gate
from mapae.verifier.site.gate import Gate
from town import BASE, Town

BAR = "https://bar.example"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Bar:
    """A site with a gate in it, and a guest whose phone can reach both the site and the country."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town, self.folder = town, folder
        citizen = town.citizen()
        citizen.obtain()
        self.pack = town.pack(folder)
        wanted = kit.Wanted.of(town.house.country, "alcohol_tobacco")
        self.gate = Gate(f"{BAR}/age", wanted, lambda: self.pack, clock=town.clock)
        self.site = Starlette(routes=[Mount("/age", self.gate.asgi), Route("/beer", self.beer)])
        way = httpx.ASGITransport(app=self.site)
        country = httpx.ASGITransport(app=town.house.site)
        http = httpx.AsyncClient(mounts={BAR: way, BASE: country}, trust_env=False)
        self.wallet = Wallet(http, BASE, store=citizen.store, clock=town.clock)

    async def beer(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("beer" if self.gate.passed(request.headers.get("cookie", "")) else "milk")

    def show(self, link: str) -> Any:
        self.town.call(self.wallet.renew_if_needed)
        asked = self.town.call(self.wallet.open_request, link)
        return self.town.call(self.wallet.present, asked)


class Guest:
    """A browser at the bar."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=bar.site), base_url=BAR)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.bar.town.call(lambda: self.http.request(method, path, **more))

    def ask(self) -> dict[str, Any]:
        return dict(self.call("POST", "/age/anyone/checks", json={"purpose": "alcohol_tobacco"}).json())

    def look(self, started: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {started['page']}"}
        return self.call("GET", f"/age/pages/{started['id']}?wait=5", headers=headers).json()

    def drink(self) -> str:
        return self.call("GET", "/beer").text


@pytest.fixture(scope="module")
def bar(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bar]:
    folder = tmp_path_factory.mktemp("bar")
    shutil.copytree(template, folder / "var")
    with start_blocking_portal() as portal:
        town = Town.open(portal, folder / "var")
        yield Bar(town, folder / "pack")
        town.close()


def test_a_site_lets_in_the_browser_that_was_answered_yes(bar: Bar) -> None:
    guest, stranger = Guest(bar), Guest(bar)
    assert guest.drink() == "milk"
    started = guest.ask()
    assert guest.look(started)["state"] == "open"
    bar.show(started["link"])
    assert guest.look(started)["state"] == "accepted"
    assert (guest.drink(), stranger.drink()) == ("beer", "milk")
    assert bar.wallet.history[-1].name == {"": "bar.example"}
    bar.town.clock.advance(minutes=61)
    assert guest.drink() == "milk"


def test_an_answer_counts_once_and_for_its_own_question(bar: Bar) -> None:
    guest, other = Guest(bar), Guest(bar)
    started, theirs = guest.ask(), other.ask()
    asked = bar.town.call(bar.wallet.open_request, started["link"])
    bar.show(started["link"])
    with pytest.raises(Refused):
        bar.town.call(bar.wallet.present, asked)
    headers = {"Authorization": f"Bearer {started['page']}"}
    assert other.call("GET", f"/age/pages/{theirs['id']}", headers=headers).status_code == 404
    assert (other.look(theirs)["state"], other.drink()) == ("open", "milk")


def test_a_question_ends_with_a_no_a_cancel_or_its_time(bar: Bar) -> None:
    guest = Guest(bar)
    said_no, cancelled, late = guest.ask(), guest.ask(), guest.ask()
    bar.town.call(bar.wallet.refuse, bar.town.call(bar.wallet.open_request, said_no["link"]))
    headers = {"Authorization": f"Bearer {cancelled['page']}"}
    guest.call("POST", f"/age/pages/{cancelled['id']}/cancel", headers=headers)
    asked = bar.town.call(bar.wallet.open_request, late["link"])
    states = [guest.look(said_no)["state"], guest.look(cancelled)["state"]]
    bar.town.clock.advance(minutes=3)
    with pytest.raises(Refused):
        bar.town.call(bar.wallet.present, asked)
    assert [*states, guest.look(late)["state"], guest.drink()] == ["declined", "cancelled", "expired", "milk"]


def test_the_example_of_a_site_with_a_gate_runs(bar: Bar) -> None:
    """examples/gate.py, as it stands: milk is its page, beer what comes behind it."""
    example = runpy.run_path(str(EXAMPLES / "gate.py"))
    app, told = example["site"](bar.gate), []

    def get(path: str, cookies: str = "") -> bytes:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_COOKIE": cookies}
        return b"".join(app(environ, lambda status, headers: told.append(status)))

    guest = Guest(bar)
    started = guest.ask()
    bar.show(started["link"])
    cookies = "; ".join(f"{name}={value}" for name, value in guest.http.cookies.items())
    assert b"data-mapae-purpose" in get("/")
    assert b"beer" in get("/", cookies)
    assert b"mapaeButton" in get("/age/button.js")
    assert set(told) == {"200 OK"}


def test_the_example_of_a_check_with_no_network_runs(bar: Bar) -> None:
    """examples/check.py: the texts of the codes that a phone shows, once."""
    check, codes = runpy.run_path(str(EXAMPLES / "check.py"))["check"], bar.wallet.codes
    listed = bar.town.call(codes.purposes).purpose("alcohol_tobacco")
    made = codes.unasked(listed)
    verdicts = [check(bar.folder, list(made.frames), bar.town.clock.now()) for _ in range(2)]
    assert [(one.outcome, one.code) for one in verdicts] == [("accepted", None), ("refused", Code.PRESENTATION_SPENT)]


def test_a_cookie_that_a_sibling_site_planted_lets_nobody_in(bar: Bar) -> None:
    """Whoever knows a guest's cookie would be let in with him: a sibling site may set any but `__Host-`."""
    guest, thief = Guest(bar), Guest(bar)
    for one in (guest, thief):
        one.http.cookies.set("mapae_gate", "a-cookie-that-the-thief-knows", domain="bar.example")
    started = guest.ask()
    bar.show(started["link"])
    assert guest.look(started)["state"] == "accepted"
    assert (guest.drink(), thief.drink()) == ("beer", "milk")


def test_another_site_cannot_ask_in_a_guests_name(bar: Bar) -> None:
    answer = Guest(bar).call("POST", "/age/anyone/checks", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (404, False)


def test_no_more_questions_are_open_than_memory_has_room_for(bar: Bar) -> None:
    full = Gate(f"{BAR}/age", bar.gate.wanted, lambda: bar.pack, clock=bar.town.clock)
    for _ in range(gate.MOST):
        full._open[str(_)] = next(iter([*bar.gate._open.values()] or [_opened(bar)]))
    status, _, said = full.handle("POST", "/anyone/checks", {}, b"{}")
    assert (status, Code.TOO_OFTEN.value.encode() in said) == (429, True)


def _opened(bar: Bar) -> Any:
    Guest(bar).ask()
    return next(iter(bar.gate._open.values()))


def test_who_names_a_person_needs_a_registration(bar: Bar) -> None:
    wanted = kit.Wanted.of(bar.town.house.country, "name_birth_date")
    with pytest.raises(Refused) as refused:
        Gate(BAR, wanted, lambda: bar.pack)
    assert refused.value.code is Code.OVER_ASKING


def test_the_same_gate_stands_in_a_wsgi_application(bar: Bar) -> None:
    """PEP 3333."""
    told: list[Any] = []

    def call(method: str, path: str, body: bytes = b"", **more: str) -> bytes:
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        } | more  # fmt: skip
        return b"".join(bar.gate.wsgi(environ, lambda status, headers: told.append((status, dict(headers)))))

    assert b"mapae" in call("GET", "/button.js")
    assert b'"link"' in call("POST", "/anyone/checks", b"{}")
    assert told[-1][0] == "201 Created"
    assert "HttpOnly; SameSite=Lax; Secure" in told[-1][1]["Set-Cookie"]
    call("POST", "/answers/none", b"x" * (gate.BODY + 1))
    assert told[-1][0].startswith("413")
    call("POST", "/answers/none", b"response=a")
    assert told[-1][0].startswith("404")
