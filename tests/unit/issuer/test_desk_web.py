"""The desk's pages, as a browser without script sees them."""

from __future__ import annotations

import re
from datetime import date
from html import unescape

import httpx
import pytest

from unit.issuer.desk_world import DeskWorld, person

HTML = re.compile(r'name="csrf" value="([^"]+)"')


def token(page: httpx.Response) -> str:
    found = HTML.search(page.text)
    assert found is not None, page.text[:400]
    return found[1]


async def signed_in(world: DeskWorld, language: str = "en", officer: str = "officer-kim") -> httpx.AsyncClient:
    browser = world.browser(language)
    page = await browser.get("/desk/sign-in")
    assert page.status_code == 200, page.text
    answer = await browser.post("/desk/sign-in/demo", data={"csrf": token(page), "officer": officer})
    assert answer.headers["location"] == "/desk/", answer.text
    return browser


async def search(browser: httpx.AsyncClient, **sent: str) -> httpx.Response:
    page = await browser.get("/desk/search")
    known = {"reason": "application", "name": "한지수", "birth_date": "2001-03-09"}
    return await browser.post("/desk/search", data={"csrf": token(page)} | known | sent)


async def act(browser: httpx.AsyncClient, case: str, name: str, **sent: str) -> httpx.Response:
    page = await browser.get(case)
    return await browser.post(f"{case}/{name}", data={"csrf": token(page)} | sent)


async def new_case(browser: httpx.AsyncClient) -> str:
    found = await search(browser)
    look = re.search(r'href="/desk/people/([^"]+)"', found.text)
    assert look is not None, found.text
    record = await browser.get("/desk/people/" + look[1])
    assert record.status_code == 200, record.text
    opened = await browser.post(
        "/desk/cases", data={"csrf": token(record), "look": look[1], "task": "issue", "kind": "resident_card"}
    )
    return opened.headers["location"]


async def test_a_page_that_says_it_has_seen_a_number_of_five_thousand_digits_is_shown_the_news(
    desk_world: DeskWorld,
) -> None:
    """int() refuses so many, and that was an accident of ours."""
    browser = await signed_in(desk_world)
    case = await new_case(browser)
    live = await browser.get(f"{case}/live?stage=open&seen={'9' * 5000}", headers={"hx-request": "true"})
    assert live.status_code == 200


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_the_whole_counter_story_without_script(desk_world: DeskWorld, language: str) -> None:
    browser = await signed_in(desk_world, language)
    case = await new_case(browser)
    page = await browser.get(case)
    assert 'data-stage="open"' in page.text
    await act(browser, case, "card", number="yes", photo="yes", undamaged="yes")
    await act(browser, case, "face", same="yes")
    page = await browser.get(case)
    assert 'id="file-application"' in page.text
    await act(browser, case, "file")
    assert 'id="open-offer"' in (await browser.get(case)).text
    await act(browser, case, "offer")
    page = await browser.get(case)
    assert 'data-stage="shown"' in page.text
    assert "data-countdown" in page.text
    uri = re.search(r'id="offer-uri" value="([^"]+)"', page.text)
    assert uri is not None
    assert unescape(uri[1]).startswith("openid-credential-offer://?credential_offer_uri=")
    id = case.rsplit("/", 1)[-1]
    desk_world.issuer.happen(id, "scanned")
    live = await browser.get(f"{case}/live?stage=shown", headers={"hx-request": "true"})
    assert live.headers["hx-refresh"] == "true"
    live = await browser.get(f"{case}/live?stage=scanned", headers={"hx-request": "true"})
    assert "hx-refresh" not in live.headers
    assert 'data-event="scanned"' in live.text
    same = await browser.get(f"{case}/live?stage=scanned&seen=2", headers={"hx-request": "true"})
    assert same.status_code == 204
    desk_world.issuer.happen(id, "refused_other_wallet")
    live = await browser.get(f"{case}/live?stage=scanned&seen=2", headers={"hx-request": "true"})
    assert live.headers["hx-refresh"] == "true"
    page = await browser.get(case)
    assert 'data-stage="shown"' in page.text  # the QR is still good for the right phone
    assert 'data-event="refused_other_wallet" class="bad"' in page.text
    desk_world.issuer.happen(id, "issued")
    page = await browser.get(case)
    assert 'data-stage="issued"' in page.text
    assert "live?stage=issued" in page.text  # the screen still waits for the phone's word
    desk_world.issuer.happen(id, "accepted")
    page = await browser.get(case)
    assert 'data-stage="arrived"' in page.text
    assert "live?stage" not in page.text
    assert "한지수" in (await browser.get("/desk/?show=closed")).text
    assert 'id="cases"' not in (await browser.get("/desk/?show=open&mine=yes")).text


async def test_a_qr_that_ran_out_is_taken_off_the_screen(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    case = await new_case(browser)
    await act(browser, case, "card", number="yes", photo="yes", undamaged="yes")
    await act(browser, case, "face", same="yes")
    await act(browser, case, "file")
    await act(browser, case, "offer")
    desk_world.clock.advance(seconds=180)
    page = await browser.get(case)
    assert 'data-stage="over"' in page.text
    assert "data-qr" not in page.text
    await act(browser, case, "offer")
    page = await browser.get(case)
    assert 'data-stage="shown"' in page.text


async def test_refused_eligibility_is_said_in_words(desk_world: DeskWorld) -> None:
    desk_world.register.people["p-jisoo"] = person(birth_date=date(2008, 3, 4), card=None)
    browser = await signed_in(desk_world)
    found = await search(browser, birth_date="2008-03-04")
    look = re.search(r'href="/desk/people/([^"]+)"', found.text)
    assert look is not None
    record = await browser.get("/desk/people/" + look[1])
    assert "Applications are taken from the day of the 17th birthday." in record.text
    assert "There is no valid physical card." in record.text


async def test_strangers_are_sent_to_sign_in(desk_world: DeskWorld) -> None:
    browser = desk_world.browser()
    for path in ("/desk/", "/desk/search", "/desk/passkeys", "/desk/cases/x", "/desk/people/x", "/desk/cases/x/move"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/desk/sign-in")
    live = await browser.get("/desk/cases/x/live", headers={"hx-request": "true"})
    assert (live.status_code, live.headers["hx-redirect"]) == (401, "/desk/sign-in")
    for path in ("/desk/search", "/desk/cases", "/desk/cases/x/file", "/desk/sign-out", "/desk/passkeys/end"):
        assert (await browser.post(path, data={"csrf": "x"})).status_code == 401


async def test_a_post_without_the_sessions_token_is_refused(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    case = await new_case(browser)
    assert (await browser.post(case + "/withdraw", data={"csrf": "x"})).status_code == 403
    other = await signed_in(desk_world)
    foreign = token(await other.get("/desk/search"))
    assert (await browser.post(case + "/withdraw", data={"csrf": foreign})).status_code == 403


async def test_another_offices_case_is_refused_in_words(desk_world: DeskWorld) -> None:
    case = await new_case(await signed_in(desk_world))
    stranger = await signed_in(desk_world, officer="officer-park")
    page = await stranger.get(case)
    assert page.status_code == 403
    assert "한지수" not in page.text
    assert (await act(stranger, "/desk/search", "../cases/x/file")).status_code in (403, 404, 405)


async def test_a_search_keeps_the_number_out_of_page_and_address(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    found = await search(browser, resident_number="010309-4123456", name="", birth_date="")
    assert found.status_code == 200
    assert "한지수" in found.text
    assert "4123456" not in found.text
    wrong = await search(browser, resident_number="0103", name="", birth_date="")
    assert wrong.status_code == 400
    assert 'value="0103"' not in wrong.text


@pytest.mark.parametrize(
    "sent", [{"reason": "curiosity"}, {"name": " "}, {"birth_date": "2001-3-9"}, {"birth_date": ""}]
)
async def test_a_search_without_reason_or_whole_terms_is_refused(desk_world: DeskWorld, sent: dict[str, str]) -> None:
    browser = await signed_in(desk_world)
    page = await search(browser, **sent)
    assert page.status_code == 400
    assert "data-person" not in page.text


async def test_every_question_needs_its_answer(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    case = await new_case(browser)
    assert (await act(browser, case, "card", number="yes", photo="yes")).status_code == 400
    assert (await act(browser, case, "face", same="perhaps")).status_code == 400


async def test_the_move_asks_twice(desk_world: DeskWorld) -> None:
    desk_world.phones.give("p-jisoo", "phone-1", waiting=("phone-2",))
    browser = await signed_in(desk_world)
    case = await new_case(browser)
    await act(browser, case, "face", same="yes")
    page = await browser.get(case + "/move?device=phone-2")
    assert 'name="asked"' in page.text
    assert 'name="ends"' in page.text
    sent = {"csrf": token(page), "device": "phone-2", "old": "phone-1", "asked": "yes"}
    assert (await browser.post(case + "/move", data=sent)).status_code == 409
    assert (await browser.post(case + "/move", data=sent | {"ends": "yes"})).status_code == 303
    assert ("move", {"person": "p-jisoo", "device_id": "phone-2", "old": "phone-1", "actor": "officer-kim"}) in (
        desk_world.phones.calls
    )


async def test_the_demo_door_knows_its_officers_only(desk_world: DeskWorld) -> None:
    browser = desk_world.browser()
    page = await browser.get("/desk/sign-in")
    answer = await browser.post("/desk/sign-in/demo", data={"csrf": token(page), "officer": "nobody"})
    assert answer.status_code == 403


async def test_sign_out_ends_the_session_on_the_server(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    kept = dict(browser.cookies)
    page = await browser.get("/desk/")
    await browser.post("/desk/sign-out", data={"csrf": token(page)})
    browser.cookies.update(kept)
    assert (await browser.get("/desk/")).headers["location"] == "/desk/sign-in"


async def test_the_passkeys_page_shows_mine_and_keeps_the_last(desk_world: DeskWorld) -> None:
    browser = await signed_in(desk_world)
    page = await browser.get("/desk/passkeys")
    assert 'data-passkey="create"' in page.text
    [mine] = await desk_world.officers.passkeys("officer-kim")
    sent = {"csrf": token(page), "passkey": mine.credential_id}
    assert (await browser.post("/desk/passkeys/end", data=sent)).status_code == 409


async def test_a_stranger_cannot_fill_the_table_of_challenges(desk_world: DeskWorld) -> None:
    """Every sign-in page keeps a challenge for minutes; one address gets a page a second."""
    browser = desk_world.browser()
    answers = [(await browser.get("/desk/sign-in")).status_code for _ in range(70)]
    assert answers == [200] * 60 + [429] * 10
