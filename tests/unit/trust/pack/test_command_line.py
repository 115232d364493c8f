"""`mapae pack verify|inspect`: every step is said, and a pack is never held to a policy of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mapae.cli_pack import pack_app
from mapae.errors import Code, Refused
from mapae.trust.log.entry import Log
from mapae.trust.pack.verify import STEPS
from packed import Nation, small


@pytest.fixture
def nation() -> Nation:
    return small()


@pytest.fixture
def folder(tmp_path: Path, nation: Nation) -> Path:
    (tmp_path / "policy").write_bytes(nation.pinned.encode())
    (tmp_path / "pack").write_bytes(nation.pack().encode())
    return tmp_path


def run(*words: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(pack_app, [str(word) for word in words])


def test_verify_says_every_step_and_both_ages(folder: Path) -> None:
    said = run("verify", folder / "pack")
    assert said.exit_code == 0
    assert [line for line in said.stdout.splitlines() if line.endswith(": good")] == [
        f"{number} {name}: good" for number, name in enumerate(STEPS, 1)
    ]
    assert "registry: as of 2026-11-21" in said.stdout and "status of issuer:demo-issuer: as of" in said.stdout


def test_verify_says_which_step_failed_and_stops_there(folder: Path, nation: Nation) -> None:
    alone = nation.repacked(nation.pack(), registry__checkpoint=nation.note(Log.REGISTRY, witnesses=1))
    (folder / "bad").write_bytes(alone.encode())
    said = run("verify", folder / "bad")
    assert said.exit_code == 1
    assert said.stdout.splitlines()[-1].startswith("3 checkpoint: FAILED: unwitnessed")
    (folder / "cut").write_bytes(alone.encode()[:-1])
    assert run("verify", folder / "cut").stdout.startswith("1 whole: FAILED: bad_pack")


def test_a_pack_without_a_policy_beside_it_needs_one(folder: Path, nation: Nation) -> None:
    (folder / "policy").rename(folder / "elsewhere")
    refused = run("verify", folder / "pack").exception
    assert isinstance(refused, Refused) and refused.code is Code.BAD_CONFIG and "--policy" in refused.detail
    assert run("verify", folder / "pack", "--policy", folder / "elsewhere").exit_code == 0


def test_inspect_tells_in_words_and_as_json(folder: Path, nation: Nation) -> None:
    words = run("inspect", folder / "pack").stdout
    assert "issuers: demo-issuer" in words and "status of issuer:demo-issuer: epoch 1, 2 lists" in words
    told = json.loads(run("inspect", folder / "pack", "--json").stdout)
    assert (told["entries"], told["issuers"]) == (nation.trees[Log.REGISTRY].size, ["demo-issuer"])
    assert told["status"][0]["late"] is False and set(told["cosigned"]) == {"w0", "w1", "w2"}


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("x")
    refused = run("inspect", tmp_path / "pack").exception
    assert isinstance(refused, Refused) and refused.code is Code.BAD_CONFIG
