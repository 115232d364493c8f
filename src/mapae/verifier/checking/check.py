"""The numbered steps that decide whether what a wallet showed is true, for SD-JWT VC and for mdoc.

1 `issuer`    the certificate chain leads to an issuer that the trust list lets issue this type
2 `seal`      the issuer's signature holds, and every disclosed item is one the issuer signed
3 `holder`    the key the copy is bound to has just signed our nonce, for us, at our address
4 `dates`     the copy is valid now
5 `standing`  the issuer's status list says neither revoked nor suspended
6 `request`   it is the type and exactly the items that were asked, no more and no less

`check_answer` takes a whole `vp_token` and any DCQL query; `check` is the short form for one question about one
document. Both are usable without any server:

    asked = Asked(dcql.parse(query), ByRedirect(client_id, nonce, response_uri, thumbprint))
    trusted = Trusted((Issuer("them", Anchors([root]), None, None, None, profile=None),))
    answer = check_answer(vp_token, asked, trusted, now, Policy(without_status=True))
    answer["my_query"].claims[("given_name",)]

Promises: the steps run in this order for each presentation, none can be skipped, and a refusal names its step;
docs/checking.md has the same list with each refusal's code. One presentation that fails refuses the whole answer.
Pure: time, trust and status lists are arguments. Trusts: the anchors and status lists in `Trusted`, nothing that came
with the answer. Keeps: nothing. Refuses: anything that is not the one spelling `formats` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused, step
from mapae.formats import dcql, p256
from mapae.formats.dcql import ClaimQuery, Dcql, Path, Query
from mapae.verifier.checking.fit import fitting, must_be_checkable, read_token
from mapae.verifier.checking.steps import (
    FORMATS,
    LIMIT,
    STRICT,
    ByBrowser,
    ByCode,
    ByProximity,
    ByRedirect,
    Examined,
    Expected,
    Format,
    Issuer,
    Listed,
    Policy,
    Tie,
    Trusted,
    examine,
    stands,
)
from mapae.verifier.checking.transaction import Transaction, must_be_authorized, must_be_bindable, to_authorize

__all__ = [
    "LIMIT", "STRICT", "Answer", "Ask", "Asked", "ByBrowser", "ByCode", "ByProximity", "ByRedirect", "Format", "Issuer",
    "Item", "ItemValue", "Listed", "Policy", "Presented", "Shown", "Tie", "Transaction", "Trusted", "Verified", "check",
    "check_answer", "check_many", "conclude", "either", "examine_answer", "must_be_askable", "verified",
]  # fmt: skip


# --- any question -----------------------------------------------------------------------------------------------------


class Asked(Struct, frozen=True):
    """One question as it was put: the query, what ties an answer to it, what the holder is to authorize with it."""

    query: Dcql
    tie: Tie
    transactions: tuple[Transaction, ...] = ()


class Presented(Struct, frozen=True):
    """One presentation that passed all six steps. `claims` has the claims asked for by their path; a path through an
    array has a list. `bound`: the holder proved to hold its key. `renew` asks the holder to refresh the card."""

    query: str
    format: Format
    type: str
    issuer: str
    claims: Mapping[Path, Any]
    bound: bool
    renew: bool


class Answer(Struct, frozen=True):
    """All that was shown, by the order of the answer. `answer["id"]` is the first presentation for that query."""

    presented: tuple[Presented, ...]

    def of(self, query: str) -> tuple[Presented, ...]:
        return tuple(one for one in self.presented if one.query == query)

    def __contains__(self, query: str) -> bool:
        return any(one.query == query for one in self.presented)

    def __getitem__(self, query: str) -> Presented:
        for one in self.presented:
            if one.query == query:
                return one
        raise KeyError(query)


Halfway = tuple[tuple[Query, Examined], ...]


def must_be_askable(query: Dcql, transactions: tuple[Transaction, ...] = ()) -> None:
    """Before a question is put: whether we could check every answer to it. Raises Refused(UNSUPPORTED, MALFORMED)."""
    must_be_checkable(query)
    must_be_bindable(transactions, query)


def check_answer(token: Any, asked: Asked, trusted: Trusted, now: datetime, policy: Policy = STRICT) -> Answer:
    """All six steps for each presentation of the decoded `vp_token`. Raises Refused with `step`."""
    return conclude(examine_answer(token, asked, trusted, now, policy), trusted.lists, now)


def examine_answer(token: Any, asked: Asked, trusted: Trusted, now: datetime, policy: Policy = STRICT) -> Halfway:
    """The token's form and steps 1 to 4. The status lists that step 5 needs are those at each `status.uri`."""
    with step("request"):
        shown = read_token(token, asked.query)
    answered = {query.id for query, _ in shown}
    halfway = []
    for query, presentation in shown:
        expected = _expected(asked, query, answered)
        halfway.append((query, examine(presentation, expected, trusted, policy, now)))
    if asked.transactions:
        with step("holder"):
            must_be_authorized(asked.transactions, [text for _, examined in halfway for text in examined.authorized])
    return tuple(halfway)


def conclude(halfway: Halfway, lists: Mapping[str, Listed], now: datetime) -> Answer:
    """Steps 5 and 6."""
    renews = [stands(examined, lists, now) for _, examined in halfway]
    presented = []
    with step("request"):
        for (query, examined), renew in zip(halfway, renews, strict=True):
            others = [other for other, _ in halfway if other.id != query.id]
            claims = fitting(query, examined, others)
            presented.append(
                Presented(
                    query.id, examined.format, examined.type, examined.issuer.id, claims, examined.bound, renew
                )
            )  # fmt: skip
    return Answer(tuple(presented))


def _expected(asked: Asked, query: Query, answered: set[str]) -> Expected:
    if not asked.transactions:
        return Expected(FORMATS[query.format], query.kinds, asked.tie, query.must_be_bound)
    transactions = to_authorize(asked.transactions, query.id, answered)
    return Expected(FORMATS[query.format], query.kinds, asked.tie, query.must_be_bound, transactions)


# --- one question about one document ----------------------------------------------------------------------------------

ItemValue = bool | str | date | bytes
_TEXTS = frozenset({"text", "code", "image"})


class Item(Struct, frozen=True, cache_hash=True):
    """One thing to ask for. `kind` as in the country pack: text, date, image, yes_no, code."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked, of which type, and what ties an answer to this one question. A format that is not asked for has
    None; of two, either will do."""

    items: tuple[Item, ...]
    vct: str | None
    doctype: str | None
    namespace: str | None
    client_id: str
    nonce: str
    response_uri: str
    key_thumbprint: bytes  # RFC 7638, of the key the answer is encrypted to


@dataclass(frozen=True, slots=True)
class Shown:
    """One presentation as it came in the VP token, unchecked."""

    format: Format
    presentation: str


class Verified(Struct, frozen=True):
    """All six steps passed. `claims` holds exactly the items asked; `renew` asks the holder to refresh the card."""

    claims: Mapping[str, ItemValue]
    format: Format
    issuer: str
    renew: bool


def check(shown: Shown, ask: Ask, trusted: Trusted, now: datetime) -> Verified:
    """All six steps. Raises Refused with `step` and the codes of docs/checking.md."""
    with step("request"):
        query = either(ask.items, ask.vct, ask.doctype, ask.namespace).query(shown.format.value)
        if query is None:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "an answer in a format that was not asked for")
    tie = ByRedirect(ask.client_id, ask.nonce, ask.response_uri, ask.key_thumbprint)
    examined = examine(shown.presentation, Expected(shown.format, query.kinds, tie), trusted, STRICT, now)
    renew = stands(examined, trusted.lists, now)
    with step("request"):
        claims = _of_kind(fitting(query, examined, ()), ask.items)
    return Verified(claims, examined.format, examined.issuer.id, renew)


def check_many(asked: Sequence[tuple[Shown, Ask]], trusted: Trusted, now: datetime) -> list[Verified | Refused]:
    """`check` for each, their signatures verified together: that is what a batch engine is for (docs/operate.md).

    What goes wrong with one is told by `check` itself, alone, and touches no other.
    """
    halfway: list[Verified | None] = []
    piles: list[list[p256.Check]] = []
    for shown, ask in asked:
        with p256.together() as pile:
            try:
                halfway.append(check(shown, ask, trusted, now))
            except Refused:
                halfway.append(None)
        piles.append(pile)
    fits = iter(p256.fit([signature for pile in piles for signature in pile]))
    outcomes: list[Verified | Refused] = []
    for (shown, ask), pile, found in zip(asked, piles, halfway, strict=True):
        fit = [next(fits) for _ in pile]
        if found is not None and len(fit) == SIGNATURES and all(fit):
            outcomes.append(found)
            continue
        try:
            outcomes.append(check(shown, ask, trusted, now))
        except Refused as refused:
            outcomes.append(refused)
    return outcomes


SIGNATURES: Final = 2  # the issuer's seal and the holder's proof: what `check` cannot have passed without


@lru_cache(maxsize=256)
def either(items: tuple[Item, ...], vct: str | None, doctype: str | None, namespace: str | None) -> Dcql:
    """These items in either format. Never `values`: a wallet should not learn which answer we hope for."""
    queries = []
    if vct is not None:
        claims = tuple([ClaimQuery((item.name,)) for item in items])
        queries.append(Query(Format.SD_JWT.value, dcql.SD_JWT, frozenset({vct}), claims))
    if doctype is not None and namespace is not None:
        claims = tuple([ClaimQuery((namespace, item.name)) for item in items])
        queries.append(Query(Format.MDOC.value, dcql.MDOC, frozenset({doctype}), claims))
    # One of them is enough; without a set all would be asked for (section 6.4.2).
    sets = (dcql.SetQuery(tuple([(query.id,) for query in queries])),) if len(queries) > 1 else ()
    return Dcql(tuple(queries), sets)


def verified(answer: Answer, items: tuple[Item, ...]) -> Verified:
    """The one document of the answer, each item of its kind."""
    with step("request"):
        if len(answer.presented) != 1:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "one document was asked for")
        [one] = answer.presented
        claims = _of_kind(one.claims, items)
    return Verified(claims, one.format, one.issuer, one.renew)


def _of_kind(claims: Mapping[Path, Any], items: tuple[Item, ...]) -> dict[str, ItemValue]:
    shown = {path[-1]: value for path, value in claims.items()}
    return {item.name: _typed(item, shown[item.name]) for item in items}


def _typed(item: Item, value: Any) -> ItemValue:
    """`"false"` is no answer to a yes-or-no question, and a date has one spelling."""
    kind, is_ = item.kind, type(value)
    if (is_ is str and kind in _TEXTS) or (is_ is bool and kind == "yes_no") or (is_ is bytes and kind == "image"):
        return value  # type: ignore[no-any-return]  # one of the three
    if kind == "date":
        if is_ is str:
            return _full_date(item, value)
        if is_ is date:  # not a datetime
            return value  # type: ignore[no-any-return]
    raise Refused(Code.NOT_WHAT_WAS_ASKED, f"{item.name} is of another kind than asked")


def _full_date(item: Item, value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, f"{item.name} is not a date")
    return day
