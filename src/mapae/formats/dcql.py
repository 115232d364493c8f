"""The Digital Credentials Query Language (OpenID4VP 1.0 section 6) and claims path pointers (section 7). Pure.

Promises: a `Dcql` that exists keeps every MUST of section 6; `find` follows a path as section 7 says and `selects`
picks exactly the claims section 6.4.1 does. Trusts: nothing in a query. Keeps: nothing. Refuses: a query that breaks
the rules or is too long. Members nobody has defined are ignored, as section 6 wants; a format or a type of authority we
do not know is no error, it just fits no credential.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats.jose import unb64u

SD_JWT: Final = "dc+sd-jwt"
MDOC: Final = "mso_mdoc"
AKI: Final = "aki"  # section 6.1.1.1: base64url of a KeyIdentifier. `etsi_tl` and `openid_federation` are addresses

Path = tuple[str | int | None, ...]
Place = tuple[str | int, ...]
Value = str | int | bool

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
MAX_QUERIES: Final = 32  # credential queries, sets, options of a set, authorities
MAX_CLAIMS: Final = 128  # claims, claim sets, values, types
MAX_STEPS: Final = 16  # as deep as our JSON goes


def find(claims: Any, path: Path, *, moved: bool = False) -> list[tuple[Place, Any]]:
    """What `path` points at, each with its own place. Nothing where section 7.1.1 or 7.2.1 would return an error.

    `moved`: the claims are what a holder disclosed. RFC 9901 7.1 step 3d takes elements that were not disclosed out of
    their array, so that the one asked for by index may have moved towards the front.
    """
    selected: list[tuple[Place, Any]] = [((), claims)]
    for step in path:
        reached: list[tuple[Place, Any]] = []
        for place, value in selected:
            if isinstance(step, str):
                if not isinstance(value, Mapping):
                    return []
                if step in value:
                    reached.append(((*place, step), value[step]))
            elif not isinstance(value, list):
                return []
            else:
                first, behind = (0, len(value)) if step is None else (0 if moved else step, step + 1)
                reached += [((*place, at), value[at]) for at in range(first, min(behind, len(value)))]
        selected = reached
    return selected


class ClaimQuery(Struct, frozen=True, cache_hash=True):
    path: Path
    id: str | None = None
    values: tuple[Value, ...] = ()  # empty: any
    intent_to_retain: bool | None = None  # mdoc, B.2.4; None: the verifier says nothing

    def selects(self, claims: Any, *, moved: bool = False) -> tuple[Path, ...]:
        """The paths to disclose. None when the claim is not there, or is there with another value than was asked.

        Of an array asked by `null` and values, only the elements that have one of the values (section 6.4.1: the others
        are treated as if they did not exist).
        """
        found = find(claims, self.path, moved=moved)
        if not self.values:
            return (self.path,) if found else ()
        return tuple(place for place, value in found if self._accepts(value))

    def _accepts(self, value: Any) -> bool:
        return any(type(value) is type(wanted) and value == wanted for wanted in self.values)


class Query(Struct, frozen=True, cache_hash=True):
    """A credential query, section 6.1."""

    id: str
    format: str
    kinds: frozenset[str]  # vct_values, or the one doctype_value; empty for a format we do not know
    claims: tuple[ClaimQuery, ...] = ()
    claim_sets: tuple[tuple[str, ...], ...] = ()
    authorities: tuple[tuple[str, frozenset[str]], ...] = ()  # type and values
    multiple: bool = False
    must_be_bound: bool = True  # require_cryptographic_holder_binding

    def selects(self, claims: Any, *, moved: bool = False) -> tuple[Path, ...] | None:
        """Section 6.4.1: the paths to disclose, or None when this credential cannot give what is asked."""
        held = [claim.selects(claims, moved=moved) for claim in self.claims]
        if not self.claim_sets:
            return tuple(path for paths in held for path in paths) if all(held) else None
        by_id = {claim.id: paths for claim, paths in zip(self.claims, held, strict=True)}
        for ids in self.claim_sets:  # the verifier's order of preference
            if all(by_id[id] for id in ids):
                return tuple(dict.fromkeys(path for id in ids for path in by_id[id]))
        return None

    def answered_by(self, claims: Any) -> bool:
        """For a verifier: whether what was disclosed has every claim asked for, with a value asked for."""
        return self.selects(claims, moved=True) is not None

    @property
    def names(self) -> tuple[str | None, ...]:
        """The claim each path is about: the first step, or an mdoc's element. None: no single claim."""
        steps = [claim.path[1 if self.format == MDOC else 0] for claim in self.claims]
        return tuple(step if isinstance(step, str) else None for step in steps)


class SetQuery(Struct, frozen=True, cache_hash=True):
    """A credential set query, section 6.2."""

    options: tuple[tuple[str, ...], ...]
    required: bool = True

    def answered_by(self, ids: Collection[str]) -> bool:
        return any(all(id in ids for id in option) for option in self.options)


class Dcql(Struct, frozen=True, cache_hash=True):
    queries: tuple[Query, ...]
    sets: tuple[SetQuery, ...] = ()

    def query(self, id: str) -> Query | None:
        for query in self.queries:
            if query.id == id:
                return query
        return None

    def answered_by(self, ids: Collection[str]) -> bool:
        """Section 6.4.2: whether presentations for these queries are enough, and none is one nobody asked for."""
        if not self.sets:
            return set(ids) == {query.id for query in self.queries}
        asked = {id for wanted in self.sets for option in wanted.options for id in option}
        return asked.issuperset(ids) and all(wanted.answered_by(ids) for wanted in self.sets if wanted.required)


# --- parsing ----------------------------------------------------------------------------------------------------------


def parse(raw: Any) -> Dcql:
    """A query from decoded JSON."""
    query = _object(raw, "dcql_query")
    queries = tuple([_query(item) for item in _items(query, "credentials", MAX_QUERIES)])
    known = {query.id for query in queries}
    if len(known) != len(queries):
        raise Refused(Code.MALFORMED, "two credential queries have the same id")
    sets = _items(query, "credential_sets", MAX_QUERIES) if "credential_sets" in query else []
    return Dcql(queries, tuple([_set(item, known) for item in sets]))


def _query(raw: Any) -> Query:
    query = _object(raw, "a credential query")
    id, format_, meta = _id(query.get("id")), query.get("format"), _object(query.get("meta"), "meta")
    if not isinstance(format_, str) or not format_:
        raise Refused(Code.MALFORMED, "a credential query has no format")
    claims = tuple([_claim(one, format_) for one in _items(query, "claims", MAX_CLAIMS)]) if "claims" in query else ()
    authorities = _items(query, "trusted_authorities", MAX_QUERIES) if "trusted_authorities" in query else []
    return Query(
        id, format_, _kinds(format_, meta), _once(claims), _claim_sets(query, claims),
        tuple([_authority(one) for one in authorities]), _flag(query, "multiple", default=False),
        _flag(query, "require_cryptographic_holder_binding", default=True),
    )  # fmt: skip


def _kinds(format_: str, meta: Mapping[str, Any]) -> frozenset[str]:
    """B.2.3 and B.3.5: each format has one member that must be there."""
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
    path, values = claim.get("path"), claim.get("values", [])
    if not isinstance(path, list) or not 1 <= len(path) <= MAX_STEPS or not all(_is_step(step) for step in path):
        raise Refused(Code.MALFORMED, "a claims path is a list of names, indexes and nulls")
    if format_ == MDOC and not (len(path) == 2 and all(isinstance(step, str) for step in path)):  # section 7.2
        raise Refused(Code.MALFORMED, "an mdoc path is a namespace and an element")
    if "values" in claim:
        values = _items(claim, "values", MAX_CLAIMS)
    if not all(isinstance(value, str | int) for value in values):
        raise Refused(Code.MALFORMED, "values are texts, whole numbers, true or false")
    retain = _flag(claim, "intent_to_retain", default=False) if "intent_to_retain" in claim else None
    return ClaimQuery(tuple(path), _id(claim["id"]) if "id" in claim else None, tuple(values), retain)


def _claim_sets(query: Mapping[str, Any], claims: Sequence[ClaimQuery]) -> tuple[tuple[str, ...], ...]:
    ids = [claim.id for claim in claims if claim.id is not None]
    if len(set(ids)) != len(ids):
        raise Refused(Code.MALFORMED, "two claims queries have the same id")
    if "claim_sets" not in query:
        return ()
    if not claims or len(ids) != len(claims):  # sections 6.3 and 6.4.1
        raise Refused(Code.MALFORMED, "claim_sets need claims with ids")
    return _references(_items(query, "claim_sets", MAX_CLAIMS), set(ids))


def _once(claims: tuple[ClaimQuery, ...]) -> tuple[ClaimQuery, ...]:
    """Section 6.1: the same claim twice is ignored, unless claim_sets tell the two apart by id."""
    seen: dict[tuple[str | None, Path], ClaimQuery] = {}
    for claim in claims:
        seen.setdefault((claim.id, claim.path), claim)
    return tuple(seen.values())


def _set(raw: Any, known: set[str]) -> SetQuery:
    wanted = _object(raw, "a credential set query")
    options = _references(_items(wanted, "options", MAX_QUERIES), known)
    return SetQuery(options, _flag(wanted, "required", default=True))


def _references(lists: Sequence[Any], known: set[str]) -> tuple[tuple[str, ...], ...]:
    for ids in lists:
        if not isinstance(ids, list) or not ids or not all(isinstance(id, str) and id in known for id in ids):
            raise Refused(Code.MALFORMED, "a set names something the query does not have")
    return tuple([tuple(dict.fromkeys(ids)) for ids in lists])


def _authority(raw: Any) -> tuple[str, frozenset[str]]:
    authority = _object(raw, "a trusted authority")
    name = authority.get("type")
    if not isinstance(name, str) or not name:
        raise Refused(Code.MALFORMED, "a trusted authority has no type")
    values = _texts(authority, "values")
    if name == AKI:
        for value in values:
            unb64u(value)
    return name, frozenset(values)


def _is_step(step: Any) -> bool:
    return step is None or isinstance(step, str) or (isinstance(step, int) and not isinstance(step, bool) and step >= 0)


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refused(Code.MALFORMED, "an id is letters, digits, underscores and hyphens")
    return value


def _flag(raw: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        raise Refused(Code.MALFORMED, f"{name} is true or false")
    return value


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(Code.MALFORMED, f"{what} is not an object")
    return value


def _items(raw: Mapping[str, Any], name: str, limit: int) -> list[Any]:
    value = raw.get(name)
    if not isinstance(value, list) or not value:
        raise Refused(Code.MALFORMED, f"{name} is a list that is not empty")
    if len(value) > limit:
        raise Refused(Code.TOO_LARGE, f"{name} has more than {limit} items")
    return value


def _texts(raw: Mapping[str, Any], name: str) -> list[str]:
    values = _items(raw, name, MAX_CLAIMS)
    if not all(isinstance(value, str) and value for value in values):
        raise Refused(Code.MALFORMED, f"{name} is a list of texts")
    return values
