"""Handing a request for a named person to the wallet provider: kept until it is done, never longer than it lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from mapae.clock import MovableClock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.keys import Vault
from mapae.peers import Peers
from mapae.verifier.relay import push_store
from mapae.verifier.relay.push import DOOR, Pusher, _context
from unit.verifier.world import NOW

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
MESSAGE = {"id": "one", "name": "Hong"}
LIVES = 120


class Provider:
    """The wallet provider's door, which refuses with this code."""

    def __init__(self, code: Code | None = None) -> None:
        self.code, self.heard = code, list[Any]()

    async def call(self, role: str, path: str, message: Any) -> dict[str, Any]:
        self.heard.append((role, path, message))
        if self.code is not None:
            raise Refused(self.code, "no")
        return {}


async def waiting(db: Db, vault: Vault) -> None:
    async def body(tx: Tx) -> None:
        sealed = vault.seal(msgspec.json.encode(MESSAGE), _context("one"))
        await push_store.add(tx, "one", sealed, int(NOW.timestamp()) + LIVES)

    await db.write(body)


@pytest.mark.parametrize(
    ("code", "kept", "said"),
    [(None, False, []), (Code.UNAVAILABLE, True, []), (Code.MALFORMED, False, [("push refused", "malformed")])],
    ids=["taken", "away", "refused"],
)
async def test_a_request_is_kept_while_the_provider_is_away_and_a_refusal_is_ours_to_hear_of(
    migrated: Callable[[str], Awaitable[Db]], code: Code | None, kept: bool, said: list[Any]
) -> None:
    """Whoever asked learns nothing of it either way; our log does, without a name in it."""
    db, vault, clock, provider = await migrated("verifier"), Vault(b"v" * 32), MovableClock(NOW), Provider(code)
    pusher = Pusher(
        db=db, vault=vault, clock=clock, peers=cast(Peers, provider), questions=cast(Any, None), api=cast(Any, None),
        gateway=cast(Any, None), phone_layout="",
    )  # fmt: skip
    await waiting(db, vault)
    with capture_logs() as logged:
        try:
            await pusher.hand_over({"id": "one"})
        except Refused as refused:
            assert refused.code is Code.UNAVAILABLE
    assert provider.heard == [("wallet_provider", DOOR, MESSAGE)]
    assert [(one["event"], one["code"]) for one in logged] == said
    assert (await push_store.find(db, "one", int(NOW.timestamp())) is not None) is kept
    clock.advance(seconds=LIVES)
    await pusher.hand_over({"id": "one"})
    assert len(provider.heard) == 1, "over is over"
    await pusher.sweep()
    assert await db.all("SELECT id FROM push_out") == []
