"""The log's pages, as a browser without script gets them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from browserless import Page
from ledgers import AT, START, YEAR, Cast, digest
from mapae.clock import MovableClock
from mapae.db import Db, Tx
from mapae.formats.jose import b64u
from mapae.formats.x509 import Subject, root
from mapae.keys import KeyStore, NoteKind, NoteSigner, Signer
from mapae.rules import Words
from mapae.trust import ledger_store as store
from mapae.trust.checkpoints import NAMES, Checkpoints, log_origin
from mapae.trust.engine import Assurance, Head
from mapae.trust.engine.embedded import EmbeddedLedger
from mapae.trust.entries import Issuer, Purpose, RelyingParty, document
from mapae.trust.explorer_web import Explorer, claimed, quorum
from mapae.trust.log import statement
from mapae.trust.log.entry import Log
from mapae.trust.log.note import Checkpoint, VerifierKey, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.ui.site import application

BASE = "http://id.example.org"
CA = root(Subject("CA"), Signer.ephemeral(), serial=1, not_before=START - timedelta(days=1),
          not_after=START + timedelta(days=99))  # fmt: skip
OFFICE = document(
    Issuer(
        id="issuer", name=Words(ko="발급청", en="Issuing <b>Office</b>"), ca=(CA,), vcts=("urn:x",), doctypes=(),
        status_prefix=f"{BASE}/status/",
    ),
    "1",
)  # fmt: skip
Key = NoteSigner[VerifierKey]


async def _publish(log: Log, head: Head, text: str, now: int, tx: Tx) -> None:
    await store.add_head(tx, log, head.size, head.root, now)
    await store.publish(tx, log, head.size, text, now)


async def _papers(bodies: tuple[bytes, ...], tx: Tx) -> None:
    for body in bodies:
        await store.add_document(tx, body, "application/json", AT)


@dataclass
class World:
    """A log with one party, its key and some anchors; `cosign` publishes what is there."""

    db: Db
    clock: MovableClock
    cast: Cast
    ledger: EmbeddedLedger
    checkpoints: Checkpoints
    signers: dict[Log, Key]
    witnesses: dict[str, Key]
    http: httpx.AsyncClient

    async def cosign(self, *names: str) -> None:
        now = int(self.clock.now().timestamp())
        for log, signer in self.signers.items():
            head = await self.ledger.head(log)
            note = sign_checkpoint(Checkpoint(signer.vkey.name, head.size, head.root), signer)
            text = note.with_("".join(cosign(note, self.witnesses[name], now) for name in names)).encode().decode()

            await self.db.write(partial(_publish, log, head, text, now))

    async def get(self, path: str, language: str = "en") -> Page:
        return Page(await self.http.get(path, headers={"Accept-Language": language, "Accept": "text/html"}))


def _keys(folder: Path) -> tuple[dict[Log, Key], dict[str, Key]]:
    keys = KeyStore(folder, b"p")
    signers = {
        log: keys.note_signer(f"file:{name}", log_origin(BASE, log), NoteKind.LOG, VerifierKey.parse)
        for log, name in NAMES.items()
    }
    names = ("university", "newspaper", "court")
    witnesses = {n: keys.note_signer(f"file:{n}", f"{n}.example", NoteKind.COSIGNER, VerifierKey.parse) for n in names}
    return signers, witnesses


@pytest.fixture
async def world(db: Db, tmp_path: Path) -> AsyncIterator[World]:
    clock, cast = MovableClock(START), Cast()
    signers, witnesses = _keys(tmp_path / "keys")
    policy = Policy.of(
        [signer.vkey for signer in signers.values()], [(n, key.vkey, None) for n, key in witnesses.items()], 2
    ).encode()

    await db.write(partial(_papers, (OFFICE, policy)))
    ledger = await EmbeddedLedger.open(db, clock, cast.origin, lambda: cast.founding(policy))
    await cast.admit(ledger, document=sha256(OFFICE).digest())
    await ledger.submit(*cast.key("signer"))
    for seq in range(1, 62):
        await ledger.submit(*cast.anchor(seq, stream=f"{BASE}/status/"))
    async with httpx.AsyncClient() as nobody:
        checkpoints = Checkpoints(db=db, ledger=ledger, signers=signers, http=nobody, clock=clock)
        app = application(Explorer(db, ledger, checkpoints, clock).doors(), rates=False)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as http:
            yield World(db, clock, cast, ledger, checkpoints, signers, witnesses, http)


def _links(page: Page) -> list[str]:
    return [tag.attributes["href"] for tag in page.tags if tag.name == "a" and "href" in tag.attributes]


async def test_the_first_page_says_what_the_log_is_and_who_cosigned_when(world: World) -> None:
    await world.cosign("university", "court")
    world.clock.advance(minutes=2)
    page = await world.get("/trust/log/")
    assert page.status == 200
    assert "A tamper-evident log run by one operator" in page.text
    assert "It is not a blockchain" in page.text
    assert "2 / 3 (university, newspaper, court)" in page.text
    assert page.html.count("2 minutes ago") == 2 + 4, "each log, and two witnesses for each"
    assert page.html.count("has not signed the newest checkpoint") == 2
    assert "2 of 3 must agree" in page.text
    assert "/trust/" in _links(page)


async def test_before_a_quorum_has_signed_the_page_says_so(world: World) -> None:
    page = await world.get("/trust/log/")
    assert "too few witnesses have signed" in page.text
    assert "not yet witnessed" in page.text


async def test_an_old_checkpoint_is_marked(world: World) -> None:
    await world.cosign("university", "court")
    assert "older than it should be" not in (await world.get("/trust/log/")).text
    world.clock.advance(minutes=6)
    assert "older than it should be" in (await world.get("/trust/log/")).text


async def test_a_log_that_does_not_go_on_from_what_was_signed_is_red(world: World) -> None:
    await world.cosign("university", "court")
    world.checkpoints.alarms[Log.REGISTRY] = "the log shrank"
    page = await world.get("/trust/log/")
    assert "no longer continues what was signed before" in page.text
    assert "the log shrank" in page.text


async def test_entries_are_told_page_by_page_from_the_newest(world: World) -> None:
    seen: list[int] = []
    path: str | None = "/trust/log/anchors/entries"
    pages = 0
    while path is not None:
        page = await world.get(path)
        pages += 1
        found = [re.fullmatch(r"/trust/log/anchors/entries/(\d+)", link) for link in _links(page)]
        seen += [int(match[1]) for match in found if match]
        older = page.find(rel="next")
        path = older.attributes["href"] if older is not None else None
    assert seen == list(range(60, -1, -1))
    assert pages == 2
    newest = await world.get("/trust/log/anchors/entries")
    assert "Issuing <b>Office</b> (Issuer) fixed the state of its 61 status lists, number 61." in newest.text
    newer = (await world.get("/trust/log/anchors/entries?before=30")).find(rel="prev")
    assert newer is not None
    assert newer.attributes["href"].endswith("before=61")


async def test_an_entry_shows_its_statement_its_document_and_who_agreed(world: World) -> None:
    await world.cosign("university", "court")
    page = await world.get("/trust/log/registry/entries/4")
    assert "Issuing <b>Office</b> (Issuer) may act as issuer" in page.text
    assert "<b>Office" not in page.html, "a name is text, whatever it holds"
    facts = {tag.text.strip() for tag in page.tags if tag.name in ("dd", "dt")}
    assert {"Asked by", "governor 1", "Agreed by", "governor 2", "put_party"} <= facts
    assert f'"status_prefix": "{BASE}/status/"' in page.text
    raw = (await world.ledger.entries(Log.REGISTRY, 4, 5))[0]
    check = page.find(data_log="registry")
    assert check is not None
    assert check.attributes["data-entry"] == raw.hex()
    assert check.attributes["data-document"] == sha256(OFFICE).hexdigest()
    own = await world.get("/trust/log/registry/entries/5")
    assert "Asked byIssuing <b>Office</b> (Issuer)" in own.text


async def test_without_script_the_page_says_what_to_type(world: World) -> None:
    page = await world.get("/trust/log/anchors/entries/7")
    assert "<noscript>" in page.html
    assert f"mapae ledger check --url {BASE} anchors 7" in page.text


async def test_what_no_checkpoint_covers_is_marked(world: World) -> None:
    await world.cosign("university", "court")
    await world.ledger.submit(*world.cast.key("later"))
    assert "not yet witnessed" not in (await world.get("/trust/log/registry/entries/5")).text
    assert "not yet witnessed" in (await world.get("/trust/log/registry/entries/6")).text


@pytest.mark.parametrize(
    "path",
    [
        "nothing/entries",
        "registry/entries/6",
        "registry/entries/06",
        "registry/entries/x",
        "registry/entries/-1",
        "registry/entries?before=x",
        "registry/entries/99999999999999999999",
    ],
)
async def test_what_is_not_there_is_not_found(world: World, path: str) -> None:
    page = await world.get(f"/trust/log/{path}")
    assert page.status == 404


async def test_a_document_that_is_no_json_is_shown_as_it_is(world: World) -> None:
    strange = b"\xff{<script>"
    await world.db.write(lambda tx: store.add_document(tx, strange, "text/plain", AT))
    act, signed = world.cast.ask(
        world.cast.party, "put_reader", AT, registrar=world.cast.name, reader=sha256(strange).digest(),
        certificate=digest("c"), valid_from=0, valid_until=AT + YEAR,
    )  # fmt: skip
    receipt = await world.ledger.submit(act, signed)
    page = await world.get(f"/trust/log/anchors/entries/{receipt.index}")
    assert page.status == 200
    assert "{<script>" in page.text
    assert "{<script>" not in page.html


async def test_a_relying_party_is_told_by_its_name(world: World) -> None:
    why = Words(ko="가게", en="Shop")
    purpose = Purpose(id="alcohol", name=why, why=why, legal_basis=why, items=("adult_by_year",), retention=why)
    shop = document(RelyingParty(id="shop", name=why, x509_hash=b64u(bytes(32)), purposes=(purpose,)), "2")
    await world.db.write(partial(_papers, (shop,)))
    reader = {"registrar": world.cast.name, "reader": sha256(shop).digest()}
    said = {**reader, "certificate": digest("c"), "valid_from": 0, "valid_until": AT + YEAR}
    entered = await world.ledger.submit(*world.cast.ask(world.cast.party, "put_reader", AT, **said))
    ended = await world.ledger.submit(
        *world.cast.ask(world.cast.party, "revoke_reader", AT, **reader, reason=4, since=0)
    )
    assert "registered Shop as a relying party" in (await world.get(f"/trust/log/anchors/entries/{entered.index}")).text
    assert "요청 기관 ‘가게’" in (await world.get(f"/trust/log/registry/entries/{ended.index}", "ko")).text


async def test_an_approval_is_not_taken_for_the_statement(world: World) -> None:
    signed = await store.statement(world.db, (await world.ledger.state()).parties[world.cast.name].document)
    assert signed is None
    page = await world.get("/trust/log/registry/entries/0")
    assert "put_policy" in page.text, "the founding statement stands behind each of the first entries"
    assert statement.TYP_APPROVAL not in page.text


def test_no_engine_is_called_more_than_it_is() -> None:
    alone = Assurance("evm", operators=1, faults_tolerated=0, final=True, multi_party=False)
    shaky = Assurance("evm", operators=4, faults_tolerated=1, final=False, multi_party=True)
    four = Assurance("evm", operators=4, faults_tolerated=1, final=True, multi_party=True)
    assert "blockchain" not in claimed("en", alone)[0]
    assert "blockchain" not in claimed("en", shaky)[0]
    assert claimed("en", four)[0] == "A blockchain run by 4 bodies together"
    assert "블록체인이 아닙니다" in claimed("ko", alone)[1]


def test_a_quorum_is_told_as_a_term(tmp_path: Path) -> None:
    signers, witnesses = _keys(tmp_path)
    a, b, c = (f"witness {name} {key.vkey.encode()}\n" for name, key in witnesses.items())
    text = f"{a}{b}{c}group two all university court\ngroup any any two newspaper\nquorum any\n"
    assert quorum(Policy.parse(text)) == "1 / 2 (2 / 2 (university, court), newspaper)"
    assert quorum(Policy.parse("quorum none\n")) == "none"
    assert signers
