"""CBOR (RFC 8949) as ISO mdoc and COSE need it.

Promises: `dumps` writes the deterministic encoding; what `loads` returns was the whole input, without indefinite
lengths or duplicate keys, and tags are still `Tag`. Trusts: cbor2 for the grammar. Keeps: nothing. Refuses: input over
its limits in size or depth, keys that are not text, bytes or integers, and cbor2's own objects (dates, fractions,
sets, shared references): what a tag means is decided by the format that expects it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import cbor2

from mapae.errors import Code, Refused

Tag = cbor2.CBORTag

MAX_CBOR: Final = 262_144
MAX_DEPTH: Final = 16
ENCODED: Final = 24  # RFC 8949 3.4.5.1: the bytes are CBOR themselves


def _keep(tag: int) -> Callable[[Any, bool], Any]:
    return lambda value, immutable: Tag(tag, value)


# Every tag cbor2 6 would turn into an object of its own. A test walks all small tags to keep this list whole.
KNOWN_TAGS: Final = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
AS_TAGS: Final[Mapping[int, Callable[[Any, bool], Any]]] = {tag: _keep(tag) for tag in KNOWN_TAGS}
_KEYS = (str, int, bytes)


def _plain_keys(value: Mapping[Any, Any], immutable: bool) -> Any:
    for key in value:
        if type(key) not in _KEYS:
            raise ValueError
    return value


def dumps(value: Any) -> bytes:
    """Shortest heads, definite lengths, sorted keys. For the maps we write (text keys; small integers and COSE labels)
    the order of RFC 8949 4.2.1 and the older one of 4.2.3 are the same."""
    try:
        return cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(Code.LINT, "a value cannot be written as CBOR") from None


def loads(raw: bytes, *, limit: int = MAX_CBOR, depth: int = MAX_DEPTH, deterministic: bool = False) -> Any:
    """One data item and nothing after it; `deterministic` asks for our own spelling, byte for byte."""
    value = scan(raw, limit=limit, depth=depth, hook=_plain_keys)
    if deterministic and dumps(value) != raw:
        raise Refused(Code.MALFORMED, "the CBOR is not in its deterministic encoding")
    return value


def scan(
    raw: bytes,
    tags: Mapping[int, Callable[[Any, bool], Any]] = AS_TAGS,
    other: Callable[[Any, bool], Any] | None = None,
    *,
    limit: int = MAX_CBOR,
    depth: int = MAX_DEPTH,
    hook: Callable[[Mapping[Any, Any], bool], Any] | None = None,
) -> Any:
    """As `loads`, for a format that looks at the keys of every map itself and may say what a tag means: `tags` covers
    the `KNOWN_TAGS`, `other` the rest. Looking at keys here costs a third of the time."""
    if len(raw) > limit:
        raise Refused(Code.TOO_LARGE, "the CBOR is too large")
    source = BytesIO(raw)
    try:
        value = cbor2.load(
            source,
            semantic_decoders=tags,
            tag_hook=other,
            object_hook=hook,
            max_depth=depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError, EOFError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, Refused):
            cause = cause.__cause__
        raise cause or Refused(Code.MALFORMED, "not the CBOR we read") from None
    if source.tell() != len(raw):
        raise Refused(Code.MALFORMED, "something follows the CBOR")
    return value


def embedded(value: Any) -> bytes:
    """The bytes inside an encoded data item (tag 24)."""
    if type(value) is not Tag or value.tag != ENCODED or type(value.value) is not bytes:
        raise Refused(Code.MALFORMED, "not CBOR inside CBOR")
    return value.value


def unwrap(raw: bytes) -> bytes:
    """What `embed` wrapped: the tag and the length have one spelling (RFC 8949 4.2.1)."""
    if raw[:2] == b"\xd8\x18" and len(raw) > 2:
        size = _SIZES.get(raw[2], 0)
        inner = raw[3 + size :]
        if raw == embed(inner):
            return inner
    return embedded(loads(raw))


def embed(raw: bytes) -> bytes:
    """The encoding of tag 24 around these bytes: what ISO/IEC 18013-5 hashes and signs."""
    size = len(raw)
    return (_EMBED[size] if size < 256 else b"\xd8\x18" + head(2, size)) + raw


def head(major: int, length: int) -> bytes:
    """RFC 8949 3: the shortest initial bytes for a major type and a length or integer."""
    kind = major << 5
    if length < 24:
        return bytes((kind | length,))
    if length < 256:
        return bytes((kind | 24, length))
    for code, size in ((25, 2), (26, 4), (27, 8)):
        if length < 1 << (8 * size):
            return bytes((kind | code,)) + length.to_bytes(size, "big")
    raise Refused(Code.TOO_LARGE, "a number does not fit CBOR")


# Nearly all we write is short: its head is looked up, not made.
_TEXT: Final = tuple(head(3, size) for size in range(256))
_BSTR: Final = tuple(head(2, size) for size in range(256))
_EMBED: Final = tuple(b"\xd8\x18" + one for one in _BSTR)
_SIZES: Final = {0x58: 1, 0x59: 2, 0x5A: 4}


def text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise Refused(Code.LINT, "a text cannot be written as UTF-8") from None
    size = len(raw)
    return (_TEXT[size] if size < 256 else head(3, size)) + raw


def bstr(value: bytes) -> bytes:
    size = len(value)
    return (_BSTR[size] if size < 256 else head(2, size)) + value
