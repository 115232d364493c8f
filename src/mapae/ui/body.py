"""Reading what arrives: counted while it streams, then parsed one way only.

Promises: no body over the door's limit is ever held in memory or parsed; JSON has one reading (no duplicate member, no
NaN, no lone surrogate, bounded depth) and fits the declared type; a form field appears once. Trusts: nothing that
arrives. Keeps: the body, for the life of the request. Refuses: other content types, unknown members, NUL characters.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from mapae.errors import Code, Refused

T = TypeVar("T")

DEPTH = 16
FIELDS = 200


async def read_within(request: Request, limit: int) -> bytes:
    """Read the body once, refusing at the first byte over the limit; `raw_body` gives it again."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > limit):
        raise Refused(Code.TOO_LARGE, f"at most {limit} bytes")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refused(Code.TOO_LARGE, f"at most {limit} bytes")
        parts.append(part)
    raw = b"".join(parts)
    request.state.raw = raw
    return raw


async def raw_body(request: Request) -> bytes:
    raw: bytes = request.state.raw
    return raw


async def json_body(request: Request, type_: type[T], *, extra: bool = False) -> T:
    """The body as a `type_` (a msgspec Struct). Unknown members are refused unless the protocol says to ignore them
    (`extra`); nested Structs say so themselves with `forbid_unknown_fields`."""
    if _media_type(request) != "application/json":
        _malformed(request, "the body must be application/json")
    try:
        value = parse_json(await raw_body(request))
    except ValueError as wrong:
        _malformed(request, str(wrong))
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
    if _media_type(request) != "application/x-www-form-urlencoded":
        _malformed(request, "the body must be application/x-www-form-urlencoded")
    pairs = form_pairs(request)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _malformed(request, "a form field appears twice")
    fields.pop("csrf", None)
    return fields


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


def parse_json(raw: bytes) -> Any:
    """One reading or ValueError."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except _Twice:
        raise ValueError("a member appears twice") from None
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    _must_be_text(value, 0)
    return value


class _Twice(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Twice
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _must_be_text(value: Any, depth: int) -> None:
    """No NUL (PostgreSQL takes none), nothing UTF-8 cannot spell, nothing nested deeper than `DEPTH`."""
    if depth > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH}")
    match value:
        case str():
            if "\x00" in value or (not value.isprintable() and not _encodes(value)):
                raise ValueError("a string holds a character that is not text")
        case float():
            if value != value or value in (float("inf"), float("-inf")):  # 1e999 reads as infinity
                raise ValueError("a number is out of range")
        case dict():
            for name, item in value.items():
                _must_be_text(name, depth)
                _must_be_text(item, depth + 1)
        case list():
            for item in value:
                _must_be_text(item, depth + 1)


def _encodes(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _malformed(request: Request, detail: str) -> NoReturn:
    door = request.scope.get("mapae.door")
    raise Refused(door.malformed if door is not None else Code.MALFORMED, detail)
