"""`mapae drill ...`: rehearse what must not happen, in a country of its own.

Promises: results on stdout, talk on stderr; exit code 1 when anything was not as promised. Trusts: the person at the
terminal. Keeps: nothing, or with `--keep` the folder of the country. Refuses: to touch a country that is there already.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .terminal import run

if TYPE_CHECKING:
    from .drill import Finding, Report

drill_app = typer.Typer(no_args_is_help=True, help="Rehearse what must not happen, in a country made for it.")


@drill_app.command("dark")
def drill_dark(
    country: Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder")] = "kr",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end, and nothing else")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the country's folder, and say where it is")] = False,
) -> None:
    """Cut issuer, status and log off for weeks; show what still works and what waits; restore; count. Exit code 1:
    something was not as promised."""
    import structlog

    # What fails in the dark is the drill's to tell, not the log's.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    out, talk = Console(stderr=as_json, highlight=False), Console(stderr=True, highlight=False)
    talk.print("Making a country: keys, log, witnesses, people, shops...")
    folder = Path(tempfile.mkdtemp(prefix="mapae-drill-"))
    try:
        report = run(lambda: _dark(folder, country, lambda finding: _line(out, finding)))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        typer.echo(msgspec.json.encode({"good": report.good, **msgspec.to_builtins(report)}).decode())
    else:
        _tables(out, report)
    if keep:
        talk.print(f"The country is in {folder}")
    if not report.good:
        raise typer.Exit(1)


async def _dark(folder: Path, country: str, say: object) -> Report:
    from .drill import dark
    from .drill_country import World

    world = await World.make(str(folder / "var"), country)
    try:
        return await dark(world, say)  # type: ignore[arg-type]
    finally:
        await world.close()


def _line(out: Console, finding: Finding) -> None:
    mark = "[green]ok[/] " if finding.good else "[red]BAD[/]"
    out.print(f"{mark} {finding.when:9} {finding.who:16} {escape(finding.what)}", soft_wrap=True)


def _tables(out: Console, report: Report) -> None:
    from .drill import MOMENTS

    table = Table(title="What a counter without a network says, by the age of its pack")
    table.add_column("question")
    for label in MOMENTS:
        table.add_column(label)
    for kind, verdicts in report.verdicts.items():
        table.add_row(kind, *[verdicts.get(label, "") for label in MOMENTS])
    out.print(table)
    if report.before is not None and report.after is not None:
        counted = Table(title="Counted")
        for column in ("", "before", "after"):
            counted.add_column(column)
        after = msgspec.to_builtins(report.after)
        for name, number in msgspec.to_builtins(report.before).items():
            counted.add_row(name, str(number), str(after[name]))
        out.print(counted)
    bad = sum(not finding.good for finding in report.findings)
    lines = len(report.findings)
    out.print(f"[green]{lines} of {lines} as promised[/]" if not bad else f"[red]{bad} of {lines} not as promised[/]")
