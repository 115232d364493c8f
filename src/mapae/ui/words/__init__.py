"""The words on every surface, in both languages.

Promises: `say(lang, "desk.case.title")` finds the word of surface `desk` or fails loudly; Korean and English hold the
same keys (a house test). Trusts: our own TOML files. Keeps: them, parsed. Refuses: an unknown key, a missing argument.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mapae.ui.cookies import cookie

if TYPE_CHECKING:  # a till without a server has these words as well
    from starlette.requests import Request

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_COOKIE = "mapae_lang"
FOLDER = Path(__file__).parent
_ENGLISH_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]  # not strftime: the answer must not depend on the machine's locale


def say(language: Language, key: str, **values: object) -> str:
    """`key` is `<surface>.<key in that surface's file>`; `{name}` in the text takes the argument `name`."""
    text = words(language)[key]
    if "{" not in text:
        return text
    said = text.format_map(values)
    return _PARTICLE.sub(_fitting, said) if language == "ko" else said


# Korean particles after a word that was filled in: "이름을(를)" is said "이름을". After anything but a syllable or a
# digit both stand. `wallet/src/particles.ts` does the same.
_PARTICLE = re.compile(r"([가-힣0-9])([’”\"')\]]*)(을\(를\)|은\(는\)|이\(가\)|\(으\)로)")
_PAIRS = {"을(를)": ("을", "를"), "은(는)": ("은", "는"), "이(가)": ("이", "가"), "(으)로": ("으로", "로")}
_DIGITS = (21, 8, 0, 16, 0, 0, 1, 8, 8, 0)  # the final consonant of each digit as it is read, 영 to 구
_RIEUL = 8


def _fitting(found: re.Match[str]) -> str:
    before, closing, both = found.groups()
    final = _DIGITS[int(before)] if before.isdigit() else (ord(before) - 0xAC00) % 28
    after, bare = _PAIRS[both]
    return before + closing + (bare if final == 0 or (both == "(으)로" and final == _RIEUL) else after)


def knows(key: str) -> bool:
    return key in words("ko")


@cache
def words(language: Language) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob(f"*.{language}.toml")):
        surface = path.name.removesuffix(f".{language}.toml")
        found.update(_flat(surface, tomllib.loads(path.read_text("utf-8"))))
    return found


def _flat(prefix: str, tree: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found.update(_flat(f"{prefix}.{name}", value))
        elif isinstance(value, str):
            found[f"{prefix}.{name}"] = value
        else:
            raise ValueError(f"{prefix}.{name} is not text")
    return found


def language(request: Request) -> Language:
    """?lang= first, then the cookie, then Accept-Language; Korean when nothing fits."""
    chosen = cookie(request.headers.getlist("cookie"), LANGUAGE_COOKIE)
    for choice in (request.query_params.get("lang"), chosen):
        for known in LANGUAGES:
            if choice == known:
                return known
    return accepted(request.headers.get("accept-language", ""))


def accepted(header: str) -> Language:
    """RFC 9110 12.5.4, for the two languages we have."""
    best: Language = "ko"
    weight = 0.0
    for part in header[:500].split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            q = float(quality) if quality else 1.0
        except ValueError:
            continue
        for known in LANGUAGES:
            if tag.lower().partition("-")[0] == known and q > weight:
                best, weight = known, q
    return best


def day(language: Language, value: date | datetime | str | int, zone: tzinfo = UTC) -> str:
    """A date: a `date`, an ISO string, or a moment (datetime, epoch seconds) seen from `zone`."""
    if isinstance(value, str):
        value = date.fromisoformat(value)
    elif not isinstance(value, date) or isinstance(value, datetime):
        value = _local(value, zone).date()
    if language == "ko":
        return f"{value.year}년 {value.month}월 {value.day}일"
    return f"{value.day} {_ENGLISH_MONTHS[value.month - 1]} {value.year}"


def moment(language: Language, value: datetime | int, zone: tzinfo = UTC) -> str:
    """Date and time to the minute, in `zone`."""
    local = _local(value, zone)
    return f"{day(language, local.date())} {local:%H:%M}"


def _local(value: datetime | int, zone: tzinfo) -> datetime:
    return (datetime.fromtimestamp(value, UTC) if isinstance(value, int) else value).astimezone(zone)


def number(value: int) -> str:
    return f"{value:,}"


def money(language: Language, amount: int, currency: str) -> str:
    """Whole units of a currency that has words `ui.money.<code>`."""
    return say(language, f"ui.money.{currency}", amount=number(amount))
