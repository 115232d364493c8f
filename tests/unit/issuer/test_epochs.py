"""Status epochs: all lists at one moment, in order, without gaps, and into the log whatever breaks on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from epoch_world import PERIOD, PREFIX, Country
from issuing import BASE
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.status import SUSPENDED, StatusToken
from mapae.issuer import epoch_store as store
from mapae.issuer.anchoring import AnchorsLog
from mapae.issuer.epochs import LATE, MOST_WAITING, WHOLE, Anchor
from mapae.issuer.epochs_web import routes
from mapae.issuer.status import LIFE
from mapae.keys import Signer
from mapae.outbox import Outbox
from mapae.trust.epoch import Delta, Epoch, applied
from mapae.trust.log import acts, statement
from mapae.ui.site import application


@pytest.fixture
def country(issuer_db: Db) -> Country:
    return Country(issuer_db)


async def test_an_epoch_is_all_lists_and_its_root_goes_into_the_log(country: Country) -> None:
    await country.hall.carded()
    assert await country.epochs.cut() == 1
    await country.outbox.run_once()
    epoch = await country.newest()
    assert {one.uri for one in epoch.lists} == set(await country.hall.issuer.lists.all())
    assert await country.statuses(epoch) == {0}
    until = int((country.hall.clock.now() + LIFE).timestamp())
    assert country.log.taken == [Anchor(epoch.stream, 1, epoch.root, epoch.leaves, until)]
    assert epoch.next_update == until and epoch.publisher == "issuer:issuer"


async def test_a_country_without_a_card_has_an_epoch_too(country: Country) -> None:
    with pytest.raises(Refused) as early:
        await country.epochs.newest()
    assert early.value.code is Code.NOT_FOUND
    await country.epochs.cut()
    assert (await country.newest()).lists == ()


async def test_epochs_follow_the_clock_and_nothing_else(country: Country) -> None:
    """One in each period, whether or not anything happened; none more because somebody was locked."""
    await country.hall.carded()
    cut = [await country.epochs.cut_when_due()]
    for _ in range(10):
        country.hall.clock.advance(minutes=1)
        await country.hall.issuer.lock("jisoo", "lost", "citizen")
        await country.hall.issuer.release("jisoo", "officer-1", country.hall.evidence())
        cut.append(await country.epochs.cut_when_due())
    assert cut == [True, *([False] * 4 + [True]) * 2]


async def test_a_clock_that_was_set_does_not_stop_the_next_epoch(country: Country) -> None:
    country.hall.clock.advance(days=400)
    assert await country.epochs.cut_when_due()
    country.hall.clock.advance(days=-400)
    assert await country.epochs.cut_when_due() and not await country.epochs.cut_when_due()
    assert (await country.newest()).seq == 2


async def test_only_lists_that_changed_are_read_and_packed(country: Country) -> None:
    await country.hall.carded(copies=1)
    await country.epochs.cut()
    before = await country.newest()
    await country.hall.issuer.lock("jisoo", "lost", "citizen")
    assert await country.epochs.cut() == 2
    rows = await country.hall.db.all("SELECT list_id FROM status_cut WHERE seq = 2")
    assert len(rows) == 1, "one copy stands in one list"
    after = await country.newest()
    assert await country.statuses(after) == {SUSPENDED} and after.root != before.root
    changed = [new.uri for old, new in zip(before.lists, after.lists, strict=True) if old != new]
    assert changed == [PREFIX + rows[0]["list_id"]]
    assert await country.epochs.cut() == 3
    assert (await country.newest()).root == after.root


async def test_what_an_epoch_says_is_what_the_lists_say(country: Country) -> None:
    """From a process that has held every list all along, and from one that just started."""
    phone = await country.hall.carded(copies=10)
    for epochs in (country.epochs, country.process(), country.epochs):
        await country.hall.issuer.lock("jisoo", "lost", "citizen")
        await country.hall.issuer.renew("jisoo", "moved", "officer-1")
        await epochs.cut()
        await country.hall.issuer.release("jisoo", "officer-1", country.hall.evidence())
        await phone.renew()
        await phone.tell((await phone.fetch(keys=3)).json()["notification_id"])
        await epochs.cut()
        epoch = Epoch.parse((await epochs.newest()).body)
        lists = {one.uri: one.list() for one in epoch.lists}
        for row in await country.hall.db.all("SELECT list_id, idx, status FROM ticket"):
            assert lists[PREFIX + row["list_id"]].read(row["idx"]) == row["status"]


async def test_a_restart_begins_at_the_newest_epoch(country: Country) -> None:
    """What was locked before it is not read again: it is in the epoch's own bits."""
    await country.hall.carded()
    await country.hall.issuer.lock("jisoo", "lost", "citizen")
    await country.epochs.cut()
    await country.hall.db.run("UPDATE ticket SET touched = 0")  # whoever read them by `touched` would miss them now
    row = (await country.hall.db.all("SELECT list_id, idx FROM ticket"))[0]
    fresh = country.process()
    await country.hall.db.run("UPDATE status_list SET version = version + 1")
    assert await fresh.cut() == 2
    assert await country.statuses(Epoch.parse((await fresh.newest()).body)) == {SUSPENDED}
    token = (await country.hall.opened(country.hall.db).lists.token(row["list_id"])).token
    assert StatusToken.parse(token).list.read(row["idx"]) == SUSPENDED


async def test_from_any_epoch_to_any_later_one(country: Country) -> None:
    await country.hall.carded(copies=10)
    held = []
    for at in range(5):
        if at % 2:
            await country.hall.issuer.release("jisoo", "officer-1", country.hall.evidence())
        else:
            await country.hall.issuer.lock("jisoo", "lost", "citizen")
        if at == 3:
            await country.hall.carded("minho", "case-2", copies=10)
        await country.epochs.cut()
        held.append(await country.newest())
    for old in range(5):
        for new in range(old + 1, 5):
            step = Delta.parse((await country.epochs.since(new + 1, old + 1)).body)
            made = applied(held[old], step)
            assert made.root == held[new].root and made.seq == new + 1
    for new, old in ((1, 1), (1, 2), (6, 1), (2, 0), (2, -1)):
        with pytest.raises(Refused) as refused:
            await country.epochs.since(new, old)
        assert refused.value.code is Code.NOT_FOUND


async def test_old_epochs_go_but_what_changed_since_is_known_longer(country: Country) -> None:
    await country.hall.carded(copies=10)
    first: Epoch | None = None
    for at in range(WHOLE + 3):
        await (country.hall.issuer.lock("jisoo", "lost", "citizen") if at % 2 == 0 else
               country.hall.issuer.release("jisoo", "officer-1", country.hall.evidence()))  # fmt: skip
        await country.epochs.cut()
        first = first or await country.newest()
    assert (await country.epochs.whole(4)).body
    with pytest.raises(Refused) as gone:
        await country.process().whole(3)
    assert gone.value.code is Code.NOT_FOUND
    assert first is not None
    newest = await country.newest()
    assert applied(first, Delta.parse((await country.epochs.since(newest.seq, 1)).body)).root == newest.root


async def test_the_newest_epoch_in_the_log_is_kept_however_old(country: Country) -> None:
    """Whoever builds a pack while the log is away takes the newest epoch it can prove."""
    await country.hall.carded()
    await country.epochs.cut()
    await country.outbox.run_once()
    country.log.away = True
    for _ in range(WHOLE + 3):
        await country.hall.issuer.renew("jisoo", "moved", "officer-1")
        await country.hall.issuer.lock("jisoo", "lost", "citizen")
        await country.hall.issuer.release("jisoo", "officer-1", country.hall.evidence())
        await country.epochs.cut()
    assert Epoch.parse((await country.process().whole(1)).body).root == country.log.taken[0].root


# --- two processes, and a log that is away ----------------------------------------------------------------------------


async def test_two_processes_never_cut_one_number_twice(country: Country) -> None:
    await country.hall.carded()
    processes = [country.process() for _ in range(4)]
    cut: list[int] = []
    for _ in range(3):
        # One that begins when another has finished cuts the next number; on a busy machine that happens.
        cut += [seq for seq in await asyncio.gather(*(one.cut() for one in processes)) if seq]
    assert sorted(cut) == list(range(1, len(cut) + 1)) and len(cut) >= 3
    await country.outbox.run_once()
    assert [anchor.seq for anchor in country.log.taken] == sorted(cut)


async def test_the_database_itself_refuses_a_second_epoch_of_one_number(country: Country) -> None:
    await country.epochs.cut()
    row = await store.newest(country.hall.db)
    assert row is not None

    async def again(tx: Tx) -> None:
        await store.add(tx, row, [])

    with pytest.raises(Duplicate):
        await country.hall.db.write(again)


async def test_while_the_log_is_away_epochs_wait_and_then_go_in_in_order(country: Country) -> None:
    await country.hall.carded()
    country.log.away = True
    for _ in range(3):
        assert await country.epochs.cut_when_due()
        await country.outbox.run_once()
        country.hall.clock.advance(PERIOD)
    assert await country.outbox.waiting() == 1, "one item does them all"
    country.log.away = False
    await country.outbox.run_once()
    assert [anchor.seq for anchor in country.log.taken] == [1, 2, 3] and await country.outbox.waiting() == 0


async def test_a_log_that_is_away_for_weeks_is_not_owed_thousands_of_epochs(country: Country) -> None:
    """And the first period after it is back has an epoch again, with all that happened meanwhile."""
    await country.hall.carded()
    country.log.away = True
    cut = 0
    for _ in range(MOST_WAITING + 20):
        cut += await country.epochs.cut_when_due()
        country.hall.clock.advance(PERIOD)
    assert cut == await country.epochs.behind() == MOST_WAITING
    await country.hall.issuer.lock("jisoo", "lost", "citizen")
    country.log.away = False
    await country.outbox.run_once()
    assert await country.epochs.cut_when_due()
    await country.outbox.run_once()
    assert [anchor.seq for anchor in country.log.taken] == list(range(1, MOST_WAITING + 2))
    assert await country.statuses(await country.newest()) == {SUSPENDED}


async def test_an_epoch_that_waited_out_its_own_time_counts_a_minute(country: Country) -> None:
    """The log takes nothing whose time is over, and no number may be missing."""
    country.log.away = True
    await country.epochs.cut()
    country.hall.clock.advance(LIFE + PERIOD)
    await country.epochs.cut()
    country.log.away = False
    await country.outbox.run_once()
    late, newest = country.log.taken
    now = country.hall.clock.now()
    assert (late.next_update, newest.next_update) == (int((now + LATE).timestamp()), int((now + LIFE).timestamp()))


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_that_was_lost_is_asked_for_again(country: Country, late: bool) -> None:
    """The log has it and we do not know: the same statement brings the same answer, also after a kill."""
    await country.epochs.cut()
    if late:
        country.hall.clock.advance(LIFE)
    country.log.forgets_to_answer = True
    with pytest.raises(Refused):
        await country.epochs.anchor()
    country.log.forgets_to_answer = False
    country.hall.clock.advance(LIFE * 2)
    assert await country.process().anchor() == 1 and len(country.log.taken) == 1


async def test_a_process_that_dies_after_the_cut_leaves_the_promise_to_the_next(country: Country) -> None:
    """Cut and promise are one transaction: the outbox of whoever comes next keeps it."""
    await country.epochs.cut()
    del country.epochs
    later = Outbox(country.hall.db, country.hall.clock, country.process().promises())
    assert await later.run_once() == 1 and [anchor.seq for anchor in country.log.taken] == [1]


async def test_a_statement_of_another_reason_is_not_given_up(country: Country) -> None:
    """We may not be admitted yet: the epoch waits as it is."""
    await country.epochs.cut()
    country.log.taken.append(Anchor(b"", 1, b"", 0, 0))
    with pytest.raises(Refused) as refused:
        await country.epochs.anchor()
    assert refused.value.code is Code.LEDGER_RULE and (await store.waiting(country.hall.db, 9))[0].seq == 1


# --- the statement, and the doors -------------------------------------------------------------------------------------


class Trust:
    """The trust role's door, as far as a statement is read there."""

    def __init__(self, voice: bytes) -> None:
        self.voice = voice
        self.acts: list[acts.Act] = []

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert (role, path, set(message)) == ("trust", "/trust/submit", {"act", "signed"})
        act = acts.parse(json.loads(json.dumps(message["act"])))
        assert statement.must_say(message["signed"], act, "mapae.test/trust/log").voice == self.voice
        self.acts.append(act)
        return {}


async def test_the_log_is_asked_by_a_statement_in_the_issuers_own_voice(country: Country) -> None:
    voice = Signer.ephemeral()
    trust = Trust(PublicKey.from_jwk(voice.jwk).thumbprint_raw)
    log = AnchorsLog(trust, country.hall.clock, "issuer:issuer", "mapae.test/trust/log", voice)
    epochs = country.process(log)
    await epochs.cut()
    await epochs.anchor()
    epoch = await country.newest()
    party = hashlib.sha256(b"issuer:issuer").digest()
    (act,) = trust.acts
    assert isinstance(act, acts.Anchor)
    said = (act.party, act.stream, act.seq, act.root, act.leaves, act.next_update)
    assert said == (party, epoch.stream, 1, epoch.root, epoch.leaves, epoch.next_update)


async def test_the_doors_send_epochs_and_what_changed(country: Country) -> None:
    app = application(routes(country.epochs), clock=country.hall.clock)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)
    assert (await http.get("/issuer/status-epoch")).status_code == 404
    await country.hall.carded()
    await country.epochs.cut()
    await country.hall.issuer.lock("jisoo", "lost", "citizen")
    first = await http.get("/issuer/status-epoch")
    again = await http.get("/issuer/status-epoch", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, first.headers["cache-control"]) == (304, "no-cache")
    await country.epochs.cut()
    newest = await http.get("/issuer/status-epoch", headers={"If-None-Match": first.headers["etag"]})
    numbered, step = await http.get("/issuer/status-epoch/2"), await http.get("/issuer/status-epoch/2/since/1")
    for answer in (first, newest, numbered, step):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "application/cbor"
    assert "immutable" in numbered.headers["cache-control"] and numbered.content == newest.content
    made = applied(Epoch.parse(first.content), Delta.parse(step.content))
    assert made == Epoch.parse(newest.content)
    for bad in ("3", "0", "01", "-1", "x", "9" * 19, "2/since/2", "2/since/0"):
        assert (await http.get(f"/issuer/status-epoch/{bad}")).status_code == 404, bad
