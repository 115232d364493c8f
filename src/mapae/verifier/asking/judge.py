"""The judge of an answer: what was asked, what came, and so the verdict; whoever asks, and over whichever wire.

Promises: a question is made once a trust list, for what a party may ask changes with the list alone; the numbered steps
of docs/checking.md are taken in their order, with the offline pack where the network is away and the pack allows it.
Trusts: the trust list it is handed, the country pack, the clock. Keeps: in memory what was parsed of the last trust
list; of an answer nothing. Refuses: a relying party whose access certificate the trust list does not name, a query of
one's own unless this is the demo country.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
import msgspec

from mapae.catalog import Country, Purpose
from mapae.clock import Clock
from mapae.errors import Code, Refused, step
from mapae.formats.curves import NIST
from mapae.formats.x509 import Anchors, x509_hash
from mapae.keys import Signer
from mapae.trust.publish import RelyingParty, TrustList
from mapae.verifier.asking.ask import OWN, PLAIN, Form, Manner, Question, own_question, question
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.doubt import Accepted
from mapae.verifier.asking.purposes import bare, find, of_party
from mapae.verifier.asking.store import Outcome, Session, Verdict
from mapae.verifier.checking.check import (
    Answer,
    Asked,
    Format,
    Issuer,
    Listed,
    Policy,
    Tie,
    Trusted,
    conclude,
    examine_answer,
    verified,
)
from mapae.verifier.checking.offline import Offline
from mapae.verifier.checking.standing import StatusLists, Unreachable
from mapae.verifier.checking.steps import Examined

# Other people's credentials, under authorities the asker names: their own rules hold for status, end and open claims.
FOREIGN: Final = Policy(without_status=True, without_end=True, open_claims=True)
MOST_OPEN: Final = 4096  # questions whose parsed state is kept in memory; beyond that they are parsed again
_OURS: Final = frozenset(format.value for format in Format)


@dataclass(frozen=True, slots=True)
class Access:
    """With which key and certificate a relying party signs its requests. DER, leaf first, without the anchor."""

    signer: Signer
    x5c: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """`values`: what the asker may see. `kept`: what was accepted with no network, to be looked at again."""

    verdict: Verdict
    values: Mapping[str, Any]
    kept: tuple[Accepted, ...] = ()


@dataclass(slots=True)
class _Known:
    """What this process has parsed of one trust list."""

    list: TrustList
    issuers: tuple[Issuer, ...]
    questions: dict[tuple[str, str, str, str], Question] = field(default_factory=dict)
    purposes: dict[str, Mapping[str, Purpose]] = field(default_factory=dict)


class Judge:
    """One object a process, shared by all its questions."""

    def __init__(
        self, *, clock: Clock, http: httpx.AsyncClient, country: Country, access: Mapping[str, Access],
        own_queries: bool, basement: Basement | None,
    ) -> None:  # fmt: skip
        self._clock, self._country = clock, country
        self._access = access  # may grow: whoever is hosted later
        self._own_queries = own_queries
        self._basement = basement
        self.lists = StatusLists(http, clock)
        if basement is not None:
            basement.lists = self.lists
        self._known: _Known | None = None
        self._called: dict[tuple[str, str], Purpose] = {}  # parties' own purposes, also those that ended

    @property
    def parties(self) -> tuple[str, ...]:
        return tuple(self._access)

    def access(self, party: str) -> Access:
        """Raises Refused(UNKNOWN_RELYING_PARTY): a hosted one may have been let go while its question was open."""
        found = self._access.get(party)
        if found is None:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "this process does not ask for that relying party")
        return found

    def party(self, trusted: TrustList, id: str) -> RelyingParty:
        """The relying party as the trust list has it, with the very certificate we sign with."""
        party = trusted.relying_party(id)
        access = self._access.get(id)
        if access is None or party.x509_hash != x509_hash(access.x5c[0]):
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this shop's certificate")
        return party

    async def judge(self, session: Session, token: Any, tie: Tie, trusted: TrustList) -> Judged:
        """A presentation that fails a step is a verdict. Raises Refused without a step for what is no answer."""
        manner = read_manner(session)
        asked = self.question(trusted, session.relying_party, session.purpose, session.form, session.manner)
        formats: str | None = None
        try:
            if isinstance(token, dict):
                formats = _formats(asked, token)
            answer, grounds, examined = await self.check(asked, token, tie, trusted, manner)
            verdict, values = _conclusion(asked, answer, manner)
        except Refused as refused:
            if refused.step is None:
                raise
            return Judged(Verdict(Outcome.REFUSED, refused.step, refused.code.value, format=formats), {})
        if grounds is None or self._basement is None:
            return Judged(verdict, values)
        kept: tuple[Accepted, ...] = ()
        if verdict.outcome is Outcome.ACCEPTED:
            kept = await self._basement.to_keep(session.relying_party, session.purpose, examined)
        return Judged(replace(verdict, offline=grounds), values, kept)

    async def check(
        self, asked: Question, token: Any, tie: Tie, trusted: TrustList, manner: Manner = PLAIN
    ) -> tuple[Answer, Offline | None, tuple[Examined, ...]]:
        """As the network has it; with the offline pack where trust or status cannot be had (`dark.py`)."""
        basement, purpose = self._basement, asked.about
        once = asked.asked(tie)
        if basement is None or purpose is None or manner.anchors:
            return await self._check_online(once, token, trusted, manner), None, ()
        if basement.is_ours(trusted):
            return await basement.check(once, token, purpose, self.lists)
        try:
            return await self._check_online(once, token, trusted, manner), None, ()
        except Unreachable as gone:
            if basement.state() is None:
                raise gone from None
        return await basement.check(once, token, purpose, self.lists, ask=False)  # the customer has waited for that

    async def _check_online(self, asked: Asked, token: Any, trusted: TrustList, manner: Manner) -> Answer:
        halfway = examine_answer(token, asked, self._trusted(trusted, manner), self._clock.now())
        lists: dict[str, Listed] = {}
        with step("standing"):
            for _, examined in halfway:
                if examined.status is not None and examined.status.uri not in lists:
                    lists |= await self.lists.listed(examined.status, examined.issuer)
        return conclude(halfway, lists, self._clock.now())

    def question(self, trusted: TrustList, party: str, purpose: str, form: str, written: str) -> Question:
        """Made once for each trust list: what a party may ask changes with the list alone."""
        known = self._know(trusted)
        place = (party, purpose, form, written)
        found = known.questions.get(place)
        if found is None:
            manner = msgspec.json.decode(written, type=Manner)
            entry = self.party(trusted, party)
            if manner.query or purpose == OWN:
                if not self._own_queries or purpose != OWN:
                    raise Refused(Code.OVER_ASKING, "a query of one's own is asked in the demo country only")
                found = own_question(manner)
            else:
                wanted = find(self._country, entry, purpose, self._may(known, entry))
                found = question(self._country, wanted, Form(form), manner)
            if len(known.questions) < MOST_OPEN:
                known.questions[place] = found
        return found

    def purposes(self, trusted: TrustList, party: str) -> Mapping[str, Purpose]:
        """What this relying party may ask for today."""
        return self._may(self._know(trusted), self.party(trusted, party))

    def _may(self, known: _Known, party: RelyingParty) -> Mapping[str, Purpose]:
        found = known.purposes.get(party.id)
        if found is None:
            found = known.purposes[party.id] = of_party(self._country, party)
            self._called |= {(party.id, id): one for id, one in found.items() if id not in self._country.purposes}
        return found

    def called(self, party: str, id: str) -> Purpose:
        """The words of a purpose, also of one that has ended since: as this process last had them."""
        return self._called.get((party, id)) or self._country.purposes.get(id) or bare(id)

    def _know(self, trusted: TrustList) -> _Known:
        """The issuers of this trust list, parsed once a list: `Anchors` keeps the chains it has checked."""
        if self._known is None or self._known.list is not trusted:
            issuers = tuple(
                Issuer(
                    entry.id,
                    Anchors(entry.ca, NIST),
                    frozenset(entry.vcts),
                    frozenset(entry.doctypes),
                    entry.status_prefix,
                    signers=trusted.signers_of(entry),
                )
                for entry in trusted.issuers
            )
            self._known = _Known(trusted, issuers)
        return self._known

    def trusted(self, trusted: TrustList) -> Trusted:
        """The issuers of this trust list, for whoever checks something that was not asked for by wallet."""
        return Trusted(self._know(trusted).issuers)

    async def listed(self, examined: Examined) -> Mapping[str, Listed]:
        """The status list of one examined document, as its issuer has it now. Raises Unreachable."""
        return {} if examined.status is None else await self.lists.listed(examined.status, examined.issuer)

    def _trusted(self, trusted: TrustList, manner: Manner) -> Trusted:
        issuers = self._know(trusted).issuers
        if manner.anchors:
            given = Issuer("given", Anchors(manner.anchors, NIST), None, None, None, None, None, FOREIGN)
            issuers = (*issuers, given)
        return Trusted(issuers)


def _conclusion(asked: Question, answer: Answer, manner: Manner) -> tuple[Verdict, dict[str, Any]]:
    note = "renew" if any(one.renew for one in answer.presented) else None
    formats = "+".join(dict.fromkeys([one.format.value for one in answer.presented]))
    values: dict[str, Any] = {}
    yes = True
    if asked.items:
        claims = verified(answer, asked.items).claims
        if asked.yes_or_no:
            yes = all(value is True for value in claims.values())
        else:
            values = {name: str(value) for name, value in claims.items()}
    if manner.reveal:
        values = {query.id: [_told(one.claims) for one in answer.of(query.id)] for query in asked.query.queries}
        values = {id: told for id, told in values.items() if told}
    if not yes:
        return Verdict(Outcome.NO, None, "answer_no", note, formats), values
    return Verdict(Outcome.ACCEPTED, None, None, note, formats), values


def read_manner(session: Session) -> Manner:
    return PLAIN if session.manner == "{}" else msgspec.json.decode(session.manner, type=Manner)


def registered(party: RelyingParty) -> dict[str, tuple[str, ...]]:
    return {purpose.id: tuple(purpose.items) for purpose in party.purposes}


def _formats(asked: Question, token: Mapping[str, Any]) -> str | None:
    """Which formats came, for the verdict of an answer that fails; only where the queries are ours."""
    ids = [query.id for query in asked.query.queries if query.id in token and query.id in _OURS]
    return "+".join(ids) or None


def _told(claims: Mapping[tuple[Any, ...], Any]) -> dict[str, Any]:
    """Claims for a person to read: by their path, bytes and dates as text."""
    return {".".join("*" if part is None else str(part) for part in path): value for path, value in claims.items()}
