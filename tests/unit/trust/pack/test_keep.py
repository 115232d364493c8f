"""A checker's folder: only what opens and follows takes the place of what was there, in one step, and never back."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hands import refuses
from mapae.errors import Code, Refused
from mapae.formats.status import INVALID, VALID
from mapae.trust.log.entry import Log, Role
from mapae.trust.log.note import COSIGNATURE
from mapae.trust.log.policy import Policy
from mapae.trust.log.tree import Frontier, Tree
from mapae.trust.pack import format
from mapae.trust.pack.build import pairs
from mapae.trust.pack.format import Pack
from mapae.trust.pack.keep import FURTHEST, Keeper
from mapae.trust.pack.verify import Opened
from packed import BASE, Nation, NoteKey, digest, small
from unit.verifier.world import LIST


class Publisher:
    """What the network answers: the newest of `packs`, or a delta to it from one that is among them."""

    def __init__(self, *packs: Pack) -> None:
        self.packs = list(packs)
        self.asked: list[str] = []
        self.answer: httpx.Response | Exception | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        newest = self.packs[-1]
        since = request.url.path.removeprefix("/trust/pack/since/")
        for base in self.packs:
            if base.id.hex() == since:
                if base is newest:
                    return httpx.Response(204)
                return httpx.Response(200, content=format.delta(base, newest, pairs(base, newest)))
        return httpx.Response(200, content=newest.encode())


@pytest.fixture
def nation() -> Nation:
    return small()


def keeper(folder: Path, nation: Nation | None = None) -> Keeper:
    return Keeper(folder, nation.pinned.encode().decode() if nation is not None else None)


async def make(nation: Nation, last: Pack | None = None) -> Pack:
    return await nation.packs.make(last)


async def test_a_pack_is_fetched_whole_and_then_by_its_differences(tmp_path: Path, nation: Nation) -> None:
    first = await make(nation)
    publisher, mine = Publisher(first), keeper(tmp_path, nation)
    got = await mine.fetch(publisher.http, BASE)
    assert got.taken is not None and not got.delta and not got.pinned
    assert (await mine.fetch(publisher.http, BASE)).taken is None
    nation.later(minutes=5)
    nation.set("list-1", 7)
    nation.anchor()
    publisher.packs.append(await make(nation, first))
    got = await mine.fetch(publisher.http, BASE)
    assert got.taken is not None and got.delta and got.octets < len(publisher.packs[-1].encode())
    listed = mine.opened.list(LIST) if mine.opened is not None else None
    assert listed is not None and listed.read(7) == INVALID
    again = keeper(tmp_path, nation)
    reopened = again.reopen()
    assert reopened is not None and reopened.pack.id == publisher.packs[-1].id


async def test_a_checker_that_comes_back_after_long_gets_a_whole_pack(tmp_path: Path, nation: Nation) -> None:
    mine = keeper(tmp_path, nation)
    await mine.take(await make(nation))
    nation.later(days=20)
    nation.anchor()
    newest = await make(nation)
    got = await mine.fetch(Publisher(newest).http, BASE)
    assert not got.delta and mine.opened is not None and mine.opened.pack.id == newest.id


async def test_the_policy_comes_with_the_first_pack_and_no_other_ever_does(tmp_path: Path, nation: Nation) -> None:
    """Trust on first use, and said to be so; what is pinned then is what every later pack is held to."""
    first = await make(nation)
    got = await keeper(tmp_path).fetch(Publisher(first).http, BASE)
    assert got.pinned
    stranger = Nation()
    mine = keeper(tmp_path)
    mine.reopen()
    with refuses(Code.UNWITNESSED):
        others = [(f"w{n}", NoteKey(f"witness-{n}.example", COSIGNATURE).vkey, None) for n in range(3)]
        await Keeper(tmp_path / "other", Policy.of(nation.pinned.logs, others, 2).encode().decode()).take(first)
    with pytest.raises(Refused):
        await mine.take(await make(stranger))
    assert not (await mine.fetch(Publisher(first).http, BASE)).pinned


async def test_a_first_pack_brings_the_policy_its_log_names_and_no_easier_one(tmp_path: Path, nation: Nation) -> None:
    """Else whoever serves it could leave the checker with a quorum of the one witness he has bought."""
    first = await make(nation)
    easy = Policy.of(nation.pinned.logs, [("w0", nation.witnesses[0].vkey, None)], 1).encode()
    with refuses(Code.BAD_PACK, "another policy"):
        await keeper(tmp_path).take(nation.repacked(first, policy=easy))
    assert keeper(tmp_path).policy is None


async def test_an_older_pack_after_a_newer_one_is_refused(tmp_path: Path, nation: Nation) -> None:
    first = await make(nation)
    nation.later(minutes=5)
    nation.set("list-1", 7)
    nation.anchor()
    second = await make(nation, first)
    mine = keeper(tmp_path, nation)
    await mine.take(second)
    with refuses(Code.BAD_PACK):
        await mine.take(first)
    assert mine.opened is not None and mine.opened.pack.id == second.id


async def test_a_pack_that_mixes_a_new_registry_with_old_lists_is_refused(tmp_path: Path, nation: Nation) -> None:
    """The un-revocation of one card: everything signed and cosigned, only the lists are those of yesterday."""
    nation.later(minutes=5)
    first = await make(nation)
    nation.later(minutes=5)
    nation.set("list-1", 7)
    nation.anchor()
    second = await make(nation, first)
    nation.later(minutes=5)
    nation.epochs.pop(2)  # what the publisher now serves is the first epoch again
    nation.dark = True
    mixed = await make(nation, first)
    mine = keeper(tmp_path, nation)
    await mine.take(second)
    with refuses(Code.BAD_PACK):
        await mine.take(mixed)
    assert not (tmp_path / "evidence").exists()


async def test_a_publisher_that_vanishes_without_being_revoked_is_missed(tmp_path: Path, nation: Nation) -> None:
    mine = keeper(tmp_path, nation)
    first = await make(nation)
    await mine.take(first)
    nation.later(minutes=5)
    names = [name for name in first.manifest.names if name.startswith("status.")]
    bare = nation.repacked(await make(nation, first), **{name.replace(".", "__"): None for name in names})
    with refuses(Code.BAD_PACK):
        await mine.take(bare)
    nation.revoke_party(nation.issuer)
    await mine.take(await make(nation))


async def test_two_histories_are_a_fork_and_both_are_kept(tmp_path: Path) -> None:
    """The log shows this checker another past; its witnesses sign whatever they are given."""
    one = small()
    other = small(publisher=one.publisher)
    other.logs, other.witnesses, other.pinned = one.logs, one.witnesses, one.pinned
    mine = keeper(tmp_path, one)
    first = await make(one)
    await mine.take(first)
    other.later(minutes=5)
    other.admit(other.access, Role.REGISTRAR)
    second = await make(other)
    assert other.trees[Log.REGISTRY].size > one.trees[Log.REGISTRY].size
    with refuses(Code.FORKED):
        await mine.take(second)
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == sorted([first.id.hex(), second.id.hex()])
    assert format.read((tmp_path / "evidence" / second.id.hex()).read_bytes()).id == second.id
    assert mine.opened is not None and mine.opened.pack.id == first.id


async def test_two_heads_of_one_size_are_a_fork(tmp_path: Path, nation: Nation) -> None:
    mine = keeper(tmp_path, nation)
    await mine.take(await make(nation))
    twin = small(publisher=nation.publisher)
    twin.logs, twin.witnesses, twin.pinned = nation.logs, nation.witnesses, nation.pinned
    assert twin.trees[Log.REGISTRY].size == nation.trees[Log.REGISTRY].size
    with refuses(Code.FORKED):
        await mine.take(await make(twin))


async def test_a_publisher_that_says_two_things_under_one_number_is_a_fork(tmp_path: Path, nation: Nation) -> None:
    """The registry is the same; of the anchors another history is shown, of the same length."""
    mine = keeper(tmp_path, nation)
    await mine.take(await make(nation))
    nation.set("list-1", 3, VALID)
    nation.lists[LIST], nation.epochs = nation.lists[LIST], {}
    nation.state.anchors.clear()
    nation.raw[Log.ANCHORS].clear()
    nation.trees[Log.ANCHORS] = Tree()
    nation.state._frontiers[Log.ANCHORS] = Frontier()
    nation.later(minutes=1)
    nation.anchor()
    with refuses(Code.FORKED):
        await mine.take(await make(nation))


async def test_a_kill_between_any_two_steps_leaves_a_good_pack(tmp_path: Path, nation: Nation) -> None:
    """What must be done before a new pack counts fails: the old one is still there, and the work is done again."""
    first = await make(nation)
    calls: list[tuple[Opened | None, Opened]] = []

    class Cut(Exception):
        pass

    async def before(old: Opened | None, new: Opened) -> None:
        calls.append((old, new))
        if len(calls) == 2:
            raise Cut

    mine = keeper(tmp_path, nation)
    mine.before = before
    await mine.take(first)
    nation.later(minutes=5)
    nation.anchor()
    second = await make(nation, first)
    with pytest.raises(Cut):
        await mine.take(second)
    again = keeper(tmp_path, nation)
    again.before = before
    reopened = again.reopen()
    assert reopened is not None and reopened.pack.id == first.id
    await again.take(second)
    assert len(calls) == 3 and calls[2][0] is not None and calls[2][0].pack.id == first.id


async def test_half_a_file_on_disk_is_refused_and_a_new_pack_is_taken(tmp_path: Path, nation: Nation) -> None:
    mine = keeper(tmp_path, nation)
    first = await make(nation)
    await mine.take(first)
    (tmp_path / "pack").write_bytes(first.encode()[:-9])
    again = keeper(tmp_path, nation)
    with refuses(Code.BAD_PACK):
        again.reopen()
    assert (await again.fetch(Publisher(first).http, BASE)).taken is not None


async def test_a_policy_that_was_taken_away_is_not_replaced_by_the_next_that_comes(
    tmp_path: Path, nation: Nation
) -> None:
    """With a pack there, it is no first use: another country's would be pinned in its place."""
    pack = await make(nation)
    await keeper(tmp_path).take(pack)
    (tmp_path / "policy").unlink()
    with refuses(Code.BAD_CONFIG, "is gone"):
        await keeper(tmp_path).take(await make(small()))
    assert (tmp_path / "pack").read_bytes() == pack.encode() and not (tmp_path / "policy").exists()
    await keeper(tmp_path, nation).take(pack)
    assert (tmp_path / "policy").is_file()


async def test_the_clock_is_kept_over_a_restart(tmp_path: Path, nation: Nation) -> None:
    mine = keeper(tmp_path, nation)
    await mine.take(await make(nation))
    assert mine.high_water == nation.seconds
    mine.note_time(nation.seconds + 500)
    mine.note_time(nation.seconds + 100)
    assert keeper(tmp_path, nation).high_water == nation.seconds + 500
    mine.note_time(nation.seconds + 70 * 365 * 86_400)
    assert mine.high_water == nation.seconds + FURTHEST
    (tmp_path / "clock").write_text("soon")
    assert keeper(tmp_path, nation).high_water == 0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.ConnectError("dark"), Code.UNAVAILABLE),
        (httpx.Response(503), Code.UNAVAILABLE),
        (httpx.Response(302, headers={"Location": "http://evil/"}), Code.UNAVAILABLE),
        (httpx.Response(200, content=b"<html>"), Code.BAD_PACK),
        (httpx.Response(200, content=bytes(format.LIMIT + 1)), Code.TOO_LARGE),
        (httpx.Response(200, content=format.DELTA + bytes(40)), Code.BAD_PACK),
    ],
    ids=["dark", "503", "redirect", "page", "too large", "delta without a base"],
)
async def test_whatever_else_is_answered_changes_nothing(
    tmp_path: Path, nation: Nation, answer: httpx.Response | Exception, code: Code
) -> None:
    publisher = Publisher()
    publisher.answer = answer
    with refuses(code):
        await keeper(tmp_path, nation).fetch(publisher.http, BASE)
    assert not (tmp_path / "pack").exists()


async def test_a_delta_for_somebody_else_is_refused_and_the_pack_stays(tmp_path: Path, nation: Nation) -> None:
    first = await make(nation)
    nation.later(minutes=5)
    nation.anchor()
    second = await make(nation, first)
    nation.later(minutes=5)
    nation.anchor()
    third = await make(nation, second)
    publisher, mine = Publisher(), keeper(tmp_path, nation)
    await mine.take(first)
    publisher.answer = httpx.Response(200, content=format.delta(second, third, pairs(second, third)))
    with refuses(Code.BAD_PACK):
        await mine.fetch(publisher.http, BASE)
    assert mine.opened is not None and mine.opened.pack.id == first.id


def test_nothing_is_there_before_the_first_fetch(tmp_path: Path) -> None:
    assert keeper(tmp_path / "new").reopen() is None
    assert keeper(tmp_path / "new").high_water == 0 and digest("x")
