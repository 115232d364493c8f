"""The log's doors: checkpoint, tiles and entries as static files (C2SP tlog-tiles), papers, and where acts go in.

Promises: what is served of a log ends at its published checkpoint; tiles, entries, statements and documents never
change and say so to caches. Trusts: the engine and the checkpoints. Keeps: nothing. Refuses: paths that are not the one
spelling, tiles that no published checkpoint needs, oversized or too many submissions. Who may act is proven by the
signature in a submission, nothing else.
"""

from __future__ import annotations

import gzip
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json
from mapae.trust import ledger_store as store
from mapae.trust.checkpoints import NAMES, Checkpoints
from mapae.trust.engine import Ledger
from mapae.trust.log import acts, tiles
from mapae.trust.log.entry import Log
from mapae.trust.log.tiles import Tile
from mapae.trust.standing import standing
from mapae.ui.http import Answer, Caller, Door, Handler, Rate, door, json_answer, raw_body

FOREVER: Final = "public, max-age=31536000, immutable"
SOON: Final = "public, max-age=2"
LOGS: Final = {name: log for log, name in NAMES.items()}
LIMIT: Final = 16 * 1024  # of a submission
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def routes(db: Db, ledger: Ledger, checkpoints: Checkpoints) -> list[Door]:
    """Everything of both logs. `db`: the trust role's, with the papers."""
    return [*_log_doors(ledger, checkpoints), *_paper_doors(db, ledger, checkpoints)]


def _read(path: str, handler: Handler) -> Door:
    return door("GET", path, handler, caller=Caller.ANYONE, answer=Answer.JSON, cors=True)


def _log_doors(ledger: Ledger, checkpoints: Checkpoints) -> list[Door]:
    async def checkpoint(request: Request) -> Response:
        head = await checkpoints.published(_log(request))
        if head is None or head.note is None:
            raise Refused(Code.UNAVAILABLE, "no quorum of witnesses has signed a checkpoint yet")
        return _answer(request, head.note.encode(), "text/plain; charset=utf-8", SOON)

    async def tile(request: Request) -> Response:
        """C2SP tlog-tiles: hashes by level and number, entries in bundles of the same width."""
        log = _log(request)
        wanted = _tile(request)
        head = await checkpoints.published(log)
        size = head.size if head is not None else 0
        if not wanted.within(size):
            raise Refused(Code.NOT_FOUND, "no published checkpoint needs this tile")
        if wanted.level is None:
            body = tiles.bundle(await ledger.entries(log, wanted.start, wanted.end))
            return _answer(request, body, "application/octet-stream", FOREVER, fold=True)
        tree = await checkpoints.tree(log, size)
        body = tiles.tile_bytes(tree, wanted.level, wanted.index, wanted.width)
        return _answer(request, body, "application/octet-stream", FOREVER)

    return [_read("/trust/log/{log}/checkpoint", checkpoint), _read("/trust/log/{log}/tile/{path:path}", tile)]


def _paper_doors(db: Db, ledger: Ledger, checkpoints: Checkpoints) -> list[Door]:
    async def policy(request: Request) -> Response:
        digest = (await ledger.state()).policy.document
        document = await store.document(db, digest)
        if document is None:
            raise Refused(Code.UNAVAILABLE, "the policy the log names has not been handed in")
        return _answer(request, document.body, "text/plain; charset=utf-8", SOON)

    async def successions(request: Request) -> Response:
        notes = [step.head.decode() for step in await checkpoints.successions()]
        return json_answer(notes, headers={"Cache-Control": SOON})

    async def statement(request: Request) -> Response:
        signed = await store.statement(db, _digest(request))
        if signed is None:
            raise Refused(Code.NOT_FOUND, "there is no such statement here")
        return _answer(request, signed.encode(), "application/jose", FOREVER)

    async def approvals(request: Request) -> Response:
        votes = await store.votes_for(db, _digest(request))
        return json_answer([vote.signed for vote in votes], headers={"Cache-Control": SOON})

    async def document(request: Request) -> Response:
        found = await store.document(db, _digest(request))
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such document here")
        return _answer(request, found.body, found.media, FOREVER)

    async def submit(request: Request) -> Response:
        asked = decode_json(await raw_body(request), limit=LIMIT)
        if asked.keys() != {"act", "signed"} or not isinstance(asked["signed"], str):
            raise Refused(Code.MALFORMED, "a submission is an act and what was signed for it")
        receipt = await ledger.submit(acts.parse(asked["act"]), asked["signed"])
        return json_answer({"log": NAMES[receipt.log], "index": receipt.index, "time": receipt.time})

    async def status(request: Request) -> Response:
        return json_answer(await standing(ledger, checkpoints), headers={"Cache-Control": SOON})

    often = Rate(300, 60)
    return [
        _read("/trust/policy", policy),
        _read("/trust/policy/successions", successions),
        _read("/trust/ledger", status),
        _read("/trust/statements/{digest}", statement),
        _read("/trust/statements/{digest}/approvals", approvals),
        _read("/trust/documents/{digest}", document),
        door("POST", "/trust/submit", submit, caller=Caller.ANYONE, answer=Answer.JSON, limit=LIMIT, rate=often),
    ]


def _log(request: Request) -> Log:
    log = LOGS.get(request.path_params["log"])
    if log is None:
        raise Refused(Code.NOT_FOUND, "the logs are registry and anchors")
    return log


def _tile(request: Request) -> Tile:
    try:
        return Tile.parse(f"tile/{request.path_params['path']}")
    except Refused:
        raise Refused(Code.NOT_FOUND, "this is not the path of a tile") from None


def _digest(request: Request) -> bytes:
    digest = request.path_params["digest"]
    if not _DIGEST.fullmatch(digest):
        raise Refused(Code.NOT_FOUND, "a digest is 64 hexadecimal digits")
    return bytes.fromhex(digest)


def _answer(request: Request, body: bytes, media: str, cache: str, *, fold: bool = False) -> Response:
    """`fold`: compress for who reads it; entries are digests and zeros, half of them go."""
    headers = {"Cache-Control": cache}
    if fold:
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("accept-encoding", "").lower():
            body, headers["Content-Encoding"] = gzip.compress(body, 6, mtime=0), "gzip"
    answer = Response(body, 200, headers)
    answer.headers["Content-Type"] = media
    return answer
