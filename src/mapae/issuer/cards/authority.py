"""Who signs chips: the country's authority for them (CSCA), its document signers, and the list of revoked ones.

Promises: a document signer's key is used for three months and the authority's for three years (Doc 9303-12 4); the next
generation is made when it is needed, under a key of its own, and whoever checks a card finds every generation here; a
list of revoked signers is never older than a day. Trusts: the key store. Keeps: certificates, through `store`; the
newest list, in memory. Refuses: to sign with a revoked key; it makes the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from mapae.audit import Event, record
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Subject, serial_number
from mapae.issuer.ic_card import pki
from mapae.issuer.ic_card.pki import Periods, Places
from mapae.issuer.ic_card.sod import make_sod
from mapae.keys import Signer

from . import store
from .partners import CardData
from .sealing import Groups
from .store import ChipSigner
from .trail import HOUSE

CSCA: Final = "csca"
SIGNER: Final = "chip-signer"
PERIODS: Final = Periods()
_LIST_AGE: Final = timedelta(hours=12)
_EARLIER: Final = timedelta(hours=1)  # clocks differ


@dataclass(frozen=True, slots=True)
class Called:
    """How the certificates call the country. `state` has the three letters of the MRZ, `code` the two of X.509."""

    name: str
    code: str
    state: str
    base: str


class ChipAuthority:
    """Signs chips, and says whose signatures count. Implements `Sealing`."""

    def __init__(
        self, db: Db, clock: Clock, dice: Dice, keys: Callable[[str], Signer], country: Called,
        periods: Periods = PERIODS,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice, self._keys = db, clock, dice, keys
        self._country, self._periods = country, periods
        self._groups = Groups(country.state)
        self._lists: dict[str, tuple[datetime, bytes]] = {}

    # --- Sealing ------------------------------------------------------------------------------------------------------

    def hashes(self, data: CardData, dg14: bytes) -> dict[int, bytes]:
        return self._groups.hashes(data, dg14)

    def chip_key(self, dg14: bytes) -> bytes:
        return self._groups.chip_key(dg14)

    async def sign(self, hashes: Mapping[int, bytes]) -> bytes:
        """EF.SOD over these hashes, by the document signer of these months."""
        signer = await self._current(SIGNER)
        now = self._clock.surely().replace(microsecond=0)
        return make_sod(hashes, now, self._keys(signer.name).sign, signer.der)

    # --- whose signatures count ---------------------------------------------------------------------------------------

    async def authorities(self) -> list[bytes]:
        """Every generation's certificate, DER: the anchors of passive authentication."""
        await self._current(CSCA)
        return [one.der for one in await store.chip_signers(self._db, CSCA)]

    async def lists(self) -> list[bytes]:
        """One list of revoked signers for each."""
        await self._current(CSCA)
        return [await self._list(one) for one in await store.chip_signers(self._db, CSCA)]

    async def published(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and list of one generation, for anybody. Raises Refused(NOT_FOUND)."""
        for one in await store.chip_signers(self._db, CSCA):
            if one.name == name:
                return one.der, await self._list(one)
        raise Refused(Code.NOT_FOUND, "there is no such authority")

    async def revoke(self, name: str) -> None:
        """This document signer's key may be in other hands: nothing it signed counts any more."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if not await store.revoke_chip_signer(tx, name, int(now.timestamp())):
                raise Refused(Code.NOT_FOUND, "there is no such signer, or it was revoked before")
            await record(tx, Event(name, "chip_signer", "revoked", HOUSE), now)

        await self._db.write(body)
        self._lists.clear()

    async def _list(self, above: ChipSigner) -> bytes:
        now = self._clock.now().replace(microsecond=0)
        revoked = [
            (one.serial, datetime.fromtimestamp(one.revoked_at, UTC))
            for one in await store.chip_signers(self._db, SIGNER)
            if one.above == above.name and one.revoked_at is not None
        ]
        key = f"{above.name} {sorted(serial for serial, _ in revoked)}"
        kept = self._lists.get(key)
        if kept is None or not timedelta() <= now - kept[0] < _LIST_AGE:
            number = int(now.timestamp())
            made = pki.revocation_list(
                self._keys(above.name), above.der, revoked, number=number, at=now, periods=self._periods
            )
            kept = self._lists[key] = (now, made)
        return kept[1]

    # --- generations --------------------------------------------------------------------------------------------------

    async def _current(self, kind: str) -> ChipSigner:
        """The newest generation, or a new one when that has signed long enough or was revoked. One that a clock too far
        ahead has begun counts from its day on: what it signed today would be not valid yet."""
        known = await store.chip_signers(self._db, kind)
        begun = [one for one in known if one.begun <= self._now() + _EARLIER.total_seconds()]
        if begun and begun[-1].revoked_at is None and self._now() < begun[-1].signs_until - 1:
            return begun[-1]
        name = kind if not known else f"{kind}-{len(known) + 1}"
        new = await self._authority(name) if kind == CSCA else await self._signer(name)
        now = self._clock.now()

        async def body(tx: Tx) -> bool:
            made = await store.add_chip_signer(tx, new)
            if made:
                await record(tx, Event(name, "chip_signer", "begun", HOUSE, {"kind": kind}), now)
            return made

        if await self._db.write(body):
            return new
        return await self._current(kind)

    async def _authority(self, name: str) -> ChipSigner:
        start, key, serial = self._start(), self._keys(name), self._serial()
        subject = self._subject("CSCA", name)
        der = pki.authority(subject, key, self._places(name), serial=serial, start=start, periods=self._periods)
        until = start + self._periods.authority_signs
        return ChipSigner(name, CSCA, serial, name, der, self._now(), int(until.timestamp()), None)

    async def _signer(self, name: str) -> ChipSigner:
        above = await self._current(CSCA)
        start, serial, subject = self._start(), self._serial(), self._subject("Chip Signer", name)
        begins = datetime.fromtimestamp(above.begun, UTC)
        der = pki.document_signer(
            subject, PublicKey.from_jwk(self._keys(name).jwk), self._places(above.name), by=self._keys(above.name),
            by_der=above.der, serial=serial, start=max(start, begins - _EARLIER), periods=self._periods,
        )  # fmt: skip
        until = start + self._periods.signer_signs
        return ChipSigner(name, SIGNER, serial, above.name, der, self._now(), int(until.timestamp()), None)

    def _subject(self, what: str, name: str) -> Subject:
        number = name.rpartition("-")[2]
        return Subject(f"{self._country.name} {what} {number if number.isdigit() else 1}", "mapae", self._country.code)

    def _places(self, authority: str) -> Places:
        base = self._country.base
        return Places(self._country.state, base, f"{base}/issuer/chips/{authority}.crl")

    def _start(self) -> datetime:
        return self._clock.surely().replace(microsecond=0) - _EARLIER

    def _serial(self) -> int:
        return serial_number(self._dice.bytes(16))

    def _now(self) -> int:
        """Generations are begun by a time that has surely passed."""
        return int(self._clock.surely().timestamp())
