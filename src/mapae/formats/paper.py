"""What the QR code on a temporary certificate says: a signed CBOR Web Token with its signer's certificate.

    MAPAE-PAPER:<base45 of COSE_Sign1>
      protected    {1: -7, 16: "application/temporary-certificate+cwt"}      RFC 9052 3.1, RFC 9596 2
      unprotected  {33: the signer's certificate}                           RFC 9360 2
      payload      {4: until, 6: issued, 65535: status list, 1..5 see below}  RFC 8392 4, Token Status List 14.3

It carries its certificate, so that a checker without a network needs the offline pack and nothing else, and it is in
CBOR and base45, so that it then still fits a QR code of version 25 at level M. It is bound to no key: whoever has the
paper has it, so a checker compares the person with the name, birth date and another document.

Promises: what was read is written again, character by character. Trusts: nobody; the caller finds out whose the
certificate is and verifies. Keeps: nothing. Refuses: any other spelling, member, header or certificate chain.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import base45, cbor, cose
from mapae.formats.jose import PublicKey
from mapae.formats.status import StatusRef

PREFIX: Final = "MAPAE-PAPER:"
TYPE: Final = "application/temporary-certificate+cwt"
LIMIT: Final = 2400  # characters: more than a QR code of version 33 holds
_PROTECTED: Final = cbor.dumps({1: cose.ES256, 16: TYPE})
_EXP, _IAT, _STATUS = 4, 6, 65535
# Private claims (RFC 8392 9.1 leaves -65537 and below to private use), short for the sake of the QR code.
_FOR, _NUMBER, _NAME, _BORN, _MASKED = -70001, -70002, -70003, -70004, -70005
_MEMBERS: Final = frozenset({_EXP, _IAT, _STATUS, _FOR, _NUMBER, _NAME, _BORN, _MASKED})
_LATEST: Final = 253_402_300_800  # where Python's calendar ends


class Paper(Struct, frozen=True, kw_only=True):
    """The claims. `stands_for` is the type (vct) of the card it stands in for until that is handed over."""

    stands_for: str
    number: str
    name: str
    birth_date: date
    number_masked: str
    issued: int
    until: int
    status: StatusRef

    def payload(self) -> bytes:
        return cbor.dumps({
            _EXP: self.until, _IAT: self.issued, _FOR: self.stands_for, _NUMBER: self.number, _NAME: self.name,
            _BORN: self.birth_date.isoformat(), _MASKED: self.number_masked, _STATUS: self.status.claim(),
        })  # fmt: skip

    @classmethod
    def read(cls, payload: bytes) -> Paper:
        claims = cbor.loads(payload, limit=LIMIT, depth=4, deterministic=True)
        if type(claims) is not dict or claims.keys() != _MEMBERS:
            raise Refused(Code.MALFORMED, "the certificate has other members")
        status = StatusRef.parse(claims[_STATUS])
        if claims[_STATUS] != status.claim():
            raise Refused(Code.MALFORMED, "the status has other members")
        issued, until = (_moment(claims[member]) for member in (_IAT, _EXP))
        texts = [_text(claims[member]) for member in (_FOR, _NUMBER, _NAME, _MASKED)]
        if until <= issued:
            raise Refused(Code.MALFORMED, "the certificate ends before it begins")
        return cls(
            stands_for=texts[0], number=texts[1], name=texts[2], birth_date=_day(claims[_BORN]),
            number_masked=texts[3], issued=issued, until=until, status=status,
        )  # fmt: skip


class Signed(Struct, frozen=True):
    """A paper and its seal, taken apart; nothing is verified but by `verify`."""

    paper: Paper
    certificate: bytes
    sealed: cose.Sign1

    @classmethod
    def parse(cls, text: str) -> Signed:
        """What a scanner read. Raises Refused(MALFORMED, TOO_LARGE, UNSUPPORTED)."""
        if len(text) > LIMIT:
            raise Refused(Code.TOO_LARGE, "too long for a certificate's code")
        if not text.startswith(PREFIX):
            raise Refused(Code.MALFORMED, "this is not the code of a temporary certificate")
        raw = base45.decode(text.removeprefix(PREFIX))
        sealed = cose.Sign1.parse(cbor.loads(raw, limit=LIMIT, depth=8, deterministic=True))
        if sealed.protected != _PROTECTED or sealed.unprotected.keys() != {cose.X5CHAIN} or sealed.payload is None:
            raise Refused(Code.MALFORMED, "the seal is of another kind")
        chain = sealed.x5chain
        if len(chain) != 1 or len(sealed.signature) != 64:
            raise Refused(Code.MALFORMED, "the seal has one certificate and one signature")
        return cls(Paper.read(sealed.payload), chain[0], sealed)

    def encode(self) -> str:
        return PREFIX + base45.encode(cbor.dumps(self.sealed.encode()))

    def verify(self, key: PublicKey) -> None:
        """Raises Refused(BAD_SIGNATURE)."""
        self.sealed.verify(key)


def to_be_signed(paper: Paper) -> bytes:
    return cose.to_be_signed(paper.payload(), _PROTECTED)


def complete(paper: Paper, signature: bytes, certificate: bytes) -> Signed:
    return Signed(paper, certificate, cose.Sign1(_PROTECTED, {cose.X5CHAIN: certificate}, paper.payload(), signature))


def _text(value: Any) -> str:
    """One line that may be shown as it is."""
    if type(value) is not str or not 1 <= len(value) <= 200 or not value.isprintable():
        raise Refused(Code.MALFORMED, "a member is not a short text")
    return value


def _moment(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LATEST:
        raise Refused(Code.MALFORMED, "a member is not a moment")
    return value


def _day(value: Any) -> date:
    try:
        day = date.fromisoformat(value) if type(value) is str else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise Refused(Code.MALFORMED, "the birth date is not YYYY-MM-DD")
    return day
