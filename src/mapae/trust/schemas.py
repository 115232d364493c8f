"""The schema of each type of credential, as the log names it: what it is called and which items it has. Pure.

Promises: the same pack gives the same bytes; for an SD-JWT VC they are its type metadata (draft-ietf-oauth-sd-jwt-vc
section 6), for an mdoc the same told of its doctype and namespace. Trusts: the pack. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mapae.catalog import Claim, Country
from mapae.rules import Words

MEDIA: Final = "application/json"


def schemas(country: Country) -> Mapping[str, bytes]:
    """By vct and by doctype. A type whose schema changes is another type: the log takes one schema for each name."""
    made: dict[str, bytes] = {}
    for document in country.documents.values():
        if document.formats is None:
            continue
        if (sd_jwt := document.formats.sd_jwt) is not None:
            made[sd_jwt.vct] = _written({
                "vct": sd_jwt.vct, "name": document.name.en, "display": _names(document.name, "name"),
                "claims": [_claim(claim, [claim.name]) | {"sd": "always"} for claim in document.claims],
            })  # fmt: skip
        if (mdoc := document.formats.mdoc) is not None:
            made[mdoc.doctype] = _written({
                "doctype": mdoc.doctype, "name": document.name.en, "display": _names(document.name, "name"),
                "claims": [_claim(claim, [mdoc.namespace, claim.name]) for claim in document.claims],
            })  # fmt: skip
    return made


def _claim(claim: Claim, path: list[str]) -> dict[str, Any]:
    return {"path": path, "display": _names(claim.label, "label"), "mapae_kind": claim.kind}


def _names(words: Words, member: str) -> list[dict[str, str]]:
    return [{"locale": "ko", member: words.ko}, {"locale": "en", member: words.en}]


def _written(said: dict[str, Any]) -> bytes:
    return msgspec.json.encode(said, order="sorted")
