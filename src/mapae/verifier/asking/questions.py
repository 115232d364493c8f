"""A question to one wallet, from the moment it is put to its verdict; whoever asks: a till, a website, a command line.

Promises: a question is put only as far as the trust list lets its relying party ask; it has its own nonce, state and
encryption key, is answered once, and ends after its life. A lock is felt within five seconds: a status list older than
two seconds is asked for again before an answer counts. A question to the same device counts only when the browser that
asked comes back with a fresh code (HAIP 1.0 5.1); one across devices that must be guarded, when the code only the phone
shows is typed into the browser that asked. Trusts: the trust list it is handed, the vault, the clock.
Keeps: nothing about the holder beyond what the asker may see, sealed, until it is erased. In memory: what was parsed of
questions that are open, and of the trust list. Refuses: a second answer, an answer to another question, a relying
party whose access certificate the trust list does not name, a query of one's own unless this is the demo country.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec

from mapae.catalog import Country, Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate
from mapae.errors import Code, Refused
from mapae.formats import jwe
from mapae.formats.curves import NIST
from mapae.formats.meet import mailbox
from mapae.formats.x509 import Anchors
from mapae.keys import Vault
from mapae.rules import Words
from mapae.trust.publish import RelyingParty, TrustList
from mapae.verifier.asking import dcapi, oid4vp, store
from mapae.verifier.asking.ask import OWN, PLAIN, Form, Manner, Question
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.judge import MOST_OPEN, Access, Judge, Judged, read_manner, registered
from mapae.verifier.asking.store import Outcome, Session, Verdict
from mapae.verifier.checking import typed
from mapae.verifier.checking.check import Answer, ByBrowser, ByRedirect, Listed, Tie, Transaction, Trusted
from mapae.verifier.checking.standing import StatusLists
from mapae.verifier.checking.steps import Examined

__all__ = ["LIFE", "REMEMBER", "RETURN", "UNSEEN", "Access", "Questions", "TrustSource", "asker_of", "read_manner",
           "registered"]  # fmt: skip

LIFE: Final = timedelta(seconds=120)  # of a question: time to find the phone
UNSEEN: Final = timedelta(seconds=30)  # of shown values, when nobody ever asked for them
RETURN: Final = timedelta(seconds=60)  # for the browser to come back
REMEMBER: Final = timedelta(minutes=10)  # of an ended question; it holds an outcome and times
TYPING: Final = timedelta(minutes=2)  # for a code to be read off the phone and typed
LOST: Final = Verdict(Outcome.REFUSED, "return", Code.WRONG_BROWSER.value)
MISTYPED: Final = Verdict(Outcome.REFUSED, "return", Code.WRONG_CODE.value)
TrustSource = Callable[[], Awaitable[TrustList]]


class Questions:
    """The relying parties this process asks for. One object a process; all state is in the database."""

    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, http: httpx.AsyncClient, base: str, trust: TrustSource,
        country: Country, access: Mapping[str, Access], own_queries: bool = False, basement: Basement | None = None,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self.base = base.rstrip("/")
        self._host = oid4vp.host_of(base)
        self.trust = basement.trust if basement is not None else trust
        self.basement = basement
        self.country = country
        self._judge = Judge(
            clock=clock, http=http, country=country, access=access, own_queries=own_queries, basement=basement
        )
        self._keys: OrderedDict[str, jwe.DecryptionKey] = OrderedDict()
        self.registration: Callable[[str], Awaitable[str | None]] = _none  # what goes along with a signed question

    @property
    def parties(self) -> tuple[str, ...]:
        """The relying parties this process asks for."""
        return self._judge.parties

    def client_id(self, party: str, prefix: str = "x509_hash") -> str:
        """Under which client_id this relying party asks. Raises Refused(UNSUPPORTED) when it has none of this kind."""
        return oid4vp.client_id(self._judge.access(party).x5c[0], prefix, self._host)

    def party(self, trusted: TrustList, id: str) -> RelyingParty:
        """The relying party as the trust list has it, with the very certificate we sign with."""
        return self._judge.party(trusted, id)

    async def purposes(self, party: str) -> Mapping[str, Purpose]:
        """What this relying party may ask for today, by id: ready purposes in the pack's order, then its own."""
        return self._judge.purposes(await self.trust(), party)

    async def purpose(self, party: str, id: str) -> Purpose | None:
        """One of them, for whoever has to know its risk before the question is put."""
        return (await self.purposes(party)).get(id)

    async def about(self, session: Session) -> Purpose:
        """What a page says of a question: its purpose as it is registered, or was."""
        party = session.relying_party
        with contextlib.suppress(Refused):  # struck off meanwhile, or no list to be had: the question is not answered
            if (found := (await self.purposes(party)).get(session.purpose)) is not None:
                return found
        return self._judge.called(party, session.purpose)

    def called(self, party: str, id: str) -> Words:
        """A purpose by name, also one that has ended."""
        return self._judge.called(party, id).name

    # --- whoever asks -------------------------------------------------------------------------------------------------

    async def put(
        self, asker: str, party: str, purpose: str, form: Form = Form.EITHER, manner: Manner = PLAIN,
        life: timedelta = LIFE,
    ) -> str:  # fmt: skip
        """Put a question; its id. The asker's earlier question, if it is still open, is cancelled.

        Raises Refused(OVER_ASKING, NOT_FOUND, UNSUPPORTED, MALFORMED, UNKNOWN_RELYING_PARTY).
        """
        written = msgspec.json.encode(manner).decode()
        self._judge.question(await self.trust(), party, purpose, form.value, written)
        self.client_id(party, manner.prefix)
        Anchors(manner.anchors, NIST)
        now = self._clock.now().replace(microsecond=0)
        id = self._dice.token(18)
        key = jwe.private_jwk(self._dice.bytes(48), self._dice.token(9))
        sealed = self._vault.seal(msgspec.json.encode(key), _context("secret", id))
        session = Session(
            id, asker, party, purpose, form.value, self._dice.token(), self._dice.token(18), sealed, now, now + life,
            fetched=False, verdict=None, shown=None, erase_at=None, manner=written,
        )  # fmt: skip
        for last in (False, True):
            try:
                await store.open_session(self._db, session)
                break
            except Duplicate:  # the same asker opened two at once: the second ends the first
                if last:
                    raise Refused(Code.CONFLICT, "something else has just been asked") from None
        return id

    async def of(self, asker: str, id: str) -> Session:
        """Raises Refused(NOT_FOUND) for anybody else's question."""
        session = await store.session(self._db, id)
        if session is None or session.till != asker:
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return session

    def link(self, session: Session) -> str:
        """What a QR code holds, or a link on the same device follows."""
        manner = read_manner(session)
        client_id = self.client_id(session.relying_party, manner.prefix)
        return oid4vp.link(client_id, f"{self.base}/verifier/requests/{session.id}", manner.method)

    async def cancel(self, asker: str, id: str) -> None:
        """An answer that came first stands."""
        await self.of(asker, id)
        now = self._clock.now()
        self._keys.pop(id, None)
        await store.end(self._db, id, Verdict(Outcome.CANCELLED), now, shown=None, erase_at=now)

    async def come_back(self, asker: str, id: str, code: str) -> str | None:
        """A browser returns from its wallet. The verdict counts if it is the one that asked (OpenID4VP 1.0 14.2).

        None: back where it was asked. Else this is another device's browser, and of a question that is `typed_back` it
        may show this code; there is nothing to type ("") once it has ended. Raises Refused(WRONG_BROWSER); of any other
        question the right code in another browser ends it as refused.
        """
        now, digest = self._clock.now(), _digest(code)
        if await store.come_back(self._db, id, asker, digest, now, now + UNSEEN):
            return None
        session = await store.session(self._db, id)
        if session is not None and session.till != asker and read_manner(session).typed_back:
            if session.verdict is not None:
                return ""
            if await store.waits_for(self._db, id, digest, now):
                return self._to_type(id, code)
            raise Refused(Code.WRONG_BROWSER, "this is not the way back that the wallet was given")
        if session is None or session.till != asker:
            await store.turn_away(self._db, id, digest, LOST, now)
            raise Refused(Code.WRONG_BROWSER, "the question was asked in another browser")
        if session.verdict is None:
            raise Refused(Code.WRONG_BROWSER, "this is not the way back that the wallet was given")
        return None

    async def type_back(self, asker: str, id: str, text: str) -> int:
        """The code off the phone, typed where it was asked: 0 when the question has ended, with its verdict or for good
        after `TRIES` wrong codes; else so many tries are left. What cannot be a code costs no try.

        Raises Refused(MALFORMED), and Refused(SESSION_SPENT) when nothing waits for a code.
        """
        await self.of(asker, id)
        code, now = typed.read(text[:64], typed.BACK), self._clock.now()
        if code is None:
            raise Refused(Code.MALFORMED, "this is not a code of six letters and digits")
        left = await store.type_back(self._db, id, asker, self._typed(id, code), now, now + UNSEEN, MISTYPED)
        if left is None:
            raise Refused(Code.SESSION_SPENT, "nothing waits for a code here")
        return left

    def reveal(self, session: Session) -> dict[str, Any]:
        """The values shown, as the question lets its asker see them; nothing once they are erased."""
        if session.shown is None or session.verdict is None:
            return {}
        plain = self._vault.open(session.shown, _context("shown", session.id))
        return msgspec.json.decode(plain, type=dict[str, Any])

    async def transactions(self, asker: str, id: str) -> tuple[Transaction, ...]:
        """What the holder is to authorize with the answer."""
        manner = read_manner(await self.of(asker, id))
        return tuple([Transaction.parse(text) for text in manner.transactions])

    def now(self) -> datetime:
        return self._clock.now()

    async def erase(self, asker: str, id: str) -> None:
        """What was shown has been read."""
        await self.of(asker, id)
        await store.erase(self._db, id)

    # --- the wallet's side --------------------------------------------------------------------------------------------

    async def request_object(self, id: str, wallet_nonce: str | None = None, metadata: str | None = None) -> str:
        """The signed request. May be fetched again while the question is open; its content is the same."""
        session = await self._open(id)
        asked = await self._asked(session)
        prefix = read_manner(session).prefix
        requested = oid4vp.Requested(
            asked, self.client_id(session.relying_party, prefix), session.nonce, session.echo,
            self._response_uri(session),
            jwe.public_jwk(self._jwk(session)), session.opened_at, session.expires_at,
            await self.registration(session.relying_party) if session.purpose != OWN else None,
        )  # fmt: skip
        access = self._judge.access(session.relying_party)
        signed = oid4vp.request_object(requested, access.signer, access.x5c, wallet_nonce, metadata)
        await self._fetched(session)
        return signed

    async def answer(self, id: str, fields: Mapping[str, str]) -> str | None:
        """A wallet's answer. What is no answer to this question is refused and changes nothing; an answer ends it.

        A presentation that fails a step ends the question as refused and raises nothing: the asker's screen says why.
        Returns where the wallet is to lead the holder's browser, if anywhere. Raises Refused(SESSION_SPENT) for the
        second answer.
        """
        session = await self._open(id)
        key = self._key(session)
        answered = oid4vp.read_answer(fields, key, state=session.echo)
        manner = read_manner(session)
        if manner.pushed and isinstance(answered, oid4vp.Declined):
            return None  # a no looks like a phone that nobody looks at: no other answer tells that there is one
        client_id = self.client_id(session.relying_party, manner.prefix)
        tie = ByRedirect(client_id, session.nonce, self._response_uri(session), key.public.thumbprint_raw)
        code = self._dice.token(24) if manner.same_device or manner.typed_back else None
        await self._end(session, answered, tie, code)
        # OpenID4VP 1.0 8.2: a fresh value each time, also where there is nothing to guard.
        where = "login" if manner.log_in else "shop"
        return f"{self.base}/{where}/back/{id}?response_code={code}" if code is not None else None

    # --- the browser's side: OpenID4VP 1.0 Appendix A -----------------------------------------------------------------

    async def browser_requests(self, asker: str, id: str) -> list[dict[str, Any]]:
        """What this browser hands to the Digital Credentials API, the request that says most first."""
        session = await self.of(asker, id)
        self._must_be_open(session)
        asked = await self._asked(session)
        requested = dcapi.Requested(
            asked, session.nonce, jwe.public_jwk(self._jwk(session)), (self.base,),
            await self.registration(session.relying_party) if session.purpose != OWN else None,
        )  # fmt: skip
        access, party = self._judge.access(session.relying_party), session.relying_party
        clients = [dcapi.Client(self.client_id(party), access.signer, access.x5c)]
        with contextlib.suppress(Refused):  # a certificate that names no host has one identifier only
            clients.append(dcapi.Client(self.client_id(party, "x509_san_dns"), access.signer, access.x5c))
        return [
            dcapi.multisigned(requested, clients), dcapi.signed(requested, clients[0]), dcapi.unsigned(requested),
        ]  # fmt: skip

    async def answer_from_browser(self, asker: str, id: str, data: Any) -> None:
        """What the browser that asked got from a wallet. No code to come back with: it never went away."""
        session = await self.of(asker, id)
        self._must_be_open(session)
        key = self._key(session)
        answered = dcapi.read_answer(data, key)
        await self._end(session, answered, ByBrowser(self.base, session.nonce, key.public.thumbprint_raw), None)

    # --- keeping nothing ----------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """End, erase and forget what is due. The house calls it every few seconds, and each look at a page does."""
        await store.sweep(self._db, self._clock.now(), self._clock.surely() - REMEMBER, LOST)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _end(self, session: Session, answered: oid4vp.Answered, tie: Tie, code: str | None) -> None:
        """Check, and write the verdict down once. With `code` a good one waits for its browser."""
        if isinstance(answered, oid4vp.Declined):
            judged = Judged(Verdict(Outcome.DECLINED, code=answered.error), {})
        else:
            judged = await self._judge.judge(session, answered.value, tie, await self.trust())
        shown: bytes | None = None
        if judged.values:
            shown = self._vault.seal(msgspec.json.encode(judged.values), _context("shown", session.id))
        now = self._clock.now()
        if code is not None and judged.verdict.outcome in (Outcome.ACCEPTED, Outcome.NO):
            away = store.Away(_digest(code), now + RETURN)
            if read_manner(session).typed_back:
                away = store.Away(_digest(code), now + TYPING, self._typed(session.id, self._to_type(session.id, code)))
            won = await store.hold(self._db, session.id, judged.verdict, now, away, shown, judged.kept)
        else:
            won = await store.end(
                self._db, session.id, judged.verdict, now, shown=shown, erase_at=now + UNSEEN, accepted=judged.kept
            )  # fmt: skip
        self._keys.pop(session.id, None)
        if not won:
            raise Refused(Code.SESSION_SPENT, "this question has been answered")

    async def _asked(self, session: Session) -> Question:
        return self._judge.question(
            await self.trust(), session.relying_party, session.purpose, session.form, session.manner
        )  # fmt: skip

    def trusted(self, trusted: TrustList) -> Trusted:
        """The issuers of this trust list, for whoever checks something that was not asked for by wallet."""
        return self._judge.trusted(trusted)

    @property
    def lists(self) -> StatusLists:
        return self._judge.lists

    async def check(self, asked: Question, token: Any, tie: Tie) -> Answer:
        """A question that somebody else puts and keeps: the numbered steps, with the pack where the network is away."""
        answer, _, _ = await self._judge.check(asked, token, tie, await self.trust())
        return answer

    async def listed(self, examined: Examined) -> Mapping[str, Listed]:
        """The status list of one examined document, as its issuer has it now. Raises Unreachable."""
        return await self._judge.listed(examined)

    def _to_type(self, id: str, code: str) -> str:
        """What the phone shows: from the way back that only its wallet was given, so that it is kept nowhere."""
        return typed.spelled(self._vault.index(code, _context("to_type", id)))

    def _typed(self, id: str, code: str) -> bytes:
        return self._vault.index(code, _context("typed_code", id))

    def _response_uri(self, session: Session) -> str:
        relay = read_manner(session).relay
        return mailbox(relay, self.reply_token(session.id)) if relay else f"{self.base}/verifier/responses/{session.id}"

    def reply_token(self, id: str) -> bytes:
        """With what the answer to a question is read from a relay. Made anew each time, so it is kept nowhere."""
        return self._vault.index(id, b"check_session.reply")

    def _jwk(self, session: Session) -> dict[str, str]:
        if session.secret is None:
            raise Refused(Code.SESSION_SPENT, "this question has ended")
        plain = self._vault.open(session.secret, _context("secret", session.id))
        return msgspec.json.decode(plain, type=dict[str, str])

    def _key(self, session: Session) -> jwe.DecryptionKey:
        """Parsed when the request is fetched, so that the answer finds it ready; in another process, parsed again."""
        key = self._keys.get(session.id)
        if key is None:
            key = self._keys[session.id] = jwe.DecryptionKey.from_jwk(self._jwk(session))
            if len(self._keys) > MOST_OPEN:
                self._keys.popitem(last=False)
        return key

    async def _fetched(self, session: Session) -> None:
        self._key(session)
        if not session.fetched and not read_manner(session).pushed:
            await store.mark_fetched(self._db, session.id, self._clock.now())

    async def _open(self, id: str) -> Session:
        session = await store.session(self._db, id)
        if session is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        self._must_be_open(session)
        return session

    def _must_be_open(self, session: Session) -> None:
        if session.verdict is not None or session.answered or self._clock.now() >= session.expires_at:
            raise Refused(Code.SESSION_SPENT, "this question has ended")


async def _none(party: str) -> str | None:
    return None


def asker_of(token: str) -> str:
    """Whoever holds this token, as questions name it: always the same, and the token cannot be told from it."""
    return f"{store.VISITOR}{_digest(token).hex()[:40]}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _context(column: str, id: str) -> bytes:
    return f"check_session.{column}|{id}".encode()
