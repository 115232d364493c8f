"""A customer shows a code, the shop reads it: the question travels over a relay, and the answer back.

Promises: neither side needs an address that others can reach; the request is signed for the very code that was read
(`wallet_nonce`), so it is no good to anybody who passes it on; a code another shop has used is said to be used. An
answer that waits in a mailbox is fetched when somebody looks, also after a restart. Trusts: the relays it was given;
these see sealed bytes only. Keeps: nothing (the question is kept where every question is). Refuses: a code out of its
time, a relay it does not know: the address in a code is a stranger's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

import httpx

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused
from mapae.formats import meet
from mapae.formats.jose import b64u
from mapae.formats.meet import MeetCode
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.asking.oid4vp import RESPONSE_LIMIT
from mapae.verifier.asking.questions import Questions, read_manner
from mapae.verifier.asking.store import Session

WAIT: Final = 15  # seconds of one look at the relay, for whoever waits
PAUSE: Final = 0.5
_SPENT: Final = (Code.PRESENTATION_SPENT, "the code has been used; ask the customer for a fresh one")
_NAMED: Final = {
    404: (Code.PRESENTATION_STALE, "the code is not shown any more; ask the customer for a fresh one"),
    409: _SPENT,
    410: _SPENT,
}


class Meetings:
    """For the relying parties of one verifier. `relays`: those it uses; with `reachable` an answer comes straight to us
    instead of into a mailbox, as phones can reach `questions.base`."""

    def __init__(
        self, questions: Questions, http: httpx.AsyncClient, relays: Collection[str], *, reachable: bool = False
    ) -> None:
        self._questions, self._http = questions, http
        self._relays, self._reachable = frozenset(relays), reachable

    async def begin(self, asker: str, party: str, purpose: str, text: str, form: Form = Form.EITHER) -> str:
        """Put a question to the phone whose code this is; the question's id.

        Raises Refused(MALFORMED, UNSUPPORTED, PRESENTATION_STALE, PRESENTATION_SPENT, CLOCK_OFF, TRANSPORT_LOST), and
        what `Questions.put` does. Where the phone did not get it, the question is cancelled.
        """
        code = MeetCode.parse(text.strip("\r\n\t"))  # a space may be the last of base45
        code.must_be_live(self._questions.now())
        if code.relay not in self._relays:
            raise Refused(Code.UNSUPPORTED, "the code is of a relay that is not used here")
        manner = Manner() if self._reachable else Manner(relay=code.relay)
        id = await self._questions.put(asker, party, purpose, form, manner)
        try:
            if not self._reachable:
                token = self._questions.reply_token(id)
                await self._knock("PUT", meet.mailbox(code.relay, token), token)
            sealed = meet.seal(await self._questions.request_object(id, code.nonce), code)
            await self._knock("POST", code.mailbox, body=sealed)
        except Refused:
            await self._questions.cancel(asker, id)
            raise
        return id

    async def collect(self, asker: str, id: str, *, wait: int = 0) -> None:
        """Fetch the answer, if it is there: then the question has ended.

        What is no answer changes nothing; a relay that is away is asked again next time.
        Raises Refused(NOT_FOUND) for anybody else's question.
        """
        session = await self._questions.of(asker, id)
        relay = read_manner(session).relay
        if not relay or session.verdict is not None or self._questions.now() >= session.expires_at:
            return
        try:
            answer = await self._taken(session, relay, wait)
            if answer is not None:
                await self._questions.answer(id, read_form(answer))
        except Refused as refused:
            if refused.code not in _LATER:
                raise

    async def ask(self, asker: str, party: str, purpose: str, text: str, form: Form = Form.EITHER) -> Session:
        """The whole of it, for whoever has no page to look at: ask, and wait until the question has ended."""
        id = await self.begin(asker, party, purpose, text, form)
        while True:
            await self.collect(asker, id, wait=WAIT)
            session = await self._questions.of(asker, id)
            if session.verdict is not None:
                return session
            if self._questions.now() >= session.expires_at:
                await self._questions.sweep()
            else:
                await asyncio.sleep(PAUSE)  # where the relay does not wait, or answers come straight to us

    async def _taken(self, session: Session, relay: str, wait: int) -> bytes | None:
        token = self._questions.reply_token(session.id)
        status, body = await self._knock("GET", f"{meet.mailbox(relay, token)}?wait={wait}", token, wait=wait)
        return body if status == 200 else None

    async def _knock(
        self, method: str, url: str, token: bytes = b"", *, body: bytes = b"", wait: int = 0
    ) -> tuple[int, bytes]:  # fmt: skip
        headers = {**ACCEPTED, "Content-Type": "application/octet-stream"}
        if token:
            headers["Authorization"] = f"Bearer {b64u(token)}"
        try:
            async with self._http.stream(
                method, url, headers=headers, content=body, timeout=10 + wait, follow_redirects=False
            ) as answer:
                said = await body_within(answer, RESPONSE_LIMIT)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Refused(Code.TRANSPORT_LOST, "the relay does not answer") from None
        if answer.is_success:
            return answer.status_code, said
        unexpected = (Code.TRANSPORT_LOST, f"the relay answered {answer.status_code}; try again")
        raise Refused(*_NAMED.get(answer.status_code, unexpected))


# Of one look at a mailbox: nothing there (any more), nothing that fits, or nobody answering. The question stays open.
_LATER: Final = frozenset(
    {Code.TRANSPORT_LOST, Code.PRESENTATION_STALE, Code.PRESENTATION_SPENT, Code.MALFORMED, Code.UNSUPPORTED,
     Code.TOO_LARGE, Code.SESSION_SPENT}
)  # fmt: skip


def read_form(answer: bytes) -> dict[str, str]:
    """OpenID4VP 1.0 8.2: the form a wallet posts to its response_uri."""
    try:
        pairs = parse_qsl(
            answer.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=8, errors="strict"
        )
    except ValueError:
        raise Refused(Code.MALFORMED, "the answer is not a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused(Code.MALFORMED, "a field of the answer comes twice")
    return fields
