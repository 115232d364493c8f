"""Checkpoints: published at quorum, refreshed, never held up by a witness, never signed over a log that went back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from ledgers import AT, Country, digest, note_key
from mapae.cli_ledger import status_lines
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.checkpoints import Checkpoints
from mapae.trust.engine import Assurance
from mapae.trust.engine.embedded import ASSURANCE
from mapae.trust.log import statement
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.note import Checkpoint, Note, cosign
from mapae.trust.log.policy import Policy
from mapae.trust.log.succession import Step, in_force, named
from mapae.trust.log.tree import Head
from mapae.trust.standing import called, standing


@pytest.fixture
async def country(database_url: str, tmp_path: Path) -> AsyncIterator[Country]:
    made = await Country.open(tmp_path, url=database_url)
    yield made
    await made.close()


async def names(country: Country, log: Log = Log.REGISTRY) -> set[str]:
    return set(country.policy.met(await country.checkpoint(log)).times)


async def test_a_head_is_published_with_every_witness_behind_it(country: Country) -> None:
    await country.checkpoints.tick()
    for log in Log:
        met = country.policy.met(await country.checkpoint(log))
        assert dict(met.times) == {"w1": AT, "w2": AT, "w3": AT} and met.age_from == AT
        assert met.checkpoint.size == (await country.ledger.head(log)).size


async def test_every_published_head_stays(country: Country) -> None:
    await country.checkpoints.tick()
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    await country.ledger.submit(*country.cast.key("signer"))
    await country.checkpoints.tick()
    history = await country.checkpoints.history(Log.REGISTRY)
    assert [head.size for head in history] == [6, 5, 4]
    for head in history:
        assert head.note is not None
        assert country.policy.met(Note.parse(head.note.encode())).checkpoint.root == head.root


async def test_cosignatures_are_refreshed_before_they_grow_old(country: Country) -> None:
    """So that their age means something: how long nothing newer can have been withheld."""
    await country.checkpoints.tick()
    country.clock.advance(seconds=30)
    await country.checkpoints.tick()
    assert country.policy.met(await country.checkpoint()).age_from == AT
    country.clock.advance(seconds=31)
    await country.checkpoints.tick()
    assert country.policy.met(await country.checkpoint()).age_from == AT + 61


async def test_the_time_others_vouch_for_is_theirs_and_stands_while_they_are_away(country: Country) -> None:
    assert await country.checkpoints.vouched() == datetime.fromtimestamp(0, UTC)  # nothing published yet
    await country.checkpoints.tick()
    assert await country.checkpoints.vouched() == datetime.fromtimestamp(AT, UTC)
    country.down.update({"w1", "w2", "w3"})
    country.clock.advance(days=400)
    await country.checkpoints.tick()
    assert await country.checkpoints.vouched() == datetime.fromtimestamp(AT, UTC)


async def test_a_clock_far_ahead_for_a_moment_costs_no_witness_and_no_act(country: Country) -> None:
    """Times of a witness and of the log never go back: whatever they took from such a clock would stand for good."""
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    country.clock.leap(days=365)
    await country.ledger.submit(*country.cast.anchor(1))
    await country.checkpoints.round()
    assert (await country.ledger.state()).time == AT
    assert await country.checkpoints.vouched() == datetime.fromtimestamp(AT, UTC)
    country.clock.leap(days=-365)
    country.clock.advance(seconds=30)
    await country.ledger.submit(*country.cast.key("signer", AT + 30))
    assert (await country.ledger.state()).keys[digest("signer")].valid_from == AT + 30
    await country.checkpoints.tick()
    published = await country.checkpoints.published(Log.REGISTRY)
    assert published is not None and published.size == (await country.ledger.head(Log.REGISTRY)).size
    assert await names(country) == {"w1", "w2", "w3"}


async def test_a_slow_clock_that_is_put_right_goes_on_at_once(country: Country) -> None:
    """What has surely passed stays behind for an hour then; the witnesses go by the right time."""
    await country.checkpoints.tick()
    country.clock.leap(hours=1)
    for witness in country.witnesses.values():
        witness._clock = MovableClock(country.clock.now())
    await country.cast.admit(country.ledger)
    await country.checkpoints.round()
    published = await country.checkpoints.published(Log.REGISTRY)
    assert published is not None and published.size == (await country.ledger.head(Log.REGISTRY)).size


async def test_a_witness_that_is_down_holds_nobody_up(country: Country) -> None:
    country.down.add("w2")
    await country.checkpoints.tick()
    assert await names(country) == {"w1", "w3"}
    assert "no answer" in country.checkpoints.witnesses["w2"].trouble
    country.down.clear()
    country.clock.advance(seconds=61)
    await country.checkpoints.tick()
    assert await names(country) == {"w1", "w2", "w3"} and not country.checkpoints.witnesses["w2"].trouble


async def test_below_the_quorum_nothing_is_published_and_it_is_tried_again(country: Country) -> None:
    await country.checkpoints.tick()
    await country.cast.admit(country.ledger)
    country.down.update({"w1", "w2"})
    await country.checkpoints.tick()
    assert country.policy.met(await country.checkpoint()).checkpoint.size == 4
    country.down.clear()
    country.clock.advance(seconds=4)
    await country.checkpoints.tick()
    assert country.policy.met(await country.checkpoint()).checkpoint.size == 5
    assert country.checkpoints.alarms == {}


async def test_a_witness_that_never_answers_does_not_delay_the_quorum(country: Country) -> None:
    stuck = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        await stuck.wait()
        return httpx.Response(500)

    country.answers["w3"] = never
    round = asyncio.create_task(country.checkpoints.round())
    for _ in range(200):
        if await country.checkpoints.published(Log.REGISTRY) is not None:
            break
        await asyncio.sleep(0.01)  # it publishes a quarter of a second after the quorum
    assert await names(country) == {"w1", "w2"}
    stuck.set()
    await round


async def test_a_process_that_ends_leaves_no_question_open(country: Country) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    country.answers["w3"] = never
    round = asyncio.create_task(country.checkpoints.round())
    await asyncio.sleep(0.05)  # two witnesses have answered, the third is being asked
    round.cancel()
    with pytest.raises(asyncio.CancelledError):
        await round
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_witness_that_breaks_something_holds_nobody_up(country: Country) -> None:
    async def broken(request: httpx.Request) -> httpx.Response:
        raise ValueError("what no client expects")

    country.answers["w3"] = broken
    await country.checkpoints.round()
    assert await names(country) == {"w1", "w2"} and "ValueError" in country.checkpoints.witnesses["w3"].trouble


async def test_a_witness_that_lies_is_not_believed(country: Country) -> None:
    """Another head's cosignature, somebody else's key, noise, too much: none of it gets onto a checkpoint."""
    stranger, honest = note_key("w3.example/w"), country.witnesses["w3"]
    elsewhere = Checkpoint("other.example/log", 4, bytes(32)).body()
    own = await honest._pen_in_hand()  # the witness's own operator lies

    def says(body: bytes, status: int = 200):  # type: ignore[no-untyped-def]
        async def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, content=body)

        return answer

    for lie in (
        says(cosign(elsewhere, own, AT).encode()), says(cosign(elsewhere, stranger, AT).encode()), says(b"\xff\x00"),
        says(b""), says("— w3.example/w AAAAAAAA\n".encode()), says(b"A" * 200_000), says(b"7\n", 409), says(b"x", 409),
        says(b"9" * 30, 409), says(b"", 500), says(b"5\n", 302),
    ):  # fmt: skip
        country.answers["w3"] = lie
        await country.checkpoints.round()
        assert await names(country) == {"w1", "w2"}
        assert country.checkpoints.witnesses["w3"].trouble
    country.answers["w3"] = says(b"99999\n", 409)  # "I have seen more": two others know better
    await country.checkpoints.round()
    assert await names(country) == {"w1", "w2"} and country.checkpoints.alarms == {}


async def test_a_witness_whose_clock_is_off_does_not_make_a_checkpoint_look_new(country: Country) -> None:
    own = await country.witnesses["w3"]._pen_in_hand()

    async def tomorrow(request: httpx.Request) -> httpx.Response:
        note = Note.parse(request.content.partition(b"\n\n")[2])
        return httpx.Response(200, content=cosign(note, own, AT + 86400).encode())

    country.answers["w3"] = tomorrow
    await country.checkpoints.round()
    assert await names(country) == {"w1", "w2"}


async def test_a_log_that_went_back_is_not_signed_and_raises_the_alarm(country: Country) -> None:
    """A backup was put back: the old checkpoint stays, no head is signed until somebody looks."""
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    before = await country.checkpoint()
    await country.db.run("DELETE FROM ledger_entry WHERE log = 0 AND idx = 4")
    restored = Checkpoints(db=country.db, ledger=await country.cast.ledger(country.db, country.clock),
                           signers=country.signers, http=country.http, clock=country.clock)  # fmt: skip
    country.clock.advance(seconds=90)
    await restored.tick()
    assert "shrank" in restored.alarms[Log.REGISTRY] and Log.ANCHORS not in restored.alarms
    said = await standing(country.ledger, country.checkpoints)  # the process that saw it happen
    assert said["logs"]["registry"]["size"] == 5 and "entries it held before" in said["logs"]["registry"]["alarm"]
    assert any("ALARM" in line for line in status_lines(said, AT))
    kept = await restored.published(Log.REGISTRY)
    assert kept is not None and kept.note == before.encode().decode()


async def test_a_process_that_is_overtaken_by_another_raises_no_alarm(country: Country) -> None:
    """Between its look at the log and at what was signed, another one appended and signed."""
    await country.checkpoints.tick()
    behind = await country.ledger.head(Log.REGISTRY)
    await country.cast.admit(country.ledger)

    class Overtaken:
        asked = 0

        async def head(self, log: Log) -> Head:
            self.asked += log is Log.REGISTRY
            return behind if log is Log.REGISTRY and self.asked < 2 else await country.ledger.head(log)

        def __getattr__(self, name: str) -> object:
            return getattr(country.ledger, name)

    other = Checkpoints(db=country.db, ledger=Overtaken(), signers=country.signers, http=country.http,  # type: ignore[arg-type]
                        clock=country.clock)  # fmt: skip
    await country.checkpoints.tick()
    await other.round()
    assert other.alarms == {} and country.policy.met(await country.checkpoint()).checkpoint.size == 5


async def test_a_rewritten_log_is_not_signed(country: Country) -> None:
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    await country.db.run("DELETE FROM ledger_entry WHERE log = 0 AND idx = 4")
    ledger = await country.cast.ledger(country.db, country.clock)
    await country.cast.admit(ledger)  # signed anew: another statement, another entry in the same place
    await ledger.submit(*country.cast.key("signer"))
    again = Checkpoints(db=country.db, ledger=ledger, signers=country.signers, http=country.http, clock=country.clock)
    await again.tick()
    assert "not those that were signed" in again.alarms[Log.REGISTRY]
    assert country.policy.met(await country.checkpoint()).checkpoint.size == 5


async def test_a_database_put_back_whole_is_caught_by_the_witnesses(tmp_path: Path) -> None:
    """Even the heads we signed are forgotten then; the witnesses remember."""
    country = await Country.open(tmp_path)
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    await country.db.run("DELETE FROM ledger_head")
    await country.db.run("DELETE FROM ledger_entry WHERE log = 0 AND idx = 4")
    restored = Checkpoints(db=country.db, ledger=await country.cast.ledger(country.db, country.clock),
                           signers=country.signers, http=country.http, clock=country.clock)  # fmt: skip
    await restored.tick()
    assert "has seen 5 entries, the log has 4" in restored.alarms[Log.REGISTRY]
    assert await restored.published(Log.REGISTRY) is None
    await country.close()


async def test_an_engine_that_is_away_changes_nothing(country: Country) -> None:
    await country.checkpoints.tick()

    class Away:
        async def head(self, log: Log) -> object:
            raise Refused(Code.UNAVAILABLE, "the node does not answer")

        async def state(self) -> object:
            return await country.ledger.state()

    away = Checkpoints(db=country.db, ledger=Away(), signers=country.signers, http=country.http,  # type: ignore[arg-type]
                       clock=country.clock)  # fmt: skip
    await away.tick()
    await away.round()
    assert away.alarms == {} and country.policy.met(await country.checkpoint()).checkpoint.size == 4


async def test_another_policy_is_published_under_both(country: Country, tmp_path: Path) -> None:
    """Whoever knows only the old witnesses must be able to believe the entry that names the new ones."""
    await country.checkpoints.tick()
    assert await country.checkpoints.successions() == []
    keys = [signer.vkey for signer in country.signers.values()]
    old = [(name, one.vkey, one.url) for name, one in country.policy.witnesses.items()]
    new = Policy.of(keys, old[1:], 2)  # w1 is dropped
    await country.db.write(lambda tx: ledger_store.add_document(tx, new.encode(), "text/plain", AT))
    act, signed = country.cast.ask(
        country.cast.governors[0], "put_policy", document=sha256(new.encode()).digest(), threshold=2, delay=0
    )
    await country.ledger.submit(act, signed)
    await country.ledger.submit(act, statement.approve(act.statement, country.cast.governors[1], AT))
    country.down.add("w3")
    await country.checkpoints.round()
    assert country.policy.met(await country.checkpoint()).checkpoint.size == 4, "w1 and w2 are not the new quorum"
    country.down.clear()
    await country.checkpoints.round()
    bridge = await country.checkpoint()
    assert country.policy.met(bridge).checkpoint.size == new.met(bridge).checkpoint.size == 5
    country.down.add("w1")
    country.clock.advance(seconds=61)
    await country.checkpoints.tick()
    after = await country.checkpoint()
    assert new.met(after).age_from == AT + 61 and "w1" not in new.met(after).times
    assert country.policy.met(after).checkpoint.size == 5, "the bridge still stands when its cosignatures are renewed"
    await country.cast.admit(country.ledger)
    await country.checkpoints.tick()
    (step,) = await country.checkpoints.successions()
    assert (step.entry, step.policy) == (4, new.encode())
    entries = await country.ledger.entries(Log.REGISTRY, 0, 6)
    names = [one for entry in entries if (one := named(Entry.parse(entry))) is not None]
    tree = await country.checkpoints.tree(Log.REGISTRY, 6)
    steps = [Step(Policy.parse(step.policy), Note.parse(step.head))]
    origin = country.signers[Log.REGISTRY].vkey.name
    assert in_force(country.policy, origin, steps, names, tree.root).encode() == new.encode()


def test_only_a_log_of_several_operators_is_called_a_blockchain() -> None:
    assert called(ASSURANCE) == "tamper-evident log, single operator, tolerates 0 faults"
    assert called(Assurance("evm chain 31337", 1, 0, False, False)).startswith("tamper-evident log, single operator")
    assert called(Assurance("evm chain 1001", 4, 1, True, True)) == "blockchain of 4 operators, tolerates 1 fault"
    assert "blockchain" not in called(Assurance("evm chain 5", 4, 1, False, True))
