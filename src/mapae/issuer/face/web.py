"""The face checks' doors, for wallets.

Promises: a wallet proves itself at each door by attestation and proof of possession, as at the list of documents; a
burst is one raw body in memory; no answer holds a distance. Trusts: `mapae.ui` for limits and refusals. Keeps: nothing.
Refuses: a burst of another media type.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.authorization import Knock
from mapae.issuer.evidence import Need
from mapae.issuer.face.checks import FaceChecks, Standing
from mapae.issuer.face.values import ModelId
from mapae.issuer.face.wire import MEDIA_TYPE, MOST_BYTES
from mapae.issuer.grants import Grants, spend_all
from mapae.ui.http import Answer, Caller, Door, Rate, answer_header, door, json_answer, json_body, media_type, raw_body

_ASKING: Final = Rate(1200, 60)  # as the other doors for wallets: many phones stand behind one address
_BURSTS: Final = Rate(60, 60)  # megabytes, and a second of a processor each


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str


class FaceDoors:
    def __init__(self, checks: FaceChecks, grants: Grants, db: Db, base: str) -> None:
        self._checks, self._grants, self._db, self._base = checks, grants, db, base

    async def open(self, request: Request) -> Response:
        asked = await json_body(request, About)
        opened = await self._checks.open(asked.subject, await self._wallet(request))
        challenge = opened.challenge
        answer = {
            "challenge_id": challenge.id, "nonce": challenge.nonce, "blinks": challenge.blinks,
            "prompts_ms": challenge.prompts_ms, "length_ms": challenge.length_ms, "expires_in": opened.expires_in,
            "tries_left": opened.tries_left, "model": _model(opened.model),
        }  # fmt: skip
        return json_answer(answer, 201)

    async def burst(self, request: Request) -> Response:
        if media_type(request) != MEDIA_TYPE:
            raise Refused(Code.UNSUPPORTED, f"a burst is {MEDIA_TYPE}")
        wallet = await self._wallet(request)
        answered = await self._checks.answer(request.path_params["id"], wallet, await raw_body(request))
        outcome = answered.outcome
        return json_answer({"ok": outcome.ok, "reason": outcome.reason.value, "tries_left": answered.tries_left})

    async def standing(self, request: Request) -> Response:
        asked = await json_body(request, About)
        standing = await self._checks.standing(asked.subject, await self._wallet(request))
        answer_header(request, "Cache-Control", "no-store")
        return json_answer({
            "needs": _needs(standing), "route": "face" if standing.by_face else "officers",
            "tries_left": standing.tries_left, "model": _model(standing.model),
        })  # fmt: skip

    async def _wallet(self, request: Request) -> str:
        """The key of the attested wallet; its proof is spent."""
        headers = request.headers
        knock = Knock(
            method=request.method,
            url=self._base + request.url.path,
            attestation=tuple(headers.getlist("oauth-client-attestation")),
            attestation_pop=tuple(headers.getlist("oauth-client-attestation-pop")),
        )
        client = await self._grants.client(knock)
        await self._db.write(lambda tx: spend_all(tx, client.spends, Code.INVALID_CLIENT))
        return client.jkt


def _model(model: ModelId | None) -> dict[str, Any] | None:
    return None if model is None else {"name": model.name, "version": model.version, "accredited": model.accredited}


def _needs(standing: Standing) -> list[str]:
    """In the wallet's words: what happens on the phone, and what officers do among themselves."""
    words = {Need.FACE: "face" if standing.by_face else "second_officer", Need.SECOND_OFFICER: "second_officer"}
    return list(dict.fromkeys(words.get(need, "officer") for need in standing.needs))


def routes(checks: FaceChecks, grants: Grants, db: Db, base: str) -> list[Door]:
    doors = FaceDoors(checks, grants, db, base)
    wallet: dict[str, Any] = {"caller": Caller.WALLET, "answer": Answer.JSON, "cors": True}
    return [
        door("POST", "/issuer/face/challenges", doors.open, limit=1024, rate=_ASKING, **wallet),
        door("POST", "/issuer/face/standing", doors.standing, limit=1024, rate=_ASKING, **wallet),
        door("POST", "/issuer/face/challenges/{id}/burst", doors.burst, limit=MOST_BYTES, rate=_BURSTS, **wallet),
    ]
