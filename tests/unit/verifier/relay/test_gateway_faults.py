"""Each write of the gateway and of the relay failed, and failed but kept; and two at once. On both engines."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from cutting import Cut
from mapae.audit import first_broken_link
from mapae.clock import SeededDice
from mapae.db import Body, Db, T
from mapae.errors import Code, Refused
from mapae.formats.meet import TOKEN, channel_of
from mapae.formats.mip import M120, M200, Vp
from mapae.verifier.relay.gateway import LIFE, Gateway
from mapae.verifier.relay.gateway_store import State
from mapae.verifier.relay.mailboxes import Relay
from unit.verifier.asking.test_faults import Faulty
from unit.verifier.shop import Shop
from unit.verifier.world import CLAIMS, Card

TILL = {"mode": "direct", "svcCode": "old.1", "branchName": "Sejong", "deviceId": "1"}
SERVICES = {"old.1": "alcohol_tobacco"}
WHEN = pytest.mark.parametrize("when", ["before", "after"])
READER = b"r" * TOKEN


class Nth(Faulty):
    """Its nth write from now on fails."""

    def __init__(self, real: Db, write: int, when: str) -> None:
        super().__init__(real)
        self.left, self.when = write, when

    async def write(self, body: Body[T]) -> T:
        self.left -= 1
        self.fail = self.when if self.left == 0 else None
        return await super().write(body)


@pytest.fixture
def faulty(shop: Shop) -> Faulty:
    db = Faulty(shop.db)
    shop.verifier.questions._db = db
    return db


@pytest.fixture
def gateway(shop: Shop, faulty: Faulty) -> Gateway:
    dice = SeededDice("gateway")
    return Gateway(db=faulty, clock=shop.clock, dice=dice, questions=shop.verifier.questions, services=SERVICES)


async def begun(gateway: Gateway) -> str:
    return M200.parse((await gateway.scan_me("mart", TILL))["m200Base64"]).trxcode


async def vp(shop: Shop, trxcode: str) -> Vp:
    row = await shop.db.one("SELECT question, nonce FROM mip_transaction WHERE trxcode = $1", trxcode)
    assert row is not None
    return Vp(row["nonce"], (await shop.reply(row["question"]))["response"].encode(), frozenset({"pin"}))


async def state(gateway: Gateway, trxcode: str) -> tuple[str, str]:
    said = await gateway.status("mart", trxcode)
    return said["trxStsCode"], said["vpVerifyResult"]


@WHEN
async def test_a_transaction_that_was_not_begun_can_be_begun(
    shop: Shop, gateway: Gateway, faulty: Faulty, when: str
) -> None:
    faulty.fail = when
    with pytest.raises(Cut):
        await begun(gateway)
    assert await state(gateway, await begun(gateway)) == ("0001", "N")


@WHEN
async def test_a_profile_that_was_not_given_is_given_again(
    shop: Shop, gateway: Gateway, faulty: Faulty, when: str
) -> None:
    trxcode = await begun(gateway)
    faulty.fail = when
    with pytest.raises(Cut):
        await gateway.profile(trxcode)
    assert (await gateway.profile(trxcode))["trxcode"] == trxcode
    assert await state(gateway, trxcode) == ("0002", "N")


@pytest.mark.parametrize(("write", "when"), [(n, when) for n in (1, 2, 3) for when in ("before", "after")])
async def test_a_vp_whose_outcome_was_not_written(
    shop: Shop, gateway: Gateway, faulty: Faulty, write: int, when: str
) -> None:
    """The three writes of an answer: that it is being checked, the question's verdict, the transaction's end. Sent
    again it counts, or it has counted."""
    trxcode = await begun(gateway)
    await gateway.profile(trxcode)
    shown = await vp(shop, trxcode)
    real = faulty.real
    gateway._db = shop.verifier.questions._db = Nth(real, write, when)
    with pytest.raises(Cut):
        await gateway.present(trxcode, shown)
    gateway._db = shop.verifier.questions._db = real
    try:
        await gateway.present(trxcode, shown)
    except Refused as refused:
        assert refused.step == "sequence"
    assert await state(gateway, trxcode) == ("0004", "Y")
    assert await gateway.values("mart", trxcode) == {"adult_by_year": True}
    assert await first_broken_link(shop.db) is None


@WHEN
async def test_a_no_that_was_not_written_ends_at_the_latest_with_the_time(
    shop: Shop, gateway: Gateway, faulty: Faulty, when: str
) -> None:
    trxcode = await begun(gateway)
    faulty.fail = when
    with pytest.raises(Cut):
        await gateway.failed(trxcode, 20901, "cancel by user")
    shop.clock.advance(LIFE)
    await gateway.sweep()
    assert (await state(gateway, trxcode))[0] == "0005"


async def test_a_profile_that_cannot_be_made_now_can_be_made_later(shop: Shop, gateway: Gateway) -> None:
    """10105: the trust list cannot be had. Nothing is lost by it."""
    trxcode, known = await begun(gateway), list(shop.trust)
    shop.trust.clear()
    with pytest.raises(Refused) as raised:
        await gateway.profile(trxcode)
    assert raised.value.step == "profile"
    shop.trust.extend(known)
    await gateway.profile(trxcode)


async def test_a_vp_that_cannot_be_checked_now_is_not_called_bad(shop: Shop, gateway: Gateway) -> None:
    """Our trust list is away: that is no 10100, and the same VP counts when it is back."""
    trxcode, known = await begun(gateway), list(shop.trust)
    await gateway.profile(trxcode)
    shown = await vp(shop, trxcode)
    shop.trust.clear()
    with pytest.raises(Refused) as raised:
        await gateway.present(trxcode, shown)
    assert (raised.value.code, raised.value.step) == (Code.UNAVAILABLE, None)
    shop.trust.extend(known)
    await gateway.present(trxcode, shown)
    assert await state(gateway, trxcode) == ("0004", "Y")


async def test_a_vp_that_was_none_leaves_the_times_as_they_were(shop: Shop, gateway: Gateway) -> None:
    """`profileSendDt` says when the profile was sent, whatever came after it."""
    trxcode = await begun(gateway)
    await gateway.profile(trxcode)
    sent = (await gateway.status("mart", trxcode))["profileSendDt"]
    shop.clock.advance(seconds=7)
    nonce = (await gateway.status("mart", trxcode))["nonce"]
    with pytest.raises(Refused):
        await gateway.present(trxcode, Vp(nonce, b"no answer", frozenset({"pin"})))
    standing = await gateway.status("mart", trxcode)
    assert (standing["trxStsCode"], standing["profileSendDt"]) == ("0002", sent)


async def test_a_no_that_was_half_written_is_told_as_a_no(shop: Shop, gateway: Gateway) -> None:
    """Killed between the question's end and the transaction's: what happened was no timeout."""
    trxcode = await begun(gateway)
    row = await shop.db.one("SELECT question FROM mip_transaction WHERE trxcode = $1", trxcode)
    assert row is not None
    await shop.verifier.questions.cancel(f"mip-{trxcode}", row["question"])
    assert (await gateway.status("mart", trxcode))["errorCn"] == "20901 cancel by user"


async def test_a_transaction_that_has_ended_takes_nothing_more(shop: Shop, gateway: Gateway) -> None:
    """10201 for each message of a phone, and nothing changes."""
    trxcode = await begun(gateway)
    await gateway.profile(trxcode)
    shown = await vp(shop, trxcode)
    await gateway.present(trxcode, shown)
    before = await gateway.status("mart", trxcode)
    shop.clock.advance(seconds=3)
    for late in (
        gateway.profile(trxcode), gateway.image(trxcode), gateway.present(trxcode, shown),
        gateway.failed(trxcode, 20901, "cancel by user"),
    ):  # fmt: skip
        with pytest.raises(Refused) as raised:
            await late
        assert raised.value.step == "sequence"
    assert await gateway.status("mart", trxcode) == before


async def test_of_a_no_to_several_questions_nobody_is_told_which(shop: Shop, gateway: Gateway) -> None:
    """Of age by birthday, but not yet by year: to call both a no would be a false word about a person."""
    both = ("adult_by_year", "age_over_19")
    known = shop.trust[0]
    purposes = tuple(replace(one, items=both) for one in known.relying_parties[0].purposes)
    parties = tuple(replace(party, purposes=purposes) for party in known.relying_parties)
    shop.trust[:] = [replace(known, relying_parties=parties)]
    for claims, result, said in (
        ({"adult_by_year": True, "age_over_19": True}, "Y", dict.fromkeys(both, True)),
        ({"adult_by_year": False, "age_over_19": True}, "N", None),
    ):  # fmt: skip
        trxcode = await begun(gateway)
        await gateway.profile(trxcode)
        row = await shop.db.one("SELECT question, nonce FROM mip_transaction WHERE trxcode = $1", trxcode)
        assert row is not None
        shown = await shop.reply(row["question"], Card(claims={**CLAIMS, **claims}))
        await gateway.present(trxcode, Vp(row["nonce"], shown["response"].encode(), frozenset({"pin"})))
        assert await state(gateway, trxcode) == ("0004", result)
        if said is not None:
            assert await gateway.values("mart", trxcode) == said
            continue
        with pytest.raises(Refused) as raised:
            await gateway.values("mart", trxcode)
        assert raised.value.step == "sequence"


async def test_a_push_that_does_not_go_out_ends_its_transaction(shop: Shop, gateway: Gateway) -> None:
    """10306: whoever carries pushes is away."""

    async def away(name: str, birth: str, telno: str, data: str) -> bool:
        raise Refused(Code.UNAVAILABLE, "no push today")

    gateway.push = away
    with pytest.raises(Refused) as raised:
        await gateway.push_to("mart", {"mode": "direct", "svcCode": "old.1", "telno": "01012345678"})
    assert raised.value.step == "insert"
    rows = await shop.db.all("SELECT state FROM mip_transaction UNION ALL SELECT state FROM check_session")
    assert sorted(row["state"] for row in rows) == ["0005", "ended"]


async def test_two_tills_that_read_the_same_phones_code(shop: Shop, gateway: Gateway) -> None:
    trxcode = await gateway.offer()
    said = {"svcCode": "old.1", "m120Base64": M120(trxcode, gateway.proxy).encode()}
    both = await asyncio.gather(
        gateway.read_code("mart", said), gateway.read_code("rental", said), return_exceptions=True
    )
    assert [one for one in both if isinstance(one, str)] == [trxcode]
    assert [one.step for one in both if isinstance(one, Refused)] == ["sequence"]
    assert await gateway.stands(trxcode) is State.ASKED
    row = await shop.db.one("SELECT count(*) AS n FROM check_session WHERE state = 'open'")
    assert row is not None and row["n"] == 1


@pytest.mark.parametrize(("write", "when"), [(n, when) for n in (1, 2, 3) for when in ("before", "after")])
async def test_a_phones_code_whose_reading_was_cut_off(
    shop: Shop, gateway: Gateway, faulty: Faulty, write: int, when: str
) -> None:
    """The three writes of a till that reads a phone's code: that it is his, the question, and that it is this code's.
    The code counts for one till, and neither the phone nor the question waits for ever."""
    trxcode = await gateway.offer()
    said = {"svcCode": "old.1", "m120Base64": M120(trxcode, gateway.proxy).encode()}
    gateway._db = gateway._questions._db = Nth(faulty.real, write, when)
    with pytest.raises(Cut):
        await gateway.read_code("mart", said)
    gateway._db = gateway._questions._db = faulty
    if (write, when) == (1, "before"):
        assert await gateway.read_code("mart", said) == trxcode
    else:
        with pytest.raises(Refused) as raised:
            await gateway.read_code("mart", said)
        assert raised.value.step == "sequence"
    asked = (write, when) in ((1, "before"), (3, "after"))
    assert await gateway.stands(trxcode) is (State.ASKED if asked else State.OFFERED)
    shop.clock.advance(LIFE)
    await gateway.sweep()
    await shop.verifier.questions.sweep()
    assert await gateway.stands(trxcode) is State.FAILED
    assert await shop.db.all("SELECT id FROM check_session WHERE state = 'open'") == []


async def test_a_code_that_nobody_reads_is_forgotten(shop: Shop, gateway: Gateway) -> None:
    trxcode = await gateway.offer()
    shop.clock.advance(LIFE)
    await gateway.sweep()
    assert await gateway.stands(trxcode) is State.FAILED
    shop.clock.advance(minutes=11)
    await gateway.sweep()
    assert await shop.db.all("SELECT trxcode FROM mip_transaction") == []


@WHEN
async def test_a_message_whose_filling_failed(shop: Shop, faulty: Faulty, when: str) -> None:
    """Who filled it hears nothing; again, it is filled or has been: there is one message either way."""
    relay, box = Relay(faulty, shop.clock), channel_of(READER)
    await relay.open(box, READER)
    faulty.fail = when
    with pytest.raises(Cut):
        await relay.put(box, b"sealed")
    if when == "before":
        await relay.put(box, b"sealed")
    else:
        with pytest.raises(Refused):
            await relay.put(box, b"sealed")
    assert await relay.take(box, READER) == b"sealed"


@WHEN
async def test_a_message_whose_reading_failed(shop: Shop, faulty: Faulty, when: str) -> None:
    """Read and erased are one write: it is there still, or it is gone. Gone, a new code is shown."""
    relay, box = Relay(faulty, shop.clock), channel_of(READER)
    await relay.open(box, READER)
    await relay.put(box, b"sealed")
    faulty.fail = when
    with pytest.raises(Cut):
        await relay.take(box, READER)
    if when == "before":
        assert await relay.take(box, READER) == b"sealed"
    else:
        with pytest.raises(Refused):
            await relay.take(box, READER)
