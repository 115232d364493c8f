"""Step 6 of docs/checking.md: whether what was shown is what the query asked, no less and no more. Pure.

Promises: a presentation fits when one claim set of its credential query is there in whole, with a value asked for, and
nothing else was disclosed; an answer fits when its presentations satisfy the query's sets. OpenID4VP 1.0 8.6 asks for
both, and 14.9 says why: the wallet is not the verifier's. Trusts: what steps 1 to 5 left. Keeps: nothing. Refuses: a
query we could not hold an answer to, before it is put (`must_be_checkable`); in an answer, another type, a missing
claim or value, a surplus claim, an issuer outside `trusted_authorities`, presentations nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import chain, product
from math import prod
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats import sd_jwt
from mapae.formats.dcql import AKI, MDOC, ClaimQuery, Dcql, Path, Query, find
from mapae.formats.jose import b64u
from mapae.formats.x509 import authority_key_ids
from mapae.verifier.checking.steps import FORMATS, Examined, Format

MAX_PRESENTATIONS: Final = 16
MAX_WAYS: Final = 4096  # of answering a query

# RFC 9901 and SD-JWT VC: what a credential says about itself. Not items about the person.
_ABOUT_ITSELF: Final = sd_jwt.SIGNED_OPEN | {"iat"}


def must_be_checkable(query: Dcql) -> None:
    """Whether we could check every answer to this. Raises Refused(UNSUPPORTED) otherwise."""
    if prod(len(wanted.options) + 1 for wanted in query.sets) > MAX_WAYS:
        raise Refused(Code.TOO_LARGE, "the query may be answered in too many ways")
    for one in query.queries:
        if one.format not in FORMATS:
            raise Refused(Code.UNSUPPORTED, "the query asks for a format we do not check")
        # Section 6.1.1: a wallet may match by any of them, so each must be one we can check afterwards.
        if any(type_ != AKI for type_, _ in one.authorities):
            raise Refused(Code.UNSUPPORTED, "the query names authorities in a way we do not check; only aki")
        if not one.must_be_bound and FORMATS[one.format] is Format.MDOC:
            raise Refused(Code.UNSUPPORTED, "a document always comes with its device's signature")


def read_token(token: Any, query: Dcql) -> list[tuple[Query, str]]:
    """Section 8.1: an object from credential query id to presentations, each with the query it answers."""
    if not isinstance(token, dict) or not token:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token is not an object that answers a query")
    found = []
    for id, presentations in token.items():
        asked = query.query(id)
        if asked is None:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token answers a query that was not asked")
        if not isinstance(presentations, list) or not presentations:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token must list presentations")
        if len(presentations) > 1 and not asked.multiple:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "one presentation was asked for")
        for presentation in presentations:
            if not isinstance(presentation, str):
                raise Refused(Code.NOT_WHAT_WAS_ASKED, "a presentation is not a text")
            found.append((asked, presentation))
    if len(found) > MAX_PRESENTATIONS:
        raise Refused(Code.TOO_LARGE, "too many presentations")
    if not _answers(query, frozenset(token)):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token does not answer what was asked, or answers more")
    return found


@lru_cache(maxsize=256)
def _answers(query: Dcql, ids: frozenset[str]) -> bool:
    """Section 6.4.2: one option of each required set, of another set one or none, and nothing besides."""
    if not query.sets:
        return len(ids) == len(query.queries)
    if len(query.sets) == 1 and query.sets[0].required:
        return ids in [frozenset(option) for option in query.sets[0].options]
    ways = []
    for wanted in query.sets:
        options = [option for option in wanted.options if ids.issuperset(option)]
        ways.append(options if wanted.required else [(), *options])
    return any(ids == frozenset(chain.from_iterable(way)) for way in product(*ways))


def fitting(query: Query, shown: Examined, others: Sequence[Query]) -> dict[Path, Any]:
    """The claims asked for. `others`: the further queries of this answer, whose claims may have come along
    (section 6.4: one presentation may serve several queries for the same credential)."""
    if query.kinds and shown.type not in query.kinds:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "another type of document was shown")
    if not others and (plain := _plain(query, shown)) is not None:
        return plain
    if query.authorities:
        keys = {b64u(key) for key in authority_key_ids(shown.x5c, shown.issuer.algorithms)}
        if not any(type_ == AKI and not values.isdisjoint(keys) for type_, values in query.authorities):
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the document is not of an authority that was asked for")
    also = [
        claim.path
        for other in others
        if other.format == query.format and (not other.kinds or shown.type in other.kinds)
        for claim in other.claims
    ]
    comparable = shown.claims
    if shown.format is Format.MDOC and any(claim.values for claim in query.claims):
        comparable = {name: _json(elements) for name, elements in shown.claims.items()}
    missing: Refused | None = None
    surplus = False
    for option in _options(query):
        if absent := [claim for claim in option if not claim.selects(comparable, moved=True)]:
            missing = missing or Refused(Code.NOT_WHAT_WAS_ASKED, f"not shown: {_named(absent, shown.format)}")
            continue
        if not _more(shown, [*(claim.path for claim in option), *also]):
            return {claim.path: _value(shown.claims, claim.path) for claim in option}
        surplus = True
    if missing is not None and not surplus:
        raise missing
    # The names of what was not asked stay out of the detail.
    raise Refused(Code.NOT_WHAT_WAS_ASKED, "items were shown that were not asked for")


def _plain(query: Query, shown: Examined) -> dict[Path, Any] | None:
    """The usual answer in one look: the names asked, and nothing else. None: look closely."""
    asked = _names(query)
    if asked is None or shown.disclosed is not None:
        return None
    space, paths = asked
    if space is None:
        elements, others = shown.claims, len(_ABOUT_ITSELF & shown.claims.keys())
    else:
        elements, others = shown.claims.get(space, {}), 0
        if len(shown.claims) != 1:
            return None
    if len(elements) - others != len(paths):
        return None
    try:
        return {path: elements[path[-1]] for path in paths}  # type: ignore[index]  # names, as `_names` saw
    except KeyError:
        return None


@lru_cache(maxsize=256)
def _names(query: Query) -> tuple[str | None, tuple[Path, ...]] | None:
    """Of a query for plain names: the one namespace, and the paths."""
    paths = tuple([claim.path for claim in query.claims])
    length = 2 if query.format == MDOC else 1
    spaces: set[Any] = {path[0] for path in paths} if query.format == MDOC else {None}
    plain = not query.claim_sets and not query.authorities and not any(claim.values for claim in query.claims)
    if not plain or len(spaces) != 1 or not all(len(path) == length for path in paths):
        return None
    if _ABOUT_ITSELF & {path[-1] for path in paths}:
        return None
    return spaces.pop(), paths


def _options(query: Query) -> Sequence[Sequence[ClaimQuery]]:
    """Section 6.4.1: all claims, or one of the claim sets."""
    if not query.claim_sets:
        return (query.claims,)
    by_id = {claim.id: claim for claim in query.claims}
    return [[by_id[id] for id in ids] for ids in query.claim_sets]


def _named(claims: Sequence[ClaimQuery], format: Format) -> str:
    """What we asked for ourselves, so it may be said."""
    steps = (claim.path[1 if format is Format.MDOC else 0] for claim in claims)
    return ", ".join(sorted({str(step) for step in steps}))


def _value(claims: Mapping[str, Any], path: Path) -> Any:
    """One value, or for a path that leads through arrays the list of those it leads to."""
    values = [value for _, value in find(claims, path, moved=True)]
    return values[0] if all(isinstance(step, str) for step in path) else values


def _more(shown: Examined, wanted: list[Path]) -> bool:
    """Whether anything was shown that no path leads to."""
    if shown.disclosed is not None:
        return not all(any(_leads(place, path) for path in wanted) for place in shown.disclosed)
    if shown.format is Format.SD_JWT:
        claims: Mapping[str, Any] = {name: value for name, value in shown.claims.items() if name not in _ABOUT_ITSELF}
    else:
        claims = shown.claims
    return _surplus(claims, wanted)


def _surplus(value: Any, wanted: list[Path]) -> bool:
    """An array is shorter than the issuer made it when elements stay hidden (RFC 9901 7.1 step 3d), so an index counts
    for itself and every place before, and only as many elements may have come as indexes were asked."""
    if any(not path for path in wanted):  # asked for as a whole
        return False
    if isinstance(value, Mapping):
        below = [(inner, [path[1:] for path in wanted if path[0] == name]) for name, inner in value.items()]
    elif isinstance(value, list):
        if not any(path[0] is None for path in wanted) and len(value) > len({path[0] for path in wanted}):
            return True
        below = [(inner, [path[1:] for path in wanted if _reaches(path[0], at)]) for at, inner in enumerate(value)]
    else:  # deeper was asked than there is
        return True
    return any(not paths or _surplus(inner, paths) for inner, paths in below)


def _reaches(step: str | int | None, at: int) -> bool:
    return step is None or (isinstance(step, int) and at <= step)


def _leads(place: tuple[str | int, ...], path: Path) -> bool:
    """Whether a disclosure lies on the way to what was asked, or beneath it."""
    return all(
        _reaches(there, here) if isinstance(here, int) else here == there
        for here, there in zip(place, path, strict=False)
    )


def _json(value: Any) -> Any:
    """RFC 8949 6.1, as section 6.3 asks for the comparison with `values`."""
    if isinstance(value, Mapping):
        return {str(name): _json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    return b64u(value) if isinstance(value, bytes) else value
