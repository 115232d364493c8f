"""A nation small enough to pack: one log with three witnesses, one issuer with a few status lists, one publisher.

It is what a pack is made of (`build.Source`), and the server its lists are fetched from (`nation.http`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mapae.clock import MovableClock
from mapae.formats.jose import unb64u
from mapae.formats.status import INVALID, StatusList
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.entries import AccessAuthority, Issuer, Party, document, registry_id
from mapae.trust.epoch import Epoch, EpochList
from mapae.trust.log import acts, statement
from mapae.trust.log.entry import (
    ZERO,
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    Kind,
    Log,
    PartyAdmitted,
    PartyRevoked,
    Payload,
    PolicySet,
    Purpose,
    ReaderRevoked,
    Role,
)
from mapae.trust.log.note import COSIGNATURE, ED25519, Checkpoint, VerifierKey, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.trust.log.rules import State
from mapae.trust.log.state import AnchoredRoot
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.pack import format
from mapae.trust.pack.build import Packs, Succession
from mapae.trust.pack.format import Pack
from unit.verifier.world import AUTHORITY, DOCTYPE, NOW, STATUS_PREFIX, VCT, Authority

BASE = "http://mapae.test"
ORIGIN = "mapae.test/trust/log"
BOTH = Words(ko="나라", en="Nation")
YEARS = 10 * 365 * 86400


class NoteKey:
    """An Ed25519 key of a log or a witness."""

    def __init__(self, name: str, kind: int) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.vkey = VerifierKey(name, kind, self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def digest(word: object) -> bytes:
    return sha256(str(word).encode()).digest()


@dataclass
class Nation:
    """Opened at `now`; time moves only by `later`."""

    now: datetime = NOW - timedelta(minutes=5)
    authority: Authority = AUTHORITY
    publisher: Signer = field(default_factory=Signer.ephemeral)
    logged: bool = True

    def __post_init__(self) -> None:
        self.clock = MovableClock(self.now)
        self.logs = {log: NoteKey(f"{ORIGIN}/{log.name.lower()}", ED25519) for log in Log}
        self.witnesses = [NoteKey(f"witness-{n}.example", COSIGNATURE) for n in (1, 2, 3)]
        named = [(f"w{n}", witness.vkey, None) for n, witness in enumerate(self.witnesses)]
        self.pinned = Policy.of([key.vkey for key in self.logs.values()], named, 2)
        self.state, self.raw = State(), {log: list[bytes]() for log in Log}
        self.trees = {log: Tree() for log in Log}
        self.documents: dict[bytes, bytes] = {}
        self.voices: dict[str, Signer] = {}
        self.statements: dict[bytes, str] = {}
        self.changes: list[Succession] = []
        self.lists: dict[str, StatusList] = {}
        self.epochs: dict[int, Epoch] = {}
        self.dark = False  # the issuer does not answer
        self._said = 0
        self.packs = Packs(
            db=None, signer=self.publisher, clock=self.clock, http=self.http, source=self,  # type: ignore[arg-type]
        )  # fmt: skip
        for n in (1, 2, 3):
            self.append(Kind.GOVERNOR, digest(f"governor-{n}")[-20:], GovernorSet(digest(f"voice-{n}"), 1), "genesis")
        document = sha256(self.pinned.encode()).digest()
        self.append(Kind.POLICY, ZERO, PolicySet(document, 2, 0), "genesis")
        self.issuer = Issuer(
            id="demo-issuer", name=BOTH, ca=(self.authority.root,), vcts=(VCT,), doctypes=(DOCTYPE,),
            status_prefix=STATUS_PREFIX, logged=self.logged,
        )  # fmt: skip
        self.admit(self.issuer, Role.ISSUER | Role.STATUS)
        self.enter(self.issuer, sha256(self.authority.leaf).digest(), Purpose.DOCUMENT_SIGNER)
        self.enter(self.issuer, sha256(self.authority.status_leaf).digest(), Purpose.STATUS_SIGNER)
        self.access = AccessAuthority(id="access-ca", name=BOTH, ca=(self.authority.root,))
        self.admit(self.access, Role.REGISTRAR)
        self.enter(self.access, unb64u(self.publisher.kid), Purpose.LIST_SIGNER)

    # --- the log ------------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> int:
        return int(self.clock.now().timestamp())

    def later(self, **parts: float) -> None:
        self.clock.advance(**parts)

    def append(self, kind: Kind, subject: bytes, payload: Payload, stated: str | bytes | None = None) -> Entry:
        self._said += 1
        said = stated if isinstance(stated, bytes) else digest(stated or f"statement {self._said}")
        entry = Entry(self.state.size(kind.log), self.seconds, kind, subject, said, payload)
        self.state.fold(kind.log, entry.encode())
        self.raw[kind.log].append(entry.encode())
        self.trees[kind.log].add(leaf_hash(entry.encode()))
        return entry

    def admit(self, party: Party, roles: int) -> bytes:
        subject, raw = digest(registry_id(party)), document(party, "change-1")
        self.documents[sha256(raw).digest()] = raw
        terms = PartyAdmitted(
            subject[-20:], unb64u(self.voice(party).kid), roles, self.seconds, self.seconds + YEARS,
            sha256(raw).digest(),
        )  # fmt: skip
        self.append(Kind.PARTY, subject, terms)
        return subject

    def voice(self, party: Party) -> Signer:
        return self.voices.setdefault(party.id, Signer.ephemeral())

    def enter(self, party: Party, thumbprint: bytes, purpose: Purpose) -> None:
        start = self.seconds - 40 * 86400
        self.append(Kind.KEY, digest(registry_id(party)), KeyEntered(thumbprint, purpose, start, start + YEARS))

    def revoke_key(self, party: Party, thumbprint: bytes, reason: int = 1, since: int | None = None) -> None:
        terms = KeyRevoked(thumbprint, reason, self.seconds if since is None else since)
        self.append(Kind.KEY_REVOKED, digest(registry_id(party)), terms)

    def revoke_party(self, party: Party, reason: int = 2) -> None:
        self.append(Kind.PARTY_REVOKED, digest(registry_id(party)), PartyRevoked(reason))

    def revoke_reader(self, reader: bytes) -> None:
        self.append(Kind.READER_REVOKED, digest(registry_id(self.access)), ReaderRevoked(reader, 4, self.seconds))

    # --- status -------------------------------------------------------------------------------------------------------

    def put_list(self, name: str, size: int, not_valid: Mapping[int, int] | None = None) -> None:
        self.lists[STATUS_PREFIX + name] = StatusList.of(2, size, (not_valid or {}).items())

    def set(self, name: str, index: int, value: int = INVALID) -> None:
        uri = STATUS_PREFIX + name
        self.lists[uri] = self.lists[uri].changed([(index, value)])

    def anchor(self, **change: Any) -> Epoch:
        """What the lists say now, as the next epoch; and its anchor in the log."""
        seq, at = len(self.epochs) + 1, self.seconds
        lists = tuple(EpochList.of(uri, self.lists[uri]) for uri in sorted(self.lists))
        terms = {
            "publisher": registry_id(self.issuer),
            "prefix": STATUS_PREFIX,
            "seq": seq,
            "iat": at,
            "next_update": at + 600,
        }
        epoch = self.epochs[seq] = Epoch(**(terms | change), lists=lists)
        payload = Anchored(epoch.stream, seq, epoch.root, epoch.leaves, at + 600)
        self.append(Kind.ANCHOR, digest(registry_id(self.issuer)), payload, self.stated(payload))
        return epoch

    def stated(self, payload: Anchored, by: Signer | None = None) -> bytes:
        """The statement by which the issuer asks for this anchor; its digest."""
        asked = acts.args(acts.Anchor(digest(registry_id(self.issuer)), *payload, ZERO))
        signed = statement.make("anchor", asked, ORIGIN, by or self.voice(self.issuer), self.seconds)
        self.statements[statement.digest(signed)] = signed
        return statement.digest(signed)

    # --- what a pack is made of ---------------------------------------------------------------------------------------

    async def policy(self) -> bytes:
        return self.pinned.encode()

    async def checkpoint(self, log: Log) -> bytes:
        return self.note(log)

    def note(self, log: Log, *, witnesses: int = 3, times: tuple[int, ...] | None = None) -> bytes:
        tree = self.trees[log]
        note = sign_checkpoint(Checkpoint(self.logs[log].vkey.name, tree.size, tree.root()), self.logs[log])
        for n, witness in enumerate(self.witnesses[:witnesses]):
            note = note.with_(cosign(note, witness, times[n] if times else self.seconds - n))
        return note.encode()

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]:
        return self.raw[log][start:end]

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        return self.trees[Log.ANCHORS].inclusion(index, size)

    async def anchors(self) -> Mapping[tuple[bytes, bytes], AnchoredRoot]:
        return self.state.anchors

    async def document(self, digest: bytes) -> bytes:
        return self.documents[digest]

    async def statement(self, digest: bytes) -> str:
        return self.statements[digest]

    async def successions(self) -> list[Succession]:
        return self.changes

    async def publishers(self) -> list[tuple[str, str]]:
        return [(registry_id(self.issuer), STATUS_PREFIX)]

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.dark:
            raise httpx.ConnectError("dark")
        path = STATUS_PREFIX.removesuffix("/") + "-epoch/"
        seq = str(request.url).removeprefix(path)
        if seq.isdigit() and int(seq) in self.epochs:
            return httpx.Response(200, content=self.epochs[int(seq)].encode())
        return httpx.Response(404)

    async def made(self, last: Pack | None = None) -> Pack:
        return await self.packs.make(last)

    def pack(self, last: Pack | None = None) -> Pack:
        """The newest, made now."""
        return asyncio.run(self.packs.make(last))

    def repacked(self, pack: Pack, signer: Signer | None = None, **contents: bytes | None) -> Pack:
        """What a publisher of bad faith would make of it: parts under other contents (None: left out), and sealed
        again. `a__b` is the part `a.b`; a part by its digest is `_hex`."""
        names, bodies, sizes = dict(pack.manifest.names), dict(pack.bodies), dict(pack.manifest.blobs)
        for name, content in contents.items():
            name = name.replace("__", ".")
            place = bytes.fromhex(name[1:]) if name.startswith("_") else names.pop(name, b"")
            bodies.pop(place, None)
            sizes.pop(place, None)
            if content is not None:
                names |= {} if name.startswith("_") else {name: sha256(content).digest()}
                bodies[sha256(content).digest()], sizes[sha256(content).digest()] = format.fold(content), len(content)
        said = pack.manifest
        return format.make(
            signer or self.publisher, bodies, sizes, names, origin=said.origin, number=said.number, made=said.made,
            late=said.late,
        )  # fmt: skip


def small(**options: Any) -> Nation:
    """A nation with two lists: in the first, place 7 is the one of `unit.verifier.world.PLACE`, and 3 is revoked."""
    nation = Nation(**options)
    nation.put_list("list-1", 4096, {3: INVALID})
    nation.put_list("list-2", 4096)
    nation.anchor()
    return nation
