"""Transaction data (OpenID4VP 1.0 8.4, 8.5): whatever is not exactly a payment is `invalid_transaction_data`."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats import dcql
from mapae.formats.jose import b64u, encode_json
from mapae.holder.transaction import MAX_TRANSACTIONS, PAYMENT, Payment, read_all

QUERY = dcql.parse({
    "credentials": [
        {"id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:card"]}},
        {"id": "m", "format": "mso_mdoc", "meta": {"doctype_value": "kr.card"}},
        {"id": "loose", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:card"]},
         "require_cryptographic_holder_binding": False},
    ]
})  # fmt: skip


def raw(**changes: Any) -> str:
    made = {
        "type": PAYMENT,
        "credential_ids": ["card"],
        "payee": "Maru",
        "amount": "12.50",
        "currency": "KRW",
        **changes,
    }
    return b64u(encode_json({name: value for name, value in made.items() if value is not None}))


def test_a_payment_is_read_and_its_text_kept() -> None:
    (one,) = read_all([raw(reference="table 4", transaction_data_hashes_alg=["sha-384", "sha-256"])], QUERY)
    assert (one.payment, one.credential_ids) == (Payment("Maru", "12.50", "KRW", "table 4"), ("card",))
    assert one.raw == raw(reference="table 4", transaction_data_hashes_alg=["sha-384", "sha-256"])
    assert read_all([raw(amount="0.0001"), raw(amount="7")], QUERY)[1].payment.reference is None


@pytest.mark.parametrize(
    "data",
    [
        None, [], "e30", {}, [1], ["%"], [b64u(b"[]")], [b64u(b"{")], [raw()] * (MAX_TRANSACTIONS + 1), ["a" * 9000],
        [raw(), raw(type="urn:other")],  # one that is not known is enough
        [raw(type=None)], [raw(type="urn:mapae:transaction:payment:2")], [raw(type=1)],
        [raw(credential_ids=None)], [raw(credential_ids=[])], [raw(credential_ids="card")], [raw(credential_ids=[1])],
        [raw(credential_ids=["other"])], [raw(credential_ids=["card", "other"])],
        [raw(credential_ids=["m"])], [raw(credential_ids=["loose"])],  # B.2.1, B.3.3
        [raw(payee=None)], [raw(payee="")], [raw(payee=1)], [raw(payee="a\nb")], [raw(payee="x" * 141)],
        [raw(amount=None)], [raw(amount=12.5)], [raw(amount="12,50")], [raw(amount="-1")], [raw(amount="1e3")],
        [raw(amount="012")], [raw(amount="1.")], [raw(amount="")], [raw(amount="١")],
        [raw(currency=None)], [raw(currency="won")], [raw(currency="KR")],
        [raw(reference="")], [raw(reference=7)], [raw(reference="\u202etxt")], [raw(tip="1")],
        [raw(transaction_data_hashes_alg=[])], [raw(transaction_data_hashes_alg=["sha-512"])],
        [raw(transaction_data_hashes_alg="sha-256")],
    ],
)  # fmt: skip
def test_whatever_else_is_refused_by_its_own_name(data: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_all(data, QUERY)
    assert refused.value.code is Code.INVALID_TRANSACTION_DATA
