"""A question to the phone of a person whom the relying party names, by way of the wallet provider. Decision 18.

Promises: whoever asks has the answer before anybody is looked for, so that neither its words nor its time say whether
there is such a person or such a phone; the request is written down with the promise to hand it over, and handed over
once felt, also after a kill. What the asker sees later is the same for a person who says no, who does not look, who
does not want to be asked, or who is not there: nothing, and then that the time is over. Trusts: `Api` and `Gateway` for
who asks and what for; the wallet provider. Keeps: name, birthday and number sealed until they are handed over, two
minutes at the most, three by the message family. Refuses: more than a relying party's share, a number no phone of the
country has, a purpose of high risk from the message family, which has no session in which an answer could count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec
import structlog

from mapae import outbox
from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.keys import Vault
from mapae.peers import Peers
from mapae.registers.identity import parse_phone
from mapae.registers.population import LONGEST_NAME
from mapae.verifier.asking.questions import Questions
from mapae.verifier.asking.store import Session
from mapae.verifier.relay import push_store as store
from mapae.verifier.relay.gateway import Gateway
from mapae.verifier.site.api import Api
from mapae.verifier.site.api_store import Key
from mapae.verifier.site.api_types import Ask, Started

_log = structlog.get_logger("mapae.verifier")
KIND: Final = "push_out"
DOOR: Final = "/wallet-provider/peer/push"


@dataclass(frozen=True, slots=True)
class Whom:
    """A person as a relying party knows her."""

    name: str
    birth_date: date
    phone: str

    @classmethod
    def parse(cls, name: str, birth_date: str, phone: str, layout: str) -> Whom:
        """By spelling alone. Raises Refused(MALFORMED)."""
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise Refused(Code.MALFORMED, "the name is missing or too long")
        try:
            day = date.fromisoformat(birth_date)
        except ValueError:
            raise Refused(Code.MALFORMED, "the birth date is not YYYY-MM-DD") from None
        if day.isoformat() != birth_date:
            raise Refused(Code.MALFORMED, "the birth date is not YYYY-MM-DD")
        return cls(name.strip(), day, parse_phone(layout, phone))


class Pusher:
    """One object a process; all state is in the database."""

    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, peers: Peers, questions: Questions, api: Api, gateway: Gateway,
        phone_layout: str,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._clock, self._peers = db, vault, clock, peers
        self._questions, self._api, self._gateway, self._layout = questions, api, gateway, phone_layout

    def promises(self) -> dict[str, outbox.Handler]:
        return {KIND: self.hand_over}

    def whom(self, name: str, birth_date: str, phone: str) -> Whom:
        return Whom.parse(name, birth_date, phone, self._layout)

    async def start(self, key: Key, ask: Ask, whom: Whom, retry: str | None) -> Started:
        """Ask over the HTTP interface. With the same Idempotency-Key once more: the same check, pushed once."""
        said = self._vault.index(f"{whom.name}\n{whom.birth_date}\n{whom.phone}", b"push_out.said")
        started = await self._api.start(key, ask, retry, pushed=said)
        await self._promise(await self._api.question(started.id), whom)
        return started

    async def family(self, name: str, birth: str, telno: str, m200: str) -> bool:
        """Ask by the Korean message family (`Gateway.push`). False for what is spelled wrong or is none of ours."""
        try:
            whom = self.whom(name, f"{birth[:4]}-{birth[4:6]}-{birth[6:]}", telno)
        except Refused:
            return False
        session = await self._gateway.to_push(m200)
        if session is None or (await self._questions.about(session)).risk == "high":
            return False
        await self._promise(session, whom)
        return True

    async def hand_over(self, payload: Mapping[str, Any]) -> None:
        """Kept promise of `start` and `family`. Asked again while the wallet provider does not answer."""
        id = str(payload["id"])
        sealed = await store.find(self._db, id, self._at())
        if sealed is None:
            return
        message = msgspec.json.decode(self._vault.open(sealed, _context(id)), type=dict[str, Any])
        try:
            await self._peers.call("wallet_provider", DOOR, message)
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                raise
            _log.error("push refused", code=refused.code.value)  # ours to mend: whoever asked hears nothing of it
        await store.drop(self._db, id)

    async def sweep(self) -> None:
        await store.sweep(self._db, self._at())

    async def _promise(self, session: Session, whom: Whom) -> None:
        now, expires = self._clock.now(), int(session.expires_at.timestamp())
        message = {
            "id": session.id, "party": session.relying_party, "purpose": session.purpose,
            "text": self._questions.link(session), "name": whom.name, "birth_date": whom.birth_date.isoformat(),
            "phone": whom.phone, "expires": expires,
        }  # fmt: skip
        sealed = self._vault.seal(msgspec.json.encode(message), _context(session.id))

        async def body(tx: Tx) -> None:
            await store.add(tx, session.id, sealed, expires)
            await outbox.promise(tx, KIND, session.id, {"id": session.id}, now)

        await self._db.write(body)

    def _at(self) -> int:
        return int(self._clock.now().timestamp())


def _context(id: str) -> bytes:
    return f"push_out.sealed|{id}".encode()
