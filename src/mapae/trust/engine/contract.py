"""TrustLog as bytes: calls in, events out. The other half is TrustLog.vy, and TrustLog.json what that compiles to.

Promises: an act becomes the call of the same name with the same words; what is read back has the contract's one
spelling. Trusts: the artefact that ships with mapae. Keeps: nothing. Refuses: an answer of another shape, as
UNAVAILABLE: the node that gave it is of no use now, and another one may do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import LARGEST, WORD, Log, words
from mapae.trust.log.tree import Head

ERROR: Final = bytes.fromhex("08c379a0")  # the selector of Error(string), which a revert with a reason begins with
REASON_LIMIT: Final = 64
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")


class Artefact(msgspec.Struct, frozen=True):
    source: str
    source_sha256: str
    compiler: str
    selectors: dict[str, str]
    topics: dict[str, str]
    abi: list[dict[str, Any]]
    bytecode: str
    runtime_bytes: int


class Appended(msgspec.Struct, frozen=True):
    """One entry as the network's nodes hand it out."""

    log: Log
    index: int
    statement: bytes
    entry: bytes
    block: int


class Genesis(msgspec.Struct, frozen=True):
    """What the contract begins with: governors as (address, voice)."""

    governors: tuple[tuple[bytes, bytes], ...]
    threshold: int
    delay: int
    document: bytes
    statement: bytes


@cache
def artefact() -> Artefact:
    return msgspec.json.decode(Path(__file__).with_name("TrustLog.json").read_bytes(), type=Artefact)


# --- what is sent ---------------------------------------------------------------------------------------------------


def call(name: str, *values: int | bytes) -> bytes:
    """Every argument of every call is one word, so that no more of the ABI is needed."""
    return bytes.fromhex(artefact().selectors[name][2:]) + words(*values)


def call_of(act: Act) -> bytes:
    return call(act.NAME, *(getattr(act, name) for name in act.WIDTHS))


def deployment(genesis: Genesis) -> bytes:
    """The contract's code and its constructor's arguments: two arrays, which stand behind the six words."""
    count = len(genesis.governors)
    addresses = words(count, *(address for address, _ in genesis.governors))
    voices = words(count, *(voice for _, voice in genesis.governors))
    first = 6 * WORD
    plain = words(
        first, first + len(addresses), genesis.threshold, genesis.delay, genesis.document, genesis.statement
    )  # fmt: skip
    return bytes.fromhex(artefact().bytecode[2:]) + plain + addresses + voices


def topics(log: Log | None = None, indices: Sequence[int] | None = None, statement: bytes | None = None) -> list[Any]:
    """A filter for eth_getLogs; None: any."""
    return [
        artefact().topics["Appended"],
        None if log is None else hexed(words(log)),
        None if indices is None else [hexed(words(index)) for index in indices],
        None if statement is None else hexed(statement),
    ]


# --- what comes back ------------------------------------------------------------------------------------------------


def hexed(raw: bytes) -> str:
    return "0x" + raw.hex()


def unhexed(value: Any, length: int | None = None) -> bytes:
    """Bytes as JSON-RPC spells them."""
    try:
        if not isinstance(value, str) or value[:2] != "0x":
            raise ValueError
        raw = bytes.fromhex(value[2:])
    except ValueError:
        raise _unreadable() from None
    if 2 * len(raw) != len(value) - 2 or length not in (None, len(raw)):  # fromhex skips spaces
        raise _unreadable()
    return raw


def number(value: Any) -> int:
    """A quantity as JSON-RPC spells it."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise _unreadable()
    return int(value[2:], 16)


def head(answer: Any) -> Head:
    raw = unhexed(answer, 2 * WORD)
    return Head(int.from_bytes(raw[:WORD], "big"), raw[WORD:])


def truth(answer: Any) -> bool:
    return unhexed(answer, WORD) == words(1)


def appended(event: Any) -> Appended:
    """An event as eth_getLogs gives it. That the entry is what the topics say is looked at here, its rules later."""
    if not isinstance(event, Mapping):
        raise _unreadable()
    told = event.get("topics")
    if not isinstance(told, list) or len(told) != 4 or told[0] != artefact().topics["Appended"]:
        raise _unreadable()
    log, index, statement = (unhexed(topic, WORD) for topic in told[1:])
    data = unhexed(event.get("data"))
    length = int.from_bytes(data[WORD : 2 * WORD], "big")
    entry = data[2 * WORD : 2 * WORD + length] if length <= LARGEST else b""
    # ABI: where the bytes begin, how many, the bytes; an entry is whole words, so nothing fills it up.
    if data != words(WORD, length) + entry or entry[:WORD] != index or entry[4 * WORD : 5 * WORD] != statement:
        raise _unreadable()
    if log not in (words(Log.REGISTRY), words(Log.ANCHORS)) or event.get("removed") is True:
        raise _unreadable()
    place = int.from_bytes(index, "big")
    return Appended(Log(log[-1]), place, statement, entry, number(event.get("blockNumber")))


def reason(data: bytes) -> str | None:
    """The name of the rule in what a revert returned; None when it named none."""
    length = int.from_bytes(data[4 + WORD : 4 + 2 * WORD], "big")
    text = data[4 + 2 * WORD :][:length] if length <= REASON_LIMIT else b""
    if data[:4] != ERROR or not text or not text.isascii() or not text.replace(b" ", b"").replace(b"_", b"").isalnum():
        return None
    return text.decode()


def _unreadable() -> Refused:
    return Refused(Code.UNAVAILABLE, "the ledger's node answered something unreadable; try again, or another node")
