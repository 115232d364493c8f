"""The public pages of the trust log: how long it is, who cosigned, every entry in words, and the proof check.

Promises: anybody may read, nobody may write here; what no checkpoint covers yet is marked so; an entry's page brings
what a browser needs to check it by itself. Trusts: the engine and the checkpoints of this installation, and says so.
Keeps: parties, read once from their public documents. Refuses: addresses of entries there are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.trust import ledger_store as store
from mapae.trust.checkpoints import NAMES, REFRESH, Checkpoints
from mapae.trust.engine import Assurance, Ledger
from mapae.trust.entries import Entry as Registered
from mapae.trust.entries import Issuer, RelyingParty, kind_of, read_document
from mapae.trust.log import statement
from mapae.trust.log.entry import Entry, Log, PartyAdmitted, PolicySet, ReaderEntered, ReaderRevoked, SchemaPublished
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy
from mapae.trust.log.rules import State
from mapae.trust.told import Teller
from mapae.ui.http import Answer, Caller, Door, door
from mapae.ui.pages import page
from mapae.ui.words import Language, language, say, words

PAGE: Final = 50  # entries on a page
NEWEST: Final = 8  # of each log, on the first page
SHOWN: Final = 20_000  # characters of a document on a page
STALE: Final = 5 * REFRESH
LOGS: Final = {name: log for log, name in NAMES.items()}
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry in a list."""

    log: str
    index: int
    time: int
    sentence: str
    witnessed: bool


@dataclass(frozen=True, slots=True)
class Cosigned:
    at: int
    age: str


@dataclass(frozen=True, slots=True)
class LogShown:
    """One log on the first page."""

    name: str
    size: int
    waiting: int
    root: str
    age: str
    stale: bool
    alarm: str
    cosigned: dict[str, Cosigned]


class Explorer:
    def __init__(self, db: Db, ledger: Ledger, checkpoints: Checkpoints, clock: Clock) -> None:
        self._db, self._ledger, self._checkpoints, self._clock = db, ledger, checkpoints, clock
        self._known: dict[bytes, Registered | None] = {}  # by the digest of the document

    def doors(self) -> list[Door]:
        def read(path: str, handler: Any) -> Door:
            return door("GET", path, handler, caller=Caller.ANYONE, answer=Answer.PAGE)

        return [
            read("/trust/log/", self._overview),
            read("/trust/log/{log}/entries", self._entries),
            read("/trust/log/{log}/entries/{index}", self._entry),
        ]

    # --- pages ------------------------------------------------------------------------------------------------------

    async def _overview(self, request: Request) -> Response:
        policy, assurance, state = await self._policy(), await self._ledger.assurance(), await self._ledger.state()
        teller = Teller(language(request))
        logs = [await self._log_shown(log, policy, teller) for log in NAMES]
        witnesses = [
            {"name": name, "key": one.vkey.name, "seen": [log.cosigned.get(name) for log in logs]}
            for name, one in (policy.witnesses.items() if policy else ())
        ]
        newest = [row for log in NAMES for row in await self._rows(request, log, None, NEWEST)]
        claim, more = claimed(teller.language, assurance)
        return page(
            request, "trust/log.html", here="home", logs=logs, assurance=assurance, claim=claim, claim_more=more,
            witnesses=witnesses, threshold=state.threshold, standing=state.standing,
            quorum=quorum(policy) if policy else "-", newest=sorted(newest, key=lambda row: row.time, reverse=True),
        )  # fmt: skip

    async def _entries(self, request: Request) -> Response:
        log = _log(request)
        size = (await self._ledger.head(log)).size
        before = min(_number(request.query_params.get("before", str(size))), size)
        rows = await self._rows(request, log, before, PAGE)
        newer = min(before + PAGE, size) if before < size else None
        older = before - PAGE if before > PAGE else None
        return page(
            request, "trust/log_entries.html", here=NAMES[log], log=NAMES[log], rows=rows, newer=newer, older=older
        )

    async def _entry(self, request: Request) -> Response:
        log, index = _log(request), _number(request.path_params["index"])
        size = (await self._ledger.head(log)).size
        found = await self._ledger.entries(log, index, index + 1) if index < size else []
        if not found:
            raise Refused(Code.NOT_FOUND, "the log has no such entry")
        entry = Entry.parse(found[0])
        teller = await self._teller(request, [entry])
        named = document_of(entry)
        published = await self._checkpoints.published(log)
        return page(
            request, "trust/log_entry.html", here="entry", log=NAMES[log], entry=entry, raw=found[0].hex(),
            witnessed=published is not None and index < published.size, sentence=teller.sentence(entry),
            facts=teller.facts(entry), document_digest=named.hex() if named else "",
            document=await self._document(named) if named else "", check_words=CHECK_WORDS,
            zone=str(getattr(teller.zone, "key", "UTC")), command=command(request, log, index),
            **await self._said(entry, teller),
        )  # fmt: skip

    # --- what they show ---------------------------------------------------------------------------------------------

    async def _policy(self) -> Policy | None:
        try:
            return await self._checkpoints.policy()
        except Refused:  # its document has not been handed in: the page says what is known
            return None

    async def _log_shown(self, log: Log, policy: Policy | None, teller: Teller) -> LogShown:
        now = self._clock.now().timestamp()
        head, published = await self._ledger.head(log), await self._checkpoints.published(log)
        alarm = self._checkpoints.alarms.get(log, "")
        if published is None or published.note is None:
            return LogShown(NAMES[log], 0, head.size, "", "", True, alarm, {})
        note = Note.parse(published.note.encode())
        times = {name: one.vkey.signed(note) or 0 for name, one in (policy.witnesses.items() if policy else ())}
        cosigned = {name: Cosigned(at, teller.ago(now - at)) for name, at in times.items() if at}
        newest = max(times.values(), default=0) or published.signed_at
        return LogShown(
            NAMES[log], published.size, max(head.size - published.size, 0), published.root.hex(),
            teller.ago(now - newest), now - newest > STALE, alarm, cosigned,
        )  # fmt: skip

    async def _rows(self, request: Request, log: Log, before: int | None, count: int) -> list[Row]:
        """The newest first."""
        size = (await self._ledger.head(log)).size if before is None else before
        published = await self._checkpoints.published(log)
        entries = [Entry.parse(raw) for raw in await self._ledger.entries(log, max(size - count, 0), size)]
        teller = await self._teller(request, entries)
        witnessed = published.size if published is not None else 0
        return [
            Row(NAMES[log], entry.index, entry.time, teller.sentence(entry), entry.index < witnessed)
            for entry in reversed(entries)
        ]

    async def _teller(self, request: Request, entries: list[Entry]) -> Teller:
        """Whoever these entries are about, by the names in their public documents."""
        state, lang = await self._ledger.state(), language(request)
        parties: dict[bytes, str] = {}
        readers: dict[bytes, str] = {}
        for entry in entries:
            for party in {entry.subject, getattr(entry.payload, "owner", entry.subject)} & state.parties.keys():
                parties[party] = await self._name(state.parties[party].document, lang)
            if isinstance(entry.payload, ReaderEntered | ReaderRevoked):
                readers[entry.payload.reader] = await self._name(entry.payload.reader, lang)
        governors = {address: place for place, address in enumerate(state.governors, 1)}
        known = [await self._registered(state.parties[party].document) for party in parties]
        streams = frozenset(
            sha256(entry.status_prefix.encode()).digest() for entry in known if isinstance(entry, Issuer)
        )
        zone = request.app.state.zone
        return Teller(lang, zone, parties, readers, governors, streams)

    async def _name(self, document: bytes, lang: Language) -> str:
        """What its public document calls a party, and as what; a relying party just by its name."""
        entry = await self._registered(document)
        if entry is None:
            return ""
        name = entry.name.ko if lang == "ko" else entry.name.en
        return name if isinstance(entry, RelyingParty) else f"{name} ({say(lang, f'trust.kind.{kind_of(entry)}')})"

    async def _registered(self, digest: bytes) -> Registered | None:
        """The registry's entry behind a digest; None where it has not been handed in, or is something else."""
        if digest not in self._known:
            found = await store.document(self._db, digest)
            if found is None:
                return None
            if len(self._known) >= 4096:
                self._known.clear()
            try:
                self._known[digest] = read_document(found.body)
            except Refused:
                self._known[digest] = None
        return self._known[digest]

    async def _document(self, digest: bytes) -> str:
        found = await store.document(self._db, digest)
        return readable(found.body)[:SHOWN] if found is not None else ""

    async def _said(self, entry: Entry, teller: Teller) -> dict[str, Any]:
        """The statement behind an entry: what it says, who signed it and who agreed."""
        state = await self._ledger.state()
        signed = await store.statement(self._db, entry.statement)
        if signed is None:
            return {"said": None, "signed": "", "asked_by": "", "agreed_by": [], "arguments": []}
        said = statement.read(signed)
        votes = [statement.read_approval(vote.signed) for vote in await store.votes_for(self._db, entry.statement)
                 if vote.signed != signed]  # fmt: skip
        return {
            "said": said,
            "signed": signed,
            "asked_by": await self._voice(state, said.voice, teller),
            "agreed_by": [await self._voice(state, vote.voice, teller) for vote in votes],
            "arguments": [teller.argument(name, value) for name, value in said.args.items()],
        }

    async def _voice(self, state: State, voice: bytes, teller: Teller) -> str:
        for party in state.parties.values():
            if party.voice == voice and (name := await self._name(party.document, teller.language)):
                return name
        for place, governor in enumerate(state.governors.values(), 1):
            if governor.voice == voice:
                return say(teller.language, "log.governor", n=place)
        return say(teller.language, "log.unknown_voice")


CHECK_WORDS: Final = sorted(key.removeprefix("log.check.") for key in words("en") if key.startswith("log.check."))


def claimed(lang: Language, assurance: Assurance) -> tuple[str, str]:
    """What this engine may honestly be called, and why."""
    if not assurance.multi_party:
        return say(lang, "log.engine_single"), say(lang, "log.engine_single_more")
    if not assurance.final:
        return say(lang, "log.engine_chain", operators=assurance.operators), say(lang, "log.engine_chain_more")
    return (
        say(lang, "log.engine_multi", operators=assurance.operators),
        say(lang, "log.engine_multi_more", faults=assurance.faults_tolerated),
    )


def quorum(policy: Policy, name: str = "") -> str:
    """The rule as a term: `2 / 3 (a, b, c)`."""
    name = name or policy.quorum or ""
    group = policy.groups.get(name)
    if group is None:
        return name
    members = ", ".join(quorum(policy, member) for member in group.members)
    return f"{group.least} / {len(group.members)} ({members})"


def document_of(entry: Entry) -> bytes | None:
    """The document whose digest the entry holds."""
    match entry.payload:
        case PartyAdmitted(document=digest) | PolicySet(document=digest) | SchemaPublished(digest=digest):
            return digest
        case ReaderEntered(reader=digest) | ReaderRevoked(reader=digest):
            return digest
        case _:
            return None


def readable(body: bytes) -> str:
    """JSON with its lines broken; other text as it is."""
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


def command(request: Request, log: Log, index: int) -> str:
    """What to type for the same check without this page."""
    return f"mapae ledger check --url {request.url.scheme}://{request.url.netloc} {NAMES[log]} {index}"


def _log(request: Request) -> Log:
    log = LOGS.get(request.path_params["log"])
    if log is None:
        raise Refused(Code.NOT_FOUND, "the logs are registry and anchors")
    return log


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused(Code.NOT_FOUND, "an entry has a number")
    return int(text)
