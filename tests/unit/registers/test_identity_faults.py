"""Each write of an identity check fails, or fails but was kept; the person can always finish, and nothing is double."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.db import Body, Db, T
from mapae.registers.identity import Ask, Confirmed, IdentityCheck

from .conftest import Office


class PowerCut(Exception):
    pass


class FailingDb(Db):
    """Fails the nth write: before it is done, or just after it was kept."""

    engine = "failing"

    def __init__(self, real: Db) -> None:
        self._real, self._left, self._kept = real, -1, False

    def fail(self, nth: int, *, kept: bool) -> None:
        self._left, self._kept = nth, kept

    async def write(self, body: Body[T]) -> T:
        self._left -= 1
        if self._left == -1 and not self._kept:
            raise PowerCut
        result = await self._real.write(body)
        if self._left == -1:
            raise PowerCut
        return result

    async def all(self, sql: str, *args: Any) -> Any:
        return await self._real.all(sql, *args)

    async def one(self, sql: str, *args: Any) -> Any:
        return await self._real.one(sql, *args)

    async def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("kept", [False, True], ids=["failed", "failed-but-kept"])
@pytest.mark.parametrize("nth", [0, 1, 2], ids=["knocks", "check", "try"])
async def test_a_power_cut_costs_a_new_code_at_most(office: Office, nth: int, kept: bool) -> None:
    failing = FailingDb(office.db)
    given = vars(office.identity)
    identity = IdentityCheck(
        failing, office.vault, office.clock, given["_dice"], scheme=office.country.number,
        rules=office.country.identity, signer=office.signer, carrier=given["_carrier"],
    )  # fmt: skip
    jisoo = office.named["jisoo"].resident
    ask = Ask(jisoo.name, jisoo.number.written, jisoo.phones[0], "issuer")

    async def finish() -> Confirmed:
        started = await identity.start(ask, "192.0.2.1")
        office.clock.advance(seconds=1)
        return await identity.confirm(started.check_id, await office.code_for(jisoo.phones[0]))

    failing.fail(nth, kept=kept)
    with pytest.raises(PowerCut):
        await finish()
    office.clock.advance(seconds=1)
    assert (await finish()).person_name == jisoo.name
    states = [row["state"] for row in await office.db.all("SELECT state FROM identity_check")]
    assert "waiting" not in states
    assert states.count("used") == (2 if nth == 2 and kept else 1)
