"""`mapae card ...` at a simulated card, in both languages, without an echo of what is typed."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

import taps
from mapae.cli import app
from mapae.errors import Code, Refused
from mapae.issuer.ic_card.memory import FileMemory
from mapae.tapping import Link

RUN = CliRunner()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "K12345678"
    FileMemory.make(path, taps.image())
    return path


def mapae(card: Path, *words: str, typed: str = "", language: str = "en") -> tuple[int, str, Exception | None]:
    asked = ["card", *words, "--simulated", str(card), "--language", language]
    done = RUN.invoke(app, asked, input=typed)
    return done.exit_code, done.output, done.exception if isinstance(done.exception, Refused) else None


def test_info_says_how_the_pin_stands_and_uses_up_nothing(card: Path) -> None:
    for _ in range(5):
        code, said, _ = mapae(card, "info")
        assert code == 0 and "tries left 3" in said and "SIMULATED" in said
    assert "남은 횟수 3" in mapae(card, "info", language="ko")[1]


def test_two_wrong_pins_suspend_the_printed_number_resumes(card: Path) -> None:
    for wrong in ("0000", "1111"):
        _, _, refused = mapae(card, "pin", typed=f"{wrong}\n7777\n7777\n")
        assert refused is not None
    assert "suspended" in mapae(card, "info")[1]
    assert mapae(card, "resume", typed=f"{taps.CAN}\n{taps.PIN}\n")[0] == 0
    assert "tries left 3" in mapae(card, "info")[1]


def test_a_blocked_pin_takes_the_puk_from_the_letter(card: Path) -> None:
    for wrong in ("0000", "1111"):
        mapae(card, "pin", typed=f"{wrong}\n7777\n7777\n")
    _, _, refused = mapae(card, "resume", typed=f"{taps.CAN}\n2222\n")
    assert isinstance(refused, Refused) and refused.code is Code.CHIP_BLOCKED
    assert "blocked" in mapae(card, "info")[1]
    assert mapae(card, "unblock", typed=f"{taps.PUK}\n")[0] == 0
    assert "tries left 3" in mapae(card, "info")[1]


def test_a_pin_is_changed_when_it_is_typed_twice_alike(card: Path) -> None:
    _, said, refused = mapae(card, "pin", typed=f"{taps.PIN}\n7777\n8888\n")
    assert isinstance(refused, Refused)
    code, said, _ = mapae(card, "pin", typed=f"{taps.PIN}\n7777\n7777\n")
    assert code == 0 and "7777" not in said
    assert mapae(card, "pin", typed="7777\n9999\n9999\n")[0] == 0


def test_what_is_no_digits_is_asked_again(card: Path) -> None:
    code, said, _ = mapae(card, "pin", typed=f"abcd\n12\n{taps.PIN}\n7777\n7777\n")
    assert code == 0 and said.count("Digits only") == 2


@pytest.mark.parametrize(
    "link",
    [
        "", "mapae:tap#" + "x" * 32, "http://id.example.org/tap#" + "x" * 32, "https://id.example.org/tap",
        "https://id.example.org/tap#short", "https://id.example.org/other#" + "x" * 32,
        "https://user@id.example.org/tap#" + "x" * 32, "https://id.example.org/tap?a=b#" + "x" * 32,
        "https://id.example.org/tap#" + "x" * 31 + "/",
    ],
    ids=["none", "scheme", "no-tls", "no-secret", "short", "path", "user", "query", "letter"],
)  # fmt: skip
def test_a_link_that_is_not_whole_is_refused_before_a_card_is_touched(link: str) -> None:
    """Only verified https links, never a scheme of one's own (CVE-2024-23674), and no TLS on this machine only."""
    with pytest.raises(Refused) as refused:
        Link.parse(link)
    assert refused.value.code is Code.MALFORMED


def test_a_link_says_where_the_issuer_is_and_what_the_secret_is() -> None:
    link = Link.parse(" https://id.example.org/tap#" + "Ab-_" * 8 + "\n")
    assert (link.base, link.secret) == ("https://id.example.org", "Ab-_" * 8)
    assert link.line == "wss://id.example.org/issuer/tap/helper"
    assert Link.parse("http://localhost:8080/tap#" + "x" * 32).line == "ws://localhost:8080/issuer/tap/helper"


def test_a_card_that_another_reader_holds_is_said_to_be_held(card: Path) -> None:
    memory = FileMemory(card)
    _, _, refused = mapae(card, "info")
    assert isinstance(refused, Refused) and refused.code is Code.CONFLICT
    memory.close()


def test_nobody_answers_where_the_link_leads(card: Path) -> None:
    """Said as it is, and the card has lost nothing."""
    _, _, refused = mapae(card, "issue", "http://localhost:1/tap#" + "x" * 32)
    assert isinstance(refused, Refused) and refused.code is Code.UNAVAILABLE
    assert "tries left 3" in mapae(card, "info")[1]


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A server that sends whoever comes to addresses there cannot be."""

    class Sending(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "https://elsewhere.example/" if self.server.server_port % 2 else "ws://[")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Sending) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_kiosk_goes_on_to_the_next_whatever_the_one_before_was(card: Path, elsewhere: str) -> None:
    """Whoever can show a code to its scanner could end it else."""
    hosts = ["http://localhost:1", "https://a.example:99999", "https://a..b", "https://[ab]", f"https://{'a' * 64}.b",
             elsewhere]  # fmt: skip
    lines = "".join(f"{line}\n" for line in ("nonsense", *(f"{host}/tap#{'x' * 32}" for host in hosts)))
    code, said, _ = mapae(card, "issue", "--kiosk", typed=lines)
    assert code == 0 and said.count("Next please") == len(hosts) + 1 and "x" * 32 not in said
