"""The cases of vectors/chip.json, as a reader in another language would run them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hands import OUR_VECTORS
from mapae.errors import Refused
from mapae.issuer.ic_card import chip_auth, infos, pace, passive
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import SECP256R1
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel
from unit.issuer.ic_card.published import H, Told

FILE = json.loads((OUR_VECTORS / "chip.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in FILE["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_read_or_refused_at_the_step_it_names(name: str):
    case = CASES[name]
    run = {"pace": run_pace, "messages": run_messages, "chip_authentication": run_ca, "files": run_files}
    work = run[case["input"]["what"]]
    if "expected" in case:
        work(case["input"], case["expected"])
        return
    with pytest.raises(Refused) as refusal:
        work(case["input"], {})
    assert {"step": refusal.value.step, "code": refusal.value.code.value} == case["refused"], refusal.value.detail


def run_pace(given: dict[str, str], expected: dict[str, Any]) -> None:
    """Each side alone, hearing from the file what the other would say."""
    key = pace.password_key(Password[given["password"]], given["secret"])
    assert key.hex() == expected["password_key"]
    said = [H(one) for one in expected["said"]]
    terminal = pace.terminal(SECP256R1, key, Told(given["map_terminal"], given["key_terminal"]))
    chip = pace.chip(SECP256R1, key, Told(given["map_chip"], given["key_chip"], nonce=given["nonce"]))
    next(terminal)
    assert next(chip) == said[0]
    assert [terminal.send(said[at]) for at in (0, 2, 4)] == [said[at] for at in (1, 3, 5)]
    assert [chip.send(said[at]) for at in (1, 3)] == [said[at] for at in (2, 4)]
    with pytest.raises(StopIteration) as done:
        chip.send(said[5])
    assert done.value.value[0] == said[6]
    with pytest.raises(StopIteration):
        terminal.send(said[6])
    must_be_keys(SECP256R1.read(said[3]).times(int(given["key_chip"], 16)).shared(), expected)


def run_ca(given: dict[str, str], expected: dict[str, str]) -> None:
    key = infos.read_dg14(H(expected["dg14"]))
    assert key.encode() == SECP256R1.g.times(int(given["chip"], 16)).encode()
    assert chip_auth.Terminal(key, Told(given["terminal"])).public.hex() == expected["public"]
    must_be_keys(SECP256R1.read(H(expected["public"])).times(int(given["chip"], 16)).shared(), expected)


def must_be_keys(agreed: bytes, expected: dict[str, str]) -> None:
    keys = Keys.of(agreed)
    assert (agreed.hex(), keys.enc.hex(), keys.mac.hex()) == (expected["agreed"], expected["enc"], expected["mac"])


def run_messages(given: dict[str, str], expected: list[list[str]]) -> None:
    keys = Keys(H(given["enc"]), H(given["mac"]))
    terminal, chip = TerminalChannel(keys), ChipChannel(keys)
    for command, protected, response, answer in expected:
        assert terminal.wrap(Command.parse(H(command))).encode().hex() == protected
        assert chip.open(Command.parse(H(protected))).encode().hex() == command
        assert chip.seal(Response.parse(H(response))).encode().hex() == answer
        assert terminal.unwrap(Response.parse(H(answer))).encode().hex() == response


def run_files(given: dict[str, Any], expected: dict[str, str]) -> None:
    anchors = passive.Anchors(map(H, FILE["authorities"]), map(H, FILE["lists"]))
    groups = {int(number): H(content) for number, content in given["groups"].items()}
    genuine = passive.check(H(given["sod"]), groups, anchors, datetime.fromtimestamp(given["at"], UTC))
    infos.must_match(H(FILE["card_access"]), groups[14])
    assert {"card": genuine.card.hex(), "key": infos.read_dg14(groups[14]).encode().hex()} == expected
