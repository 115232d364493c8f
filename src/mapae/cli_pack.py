"""`mapae pack ...`: the offline pack, made, fetched, checked and told in words.

Promises: results on stdout, talk on stderr; a file is replaced in one step or not at all; `verify` says every step, and
which one failed. Trusts: the person at the terminal, for the policy; a policy that came with the first pack is said to
be trusted on first use. Keeps: what `--folder` holds. Refuses: a pack that does not open, an older one, a fork.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from .clock import SystemClock
from .config import load_settings
from .errors import Code, Refused
from .terminal import run
from .trust.pack import format
from .trust.pack.format import Pack
from .trust.pack.verify import POLICY, STEPS, Opened, open_pack

pack_app = typer.Typer(no_args_is_help=True, help="The offline pack: what a checker without a network lives on.")

PackFile = Annotated[Path, typer.Argument(help="A pack")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="The policy to hold it to (C2SP tlog-policy); default: the pinned one")
]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Folder = Annotated[Path, typer.Option("--folder", help="Where a checker keeps its pack, its policy and its clock")]
Json = Annotated[bool, typer.Option("--json", help="All of it, as JSON")]


@pack_app.command("build")
def pack_build(
    out: Annotated[Path | None, typer.Option("--out", help="Also write the pack to this file")] = None,
    config: Config = None,
) -> None:
    """Make and publish the next pack of this installation's trust role, now."""

    async def work() -> Pack:
        import structlog

        from .app import open_house

        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the result alone
        settings = load_settings(config)
        house = await open_house(msgspec.structs.replace(settings, roles=("trust",)))
        try:
            return await house.packs.publish()
        finally:
            await house.close()

    pack = run(work)
    raw = pack.encode()
    if out is not None:
        write(out, raw)
    typer.echo(f"pack {pack.manifest.number}: {len(raw):,} bytes, {pack.id.hex()}")
    for stream in pack.manifest.late:
        _say(f"late: the publisher of {stream.hex()[:16]}… did not answer; its last epoch is in the pack")


@pack_app.command("fetch")
def pack_fetch(
    url: Annotated[str, typer.Option("--url", help="Where the trust role answers")] = "http://localhost:8080",
    folder: Folder = Path("pack"),
    policy: PolicyFile = None,
) -> None:
    """Fetch the newest pack, or what changed since the one that is there; check it; put it in its place."""

    async def work() -> None:
        import httpx

        from .trust.pack.keep import Keeper

        keeper = Keeper(folder, _text(policy) if policy is not None else None)
        try:
            keeper.reopen()
        except Refused as refused:
            _say(f"the pack in {folder} does not hold ({refused.code.value}: {refused.detail}); fetching it whole")
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            try:
                got = await keeper.fetch(http, url.rstrip("/"))
            except OSError as error:
                raise Refused(
                    Code.BAD_CONFIG, f"{folder} cannot be written: {error.strerror}; choose another"
                ) from None
        if got.taken is None:
            typer.echo("nothing newer")
            return
        if got.pinned:
            _say(
                f"trust on first use: {folder / POLICY} came with this pack and is pinned from now on. Compare it with"
                " one from another source, or give --policy."
            )
        kind = "what changed" if got.delta else "whole"
        typer.echo(f"pack {got.taken.pack.manifest.number}, {kind}: {got.octets:,} bytes")

    run(work)


@pack_app.command("verify")
def pack_verify(file: PackFile, policy: PolicyFile = None) -> None:
    """Every numbered step, and how old what it says is; exit code 1 when one fails."""
    raw, held_to = _read(file), _policy(file, policy)
    try:
        opened = open_pack(raw, held_to)
    except Refused as refused:
        done = STEPS.index(refused.step) if refused.step in STEPS else 0
        for number, name in enumerate(STEPS[:done], 1):
            typer.echo(f"{number} {name}: good")
        typer.echo(f"{done + 1} {STEPS[done]}: FAILED: {refused.code.value}: {refused.detail}")
        raise typer.Exit(1) from None
    for number, name in enumerate(STEPS, 1):
        typer.echo(f"{number} {name}: good")
    at = SystemClock().now().timestamp()
    typer.echo(f"registry: as of {_moment(opened.as_of)}, {_ago(at - opened.as_of)}")
    for status in opened.statuses:
        typer.echo(f"status of {status.publisher}: as of {_moment(status.as_of)}, {_ago(at - status.as_of)}")


@pack_app.command("inspect")
def pack_inspect(file: PackFile, policy: PolicyFile = None, as_json: Json = False) -> None:
    """What a pack says, in words. It is opened by all steps first."""
    opened = open_pack(_read(file), _policy(file, policy))
    told = _told(opened)
    if as_json:
        typer.echo(msgspec.json.encode(told).decode())
        return
    for line in _lines(told):
        typer.echo(line)


@pack_app.command("doubtful")
def pack_doubtful(config: Config = None, as_json: Json = False) -> None:
    """Which presentations accepted without a network are doubtful by now. Whose they were is not kept."""

    async def work() -> Any:
        from .house import open_database
        from .verifier.asking.doubt_store import report

        db = await open_database(load_settings(config), "verifier")
        try:
            return await report(db)
        finally:
            await db.close()

    found = run(work)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        typer.echo(f"{_moment(one.at)}  {one.purpose}  {one.doubt.value}")
    _say(f"{len(found)} doubtful")


# --- telling ----------------------------------------------------------------------------------------------------------


def _told(opened: Opened) -> dict[str, Any]:
    manifest, checkpoint = opened.pack.manifest, opened.registry.checkpoint
    return {
        "number": manifest.number,
        "id": opened.pack.id.hex(),
        "made": manifest.made,
        "bytes": len(opened.pack.encode()),
        "log": checkpoint.origin,
        "entries": checkpoint.size,
        "anchors": opened.anchors.checkpoint.size,
        "as_of": opened.as_of,
        "cosigned": dict(opened.registry.times),
        "issuers": [issuer.id for issuer in opened.trust_list.issuers],
        "signers": len(opened.trust_list.signers),
        "revoked_signers": sum(one.revoked_at is not None for one in opened.trust_list.signers),
        "revoked_readers": len(opened.trust_list.revoked_readers),
        "status": [
            {
                "publisher": status.publisher, "epoch": status.seq, "lists": len(status.lists), "as_of": status.as_of,
                "late": status.late,
            }
            for status in opened.statuses
        ],
    }  # fmt: skip


def _lines(told: dict[str, Any]) -> list[str]:
    witnesses = ", ".join(f"{name} {_moment(at)}" for name, at in told["cosigned"].items())
    lines = [
        f"pack {told['number']}, {told['bytes']:,} bytes, made {_moment(told['made'])}",
        f"log {told['log']}: {told['entries']:,} entries; {told['anchors']:,} anchors",
        f"a quorum of witnesses vouches for {_moment(told['as_of'])}; cosigned by {witnesses}",
        f"issuers: {', '.join(told['issuers']) or 'none'}",
        f"signers: {told['signers']:,}, of which revoked: {told['revoked_signers']:,}; revoked relying parties:"
        f" {told['revoked_readers']:,}",
    ]
    for one in told["status"]:
        late = ", LATE: its publisher did not answer" if one["late"] else ""
        of = f"status of {one['publisher']}: epoch {one['epoch']}, {one['lists']} lists"
        lines.append(f"{of}, as of {_moment(one['as_of'])}{late}")
    return lines


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _ago(seconds: float) -> str:
    if seconds < 0:
        return f"{-seconds:,.0f} s AHEAD of this machine's clock: set the clock, or do not use this pack"
    minutes = seconds / 60
    return f"{minutes:,.0f} min ago" if minutes < 120 else f"{minutes / 60:,.1f} h ago"


# --- files ------------------------------------------------------------------------------------------------------------


def _policy(file: Path, given: Path | None) -> Any:
    """The one given, or the one pinned beside the pack. A pack never vouches for itself."""
    from .trust.log.policy import Policy

    path = given or file.with_name(POLICY)
    if not path.is_file():
        raise Refused(
            Code.BAD_CONFIG, f"there is no policy to hold the pack to: give --policy FILE, or put one at {path}"
        )
    return Policy.parse(_text(path))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > format.LIMIT:
            raise Refused(Code.TOO_LARGE, f"{path} is too large to be an offline pack")
        return path.read_bytes()
    except OSError as error:
        raise Refused(Code.BAD_CONFIG, f"{path} cannot be read: {error.strerror}; check the path") from None


def _text(path: Path) -> str:
    return _read(path).decode("utf-8", "replace")


def write(path: Path, raw: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(raw)
    draft.replace(path)


def _say(words: str) -> None:
    typer.echo(words, err=True)
