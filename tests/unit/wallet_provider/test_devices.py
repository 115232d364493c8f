"""One phone a person, whatever happens at the same second."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

import pytest

from mapae.audit import events_about, first_broken_link
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.wallet_provider.devices import REGISTRATIONS_PER_DAY, REQUESTS_PER_WINDOW
from mapae.wallet_provider.store import DeviceState, ended_after

WAITING, ACTIVE, SUSPENDED, ENDED = DeviceState


async def states(house: Any) -> list[str]:
    return sorted(row["state"] for row in await house.db.all("SELECT state FROM device"))


async def test_the_first_phone_is_active_and_the_second_waits(house: Any) -> None:
    first = await house.register(house.phone(), "person-1")
    second = await house.register(house.phone(), "person-1")
    other = await house.register(house.phone(), "person-2")
    assert (first.state, second.state, other.state) == (ACTIVE, WAITING, ACTIVE)
    assert second.reason == "other_phone"
    binding = await house.provider.active("person-1")
    assert binding.live == first
    assert binding.waiting == (second,)


async def test_two_registrations_at_the_same_second_bind_one(house: Any) -> None:
    devices = await asyncio.gather(*(house.register(house.phone(), "person-1") for _ in range(8)))
    assert sorted(device.state for device in devices) == [ACTIVE] + [WAITING] * 7
    assert await states(house) == ["active"] + ["waiting"] * 7
    assert await first_broken_link(house.db) is None


async def test_the_database_itself_refuses_a_second_live_phone(house: Any) -> None:
    """Whoever writes past our code meets the index."""
    from mapae.db import Duplicate

    first = await house.register(house.phone(), "person-1")
    second = await house.register(house.phone(), "person-1")
    await house.provider.suspend("person-1", "lost", "issuer")
    for state in ("active", "suspended"):
        with pytest.raises(Duplicate):
            await house.db.run("UPDATE device SET state = $1 WHERE device_id = $2", state, second.device_id)
    assert (await house.provider.active("person-1")).live.device_id == first.device_id


async def test_a_lost_answer_is_asked_for_again(house: Any) -> None:
    phone = house.phone()
    assertion = house.registers.assertion("person-1")
    first = await house.provider.register(assertion, phone.proof(assertion))
    again = await house.provider.register(assertion, phone.proof(assertion))
    assert again == first
    assert await states(house) == ["active"]


async def test_an_assertion_serves_one_phone(house: Any) -> None:
    assertion = house.registers.assertion("person-1")
    await house.provider.register(assertion, house.phone().proof(assertion))
    with pytest.raises(Refused) as refused:
        await house.provider.register(assertion, house.phone().proof(assertion))
    assert refused.value.code is Code.CODE_SPENT
    assert await states(house) == ["active"]


async def test_one_phone_racing_itself_registers_once(house: Any) -> None:
    phone = house.phone()
    devices = await asyncio.gather(*(house.register(phone, "person-1") for _ in range(4)))
    assert len({device.device_id for device in devices}) == 1
    assert await states(house) == ["active"]


async def test_a_phone_does_not_change_hands(house: Any) -> None:
    phone = house.phone()
    await house.register(phone, "person-1")
    with pytest.raises(Refused) as refused:
        await house.register(phone, "person-2")
    assert refused.value.code is Code.CONFLICT


@pytest.mark.parametrize(
    ("changes", "code", "step"),
    [
        ({"aud": "issuer"}, Code.WRONG_AUDIENCE, "audience"),
        ({"iss": "somebody"}, Code.WRONG_AUDIENCE, "audience"),
        ({"exp": 1}, Code.CODE_EXPIRED, "time"),
        ({"iat": 4102444800}, Code.NOT_YET_VALID, "time"),
        ({"exp": None}, Code.MALFORMED, "time"),
        ({"jti": None}, Code.MALFORMED, None),
        ({"sub": ["person-1"]}, Code.MALFORMED, None),
    ],
)
async def test_a_wrong_assertion_names_its_step(house: Any, changes: dict[str, Any], code: Code, step: str) -> None:
    with pytest.raises(Refused) as refused:
        await house.register(house.phone(), "person-1", **changes)
    assert (refused.value.code, refused.value.step) == (code, step)
    assert await states(house) == []


async def test_an_assertion_of_another_signer_is_refused(house: Any) -> None:
    from mapae.keys import Signer

    house.registers.signer = Signer.ephemeral()  # and the provider asks for its key
    house.registers.key = lambda kid: None
    phone = house.phone()
    assertion = house.registers.assertion("person-1")
    house.registers.signer = Signer.ephemeral()
    with pytest.raises(Refused) as refused:
        await house.provider.register(assertion, phone.proof(assertion))
    assert (refused.value.code, refused.value.step) == (Code.BAD_SIGNATURE, "seal")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "http://localhost:8080/issuer"}, Code.WRONG_AUDIENCE),
        ({"ath": "AAAA"}, Code.INVALID_PROOF),
        ({"iat": 1}, Code.EXPIRED),
        ({"jti": ""}, Code.MALFORMED),
    ],
)
async def test_a_wrong_device_proof_binds_nothing(house: Any, changes: dict[str, Any], code: Code) -> None:
    phone = house.phone()
    assertion = house.registers.assertion("person-1")
    with pytest.raises(Refused) as refused:
        await house.provider.register(assertion, phone.proof(assertion, **changes))
    assert refused.value.code is code
    assert await states(house) == []


async def test_a_person_cannot_register_phones_all_day(house: Any) -> None:
    for _ in range(REGISTRATIONS_PER_DAY):
        await house.register(house.phone(), "person-1")
    with pytest.raises(Refused) as refused:
        await house.register(house.phone(), "person-1")
    assert refused.value.code is Code.TOO_OFTEN
    house.clock.advance(days=1, seconds=1)
    assert (await house.register(house.phone(), "person-1")).state is WAITING


async def test_phones_registered_while_the_clock_was_ahead_do_not_count_for_today(house: Any) -> None:
    house.clock.advance(days=365)
    for _ in range(REGISTRATIONS_PER_DAY):
        await house.register(house.phone(), "person-1")
    house.clock.advance(days=-365)
    assert (await house.register(house.phone(), "person-1")).state is WAITING


async def test_suspend_and_release_are_idempotent_and_leave_a_trail(house: Any) -> None:
    device = await house.register(house.phone(), "person-1")
    house.clock.advance(minutes=5)
    first = await house.provider.suspend("person-1", "lost", "officer-7")
    house.clock.advance(minutes=5)
    again = await house.provider.suspend("person-1", "lost", "officer-7")
    assert (first.state, first.reason, first.since) == (SUSPENDED, "lost", again.since)
    for _ in range(2):
        assert (await house.provider.release("person-1", "officer-7")).state is ACTIVE
    actions = [entry.event.action for entry in await events_about(house.db, device.device_id)]
    assert actions == ["registered", "suspended", "released"]
    assert await first_broken_link(house.db) is None


async def test_a_lost_phone_stays_lost_whatever_is_reported_next(house: Any) -> None:
    await house.register(house.phone(), "person-1")
    await house.provider.suspend("person-1", "carrier", "issuer")
    assert (await house.provider.suspend("person-1", "lost", "issuer")).reason == "lost"
    assert (await house.provider.suspend("person-1", "carrier", "issuer")).reason == "lost"


async def test_what_stops_everything_ends_the_phones_that_wait_as_well(house: Any) -> None:
    """Somebody may be moving to one of them at this very moment, and then finds none."""
    live, waits = [await house.register(house.phone(), "person-1") for _ in range(2)]
    other = await house.register(house.phone(), "person-2")
    for _ in range(2):
        assert (await house.provider.suspend("person-1", "lost", "citizen", waiting=True)).device_id == live.device_id
    with pytest.raises(Refused) as refused:
        await house.provider.move("person-1", waits.device_id, "tap", live.device_id)
    assert refused.value.code is Code.NOT_FOUND
    actions = [entry.event.action for entry in await events_about(house.db, waits.device_id)]
    assert actions == ["registered", "ended"]
    assert (await house.provider.active("person-2")).live.device_id == other.device_id


async def test_a_suspended_phone_still_holds_the_place(house: Any) -> None:
    """A finder who can answer an SMS cannot bind another phone behind the report of loss."""
    await house.register(house.phone(), "person-1")
    await house.provider.suspend("person-1", "lost", "issuer")
    assert (await house.register(house.phone(), "person-1")).state is WAITING


async def test_suspending_nobody_is_nothing_and_releasing_nobody_is_refused(house: Any) -> None:
    assert await house.provider.suspend("person-9", "lost", "issuer") is None
    with pytest.raises(Refused) as refused:
        await house.provider.release("person-9", "issuer")
    assert refused.value.code is Code.NOT_FOUND


async def test_moving_ends_the_old_phone_and_wakes_the_new_one(house: Any) -> None:
    old = await house.register(house.phone(), "person-1")
    new = await house.register(house.phone(), "person-1")
    moved = await house.provider.move("person-1", new.device_id, "officer-7", old.device_id)
    assert (moved.device_id, moved.ended) == (new.device_id, old.device_id)
    assert await states(house) == ["active", "ended"]
    assert (await house.provider.move("person-1", new.device_id, "officer-7", old.device_id)).ended is None
    assert [device.device_id for _, device in await house.provider.ended(0)] == [old.device_id]


async def test_an_end_told_while_the_clock_was_ahead_hides_none_after_it(house: Any) -> None:
    """Whatever the way it ended, an end has the next number."""
    phones = [house.phone() for _ in range(4)]
    first, second, third = [await house.register(phone, f"person-{n}") for n, phone in enumerate(phones[:3])]
    waiting = await house.register(phones[3], "person-2")
    house.clock.advance(days=365)
    await house.provider.end("person-0", "deceased", "issuer")
    house.clock.advance(days=-365)
    await house.provider.give_up(phones[1].request("POST", "/wallet-provider/devices/me/end", b"{}"))
    await house.provider.suspend("person-2", "lost", "issuer", waiting=True)
    later = await house.register(house.phone(), "person-2")
    await house.provider.move("person-2", later.device_id, "officer-7", third.device_id)

    ended = [first, second, waiting, third]
    found = await house.provider.ended(0)
    assert [(number, device.device_id) for number, device in found] == [
        (number, device.device_id) for number, device in enumerate(ended, 1)
    ]
    assert await house.provider.ended(1) == found[1:]
    assert await house.provider.ended(1, 2) == found[1:3]


async def test_an_end_that_a_process_of_before_wrote_gets_its_number(house: Any) -> None:
    """One of two processes still runs what knew no numbers: nobody would hear of that end."""
    old, new = [await house.register(house.phone(), f"person-{n}") for n in range(2)]
    await house.db.run("UPDATE device SET state = 'ended' WHERE device_id = $1", old.device_id)
    await house.provider.end("person-1", "deceased", "issuer")
    assert [device.device_id for _, device in await house.provider.ended(0)] == [new.device_id]
    await house.provider.prune()
    assert [device.device_id for _, device in await house.provider.ended(1)] == [old.device_id]


async def test_phones_that_end_at_the_same_second_are_numbered_one_by_one(house: Any) -> None:
    for n in range(12):
        await house.register(house.phone(), f"person-{n // 2}")
    await asyncio.gather(
        *(house.provider.end(f"person-{n}", "deceased", "issuer") for n in range(3)),
        *(house.provider.suspend(f"person-{n}", "lost", "issuer", waiting=True) for n in range(3, 6)),
    )
    assert [number for number, _ in await house.provider.ended(0)] == list(range(1, 10))
    assert await first_broken_link(house.db) is None


async def test_phones_that_ended_before_ends_were_numbered_are_numbered_by_their_time(db: Db) -> None:
    """A provider that ran before: its issuer asks for all of them once."""
    root = resources.files("mapae") / "migrations" / "wallet_provider"
    for name in ("0001_devices.sql", "0003_ended_seq.sql"):
        for statement in (root / name).read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                await db.run(statement)
        for n, state in enumerate(("ended", "active", "ended", "ended") if name < "0003" else ()):
            await db.run(
                "INSERT INTO device (device_id, person, jkt, platform, state, reason, since, registered)"
                " VALUES ($1, $1, $1, 'web', $2, '', $3, 0)",
                f"d{n}", state, 9 - n,
            )  # fmt: skip
    assert [(number, device.device_id) for number, device in await ended_after(db, 0, 9)] == [
        (1, "d3"), (2, "d2"), (3, "d0"),
    ]  # fmt: skip


async def test_two_desks_move_at_the_same_second(house: Any) -> None:
    old = await house.register(house.phone(), "person-1")
    new = [await house.register(house.phone(), "person-1") for _ in range(2)]
    outcomes = await asyncio.gather(
        *(house.provider.move("person-1", device.device_id, "officer-7", old.device_id) for device in new),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert [refusal.code for refusal in refused] == [Code.CONFLICT]
    assert await states(house) == ["active", "ended", "waiting"]
    assert await first_broken_link(house.db) is None


async def test_a_move_names_what_it_cannot_do(house: Any) -> None:
    old = await house.register(house.phone(), "person-1")
    stranger = await house.register(house.phone(), "person-2")
    new = await house.register(house.phone(), "person-1")
    for person, target, seen, code in (
        ("person-1", stranger.device_id, None, Code.NOT_FOUND),
        ("person-1", "nothing", None, Code.NOT_FOUND),
        ("person-1", new.device_id, "another", Code.CONFLICT),
    ):
        with pytest.raises(Refused) as refused:
            await house.provider.move(person, target, "officer-7", seen)
        assert refused.value.code is code
    await house.provider.suspend("person-1", "lost", "issuer")
    with pytest.raises(Refused) as refused:
        await house.provider.move("person-1", old.device_id, "officer-7")
    assert refused.value.code is Code.DEVICE_SUSPENDED
    assert (await house.provider.move("person-1", new.device_id, "officer-7")).ended == old.device_id


async def test_a_waiting_phone_takes_the_free_place_at_its_next_identity_check(house: Any) -> None:
    old, new = house.phone(), house.phone()
    await house.register(old, "person-1")
    assert (await house.register(new, "person-1")).state is WAITING
    assert (await house.provider.give_up(old.request())).state is ENDED
    assert (await house.register(new, "person-1")).state is ACTIVE
    with pytest.raises(Refused) as refused:
        await house.register(old, "person-1")
    assert refused.value.code is Code.DEVICE_ENDED


async def test_a_suspended_phone_cannot_give_itself_up(house: Any) -> None:
    phone = house.phone()
    await house.register(phone, "person-1")
    await house.provider.suspend("person-1", "lost", "issuer")
    with pytest.raises(Refused) as refused:
        await house.provider.give_up(phone.request())
    assert refused.value.code is Code.DEVICE_SUSPENDED


async def test_ending_a_person_ends_every_phone(house: Any) -> None:
    devices = [await house.register(house.phone(), "person-1") for _ in range(3)]
    assert await house.provider.end("person-1", "deceased", "issuer") == sorted(d.device_id for d in devices)
    assert await states(house) == ["ended"] * 3
    assert await house.provider.end("person-1", "deceased", "issuer") == []


@pytest.mark.parametrize("word", ["", "two words", "x" * 65, "010-1234-5678 Kim", "é"])
async def test_only_short_words_reach_the_audit_trail(house: Any, word: str) -> None:
    await house.register(house.phone(), "person-1")
    with pytest.raises(Refused) as refused:
        await house.provider.suspend("person-1", word, "issuer")
    assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    ("changes", "code", "step"),
    [
        ({"aud": "http://localhost:8080/issuer"}, Code.WRONG_AUDIENCE, "audience"),
        ({"htm": "POST"}, Code.INVALID_PROOF, "request"),
        ({"htu": "http://localhost:8080/wallet-provider/attestations"}, Code.INVALID_PROOF, "request"),
        ({"bod": "AAAA"}, Code.INVALID_PROOF, "request"),
        ({"iat": 1}, Code.EXPIRED, "time"),
        ({"iat": 4102444800}, Code.NOT_YET_VALID, "time"),
        ({"iat": "now"}, Code.MALFORMED, "time"),
        ({"jti": 7}, Code.MALFORMED, None),
        ({"jti": "a-b-c-d-\x00"}, Code.MALFORMED, None),
    ],
)
async def test_a_wrong_request_names_its_step(house: Any, changes: dict[str, Any], code: Code, step: str) -> None:
    phone = house.phone()
    await house.register(phone, "person-1")
    with pytest.raises(Refused) as refused:
        await house.provider.me(phone.request(**changes))
    assert (refused.value.code, refused.value.step) == (code, step)


async def test_a_request_counts_once_even_when_sent_twice_at_once(house: Any) -> None:
    phone = house.phone()
    await house.register(phone, "person-1")
    request = phone.request()
    outcomes = await asyncio.gather(*(house.provider.me(request) for _ in range(4)), return_exceptions=True)
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert refused == [Code.INVALID_PROOF] * 3


async def test_an_unregistered_phone_is_told_so(house: Any) -> None:
    with pytest.raises(Refused) as refused:
        await house.provider.me(house.phone().request())
    assert refused.value.code is Code.UNKNOWN_DEVICE


async def test_the_replay_table_is_bounded_and_forgets(house: Any) -> None:
    phone = house.phone()
    device = await house.register(phone, "person-1")
    keep = int(house.clock.now().timestamp()) + 300
    await house.db.write(
        lambda tx: tx.many(
            "INSERT INTO seen_request (device_id, jti, expires) VALUES ($1, $2, $3)",
            [(device.device_id, f"filler-{n}", keep) for n in range(REQUESTS_PER_WINDOW)],
        )
    )
    with pytest.raises(Refused) as refused:
        await house.provider.me(phone.request())
    assert refused.value.code is Code.TOO_OFTEN
    house.clock.advance(minutes=10)
    assert (await house.provider.me(phone.request())).state is ACTIVE
    rows = await house.db.one("SELECT count(*) AS n FROM seen_request")
    assert rows["n"] == 1


async def test_requests_while_the_clock_was_ahead_lock_no_phone_out(house: Any) -> None:
    """One of them, after which nothing would be forgotten for a year; or as many as a window takes."""
    phone = house.phone()
    device = await house.register(phone, "person-1")
    house.clock.advance(days=365)
    keep = int(house.clock.now().timestamp()) + 300
    await house.db.write(
        lambda tx: tx.many(
            "INSERT INTO seen_request (device_id, jti, expires) VALUES ($1, $2, $3)",
            [(device.device_id, f"filler-{n}", keep) for n in range(REQUESTS_PER_WINDOW - 1)],
        )
    )
    await house.provider.me(phone.request())
    house.clock.advance(days=-365)
    for _ in range(5):
        for _ in range(REQUESTS_PER_WINDOW // 3):
            assert (await house.provider.me(phone.request())).state is ACTIVE
        house.clock.advance(minutes=4)


async def test_what_can_no_longer_be_replayed_does_not_count(house: Any) -> None:
    """Also before it is forgotten."""
    phone = house.phone()
    device = await house.register(phone, "person-1")
    await house.provider.me(phone.request())  # has just cleared up
    over = int(house.clock.now().timestamp()) - 1
    await house.db.write(
        lambda tx: tx.many(
            "INSERT INTO seen_request (device_id, jti, expires) VALUES ($1, $2, $3)",
            [(device.device_id, f"filler-{n}", over) for n in range(REQUESTS_PER_WINDOW)],
        )
    )
    assert (await house.provider.me(phone.request())).state is ACTIVE
