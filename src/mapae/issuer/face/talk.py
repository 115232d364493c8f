"""What the web process and its face worker say to each other: a length, then one message.

Promises: one closed list of questions and one of answers. Trusts: nobody: an answer of a worker that strangers' bytes
have taken over is checked like a stranger's. Keeps: nothing. Refuses: what is too long, what is not one of the list.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from .values import Challenge, FaceOutcome, Frame, ModelId, PhotoReport, Reason

LENGTH: Final = struct.Struct(">I")
LONGEST_QUESTION: Final = 24 << 20  # a record and a burst, each at its own limit, with room
LONGEST_ANSWER: Final = 1 << 20


class Verify(msgspec.Struct, frozen=True, tag="verify"):
    record: bytes
    burst: tuple[Frame, ...]
    challenge: Challenge
    threshold: float


class Read(msgspec.Struct, frozen=True, tag="read"):
    record: bytes


class Judge(msgspec.Struct, frozen=True, tag="judge"):
    photo: bytes


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The first thing a worker says, unasked."""

    model: ModelId


class Unready(msgspec.Struct, frozen=True, tag="unready"):
    why: str


class Verified(msgspec.Struct, frozen=True, tag="verified"):
    outcome: FaceOutcome


class Has(msgspec.Struct, frozen=True, tag="has"):
    """What is in the way of comparing a record; None: nothing."""

    reason: Reason | None


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    report: PhotoReport


class Broke(msgspec.Struct, frozen=True, tag="broke"):
    """Our own bug, without a value in it."""

    kind: str
    where: list[str]


Question = Verify | Read | Judge
Answer = Ready | Unready | Verified | Has | Judged | Broke

write = msgspec.msgpack.Encoder().encode
read_question = msgspec.msgpack.Decoder(Question).decode
_answer = msgspec.msgpack.Decoder(Answer)


def read_answer(raw: bytes) -> Answer:
    """Raises ValueError, whatever it is."""
    try:
        answer: Answer = _answer.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"unreadable: {type(error).__name__}") from None
    return answer


def framed(message: Question | Answer) -> bytes:
    body = write(message)
    return LENGTH.pack(len(body)) + body
