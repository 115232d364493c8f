"""A citizen shows a code and a till reads it, and an old till of the Korean message family shows one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from soak import KOREAN_TOO, long
from stories.conftest import Stage
from stories.indoors import Indoors
from stories.phone import PIN

pytestmark = [pytest.mark.browser, long]


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Indoors]:
    running = Indoors(tmp_path)
    yield running
    running.close()


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_a_till_reads_a_phones_code(stage: Stage, country: Indoors, language: str) -> None:
    """Then an old till, whose code the very same wallet answers."""
    album = stage.album(language)
    who, phone, till = country.resident("chip"), stage.phone(language), stage.till(language)
    phone.enrol(who)
    phone.obtain(stage.desk().offer_for(who))
    phone.tap("tab-home")

    phone.tap("show-code")
    code = phone.sees("meet-code").get_attribute("data-code") or ""
    phone.sees("big-code")
    album.look(phone.page, "wallet-meet")
    till.page.goto("/checker/")
    till.page.click("#meet")
    expect(till.page.locator("#code")).to_be_visible()
    album.look(till.page, "checker-meet", "phone", "desktop")
    till.page.fill("#code", "MAPAE-MEET:123")
    till.page.click("#ask")
    expect(till.page.locator(".field-wrong")).to_be_visible()
    album.look(till.page, "checker-meet-wrong", "phone")
    till.page.fill("#code", code)
    till.page.press("#code", "Enter")  # as a hand scanner ends

    phone.sees("screen-ask")
    expect(phone["item-adult_by_year"]).to_be_visible()
    phone.tap("allow")
    phone.press(PIN)
    phone.sees("result")
    till.verdict("accepted")
    phone.tap("done")

    _, key = country.do(lambda: country.house.api.make_key("guest_house", "an old till"))
    script = Path(__file__).resolve().parents[2] / "examples" / "family_till.py"
    old = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env={"MAPAE": country.base, "MAPAE_KEY": key}
    )
    assert old.stdout is not None
    phone.paste(old.stdout.readline().strip())
    phone.tap("allow")
    phone.press(PIN)
    phone.sees("result")
    assert json.loads(old.stdout.readline()) == {"adult_by_year": True}
    assert old.wait(10) == 0

    phone.tap("done")
    phone.tap("show-code")
    phone.sees("big-code")
    phone.page.clock.install()
    phone.page.clock.run_for(121_000)
    phone.sees("meet-again")
    album.look(phone.page, "wallet-meet-over")
