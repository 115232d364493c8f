"""With which key an ID token is signed, and which keys are published for it.

Promises: a key is published a day before it signs and a day after it has stopped, so a site that reads the key set once
a day never meets a signature it cannot check; each signs for 90 days; a clock that was ahead for a while changes none
of that afterwards. Trusts: the key store. Keeps: the names and times in `login_store`, opened keys in memory. Refuses:
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from mapae.clock import Clock
from mapae.db import Db
from mapae.errors import Refused
from mapae.formats import jose
from mapae.verifier.login import store
from mapae.verifier.login.rsa import RsaKey
from mapae.verifier.login.store import Key

SIGNS: Final = timedelta(days=90)
AHEAD: Final = timedelta(days=1)
AFTER: Final = timedelta(days=1)
ALGS: Final = ("RS256", "ES256")


class IdTokenSigner(Protocol):
    @property
    def kid(self) -> str: ...

    @property
    def jwk(self) -> Mapping[str, str]: ...

    def sign(self, message: bytes) -> bytes: ...


Opened = Callable[[str, str], IdTokenSigner]


def signing(keys: Sequence[Key], now: datetime) -> Key | None:
    """Of one algorithm, the newest last. Where the clock has gone back behind all of them, the first."""
    return next((key for key in reversed(keys) if key.signs_from <= now), keys[0] if keys else None)


def believable(keys: Sequence[Key], now: datetime) -> list[Key]:
    """Without those that a clock far ahead once made, for a time that nobody plans for today."""
    return [key for key in keys if key.signs_from <= now + SIGNS + AHEAD]


def next_key(keys: Sequence[Key], alg: str, now: datetime) -> Key | None:
    """The key to add now, if one is due."""
    name, known = f"login-{alg.lower()}-{len(keys) + 1}", believable(keys, now)
    if not known:
        return Key(name, alg, now)
    turn = known[-1].signs_from + SIGNS
    return Key(name, alg, max(turn, now + AHEAD)) if now >= turn - AHEAD else None


def published(keys: Sequence[Key], now: datetime) -> list[Key]:
    """Of one algorithm: the one that signs, the one before it for a day, the one after it."""
    known = believable(keys, now)
    ended = [later.signs_from for later in known[1:]]
    return [key for key, end in zip(known, [*ended, None], strict=False) if end is None or now < end + AFTER]


class Keys:
    """One object a process."""

    def __init__(self, db: Db, clock: Clock, open: Opened) -> None:
        self._db, self._clock, self._open = db, clock, open
        self._opened: dict[str, IdTokenSigner] = {}

    async def set(self) -> dict[str, Any]:
        """RFC 7517 5."""
        now = self._clock.now()
        found = [(key, self._signer(key)) for alg in ALGS for key in published(await self._of(alg), now)]
        return {"keys": [{**one.jwk, "kid": one.kid, "alg": key.alg, "use": "sig"} for key, one in found]}

    async def sign(self, alg: str, claims: Mapping[str, Any]) -> str:
        key = signing(await self._of(alg), self._clock.now())
        assert key is not None  # `_of` has just added one where there was none
        one = self._signer(key)
        message = jose.jws_input({"alg": alg, "kid": one.kid, "typ": "JWT"}, claims)
        return jose.jws_complete(message, one.sign(message))

    async def read(self, token: str) -> dict[str, Any] | None:
        """The claims of an ID token of ours, old or new, as long as its key is published. None: it is none."""
        head, _, seal = token.rpartition(".")
        try:
            header = jose.decode_json(jose.unb64u(head.partition(".")[0]), limit=2048)
            claims = jose.decode_json(jose.unb64u(head.partition(".")[2]))
            signature = jose.unb64u(seal)
        except Refused:
            return None
        now = self._clock.now()
        for alg in ALGS:
            for key in published(await self._of(alg), now):
                one = self._signer(key)
                if (header.get("kid"), header.get("alg")) == (one.kid, alg) and _fits(one, alg, head, signature):
                    return claims
        return None

    async def _of(self, alg: str) -> list[Key]:
        now = self._clock.now()
        keys = [key for key in await store.keys(self._db) if key.alg == alg]
        due = next_key(keys, alg, now)
        if due is not None:
            await store.add_key(self._db, due, now)
            keys = [key for key in await store.keys(self._db) if key.alg == alg]
        return keys

    def _signer(self, key: Key) -> IdTokenSigner:
        if key.name not in self._opened:
            self._opened[key.name] = self._open(key.name, key.alg)
        return self._opened[key.name]


def _fits(one: IdTokenSigner, alg: str, head: str, signature: bytes) -> bool:
    """By the public half: whoever sends a hint chooses what it says, and nothing of that is ever signed here."""
    message = head.encode()
    try:
        if alg == "RS256":
            RsaKey.from_jwk(one.jwk).verify(signature, message)
        else:
            jose.PublicKey.from_jwk(one.jwk).verify(signature, message)
    except Refused:
        return False
    return True
