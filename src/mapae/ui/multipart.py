"""Forms that carry a file (RFC 7578): one reading, strict.

Promises: each field once; a file is its bytes, and nothing of the name it had on the sender's disk. Trusts: nothing
that arrives. Keeps: nothing. Refuses: text before the first or after the last boundary, parts without a name, a field
twice, headers nobody sends, NUL characters, text that is not UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from mapae.errors import Code, Refused

PARTS: Final = 50
_HEADERS: Final = 1024  # bytes of one part's headers
# RFC 2046 5.1.1, without the space and the characters that would need quoting; browsers use fewer still
_TYPE: Final = re.compile(r"multipart/form-data; ?boundary=\"?([0-9A-Za-z'()+_,./:=?-]{1,70})\"?", re.IGNORECASE)
_DISPOSITION: Final = re.compile(r'form-data; name="([^"\r\n]{1,100})"(?:; filename="([^"\r\n]{0,500})")?')
_KNOWN: Final = frozenset({"content-disposition", "content-type"})


@dataclass(frozen=True, slots=True)
class Sent:
    """What a form held."""

    fields: dict[str, str]
    files: dict[str, bytes]


def parse(content_type: str, raw: bytes) -> Sent:
    """Raises Refused(MALFORMED)."""
    found = _TYPE.fullmatch(content_type.strip())
    if found is None:
        _malformed("the form's type has no boundary we can read")
    boundary = b"--" + found[1].encode("ascii")
    pieces = (b"\r\n" + raw).split(b"\r\n" + boundary)
    if len(pieces) < 3 or pieces[0] or pieces[-1] not in (b"--", b"--\r\n") or len(pieces) - 2 > PARTS:
        _malformed("the form does not begin and end with its boundary")
    sent = Sent({}, {})
    for piece in pieces[1:-1]:
        _take(piece, sent)
    return sent


def _take(piece: bytes, sent: Sent) -> None:
    head, separator, body = piece.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"\r\n") or len(head) > _HEADERS:
        _malformed("a part of the form has no headers")
    name, is_file = _named(head[2:])
    if name in sent.fields or name in sent.files:
        _malformed("a form field appears twice")
    if is_file:
        sent.files[name] = body
        return
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        _malformed("a form field is not UTF-8")
    if "\x00" in text:
        _malformed("a NUL character in the form")
    sent.fields[name] = text


def _named(head: bytes) -> tuple[str, bool]:
    """The field's name, and whether a file is in it."""
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        _malformed("a header of the form is not UTF-8")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() not in _KNOWN or name.lower() in headers or "\x00" in line:
            _malformed("a part of the form has a header nobody sends")
        headers[name.lower()] = value.strip()
    found = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if found is None:
        _malformed("a part of the form has no name")
    return found[1], found[2] is not None


def _malformed(detail: str) -> NoReturn:
    raise Refused(Code.MALFORMED, detail)
