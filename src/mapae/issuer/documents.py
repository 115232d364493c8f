"""One line of the wallet's list of documents. Pure.

Promises: a document says where it is to be had, what to bring, what it costs, and why not, in the pack's words.
Trusts: the eligibility answer. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mapae.catalog import Document
from mapae.errors import Code
from mapae.issuer.eligibility import Eligible, Ineligible


def listed(document: Document, answer: Eligible | Ineligible) -> dict[str, Any]:
    """`state`: available, held, not_eligible or elsewhere."""
    line: dict[str, Any] = {
        "id": document.id,
        "name": msgspec.to_builtins(document.name),
        "description": msgspec.to_builtins(document.description),
        "where": msgspec.to_builtins(document.where),
        "bring": msgspec.to_builtins(document.bring),
        "fee": msgspec.to_builtins(document.fee),
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
