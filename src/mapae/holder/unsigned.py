"""A request that nobody signed (OpenID4VP 1.0 5.9.3, prefix `redirect_uri`), and the one case in which it is answered.

Promises: a `Request` asks for exactly one purpose that the country's signed purposes document marks `anyone`: its items
and no others, of its document, once; the answer goes to the address that is the client's name, encrypted. Trusts: that
document, and nothing whoever asks says of itself: what the holder is shown is the address's host. Keeps: nothing.
Refuses: everything else without a signature. HAIP 1.0 5.1 wants all of it refused: docs/divergences.md says why this
one case is safe. The steps are `client answer key nonce query purpose`, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mapae.errors import Code, Refused, step
from mapae.formats.dcql import MDOC, SD_JWT, Dcql, Path, Query
from mapae.formats.jose import decode_json
from mapae.trust.publish import Purpose
from mapae.trust.purposes import Listed, PurposesDocument

from . import request
from .request import Authentic, DirectPost, Request, Unsigned
from .trusted import Party
from .wire import must_be_safe

_JSON: Final = ("dcql_query", "client_metadata")


def open_request(asked: Unsigned, purposes: PurposesDocument) -> Request:
    """Raises Refused with `step`; nothing is sent to anybody."""
    with step("client"):
        authentic = _client(asked.parameters)
    with step("answer"):
        uri = request.response_uri(authentic)
        if f"{request.REDIRECT_URI}{uri}" != authentic.client_id:
            raise Refused(Code.INVALID_REQUEST, "the answer would go elsewhere than to the client")
    with step("key"):
        metadata = request.client_metadata(authentic.claims)
        key, enc = request.encryption(metadata)
    with step("nonce"):
        nonce, state = request.fresh_nonce(authentic), request.state_of(authentic.claims)
        if len(nonce) < request.MIN_NONCE:
            raise Refused(Code.WRONG_NONCE, "the request has no fresh nonce")
    if "transaction_data" in authentic.claims:
        raise Refused(Code.OVER_ASKING, "nobody unknown has anything authorized", step="transaction")
    query, _, _ = request.wanted(authentic, metadata)
    with step("purpose"):
        listed = _anyones(purposes, authentic.claims.get("mapae_purpose"))
        _must_be_exactly(listed, query)
    purpose = Purpose(
        id=listed.id, name=listed.name, why=listed.why, legal_basis=listed.legal_basis, items=listed.items,
        retention=listed.retention,
    )  # fmt: skip
    way = DirectPost(uri)
    return Request(authentic.client_id, authentic.party, purpose, way, nonce, state, query, key, enc, ())


def _client(parameters: Mapping[str, str]) -> Authentic:
    """The address is the name. What is JSON in a link is read here, once."""
    client_id = parameters.get("client_id", "")
    uri = client_id.removeprefix(request.REDIRECT_URI)
    must_be_safe(uri)
    claims: dict[str, Any] = dict(parameters)
    for name in _JSON:
        if name in claims:
            claims[name] = decode_json(claims[name])
    claims.setdefault("response_uri", uri)  # section 5.9.3 lets it be left out
    host = urlsplit(uri).netloc
    return Authentic(claims, client_id, Party(client_id, {"": host}, "unknown"))


def _anyones(purposes: PurposesDocument, id: Any) -> Listed:
    purpose = next((one for one in purposes.purposes if one.id == id), None)
    if purpose is None or not purpose.anyone:
        raise Refused(Code.OVER_ASKING, "without a signature only what anyone may ask is answered")
    return purpose


def _must_be_exactly(purpose: Listed, query: Dcql) -> None:
    """One presentation of one document, in either format, with the purpose's items: nothing that could tell more."""
    formats = [one.format for one in query.queries]
    options = [option for wanted in query.sets for option in wanted.options]
    several = len(formats) > 1
    once = len(query.sets) == 1 and query.sets[0].required and all(len(option) == 1 for option in options)
    if len(set(formats)) != len(formats) or (several and not once) or len(query.sets) > 1:
        raise Refused(Code.OVER_ASKING, "more is asked than one answer")
    if not all(_asks_exactly(one, purpose) for one in query.queries):
        raise Refused(Code.OVER_ASKING, "more, or something else, is asked than this purpose allows")


def _asks_exactly(query: Query, purpose: Listed) -> bool:
    """No `values` and no authorities either: whether there is an answer at all would tell more than yes or no."""
    about = purpose.document
    kinds: frozenset[str]
    paths: set[Path]
    if query.format == SD_JWT:
        kinds, paths = frozenset({about.vct}), {(item,) for item in purpose.items}
    elif query.format == MDOC:
        kinds, paths = frozenset({about.doctype}), {(about.namespace, item) for item in purpose.items}
    else:
        return False
    asked = [claim.path for claim in query.claims]
    plain = not any(claim.values or claim.intent_to_retain for claim in query.claims)
    simple = not query.claim_sets and not query.authorities and not query.multiple and query.must_be_bound
    return query.kinds == kinds and len(asked) == len(paths) and set(asked) == paths and plain and simple
