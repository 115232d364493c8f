"""What may be asked at all, signed: every purpose of the country with the items, words and kinds a screen needs for it.

Promises: `PurposesDocument.parse` gives a document only when the pinned key of the trust list signed it and it is in
date; a purpose in it that is for anyone asks for yes or no only, so a phone without a network may answer a stranger by
it; the same day's document has the same claims in every process. Trusts: the pinned key, and the country pack behind
it. Keeps: the day's signed document. Refuses: another type or key, one that is over, a purpose twice, an item without
its words and kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

import msgspec

from mapae import catalog
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, b64u, check_times, sign_jws
from mapae.rules import Words
from mapae.trust.entries import AskedOf
from mapae.trust.entries import Purpose as Registered

TYPE: Final = "mapae-purposes+jwt"
LIMIT: Final = 1024 * 1024
LIFE: Final = timedelta(days=30)
DAY: Final = 86400  # seconds; for so long one document serves
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

Kind = Literal["text", "date", "image", "yes_no", "code"]
Risk = Literal["low", "medium", "high"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The document a purpose is about. `vct`, or `doctype` and `namespace`, are empty where it has no such format."""

    id: str
    name: Words
    vct: str = ""
    doctype: str = ""
    namespace: str = ""

    @property
    def types(self) -> AskedOf:
        return AskedOf(vct=self.vct, doctype=self.doctype, namespace=self.namespace)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One purpose as the country's law has it. `kinds` and `labels` are of exactly its `items`."""

    id: str
    document: About
    name: Words
    why: Words
    legal_basis: Words
    retention: Words
    items: tuple[str, ...]
    kinds: dict[str, Kind]
    labels: dict[str, Words]
    anyone: bool
    by_holder: bool
    risk: Risk


class PurposesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A checked document. Whoever keeps one keeps the later of two by `iat`."""

    iat: int
    exp: int
    purposes: tuple[Listed, ...]

    @classmethod
    def of(cls, country: catalog.Country, now: datetime) -> PurposesDocument:
        """Today's: purposes about documents that phones hold. It is dated at the day's start, in UTC."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        named = sorted(country.purposes.values(), key=lambda purpose: purpose.id)
        return cls(
            iat=int(day.timestamp()),
            exp=int((day + LIFE).timestamp()),
            purposes=tuple(
                _listed(purpose, document)
                for purpose in named
                if (document := country.documents[purpose.document]).formats is not None
            ),
        )

    @classmethod
    def parse(cls, token: str | bytes, key: PublicKey, now: datetime) -> PurposesDocument:
        """1 its type  2 the pinned key  3 in date  4 sound purposes."""
        jws = Jws.parse(token, typ=TYPE, limit=LIMIT)
        jws.verify(key)
        check_times(jws.claims(), now, need=("iat", "exp"))
        read = jws.typed(cls)
        _require(len({purpose.id for purpose in read.purposes}) == len(read.purposes), "a purpose twice")
        for purpose in read.purposes:
            _must_be_sound(purpose)
        return read

    def sign(self, signer: Signing) -> str:
        return sign_jws(signer, {"typ": TYPE, "kid": signer.kid}, self.payload)

    @property
    def payload(self) -> bytes:
        return msgspec.json.encode(self)

    def purpose(self, id: str) -> Listed:
        """Raises Refused(NOT_FOUND)."""
        for purpose in self.purposes:
            if purpose.id == id:
                return purpose
        raise Refused(Code.NOT_FOUND, "the country has no such purpose")

    def registered(self, one: Registered) -> Listed:
        """A purpose as a party registered it: its own, or a ready one with what was added. The words are the
        registration's; of the document's items those are known here that the country's own purposes name.

        Raises Refused(NOT_FOUND) where the registration is no ready purpose and names no document, OVER_ASKING where
        it names another one than the country's purpose of this name.
        """
        known = next((purpose for purpose in self.purposes if purpose.id == one.id), None)
        types = known.document.types if known is not None else one.document
        if types is None:
            raise Refused(Code.NOT_FOUND, "the country has no such purpose")
        if one.document not in (None, types):
            raise Refused(Code.OVER_ASKING, "another document is asked for than this purpose is about")
        same = [purpose for purpose in self.purposes if purpose.document.types == types]
        about = same[0].document if same else About(
            id="", name=one.name, vct=types.vct, doctype=types.doctype, namespace=types.namespace
        )  # fmt: skip
        kinds = {name: kind for purpose in same for name, kind in purpose.kinds.items() if name in one.items}
        labels = {name: words for purpose in same for name, words in purpose.labels.items() if name in one.items}
        ours = known is not None and set(known.items) == set(one.items)
        return Listed(
            id=one.id, document=about, name=one.name, why=one.why, legal_basis=one.legal_basis, items=one.items,
            retention=one.retention, kinds=kinds, labels=labels, anyone=False, by_holder=False,
            risk=known.risk if known is not None and ours else one.risk or "high",
        )  # fmt: skip


def _listed(purpose: catalog.Purpose, document: catalog.Document) -> Listed:
    claims = [document.claim(item) for item in purpose.items]
    sd_jwt, mdoc = (document.formats.sd_jwt, document.formats.mdoc) if document.formats else (None, None)
    return Listed(
        id=purpose.id, name=purpose.name, why=purpose.why, legal_basis=purpose.legal_basis,
        retention=purpose.retention, items=purpose.items, anyone=purpose.anyone, by_holder=purpose.by_holder,
        risk=purpose.risk, kinds={claim.name: claim.kind for claim in claims},
        labels={claim.name: claim.label for claim in claims},
        document=About(
            id=document.id, name=document.name, vct=sd_jwt.vct if sd_jwt else "",
            doctype=mdoc.doctype if mdoc else "", namespace=mdoc.namespace if mdoc else "",
        ),
    )  # fmt: skip


def _must_be_sound(purpose: Listed) -> None:
    items = set(purpose.items)
    _require(all(_NAME.fullmatch(name) for name in (purpose.id, *purpose.items)), "a purpose or an item has no name")
    _require(0 < len(items) == len(purpose.items), "a purpose asks for nothing, or for an item twice")
    _require(set(purpose.kinds) == items == set(purpose.labels), "an item has no kind, or no words")
    yes_or_no = all(kind == "yes_no" for kind in purpose.kinds.values())
    _require(yes_or_no or not purpose.anyone, "a purpose for anyone asks for more than yes or no")
    _require(purpose.risk != "high" or not purpose.by_holder, "a purpose of high risk is shown unasked")
    _require(bool(purpose.document.vct or purpose.document.doctype), "a purpose is about a document of no format")
    _require(bool(purpose.document.doctype) == bool(purpose.document.namespace), "a doctype without its namespace")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise)


# --- publishing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Published:
    """The signed document and its ETag, which is of the claims: two processes sign differently and say the same."""

    token: str
    etag: str


class Purposes:
    """The country's own, signed once a day with the key of the trust list."""

    def __init__(self, country: catalog.Country, signer: Signing, clock: Clock) -> None:
        self._country, self._signer, self._clock = country, signer, clock
        self._kept: tuple[int, Published] | None = None

    def published(self) -> Published:
        now = self._clock.now()
        if self._kept is None or not 0 <= now.timestamp() - self._kept[0] < DAY:
            made = PurposesDocument.of(self._country, now)
            etag = f'"{b64u(sha256(made.payload).digest())}"'
            self._kept = made.iat, Published(made.sign(self._signer), etag)
        return self._kept[1]
