"""`mapae rp ...` on a running country's data: apply over HTTP, decide with governors' keys, each with a plan first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mapae.cli import app
from mapae.clock import SystemClock
from mapae.errors import Code, Refused
from town import BASE, Town

pytestmark = pytest.mark.parametrize("town", ["sqlite"], indirect=True)


class Terminal:
    """What is typed at one; the installation answers in this process."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town, self.folder = town, folder
        self.data = str(town.house.foundation.data)

    def __call__(self, *words: str, governor: bool = False) -> str:
        done = self._run(words, governor)
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.stdout

    def refused(self, *words: str, governor: bool = False) -> Refused:
        done = self._run(words, governor)
        assert isinstance(done.exception, Refused), done.output
        return done.exception

    def code(self, *words: str) -> int:
        return self._run(words, False).exit_code

    def _run(self, words: tuple[str, ...], governor: bool) -> Result:
        self.town.clock.set(SystemClock().now())  # as the commands, which are processes of their own, have it
        return CliRunner().invoke(app, ["rp", *words, *(("--data", self.data) if governor else ())])

    def file(self, *purposes: str, id: str = "corner") -> str:
        made = self("new", id, "--name", "Corner", "--number", "123-45-67890", "--contact", "https://corner.example/",
                    *[word for one in purposes for word in ("--purpose", one)])  # fmt: skip
        path = self.folder / f"{id}.json"
        path.write_text(made, encoding="utf-8")
        return str(path)


@pytest.fixture
def terminal(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """The client's way into the house is the house itself; nothing of the commands is replaced."""

    class Line(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            body = request.read()
            sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            answer = town.call(town.house.foundation.http.send, sent)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    real = httpx.Client

    def client(**more: object) -> httpx.Client:
        return real(transport=Line())

    monkeypatch.setattr(httpx, "Client", client)
    yield Terminal(town, tmp_path)


def test_an_application_by_command_from_draft_to_end(town: Town, terminal: Terminal) -> None:
    file = terminal.file("alcohol_tobacco")
    assert terminal("lint", file) == ""
    assert "plan: apply" in terminal("apply", file, "--url", BASE) and terminal("waiting", governor=True) == ""
    link = terminal("apply", file, "--url", BASE, "--apply").splitlines()[-1]
    assert link.startswith(f"{BASE}/rp/a/") and terminal("status", link).startswith("corner  waiting")
    id = terminal("waiting", governor=True).split()[0]
    shown = terminal("show", id, governor=True)
    assert json.loads(shown)["application"]["contact"] == "https://corner.example/"
    assert [(one["document"], one["items"], one["risk"]) for one in json.loads(shown)["asks"]] == [
        ("resident_card", ["adult_by_year"], "low")
    ], "what two governors sign for, also where an application leaves it out"
    one, other = ("--as", "governor-1"), ("--as", "governor-2")
    assert "plan: agree, as governor-1" in terminal("approve", id, *one, governor=True)
    bare, _, _ = id.partition(".")
    assert terminal.refused("approve", bare, *one, "--apply", governor=True).code is Code.CONFLICT  # which version?
    assert "1 more must agree" in terminal("approve", id, *one, "--apply", governor=True)
    assert terminal.refused("approve", id, *one, "--apply", governor=True).code is Code.NOT_ALLOWED
    assert "agreed to by governor-1" in terminal("waiting", governor=True)
    assert "one governor has agreed" in terminal("status", link)
    assert "it holds" in terminal("approve", id, *other, "--apply", governor=True)
    assert "corner  approved" in terminal("status", link) and "BEGIN CERTIFICATE" in terminal("status", link)
    assert len(terminal("till", link).strip()) == 12 and terminal("api-key", link).startswith("mapae_")
    assert terminal.refused("renew", id, *one, "--apply", governor=True).code is Code.CONFLICT
    assert "green  364 days left" in terminal("status", link)
    assert "1 more" in terminal("end", id, *one, "--apply", governor=True)
    assert "it holds" in terminal("end", id, *other, "--apply", governor=True)
    town.call(town.house.onboarding.round)
    assert "corner  ended" in terminal("status", link)


def test_what_a_party_has_is_listed_and_ended_by_command_and_a_lost_link_is_replaced(
    town: Town, terminal: Terminal
) -> None:
    link = terminal("apply", terminal.file("alcohol_tobacco"), "--url", BASE, "--apply").splitlines()[-1]
    id = terminal("waiting", governor=True).split()[0]
    assert terminal.refused("stop", link, "key:0", "--apply").code is Code.NOT_FOUND  # nothing before it is registered
    for governor in ("governor-1", "governor-2"):
        terminal("approve", id, "--as", governor, "--apply", governor=True)
    secret = terminal("api-key", link, "--label", "Web server").strip()
    [line] = [line for line in terminal("status", link).splitlines() if line.startswith("key:")]
    assert "Web server" in line and "last used never" in line and secret not in line
    key = line.split()[0]
    assert "plan: end key:" in terminal("stop", link, key) and key in terminal("status", link)
    assert terminal("stop", link, key, "--apply").splitlines()[-1] == "ended"
    assert terminal.refused("stop", link, key, "--apply").code is Code.NOT_FOUND and key not in terminal("status", link)
    assert "plan: another link" in terminal("link", link) and terminal("status", link)
    new = terminal("link", link, "--apply").splitlines()[-1]
    assert terminal.refused("status", link).code is Code.NOT_FOUND and terminal("status", new)
    bare = id.partition(".")[0]
    assert "plan: a new link" in terminal("relink", bare, governor=True) and terminal("status", new)
    again = terminal("relink", bare, "--apply", governor=True).splitlines()[-1]
    assert terminal.refused("status", new).code is Code.NOT_FOUND and "approved" in terminal("status", again)


def test_an_operator_makes_a_client_for_a_party_that_asks_through_the_checker_and_the_party_ends_it(
    town: Town, terminal: Terminal, tmp_path: Path
) -> None:
    link = terminal("apply", terminal.file("log_in"), "--url", BASE, "--apply").splitlines()[-1]
    settings = tmp_path / "mapae.toml"
    settings.write_text(f'data = "{terminal.data}"\nbase_url = "{BASE}"\n', encoding="utf-8")
    add = ("client", "add", "site", "--party", "corner", "--redirect-uri", "https://corner.example/cb",
           "--config", str(settings))  # fmt: skip
    assert terminal.refused(*add).code is Code.UNKNOWN_RELYING_PARTY  # nobody is registered yet
    id = terminal("waiting", governor=True).split()[0]
    for governor in ("governor-1", "governor-2"):
        terminal("approve", id, "--as", governor, "--apply", governor=True)
    town.clock.set(SystemClock().now() + timedelta(seconds=6))  # the verifier's next look at the list
    town.call(town.house.hosting.round)
    assert terminal(*add).strip()
    assert "client:site  https://corner.example/cb" in terminal("status", link)
    assert terminal("stop", link, "client:site", "--apply").splitlines()[-1] == "ended"
    assert "client:site" not in terminal("status", link)


def test_over_asking_is_said_before_anything_is_sent_and_refused_by_the_server(terminal: Terminal) -> None:
    path = Path(terminal.file("alcohol_tobacco"))
    said = json.loads(path.read_text("utf-8"))
    said["purposes"][0]["items"] = ["name", "resident_number"]
    path.write_text(json.dumps(said), encoding="utf-8")
    assert terminal.code("lint", str(path)) == 1
    refused = terminal.refused("apply", str(path), "--url", BASE, "--apply")
    assert refused.code is Code.EXCESSIVE and refused.step in ("never", "beyond_minimum")
    [first, *_] = json.loads(CliRunner().invoke(app, ["rp", "lint", str(path), "--json"]).stdout)
    assert first["stops"] and first["do"]["ko"] != first["do"]["en"]


def test_returned_refused_and_withdrawn_with_words(town: Town, terminal: Terminal) -> None:
    link = terminal("apply", terminal.file("alcohol_tobacco"), "--url", BASE, "--apply").splitlines()[-1]
    id = terminal("waiting", governor=True).split()[0]
    back = ("return", id, "--as", "governor-1", "--words", "Which shop is it?")
    assert "plan: send back" in terminal(*back, governor=True)
    assert terminal(*back, "--apply", governor=True).splitlines()[-1] == "returned"
    assert "note: Which shop is it?" in terminal("status", link)
    assert "refused" in terminal(
        "refuse", id, "--as", "governor-2", "--words", "No.", "--apply", governor=True
    )  # fmt: skip
    link = terminal("apply", terminal.file("alcohol_tobacco", id="other"), "--url", BASE, "--apply").splitlines()[-1]
    assert "plan: withdraw" in terminal("withdraw", link)
    assert terminal("withdraw", link, "--apply").splitlines()[-1] == "withdrawn"


def test_a_governor_who_filed_it_cannot_approve_it(terminal: Terminal) -> None:
    file = terminal.file("alcohol_tobacco")
    terminal("apply", file, "--url", BASE, "--filed-by", "governor-2", "--apply")
    id = terminal("waiting", governor=True).split()[0]
    assert terminal.refused("approve", id, "--as", "governor-2", "--apply", governor=True).code is Code.NOT_ALLOWED


def test_a_key_of_ones_own_is_made_once_and_goes_in_as_a_request(terminal: Terminal, tmp_path: Path) -> None:
    pem = tmp_path / "shop.pem"
    request = terminal("key", "--out", str(pem))
    assert pem.stat().st_mode & 0o077 == 0 and "PRIVATE" in pem.read_text("ascii")
    assert terminal.refused("key", "--out", str(pem)).code is Code.BAD_CONFIG
    (tmp_path / "request").write_text(request, encoding="ascii")
    made = terminal("new", "corner", "--name", "Corner", "--number", "123", "--contact", "https://corner.example/",
                    "--purpose", "alcohol_tobacco", "--request", str(tmp_path / "request"))  # fmt: skip
    assert json.loads(made)["key"]["crv"] == "P-256" and "PRIVATE" not in made


def test_a_purpose_of_ones_own_comes_out_of_a_file_and_is_linted_with_the_rest(
    terminal: Terminal, tmp_path: Path
) -> None:
    """The file is that of docs/tutorial.md, where it is asked as well."""
    own = tmp_path / "own.json"
    text = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
    own.write_text(text.partition("```json\n")[2].partition("```")[0], encoding="utf-8")
    who = ("new", "corner", "--name", "Corner", "--number", "123", "--contact", "https://corner.example/")
    made = tmp_path / "made.json"
    made.write_text(terminal(*who, "--own", str(own)), encoding="utf-8")
    assert [one["id"] for one in json.loads(made.read_text("utf-8"))["purposes"]] == ["delivery"]
    assert terminal.code("lint", str(made)) == 0
    own.write_text('{"id": "delivery", "more": 1}', encoding="utf-8")
    assert terminal.refused(*who, "--own", str(own)).code is Code.MALFORMED
    assert "tutorial" in terminal.refused(*who, "--own", str(tmp_path / "none.json")).detail


def test_what_cannot_be_done_says_what_to_try(terminal: Terminal, tmp_path: Path) -> None:
    assert "mapae rp new" in terminal.refused("lint", str(tmp_path / "none.json")).detail
    assert "mapae rp waiting" in terminal.refused("show", "nothing", governor=True).detail
    (tmp_path / "bad.json").write_text('{"id": "X"}', encoding="ascii")
    assert "bad.json" in terminal.refused("lint", str(tmp_path / "bad.json")).detail
