"""Codes with no network: answering a checker's question on the spot, or showing one's own code unasked.

The steps for a question are `code client seal purpose`: it reads; the kept trust list names whoever asks, or nobody
does; a party's signature holds and its question is not over; the party has registered the purpose, which may be its
own, with these items, or it is one that anyone may ask, with exactly its items.

Promises: what is needed is the kept trust list and the kept purposes document, and nothing else; a copy is marked as
used, on disk, before its code is made, so each code costs one copy and none is shown twice. Trusts: those two, as
`country.py` and `trust/purposes.py` check them. Keeps: a line of history. Refuses: over-asking, a registered party's
code that is over, strangers who want more than a yes or no, a purpose that is not for holders to show, a card with no
copy left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mapae.errors import Code, Refused, step
from mapae.formats import dcql, qr
from mapae.formats.dcql import MDOC, SD_JWT, ClaimQuery, Dcql, Query
from mapae.formats.jose import Signing, b64u, unb64u
from mapae.formats.mdoc import IssuerSigned, present
from mapae.formats.sd_jwt import SdJwt
from mapae.trust.entries import Purpose as Registered
from mapae.trust.purposes import Listed, PurposesDocument

from .choose import Match, matches, within
from .country import CountryTrust
from .pocket import Pocket
from .presentation import usable
from .received import candidate
from .store import Card, Copy, Shown
from .trusted import LOGIN_ID, Chain, Party, Trust, View, by_language

Registration = Callable[[str, Chain, datetime], Party]
"""Reads a registration certificate: who it says has this access certificate. Raises Refused."""


@dataclass(frozen=True, slots=True)
class Question:
    """A checked question: what the consent screen shows. `party` is None where nobody has approved whoever asks: then
    `name` is only what it calls itself, and all it may learn is a yes or a no."""

    ask: qr.Ask
    party: Party | None
    purpose: Listed

    @property
    def who(self) -> dict[str, str]:
        return dict(self.party.name) if self.party is not None else {"": self.ask.name or ""}

    @property
    def items(self) -> tuple[str, ...]:
        return self.ask.items


def open_ask(
    text: str, view: View, purposes: PurposesDocument, now: datetime, registration: Registration | None = None
) -> Question:
    """The steps above. Raises Refused with `step`. Nothing about the holder has been touched."""
    with step("code"):
        ask = qr.Ask.parse(text)
    if ask.certificate is None:
        with step("purpose"):
            purpose = _of_country(purposes, ask)
            if not purpose.anyone or set(ask.items) != set(purpose.items):
                raise Refused(Code.OVER_ASKING, "not just anybody may ask this")
        return Question(ask, None, purpose)
    chain = (ask.certificate,)
    with step("client"):
        signer = view.asker(chain, now)
        party = _party(ask, chain, view, now, registration)
    with step("seal"):
        ask.verify(signer.key)
        ask.in_time(int(now.timestamp()))
    with step("purpose"):
        registered = next((one for one in party.purposes if one.id == ask.purpose), None)
        if registered is None or not set(ask.items) <= set(registered.items) - {LOGIN_ID}:
            raise Refused(Code.OVER_ASKING, "more is asked than whoever asks has registered")
        return Question(ask, party, _as_registered(purposes, registered))


def _party(ask: qr.Ask, chain: Chain, view: View, now: datetime, registration: Registration | None) -> Party:
    """One that is too new for the kept list brings its registration along."""
    try:
        return view.party(chain, now)
    except Refused as refused:
        if refused.code is not Code.UNKNOWN_RELYING_PARTY or ask.registration is None or registration is None:
            raise
    return registration(ask.registration, chain, now)


def _of_country(purposes: PurposesDocument, ask: qr.Ask) -> Listed:
    try:
        return purposes.purpose(ask.purpose)
    except Refused:
        raise Refused(Code.OVER_ASKING, "the country knows no such purpose") from None


def _as_registered(purposes: PurposesDocument, registered: Registered) -> Listed:
    """A party's own purpose is known by its registration alone."""
    try:
        return purposes.registered(registered)
    except Refused as refused:
        if refused.code is not Code.NOT_FOUND:
            raise
        raise Refused(Code.OVER_ASKING, "the country knows no such purpose") from None


# --- making a code ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """A code to show until `until`, its frames in turn; and its line of history."""

    show: qr.Show
    shown: Shown

    @property
    def frames(self) -> tuple[str, ...]:
        return self.show.frames()

    @property
    def until(self) -> int:
        return self.show.made + qr.LIFE


class Codes:
    """One a wallet. `registration` reads the certificates that parties bring along."""

    def __init__(
        self, pocket: Pocket, trust: Trust, country: CountryTrust | None, registration: Registration | None = None
    ) -> None:
        self._pocket, self._trust, self._country, self._registration = pocket, trust, country, registration

    async def purposes(self) -> PurposesDocument:
        """Fetched once a day, kept for thirty: with no network the kept one."""
        if self._country is None:
            raise Refused(Code.BAD_CONFIG, "this wallet belongs to no country, so nobody says what may be asked")
        return await self._country.purposes()

    async def open(self, text: str) -> Question:
        """Who asks for what, checked by what this phone has kept. Sends nothing, touches no card."""
        view, purposes = await self._trust.for_showing(), await self.purposes()
        return open_ask(text, view, purposes, self._pocket.now(), self._registration)

    def options(self, purpose: Listed, items: tuple[str, ...] | None = None) -> tuple[Match, ...]:
        """The cards that have what the purpose asks and tell nothing besides, those with a copy left first."""
        at = self._pocket.at()
        cards = [card for card in self._pocket.state.cards.values() if card.copies]
        asked = items or purpose.items
        query = _query(purpose, asked)
        found = within(matches(query, [candidate(card) for card in cards]), asked)
        every = [match for one in query.queries for match in found[one.id]]
        return tuple(sorted(every, key=lambda match: not usable(self._card(match.card), at)))

    def unasked(self, purpose: Listed, chosen: Match | None = None) -> Made:
        """CPM: the holder's own code, for whoever scans it in the next seconds."""
        if not purpose.by_holder:
            raise Refused(Code.OVER_ASKING, "this purpose has to be asked")
        nonce = self._pocket.dice.bytes(qr.NONCE)
        return self._make(purpose, purpose.items, chosen, qr.OPEN, nonce, None)

    def answer(self, question: Question, chosen: Match | None = None) -> Made:
        """MPM: what the checker's own camera will see."""
        ask = question.ask
        return self._make(question.purpose, ask.items, chosen, ask.audience, ask.nonce, question)

    def _make(
        self, purpose: Listed, items: tuple[str, ...], chosen: Match | None, audience: str, nonce: bytes,
        question: Question | None,
    ) -> Made:  # fmt: skip
        options = self.options(purpose, items)
        if not options:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "no card fits what is asked")
        match = chosen if chosen is not None else options[0]
        if match not in options:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "that is not an answer to this question")
        copy, now = self._unused(self._card(match.card)), self._pocket.now()
        copy.used = int(now.timestamp())
        shown = self._note(purpose, items, match, question, copy.used)
        self._pocket.save()
        presentation = present_in_code(
            match, copy, self._pocket.keys.signer(copy.key), audience, nonce, now.replace(microsecond=0)
        )
        show = qr.Show(
            format=match.format, made=copy.used, nonce=nonce, purpose=purpose.id, presentation=presentation
        )  # fmt: skip
        return Made(show, shown)

    def _note(
        self, purpose: Listed, items: tuple[str, ...], match: Match, question: Question | None, at: int
    ) -> Shown:  # fmt: skip
        """Whether anybody read the code, the phone cannot know."""
        party = question.party if question is not None else None
        name = question.who if question is not None else {}
        shown = Shown(
            self._pocket.dice.token(8), at, party.id if party is not None else "", name, purpose.id,
            by_language(purpose.name), list(items), [match.card], "unknown",
            standing=party.standing if party is not None else "unknown",
        )  # fmt: skip
        self._pocket.state.history.append(shown)
        return shown

    def _card(self, id: str) -> Card:
        return self._pocket.state.cards[id]

    def _unused(self, card: Card) -> Copy:
        at = self._pocket.at()
        for copy in card.copies:
            if copy.expires > at and copy.key and (not copy.used or card.reusable):
                return copy
        raise Refused(Code.EXPIRED, "no unused copy of this card is left; it must be renewed first")


def present_in_code(
    match: Match, copy: Copy, key: Signing, audience: str, nonce: bytes, made: datetime
) -> str:  # fmt: skip
    """What goes into `qr.Show`. `made` is a whole second."""
    if match.format == MDOC:
        wanted: dict[str, list[str]] = {}
        for space, element in match.paths:
            wanted.setdefault(str(space), []).append(str(element))
        transcript = qr.transcript(audience, nonce, int(made.timestamp()))
        signed = IssuerSigned.parse(unb64u(copy.raw)).disclose(wanted)
        return b64u(present(signed, session_transcript=transcript, holder=key))
    disclosed = SdJwt.parse(copy.raw).disclose(match.paths)
    return disclosed.bind(key, nonce=b64u(nonce), audience=audience, now=made)


def _query(purpose: Listed, items: tuple[str, ...]) -> Dcql:
    """OpenID4VP 1.0 6.4.2: these items, in either format the document has."""
    about, queries = purpose.document, list[Query]()
    if about.vct:
        claims = tuple([ClaimQuery((item,)) for item in items])
        queries.append(Query("sd_jwt", SD_JWT, frozenset({about.vct}), claims))
    if about.doctype:
        claims = tuple([ClaimQuery((about.namespace, item)) for item in items])
        queries.append(Query("mdoc", MDOC, frozenset({about.doctype}), claims))
    sets = (dcql.SetQuery(tuple([(query.id,) for query in queries])),) if len(queries) > 1 else ()
    return Dcql(tuple(queries), sets)
