"""A witness's doors (C2SP tlog-witness): hand in a checkpoint, read what it saw, read what it refused.

Promises: the statuses are the protocol's own: 409 with the size to ask from, 422 for what is not consistent. Trusts:
the witness. Keeps: nothing. Refuses: an oversized request before it is read whole, more requests than the rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.trust.witness import FORK, LIMIT, Elsewhere, Witness
from mapae.ui.http import Answer, Caller, Door, Rate, door, json_answer, raw_body
from mapae.ui.pages import page

SIZE_TYPE: Final = "text/x.tlog.size"
STATUS: Final[Mapping[Code, int]] = {  # C2SP tlog-witness, add-checkpoint
    Code.NOT_FOUND: 404,
    Code.BAD_SIGNATURE: 403,
    Code.FORKED: 422,
    Code.BAD_PROOF: 422,
    Code.TOO_LARGE: 413,
}


def routes(witnesses: Mapping[str, Witness]) -> list[Door]:
    """`witnesses` by the word they are reached under: /witness/{word}/."""

    def named(request: Request) -> Witness:
        found = witnesses.get(request.path_params["name"])
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no witness of that name here")
        return found

    async def add_checkpoint(request: Request) -> Response:
        witness = named(request)
        try:
            answer = await witness.add_checkpoint(await raw_body(request))
        except Refused as refused:
            return _plain(f"{refused.detail}\n", STATUS.get(refused.code, 400))
        if isinstance(answer, Elsewhere):
            return Response(f"{answer.size}\n", 409, {"Content-Type": SIZE_TYPE, "Cache-Control": "no-store"})
        return _plain(answer, 200)

    async def checkpoint(request: Request) -> Response:
        note = await named(request).checkpoint(request.path_params["origin"])
        if note is None:
            raise Refused(Code.NOT_FOUND, "this witness has cosigned no checkpoint of that log")
        return _plain(note, 200, "public, max-age=2")

    async def overview(request: Request) -> Response:
        witness = named(request)
        said = await facts(witness)
        if "text/html" in request.headers.get("accept", ""):
            return page(
                request, "trust/witness.html", witness=said,
                forked=any(one["kind"] == FORK for one in said["evidence"]),
                logs=[{**log, "at": datetime.fromtimestamp(log["at"], UTC)} for log in said["logs"]],
                evidence=[{**one, "at": datetime.fromtimestamp(one["at"], UTC)} for one in said["evidence"]],
            )  # fmt: skip
        return json_answer(said)

    often, anyone = Rate(1200, 60), Caller.ANYONE
    return [
        door("POST", "/witness/{name}/add-checkpoint", add_checkpoint, caller=anyone, answer=Answer.JSON, limit=LIMIT,
             rate=often),
        door("GET", "/witness/{name}/{origin}/checkpoint", checkpoint, caller=anyone, answer=Answer.JSON, cors=True),
        door("GET", "/witness/{name}/", overview, caller=anyone, answer=Answer.PAGE, cors=True),
    ]  # fmt: skip


async def facts(witness: Witness) -> dict[str, Any]:
    """What a witness says of itself."""
    seen, evidence = await witness.seen(), await witness.evidence()
    return {
        "name": witness.name,
        "vkey": (await witness.vkey()).encode(),
        "logs": [
            {"origin": one.origin, "size": one.size, "root": one.root.hex(), "at": one.at, "note": one.note}
            for one in seen
        ],
        "watches": sorted(witness.logs),
        "evidence": [
            {"origin": one.origin, "kind": one.kind, "ours": one.ours, "theirs": one.theirs, "at": one.at}
            for one in evidence
        ],
        "refusals": {str(code): count for code, count in sorted(witness.refusals.items())},
    }


def _plain(text: str, status: int, cache: str = "no-store") -> Response:
    return Response(text, status, {"Cache-Control": cache}, "text/plain")
