"""A monitor finds in the log nothing but what was asked for, and finds what was not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledgers import AT, ORIGIN, START, Cast, address, digest, voice
from mapae.clock import MovableClock
from mapae.db import Db, connect, migrate
from mapae.keys import Signer
from mapae.trust import ledger_store
from mapae.trust.log import statement
from mapae.trust.log.entry import Anchored, Entry, Log, PartyAdmitted
from mapae.trust.monitor import Findings, audit
from mapae.trust.papers import KeptPapers

DOCUMENT = b'{"id":"issuer"}'


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
async def trust(tmp_path: Path, cast: Cast) -> AsyncIterator[Db]:
    """A log in which a good deal happened, much of it in the same second."""
    db = await connect(f"sqlite:///{tmp_path}/trust.db")
    await migrate(db, "trust")
    clock = MovableClock(START)
    ledger = await cast.ledger(db, clock)
    document = await db.write(lambda tx: ledger_store.add_document(tx, DOCUMENT, "application/json", AT))
    await cast.admit(ledger, document=document)
    await ledger.submit(*cast.anchor(1))
    await ledger.submit(*cast.key("signer"))
    clock.advance(seconds=60)
    ask, name = cast.ask, cast.name
    for one in (
        ask(cast.party, "put_schema", owner=name, schema=digest("vct"), digest=digest("schema")),
        ask(cast.party, "put_reader", registrar=name, reader=digest("shop"), certificate=digest("c"), valid_from=0,
            valid_until=AT + 999),
        ask(cast.party, "revoke_reader", registrar=name, reader=digest("shop"), reason=2, since=0),
        cast.anchor(2),
    ):  # fmt: skip
        await ledger.submit(*one)
    act, signed = ask(cast.governors[0], "revoke_key", party=name, thumbprint=digest("signer"), reason=3, since=AT)
    await ledger.submit(act, signed)
    await ledger.submit(act, statement.approve(act.statement, cast.governors[2], AT))
    ended, signed = ask(cast.governors[1], "revoke_party", party=name, reason=2)
    await ledger.submit(ended, signed)
    await ledger.submit(ended, statement.approve(ended.statement, cast.governors[2], AT))
    yield db
    await db.close()


async def logs(db: Db) -> tuple[list[bytes], list[bytes]]:
    return await ledger_store.entries(db, Log.REGISTRY, 0), await ledger_store.entries(db, Log.ANCHORS, 0)


async def found(db: Db, registry: list[bytes], anchors: list[bytes]) -> Findings:
    return await audit(registry, anchors, KeptPapers(db), ORIGIN)


async def test_a_log_by_the_rules_has_nothing_wrong(trust: Db) -> None:
    registry, anchors = await logs(trust)
    done = await found(trust, registry, anchors)
    assert done.wrong == [] and done.entries == len(registry) + len(anchors) == 13


async def test_a_vote_from_before_a_change_of_governors_makes_up_for_no_other(tmp_path: Path, cast: Cast) -> None:
    """The operator has one old vote and one fresh one, and writes the deed itself."""
    db = await connect(f"sqlite:///{tmp_path}/trust.db")
    await migrate(db, "trust")
    clock = MovableClock(START)
    ledger = await cast.ledger(db, clock)
    document = await db.write(lambda tx: ledger_store.add_document(tx, DOCUMENT, "application/json", AT))
    act, signed = cast.admission(document=document)
    await ledger.submit(act, signed)
    clock.advance(seconds=10)
    change, asked = cast.ask(cast.governors[0], "put_policy", document=document, threshold=2, delay=0)
    await ledger.submit(change, asked)
    await ledger.submit(change, statement.approve(change.statement, cast.governors[2], AT + 10))
    await ledger.submit(act, statement.approve(act.statement, cast.governors[1], AT + 10))
    state = await ledger.state()
    with state.trial():
        forged = state.apply(act, address(cast.governors[0]), AT + 20)
    registry, anchors = await logs(db)
    assert forged is not None
    done = await found(db, [*registry, forged.encode()], anchors)
    assert done.wrong[-1] == f"registry {len(registry)}: it was not signed by whoever may ask for it"
    await db.close()


async def test_an_entry_the_operator_made_up_is_found(trust: Db, cast: Cast) -> None:
    """Append-only, witnessed, and still nobody asked for it: the party's signature is missing."""
    registry, anchors = await logs(trust)
    forged = Entry(len(anchors), AT + 60, Entry.parse(anchors[-1]).kind, cast.name, digest("no paper"),
                   Anchored(digest("status"), 3, digest("forged"), 1, AT + 999))  # fmt: skip
    done = await found(trust, registry, [*anchors, forged.encode()])
    assert done.wrong == [f"anchors {len(anchors)}: its statement is not to be had"]


async def test_an_entry_that_says_something_else_than_was_signed_is_found(trust: Db, cast: Cast) -> None:
    registry, anchors = await logs(trust)
    said = Entry.parse(anchors[-1])
    assert isinstance(said.payload, Anchored)
    bent = Entry(said.index, said.time, said.kind, said.subject, said.statement,
                 said.payload._replace(root=digest("another root")))  # fmt: skip
    done = await found(trust, registry, [*anchors[:-1], bent.encode()])
    assert done.wrong == [f"anchors {said.index}: its statement asks for something else"]


async def test_one_governor_alone_does_not_admit_anybody(trust: Db, cast: Cast) -> None:
    """The operator appends what one governor asked for and no second one agreed to."""
    registry, anchors = await logs(trust)
    friend = Signer.ephemeral()
    act, signed = cast.admission(party=digest("issuer:friend"), controller=address(friend), voice=voice(friend))
    await trust.write(lambda tx: ledger_store.add_statement(tx, signed, AT))
    at = Entry.parse(registry[-1]).time
    terms = PartyAdmitted(address(friend), voice(friend), 31, at, AT + 10 * 365 * 86400, digest("document"))
    forged = Entry(len(registry), at, Entry.parse(registry[4]).kind, digest("issuer:friend"), act.statement, terms)
    done = await found(trust, [*registry, forged.encode()], anchors)
    assert done.wrong == [f"registry {len(registry)}: it was not signed by whoever may ask for it"]


async def test_a_document_that_cannot_be_read_is_found(trust: Db) -> None:
    registry, anchors = await logs(trust)
    await trust.run("DELETE FROM ledger_document WHERE body = $1", DOCUMENT)
    assert (await found(trust, registry, anchors)).wrong == ["registry 4: its document is not to be had"]


async def test_a_governor_nobody_heard_is_found(trust: Db, cast: Cast) -> None:
    """A founding governor who never signed was put there by somebody else."""
    registry, anchors = await logs(trust)
    await trust.run("DELETE FROM ledger_vote WHERE voter = $1", address(cast.governors[1]))
    done = await found(trust, registry, anchors)
    assert "registry 1: a founding governor has not signed" in done.wrong
    assert replace(done, wrong=[]).entries == 13
