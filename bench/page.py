"""The results for people: a table in the terminal, and docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from bench.harness import Figure, Rival, Spread
from bench.pictures import Bar, Group, bars
from bench.rivals import UNCHECKED

GROUPS = {
    "library": "Formats",
    "protocol": "Whole requests over HTTP",
    "storage": "Durable writes",
    "status": "Status lists of a nation",
    "pack": "The offline pack of a nation",
    "offline": "A whole offline check, from the codes a phone shows",
    "over HTTP": "Whole stories over HTTP",
    "starting": "Starting",
}
PICTURES = {
    "library": (
        "performance-formats.svg",
        "Formats: how near to the limit of one core",
        "1.0: nothing but the signatures",
    ),
    "protocol": (
        "performance-http.svg",
        "Requests over HTTP: how near to the limit",
        "1.0: nothing but the signatures",
    ),
    "offline": (
        "performance-offline.svg",
        "Offline checks: how near to the limit of one core",
        "1.0: nothing but the signatures",
    ),
    "storage": ("performance-tokens.svg", "One-time tokens", "1.0: plain sqlite3, not durable"),
}

MEANS = """\
## What the ratios mean

A ratio is *the least work anybody on this machine must do* divided by *what ours takes*. 1.00 is the limit, 0.50 means
twice the limit. It is the median over rounds in which both were measured in turn; brackets hold the middle half of the
rounds. Absolute times moved by a third and more between runs on the same machine; ratios by far less.

* **Verify one presentation.** Limit: two raw ECDSA P-256 verifications, the issuer's seal and the holder's proof. Ours:
  `mapae.verifier.checking.check.check`: parsing, certificate chain (remembered from the copy before), seal, every
  digest, holder's proof, dates, status, exactly the items asked.
* **Issue one credential.** Limit: one raw signature. Ours: salts, digests, encoding, signature; no lint, no database.
* **Draft, lint and sign a batch.** Limit: ten raw signatures. Ours: ten copies of the whole card with its portrait,
  drafted, linted (parsed back and compared with the facts) and signed.
* **OpenID4VP response.** Limit: two raw verifications and one ECDH. Ours: CPU of the server's process for the wallet's
  POST alone: read, decrypted, checked (all six steps), stored durably, answered. Bursts of four dozen.
* **OpenID4VCI credential requests.** Limit: twenty raw signatures and ten verifications. Ours: CPU of the server's
  process for the two POSTs of one visit, ten SD-JWT VCs and ten mdocs with their portrait: token, DPoP and key
  attestation checked, drafted, linted, recorded, signed, recorded, answered.
* **A check put, answered and redeemed.** Limit: two raw verifications and one ECDH. Ours: CPU of the server's process
  for the three POSTs of a question for anyone: `/v1/anyone/checks` (a key made for it, the private half sealed, stored
  durably), the wallet's encrypted answer (decrypted, all six steps, stored durably), `redeem` (in the session that
  asked, read once). All is made beforehand and sent in bursts, many requests at a time. The column of two cores is by
  the wall clock: two servers, each with its own database, and the load generator on the same cores. The peer answers
  the same three POSTs; it signs its request, as ours for anyone may not, and keeps all in memory. What eats the rest:
  three times the way through the HTTP server, and what is read and written in the database; a fresh key a question,
  and its private half sealed and opened again; then the check as above.
* **Counter issuance.** Limit: twenty raw signatures and the eleven proofs nobody can leave out. Ours: CPU of the
  server's process for one visit, all roles in it: the officer's pages (find, two checks, file, QR) and the wallet's
  requests for ten SD-JWT VC and ten mdoc copies. The wallet's half is the same without the officer's pages.
* **Shop check.** Limit: two raw verifications and one ECDH. Ours: CPU of the server's process for one check: the till's
  pages, the QR drawn, the signed request, the encrypted answer, the six steps, the verdict.
* **One-time token.** Limit: plain `sqlite3`, NORMAL, autocommit, no event loop. Ours: `db.write` with FULL durability,
  64 tasks at once: write a token, consume it exactly once. Wall time, because the disk is part of it. Transactions
  that wait share one commit, so this one may pass 1.00.
* **A lock, until all its lists are signed anew.** Limit: one durable commit of one row, and for each of the four lists
  one compression and one signature. Ours: `Issuer.lock` (twenty copies, sessions, audit, the promise to tell the wallet
  provider) and then every list it touched, as a fetch gets it. All 104 lists are whole, one copy in a hundred not
  valid; of their tickets as many are on disk as the row says.
* **An epoch.** Limit: one durable commit, four compressions, one signature. Ours: `Epochs.cut`: what changed in all
  lists at one moment, those lists packed, the root over all, the statement for the log, all stored.
* **A whole pack.** Limit: every part of it unfolded and hashed once. Ours: `open_pack`, all eight steps: the same, the
  registry log folded by its rules, three cosignatures on each head, the trust list, every list against the anchored
  root. One place for each of 52 million people; with one-time copies as many lists again for each copy.
* **One check from a pack.** Limit: two raw verifications. Ours: `check` with what an opened pack says, tier and all.
* **QR texts to verdict.** Limit: two raw verifications. Ours: `mapae.verify`: base45, DEFLATE and CBOR of all codes,
  the six steps with what an opened pack says, the memory of spent codes; each time another copy of the card. The peers
  are handed what our check finds in the codes, with the audience, nonce or transcript of a code: they verify the same
  two signatures and digests; they read no code, pack or status list and remember no code. What eats the rest: the check
  as in *Verify one presentation* (its chain is remembered here, too); then reading the codes, about a sixth of the
  whole, and what the pack has to say, a fiftieth.
* **A step to the next pack.** Limit: as for a whole pack. Ours: the changed lists made from the old ones and what
  differs, compressed for the disk, everything unfolded and hashed again.
* **Starts.** Limit: a Python that imports the same outside modules and ends. Ours: CPU of `mapae demo up` until its
  start page answers; and of a Python that imports `mapae.formats`.
"""

NEEDED = """\
## What is not reached, and what it would take

What the figures above call *not reached*, and why, as far as it was found out.

* **Verify one presentation.** The signatures are C; what is left is a few hundred small steps of Python, none over four
  in a hundred, and after each signature they run about half as fast again as alone (cold caches). Loading the holder's
  key, new with every copy, and its first use is a seventh of a verification that nobody can leave out. A bare script,
  two verifications with base64 and JSON and *no* chain, dates, status, query or search for members that come twice,
  reaches 0.73 on the machine this was written on: with all checks, 0.70 is out of reach for Python there. Compiling the
  same modules (mypyc) was tried and brought nothing, for the work lies in the calls to other libraries and their
  objects. It would take one parser in native code that reads, checks and cuts in a single call.
* **With AWS-LC, and eight at a time.** The same Python around faster signatures, so it weighs more: the same parser.
* **Issue one SD-JWT VC.** Twelve digests and as many encodings take about as long as the signature. Copies of a batch
  share what they can (`sd_jwt.hidden`); a single credential has nobody to share with.
* **OpenID4VP response.** One request at a time pays for its own durable commit, and that is more than its signatures;
  under load a commit is shared by all that wait. Then come the framework, the decryption, and the check as above.
* **OpenID4VCI credential requests.** Three durable commits (what the register handed over, what is meant to be signed,
  what was signed) and forty rows in tables with the indexes that make a key and a place in a list unique forever; the
  register's answer under signatures of its own; twenty drafts read back byte for byte before any key is near. The
  ten steps of [issuing](issuing.md) are the price. It would take fewer indexes, the register's work counted where it
  is done (in production it is another process), and signatures in batches.
"""

NOTES = """\
## Read with care

* The limit is OpenSSL through `cryptography`, also in the rows with another engine: that is how they can pass 1.00.
* The faster the machine's P-256, the lower these ratios: what surrounds the signatures is Python. Compare ratios of
  one machine only, and a change with its parent on the same machine.
* The profiles come from `cProfile`, which makes Python look slower than C. The share of raw P-256 in library calls is
  the measured ratio itself; in the HTTP stories all shares are the profiler's.
* Every peer gets the bytes ours gets, in the same rounds, with keys and certificates parsed once where its interface
  takes them, and node:crypto instead of WebCrypto. CPU of the peer's whole process is counted, its threads included.
  What each does not check stands below; ours checks all of it.
* On two cores, two processes work at once, and so do two of the limit's: by the wall clock for formats and for checks
  that are put, answered and redeemed, by the CPU time of one request for other whole requests.
* Over HTTP everything of a country runs in one process on the loopback, rate limits are off, no TLS, and wallets are
  the Python ones of `mapae.holder`, whose time is not counted. Roles call each other through the same signed messages
  as in production; that is counted. Portraits are drawn beforehand: a real register has them.
* The wall clock of a start depends on what else the machine does; its CPU time hardly. Compare the load average above
  with the number of cores.
"""


def show(figures: Sequence[Figure], raw: Mapping[str, Spread], console: Console) -> None:
    table = Table(title="1.00 is the limit of this machine", caption=_raw_line(raw))
    table.add_column("figure, against its limit", overflow="fold")
    for name in ("ratio", "two cores", "to reach", "ours"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, title in GROUPS.items():
        some = [figure for figure in figures if figure.group == group]
        if not some:
            continue
        table.add_section()
        table.add_row(f"[bold]{title}[/]")
        for figure in some:
            peers = "".join(f"; {peer.faster.middle:.1f}x {peer.name}" for peer in figure.peers)
            table.add_row(
                f"{figure.name}\n[dim]  {figure.against}{peers}[/]", f"[bold]{_ratio(figure.ratio.middle)}[/]",
                _two(figure.two), _aim(figure).replace("*", ""), f"{seconds(figure.ours)} {figure.clock}",
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
        *[
            _section(group, title, [figure for figure in figures if figure.group == group])
            for group, title in GROUPS.items()
        ],
        MEANS.strip(),
        "## Where the time goes",
        _profiles(figures),
        NEEDED.strip() if any(_missed(figure) for figure in figures) else "",
        NOTES.strip() + "\n" + "\n".join(f"* `{name}` checks {left_out}." for name, left_out in UNCHECKED.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(raw: Mapping[str, Spread], facts: Mapping[str, str], command: str, day: str) -> str:
    rows = [("measured on", day), *facts.items(), ("raw P-256", _raw_line(raw)), ("command", f"`{command}`")]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _section(group: str, title: str, figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    head = [
        "| hot path | the limit, 1.0 | ratio | middle half | two cores | to reach | limit's time | our time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [
        f"| {figure.name} | {figure.against} | **{_ratio(figure.ratio.middle)}** | {_half(figure)} | "
        f"{_two(figure.two)} | {_aim(figure)} | {seconds(figure.limit)} | {seconds(figure.ours)} {figure.clock} |"
        for figure in figures
    ]
    notes = [f"* {figure.name}: {figure.note}." for figure in figures if figure.note]
    picture = [f"![{PICTURES[group][1]}]({PICTURES[group][0]})", ""] if group in PICTURES else []
    peers = _peers(figures)
    parts = [
        f"### {title}",
        "",
        *picture,
        *head,
        *rows,
        *(["", *peers] if peers else []),
        *(["", *notes] if notes else []),
    ]
    return "\n".join(parts)


def _peers(figures: Sequence[Figure]) -> list[str]:
    rows = [
        f"| {figure.name} | {peer.name} | {_ratio(peer.ratio.middle)} | {_two(peer.two)} | "
        f"**{peer.faster.middle:.1f}x** | {peer.faster.low:.1f} .. {peer.faster.high:.1f} | {_wanted(peer)} |"
        for figure in figures
        for peer in figure.peers
    ]
    head = [
        "| hot path | peer | its ratio | two cores | ours is so many times as fast | middle half | to reach |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return [*head, *rows] if rows else []


def pictures(figures: Sequence[Figure]) -> dict[str, str]:
    """The pictures of the page, by file name."""
    drawn = {}
    for group, (file, title, limit) in PICTURES.items():
        some = [figure for figure in figures if figure.group == group]
        if some:
            unit = "work of the limit divided by the time taken; longer is faster"
            drawn[file] = bars(title, unit, [_bars(figure) for figure in some], limit=limit)
    return drawn


def _bars(figure: Figure) -> Group:
    others = [Bar(peer.name, peer.ratio.middle) for peer in figure.peers]
    return Group(f"{figure.name} (limit: {figure.against})", [Bar("mapae", figure.ratio.middle, ours=True), *others])


def _missed(figure: Figure) -> bool:
    return figure.target is not None and figure.ratio.middle < figure.target


def _aim(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{figure.target:.2f}, {'**not reached**' if _missed(figure) else 'reached'}"


def _wanted(peer: Rival) -> str:
    if peer.wanted is None:
        return ""
    return f"{peer.wanted:g}x, {'reached' if peer.faster.middle >= peer.wanted else '**not reached**'}"


def _two(spread: Spread | None) -> str:
    return "" if spread is None else _ratio(spread.middle)


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
