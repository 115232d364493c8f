"""The Merkle tree of RFC 9162: published roots, and proofs that prove one thing only."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hands import refuses
from mapae.errors import Code, Refused
from mapae.trust.log import tree
from mapae.trust.log.tree import EMPTY, Frontier, Head, Tree, leaf_hash, must_be_consistent, root_of_inclusion

# The tree of eight leaves that RFC 6962 implementations test with (transparency-dev/merkle, testonly/constants.go).
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def grown(size: int) -> Tree:
    return Tree(leaf_hash(b"leaf %d" % at) for at in range(size))


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = max(1 << power for power in range(20) if 1 << power < len(leaves))
    return sha256(b"\1" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def test_the_roots_are_the_published_ones():
    whole, frontier = Tree(), Frontier()
    for size, root in enumerate(ROOTS):
        assert (whole.head(), frontier.head()) == (Head(size, bytes.fromhex(root)),) * 2
        if size < len(LEAVES):
            leaf = leaf_hash(bytes.fromhex(LEAVES[size]))
            whole.add(leaf)
            frontier.add(leaf)
    assert [whole.root(size).hex() for size in range(9)] == list(ROOTS)


def test_every_root_is_that_of_the_definition():
    leaves = [b"leaf %d" % at for at in range(70)]
    whole = grown(70)
    assert all(whole.root(size) == plain_root(leaves[:size]) for size in range(71))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.data())
def test_every_leaf_of_any_tree_is_proven_and_nothing_else_is(size, data):
    whole = grown(size)
    index = data.draw(st.integers(0, size - 1))
    path, leaf = whole.inclusion(index, size), leaf_hash(b"leaf %d" % index)
    assert root_of_inclusion(leaf, index, size, path) == whole.root()

    def proves(leaf: bytes, index: int, path: list[bytes]) -> bool:
        try:
            return root_of_inclusion(leaf, index, size, path) == whole.root()
        except Refused as refused:
            assert refused.code is Code.BAD_PROOF
            return False

    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else size
    assert not proves(leaf, other, path) and not proves(leaf, size, path) and not proves(leaf, -1, path)
    assert not proves(leaf, index, [*path, EMPTY]) and not proves(leaf, index, [EMPTY, *path])
    assert not proves(_flipped(leaf, data), index, path)
    for at in range(len(path)):
        assert not proves(leaf, index, path[:at] + path[at + 1 :])
        assert not proves(leaf, index, [*path[:at], _flipped(path[at], data), *path[at + 1 :]])
        assert not proves(leaf, index, [*path[:at], path[at][:31], *path[at + 1 :]])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.data())
def test_every_tree_is_shown_to_begin_with_every_earlier_one(new, data):
    whole = grown(new)
    old = data.draw(st.integers(1, new))
    path, old_root, new_root = whole.consistency(old, new), whole.root(old), whole.root(new)
    must_be_consistent(old, old_root, new, new_root, path)

    def shows(old_root: bytes, new_root: bytes, path: list[bytes]) -> bool:
        try:
            must_be_consistent(old, old_root, new, new_root, path)
        except Refused as refused:
            assert refused.code is (Code.FORKED if old == new and old_root != new_root else Code.BAD_PROOF)
            return False
        return True

    assert not shows(_flipped(old_root, data), new_root, path) and not shows(old_root, _flipped(new_root, data), path)
    assert not shows(old_root, new_root, [*path, EMPTY]) and not shows(old_root, new_root, [EMPTY, *path])
    for at in range(len(path)):
        assert not shows(old_root, new_root, path[:at] + path[at + 1 :])
        assert not shows(old_root, new_root, [*path[:at], _flipped(path[at], data), *path[at + 1 :]])
        assert not shows(old_root, new_root, [*path[:at], path[at] + b"\0", *path[at + 1 :]])


def _flipped(raw: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    return (int.from_bytes(raw, "big") ^ 1 << at).to_bytes(len(raw), "big")


def test_a_log_that_became_shorter_or_has_two_roots_for_one_size_is_forked():
    whole = grown(9)
    with refuses(Code.FORKED, "shorter"):
        must_be_consistent(9, whole.root(9), 8, whole.root(8), [])
    with refuses(Code.FORKED, "two roots"):
        must_be_consistent(9, whole.root(9), 9, whole.root(8), [])
    must_be_consistent(9, whole.root(9), 9, whole.root(9), [])


def test_from_nothing_there_is_nothing_to_prove():
    """RFC 6962 2.1.2 defines no proof from 0; C2SP tlog-witness says it is empty."""
    whole = grown(3)
    must_be_consistent(0, EMPTY, 3, whole.root(), whole.consistency(0, 3))
    for old_root, path in ((EMPTY, [EMPTY]), (whole.root(1), [])):
        with refuses(Code.BAD_PROOF):
            must_be_consistent(0, old_root, 3, whole.root(), path)
    for old, new in ((-1, 3), (2, 1 << 41)):
        with refuses(Code.BAD_PROOF):
            must_be_consistent(old, EMPTY, new, whole.root(), [])
    with refuses(Code.BAD_PROOF, "empty"):
        must_be_consistent(2, whole.root(2), 3, whole.root(3), [])


def test_a_tree_refuses_what_it_does_not_have():
    whole = grown(5)
    for ask in (
        lambda: whole.inclusion(5, 5), lambda: whole.inclusion(0, 6), lambda: whole.consistency(4, 3),
        lambda: whole.consistency(1, 6), lambda: whole.root(6), lambda: whole.node(0, 5), lambda: whole.node(9, 0),
    ):  # fmt: skip
        with refuses(Code.NOT_FOUND):
            ask()
    assert whole.node(2, 0) == whole.root(4)


@given(st.integers(0, 200))
def test_a_frontier_is_written_and_goes_on_where_it_was(size):
    frontier = Frontier()
    for at in range(size):
        frontier.add(leaf_hash(b"leaf %d" % at))
    again = Frontier.parse(frontier.encode())
    assert again == frontier and again.encode() == frontier.encode()
    copy = again.copy()
    copy.add(leaf_hash(b"leaf %d" % size))
    assert again == frontier and copy.head() == grown(size + 1).head()


@pytest.mark.parametrize("raw", [b"", bytes(7), bytes(7) + b"\1", bytes(7) + b"\2" + bytes(33), b"\1" + bytes(7)])
def test_bytes_that_are_no_frontier_are_refused(raw):
    with refuses(Code.MALFORMED):
        Frontier.parse(raw)


def test_a_full_log_takes_no_more():
    """As the contract, whose frontier has 40 slots."""
    full = Frontier.parse((tree.MOST - 1).to_bytes(8, "big") + bytes(32 * 40))
    with refuses(Code.TOO_LARGE):
        full.add(bytes(32))
    assert full.size == tree.MOST - 1
