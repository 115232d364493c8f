"""What a wallet keeps, and where.

Promises: `save` is all or nothing, so that a wallet killed at any line opens again in the state it saved last. Trusts:
the caller for the passphrase of a file. Keeps: the device key's name, client keys, orders under way, cards with their
one-time copies, and the history of what was shown. Refuses: a file of another passphrase, a changed file, a state
written by a newer version.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mapae.clock import SystemDice
from mapae.errors import Code, Refused
from mapae.keys import Vault

VERSION: Final = 1
_CONTEXT: Final = b"mapae holder state"

Standing = Literal["listed", "anchored", "unknown"]
"""How far somebody is trusted: on the country's list, under an authority the wallet's owner named, or not at all."""


class Copy(msgspec.Struct):
    """One of the identical credentials of a batch: its own key, salts and status index, shown once."""

    id: str
    key: str  # empty: bound to no key
    raw: str
    expires: int
    status_uri: str  # empty: its issuer keeps no status of it
    status_index: int
    used: int = 0  # when it left for a verifier; 0: never


class Card(msgspec.Struct):
    """A document in one format."""

    id: str
    order: str
    issuer: str
    configuration: str
    format: str  # dc+sd-jwt or mso_mdoc
    kind: str  # vct or doctype
    name: dict[str, str]  # by language, as the issuer's metadata says
    received: int
    copies: list[Copy]
    identifier: str | None = None  # of the dataset, when the issuer holds several of one configuration
    standing: Standing = "listed"  # how far its issuer is trusted
    reusable: bool = False  # its issuer gives one copy at a time: it is shown again, and can be recognized


class Task(msgspec.Struct):
    """One credential dataset of an order. wanted -> (deferred ->) received -> told."""

    configuration: str
    stage: Literal["wanted", "deferred", "received", "told"] = "wanted"
    keys: list[str] = []
    notification: str | None = None
    identifier: str | None = None  # credential_identifier, when the token response named one
    transaction: str | None = None  # deferred: how to ask for it
    not_before: int = 0  # deferred: when to ask next


class Order(msgspec.Struct):
    """An offer we accepted. It outlives its first batch: the refresh token fetches the next one."""

    id: str
    issuer: str
    server: str  # the authorization server's issuer identifier
    dpop_key: str
    code: str | None
    tx_code: str | None
    created: int
    tasks: list[Task]
    access_token: str | None = None
    token_until: int = 0
    refresh_token: str | None = None
    bearer: bool = False  # the token is not bound to dpop_key; only strangers' servers do that
    anonymous: bool = False  # the token was given without a client_id (OpenID4VCI 1.0 6.1)
    # The authorization code flow: from the request that was pushed to the code that came back.
    issuer_state: str | None = None
    redirect_uri: str | None = None
    state: str | None = None  # until the redirect is back
    verifier: str | None = None
    url: str | None = None  # where the person signs in


class Shown(msgspec.Struct):
    """A line of the history. Who asked, for what, what was sent."""

    id: str
    at: int
    relying_party: str
    name: dict[str, str]
    purpose: str
    purpose_name: dict[str, str]
    items: list[str]
    cards: list[str]
    outcome: Literal["sending", "sent", "refused", "failed", "unknown"]
    redirect_uri: str | None = None
    standing: Standing = "listed"
    payments: list[str] = []  # what was authorized with it


class Attested(msgspec.Struct):
    """The client key we show one authorization server, and its current attestation."""

    key: str
    token: str | None = None
    until: int = 0


class State(msgspec.Struct):
    version: int = VERSION
    keys: dict[str, bytes] = {}  # private scalars, when the wallet holds its keys itself
    trust_key: dict[str, str] | None = None
    trust_list: tuple[bytes, int] | None = None  # the last good one, signed, and when (seconds) it came
    purposes: bytes | None = None  # the last good document of what may be asked, signed
    device_key: str | None = None
    device_id: str | None = None
    assertion: str | None = None  # between the SMS code and the registration's answer
    person_name: str | None = None
    clients: dict[str, Attested] = {}
    orders: dict[str, Order] = {}
    cards: dict[str, Card] = {}
    history: list[Shown] = []


def pack(state: State) -> bytes:
    return msgspec.msgpack.encode(state)


def unpack(raw: bytes) -> State:
    try:
        state = msgspec.msgpack.decode(raw, type=State)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Refused(Code.BAD_CONFIG, "the wallet's state cannot be read") from None
    if state.version > VERSION:
        raise Refused(Code.BAD_CONFIG, "the wallet's state was written by a newer version")
    return state


class Store(Protocol):
    """Where the state lies."""

    def load(self) -> bytes | None: ...

    def save(self, raw: bytes) -> None: ...


class MemoryStore:
    """Keeps bytes, not objects: a second Wallet over the same store sees what a restart would see."""

    def __init__(self) -> None:
        self._raw: bytes | None = None

    def load(self) -> bytes | None:
        return self._raw

    def save(self, raw: bytes) -> None:
        self._raw = raw


class FileStore:
    """One file, sealed with AES-256-GCM under a key that scrypt makes from the passphrase."""

    def __init__(self, path: Path, passphrase: bytes) -> None:
        self._path = path
        self._passphrase = passphrase
        self._salt = b""
        self._vault: Vault | None = None

    def load(self) -> bytes | None:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return self._open(raw[:16]).open(raw[16:], _CONTEXT)

    def save(self, raw: bytes) -> None:
        vault = self._vault or self._open(SystemDice().bytes(16))
        draft = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._salt + vault.seal(raw, _CONTEXT))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _open(self, salt: bytes) -> Vault:
        self._salt = salt
        self._vault = Vault(Scrypt(salt, length=32, n=2**15, r=8, p=1).derive(self._passphrase))
        return self._vault
