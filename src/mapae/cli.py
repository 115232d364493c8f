"""The `mapae` command: parse arguments, call one use case, print, exit code.

Promises: results on stdout, talk on stderr; an error ends with what to try next. Trusts: the person at the terminal.
Keeps: nothing. Refuses: to change the world without saying so first.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from .cli_api import api_app
from .cli_ca import ca_app
from .cli_card import card_app
from .cli_check import check_app
from .cli_complaints import trust_app
from .cli_drill import drill_app
from .cli_files import read_anchors
from .cli_iso import check_iso
from .cli_ledger import ledger_app
from .cli_login import client_app
from .cli_meet import meet
from .cli_pack import pack_app
from .cli_rp import rp_app
from .cli_witness import witness_app
from .config import Settings, checked, load_settings
from .errors import Code, Refused
from .serving import bind
from .terminal import run as _run
from .terminal import talk

if TYPE_CHECKING:
    import ssl

    from .house import House

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="mapae: mobile identity for a country.",
    pretty_exceptions_show_locals=False,  # a traceback must not show what a variable held
)  # fmt: skip
demo_app = typer.Typer(no_args_is_help=True, help="The fictional demo country.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit chains.")
app.add_typer(demo_app, name="demo")
app.add_typer(audit_app, name="audit")
app.add_typer(ledger_app, name="ledger")
app.add_typer(drill_app, name="drill")
app.add_typer(pack_app, name="pack")
app.add_typer(witness_app, name="witness")
app.add_typer(trust_app, name="trust")
app.add_typer(ca_app, name="ca")
app.add_typer(card_app, name="card")
app.add_typer(check_app, name="check")
check_app.command("iso")(check_iso)
app.add_typer(api_app, name="api")
app.command("meet")(meet)
app.add_typer(rp_app, name="rp")
rp_app.add_typer(client_app, name="client")

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Folder for databases and keys")]
CountryPack = Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder")]
Database = Annotated[
    str, typer.Option("--database", help="PostgreSQL URL with {role} in it; default: SQLite files in the data folder")
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535)]
Host = Annotated[str, typer.Option("--host", help="Address to listen on")]


DemoUrl = Annotated[str, typer.Option("--url", help="Where the demo country runs")]
DemoCa = Annotated[Path | None, typer.Option("--cacert", help="The authority of a demo served with --tls (PEM)")]


def main() -> None:
    try:
        app()
    except Refused as refused:
        talk.print(f"[red]{refused.code.value}[/]: {escape(refused.detail)}", highlight=False, soft_wrap=True)
        sys.exit(1)


@demo_app.command("up")
def demo_up(
    data: Annotated[str, typer.Option("--data", help="Folder for all data; default var, with --tls var-tls")] = "",
    port: Port = 8080,
    host: Host = "127.0.0.1",
    url: Annotated[str, typer.Option(help="How browsers reach it; default http://localhost:PORT")] = "",
    country: CountryPack = "kr",
    database: Database = "",
    residents: Annotated[int, typer.Option(help="Residents besides the named people", min=0)] = 1500,
    tls: Annotated[bool, typer.Option("--tls", help="Serve https, with an authority of the demo's own")] = False,
) -> None:
    """Seed the demo country if it is new, and serve it until Ctrl-C."""
    from .demo import demo_settings

    base = (url or f"{'https' if tls else 'http'}://localhost:{port}").rstrip("/")
    if tls and not base.startswith("https:"):
        raise Refused(Code.BAD_CONFIG, f"--tls serves https: write --url https:{base.partition(':')[2]}")
    # An address is inside every card, so the country under https is another one.
    folder = data or ("var-tls" if tls else "var")
    settings = demo_settings(base_url=base, data=folder, country=country, database=database)
    _run(lambda: _serve_demo(settings, host, port, residents, tls))


@demo_app.command("make")
def demo_make(
    config: Config = None,
    residents: Annotated[int, typer.Option(help="Residents besides the named people", min=0)] = 1500,
) -> None:
    """Seed the demo country of a settings file, for `mapae serve` to run; one that is there stays as it is."""
    settings = load_settings(config)
    if not settings.demo:
        raise Refused(Code.BAD_CONFIG, "this is not a demo country: the settings must say demo = true")
    _run(lambda: _make_demo(settings, residents))


@demo_app.command("people")
def demo_people(
    count: Annotated[int, typer.Option(min=1, help="How many residents")],
    seed: Annotated[str, typer.Option(help="The same seed makes the same people")] = "1",
    data: Data = "var",
    country: CountryPack = "kr",
    database: Database = "",
    config: Config = None,
) -> None:
    """Add generated residents to the demo country's population register; it may be running meanwhile."""
    from .demo import demo_settings

    settings = load_settings(config) if config else demo_settings(data=data, country=country, database=database)

    async def work() -> None:
        from .app import open_house
        from .demo import Demo

        _must_be_made(settings)
        # Only the register is touched: what a running server has under way stays alone.
        house = await open_house(msgspec.structs.replace(settings, roles=("registers",)))
        started = time.perf_counter()
        with _progress("residents", count) as tick:
            added = await Demo(house).more_people(count, seed, tick)
        await house.close()
        rate = added / max(time.perf_counter() - started, 1e-9)
        typer.echo(f"{added} residents added ({rate:,.0f} a second)")

    _run(work)


@demo_app.command("ask")
def demo_ask(
    purpose: Annotated[
        str, typer.Option(help="A purpose of the country pack; the shop is one that registered it")
    ] = "",
    form: Annotated[str, typer.Option(help="either, sd_jwt or mdoc")] = "either",
    client_id_prefix: Annotated[str, typer.Option(help="x509_hash or x509_san_dns")] = "x509_hash",
    method: Annotated[str, typer.Option(help="How the wallet fetches the request: get or post")] = "get",
    same_device: Annotated[
        bool, typer.Option("--same-device", help="The answer counts when the browser that asked comes back")
    ] = False,
    dcql: Annotated[
        Path | None, typer.Option(help="A DCQL query of your own (JSON file), instead of a purpose")
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option(help="Issuer authorities to believe besides the trust list, for this question (PEM)")
    ] = None,
    transaction_data: Annotated[
        str, typer.Option(help='A payment to authorize: {"payee": ..., "amount": "9.90", "currency": "KRW"}')
    ] = "",
    json_lines: Annotated[bool, typer.Option("--json", help="Every line on stdout is JSON")] = False,
    url: DemoUrl = "http://localhost:8080",
    cacert: DemoCa = None,
) -> None:
    """Put a question to any wallet, print what it reads, wait for the verdict. Exit code 0: accepted."""
    from . import demo_ask as asking

    if bool(purpose) == (dcql is not None):
        raise Refused(Code.BAD_CONFIG, "give one of --purpose and --dcql")
    try:
        query = asking.read_json(dcql.read_text("utf-8"), "the DCQL file") if dcql is not None else None
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{dcql} cannot be read") from None
    wanted = asking.wanted(
        purpose, form, client_id_prefix, method, same_device=same_device, query=query,
        transaction=asking.read_json(transaction_data, "--transaction-data") if transaction_data else None,
        anchors=read_anchors(anchor) if anchor is not None else (),
    )  # fmt: skip

    def say(what: dict[str, Any]) -> None:
        if json_lines or "request_uri" not in what:
            print(msgspec.json.encode(what).decode(), flush=True)
            return
        print(what["request_uri"], flush=True)
        if "browser" in what:
            talk.print(f"The browser that asks: {what['browser']}", highlight=False, soft_wrap=True)

    if not _run(lambda: asking.ask_at(url, wanted, say, ca=cacert)):
        raise typer.Exit(1)


@demo_app.command("offer")
def demo_offer(
    person: Annotated[str, typer.Option(help="Key of a person in /demo.json; default: the first one")] = "",
    grant: Annotated[str, typer.Option(help="pre-authorized or authorization-code")] = "pre-authorized",
    document: Annotated[str, typer.Option(help="Document of the country pack; default: the one issued here")] = "",
    tx_code: Annotated[bool, typer.Option("--tx-code", help="Demand a transaction code; printed on stderr")] = False,
    deferred: Annotated[int, typer.Option(help="Seconds somebody looks at it before it is signed", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="All of it: offer, tx_code, what to type to sign in")] = False,
    url: DemoUrl = "http://localhost:8080",
    cacert: DemoCa = None,
) -> None:
    """Open a fresh credential offer in the running demo country, for any wallet of a trusted provider."""
    from .demo_offer import OFFERS, Wanted, knock

    said = knock(url, OFFERS, Wanted(person, grant, document, tx_code, deferred), cacert)
    if as_json:
        typer.echo(msgspec.json.encode(said).decode())
        return
    typer.echo(said["offer"])
    if "tx_code" in said:
        talk.print(f"transaction code: {said['tx_code']}")


@demo_app.command("wallet-provider")
def demo_wallet_provider(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens; the same name gives the same keys")],
    url: DemoUrl = "http://localhost:8080",
    cacert: DemoCa = None,
) -> None:
    """Put a wallet provider on the running demo country's trust list; print its keys and certificates as JSON."""
    from .demo_offer import PROVIDERS, Provided, knock

    typer.echo(msgspec.json.encode(knock(url, PROVIDERS, Provided(name), cacert)).decode())


@demo_app.command("fork")
def demo_fork() -> None:
    """Show two histories of one trust log: the second is refused, the evidence kept. Needs no running country."""
    import structlog

    from .demo_fork import show_fork

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the story alone
    with tempfile.TemporaryDirectory(prefix="mapae-fork-") as folder:
        _run(lambda: show_fork(Path(folder), typer.echo))


@demo_app.command("sandbox")
def demo_sandbox(
    let: Annotated[str, typer.Option(help="Who answers: a key of the list")] = "",
    answer: Annotated[str, typer.Option(help="The question's link, as its QR code says it")] = "",
    fault: Annotated[str, typer.Option(help="How the answer is wrong: one of the list")] = "none",
    url: DemoUrl = "http://localhost:8080",
    cacert: DemoCa = None,
) -> None:
    """Let somebody of the sandbox city answer a question; without options, who and which faults there are."""
    from .demo_sandbox import ask_sandbox

    typer.echo(ask_sandbox(url, let, answer, fault, cacert))


@demo_app.command("later")
def demo_later(
    days: Annotated[int, typer.Argument(help="How many days, 1 to 60")],
    url: DemoUrl = "http://localhost:8080",
    cacert: DemoCa = None,
) -> None:
    """Let days pass for the physical cards of the running demo country: factory, post and waits; nothing else."""
    from .demo_offer import knock
    from .simulators.later import PATH, Days

    said = knock(url, f"{PATH}/days", Days(days), cacert)
    talk.print(f"For physical cards it is {said['now'][:10]} now, {said['ahead']} days ahead of everything else.")


@demo_app.command("reset")
def demo_reset(
    data: Data = "var",
    database: Database = "",
    yes: Annotated[bool, typer.Option("--apply", help="Do not ask")] = False,
) -> None:
    """Forget the demo country: databases, keys and certificates in the data folder, and `--database` if given."""
    from .demo import clear_databases, demo_settings, is_made

    settings, folder = demo_settings(data=data, database=database), Path(data)
    if not is_made(settings) and not database:
        talk.print(f"Nothing to forget: {folder} holds no demo country.", highlight=False)
        return
    what = f"everything in {folder}" + (" and every table of the roles' databases" if database else "")
    if not yes and not typer.confirm(f"Delete {what}? People, cards and keys are lost", err=True):
        talk.print("Nothing was changed.")
        return
    _run(lambda: clear_databases(settings, sure=True))
    if is_made(settings):
        shutil.rmtree(folder)
    typer.echo("forgotten")


@app.command("serve")
def serve(
    roles: Annotated[list[str] | None, typer.Argument(help="Roles to run; default: those of the settings")] = None,
    config: Config = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    metrics_port: Annotated[int, typer.Option(help="Prometheus metrics on this machine; 0: those of the settings")] = 0,
) -> None:
    """Run roles until Ctrl-C: `mapae serve issuer` in production, one process a role."""
    settings = load_settings(config)
    if roles:
        settings = checked(msgspec.structs.replace(settings, roles=tuple(roles)))
    if metrics_port:
        settings = checked(msgspec.structs.replace(settings, metrics_port=metrics_port))
    if not settings.demo and not settings.sms_url and "registers" in settings.roles:
        raise Refused(
            Code.BAD_CONFIG,
            "sms_url: a real installation needs a text message gateway, the simulated one has an inbox anybody can"
            " read; for the demo country write demo = true",
        )
    _run(lambda: _serve(settings, host, port))


@audit_app.command("verify")
def audit_verify(
    config: Config = None,
    data: Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")] = "",
    database: Database = "",
) -> None:
    """Check every role's audit chain; exit code 1 when one is broken."""

    async def work() -> int:
        from .audit import first_broken_link
        from .house import open_database

        settings = load_settings(config)
        settings = msgspec.structs.replace(
            settings, data=data or settings.data, database=database or ("" if data else settings.database)
        )
        broken = 0
        for role in checked(settings).roles:
            if not settings.database and not Path(f"{settings.data}/{role}.db").is_file():
                raise Refused(
                    Code.BAD_CONFIG, f"{settings.data} holds no {role}.db: give --data, --database or --config"
                )
            db = await open_database(settings, role)
            link = await first_broken_link(db)
            await db.close()
            typer.echo(f"{role}: {'whole' if link is None else f'BROKEN at event {link}'}")
            broken += link is not None
        return broken

    if _run(work):
        raise typer.Exit(1)


async def _make_demo(settings: Settings, residents: int) -> None:
    from .demo import prepare, with_shops

    with _progress("making the demo country", residents) as tick:
        if await prepare(with_shops(settings), residents, tick):
            talk.print("A new demo country was made.")


async def _serve_demo(settings: Settings, host: str, port: int, residents: int, tls: bool) -> None:
    with bind(host, port) as listening:
        await _make_demo(settings, residents)
        house = await _open(settings)
        _greet(settings.base_url)
        context = None
        if tls:
            from .demo_tls import authority_file, server_context

            context = server_context(house.foundation)
            talk.print(f"  {'https':8} trust this authority, on this machine only: {authority_file(settings.data)}")
        await _listen(house, listening, context)


async def _serve(settings: Settings, host: str, port: int) -> None:
    with bind(host, port) as listening:
        await _listen(await _open(settings), listening)


async def _open(settings: Settings) -> House:
    from .app import open_house

    if not settings.demo:
        return await open_house(settings)
    from .demo import Demo, found, with_shops

    _must_be_made(settings)
    return await open_house(with_shops(settings), founding=found, more=lambda house: Demo(house).routes())


def _must_be_made(settings: Settings) -> None:
    from .demo import is_made

    if not settings.demo or not is_made(settings):
        raise Refused(
            Code.BAD_CONFIG,
            f"{settings.data} holds no demo country yet: `mapae demo up` makes and runs one, `mapae demo make --config"
            " FILE` makes one for `mapae serve`",
        )


async def _listen(house: House, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    from .serving import LOOPBACK
    from .serving import serve as serve_site

    if not house.settings.metrics_port:
        await serve_site(house.site, listening, begin=house.start, end=house.close, tls=tls)
        return
    from .metrics import metrics_site

    with bind(LOOPBACK, house.settings.metrics_port) as metrics:
        await serve_site(
            house.site, listening, begin=house.start, end=house.close, tls=tls, beside=(metrics_site(house), metrics)
        )


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
        self._bar = Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return lambda done: self._bar.update(self._task, completed=done)

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
