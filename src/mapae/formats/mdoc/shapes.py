"""Security objects whose shape we have seen are cut, not parsed.

The copies an issuer makes on one day differ in digests, device key and status index, and in nothing else. So a shape is
the bytes of one object with those places cut out: where all other bytes are the same, the object says the same. To cut
takes a quarter of the time of parsing.

Promises: `read` gives what `Mso.parse` would, or None. A shape is only believed after it has read another object, with
every place changed, as the parser does. Trusts: the caller to `learn` only what somebody trusted has signed. Keeps: a
bounded number of shapes. Refuses: nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from struct import Struct as Cut
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Refused
from mapae.formats import cbor, p256
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc.mso import KeyAuthorizations, Mso
from mapae.formats.mdoc.values import Validity
from mapae.formats.status import StatusRef

MAX_LENGTHS: Final = 64
MAX_SHAPES: Final = 4  # of one length
_HASH = b"\x58\x20"
_INDEX = cbor.text("idx")
_OTHER_KEY: Final = p256.KNOWN[0]


class _Shape(Struct, frozen=True):
    cut: Callable[[bytes], tuple[Any, ...]]
    fixed: tuple[bytes, ...]
    digests: tuple[tuple[str, tuple[int, ...], Callable[[tuple[bytes, ...]], tuple[bytes, ...]]], ...]
    x: int
    y: int
    index: int | None
    uri: str
    doctype: str
    validity: Validity
    status: StatusRef | None
    authorized: KeyAuthorizations | None

    def read(self, payload: bytes) -> Mso | None:
        parts = self.cut(payload)
        if parts[::2] != self.fixed:
            return None
        places = parts[1::2]
        status = self.status
        if self.index is not None:
            status = StatusRef(self.uri, int.from_bytes(places[self.index], "big"))
        return Mso(
            self.doctype,
            {namespace: dict(zip(numbers, take(places), strict=True)) for namespace, numbers, take in self.digests},
            PublicKey(places[self.x], places[self.y]),
            self.validity,
            status,
            self.authorized,
        )


_known: dict[int, tuple[_Shape, ...]] = {}


def read(payload: bytes | None) -> Mso | None:
    if payload is None:
        return None
    for shape in _known.get(len(payload), ()):
        mso = shape.read(payload)
        if mso is not None:
            return mso
    return None


def learn(payload: bytes | None, mso: Mso) -> None:
    """Remember the shape of an object that was parsed and whose signature held."""
    if payload is None or not isinstance(mso.device_key, PublicKey) or mso.hash != "SHA-256" or mso.unread:
        return  # rare ones are not worth a shape
    if (shape := _shape(payload, mso, mso.device_key)) is None:
        return
    if len(payload) not in _known and len(_known) >= MAX_LENGTHS:
        _known.pop(next(iter(_known)), None)
    _known[len(payload)] = (shape, *_known.get(len(payload), ()))[:MAX_SHAPES]


def _shape(payload: bytes, mso: Mso, key: PublicKey) -> _Shape | None:
    sought = [digest for some in mso.digests.values() for digest in some.values()]
    count = len(sought)
    # Where each stands, and what the probe has there.
    places = [(payload.find(_HASH + digest) + 2, hashlib.sha256(digest).digest()) for digest in sought]
    places.append((payload.find(_HASH + key.x) + 2, _OTHER_KEY.x))
    places.append((payload.find(_HASH + key.y) + 2, _OTHER_KEY.y))
    head = b"" if mso.status is None else cbor.head(0, mso.status.index)
    if index := head[1:]:  # a small index is inside its head: it belongs to the shape
        places.append((payload.find(_INDEX + head) + len(_INDEX) + 1, index[:-1] + bytes([index[-1] ^ 1])))
    order = sorted(range(len(places)), key=places.__getitem__)
    rank = {place: at for at, place in enumerate(order)}
    ends = [0, *(places[at][0] + len(places[at][1]) for at in order)]
    gaps = [places[at][0] - end for at, end in zip(order, ends, strict=False)] + [len(payload) - ends[-1]]
    if min(gaps) < 2:  # two digests are the same, or a place was not found: it is written in another way
        return None
    sizes = [size for gap, at in zip(gaps, order, strict=False) for size in (gap, len(places[at][1]))] + [gaps[-1]]
    cut = Cut("".join(f"{size}s" for size in sizes)).unpack
    shape = _Shape(
        cut, cut(payload)[::2], _digests(mso, rank), rank[count], rank[count + 1], rank[count + 2] if index else None,
        mso.status.uri if mso.status else "", mso.doctype, mso.validity, mso.status, mso.authorized,
    )  # fmt: skip
    return shape if shape.read(payload) == mso and _reads_another(shape, payload, places) else None


def _digests(mso: Mso, rank: dict[int, int]) -> Any:
    at, found = 0, []
    for namespace, some in mso.digests.items():
        ranks = [rank[place] for place in range(at, at + len(some))]
        at += len(some)
        found.append((namespace, tuple(some), _taker(ranks)))
    return tuple(found)


def _taker(ranks: Sequence[int]) -> Callable[[tuple[bytes, ...]], tuple[bytes, ...]]:
    if len(ranks) > 1:
        return itemgetter(*ranks)
    return lambda places: tuple(places[rank] for rank in ranks)


def _reads_another(shape: _Shape, payload: bytes, places: list[tuple[int, bytes]]) -> bool:
    """Whether it agrees with the parser on the same object with other digests, another key and another index."""
    probe = bytearray(payload)
    for at, other in places:
        probe[at : at + len(other)] = other
    try:
        return shape.read(bytes(probe)) == Mso.parse(bytes(probe))
    except Refused:
        return False
