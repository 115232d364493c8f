"""A real face check in a real browser: the visitor's own portrait, a camera that shows a film, the issuer's own worker.

No picture of these pages is taken for the documentation: the films show people who have not agreed to that.
"""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect

from clips import Studio
from mapae.issuer.face.clips import Kind
from stories.conftest import Stage
from stories.phone import Phone


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"))


def check(phone: Phone) -> tuple[str, str]:
    """From the button to the verdict: whether, and why."""
    start = phone["face-start"].or_(phone["face-again"])
    start.first.tap()
    result = phone["face-result"]
    expect(result).to_be_visible(timeout=60_000)
    return str(result.get_attribute("data-ok")), str(result.get_attribute("data-reason"))


@pytest.mark.browser
def test_a_visitors_own_portrait_gets_a_card_by_a_real_face_check_and_nobody_elses_does(
    stage: Stage, studio: Studio
) -> None:
    you, phone = stage.country.resident("you"), stage.phone("en")

    shutil.copyfile(studio.of("p01_b", Kind.STILL), phone.film)
    page = phone.context.new_page()
    page.goto("/demo/you")
    page.tap("#you-agree")
    page.tap("#you-take")
    page.tap("#you-use")
    expect(page.locator("#you-done")).to_be_visible()
    page.close()

    phone.enrol(you)
    desk = stage.desk("en")
    desk.open_case(you)
    desk.check_card()
    desk.file()
    phone.paste(desk.show_qr())
    phone.tap("accept")
    phone.sees("not-accredited")

    shutil.copyfile(studio.of("p02_a"), phone.film)  # somebody else, who blinks
    assert check(phone) == ("false", "no-match")
    shutil.copyfile(studio.of("p01_a", Kind.STILL), phone.film)  # a photograph, held before the camera
    assert check(phone) == ("false", "not-live")
    shutil.copyfile(studio.of("p01_a"), phone.film)
    assert check(phone) == ("true", "match")

    desk.check_face()
    phone.tap("open-arrived")
    phone.sees("screen-card")
    desk.stage("arrived")
