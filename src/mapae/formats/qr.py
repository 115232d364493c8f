"""Offline codes: what a checker's screen asks (`MAPAE-ASK:`) and what a phone's screen shows (`MAPAE-SHOW:`).

    ask     base45 of CBOR {1: 1, 2: nonce, 3: purpose, 4: [item..], 5: name}      anybody: the name is only a claim
            base45 of COSE_Sign1 over {1: 1, 2: nonce, 3: purpose, 4: [item..], 6?: registration, 7: until}
                                                                                   who is registered
    show    whole  = CBOR {1: 1, 2: format, 3: made at, 4: nonce, 5: purpose, 6: presentation}
            folded = raw DEFLATE (RFC 1951) of whole
            frame  = n, i, first four bytes of SHA-256(folded), the i-th chunk of folded; base45 of each is one code

A presentation is tied to its code: an SD-JWT's key binding names `audience`, the nonce and `made at` as `iat`; an
mdoc's session transcript is [null, null, ["MapaeQrHandover", SHA-256(CBOR [audience, nonce, made at])]]. An answer has
nonce and audience of its ask; a code shown unasked has a nonce of its own and the audience `mapae-qr:open`.

Promises: what was read is written again, byte by byte: `whole` and `raw` have one spelling; unfolding stops at `LIMIT`,
collecting at `MAX_FRAMES`. Pure. Trusts: nobody; who asked and who shows is for the caller to find out. Keeps: of what
a camera sees, frames of at most `MAX_SEQUENCES` codes. Refuses: other members, frames of two codes, a damaged whole,
what unfolds too far.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import base45, cbor, cose
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.formats.jose import PublicKey, b64u, unb64u, unb64u_each

ASK: Final = "MAPAE-ASK:"
SHOW: Final = "MAPAE-SHOW:"
ASK_TYPE: Final = "application/mapae-ask+cbor"  # RFC 9596
OPEN: Final = "mapae-qr:open"  # the audience of a code nobody asked for
NONCE: Final = 16  # bytes

# In seconds: a shown code from the moment it names; how far two clocks may differ; an ask at the checker that made it;
# the furthest that anybody signs an ask ahead.
LIFE: Final = 30
SKEW: Final = 5
ASK_LIFE: Final = 120
ASK_LONGEST: Final = 3 * 86_400

FRAME: Final = 680  # bytes of `folded` in one code at the most: version 18 at level L; measured, see docs/checking.md
ALONE: Final = 2800  # the same for one code that holds everything: version 40 at the most
MAX_FRAMES: Final = 32
LIMIT: Final = 65_536  # bytes of `whole`
MAX_TEXT: Final = 4296  # characters: what a QR code of version 40 holds of this alphabet
MAX_NAME: Final = 60
MAX_ITEMS: Final = 64
MAX_SEQUENCES: Final = 3

_PROTECTED: Final = cbor.dumps({1: cose.ES256, 16: ASK_TYPE})
_SIGN1: Final = b"\xd2"  # RFC 9052 2: tag 18
_VERSION, _NONCE, _PURPOSE, _ITEMS, _NAME, _REGISTRATION, _UNTIL = 1, 2, 3, 4, 5, 6, 7
_FORMAT, _MADE, _SHOWN_NONCE, _SHOWN_PURPOSE, _PRESENTATION = 2, 3, 4, 5, 6
_FORMATS: Final = (SD_JWT, MDOC)
_HEAD: Final = 6  # bytes of a frame before its chunk
_LATEST: Final = 253_402_300_800  # where Python's calendar ends


def audience(raw: bytes) -> str:
    """Whom an answer to the ask with these bytes is for."""
    return "mapae-qr:" + b64u(hashlib.sha256(raw).digest())


def transcript(audience: str, nonce: bytes, made: int) -> bytes:
    """The mdoc's SessionTranscript (ISO/IEC 18013-5 9.1.5.1), with a handover of our own."""
    said = hashlib.sha256(cbor.dumps([audience, nonce, made])).digest()
    return b"\x83\xf6\xf6\x82" + cbor.text("MapaeQrHandover") + cbor.bstr(said)


# --- asking -----------------------------------------------------------------------------------------------------------


class Ask(Struct, frozen=True, kw_only=True):
    """One question of one checker. `name` is what somebody unknown calls itself; a registered party has none, it has a
    `certificate` (DER) and perhaps its `registration` (a compact JWS), and `seal` is what it signed with; after `until`
    (seconds) a photograph of its code is worth nothing any more."""

    nonce: bytes
    purpose: str
    items: tuple[str, ...]
    name: str | None = None
    registration: str | None = None
    until: int | None = None
    certificate: bytes | None = None
    seal: cose.Sign1 | None = None

    @property
    def raw(self) -> bytes:
        """What the code holds."""
        if self.seal is None:
            return self.payload()
        return _SIGN1 + cbor.dumps(self.seal.encode())

    @property
    def audience(self) -> str:
        return audience(self.raw)

    def payload(self) -> bytes:
        members: dict[int, Any] = {
            _VERSION: 1, _NONCE: self.nonce, _PURPOSE: self.purpose, _ITEMS: list(self.items),
            _NAME: self.name, _REGISTRATION: self.registration, _UNTIL: self.until,
        }  # fmt: skip
        return cbor.dumps({label: value for label, value in members.items() if value is not None})

    def to_be_signed(self) -> bytes:
        return cose.to_be_signed(self.payload(), _PROTECTED)

    def sealed(self, signature: bytes, certificate: bytes) -> Ask:
        """The same as a registered party asks it. Raises Refused(LINT) where it never ends."""
        if self.until is None:
            raise Refused(Code.LINT, "a registered party says until when it asks")
        seal = cose.Sign1(_PROTECTED, {cose.X5CHAIN: certificate}, self.payload(), signature)
        return Ask(
            nonce=self.nonce, purpose=self.purpose, items=self.items, registration=self.registration,
            until=self.until, certificate=certificate, seal=seal,
        )  # fmt: skip

    def verify(self, key: PublicKey) -> None:
        """Raises Refused(BAD_SIGNATURE)."""
        assert self.seal is not None
        self.seal.verify(key)

    def in_time(self, now: int) -> None:
        """Whether a registered party still asks this. Raises Refused(PRESENTATION_STALE, MALFORMED)."""
        assert self.until is not None
        if now > self.until + SKEW:
            raise Refused(Code.PRESENTATION_STALE, "the question is over: the code may be a photograph")
        if self.until > now + ASK_LONGEST + SKEW:
            raise Refused(Code.MALFORMED, "nobody asks that far ahead")

    def encode(self) -> str:
        """The text of the code."""
        text = ASK + base45.encode(self.raw)
        if len(text) > MAX_TEXT:
            raise Refused(Code.LINT, "the question does not fit one code")
        return text

    @classmethod
    def parse(cls, text: str) -> Ask:
        """What a camera read. Raises Refused(MALFORMED, TOO_LARGE, UNSUPPORTED)."""
        raw = _unwrapped(text, ASK)
        if not raw.startswith(_SIGN1):
            return _ask(cbor.loads(raw, limit=MAX_TEXT, depth=4, deterministic=True), None)
        seal = cose.Sign1.parse(cbor.loads(raw[1:], limit=MAX_TEXT, depth=4, deterministic=True))
        if seal.protected != _PROTECTED or seal.unprotected.keys() != {cose.X5CHAIN} or seal.payload is None:
            raise Refused(Code.MALFORMED, "the question's seal is of another kind")
        if len(seal.x5chain) != 1 or len(seal.signature) != 64:
            raise Refused(Code.MALFORMED, "the question's seal has one certificate and one signature")
        return _ask(cbor.loads(seal.payload, limit=MAX_TEXT, depth=4, deterministic=True), seal)


def _ask(value: Any, seal: cose.Sign1 | None) -> Ask:
    needed = {_VERSION, _NONCE, _PURPOSE, _ITEMS, _UNTIL if seal is not None else _NAME}
    parts = _members(value, needed, {_REGISTRATION} if seal is not None else set(), "question")
    items = parts[_ITEMS]
    if type(items) is not list or not 1 <= len(items) <= MAX_ITEMS or len(set(map(_line, items))) != len(items):
        raise Refused(Code.MALFORMED, "the items are a list of different names")
    registration = parts.get(_REGISTRATION)
    if registration is not None and (type(registration) is not str or not registration.isascii()):
        raise Refused(Code.MALFORMED, "the registration is no token")
    until = parts.get(_UNTIL)
    if seal is not None and (type(until) is not int or not 0 <= until < _LATEST):
        raise Refused(Code.MALFORMED, "the question does not say until when it is asked")
    return Ask(
        nonce=_nonce(parts[_NONCE]), purpose=_line(parts[_PURPOSE]), items=tuple(items),
        name=_line(parts[_NAME], MAX_NAME) if seal is None else None, registration=registration,
        until=until, certificate=seal.x5chain[0] if seal is not None else None, seal=seal,
    )  # fmt: skip


# --- showing ----------------------------------------------------------------------------------------------------------


class Show(Struct, frozen=True, kw_only=True):
    """One presentation in one code. `format` and `presentation` are as OpenID4VP has them: the compact SD-JWT with its
    key binding, or a DeviceResponse in base64url."""

    format: str
    made: int
    nonce: bytes
    purpose: str
    presentation: str

    def encode(self) -> bytes:
        """`whole`."""
        sd_jwt = self.format == SD_JWT
        return cbor.dumps({
            _VERSION: 1, _FORMAT: _FORMATS.index(self.format), _MADE: self.made, _SHOWN_NONCE: self.nonce,
            _SHOWN_PURPOSE: self.purpose,
            _PRESENTATION: _apart(self.presentation) if sd_jwt else unb64u(self.presentation),
        })  # fmt: skip

    @classmethod
    def parse(cls, whole: bytes) -> Show:
        """Raises Refused(MALFORMED, TOO_LARGE, UNSUPPORTED)."""
        needed = {_VERSION, _FORMAT, _MADE, _SHOWN_NONCE, _SHOWN_PURPOSE, _PRESENTATION}
        parts = _members(cbor.loads(whole, limit=LIMIT, depth=4, deterministic=True), needed, set(), "code")
        format, made, shown = parts[_FORMAT], parts[_MADE], parts[_PRESENTATION]
        if type(format) is not int or not 0 <= format < len(_FORMATS):
            raise Refused(Code.UNSUPPORTED, "the code shows a format we do not read")
        if type(made) is not int or not 0 <= made < _LATEST:
            raise Refused(Code.MALFORMED, "the code does not say when it was made")
        text = b64u(_document(shown)) if _FORMATS[format] == MDOC else _together(shown)
        return cls(
            format=_FORMATS[format], made=made, nonce=_nonce(parts[_SHOWN_NONCE]),
            purpose=_line(parts[_SHOWN_PURPOSE]), presentation=text,
        )  # fmt: skip

    def frames(self, most: int = FRAME) -> tuple[str, ...]:
        """The texts of its codes, to be shown in turn; with `ALONE` it is one, for hand scanners."""
        return split(fold(self.encode()), most)


def _apart(text: str) -> list[Any]:
    """An SD-JWT with key binding, its parts decoded: base64url costs a third, which DEFLATE does not win back."""
    token, *disclosures, binding = text.split("~")
    try:
        header, payload, seal = unb64u_each(token.split("."))
        kb_header, kb_payload, kb_seal = unb64u_each(binding.split("."))
    except ValueError:
        raise Refused(Code.LINT, "only a bound credential is shown in a code") from None
    return [header, payload, seal, list(unb64u_each(disclosures)), kb_header, kb_payload, kb_seal]


def _document(value: Any) -> bytes:
    if type(value) is not bytes or not value:
        raise Refused(Code.MALFORMED, "the presentation is no document")
    return value


def _together(parts: Any) -> str:
    if type(parts) is not list or len(parts) != 7 or type(parts[3]) is not list:
        raise Refused(Code.MALFORMED, "the presentation does not have its seven parts")
    flat = [*parts[:3], *parts[3], *parts[4:]]
    if any(type(part) is not bytes or not part for part in flat) or len(parts[2]) != 64 or len(parts[6]) != 64:
        raise Refused(Code.MALFORMED, "a part of the presentation is not one")
    token, binding = ".".join(map(b64u, parts[:3])), ".".join(map(b64u, parts[4:]))
    return "~".join((token, *map(b64u, parts[3]), binding))


# --- folding and frames -----------------------------------------------------------------------------------------------


def fold(whole: bytes) -> bytes:
    if len(whole) > LIMIT:
        raise Refused(Code.TOO_LARGE, "too much to show in a code")
    folder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return folder.compress(whole) + folder.flush()


def unfold(folded: bytes) -> bytes:
    """Stops where no code is that large: a kilobyte can unfold to a megabyte."""
    folder = zlib.decompressobj(-15)
    try:
        whole = folder.decompress(folded, LIMIT + 1)
    except zlib.error:
        raise Refused(Code.MALFORMED, "the code cannot be unfolded") from None
    if len(whole) > LIMIT:
        raise Refused(Code.TOO_LARGE, "the code unfolds too far")
    if not folder.eof or folder.unused_data:
        raise Refused(Code.MALFORMED, "the code is cut, or something follows it")
    return whole


def split(folded: bytes, most: int = FRAME) -> tuple[str, ...]:
    """As few codes as there can be, and those as small as can be."""
    size = -(-len(folded) // (-(-len(folded) // most) or 1)) or 1
    chunks = [folded[at : at + size] for at in range(0, len(folded), size)]
    if not 1 <= len(chunks) <= MAX_FRAMES:
        raise Refused(Code.TOO_LARGE, "too much to show in a code")
    mark = hashlib.sha256(folded).digest()[:4]
    return tuple(
        SHOW + base45.encode(bytes((len(chunks), number)) + mark + chunk) for number, chunk in enumerate(chunks)
    )


class Frame(Struct, frozen=True):
    """One of `count` codes; `mark` is the same in all of them."""

    count: int
    number: int
    mark: bytes
    chunk: bytes

    @classmethod
    def parse(cls, text: str) -> Frame:
        raw = _unwrapped(text, SHOW)
        if len(raw) <= _HEAD:
            raise Refused(Code.MALFORMED, "the code has nothing in it")
        count, number = raw[0], raw[1]
        if not 1 <= count <= MAX_FRAMES or number >= count:
            raise Refused(Code.MALFORMED, "the code is not one of its sequence")
        return cls(count, number, raw[2:_HEAD], raw[_HEAD:])

    def encode(self) -> str:
        return SHOW + base45.encode(bytes((self.count, self.number)) + self.mark + self.chunk)


def join(texts: Iterable[str]) -> Show:
    """The texts of one whole sequence, in any order, a repeated one counted once. Raises Refused."""
    found: dict[int, Frame] = {}
    for text in texts:
        frame = Frame.parse(text)
        first = next(iter(found.values()), frame)
        if (frame.count, frame.mark) != (first.count, first.mark):
            raise Refused(Code.MALFORMED, "the codes are not of one sequence")
        if found.setdefault(frame.number, frame) != frame:
            raise Refused(Code.MALFORMED, "two codes say they are the same one of their sequence")
    if not found or len(found) != next(iter(found.values())).count:
        raise Refused(Code.MALFORMED, "a code of the sequence is missing")
    return _whole([found[number] for number in range(len(found))])


def _whole(frames: Sequence[Frame]) -> Show:
    sizes = [len(frame.chunk) for frame in frames]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise Refused(Code.MALFORMED, "the codes of the sequence are of different sizes")
    folded = b"".join(frame.chunk for frame in frames)
    if hashlib.sha256(folded).digest()[:4] != frames[0].mark:
        raise Refused(Code.MALFORMED, "the codes of the sequence do not belong together")
    return Show.parse(unfold(folded))


class Collector:
    """What a camera sees of an animated code. Frames of a few sequences are kept side by side, so that a new code on
    the phone, or somebody else's in the picture, starts nothing over; the least recently seen one goes first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[int, bytes], dict[int, Frame]] = OrderedDict()

    def add(self, text: str) -> Show | None:
        """The code, once it is whole. A code of another kind, or a damaged sequence, is Refused and forgotten."""
        frame = Frame.parse(text)
        key = frame.count, frame.mark
        frames = self._seen.setdefault(key, {})
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_SEQUENCES:
            self._seen.popitem(last=False)
        if frames.setdefault(frame.number, frame) != frame:
            del self._seen[key]
            raise Refused(Code.MALFORMED, "two codes say they are the same one of their sequence")
        if len(frames) < frame.count:
            return None
        del self._seen[key]
        return _whole([frames[number] for number in range(frame.count)])

    @property
    def progress(self) -> tuple[int, int]:
        """How many frames there are of the sequence seen last, and how many it has. (0, 0): none yet."""
        if not self._seen:
            return 0, 0
        (count, _), frames = next(reversed(self._seen.items()))
        return len(frames), count


# --- parts ------------------------------------------------------------------------------------------------------------


def _unwrapped(text: str, prefix: str) -> bytes:
    if len(text) > MAX_TEXT:
        raise Refused(Code.TOO_LARGE, "longer than a QR code can be")
    if not text.startswith(prefix):
        raise Refused(Code.MALFORMED, "this is a code of another kind")
    return base45.decode(text.removeprefix(prefix))


def _members(value: Any, needed: set[int], optional: set[int], what: str) -> Mapping[int, Any]:
    if type(value) is not dict or any(type(label) is not int for label in value):
        raise Refused(Code.MALFORMED, f"the {what} is not a map of numbers")
    if type(value.get(_VERSION)) is int and value[_VERSION] != 1:
        raise Refused(Code.UNSUPPORTED, f"the {what} is of another version")
    if type(value.get(_VERSION)) is not int or not needed <= value.keys() <= needed | optional:
        raise Refused(Code.MALFORMED, f"the {what} has other members")
    return value


def _nonce(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != NONCE:
        raise Refused(Code.MALFORMED, "the nonce is not sixteen bytes")
    return value


def _line(value: Any, longest: int = 128) -> str:
    """One line that may be shown as it is: control and format characters can make a name read as another."""
    if type(value) is not str or not 1 <= len(value) <= longest or not value.isprintable() or value.strip() != value:
        raise Refused(Code.MALFORMED, "a member is not a short text")
    return value
