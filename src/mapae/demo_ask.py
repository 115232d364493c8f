"""`mapae demo ask`: a question to any wallet from a command line, put to the running demo country over HTTP.

Promises: what is printed first is what a wallet's camera would read; then the verdict with its step and code, and the
claims that came. Trusts: whoever reaches the demo country: its people are made up. Keeps: nothing; the country keeps
the values, sealed, until the command has read them. Refuses: to be there unless the settings say `demo = true`; a
purpose that no shop of the demo has registered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .demo_knock import HEADERS, answering, heard
from .errors import Code, Refused
from .formats import dcql
from .house import House
from .trust.publish import RelyingParty
from .ui import csrf
from .ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body, see_other
from .verifier.asking.ask import OWN, Form, Manner
from .verifier.asking.questions import REMEMBER, asker_of, registered
from .verifier.checking.transaction import PAYMENT, Transaction
from .verifier.site import shop_web

PATH: Final = "/demo/asks"
PAUSE: Final = 0.4  # seconds between two looks


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the command sends. `anchors` are DER, standard base64; `transaction` the fields of a payment."""

    purpose: str = ""
    form: Form = Form.EITHER
    prefix: Literal["x509_hash", "x509_san_dns"] = "x509_hash"
    method: Literal["get", "post"] = "get"
    same_device: bool = False
    query: dict[str, Any] | None = None
    transaction: dict[str, Any] | None = None
    anchors: tuple[bytes, ...] = ()


class _Holder(msgspec.Struct, forbid_unknown_fields=True):
    token: str


# --- in the running country -------------------------------------------------------------------------------------------


class DemoAsk:
    """The doors the command knocks at."""

    def __init__(self, house: House, own_queries: tuple[str, ...]) -> None:
        self._house, self._own_queries = house, own_queries
        self._questions = house.verifier.questions

    def routes(self) -> list[Door]:
        anyone: dict[str, Any] = {"caller": Caller.ANYONE}
        return [
            door("POST", PATH, self._put, answer=Answer.JSON, rate=Rate(120, 60), **anyone),
            door("POST", f"{PATH}/{{id}}/look", self._look, answer=Answer.JSON, **anyone),
            door("POST", f"{PATH}/{{id}}/cancel", self._cancel, answer=Answer.JSON, **anyone),
            door("GET", f"{PATH}/{{id}}/browser", self._browser, answer=Answer.PAGE, **anyone),
        ]

    async def _put(self, request: Request) -> Response:
        wanted = await json_body(request, Wanted)
        manner = msgspec.convert(
            {
                "prefix": wanted.prefix, "method": wanted.method, "same_device": wanted.same_device, "reveal": True,
                "transactions": self._transactions(wanted), "anchors": wanted.anchors,
                "query": "" if wanted.query is None else msgspec.json.encode(wanted.query).decode(),
            },
            Manner,
        )  # fmt: skip
        token = self._house.foundation.dice.token()
        purpose = OWN if wanted.query is not None else wanted.purpose
        party = await self._party(purpose)
        id = await self._questions.put(asker_of(token), party.id, purpose, wanted.form, manner, REMEMBER)
        session = await self._questions.of(asker_of(token), id)
        answer = {"id": id, "token": token, "shop": party.id, "request_uri": self._questions.link(session)}
        if wanted.same_device:
            answer["browser"] = f"{self._house.settings.base_url}{PATH}/{id}/browser?token={token}"
        return json_answer(answer, 201)

    async def _look(self, request: Request) -> Response:
        """The verdict once there is one; the claims with it, once."""
        id, asker = request.path_params["id"], asker_of((await json_body(request, _Holder)).token)
        await self._questions.sweep()
        session = await self._questions.of(asker, id)
        if session.verdict is None:
            return json_answer(
                {"state": "answered" if session.answered else "opened" if session.fetched else "waiting"}
            )
        verdict = session.verdict
        claims = self._questions.reveal(session)
        await self._questions.erase(asker, id)
        return json_answer(
            {
                "state": "ended", "outcome": verdict.outcome.value, "step": verdict.step, "code": verdict.code,
                "note": verdict.note, "format": verdict.format, "claims": claims,
            }
        )  # fmt: skip

    async def _cancel(self, request: Request) -> Response:
        await self._questions.cancel(asker_of((await json_body(request, _Holder)).token), request.path_params["id"])
        return json_answer({})

    async def _browser(self, request: Request) -> Response:
        """Make this browser the one that asked: only there does an answer on the same device count."""
        token, id = request.query_params.get("token", ""), request.path_params["id"]
        await self._questions.of(asker_of(token), id)
        answer = see_other(f"/shop/checks/{id}")
        csrf.set_cookie(request, answer, shop_web.COOKIE, token, None)
        return answer

    async def _party(self, purpose: str) -> RelyingParty:
        """The first shop that may ask this."""
        for party in (await self._questions.trust()).relying_parties:
            if party.id not in self._questions.parties:
                continue
            if party.id in self._own_queries if purpose == OWN else purpose in registered(party):
                return party
        raise Refused(Code.OVER_ASKING, "no shop of this country has registered that purpose")

    def _transactions(self, wanted: Wanted) -> tuple[str, ...]:
        if wanted.transaction is None:
            return ()
        fields = dict(wanted.transaction)
        type_, ids = fields.pop("type", PAYMENT), fields.pop("credential_ids", None)
        if ids is None:
            ids = _bound(wanted.query) if wanted.query is not None else ["sd_jwt"]
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise Refused(Code.MALFORMED, "credential_ids is a list of query ids")
        return (Transaction.make(str(type_), ids, fields).text,)


def _bound(query: dict[str, Any]) -> list[str]:
    """The queries of somebody's own DCQL that could authorize a transaction."""
    return [one.id for one in dcql.parse(query).queries if one.format == dcql.SD_JWT]


# --- the command ------------------------------------------------------------------------------------------------------


async def ask_at(url: str, wanted: Wanted, say: Callable[[dict[str, Any]], None], *, ca: Path | None = None) -> bool:
    """`ask` of the demo country at this address."""
    try:
        verify = ssl.create_default_context(cafile=str(ca)) if ca is not None else True
    except (OSError, ssl.SSLError):
        raise Refused(Code.BAD_CONFIG, f"{ca} holds no certificate in PEM") from None
    async with httpx.AsyncClient(base_url=url.rstrip("/"), timeout=20, trust_env=False, verify=verify) as http:
        return await ask(http, wanted, say)


async def ask(http: httpx.AsyncClient, wanted: Wanted, say: Callable[[dict[str, Any]], None]) -> bool:
    """Put the question, `say` what a wallet needs, wait, `say` the verdict; whether it was accepted. Cancelled: so is
    the question."""
    put = await _post(http, PATH, wanted)
    id, holder = put["id"], _Holder(put["token"])
    say({name: put[name] for name in ("request_uri", "browser", "shop") if name in put})
    try:
        while (look := await _post(http, f"{PATH}/{id}/look", holder))["state"] != "ended":  # noqa: ASYNC110
            await asyncio.sleep(PAUSE)
    except asyncio.CancelledError:
        with contextlib.suppress(Refused):
            await asyncio.shield(_post(http, f"{PATH}/{id}/cancel", holder))
        raise
    look.pop("state")
    say(look)
    return bool(look["outcome"] == "accepted")


async def _post(http: httpx.AsyncClient, path: str, message: msgspec.Struct) -> dict[str, Any]:
    with answering(http.base_url):
        return heard(await http.post(path, content=msgspec.json.encode(message), headers=HEADERS))


def wanted(
    purpose: str, form: str, prefix: str, method: str, *, same_device: bool, query: dict[str, Any] | None,
    transaction: dict[str, Any] | None, anchors: tuple[bytes, ...],
) -> Wanted:  # fmt: skip
    """Of what was typed. Raises Refused(BAD_CONFIG)."""
    for value, choices in (
        (form, tuple(Form)), (prefix, ("x509_hash", "x509_san_dns")), (method, ("get", "post")),
    ):  # fmt: skip
        if value not in choices:
            raise Refused(Code.BAD_CONFIG, f"{value} is none of {', '.join(choices)}")
    return msgspec.convert({
        "purpose": purpose, "form": form, "prefix": prefix, "method": method, "same_device": same_device,
        "query": query, "transaction": transaction, "anchors": anchors,
    }, Wanted)  # fmt: skip


def read_json(text: str, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(Code.BAD_CONFIG, f"{what} is not a JSON object") from None
