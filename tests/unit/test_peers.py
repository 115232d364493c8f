from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from mapae.keys import Signer
from mapae.peers import Gate, Inside, Peers

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
