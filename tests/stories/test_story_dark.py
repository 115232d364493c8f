"""Issuer, status lists and trust log are gone: the shop serves its customer, and hears later what it missed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from soak import long
from stories.blackout import Blackout
from stories.conftest import Stage
from stories.counter import Till
from stories.look import Album
from stories.phone import PIN, Phone

BOTH = ("phone", "desktop")
ASKED = "alcohol_tobacco"


@pytest.fixture
def country(blackout: Blackout) -> Blackout:
    return blackout


@long
@pytest.mark.browser
def test_a_shop_in_the_dark_serves_an_adult_and_is_told_later_what_is_doubtful(stage: Stage, country: Blackout) -> None:
    who, ko, en = country.resident("jisoo"), stage.album("ko"), stage.album("en")
    tills = {language: stage.till(language) for language in ("ko", "en")}
    phone = stage.phone("en")
    phone.enrol(who)
    phone.obtain(country.offer(who))
    _later(country, phone, minutes=6)
    _pack_is(tills["en"], "fresh")

    country.cut()
    _later(country, phone, hours=5)
    _pack_is(tills["en"], "hours")
    en.look(tills["en"].page, "checker-dark-ready", "phone", whole=True)
    _show(tills["en"], phone)
    _accepted(tills["en"], "full", "hours")
    en.look(tills["en"].page, "checker-dark-accepted", *BOTH)

    _later(country, phone, hours=30)
    _pack_is(tills["ko"], "days")
    ko.look(tills["ko"].page, "checker-dark-ready", "desktop")
    _show(tills["ko"], phone, en)
    _accepted(tills["ko"], "marked", "days")
    ko.look(tills["ko"].page, "checker-dark-marked", *BOTH)

    assert country.lock(who) > 0  # nobody outside can know
    country.restore()
    for _ in range(2):
        _later(country, phone, minutes=6)
    for language, till in tills.items():
        _pack_is(till, "fresh")
        expect(till.page.locator("#doubtful tbody tr")).to_have_count(2)
        expect(till.page.locator("#doubtful")).not_to_contain_text(re.compile(f"{who.name}|{who.latin}"))
        stage.album(language).look(till.page, "checker-doubtful", *BOTH, whole=True)


def _later(country: Blackout, phone: Phone, **parts: float) -> None:
    country.live(**parts)
    phone.context.clock.set_system_time(country.now)


def _pack_is(till: Till, light: str) -> None:
    till.page.goto("/checker/")
    expect(till.page.locator("#pack")).to_have_attribute("data-light", light)


def _show(till: Till, phone: Phone, silent: Album | None = None) -> None:
    """`silent`: the phone has not heard of the register for so long that it says so."""
    request = till.ask(ASKED)
    phone.page.reload()
    phone.unlock()
    phone.paste(request)
    phone.sees("screen-ask")
    if silent is not None:
        phone.sees("known-late")
        silent.look(phone.page, "wallet-registry-silent")
    phone.tap("allow")
    phone.sees("confirm")
    phone.press(PIN)
    expect(phone.sees("result")).to_have_attribute("data-outcome", "sent")


def _accepted(till: Till, tier: str, light: str) -> None:
    till.verdict("accepted")
    till.keep()
    note = till.page.locator("#offline")
    expect(note).to_have_attribute("data-tier", tier)
    expect(note).to_have_attribute("data-light", light)
    expect(note).to_contain_text(re.compile({"full": "[56] hours", "marked": "3[56]시간"}[tier]))
