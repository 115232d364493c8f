"""How an organisation comes to be allowed to ask: it applies, the linter answers, two governors agree, the log has it.

Promises: one state machine (`MOVES`), each step written down before the next begins, so that a kill at any line leaves
a case that the next look or the same command carries on; what governors sign is the very application that was linted,
and it cannot change once the first has agreed; an application that ends lets its key with the hosted checker go.
Trusts: the registry for who governs and for the log. Keeps: the cases (`onboarding_store`), those that came to nothing
not for ever; of the secret link only a hash. Refuses: an application that asks for too much, at submission and again at
each approval and renewal; a key nobody proves to hold; an applicant who approves; a case that has moved on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from mapae import audit, outbox
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.trust import application, onboarding_store, store
from mapae.trust import lint as linter
from mapae.trust.application import Application
from mapae.trust.entries import Entry, RelyingParty, registry_id
from mapae.trust.lint import Finding, Rules
from mapae.trust.log.entry import Reason
from mapae.trust.onboarding_moves import (
    CHANGEABLE,
    LATELY,
    MOVES,
    PAST,
    RENEW,
    UNANSWERED,
    Left,
    left_of,
    moved,
    must_be_as_read,
    old,
    reading,
)
from mapae.trust.onboarding_pin import KIND, Pins
from mapae.trust.onboarding_store import OVER, UNSENT, Case, Old, Stage
from mapae.trust.registry import Agreed, Governor, Registry
from mapae.trust.store import Proposal

MOST_OPEN: Final = 20  # applications from one address that nobody has decided, or that were given up lately
NOTE: Final = 400
LET_GO: Final = "rp_let_go"  # in the outbox: an application has ended, and its key with the hosted checker

HostedKey = Callable[[str, str], Awaitable[Mapping[str, str]]]
"""The verifier's key for a party it is to ask for, made on the first call for this case (ids of both): a public JWK."""
LetGo = Callable[[str], Awaitable[None]]
"""Destroy the key of a case."""
Vouched = Callable[[], Awaitable[datetime | None]]
"""A moment that others stand for; None where nobody is asked to."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A case with what there is to say of it now."""

    case: Case
    made: Application
    findings: tuple[Finding, ...]
    certificate: bytes | None = None  # DER, once it is registered

    @property
    def reading(self) -> str:
        """The case as it was read, to agree to just this: the applicant may change it between a look and a word."""
        return f"{self.case.id}.{reading(self.case)}"


class Onboarding:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, country: Country, rules: Rules, registry: Registry,
        hosted: HostedKey | None = None, let_go: LetGo | None = None, hosts: tuple[str, ...] = (),
        vouched: Vouched | None = None,
    ) -> None:  # fmt: skip
        """`hosts`: the names that certificates of the hosted checker are also for. `vouched`: a moment that others
        stand for (`Checkpoints.vouched`); what cannot be undone waits for it, too."""
        self._db, self._clock, self._dice = db, clock, dice
        self.country, self.rules = country, rules
        self._registry, self._hosted, self._let_go = registry, hosted, let_go
        self._pins = Pins(registry, clock, country, hosts)
        self._vouched = vouched
        self._looked_at: tuple[Entry, ...] | None = None

    def promises(self) -> dict[str, outbox.Handler]:
        async def let_go(promised: dict[str, Any]) -> None:
            if self._let_go is not None:
                await self._let_go(str(promised["case"]))

        return {LET_GO: let_go}

    def lint(self, made: Application) -> tuple[Finding, ...]:
        return linter.lint(made, self.country, self.rules)

    # --- the applicant, by the secret link ----------------------------------------------------------------------------

    async def begin(self, made: Application, source: str, filer: str = "") -> tuple[Case, str]:
        """A new draft, and the token of the link that alone leads to it. It holds nothing, also not its id."""
        application.must_be_held(made, self._clock.now())
        await self._must_be_free(made)
        made = linter.only_needed(made, self.country, self.rules)
        now, token = self._clock.now(), self._dice.token()
        case = Case(
            self._dice.bytes(6).hex(), _digest(token), made.id, self._stage(made), _written(made), 0, source, filer, "",
            "", None, None, None, now, now,
        )  # fmt: skip

        async def body(tx: Tx) -> None:
            await tx.serial(f"rp_application:{source}")  # many at once are counted one after the other
            if await onboarding_store.counted(tx, source, now - LATELY) >= MOST_OPEN:
                raise Refused(Code.TOO_OFTEN, "there are many applications from your address: wait for their decision")
            await onboarding_store.add(tx, case)
            await self._record(tx, case, "begun", "applicant")

        await self._db.write(body)
        return case, token

    async def of(self, token: str) -> Seen:
        """Raises Refused(NOT_FOUND) for anything but a link we gave out."""
        found = await onboarding_store.by_link(self._db, _digest(token))
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such application")
        return await self.look(found.id)

    async def save(self, token: str, made: Application) -> Seen:
        """Change it. One that waits is taken back by that; one a governor has agreed to stays as it is."""
        seen = await self.of(token)
        self._must_be_changeable(seen.case)
        application.must_be_held(made, self._clock.now(), seen.made)
        await self._must_be_free(made, seen.case)
        made = linter.only_needed(made, self.country, self.rules)
        changed = replace(seen.case, party=made.id, stage=self._stage(made), body=_written(made), key=None)
        # What nobody but the applicant has seen is no event: else anybody makes the audit trail as long as he likes.
        await self._write(changed, "" if seen.case.stage in UNSENT else "changed", "applicant")
        return await self.look(seen.case.id)

    async def submit(self, token: str) -> Seen:
        """Hand it in: from here on it holds its id. Raises Refused(EXCESSIVE) with the rule as its step when it asks
        for too much."""
        seen = await self.of(token)
        case, key = seen.case, seen.made.key
        linter.must_not_be_excessive(seen.findings)
        stage = moved("submit", case.stage)
        await self._must_be_free(seen.made, case)
        if key is None:
            if self._hosted is None:
                raise Refused(Code.UNSUPPORTED, "nobody here asks on your behalf: make a key with `mapae rp key`")
            if not case.hosted:  # first: whatever is made is destroyed with the application, also after a kill
                case = await self._write(replace(case, hosted=True), "hosted", "applicant")
            key = dict(await self._hosted(seen.made.id, case.id))
        written = msgspec.json.encode(PublicKey.from_jwk(key).jwk).decode()
        await self._write(replace(case, stage=stage, key=written, note="", noted_by=""), "submitted", "applicant")
        return await self.look(case.id)

    async def withdraw(self, token: str) -> Seen:
        case = (await self.of(token)).case
        self._must_be_changeable(case)
        await self._write(replace(case, stage=moved("withdraw", case.stage)), "withdrawn", "applicant")
        return await self.look(case.id)

    async def relink(self, token: str) -> str:
        """Another secret link: who had the one before is out."""
        return await self._relink((await self.of(token)).case, "applicant")

    async def relink_for(self, id: str, by: str) -> str:
        """The same for whoever has lost the link, or to whom somebody else has done that."""
        return await self._relink((await self.look(id)).case, by)

    def left(self, seen: Seen) -> Left | None:
        """None: it is not registered."""
        if seen.certificate is None or seen.case.stage is not Stage.APPROVED:
            return None
        return left_of(seen.certificate, self._clock.now())

    # --- the governors ------------------------------------------------------------------------------------------------

    async def waiting(self) -> list[Seen]:
        """Whatever governors have to decide, the oldest first."""
        await self.catch_up()
        cases = await onboarding_store.in_stage(self._db, Stage.WAITING)
        return [await self._seen(case) for case in cases]

    async def due(self) -> list[tuple[Seen, Left]]:
        """Registered ones whose certificate should be renewed, the nearest end first."""
        await self.catch_up()
        now, found = self._clock.now(), []
        for case in await onboarding_store.in_stage(self._db, Stage.APPROVED):
            der = await self._registry.certificate(case.x509_hash or "")
            if der is not None and (left := left_of(der, now)).light != "green":
                found.append((await self._seen(case), left))
        return sorted(found, key=lambda one: one[1].until)

    async def all(self) -> list[Case]:
        await self.catch_up()
        return await onboarding_store.in_stage(self._db, *Stage)

    async def look(self, id: str) -> Seen:
        """By its id, or by a `reading` of it."""
        await self.catch_up()
        return await self._seen(await self._case(id.partition(".")[0]))

    async def about(self, seen: Seen) -> tuple[Finding, ...]:
        """For reviewers besides: whom the name could be taken for, the country's own authorities among them."""
        others = {
            entry.id if isinstance(entry, RelyingParty) else registry_id(entry): entry.name
            for entry in await self._registry.entries()
        }
        for case in await onboarding_store.in_stage(self._db, Stage.WAITING):
            if case.id != seen.case.id:
                others[case.party] = _read(case).name
        held = seen.case.x509_hash is None and await store.ever_held(self._db, KIND, seen.case.party)
        before = [_read(case) for case in await onboarding_store.ended_of(self._db, seen.case.party)] if held else []
        return (*linter.held_before(before), *linter.names_like(seen.made, others))

    async def agreed(self, case: Case) -> list[str]:
        """Who has agreed to it as it is."""
        if case.proposal is None:
            return []
        return [vote.governor for vote in (await self._registry.proposal(case.proposal))[1]]

    async def approve(self, id: str, by: Governor) -> Agreed:
        """One governor agrees. The first makes the certificate and the proposal, the last the registration; two at the
        same moment are two that agree. By a `reading`: to that one, and CONFLICT when it has been changed since."""
        seen = await self.look(id)
        case = seen.case
        must_be_as_read(id, case)
        if case.stage is not Stage.WAITING:
            raise Refused(Code.CONFLICT, f"this application is {case.stage.value}: there is nothing to approve")
        self._must_be_somebody_else(case, by)
        linter.must_not_be_excessive(seen.findings)
        if case.proposal is None:
            await self._must_be_free(seen.made, case)
            pinned, ours = await self._pin(seen, by)
            if ours:
                return Agreed(1)
            case = pinned
            must_be_as_read(id, case)
        return await self._agree(case, by)

    async def renew(self, id: str, by: Governor) -> Agreed:
        """A new access certificate for what is registered, before the old one ends; two governors again."""
        seen = await self.look(id)
        if seen.case.stage is not Stage.APPROVED or seen.certificate is None:
            raise Refused(Code.CONFLICT, f"this application is {seen.case.stage.value}: there is nothing to renew")
        linter.must_not_be_excessive(seen.findings)  # the country may have grown stricter
        case = seen.case
        if case.proposal is None:
            if left_of(seen.certificate, self._clock.now()).light == "green":
                raise Refused(Code.CONFLICT, f"it may be renewed in the last {RENEW.days} days of its certificate")
            case, ours = await self._pin(seen, by)
            if ours:
                return Agreed(1)
        return await self._agree(case, by)

    async def send_back(self, id: str, by: Governor, words: str) -> Case:
        """With words, for the applicant to change it."""
        return await self._decline("return", id, by, words)

    async def refuse(self, id: str, by: Governor, words: str) -> Case:
        return await self._decline("refuse", id, by, words)

    async def end(self, id: str, by: Governor, reason: Reason = Reason.CEASED) -> Agreed:
        """Take the registration back: the first call proposes it, another governor's agrees."""
        case = (await self.look(id)).case
        if case.stage is not Stage.APPROVED:
            raise Refused(Code.CONFLICT, f"this application is {case.stage.value}: there is nothing to end")
        for proposed in await self._registry.waiting():
            if (proposed.kind, proposed.subject, proposed.entry) == (KIND, case.party, None):
                agreed = await self._registry.approve(proposed.id, by)
                await self.catch_up()
                return agreed
        await self._registry.propose_removal(KIND, case.party, by, reason)
        return Agreed(1)

    # --- what the registry made of it ---------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Carry over what was decided meanwhile, here or with `mapae trust`."""
        for case in await onboarding_store.pinned(self._db):
            await self._carry_over(case, (await self._registry.proposal(case.proposal or ""))[0])

    async def round(self) -> None:
        """Now and then: besides, who was struck off is ended, and what came to nothing is forgotten."""
        await self.catch_up()
        entries, now = await self._registry.entries(), await self._surely()
        if entries != self._looked_at:  # else there is nothing to look for
            held = {entry.id for entry in entries if isinstance(entry, RelyingParty)}
            self._looked_at = entries if await self._end_those_over(held, now) else None
        for case in await onboarding_store.in_stage(self._db, Stage.RETURNED):
            if case.changed_at < now - UNANSWERED:
                await self._try(replace(case, stage=moved("withdraw", case.stage)), "withdrawn", "registry")
        if await onboarding_store.anything_old(self._db, old(now)):
            await self._db.write(partial(self._forget, old(now)))

    async def _surely(self) -> datetime:
        """A moment that has passed by more than our own clock, which may be ahead for an hour: a key that is destroyed
        and an application that is forgotten do not come back with the right time."""
        now, vouched = self._clock.surely(), None if self._vouched is None else await self._vouched()
        return now if vouched is None else min(now, vouched)

    async def _end_those_over(self, held: set[str], now: datetime) -> bool:
        """Taken back, or their certificate over. One that is just not held stays, for its key is destroyed with it: the
        authority above all of them may be out for a day, and nobody can ask meanwhile. False: there are such."""
        back = {one.x509_hash for one in (await self._registry.published()).list.revoked_readers}
        unsettled = {proposed.id for proposed in await self._registry.unsettled()}  # being renewed
        all_held = True
        for case in await onboarding_store.in_stage(self._db, Stage.APPROVED):
            if case.party in held:
                continue
            if case.proposal in unsettled:
                all_held = False
                continue
            der = await self._registry.certificate(case.x509_hash or "")
            if case.x509_hash in back or der is None or left_of(der, now).over:
                ended = replace(case, stage=moved("ended", case.stage), proposal=None)
                await self._try(ended, "ended", "registry")
            else:
                all_held = False
        return all_held

    async def _forget(self, before: Old, tx: Tx) -> None:
        for id in await onboarding_store.forget(tx, before):
            await outbox.promise(tx, LET_GO, id, {"case": id}, self._clock.now())

    async def _carry_over(self, case: Case, proposed: Proposal) -> None:
        if proposed.decider is None or (proposed.approved is not None and proposed.settled_at is None):
            return  # governors, or the log, have not come to it yet
        if proposed.holds and case.stage in MOVES["approved"]:
            entry = msgspec.json.decode(proposed.entry or "", type=RelyingParty)
            done = replace(case, stage=moved("approved", case.stage), proposal=None, x509_hash=entry.x509_hash)
            await self._try(done, "approved", proposed.decider)
            self._looked_at = None  # it may have been struck off before we came to that
        else:  # somebody turned the proposal down, or the log did: the application stands as before
            note = f"the log refused it: {proposed.rule}" if proposed.rule else case.note
            await self._try(replace(case, proposal=None, note=note), "unpinned", proposed.decider)
            self._looked_at = None

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _pin(self, seen: Seen, by: Governor) -> tuple[Case, bool]:
        """The certificate, the proposal, and the case tied to it, each found again if a kill came between. True: this
        governor made the proposal, so another is missing."""
        case = seen.case
        proposal, ours = await self._pins.proposed(case, seen.made, by)
        try:
            await self._write(replace(case, proposal=proposal), "pinned", by.id)
        except Refused as refused:
            if refused.code is not Code.CONFLICT:
                raise
            if ours:  # another governor pinned it at the same moment: then we agree with that one
                await self._registry.reject(proposal, by)
            case = await self._case(case.id)
            if case.proposal is None:
                raise
            return case, False
        return await self._case(case.id), ours

    async def _agree(self, case: Case, by: Governor) -> Agreed:
        proposed, _ = await self._registry.proposal(case.proposal or "")
        entry = msgspec.json.decode(proposed.entry or "{}", type=RelyingParty)
        if not self._pins.means(entry, _read(case)):
            raise Refused(Code.CONFLICT, "what was proposed is not what was linted: turn the proposal down")
        agreed = await self._registry.approve(proposed.id, by)
        await self.catch_up()
        return agreed

    async def _decline(self, move: str, id: str, by: Governor, words: str) -> Case:
        case = (await self.look(id)).case
        id, said = case.id, words.strip()
        if not said or len(said) > NOTE or not said.isprintable():
            raise Refused(Code.MALFORMED, f"say why, in at most {NOTE} characters on one line")
        stage = moved(move, case.stage)
        await self._registry.must_govern(by)
        if case.proposal is not None:
            await self._registry.reject(case.proposal, by)
        await self._write(
            replace(case, stage=stage, proposal=None, note=said, noted_by=by.id), PAST[move], by.id
        )  # fmt: skip
        return await self._case(id)

    async def _case(self, id: str) -> Case:
        found = await onboarding_store.by_id(self._db, id)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such application; `mapae rp waiting` lists those that wait")
        return found

    async def _seen(self, case: Case) -> Seen:
        made = _read(case)
        der = await self._registry.certificate(case.x509_hash) if case.x509_hash is not None else None
        return Seen(case, made, self.lint(made), der)

    async def _must_be_free(self, made: Application, own: Case | None = None) -> None:
        """Nobody else has this id or ever had it, however it came there: tills, API keys, sites that log people in and
        what citizens wrote to a party go by its id. An organisation may come back."""
        party = made.id
        taken = any(isinstance(entry, RelyingParty) and entry.id == party for entry in await self._registry.entries())
        if not taken and await store.ever_held(self._db, KIND, party):
            before = await onboarding_store.ended_of(self._db, party)
            taken = _number(made) not in {_number(_read(case)) for case in before}
        holder = await onboarding_store.holder(self._db, party)
        if taken or holder not in (None, own.id if own is not None else None):
            raise Refused(Code.CONFLICT, "this id is taken: choose another", step="id")

    def _must_be_changeable(self, case: Case) -> None:
        if case.stage not in CHANGEABLE:
            raise Refused(Code.CONFLICT, f"this application is {case.stage.value} and cannot be changed")
        if case.proposal is not None:
            raise Refused(Code.CONFLICT, "a governor has agreed to it as it is: wait for the other, then ask to end it")

    def _must_be_somebody_else(self, case: Case, by: Governor) -> None:
        """Nobody approves his own application: not under his name, and not with the key it is for."""
        key = PublicKey.from_jwk(msgspec.json.decode(case.key or "{}"))
        if by.id == case.filer or by.voice == key.thumbprint_raw:
            raise Refused(Code.NOT_ALLOWED, "the applicant cannot approve the application")

    def _stage(self, made: Application) -> Stage:
        return Stage.DRAFT if any(finding.stops for finding in self.lint(made)) else Stage.LINTED

    async def _try(self, case: Case, action: str, by: str) -> None:
        """Somebody else may have carried it over at the same moment."""
        try:
            await self._write(case, action, by)
        except Refused as refused:
            if refused.code is not Code.CONFLICT:
                raise

    async def _write(self, case: Case, action: str, by: str) -> Case:
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if not await onboarding_store.change(tx, case, now):
                raise Refused(Code.CONFLICT, "somebody changed this application at the same moment: look again")
            if case.hosted and case.stage in OVER:
                await outbox.promise(tx, LET_GO, case.id, {"case": case.id}, now)
            if action:
                await self._record(tx, case, action, by)

        try:
            await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "this id is taken: choose another", step="id") from None
        return replace(case, version=case.version + 1)

    async def _relink(self, case: Case, by: str) -> str:
        if case.stage in OVER:
            raise Refused(Code.CONFLICT, f"this application is {case.stage.value}: nothing can be done by its link")
        token = self._dice.token()

        async def body(tx: Tx) -> None:
            if not await onboarding_store.relink(tx, case.link, _digest(token)):
                raise Refused(Code.CONFLICT, "somebody changed this link at the same moment")
            await self._record(tx, case, "relinked", by)

        await self._db.write(body)
        return token

    async def _record(self, tx: Tx, case: Case, action: str, by: str) -> None:
        event = audit.Event(case.party, "rp_application", action, by, {"case": case.id})
        await audit.record(tx, event, self._clock.now())


def _written(made: Application) -> str:
    return msgspec.json.encode(made).decode()


def _read(case: Case) -> Application:
    return msgspec.json.decode(case.body, type=Application)


def _number(made: Application) -> str:
    """Of the organisation, however it is spaced; reviewers see that it is theirs."""
    return "".join(one for one in made.number if one.isalnum()).casefold()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
