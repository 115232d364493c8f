"""Reading what arrives: counted while it streams, then parsed one way only.

Promises: no body over the door's limit is ever held in memory or parsed; JSON has one reading (`formats.jose`: no
duplicate member, no NaN, no lone surrogate, bounded depth) and fits the declared type; a form field appears once.
Trusts: nothing that arrives. Keeps: the body, for the life of the request. Refuses: other content types, unknown
members, NUL characters.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from mapae.errors import Code, Refused
from mapae.formats.jose import decode_json_value
from mapae.ui.multipart import Sent, parse

T = TypeVar("T")

FIELDS = 200
DRAIN = 2 * 1024 * 1024


async def read_within(request: Request, limit: int) -> bytes:
    """Read the body once, keeping nothing over the limit; `raw_body` gives it again.

    A little of what is too much is read and thrown away: a client that is still sending when the connection is closed
    would otherwise get a reset instead of the 413.
    """
    declared = request.headers.get("content-length", "")
    too_large = declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > limit)
    if too_large and "expect" in request.headers:  # RFC 9110 10.1.1: the client has not sent it yet, and need not
        raise Refused(Code.TOO_LARGE, f"at most {limit} bytes")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        too_large = too_large or size > limit
        if not too_large:
            parts.append(part)
        elif size > limit + DRAIN:
            break
        else:
            parts.clear()
    if too_large:
        raise Refused(Code.TOO_LARGE, f"at most {limit} bytes")
    raw = b"".join(parts)
    request.state.raw = raw
    return raw


async def raw_body(request: Request) -> bytes:
    raw: bytes = request.state.raw
    return raw


async def json_body(request: Request, type_: type[T], *, extra: bool = False) -> T:
    """The body as a `type_` (a msgspec Struct). Unknown members are refused unless the protocol says to ignore them
    (`extra`); nested Structs say so themselves with `forbid_unknown_fields`."""
    if media_type(request) != "application/json":
        _malformed(request, "the body must be application/json")
    return json_message(request, await raw_body(request), type_, extra=extra)


def json_message(request: Request, raw: bytes, type_: type[T], *, extra: bool = False) -> T:
    """The same of a text that the body held in another wrapping."""
    try:
        value = decode_json_value(raw, limit=len(raw))
    except Refused as refused:
        _malformed(request, refused.detail or "the body is not JSON")
    if _holds_nul(value):
        _malformed(request, "a NUL character in the body")
    known = set(type_.__struct_encode_fields__) if issubclass(type_, msgspec.Struct) else set()
    if not extra and isinstance(value, dict) and not known.issuperset(value):
        _malformed(request, "the body has a member this endpoint does not know")
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as wrong:
        # The library's sentence may quote what was sent; only the place is safe to repeat.
        place = str(wrong).rpartition(" - at `")[2].rstrip("`") if " - at `" in str(wrong) else "$"
        _malformed(request, f"the body does not have the expected shape at {place}")


async def form(request: Request) -> dict[str, str]:
    """The urlencoded fields, each at most once (RFC 6749 3.2), without the CSRF token."""
    if media_type(request) != "application/x-www-form-urlencoded":
        _malformed(request, "the body must be application/x-www-form-urlencoded")
    pairs = form_pairs(request)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _malformed(request, "a form field appears twice")
    fields.pop("csrf", None)
    return fields


async def form_with_files(request: Request) -> Sent:
    """A form that carries files: fields and files, each once, without the CSRF token."""
    sent = parse(request.headers.get("content-type", ""), request.state.raw)
    sent.fields.pop("csrf", None)
    return sent


def form_pairs(request: Request) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            request.state.raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS
        )
    except ValueError:
        _malformed(request, "the form cannot be read")
    if any("\x00" in part for pair in pairs for part in pair):
        _malformed(request, "a NUL character in the form")
    return pairs


def _holds_nul(value: Any) -> bool:
    """PostgreSQL's text takes no NUL: refused here, so that no random byte becomes a 500."""
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_holds_nul(part) for member in value.items() for part in member)
        case list():
            return any(_holds_nul(item) for item in value)
        case _:
            return False


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _malformed(request: Request, detail: str) -> NoReturn:
    door = request.scope.get("mapae.door")
    raise Refused(door.malformed if door is not None else Code.MALFORMED, detail)


def preferred(request: Request, *offered: str) -> str:
    """Which of these media types `Accept` likes best; the first where it does not say (RFC 9110 12.5.1)."""
    best, chosen = 0.0, offered[0]
    for part in request.headers.get("accept", "")[:500].split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if weight > best and kind in (*offered, "application/*", "*/*"):
            best, chosen = weight, kind if kind in offered else offered[0]
    return chosen
