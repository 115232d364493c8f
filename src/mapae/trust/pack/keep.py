"""The pack of one checker, in a folder of its own: fetched, checked, and only then put in the place of the one before.

    pack       the pack, whole; replaced in one step, so that a kill leaves the one before or the new one
    policy     the policy this checker has pinned: given by its operator, or taken with the first pack
    clock      the latest moment witnesses vouched for that this checker has heard of, in seconds
    evidence/  both packs of a fork, by their digests; nobody deletes them but a person

Promises: what is in `pack` passed every step of `verify.py` and followed what was there before (`follow.py`); the clock
never goes back, also over a restart. Trusts: the pinned policy; the network for nothing. Keeps: the folder above.
Refuses: a pack that does not open, an older one, another history; any pack where the pinned policy was taken away. The
one it has stays in force then.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused
from mapae.trust.log.policy import Policy
from mapae.trust.pack import format
from mapae.trust.pack.follow import must_follow
from mapae.trust.pack.format import Pack
from mapae.trust.pack.verify import POLICY, Opened, open_pack

POLICY_LIMIT: Final = 65_536
FURTHEST: Final = 31 * 86_400
PATH: Final = "/trust/pack"
Before = Callable[[Opened | None, Opened], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of asking. `taken` is None when there was nothing newer; `delta`: only the differences travelled."""

    taken: Opened | None
    delta: bool
    octets: int
    pinned: bool  # the policy was taken with this pack, on first use


class Keeper:
    """`before` is called with the old and the new pack, once the new one is good and before it takes the old one's
    place: what it does is done again after a kill, never left out."""

    def __init__(self, folder: Path, policy: str | None = None, before: Before | None = None) -> None:
        self._folder = folder
        self._given = policy
        self.before = before
        self.opened: Opened | None = None

    # --- what is there ------------------------------------------------------------------------------------------------

    def reopen(self) -> Opened | None:
        """The pack on disk, checked anew. Raises Refused when it does not hold; None when there is none."""
        path = self._folder / "pack"
        policy = self.policy
        if not path.is_file() or policy is None:
            return None
        self.opened = open_pack(_read(path, format.LIMIT), policy)
        return self.opened

    @property
    def policy(self) -> Policy | None:
        text = self._given if self._given is not None else _text(self._folder / "policy")
        return Policy.parse(text) if text is not None else None

    @property
    def high_water(self) -> int:
        """Seconds; nothing this checker does may be dated earlier."""
        text = _text(self._folder / "clock") or "0"
        noted = int(text) if text.isascii() and text.isdigit() and len(text) < 13 else 0
        return max(noted, self.opened.newest if self.opened is not None else 0)

    # --- taking another -----------------------------------------------------------------------------------------------

    async def fetch(self, http: httpx.AsyncClient, base: str) -> Fetched:
        """Ask the publisher. Raises Refused(UNAVAILABLE) when it does not answer, and what `take` refuses."""
        held = self.opened.pack if self.opened is not None else None
        path = f"{PATH}/since/{held.id.hex()}" if held is not None else PATH
        try:
            async with http.stream("GET", base + path, headers=ACCEPTED, follow_redirects=False) as answer:
                if answer.status_code in (204, 304):
                    return Fetched(None, False, 0, False)
                if answer.status_code != 200:
                    raise Refused(Code.UNAVAILABLE, "the publisher has no offline pack to give")
                raw = await body_within(answer, format.LIMIT)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the publisher of the offline pack cannot be reached") from None
        delta = format.is_delta(raw)
        if delta and held is None:
            raise Refused(Code.BAD_PACK, "a delta came where a whole pack was asked for")
        pack = format.apply(held, raw) if delta and held is not None else format.read(raw)
        pinned = self.policy is None
        return Fetched(await self.take(pack), delta, len(raw), pinned)

    async def take(self, pack: Pack) -> Opened:
        """1 it opens under the pinned policy  2 it follows the one we have  3 it takes its place."""
        policy = self.policy
        first = policy is None
        if policy is None and (self._folder / "pack").is_file():
            # The policy is written before the first pack, so somebody took it away: this is no first use.
            raise Refused(Code.BAD_CONFIG, "the policy this checker has pinned is gone: put it back beside the pack")
        if policy is None:  # trust on first use: the caller says so to a person
            policy = Policy.parse(pack.named(POLICY))
        opened = open_pack(pack, policy)
        if first and sha256(policy.encode()).digest() != opened.state.policy.document:
            raise Refused(Code.BAD_PACK, "the pack brings another policy than the one its own log names")
        old = self.opened
        if old is not None and old.pack.id == pack.id:
            return old
        if old is not None:
            try:
                must_follow(old, opened)
            except Refused as refused:
                if refused.code is Code.FORKED:
                    self._keep_evidence(old.pack, pack)
                raise
        if self.before is not None:
            await self.before(old, opened)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self._folder / "policy").is_file():
            _replace(self._folder / "policy", policy.encode())
        _replace(self._folder / "clock", str(max(self.high_water, opened.newest)).encode())
        _replace(self._folder / "pack", pack.encode())
        self.opened = opened
        return self.opened

    def note_time(self, seconds: int) -> None:
        """A moment that has been reached: the clock does not go behind it.

        No further ahead of the witnesses than any pack is good for: a device that once took it to be the year 2100 is
        right again a month after it was put right, and until then only without a network.
        """
        seconds = min(seconds, self.opened.newest + FURTHEST) if self.opened is not None else 0
        if seconds > self.high_water:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(self._folder / "clock", str(seconds).encode())

    # --- what else its owner keeps there ------------------------------------------------------------------------------

    def note(self, name: str) -> bytes | None:
        text = _text(self._folder / name)
        return text.encode() if text is not None else None

    def keep_note(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(self._folder / name, content)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _keep_evidence(self, *packs: Pack) -> None:
        folder = self._folder / "evidence"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for pack in packs:
            _replace(folder / pack.id.hex(), pack.encode())


def _read(path: Path, limit: int) -> bytes:
    """Raises Refused(TOO_LARGE, BAD_PACK)."""
    try:
        if path.stat().st_size > limit:
            raise Refused(Code.TOO_LARGE, f"{path.name} is too large to be an offline pack")
        return path.read_bytes()
    except OSError as error:
        raise Refused(Code.BAD_PACK, f"{path.name} cannot be read: {error.strerror}") from None


def _text(path: Path) -> str | None:
    return _read(path, POLICY_LIMIT).decode("utf-8", "replace") if path.is_file() else None


def _replace(path: Path, content: bytes) -> None:
    """All of it or nothing: also when the power goes between any two lines."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
