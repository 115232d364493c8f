"""Each bench script runs once and finds a positive ratio; that the ratios are good is for `make bench` to show."""

from __future__ import annotations

import multiprocessing
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import httpx
import pytest
from rich.console import Console

sys.path.append(str(Path(__file__).resolve().parents[2]))  # bench is no part of the package

from bench import (
    burst,
    checks,
    country,
    harness,
    library,
    offline,
    pack,
    page,
    profile,
    requests,
    starts,
    status,
    tokens,
)
from bench.harness import QUICK, Effort, Figure, Here, Raw, Rival, Spread, machine
from bench.rivals import UNCHECKED

from soak import long

MDOC = ["@owf/mdoc", "@auth0/mdl", "pymdoccbor"]
SLOWPOKE = Rival("slowpoke", Spread(0.2, 0.25, 0.3), Spread(1.9, 2.0, 2.1), wanted=1.5)
ONCE = Effort(
    cores=1,
    rounds=1,
    times=1,
    http_rounds=1,
    visits=1,
    starts=1,
    tokens=64,
    residents=40,
    lists=4,
    list_size=1 << 13,
    tickets=2000,
)


def positive(figures: list[Figure]) -> None:
    assert figures
    for figure in figures:
        assert 0 < figure.ratio.low <= figure.ratio.middle <= figure.ratio.high, figure.name
        assert figure.limit > 0 and figure.ours > 0, figure.name


def test_library_calls_are_measured_and_say_where_their_time_goes() -> None:
    figures = library.figures(Raw(), ONCE)
    positive(figures)
    alone = 6 if library.lanes_there() else 4  # the engines and the batches have no peer
    peers = [[peer.name for peer in figure.peers] for figure in figures]
    assert peers == [["sd-jwt", "sd-jwt-js"]] * 2 + [MDOC] * 2 + [[]] * alone
    assert all(peer.faster.middle > 0 and peer.name in UNCHECKED for figure in figures for peer in figure.peers)
    assert all(
        sum(share for _, share in figure.parts) == pytest.approx(1, abs=0.01) for figure in figures if figure.parts
    )


def test_two_processes_work_at_once_on_two_cores() -> None:
    """Each does all the calls it was told; the wall clock of both is what counts."""
    counted = multiprocessing.get_context("fork").Value("i", 0)

    def count() -> None:
        with counted.get_lock():
            counted.value += 1

    costs = harness.on_two_cores(count, {"ours": Here(count)}, replace(ONCE, rounds=3, times=5))
    assert {name: len(rounds) for name, rounds in costs.items()} == {"limit": 3, "ours": 3}
    assert counted.value == 2 * 2 * 5 * (1 + 3) and all(cost > 0 for cost in costs["ours"])


def test_one_time_tokens_are_measured() -> None:
    positive(tokens.figures(ONCE))


def test_a_lock_is_measured_until_its_lists_are_published_and_so_are_epochs() -> None:
    figures = status.figures(Raw(), ONCE)
    positive(figures)
    assert all("not kept" not in figure.note for figure in figures)


def test_copies_of_the_load_stand_in_places_of_their_own() -> None:
    """Half of a list's places, each once, and one in a hundred is not valid."""
    places = {status.place(c, 1 << 12) for c in range(1 << 11)}
    assert len(places) == 1 << 11 and places != set(range(1 << 11))
    packed = status.list_of(1 << 12)
    assert sum(packed.read(at) != 0 for at in range(1 << 12)) == (1 << 11) // 100 + 1


def test_a_nations_pack_is_measured_and_its_promises_are_looked_at() -> None:
    figures = pack.figures(Raw(), ONCE)
    positive(figures)
    assert all("not kept" not in figure.note for figure in figures) and "kept" in figures[0].note


def test_importing_the_formats_is_measured() -> None:
    positive([starts.formats(ONCE)])


@long
def test_stories_over_http_are_measured_against_a_server_of_its_own() -> None:
    """One visit at the counter and one check of each format, and the server's profile is read."""
    positive(country.figures(Raw(), ONCE))


def test_an_offline_check_is_measured_beside_peers_who_verify_what_was_in_its_codes() -> None:
    """Each peer lets the presentation of a code pass, as it would one of OpenID4VP; none reads the code."""
    figures = offline.figures(Raw(), ONCE)
    positive(figures)
    assert {figure.group for figure in figures} == {"offline"} and all(figure.parts for figure in figures)
    peers = [[peer.name for peer in figure.peers] for figure in figures]
    assert peers == [["sd-jwt", "sd-jwt-js"], [], MDOC, []]


@long
def test_a_whole_check_over_http_is_measured_beside_a_peer() -> None:
    """Start, answer and redeem, ours and oid4vc-ts's, alone and as two servers at once."""
    figures = checks.figures(Raw(), replace(ONCE, cores=2))
    positive(figures)
    assert [[peer.name for peer in figure.peers] for figure in figures] == [["oid4vc-ts"]] * 2
    assert all(figure.two and figure.peers[0].two and "checks a second" in figure.note for figure in figures)


def test_a_burst_sends_each_request_once_and_puts_the_answers_in_order() -> None:
    """However an answer is framed and however it arrives; one connection at a time a lane."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(201)
            if self.path == "/chunks":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (said, b"!" * 17):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port, base = server.server_port, f"http://localhost:{server.server_port}"
        plain = [burst.wire(httpx.Request("POST", base, content=str(n) * n)) for n in range(1, 20)]
        chunks = [burst.wire(httpx.Request("POST", f"{base}/chunks", content=str(n))) for n in range(3)]
        sent = burst.burst([(port, plain), (port, chunks)], lanes=4)
        server.shutdown()
    assert sent.bodies[0] == [(str(n) * n).encode() for n in range(1, 20)]
    assert sent.bodies[1] == [str(n).encode() + b"!" * 17 for n in range(3)]
    assert sent.wall > 0 and sent.own > 0


def test_a_burst_fails_when_a_request_is_refused() -> None:
    class No(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), No) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        asked = burst.wire(httpx.Request("POST", f"http://localhost:{server.server_port}"))
        with pytest.raises(AssertionError, match="refused"):
            burst.burst([(server.server_port, [asked])])
        server.shutdown()


@long
def test_requests_are_measured_alone_beside_a_peer() -> None:
    """The two POSTs of a visit and the answers in both formats, ours and oid4vc-ts's, each by its process's clock."""
    figures = requests.figures(Raw(), ONCE)
    positive(figures)
    assert [figure.target for figure in figures] == [0.35] * 3 and all(figure.parts for figure in figures)
    assert [[peer.name for peer in figure.peers] for figure in figures] == [["oid4vc-ts"]] * 3


def test_the_page_holds_figures_machine_and_command_and_no_paths() -> None:
    ratio = Spread(0.4, 0.5, 0.6)
    figure = Figure(
        "library", "verify", ratio, "2 raw verifies", 1e-4, 2e-4, parts=(("raw P-256", 0.5),), peers=(SLOWPOKE,),
        two=Spread(0.8, 0.9, 1.0), target=0.7,
    )  # fmt: skip
    raw = Raw().times(QUICK)
    written = page.write([figure], raw, machine(), "make bench", "2026-11-21")
    page.show([figure], raw, Console(quiet=True))
    assert "| verify | 2 raw verifies | **0.50** | 0.40 .. 0.60 | 0.90 | 0.70, **not reached** | 100 us |" in written
    assert "| verify | slowpoke | 0.25 |  | **2.0x** | 1.9 .. 2.1 | 1.5x, reached |" in written
    assert "`make bench`" in written and "raw P-256 50%" in written
    assert str(Path.home()) not in written and str(Path.cwd()) not in written


def test_what_remains_beside_the_raw_share_is_divided_as_the_profiler_saw_it() -> None:
    stats = {("x", 1, "'verify' of 'cryptography"): (1, 1, 9.0, 9.0, {}), ("b64.py", 1, "f"): (1, 1, 1.0, 1.0, {})}
    assert profile.shares(stats, raw=0.6) == (("raw P-256", 0.6), ("base64", 0.4))


def test_people_of_the_load_have_nothing_odd_about_them() -> None:
    _, people = country.neighbours(country.korea(), 60)
    assert people and all(who.phones and who.card and who.card.state == "valid" for who in people)


def test_pictures_say_in_words_what_their_bars_show() -> None:
    """Every bar has its name and its number as text, and both colour schemes are served."""
    figure = Figure("library", "verify <1>", Spread(0.4, 0.5, 0.6), "2 raw verifies", 1e-4, 2e-4, peers=(SLOWPOKE,))
    drawn = page.pictures([figure])
    assert list(drawn) == ["performance-formats.svg"]
    root = ElementTree.fromstring(drawn["performance-formats.svg"])
    said = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"mapae", "0.50", "slowpoke", "0.25"} <= set(said) and "verify <1> (limit: 2 raw verifies)" in said
    assert "prefers-color-scheme: dark" in drawn["performance-formats.svg"]


def test_an_aim_is_reached_only_with_every_peer_passed() -> None:
    plain = Figure("library", "verify", Spread(0.4, 0.5, 0.6), "x", 1e-4, 2e-4, target=0.5, peers=(SLOWPOKE,))
    assert plain.reached
    assert not replace(plain, target=0.51).reached
    assert not replace(plain, peers=(replace(SLOWPOKE, wanted=2.5),)).reached
