"""`mapae drill dark`: issuer, status and log go dark, and what a country can still do, for how long.

    before    cards, tills, a pack; one card locked; everything counted
    dark      no line to issuer, status and log for twenty days: who can do what, and what waits where
    restored  lines again: the queues drain, the log is cosigned anew, the lock is felt, the doubtful is named
    basement  only the shop has no line, for a month: where its pack ends
    counted   nothing was lost, nothing is there twice, nothing was rewritten

Promises: each line says what happened and whether it is what this design promises, also where that is not what one
would wish. Trusts: nobody in this country is real. Keeps: what it found. Refuses: nothing; a promise that does not hold
makes the drill fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec

from .demo_lives import phone_of
from .drill_books import Books, Count
from .drill_country import Citizen, Counter, World
from .drill_lines import DARK, Part
from .errors import Code, Refused
from .founding import governors
from .issuer.desk_store import Task
from .issuer.desk_values import Reason
from .issuer.evidence import Why
from .issuer.officers import Officer
from .registers.values import Resident
from .trust.checkpoints import REFRESH
from .trust.pack.format import is_delta
from .verifier.asking.dark import Basement
from .verifier.asking.doubt import Doubt, Doubtful
from .verifier.asking.store import Verdict

YES, NAME, PAYMENT = "yes or no", "name", "payment"
MINUTE, HOURS, WEEK, WEEKS, MONTH = "+1 min", "+23 h", "+6 d", "+20 d", "+31 d"
MOMENTS: Final = {  # after the lines were cut
    MINUTE: timedelta(minutes=1), HOURS: timedelta(hours=23), WEEK: timedelta(days=6), WEEKS: timedelta(days=20),
    MONTH: timedelta(days=31),
}  # fmt: skip
# By kind of purpose, what a counter says at each of these moments: the tier it accepts in, or why it refuses.
PROMISED: Final = {
    YES: {MINUTE: "full", HOURS: "full", WEEK: "marked", WEEKS: "young", MONTH: "stale_pack"},
    NAME: {MINUTE: "full", HOURS: "full", WEEK: "marked", WEEKS: "stale_pack", MONTH: "stale_pack"},
    PAYMENT: {MINUTE: "full", HOURS: "full", WEEK: "stale_pack", WEEKS: "stale_pack", MONTH: "stale_pack"},
}
NO_ANSWER: Final = "no answer"  # the phone has none to give
BEFORE: Final = timedelta(days=2)  # that cards were obtained before the lines were cut
MOST: Final = 600  # seconds until everything has caught up: an outbox tries again every five minutes at the latest


class Finding(msgspec.Struct, frozen=True):
    """One line. `good`: it is as promised."""

    when: str
    who: str
    what: str
    good: bool = True


class Report(msgspec.Struct):
    """All of it. `verdicts`: by kind of purpose and moment; `queues`: at the end of the dark."""

    country: str
    findings: list[Finding] = []
    verdicts: dict[str, dict[str, str]] = {}
    queues: dict[str, int] = {}
    before: Count | None = None
    after: Count | None = None

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)


Say = Callable[[Finding], None]


def promised(kind: str, moment: str, copy_days: int) -> str:
    """What a counter is to say. Copies end by themselves, and a phone gets no others in the dark."""
    if moment in (WEEK, WEEKS) and BEFORE + MOMENTS[moment] >= timedelta(days=copy_days):
        return NO_ANSWER
    return PROMISED[kind][moment]


async def dark(world: World, say: Say = lambda finding: None) -> Report:
    """The whole drill, in a country that was just made."""
    return await Drill(world, say).run()


class Drill:
    def __init__(self, world: World, say: Say) -> None:
        self.world, self._say = world, say
        self.report = Report(world.settings.country)
        self.books = Books(world)
        self._at = "before"
        self._counters: dict[str, Counter] = {}

    @property
    def basement(self) -> Basement:
        basement = self.world.rest.verifier.basement
        if basement is None:
            raise Refused(Code.BAD_CONFIG, "this installation's verifier keeps no offline pack")
        return basement

    async def run(self) -> Report:
        await self._before()
        await self._night_falls()
        await self._until(MINUTE)
        await self._first_minutes()
        await self._until(HOURS)
        await self._locked_meanwhile()
        await self._started_anew()
        await self._until(WEEK)
        await self._locked_meanwhile()
        await self._the_phone_says_so()
        await self._until(WEEKS)
        await self._weeks_are_over()
        await self._restore()
        await self._felt()
        await self._case_goes_on()
        await self._registration_goes_on()
        await self._shop_in_its_basement()
        await self._counted()
        return self.report

    def found(self, who: str, what: str, good: bool = True) -> None:
        finding = Finding(self._at, who, what, good)
        self.report.findings.append(finding)
        self._say(finding)

    # --- before -------------------------------------------------------------------------------------------------------

    async def _before(self) -> None:
        world = self.world
        *people, self.applicant = await world.people(5)
        self.citizens = [await world.citizen(who) for who in people]
        self.customer, self.locked, self.lost, self.leaver = self.citizens
        phones = world.http(Part.PEOPLE)
        self.applicants_phone = await phone_of(phones, world.settings.base_url, world.clock, self.applicant)
        self._counters = {kind: await world.counter(purpose) for kind, purpose in world.purposes().items()}
        # A copy says only the day it was signed on. After two days it is sure to be older than the pack.
        await world.live(BEFORE)
        for kind, counter in self._counters.items():
            got, text = await self._tried(counter, self.customer)
            self.found("shop", f"{kind}: {text}", got == "online")
        copies = await world.issuer.issuer.lock(self.locked.person, "lost", "portal")
        self.found("citizen", f"a phone is reported lost: {copies} copies locked", copies > 0)
        self.officer, self.case = await self._open_case(self.applicant)
        await world.live(timedelta(minutes=6))
        state = self.basement.state()
        self.found("shop", f"has an offline pack, {span(state.trust)} old" if state else "has no pack", bool(state))
        followed = await self.books.follow()
        self.found("outsider", f"follows the log: {followed}", followed.endswith("new"))
        self.report.before = await self.books.count(self.citizens)
        queues = await self.books.queues()
        self.found("operator", "nothing waits" if not queues else f"waiting: {queues}", not queues)

    async def _open_case(self, who: Resident) -> tuple[Officer, str]:
        """Somebody applies at a counter; it is not finished when the lights go out."""
        desk, officers = self.world.issuer.desk, await self.world.issuer.officers.all()
        offices = {office.id: office.municipality for office in self.world.country.offices.values()}
        officer = next((one for one in officers if offices[one.office] == who.municipality), officers[0])
        seen = await desk.find_by_number(officer, Reason.APPLICATION, who.number.written)
        kind = next(one.id for one in self.world.country.documents.values() if one.issued_here)
        return officer, await desk.open_case(officer, seen.people[0].look, Task.ISSUE, kind)

    # --- dark ---------------------------------------------------------------------------------------------------------

    async def _night_falls(self) -> None:
        self._at, self._cut = "dark", self.world.clock.now()
        self.world.lines.cut(DARK)
        async with self.world.http(Part.PEOPLE) as http:
            for part, path in (("issuer", "/portal/"), ("status", "/issuer/status-epoch"), ("log", "/trust/list")):
                try:
                    answer = await http.get(path)
                    self.found(part, f"answers {answer.status_code}", good=False)
                except httpx.ConnectError:
                    self.found(part, "cannot be reached")

    async def _until(self, moment: str) -> None:
        """Time passes, an epoch in each of its periods; then the same customer at every counter."""
        self._at, then = moment, self._cut + MOMENTS[moment]
        clock, period = self.world.clock, timedelta(seconds=self.world.settings.epoch)
        while clock.now() + period < then:
            clock.advance(period)
            if not await self.world.issuer.epochs.cut_when_due():
                break  # with a hundred waiting no more are cut
        await self.world.live(then - clock.now())
        await self._checks(moment)

    async def _checks(self, moment: str) -> None:
        for kind, counter in self._counters.items():
            got, text = await self._tried(counter, self.customer)
            self.report.verdicts.setdefault(kind, {})[moment] = got
            self.found("shop", f"{kind}: {text}", got == self._promised(kind, moment))

    def _promised(self, kind: str, moment: str) -> str:
        return promised(kind, moment, self.world.country.issuance.copy_days)

    async def _tried(self, counter: Counter, citizen: Citizen) -> tuple[str, str]:
        """The tier, or the code of the refusal; and the same in words."""
        try:
            verdict = await self.world.check(counter, citizen)
        except Refused as refused:
            return NO_ANSWER, f"{NO_ANSWER}: {refused.code.value} ({refused.detail})"
        if verdict.outcome.value == "accepted":
            return verdict.offline.tier.value if verdict.offline is not None else "online", said(verdict)
        return verdict.code or verdict.outcome.value, said(verdict)

    async def _first_minutes(self) -> None:
        got, text = await self._tried(self._counters[YES], self.locked)
        self.found("shop", f"the card locked before: {text}", got == "suspended")
        wallet = self.customer.wallet
        shown = [wallet.claims(card) for card in wallet.cards]
        self.found("wallet", f"opens and shows its {len(shown)} cards", bool(shown) and all(shown))
        await self._fails("wallet", "new copies", wallet.renew(wallet.cards[0]))
        await self._phone_is_lost()
        await self._at_the_counter()
        await self._registration_waits()

    async def _phone_is_lost(self) -> None:
        """What a citizen can do, and what waits."""
        async with self.world.http(Part.PEOPLE) as http:
            try:
                await http.get("/portal/lost")
                self.found("citizen", "phone lost: reaches the portal", good=False)
            except httpx.ConnectError:
                self.found("citizen", "phone lost: the portal cannot be reached; an office can")
        copies = await self.world.issuer.issuer.lock(self.lost.person, "lost", self.officer.id)
        self.found("officer", f"locks it in the issuer's own building: {copies} copies, written down", copies > 0)
        gone = await self.leaver.wallet.give_up()
        self.found("citizen", f"phone in hand: gives it up at the wallet provider, it is {gone.state}", gone.must_erase)
        waits = (await self.books.queues()).get("issuer: wallet.suspend", 0)
        standing = await self.lost.wallet.standing()
        self.found(
            "wallet provider", f"has not heard: the phone is {standing.state}; {waits} message waits at the issuer",
            standing.state == "active" and waits == 1,
        )  # fmt: skip

    async def _at_the_counter(self) -> None:
        """The desk is in the issuer's own network; the registers are not."""
        async with self.world.http(Part.ISSUER) as http:
            answer = await http.get("/desk/sign-in")
        self.found("officer", "the desk opens", answer.status_code == 200)
        desk, officer = self.world.issuer.desk, self.officer
        number = self.applicant.number.written
        await self._fails("officer", "a search", desk.find_by_number(officer, Reason.APPLICATION, number))
        await desk.record_card(officer, self.case, number=True, photo=True, undamaged=True)
        await self._two_officers()
        self.found("officer", "records card and face on the open case")
        await self._fails("officer", "filing it", desk.file(officer, self.case))

    async def _two_officers(self) -> None:
        """Two of the office compare: the photo on record is with a register that is out of reach."""
        second = next(one for one in await self.world.issuer.officers.colleagues(self.officer))
        await self.world.issuer.desk.two_officers(self.officer, self.case, second, Why.UNAVAILABLE)

    async def _fails(self, who: str, what: str, work: Awaitable[Any]) -> None:
        """It must, and say that it may be tried again."""
        try:
            await work
        except Refused as refused:
            self.found(who, f"{what}: {refused.code.value} ({refused.detail})", refused.code is Code.UNAVAILABLE)
        else:
            self.found(who, f"{what}: done, though it cannot have been", good=False)

    async def _registration_waits(self) -> None:
        """Of the governors, one is in the log's building."""
        shop = self._shop_to_go
        self.change = await self.world.log.registry.propose_removal("relying_party", shop, self.governors[0])
        waiting = len(await self.world.log.registry.waiting())
        self.found(
            "governor-1", f"proposes to strike off a shop: {waiting} change waits for another vote", waiting == 1
        )

    @property
    def governors(self) -> Any:
        return governors(self.world.log.foundation)

    @property
    def _shop_to_go(self) -> str:
        """One that no counter of this drill belongs to."""
        asking = {counter.till.relying_party for counter in self._counters.values()}
        return next(id for id in self.world.rest.verifier.shops if id not in asking)

    async def _locked_meanwhile(self) -> None:
        """Honestly: no checker can know what nobody could tell it."""
        got, text = await self._tried(self._counters[YES], self.lost)
        what = f"the card locked since: {text}; the pack cannot know"
        self.found("shop", what, got == self._promised(YES, self._at))

    async def _started_anew(self) -> None:
        """Somebody pulls the plug; what is needed is on disk."""
        await self.world.rest.close()
        await self.world.start(Part.REST)
        state = self.basement.state()
        what = (
            f"its computer is started anew: the pack is there, {span(state.status)} old" if state else "lost its pack"
        )
        self.found("shop", what, state is not None)

    async def _the_phone_says_so(self) -> None:
        asked = await self.world.asked(self._counters[YES], self.customer)
        age = self.world.clock.now().timestamp() - (asked.known_at or 0)
        what = f"tells its holder that the list of shops is {span(int(age))} old"
        self.found("wallet", what, asked.known_at is not None and age < 7 * 86400)

    async def _weeks_are_over(self) -> None:
        now, before = int(self.world.clock.now().timestamp()), int(self._cut.timestamp())
        vouched = await self.books.vouched_at()
        self.found("witnesses", f"last stood behind the log {span(now - vouched)} ago", vouched <= before)
        queues = self.report.queues = await self.books.queues()
        for name, count in queues.items():
            self.found("queue", f"{name}: {count}")
        votes = len(await self.world.log.registry.waiting())
        self.found("queue", f"trust: changes that wait for a vote: {votes}", votes == 1)
        self.found("operator", f"{self.world.lines.failed} messages failed", bool(queues))

    # --- restored -----------------------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        self._at, restored, held, seconds = "restored", self.world.clock.now(), self._held(), 0
        self.world.lines.restore()
        while await self.books.queues() and seconds < MOST:
            await self.world.live(timedelta(seconds=15))
            seconds += 15
        self.found("operator", f"all queues are empty after {span(seconds)}", not await self.books.queues())
        await self.world.live(timedelta(seconds=REFRESH))
        vouched = await self.books.vouched_at()
        self.found("witnesses", "cosign anew", vouched >= restored.timestamp())
        state, again = self.basement.state(), self._held()
        young = state is not None and max(state.trust, state.status) < MOST
        self.found("shop", f"has a new pack, {span(state.status if state else 0)} old", young and again != held)
        await self.world.live(timedelta(minutes=6))
        async with self.world.http(Part.REST) as http:
            step = (await http.get(f"/trust/pack/since/{again.hex()}")).content
            whole = (await http.get("/trust/pack")).content
        what = f"the next one, of {len(whole)} bytes, came as {len(step)} bytes of differences"
        self.found("shop", what, is_delta(step) and self._held() != again)

    def _held(self) -> bytes:
        """The pack the shop has."""
        opened = self.basement.opened
        return opened.pack.id if opened is not None else b""

    async def _felt(self) -> None:
        """The lock, and what was accepted of it meanwhile."""
        felt = NO_ANSWER if self._promised(YES, WEEKS) == NO_ANSWER else "suspended"
        for who, citizen in (("before", self.locked), ("in the dark", self.lost)):
            got, text = await self._tried(self._counters[YES], citizen)
            self.found("shop", f"the card locked {who}: {text}", got == felt)
        doubtful, zone = await self.basement.doubtful(), self.world.rest.foundation.zone
        lines = [f"{datetime.fromtimestamp(one.at, zone):%d %b %H:%M} {one.purpose}" for one in doubtful]
        self.found("shop", f"doubtful now: {', '.join(lines) or 'nothing'}; no name", self._are_the_accepted(doubtful))
        standing = await self.lost.wallet.standing()
        self.found(
            "wallet provider", f"has heard: the phone is {standing.state}, its cards erased", standing.must_erase
        )
        states = {one.state for one in await self.world.issuer.issuer.holdings(self.leaver.person)}
        what = f"has heard of the phone that was given up: its card is {', '.join(states)}"
        self.found("issuer", what, states == {"ended"})

    def _are_the_accepted(self, doubtful: list[Doubtful]) -> bool:
        """By time and purpose, the newest first."""
        purpose = self._counters[YES].purpose.id
        times = [int((self._cut + MOMENTS[moment]).timestamp()) for moment in (WEEK, HOURS)]
        return doubtful == [Doubtful(at, purpose, Doubt.LOCKED) for at in times]

    async def _case_goes_on(self) -> None:
        """The officer looks again at what weeks have made stale, and hands out the card."""
        desk, officer, case = self.world.issuer.desk, self.officer, self.case
        steps = len((await desk.case(officer, case)).steps)
        self.found("officer", f"the case is as it was left: {steps} steps", steps >= 3)
        await desk.record_card(officer, case, number=True, photo=True, undamaged=True)
        await self._two_officers()
        await desk.file(officer, case)
        await desk.open_offer(officer, case)
        screen = (await desk.live(officer, case)).screen
        cards = await self.applicants_phone.receive(screen.uri) if screen is not None else []
        self.found("officer", f"goes on from there: {len(cards)} cards on the phone", bool(cards))

    async def _registration_goes_on(self) -> None:
        agreed = await self.world.log.registry.approve(self.change, self.governors[1])
        listed = (await self.world.log.registry.published()).list.relying_parties
        gone = self._shop_to_go not in {party.id for party in listed}
        self.found("governor-2", "agrees: the shop is off the list", agreed.holds and gone)

    # --- the shop alone -----------------------------------------------------------------------------------------------

    async def _shop_in_its_basement(self) -> None:
        """Everybody has a line but the shop: phones bring fresh copies, and the pack is what ends."""
        self._at = MONTH
        self.world.lines.cut_between(Part.REST, (Part.LOG, Part.STATUS))
        await self.world.live(MOMENTS[MONTH] - timedelta(days=1))
        renewed = await self.customer.wallet.renew(self.customer.wallet.cards[0])
        self.found("wallet", f"new copies of {len(renewed)} cards; only the shop has no line", bool(renewed))
        await self.world.live(timedelta(days=1))
        await self._checks(MONTH)
        state = self.basement.state()
        old = state is not None and state.light.value == "too_old"
        self.found("shop", f"its page says that the pack is too old: {span(state.status if state else 0)}", old)
        self.world.lines.restore()
        await self.world.live(timedelta(minutes=6))
        got, text = await self._tried(self._counters[NAME], self.customer)
        self.found("shop", f"with a line again, {NAME}: {text}", got == "online")

    # --- counted ------------------------------------------------------------------------------------------------------

    async def _counted(self) -> None:
        self._at = "counted"
        before, after = self.report.before, await self.books.count(self.citizens)
        self.report.after = after
        less = before is None or any(
            now < then
            for now, then in zip(msgspec.structs.astuple(after), msgspec.structs.astuple(before), strict=True)
        )
        self.found(
            "books", f"cards {after.cards}, entries {after.registry} and {after.anchors}: nothing less", not less
        )
        for what, wrong in (
            ("audit chains", await self.books.broken()), ("logs, replayed with their rules", await self.books.wrong()),
            ("numbers of entries and epochs", await self.books.gaps()),
        ):  # fmt: skip
            self.found("books", f"{what}: {', '.join(wrong) or 'whole'}", not wrong)
        followed = await self.books.follow()
        self.found("outsider", f"follows the log on: {followed}", followed.endswith("new"))


def said(verdict: Verdict) -> str:
    """A verdict in words."""
    if verdict.outcome.value != "accepted":
        return f"{verdict.outcome.value} ({verdict.code or '-'})"
    if verdict.offline is None:
        return "accepted, with the network"
    return f"accepted ({verdict.offline.tier.value}; what it knows is {span(verdict.offline.status)} old)"


def span(seconds: int) -> str:
    """A length of time, roughly."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
