"""Values of an mdoc on the wire and in Python: tagged dates, scalars, lists and maps (ISO/IEC 18013-5 7.2.1).

Promises: what `element` decodes is plain Python (dates are dates) and encodes to the same again. Trusts: nobody.
Keeps: a bounded cache of dates already read; the copies of a batch share theirs. Refuses: dates with fractions of a
second or an offset, tags without a meaning here, numbers over 64 bits, keys that are not text, numbers or bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.cbor import Tag

TDATE, FULL_DATE = 0, 1004  # RFC 8949 3.4.1, RFC 8943 1.1
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
SCALARS: Final = frozenset({str, bytes, int, bool, float, type(None)})
_READ: Final = SCALARS | {date, datetime}
_KEYS: Final = frozenset({str, int, bytes})


class Validity(Struct, frozen=True):
    """ISO/IEC 18013-5 9.1.2.4 ValidityInfo."""

    signed: datetime
    valid_from: datetime
    valid_until: datetime
    expected_update: datetime | None = None


def mapping(value: Any, what: str, only: frozenset[str] | None = None) -> dict[Any, Any]:
    """A map; where the standard lists its members, with no others, lest a misspelt one pass for one left out."""
    if type(value) is not dict:
        raise Refused(Code.MALFORMED, f"{what} is missing or not a map")
    if only is not None and not only.issuperset(value):
        raise Refused(Code.MALFORMED, f"{what} has a member it should not have")
    return value


# --- reading ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _moment(text: str) -> datetime:
    if not _UTC.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def tdate(value: Any, immutable: bool = False) -> datetime:
    """ISO/IEC 18013-5 9.1.2.4: RFC 3339 in UTC, no fractions of a second, no offset."""
    try:
        return _moment(value)
    except (ValueError, TypeError):
        raise Refused(Code.MALFORMED, "not a date and time in UTC without fractions") from None


def full_date(value: Any, immutable: bool = False) -> date:
    try:
        day = date.fromisoformat(value)
    except (ValueError, TypeError):
        raise Refused(Code.MALFORMED, "not a date") from None
    if value[7:8] != "-" or len(value) != 10:  # fromisoformat also reads 20000101, 2000W016 and 2000-W01-6
        raise Refused(Code.MALFORMED, "not a date")
    return day


def _unread(value: Any = None, immutable: bool = False) -> NoReturn:
    raise Refused(Code.UNSUPPORTED, "an element's value is of a type we do not read")


_ELEMENT: Final = dict.fromkeys(cbor.KNOWN_TAGS, _unread) | {TDATE: tdate, FULL_DATE: full_date}
_WITH_DATES: Final[Mapping[int, Callable[[Any, bool], Any]]] = {**cbor.AS_TAGS, TDATE: tdate}


def element(raw: bytes, *, limit: int = cbor.MAX_CBOR) -> Any:
    """A data item whose tags are dates; look at what stands in it with `plain`."""
    return cbor.scan(raw, _ELEMENT, _unread, limit=limit)


def with_dates(raw: bytes) -> Any:
    """A data item whose tdates are read; other tags stay tags."""
    return cbor.scan(raw, _WITH_DATES)


def plain(value: Any) -> Any:
    """What `element` decoded, if it is of the types mdoc has."""
    kind = type(value)
    if kind in _READ:
        return value
    if kind is list:
        return [plain(inner) for inner in value]
    if kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            raise Refused(Code.MALFORMED, "a key is not a text, a number or bytes")
        return {name: plain(inner) for name, inner in value.items()}
    return _unread()


# --- writing ------------------------------------------------------------------------------------------------------

_TAG_FULL_DATE = cbor.head(6, FULL_DATE)


def encoded(value: Any) -> bytes:
    """An element's value: what nearly all are in one step, the rest through the encoder."""
    kind = type(value)
    if kind is str:
        return cbor.text(value)
    if kind is bytes:
        return cbor.bstr(value)
    if kind is bool:
        return b"\xf5" if value else b"\xf4"
    if kind is date:
        return _TAG_FULL_DATE + cbor.text(value.isoformat())
    return cbor.dumps(wire(value))


def wire(value: Any) -> Any:
    """Dates as ISO/IEC 18013-5 7.2.1 tags them: tdate without fractions in UTC, full-date as tag 1004."""
    if type(value) in SCALARS:
        if type(value) is int and not -(2**63) <= value < 2**64:
            raise Refused(Code.LINT, "a number does not fit 64 bits")
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Refused(Code.LINT, "a time has no time zone")
        return Tag(TDATE, value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    if isinstance(value, date):
        return Tag(FULL_DATE, value.isoformat())
    if isinstance(value, Mapping):
        return {name: wire(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [wire(inner) for inner in value]
    raise Refused(Code.LINT, "an element's value is of a type mdoc does not have")
