"""The doors of `mapae rp`, for whoever applies from a terminal or a script.

Promises: the same as the page, in JSON. Trusts: `onboarding` for every rule. Keeps: nothing. Refuses: what is no JSON,
many applications from one address, a body over its limit.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.trust import application
from mapae.trust.application import LIMIT
from mapae.trust.lint import Finding
from mapae.trust.on_behalf import OnBehalf
from mapae.trust.onboarding import Onboarding, Seen
from mapae.ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body, raw_body
from mapae.ui.rate import network


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Label(msgspec.Struct, forbid_unknown_fields=True):
    label: str = ""


class _Which(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    id: str


def routes(onboarding: Onboarding, on_behalf: OnBehalf) -> list[Door]:
    doors = _Doors(onboarding, on_behalf)
    hear = partial(door, caller=Caller.ANYONE, answer=Answer.JSON, limit=LIMIT)
    return [
        hear("POST", "/rp/lint", doors.lint, rate=Rate(120, 60)),
        hear("POST", "/rp/applications", doors.begin, rate=Rate(30, 600)),
        hear("GET", "/rp/applications/{token}", doors.look, rate=Rate(120, 60)),
        *(hear("POST", f"/rp/applications/{{token}}/{name}", partial(doors.deed, name), rate=Rate(60, 60))
          for name in _Doors.DEEDS),
    ]  # fmt: skip


def said(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule, "level": finding.level, "stops": finding.stops, "purpose": finding.place,
        "item": finding.item, "says": finding.says, "do": finding.do, "answer": finding.answer,
    }  # fmt: skip


class _Doors:
    DEEDS: Final = ("submit", "withdraw", "change", "till", "key", "end", "link")

    def __init__(self, onboarding: Onboarding, on_behalf: OnBehalf) -> None:
        self._onboarding, self._on_behalf = onboarding, on_behalf

    async def lint(self, request_: Request) -> Response:
        made = application.read(await _json(request_))
        return json_answer({"findings": [said(one) for one in self._onboarding.lint(made)]})

    async def begin(self, request_: Request) -> Response:
        made = application.read(await _json(request_))
        filer = request_.headers.get("mapae-filer", "")[:64]
        source = network(request_.client.host) if request_.client else ""
        _, token = await self._onboarding.begin(made, source, filer if filer.isascii() and filer.isprintable() else "")
        return json_answer(self._seen(await self._onboarding.of(token)) | {"token": token}, 201)

    async def look(self, request_: Request) -> Response:
        seen = await self._onboarding.of(request_.path_params["token"])
        return json_answer(self._seen(seen) | {"holdings": await self._on_behalf.holdings(seen)})

    async def deed(self, name: str, request_: Request) -> Response:
        token = request_.path_params["token"]
        match name:
            case "change":
                return json_answer(
                    self._seen(await self._onboarding.save(token, application.read(await _json(request_))))
                )
            case "submit" | "withdraw":
                await json_body(request_, _Nothing)
                act = self._onboarding.submit if name == "submit" else self._onboarding.withdraw
                return json_answer(self._seen(await act(token)))
            case "link":
                await json_body(request_, _Nothing)
                return json_answer({"token": await self._onboarding.relink(token)})
        seen = await self._onboarding.of(token)
        match name:
            case "end":
                which = await json_body(request_, _Which)
                await self._on_behalf.end(seen, which.kind, which.id)
                return json_answer({})
            case "key":
                label = (await json_body(request_, _Label)).label
                return json_answer({name: await self._on_behalf.api_key(seen, label)})
            case _:
                await json_body(request_, _Nothing)
                return json_answer({name: await self._on_behalf.till(seen)})

    def _seen(self, seen: Seen) -> dict[str, Any]:
        certificate = ssl.DER_cert_to_PEM_cert(seen.certificate) if seen.certificate is not None else None
        left = self._onboarding.left(seen)
        return {
            "id": seen.case.id, "party": seen.case.party, "stage": seen.case.stage.value, "note": seen.case.note,
            "agreed": seen.case.proposal is not None, "findings": [said(one) for one in seen.findings],
            "certificate": certificate, "x509_hash": seen.case.x509_hash, "application": seen.made, "left": left,
        }  # fmt: skip


async def _json(request_: Request) -> bytes:
    if request_.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(Code.MALFORMED, "the body must be application/json")
    return await raw_body(request_)
