"""Commands to a card and its answers (ISO/IEC 7816-4 5.1 to 5.6).

Promises: `parse(x).encode() == x` for whatever `parse` takes. Trusts: nobody. Keeps: nothing. Refuses: a length that
is not that of the data, forms outside the seven of ISO/IEC 7816-3 12.1.3, an answer without a status word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from mapae.errors import Code, Refused

SHORT_NE, LONG_NE = 0x100, 0x10000
OK: Final = 0x9000


@dataclass(frozen=True, slots=True)
class Command:
    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int | None = None
    """How many bytes the answer may have at most, 1 to 65,536; None: it has none."""
    extended: bool = False
    """Lengths in the long form. Set by itself where they need it."""

    def __post_init__(self) -> None:
        if len(self.data) > 0xFFFF or (self.ne is not None and not 1 <= self.ne <= LONG_NE):
            raise Refused(Code.TOO_LARGE, "a command is too long for a card")
        if len(self.data) > 0xFF or (self.ne or 0) > SHORT_NE:
            object.__setattr__(self, "extended", True)
        elif not self.data and self.ne is None:  # case 1 has no lengths, and so no form
            object.__setattr__(self, "extended", False)

    @property
    def header(self) -> bytes:
        return bytes((self.cla, self.ins, self.p1, self.p2))

    def encode(self) -> bytes:
        data, ne = self.data, self.ne
        if not self.extended:
            lc = bytes((len(data),)) if data else b""
            return self.header + lc + data + (b"" if ne is None else bytes((ne & 0xFF,)))
        lc = len(data).to_bytes(2, "big") if data else b""
        return self.header + b"\x00" + lc + data + (b"" if ne is None else (ne & 0xFFFF).to_bytes(2, "big"))

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        if len(raw) < 4:
            raise Refused(Code.CHIP_REFUSED, "a command is shorter than its header")
        cla, ins, p1, p2 = raw[:4]
        body = raw[4:]
        if not body:
            return cls(cla, ins, p1, p2)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, b"", body[0] or SHORT_NE)
        if body[0]:
            size, rest, width = body[0], body[1:], 1
        elif len(body) == 3:
            return cls(cla, ins, p1, p2, b"", int.from_bytes(body[1:], "big") or LONG_NE, True)
        else:
            size, rest, width = int.from_bytes(body[1:3], "big"), body[3:], 2
        if not size or len(rest) not in (size, size + width):
            raise Refused(Code.CHIP_REFUSED, "a command's length is not that of its data")
        ne = None if len(rest) == size else int.from_bytes(rest[size:], "big") or (SHORT_NE if width == 1 else LONG_NE)
        return cls(cla, ins, p1, p2, rest[:size], ne, width == 2)


@dataclass(frozen=True, slots=True)
class Response:
    data: bytes = b""
    sw: int = OK

    def encode(self) -> bytes:
        return self.data + self.sw.to_bytes(2, "big")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        if not 2 <= len(raw) <= LONG_NE + 2:
            raise Refused(Code.CHIP_REFUSED, "an answer has no status word, or is too long")
        return cls(raw[:-2], int.from_bytes(raw[-2:], "big"))
