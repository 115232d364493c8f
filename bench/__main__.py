"""`python -m bench`: measure, print the ratios, rewrite docs/performance.md."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import ROOT, checks, country, library, offline, pack, page, requests, starts, status, tokens
from bench.harness import QUICK, Effort, Figure, Raw, machine

SCRIPTS: dict[str, Callable[[Raw, Effort], list[Figure]]] = {
    "library": library.figures,
    "requests": requests.figures,
    "checks": checks.figures,
    "tokens": lambda raw, effort: tokens.figures(effort),
    "status": status.figures,
    "pack": pack.figures,
    "offline": offline.figures,
    "starts": lambda raw, effort: starts.figures(effort),
    "country": country.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything runs; write nothing")
    parser.add_argument("--only", choices=sorted(SCRIPTS), action="append", help="measure only this; write nothing")
    parser.add_argument("--out", type=Path, help="write the page here (default: docs/performance.md)")
    given = parser.parse_args()
    console, effort, raw = Console(), QUICK if given.quick else Effort(), Raw()
    facts = machine()
    figures: list[Figure] = []
    for name in given.only or SCRIPTS:
        gc.collect()
        gc.freeze()  # as a server does once it is built (cli.py); for peers in this process the same
        with console.status(f"measuring: {name}"):
            figures += SCRIPTS[name](raw, effort)
    times = raw.times(effort)
    page.show(figures, times, console)
    whole = not given.quick and not given.only
    if given.out or whole:
        out = given.out or ROOT / "docs" / "performance.md"
        day = datetime.now(UTC).date().isoformat()
        for name, picture in page.pictures(figures).items():
            (out.parent / name).write_text(picture, encoding="utf-8")
        out.write_text(page.write(figures, times, facts, "make bench", day), encoding="utf-8")
        console.print(f"written: {out.name}")


if __name__ == "__main__":
    main()
