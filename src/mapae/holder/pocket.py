"""What every part of the wallet reaches into: state, keys, time, chance.

Promises: nothing is sent before what it needs on a restart has been saved. Trusts: its store. Keeps: the state in
memory and, after `save`, in the store. Refuses: a key it does not have.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from mapae.clock import Clock, Dice
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing
from mapae.keys import KeyStore, Signer

from .store import State, Store, pack, unpack


class Keys(Protocol):
    """Where the holder's private keys live."""

    def create(self) -> str:
        """A new P-256 key; its name."""
        ...

    def signer(self, name: str) -> Signing: ...

    def drop(self, name: str) -> None: ...


class OwnKeys:
    """Keys inside the wallet's own state, for tests and load."""

    def __init__(self, state: State, dice: Dice) -> None:
        self._state = state
        self._dice = dice
        self._signers: dict[str, Signer] = {}

    def create(self) -> str:
        name = self._dice.token(12)
        key = ec.generate_private_key(ec.SECP256R1())
        self._state.keys[name] = key.private_numbers().private_value.to_bytes(32, "big")
        self._signers[name] = Signer(key)
        return name

    def signer(self, name: str) -> Signer:
        if name not in self._signers:
            scalar = self._state.keys.get(name)
            if scalar is None:
                raise Refused(Code.BAD_CONFIG, "the wallet no longer has this key")
            self._signers[name] = Signer(ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1()))
        return self._signers[name]

    def drop(self, name: str) -> None:
        self._state.keys.pop(name, None)
        self._signers.pop(name, None)


class StoredKeys:
    """Keys in a KeyStore, under `file:<prefix>-<n>`. A dropped key's file stays; the store has no way to delete."""

    def __init__(self, keystore: KeyStore, dice: Dice, prefix: str = "holder") -> None:
        self._keystore = keystore
        self._dice = dice
        self._prefix = prefix

    def create(self) -> str:
        uri = f"file:{self._prefix}-{self._dice.bytes(8).hex()}"
        self._keystore.create(uri)
        return uri

    def signer(self, name: str) -> Signer:
        return self._keystore.signer(name)

    def drop(self, name: str) -> None:
        """Nothing to do."""


class Pocket:
    def __init__(self, store: Store, clock: Clock, dice: Dice, keys: Keys | None) -> None:
        raw = store.load()
        self._store = store
        self._clock = clock
        self.dice = dice
        self.state = State() if raw is None else unpack(raw)
        self.keys: Keys = keys if keys is not None else OwnKeys(self.state, dice)

    def now(self) -> datetime:
        return self._clock.now()

    def at(self) -> int:
        return int(self._clock.now().timestamp())

    def save(self) -> None:
        self._store.save(pack(self.state))

    def erase_cards(self) -> None:
        """The phone was reported lost or has ended: cards, tokens and their keys go; the history stays."""
        state = self.state
        dead = {copy.key for card in state.cards.values() for copy in card.copies}
        for order in state.orders.values():
            dead |= {order.dpop_key, *(key for task in order.tasks for key in task.keys)}
        state.cards.clear()
        state.orders.clear()
        for key in dead:
            self.keys.drop(key)
        self.save()
