"""The attended kiosk: a shop's till asks one customer one question and learns the answer, nothing else.

Promises: a question is put only as far as the trust list lets this shop ask; it has its own nonce, state and
encryption key, is answered once, and ends after `LIFE`. A lock is felt within five seconds: a status list older than
two seconds is asked for again before an answer counts. Trusts: the trust list it is handed, the vault, the clock.
Keeps: of the customer nothing. For a yes-or-no question not even the answer's items; the two values of a
name-and-birth-date question are sealed, shown to the till that asked, and erased `SEEN` after the page first had them
(`UNSEEN` after the answer when it never did, at once when the clerk goes on). Ended questions are forgotten after
`REMEMBER`. Refuses: a second answer, an answer to another question, a till that is not enrolled, a shop whose access
certificate the trust list does not name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import httpx
import msgspec

from mapae.catalog import Country, Purpose, Words
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate
from mapae.errors import Code, Refused, step
from mapae.formats import jose, jwe
from mapae.formats.x509 import Anchors, x509_hash
from mapae.keys import Signer, Vault
from mapae.trust.publish import RelyingParty, TrustList
from mapae.verifier import oid4vp, store
from mapae.verifier.ask import Form, Question, question
from mapae.verifier.check import Ask, Issuer, Listed, Shown, Trusted, Verified, conclude, examine_answer, verified
from mapae.verifier.standing import StatusLists
from mapae.verifier.store import Outcome, Session, Till, Verdict

LIFE: Final = timedelta(seconds=120)  # of a question: time to find the phone
SEEN: Final = timedelta(seconds=20)  # of shown values, from the moment the page first had them
UNSEEN: Final = timedelta(seconds=30)  # of shown values, when no page ever asked for them
REMEMBER: Final = timedelta(minutes=10)  # of an ended question; it holds an outcome and times
INVITATION: Final = timedelta(minutes=10)
ENROLMENT: Final = timedelta(days=30)  # of a till
# No I, L, O, U: read aloud and typed on a tablet. 10 characters of 32 are 50 bits, good once and for ten minutes:
# even a thousand guesses a second find one with a chance of one in two thousand million, so guesses are not counted.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Access:
    """With which key and certificate a relying party signs its requests. DER, leaf first, without the anchor."""

    signer: Signer
    x5c: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Invitation:
    """One-time leave to enrol a till of a shop."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """The question is on the screen."""

    id: str
    purpose: Purpose
    items: tuple[Words, ...]
    qr: str
    seconds_left: int
    seconds: int
    fetched: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The question has ended. `shown` has the values of a name-and-birth-date check until they are erased."""

    id: str
    purpose: Purpose
    items: tuple[Words, ...]
    verdict: Verdict
    shown: tuple[tuple[Words, str, str], ...]  # label, item name, value
    erased: bool
    seconds: int


TrustSource = Callable[[], Awaitable[TrustList]]


class Verifier:
    """The shops this process asks for. One object a process; all state is in the database."""

    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, http: httpx.AsyncClient, base: str, trust: TrustSource,
        country: Country, access: Mapping[str, Access],
    ) -> None:  # fmt: skip
        self._db = db
        self._vault = vault
        self._clock = clock
        self._dice = dice
        self._base = base.rstrip("/")
        self._trust = trust
        self._country = country
        self._access = dict(access)
        self._lists = StatusLists(http, clock)
        self._known: tuple[TrustList, tuple[Issuer, ...]] | None = None

    @property
    def shops(self) -> tuple[str, ...]:
        """The relying parties this process asks for."""
        return tuple(self._access)

    def client_id(self, shop: str) -> str:
        """Under which client_id this shop asks."""
        return oid4vp.client_id(self._access[shop].x5c[0])

    # --- tills --------------------------------------------------------------------------------------------------------

    async def invite(self, relying_party: str, *, life: timedelta = INVITATION) -> Invitation:
        """A one-time code that enrols one browser as a till of this shop."""
        if relying_party not in self._access:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "this process does not ask for that relying party")
        now = self._clock.now()
        code = "".join(_ALPHABET[self._dice.below(len(_ALPHABET))] for _ in range(_CODE_LENGTH))
        await store.add_invitation(self._db, self._code_index(code), relying_party, now, now + life)
        return Invitation("-".join((code[:4], code[4:8], code[8:])), now + life)

    async def enrol(self, typed: str) -> tuple[Till, str]:
        """Spend a code: the till and the token its browser keeps. Raises Refused(CODE_SPENT) when it is not live."""
        code = "".join(c for c in typed.upper() if c not in " -").translate(str.maketrans("OIL", "011"))
        if len(code) != _CODE_LENGTH or any(c not in _ALPHABET for c in code):
            raise Refused(Code.CODE_SPENT, "this is not a live enrolment code")
        now = self._clock.now()
        token = self._dice.token()
        drawn = Till(self._dice.token(12), "", now + ENROLMENT)
        till = await store.enrol(self._db, self._code_index(code), drawn, _digest(token), now)
        if till is None:
            raise Refused(Code.CODE_SPENT, "this is not a live enrolment code")
        return till, token

    async def till(self, token: str | None) -> Till | None:
        """Whose browser this is."""
        if token is None or len(token) > 128:
            return None
        return await store.till_of(self._db, _digest(token), self._clock.now())

    async def end_till(self, till: Till) -> None:
        await store.end_till(self._db, till.id, self._clock.now())

    async def shop(self, till: Till) -> Words:
        """The name of the till's shop, as the trust list and so the customer's wallet has it."""
        return self._party(await self._trust(), till.relying_party).name

    async def purposes(self, till: Till) -> list[Purpose]:
        """What this shop may ask for, in the pack's order."""
        registered = _registered(self._party(await self._trust(), till.relying_party))
        return [
            purpose
            for purpose in self._country.purposes.values()
            if purpose.id in registered and set(purpose.items) <= set(registered[purpose.id])
        ]

    def yes_or_no(self, purpose: Purpose) -> bool:
        """Whether a purpose shows the clerk nothing but yes or no."""
        document = self._country.documents[purpose.document]
        return all(document.claim(name).kind == "yes_no" for name in purpose.items)

    # --- the till's side of a question --------------------------------------------------------------------------------

    async def open(self, till: Till, purpose: str, form: Form = Form.EITHER) -> str:
        """Put a question; its id. The till's earlier question, if it is still open, is cancelled.

        Raises Refused(OVER_ASKING, NOT_FOUND, UNSUPPORTED, UNKNOWN_RELYING_PARTY).
        """
        self._question(await self._trust(), till.relying_party, purpose, form)
        now = self._clock.now().replace(microsecond=0)
        id = self._dice.token(18)
        key = jwe.private_jwk(self._dice.bytes(48), self._dice.token(9))
        sealed = self._vault.seal(msgspec.json.encode(key), _context("secret", id))
        session = Session(
            id, till.id, till.relying_party, purpose, form.value, self._dice.token(), self._dice.token(18), sealed,
            now, now + LIFE, fetched=False, verdict=None, shown=None, erase_at=None,
        )  # fmt: skip
        for last in (False, True):
            try:
                await store.open_session(self._db, session)
                break
            except Duplicate:  # the same till opened two at once: the second ends the first
                if last:
                    raise Refused(Code.CONFLICT, "this till has just asked something else") from None
        return id

    async def look(self, till: Till, id: str) -> Waiting | Ended:
        """What the till's page shows now. Raises Refused(NOT_FOUND) for another till's question."""
        await self.sweep()
        session = await self._own(till, id)
        purpose = self._country.purposes[session.purpose]
        now = self._clock.now()
        if session.verdict is None:
            left = max(0, round((session.expires_at - now).total_seconds()))
            items = self._labels(purpose)
            return Waiting(id, purpose, items, self._qr(session), left, int(LIFE.total_seconds()), session.fetched)
        return await self._ended(session, purpose, session.verdict, now)

    async def cancel(self, till: Till, id: str) -> None:
        """The clerk goes back. An answer that came first stands."""
        await self._own(till, id)
        now = self._clock.now()
        await store.end(self._db, id, Verdict(Outcome.CANCELLED), now, shown=None, erase_at=now)

    async def done(self, till: Till, id: str) -> None:
        """Next customer: what was shown is erased now."""
        await self._own(till, id)
        await store.erase(self._db, id)

    # --- the wallet's side --------------------------------------------------------------------------------------------

    async def request_object(self, id: str, wallet_nonce: str | None = None) -> str:
        """The signed request. May be fetched again while the question is open; its content is the same."""
        session = await self._open(id)
        asked = self._question(await self._trust(), session.relying_party, session.purpose, Form(session.form))
        key = self._key(session)
        requested = oid4vp.Requested(self._ask(session, asked, key), session.echo, session.purpose, asked.dcql(),
                                     jwe.public_jwk(key), session.opened_at, session.expires_at)  # fmt: skip
        access = self._access[session.relying_party]
        signed = oid4vp.request_object(requested, access.signer, access.x5c, wallet_nonce)
        if not session.fetched:
            await store.mark_fetched(self._db, id, self._clock.now())
        return signed

    async def answer(self, id: str, fields: Mapping[str, str]) -> None:
        """A wallet's answer. What is no answer to this question is refused and changes nothing; an answer ends it.

        A presentation that fails a step ends the question as refused and raises nothing: the shop's screen says why.
        Raises Refused(SESSION_SPENT) for the second answer.
        """
        session = await self._open(id)
        trusted = await self._trust()
        asked = self._question(trusted, session.relying_party, session.purpose, Form(session.form))
        key = self._key(session)
        shown: bytes | None = None
        format: str | None = None
        try:
            answered = oid4vp.read_answer(fields, key, state=session.echo, asked=asked.formats)
            if isinstance(answered, Shown):
                format = answered.format.value
                verified = await self._check(answered, self._ask(session, asked, key), trusted)
                verdict, shown = self._conclusion(session, asked, verified)
            else:
                verdict = Verdict(Outcome.DECLINED, code=answered.error)
        except Refused as refused:
            if refused.step is None:
                raise
            verdict = Verdict(Outcome.REFUSED, refused.step, refused.code.value, format=format)
        now = self._clock.now()
        if not await store.end(self._db, id, verdict, now, shown=shown, erase_at=now + UNSEEN):
            raise Refused(Code.SESSION_SPENT, "this question has been answered")

    # --- keeping nothing ----------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """End, erase and forget what is due. The house calls it every few seconds, and each look at a page does."""
        now = self._clock.now()
        await store.sweep(self._db, now, now - REMEMBER)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _check(self, shown: Shown, ask: Ask, trusted: TrustList) -> Verified:
        token = {shown.format.value: [shown.presentation]}
        halfway = examine_answer(token, ask.asked, Trusted(self._issuers(trusted)), self._clock.now())
        lists: dict[str, Listed] = {}
        with step("standing"):
            for _, examined in halfway:
                if examined.status is not None:
                    lists |= await self._lists.listed(examined.status, examined.issuer)
        return verified(conclude(halfway, lists, self._clock.now()), ask.items)

    def _conclusion(self, session: Session, asked: Question, verified: Verified) -> tuple[Verdict, bytes | None]:
        note = "renew" if verified.renew else None
        if asked.yes_or_no:
            yes = all(value is True for value in verified.claims.values())
            outcome = Outcome.ACCEPTED if yes else Outcome.NO
            return Verdict(outcome, None, None if yes else "answer_no", note, verified.format.value), None
        values = {name: str(value) for name, value in verified.claims.items()}
        sealed = self._vault.seal(msgspec.json.encode(values), _context("shown", session.id))
        return Verdict(Outcome.ACCEPTED, None, None, note, verified.format.value), sealed

    async def _ended(self, session: Session, purpose: Purpose, verdict: Verdict, now: datetime) -> Ended:
        shown: tuple[tuple[Words, str, str], ...] = ()
        if session.shown is not None:
            await store.hasten_erasure(self._db, session.id, now + SEEN)
            values = msgspec.json.decode(
                self._vault.open(session.shown, _context("shown", session.id)), type=dict[str, str]
            )
            document = self._country.documents[purpose.document]
            shown = tuple((document.claim(name).label, name, value) for name, value in values.items())
        erased = verdict.outcome is Outcome.ACCEPTED and not self.yes_or_no(purpose) and not shown
        items = self._labels(purpose)
        return Ended(session.id, purpose, items, verdict, shown, erased, int(SEEN.total_seconds()))

    def _labels(self, purpose: Purpose) -> tuple[Words, ...]:
        document = self._country.documents[purpose.document]
        return tuple(document.claim(name).label for name in purpose.items)

    def _issuers(self, trusted: TrustList) -> tuple[Issuer, ...]:
        """The issuers of this trust list, parsed once a list: `Anchors` keeps the chains it has checked."""
        if self._known is None or self._known[0] is not trusted:
            issuers = tuple(
                Issuer(
                    entry.id, Anchors(entry.ca), frozenset(entry.vcts), frozenset(entry.doctypes), entry.status_prefix
                )
                for entry in trusted.issuers
            )
            self._known = (trusted, issuers)
        return self._known[1]

    def _party(self, trusted: TrustList, id: str) -> RelyingParty:
        """The shop as the trust list has it, with the very certificate we sign with."""
        party = trusted.relying_party(id)
        access = self._access.get(id)
        if access is None or party.x509_hash != x509_hash(access.x5c[0]):
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this shop's certificate")
        return party

    def _question(self, trusted: TrustList, party: str, purpose: str, form: Form) -> Question:
        return question(self._country, _registered(self._party(trusted, party)), purpose, form)

    def _qr(self, session: Session) -> str:
        return oid4vp.qr_text(self.client_id(session.relying_party), f"{self._base}/verifier/requests/{session.id}")

    def _ask(self, session: Session, asked: Question, key: Mapping[str, str]) -> Ask:
        """The one question: what is signed for the wallet is what its answer is held against."""
        return asked.ask(
            client_id=self.client_id(session.relying_party), nonce=session.nonce,
            response_uri=f"{self._base}/verifier/responses/{session.id}",
            key_thumbprint=jose.PublicKey.from_jwk(jwe.public_jwk(key)).thumbprint_raw,
        )  # fmt: skip

    def _key(self, session: Session) -> dict[str, str]:
        if session.secret is None:
            raise Refused(Code.SESSION_SPENT, "this question has ended")
        plain = self._vault.open(session.secret, _context("secret", session.id))
        return msgspec.json.decode(plain, type=dict[str, str])

    async def _open(self, id: str) -> Session:
        session = await store.session(self._db, id)
        if session is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        if session.verdict is not None or self._clock.now() >= session.expires_at:
            raise Refused(Code.SESSION_SPENT, "this question has ended")
        return session

    async def _own(self, till: Till, id: str) -> Session:
        session = await store.session(self._db, id)
        if session is None or session.till != till.id:
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return session

    def _code_index(self, code: str) -> bytes:
        return self._vault.index(code, b"till_invitation.code")


def _registered(party: RelyingParty) -> dict[str, tuple[str, ...]]:
    return {purpose.id: tuple(purpose.items) for purpose in party.purposes}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _context(column: str, id: str) -> bytes:
    return f"check_session.{column}|{id}".encode()
