"""Which items of an application are too many for its purpose, before anybody reviews it. Pure.

Promises: the same application and pack give the same findings, each with its rule, what it says and what to do, in both
languages; `must_not_be_excessive` lets nothing through that a `stop` forbids or a `basis` finding leaves unanswered.
Trusts: the pack for what an item tells about a person. Keeps: nothing. Refuses: EXCESSIVE with the rule as its step.

1 items that exist and may be asked  2 no more than the purpose needs  3 words and legal basis  4 retention  5 risk
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from mapae.catalog import Country, Document
from mapae.errors import Code, Refused
from mapae.rules import Data, Words
from mapae.trust.application import Application, Asking, Risk, basis_of, document_of, items_of, ready_of
from mapae.trust.entries import LONGEST_TEXT
from mapae.ui.words import say

Level = Literal["stop", "basis", "warn"]
"""`stop`: change it. `basis`: a legal basis for just this item lets it through to reviewers. `warn`: they see it."""
RISKS: Final[tuple[Risk, ...]] = ("low", "medium", "high")
RETENTION: Final = "retention"  # where a legal basis for keeping longer stands, beside the items


class ItemRule(Data, frozen=True):
    """What the pack says of one item; see the head of its lint.toml."""

    identifies: bool = False
    instead: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()
    risk: Risk = "low"
    only: tuple[str, ...] = ()
    days: int | None = None


class Rules(Data, frozen=True):
    yes_no_days: int = 0
    usual_days: int = 30
    many: int = 4
    items: dict[str, ItemRule] = {}

    def of(self, item: str) -> ItemRule:
        return self.items.get(item, ItemRule())


@dataclass(frozen=True, slots=True)
class Finding:
    """`place`: which purpose, counted from 0; None: the application as a whole. `answer`: the legal basis given."""

    rule: str
    level: Level
    place: int | None
    item: str
    says: Words
    do: Words
    answer: str = ""

    @property
    def stops(self) -> bool:
        return self.level == "stop" or (self.level == "basis" and not self.answer)


def rules_of(tree: Mapping[str, Any]) -> Rules:
    """Of a pack's lint.toml; a pack without one has the general rules alone. Raises Refused(BAD_CONFIG)."""
    try:
        return msgspec.convert(tree.get("lint", {}), Rules)
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_CONFIG, f"country pack: lint: {error}") from None


def must_not_be_excessive(found: Iterable[Finding]) -> None:
    """Raises Refused(EXCESSIVE) with the first rule that is broken."""
    for finding in found:
        if finding.stops:
            raise Refused(Code.EXCESSIVE, finding.says.en, step=finding.rule)


def lint(made: Application, country: Country, rules: Rules) -> tuple[Finding, ...]:
    """Everything there is to say, the weightiest first."""
    found: list[Finding] = []
    if not made.purposes:
        found.append(_finding("no_purpose", "stop", None))
    found += _same_why(made)
    if _inside(made.contact):
        found.append(_finding("contact_inside", "warn", None))
    for place, asking in enumerate(made.purposes):
        found += _of_purpose(place, asking, country, rules)
    order = {"stop": 0, "basis": 1, "warn": 2}
    return tuple(sorted(found, key=lambda one: (not one.stops, order[one.level])))


def only_needed(made: Application, country: Country, rules: Rules) -> Application:
    """Without the laws that answer no objection: they would stand among what the holder reads, in the words of whoever
    asks, also beside a ready purpose."""
    needed = {(one.place, one.item) for one in lint(made, country, rules) if one.level == "basis"}
    purposes = tuple(
        msgspec.structs.replace(one, basis={item: text for item, text in one.basis.items() if (at, item) in needed})
        for at, one in enumerate(made.purposes)
    )
    return msgspec.structs.replace(made, purposes=purposes)


def _of_purpose(place: int, asking: Asking, country: Country, rules: Rules) -> Iterator[Finding]:
    document, ready = document_of(asking, country), ready_of(asking, country)
    if document is None or document.formats is None or (asking.ready and ready is None):
        yield _finding("unknown_purpose", "stop", place)
        return
    items = items_of(asking, country)
    if not items:
        yield _finding("nothing_asked", "stop", place)
        return
    there = [item for item in items if any(claim.name == item for claim in document.claims)]
    for item in items:
        if item not in there:
            yield _finding("unknown_item", "stop", place, item)
        elif item not in document.may_be_asked:
            yield _finding("never", "stop", place, item, document)
    asked = [item for item in there if item in document.may_be_asked]
    minimum = frozenset(ready.items) if ready is not None else frozenset()
    logs_in = ready is not None and country.logs_in(ready)
    yield from _too_many(place, asking, document, asked, minimum, rules, logs_in=logs_in)
    said = basis_of(asking, country)
    if max(len(said.ko), len(said.en)) > LONGEST_TEXT:
        yield _finding("basis_long", "stop", place, longest=LONGEST_TEXT)
    if ready is None:
        yield from _own_words(place, asking)
        yield from _kept(place, asking, document, asked, rules)
        yield from _risk(place, asking, document, asked, rules)
        yield from _ready_fits(place, document, asked, country)


def _too_many(
    place: int, asking: Asking, document: Document, asked: list[str], minimum: frozenset[str], rules: Rules, *,
    logs_in: bool,
) -> Iterator[Finding]:  # fmt: skip
    law = " ".join((asking.legal_basis.ko, asking.legal_basis.en)).casefold() if asking.legal_basis else ""
    ages = [item for item in asked if document.claim(item).kind == "yes_no" and document.claim(item).years]
    for item in asked:
        rule, answer = rules.of(item), asking.basis.get(item, "").strip()
        # A number to log in by stays with the country's bridge, also where a pack has no rule that says so.
        alone = item == document.login_item and not logs_in
        if alone or (rule.only and asking.ready not in rule.only):
            yield _finding("only_for", "stop", place, item, document)
        elif item in minimum:
            continue
        elif minimum:
            yield _finding("beyond_minimum", "basis", place, item, document, answer)
        elif ages and rule.identifies:
            yield _finding("name_for_age", "basis", place, item, document, answer)
        elif rule.instead and any(other in document.may_be_asked for other in rule.instead):
            yield _finding("yes_no_serves", "basis", place, item, document, answer)
        elif rule.named_by and not any(word.casefold() in law for word in rule.named_by):
            yield _finding("unnamed_in_law", "basis", place, item, document, answer)
    if len(asked) > max(rules.many, len(minimum)):
        yield _finding("many_items", "warn", place)


def _own_words(place: int, asking: Asking) -> Iterator[Finding]:
    if asking.name is None or not asking.name.ko.strip():
        yield _finding("name_missing", "stop", place)
    if asking.why is None or len(asking.why.ko.strip()) < 6 or asking.why == asking.name:
        yield _finding("why_missing", "stop", place)
    if asking.legal_basis is None or not asking.legal_basis.ko.strip():
        yield _finding("basis_missing", "stop", place)


def _kept(place: int, asking: Asking, document: Document, asked: list[str], rules: Rules) -> Iterator[Finding]:
    if not asked:
        return
    if all(document.claim(item).kind == "yes_no" for item in asked):
        longest = rules.yes_no_days
    else:
        said = [days for item in asked if (days := rules.of(item).days) is not None]
        longest = min([rules.usual_days, *said])
    if asking.days > longest:
        answer = asking.basis.get(RETENTION, "").strip()
        yield _finding("kept_too_long", "basis", place, RETENTION, None, answer, days=asking.days, longest=longest)


def _risk(place: int, asking: Asking, document: Document, asked: list[str], rules: Rules) -> Iterator[Finding]:
    """What a wrong yes would cost is the asker's word; what it asks for says how little it can be."""
    least = max((RISKS.index(rules.of(item).risk) for item in asked), default=0)
    if RISKS.index(asking.risk) < least:
        worst = next(item for item in asked if RISKS.index(rules.of(item).risk) == least)
        yield _finding("risk_undeclared", "stop", place, worst, document, risk=_called(RISKS[least]))


def _called(risk: Risk) -> Words:
    """As the page's list calls it, and as an application in JSON does."""
    ko, en = (say(language, f"rp.risk.{risk}").partition(":")[0] for language in ("ko", "en"))
    return Words(ko=f"‘{ko}’({risk})", en=f"“{en}” ({risk})")


def _ready_fits(place: int, document: Document, asked: list[str], country: Country) -> Iterator[Finding]:
    for ready in country.purposes.values():
        if country.documents[ready.document] is document and set(ready.items) == set(asked):
            yield _finding("ready_fits", "warn", place, purpose=ready.name)
            return


def _same_why(made: Application) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, asking in enumerate(made.purposes):
        said = asking.why.ko.strip() if asking.why is not None and not asking.ready else ""
        if said and said in seen:
            yield _finding("why_same", "stop", place)
        seen.add(said)


def _inside(contact: str) -> bool:
    """An address nobody outside could write to."""
    host = (urlsplit(contact).hostname or "").removesuffix(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        last = host.rpartition(".")[2]  # WHATWG URL 3.5: a last label that is a number makes it an IPv4 address
        number = last.isdigit() or re.fullmatch("0x[0-9a-f]*", last) is not None
        return number or "." not in host or last in ("local", "internal", "localhost", "lan", "arpa")


def _finding(
    rule: str, level: Level, place: int | None, item: str = "", document: Document | None = None, answer: str = "",
    **more: Any,
) -> Finding:  # fmt: skip
    def words(part: str) -> Words:
        return Words(ko=one("ko", part), en=one("en", part))

    def one(language: Literal["ko", "en"], part: str) -> str:
        label = document.claim(item).label.pick(language) if document is not None else item
        given = {name: value.pick(language) if isinstance(value, Words) else value for name, value in more.items()}
        return say(language, f"rp.rule.{rule}.{part}", item=label, **given)

    return Finding(rule, level, place, item, words("says"), words("do"), answer)


# --- names that could be taken for another's: for the reviewers -------------------------------------------------------

# Letters of other scripts that look like Latin ones (Unicode UTS 39 4), the ones a name could be built of; Latin-1
# accents fall away by decomposition.
_LOOKS: Final = str.maketrans(
    "авеԁһікӏмнорԛгѕтԝхуᴢαβεικνορτυχ0135$|ł",
    "abedhiklmhopqrstwxyzabeiknoptuxolessll",
)  # fmt: skip


def skeleton(name: str) -> str:
    """What is left of a name when it is looked at quickly."""
    text = unicodedata.normalize("NFKD", name).casefold()
    bare = "".join(one for one in text if not unicodedata.combining(one)).translate(_LOOKS)
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", bare)).replace("rn", "m").replace("vv", "w")


def mixed_scripts(name: str) -> bool:
    """Latin beside Cyrillic or Greek letters in one word: no honest name needs it (Unicode UTS 39 5.2)."""
    for word in re.findall(r"\w+", name):
        scripts = {unicodedata.name(one, "?").split()[0] for one in word if one.isalpha()}
        if len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1:
            return True
    return False


def names_like(made: Application, others: Mapping[str, Words]) -> tuple[Finding, ...]:
    """Whose name this could be taken for. `others`: registered parties and open applications, by id."""
    found = []
    ours = {skeleton(text) for text in (made.name.ko, made.name.en)}
    for id, name in others.items():
        theirs = {skeleton(text) for text in (name.ko, name.en)}
        if id != made.id and any(_alike(one, other) for one in ours for other in theirs):
            found.append(_finding("name_alike", "warn", None, purpose=name))
    if mixed_scripts(made.name.ko) or mixed_scripts(made.name.en):
        found.append(_finding("name_mixed", "warn", None))
    return tuple(found)


def held_before(ended: Iterable[Application]) -> tuple[Finding, ...]:
    """Its id was another registration's: an organisation's number is public, and so anybody may write it."""
    return tuple(_finding("id_before", "warn", None, purpose=one.name, number=one.number) for one in ended)


def _alike(one: str, other: str) -> bool:
    """The same, or one letter apart where that is little."""
    if not one or not other:
        return False
    if one == other:
        return True
    if min(len(one), len(other)) < 5 or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    for place in range(len(long)):
        if len(short) == len(long):
            if long[:place] + long[place + 1 :] == short[:place] + short[place + 1 :]:
                return True
        elif long[:place] + long[place + 1 :] == short:
            return True
    return False
