"""The EVM engine on a real node: what it takes, what it refuses, and what it does when the line or the node fails."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from anvil import Anvil, anvil
from hands import refuses
from mapae.clock import MovableClock
from mapae.db import connect, migrate
from mapae.errors import Code, Refused
from mapae.trust.engine import Assurance
from mapae.trust.engine.contract import call_of
from mapae.trust.engine.evm import EvmLedger
from mapae.trust.log import acts
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.tree import Head
from onchain import ORIGIN, Actor, Actors, digest

from .conftest import World, leave, settle

# --- one log, two engines ---------------------------------------------------------------------------------------------


def _every_act(actors: Actors) -> list[tuple[Act, str]]:
    """A country's first days: each with what one voice signed for it, governors one after the other."""
    admission, signed = actors.admission()
    terms = {"valid_from": 0, "valid_until": actors.now + 10_000_000}
    fourth, added = Actor(), digest("policy 2")
    alone = [
        actors.key("key"),
        actors.ask(actors.party, "put_schema", owner=actors.name, schema=digest("vct"), digest=digest("schema")),
        actors.ask(
            actors.party, "put_reader", registrar=actors.name, reader=digest("shop"), certificate=digest("x"), **terms
        ),
        *(actors.anchor(seq) for seq in (1, 2, 3)),
        actors.ask(
            actors.party, "revoke_key", party=actors.name, thumbprint=digest("key"), reason=3, since=actors.now - 60
        ),
        actors.ask(actors.party, "withdraw_schema", schema=digest("vct")),
    ]
    together = [
        actors.ask(
            actors.governors[0], "revoke_reader", registrar=actors.name, reader=digest("shop"), reason=4, since=0
        ),
        actors.ask(actors.governors[0], "put_governor", governor=fourth.address, voice=fourth.voice, standing=1),
        actors.ask(actors.governors[0], "put_policy", document=added, threshold=2, delay=60),
        actors.ask(actors.governors[0], "revoke_party", party=actors.name, reason=2),
    ]
    voted = [(act, paper) for act, signed in together for paper in (signed, actors.approval(act))]
    return [(admission, signed), (admission, actors.approval(admission)), *alone, *voted]


async def test_both_engines_come_to_the_same_bytes_and_heads(world: World, tmp_path: Path) -> None:
    actors, chain = world.actors, await world.ledger()
    said = _every_act(actors)
    done = [(act, signed, await chain.submit(act, signed)) for act, signed in said]
    theirs = {log: await chain.entries(log, 0, (await chain.head(log)).size) for log in Log}
    db = await connect(f"sqlite:///{tmp_path}/embedded.db")
    await migrate(db, "trust")
    ours = await actors.replayed(db, Entry.parse(theirs[Log.REGISTRY][0]).time, done)
    for log in Log:
        assert await ours.head(log) == await chain.head(log)
        assert await ours.entries(log, 0, len(theirs[log])) == theirs[log]
    assert len(theirs[Log.REGISTRY]) == 4 + 9 and len(theirs[Log.ANCHORS]) == 4
    await db.close()


async def test_a_reader_from_scratch_comes_to_the_same_state(world: World) -> None:
    ledger = await world.ledger()
    for act, signed in _every_act(world.actors):
        await ledger.submit(act, signed)
    another = await world.ledger(name="another")
    known = await another.state()
    assert known == await ledger.state()
    again = await world.ledger()  # our own, started anew on its copy
    assert await again.state() == known


async def test_a_node_that_searches_few_blocks_at_a_time_is_read_all_the_same(world: World) -> None:
    ledger = await world.ledger()
    await world.actors.admit(ledger)
    world.node.ask("anvil_mine", hex(40))
    await ledger.submit(*world.actors.anchor(1))
    world.line.most_blocks = 7
    assert await (await world.ledger(name="another")).state() == await ledger.state()


# --- what it takes and refuses ----------------------------------------------------------------------------------------


async def test_a_broken_rule_is_refused_by_the_contract_and_costs_nothing(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    before = world.node.ask("eth_getBalance", "0x" + actors.party.address.hex(), "latest")
    with refuses(Code.LEDGER_RULE, "seq"):
        await ledger.submit(*actors.anchor(2))
    assert world.node.ask("eth_getBalance", "0x" + actors.party.address.hex(), "latest") == before


async def test_one_governor_is_not_enough_and_a_second_vote_of_his_is_the_first(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    act, signed = actors.admission()
    first = await ledger.submit(act, signed)
    again = await ledger.submit(act, signed)
    assert first.index is None and again.index is None
    assert actors.name not in (await ledger.state()).parties
    done = await ledger.submit(act, actors.approval(act))
    assert done.index == 4 and (await ledger.state()).parties[actors.name].voice == actors.party.voice
    late = await ledger.submit(act, actors.approval(act, 2))  # a third one, after the deed
    assert late == done


async def test_a_void_vote_that_is_handed_in_again_moves_no_account_of_ours(world: World) -> None:
    """What governors signed is public, and our accounts act for it: once, and not under other governors."""
    actors, ledger = world.actors, await world.ledger()
    act, signed = actors.admission()
    await ledger.submit(act, signed)
    change, asked = actors.ask(actors.governors[0], "put_policy", document=digest("policy 2"), threshold=2, delay=0)
    await ledger.submit(change, asked)
    assert (await ledger.submit(change, actors.approval(change))).index == 4
    with refuses(Code.LEDGER_RULE, "vote void"):
        await ledger.submit(act, signed)
    assert (await ledger.submit(act, actors.approval(act))).index is None
    assert (await ledger.submit(act, actors.approval(act, 0))).index == 5


async def test_what_nobody_signed_or_somebody_else_did_is_refused(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    act, signed = actors.anchor(1)
    with refuses(Code.MALFORMED):  # neither this statement nor an approval of it
        await ledger.submit(act, actors.anchor(1)[1])
    stranger = Actor()
    act, signed = actors.ask(stranger, "withdraw_schema", schema=digest("vct"))
    with refuses(Code.NOT_ALLOWED, "neither governs"):
        await ledger.submit(act, signed)
    with refuses(Code.NOT_FOUND, "has not been handed in"):
        act, _ = actors.ask(actors.governors[0], "revoke_party", party=actors.name, reason=1)
        await ledger.submit(act, actors.approval(act))


async def test_an_approval_moves_our_accounts_for_nothing_but_its_statement(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    act, signed = actors.admission()
    await ledger.submit(act, signed)
    turned = acts.of("put_party", acts.args(act) | {"party": digest("issuer:thief").hex()}, act.statement)
    for governor in (1, 2):
        with refuses(Code.NOT_ALLOWED, "something else"):
            await ledger.submit(turned, actors.approval(act, governor))
    assert (await ledger.submit(act, actors.approval(act))).index == 4


async def test_an_account_kept_elsewhere_is_not_acted_for(world: World) -> None:
    actors = world.actors
    await world.ledger()
    ledger = EvmLedger(world.databases[-1], MovableClock(), ORIGIN, world.chain(), lambda voice: None)
    with refuses(Code.NOT_ALLOWED, actors.governors[0].address.hex()):
        await ledger.submit(*actors.admission())


async def test_a_statement_that_somebody_else_used_up_is_not_taken_for_ours(world: World) -> None:
    """Digests are in the open while a call waits for its block: another party may be faster with one."""
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    act, signed = actors.anchor(1)
    other = acts.PutKey(actors.name, digest("k"), 1, 0, actors.now + 9_000, act.statement)
    await world.chain().send(actors.party.account, call_of(other), 500_000, world.place.contract)
    with refuses(Code.LEDGER_RULE, "statement"):
        await ledger.submit(act, signed)
    again, signed = actors.anchor(1)  # said anew, it goes through
    assert (await ledger.submit(again, signed)).index == 0


async def test_one_node_is_called_what_it_is(world: World) -> None:
    assurance = await (await world.ledger()).assurance()
    assert assurance == Assurance("evm chain 31337", operators=1, faults_tolerated=0, final=False, multi_party=False)


# --- lost on the way --------------------------------------------------------------------------------------------------

METHODS = (
    "eth_getBlockByNumber", "eth_call", "eth_getTransactionCount", "eth_estimateGas", "eth_chainId",
    "eth_maxPriorityFeePerGas", "eth_sendRawTransaction", "eth_getLogs",
)  # fmt: skip


@pytest.mark.parametrize("heard", [False, True], ids=["before the node heard", "after it heard"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_question_lost_on_the_way_is_asked_again_and_felt_once(world: World, method: str, heard: bool) -> None:
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    act, signed = actors.anchor(1)
    world.line.fail_at, world.line.fail_after = method, heard
    with refuses(Code.UNAVAILABLE):
        await ledger.submit(act, signed)
    receipt = await ledger.submit(act, signed)
    assert receipt == await ledger.submit(act, signed)
    assert await ledger.head(Log.ANCHORS) == (await (await world.ledger(name="another")).head(Log.ANCHORS))
    assert (await ledger.head(Log.ANCHORS)).size == 1


async def test_a_lost_vote_counts_once(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    act, signed = actors.admission()
    world.line.fail_at, world.line.fail_after = "eth_sendRawTransaction", True
    with refuses(Code.UNAVAILABLE):
        await ledger.submit(act, signed)
    assert (await ledger.submit(act, signed)).index is None
    assert (await ledger.submit(act, actors.approval(act))).index == 4


async def test_two_processes_with_one_account_get_one_entry(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    another = await world.ledger()
    act, signed = actors.anchor(1)
    answers = await asyncio.gather(ledger.submit(act, signed), another.submit(act, signed), return_exceptions=True)
    for answer in answers:  # either of them may have to ask again, neither may be told anything else
        assert not isinstance(answer, BaseException) or (
            isinstance(answer, Refused) and answer.code is Code.UNAVAILABLE
        )
    assert await ledger.submit(act, signed) == await another.submit(act, signed)
    assert (await ledger.head(Log.ANCHORS)).size == 1


# --- the node is away, or something else than before -----------------------------------------------------------------


async def test_while_the_node_is_away_acts_wait_and_what_is_known_is_served(world: World) -> None:
    actors, ledger = world.actors, await world.ledger()
    await actors.admit(ledger)
    head, state = await ledger.head(Log.REGISTRY), await ledger.state()
    world.line.cut = True
    began = time.monotonic()
    with refuses(Code.UNAVAILABLE):
        await ledger.submit(*actors.anchor(1))
    assert await ledger.head(Log.REGISTRY) == head and await ledger.state() is state
    assert await ledger.entries(Log.REGISTRY, 4, 5)
    asked = len(world.line.asked)
    for _ in range(50):  # whoever reads does not wait for a node that is away
        assert await ledger.head(Log.REGISTRY) == head
    assert len(world.line.asked) == asked and time.monotonic() - began < 5
    world.line.cut = False
    assert (await ledger.submit(*actors.anchor(1))).index == 0


async def test_a_new_process_without_a_copy_knows_nothing_while_the_node_is_away(world: World) -> None:
    world.line.cut = True
    ledger = await world.ledger()
    with refuses(Code.UNAVAILABLE):
        await ledger.state()


async def test_only_final_blocks_count(anvil_program: Path, tmp_path: Path) -> None:
    """Blocks two behind the newest one are final on this node."""
    with anvil(anvil_program, "--slots-in-an-epoch", "1") as node:
        world = await settle(node, tmp_path)
        node.ask("anvil_mine", "0x3")
        ledger = await world.ledger(tag="finalized", patience=0.2)
        act, signed = world.actors.admission()
        with refuses(Code.UNAVAILABLE, "has not taken this yet"):
            await ledger.submit(act, signed)
        with refuses(Code.UNAVAILABLE, "has not taken this yet"):  # it waits, and sends nothing anew
            await ledger.submit(act, signed)
        assert world.line.asked.count("eth_sendRawTransaction") == 2  # the contract and this
        node.ask("anvil_mine", "0x3")
        assert (await ledger.submit(act, signed)).index is None
        assert (await ledger.assurance()).final
        await leave(world)


async def _grown(world: World) -> tuple[EvmLedger, Head]:
    ledger = await world.ledger()
    await world.actors.admit(ledger)
    return ledger, await ledger.head(Log.ANCHORS)


async def _stands_by_what_it_knew(ledger: EvmLedger, head: Head) -> None:
    """No head to sign, no act taken; the old state and its entries are still there."""
    for log in Log:
        with refuses(Code.FORKED):
            await ledger.head(log)
    state = await ledger.state()
    assert state.head(Log.ANCHORS) == head
    assert len(await ledger.entries(Log.ANCHORS, 0, head.size)) == head.size


async def test_a_chain_that_was_wound_back_is_refused(world: World) -> None:
    ledger, _ = await _grown(world)
    before = world.node.ask("evm_snapshot")
    await ledger.submit(*world.actors.anchor(1))
    head = await ledger.head(Log.ANCHORS)
    world.node.ask("evm_revert", before)
    await _stands_by_what_it_knew(ledger, head)
    with refuses(Code.FORKED):
        await ledger.submit(*world.actors.anchor(2))
    await _stands_by_what_it_knew(await world.ledger(), head)  # so does a process that starts now
    assert world.forks


@pytest.mark.parametrize("longer", [1, 2], ids=["as long", "longer"])
async def test_another_history_is_refused(world: World, longer: int) -> None:
    ledger, _ = await _grown(world)
    before = world.node.ask("evm_snapshot")
    await ledger.submit(*world.actors.anchor(1))
    head = await ledger.head(Log.ANCHORS)
    world.node.ask("evm_revert", before)
    deceived = await world.ledger(name="deceived")
    for seq in range(1, longer + 1):
        await deceived.submit(*world.actors.anchor(seq))
    await _stands_by_what_it_knew(ledger, head)
    assert world.forks


async def test_a_node_that_is_behind_for_a_moment_is_no_fork(world: World) -> None:
    """After a restart a node shows less than before until its peers have told it the rest."""
    ledger = await world.ledger(grace=60)
    await world.actors.admit(ledger)
    act, signed = world.actors.anchor(1)
    before = world.node.ask("evm_snapshot")
    receipt = await ledger.submit(act, signed)
    head, later = await ledger.head(Log.ANCHORS), world.node.ask("anvil_dumpState")
    world.node.ask("evm_revert", before)
    with refuses(Code.UNAVAILABLE, "less than before"):
        await ledger.submit(*world.actors.anchor(2))
    assert await ledger.head(Log.ANCHORS) == head and not world.forks
    world.node.ask("anvil_loadState", later)
    assert await ledger.submit(act, signed) == receipt


async def test_another_history_is_a_fork_at_once(world: World) -> None:
    ledger = await world.ledger(grace=60)
    await world.actors.admit(ledger)
    before = world.node.ask("evm_snapshot")
    for seq in (1, 2):
        await ledger.submit(*world.actors.anchor(seq))
    head = await ledger.head(Log.ANCHORS)
    world.node.ask("evm_revert", before)
    await (await world.ledger(name="deceived")).submit(*world.actors.anchor(1))
    world.node.ask("anvil_mine", "0x5")  # it has less, and at a later block
    with refuses(Code.FORKED):
        await ledger.head(Log.ANCHORS)
    assert (await ledger.state()).head(Log.ANCHORS) == head and world.forks


async def test_a_node_killed_and_started_again_goes_on_where_it_was(anvil_program: Path, tmp_path: Path) -> None:
    saved = tmp_path / "state.json"
    with anvil(anvil_program, "--state", str(saved), "--state-interval", "1") as node:
        world = await settle(node, tmp_path)
        ledger, _ = await _grown(world)
        act, signed = world.actors.anchor(1)
        receipt = await ledger.submit(act, signed)
        await _is_saved(node, saved)
        node.kill()
        with refuses(Code.UNAVAILABLE):
            await ledger.submit(*world.actors.anchor(2))
        node.start()
        assert await ledger.submit(act, signed) == receipt
        assert (await ledger.submit(*world.actors.anchor(2))).index == 1
        # What this node had not written down yet is gone when it is killed now: that is a rewound chain.
        head = await ledger.head(Log.ANCHORS)
        node.kill()
        node.start()
        await _stands_by_what_it_knew(ledger, head)
        await leave(world)


async def _is_saved(node: Anvil, file: Path) -> None:
    """Until the node has written once more from now on."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    for _ in range(100):
        await asyncio.sleep(0.1)
        if file.exists() and file.stat().st_mtime_ns > before:
            break
    node.ask("eth_chainId")
