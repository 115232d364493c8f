"""`mapae witness ...`: run a witness of somebody's trust log.

Promises: the witness has its own folder, its own key and its own database; its key is the same at every start.
Trusts: the person at the terminal to have the logs' keys from the body whose log it is. Keeps: nothing here. Refuses:
to watch a log without its key.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .keys import NoteKind

witness_app = typer.Typer(
    no_args_is_help=True, help="A witness of a trust log, run by somebody who does not run the log."
)

Name = Annotated[str, typer.Option("--name", help="Its name, for ever: a host and a word, w.example.org/witness")]
Data = Annotated[Path, typer.Option("--data", help="Folder for its key and its SQLite file; nobody else's")]
DEFAULT = Path("var-witness")
Quantum = Annotated[bool, typer.Option("--post-quantum", help="Cosign with ML-DSA-44 instead of Ed25519")]


@witness_app.command("key")
def witness_key(
    name: Name,
    data: Data = DEFAULT,
    url: Annotated[str, typer.Option(help="Where it answers")] = "",
    post_quantum: Quantum = False,
) -> None:
    """Print "VKEY URL", for the `witnesses` of the log's settings. The key is made on first use."""
    from .founding import witness_pen

    address = url or f"https://{name.partition('/')[0]}/witness/{_word(name)}"
    typer.echo(f"{witness_pen(data, name, _kind(post_quantum))().vkey.encode()} {address}")


@witness_app.command("serve")
def witness_serve(
    name: Name,
    log: Annotated[list[str], typer.Option("--log", help="Key of a log to watch: a `log` line of its policy")],
    data: Data = DEFAULT,
    database: Annotated[str, typer.Option(help="PostgreSQL URL; default: SQLite in the data folder")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    post_quantum: Quantum = False,
) -> None:
    """Cosign what is consistent with what was seen before, until Ctrl-C (C2SP tlog-witness)."""
    from .serving import bind

    async def work() -> None:
        from .clock import SystemClock
        from .db import connect, migrate
        from .founding import witness_pen
        from .serving import serve
        from .trust.log.note import VerifierKey
        from .trust.witness import Witness
        from .trust.witness_web import routes
        from .ui.site import application

        with bind(host, port) as listening:
            keys = [VerifierKey.parse(one) for one in log]
            db = await connect(database or f"sqlite:///{data}/witness.db")
            await migrate(db, "witness")
            clock = SystemClock()
            pen = witness_pen(data, name, _kind(post_quantum))
            witness = Witness(name=name, db=db, clock=clock, logs=keys, pen=pen)
            await witness.vkey()
            where = f"http://{host}:{port}/witness/{_word(name)}/"
            talk.print(f"witness {name} watches {', '.join(sorted(witness.logs))} at {where}", highlight=False)
            site = application(routes({_word(name): witness}), clock=clock)
            await serve(site, listening, begin=lambda: None, end=witness.close)

    run(work)


def _kind(post_quantum: bool) -> NoteKind:
    from .keys import NoteKind

    return NoteKind.COSIGNER_ML_DSA_44 if post_quantum else NoteKind.COSIGNER


def _word(name: str) -> str:
    """The last part of its name, under which it answers."""
    word = name.rpartition("/")[2]
    if not word or not all(letter.isalnum() or letter in "-._" for letter in word):
        raise Refused(Code.BAD_CONFIG, "a witness's name ends in a word: w.example.org/witness")
    return word
