"""The log is away at each call the registry makes of it in a country's life, once before it did anything and once
after: nothing is lost, nothing is done twice, and a monitor finds every entry asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mapae.clock import MovableClock
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.engine import Receipt
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Entry as LogEntry
from mapae.trust.log.entry import Kind, Log
from mapae.trust.monitor import audit
from mapae.trust.papers import KeptPapers
from mapae.trust.registry import AccessAuthority, Entry, Issuer, Purpose, Registry, RelyingParty, WalletProvider
from trusting import ACCESS_CA, ONE, ORIGIN, OTHER, START, Away, authority, founded, registry

NAME = Words(ko="x", en="x")
CA = authority(Signer.ephemeral())
ASKS = Purpose(id="age", name=NAME, why=NAME, legal_basis=NAME, items=("adult_by_year",), retention=NAME)
SHOP = RelyingParty(id="shop", name=NAME, x509_hash=b64u(b"1" * 32), purposes=(ASKS,))
MOVED = RelyingParty(id="shop", name=NAME, x509_hash=b64u(b"2" * 32), purposes=(ASKS,))
PARTIES: list[Entry] = [
    AccessAuthority(id="access", name=NAME, ca=(ACCESS_CA.der,), voice=ACCESS_CA.voice.kid),
    Issuer(id="issuer", name=NAME, ca=(CA,), vcts=("urn:x",), doctypes=(), status_prefix="https://a.test/status/"),
    WalletProvider(id="wallet", name=NAME, ca=(CA,)),
]


class Stumbling(Away):
    """Away at its n-th call and no other."""

    fail_at = 0
    kept = False
    calls = 0

    async def submit(self, act: Act, signed: str) -> Receipt:
        self.calls += 1
        if self.calls != self.fail_at:
            return await super().submit(act, signed)
        if self.kept:
            await super().submit(act, signed)
        raise Refused(Code.UNAVAILABLE, "the log does not answer")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Db]:
    opened = await connect(f"sqlite:///{tmp_path}/trust.db")
    await migrate(opened, "trust")
    yield opened
    await opened.close()


async def live(book: Registry) -> None:
    """A country's life: parties are admitted, a shop registers, moves, is struck off; a provider is struck off."""
    for entry in [*PARTIES, SHOP, MOVED]:
        await book.approve(await book.propose(entry, ONE), OTHER)
    for kind, id in (("relying_party", "shop"), ("wallet_provider", "wallet")):
        await book.approve(await book.propose_removal(kind, id, ONE), OTHER)


EXPECTED = [
    Kind.PARTY, Kind.PARTY, Kind.PARTY, Kind.READER, Kind.READER, Kind.READER_REVOKED, Kind.READER_REVOKED,
    Kind.PARTY_REVOKED,
]  # fmt: skip


@pytest.mark.parametrize("kept", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 14))
async def test_the_log_is_away_at_each_call(db: Db, at: int, kept: bool) -> None:
    clock = MovableClock(START)
    log = Stumbling(await founded(db, clock))
    log.fail_at, log.kept = at, kept
    book = registry(db, clock, log)
    await live(book)
    for _ in range(4):
        try:
            await book.hand_over()
        except Refused as refused:
            assert refused.code is Code.UNAVAILABLE
    assert await book.unsettled() == []
    registered, anchored = [await log.entries(which, 0, 100) for which in (Log.REGISTRY, Log.ANCHORS)]
    kinds = [LogEntry.parse(raw).kind for raw in (*registered[4:], *anchored)]
    assert sorted(kinds) == sorted(EXPECTED), "each change once"
    assert (await audit(registered, anchored, KeptPapers(db), ORIGIN)).wrong == []
    assert {entry.id for entry in await book.entries()} == {"access", "issuer"}


async def test_every_call_of_that_life_was_among_them(db: Db) -> None:
    clock = MovableClock(START)
    log = Stumbling(await founded(db, clock))
    await live(registry(db, clock, log))
    assert log.calls == 13, "the test above fails at each of as many"
