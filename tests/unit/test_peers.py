from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.issuer.identity import Identity
from mapae.keys import Signer
from mapae.peers import LIMIT, Gate, Inside, Peers
from mapae.registers.identity import Carrier

NOW = datetime(2025, 1, 2, tzinfo=UTC)
ISSUER = Signer.ephemeral()


def _gate(clock: MovableClock) -> Gate:
    keys = {"issuer": PublicKey.from_jwk(ISSUER.jwk)}
    return Gate("registers", keys.get, clock)


async def _sent(clock: MovableClock, signer: Signer = ISSUER, me: str = "issuer") -> httpx.Request:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"ok": True})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    await Peers(me, signer, lambda role: "http://peer", http, clock).call("registers", "/x", {"a": 1})
    return seen[0]


async def test_a_fresh_message_names_its_sender() -> None:
    clock = MovableClock(NOW)
    request = await _sent(clock)
    assert _gate(clock).admit(request.headers["authorization"], "/x", request.content) == "issuer"


async def test_another_body_path_time_key_or_role_is_refused() -> None:
    clock = MovableClock(NOW)
    request = await _sent(clock)
    bearer, body = request.headers["authorization"], request.content
    strangers = (await _sent(clock, Signer.ephemeral())).headers["authorization"]
    unknown = (await _sent(clock, me="verifier")).headers["authorization"]
    late = MovableClock(NOW)
    late.advance(minutes=5)
    for gate, args in [
        (_gate(clock), (bearer, "/x", body + b" ")),
        (_gate(clock), (bearer, "/y", body)),
        (_gate(late), (bearer, "/x", body)),
        (_gate(clock), (strangers, "/x", body)),
        (_gate(clock), (unknown, "/x", body)),
        (_gate(clock), (None, "/x", body)),
        (_gate(clock), ("Bearer not.a.token", "/x", body)),
        (_gate(clock), ("Basic abc", "/x", body)),
    ]:
        with pytest.raises(Refused) as refused:
            gate.admit(*args)
        assert refused.value.code is Code.NOT_SIGNED_IN


async def test_a_role_of_the_same_process_gets_the_same_message_and_gives_the_same_answer() -> None:
    """Method, path, body, token: what `Gate` admits; a refusal is the role's own, and only that address is inside."""
    clock, app = MovableClock(NOW), Starlette(routes=[Route("/x", _admitting(MovableClock(NOW)), methods=["POST"])])
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(500)))
    urls = {"registers": "http://here", "trust": "http://elsewhere"}
    peers = Peers("issuer", ISSUER, urls.__getitem__, http, clock, Inside("http://here", app))
    assert await peers.call("registers", "/x", {"a": 1}) == {"from": "issuer", "said": '{"a":1}'}
    with pytest.raises(Refused) as refused:
        await peers.call("registers", "/x", {"a": 2})
    assert refused.value.code is Code.TOO_YOUNG
    with pytest.raises(Refused) as refused:
        await peers.call("trust", "/x", {"a": 1})
    assert refused.value.code is Code.UNAVAILABLE


def _admitting(clock: MovableClock) -> Callable[[Request], Awaitable[Response]]:
    async def door(request: Request) -> Response:
        body = await request.body()
        role = _gate(clock).admit(request.headers["authorization"], request.url.path, body)
        if body != b'{"a":1}':
            return JSONResponse({"error": "too_young"}, 403)
        return JSONResponse({"from": role, "said": body.decode()})

    return door


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (403, b'{"error":"too_young","detail":"17 or over"}', Code.TOO_YOUNG),
        # Two roles that do not know each other: nobody's session is over because of that.
        (401, b'{"error":"not_signed_in","detail":"unknown role"}', Code.UNAVAILABLE),
        (500, b"<html>", Code.UNAVAILABLE),
        (400, b'{"error":"brand_new"}', Code.UNAVAILABLE),
        (200, b"[1]", Code.UNAVAILABLE),
    ],
)
async def test_a_peers_refusal_arrives_as_it_left(status: int, content: bytes, code: Code) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
    peers = Peers(
        "issuer", ISSUER, lambda role: "http://peer", httpx.AsyncClient(transport=transport), MovableClock(NOW)
    )
    with pytest.raises(Refused) as refused:
        await peers.call("registers", "/x", {})
    assert refused.value.code is code


async def test_a_silent_peer_is_unavailable() -> None:
    def dead(request: httpx.Request) -> Any:
        raise httpx.ConnectError("no")

    peers = Peers(
        "issuer",
        ISSUER,
        lambda role: "http://peer",
        httpx.AsyncClient(transport=httpx.MockTransport(dead)),
        MovableClock(NOW),
    )
    with pytest.raises(Refused) as refused:
        await peers.call("registers", "/x", {})
    assert refused.value.code is Code.UNAVAILABLE


class Endless(httpx.AsyncByteStream):
    """64 MiB, as they are or folded to a thousandth; how much of it was taken."""

    def __init__(self, folded: bool) -> None:
        self.taken = 0
        self._fold = zlib.compressobj(9, wbits=31) if folded else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(64):
            part = bytes(1 << 20)
            if self._fold is not None:
                part = self._fold.compress(part) + self._fold.flush(zlib.Z_SYNC_FLUSH)
            self.taken += len(part)
            yield part

    def over_http(self, status: int) -> httpx.AsyncClient:
        headers = {"Content-Encoding": "gzip"} if self._fold is not None else {}
        answer = httpx.Response(status, headers=headers, stream=self)
        return httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer))


async def _held(call: Awaitable[Any]) -> int:
    """Bytes in memory at the most, until it was refused."""
    tracemalloc.start()
    with pytest.raises(Refused) as refused:
        await call
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code is Code.UNAVAILABLE
    return most


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "gzip"])
async def test_a_peer_that_answers_without_end_is_read_to_the_limit_and_no_further(folded: bool) -> None:
    answer = Endless(folded)
    peers = Peers("issuer", ISSUER, lambda role: "http://peer", answer.over_http(200), MovableClock(NOW))
    assert await _held(peers.call("registers", "/x", {})) < 4 * LIMIT
    assert answer.taken <= LIMIT + 2 * (1 << 20)


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "gzip"])
async def test_an_identity_check_that_answers_without_end_is_not_read_to_it(folded: bool) -> None:
    answer = Endless(folded)
    http = answer.over_http(200)
    peers = Peers("issuer", ISSUER, lambda role: "http://peer", http, MovableClock(NOW))
    identity = Identity(clock=MovableClock(NOW), keys=lambda kid: None, peers=peers, http=http, url="http://peer")
    assert await _held(identity.confirm("check", "123456")) < LIMIT
    assert answer.taken <= 1 << 20


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "gzip"])
async def test_of_a_carriers_answer_nothing_is_read_but_the_status(folded: bool) -> None:
    took, refused = Endless(folded), Endless(folded)
    await Carrier(took.over_http(202), "http://carrier", "key").send("1", "010", "hello")
    with pytest.raises(Refused, match="could not be sent"):
        await Carrier(refused.over_http(500), "http://carrier", "key").send("1", "010", "hello")
    assert took.taken == refused.taken == 0
