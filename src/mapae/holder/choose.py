"""Which of the holder's cards answer a question: OpenID4VP 1.0 section 6.4.2. Pure.

Promises: an answer discloses exactly the claims the query names, and what the issuer left open for everybody, which it
names as well; it is complete, or there is none. Trusts: nothing in the query. Keeps: nothing. Refuses: nothing; a query
that no card fits has no answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final

from mapae.formats.dcql import AKI, Dcql, Path, Query

MAX_OPTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A card as the query sees it. mdoc claims are {namespace: {element: value}}."""

    card: str
    format: str
    kind: str
    claims: Mapping[str, Any]
    authorities: frozenset[str]  # base64url authority key identifiers of the card's chain
    bound: bool = True  # to a key of this wallet, so that showing it can be proved
    open: tuple[str, ...] = ()  # what everybody who is shown it is told, by the name it stands under


@dataclass(frozen=True, slots=True)
class Match:
    query: str
    card: str
    format: str
    paths: tuple[Path, ...]
    open: tuple[str, ...] = ()  # goes along unasked


Option = tuple[Match, ...]
Matches = Mapping[str, tuple[Match, ...]]  # by the id of the credential query


def matches(dcql: Dcql, candidates: Collection[Candidate]) -> Matches:
    """The cards each credential query fits."""
    return {query.id: _match(query, candidates) for query in dcql.queries}


def within(found: Matches, items: Collection[str]) -> Matches:
    """Without the cards that tell everybody more than a purpose of these items covers."""
    return {id: tuple(match for match in fitting if set(match.open) <= set(items)) for id, fitting in found.items()}


def answers(dcql: Dcql, found: Matches) -> tuple[Option, ...]:
    """Ways to answer, the verifier's preferred one first; empty when there is none.

    Optional credential sets are left out and of several cards (`multiple`) one is taken: nobody gets more than is
    needed. `accepts` says whether more, chosen by the holder, is an answer as well.
    """
    if not dcql.sets:
        ways: list[list[tuple[str, ...]]] = [[tuple(query.id for query in dcql.queries)]]
    else:
        ways = [
            [option for option in wanted.options if all(found[id] for id in option)]
            for wanted in dcql.sets
            if wanted.required
        ]
    options: dict[Option, None] = {}
    for way in islice(product(*ways), MAX_OPTIONS):
        ids = dict.fromkeys(id for option in way for id in option)
        for option in islice(product(*(found[id] for id in ids)), MAX_OPTIONS):
            if option:
                options.setdefault(option)
            if len(options) >= MAX_OPTIONS:
                return tuple(options)
    return tuple(options)


def accepts(dcql: Dcql, found: Matches, option: Option) -> bool:
    """Whether the holder may answer with this: with optional sets, or with several cards where `multiple` lets her."""
    several = {query.id for query in dcql.queries if query.multiple}
    ids = [match.query for match in option]
    return (
        bool(option)
        and len(set(option)) == len(option)
        and all(match in found.get(match.query, ()) for match in option)
        and all(id in several or ids.count(id) == 1 for id in ids)
        and dcql.answered_by(ids)
    )


def _match(query: Query, candidates: Collection[Candidate]) -> tuple[Match, ...]:
    found = []
    for card in candidates:
        if card.format != query.format or card.kind not in query.kinds or (query.must_be_bound and not card.bound):
            continue
        if query.authorities and not any(
            name == AKI and values & card.authorities for name, values in query.authorities
        ):
            continue
        paths = query.selects(card.claims)
        if paths is not None:
            found.append(Match(query.id, card.card, card.format, paths, card.open))
    return tuple(found)
