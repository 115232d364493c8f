"""The log's doors: static files for everybody, cached as they deserve, and one place where signed acts go in."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledgers import AT, BASE, Country
from mapae.trust.log import acts, statement, tiles
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Log
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy
from mapae.trust.log.tree import Tree, leaf_hash

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    made = await Country.open(tmp_path)
    await made.cast.admit(made.ledger)
    await made.checkpoints.tick()
    yield made
    await made.close()


@pytest.fixture
async def grown(country: Country) -> Country:
    """More entries than one tile holds."""
    for at in range(260):
        await country.ledger.submit(*country.cast.key(f"key {at}"))
    await country.checkpoints.tick()
    return country


async def get(country: Country, path: str, **headers: str) -> httpx.Response:
    return await country.http.get(f"{BASE}/trust/{path}", headers=headers)


async def submit(country: Country, act: Act, signed: str) -> httpx.Response:
    return await country.http.post(f"{BASE}/trust/submit", json={"act": acts.encode(act), "signed": signed})


async def test_the_log_is_static_files(grown: Country) -> None:
    """C2SP tlog-tiles: the checkpoint is young, everything else never changes."""
    checkpoint = await get(grown, "log/registry/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "public, max-age=2"
    head = grown.policy.met(Note.parse(checkpoint.content)).checkpoint
    assert head.size == 265
    leaves: list[bytes] = []
    for tile in tiles.of_size(265):
        answer = await get(grown, f"log/registry/{tile.path()}")
        assert answer.status_code == 200 and answer.headers["cache-control"] == FOREVER
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "application/octet-stream"
        leaves += tiles.hashes(answer.content, tile.width) if tile.level == 0 else []
    entries: list[bytes] = []
    for tile in tiles.bundles(265):
        answer = await get(grown, f"log/registry/{tile.path()}")
        assert answer.headers["cache-control"] == FOREVER and answer.headers["vary"] == "Accept-Encoding"
        entries += tiles.unbundle(answer.content, tile.width)
    assert [leaf_hash(entry) for entry in entries] == leaves and Tree(leaves).root() == head.root


async def test_nothing_is_served_beyond_the_published_checkpoint(grown: Country) -> None:
    await grown.ledger.submit(*grown.cast.key("not yet published"))
    for path in ("tile/entries/001.p/10", "tile/0/001.p/10", "tile/0/001", "tile/1/000.p/2", "tile/2/000.p/1"):
        answer = await get(grown, f"log/registry/{path}")
        assert answer.status_code == 404 and answer.headers["cache-control"] == "no-store"
    assert (await get(grown, "log/registry/tile/entries/001.p/9")).status_code == 200
    assert (await get(grown, "log/registry/tile/entries/001.p/3")).status_code == 200, "of an earlier checkpoint"


async def test_what_is_no_path_of_a_log_is_not_found(country: Country) -> None:
    for path in ("log/other/checkpoint", "log/registry/tile/0/1", "log/registry/tile/00/000", "log/registry/tile/x",
                 "log/registry/tile/entries/000.p/0", "log/registry/tile/entries/000.p/256", "documents/xyz",
                 "statements/" + "0" * 64, "documents/" + "0" * 64, "statements/" + "A" * 64):  # fmt: skip
        assert (await get(country, path)).status_code == 404, path


async def test_entries_are_compressed_for_who_reads_that(grown: Country) -> None:
    async with grown.http.stream(
        "GET", f"{BASE}/trust/log/registry/tile/entries/000", headers={"accept-encoding": "gzip"}
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = await answer.aread()
    plain = await get(grown, "log/registry/tile/entries/000", **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content in (raw, gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    assert len(tiles.unbundle(plain.content)) == 256


async def test_papers_can_be_read_by_their_digest(country: Country) -> None:
    assert Policy.parse((await get(country, "policy")).content).encode() == country.policy.encode()
    state = await country.ledger.state()
    document = await get(country, f"documents/{state.policy.document.hex()}")
    assert document.content == country.policy.encode() and document.headers["cache-control"] == FOREVER
    named = next(named for named, (log, index) in state.statements.items() if index == 4)
    signed = await get(country, f"statements/{named.hex()}")
    assert statement.digest(signed.text) == named and statement.read(signed.text).act_name == "put_party"
    approvals = (await get(country, f"statements/{named.hex()}/approvals")).json()
    assert len(approvals) == 2 and signed.text in approvals


async def test_a_party_hands_in_what_it_signed(country: Country) -> None:
    act, signed = country.cast.anchor(1)
    done = await submit(country, act, signed)
    assert done.json() == {"log": "anchors", "index": 0, "time": AT}
    assert (await submit(country, act, signed)).json() == done.json(), "twice is once"
    refused = await submit(country, *country.cast.anchor(7))
    assert refused.status_code == 409 and refused.json() == {"error": "ledger_rule", "detail": "seq"}
    assert (await country.ledger.head(Log.ANCHORS)).size == 1


@pytest.mark.parametrize(
    "bend",
    [
        lambda body: {**body, "more": 1}, lambda body: {"act": body["act"]}, lambda body: {**body, "signed": 5},
        lambda body: {**body, "signed": body["signed"][:-8] + "AAAAAAAA"}, lambda body: {**body, "act": "anchor"},
        lambda body: {**body, "act": {**body["act"], "args": {}}}, lambda body: [body],
        lambda body: {**body, "act": {**body["act"], "args": {**body["act"]["args"], "seq": 2}}},
    ],
    ids=["a member more", "one less", "a number", "another signature", "a name", "no args", "a list", "another act"],
)  # fmt: skip
async def test_what_was_not_signed_so_is_refused(country: Country, bend: Any) -> None:
    act, signed = country.cast.anchor(1)
    body = bend({"act": acts.encode(act), "signed": signed})
    answer = await country.http.post(f"{BASE}/trust/submit", json=body)
    assert answer.status_code in (400, 403) and (await country.ledger.head(Log.ANCHORS)).size == 0


async def test_too_much_is_refused_before_it_is_read(country: Country) -> None:
    answer = await country.http.post(f"{BASE}/trust/submit", content=b" " * 20_000)
    assert answer.status_code == 413


async def test_it_says_of_itself_what_is_true(country: Country) -> None:
    said = (await get(country, "ledger")).json()
    assert said["called"] == "tamper-evident log, single operator, tolerates 0 faults"
    assert said["logs"]["registry"]["checkpoint"]["cosigned_at"] == {"w1": AT, "w2": AT, "w3": AT}
    assert said["quorum"] == "2 of 3" and said["logs"]["anchors"]["size"] == 0
