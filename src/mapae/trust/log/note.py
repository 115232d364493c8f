"""Signed notes, checkpoints and cosignatures, as C2SP writes them: signed-note, tlog-checkpoint, tlog-cosignature.

Promises: `Note.parse(raw).encode() == raw`; a checkpoint has one spelling; a signature that counts was made by exactly
the key that was asked about, over exactly this text. Trusts: the engine behind `cryptography` for Ed25519 (RFC 8032)
and ML-DSA-44 (FIPS 204). Keeps: a bounded cache of loaded keys. Refuses: notes over the limit, before reading them;
control characters, base64 with a second spelling, key ids that are not those of their keys, every note on which a
signature of a key we know does not fit. ML-DSA-44 is UNSUPPORTED where the library lacks it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Protocol, Self

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mapae.errors import Code, Refused
from mapae.trust.log.tree import HASH

LIMIT: Final = 128 * 1024  # bytes of a note: 32 post-quantum signatures and more; signed-note asks for room for 16
MOST_SIGNATURES: Final = 64
MOST_SIZE: Final = 2**63 - 1
MOST_TIME: Final = 2**63 - 1  # tlog-cosignature, Format
ED25519: Final = 1  # signed-note, Signature types
COSIGNATURE: Final = 4  # Ed25519 cosignature/v1
ML_DSA_44: Final = 6  # ML-DSA-44 cosignature
_PUBLIC: Final = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
_SIGNATURE: Final = {ED25519: 64, COSIGNATURE: 64, ML_DSA_44: 2420}
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_ID: Final = re.compile(r"[0-9a-f]{8}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH: Final = "\N{EM DASH} "


# --- keys -----------------------------------------------------------------------------------------------------------


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with the name its signatures carry (signed-note, Verifier keys)."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        _must_be_name(self.name)
        if self.kind not in _PUBLIC:
            raise Refused(Code.UNSUPPORTED, "a key for signatures of a type we do not verify")
        if len(self.public) != _PUBLIC[self.kind]:
            raise Refused(Code.MALFORMED, "a verifier key has another length")
        if self.kind == ML_DSA_44 and len(self.name.encode()) > 255:  # cosigner_name<1..2^8-1>
            raise Refused(Code.MALFORMED, "a cosigner's name is too long")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`name+hash+base64`."""
        if len(text) > 4096:
            raise Refused(Code.TOO_LARGE, "a verifier key is too long")
        name, hash_, key = text.split("+", 2) if text.count("+") >= 2 else ("", "", "")
        raw = unb64(key)
        if not _ID.fullmatch(hash_) or not raw:
            raise Refused(Code.MALFORMED, "a verifier key is a name, a hash and a key")
        _must_be_name(name)
        if _id(name, raw).hex() != hash_:
            raise Refused(Code.MALFORMED, "a verifier key's hash is not its own")
        return cls(name, raw[0], raw[1:])

    def encode(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @property
    def id(self) -> bytes:
        """signed-note, Signatures, and tlog-cosignature, Format: four bytes that tell keys apart, and prove nothing."""
        return _id(self.name, bytes([self.kind]) + self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """The plain signature, without timestamp. Raises BAD_SIGNATURE."""
        try:
            if len(signature) != _SIGNATURE[self.kind]:
                raise InvalidSignature
            _loaded(self.kind, self.public).verify(signature, message)
        except InvalidSignature:
            raise Refused(Code.BAD_SIGNATURE, "a signature on a note does not fit") from None

    def signed(self, note: Note) -> int | None:
        """When this key signed the note, 0 where its kind of signature has no time; None: it did not.

        signed-note, Signatures: lines of other keys are ignored; one of this key that does not fit spoils the note.
        """
        mine = self.id
        times = [
            self._opened(note.text, one.blob) for one in note.signatures if (one.name, one.id) == (self.name, mine)
        ]
        return max(times, default=None)

    def _opened(self, text: bytes, blob: bytes) -> int:
        if self.kind == ED25519:
            self.verify(text, blob)
            return 0
        time = int.from_bytes(blob[:8], "big")  # timestamped_signature
        if len(blob) < 8 or time > MOST_TIME:
            raise Refused(Code.BAD_SIGNATURE, "a cosignature has no time there can be")
        self.verify(_cosigned(self, text, time), blob[8:])
        return time


def _id(name: str, key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + key).digest()[:4]


class NoteSigning(Protocol):
    """Whoever holds the private part of a verifier key."""

    @property
    def vkey(self) -> VerifierKey: ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 or ML-DSA-44 over the message, as the kind of the key says."""
        ...


@lru_cache(maxsize=64)
def _loaded(kind: int, public: bytes) -> Any:
    if kind != ML_DSA_44:
        return Ed25519PublicKey.from_public_bytes(public)
    try:
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

        return MLDSA44PublicKey.from_public_bytes(public)
    except (ImportError, UnsupportedAlgorithm):
        raise Refused(Code.UNSUPPORTED, "this machine's cryptography has no ML-DSA-44") from None


# --- notes ----------------------------------------------------------------------------------------------------------


class Signature(msgspec.Struct, frozen=True):
    """One line: whose it is, and what follows the four bytes of the key's id."""

    name: str
    id: bytes
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Without its newline."""
        name, _, body = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH):
            raise Refused(Code.MALFORMED, "a note has something that is no signature below its text")
        _must_be_name(name)
        raw = unb64(body)
        if len(raw) < 5:
            raise Refused(Code.MALFORMED, "a signature on a note is too short")
        return cls(name, raw[:4], raw[4:])

    def encode(self) -> str:
        """With its newline."""
        return f"{_DASH}{self.name} {b64(self.id + self.blob)}\n"


class Note(msgspec.Struct, frozen=True):
    """A text, its last newline included, and the signatures below it. Believe nothing of it before a key `signed`."""

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes, limit: int = LIMIT) -> Self:
        body = _characters(raw, limit)
        # signed-note, Format: the text ends at the last empty line, and ends in a newline itself.
        text, gap, lines = body.rpartition("\n\n")
        if not gap or not text or not lines.endswith("\n"):
            raise Refused(Code.MALFORMED, "a note is a text, an empty line and signatures")
        return cls((text + "\n").encode(), _signatures(lines))

    def encode(self) -> bytes:
        return self.text + b"\n" + "".join(one.encode() for one in self.signatures).encode()

    def with_(self, lines: str | bytes) -> Note:
        """And these signature lines. A line of a key that has one already takes its place: a fresher cosignature."""
        more = _signatures(_characters(lines.encode() if isinstance(lines, str) else lines, LIMIT))
        by_key = {(one.name, one.id): one for one in (*self.signatures, *more)}
        if len(by_key) > MOST_SIGNATURES:
            raise Refused(Code.TOO_LARGE, "a note has too many signatures")
        return Note(self.text, tuple(by_key.values()))

    def only(self, keys: Iterable[VerifierKey]) -> Note:
        """Without the signatures of anybody else."""
        wanted = {(key.name, key.id) for key in keys}
        return Note(self.text, tuple(one for one in self.signatures if (one.name, one.id) in wanted))


def _signatures(lines: str) -> tuple[Signature, ...]:
    if not lines.endswith("\n"):
        raise Refused(Code.MALFORMED, "a signature's line does not end")
    each = lines[:-1].split("\n")
    if len(each) > MOST_SIGNATURES:
        raise Refused(Code.TOO_LARGE, "a note has too many signatures")
    return tuple(map(Signature.parse, each))


def _characters(raw: bytes, limit: int) -> str:
    if len(raw) > limit:
        raise Refused(Code.TOO_LARGE, "a note is too large")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Refused(Code.MALFORMED, "a note is not UTF-8") from None
    if _CONTROL.search(text):
        raise Refused(Code.MALFORMED, "a note has a control character")
    return text


def _must_be_name(name: str) -> None:
    """signed-note, Format: not empty, no Unicode spaces, no plus."""
    if not name or "+" in name or any(letter.isspace() for letter in name) or _CONTROL.search(name):
        raise Refused(Code.MALFORMED, "a key has a name without spaces and plus")
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise Refused(Code.MALFORMED, "a key's name is not UTF-8") from None


# --- checkpoints ----------------------------------------------------------------------------------------------------


class Checkpoint(msgspec.Struct, frozen=True):
    """tlog-checkpoint, Note text: which log, how long, and its root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def body(self) -> bytes:
        lines = (self.origin, str(self.size), b64(self.root), *self.extensions)
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """The text of a note."""
        lines = _characters(text, LIMIT).split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise Refused(Code.MALFORMED, "a checkpoint has at least three lines, none of them empty")
        origin, size, root, *extensions = lines
        made = cls(origin, number(size), unb64(root), tuple(extensions))
        if len(made.root) != HASH:
            raise Refused(Code.MALFORMED, "a checkpoint's root is not a SHA-256 hash")
        return made


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigning) -> Note:
    """By the log itself, whose key is named as the log's origin (tlog-checkpoint, Signatures)."""
    key, text = signer.vkey, checkpoint.body()
    if key.name != checkpoint.origin:
        raise Refused(Code.BAD_CONFIG, "a log's key is named as its origin")
    Checkpoint.parse(text)  # a signature is the last thing that can go wrong
    # An ML-DSA-44 key makes the same signature as a cosigner; a log says nothing of the time.
    blob = signer.sign(text) if key.kind == ED25519 else bytes(8) + signer.sign(_cosigned(key, text, 0))
    return Note(text, (Signature(key.name, key.id, blob),))


def open_checkpoint(note: Note, log: VerifierKey) -> Checkpoint:
    """The checkpoint this log signed. BAD_SIGNATURE where it did not."""
    found = Checkpoint.parse(note.text)
    if found.origin != log.name or log.signed(note) is None:
        raise Refused(Code.BAD_SIGNATURE, "no known log signed this checkpoint")
    return found


def cosign(note: Note | bytes, signer: NoteSigning, now: int) -> str:
    """A witness's line, with its newline: this is the largest tree it has seen, and it extends all earlier ones."""
    key, text = signer.vkey, note if isinstance(note, bytes) else note.text
    if key.kind == ED25519:
        raise Refused(Code.BAD_CONFIG, "a witness has a key for cosignatures")
    if not 0 < now <= MOST_TIME:  # tlog-witness: the timestamp MUST NOT be zero
        raise Refused(Code.MALFORMED, "a cosignature has a time")
    blob = now.to_bytes(8, "big") + signer.sign(_cosigned(key, text, now))
    return Signature(key.name, key.id, blob).encode()


def cosigned_at(note: Note, vkey: VerifierKey) -> int:
    """When this witness last cosigned the checkpoint. UNWITNESSED where it did not, BAD_SIGNATURE where it seems to."""
    if vkey.kind == ED25519:
        raise Refused(Code.UNSUPPORTED, "a witness has a key for cosignatures")
    time = vkey.signed(note)
    if not time:  # without a time it would say nothing of how new the checkpoint is
        raise Refused(Code.UNWITNESSED, "a witness has not cosigned this checkpoint")
    return time


def _cosigned(key: VerifierKey, text: bytes, time: int) -> bytes:
    """What a cosigner signs (tlog-cosignature, Ed25519 signed message; ML-DSA-44 signed message)."""
    if key.kind == COSIGNATURE:
        return b"cosignature/v1\ntime %d\n" % time + text
    checkpoint = Checkpoint.parse(text)
    if checkpoint.extensions:  # this form does not sign them, so we let none ride along
        raise Refused(Code.UNSUPPORTED, "a checkpoint with extensions has no post-quantum cosignature")
    name, origin = key.name.encode(), checkpoint.origin.encode()
    if len(origin) > 255:
        raise Refused(Code.MALFORMED, "a log's origin is too long")
    start, end = bytes(8), checkpoint.size.to_bytes(8, "big")
    return b"".join((
        b"subtree/v1\n\0", bytes([len(name)]), name, time.to_bytes(8, "big"), bytes([len(origin)]), origin, start, end,
        checkpoint.root,
    ))  # fmt: skip


# --- spelling -------------------------------------------------------------------------------------------------------


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def unb64(text: str) -> bytes:
    """RFC 4648 4, with padding, in its one spelling."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise Refused(Code.MALFORMED, "it is not base64") from None
    if b64(raw) != text:
        raise Refused(Code.MALFORMED, "base64 in another spelling")
    return raw


def number(text: str) -> int:
    """Decimal, no leading zeros, below 2^63."""
    value = int(text) if _NUMBER.fullmatch(text) else -1
    if not 0 <= value <= MOST_SIZE:
        raise Refused(Code.MALFORMED, "it is not a number in its one spelling")
    return value
