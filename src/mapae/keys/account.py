"""An account on an EVM network: a secp256k1 key that signs transactions and nothing else.

Promises: `sign` gives a transaction as the network takes it; the key is not given back. Trusts: eth-account (the extra
`mapae[evm]`) for the encoding and the signature. Keeps: nothing. Refuses: to be made without that extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from mapae.errors import Code, Refused


class Account:
    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        try:
            from eth_account import Account as EthAccount
        except ImportError:
            raise Refused(
                Code.BAD_CONFIG, "an account on an EVM network needs eth-account: pip install 'mapae[evm]'"
            ) from None
        self._key = EthAccount.from_key(secret)
        self.address = bytes.fromhex(self._key.address[2:])

    def sign(self, transaction: Mapping[str, Any]) -> bytes:
        return bytes(self._key.sign_transaction(dict(transaction)).raw_transaction)


def new_secret() -> bytes:
    return ec.generate_private_key(ec.SECP256K1()).private_numbers().private_value.to_bytes(32, "big")
