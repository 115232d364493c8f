"""The offline pack in a house: published by the trust role, lived on by the verifier's counters.

Promises: a pack is looked for every few seconds and made when it is due; a counter takes up the pack it had where it
left off. Trusts: the policy that the trust role of this installation laid down in the data folder, or, where there is
none (another operator's country), the one that came with the first pack. Keeps: the counter's pack in `counter-pack`
below the data folder. Refuses: nothing of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

import structlog

from .formats.jose import Signing
from .house import Foundation, House, Round
from .keys import Vault
from .trust.pack import web
from .trust.pack.build import Packs
from .trust.pack.keep import Keeper
from .trust.pack.source import LedgerSource
from .trust.publish import TrustList
from .ui.http import Door
from .verifier.asking.dark import Basement

_log = structlog.get_logger("mapae.verifier")

LOOK = 5  # seconds between looks whether a pack is due
FOLDER = "counter-pack"
_POLICY = "trust-policy"


async def publishing(house: House, signer: Signing) -> tuple[list[Door], Round]:
    """The trust role's part: `house.packs`, its doors and its round."""
    f = house.foundation
    db = await f.database("trust")
    source = LedgerSource(db, house.ledger, house.checkpoints)
    house.packs = Packs(db=db, signer=signer, clock=f.clock, http=f.http, source=source)
    _lay_down(f, await source.policy())
    return web.routes(house.packs), (LOOK, partial(house.packs.publish_when_due, f.settings.epoch))


async def living(
    house: House, online: Callable[[], Awaitable[TrustList]], parties: Collection[str], vault: Vault
) -> tuple[Basement, Round]:  # fmt: skip
    """The verifier's part: what its counters stand on in the dark, and the round that keeps it fresh."""
    f = house.foundation
    laid, folder = f.data / "public" / _POLICY, f.data / FOLDER
    # What was pinned once stays: a pack shows how the log came from that policy to its newest.
    given = laid.read_text(encoding="utf-8") if laid.is_file() and not (folder / "policy").is_file() else None
    keeper = Keeper(folder, given)
    basement = Basement(
        keeper, online=online, db=await f.database("verifier"), vault=vault, clock=f.clock, dice=f.dice, http=f.http,
        base=f.settings.url_of("trust"), parties=parties,
    )  # fmt: skip
    basement.reopen()
    if keeper.policy is None:
        _log.warning("the policy of the first offline pack will be trusted on first use")
    return basement, (LOOK, partial(basement.refresh_when_due, min(f.settings.epoch, 60), f.settings.epoch))


def _lay_down(f: Foundation, policy: bytes) -> None:
    """Let the other roles of this installation know the policy, as they know its keys."""
    path = Path(f.data / "public" / _POLICY)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != policy:
        draft = path.with_name(f".{_POLICY}.{f.dice.token(6)}")
        draft.write_bytes(policy)
        draft.replace(path)
