"""The file of an offline pack, and of a delta from one pack to the next.

    file     magic, u32 length of the head, head, one body for each blob, nothing after
    head     COSE_Sign1 (RFC 9052 4.2, untagged, ES256) over the manifest
    manifest deterministic CBOR: version, origin, number, time, the publisher's key, whose status is late,
             names (name -> digest) and blobs ([digest, size], by digest)
    body     u8 coding, u32 length, that many bytes; in the order of the manifest's blobs

Every content is a *blob*, addressed by the SHA-256 of its uncompressed bytes, so that how it was compressed matters to
nobody, an unchanged blob need not travel again, and a delta needs no trust of its own: what it makes has the digests of
the new manifest or is refused. Codings: 0 as it is, 1 zlib (RFC 1950); in a delta also 2 kept (the base has it) and
3 changed (32 bytes: digest of a blob of the base of the same size; then zlib of both, exclusive-or).

Promises: `read` gives a pack whose manifest its publisher signed and each of whose blobs is what the manifest says;
`id` is the digest of the manifest, which a signature written differently does not change. Limits hold before anything
is unfolded. Trusts: nobody; what a pack may be believed for is decided in `verify.py`. Keeps: nothing. Refuses: a
second spelling, a missing or surplus byte, a blob that unfolds to more than its size (BAD_PACK, TOO_LARGE).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import PublicKey, Signing

PACK: Final = b"mapae pack 1\n\x00\x00\x00"
DELTA: Final = b"mapae delta 1\n\x00\x00"
VERSION: Final = 1
LIMIT: Final = 64 * 1024 * 1024  # bytes of a file
HEAD_LIMIT: Final = 4 * 1024 * 1024
MOST_BLOBS: Final = 32_768
BLOB_LIMIT: Final = 16 * 1024 * 1024  # as of one status list
UNFOLDED_LIMIT: Final = 1024 * 1024 * 1024  # all blobs together; one is unfolded at a time
AT_HAND: Final = 64 * 1024 * 1024  # of large blobs kept unfolded: 52 million people with one place each are 26 MB
STORED, ZLIB, KEPT, CHANGED = 0, 1, 2, 3

_NAME: Final = re.compile(r"[a-z0-9-]{1,80}(?:\.[a-z0-9-]{1,80}){0,3}")
_DIGEST: Final = 32
_LARGE: Final = 65_536
_MOMENT: Final = 2**40  # seconds; keeps what a stranger wrote inside the calendar


def digest(content: bytes) -> bytes:
    return sha256(content).digest()


class Manifest(Struct, frozen=True):
    """What the publisher signed. `names` says what some blobs are; others are referred to by digest from inside."""

    origin: str
    number: int
    made: int
    key: PublicKey
    late: tuple[bytes, ...]  # streams whose publisher did not answer when this pack was made
    names: Mapping[str, bytes]
    blobs: Mapping[bytes, int]

    def encode(self) -> bytes:
        return cbor.dumps(
            {
                "v": VERSION,
                "origin": self.origin,
                "number": self.number,
                "made": self.made,
                "key": cose.key_to_cose(self.key),
                "late": sorted(self.late),
                "names": dict(self.names),
                "blobs": [[name, self.blobs[name]] for name in sorted(self.blobs)],
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> Manifest:
        """The one spelling. Raises Refused(BAD_PACK, TOO_LARGE)."""
        value = _as_pack(lambda: cbor.loads(raw, limit=HEAD_LIMIT))
        if type(value) is not dict or set(value) != _MEMBERS or value["v"] != VERSION or type(value["v"]) is not int:
            raise _bad("the manifest is not of this version")
        blobs = _blobs(value["blobs"])
        names = value["names"]
        if type(names) is not dict or not all(
            _is_name(name) and _is_digest(place) and place in blobs for name, place in names.items()
        ):
            raise _bad("a name of the manifest stands for nothing")
        late = value["late"]
        if type(late) is not list or not all(_is_digest(stream) for stream in late):
            raise _bad("what is late is not named")
        origin = value["origin"]
        if type(origin) is not str or not 0 < len(origin) <= 256:
            raise _bad("the manifest has no origin")
        key = _as_pack(lambda: cose.key_from_cose(value["key"]))
        number, made = (_moment(value[name]) for name in ("number", "made"))
        read = cls(origin, number, made, key, tuple(late), names, blobs)
        if read.encode() != raw:
            raise _bad("the manifest is not in its one spelling")
        return read

    @property
    def id(self) -> bytes:
        return digest(self.encode())


_MEMBERS: Final = frozenset({"v", "origin", "number", "made", "key", "late", "names", "blobs"})


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose blobs are what its manifest says. `bodies` are as they were compressed; what is not at hand unfolded
    is unfolded, and checked, each time it is asked for."""

    manifest: Manifest
    head: bytes
    bodies: Mapping[bytes, tuple[int, bytes]]
    id: bytes
    _unfolded: dict[bytes, bytes] = field(default_factory=dict)

    def content(self, place: bytes) -> bytes:
        """Raises Refused(BAD_PACK) when there is no such blob."""
        found = self._unfolded.get(place)
        if found is None:
            if place not in self.bodies:
                raise _bad("a part is missing")
            found = _unfold(self.bodies[place], self.manifest.blobs[place], place)
        return found

    def named(self, name: str) -> bytes:
        if name not in self.manifest.names:
            raise _bad(f"there is no {name}")
        return self.content(self.manifest.names[name])

    def under(self, prefix: str) -> list[str]:
        """The names that begin so, in order."""
        return sorted(name for name in self.manifest.names if name.startswith(prefix))

    def encode(self) -> bytes:
        return b"".join(_framed(PACK, self.head, (self.bodies[place] for place in sorted(self.manifest.blobs))))

    def lean(self) -> Pack:
        """The same without what was unfolded."""
        return Pack(self.manifest, self.head, self.bodies, self.id)


def fold(content: bytes) -> tuple[int, bytes]:
    """The body of a blob, compressed where that helps."""
    smaller = _deflated(content)
    return (ZLIB, smaller) if len(smaller) < len(content) else (STORED, content)


def seal(manifest: Manifest, signer: Signing) -> bytes:
    """The head of the file."""
    payload = manifest.encode()
    signature = signer.sign(cose.to_be_signed(payload))
    return cbor.dumps(cose.Sign1(cose.PROTECTED, {}, payload, signature).encode())


def manifest_of(head: bytes) -> Manifest:
    """Of a head that somebody sealed."""
    return _opened(head)


def make(
    signer: Signing, bodies: Mapping[bytes, tuple[int, bytes]], sizes: Mapping[bytes, int], names: Mapping[str, bytes],
    *, origin: str, number: int, made: int, late: tuple[bytes, ...] = (),
) -> Pack:  # fmt: skip
    """Sign a pack over these blobs."""
    key = PublicKey.from_jwk(signer.jwk)
    manifest = Manifest(origin, number, made, key, tuple(sorted(late)), dict(sorted(names.items())), dict(sizes))
    return Pack(manifest, seal(manifest, signer), dict(bodies), manifest.id)


def read(raw: bytes) -> Pack:
    """1 its size and frame  2 the seal of the manifest  3 every blob. Raises Refused(BAD_PACK, TOO_LARGE)."""
    manifest, head, bodies = _taken_apart(raw, PACK)
    return _whole(manifest, head, bodies)


# --- deltas -----------------------------------------------------------------------------------------------------------


def delta(base: Pack, new: Pack, pairs: Mapping[bytes, bytes]) -> bytes:
    """From `base` to `new`. `pairs`: for a blob of `new` the one of `base` that it is most like."""
    bodies = [_step(base, new, place, pairs.get(place)) for place in sorted(new.manifest.blobs)]
    return b"".join(_framed(DELTA + base.id, new.head, bodies))


def _step(base: Pack, new: Pack, place: bytes, like: bytes | None) -> tuple[int, bytes]:
    if place in base.manifest.blobs:
        return KEPT, b""
    if like is None or base.manifest.blobs.get(like) != new.manifest.blobs[place]:
        return new.bodies[place]
    changed = like + _deflated(_xor(base.content(like), new.content(place)))
    whole = new.bodies[place]
    return (CHANGED, changed) if len(changed) < len(whole[1]) else whole


def apply(base: Pack, raw: bytes) -> Pack:
    """The new pack. Raises Refused(BAD_PACK) when the delta begins at another pack."""
    if raw[: len(DELTA)] == DELTA and raw[len(DELTA) : len(DELTA) + _DIGEST] != base.id:
        raise _bad("the delta begins at another pack")
    manifest, head, bodies = _taken_apart(raw, DELTA + base.id)
    made: dict[bytes, tuple[int, bytes]] = {}
    for place, (coding, body) in bodies.items():
        if coding == KEPT:
            if body or place not in base.bodies:
                raise _bad("the delta keeps what the base does not have")
            made[place] = base.bodies[place]
        elif coding == CHANGED:
            made[place] = fold(_changed(base, body, manifest.blobs[place]))
        else:
            made[place] = coding, body
    return _whole(manifest, head, made)


def _changed(base: Pack, body: bytes, size: int) -> bytes:
    like = body[:_DIGEST]
    if base.manifest.blobs.get(like) != size:
        raise _bad("the delta changes what the base does not have")
    return _xor(base.content(like), _inflated(body[_DIGEST:], size))


def is_delta(raw: bytes) -> bool:
    return raw[: len(DELTA)] == DELTA


# --- inside -----------------------------------------------------------------------------------------------------------


def _framed(
    magic: bytes, head: bytes, bodies: Iterator[tuple[int, bytes]] | list[tuple[int, bytes]]
) -> Iterator[bytes]:
    yield magic
    yield len(head).to_bytes(4, "big")
    yield head
    for coding, body in bodies:
        yield bytes((coding,)) + len(body).to_bytes(4, "big")
        yield body


def _taken_apart(raw: bytes, magic: bytes) -> tuple[Manifest, bytes, dict[bytes, tuple[int, bytes]]]:
    if len(raw) > LIMIT:
        raise Refused(Code.TOO_LARGE, "the pack is too large")
    if raw[: len(magic)] != magic:
        raise _bad("this is not an offline pack of a kind we read")
    head, at = _cut(raw, len(magic), HEAD_LIMIT)
    manifest = _opened(head)
    bodies: dict[bytes, tuple[int, bytes]] = {}
    for place in sorted(manifest.blobs):
        if at >= len(raw):
            raise _bad("the pack is cut short")
        coding = raw[at]
        body, at = _cut(raw, at + 1, LIMIT)
        bodies[place] = coding, body
    if at != len(raw):
        raise _bad("something follows the pack")
    return manifest, head, bodies


def _cut(raw: bytes, at: int, limit: int) -> tuple[bytes, int]:
    length = int.from_bytes(raw[at : at + 4], "big")
    start = at + 4
    if length > limit:
        raise Refused(Code.TOO_LARGE, "a part of the pack is too large")
    if start + length > len(raw):
        raise _bad("the pack is cut short")
    return raw[start : start + length], start + length


def _opened(head: bytes) -> Manifest:
    """Sealed by the key the manifest itself names: that it is whole, not yet that it may be believed."""
    sealed = _as_pack(lambda: cose.Sign1.parse(cbor.loads(head, limit=HEAD_LIMIT, deterministic=True)))
    if sealed.protected != cose.PROTECTED or sealed.unprotected or sealed.payload is None:
        raise _bad("the pack is sealed in another way")
    manifest = Manifest.parse(sealed.payload)
    _as_pack(lambda: sealed.verify(manifest.key))
    return manifest


def _whole(manifest: Manifest, head: bytes, bodies: Mapping[bytes, tuple[int, bytes]]) -> Pack:
    unfolded: dict[bytes, bytes] = {}
    room = AT_HAND
    for place, body in bodies.items():
        content = _unfold(body, manifest.blobs[place], place)
        if len(content) <= _LARGE or len(content) <= room:
            unfolded[place] = content
            room -= len(content) if len(content) > _LARGE else 0
    return Pack(manifest, head, bodies, manifest.id, unfolded)


def _unfold(body: tuple[int, bytes], size: int, place: bytes) -> bytes:
    coding, raw = body
    if coding == STORED:
        content = raw
    elif coding == ZLIB:
        content = _inflated(raw, size)
    else:
        raise _bad("a part is coded in a way we do not read")
    if len(content) != size or digest(content) != place:
        raise _bad("a part is not what the manifest says")
    return content


def _deflated(content: bytes) -> bytes:
    """What is not zero in a large list is scattered: only runs are worth looking for (as in formats/status.py)."""
    strategy = zlib.Z_RLE if len(content) > _LARGE else zlib.Z_DEFAULT_STRATEGY
    deflate = zlib.compressobj(9, strategy=strategy)
    return deflate.compress(content) + deflate.flush()


def _inflated(raw: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(raw, size + 1)
        if not inflate.eof and len(content) == size:
            content += inflate.decompress(inflate.unconsumed_tail, 1)  # the checksum may still be to come
    except zlib.error:
        raise _bad("a part is not compressed data") from None
    if not inflate.eof or inflate.unused_data or inflate.unconsumed_tail:
        raise _bad("a part is cut, or unfolds to more than its size")
    return content


def _xor(one: bytes, other: bytes) -> bytes:
    size = len(one)
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(size, "big")


def _blobs(value: Any) -> dict[bytes, int]:
    if type(value) is not list or len(value) > MOST_BLOBS:
        raise _bad("the manifest lists no blobs, or too many")
    blobs: dict[bytes, int] = {}
    for one in value:
        if type(one) is not list or len(one) != 2 or not _is_digest(one[0]) or type(one[1]) is not int:
            raise _bad("a blob of the manifest is not one")
        if not 0 < one[1] <= BLOB_LIMIT:
            raise Refused(Code.TOO_LARGE, "a part of the pack is too large")
        blobs[one[0]] = one[1]
    if sum(blobs.values()) > UNFOLDED_LIMIT:
        raise Refused(Code.TOO_LARGE, "the pack unfolds to too much")
    return blobs


def _is_digest(value: Any) -> bool:
    return type(value) is bytes and len(value) == _DIGEST


def _is_name(value: Any) -> bool:
    return type(value) is str and _NAME.fullmatch(value) is not None


def _moment(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOMENT:
        raise _bad("a number of the manifest is not one")
    return value


def _as_pack(work: Callable[[], Any]) -> Any:
    """What another format refuses is, here, a bad pack."""
    try:
        return work()
    except Refused as refused:
        code = Code.TOO_LARGE if refused.code is Code.TOO_LARGE else Code.BAD_PACK
        raise Refused(code, refused.detail or "the pack is damaged") from None


def _bad(why: str) -> Refused:
    return Refused(Code.BAD_PACK, why)
