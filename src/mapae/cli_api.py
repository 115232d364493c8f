"""`mapae api ...`: keys with which relying parties' own servers ask over HTTP, and the interface's own description.

Promises: a key is printed once, alone on stdout, and is nowhere kept in a form that could be used. Trusts: whoever can
read the verifier's settings. Keeps: nothing. Refuses: a relying party that this process does not ask for; to end a key
that is not live.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from .config import load_settings
from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .verifier.site.api_store import Key

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Json = Annotated[bool, typer.Option("--json", help="All of it, as JSON")]

key_app = typer.Typer(no_args_is_help=True, help="API keys of a relying party's own servers.")
api_app = typer.Typer(no_args_is_help=True, help="Checks over HTTP: keys for relying parties' servers.")
api_app.add_typer(key_app, name="key")


@key_app.command("add")
def key_add(
    party: Annotated[str, typer.Argument(help="The relying party's id in the registry")],
    label: Annotated[str, typer.Option(help="Which server it is for")] = "server",
    config: Config = None,
) -> None:
    """Make a key, and print it: this is the only time it can be read."""

    async def work() -> tuple[Key, str]:
        from .clock import SystemClock, SystemDice
        from .house import role_database
        from .verifier.site import hosting_store
        from .verifier.site.api import make_key

        settings = load_settings(config)
        async with role_database(settings, "verifier") as db:
            if party not in settings.relying_parties and not await hosting_store.has(db, party):
                raise Refused(Code.UNKNOWN_RELYING_PARTY, f"this verifier does not ask for {party}")
            return await make_key(db, party, label, SystemClock(), SystemDice())

    key, secret = run(work)
    said = f"key {key.id} of {key.relying_party} ({key.label}): keep it like a password, it is not shown again"
    talk.print(said, markup=False)
    typer.echo(secret)


@key_app.command("list")
def key_list(config: Config = None, as_json: Json = False) -> None:
    """All keys, without what could be used of them."""

    async def work() -> list[Key]:
        from .house import role_database
        from .verifier.site import api_store

        async with role_database(load_settings(config), "verifier") as db:
            return await api_store.keys(db)

    found = run(work)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for key in found:
        ended = f"ended {key.ended_at:%Y-%m-%d}" if key.ended_at is not None else "live"
        typer.echo(f"{key.id}  {key.relying_party}  {key.made_at:%Y-%m-%d}  {ended}  {key.label}")


@key_app.command("end")
def key_end(id: Annotated[str, typer.Argument(help="As `list` has it")], config: Config = None) -> None:
    """End a key at once."""

    async def work() -> None:
        from .clock import SystemClock
        from .house import role_database
        from .verifier.site import api_store

        async with role_database(load_settings(config), "verifier") as db:
            if not await api_store.end_key(db, id, SystemClock().now()):
                raise Refused(Code.NOT_FOUND, "there is no such live key: see `mapae api key list`")

    run(work)
    talk.print(f"key {id} has ended")
