"""What other registers say of a person: a licence and its classes, a ward to act for. And until when it holds.

Promises: pure. A record is named by the document whose register it is, or `ward:` and a mark: somebody the population
register says this one is guardian of. A document speaks for one ward, whom `of_one` makes its `ward`. Trusts: the
registers. Keeps: nothing. Refuses: a record with a day that is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from .ages import birthday_in
from .errors import Code, Refused
from .rules import Ages

WARD: Final = "ward"
WARD_FIELDS: Final = frozenset({"name", "birth_date"})
Record = Mapping[str, str]


def wards(records: Mapping[str, Record]) -> dict[str, Record]:
    """By the mark each has in the population register, the eldest first; it tells nobody else who that is."""
    return {kind.partition(":")[2]: record for kind, record in records.items() if kind.startswith(f"{WARD}:")}


def marks(kind: str, records: Mapping[str, Record]) -> list[str]:
    """Of the wards a document with this record may speak for; none where it speaks for its holder alone."""
    return list(wards(records)) if kind == WARD else []


def of_one(records: Mapping[str, Record], about: str) -> dict[str, Record]:
    """As a document about this ward sees them: that one is its `ward`, or the only one where none is named."""
    every = wards(records)
    chosen = every.get(about) if about else next(iter(every.values())) if len(every) == 1 else None
    others = {kind: record for kind, record in records.items() if not kind.startswith(f"{WARD}:")}
    return others | ({WARD: chosen} if chosen is not None else {})


def last_day(kind: str, records: Mapping[str, Record], until: date, ages: Ages, today: date) -> date:
    """The last day on which the record holds, `until` at the latest.

    A child is somebody's ward until the day before it comes of age (Korean Civil Act articles 4 and 911). Whoever is of
    age and has a guardian all the same has one until a court says otherwise.
    """
    if not kind:
        return until
    record = records[kind]
    if kind == WARD:
        birth = day_of(record, "birth_date")
        of_age = birthday_in(birth, birth.year + ages.adult, ages.leap_birthday)
        return min(until, of_age - timedelta(days=1)) if of_age > today else until
    return min(until, day_of(record, "valid_until")) if "valid_until" in record else until


def holds(kind: str, records: Mapping[str, Record], ages: Ages, today: date) -> bool:
    """Whether there is such a record, and it is not over; true for no kind at all. Of several wards one is enough."""
    if kind == WARD and WARD not in records:
        return any(holds(kind, {WARD: one}, ages, today) for one in wards(records).values())
    return not kind or (kind in records and last_day(kind, records, date.max, ages, today) >= today)


def value_of(source: str, records: Mapping[str, Record], kind: str) -> Any:
    """`source` is like `driving_licence.classes`; `kind` is the claim's. Raises Refused(CREDENTIAL_REQUEST_DENIED)."""
    record, _, field = source.partition(".")
    if field not in records.get(record, {}):
        raise Refused(Code.CREDENTIAL_REQUEST_DENIED, "the register does not say what this document has to say")
    return day_of(records[record], field) if kind == "date" else records[record][field]


def day_of(record: Record, field: str) -> date:
    try:
        return date.fromisoformat(record[field])
    except (KeyError, ValueError):
        raise Refused(Code.UNAVAILABLE, "the register answered something unreadable; try again") from None
