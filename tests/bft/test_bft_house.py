"""A whole house on a network of four, of which two die: checkers feel nothing, and what has to be written waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from mapae import onchain
from mapae.app import open_house
from mapae.clock import SystemClock, SystemDice
from mapae.config import Settings
from mapae.demo import demo_settings, found
from mapae.errors import Code, Refused
from mapae.founding import founding_on_chain
from mapae.house import Foundation, House
from mapae.trust.engine.chain import Chain, Place
from mapae.trust.engine.embedded import Founding
from mapae.trust.engine.rpc import Node
from mapae.trust.log.entry import Log
from mapae.trust.log.policy import Policy
from mapae.trust.pack.verify import open_pack
from mapae.trust.replica import HttpSource, Replica
from mapae.trust.standing import standing

from .network import Network, network


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return demo_settings(base_url="http://localhost:8080", data=str(tmp_path / "var"))


@pytest.fixture
def four(nodes: tuple[Path, Path], settings: Settings, tmp_path: Path) -> Iterator[Network]:
    """Whoever acts for the house has funds: these nodes charge a fee."""
    f = Foundation(settings, SystemClock(), SystemDice())
    speakers = [onchain.account_of(f, onchain.voice(f, role)).address for role in onchain.SPEAKERS]
    governors = [address for address, _ in asyncio.run(_founding(settings)).governors]
    funded = [f"0x{address.hex()}" for address in (*speakers, *governors)]
    with network(tmp_path / "network", *nodes, funded) as running:
        yield running


async def _founding(settings: Settings) -> Founding:
    house = House(Foundation(settings, SystemClock(), SystemDice()))
    try:
        return await founding_on_chain(house)
    finally:
        await house.close()


async def _deployed(settings: Settings, url: str) -> Settings:
    house = House(Foundation(settings, SystemClock(), SystemDice()))
    try:
        f, founding = house.foundation, await founding_on_chain(house)
        chain = Chain(Node(f.http, url), Place(url, bytes(20)), "latest")
        deadline = time.monotonic() + 120
        while True:
            try:
                if await chain.block() > 0:
                    break
            except Refused:
                assert time.monotonic() < deadline, "no block came"
            await asyncio.sleep(0.3)
        place = await onchain.deploy_log(f, url, founding, onchain.account_of(f, founding.governors[0][1]))
        assert await onchain.blocks_of(f, url) == "latest"
        return msgspec.structs.replace(settings, ledger=place.setting(), ledger_blocks="latest", epoch=1)
    finally:
        await house.close()


async def _read_and_check(house: House) -> None:
    """What checkers anywhere do: follow the log, take the newest pack, verify it whole."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=house.site)) as http:
        source = HttpSource(http, f"{house.settings.base_url}/trust")
        policy = Policy.parse(await source.get("policy", 64 * 1024))
        replica = Replica(policy, policy.logs[0].name)
        await replica.follow(source, int(house.clock.now().timestamp()))
        assert replica.state.head(Log.REGISTRY) == await house.ledger.head(Log.REGISTRY)
        raw = (await http.get(f"{house.settings.base_url}/trust/pack")).content
        opened = open_pack(raw, policy)
        assert opened.registry.checkpoint.size == replica.size and opened.statuses
        listed = await http.get(f"{house.settings.base_url}/trust/list")
        assert listed.status_code == 200


async def test_checkers_feel_nothing_while_the_network_stands_still(
    four: Network, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    house = await open_house(
        await _deployed(settings, four.url(0)), clock=SystemClock(), founding=found, rates=False
    )  # fmt: skip
    try:
        said = await standing(house.ledger, house.checkpoints)
        assert said["called"] == "blockchain of 4 operators, tolerates 1 fault"
        for _ in range(3):
            await house.turn()
        await _read_and_check(house)
        anchors = (await house.ledger.head(Log.ANCHORS)).size

        four.stop(3)
        four.stop(2)
        began = time.monotonic()
        while time.monotonic() - began < 40:  # two epochs and more, none of which can be anchored
            await house.turn()
            await _read_and_check(house)
        assert (await house.ledger.head(Log.ANCHORS)).size <= anchors + 1  # one may have been on its way
        waiting = sum([await outbox.waiting() for outbox in house.outboxes.values()])
        assert waiting and not house.checkpoints.alarms
        with capsys.disabled():
            print(f"  {waiting} promises wait while the network stands still; replica and pack were checked throughout")

        four.start(2)
        four.start(3)
        began = time.monotonic()
        while (await house.ledger.head(Log.ANCHORS)).size < anchors + 3:
            assert time.monotonic() - began < 180, "what waited did not go through"
            await house.turn()
            await asyncio.sleep(0.5)
        await house.turn()
        await _read_and_check(house)
        assert not house.checkpoints.alarms
        with capsys.disabled():
            print(f"  {time.monotonic() - began:.1f} s until what waited was in the log")
    except Refused as refused:
        assert refused.code is not Code.FORKED, refused.detail
        raise
    finally:
        await house.close()
