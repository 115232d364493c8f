"""Cases of what a till may believe with no network, and for how long: `mapae.verifier.checking.offline` in Python, and
the same in the checker page's TypeScript.

`tier` in the input: risk, limits in hours and an age in seconds. `light` and `reach`: of an age, of a purpose. `clock`:
device, newest cosignature, high water. `young`: what a copy has to be where its issuer was last heard of long ago.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

from cast import AT, Case, refused, taken

from mapae.catalog import Offline, Purpose
from mapae.errors import Refused
from mapae.rules import Words
from mapae.verifier.checking import offline
from mapae.verifier.checking.steps import Young

RISKS = ("low", "medium", "high")
USUAL, SHORT = {"full": 24, "marked": 168, "last": 720}, {"full": 1, "marked": 2, "last": 2}
_WORDS = Words(ko="x", en="x")


def purpose(risk: Any, limits: dict[str, int]) -> Purpose:
    same = dict.fromkeys(("name", "why", "legal_basis", "retention"), _WORDS)
    return Purpose(document="card", items=("item",), risk=risk, offline=Offline(**limits), id="purpose", **same)


def said(input: dict[str, Any]) -> Any:
    """The Python checker's word. Raises Refused."""
    match input:
        case {"tier": {"risk": risk, "offline": limits, "age": age}}:
            return offline.tier_of(purpose(risk, limits), age).value
        case {"light": age}:
            return offline.light(age).value
        case {"reach": {"risk": risk, "offline": limits}}:
            return int(offline.reach(purpose(risk, limits)).total_seconds())
        case {"clock": [device, newest, high]}:
            return int(offline.clock(datetime.fromtimestamp(device, UTC), newest, high).timestamp())
        case {"young": {"starts": starts, "ends": ends, "signed": signed, "signed_before": before}}:
            Young(before, offline.LONGEST).must_be(starts, ends, signed)
            return True
    raise AssertionError(input)


def inputs() -> Iterator[tuple[str, dict[str, Any]]]:
    for risk, limits in product(RISKS, (USUAL, SHORT)):
        yield f"reach {risk} {limits['last']}", {"reach": {"risk": risk, "offline": limits}}
        for hours, more in product(sorted({0, *limits.values()}), (0, 1)):
            asked = {"risk": risk, "offline": limits, "age": hours * 3600 + more}
            yield f"tier {risk} {limits['last']} {hours}h+{more}", {"tier": asked}
    for age in (0, 3600, 3601, 86_400, 86_401, 720 * 3600, 720 * 3600 + 1):
        yield f"light {age}", {"light": age}
    for name, moments in [("device", [9, 7, 8]), ("newest", [7, 9, 8]), ("high water", [7, 8, 9])]:
        yield f"clock {name}", {"clock": [AT + one for one in moments]}
    day = 86_400
    end, before = AT + 20 * day, AT - 2 * day
    for name, starts, ends, signed in [
        ("signed long before", None, end, before), ("signed that day", None, end, AT - day + 1),
        ("signed the day before", None, end, AT - day), ("no signing time", AT - 3 * day, end, None),
        ("no time at all", None, end, None), ("no end", None, None, before),
        ("lives 32 days", None, AT + 30 * day, before), ("lives a second more", None, AT + 30 * day + 1, before),
    ]:  # fmt: skip
        yield f"young {name}", {"young": {"starts": starts, "ends": ends, "signed": signed, "signed_before": AT}}


def cases() -> Iterator[Case]:
    for name, input in inputs():
        try:
            expected = said(input)
        except Refused as no:
            yield refused(name, input, "dates" if "young" in input else "issuer", no.code.value)
        else:
            yield taken(name, input, expected)


def written() -> dict[str, Any]:
    return {"cases": list(cases())}
