"""The temporary certificate: one good page an application, its code checked as a till does, its file by pyHanko."""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import segno
from asn1crypto import x509 as asn1
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from issuing import BASE, Hall, known_key
from mapae.audit import first_broken_link
from mapae.catalog import Country
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats import base45, cbor, cose
from mapae.formats.jose import PublicKey
from mapae.formats.paper import PREFIX, Paper, Signed, complete, to_be_signed
from mapae.formats.status import StatusRef, StatusToken
from mapae.formats.x509 import Anchors, Profile, Subject, leaf
from mapae.issuer.papers.issue import Papers
from mapae.issuer.papers.seal import ROOM
from mapae.keys import Signer, Vault
from mapae.registers import portraits
from mapae.verifier.checking.steps import Issuer, Listed, Trusted
from mapae.verifier.till.paper import Checked, check_paper
from scanning import scanned

APPLICATION = "application-1"


class Counter:
    """A hall, its papers, and a checker that believes in this issuer."""

    def __init__(self, db: Db) -> None:
        self.hall = Hall(db, key=known_key)
        self.country: Country = self.hall.country
        photo = portraits.portrait("jisoo", age=25, sex="female")
        people = self.hall.register.people
        people["jisoo"] = msgspec.structs.replace(people["jisoo"], portrait=photo)
        self.office = next(iter(self.country.offices))
        self.papers = self.opened()

    def opened(self) -> Papers:
        hall = self.hall
        return Papers(
            db=hall.db, clock=hall.clock, dice=hall.dice, vault=Vault(b"papers" * 6), country=self.country,
            seal=hall.seals[0], lists=hall.issuer.lists, register=hall.register, base=BASE, demo=True,
        )  # fmt: skip

    async def issue(self, application: str = APPLICATION) -> bytes:
        return (await self.papers.issue(application, "jisoo", self.office, "officer-1")).pdf

    def issuer(self, **changed: Any) -> Issuer:
        document = self.country.documents["resident_card"]
        assert document.formats is not None and document.formats.sd_jwt is not None
        values = {
            "id": "issuer", "anchors": Anchors((self.hall.anchor,)), "vcts": frozenset({document.formats.sd_jwt.vct}),
            "doctypes": frozenset(), "status_prefix": f"{BASE}/issuer/status/", **changed,
        }  # fmt: skip
        return Issuer(**values)

    async def check(self, code: str, **changed: Any) -> Checked:
        """As a till with a network does."""
        now = self.hall.clock.now()
        lists = {}
        for uri in await self.hall.issuer.lists.all():
            token = StatusToken.parse((await self.hall.issuer.lists.token(uri.rpartition("/")[2])).token)
            lists[uri] = Listed(token.list, now + timedelta(seconds=5))
        return check_paper(code, Trusted((self.issuer(**changed),), lists), now)

    async def refusal(self, code: str, **changed: Any) -> tuple[str | None, Code]:
        with pytest.raises(Refused) as refused:
            await self.check(code, **changed)
        return refused.value.step, refused.value.code


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    db = await connect(f"sqlite:///{tmp_path}/issuer.db")
    await migrate(db, "issuer")
    yield Counter(db)
    await db.close()


async def code_of(counter: Counter) -> str:
    return scanned(await counter.issue())


async def status_of(pdf: bytes, anchor: bytes, at: datetime) -> Any:
    """What pyHanko says of the file's only signature."""
    reader = PdfFileReader(io.BytesIO(pdf), strict=True)
    [signature] = reader.embedded_signatures
    roots = ValidationContext(trust_roots=[asn1.Certificate.load(anchor)], moment=at, allow_fetching=False)
    settings = KeyUsageConstraints(key_usage={"digital_signature"})
    return await async_validate_pdf_signature(signature, roots, key_usage_settings=settings)


# --- the code ---------------------------------------------------------------------------------------------------------


async def test_the_code_on_the_page_says_who_it_is_for_and_passes_the_four_steps(counter: Counter) -> None:
    code = await code_of(counter)
    checked = await counter.check(code)
    assert checked.paper.name == "홍지수" and checked.paper.birth_date == date(2001, 3, 9)
    assert checked.issuer == "issuer" and Signed.parse(code).encode() == code


async def test_the_code_fits_a_qr_code_of_version_25_at_level_m(counter: Counter) -> None:
    code = segno.make(await code_of(counter), error="m", micro=False, boost_error=False)
    assert (code.mode, code.error) == ("alphanumeric", "M") and int(code.version) <= 25


async def test_a_code_replayed_after_its_end_is_revoked(counter: Counter) -> None:
    """Handed over, cancelled or lost again: whoever still shows the paper is refused."""
    code = await code_of(counter)
    assert await counter.papers.end(APPLICATION, "handed_over", "officer-1")
    assert await counter.refusal(code) == ("standing", Code.REVOKED)
    assert not await counter.papers.end(APPLICATION, "handed_over", "officer-1")
    assert await first_broken_link(counter.hall.db) is None


async def test_a_code_is_good_until_its_last_day_and_no_longer(counter: Counter) -> None:
    code = await code_of(counter)
    assert counter.country.chip is not None
    counter.hall.clock.advance(days=counter.country.chip.paper_days)
    await counter.check(code)
    counter.hall.clock.advance(hours=12)  # issued at noon: midnight has come
    assert await counter.refusal(code) == ("dates", Code.EXPIRED)
    counter.hall.clock.advance(days=-90)
    assert (await counter.refusal(code))[1] in (Code.NOT_YET_VALID, Code.BAD_CERTIFICATE)


async def test_another_countrys_signer_counts_for_nothing(counter: Counter, tmp_path: Path) -> None:
    code = await code_of(counter)
    db = await connect(f"sqlite:///{tmp_path}/elsewhere.db")
    await migrate(db, "issuer")
    elsewhere = Hall(db)
    foreign = Anchors((elsewhere.anchor,))
    assert await counter.refusal(code, anchors=foreign) == ("issuer", Code.UNTRUSTED_ISSUER)
    await db.close()


async def test_an_issuer_of_other_cards_may_not_issue_what_stands_in_for_this_one(counter: Counter) -> None:
    code = await code_of(counter)
    assert await counter.refusal(code, vcts=frozenset({"urn:other"})) == ("issuer", Code.UNTRUSTED_ISSUER)


async def test_a_forged_code_is_refused_at_its_seal(counter: Counter) -> None:
    """Another name under the signature of a real paper; a real paper's words under another key."""
    real = Signed.parse(await code_of(counter))
    other = msgspec.structs.replace(real.paper, name="임꺽정")
    forged = complete(other, real.sealed.signature, real.certificate).encode()
    assert await counter.refusal(forged) == ("seal", Code.BAD_SIGNATURE)
    mine = complete(real.paper, Signer.ephemeral().sign(to_be_signed(real.paper)), real.certificate).encode()
    assert await counter.refusal(mine) == ("seal", Code.BAD_SIGNATURE)


async def test_a_signers_certificate_for_status_lists_signs_no_paper(counter: Counter) -> None:
    real = Signed.parse(await code_of(counter))
    seal = counter.hall.seals[1]
    forged = complete(real.paper, seal.signer.sign(to_be_signed(real.paper)), seal.x5c[0]).encode()
    assert await counter.refusal(forged) == ("issuer", Code.BAD_CERTIFICATE)


async def test_what_the_same_key_signed_for_a_phone_is_no_paper(counter: Counter) -> None:
    """The type is under the signature (RFC 9596): no other document of this signer can be passed off as a paper."""
    real = Signed.parse(await code_of(counter))
    payload = real.paper.payload()
    signature = counter.hall.pen.sign(cose.to_be_signed(payload))
    plain = cbor.dumps([cose.PROTECTED, {cose.X5CHAIN: real.certificate}, payload, signature])
    assert await counter.refusal(PREFIX + base45.encode(plain)) == ("issuer", Code.MALFORMED)


async def test_a_certificate_dated_before_its_signer_is_refused(counter: Counter) -> None:
    real = Signed.parse(await code_of(counter))
    hall, signer = counter.hall, Signer.ephemeral()
    young = leaf(
        Profile.DOCUMENT_SIGNER, Subject("young"), PublicKey.from_jwk(signer.jwk), ca=Signer(known_key("issuing ca")),
        ca_der=hall.anchor, serial=9, not_before=hall.clock.now(), not_after=hall.clock.now() + timedelta(days=9),
    )  # fmt: skip
    old = msgspec.structs.replace(real.paper, issued=real.paper.issued - 3 * 86400)
    code = complete(old, signer.sign(to_be_signed(old)), young).encode()
    assert await counter.refusal(code) == ("dates", Code.BAD_CERTIFICATE)


async def test_no_character_of_the_code_can_change(counter: Counter) -> None:
    code = await code_of(counter)
    draw = random.Random(5)
    for at in range(0, len(code), 1 if os.environ.get("MAPAE_SOAK") else 3):
        bent = code[:at] + draw.choice([c for c in "0AZ $%*+-./:" if c != code[at]]) + code[at + 1 :]
        with pytest.raises(Refused):
            check_paper(bent, Trusted((counter.issuer(),)), counter.hall.clock.now())


# --- the page ---------------------------------------------------------------------------------------------------------


async def test_a_reader_of_another_make_finds_the_page_signed_and_whole(counter: Counter) -> None:
    pdf = await counter.issue()
    status = await status_of(pdf, counter.hall.anchor, counter.hall.clock.now())
    assert status.intact and status.valid and status.trusted and status.bottom_line
    assert status.coverage.name == "ENTIRE_FILE"
    assert PdfFileReader(io.BytesIO(pdf)).root["/AcroForm"]["/SigFlags"] == 3


async def is_whole(counter: Counter, pdf: bytes) -> bool:
    try:
        return bool((await status_of(pdf, counter.hall.anchor, counter.hall.clock.now())).bottom_line)
    except Exception:
        return False


async def test_no_byte_of_the_page_can_change(counter: Counter) -> None:
    """Sampled over all that is signed: the drawing, the photo, the tables, the signature's own dictionary."""
    pdf = await counter.issue()
    start = pdf.index(b"/Contents <") + len(b"/Contents <")
    signed = [at for at in range(len(pdf)) if not start <= at < start + 2 * ROOM]
    places = [*random.Random(11).sample(signed, 25), start - 1, start + 2 * ROOM, 0, len(pdf) - 1]
    assert [at for at in places if await is_whole(counter, _flipped(pdf, at))] == []


async def test_of_the_signature_only_its_outer_envelope_can_change(counter: Counter) -> None:
    """Lengths and the list of digests around the signed data are not signed (RFC 5652 5.1): changing them says nothing
    else, and some readers do not look. Certificate, signed attributes and signature are."""
    pdf = await counter.issue()
    start = pdf.index(b"/Contents <") + len(b"/Contents <")
    outside, version = 54, 504  # up to the certificates; the version of the signer's part
    places = random.Random(12).sample(range(start, start + 2 * 800), 30)
    for at in places:
        byte = (at - start) // 2
        if outside <= byte < version - 11 or byte >= version:
            assert not await is_whole(counter, _flipped(pdf, at)), byte


def _flipped(pdf: bytes, at: int) -> bytes:
    return pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]


async def test_what_is_appended_to_the_page_is_not_signed(counter: Counter) -> None:
    pdf = await counter.issue()
    status = await status_of(pdf + b"\n% one line more", counter.hall.anchor, counter.hall.clock.now())
    assert status.coverage.name != "ENTIRE_FILE"


async def test_another_authoritys_page_is_not_trusted(counter: Counter) -> None:
    pdf = await counter.issue()
    status = await status_of(pdf, counter.hall.provider.anchor, counter.hall.clock.now())
    assert status.intact and not status.trusted


# --- the office -------------------------------------------------------------------------------------------------------


async def test_asking_twice_gives_the_same_page(counter: Counter) -> None:
    first = await counter.issue()
    counter.hall.clock.advance(hours=1)
    assert await counter.issue() == first == (await counter.papers.page(APPLICATION)).pdf
    assert await counter.issue("application-2") != first


async def test_two_desks_at_the_same_moment_make_one_paper(issuer_db: Db) -> None:
    counter = Counter(issuer_db)
    made = await asyncio.gather(*(counter.issue() for _ in range(4)), return_exceptions=True)
    pages = {page for page in made if isinstance(page, bytes)}
    assert len(pages) == 1
    rows = await counter.hall.db.all("SELECT * FROM temporary_paper WHERE state = 'issued'")
    assert len(rows) == 1


async def test_a_paper_that_was_begun_and_not_recorded_is_ended_by_the_next(counter: Counter) -> None:
    """The power went after the signature: its place in the status list is there to end it by."""

    class Cut(Exception):
        pass

    async def cut(*_: object) -> None:
        raise Cut

    interrupted = counter.opened()
    interrupted._record = cut  # type: ignore[method-assign]  # where the power goes
    with pytest.raises(Cut):
        await interrupted.issue(APPLICATION, "jisoo", counter.office, "officer-1")
    await counter.hall.issuer.recover()
    checked = await counter.check(await code_of(counter))
    statuses = await counter.hall.db.all("SELECT status FROM ticket ORDER BY status")
    assert [row["status"] for row in statuses] == [0, 1] and checked.paper.name == "홍지수"


async def test_a_card_handed_over_while_its_paper_is_drawn_leaves_none(counter: Counter) -> None:
    async def no(tx: object) -> bool:
        return False

    with pytest.raises(Refused) as refused:
        await counter.papers.issue(APPLICATION, "jisoo", counter.office, "officer-1", no)
    assert refused.value.code is Code.CONFLICT
    with pytest.raises(Refused):
        await counter.papers.page(APPLICATION)
    assert await counter.papers.end(APPLICATION, "active", "officer-1")  # what was intended ends as well


async def test_the_page_is_sealed_and_erased_with_its_end(counter: Counter) -> None:
    await counter.issue()
    [row] = await counter.hall.db.all("SELECT * FROM temporary_paper")
    assert b"%PDF" not in bytes(row["page"]) and "홍지수" not in str(dict(row))
    await counter.papers.end(APPLICATION, "cancelled", "citizen")
    [row] = await counter.hall.db.all("SELECT * FROM temporary_paper")
    assert row["page"] is None
    with pytest.raises(Refused) as refused:
        await counter.papers.page(APPLICATION)
    assert refused.value.code is Code.NOT_FOUND


async def test_the_page_of_an_expired_paper_is_erased(counter: Counter) -> None:
    await counter.issue()
    counter.hall.clock.advance(days=31)
    assert await counter.papers.prune() == 1


async def test_pruning_with_the_clock_ahead_erases_no_page(counter: Counter) -> None:
    pdf = await counter.issue()
    counter.hall.clock.leap(days=365)
    assert await counter.papers.prune() == 0
    counter.hall.clock.leap(days=-365)
    assert (await counter.papers.page(APPLICATION)).pdf == pdf


async def test_a_paper_whose_page_was_erased_by_a_clock_that_was_believed_is_replaced(counter: Counter) -> None:
    """Else the application could have no paper at all: the one nobody can print stood in the way."""
    first = await code_of(counter)
    counter.hall.clock.advance(days=365)
    assert await counter.papers.prune() == 1
    counter.hall.clock.advance(days=-365)
    second = await code_of(counter)
    await counter.check(second)
    assert await counter.refusal(first) == ("standing", Code.REVOKED)


async def test_an_application_whose_paper_has_expired_gets_another(counter: Counter) -> None:
    first = await code_of(counter)
    counter.hall.clock.advance(days=40)
    second = await code_of(counter)
    assert first != second and (await counter.refusal(first)) == ("dates", Code.EXPIRED)
    await counter.check(second)


async def test_nobody_gets_a_paper_for_the_dead(counter: Counter) -> None:
    counter.hall.register.gone["jisoo"] = date(2026, 2, 1)
    with pytest.raises(Refused) as refused:
        await counter.issue()
    assert refused.value.code is Code.DECEASED
    assert not await counter.hall.db.all("SELECT * FROM temporary_paper")


def test_a_paper_with_another_member_is_no_paper() -> None:
    """`read` takes what `payload` writes and nothing else."""
    paper = Paper(
        stands_for="urn:x", number="T-1", name="A", birth_date=date(2000, 1, 1), number_masked="*", issued=1, until=2,
        status=StatusRef("https://x.test/1", 3),
    )  # fmt: skip
    assert Paper.read(paper.payload()) == paper
    claims = cbor.loads(paper.payload())
    for key, value in ((4, 1), (6, True), (6, -1), (-70004, "2000-1-1"), (-70004, "20000101"), (-70003, ""),
                       (-70003, "a\nb"), (-70003, 5), (65535, {"status_list": {"idx": 3, "uri": "x", "z": 1}}),
                       (7, b"x")):  # fmt: skip
        with pytest.raises(Refused):
            Paper.read(cbor.dumps(claims | {key: value}))
    with pytest.raises(Refused):
        Paper.read(cbor.dumps({key: value for key, value in claims.items() if key != 4}))
