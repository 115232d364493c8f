"""The embedded engine, on both databases: what it takes, what it keeps, what two processes and a restart make of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledgers import AT, ORIGIN, START, Cast, digest
from mapae.clock import MovableClock
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.engine.embedded import EmbeddedLedger
from mapae.trust.log import acts, statement
from mapae.trust.log.entry import Kind, Log
from mapae.trust.log.rules import State


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
async def trust(database_url: str) -> AsyncIterator[Db]:
    opened = await connect(database_url.replace("{role}", "trust"))
    await migrate(opened, "trust")
    yield opened
    await opened.close()


async def replayed(db: Db) -> State:
    """What somebody else makes of the entries alone."""
    state = State()
    for log in (Log.REGISTRY, Log.ANCHORS):
        for raw in await ledger_store.entries(db, log, 0):
            state.fold(log, raw)
    return state


async def test_a_new_log_begins_with_its_governors_and_its_policy(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    assert (await ledger.head(Log.REGISTRY)).size == 4
    assert (await ledger.head(Log.ANCHORS)).size == 0
    state = await ledger.state()
    assert state.standing == 3 and state.threshold == 2
    assert (await ledger.assurance()).engine == "embedded" and not (await ledger.assurance()).multi_party
    again = await cast.ledger(trust)
    assert await again.head(Log.REGISTRY) == await ledger.head(Log.REGISTRY), "founding twice is founding once"


async def test_two_governors_admit_a_party_and_it_acts_for_itself(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    act, signed = cast.admission()
    vote = await ledger.submit(act, signed)
    assert vote.index is None and (await ledger.head(Log.REGISTRY)).size == 4
    done = await ledger.submit(act, statement.approve(act.statement, cast.governors[2], AT))
    assert (done.log, done.index) == (Log.REGISTRY, 4)
    anchored = await ledger.submit(*cast.anchor(1))
    assert (anchored.log, anchored.index, anchored.time) == (Log.ANCHORS, 0, AT)
    assert await replayed(trust) == await ledger.state()
    assert [vote.voter for vote in await ledger_store.votes_for(trust, act.statement)] != []
    assert await ledger_store.statement(trust, act.statement) == signed


async def test_the_same_submission_gets_the_same_receipt(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    act, signed = cast.admission()
    approval = statement.approve(act.statement, cast.governors[1], AT)
    assert await ledger.submit(act, signed) == await ledger.submit(act, signed)
    done = await ledger.submit(act, approval)
    for again in (approval, signed, statement.approve(act.statement, cast.governors[2], AT)):
        assert await ledger.submit(act, again) == done
    once = await ledger.submit(*(asked := cast.anchor(1)))
    assert await ledger.submit(*asked) == once
    assert (await ledger.head(Log.ANCHORS)).size == 1


async def test_what_the_rules_refuse_leaves_nothing_behind(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    await cast.admit(ledger)
    before = [await ledger.head(log) for log in Log]
    act, signed = cast.anchor(7)
    with pytest.raises(Refused) as refused:
        await ledger.submit(act, signed)
    assert (refused.value.code, refused.value.detail) == (Code.LEDGER_RULE, "seq")
    assert [await ledger.head(log) for log in Log] == before
    assert await ledger_store.statement(trust, act.statement) is None
    await ledger.submit(*cast.anchor(1))


async def test_only_who_signed_may_act_and_only_as_signed(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    await cast.admit(ledger)
    stranger = Cast(name=cast.name)
    act, signed = cast.anchor(1)
    other, _ = cast.anchor(2)
    for wrong_act, wrong_signed in (
        stranger.anchor(1),  # somebody else's key
        (act, cast.anchor(2)[1]),  # a statement for another act
        (other, signed),
        (act, statement.approve(digest("another"), cast.party, AT)),
        Cast(cast.governors, cast.party, cast.name, "other.example/trust/log").anchor(1),  # for another log
    ):
        with pytest.raises(Refused) as refused:
            await ledger.submit(wrong_act, wrong_signed)
        assert refused.value.code in (Code.NOT_ALLOWED, Code.MALFORMED), refused.value
    assert (await ledger.head(Log.ANCHORS)).size == 0


async def test_an_approval_before_its_statement_waits_for_it(trust: Db, cast: Cast) -> None:
    """Else an entry could name a statement nobody can show."""
    ledger = await cast.ledger(trust)
    act, signed = cast.admission()
    approval = statement.approve(act.statement, cast.governors[1], AT)
    with pytest.raises(Refused) as refused:
        await ledger.submit(act, approval)
    assert refused.value.code is Code.NOT_FOUND
    await ledger.submit(act, signed)
    assert (await ledger.submit(act, approval)).index == 4


async def test_an_approval_is_of_what_its_statement_says_and_of_nothing_else(trust: Db, cast: Cast) -> None:
    """An approval names a statement; which act it is handed in with, anybody can choose. Neither are votes turned to
    another act, nor does a party use up a statement that waits for votes."""
    ledger = await cast.ledger(trust)
    await cast.admit(ledger)
    act, signed = cast.admission(party=digest("issuer:new"))
    await ledger.submit(act, signed)
    said = acts.args(act) | {"party": digest("issuer:thief").hex()}
    turned = acts.of("put_party", said, act.statement)
    used_up = acts.of("put_key", acts.args(cast.key("k")[0]), act.statement)
    for other, by in ((turned, cast.governors[1]), (turned, cast.governors[2]), (used_up, cast.party)):
        with pytest.raises(Refused) as refused:
            await ledger.submit(other, statement.approve(act.statement, by, AT))
        assert refused.value.code is Code.NOT_ALLOWED
    assert (await ledger.submit(act, statement.approve(act.statement, cast.governors[1], AT))).index is not None
    assert turned.party not in (await ledger.state()).parties
    with pytest.raises(Refused) as refused:  # nor does it get the receipt of what was done
        await ledger.submit(turned, statement.approve(act.statement, cast.governors[2], AT))
    assert refused.value.code is Code.NOT_ALLOWED


async def test_votes_and_entries_outlive_the_process(trust: Db, cast: Cast) -> None:
    clock = MovableClock(START)
    ledger = await cast.ledger(trust, clock)
    act, signed = cast.admission()
    await ledger.submit(act, signed)
    clock.advance(hours=1)
    later = await cast.ledger(trust, clock)
    done = await later.submit(act, statement.approve(act.statement, cast.governors[1], AT))
    assert done.index == 4 and done.time == AT + 3600
    assert await replayed(trust) == await later.state()


async def test_a_vote_under_another_policy_is_void_and_nobody_can_hand_it_in_again(trust: Db, cast: Cast) -> None:
    """Statements and approvals are public, and a submission needs no more: what was voided stays so until its governor
    signs anew. The contract's voters would have to call again."""
    ledger = await cast.ledger(trust)
    act, signed = cast.admission()
    await ledger.submit(act, signed)
    change, asked = cast.ask(cast.governors[0], "put_policy", document=digest("p"), threshold=3, delay=0)
    await ledger.submit(change, asked)
    await ledger.submit(change, statement.approve(change.statement, cast.governors[1], AT))
    approval = statement.approve(act.statement, cast.governors[1], AT)
    assert (await ledger.submit(act, approval)).index is None
    back, asked = cast.ask(cast.governors[0], "put_policy", document=digest("q"), threshold=2, delay=0)
    await ledger.submit(back, asked)
    for governor in cast.governors[1:]:
        await ledger.submit(back, statement.approve(back.statement, governor, AT))
    for again in (signed, approval):
        with pytest.raises(Refused) as refused:
            await ledger.submit(act, again)
        assert (refused.value.code, refused.value.detail) == (Code.LEDGER_RULE, "vote void")
    for governor in cast.governors[:2]:
        done = await ledger.submit(act, statement.approve(act.statement, governor, AT + 1))
    assert done.index == 6 and act.party in (await ledger.state()).parties


async def test_a_vote_signed_before_a_change_counts_no_more_though_nobody_has_seen_it(trust: Db, cast: Cast) -> None:
    """Else whoever runs the log could keep one back, and make up with it for a vote that is missing later."""
    clock = MovableClock(START)
    ledger = await cast.ledger(trust, clock)
    act, signed = cast.admission()
    party, unseen = cast.ask(cast.governors[0], "revoke_party", party=digest("other"), reason=2)
    await ledger.submit(act, signed)
    kept_back = statement.approve(act.statement, cast.governors[1], AT)
    clock.advance(seconds=10)
    change, asked = cast.ask(cast.governors[0], "put_policy", document=digest("p"), threshold=2, delay=0)
    await ledger.submit(change, asked)
    await ledger.submit(change, statement.approve(change.statement, cast.governors[2], AT + 10))
    for deed, vote in ((act, kept_back), (party, unseen)):
        with pytest.raises(Refused) as refused:
            await ledger.submit(deed, vote)
        assert (refused.value.code, refused.value.detail) == (Code.LEDGER_RULE, "vote void")
    fresh = statement.approve(act.statement, cast.governors[1], AT + 10)
    assert (await ledger.submit(act, fresh)).index is None, "one vote of two"


async def test_a_clock_that_runs_backwards_does_not_take_the_log_along(trust: Db, cast: Cast) -> None:
    clock = MovableClock(START)
    ledger = await cast.ledger(trust, clock)
    await cast.admit(ledger)
    clock.advance(hours=-2)
    assert (await ledger.submit(*cast.anchor(1))).time == AT


async def test_several_processes_append_to_one_database(trust: Db, database_url: str, cast: Cast) -> None:
    """What one appended or voted, the other finds before it decides: no place is given twice, no vote is lost."""
    one = await cast.ledger(trust)
    beside = await connect(database_url.replace("{role}", "trust"))
    other = await EmbeddedLedger.open(beside, MovableClock(START), ORIGIN)
    act, signed = cast.admission()
    await one.submit(act, signed)
    assert (await other.submit(act, statement.approve(act.statement, cast.governors[1], AT))).index == 4
    receipts = await asyncio.gather(
        *[ledger.submit(*cast.key(f"{at} {ledger is one}")) for at in range(12) for ledger in (one, other)]
    )
    assert sorted({receipt.index or 0 for receipt in receipts}) == list(range(5, 29))
    assert await one.head(Log.REGISTRY) == await other.head(Log.REGISTRY)
    assert await replayed(trust) == await other.state() == await one.state()
    await beside.close()


async def test_a_database_that_lost_entries_is_no_longer_believed(trust: Db, cast: Cast) -> None:
    """As after a backup was put back under a running process."""
    ledger = await cast.ledger(trust)
    await cast.admit(ledger)
    await trust.run("DELETE FROM ledger_entry WHERE idx = 4")
    with pytest.raises(Refused) as refused:
        await ledger.head(Log.REGISTRY)
    assert refused.value.code is Code.FORKED
    assert cast.name in (await ledger.state()).parties, "what was known stays known"
    with pytest.raises(Refused) as refused:
        await ledger.submit(*cast.key("signer"))
    assert refused.value.code is Code.FORKED


async def test_every_kind_of_entry_names_a_statement_that_is_kept(trust: Db, cast: Cast) -> None:
    ledger = await cast.ledger(trust)
    await cast.admit(ledger)
    ask, name = cast.ask, cast.name
    later = AT + 1000
    for one in (
        cast.key("signer"), cast.anchor(1),
        ask(cast.party, "put_schema", owner=name, schema=digest("vct"), digest=digest("schema")),
        ask(cast.party, "withdraw_schema", schema=digest("vct")),
        ask(cast.party, "put_reader", registrar=name, reader=digest("shop"), certificate=digest("c"), valid_from=0,
            valid_until=later),
        ask(cast.party, "revoke_reader", registrar=name, reader=digest("shop"), reason=2, since=0),
        ask(cast.party, "revoke_key", party=name, thumbprint=digest("signer"), reason=3, since=AT - 5),
    ):  # fmt: skip
        assert (await ledger.submit(*one)).index is not None
    state = await ledger.state()
    assert {
        statement for statement in state.statements if await ledger_store.statement(trust, statement) is None
    } == set()
    assert state.keys[digest("signer")].revoked is not None
    act, signed = ask(cast.governors[0], "revoke_party", party=name, reason=2)
    await ledger.submit(act, signed)
    assert (await ledger.submit(act, statement.approve(act.statement, cast.governors[1], AT))).index is not None
    with pytest.raises(Refused, match="party not live"):
        await ledger.submit(*cast.anchor(2))
    assert Kind.PARTY_REVOKED.log is Log.REGISTRY
