"""What every deed at the desk begins and ends with: whose case it is, whether it is open, and the line in its trail.

Promises: a case of another office is out of reach; a change of state is a compare-and-swap from what the officer saw,
with a step and an audit event in the same transaction. Trusts: its subclasses to decide. Keeps: steps and states in
desk_store.py's tables. Refuses: other offices' cases, closed ones, another kind of case.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from mapae.audit import Event, record
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.keys import Vault
from mapae.registers.values import DocumentNumbers, PopulationRegister

from . import desk_store as store
from .desk_store import Case, State, Step, Task
from .desk_values import Calling, Issuing, Phone
from .evidence import Purpose, to_issue
from .officers import Officer

NOBODY: Final = Officer("issuer", "", "")  # the system itself, in a case's trail


class CaseFile:
    """The cases of the offices; everything the desk's parts share."""

    def __init__(
        self,
        db: Db,
        clock: Clock,
        dice: Dice,
        vault: Vault,
        country: Country,
        register: PopulationRegister,
        peers: Calling,
        issuer: Issuing,
        documents: DocumentNumbers | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self.country = country
        self._register = register
        self._peers = peers
        self._issuer = issuer
        self._documents = documents

    def now(self) -> datetime:
        return self._clock.now()

    async def _own(self, officer: Officer, case_id: str) -> Case:
        case = await store.case(self._db, case_id)
        if case is None:
            raise Refused(Code.NOT_FOUND, "there is no such case")
        if case.office != officer.office:
            raise Refused(Code.WRONG_OFFICE, "this case belongs to another office")
        return case

    async def _open(self, officer: Officer, case_id: str, task: Task | None = None) -> Case:
        case = await self._own(officer, case_id)
        if not case.live:
            raise Refused(Code.CASE_CLOSED, "the case is closed")
        if task is not None and case.task is not task:
            raise Refused(Code.CONFLICT, "this is not that kind of case")
        return case

    async def _phone(self, person: str) -> Phone:
        return Phone.read(await self._peers.call("wallet_provider", "/wallet-provider/peer/active", {"person": person}))

    async def _change(self, officer: Officer, case: Case, seen: State, to: State, what: str) -> None:
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            await self._move(tx, case, seen, to, now)
            await store.drop_offer(tx, case.id)
            await self._step(tx, officer, case, what, now=now)

        await self._db.write(body)

    async def _move(self, tx: Tx, case: Case, seen: State, to: State, now: datetime) -> None:
        if not await store.move_case(tx, case.id, seen, to, int(now.timestamp())):
            raise Refused(Code.CONFLICT, "the case has changed: look at it again")

    async def _note(self, officer: Officer, case: Case, what: str) -> None:
        now = self._clock.now()
        await self._db.write(lambda tx: self._step(tx, officer, case, what, now=now))

    def _purpose(self, case: Case) -> Purpose:
        return to_issue(self.country.documents[case.kind]) if case.task is Task.ISSUE else Purpose.RELEASE

    async def _step(self, tx: Tx, officer: Officer, case: Case, what: str, detail: str = "", *, now: datetime) -> None:
        """A line in the case's trail and its event in the audit chain: the last statements of a transaction."""
        await store.add_step(tx, case.id, Step(int(now.timestamp()), officer.id, officer.name, what, detail))
        facts = {"case": case.id, "office": case.office, "kind": case.kind} | ({"result": detail} if detail else {})
        await record(tx, Event(case.person, "case", what, officer.id, facts), now)
