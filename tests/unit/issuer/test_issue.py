"""From the QR on the counter to a batch in the wallet, and what a lock, a release and an end do to it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from issuing import MDOC, SD_JWT, Hall, Phone
from mapae.audit import first_broken_link
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats import mdoc, sd_jwt
from mapae.formats.jose import PublicKey, unb64u
from mapae.formats.status import INVALID, RENEW, SUSPENDED, VALID, StatusRef, StatusToken
from mapae.issuer.issue import ENDED_AGAIN
from mapae.issuer.order import Order
from mapae.keys import Signer
from mapae.outbox import Handler, Outbox


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def status_of(hall: Hall, credential: str) -> int:
    ref = (
        StatusRef.parse(sd_jwt.SdJwt.parse(credential).peek()["status"])
        if "~" in credential
        else mdoc.IssuerSigned.parse(unb64u(credential)).mso.status
    )
    assert ref is not None
    answer = await hall.http.get(ref.uri)
    token = StatusToken.parse(answer.text)
    token.check(PublicKey.from_jwk(hall.seals[1].signer.jwk), ref.uri, hall.clock.now())
    return token.list.read(ref.index)


def texts(answer: object) -> list[str]:
    return [one["credential"] for one in answer.json()["credentials"]]  # type: ignore[attr-defined]


async def test_a_batch_is_bound_key_by_key_and_says_what_the_register_says(hall: Hall) -> None:
    """The k-th copy belongs to the k-th attested key, in both formats, and every item is there."""
    phone = Phone(hall, "jisoo")
    assert (await phone.redeem(await phone.scan(await hall.offer()))).status_code == 200
    keys = [Signer.ephemeral() for _ in range(10)]
    document = hall.country.documents["resident_card"]
    seal = PublicKey.from_jwk(hall.seals[0].signer.jwk)

    for text, key in zip(texts(await phone.fetch(SD_JWT, keys)), keys, strict=True):
        claims = sd_jwt.SdJwt.parse(text).open(seal)
        assert sd_jwt.holder_key(claims) == PublicKey.from_jwk(key.jwk)
        assert {claim.name for claim in document.claims} <= set(claims)
        assert claims["name"] == "홍지수" and claims["age_over_19"] is True and claims["birth_date"] == "2001-03-09"
    keys = [Signer.ephemeral() for _ in range(3)]
    for text, key in zip(texts(await phone.fetch(MDOC, keys)), keys, strict=True):
        card = mdoc.IssuerSigned.parse(unb64u(text))
        assert card.mso.device_key == PublicKey.from_jwk(key.jwk)
        items = card.open(seal)["kr.mapae.resident.1"]
        assert set(items) == {claim.name for claim in document.claims}
        assert items["birth_date"] == date(2001, 3, 9)
    assert await hall.told() == ["opened", "scanned", "redeemed", "issued", "issued"]
    assert await first_broken_link(hall.db) is None


async def test_copies_of_a_batch_cannot_be_linked(hall: Hall) -> None:
    """No salt, digest, key or status index is shared, and the dates are whole days of the country."""
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    parsed = [sd_jwt.SdJwt.parse(text) for text in texts(await phone.fetch(keys=10))]
    payloads = [one.jws.claims() for one in parsed]
    for part in ("cnf", "status"):
        assert len({repr(payload[part]) for payload in payloads}) == 10
    digests = [digest for payload in payloads for digest in payload["_sd"]]
    assert len(set(digests)) == len(digests)
    assert len({disclosure for one in parsed for disclosure in one.disclosures}) == sum(
        len(one.disclosures) for one in parsed
    )
    assert {(payload["iat"], payload["exp"]) for payload in payloads} == {(payloads[0]["iat"], payloads[0]["exp"])}
    for stamp in (payloads[0]["iat"], payloads[0]["exp"]):
        local = datetime.fromtimestamp(stamp, ZoneInfo("Asia/Seoul"))
        assert (local.hour, local.minute, local.second) == (0, 0, 0)
    resident_number = hall.register.people["jisoo"].resident_number
    assert all(resident_number not in one.jws.payload.decode() for one in parsed)


async def test_the_log_in_number_is_the_persons_on_every_card_and_nobody_elses(hall: Hall) -> None:
    """The same after a new card on a new phone; another person has another one."""
    hall.register.add("minho", "박민호", date(1990, 5, 5))
    numbers = []
    for person, case in (("jisoo", "case-1"), ("minho", "case-2"), ("jisoo", "case-3")):
        phone = Phone(hall, person)
        await phone.redeem(await phone.scan(await hall.offer(person, case)))
        numbers.append(sd_jwt.SdJwt.parse(texts(await phone.fetch())[0]).peek()["login_id"])
    assert numbers[0] == numbers[2] != numbers[1]
    assert len(numbers[0]) == 32 and "jisoo" not in numbers[0]


async def test_copies_end_before_the_day_an_age_answer_changes(hall: Hall) -> None:
    """Nobody shows "under 19" on the day she is 19."""
    hall.register.add("sujin", "이수진", date(2007, 3, 9))  # 19 a week from now; adult by year since January
    phone = Phone(hall, "sujin")
    await phone.redeem(await phone.scan(await hall.offer("sujin")))
    claims = sd_jwt.SdJwt.parse(texts(await phone.fetch())[0]).peek()
    assert claims["age_over_19"] is False and claims["adult_by_year"] is True
    assert datetime.fromtimestamp(claims["exp"], ZoneInfo("Asia/Seoul")).date() == date(2026, 3, 9)


async def test_a_key_is_bound_to_once_only(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    keys = [Signer.ephemeral()]
    assert (await phone.fetch(SD_JWT, keys)).status_code == 200
    again = await phone.fetch(MDOC, keys)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_proof")


async def test_a_nonce_is_good_once(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    nonce = await phone.c_nonce()
    for expected in (200, 400):
        body = {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs([Signer.ephemeral()], nonce)}
        answer = await phone.fetch(body=body)
        assert answer.status_code == expected
    assert answer.json()["error"] == "invalid_nonce"


async def test_the_wallet_that_lost_the_answer_tries_again_and_the_lost_copies_are_invalid(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    lost, kept = texts(await phone.fetch())[0], texts(await phone.fetch())[0]
    assert await status_of(hall, lost) == INVALID
    assert await status_of(hall, kept) == VALID


async def test_a_new_batch_retires_the_old_one_when_it_is_accepted(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    first = await phone.fetch()
    await phone.tell(first.json()["notification_id"])
    denied = await phone.fetch()
    assert denied.json()["error"] == "credential_request_denied"  # this token has done its work
    assert (await phone.renew()).status_code == 200
    second = await phone.fetch()
    assert await status_of(hall, texts(first)[0]) == VALID
    for _ in range(2):  # saying it twice is fine
        assert (await phone.tell(second.json()["notification_id"])).status_code == 204
    copies = [*texts(first), *texts(second)]
    assert {await status_of(hall, copy) for copy in copies} == {VALID}  # else a list says what was one person's
    await hall.issuer.lock("jisoo", "lost", "citizen")
    assert {await status_of(hall, copy) for copy in copies} == {SUSPENDED}
    await hall.issuer.end("jisoo", "lost", "officer-1")
    assert {await status_of(hall, copy) for copy in copies} == {INVALID}


async def test_a_guardians_card_is_signed_only_while_the_ward_it_is_about_is_hers(hall: Hall) -> None:
    """The ward dies, moves to another guardian or comes of age between the application and the card, or its renewal:
    the other ward's card stays what it was, and never becomes that one's."""

    def guards(*marks: str) -> None:
        records = {f"ward:{mark}": {"name": mark, "birth_date": "2018-01-31"} for mark in marks}
        hall.register.people["jisoo"] = msgspec.structs.replace(hall.register.people["jisoo"], records=records)

    async def got(phone: Phone, about: str, case: str) -> httpx.Response:
        order = Order(case, "jisoo", "guardian_card", "office-1", "officer-1", hall.evidence(), about)
        assert (await phone.redeem(await phone.scan(await hall.issuer.open_offer(order)))).status_code == 200
        return await phone.fetch("guardian_card_sd_jwt")

    guards("onyu", "onbyeol")
    one, other = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    first, second = await got(one, "onyu", "case-a"), await got(other, "onbyeol", "case-b")
    assert (await one.tell(first.json()["notification_id"])).status_code == 204
    assert (await other.tell(second.json()["notification_id"])).status_code == 204
    guards("onbyeol")
    assert (await one.renew()).status_code == 200
    assert (await one.fetch("guardian_card_sd_jwt")).json()["error"] == "credential_request_denied"
    assert (await got(Phone(hall, "jisoo"), "onyu", "case-c")).json()["error"] == "credential_request_denied"
    again = await got(Phone(hall, "jisoo"), "onbyeol", "case-d")
    assert await status_of(hall, texts(first)[0]) == VALID, "until its copies are over"
    assert await status_of(hall, texts(second)[0]) == INVALID, "one card about one ward"
    assert await status_of(hall, texts(again)[0]) == VALID


async def test_a_parents_card_is_not_renewed_once_the_child_has_come_of_age(hall: Hall) -> None:
    """Civil Act articles 4 and 911: it acted for a child. Who is of age and has a guardian has one by a court, and
    a card of its own, applied for anew; the register names the parent of before all the same."""
    today = hall.country.today(hall.clock.now())
    birthday = today + timedelta(days=10)
    record = {"name": "지온유", "birth_date": birthday.replace(year=birthday.year - 19).isoformat()}
    known = hall.register.people["jisoo"]
    hall.register.people["jisoo"] = msgspec.structs.replace(known, records={"ward:onyu": record})
    phone = Phone(hall, "jisoo")
    order = Order("case-a", "jisoo", "guardian_card", "office-1", "officer-1", hall.evidence(), "onyu")
    assert (await phone.redeem(await phone.scan(await hall.issuer.open_offer(order)))).status_code == 200
    first = await phone.fetch("guardian_card_sd_jwt")
    assert (
        sd_jwt.SdJwt.parse(texts(first)[0]).peek()["exp"]
        <= datetime.combine(birthday, time(), ZoneInfo(hall.country.timezone)).timestamp()
    )
    assert (await phone.tell(first.json()["notification_id"])).status_code == 204
    hall.clock.advance(days=11)
    await phone.c_nonce()
    assert (await phone.renew()).status_code == 200
    assert (await phone.fetch("guardian_card_sd_jwt")).json()["error"] == "credential_request_denied"


async def test_a_notification_about_a_replaced_or_foreign_batch_is_refused(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    first = (await phone.fetch()).json()["notification_id"]
    await phone.fetch()
    for id in (first, "nothing"):
        answer = await phone.tell(id)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_notification_id")
    answer = await phone.tell(first, "credential_eaten")
    assert answer.json()["error"] == "invalid_notification_request"


async def test_the_officer_sees_the_card_arrive(hall: Hall) -> None:
    await hall.carded()
    assert await hall.told() == ["opened", "scanned", "redeemed", "issued", "accepted"]


async def test_a_failed_batch_is_invalid(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    answer = await phone.fetch()
    assert (await phone.tell(answer.json()["notification_id"], "credential_failure")).status_code == 204
    assert await status_of(hall, texts(answer)[0]) == INVALID


async def test_one_report_locks_everything_and_a_release_brings_it_back(hall: Hall) -> None:
    """All copies of both formats are suspended, the tokens are dead, the wallet provider is told; release undoes it."""
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    copies = texts(await phone.fetch(SD_JWT)) + texts(await phone.fetch(MDOC))
    assert [await status_of(hall, text) for text in copies] == [VALID] * 4

    assert await hall.issuer.lock("jisoo", "lost", "citizen") == 4

    assert [await status_of(hall, text) for text in copies] == [SUSPENDED] * 4
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["suspended"]
    assert (await phone.fetch()).json()["error"] == "invalid_token"
    assert (await phone.renew()).json()["error"] == "invalid_grant"
    promised = [row["id"] for row in await hall.db.all("SELECT id FROM outbox_item")]
    assert len(promised) == 1 and promised[0].startswith("wallet.suspend:")

    with pytest.raises(Refused) as without:
        await hall.issuer.release("jisoo", "officer-1", ())
    assert without.value.code is Code.EVIDENCE_MISSING
    assert await hall.issuer.release("jisoo", "officer-1", hall.evidence()) == 4
    assert [await status_of(hall, text) for text in copies] == [VALID] * 4
    assert (await phone.renew()).status_code == 200


async def test_a_release_that_was_not_heard_does_not_undo_the_next_lock(hall: Hall) -> None:
    """The wallet provider is away while a lock is lifted and the phone is lost again: it must end up suspended."""
    await hall.carded()
    heard: list[str] = []
    away = True

    def door(verb: str) -> Handler:
        async def handler(message: dict[str, Any]) -> None:
            if away:
                raise Refused(Code.UNAVAILABLE, "no answer")
            heard.append(verb)

        return handler

    outbox = Outbox(hall.db, hall.clock, {name: door(name) for name in hall.issuer.promises()})
    await hall.issuer.lock("jisoo", "lost", "citizen")
    await hall.issuer.release("jisoo", "officer-1", hall.evidence())
    for _ in range(3):
        await outbox.run_once()
        hall.clock.advance(seconds=5)
    await hall.issuer.lock("jisoo", "lost", "citizen")
    away = False
    for _ in range(3):
        await outbox.run_once()
        hall.clock.advance(minutes=10)
    assert heard == ["wallet.suspend"]


async def test_a_wish_to_renew_survives_a_lock(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    copy = texts(await phone.fetch())[0]
    await hall.issuer.lock("jisoo", "lost", "citizen")
    await hall.issuer.renew("jisoo", "moved", "registers")
    assert await status_of(hall, copy) == SUSPENDED
    await hall.issuer.release("jisoo", "officer-1", hall.evidence())
    assert await status_of(hall, copy) == RENEW


async def test_an_end_is_for_good(hall: Hall) -> None:
    phone = await hall.carded()
    assert await hall.issuer.end("jisoo", "deceased", "registers") == 2
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["ended"]
    assert await hall.issuer.release("jisoo", "officer-1", hall.evidence()) == 0
    assert (await phone.renew()).json()["error"] == "invalid_grant"
    for kind, handler in hall.issuer.promises().items():
        await handler({"person": "jisoo"})
        assert hall.provider.asked[-1][0] == f"/wallet-provider/peer/{kind.removeprefix('wallet.')}"


async def test_a_new_card_ends_the_one_before_where_it_begins(hall: Hall) -> None:
    old = await hall.carded()
    hall.clock.advance(minutes=1)
    new = Phone(hall, "jisoo")
    await new.redeem(await new.scan(await hall.offer(case="case-2")))
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["valid"]
    await new.fetch()
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["ended", "valid"]
    old.nonce = ""
    assert (await old.renew()).json()["error"] == "invalid_grant"


async def test_a_phone_that_ended_at_the_provider_takes_its_card_along(hall: Hall) -> None:
    await hall.carded()
    hall.provider.ended.append({"device_id": "device-jisoo", "person": "jisoo", "reason": "moved", "since": 5})
    assert await hall.issuer.follow_devices() == 2
    assert await hall.issuer.follow_devices() == 0
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["ended"]


async def test_no_end_is_missed_when_the_provider_was_put_back_to_an_earlier_day(hall: Hall) -> None:
    """Its numbers begin anew where its copy ends, below the one we had seen."""
    await hall.carded()
    hall.provider.ended = [{"device_id": f"device-{n}", "state": "ended"} for n in range(2 * ENDED_AGAIN)]
    await hall.issuer.follow_devices()
    hall.provider.ended = [{"device_id": "device-jisoo", "state": "ended"}]
    assert await hall.issuer.follow_devices() == 2
    hall.provider.asked.clear()
    assert await hall.issuer.follow_devices() == 0
    assert len(hall.provider.asked) == 1, "and we go on from there"
    hall.provider.ended = []
    assert await hall.issuer.follow_devices() == 0


async def test_a_phone_that_ended_before_it_fetched_gets_nothing(hall: Hall) -> None:
    """The code was redeemed and the keys were attested in time; the card must not be signed onto an ended phone."""
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    ended = int(hall.clock.now().timestamp())
    hall.provider.ended = [{"device_id": phone.standing["device_id"], "since": ended, "state": "ended"}]
    await hall.issuer.follow_devices()
    answer = await phone.fetch()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert await hall.issuer.holdings("jisoo") == []


@pytest.mark.parametrize("before", [timedelta(seconds=3), timedelta(minutes=5), timedelta(days=365)])
async def test_a_phone_whose_end_is_told_late_is_not_missed(hall: Hall, before: timedelta) -> None:
    """Two ends can be committed in another order than they began, and the provider's clock can have been ahead, or be
    put back between the two; the one told first must not hide the other."""
    await hall.carded()
    now = hall.clock.now()
    hall.provider.ended = [{"device_id": "device-somebody", "since": int((now + before).timestamp()), "state": "ended"}]
    await hall.issuer.follow_devices()
    hall.provider.ended.append({"device_id": "device-jisoo", "since": int(now.timestamp()), "state": "ended"})
    assert await hall.issuer.follow_devices() == 2
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["ended"]


async def test_a_wallet_let_in_just_before_its_phone_ended_gets_nothing(hall: Hall) -> None:
    """Its session is recorded just after we were told of the end: the last ends are asked for again."""
    phone = Phone(hall, "jisoo")
    scanned = await phone.scan(await hall.offer())
    hall.provider.ended = [{"device_id": phone.standing["device_id"], "state": "ended"}]
    await hall.issuer.follow_devices()
    await phone.redeem(scanned)
    await hall.issuer.follow_devices()
    answer = await phone.fetch()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


async def test_all_ends_are_followed_however_many_there_are(hall: Hall) -> None:
    """More than are given at once, and from the place where we were."""
    await hall.carded()
    hall.provider.ended = [{"device_id": f"device-{n}", "state": "ended"} for n in range(2500)]
    assert await hall.issuer.follow_devices() == 0
    hall.provider.asked.clear()
    hall.provider.ended.append({"device_id": "device-jisoo", "state": "ended"})
    assert await hall.issuer.follow_devices() == 2
    assert [message["after"] for _, message in hall.provider.asked] == [2500 - ENDED_AGAIN]


async def test_a_stranger_with_the_picture_of_a_qr_cannot_hide_the_card_that_arrives(hall: Hall) -> None:
    """However often a dead offer is looked at, the officer is told of the next one's card."""
    dead = await hall.offer()
    hall.clock.advance(minutes=4)
    for _ in range(70):
        assert (await hall.http.get(f"/issuer/offers/{dead.id}")).status_code == 410
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    await phone.tell((await phone.fetch()).json()["notification_id"])
    assert {"redeemed", "issued", "accepted"} <= set(await hall.told())


async def test_the_dead_get_no_new_copies(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    hall.register.gone["jisoo"] = date(2026, 3, 1)
    assert (await phone.fetch()).json()["error"] == "credential_request_denied"


async def test_no_offer_without_evidence_or_for_a_closed_case(hall: Hall) -> None:
    with pytest.raises(Refused) as bare:
        await hall.issuer.open_offer(Order("case-1", "jisoo", "resident_card", "office-1", "officer-1", ()))
    assert bare.value.code is Code.EVIDENCE_MISSING
    await hall.carded()
    with pytest.raises(Refused) as closed:
        await hall.offer()
    assert closed.value.code is Code.CASE_CLOSED
    with pytest.raises(Refused) as foreign:
        await hall.offer("minho")
    assert foreign.value.code is Code.CONFLICT


async def test_a_card_expires_after_its_three_years(hall: Hall) -> None:
    phone = await hall.carded()
    hall.clock.advance(timedelta(days=3 * 365 + 2))
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["expired"]
    phone.nonce = ""
    assert (await phone.renew()).json()["error"] == "invalid_grant"
