"""`mapae meet`: ask a customer who shows a code, from a shop that nobody can reach.

Promises: everything goes outward: to the trust list, to the relay, to the issuer's status lists; no port is open. What
was learned is on stdout, and nowhere else. Trusts: whoever can read the verifier's settings, which hold the relying
party's access key. Keeps: nothing (`verifier/asking/store.py` keeps the outcome as of any check). Refuses: a relying
party this process does not ask for, a code out of its time, a code of another relay.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .config import Settings, load_settings
from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .verifier.asking.store import Session

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]


def meet(
    party: Annotated[str, typer.Argument(help="The relying party's id in the registry")],
    purpose: Annotated[str, typer.Argument(help="One of its registered purposes")],
    code: Annotated[
        str, typer.Argument(help="The text of the customer's code; -: read it, as a scanner types it")
    ] = "-",
    config: Config = None,
) -> None:
    """Ask a customer who shows a code. Needs no address that others can reach."""
    settings = load_settings(config)
    if party not in settings.relying_parties:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, f"relying_parties in the settings does not have {party}")
    if code == "-":
        talk.print("Scan the code on the customer's phone.")
        code = sys.stdin.readline()
    session, shown = run(lambda: _asked(settings, party, purpose, code))
    assert session.verdict is not None
    for name, value in shown.items():
        typer.echo(f"{name}: {value}")
    typer.echo(session.verdict.outcome.value)
    if session.verdict.outcome.value != "accepted":
        talk.print(f"step {session.verdict.step}: {session.verdict.code}" if session.verdict.step else "not accepted")
        raise typer.Exit(1)


async def _asked(settings: Settings, party: str, purpose: str, code: str) -> tuple[Session, dict[str, Any]]:
    from .app import open_house
    from .formats.meet import relay_of
    from .verifier.relay.meet import Meetings

    house = await open_house(msgspec.structs.replace(settings, roles=("verifier",)))
    try:
        f, questions = house.foundation, house.verifier.questions
        relay = settings.relay_url.rstrip("/") or relay_of(settings.base_url)
        talk.print("The customer decides on the phone.")
        asker = f"meet-{f.dice.token(12)}"
        session = await Meetings(questions, f.http, [relay]).ask(asker, party, purpose, code)
        shown = questions.reveal(session)
        await questions.erase(asker, session.id)
        return session, shown
    finally:
        await house.close()
