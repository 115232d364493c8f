"""The issuing half of SD-JWT (RFC 9901 4): mark claims as hidden, salt and hash them, leave the rest in the open.

Promises: what `draft` makes, `sd_jwt.SdJwt` opens to the same claims; salts are 144 bits, and each object's
digests are sorted, so neither order nor place says anything. Trusts: `entropy`. Keeps: nothing. Refuses: what nobody
could open again (reserved names, values that are not JSON, a value hidden twice) and, for SD-JWT VC, hiding a claim
that has to be in the open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import pybase64

from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, jws_complete, jws_input

TYP: Final = "dc+sd-jwt"
HASH: Final = "sha-256"  # HAIP 1.0 8: the one hash
# SD-JWT VC draft-13 2.2.2.2, with `aka_vcts` of draft-18 and later: these, and what is inside them, are always in the
# open.
SIGNED_OPEN: Final = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"})
RESERVED: Final = frozenset({"_sd", "...", "_sd_alg"})
_SALT = 18  # bytes: 144 bits, over the 128 of RFC 9901 9.3, and a whole number of base64 characters (24)
_HEAD = 36  # characters of a disclosure up to its salt's end: `["` and the salt and `"` are nine whole blocks
_SCALARS = frozenset({str, int, bool, float, type(None)})
_FILLING = (b"", b"\0\0", b"\0")
_lines = msgspec.json.Encoder().encode_lines


class Hidden(msgspec.Struct, frozen=True):
    """Marks the value of an object's member, or an element of an array, as selectively disclosable. Nests."""

    value: Any
    written: tuple[str, str] | None = None  # the member it is for, and its disclosure from behind the salt


class Draft(msgspec.Struct, frozen=True):
    """All of the credential but the signature."""

    signing_input: bytes
    disclosures: tuple[str, ...]

    def complete(self, signature: bytes) -> str:
        return "~".join((jws_complete(self.signing_input, signature), *self.disclosures, ""))


def hidden(name: str, value: Any) -> Hidden:
    """The value of the member `name`, written once for all the credentials that will say it (RFC 9901 4.2.1)."""
    inside = _Hiding(bytes, 0)
    plain = value if type(value) in _SCALARS else inside.value(value)
    if inside.disclosures or isinstance(value, Hidden):  # what is inside needs salts of its own each time
        raise Refused(Code.LINT, "a value that is written once hides nothing itself")
    return Hidden(value, (name, b64u(b"," + _json([[name, plain]])[1:-1])))


def draft(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, entropy: Callable[[int], bytes], decoys: int = 0
) -> Draft:
    """Salt and hash what is `Hidden`; `decoys` digests of nothing are mixed into each object that hides something."""
    hiding = _Hiding(entropy, decoys)
    payload = hiding.object(claims, SIGNED_OPEN if header.get("typ") == TYP else _NONE)
    if hiding.disclosures:
        payload["_sd_alg"] = HASH
    return Draft(jws_input(header, payload), tuple(hiding.disclosures))


_NONE: Final[frozenset[str]] = frozenset()


class _Hiding:
    """One walk over the claims, from the inside out: what is outside holds the digests of what is inside."""

    __slots__ = ("_decoys", "_entropy", "disclosures")

    def __init__(self, entropy: Callable[[int], bytes], decoys: int) -> None:
        self._entropy, self._decoys = entropy, decoys
        self.disclosures: list[str] = []

    def object(self, claims: Mapping[str, Any], open_: frozenset[str] = _NONE) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        hidden: list[list[Any]] = []
        tails: list[str] = []
        for name, value in claims.items():
            kind = type(value)
            if kind is Hidden:
                if name in open_:
                    raise Refused(Code.LINT, f"{name} may not be selectively disclosable")
                if value.written is not None and value.written[0] == name:
                    tails.append(value.written[1])
                    continue
                value = value.value
                hidden.append(["", name, value if type(value) in _SCALARS else self.value(value)])
            elif kind in _SCALARS:
                shown[name] = value
            else:
                before = len(self.disclosures)
                shown[name] = self.value(value)
                if name in open_ and len(self.disclosures) > before:
                    raise Refused(Code.LINT, f"{name} may not be selectively disclosable")
        if "_sd" in claims or "_sd_alg" in claims or "..." in claims:
            raise Refused(Code.LINT, "a claim has a name that SD-JWT keeps for itself")
        if hidden or tails:
            found = self._salted(tails) if tails else []
            if hidden or self._decoys:
                found += self._digests(hidden, self._decoys)
            # Sorted, so that the order says nothing about the claims (RFC 9901 4.2.4.1).
            shown["_sd"] = sorted(found)
        return shown

    def _salted(self, tails: list[str]) -> list[str]:
        """The disclosures that only lack their salts."""
        salts = b64u(self._entropy(_SALT * len(tails)))
        heads = b64u("".join([f'["{salts[at : at + 24]}"' for at in range(0, len(salts), 24)]).encode())
        made = [heads[at * _HEAD : at * _HEAD + _HEAD] + tail for at, tail in enumerate(tails)]
        self.disclosures += made
        return digests([one.encode() for one in made])

    def value(self, value: Any) -> Any:
        if type(value) in _SCALARS:
            return value
        if type(value) is dict or isinstance(value, Mapping):  # asking an abstract class takes long
            return self.object(value)
        if isinstance(value, list | tuple):
            return self._array(value)
        if isinstance(value, Hidden):
            raise Refused(Code.LINT, "a claim is hidden twice")
        if isinstance(value, str | int | float):  # an enumeration
            return value
        raise Refused(Code.LINT, "a value cannot be written as JSON")

    def _array(self, values: Sequence[Any]) -> list[Any]:
        hidden: list[list[Any]] = []
        shown: list[Any] = []
        for value in values:
            if type(value) is Hidden:
                hidden.append(["", self.value(value.value)])
                shown.append(None)
            else:
                shown.append(self.value(value))
        if hidden:
            made = iter(self._digests(hidden))
            pairs = zip(values, shown, strict=True)
            shown = [{"...": next(made)} if type(old) is Hidden else new for old, new in pairs]
        return shown

    def _digests(self, items: list[list[Any]], decoys: int = 0) -> list[str]:
        """Make the disclosures of one object or array, many at a time: a call into a library costs more than its work.

        The salts are cut from one block of chance and the items written as lines of JSON. Zeros fill each line up to
        whole blocks of base64, so that one call encodes all; what the zeros became is cut off again.
        """
        size = _SALT * len(items)
        raw = self._entropy(size + 32 * decoys)
        salts, at = b64u(raw[:size]), 0
        for item in items:
            item[0] = salts[at : at + 24]
            at += 24
        lines = _json(items).split(b"\n")
        del lines[-1]
        encoded = pybase64.b64encode(b"".join([line + _FILLING[len(line) % 3] for line in lines]), b"-_")
        text, made, at = encoded.decode(), [], 0
        for line in lines:
            length = len(line)
            end = at + (4 * length + 2) // 3
            self.disclosures.append(text[at:end])
            made.append(encoded[at:end])
            at += (length + 2) // 3 * 4
        return digests(made + [raw[at : at + 32] for at in range(size, len(raw), 32)] if decoys else made)


def _json(items: list[list[Any]]) -> bytes:
    """Each item a line, with its end."""
    try:
        return _lines(items)
    except (TypeError, ValueError, OverflowError):  # half a surrogate pair, an integer over 64 bits
        raise Refused(Code.LINT, "a value cannot be written as JSON") from None


def digests(texts: Sequence[bytes]) -> list[str]:
    """Base64url SHA-256 of each. A zero byte fills each hash up to 33, so that one call encodes them all."""
    sha256 = hashlib.sha256
    joined = b64u(b"\0".join([sha256(text).digest() for text in texts]))
    return [joined[at : at + 43] for at in range(0, len(joined), 44)]
