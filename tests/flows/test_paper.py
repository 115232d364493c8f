"""A temporary certificate from the office to whoever checks it, in the whole country."""

from __future__ import annotations

from hashlib import sha256

import pytest

from browserless import Page
from mapae.certified import voice_of
from mapae.issuer.papers.issue import Page as Paper
from mapae.trust.signers import Reason
from scanning import scanned
from town import Town


async def _find(town: Town) -> str:
    number = town.named(town.first).resident.number.written
    [hit] = (await town.house.population.search(resident_number=number)).hits
    return hit.person


class Reader:
    """Somebody with a paper in hand, before the checker's page."""

    def __init__(self, town: Town, language: str = "en") -> None:
        self.town, self.browser = town, town.browser(language)

    def check(self, code: str) -> Page:
        page = self.town.call(self.browser.get, "/checker/paper")
        return self.town.call(lambda: self.browser.post(page, "/checker/paper", code=code))

    def verdict(self, code: str) -> tuple[str, str, str]:
        tag = self.check(code)["verdict"].attributes
        return tag["data-outcome"], tag["data-step"], tag["data-code"]


def issued(town: Town, application: str = "application-1") -> Paper:
    office = next(iter(town.house.country.offices))
    person = town.call(_find, town)
    return town.call(town.house.papers.issue, application, person, office, "officer-1")


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Genuine and good"), ("ko", "진짜이고 유효합니다")], ids=["en", "ko"]
)
def test_a_paper_is_green_with_name_and_birth_date_until_the_card_is_handed_over(
    town: Town, language: str, words: str
) -> None:
    who = town.named(town.first).resident
    code = scanned(issued(town).pdf)
    page = Reader(town, language).check(code)
    assert words in page.text and page["shown-name"].text == who.name
    assert str(who.number.birth_date.year) in page["shown-birth-date"].text
    town.call(town.house.papers.end, "application-1", "handed_over", "officer-1")
    town.clock.advance(seconds=6)
    red = Reader(town, language).check(code)
    assert red["verdict"].attributes["data-code"] == "revoked" and who.name not in red.text


SQLITE = pytest.mark.parametrize("town", ["sqlite"], indirect=True)  # nothing here is about the database


@SQLITE
def test_what_is_no_paper_or_a_bent_one_is_red_and_says_the_step(town: Town) -> None:
    code = scanned(issued(town).pdf)
    reader = Reader(town)
    assert reader.verdict(code) == ("accepted", "", "")
    bent = code[:-6] + ("AAA" if code[-6:-3] != "AAA" else "BBB") + code[-3:]
    assert reader.verdict(bent)[:2] == ("refused", "seal")
    assert reader.verdict("https://example.org/") == ("refused", "issuer", "malformed")
    assert reader.verdict("MAPAE-PAPER:" + "0" * 3000) == ("refused", "issuer", "too_large")
    assert reader.check("  ").status == 422


@SQLITE
def test_a_paper_of_a_stolen_signer_is_red_within_seconds(town: Town) -> None:
    code = scanned(issued(town).pdf)
    assert Reader(town).verdict(code) == ("accepted", "", "")
    certificate = (town.house.foundation.data / "certificates" / "document-signer.der").read_bytes()
    voice = voice_of(town.house, "issuer", "issuer:issuer")
    noticed = int(town.clock.now().timestamp()) - 3600
    town.call(voice.revoke, sha256(certificate).digest(), Reason.COMPROMISED, noticed)
    town.clock.advance(seconds=6)
    assert Reader(town).verdict(code) == ("refused", "issuer", "signer_revoked")


@SQLITE
def test_only_its_holder_and_its_office_may_download_it(town: Town) -> None:
    paper = issued(town)
    stranger = town.browser()
    for path in ("/portal/papers/application-1", "/desk/papers/application-1"):
        assert town.call(stranger.get, path).status == 401
    officer = town.officer(paper.office)
    assert officer.go("/desk/papers/application-1").status == 200
    elsewhere = next(office for office in town.house.country.offices if office != paper.office)
    assert town.officer(elsewhere).go("/desk/papers/application-1").status == 404
    assert officer.go("/desk/papers/another").status == 404


@SQLITE
def test_the_checkers_page_keeps_nothing(town: Town) -> None:
    code = scanned(issued(town).pdf)
    before = _kept(town)
    assert Reader(town).verdict(code)[0] == "accepted"
    assert _kept(town) == before


def _kept(town: Town) -> list[int]:
    db = town.house.foundation.databases["verifier"]
    counts = []
    for table in ("check_session", "offline_accepted", "audit_event", "outbox_item"):
        row = town.call(db.one, f"SELECT count(*) AS n FROM {table}")
        assert row is not None
        counts.append(row["n"])
    return counts
