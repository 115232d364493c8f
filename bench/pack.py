"""The offline pack at a nation's size: how large it is, how long it takes to believe it, and to check from it.

What is assumed, and told beside the figures: 52 million people with one place each in a status list, lists of 2^20
places of two bits that are half full, one place in a hundred not valid; 6,000 entries in the registry log, among them
300 parties with a document of their own; three witnesses. Each further one-time copy of everybody's card adds as many
lists again.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import zlib
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from bench import ROOT
from bench.harness import Effort, Figure, Here, Measured, Raw, in_turn
from bench.page import seconds
from mapae.formats.status import INVALID, SUSPENDED, StatusList
from mapae.trust.log.entry import KeyEntered, Kind, Log, Purpose, Role
from mapae.trust.pack import format
from mapae.trust.pack.build import pairs
from mapae.trust.pack.format import Pack
from mapae.trust.pack.verify import open_pack
from mapae.verifier.checking.check import Format, check
from mapae.verifier.checking.offline import Known

sys.path.append(str(ROOT / "tests"))  # the nation that the tests pack, and their cards

from packed import Nation, digest
from unit.verifier.world import NOW, STATUS_PREFIX, Card, ask, country

BITS = 2
NOT_VALID = 100  # one place in so many
ENTRIES, PARTIES = 6_000, 300
LIMIT_BYTES, LIMIT_VERIFY, LIMIT_CHECK = 5_000_000, 3.0, 0.002
CHANGES = 2_000  # places that change from one epoch to the next: 576,000 a day


@dataclass(frozen=True)
class Packed:
    """Two packs in a row, and what the making took."""

    nation: Nation
    first: Pack
    second: Pack
    made: float
    again: float


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    packed = _nation(effort)
    whole, policy = packed.first.encode(), packed.nation.pinned
    step = format.delta(packed.first, packed.second, pairs(packed.first, packed.second))
    opened = open_pack(whole, policy)
    purpose, asked = country().purposes["alcohol_tobacco"], ask()
    shown = Card().show(Format.SD_JWT, asked)
    known = Known(opened)
    bodies = list(packed.first.bodies.values())
    few = Effort(rounds=max(2, min(5, effort.rounds)), times=1)
    rounds = in_turn(lambda: _unfold(bodies), {"ours": Here(lambda: open_pack(whole, policy))}, few)
    verify = Measured.of(rounds["limit"], rounds["ours"])
    rounds = in_turn(
        raw.work(verifies=2), {"ours": Here(lambda: check(shown, asked, known.trusted(purpose, NOW), NOW))}, effort
    )
    checked = Measured.of(rounds["limit"], rounds["ours"])
    beyond = checked.cost - sorted(rounds["limit"])[len(rounds["limit"]) // 2]
    rounds = in_turn(lambda: _unfold(bodies), {"ours": Here(lambda: format.apply(packed.first.lean(), step))}, few)
    applied = Measured.of(rounds["limit"], rounds["ours"])
    people = f"{effort.lists * effort.list_size // 2:,} people in {effort.lists} lists, {ENTRIES:,} entries"
    return [
        Figure(
            "pack", "believe a whole pack", verify.ratio, "unfold and hash every part of it once",
            _middle(rounds["limit"]), verify.cost, target=0.3,
            note=f"{people}: {len(whole) / 1e6:.2f} MB, the promise is 5 MB, {_kept(len(whole), LIMIT_BYTES)}; verified"
            f" in {seconds(verify.cost)}, the promise is 3 s, {_kept(verify.cost, LIMIT_VERIFY)}",
        ),
        Figure(
            "pack", "check one presentation from an opened pack", checked.ratio, "2 raw verifies",
            checked.cost - beyond, checked.cost,
            note=f"{seconds(beyond)} beyond the signatures, the promise is 2 ms, {_kept(beyond, LIMIT_CHECK)}",
        ),
        Figure(
            "pack", "step to the next pack", applied.ratio, "unfold and hash every part of it once",
            _middle(rounds["limit"]), applied.cost,
            note=f"{CHANGES:,} places changed in all lists: the delta is {len(step) / 1e3:.0f} kB; the first pack was"
            f" made in {seconds(packed.made)}, the next in {seconds(packed.again)}",
        ),
    ]  # fmt: skip


def _middle(costs: list[float]) -> float:
    return sorted(costs)[len(costs) // 2]


def _kept(value: float, limit: float) -> str:
    return "kept" if value <= limit else "**not kept**"


def _unfold(bodies: list[tuple[int, bytes]]) -> None:
    for coding, body in bodies:
        sha256(zlib.decompress(body) if coding == format.ZLIB else body).digest()


def _nation(effort: Effort) -> Packed:
    nation, draw = Nation(now=NOW - timedelta(minutes=10)), random.Random(52)
    for n in range(PARTIES):
        party = type(nation.issuer)(**{**_fields(nation), "id": f"issuer-{n}"})
        nation.admit(party, Role.ISSUER)
    subject, start = digest("issuer:demo-issuer"), nation.seconds
    while nation.state.size(Log.REGISTRY) < ENTRIES:
        key = KeyEntered(draw.randbytes(32), Purpose.DOCUMENT_SIGNER, start, start + 10**8)
        nation.append(Kind.KEY, subject, key)
    for n in range(effort.lists):
        nation.lists[f"{STATUS_PREFIX}list-{n}"] = list_of(effort.list_size, draw)
    nation.anchor()
    started = time.process_time()
    first = asyncio.run(nation.packs.make(None))
    made = time.process_time() - started
    nation.later(minutes=5)
    for _ in range(min(CHANGES, effort.lists * effort.list_size // 100)):
        nation.set(f"list-{draw.randrange(effort.lists)}", draw.randrange(effort.list_size), INVALID)
    nation.anchor()
    started = time.process_time()
    second = asyncio.run(nation.packs.make(first))
    return Packed(nation, first, second, made, time.process_time() - started)


def _fields(nation: Nation) -> dict[str, object]:
    return {name: getattr(nation.issuer, name) for name in nation.issuer.__struct_fields__}


def list_of(size: int, draw: random.Random) -> StatusList:
    """Half of the places are used, one of a hundred of those is not valid; never place 7, which is the card's."""
    places = draw.sample(range(8, size), size // 2 // NOT_VALID)
    return StatusList.of(BITS, size, [(place, draw.choice((INVALID, SUSPENDED))) for place in places])
