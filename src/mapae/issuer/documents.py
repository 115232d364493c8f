"""One line of the wallet's list of documents. Pure.

Promises: a document says where it is to be had, what to bring, what it costs, and why not, in the pack's words; and,
where it is issued here, under which configurations and how long before its end a new one may be asked for, so that a
wallet can say so in time. `renewal_days` is null where the pack has no such window. `paths` are the ways to it: the
counter, and the chip of the physical card where the pack has such a card.
Trusts: the eligibility answer. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mapae.catalog import Document
from mapae.errors import Code
from mapae.issuer.eligibility import Eligible, Ineligible


def listed(document: Document, answer: Eligible | Ineligible, *, chip: bool) -> dict[str, Any]:
    """`state`: available, held, not_eligible or elsewhere."""
    line: dict[str, Any] = {
        "id": document.id,
        "name": msgspec.to_builtins(document.name),
        "description": msgspec.to_builtins(document.description),
        "where": msgspec.to_builtins(document.where),
        "bring": msgspec.to_builtins(document.bring),
        "fee": msgspec.to_builtins(document.fee),
        "paths": ["counter", "chip"] if chip and document.issued_here else ["counter"],
        "configurations": configurations(document),
        "renewal_days": document.validity.renewal_days if document.validity else None,
        "state": "available",
        "detail": "",
    }
    if not document.issued_here:
        return {**line, "state": "elsewhere"}
    match answer:
        case Eligible():
            return line
        case Ineligible(code=Code.ALREADY_HOLDS):
            return {**line, "state": "held"}
        case Ineligible():
            return {**line, "state": "not_eligible", "reason": answer.code.value, "detail": answer.detail}


def configurations(document: Document) -> list[str]:
    """The credential configurations this document is issued under."""
    if document.formats is None:
        return []
    return [format.configuration_id for format in (document.formats.sd_jwt, document.formats.mdoc) if format]
