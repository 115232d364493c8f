"""Forms that carry a file (RFC 7578): one reading, strict.

Promises: each field once; a file is its bytes, and nothing of the name it had on the sender's disk; nothing is spooled
to a disk. Trusts: python-multipart to cut a body at its boundaries. Keeps: nothing. Refuses: text before the first or
after the last boundary, parts without a name, a field twice, headers nobody sends, NUL characters, text that is not
UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mapae.errors import Code, Refused

PARTS: Final = 50
_HEADERS: Final = 1024  # bytes of one part's headers
_KNOWN: Final = frozenset({"content-disposition", "content-type"})


@dataclass(frozen=True, slots=True)
class Sent:
    """What a form held."""

    fields: dict[str, str]
    files: dict[str, bytes]


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: bytes = b""
    value: bytes = b""
    body: bytearray = field(default_factory=bytearray)


def parse(content_type: str, raw: bytes) -> Sent:
    """Raises Refused(MALFORMED)."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or set(options) != {b"boundary"} or not 1 <= len(boundary) <= 70:
        _malformed("the form's type has no boundary we can read")
    if not raw.endswith((b"--" + boundary + b"--", b"--" + boundary + b"--\r\n")):  # the parser skips what follows
        _malformed("the form does not end with its boundary")
    sent = Sent({}, {})
    for part in _parts(boundary, raw):
        _take(part, sent)
    return sent


def _parts(boundary: bytes, raw: bytes) -> list[_Part]:
    parts: list[_Part] = []
    ended: list[bool] = []

    def begin() -> None:
        if len(parts) == PARTS:
            _malformed("the form has too many fields")
        parts.append(_Part())

    def name(data: bytes, start: int, end: int) -> None:
        parts[-1].name += data[start:end]

    def value(data: bytes, start: int, end: int) -> None:
        parts[-1].value += data[start:end]

    def header() -> None:
        part = parts[-1]
        part.headers.append((part.name, part.value))
        part.name, part.value = b"", b""
        if sum(len(one) + len(other) for one, other in part.headers) > _HEADERS:
            _malformed("a part of the form has endless headers")

    def body(data: bytes, start: int, end: int) -> None:
        parts[-1].body += data[start:end]

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin, "on_header_field": name, "on_header_value": value, "on_header_end": header,
            "on_part_data": body, "on_end": lambda: ended.append(True),
        },
    )  # fmt: skip
    try:
        parser.write(raw)
        parser.finalize()
    except FormParserError:
        _malformed("the form cannot be read")
    if ended != [True] or not parts:
        _malformed("the form does not begin and end with its boundary")
    return parts


def _take(part: _Part, sent: Sent) -> None:
    name, is_file = _named(part.headers)
    if name in sent.fields or name in sent.files:
        _malformed("a form field appears twice")
    if is_file:
        sent.files[name] = bytes(part.body)
        return
    sent.fields[name] = _text(bytes(part.body))


def _named(sent: list[tuple[bytes, bytes]]) -> tuple[str, bool]:
    """The field's name, and whether a file is in it."""
    headers = {name.lower(): value for name, value in ((_text(name), value) for name, value in sent)}
    if len(headers) != len(sent) or not set(headers) <= _KNOWN:
        _malformed("a part of the form has a header nobody sends")
    kind, options = parse_options_header(headers.get("content-disposition", b""))
    if kind != b"form-data" or not 1 <= len(options.get(b"name", b"")) <= 100:
        _malformed("a part of the form has no name")
    return _text(options[b"name"]), b"filename" in options


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _malformed("the form is not UTF-8")
    if "\x00" in text:
        _malformed("a NUL character in the form")
    return text


def _malformed(detail: str) -> NoReturn:
    raise Refused(Code.MALFORMED, detail)
