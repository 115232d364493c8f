"""The simulated post: one parcel a reference, days by the clock, lost and returned when told so."""

from __future__ import annotations

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.cards.partners import Parcel, Transit

from .conftest import Outskirts

# Races are run on both engines with the payments; here it is about the post.
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


def letter(reference: str = "card M12345678", *, personal: bool = True) -> Parcel:
    return Parcel(reference, "홍길동", "세종특별자치시 도움6로 11", personal, (2, 4))


async def state(outskirts: Outskirts, number: str) -> Transit:
    tracked = await outskirts.post.track(number)
    assert tracked is not None
    return tracked.state


async def test_a_letter_is_delivered_within_its_days(outskirts: Outskirts) -> None:
    number = await outskirts.post.send(letter())
    assert await state(outskirts, number) is Transit.ACCEPTED
    outskirts.clock.advance(days=1)
    assert await state(outskirts, number) is Transit.ON_THE_WAY
    outskirts.clock.advance(days=3)
    tracked = await outskirts.post.track(number)
    assert tracked is not None and tracked.state is Transit.DELIVERED and tracked.at <= outskirts.clock.now()


async def test_one_reference_is_one_parcel(outskirts: Outskirts) -> None:
    number = await outskirts.post.send(letter())
    await outskirts.tell("post", "lost_answer")
    with pytest.raises(Refused, match="unavailable"):
        await outskirts.post.send(letter("another"))
    assert await outskirts.post.send(letter()) == number != await outskirts.post.send(letter("another"))
    with pytest.raises(Refused) as refused:
        await outskirts.post.send(letter(personal=False))
    assert refused.value.code is Code.CONFLICT


async def test_a_letter_comes_back_when_nobody_is_there(outskirts: Outskirts) -> None:
    await outskirts.tell("post", "return")
    number = await outskirts.post.send(letter())
    outskirts.clock.advance(days=5)
    assert await state(outskirts, number) is Transit.ON_THE_WAY
    outskirts.clock.advance(days=7)
    assert await state(outskirts, number) is Transit.RETURNED


async def test_a_lost_parcel_stays_on_its_way(outskirts: Outskirts) -> None:
    await outskirts.tell("post", "lose")
    number = await outskirts.post.send(letter())
    outskirts.clock.advance(days=365)
    assert await state(outskirts, number) is Transit.ON_THE_WAY


async def test_the_post_knows_no_other_number(outskirts: Outskirts) -> None:
    assert await outskirts.post.track("1234567890123") is None
    assert await outskirts.post.track("../../payment/payments") is None


async def test_the_tracking_page_says_where_the_parcel_is(outskirts: Outskirts) -> None:
    number = await outskirts.post.send(letter())
    outskirts.clock.advance(days=4)
    for language, words in (("en", "simulator"), ("ko", "시뮬레이터")):
        page = await outskirts.browser(language).get(f"/post/track/{number}")
        assert page.status == 200 and words in page.text
        assert page["parcel"].attributes["data-state"] == "delivered"
    again = outskirts.killed()
    assert await state(again, number) is Transit.DELIVERED
    await again.http.aclose()
