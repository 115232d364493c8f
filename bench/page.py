"""The results for people: a table in the terminal, and docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from bench.harness import Figure, Spread

GROUPS = {
    "library": "Library calls",
    "over HTTP": "Whole stories over HTTP",
    "storage": "Durable writes",
    "starting": "Starting",
}

MEANS = """\
## What the ratios mean

A ratio is *the least work anybody on this machine must do* divided by *what ours takes*. 1.00 is the limit, 0.50 means
twice the limit. It is the median over rounds in which both were measured in turn; brackets hold the middle half of the
rounds. Absolute times moved by a third and more between runs on the same machine; ratios by far less.

* **Verify one presentation.** Limit: two raw ECDSA P-256 verifications, the issuer's seal and the holder's proof. Ours:
  `mapae.verifier.check.check`: parsing, certificate chain (remembered from the copy before), seal, every digest,
  holder's proof, dates, status, exactly the items asked.
* **Issue one credential.** Limit: one raw signature. Ours: salts, digests, encoding, signature; no lint, no database.
* **Draft, lint and sign a batch.** Limit: ten raw signatures. Ours: ten copies of the whole card with its portrait,
  drafted, linted (parsed back and compared with the facts) and signed.
* **Counter issuance.** Limit: twenty raw signatures and the eleven proofs nobody can leave out. Ours: CPU of the
  server's process for one visit, all roles in it: the officer's pages (find, two checks, file, QR) and the wallet's
  requests for ten SD-JWT VC and ten mdoc copies. The wallet's half is the same without the officer's pages.
* **Shop check.** Limit: two raw verifications and one ECDH. Ours: CPU of the server's process for one check: the till's
  pages, the QR drawn, the signed request, the encrypted answer, the six steps, the verdict.
* **One-time token.** Limit: plain `sqlite3`, NORMAL, autocommit, no event loop. Ours: `db.write` with FULL durability,
  64 tasks at once: write a token, consume it exactly once. Wall time, because the disk is part of it. Transactions
  that wait share one commit, so this one may pass 1.00.
* **Starts.** Limit: a Python that imports the same outside modules and ends. Ours: CPU of `mapae demo up` until its
  start page answers; and of a Python that imports `mapae.formats`.
"""

NOTES = """\
## Read with care

* The limit is OpenSSL through `cryptography`, one core. Other engines are faster (AWS-LC about 1.3 times, eight lanes
  of AVX-512 about four times); they can sit behind the same sign and verify calls.
* The faster the machine's P-256, the lower these ratios: what surrounds the signatures is Python. Compare ratios of
  one machine only, and a change with its parent on the same machine.
* The profiles come from `cProfile`, which makes Python look slower than C. The share of raw P-256 in library calls is
  the measured ratio itself; in the HTTP stories all shares are the profiler's.
* The peer `sd-jwt` is handed the keys and does not check a certificate chain, dates, status or surplus disclosures.
* Over HTTP everything runs in one process on the loopback, rate limits are off, no TLS, and wallets are the Python ones
  of `mapae.holder`, whose time is not counted. Roles call each other through the same signed messages as in
  production; that is counted. Portraits are drawn beforehand: a real register has them.
* The wall clock of a start depends on what else the machine does; its CPU time hardly. Compare the load average above
  with the number of cores.
"""


def show(figures: Sequence[Figure], raw: Mapping[str, Spread], console: Console) -> None:
    table = Table(title="1.00 is the limit of this machine", caption=_raw_line(raw))
    table.add_column("figure, against its limit", overflow="fold")
    for name in ("ratio", "middle half", "limit", "ours"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, title in GROUPS.items():
        some = [figure for figure in figures if figure.group == group]
        if not some:
            continue
        table.add_section()
        table.add_row(f"[bold]{title}[/]")
        for figure in some:
            peer = f"; {figure.peer}" if figure.peer else ""
            table.add_row(
                f"{figure.name}\n[dim]  {figure.against}{peer}[/]", f"[bold]{_ratio(figure.ratio.middle)}[/]",
                _half(figure), seconds(figure.limit), f"{seconds(figure.ours)} {figure.clock}",
            )  # fmt: skip
    console.print(table)


def write(
    figures: Sequence[Figure], raw: Mapping[str, Spread], facts: Mapping[str, str], command: str, day: str
) -> str:
    """docs/performance.md."""
    parts = [
        "# Performance",
        "Written by `make bench`; do not edit by hand. Every figure is a ratio to what this machine could do at best.",
        _machine(raw, facts, command, day),
        "## Figures",
        *[_section(title, [figure for figure in figures if figure.group == group]) for group, title in GROUPS.items()],
        MEANS.strip(),
        "## Where the time goes",
        _profiles(figures),
        NOTES.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(raw: Mapping[str, Spread], facts: Mapping[str, str], command: str, day: str) -> str:
    rows = [("measured on", day), *facts.items(), ("raw P-256", _raw_line(raw)), ("command", f"`{command}`")]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _section(title: str, figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    head = [
        "| figure | ratio | middle half | the limit | limit's time | our time | peer |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [
        f"| {figure.name} | **{_ratio(figure.ratio.middle)}** | {_half(figure)} | {figure.against} | "
        f"{seconds(figure.limit)} | {seconds(figure.ours)} {figure.clock} | {figure.peer} |"
        for figure in figures
    ]
    notes = [f"* {figure.name}: {figure.note}." for figure in figures if figure.note]
    return "\n".join([f"### {title}", "", *head, *rows, *([""] if notes else []), *notes])


def _profiles(figures: Sequence[Figure]) -> str:
    rows = [
        f"| {figure.name} | {', '.join(f'{kind} {share:.0%}' for kind, share in figure.parts)} |"
        for figure in figures
        if figure.parts
    ]
    return "\n".join(["| hot path | shares of its time |", "| --- | --- |", *rows])


def _raw_line(raw: Mapping[str, Spread]) -> str:
    return ", ".join(f"one {kind} {seconds(spread.middle)}" for kind, spread in raw.items())


def _half(figure: Figure) -> str:
    return f"{_ratio(figure.ratio.low)} .. {_ratio(figure.ratio.high)}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"
