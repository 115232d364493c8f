"""Each bench script runs once and finds a positive ratio; that the ratios are good is for `make bench` to show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.append(str(Path(__file__).resolve().parents[2]))  # bench is no part of the package

from bench import country, library, page, profile, starts, tokens
from bench.harness import QUICK, Effort, Figure, Raw, Spread, machine

ONCE = Effort(rounds=1, times=1, http_rounds=1, visits=1, starts=1, tokens=64, residents=40)


def positive(figures: list[Figure]) -> None:
    assert figures
    for figure in figures:
        assert 0 < figure.ratio.low <= figure.ratio.middle <= figure.ratio.high, figure.name
        assert figure.limit > 0 and figure.ours > 0, figure.name


def test_library_calls_are_measured_and_say_where_their_time_goes() -> None:
    figures = library.figures(Raw(), ONCE)
    positive(figures)
    assert [figure.peer[:6] for figure in figures] == ["sd-jwt", "", "sd-jwt", "", "", ""]
    assert all(sum(share for _, share in figure.parts) == pytest.approx(1, abs=0.01) for figure in figures)


def test_one_time_tokens_are_measured() -> None:
    positive(tokens.figures(ONCE))


def test_importing_the_formats_is_measured() -> None:
    positive([starts.formats(ONCE)])


def test_stories_over_http_are_measured_against_a_server_of_its_own() -> None:
    """One visit at the counter and one check of each format, and the server's profile is read."""
    positive(country.figures(Raw(), ONCE))


def test_the_page_holds_figures_machine_and_command_and_no_paths() -> None:
    ratio = Spread(0.4, 0.5, 0.6)
    figure = Figure("library", "verify", ratio, "2 raw verifies", 1e-4, 2e-4, parts=(("raw P-256", 0.5),))
    raw = Raw().times(QUICK)
    written = page.write([figure], raw, machine(), "make bench", "2026-11-21")
    page.show([figure], raw, Console(quiet=True))
    assert "| verify | **0.50** | 0.40 .. 0.60 | 2 raw verifies | 100 us | 200 us CPU |  |" in written
    assert "`make bench`" in written and "raw P-256 50%" in written
    assert str(Path.home()) not in written and str(Path.cwd()) not in written


def test_what_remains_beside_the_raw_share_is_divided_as_the_profiler_saw_it() -> None:
    stats = {("x", 1, "'verify' of 'cryptography"): (1, 1, 9.0, 9.0, {}), ("b64.py", 1, "f"): (1, 1, 1.0, 1.0, {})}
    assert profile.shares(stats, raw=0.6) == (("raw P-256", 0.6), ("base64", 0.4))


def test_people_of_the_load_have_nothing_odd_about_them() -> None:
    _, people = country.neighbours(country.korea(), 60)
    assert people and all(who.phones and who.card and who.card.state == "valid" for who in people)
