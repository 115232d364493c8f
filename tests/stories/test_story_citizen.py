"""Who looked at me: a citizen sees it on the phone, asks a hospital to erase, and tells on over-asking."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from soak import KOREAN_TOO, long
from stories.conftest import Stage
from stories.phone import Phone

pytestmark = [pytest.mark.browser, long]
REPORTERS = {"ko": "birthday19tomorrow", "en": "adultbyyear"}
PEOPLE = {"ko": "ward", "en": "photoedge"}


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_a_citizen_sees_who_looked_and_asks_to_erase(stage: Stage, language: str) -> None:
    who, album = stage.country.resident(PEOPLE[language]), stage.album(language)
    phone, desk = stage.phone(language), stage.desk(language)
    phone.enrol(who)
    phone.obtain(desk.offer_for(who))
    till = stage.till(language, "hospital")
    phone.paste(till.ask("hospital_reception"))
    phone.tap("allow")
    phone.press("274918")
    expect(phone.sees("result")).to_have_attribute("data-outcome", "sent")
    phone.tap("done")

    phone.tap("tab-history")
    expect(phone["record"]).to_have_count(1)
    expect(phone["look"].first).to_be_visible()
    assert {"looked_at", "case_opened", "card_offered"} <= {
        one.get_attribute("data-act") for one in phone["look"].all()
    }
    album.look(phone.page, "wallet-looks")
    phone.tap("filter-offices")
    expect(phone["record"]).to_have_count(0)
    phone.context.set_offline(True)  # kept: also without a network, after a new start of the screen
    phone.tap("tab-settings")
    phone.tap("tab-history")
    expect(phone["look"].first).to_be_visible()
    expect(phone["looks-silent"]).to_be_visible()
    phone.context.set_offline(False)
    phone.tap("filter-shown")
    expect(phone["look"]).to_have_count(0)
    phone["record"].tap()
    album.look(phone.page, "wallet-rights")
    _ask_to_erase(phone, album)

    till.page.goto("/checker/requests")
    number = phone["request-number"].inner_text()
    line = till.page.locator(f'[data-number="{number}"]')
    expect(line).to_have_attribute("data-state", "received")
    album.look(till.page, "checker-requests", "phone", "desktop")
    line.locator('input[value="law_keeps"]').check()
    line.locator("textarea").fill("의료법 시행규칙 제15조 <img src=x>")
    line.locator("button").click()
    expect(line).to_have_attribute("data-state", "refused")
    phone.tap("follow")
    expect(phone["request"]).to_have_attribute("data-state", "refused")
    expect(phone["request-reply"]).to_have_text("의료법 시행규칙 제15조 <img src=x>")  # text, and never markup
    expect(phone["complaint"]).to_be_visible()
    album.look(phone.page, "wallet-answered")


def _ask_to_erase(phone: Phone, album: Any) -> None:
    phone.tap("erasure")
    words = phone.sees("words")
    sent: list[dict[str, Any]] = []

    def watch(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or "{}"))
        route.continue_()

    phone.page.route(re.compile("/privacy/"), lambda route: watch(route) if route.request.method == "POST"
                     else route.continue_())  # fmt: skip
    album.look(phone.page, "wallet-erasure")
    words.fill("")
    phone.tap("send")
    expect(words).to_have_attribute("aria-invalid", "true")
    assert sent == []
    words.fill("My words.\n감사합니다")
    phone.tap("send")
    expect(phone.sees("request")).to_have_attribute("data-state", "received")
    assert [one["words"] for one in sent] == ["My words.\n감사합니다"]
    assert set(sent[0]) == {"kind", "purpose", "items", "shown_at", "words"}
    album.look(phone.page, "wallet-asked")


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_over_asking_is_stopped_explained_and_reported_with_one_tap(stage: Stage, language: str) -> None:
    who, album = stage.country.resident(REPORTERS[language]), stage.album(language)
    phone = stage.phone(language)
    phone.enrol(who)
    phone.obtain(stage.desk(language).offer_for(who))
    claims = [{"path": ["name"]}, {"path": ["resident_number"]}]
    card = {
        "id": "c",
        "format": "dc+sd-jwt",
        "meta": {"vct_values": ["urn:mapae:kr:resident-card:1"]},
        "claims": claims,
    }
    asked = stage.country.http.post("/demo/asks", json={"query": {"credentials": [card]}}).json()
    phone.paste(asked["request_uri"])
    expect(phone.sees("problem")).to_have_attribute("data-code", "over_asking")
    expect(phone["report-hint"]).to_be_visible()
    album.look(phone.page, "wallet-over-asking")
    phone.tap("to-report")
    phone["report-now"].scroll_into_view_if_needed()
    album.look(phone.page, "wallet-report")
    phone.tap("report-now")
    expect(phone.sees("reported")).to_be_visible()
