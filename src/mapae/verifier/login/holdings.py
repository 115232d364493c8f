"""Clients of the bridge as one kind of what a relying party has here (`site/holdings.py`)."""

from __future__ import annotations

from datetime import datetime

from mapae.db import Db, epoch
from mapae.trust.on_behalf import Holding
from mapae.verifier.login import store
from mapae.verifier.site.holdings import Kind


def clients() -> Kind:
    async def of(db: Db, party: str, now: datetime) -> list[Holding]:
        return [
            Holding(
                "client", one.id, one.redirect_uris[0], epoch(one.made_at),
                epoch(one.used_at),
            )
            for one in await store.clients_of(db, party)
        ]  # fmt: skip

    async def end(db: Db, party: str, id: str, now: datetime) -> bool:
        return await store.end_client(db, id, now, party)

    return Kind("client", of, end, store.end_party)
