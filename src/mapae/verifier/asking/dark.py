"""The counter's life without a network: its offline pack, kept fresh while there is one and stood on when there is
none.

Promises: what the network says comes first; only where the trust list or a status list cannot be had does the pack
speak, and then the verdict carries the tier and both ages. A list this process had from the issuer itself after the
pack was made still counts against a card. On each new pack, before it takes the old one's place, what was accepted
without a network is looked at again (`doubt.py`). Trusts: packs as `Keeper` lets them in. Keeps: the pack's folder; of
this relying party its own registration, as the trust list last had it; of what it accepted what `doubt.py` says.
Refuses: a pack too old for the purpose (STALE_PACK); to speak for questions outside the country pack, or about foreign
cards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec
import structlog

from mapae.catalog import Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db
from mapae.errors import Code, Refused, step
from mapae.formats.status import StatusList
from mapae.keys import Vault
from mapae.trust.entries import RelyingParty
from mapae.trust.pack.keep import Fetched, Keeper
from mapae.trust.pack.verify import Opened
from mapae.trust.publish import TrustList
from mapae.verifier.asking import doubt_store
from mapae.verifier.asking.doubt import (
    Accepted,
    Doubt,
    Doubtful,
    Tagger,
    accepted,
    doubted_signers,
    newly,
    newly_not_valid,
)
from mapae.verifier.checking.check import Answer, Asked, conclude, examine_answer
from mapae.verifier.checking.offline import Known, Light, Offline, Tier, clock, light, reach
from mapae.verifier.checking.standing import StatusLists, Unreachable
from mapae.verifier.checking.steps import Examined, Listed, Trusted

PATIENCE: Final = 2.0  # seconds to wait for the trust list where there is a pack
QUIET: Final = timedelta(seconds=30)
BREATH: Final = 20_000  # tags made before others get their turn
TrustSource = Callable[[], Awaitable[TrustList]]
_WORST: Final = (Tier.FULL, Tier.MARKED, Tier.YOUNG)
_log = structlog.get_logger("mapae.verifier")


@dataclass(frozen=True, slots=True)
class PackState:
    """What the checker's page says of its pack. Ages in seconds; `late`: publishers whose lists are older than that."""

    light: Light
    trust: int
    status: int
    late: int


class Basement:
    """One a verifier process. `online` is the trust list as the network has it; `parties` whom this process asks
    for."""

    def __init__(
        self, keeper: Keeper, *, online: TrustSource, db: Db, vault: Vault, clock: Clock, dice: Dice,
        http: httpx.AsyncClient, base: str, parties: Collection[str],
    ) -> None:  # fmt: skip
        self._keeper, self._online, self._db, self._vault = keeper, online, db, vault
        self._clock, self._dice, self._http, self._base = clock, dice, http, base
        self._parties = parties  # may grow: who is taken up later
        keeper.before = self._look_again
        self._known: Known | None = None
        self._list: TrustList | None = None  # of the pack, with our own registrations
        self._registered: tuple[RelyingParty, ...] = ()
        self._seen: TrustList | None = None
        self._heard: datetime | None = None  # when the publisher last answered well
        self._silent: datetime | None = None  # when the trust list was last asked for in vain
        self.lists: StatusLists | None = None  # what comes from issuers themselves
        self._looked: dict[str, StatusList] = {}
        self._older: Opened | None = None

    # --- the pack -----------------------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """At the start: the pack and our registrations as they were left. A pack that does not hold is not used."""
        self._registered = _read_registrations(self._keeper.note("registrations"))
        try:
            self._keeper.reopen()
        except Refused as refused:
            _log.error("the offline pack on disk does not hold", code=refused.code.value, step=refused.step)
        self._taken()

    async def refresh_when_due(self, every: float, epoch: float) -> Fetched | None:
        """At the start, as often as said, and at each look where nobody answered, what came was refused, or what we
        have is older than two epochs all the same: whoever publishes may have been cut off as well, and be back. Or
        where it has nobody's status lists yet, as in a country that has just begun."""
        now, opened = self._clock.now(), self._keeper.opened
        old = opened is None or not opened.statuses or now.timestamp() - opened.as_of > 2 * epoch
        if not old and self._heard is not None and 0 <= (now - self._heard).total_seconds() < every:
            return None
        return await self.refresh()

    async def refresh(self) -> Fetched | None:
        """Now. None: nobody answered; what we have stays in force."""
        self._heard = None
        self._keeper.note_time(int(self._clock.now().timestamp()))
        await doubt_store.sweep(self._db, self._clock.surely())
        await self._look_at_heard()
        try:
            fetched = await self._keeper.fetch(self._http, self._base)
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                return None
            _log.error("an offline pack was refused", code=refused.code.value, step=refused.step, why=refused.detail)
            raise
        self._taken()
        self._heard = self._clock.now()
        self._silent = None
        return fetched

    def now(self) -> datetime:
        """Never behind what witnesses vouched for."""
        opened = self._keeper.opened
        return clock(self._clock.now(), opened.newest if opened is not None else 0, self._keeper.high_water)

    @property
    def opened(self) -> Opened | None:
        """The pack this checker has."""
        return self._keeper.opened

    def state(self) -> PackState | None:
        opened = self._keeper.opened
        if opened is None:
            return None
        at = self.now().timestamp()
        trust = max(0, int(at - opened.as_of))
        status = max([int(at - one.as_of) for one in opened.statuses], default=trust)
        late = sum(one.late for one in opened.statuses)
        return PackState(light(max(trust, status)), trust, max(0, status), late)

    async def doubtful(self, party: str | None = None) -> list[Doubtful]:
        return await doubt_store.report(self._db, party)

    # --- trust --------------------------------------------------------------------------------------------------------

    async def trust(self) -> TrustList:
        """The trust list from the network; where it cannot be had, or not soon, the last one while it is in date, then
        the pack's. Raises Refused(UNAVAILABLE)."""
        found = await (self._online() if self._list is None else self._soon())
        if found is None:
            kept, now = self._seen, self._clock.now().timestamp()
            return kept if kept is not None and kept.exp > now else self._list  # type: ignore[return-value]
        if found is not self._seen:
            self._seen = found
            self._remember(found)
        return found

    async def _soon(self) -> TrustList | None:
        """None: nobody answers, or not for a while. A customer does not wait for that time and again: `QUIET` from now
        nobody is asked, unless a pack comes first."""
        now = self._clock.now()
        if self._silent is not None and timedelta(0) <= now - self._silent < QUIET:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._online()
        except TimeoutError:
            self._silent = self._clock.now()
            return None
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE:
                raise
            self._silent, self._seen = self._clock.now(), None  # the last one is over
            return None
        self._silent = None
        return found

    def is_ours(self, trusted: TrustList) -> bool:
        """Whether this list came out of the pack."""
        return trusted is self._list

    def _remember(self, found: TrustList) -> None:
        mine = tuple(party for party in found.relying_parties if party.id in self._parties)
        if mine != self._registered:
            self._registered = mine
            self._keeper.keep_note("registrations", msgspec.json.encode(mine))
            self._taken(again=True)

    def _taken(self, *, again: bool = False) -> None:
        opened = self._keeper.opened
        if opened is None or (not again and self._known is not None and self._known.opened is opened):
            return
        self._known = Known(opened)
        self._list = msgspec.structs.replace(opened.trust_list, relying_parties=self._registered)

    # --- a check ------------------------------------------------------------------------------------------------------

    async def check(
        self, asked: Asked, token: Any, purpose: Purpose, lists: StatusLists, *, ask: bool = True
    ) -> tuple[Answer, Offline, tuple[Examined, ...]]:
        """All six steps on the pack's trust; a status list is asked for once more, then it is the last one heard or the
        pack's, whichever is newer. Raises Refused with `step`."""
        known = self._known
        if known is None:
            raise Refused(Code.STATUS_UNKNOWN, "the issuer's status list cannot be reached", step="standing")
        now = self.now()
        with step("issuer"):
            trusted = known.trusted(purpose, now)
        halfway = examine_answer(token, asked, trusted, now)
        found: dict[str, Listed] = {}
        grounds: list[Offline] = []
        with step("standing"):
            for _, examined in halfway:
                if examined.status is None:
                    grounds.append(known.standing(None, purpose, now))
                    continue
                listed, heard = await self._listed(known, examined, trusted.lists, lists, purpose, ask)
                grounds.append(known.standing(examined.status.uri, purpose, now, heard))
                if listed is not None:
                    found[examined.status.uri] = listed
        answer = conclude(halfway, found, now)
        return answer, _weakest(grounds), tuple(one for _, one in halfway)

    async def look_up(
        self, examine: Callable[[Trusted], Examined], purpose: Purpose, lists: StatusLists, *, ask: bool
    ) -> tuple[Examined, Mapping[str, Listed], Offline]:
        """What the pack knows of one document that no wallet showed: `examine` has steps 1 to 4 done on the pack's
        trust; its status list; on what a verdict stands. Raises Refused with `step`."""
        known = self._known
        if known is None:
            raise Refused(Code.STATUS_UNKNOWN, "the issuer's status list cannot be reached", step="standing")
        now = self.now()
        with step("issuer"):
            trusted = known.trusted(purpose, now)
        examined = examine(trusted)
        with step("standing"):
            listed, heard = await self._listed(known, examined, trusted.lists, lists, purpose, ask)
            uri = examined.status.uri if examined.status is not None else None
            grounds = known.standing(uri, purpose, now, heard)
        found = {uri: listed} if uri is not None and listed is not None else {}
        return examined, found, grounds

    async def _listed(
        self,
        known: Known,
        examined: Examined,
        packed: Mapping[str, Listed],
        lists: StatusLists,
        purpose: Purpose,
        ask: bool,
    ) -> tuple[Listed | None, datetime | None]:
        """The list for one copy, and when its issuer was heard of it if that was later than the pack."""
        assert examined.status is not None
        uri = examined.status.uri
        try:
            if not ask:
                raise Unreachable
            answered = await lists.listed(examined.status, examined.issuer)
            return answered[uri], self.now()
        except Unreachable:
            heard = _newer(uri, lists, known.opened)
            if heard is None:
                return packed.get(uri), None
            return Listed(heard[0], heard[1] + reach(purpose)), heard[1]

    async def to_keep(self, party: str, purpose: str, examined: Iterable[Examined]) -> tuple[Accepted, ...]:
        """What is kept of a presentation that was accepted with no network."""
        now = self.now()
        key = await doubt_store.key_of_today(self._db, self._vault, self._dice, now)
        return tuple(
            accepted(self._dice.token(12), party, purpose, now, one.x5c[0], one.status, key)
            for one in examined
            if one.status is not None
        )

    # --- doubt --------------------------------------------------------------------------------------------------------

    async def _look_again(self, old: Opened | None, new: Opened) -> None:
        """Against the pack before the last: a check that was under way when the last one came had begun with that."""
        await self._mark(newly_not_valid(self._older or old, new), doubted_signers(new))
        self._older = old

    async def _look_at_heard(self) -> None:
        """The publisher of packs may be dark for longer than the issuers."""
        opened = self._keeper.opened
        if opened is None or self.lists is None:
            return
        fresh = {uri: list_ for uri, list_ in self.lists.heard().items() if self._looked.get(uri) is not list_}
        packed = ((uri, list_, opened.list(uri)) for uri, list_ in fresh.items())
        await self._mark(((uri, newly(before, list_)) for uri, list_, before in packed if before is not None), {})
        self._looked |= fresh

    async def _mark(self, not_valid: Iterable[tuple[str, Mapping[int, Doubt]]], doubted: Mapping[bytes, int]) -> None:
        keys = await doubt_store.keys(self._db, self._vault)
        if not keys:
            return
        wanted = {day: await doubt_store.tags(self._db, day) for day in keys}
        found: list[tuple[int, bytes, Doubt]] = []
        made = 0
        for uri, places in not_valid:
            for day, key in keys.items():
                tagger = Tagger(key, uri)
                for index, why in places.items():
                    tag = tagger.tag(index)
                    if tag in wanted[day]:
                        found.append((day, tag, why))
                made += len(places)
                if made > BREATH:
                    made = 0
                    await asyncio.sleep(0)
        mine = await doubt_store.signers(self._db)
        signers = {signer: since for signer, since in doubted.items() if signer in mine}
        marked = await doubt_store.mark(self._db, found, signers) if found or signers else 0
        if marked:
            _log.warning("presentations accepted without a network are doubtful", count=marked)


def _newer(uri: str | None, lists: StatusLists, opened: Opened) -> tuple[StatusList, datetime] | None:
    """The list this process had from its issuer after the pack was made: it knows of locks the pack does not."""
    heard = lists.last_heard(uri) if uri is not None else None
    publisher = opened.publisher(uri) if uri is not None else None
    if heard is None or (publisher is not None and heard[1].timestamp() <= publisher.as_of):
        return None
    return heard


def _weakest(grounds: Iterable[Offline]) -> Offline:
    every = list(grounds)
    tier = max((one.tier for one in every), key=_WORST.index)
    return Offline(tier, max(one.trust for one in every), max(one.status for one in every))


def _read_registrations(raw: bytes | None) -> tuple[RelyingParty, ...]:
    if raw is None:
        return ()
    try:
        return msgspec.json.decode(raw, type=tuple[RelyingParty, ...])
    except (msgspec.DecodeError, msgspec.ValidationError):
        _log.error("the registrations kept beside the offline pack cannot be read")
        return ()
