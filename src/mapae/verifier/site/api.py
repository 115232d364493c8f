"""Checks over HTTP: for a relying party's own server with a key, and for any page where a question is for anyone.

Promises: a key asks for its relying party's registered purposes and sees that party's checks only. With `session` (the
shop's own word for the browser session that asks) an answer counts in that session alone: the page watches with a token
of its own, gets a code when the check ends, and the shop's server redeems that code once, in the name of the session
its visitor really has. Values are read once. Trusts: `Questions` for keyed checks, the vault, the clock.
Keeps: hashes of keys and sessions; of a person nothing beyond what `questions.py` says. Refuses: another party's check,
a second reading, a code in another session (that ends it for good), a purpose that is not for anyone without a key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from mapae.catalog import Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate
from mapae.errors import Code, Refused
from mapae.formats import uri
from mapae.formats.jose import b64u
from mapae.keys import Vault
from mapae.ui.words import LANGUAGES, knows, say
from mapae.verifier.asking import anyone, oid4vp
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.asking.questions import LIFE, REMEMBER, RETURN, TYPING, Questions, read_manner
from mapae.verifier.asking.store import Outcome, Session, Verdict
from mapae.verifier.checking.check import ByRedirect, verified
from mapae.verifier.site import api_store
from mapae.verifier.site.api_store import Check, Key
from mapae.verifier.site.api_types import (
    Ask,
    AskAnyone,
    Asking,
    Looked,
    Redeem,
    Said,
    Started,
    State,
    Watched,
)

PREFIX: Final = "mapae_"  # of a key, so that whoever finds one in a log knows what it is
LABEL: Final = 60
_OF_ANYONE: Final = "anyone"


@dataclass(frozen=True, slots=True)
class ToType:
    """A code and the site in whose page it is typed. Empty: there is nothing to type any more."""

    code: str
    host: str


class Api:
    """One object a process; all state is in the database."""

    def __init__(self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, questions: Questions) -> None:
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self._questions = questions

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def make_key(self, party: str, label: str) -> tuple[Key, str]:
        """A new key and its one and only showing. Raises UNKNOWN_RELYING_PARTY, MALFORMED."""
        if party not in self._questions.parties:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "this process does not ask for that relying party")
        return await make_key(self._db, party, label, self._clock, self._dice)

    async def key(self, authorization: str | None) -> Key:
        """Whose server this is (RFC 6750 2.1). Raises NOT_SIGNED_IN."""
        shown = _bearer(authorization)
        found = await api_store.key_of(self._db, _hash(shown), self._clock.now()) if shown.startswith(PREFIX) else None
        if found is None:
            raise Refused(Code.NOT_SIGNED_IN, "this needs a live API key of a relying party, as a Bearer token")
        return found

    # --- asking -------------------------------------------------------------------------------------------------------

    async def start(self, key: Key, ask: Ask, retry: str | None, *, pushed: bytes = b"") -> Started:
        """Put a question. With `retry` (an Idempotency-Key) the same call again finds the same check. `pushed`: to a
        phone that its asker does not see, named by these words (`push.py`): guarded whatever the risk."""
        said = _hash(msgspec.json.encode(ask) + pushed)
        again = _hash(retry) if retry is not None else None
        if again is not None and (known := await api_store.check_again(self._db, key.relying_party, again)):
            return await self._again(known, said)
        asker = f"api-{self._dice.token(12)}"
        purpose = await self._questions.purpose(key.relying_party, ask.purpose)
        # Whoever relays the QR code of a question to somebody else's phone must not get the answer.
        risky = bool(pushed) or (purpose is not None and purpose.risk == "high")
        guarded = risky and not ask.in_person and not ask.same_device
        if guarded and not ask.session:
            raise Refused(Code.NOT_ALLOWED, "a push, or a purpose of high risk, is asked in a session, or in person")
        if (ask.same_device or guarded) and not (ask.session and ask.return_to):
            raise Refused(Code.MALFORMED, "this check needs a session and a return_to")
        if ask.return_to:
            _must_lead_back(ask.return_to)
        manner = Manner(same_device=ask.same_device, typed_back=guarded, pushed=bool(pushed))
        id = await self._questions.put(asker, key.relying_party, ask.purpose, ask.form, manner)
        check = Check(
            id, key.relying_party, asker, _session(ask.session), ask.return_to or None, again, said,
            self._clock.now() + LIFE,
        )  # fmt: skip
        try:
            await api_store.add(self._db, check)
        except Duplicate:  # the same call twice at the same moment: the other one won
            await self._questions.cancel(asker, id)
            known = await api_store.check_again(self._db, key.relying_party, again or b"")
            if known is None:
                raise Refused(Code.CONFLICT, "the same request is being made") from None
            return await self._again(known, said)
        return await self._started(check)

    async def start_anyone(self, ask: AskAnyone) -> Started:
        """Put a question that needs nobody's leave. Raises NOT_FOUND, NOT_ALLOWED, UNSUPPORTED."""
        asked = anyone.anyones(self._questions.country, ask.purpose, ask.form)
        pending = anyone.put(ask.purpose, ask.form, self._clock.now(), self._dice)
        check = Check(
            pending.id, None, _OF_ANYONE, _session(ask.session), None, None, b"", pending.expires_at,
        )  # fmt: skip
        secret = self._vault.seal(msgspec.json.encode(pending.jwk), _context(pending.id))
        await api_store.add(self._db, check, pending, secret)
        text = anyone.link(asked, pending, self._response_uri(pending.id))
        return self._shown(check, self._questions.country.purposes[ask.purpose], text, page=True)

    async def _again(self, known: Check, said: bytes) -> Started:
        if known.said != said:
            raise Refused(Code.CONFLICT, "this Idempotency-Key was used for another request")
        return await self._started(known)

    async def _started(self, check: Check) -> Started:
        session = await self._questions.of(check.asker, check.id)
        about = await self._questions.about(session)
        started = self._shown(check, about, self._questions.link(session), page=check.session is not None)
        started.typed_back = read_manner(session).typed_back
        return started

    def _shown(self, check: Check, purpose: Purpose, text: str, *, page: bool) -> Started:
        wallet = f"{self._questions.base}/wallet/#request={uri.percent(text)}"
        token = self._page_token(check.id) if page else None
        return Started(check.id, self._asking(purpose), text, wallet, check.expires_at, token)

    def _asking(self, purpose: Purpose) -> Asking:
        documents = self._questions.country.documents
        items = [_both(documents[purpose.document].claim(name).label) for name in purpose.items]
        return Asking(purpose.id, _both(purpose.name), _both(purpose.why), items)

    async def question(self, id: str) -> Session:
        """The question behind a check of a key, for whoever carries it to a phone."""
        check = await api_store.check(self._db, id)
        if check is None or check.relying_party is None:
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return await self._questions.of(check.asker, id)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def look(self, key: Key, id: str) -> Looked:
        """How a check stands, for the server that put it; the values with it, once. In a session only the state."""
        check = await self._of(key, id)
        verdict, state, left = await self._stands(check)
        if verdict is None or check.session is not None:
            return Looked(id, State.ANSWERED if verdict is not None else state, left)
        return await self._read(check, verdict)

    async def watch(self, authorization: str | None, id: str) -> Watched:
        """The same for the page that shows the code: for display, and with the code the shop's server redeems."""
        check = await self._watched(authorization, id)
        verdict, state, left = await self._stands(check)
        if verdict is None:
            return Watched(id, state, left)
        code = self._code(id) if check.session is not None and _counts(verdict) else None
        return Watched(id, State(verdict.outcome.value), 0, verdict.step, verdict.code, _words(verdict), code)

    async def redeem(self, key: Key | None, id: str, redeem: Redeem) -> Looked:
        """The answer, to the shop's server, in the name of the browser session in front of it. Once.

        Raises WRONG_BROWSER (and no other session can redeem it any more), CODE_SPENT, WRONG_CODE, NOT_FOUND.
        """
        check = await self._of(key, id)
        if check.session is None:
            raise Refused(Code.NOT_FOUND, "this check was not put in a session")
        here = hmac.compare_digest(check.session, _session(redeem.session) or b"")
        by_return = await self._came_back(check, redeem.code, here=here)
        if not by_return and not hmac.compare_digest(self._code(id), redeem.code):
            raise Refused(Code.WRONG_CODE, "this is not the code of that check")
        if not here:
            await api_store.read_once(self._db, id, self._clock.now())
            raise Refused(Code.WRONG_BROWSER, "the question was asked in another session")
        verdict, _, _ = await self._stands(check)
        if verdict is None:
            raise Refused(Code.WRONG_CODE, "this check has no answer yet")
        if check.read or self._clock.now() > check.expires_at + TYPING + RETURN:
            raise Refused(Code.CODE_SPENT, "this answer has been read, or nobody came for it in time")
        return await self._read(check, verdict, once=True)

    async def _came_back(self, check: Check, code: str, *, here: bool) -> bool:
        """A wallet on the same device led the browser back with this code (HAIP 1.0 5.1)."""
        if check.return_to is None or check.relying_party is None:
            return False
        session = await self._questions.of(check.asker, check.id)
        if not session.answered or read_manner(session).typed_back:
            return False
        await self._questions.come_back(check.asker if here else "", check.id, code)
        return True

    async def return_to(self, id: str, code: str) -> str | ToType | None:
        """Where the holder's browser goes on to: the page of the shop, which redeems; or the code that another device's
        browser shows. None: no check of this kind."""
        check = await api_store.check(self._db, id)
        if check is None or check.return_to is None or check.relying_party is None:
            return None
        if read_manner(await self._questions.of(check.asker, id)).typed_back:
            host = urlsplit(check.return_to).netloc
            return ToType(await self._questions.come_back("", id, code) or "", host)
        joint = "&" if urlsplit(check.return_to).query else "?"
        return f"{check.return_to}{joint}{urlencode({'mapae_check': id, 'mapae_code': code})}"

    async def cancel(self, key: Key, id: str) -> None:
        await self._cancel(await self._of(key, id))

    async def cancel_watched(self, authorization: str | None, id: str) -> None:
        await self._cancel(await self._watched(authorization, id))

    async def type_back(self, authorization: str | None, id: str, text: str) -> int:
        """What the phone's browser shows, typed into the page that asked: how many tries are left."""
        check = await self._watched(authorization, id)
        if check.relying_party is None:
            raise Refused(Code.SESSION_SPENT, "nothing waits for a code here")
        return await self._questions.type_back(check.asker, id, text)

    async def _cancel(self, check: Check) -> None:
        if check.relying_party is None:
            await api_store.end_anyone(self._db, check.id, Verdict(Outcome.CANCELLED), self._clock.now())
        else:
            await self._questions.cancel(check.asker, check.id)

    async def sweep(self) -> None:
        await api_store.sweep(self._db, self._clock.now(), self._clock.surely() - REMEMBER)

    # --- the wallet's side of a question for anyone -------------------------------------------------------------------

    async def answer(self, id: str, fields: dict[str, str]) -> None:
        """What is no answer to this question is refused and changes nothing; an answer ends it."""
        put = await api_store.anyone(self._db, id)
        if put is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        now = self._clock.now()
        if put.verdict is not None or put.secret is None or now >= put.pending.expires_at:
            raise Refused(Code.SESSION_SPENT, "this question has ended")
        jwk = msgspec.json.decode(self._vault.open(put.secret, _context(id)), type=dict[str, str])
        pending = msgspec.structs.replace(put.pending, jwk=jwk)
        answered, tie = anyone.read(pending, fields, self._response_uri(id))
        verdict = await self._judge(pending, answered, tie)
        if not await api_store.end_anyone(self._db, id, verdict, self._clock.now()):
            raise Refused(Code.SESSION_SPENT, "this question has been answered")

    async def _judge(self, pending: anyone.Pending, answered: oid4vp.Answered, tie: ByRedirect) -> Verdict:
        if isinstance(answered, oid4vp.Declined):
            return Verdict(Outcome.DECLINED, code=answered.error)
        asked = anyone.anyones(self._questions.country, pending.purpose, Form(pending.form))
        try:
            answer = await self._questions.check(asked, answered.value, tie)
            one = verified(answer, asked.items)
        except Refused as refused:
            if refused.step is None:
                raise
            return Verdict(Outcome.REFUSED, refused.step, refused.code.value)
        note = "renew" if one.renew else None
        if all(value is True for value in one.claims.values()):
            return Verdict(Outcome.ACCEPTED, None, None, note, one.format.value)
        return Verdict(Outcome.NO, None, "answer_no", note, one.format.value)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _of(self, key: Key | None, id: str) -> Check:
        """Raises NOT_FOUND for anybody else's check."""
        check = await api_store.check(self._db, id)
        if check is None or check.relying_party != (key.relying_party if key is not None else None):
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return check

    async def _watched(self, authorization: str | None, id: str) -> Check:
        """Raises NOT_FOUND without the page's token, so that an id alone says nothing."""
        check = await api_store.check(self._db, id)
        if check is None or not hmac.compare_digest(self._page_token(id), _bearer(authorization)):
            raise Refused(Code.NOT_FOUND, "there is no such check")
        return check

    async def _stands(self, check: Check) -> tuple[Verdict | None, State, int]:
        left = max(0, round((check.expires_at - self._clock.now()).total_seconds()))
        if check.relying_party is None:
            put = await api_store.anyone(self._db, check.id)
            verdict = put.verdict if put is not None else None
            if verdict is None and left == 0:
                verdict = Verdict(Outcome.EXPIRED)
            return verdict, State.OPEN, left
        session = await self._questions.of(check.asker, check.id)
        verdict = session.verdict
        if verdict is None and left == 0 and not session.answered:
            await self._questions.sweep()
            verdict = (await self._questions.of(check.asker, check.id)).verdict
        return verdict, _state(session), left

    async def _read(self, check: Check, verdict: Verdict, *, once: bool = False) -> Looked:
        """The values go to whoever reads first. `once`: so does the verdict."""
        first = await api_store.read_once(self._db, check.id, self._clock.now())
        if once and not first:
            raise Refused(Code.CODE_SPENT, "this answer has been read")
        values: dict[str, str] = {}
        if first and check.relying_party is not None:
            session = await self._questions.of(check.asker, check.id)
            values = {name: str(value) for name, value in self._questions.reveal(session).items()}
            await self._questions.erase(check.asker, check.id)
        offline = verdict.offline.tier.value if verdict.offline is not None else None
        return Looked(
            check.id, State(verdict.outcome.value), 0, verdict.step, verdict.code, _words(verdict), verdict.note,
            verdict.format, offline, values,
        )  # fmt: skip

    def _page_token(self, id: str) -> str:
        """Derived, so that the same call again gives the same, and nothing need be kept."""
        return b64u(self._vault.index(id, b"api_check.page"))

    def _code(self, id: str) -> str:
        """A page that lost its answer on the way may ask again: the code is the same until it is redeemed."""
        return b64u(self._vault.index(id, b"api_check.code"))

    def _response_uri(self, id: str) -> str:
        return f"{self._questions.base}/verifier/anyone/{id}"


async def make_key(db: Db, party: str, label: str, clock: Clock, dice: Dice) -> tuple[Key, str]:
    if not label.strip() or len(label) > LABEL or not label.isprintable():
        raise Refused(Code.MALFORMED, f"a key's label has 1 to {LABEL} printable characters")
    secret = PREFIX + dice.token()
    key = Key(hashlib.sha256(secret.encode()).hexdigest()[:12], party, label.strip(), clock.now())
    await api_store.add_key(db, key, _hash(secret))
    return key, secret


def _state(session: Session) -> State:
    if session.answered:
        return State.ANSWERED
    return State.SEEN if session.fetched else State.OPEN


def _counts(verdict: Verdict) -> bool:
    return verdict.outcome in (Outcome.ACCEPTED, Outcome.NO, Outcome.REFUSED)


def _words(verdict: Verdict) -> Said:
    key = f"api.outcome.{verdict.outcome.value}"
    if verdict.outcome is Outcome.REFUSED and knows(f"checker.reason.{verdict.code}"):
        key = f"checker.reason.{verdict.code}"
    ko, en = (say(language, key) for language in LANGUAGES)
    return Said(ko, en)


def _both(words: Any) -> Said:
    return Said(words.ko, words.en)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    # A key is ASCII: compare_digest takes no other text.
    return token if scheme.lower() == "bearer" and token.isascii() and len(token) <= 128 else ""


def _must_lead_back(url: str) -> None:
    """https, or this machine: a code in the clear could be read on the way."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    local = host in ("localhost", "127.0.0.1", "::1")
    safe = host and (parts.scheme == "https" or (parts.scheme == "http" and local))
    if not safe or parts.fragment or parts.username or not url.isascii() or any(c in url for c in " \\\r\n\t"):
        raise Refused(Code.MALFORMED, "return_to is an https address without fragment or sign-in")


def _session(word: str) -> bytes | None:
    return _hash(word) if word else None


def _hash(text: str | bytes) -> bytes:
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return hashlib.sha256(raw).digest()


def _context(id: str) -> bytes:
    return f"anyone_check.secret|{id}".encode()
