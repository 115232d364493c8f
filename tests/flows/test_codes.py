"""A phone and a till in a basement: codes are asked, shown and checked with what both have kept, and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import segno
from anyio.from_thread import start_blocking_portal

from mapae.cli_check import access_of, prove_later
from mapae.errors import Code, Refused
from mapae.formats import jose, qr
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.holder import Match, Wallet
from mapae.verifier.checking import kit, receipt
from mapae.verifier.checking.spent import Remembered
from town import BASE, Town

DOCS = Path(__file__).resolve().parents[2] / "docs" / "checking.md"


class Nothing(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)


class Basement:
    """A citizen with cards, a till with a pack; then there is no network."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town, self.clock = town, town.clock
        citizen = town.citizen()
        citizen.obtain()
        self.pack = town.pack(folder)
        town.call(citizen.wallet.codes.open, kit.ask_code(self.wanted("alcohol_tobacco"), name="Shop").text)
        # The phone starts again where there is no network: what it knows is what it has kept.
        self.holder = Wallet(httpx.AsyncClient(transport=Nothing()), BASE, store=citizen.store, clock=town.clock)
        self.purposes = town.call(self.holder.codes.purposes)

    def open(self, text: str) -> Any:
        return self.town.call(self.holder.codes.open, text)

    def wanted(self, purpose: str) -> kit.Wanted:
        return kit.Wanted.of(self.town.house.country, purpose)

    def card(self, purpose: str, format: str) -> tuple[Any, Match]:
        listed = self.purposes.purpose(purpose)
        return listed, next(one for one in self.holder.codes.options(listed) if one.format == format)

    def verify(self, shown: Any, ask: kit.Ask, **more: Any) -> kit.Verdict:
        return kit.verify(shown, ask, self.pack, now=self.clock.now(), **more)


@pytest.fixture(scope="module")
def basement(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Basement]:
    folder = tmp_path_factory.mktemp("codes")
    shutil.copytree(template, folder / "var")
    with start_blocking_portal() as portal:
        town = Town.open(portal, folder / "var")
        yield Basement(town, folder / "pack")
        town.close()


def access(basement: Basement, shop: str = "guest_house") -> dict[str, Any]:
    """The shop's access key and certificate, as `mapae check ask --shop` finds them."""
    return access_of(basement.town.house.settings, shop, basement.clock)


both = pytest.mark.parametrize("format", [SD_JWT, MDOC])


@both
def test_a_holder_shows_an_unasked_code_and_the_till_knows_she_is_an_adult(basement: Basement, format: str) -> None:
    listed, card = basement.card("alcohol_tobacco", format)
    made = basement.holder.codes.unasked(listed, card)
    verdict = basement.verify(made.frames, basement.wanted("alcohol_tobacco"))
    assert (verdict.outcome, verdict.items, verdict.detail) == ("accepted", {"adult_by_year": True}, "")
    assert (verdict.tier, verdict.light, verdict.format) == ("full", "fresh", "mdoc" if format == MDOC else "sd_jwt")


@both
def test_anybody_asks_for_a_yes_or_no_and_is_answered_on_the_spot(basement: Basement, format: str) -> None:
    question = kit.ask_code(basement.wanted("alcohol_tobacco"), name="Corner shop", now=basement.clock.now())
    asked = basement.open(question.text)
    assert (asked.party, asked.who, asked.items) == (None, {"": "Corner shop"}, ("adult_by_year",))
    _, card = basement.card("alcohol_tobacco", format)
    made = basement.holder.codes.answer(asked, card)
    assert basement.verify(made.frames, question).outcome == "accepted"
    assert basement.verify(made.frames, basement.wanted("alcohol_tobacco")).outcome == "refused"


@both
def test_a_registered_shop_asks_for_a_name_and_the_phone_knows_who_it_is(basement: Basement, format: str) -> None:
    wanted = basement.wanted("name_birth_date")
    question = kit.ask_code(wanted, **access(basement), now=basement.clock.now())
    asked = basement.open(question.text)
    assert asked.party is not None and (asked.party.id, asked.party.standing) == ("guest_house", "listed")
    _, card = basement.card("name_birth_date", format)
    verdict = basement.verify(basement.holder.codes.answer(asked, card).frames, question)
    assert verdict.outcome == "accepted"
    assert set(verdict.items) == {"name", "birth_date"}


def test_a_photograph_of_a_shops_code_is_worth_nothing_once_it_is_over(basement: Basement) -> None:
    long_ago = basement.clock.now() - timedelta(seconds=qr.ASK_LIFE + qr.SKEW + 1)
    old = kit.ask_code(basement.wanted("name_birth_date"), **access(basement), now=long_ago)
    with pytest.raises(Refused) as refusal:
        basement.open(old.text)
    assert (refusal.value.step, refusal.value.code) == ("seal", Code.PRESENTATION_STALE)


def test_a_shop_that_is_not_registered_here_has_no_key_to_ask_with(basement: Basement) -> None:
    with pytest.raises(Refused) as refusal:
        access(basement, "nobody_here")
    assert refusal.value.code is Code.BAD_CONFIG and "register it first" in refusal.value.detail
    kept = Path(basement.town.house.settings.data).rglob("*nobody_here*")
    assert list(kept) == []  # nor was one made


def test_nobody_unregistered_is_even_asked_to_be_told_a_name(basement: Basement) -> None:
    with pytest.raises(Refused) as refusal:
        kit.ask_code(basement.wanted("name_birth_date"), name="Corner shop")
    assert refusal.value.code is Code.OVER_ASKING
    forged = qr.Ask(nonce=bytes(16), purpose="name_birth_date", items=("name", "birth_date"), name="Corner shop")
    with pytest.raises(Refused) as refusal:
        basement.open(forged.encode())
    assert (refusal.value.step, refusal.value.code) == ("purpose", Code.OVER_ASKING)


def test_a_purpose_of_high_risk_is_not_shown_unasked(basement: Basement) -> None:
    listed = basement.purposes.purpose("confirm_payment")
    with pytest.raises(Refused) as refusal:
        basement.holder.codes.unasked(listed)
    assert refusal.value.code is Code.OVER_ASKING


@both
def test_a_code_counts_once_at_a_till_and_a_photograph_of_it_never_later(basement: Basement, format: str) -> None:
    listed, card = basement.card("alcohol_tobacco", format)
    wanted, made = basement.wanted("alcohol_tobacco"), basement.holder.codes.unasked(listed, card)
    assert basement.verify(made.frames, wanted).outcome == "accepted"
    again = basement.verify(made.frames, wanted)
    assert (again.outcome, again.step, again.code) == ("refused", "holder", Code.PRESENTATION_SPENT)
    # Two tills that share nothing both accept it: single use is a promise of one checker (docs/checking.md).
    assert basement.verify(made.frames, wanted, spent=Remembered()).outcome == "accepted"
    made = basement.holder.codes.unasked(listed, card)
    basement.clock.advance(seconds=60)
    late = basement.verify(made.frames, wanted)
    assert (late.outcome, late.step, late.code) == ("refused", "holder", Code.PRESENTATION_STALE)


def test_each_code_costs_one_copy_and_a_restart_gives_none_back(basement: Basement) -> None:
    listed, card = basement.card("adult_contract", SD_JWT)
    [held] = [one for one in basement.holder.cards if one.id == card.card]
    left = basement.holder.copies_left(held)
    one, two = basement.holder.codes.unasked(listed, card), basement.holder.codes.unasked(listed, card)
    assert basement.holder.copies_left(held) == left - 2
    assert one.show.presentation.split("~")[0] != two.show.presentation.split("~")[0]
    shown = basement.holder.history[-1]
    assert (shown.purpose, shown.relying_party, shown.outcome) == ("adult_contract", "", "unknown")


def test_a_receipt_is_proven_from_the_logs_files_once_its_pack_is_long_gone(
    basement: Basement, tmp_path: Path
) -> None:  # fmt: skip
    listed, card = basement.card("alcohol_tobacco", MDOC)
    wanted, town = basement.wanted("alcohol_tobacco"), basement.town
    verdict = basement.verify(basement.holder.codes.unasked(listed, card).frames, wanted)
    made = kit.receipt_of(verdict, wanted, basement.pack, now=basement.clock.now(), asked_by="guest_house")
    key = access(basement)
    signed = made.sign(key["key"], key["certificate"])
    later = town.pack(tmp_path, turns_of=120).opened
    proven = receipt.verify(signed, later)
    assert proven.later and proven.signed_by == key["certificate"]
    town.call(prove_later, town.house.foundation.http, BASE, proven, later.policy)
    bent = msgspec.structs.replace(proven.later[0], root=jose.b64u(bytes(32)))
    with pytest.raises(Refused) as refusal:
        town.call(
            prove_later, town.house.foundation.http, BASE, msgspec.structs.replace(proven, later=(bent,)), later.policy
        )
    assert (refusal.value.step, refusal.value.code) == ("status", Code.BAD_PROOF)


# --- what fits --------------------------------------------------------------------------------------------------------


def table() -> Iterator[tuple[str, str, list[int]]]:
    """The rows of docs/checking.md: purpose, format, then bytes, folded, characters, version alone, frames, version."""
    rows = re.findall(r"^\| `(\w+)` \| (SD-JWT|mdoc) \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    for purpose, format, numbers in rows:
        yield purpose, format, [int(one.replace(",", "")) for one in numbers.split(" | ")]


def test_what_fits_is_what_the_page_says(basement: Basement) -> None:
    """Digests and signatures fold differently from copy to copy: a few bytes more or less, and so a version."""
    for purpose, format, said in table():
        listed, card = basement.card(purpose, SD_JWT if format == "SD-JWT" else MDOC)
        show = basement.holder.codes.unasked(listed, card).show
        [alone], frames = show.frames(qr.ALONE), show.frames()
        sizes = [len(show.encode()), len(qr.fold(show.encode())), len(alone)]
        assert sizes == pytest.approx(said[:3], rel=0.03), (purpose, format)
        assert len(frames) == said[4], (purpose, format)
        versions = [_version(alone), _version(frames[0])]
        assert all(abs(found - one) <= 1 for found, one in zip(versions, [said[3], said[5]], strict=True)), versions
    assert len(list(table())) == 4


def test_what_a_shop_asks_fits_one_code(basement: Basement) -> None:
    """As docs/checking.md says: version 4 for anybody, 19 for who is registered."""
    unknown = kit.ask_code(basement.wanted("alcohol_tobacco"), name="Corner shop").text
    known = kit.ask_code(basement.wanted("name_birth_date"), **access(basement)).text
    assert [_version(unknown), _version(known)] == [4, 19]
    with pytest.raises(Refused) as refusal:
        kit.ask_code(basement.wanted("name_birth_date"), **access(basement), registration="x" * 2400)
    assert refusal.value.code is Code.LINT


def _version(text: str) -> int:
    return int(segno.make(text, error="l", boost_error=False, micro=False).version)
