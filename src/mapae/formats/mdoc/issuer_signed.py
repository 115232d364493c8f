"""What an issuer signed: salted items and the mobile security object over their digests (ISO/IEC 18013-5 9.1.2).

Promises: `open` gives elements whose digests the issuer signed, and nothing else: an element, or a whole namespace,
without a digest is refused. Trusts: the key the caller found for the issuer. Keeps: the bytes of each item, because
digests are over bytes. Refuses: algorithms that `Algorithms` does not list, members the standard does not. Validity
and status are read and judged by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.mdoc import shapes
from mapae.formats.mdoc.mso import MAX_ITEMS, Mso
from mapae.formats.mdoc.values import SCALARS, element, mapping, plain

MAX_MDOC: Final = 262_144
KEY_AUTH, KEY_NAMESPACES = cbor.text("issuerAuth"), cbor.text("nameSpaces")
_ISSUER_SIGNED = frozenset({"nameSpaces", "issuerAuth"})
_ITEM = frozenset({"digestID", "random", "elementIdentifier", "elementValue"})
_SALT = 16  # ISO/IEC 18013-5 9.1.2.5


class Item(Struct, frozen=True):
    """One element as the issuer salted it, with the bytes its digest is over."""

    number: int
    name: str
    value: Any
    raw: bytes

    @classmethod
    def parse(cls, value: Any) -> Item:
        inner = cbor.embedded(value)
        item = element(inner)
        if type(item) is not dict or item.keys() != _ITEM:
            raise Refused(Code.MALFORMED, "an element is not a number, a salt, a name and a value")
        number, name, random, content = (
            item["digestID"], item["elementIdentifier"], item["random"], item["elementValue"],
        )  # fmt: skip
        if type(number) is not int or type(name) is not str or number < 0:
            raise Refused(Code.MALFORMED, "an element is not a number, a salt, a name and a value")
        if type(random) is not bytes or len(random) < _SALT:
            raise Refused(Code.MALFORMED, "an element's salt is shorter than 16 bytes")
        return cls(number, name, content if type(content) in SCALARS else plain(content), cbor.embed(inner))


class IssuerSigned(Struct, frozen=True, eq=False):
    """What the issuer made, in whole or as far as disclosed. Parsed; verified only by `open`."""

    items: Mapping[str, tuple[Item, ...]]
    auth: cose.Sign1
    mso: Mso
    raw: bytes | None = None
    cut: bool = False  # whether its security object was read by a shape already known
    algorithms: cose.Algorithms = cose.ES256_ONLY

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_MDOC, algorithms: cose.Algorithms = cose.ES256_ONLY) -> IssuerSigned:
        return cls.of(cbor.scan(raw, limit=limit), raw, algorithms)

    @classmethod
    def of(cls, value: Any, raw: bytes | None = None, algorithms: cose.Algorithms = cose.ES256_ONLY) -> IssuerSigned:
        """From the decoded map, as it stands inside a DeviceResponse."""
        parts = mapping(value, "issuerSigned", _ISSUER_SIGNED)
        auth = algorithms.sign1(parts.get("issuerAuth"))
        items: dict[str, tuple[Item, ...]] = {}
        for namespace, some in mapping(parts.get("nameSpaces", {}), "nameSpaces").items():
            if type(namespace) is not str or type(some) is not list or not 1 <= len(some) <= MAX_ITEMS:
                raise Refused(Code.MALFORMED, "a namespace is not a list of elements")
            items[namespace] = tuple([Item.parse(item) for item in some])
        known = shapes.read(auth.payload)
        return cls(items, auth, known or Mso.parse(auth.payload, algorithms), raw, known is not None, algorithms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IssuerSigned):
            return NotImplemented
        return (self.items, self.auth, self.mso) == (other.items, other.auth, other.mso)

    __hash__ = None  # type: ignore[assignment]  # maps inside

    def encode(self) -> bytes:
        if self.raw is not None:
            return self.raw
        namespaces = {name: [item.raw for item in some] for name, some in self.items.items()}
        shown = KEY_NAMESPACES + namespaces_bytes(namespaces) if namespaces else b""
        return cbor.head(5, 1 + bool(shown)) + KEY_AUTH + cbor.dumps(self.auth.encode()) + shown

    @property
    def x5chain(self) -> tuple[bytes, ...]:
        return self.auth.x5chain

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        return {namespace: tuple([item.name for item in some]) for namespace, some in self.items.items()}

    def open(self, key: cose.Key) -> dict[str, dict[str, Any]]:
        """The elements by namespace, once signature and every digest fit (ISO/IEC 18013-5 9.3.1)."""
        self.auth.verify(key)
        if not self.cut:  # only now: what nobody has signed leaves nothing behind
            shapes.learn(self.auth.payload, self.mso)
        return self.peek()

    def peek(self) -> dict[str, dict[str, Any]]:
        """The same before anybody has vouched for the security object; digests are compared all the same."""
        opened: dict[str, dict[str, Any]] = {}
        digest = self.algorithms.digests[self.mso.hash]
        for namespace, some in self.items.items():
            digests = self.mso.digests.get(namespace)
            if digests is None:
                raise Refused(Code.BAD_DIGEST, "a namespace is not covered by the issuer's signature")
            shown = opened[namespace] = {}
            for item in some:
                if digests.get(item.number) != digest(item.raw).digest():
                    raise Refused(Code.BAD_DIGEST, "an element is not covered by the issuer's signature")
                shown[item.name] = item.value
            # A number has one digest, and a digest one item: the same number twice is the same name twice.
            if len(shown) != len(some):
                raise Refused(Code.MALFORMED, "an element appears twice")
        return opened

    def disclose(self, wanted: Mapping[str, Iterable[str]]) -> IssuerSigned:
        kept: dict[str, tuple[Item, ...]] = {}
        for namespace, names in wanted.items():
            asked = set(names)
            some = tuple([item for item in self.items.get(namespace, ()) if item.name in asked])
            if some:
                kept[namespace] = some
        return IssuerSigned(kept, self.auth, self.mso, algorithms=self.algorithms)


def namespaces_bytes(items: Mapping[str, Sequence[bytes]]) -> bytes:
    rows = [cbor.text(name) + cbor.head(4, len(some)) + b"".join(some) for name, some in items.items()]
    return cbor.head(5, len(rows)) + b"".join(sorted(rows))
