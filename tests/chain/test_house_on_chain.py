"""A whole house whose trust log is a contract: deployed by a command, founded, watched, cut off, wound back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from anvil import Anvil, anvil
from hands import refuses
from mapae.app import open_house
from mapae.cli import app
from mapae.clock import SystemClock
from mapae.config import Settings, load_settings
from mapae.demo import found
from mapae.errors import Code
from mapae.founding import governor
from mapae.house import House
from mapae.metrics import exposition
from mapae.trust.checkpoints import origin
from mapae.trust.engine.chain import Place
from mapae.trust.log import acts, statement
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log


@pytest.fixture
def free_node(anvil_program: Path) -> Iterator[Anvil]:
    """A network that charges nothing, as one of public bodies would."""
    with anvil(anvil_program, "--base-fee", "0", "--gas-price", "0") as running:
        yield running


def _mapae(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def _deployed(node: Anvil, folder: Path) -> tuple[Settings, Path]:
    config = folder / "mapae.toml"
    config.write_text(f'data = "{folder}/var"\ndemo = true\n')
    code, planned = _mapae("ledger", "deploy", "--node", node.url, "--config", str(config))
    assert code == 0 and "Nothing was done" in planned
    assert node.ask("eth_blockNumber") == "0x0"
    code, said = _mapae("ledger", "deploy", "--node", node.url, "--config", str(config), "--apply")
    assert code == 0, said
    lines = [line for line in said.splitlines() if line.startswith("ledger")]
    assert lines[1] == 'ledger_blocks = "finalized"'  # one node is nobody's BFT network
    config.write_text(f'{config.read_text()}{lines[0]}\nledger_blocks = "latest"\n')
    return load_settings(config), config


async def _in(settings: Settings, story: Callable[[House], Awaitable[None]]) -> None:
    house = await open_house(settings, clock=SystemClock(), founding=found, rates=False)
    try:
        await story(house)
    finally:
        await house.close()


async def _public(house: House, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=house.site)
    async with httpx.AsyncClient(transport=transport, base_url=house.settings.base_url) as http:
        return await http.get(path)


def test_a_house_is_founded_on_a_contract_and_outlives_its_node(free_node: Anvil, tmp_path: Path) -> None:
    settings, _ = _deployed(free_node, tmp_path)

    async def first_day(house: House) -> None:
        state = await house.ledger.state()
        assert len(state.parties) == 3 and len(state.readers) >= 3
        for party in state.parties.values():
            assert party.controller != party.voice[-20:]  # an account of its own, not the embedded engine's address
        assert (await _public(house, "/trust/ledger")).json()["engine"] == "evm chain 31337"
        checkpoint, trusted = (
            await _public(house, "/trust/log/registry/checkpoint"),
            await _public(house, "/trust/list"),
        )
        assert checkpoint.status_code == trusted.status_code == 200

        free_node.kill()  # whoever only reads and checks feels nothing
        assert (await _public(house, "/trust/list")).status_code == 200
        await house.checkpoints.round()
        again = await _public(house, "/trust/log/registry/checkpoint")
        assert again.status_code == 200 and again.text.split("\n\n")[0] == checkpoint.text.split("\n\n")[0]
        assert not house.checkpoints.alarms

    asyncio.run(_in(settings, first_day))
    free_node.start()  # without its blocks: a network that forgot everything

    async def second_day(house: House) -> None:
        assert (await _public(house, "/trust/list")).status_code == 200
        with refuses(Code.UNAVAILABLE, "no such contract"):  # it may only be behind
            await house.ledger.submit(*_some_act(house))

    asyncio.run(_in(settings, second_day))


def _some_act(house: House) -> tuple[Act, str]:
    by, terms = governor(house.foundation, "governor-1"), {"document": "ab" * 32, "threshold": 2, "delay": 0}
    signed = statement.make("put_policy", terms, origin(house.settings.base_url), by, 1_800_000_000)
    return acts.of("put_policy", terms, statement.digest(signed)), signed


def test_every_entry_a_house_made_on_chain_was_asked_for_and_a_fork_raises_the_alarm(
    free_node: Anvil, tmp_path: Path
) -> None:
    settings, config = _deployed(free_node, tmp_path)
    start = free_node.ask("evm_snapshot")

    async def founding(house: House) -> None:
        assert (await house.ledger.head(Log.REGISTRY)).size > 10

    asyncio.run(_in(settings, founding))
    code, said = _mapae("ledger", "audit", "--config", str(config))
    assert code == 0 and "0 wrong" in said, said
    code, said = _mapae("ledger", "status", "--config", str(config))
    assert code == 0 and "single operator" in said, said

    place = Place.parse(settings.ledger)
    assert place.url == free_node.url and place.since == 1 and Place.parse(place.setting()) == place
    again = CliRunner().invoke(app, ["ledger", "deploy", "--node", free_node.url, "--config", str(config), "--apply"])
    assert again.exit_code != 0 and "has a log already" in str(again.exception)

    async def wound_back(house: House) -> None:
        before = (await house.checkpoints.published(Log.REGISTRY)).note
        free_node.ask("evm_revert", start)
        free_node.ask("anvil_mine", "0x200")  # and went on without us
        await asyncio.sleep(1.1)
        await house.checkpoints.round()
        assert b'mapae_ledger_forked{log="registry"} 1.0' in await exposition(house)
        assert (await house.checkpoints.published(Log.REGISTRY)).note == before
        assert (await _public(house, "/trust/list")).status_code == 200

    asyncio.run(_in(settings, wound_back))
