"""What stands on desks and tills: the officer's screen, the shop's tablet, a citizen's computer."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from stories.country import Country, Resident
from stories.look import SIZES
from stories.phone import LOCALES


def tab(browser: Browser, country: Country, language: str, *, script: bool = True) -> Page:
    """A browser profile of its own with one page."""
    context = browser.new_context(
        base_url=country.base, viewport=SIZES["desktop"], locale=LOCALES[language], timezone_id="Asia/Seoul",
        java_script_enabled=script,
    )  # fmt: skip
    context.set_default_timeout(60_000)
    return context.new_page()


def send(page: Page, action: str) -> None:
    """The button of the form whose action ends like this."""
    page.locator(f'form[action$="{action}"] button').first.click()


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until this is where the keys go, as somebody without a mouse would; and it must show that it is."""
    page.locator(selector).first.wait_for()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement?.matches(wanted) ?? false", selector):
            ring = page.evaluate(
                "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow; }"
            )
            assert ring != "nonenone", f"{selector} does not show that it has the focus"
            return
    raise AssertionError(f"no way to {selector} by Tab on {page.url}")


class Desk:
    """An officer's screen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def sign_in(self, office: str) -> None:
        self.page.goto("/desk/sign-in")
        self.page.select_option("#officer", f"officer-{office}")
        self.page.click("#demo-sign-in button")
        expect(self.page).to_have_url(re.compile(r"/desk/$"))

    def find(self, who: Resident, reason: str = "application") -> None:
        """By name and birthday, to the person's record."""
        self.page.goto("/desk/search")
        self.page.select_option("#reason", reason)
        self.page.fill("#name", who.name)
        self.page.fill("#birth_date", who.born)
        self.page.locator('form:has(#birth_date) button[type="submit"]').click()
        self.hit(who).click()

    def hit(self, who: Resident) -> Locator:
        """The line of this very person: names and birthdays can be shared."""
        return self.page.locator("a[data-person]").filter(has_text=who.number[:8]).first

    def open_case(self, who: Resident, kind: str = "resident_card") -> None:
        self.find(who)
        self.page.locator(f'form:has(input[name="kind"][value="{kind}"]):has(input[value="issue"]) button').click()
        expect(self.page).to_have_url(re.compile(r"/desk/cases/"))

    def check_card(self) -> None:
        for name in ("number", "photo", "undamaged"):
            self.page.check(f'input[name="{name}"][value="yes"]')
        send(self.page, "/card")
        expect(self.page.locator('form[action$="/card"]')).to_have_count(0)

    def two_officers(self) -> None:
        """The officers' route, with the second officer's software passkey."""
        self.page.click('a[href*="route=officers"]')
        self.page.check('#two-officers-demo input[name="same"][value="yes"]')
        self.page.click("#two-officers-demo button")
        expect(self.page.locator("#officers")).to_have_count(0)

    def check_face(self) -> None:
        self.page.check('input[name="same"][value="yes"]')
        send(self.page, "/face")
        expect(self.page.locator('form[action$="/face"]')).to_have_count(0)

    def file(self) -> None:
        self.page.click("#file-application button")
        self.page.wait_for_selector("#open-offer")

    def show_qr(self) -> str:
        """Opens the one-time QR; the text in it."""
        self.page.locator("#open-offer button, #new-offer button").click()
        return self.page.locator("#offer-uri").input_value()

    def offer_for(self, who: Resident) -> str:
        self.open_case(who)
        self.check_card()
        self.two_officers()
        self.file()
        return self.show_qr()

    def stage(self, name: str) -> None:
        """Waits, as the officer does, until the screen says so by itself."""
        expect(self.page.locator("[data-stage]").first).to_have_attribute("data-stage", name, timeout=20_000)


class Till:
    """A shop's checker."""

    def __init__(self, page: Page, country: Country) -> None:
        self.page, self.country = page, country

    def enrol(self, shop: str) -> None:
        self.page.goto(self.country.till_link(shop))
        self.page.click("#enrol")
        expect(self.page.locator("#shop-name")).to_be_visible()

    def ask(self, purpose: str, form: str = "either") -> str:
        """Opens a check; the text of its QR."""
        self.page.goto("/checker/")
        if form != "either":
            self.page.click("#advanced summary")
            self.page.check(f"#form-{form}")
        self.page.click(f"#purpose-{purpose}")
        return str(self.page.locator("#qr").get_attribute("data-request"))

    def verdict(self, outcome: str) -> Locator:
        """Waits for the verdict the clerk sees."""
        found = self.page.locator("#verdict")
        expect(found).to_have_attribute("data-outcome", outcome, timeout=20_000)
        return found

    def keep(self) -> None:
        """The verdict stays on the screen instead of making room for the next customer by itself."""
        self.page.click("#keep")
        expect(self.page.locator("#keep")).to_have_count(0)


def portal_sign_in(page: Page, country: Country, who: Resident) -> None:
    """The citizen proves who she is with a code by text message."""
    page.goto("/portal/check")
    page.fill("#name", who.name)
    page.fill("#resident_number", who.number)
    page.fill("#phone", who.phone)
    seen = len(country.messages(who.phone))
    send(page, "/portal/check")
    page.fill("#code", country.code(who.phone, seen))
    send(page, "/portal/code")
    expect(page).to_have_url(re.compile(r"/portal/$"))
