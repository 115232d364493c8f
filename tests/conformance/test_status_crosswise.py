"""Token Status Lists by npm's @sd-jwt/jwt-status-list against ours: packing, tokens, and what is wrong with a token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.peers import Node
from conformance.world import ISSUER, NOW, STRANGER
from mapae.errors import Code, Refused
from mapae.formats.status import StatusList, StatusToken, publish

URI = "http://mapae.test/issuer/status/list-1"


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_pack_and_unpack_the_same_entries(bits: int, data: st.DataObject, node: Node) -> None:
    """Token Status List draft-21 4.1, 4.2: lowest bits first."""
    entries = data.draw(
        st.lists(st.integers(0, 2**bits - 1), min_size=8, max_size=64).map(lambda some: some[: len(some) // 8 * 8])
    )
    ours = StatusList.of(bits, len(entries), enumerate(entries))
    assert node.status.unpack(lst=ours.lst(), bits=bits) == entries
    theirs = StatusList.decode(bits, node.status.pack(entries=entries, bits=bits))
    assert [theirs.read(at) for at in range(len(entries))] == entries


def test_they_read_the_token_we_publish(node: Node) -> None:
    listed = StatusList.of(2, 64, [(7, 1), (8, 2), (63, 3)])
    token = publish(listed, ISSUER.signer, (b"a chain",), uri=URI, now=NOW, life=timedelta(days=1), ttl=5)
    assert node.status.read(token=token, indices=[0, 7, 8, 63]) == [0, 1, 2, 3]


def seconds(**delta: int) -> int:
    return int((NOW + timedelta(**delta)).timestamp())


def theirs(node: Node, header: dict[str, Any] | None = None, **changes: Any) -> str:
    payload = {"sub": URI, "iat": seconds(), "exp": seconds(days=1), "ttl": 60, **changes}
    payload = {name: value for name, value in payload.items() if value is not None}
    entries = [0] * 8 + [2, 1] + [0] * 6
    return str(node.status.token(entries=entries, bits=2, payload=payload, header=header or {}, key=ISSUER.private))


@pytest.mark.parametrize("changes", [{}, {"exp": None}, {"ttl": None}], ids=["all", "no exp", "no ttl"])
def test_we_read_the_token_they_make(changes: dict[str, Any], node: Node) -> None:
    """draft-21 5.1, 8.3."""
    token = StatusToken.parse(theirs(node, **changes))
    token.check(ISSUER.key, URI, NOW)
    assert [token.list.read(at) for at in (7, 8, 9)] == [0, 2, 1]


WRONG: dict[str, tuple[dict[str, Any], Code]] = {
    "another list": ({"sub": "http://mapae.test/issuer/status/list-2"}, Code.STATUS_UNKNOWN),
    "past its end": ({"exp": seconds(hours=-1)}, Code.STATUS_UNKNOWN),
    "from the future": ({"iat": seconds(hours=1)}, Code.STATUS_UNKNOWN),
    "fresh for no time": ({"ttl": 0}, Code.MALFORMED),
    "critical header": ({"header": {"crit": ["x"], "x": 1}}, Code.UNSUPPORTED),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_their_wrong_token_is_refused(wrong: str, node: Node) -> None:
    changes, code = WRONG[wrong]
    with pytest.raises(Refused) as refused:
        StatusToken.parse(theirs(node, **changes)).check(ISSUER.key, URI, NOW)
    assert refused.value.code is code, refused.value.detail


def test_their_token_is_refused_under_another_key_and_beyond_its_end(node: Node) -> None:
    token = StatusToken.parse(theirs(node))
    with pytest.raises(Refused) as refused:
        token.check(STRANGER.key, URI, NOW)
    assert refused.value.code is Code.BAD_SIGNATURE
    with pytest.raises(Refused) as refused:
        token.list.read(16)
    assert refused.value.code is Code.STATUS_UNKNOWN
