"""Which cards answer a question: the Digital Credentials Query Language, OpenID4VP 1.0 section 6. Pure.

Promises: an answer discloses exactly the claims the query names and is complete, or there is none. Trusts: nothing in
the query. Keeps: nothing. Refuses: a query that breaks section 6; a format or authority type we do not know is no
error, it just matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final

from mapae.errors import Code, Refused

Path = tuple[str | int | None, ...]
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_QUERIES: Final = 16
MAX_CLAIMS: Final = 64
MAX_OPTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    id: str | None
    path: Path
    values: tuple[str | int | bool, ...]  # empty: any


@dataclass(frozen=True, slots=True)
class Query:
    """One credential query."""

    id: str
    format: str
    kinds: frozenset[str]  # vct_values, or the one doctype_value
    claims: tuple[ClaimQuery, ...]
    claim_sets: tuple[tuple[str, ...], ...]
    authorities: tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class SetQuery:
    options: tuple[tuple[str, ...], ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Dcql:
    queries: tuple[Query, ...]
    sets: tuple[SetQuery, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A card as the query sees it. mdoc claims are {namespace: {element: value}}."""

    card: str
    format: str
    kind: str
    claims: Mapping[str, Any]
    authorities: frozenset[str]  # base64url authority key identifiers of the card's chain


@dataclass(frozen=True, slots=True)
class Match:
    query: str
    card: str
    format: str
    paths: tuple[Path, ...]


Option = tuple[Match, ...]


def parse(raw: Any) -> Dcql:
    if not isinstance(raw, Mapping):
        raise Refused(Code.MALFORMED, "dcql_query is not an object")
    queries = tuple(_query(item) for item in _items(raw, "credentials", MAX_QUERIES))
    known = {query.id for query in queries}
    if len(known) != len(queries):
        raise Refused(Code.MALFORMED, "two credential queries have the same id")
    sets = _items(raw, "credential_sets", MAX_QUERIES) if "credential_sets" in raw else []
    return Dcql(queries, tuple(_set(item, known) for item in sets))


def answers(dcql: Dcql, candidates: Collection[Candidate]) -> tuple[Option, ...]:
    """Every way to answer, the verifier's preferred one first; empty when there is none.

    Section 6.4.2. Optional credential sets are left out: nobody gets more than is needed.
    """
    found = {query.id: _match(query, candidates) for query in dcql.queries}
    if not dcql.sets:
        ways: list[list[tuple[str, ...]]] = [[tuple(query.id for query in dcql.queries)]]
    else:
        ways = [
            [option for option in wanted.options if all(found[id] for id in option)]
            for wanted in dcql.sets
            if wanted.required
        ]
    options: list[Option] = []
    for way in islice(product(*ways), MAX_OPTIONS):
        ids = list(dict.fromkeys(id for option in way for id in option))
        for matches in islice(product(*(found[id] for id in ids)), MAX_OPTIONS):
            if matches and matches not in options:
                options.append(matches)
            if len(options) >= MAX_OPTIONS:
                return tuple(options)
    return tuple(options)


def asked_claims(query: Query) -> tuple[str | None, ...]:
    """The claim each path is about: the first step in an SD-JWT VC, the element in an mdoc. None: no single claim."""
    named = []
    for claim in query.claims:
        step = claim.path[1 if query.format == "mso_mdoc" else 0]
        named.append(step if isinstance(step, str) else None)
    return tuple(named)


def _match(query: Query, candidates: Collection[Candidate]) -> tuple[Match, ...]:
    matches = []
    for card in candidates:
        if card.format != query.format or (query.kinds and card.kind not in query.kinds):
            continue
        if query.authorities and not any(
            name == "aki" and values & card.authorities for name, values in query.authorities
        ):
            continue
        paths = _paths(query, card)
        if paths is not None:
            matches.append(Match(query.id, card.card, card.format, paths))
    return tuple(matches)


def _paths(query: Query, card: Candidate) -> tuple[Path, ...] | None:
    """Section 6.4.1: which paths to disclose, or None when the card cannot give what is asked."""
    held = {claim: _holds(claim, card) for claim in query.claims}
    if not query.claim_sets:
        return tuple(claim.path for claim in query.claims) if all(held.values()) else None
    by_id = {claim.id: claim for claim in query.claims}
    for ids in query.claim_sets:
        chosen = [by_id[id] for id in ids]
        if all(held[claim] for claim in chosen):
            return tuple(claim.path for claim in chosen)
    return None


def _holds(claim: ClaimQuery, card: Candidate) -> bool:
    values = _select(card.claims, claim.path)
    if not claim.values:
        return bool(values)
    return any(type(value) is type(wanted) and value == wanted for value in values for wanted in claim.values)


def _select(claims: Any, path: Path) -> list[Any]:
    """Section 7.1: follow a claims path pointer; an mdoc's two steps are the same walk."""
    selected = [claims]
    for step in path:
        reached: list[Any] = []
        for value in selected:
            match step:
                case str():
                    reached += [value[step]] if isinstance(value, Mapping) and step in value else []
                case None:
                    reached += value if isinstance(value, list) else []
                case _:
                    reached += [value[step]] if isinstance(value, list) and step < len(value) else []
        selected = reached
    return selected


# --- parsing ----------------------------------------------------------------------------------------------------------


def _query(raw: Any) -> Query:
    query = _object(raw, "a credential query")
    id, format_, meta = _id(query.get("id")), query.get("format"), _object(query.get("meta"), "meta")
    if not isinstance(format_, str) or not format_:
        raise Refused(Code.MALFORMED, "a credential query has no format")
    for name in ("multiple", "require_cryptographic_holder_binding"):
        if not isinstance(query.get(name, False), bool):
            raise Refused(Code.MALFORMED, f"{name} is true or false")
    claims = tuple(_claim(item, format_) for item in _items(query, "claims", MAX_CLAIMS)) if "claims" in query else ()
    authorities = _items(query, "trusted_authorities", MAX_QUERIES) if "trusted_authorities" in query else []
    return Query(
        id, format_, _kinds(format_, meta), _once(claims), _claim_sets(query, claims),
        tuple(_authority(item) for item in authorities),
    )  # fmt: skip


def _kinds(format_: str, meta: Mapping[str, Any]) -> frozenset[str]:
    """Appendix B: both members are required for their format."""
    match format_:
        case "dc+sd-jwt":
            return frozenset(_texts(meta, "vct_values"))
        case "mso_mdoc":
            doctype = meta.get("doctype_value")
            if not isinstance(doctype, str) or not doctype:
                raise Refused(Code.MALFORMED, "meta has no doctype_value")
            return frozenset({doctype})
        case _:
            return frozenset()


def _claim(raw: Any, format_: str) -> ClaimQuery:
    claim = _object(raw, "a claims query")
    path = claim.get("path")
    if not isinstance(path, list) or not 1 <= len(path) <= 16 or not all(_is_step(step) for step in path):
        raise Refused(Code.MALFORMED, "a claims path is a list of names, indexes and nulls")
    if format_ == "mso_mdoc" and not (len(path) == 2 and all(isinstance(step, str) for step in path)):
        raise Refused(Code.MALFORMED, "an mdoc path is a namespace and an element")
    values = claim.get("values", [])
    if "values" in claim and (not isinstance(values, list) or not values or len(values) > MAX_CLAIMS):
        raise Refused(Code.MALFORMED, "values is a list that is not empty")
    if not all(isinstance(value, str | int) for value in values):
        raise Refused(Code.MALFORMED, "values are texts, whole numbers, true or false")
    return ClaimQuery(_id(claim["id"]) if "id" in claim else None, tuple(path), tuple(values))


def _claim_sets(query: Mapping[str, Any], claims: Sequence[ClaimQuery]) -> tuple[tuple[str, ...], ...]:
    ids = [claim.id for claim in claims if claim.id is not None]
    if len(set(ids)) != len(ids):
        raise Refused(Code.MALFORMED, "two claims queries have the same id")
    if "claim_sets" not in query:
        return ()
    if not claims or len(ids) != len(claims):
        raise Refused(Code.MALFORMED, "claim_sets need claims with ids")
    return _references(_items(query, "claim_sets", MAX_CLAIMS), set(ids))


def _set(raw: Any, known: set[str]) -> SetQuery:
    wanted = _object(raw, "a credential set query")
    required = wanted.get("required", True)
    if not isinstance(required, bool):
        raise Refused(Code.MALFORMED, "required is true or false")
    return SetQuery(_references(_items(wanted, "options", MAX_QUERIES), known), required)


def _references(lists: Sequence[Any], known: set[str]) -> tuple[tuple[str, ...], ...]:
    for ids in lists:
        if not isinstance(ids, list) or not ids or not all(isinstance(id, str) and id in known for id in ids):
            raise Refused(Code.MALFORMED, "a set names something the query does not have")
    return tuple(tuple(dict.fromkeys(ids)) for ids in lists)


def _authority(raw: Any) -> tuple[str, frozenset[str]]:
    authority = _object(raw, "a trusted authority")
    name = authority.get("type")
    if not isinstance(name, str):
        raise Refused(Code.MALFORMED, "a trusted authority has no type")
    return name, frozenset(_texts(authority, "values"))


def _once(claims: tuple[ClaimQuery, ...]) -> tuple[ClaimQuery, ...]:
    """Section 6.1: the same claim twice is ignored, unless claim_sets tell the two apart by id."""
    seen: dict[tuple[str | None, Path], ClaimQuery] = {}
    for claim in claims:
        seen.setdefault((claim.id, claim.path), claim)
    return tuple(seen.values())


def _is_step(step: Any) -> bool:
    return step is None or isinstance(step, str) or (isinstance(step, int) and not isinstance(step, bool) and step >= 0)


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refused(Code.MALFORMED, "an id is letters, digits, underscores and hyphens")
    return value


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(Code.MALFORMED, f"{what} is not an object")
    return value


def _items(raw: Mapping[str, Any], name: str, limit: int) -> list[Any]:
    value = raw.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= limit:
        raise Refused(Code.MALFORMED, f"{name} is a list of 1 to {limit}")
    return value


def _texts(raw: Mapping[str, Any], name: str) -> list[str]:
    values = _items(raw, name, MAX_CLAIMS)
    if not all(isinstance(value, str) and value for value in values):
        raise Refused(Code.MALFORMED, f"{name} is a list of texts")
    return values
