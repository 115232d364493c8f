"""`mapae trust complaints`: which relying parties asked for more than they may.

Promises: results on stdout, one line a party, purpose and set of items; `--evidence` prints the signed requests.
Trusts: the person at the terminal. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .cli_ledger import on_registry
from .cli_trust import Config, Data, trust_app

__all__ = ["trust_app"]

if TYPE_CHECKING:
    from .house import House
    from .trust.registry import Registry


@trust_app.command("complaints")
def trust_complaints(
    evidence: Annotated[bool, typer.Option("--evidence", help="With the request the party signed, as JWS")] = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """What phones reported of relying parties that asked for too much: how often, since when, what."""

    async def work(house: House, registry: Registry) -> None:
        from .trust.complaint_store import complaints

        for one in await complaints(await house.foundation.database("trust")):
            what = ", ".join(one.items) or "a purpose it is not registered for"
            typer.echo(
                f"relying_party:{one.party}  {one.purpose or '-'}  beyond it: {what}  {one.reports} times,"
                f" {one.first_at:%Y-%m-%d} to {one.last_at:%Y-%m-%d}"
            )
            if evidence:
                typer.echo(one.evidence)

    on_registry(config, data, work)
