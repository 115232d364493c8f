"""The gateway's doors, under the paths of the published family, and the line of its proxy mode.

Promises: every answer has the published shape, refusals as M900 with the published number and HTTP 200; the line says
the published messages and errors and hangs up after the last. Trusts: a relying party's API key (Bearer), which is the
one thing its front end adds; the push door takes the same key as its `mscode`. Keeps: how many front ends wait.
Refuses: a front end without a key (401), more waiting than `WAITERS`: those are answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.errors import Code, Refused
from mapae.formats import mip
from mapae.formats.mip import refuse
from mapae.ui.http import Answer, Caller, Rate, door, json_answer, raw_body
from mapae.ui.line import HungUp, Wire, line
from mapae.verifier.relay.gateway import LIFE, MOST_TEXT, PATH, Gateway
from mapae.verifier.relay.gateway_store import OVER, State
from mapae.verifier.site.api_store import Key

PUSH_TYPE: Final = "MIP-USP-001"
WAITED: Final = 50.0  # seconds a till that has read a phone's code waits for its answer, as the open sample does
PAUSE: Final = 0.25
WAITERS: Final = 32
_LIMIT: Final = mip.LIMIT + 65_536

KeyOf = Callable[[str | None], Awaitable[Key]]
_Start = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def routes(gateway: Gateway, key: KeyOf, base: str) -> list[BaseRoute]:
    doors, proxy = _Doors(gateway, key), _Proxy(gateway)
    phone = partial(door, "POST", caller=Caller.WALLET, answer=Answer.JSON, cors=True, limit=_LIMIT)
    shop = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.JSON, limit=65_536, rate=Rate(1200, 60))
    return [
        shop(f"{PATH}/qrmpm/start", doors.starts(gateway.scan_me)),
        shop(f"{PATH}/app2app/start", doors.starts(gateway.open_app)),
        shop(f"{PATH}/push/start", doors.starts(gateway.push_to)),
        shop(f"{PATH}/qrcpm/start", doors.read_code),
        shop(f"{PATH}/mip/trxsts", doors.starts(doors.status)),
        shop(f"{PATH}/mip/vpdata", doors.starts(doors.values)),
        shop(f"{PATH}/mip/ci", doors.starts(doors.ci)),
        shop(f"{PATH}/mip/revp", doors.starts(doors.again)),
        shop(f"{PATH}/api/sendVPAPI.do", doors.push),
        phone(f"{PATH}/mip/profile", doors.hears(doors.profile)),
        phone(f"{PATH}/mip/image", doors.hears(doors.image)),
        phone(f"{PATH}/mip/vp", doors.hears(doors.vp)),
        phone(f"{PATH}/mip/error", doors.hears(doors.error)),
        line(
            f"{PATH}/proxy", proxy.serve, caller=Caller.WALLET, origin=base, limit=_LIMIT, rate=Rate(60, 60),
            patience=LIFE.total_seconds(),
        ),
    ]  # fmt: skip


class _Doors:
    def __init__(self, gateway: Gateway, key: KeyOf) -> None:
        self._gateway, self._key = gateway, key
        self._waiting = 0

    # --- front ends ---------------------------------------------------------------------------------------------------

    def starts(self, work: _Start) -> Callable[[Request], Awaitable[Response]]:
        """A relying party's message and the answer to it, both in `data`."""

        async def handler(request: Request) -> Response:
            party = (await self._key(request.headers.get("authorization"))).relying_party
            try:
                return _good(await work(party, mip.body(await raw_body(request))))
            except Refused as refused:
                return _bad(refused, "")

        return handler

    async def status(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return await self._gateway.status(party, said.get("trxcode"))

    async def values(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """By transaction: what we check we do not hand back encrypted to be opened again."""
        return await self._gateway.values(party, said.get("trxcode"))

    async def ci(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        raise refuse("data", "no card here has a CI")

    async def again(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """A VP is for one nonce and one moment, so it is not checked again; what was checked is in the audit trail."""
        raise refuse("sequence", "a VP is verified once")

    async def read_code(self, request: Request) -> Response:
        """T520 waits for the phone, as the open sample does, and says how the transaction stands then."""
        party = (await self._key(request.headers.get("authorization"))).relying_party
        try:
            trxcode = await self._gateway.read_code(party, mip.body(await raw_body(request)))
            await self._wait(trxcode)
            return _good(await self._gateway.status(party, trxcode))
        except Refused as refused:
            return _bad(refused, "")

    async def _wait(self, trxcode: str) -> None:
        if self._waiting >= WAITERS:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(WAITED):
                while await self._gateway.stands(trxcode) not in OVER:  # noqa: ASYNC110  another process may end it
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            return
        finally:
            self._waiting -= 1

    async def push(self, request: Request) -> Response:
        """2.2.2.2, in its own shape. Whoever knows no live key is told as little as one who sent none."""
        try:
            said = mip.body(await raw_body(request))
            if type(said.get("mscode")) is not str or not said["mscode"]:
                raise refuse("mscode")
            try:
                party = (await self._key(f"Bearer {said['mscode']}")).relying_party
            except Refused:
                raise refuse("mscode") from None
            for step, name in (("pushType", "pushType"), ("telno", "telno"), ("pushData", "data")):
                if type(said.get(name)) is not str or not said[name] or len(said[name]) > mip.MAX_M200:
                    raise refuse(step)
            if said["pushType"] != PUSH_TYPE:
                raise refuse("pushType")
            name, birth = (str(said.get(one) or "")[:MOST_TEXT] for one in ("name", "birth"))
            if not await self._gateway.pushed(party, name, birth, said["telno"], said["data"]):
                raise refuse("receive")
        except Refused as refused:
            return json_answer(_push_refusal(refused))
        done = {"key": 1, "result": True, "resultMsg": "SUCCESS", "errcode": 0, "errmsg": "success"}
        return json_answer(done)

    # --- phones -------------------------------------------------------------------------------------------------------

    def hears(
        self, work: Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
    ) -> Callable[[Request], Awaitable[Response]]:  # fmt: skip
        """A phone's message; `{"result": true}` and what it asked for."""

        async def handler(request: Request) -> Response:
            said: dict[str, Any] = {}
            try:
                said = mip.body(await raw_body(request))
                return _good(await work(said))
            except Refused as refused:
                trxcode = said.get("trxcode")
                return _bad(refused, trxcode if isinstance(trxcode, str) else "")

        return handler

    async def profile(self, said: dict[str, Any]) -> dict[str, Any]:
        return await self._gateway.profile(mip.header(said, "310", "profile"))

    async def image(self, said: dict[str, Any]) -> dict[str, Any]:
        return await self._gateway.image(mip.header(said, "320", "image"))

    async def vp(self, said: dict[str, Any]) -> None:
        trxcode = mip.header(said, "400", "presentation")
        await self._gateway.present(trxcode, mip.Vp.parse(said.get("vp")))

    async def error(self, said: dict[str, Any]) -> None:
        trxcode = mip.header(said, "900")
        await self._gateway.failed(trxcode, *_failure(said))


class ProxyMessage(msgspec.Struct, frozen=True):
    """What a phone says on the line; which members count depends on `msg`."""

    msg: str = ""
    type: str = ""
    version: str = ""
    trxcode: str = ""
    request: str = ""
    vp: dict[str, Any] | None = None
    errcode: int = 0
    errmsg: str = ""


class _Proxy:
    """Proxy mode: the phone joins a transaction over a line, gets the profile and gives its VP on the same line."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, wire: Wire) -> None:
        trxcode = ""
        try:
            first = await wire.hear(ProxyMessage)
            trxcode = await self._joined(wire, first)
            profile = await self._gateway.profile(trxcode)
            await wire.say({"msg": "profile", **profile, "image": None, "ci": False})
            said = await wire.hear(ProxyMessage)
            if said.msg == "error":
                await self._gateway.failed(trxcode, *_failure(msgspec.to_builtins(said)))
                return
            _must_be(said, "vp", trxcode)
            if said.request != "presentation":
                raise refuse("data", "request")
            await self._gateway.present(trxcode, mip.Vp.parse(said.vp))
            await wire.say({"msg": "finish", "trxcode": trxcode})
        except Refused as refused:
            number, words = mip.PROXY_ERRORS.get(refused.step or "", _unlisted(refused))
            await wire.say({"msg": "error", "trxcode": trxcode, "errcode": number, "errmsg": words})

    async def _joined(self, wire: Wire, first: ProxyMessage) -> str:
        """By the code of a till (MPM), or with a code of its own that a till is yet to read (CPM)."""
        if not first.msg:
            raise refuse("mandatory", "msg")
        if first.type != mip.TYPE:
            raise refuse("data", "type")
        if first.version != mip.VERSION:
            raise refuse("version")
        match first.msg:
            case "join":
                return mip.trxcode(first.trxcode)
            case "start_cpm":
                trxcode = await self._gateway.offer()
                await wire.say({"msg": "wait_join", "trxcode": trxcode})
                return await self._read(wire, trxcode)
            case _:
                raise refuse("cmd", "msg")

    async def _read(self, wire: Wire, trxcode: str) -> str:
        """Until a till has read the code. The phone may only say that it gives up."""
        hearing = asyncio.ensure_future(wire.hear(ProxyMessage))
        try:
            while not hearing.done():
                match await self._gateway.stands(trxcode):
                    case State.OFFERED:
                        await asyncio.wait([hearing], timeout=PAUSE)
                    case State.FAILED:
                        raise refuse("timeout")
                    case _:
                        return trxcode
            said = hearing.result()
            await self._gateway.failed(trxcode, *_failure(msgspec.to_builtins(said)))
            raise HungUp("the phone gave up")
        finally:
            hearing.cancel()


def _must_be(said: ProxyMessage, msg: str, trxcode: str) -> None:
    if said.msg != msg:
        raise refuse("sequence", said.msg[:20])
    if said.trxcode != trxcode:
        raise refuse("trxcode")


def _failure(said: Mapping[str, Any]) -> tuple[int, str]:
    number, words = said.get("errcode"), said.get("errmsg")
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 5:
        number = int(number)  # the specification's own example of M310 has it as a text
    if number in (None, "") or words in (None, ""):
        raise refuse("mandatory", "errcode" if number in (None, "") else "errmsg")
    if type(number) is not int or type(words) is not str or not 0 <= number <= 99999:
        raise refuse("data", "errcode")
    return number, words


def _good(message: Mapping[str, Any] | None) -> Response:
    return json_answer({"result": True} if message is None else {"result": True, "data": mip.encode(message)})


def _bad(refused: Refused, trxcode: str) -> Response:
    """2.5.1.1. What has no published number is unknown; what is ours to answer for stays an incident."""
    if refused.code is Code.BAD_CONFIG:
        raise refused
    number, words = mip.ERRORS.get(refused.step or "", mip.ERRORS["unknown"])
    detail = refused.detail if refused.step in mip.ERRORS and refused.detail else words
    return json_answer({"result": False, "data": mip.encode(mip.m900(trxcode[:64], number, detail))})


def _push_refusal(refused: Refused) -> dict[str, Any]:
    number, words = mip.ERRORS.get(refused.step or "", mip.ERRORS["push"])
    if not 10301 <= number <= 10399:
        number, words = mip.ERRORS["push"]
    name = "NOT_ENOUGH_DATA" if number <= 10304 else "FAIL"
    return {"key": 0, "result": False, "resultMsg": name, "errcode": number, "errmsg": words}


def _unlisted(refused: Refused) -> tuple[int, str]:
    """A step the line's own family has no number for: bad data if it is one of the messages'; what cannot be read as a
    message at all has no step."""
    if refused.step is None and refused.code in (Code.MALFORMED, Code.TOO_LARGE):
        return mip.PROXY_ERRORS["format"]
    return mip.PROXY_ERRORS["data" if refused.step in mip.ERRORS else "unknown"]
