"""The issuer as the terminal at the other end of a line: what a helper may say, in which order, and how long.

Promises: the numbered steps of `Remote.serve` in their order, each message once; the PIN never comes here; from step 5
on the helper only carries sealed commands it cannot read or change. Trusts: `Proof` for what a chip proves; nothing a
helper says. Keeps: nothing; the chip's files live as long as the line. Refuses: a message out of its order, a second
helper, a chip or a helper that is slow: the session fails and the wallet may open another.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, Literal, Protocol

import msgspec

from mapae.catalog import Country
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, unb64u
from mapae.issuer.tap.sessions import Taps
from mapae.issuer.tap.values import Read, Session
from mapae.ui.line import HungUp, Wire

VERSION: Final = 1
HELLO_WITHIN: Final = 10.0  # seconds a line may be open without a secret
COMMAND_WITHIN: Final = 10.0  # and for one command, there and back, whatever the session has left
COMMANDS: Final = 400  # more than any card of the profile needs; a chip cannot keep us busy for ever
LONGEST_ANSWER: Final = 4096
_TOLD: Final = (Code.CHIP_PIN_WRONG, Code.CHIP_SUSPENDED, Code.CHIP_BLOCKED, Code.CHIP_NOT_ACTIVE, Code.UNAVAILABLE)


class Hello(msgspec.Struct, frozen=True):
    type: Literal["hello"]
    version: int
    secret: str


class Shown(msgspec.Struct, frozen=True):
    """What the helper read under its own channel; `stopped` instead when the card let nobody in."""

    type: Literal["card", "stopped"]
    card_access: str = ""
    sod: str = ""
    dg14: str = ""
    code: str = ""


class Authenticated(msgspec.Struct, frozen=True):
    """The chip took our key; that it has its own shows in the first answer it gives to us."""

    type: Literal["authenticated"]


class Answer(msgspec.Struct, frozen=True):
    type: Literal["answer"]
    n: int
    apdu: str


class Proof(Protocol):
    """One chip, once: passive authentication, chip authentication, and reading it under the new channel."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of EF.SOD."""
        ...

    @property
    def key_hash(self) -> bytes:
        """SHA-256 of the chip's public key."""
        ...

    @property
    def point(self) -> bytes:
        """Our ephemeral public key for this chip."""
        ...

    def talk(self) -> Generator[bytes, bytes, Read]:
        """Once the chip has our key: commands out, answers in, and at last what was read. Raises Refused(CHIP_REFUSED)
        naming the step."""
        ...


class Prover(Protocol):
    async def begin(self, card_access: bytes, sod: bytes, dg14: bytes) -> Proof:
        """Passive authentication of what the helper says it read. Raises Refused(CHIP_REFUSED) naming the step."""
        ...


class Remote:
    def __init__(self, taps: Taps, prover: Prover, clock: Clock, country: Country) -> None:
        self._taps, self._prover, self._clock, self._country = taps, prover, clock, country

    async def serve(self, wire: Wire) -> None:
        """1 the secret  2 who asks, for the person to compare  3 the card is shown  4 our key for its chip  5 the chip
        answers under the new channel  6 everything is read again, by us. Whatever ends it early ends the session."""
        hello = await wire.hear(Hello, within=HELLO_WITHIN)  # 1
        if hello.version != VERSION:
            raise Refused(Code.UNSUPPORTED, f"this issuer speaks version {VERSION}: update the helper", step="version")
        session = await self._taps.take(hello.secret)
        try:
            await self._tap(wire, session)
        except Refused as refused:
            await self._taps.fail(session, refused.code, refused.step or "message")
            raise
        except BaseException:  # gone, cancelled or our own bug: the session must not outlive its line
            await self._taps.fail(session, Code.UNAVAILABLE, "helper")
            raise

    async def _tap(self, wire: Wire, session: Session) -> None:
        await wire.say({"type": "ready", **self._asks(session)})  # 2
        shown = await wire.hear(Shown, within=self._left(session))  # 3
        if shown.type == "stopped":
            code = next((code for code in _TOLD if code.value == shown.code), Code.CHIP_REFUSED)
            raise Refused(code, "the card let nobody in", step="card")
        proof = await self._prover.begin(*(_bytes(part) for part in (shown.card_access, shown.sod, shown.dg14)))
        session = await self._taps.show(session, proof.digest, proof.key_hash)
        await wire.say({"type": "authenticate", "point": b64u(proof.point)})  # 4
        await wire.hear(Authenticated, within=self._left(session))
        read = await self._relayed(wire, session, proof.talk())  # 5 and 6
        await self._taps.prove(session, read)
        await wire.say({"type": "done"})

    async def _relayed(self, wire: Wire, session: Session, talk: Generator[bytes, bytes, Read]) -> Read:
        """Our commands to the chip, its answers to us, one at a time and numbered."""
        try:
            command = next(talk)
            for n in range(1, COMMANDS + 1):
                await wire.say({"type": "apdu", "n": n, "apdu": b64u(command)})
                said = await wire.hear(Answer, within=min(COMMAND_WITHIN, self._left(session)))
                if said.n != n:
                    raise Refused(Code.MALFORMED, "this answers another command", step="order")
                self._left(session)
                command = talk.send(_bytes(said.apdu, LONGEST_ANSWER))
        except StopIteration as end:
            read: Read = end.value
            return read
        finally:
            talk.close()
        raise Refused(Code.CHIP_REFUSED, "the chip wants too many commands", step="read")

    def _asks(self, session: Session) -> dict[str, Any]:
        """Who asks and what for: what somebody who was sent a link must be able to see before typing a PIN."""
        document = self._country.documents[session.kind]
        named = {
            language: f"{self._country.name.pick(language)} · {document.name.pick(language)}"
            for language in ("ko", "en")
        }
        left = int(self._left(session))
        return {"for": named | {"new_phone": session.waiting}, "code": session.code, "expires_in": left}

    def _left(self, session: Session) -> float:
        left = session.deadline() - self._clock.now().timestamp()
        if left <= 0:
            raise Refused(Code.SESSION_SPENT, "the time of this session is over", step="time")
        return left


def _bytes(text: str, longest: int = 65536) -> bytes:
    """Base64url. Raises Refused(MALFORMED, TOO_LARGE)."""
    raw = unb64u(text)
    if len(raw) > longest:
        raise Refused(Code.TOO_LARGE, "that is longer than any card answers", step="message")
    return raw


__all__ = ["HungUp", "Proof", "Prover", "Remote"]
