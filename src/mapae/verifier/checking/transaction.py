"""Transaction data: what the holder authorizes together with showing a card (OpenID4VP 1.0 5.1, 8.4 and B.3.3).

Promises: a `Transaction` that exists is of a type we know, complete and exact, and names queries of its question that a
holder can bind. Trusts: nobody. Keeps: the text as it is sent, because hashes are over it. Refuses: other types, a
member too many or too few, an amount or a currency in another spelling, an mdoc or unbound query.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.dcql import SD_JWT, Dcql
from mapae.formats.jose import b64u, decode_json, encode_json, unb64u

PAYMENT: Final = "urn:mapae:transaction:payment:1"
MAX_TRANSACTIONS: Final = 8

_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")  # ISO 4217
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,140}")
_COMMON: Final = frozenset({"type", "credential_ids", "transaction_data_hashes_alg"})
_MUST: Final = {PAYMENT: {"payee": _TEXT, "amount": _AMOUNT, "currency": _CURRENCY}}
_MAY: Final = {PAYMENT: {"reference": _TEXT}}


@dataclass(frozen=True, slots=True)
class Transaction:
    """One object of `transaction_data`. `fields` are those of its type."""

    text: str  # base64url, as it goes into the request
    type: str
    credential_ids: tuple[str, ...]
    fields: Mapping[str, str]

    @classmethod
    def make(cls, type: str, credential_ids: Collection[str], fields: Mapping[str, Any]) -> Transaction:
        """Raises Refused(MALFORMED, UNSUPPORTED)."""
        must, may = _MUST.get(type), _MAY.get(type, {})
        if must is None:
            raise Refused(Code.UNSUPPORTED, "there is no such type of transaction")
        if not must.keys() <= fields.keys() or not fields.keys() <= must.keys() | may.keys():
            raise Refused(Code.MALFORMED, f"a transaction of this type has {', '.join((*must, *may))}")
        for name, value in fields.items():
            if not isinstance(value, str) or not (must | may)[name].fullmatch(value):
                raise Refused(Code.MALFORMED, f"{name} of the transaction is not in its one spelling")
        ids = tuple(dict.fromkeys(credential_ids))
        if not ids:
            raise Refused(Code.MALFORMED, "a transaction names the credential that authorizes it")
        whole = {
            "type": type,
            "credential_ids": list(ids),
            "transaction_data_hashes_alg": ["sha-256"],
            **{name: fields[name] for name in (*must, *may) if name in fields},
        }
        return cls(b64u(encode_json(whole)), type, ids, dict(fields))

    @classmethod
    def parse(cls, text: str) -> Transaction:
        """Of a text made here."""
        whole = decode_json(unb64u(text))
        fields = {name: value for name, value in whole.items() if name not in _COMMON}
        return cls(text, whole["type"], tuple(whole["credential_ids"]), fields)


def must_be_bindable(transactions: tuple[Transaction, ...], query: Dcql) -> None:
    """Every query a transaction names has a holder who signs a key binding. Raises Refused(UNSUPPORTED, MALFORMED)."""
    if len(transactions) > MAX_TRANSACTIONS:
        raise Refused(Code.TOO_LARGE, "too many transactions in one request")
    for transaction in transactions:
        for id in transaction.credential_ids:
            asked = query.query(id)
            if asked is None:
                raise Refused(Code.MALFORMED, "a transaction names a query that is not there")
            # OpenID4VP 1.0 B.2.1: an mdoc would need its own data element in KeyAuthorizations. B.3.3: and a holder.
            if asked.format != SD_JWT or not asked.must_be_bound or asked.multiple:
                raise Refused(Code.UNSUPPORTED, "only one bound SD-JWT VC can authorize a transaction")


def must_be_authorized(transactions: tuple[Transaction, ...], authorized: Collection[str]) -> None:
    """Each transaction once: a second authorization could be taken for a second payment."""
    if sorted(authorized) != sorted(one.text for one in transactions):
        raise Refused(Code.BAD_HOLDER_PROOF, "the holder did not authorize each transaction once")


def to_authorize(
    transactions: tuple[Transaction, ...], id: str, answered: Collection[str]
) -> tuple[tuple[str, ...], ...]:
    """What the presentation for query `id` may authorize: all that name it, or only those no other answer can.

    Section 5.1: of several credentials a transaction names, only one authorizes it, and the wallet chooses which.
    """
    naming = [one for one in transactions if id in one.credential_ids]
    alone = tuple(one.text for one in naming if set(one.credential_ids) & set(answered) == {id})
    whole = tuple(one.text for one in naming)
    return (whole,) if whole == alone else (whole, alone)
