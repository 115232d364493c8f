"""The `mapae` command as a person types it: a process of its own, its words, its exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from running import PATIENCE, Running, free_port, mapae
from soak import long


def count(data: Path) -> int:
    with sqlite3.connect(data / "registers.db") as opened:
        return int(opened.execute("SELECT count(*) FROM resident").fetchone()[0])


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `var` holds a demo country that was started once and stopped with Ctrl-C. Only to copy."""
    folder = tmp_path_factory.mktemp("new")
    first = Running(folder).wait()
    assert first.stop() == 0, first.said
    assert "A new demo country was made." in first.said and "Stopped." in first.said
    return folder


@pytest.fixture(scope="module")
def made(new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that start it again, and leave behind what came to it meanwhile."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(new / "var", folder / "var")
    return folder


@long
def test_the_hooks_print_what_somebody_elses_wallet_needs(made: Path) -> None:
    """stdout is the result alone: an offer to paste, keys to load."""
    running = Running(made).wait()
    offer = mapae(made, "demo", "offer", "--tx-code", "--url", running.base)
    assert offer.stdout.startswith("openid-credential-offer://?credential_offer_uri=") and offer.stdout.count("\n") == 1
    assert re.search(r"transaction code: \d{6}", offer.stderr)
    words = ("demo", "offer", "--json", "--grant", "authorization-code", "--person", "minjae", "--url", running.base)
    said = json.loads(mapae(made, *words).stdout)
    assert said["person"] == "minjae" and said["sign_in"]["number"] and said["grant"] == "authorization-code"
    provider = mapae(made, "demo", "wallet-provider", "acme", "--url", running.base)
    assert json.loads(provider.stdout)["private_jwk"]["d"]
    assert mapae(made, "demo", "wallet-provider", "acme", "--url", running.base).stdout == provider.stdout
    nobody = mapae(made, "demo", "offer", "--person", "nobody", "--url", running.base)
    assert nobody.returncode == 1 and "demo.json" in nobody.stderr and not nobody.stdout
    assert running.stop() == 0
    gone = mapae(made, "demo", "offer", "--url", running.base)
    assert gone.returncode == 1 and "mapae demo up" in gone.stderr


@long
def test_a_checker_fetches_checks_and_reads_the_offline_pack_by_itself(made: Path) -> None:
    """The policy comes with the first pack and is said to be trusted on first use; after that only changes travel."""
    running = Running(made).wait()
    fetch = ("pack", "fetch", "--url", running.base, "--folder", "mine")
    end = time.monotonic() + PATIENCE
    first = mapae(made, *fetch)
    while first.returncode and "no offline pack" in first.stderr and time.monotonic() < end:
        time.sleep(0.5)
        first = mapae(made, *fetch)
    assert "whole" in first.stdout and "trust on first use" in first.stderr, first
    again = mapae(made, *fetch)
    assert (
        again.returncode == 0
        and not again.stderr
        and ("nothing newer" in again.stdout or "what changed" in again.stdout)
    )
    checked = mapae(made, "pack", "verify", "mine/pack")
    assert checked.returncode == 0 and checked.stdout.count(": good") == 8
    assert "issuers: issuer" in mapae(made, "pack", "inspect", "mine/pack").stdout
    assert running.stop() == 0
    assert "0 doubtful" in mapae(made, "pack", "doubtful").stderr
    (made / "here.toml").write_text(f'demo = true\nbase_url = "{running.base}"\ndata = "var"\n')
    built = mapae(made, "pack", "build", "--config", "here.toml", "--out", "mine/built")
    assert built.stdout.startswith("pack "), built
    assert mapae(made, "pack", "verify", "mine/built").returncode == 0
    whole = (made / "mine" / "pack").read_bytes()
    (made / "mine" / "pack").write_bytes(whole[:-1])
    cut = mapae(made, "pack", "verify", "mine/pack")
    assert cut.returncode == 1 and "1 whole: FAILED: bad_pack" in cut.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_start_keeps_all_data_and_stops_cleanly(made: Path, number: signal.Signals) -> None:
    people, keys = count(made / "var"), sorted(path.name for path in (made / "var" / "keys").rglob("*"))
    again = Running(made).wait()
    assert len(again.people()) > 30
    assert again.stop(number) == 0, again.said
    assert "A new demo country was made." not in again.said
    assert count(made / "var") == people
    assert sorted(path.name for path in (made / "var" / "keys").rglob("*")) == keys
    assert mapae(made, "audit", "verify", "--data", "var").returncode == 0


def test_a_taken_port_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = mapae(tmp_path, "demo", "up", "--port", port)
        assert done.returncode == 1
        assert f"port {port} is taken" in done.stderr and "--port" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "var").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "thesis.txt").write_text("years of work", encoding="ascii")
    done = mapae(tmp_path, "demo", "up", "--port", str(free_port()))
    assert done.returncode == 1 and "not a demo country" in done.stderr and "--data" in done.stderr
    reset = mapae(tmp_path, "demo", "reset", "--apply")
    assert "Nothing to forget" in reset.stderr
    assert (tmp_path / "var" / "thesis.txt").read_text(encoding="ascii") == "years of work"


def test_a_start_that_was_killed_while_seeding_is_made_whole_by_the_next(tmp_path: Path) -> None:
    killed = Running(tmp_path)
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "var.building" / "issuer.db").exists() and time.monotonic() < end:
        time.sleep(0.01)
    killed.process.kill()
    killed.process.wait()
    assert not (tmp_path / "var").exists()
    whole = Running(tmp_path).wait()
    people = len(whole.people())
    assert whole.stop() == 0, whole.said
    assert count(tmp_path / "var") == people
    assert not (tmp_path / "var.building").exists()
    assert mapae(tmp_path, "audit", "verify", "--data", "var").returncode == 0


@long
@pytest.mark.postgres
def test_the_same_in_postgresql_where_a_database_with_something_in_it_is_refused(
    cluster: postgres.Cluster, tmp_path: Path
) -> None:
    url = cluster.create("cli")
    words = ("demo", "up", "--residents", "0", "--database", url)
    killed = Running(tmp_path, *words)
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "var.building" / "keys" / "verifier").exists() and time.monotonic() < end:
        time.sleep(0.01)
    killed.process.kill()
    killed.process.wait()
    whole = Running(tmp_path, *words).wait()
    assert len(whole.people()) > 30
    assert whole.stop() == 0, whole.said
    assert mapae(tmp_path, "audit", "verify", "--data", "var", "--database", url).stdout.count("whole") == 5

    other = mapae(tmp_path, "demo", "up", "--data", "other", "--port", str(free_port()), "--database", url)
    assert other.returncode == 1 and "holds something already" in other.stderr and "reset" in other.stderr
    reset = mapae(tmp_path, "demo", "reset", "--apply", "--database", url)
    assert reset.stdout == "forgotten\n", reset.stderr
    cluster.drop("cli")


# --- people -----------------------------------------------------------------------------------------------------------


def numbers(data: Path) -> list[tuple[str, ...]]:
    """What of the crowd does not depend on this installation's keys."""
    with sqlite3.connect(data / "registers.db") as opened:
        return opened.execute(
            "SELECT name, birth_date, address, number_masked FROM resident ORDER BY 1, 2, 3"
        ).fetchall()


def test_people_are_the_same_for_the_same_seed_and_can_come_while_the_server_runs(made: Path) -> None:
    server = Running(made).wait()
    before = count(made / "var")
    first = mapae(made, "demo", "people", "--count", "6000", "--seed", "7")
    assert first.returncode == 0 and first.stdout.startswith("6000 residents added"), first.stderr
    assert "\x1b" not in first.stderr and "residents" not in first.stderr  # no bar where nobody watches
    there = numbers(made / "var")
    again = mapae(made, "demo", "people", "--count", "6000", "--seed", "7")
    assert again.stdout.startswith("0 residents added")
    assert numbers(made / "var") == there and len(there) == before + 6000
    assert len(server.people()) > 30
    assert server.stop() == 0, server.said


def test_a_progress_bar_is_drawn_on_a_terminal(made: Path) -> None:
    main, side = pty.openpty()
    words = [sys.executable, "-m", "mapae", "demo", "people", "--count", "5000", "--seed", "bar"]
    process = subprocess.Popen(
        words, cwd=made, stdout=subprocess.PIPE, stderr=side, env={**os.environ, "TERM": "xterm"}
    )
    os.close(side)
    drawn = b"".join(_read(main))
    assert process.wait(PATIENCE) == 0
    assert b"residents" in drawn and "━".encode() in drawn


def _read(terminal: int) -> Iterator[bytes]:
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other side has closed
            return
        if not piece:
            return
        yield piece


def test_people_need_a_country(tmp_path: Path) -> None:
    done = mapae(tmp_path, "demo", "people", "--count", "5")
    assert done.returncode == 1 and "mapae demo up" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- reset and audit --------------------------------------------------------------------------------------------------


def test_a_changed_row_is_found_and_reset_asks_first(new: Path, tmp_path: Path) -> None:
    shutil.copytree(new / "var", tmp_path / "var")
    with sqlite3.connect(tmp_path / "var" / "issuer.db") as opened:
        columns = [row[1] for row in opened.execute("PRAGMA table_info(audit_event)")]
        column = "actor" if "actor" in columns else columns[-1]
        first = "SELECT min(rowid) + 2 FROM audit_event"
        opened.execute(f"UPDATE audit_event SET {column} = 'somebody else' WHERE rowid = ({first})")
    done = mapae(tmp_path, "audit", "verify", "--data", "var")
    assert done.returncode == 1
    assert "issuer: BROKEN at event" in done.stdout and "registers: whole" in done.stdout

    assert mapae(tmp_path, "demo", "reset", typed="n\n").stdout.strip() == ""
    assert (tmp_path / "var").exists()
    assert mapae(tmp_path, "demo", "reset", typed="y\n").stdout.strip() == "forgotten"
    assert not (tmp_path / "var").exists()


def test_audit_verify_without_a_database_says_where_it_looked(tmp_path: Path) -> None:
    done = mapae(tmp_path, "audit", "verify", "--data", "nowhere")
    assert done.returncode == 1 and "nowhere holds no registers.db" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- settings ---------------------------------------------------------------------------------------------------------

BAD = {
    "typo": ("base_ulr = 'http://x'", ["mapae.toml", "base_ulr", "docs/operate.md"]),
    "wrong type": ("roles = 'issuer'", ["mapae.toml", "$.roles"]),
    "not TOML": ("roles = [", ["mapae.toml", "is not TOML"]),
    "unknown role": ("roles = ['issuers']", ["mapae.toml", "roles", "issuers", "wallet_provider"]),
    "no address": ("base_url = 'id.example.org'", ["mapae.toml", "base_url", "https://"]),
    "slash": ("base_url = 'https://id.example.org/'", ["mapae.toml", "base_url", "write https://id.example.org"]),
    "peer address": ("[role_urls]\ntrust = 'trust:8080'", ["mapae.toml", "role_urls.trust"]),
    "one database": ("database = 'postgresql:///mapae'", ["mapae.toml", "database", "{role}"]),
    "no pack": ("sms_url = 'http://x'\ncountry = 'atlantis'", ["country", "atlantis", "kr"]),
    "no text messages": ("", ["sms_url", "demo = true"]),
    "no country": ("demo = true", ["no demo country", "demo make"]),
}


@pytest.mark.parametrize(("toml", "words"), BAD.values(), ids=list(BAD))
def test_a_bad_setting_is_named_with_what_to_try_next(tmp_path: Path, toml: str, words: list[str]) -> None:
    (tmp_path / "mapae.toml").write_text(toml, encoding="utf-8")
    done = mapae(tmp_path, "serve", "--port", str(free_port()), MAPAE_CONFIG="mapae.toml")
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_an_unknown_role_on_the_command_line_names_those_there_are(tmp_path: Path) -> None:
    done = mapae(tmp_path, "serve", "cashier")
    assert done.returncode == 1 and "no role cashier" in done.stderr and "verifier" in done.stderr


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = mapae(tmp_path, "serve", "--config", "elsewhere.toml")
    assert done.returncode == 1 and "elsewhere.toml" in done.stderr


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://mapae:secret@/x?host={tmp_path}&search_path={{role}}"
    done = mapae(tmp_path, "demo", "up", "--port", str(free_port()), "--database", url)
    assert done.returncode == 1 and "the database of registers does not open" in done.stderr
    assert "secret" not in done.stderr and "Traceback" not in done.stderr
