"""One call for whoever checks: with a pack of its own, never raising for what was shown, each code once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

import mapae
from hands import refuses
from mapae import catalog
from mapae.errors import Code, Refused
from mapae.formats import jose, mdoc, qr, status
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.trust.log.entry import Entry
from mapae.trust.pack.verify import open_pack, status_name
from mapae.verifier.checking import kit, receipt
from mapae.verifier.checking.check import ByRedirect, Format, Trusted
from mapae.verifier.checking.spent import Remembered, Spent
from mapae.verifier.till.notebook_store import Count, Notebook
from packed import Nation, small
from unit.verifier.world import AUTHORITY, LIST, NOW, STRANGER, TODAY, Card, ask, country, trusted

NATION = small()
PACK = kit.Pack.of(open_pack(NATION.pack(), NATION.pinned))
BAR = kit.Wanted.of(country(), "alcohol_tobacco")
WHO = kit.Wanted.of(country(), "name_birth_date")
OWN = b"the phone's own!"
both = pytest.mark.parametrize("format", [SD_JWT, MDOC])


def show(
    format: str = SD_JWT, wanted: kit.Wanted = BAR, *, card: Card | None = None, made: datetime = NOW,
    ask: qr.Ask | None = None, nonce: bytes = OWN, items: tuple[str, ...] = (),
) -> qr.Show:  # fmt: skip
    """What the holder's phone makes."""
    card, names = card or Card(), items or tuple(item.name for item in wanted.items)
    audience, signed = (qr.OPEN, nonce) if ask is None else (ask.audience, ask.nonce)
    if format == SD_JWT:
        disclosed = card.sd_jwt().disclose([[name] for name in names])
        text = disclosed.bind(card.holder, nonce=jose.b64u(signed), audience=audience, now=made)
    else:
        transcript = qr.transcript(audience, signed, int(made.timestamp()))
        disclosed_ = card.mdoc().disclose({card.namespace: names})
        text = jose.b64u(mdoc.present(disclosed_, session_transcript=transcript, holder=card.holder))
    return qr.Show(
        format=format, made=int(made.timestamp()), nonce=signed, purpose=wanted.purpose, presentation=text
    )  # fmt: skip


def verdict(shown: Any, wanted: kit.Ask = BAR, pack: Any = PACK, **more: Any) -> kit.Verdict:
    return kit.verify(shown, wanted, pack, **{"now": NOW, "spent": Remembered()} | more)


def why(found: kit.Verdict) -> str:
    return f"{found.step}: {found.code}" if found.outcome == "refused" else found.outcome


# --- one call ---------------------------------------------------------------------------------------------------------


@both
def test_a_code_is_checked_by_all_six_steps_with_a_pack_and_nothing_else(format: str) -> None:
    found = verdict(show(format, WHO).frames(), WHO)
    assert found.outcome == "accepted"
    assert found.items == {"name": "김지수", "birth_date": date(2001, 3, 9)}
    assert (found.tier, found.light, found.issuer) == ("full", "fresh", PACK.opened.trust_list.issuers[0].id)


@both
def test_a_no_is_no_refusal_and_has_no_step(format: str) -> None:
    found = verdict(show(format, card=Card(claims={"adult_by_year": False})).frames())
    assert (found.outcome, found.step, found.items) == ("no", None, {"adult_by_year": False})


@both
def test_a_revoked_card_and_an_old_pack_are_refused_at_their_steps(format: str) -> None:
    assert why(verdict(show(format, card=Card(reference=status.StatusRef(LIST, 3))))) == "standing: revoked"
    later = NOW + timedelta(days=40)
    assert why(verdict(show(format, made=later), now=later)) == "issuer: stale_pack"
    marked = NOW + timedelta(days=3)
    card = Card(ends=TODAY + timedelta(days=30))
    found = verdict(show(format, made=marked, card=card), now=marked)
    assert (found.outcome, found.tier, found.light) == ("accepted", "marked", "days")


@both
def test_an_online_answer_is_checked_by_the_same_call(format: str) -> None:
    asked = ask()
    tie = ByRedirect(asked.client_id, asked.nonce, asked.response_uri, asked.key_thumbprint)
    own = Format.SD_JWT if format == SD_JWT else Format.MDOC
    token = {own.value: [Card().show(own, asked).presentation]}
    assert verdict(token, kit.Put(BAR, tie)).outcome == "accepted"
    assert why(verdict(token, kit.Put(BAR, msgspec.structs.replace(tie, nonce="another")))).startswith("holder")
    assert why(verdict([], kit.Put(BAR, tie))) == "request: not_what_was_asked"


@pytest.mark.parametrize("shown", ["", [], ["x"], [1], None, 7, {"a": 1}, ["MAPAE-SHOW:"], ["MAPAE-ASK:0"], b"x"])
def test_nothing_that_is_shown_makes_the_call_raise(shown: Any) -> None:
    assert why(verdict(shown)) == "code: malformed"


def test_ten_thousand_frames_are_not_looked_at() -> None:
    frames = show().frames()
    assert why(verdict([*frames] * 4000)) == "code: too_large"
    assert verdict([*frames] * 10).outcome == "accepted"


def test_without_a_pack_ones_own_anchors_and_lists_do(format: str = SD_JWT) -> None:
    found = verdict(show(), pack=trusted())
    assert (found.outcome, found.tier, found.light) == ("accepted", None, None)
    assert why(verdict(show(), pack=Trusted(()))) == "issuer: untrusted_issuer"


def test_a_frame_of_a_question_nobody_may_put_is_not_made() -> None:
    with refuses(Code.OVER_ASKING):
        kit.ask_code(WHO, name="Corner shop")
    with refuses(Code.MALFORMED):
        kit.ask_code(BAR, name="")
    with refuses(Code.NOT_FOUND):
        kit.purpose("kr", "nothing")
    key, leaf = AUTHORITY.access_signer, AUTHORITY.access_leaf
    question = kit.ask_code(WHO, key=key, certificate=leaf, now=NOW)
    asked = qr.Ask.parse(question.text)
    assert (asked.certificate, asked.until) == (leaf, question.until)
    answer = show(wanted=WHO, ask=question.code).frames()
    assert verdict(answer, question).outcome == "accepted"
    assert why(verdict(answer, question, now=NOW + timedelta(seconds=121))) == "request: session_spent"


def test_a_pack_is_opened_from_the_folder_a_checker_keeps(tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(NATION.pack().encode())
    (tmp_path / "policy").write_bytes(NATION.pinned.encode())
    (tmp_path / "clock").write_text(str(int(NOW.timestamp()) + 60))
    pack = mapae.open_pack(tmp_path)
    assert pack.opened.as_of == PACK.opened.as_of
    # A device whose clock has stopped does not make an old code young.
    assert why(verdict(show(), pack=pack)) == "holder: presentation_stale"
    with refuses(Code.BAD_CONFIG, "check the path"):
        mapae.open_pack(tmp_path / "nothing")


def test_importing_mapae_loads_nothing_and_the_call_is_there() -> None:
    told = "import mapae, sys; assert 'cbor2' not in sys.modules; mapae.verify; assert 'cbor2' in sys.modules"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
    with pytest.raises(AttributeError):
        mapae.nothing  # noqa: B018


# --- each code once ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def spent(request: pytest.FixtureRequest, tmp_path: Path) -> Spent:
    return Remembered() if request.param == "memory" else Notebook(tmp_path / "till.db")


def test_a_code_is_accepted_once_and_a_refused_one_is_not_used_up(spent: Spent) -> None:
    shown, late = show(), NOW + timedelta(seconds=3)
    assert why(verdict(shown, WHO, spent=spent)) == "request: not_what_was_asked"
    assert verdict(shown, spent=spent).outcome == "accepted"
    assert why(verdict(shown, spent=spent, now=late)) == "holder: presentation_spent"
    assert verdict(show(nonce=b"another code now"), spent=spent).outcome == "accepted"


def test_a_clock_that_steps_back_brings_no_old_code_to_life(spent: Spent) -> None:
    shown = show()
    assert verdict(shown, spent=spent).outcome == "accepted"
    spent.take(b"y" * 16, int(NOW.timestamp()) + 9000, int(NOW.timestamp()) + 8000)  # hours later, the first is over
    if isinstance(spent, Remembered):
        spent._forget(lambda end: end < int(NOW.timestamp()) + 8000)
    assert why(verdict(shown, spent=spent)) == "holder: presentation_stale"
    ahead = NOW + timedelta(seconds=40)
    assert verdict(show(made=ahead, nonce=b"a newer code now"), spent=spent, now=ahead).outcome == "accepted"


def test_a_memory_has_an_end_and_what_fell_out_of_it_is_stale() -> None:
    spent = Remembered(most=10)
    for number in range(1000):
        spent.take(number.to_bytes(16), 100 + number, 50)
        assert len(spent) <= 10
    with refuses(Code.PRESENTATION_STALE):
        spent.take(b"x" * 16, 500, 50)
    with refuses(Code.PRESENTATION_SPENT):
        spent.take((999).to_bytes(16), 1099, 50)


def test_two_tills_that_share_a_file_share_its_memory(tmp_path: Path) -> None:
    one, two = Notebook(tmp_path / "till.db"), Notebook(tmp_path / "till.db")
    assert verdict(show(), spent=one).outcome == "accepted"
    assert why(verdict(show(), spent=two)) == "holder: presentation_spent"
    one.close()
    assert why(verdict(show(), spent=Notebook(tmp_path / "till.db"))) == "holder: presentation_spent"


def test_a_counter_knows_days_purposes_and_outcomes_and_nothing_else(tmp_path: Path) -> None:
    book = Notebook(tmp_path / "till.db")
    for outcome in ("accepted", "no", "accepted"):
        book.count(TODAY.date(), "bar", outcome)
    book.count(TODAY.date() + timedelta(days=1), "bar", "refused")
    day = TODAY.date().isoformat()
    assert book.counts()[:2] == [Count(day, "bar", "accepted", 2), Count(day, "bar", "no", 1)]
    columns = book._connection.execute("SELECT name FROM pragma_table_info('check_counted')").fetchall()
    assert [name for (name,) in columns] == ["day", "purpose", "outcome", "count"]


def test_a_code_that_cannot_be_remembered_is_not_accepted(tmp_path: Path) -> None:
    book, other = Notebook(tmp_path / "till.db", patience=0.01), sqlite3.connect(tmp_path / "till.db")
    other.execute("BEGIN IMMEDIATE")
    found = verdict(show(), spent=book)
    assert (found.outcome, found.step, found.code) == ("refused", "holder", Code.UNAVAILABLE)
    other.rollback()
    assert verdict(show(), spent=book).outcome == "accepted"
    # Written, and then not kept: the disk is full.
    other.execute("CREATE TRIGGER full BEFORE INSERT ON code_seen BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    assert verdict(show(nonce=b"another code now"), spent=book).code is Code.UNAVAILABLE
    other.execute("DROP TRIGGER full")
    assert verdict(show(nonce=b"another code now"), spent=book).outcome == "accepted"


def test_tills_that_look_at_once_accept_one_code_between_them(tmp_path: Path) -> None:
    shown = show()
    books = [Notebook(tmp_path / "till.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda book: verdict(shown, spent=book).outcome, books))
    assert sorted(found) == ["accepted", "refused", "refused", "refused"]


def test_threads_that_share_a_file_take_turns(tmp_path: Path) -> None:
    book, until = Notebook(tmp_path / "till.db"), int(NOW.timestamp()) + 60

    def take(number: int) -> None:
        book.take(number.to_bytes(16, "big"), until, until - 60)
        book.count(NOW.date(), "bar", "accepted")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(64)))
    assert [one.count for one in book.counts()] == [64]


def test_a_file_that_is_none_is_said_to_be_unusable(tmp_path: Path) -> None:
    (tmp_path / "till.db").write_bytes(b"not a database, but long enough to be read as one" * 40)
    with refuses(Code.BAD_CONFIG, "memory"):
        Notebook(tmp_path / "till.db")


# --- receipts ---------------------------------------------------------------------------------------------------------


def made(minute: bool = False) -> receipt.Receipt:
    return kit.receipt_of(verdict(show()), BAR, PACK, now=NOW, minute=minute)


def later() -> tuple[Nation, Any]:
    """The same nation, some lists and entries on."""
    nation = small()
    before = open_pack(nation.pack(), nation.pinned)
    nation.set("list-1", 9, status.INVALID)
    nation.later(seconds=9)
    nation.anchor()
    return nation, before


def test_a_receipt_holds_against_the_pack_and_against_a_later_one() -> None:
    assert receipt.verify(made().encode(), PACK.opened).later == ()
    nation, before = later()
    pack = kit.Pack.of(before)
    signed = kit.receipt_of(verdict(show(), pack=pack), BAR, pack, now=NOW, minute=True)
    after = open_pack(nation.pack(), nation.pinned)
    proven = receipt.verify(signed.encode(), after, rule=receipt.rule_digest(BAR))
    assert [one.seq for one in proven.later] == [before.statuses[0].seq]
    # The entry it names is in the anchors log for whoever asks; here from the pack it was made on.
    stream = sha256(before.statuses[0].prefix.encode()).digest()
    entry = Entry.parse(before.pack.named(f"{status_name(stream)}.anchor"))
    receipt.must_be(proven.later[0], entry)
    with refuses(Code.BAD_PROOF):
        receipt.must_be(msgspec.structs.replace(proven.later[0], seq=99), entry)


def test_a_receipt_of_a_pack_that_never_was_is_refused() -> None:
    good = made()
    other = msgspec.structs.replace(good.registry, root=jose.b64u(bytes(32)))
    for changed, step_, code in [
        (msgspec.structs.replace(good, registry=other), "registry", Code.FORKED),
        (msgspec.structs.replace(good, registry=msgspec.structs.replace(other, size=9999)), "registry", Code.BAD_PROOF),
        (msgspec.structs.replace(good, status=tuple(
            msgspec.structs.replace(one, root=jose.b64u(bytes(32))) for one in good.status)), "status", Code.BAD_PROOF),
    ]:  # fmt: skip
        with pytest.raises(Refused) as refusal:
            receipt.verify(changed.encode(), PACK.opened)
        assert (refusal.value.step, refusal.value.code) == (step_, code)
    with refuses(Code.BAD_DIGEST):
        receipt.verify(good.encode(), PACK.opened, rule=receipt.rule_digest(WHO))


def test_two_customers_leave_the_same_receipt_and_none_of_them_is_in_it() -> None:
    one, two = (
        kit.receipt_of(verdict(show(wanted=WHO, card=card, nonce=nonce, made=at), WHO, now=at), WHO, PACK, now=at)
        for card, nonce, at in [
            (Card(), OWN, NOW),
            (Card(claims={"name": "박서준", "birth_date": "1990-01-01"}), b"n" * 16, NOW + timedelta(minutes=9)),
        ]
    )
    assert one.encode() == two.encode()
    raw = one.encode().decode()
    assert "김지수" not in raw and "2001-03-09" not in raw and jose.b64u(OWN) not in raw


def test_a_signed_receipt_names_its_shops_certificate_and_a_bent_one_is_refused() -> None:
    signed = made().sign(AUTHORITY.access_signer, AUTHORITY.access_leaf)
    assert receipt.verify(signed, PACK.opened).signed_by == AUTHORITY.access_leaf
    for key, leaf, code in [
        (AUTHORITY.signer, AUTHORITY.access_leaf, Code.BAD_SIGNATURE),
        (STRANGER.access_signer, STRANGER.access_leaf, Code.UNTRUSTED_ISSUER),
        (AUTHORITY.signer, AUTHORITY.leaf, Code.BAD_CERTIFICATE),
    ]:
        with pytest.raises(Refused) as refusal:
            receipt.verify(made().sign(key, leaf), PACK.opened)
        assert (refusal.value.step, refusal.value.code) == ("seal", code)


@pytest.mark.parametrize(
    "bend",
    [
        lambda raw: raw.replace(b'"v":1', b'"v":1,"v":1'), lambda raw: raw.replace(b'"v":1', b'"v": 1'),
        lambda raw: raw.replace(b'"at":"2', b'"at":"x'), lambda raw: raw[:-1], lambda raw: raw + b" ",
        lambda raw: raw.replace(b'"outcome":"accepted"', b'"outcome":"yes"'),
        lambda raw: raw.replace(b'"v":1', b'"more":1,"v":1'), lambda raw: b"{}",
        lambda raw: raw.replace(b'"anyone"', b'"\\u001b[2J"'),
        lambda raw: raw.replace(b'"items":["', b'"items":["\xe2\x80\xae'),
    ],
    ids=["a member twice", "a space", "no day", "cut", "something after it", "no outcome", "a member more", "empty",
         "a name that clears a terminal", "an item that turns a line around"],
)  # fmt: skip
def test_a_receipt_has_one_spelling(bend: Any) -> None:
    with refuses(Code.MALFORMED):
        receipt.read(bend(made().encode()))


def test_a_purpose_of_ones_own_needs_no_country() -> None:
    own = kit.Wanted(purpose="own", items=BAR.items, vct=BAR.vct, by_holder=True, risk="low", offline=catalog.Offline())
    assert verdict(show(wanted=own), own).outcome == "accepted"
    assert datetime.fromisoformat(made(minute=True).at) == NOW.replace(second=0)
