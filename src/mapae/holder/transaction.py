"""What a verifier wants the holder to authorize with her signature: OpenID4VP 1.0 section 8.4. Pure.

Promises: a `Transaction` is of a type this wallet knows, has every field of it and no other, and names a credential
that was asked for. Trusts: nothing. Keeps: nothing. Refuses: with INVALID_TRANSACTION_DATA, whatever else section 8.5
lists under that name. The one type we know is `urn:mapae:transaction:payment:1`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.dcql import SD_JWT, Dcql
from mapae.formats.jose import decode_json, unb64u

PAYMENT: Final = "urn:mapae:transaction:payment:1"
MAX_TRANSACTIONS: Final = 8
MAX_RAW: Final = 8192
_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,4})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")  # ISO 4217
_ABOUT: Final = frozenset({"type", "credential_ids", "transaction_data_hashes_alg"})


@dataclass(frozen=True, slots=True)
class Payment:
    """So much to this payee."""

    payee: str
    amount: str
    currency: str
    reference: str | None


@dataclass(frozen=True, slots=True)
class Transaction:
    raw: str  # as it came: the hash is over this text (B.3.3.1)
    credential_ids: tuple[str, ...]  # one of these authorizes it
    payment: Payment


def read_all(raw: Any, query: Dcql) -> tuple[Transaction, ...]:
    """The request's `transaction_data`."""
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_TRANSACTIONS:
        raise _invalid("transaction_data is a short list")
    return tuple([_read(item, query) for item in raw])


def _read(raw: Any, query: Dcql) -> Transaction:
    if not isinstance(raw, str) or len(raw) > MAX_RAW:
        raise _invalid("a transaction is a text of bounded length")
    try:
        data = decode_json(unb64u(raw))
    except Refused:
        raise _invalid("a transaction is base64url of a JSON object") from None
    if data.get("type") != PAYMENT:
        raise _invalid("this wallet does not know this type of transaction")
    algorithms = data.get("transaction_data_hashes_alg", ["sha-256"])
    if not isinstance(algorithms, list) or "sha-256" not in algorithms:
        raise _invalid("a transaction is hashed with sha-256")
    return Transaction(raw, _credentials(data.get("credential_ids"), query), _payment(data))


def _credentials(ids: Any, query: Dcql) -> tuple[str, ...]:
    if not isinstance(ids, list) or not ids or not all(isinstance(id, str) for id in ids):
        raise _invalid("a transaction names the credentials that may authorize it")
    asked = [query.query(id) for id in ids]
    for one in asked:
        if one is None:
            raise _invalid("a transaction names a credential nobody asked for")
        # B.3.3: a key must sign. B.2.1: an mdoc needs a data element its issuer authorized, and ours authorize none.
        if not one.must_be_bound or one.format != SD_JWT:
            raise _invalid("this credential cannot authorize a transaction")
    return tuple(ids)


def _payment(data: Mapping[str, Any]) -> Payment:
    names = ("payee", "amount", "currency", "reference")
    if data.keys() - _ABOUT - {*names}:
        raise _invalid("a payment has fields this type does not have")
    payee, amount, currency, reference = (data.get(name) for name in names)
    if not isinstance(payee, str) or not 1 <= len(payee) <= 140 or not payee.isprintable():
        raise _invalid("a payment names its payee")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise _invalid("an amount is a decimal number in a text")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise _invalid("a currency has three letters")
    if "reference" in data and not (
        isinstance(reference, str) and 1 <= len(reference) <= 140 and reference.isprintable()
    ):
        raise _invalid("a reference is a short text")
    return Payment(payee, amount, currency, reference)


def _invalid(why: str) -> Refused:
    return Refused(Code.INVALID_TRANSACTION_DATA, why)
