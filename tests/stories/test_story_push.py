"""A site asks a named person's phone: the push wakes it, the mailbox says who, and the code it shows is typed back.

Simulated: the way from the push service to the browser, which a headless browser does not have. The developer tools
hand the service worker the push; who sends it, and what, is tested over HTTP against a push service in tests/unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from soak import KOREAN_TOO, long
from stories.conftest import Stage
from stories.indoors import Indoors
from stories.phone import PIN, Phone

pytestmark = [pytest.mark.browser, long]
SHOWN = "navigator.serviceWorker.ready.then((one) => one.getNotifications()).then((all) => all.map((n) => n.body))"


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Indoors]:
    running = Indoors(tmp_path)
    yield running
    running.close()


def deliver(phone: Phone, base: str) -> None:
    """The last part of the way, by the Chrome DevTools Protocol."""
    devtools, found = phone.page.context.new_cdp_session(phone.page), []

    def known(event: dict[str, Any]) -> None:
        found.extend(one["registrationId"] for one in event["registrations"])

    devtools.on("ServiceWorker.workerRegistrationUpdated", known)
    devtools.send("ServiceWorker.enable")
    for _ in range(50):
        if found:
            break
        phone.page.wait_for_timeout(50)
    devtools.send(
        "ServiceWorker.deliverPushMessage", {"origin": base, "registrationId": found[0], "data": "mapae"}
    )  # fmt: skip


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_a_site_asks_a_named_persons_phone(stage: Stage, country: Indoors, language: str) -> None:
    album = stage.album(language)
    who, phone = country.resident("chip"), stage.phone(language)
    phone.page.context.grant_permissions(["notifications"], origin=country.base)
    phone.enrol(who)
    phone.obtain(stage.desk().offer_for(who))
    phone.tap("tab-home")
    _, key = country.do(lambda: country.house.api.make_key("guest_house", "its site"))
    body = {
        "purpose": "name_birth_date", "name": who.name, "birth_date": who.born,
        "phone": who.phone, "session": "a-visitor", "return_to": "https://guest.example/check-in",
    }  # fmt: skip
    site = httpx.Client(base_url=country.base, headers={"Authorization": f"Bearer {key}"})
    started = site.post("/v1/pushes", json=body).json()
    deliver(phone, country.base)

    phone.sees("pushed")
    said = phone.page.evaluate(SHOWN)
    assert said and not any(word in said[0] for word in (who.name, "guest", "게스트"))
    album.look(phone.page, "wallet-pushed", "phone", "desktop")
    phone.tap("pushed-open")
    phone.sees("screen-ask")
    phone.tap("allow")
    phone.press(PIN)
    code = phone.page.locator("#to-type, [data-code]").first
    expect(code).to_be_visible()
    page = {"Authorization": f"Bearer {started['page']}"}
    typed = {"code": code.get_attribute("data-code")}
    assert site.post(f"/v1/pages/{started['id']}/code", json=typed, headers=page).json() == {"tries_left": 0}
    result = site.get(f"/v1/pages/{started['id']}", headers=page).json()["result_code"]
    told = site.post(f"/v1/checks/{started['id']}/redeem", json={"code": result, "session": "a-visitor"}).json()
    assert told["values"]["name"] == who.name


def test_a_holder_hears_no_more_of_a_party(stage: Stage, country: Indoors) -> None:
    who, phone = country.resident("chip"), stage.phone("en")
    phone.enrol(who)
    phone.obtain(stage.desk().offer_for(who))
    phone.tap("tab-home")
    _, key = country.do(lambda: country.house.api.make_key("guest_house", "its site"))
    body = {
        "purpose": "name_birth_date", "name": who.name, "birth_date": who.born,
        "phone": who.phone, "in_person": True,
    }  # fmt: skip
    site = httpx.Client(base_url=country.base, headers={"Authorization": f"Bearer {key}"})
    site.post("/v1/pushes", json=body)
    phone.page.wait_for_selector("[data-testid=pushed]", timeout=20_000)  # found by looking: nothing woke the phone
    phone.tap("pushed-never")
    expect(phone["pushed"]).to_have_count(0)
    phone.tap("tab-settings")
    phone.sees("unmute")
    stage.album("en").look(phone.page, "wallet-settings-push", "phone", whole=True)
    phone.tap("tab-history")
    expect(phone.page.locator("main")).to_contain_text("guest", ignore_case=True)
