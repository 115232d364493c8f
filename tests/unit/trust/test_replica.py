"""A replica follows what a quorum vouches for, forward only, and keeps both notes of two histories that contradict."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from hands import refuses
from ledgers import AT, BASE, Country, digest, new_witness, note_key
from mapae.errors import Code, Refused
from mapae.trust import ledger_store
from mapae.trust.checkpoints import log_origin
from mapae.trust.log import statement
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.note import Checkpoint, Note, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.trust.log.succession import Step, in_force, named
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.replica import HttpSource, Replica

REGISTRY = log_origin(BASE, Log.REGISTRY)


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    made = await Country.open(tmp_path)
    await made.cast.admit(made.ledger)
    await made.checkpoints.tick()
    yield made
    await made.close()


@pytest.fixture
def replica(country: Country) -> Replica:
    return Replica(country.policy, REGISTRY, max_age=3600)


class Bent:
    """A source that gives something else than the log it stands before."""

    def __init__(
        self, true: HttpSource, note: bytes | None = None, entries: Callable[[list[bytes]], Any] | None = None
    ):
        self._true, self._note, self._entries = true, note, entries

    async def checkpoint(self, log: Log) -> bytes:
        return self._note or await self._true.checkpoint(log)

    async def entries(self, log: Log, start: int, end: int, size: int) -> list[bytes]:
        found = await self._true.entries(log, start, end, size)
        return found if self._entries is None else self._entries(found)

    async def document(self, digest: bytes) -> bytes:
        return await self._true.document(digest)

    async def successions(self) -> list[bytes]:
        return await self._true.successions()


class Told:
    """A source that shows a history of its own."""

    def __init__(self, note: Note, entries: list[bytes]) -> None:
        self._note, self._entries = note, entries

    async def checkpoint(self, log: Log) -> bytes:
        return self._note.encode()

    async def entries(self, log: Log, start: int, end: int, size: int) -> list[bytes]:
        return self._entries[start:end]

    async def document(self, digest: bytes) -> bytes:
        raise Refused(Code.NOT_FOUND, "no such document")

    async def successions(self) -> list[bytes]:
        return []


async def another_history(country: Country, size: int, at: int, folder: Path, witnesses: int = 2) -> Told:
    """As log and a quorum would have to sign it together: the worst that can be shown to anybody."""
    (folder / "other").mkdir(exist_ok=True)
    other = await Country.open(folder / "other")
    other.cast.name = digest("issuer:other")
    await other.cast.admit(other.ledger)
    for at_key in range(size - 5):
        await other.ledger.submit(*other.cast.key(f"{at_key}"))
    entries = await other.ledger.entries(Log.REGISTRY, 0, size)
    await other.close()
    tree = Tree(leaf_hash(entry) for entry in entries)
    note = sign_checkpoint(Checkpoint(REGISTRY, size, tree.root()), country.signers[Log.REGISTRY])
    for witness in list(country.witnesses.values())[:witnesses]:
        note = note.with_(cosign(note, await witness._pen_in_hand(), at))
    return Told(note, entries)


async def refusal(replica: Replica, source: Any, now: int = AT) -> tuple[Code, str | None]:
    before = (replica.size, replica.note, replica.state.head(Log.REGISTRY))
    with pytest.raises(Refused) as refused:
        await replica.follow(source, now)
    assert (replica.size, replica.note, replica.state.head(Log.REGISTRY)) == before, "the old state is kept"
    return refused.value.code, refused.value.step


async def test_it_follows_a_log_over_http(country: Country, replica: Replica) -> None:
    assert await replica.follow(country.source(), AT) == 5
    assert replica.state.parties[country.cast.name].roles == 31
    for at in range(300):
        await country.ledger.submit(*country.cast.key(f"key {at}"))
    await country.checkpoints.tick()
    assert await replica.follow(country.source(), AT) == 300
    assert replica.state.head(Log.REGISTRY) == await country.ledger.head(Log.REGISTRY)
    assert replica.entries == await country.ledger.entries(Log.REGISTRY, 0, 305)
    assert await replica.follow(country.source(), AT) == 0


async def test_it_follows_the_anchors_too(country: Country) -> None:
    await country.ledger.submit(*country.cast.anchor(1))
    await country.checkpoints.tick()
    replica = Replica(country.policy, log_origin(BASE, Log.ANCHORS), Log.ANCHORS)
    assert await replica.follow(country.source(), AT) == 1
    assert replica.state.anchors[country.cast.name, digest("status")].seq == 1


async def test_a_same_size_fork_is_refused(country: Country, replica: Replica, tmp_path: Path) -> None:
    await replica.follow(country.source(), AT)
    other = await another_history(country, 5, AT, tmp_path)
    assert await refusal(replica, other) == (Code.FORKED, "past")
    (kept,) = replica.evidence
    assert kept.ours == replica.note and kept.theirs == (await other.checkpoint(Log.REGISTRY)).decode()
    for text in (kept.ours, kept.theirs):
        country.policy.met(Note.parse(text.encode()))  # both are signed: together they are the proof


async def test_a_longer_fork_is_refused(country: Country, replica: Replica, tmp_path: Path) -> None:
    await replica.follow(country.source(), AT)
    assert await refusal(replica, await another_history(country, 9, AT, tmp_path)) == (Code.FORKED, "entries")
    assert replica.evidence[0].why == "the log has another past"


async def test_a_rewound_log_is_refused(country: Country, replica: Replica, tmp_path: Path) -> None:
    """Shorter, and a quorum says it is the newest: it contradicts what the quorum said before."""
    await country.ledger.submit(*country.cast.key("signer"))
    await country.checkpoints.tick()
    await replica.follow(country.source(), AT)
    entries = await country.ledger.entries(Log.REGISTRY, 0, 5)
    root = Tree(leaf_hash(entry) for entry in entries).root()
    note = sign_checkpoint(Checkpoint(REGISTRY, 5, root), country.signers[Log.REGISTRY])
    for name in ("w1", "w2"):
        note = note.with_(cosign(note, await country.witnesses[name]._pen_in_hand(), AT + 60))
    assert await refusal(replica, Told(note, entries), AT + 60) == (Code.FORKED, "past")
    other = await another_history(country, 5, AT, tmp_path)
    assert await refusal(replica, other) == (Code.FORKED, "past")
    assert [one.why for one in replica.evidence] == ["the log has become shorter", "two roots for one size"]


async def test_a_source_that_is_behind_is_no_fork(country: Country, replica: Replica) -> None:
    """A cache serves the checkpoint of a moment ago: ours stays, nobody is accused."""
    old = Bent(country.source(), (await country.checkpoint()).encode())
    await country.ledger.submit(*country.cast.key("signer"))
    await country.checkpoints.tick()
    await replica.follow(country.source(), AT)
    assert await refusal(replica, old) == (Code.UNAVAILABLE, "past")
    assert replica.evidence == []


async def test_a_withheld_tail_is_refused_by_its_age(country: Country, replica: Replica) -> None:
    """Somebody stops showing newer entries: the cosignatures of what he shows grow old."""
    await replica.follow(country.source(), AT)
    assert await refusal(replica, country.source(), AT + 3601) == (Code.UNWITNESSED, "age")
    country.clock.advance(seconds=3700)
    await country.checkpoints.tick()
    assert await replica.follow(country.source(), AT + 3700) == 0
    assert replica.age_from == AT + 3700


async def test_wrong_witness_keys_are_no_quorum(country: Country, replica: Replica) -> None:
    note = (await country.checkpoint()).only([country.signers[Log.REGISTRY].vkey])
    for name in country.witnesses:
        note = note.with_(cosign(note, note_key(f"{name}.example/w"), AT))
    assert await refusal(replica, Bent(country.source(), note.encode())) == (Code.UNWITNESSED, "quorum")
    one = note.only([country.signers[Log.REGISTRY].vkey])
    one = one.with_(cosign(one, await country.witnesses["w1"]._pen_in_hand(), AT))
    assert await refusal(replica, Bent(country.source(), one.encode())) == (Code.UNWITNESSED, "quorum")


async def test_another_log_key_and_another_log_are_refused(country: Country, replica: Replica) -> None:
    anchors = await country.checkpoint(Log.ANCHORS)
    assert await refusal(replica, Bent(country.source(), anchors.encode())) == (Code.BAD_SIGNATURE, "quorum")
    note = await country.checkpoint()
    bent = note.encode().replace(b"\n5\n", b"\n6\n", 1)
    assert await refusal(replica, Bent(country.source(), bent)) == (Code.BAD_SIGNATURE, "quorum")


@pytest.mark.parametrize(
    "bend",
    [
        lambda found: found[:-1], lambda found: [*found, found[-1]], lambda found: found[::-1],
        lambda found: [found[0][:-1] + bytes([found[0][-1] ^ 1]), *found[1:]], lambda found: [],
        lambda found: [b"x" * 70_000, *found[1:]],
    ],
    ids=["one missing", "one more", "another order", "one bit", "none", "too long"],
)  # fmt: skip
async def test_entries_that_do_not_amount_to_the_checkpoint_are_refused(
    country: Country, replica: Replica, bend: Callable[[list[bytes]], list[bytes]]
) -> None:
    """The one who serves them lies, not the log: nobody is accused."""
    assert await refusal(replica, Bent(country.source(), entries=bend)) == (Code.BAD_PROOF, "entries")
    assert replica.evidence == [] and await replica.follow(country.source(), AT) == 5


async def test_entries_against_the_rules_are_refused_whole(country: Country, replica: Replica) -> None:
    """Log and witnesses stand behind it, and it is still not taken: not even the part before it."""
    await replica.follow(country.source(), AT)
    await country.ledger.submit(*country.cast.key("signer"))
    entries = await country.ledger.entries(Log.REGISTRY, 0, 6)
    twice = [*entries, entries[5].replace((5).to_bytes(32, "big"), (6).to_bytes(32, "big"), 1)]
    note = sign_checkpoint(
        Checkpoint(REGISTRY, 7, Tree(leaf_hash(entry) for entry in twice).root()), country.signers[Log.REGISTRY]
    )
    for name in ("w1", "w2"):
        note = note.with_(cosign(note, await country.witnesses[name]._pen_in_hand(), AT))
    assert await refusal(replica, Told(note, twice)) == (Code.LEDGER_RULE, "rules")
    assert digest("signer") not in replica.state.keys


async def test_it_goes_over_to_the_policy_the_log_names(country: Country, replica: Replica) -> None:
    await replica.follow(country.source(), AT)
    old = [(name, one.vkey, one.url) for name, one in country.policy.witnesses.items()]
    new = Policy.of([signer.vkey for signer in country.signers.values()], old[1:], 2)
    await country.db.write(lambda tx: ledger_store.add_document(tx, new.encode(), "text/plain", AT))
    act, signed = country.cast.ask(
        country.cast.governors[0], "put_policy", document=sha256(new.encode()).digest(), threshold=2, delay=0
    )
    await country.ledger.submit(act, signed)
    await country.ledger.submit(act, statement.approve(act.statement, country.cast.governors[1], AT))
    await country.checkpoints.round()
    assert await replica.follow(country.source(), AT) == 1
    assert replica.policy.encode() == new.encode()
    country.down.add("w1")
    await country.ledger.submit(*country.cast.key("signer"))
    await country.checkpoints.tick()
    assert await replica.follow(country.source(), AT) == 1


async def all_other_witnesses(country: Country, folder: Path, names: tuple[str, ...]) -> Policy:
    """The policy names witnesses nobody knew before; the head that says so has the cosignatures of both."""
    keys = [signer.vkey for signer in country.signers.values()]
    fresh = {name: await new_witness(folder, name, keys, country.clock) for name in names}
    country.witnesses |= fresh
    named = [(name, await witness.vkey(), f"{BASE}/witness/{name}") for name, witness in fresh.items()]
    new = Policy.of(keys, named, 2)
    await country.db.write(lambda tx: ledger_store.add_document(tx, new.encode(), "text/plain", AT))
    act, signed = country.cast.ask(
        country.cast.governors[0], "put_policy", document=sha256(new.encode()).digest(), threshold=2, delay=0
    )
    await country.ledger.submit(act, signed)
    await country.ledger.submit(act, statement.approve(act.statement, country.cast.governors[1], AT))
    await country.checkpoints.round()
    return new


async def test_a_replica_that_slept_through_two_changes_of_witnesses_finds_its_way(
    country: Country, replica: Replica, tmp_path: Path
) -> None:
    """Each change is believed on the word of the witnesses before it, step by step."""
    first = country.policy
    await replica.follow(country.source(), AT)
    for names in (("a1", "a2", "a3"), ("b1", "b2", "b3")):
        new = await all_other_witnesses(country, tmp_path, names)
        country.clock.advance(seconds=61)
        await country.checkpoints.tick()
    with refuses(Code.UNWITNESSED):
        first.met(await country.checkpoint())
    await country.ledger.submit(*country.cast.key("signer"))
    await country.checkpoints.tick()
    assert await replica.follow(country.source(), AT + 130) == 3
    assert replica.policy.encode() == new.encode() and replica.size == 8
    late = Replica(first, REGISTRY, max_age=3600)
    assert await late.follow(country.source(), AT + 130) == 8 and late.policy.encode() == new.encode()
    told = await country.checkpoints.successions()
    steps = [Step(Policy.parse(one.policy), Note.parse(one.head)) for one in told]
    policies = [one for raw in late.entries if (one := named(Entry.parse(raw))) is not None]
    assert in_force(first, REGISTRY, steps, policies, late.tree.root).encode() == new.encode()


async def test_a_log_that_is_away_leaves_everything_as_it_was(country: Country, replica: Replica) -> None:
    await replica.follow(country.source(), AT)

    async def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(gone)) as http:
        assert (await refusal(replica, HttpSource(http, f"{BASE}/trust")))[0] is Code.UNAVAILABLE
