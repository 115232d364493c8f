"""A line is a WebSocket door: it says who may knock, how often and how much, and keeps all of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.serving import MESSAGE, _server, bind
from mapae.tapping import Inside
from mapae.ui.http import Caller, Rate
from mapae.ui.line import EACH, HungUp, Wire, line, read_message
from mapae.ui.site import application

ORIGIN = "http://mapae.test"


class Said(msgspec.Struct):
    text: str


heard: list[str] = []


async def echo(wire: Wire) -> None:
    """Says what it hears; `stop` ends it, `no` is refused, `bug` is ours."""
    heard.clear()
    while True:
        try:
            said = await wire.hear(Said)
        except HungUp:
            heard.append("hung up")
            raise
        match said.text:
            case "stop":
                return
            case "no":
                raise Refused(Code.CHIP_REFUSED, "no", step="sod")
            case "bug":
                raise ValueError("somebody's name")
        await wire.say({"text": said.text})


OFTEN = Rate(100, 60)


def site(rate: Rate = OFTEN, patience: float = 5.0, rates: bool = True) -> object:
    one = line("/line", echo, caller=Caller.ANYONE, origin=ORIGIN, limit=200, rate=rate, patience=patience)
    return application([one], clock=MovableClock(), rates=rates)


async def said(wire: Inside) -> dict[str, str]:
    return msgspec.json.decode(await wire.hear(), type=dict[str, str])


async def test_what_is_said_is_heard() -> None:
    wire = await Inside.open(site(), "/line")
    await wire.say({"text": "안녕"})
    assert await said(wire) == {"text": "안녕"}
    await wire.say({"text": "stop"})
    with pytest.raises(Refused):
        await wire.hear()
    assert wire.ended is not None and wire.ended["code"] == 1000


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [(None, True), (ORIGIN, True), ("https://evil.test", False), ("null", False), (ORIGIN + ".evil.test", False)],
    ids=["none", "ours", "another", "null", "longer"],
)
async def test_a_page_of_another_site_gets_no_line(origin: str | None, welcome: bool) -> None:
    """RFC 6455 10.2: a browser sends Origin with every WebSocket, and only our own pages may connect."""
    headers = () if origin is None else ((b"origin", origin.encode()),)
    if welcome:
        await (await Inside.open(site(), "/line", headers)).close()
        return
    wire = Inside(site(), "/line", headers)
    await asyncio.wait([wire._task])
    assert (await wire._from.get())["status"] == 403


async def test_one_address_knocks_only_so_often() -> None:
    app = site(Rate(2, 3600))
    for _ in range(2):
        await (await Inside.open(app, "/line")).close()
    wire = Inside(app, "/line")
    await asyncio.wait([wire._task])
    assert (await wire._from.get())["status"] == 429


async def test_one_address_holds_only_its_share_of_the_lines() -> None:
    """IPv6: a /64 is one address. Whoever hangs up makes room."""
    app, held = site(), []
    for at in range(EACH):
        held.append(await Inside.open(app, "/line", client=f"2001:db8::{at:x}"))
    wire = Inside(app, "/line", client="2001:db8::ffff")
    await asyncio.wait([wire._task])
    assert (await wire._from.get())["status"] == 503
    await (await Inside.open(app, "/line", client="2001:db8:0:1::1")).close()
    await held[0].close()
    await (await Inside.open(app, "/line", client="2001:db8::ffff")).close()
    for one in held[1:]:
        await one.close()


@pytest.mark.parametrize(
    ("text", "code", "closed"),
    [
        ('{"text":"' + "x" * 200 + '"}', "too_large", 1009),
        ("not json", "malformed", 1008),
        ('{"text":1}', "malformed", 1008),
        ('{"text":"a","more":1}', "malformed", 1008),
        ('{"text":"a","text":"b"}', "malformed", 1008),
        ("[]", "malformed", 1008),
        ('"text"', "malformed", 1008),
        ('{"text":"no"}', "chip_refused", 1008),
    ],
    ids=["large", "not-json", "type", "surplus", "twice", "list", "string", "refused"],
)
async def test_what_is_refused_is_said_once_and_the_line_ends(text: str, code: str, closed: int) -> None:
    wire = await Inside.open(site(), "/line")
    await wire.say_text(text)
    last = await said(wire)
    assert (last["type"], last["code"]) == ("refused", code)
    with pytest.raises(Refused):
        await wire.hear()
    assert wire.ended is not None and wire.ended["code"] == closed


async def test_our_own_mistake_shows_a_number_and_nothing_else() -> None:
    wire = await Inside.open(site(), "/line")
    await wire.say({"text": "bug"})
    last = await said(wire)
    assert last["code"] == "incident" and last["incident"] and "name" not in str(last)


async def test_whoever_says_nothing_is_let_go() -> None:
    wire = await Inside.open(site(patience=0.05), "/line")
    with pytest.raises(Refused):
        await wire.hear()
    assert heard == ["hung up"]


async def test_the_handler_learns_that_the_other_side_is_gone() -> None:
    wire = await Inside.open(site(), "/line")
    await wire.close()
    assert heard == ["hung up"]


async def test_an_unknown_line_is_closed() -> None:
    with pytest.raises(Refused):
        await Inside.open(site(), "/elsewhere")


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'{"text":null}', b"1", b"{" * 200], ids=repr)
def test_a_message_has_one_reading(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_message(raw, Said)
    assert refused.value.code is Code.MALFORMED


# --- through the real server ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    listening = bind("127.0.0.1", 0)
    server = _server(site(rates=False), None)  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{listening.getsockname()[1]}/line"
    server.should_exit = True
    await task


async def test_the_server_speaks_it_and_keeps_the_bound_itself() -> None:
    """A message over the server's bound ends the line while it arrives (RFC 6455 7.4.1: 1009); nothing is inflated."""
    async with served() as url:
        async with connect(url, compression="deflate", proxy=None) as wire:
            assert "Sec-WebSocket-Extensions" not in wire.response.headers
            await wire.send('{"text":"hello"}')
            assert await wire.recv() == '{"text":"hello"}'
            await wire.send("x" * (MESSAGE + 1))
            with pytest.raises(ConnectionClosed) as closed:
                await wire.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://evil.test", proxy=None)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        async with connect(url, proxy=None) as binary:
            await binary.send(b"bytes")
            assert "malformed" in str(await binary.recv())
