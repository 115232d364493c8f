"""The `mapae` command: parse arguments, call one use case, print, exit code.

Promises: results on stdout, talk on stderr; an error ends with what to try next. Trusts: the person at the terminal.
Keeps: nothing. Refuses: to change the world without saying so first.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from .config import Settings, load_settings
from .errors import Refused

if TYPE_CHECKING:
    from .house import House

app = typer.Typer(no_args_is_help=True, add_completion=False, help="mapae: mobile identity for a country.")
demo_app = typer.Typer(no_args_is_help=True, help="The fictional demo country.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit chains.")
app.add_typer(demo_app, name="demo")
app.add_typer(audit_app, name="audit")
talk = Console(stderr=True)
T = TypeVar("T")

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Folder for databases and keys")]
CountryPack = Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535)]


def main() -> None:
    try:
        app()
    except Refused as refused:
        talk.print(f"[red]{refused.code.value}[/]: {refused.detail}")
        sys.exit(1)


@demo_app.command("up")
def demo_up(
    data: Data = "var",
    port: Port = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    url: Annotated[str, typer.Option(help="How browsers reach it; default http://localhost:PORT")] = "",
    country: CountryPack = "kr",
    database: Annotated[str, typer.Option(help="PostgreSQL URL with {role} in it; default: SQLite files")] = "",
    residents: Annotated[int, typer.Option(help="Residents besides the named people", min=0)] = 1500,
) -> None:
    """Seed the demo country if it is new, and serve it until Ctrl-C."""
    base = url or f"http://localhost:{port}"
    given = {"base_url": base.rstrip("/"), "data": data, "country": country, "database": database}
    _run(lambda: _serve_demo(given, host, port, residents))


@demo_app.command("people")
def demo_people(
    count: Annotated[int, typer.Option(min=1, help="How many residents")],
    seed: Annotated[str, typer.Option(help="The same seed makes the same people")] = "1",
    data: Data = "var",
    country: CountryPack = "kr",
    database: Annotated[str, typer.Option(help="PostgreSQL URL with {role} in it; default: SQLite files")] = "",
) -> None:
    """Add generated residents to the demo country's population register."""

    async def work() -> None:
        from .app import open_house
        from .demo import Demo, demo_settings, found

        settings = demo_settings(data=data, country=country, database=database)
        house = await open_house(settings, founding=found)
        started = time.perf_counter()
        with _progress("residents", count) as tick:
            added = await Demo(house).more_people(count, seed, tick)
        await house.close()
        rate = added / max(time.perf_counter() - started, 1e-9)
        typer.echo(f"{added} residents added ({rate:,.0f} a second)")

    _run(work)


@demo_app.command("reset")
def demo_reset(data: Data = "var", yes: Annotated[bool, typer.Option("--apply", help="Do not ask")] = False) -> None:
    """Forget the demo country: databases, keys and certificates in the data folder."""
    folder = Path(data)
    if not (folder / "passphrase").is_file():
        talk.print(f"Nothing to forget: {folder} holds no demo country.")
        return
    if yes or typer.confirm(f"Delete everything in {folder}? People, cards and keys are lost", err=True):
        shutil.rmtree(folder)
        typer.echo("forgotten")


@app.command("serve")
def serve(
    roles: Annotated[list[str] | None, typer.Argument(help="Roles to run; default: those of the settings")] = None,
    config: Config = None,
    host: str = "127.0.0.1",
    port: Port = 8080,
) -> None:
    """Run roles until Ctrl-C: `mapae serve issuer` in production, one process a role."""
    settings = load_settings(config)
    if roles:
        settings = msgspec.structs.replace(settings, roles=tuple(roles))
    _run(lambda: _serve(settings, host, port))


@audit_app.command("verify")
def audit_verify(config: Config = None, data: Annotated[str, typer.Option("--data")] = "") -> None:
    """Check every role's audit chain; exit code 1 when one is broken."""

    async def work() -> int:
        from .audit import first_broken_link
        from .db import connect

        settings = load_settings(config)
        if data:
            settings = msgspec.structs.replace(settings, data=data)
        broken = 0
        for role in settings.roles:
            db = await connect(settings.database_url(role))
            link = await first_broken_link(db)
            await db.close()
            typer.echo(f"{role}: {'whole' if link is None else f'BROKEN at event {link}'}")
            broken += link is not None
        return broken

    if _run(work):
        raise typer.Exit(1)


async def _serve_demo(given: dict[str, str], host: str, port: int, residents: int) -> None:
    from .app import open_house
    from .demo import Demo, demo_settings, found, prepare

    settings = demo_settings(**given)
    with _progress("making the demo country", residents) as tick:
        if await prepare(settings, residents, tick):
            talk.print("A new demo country was made.")
    house = await open_house(settings, founding=found, more=lambda house: Demo(house).routes())
    _greet(settings.base_url)
    await _listen(house, host, port)


async def _serve(settings: Settings, host: str, port: int) -> None:
    from .app import open_house

    await _listen(await open_house(settings), host, port)


async def _listen(house: House, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way; a second signal does not wait for it."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Ours are set below: uvicorn would raise the signal again and cut the closing short."""
            yield

    server = Server(
        uvicorn.Config(
            house.site, host=host, port=port, log_level="warning", access_log=False, lifespan="off",
            server_header=False, timeout_graceful_shutdown=5, h11_max_incomplete_event_size=32 * 1024,
        )
    )  # fmt: skip

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    house.start()
    try:
        await server.serve()
    finally:
        await house.close()
    talk.print("Stopped.")


def _greet(base: str) -> None:
    import segno

    segno.make(base, micro=False).terminal(out=sys.stderr, compact=True)
    talk.print(f"mapae demo country: [bold]{base}[/]   (Ctrl-C stops it; the data stays)")
    for name, path in (
        ("wallet", "/wallet/"),
        ("desk", "/desk/"),
        ("checker", "/checker/"),
        ("inbox", "/carrier/inbox"),
    ):
        talk.print(f"  {name:8} {base}{path}")


class _progress:
    """A progress bar on stderr; `with _progress("x", 10) as tick: tick(done)`."""

    def __init__(self, what: str, total: int) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=talk, transient=True)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return lambda done: self._bar.update(self._task, completed=done)

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; Ctrl-C ends it quietly."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
