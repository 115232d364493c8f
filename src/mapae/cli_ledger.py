"""`mapae ledger ...`: what the trust log is today, and whether everything in it was asked for.

Promises: results on stdout; claims no more than the engine assures. Trusts: the person at the terminal. Keeps: nothing.
Refuses: to found a log by looking at it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from .clock import SystemClock
from .config import Settings, checked, load_settings
from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .house import House
    from .trust.prover import Proven
    from .trust.registry import Governor, Registry
    from .trust.replica import HttpSource

T = TypeVar("T")
ledger_app = typer.Typer(no_args_is_help=True, help="The trust log: its engine, its witnesses, what is in it.")

Url = Annotated[str, typer.Option("--url", help="A running installation; default: the settings' own database")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")]
Json = Annotated[bool, typer.Option("--json", help="All of it, as JSON")]
LIMIT = 1024 * 1024


@ledger_app.command("status")
def ledger_status(url: Url = "", config: Config = None, data: Data = "", as_json: Json = False) -> None:
    """Which engine, how many operators, how many faults it tolerates; the newest checkpoints and who cosigned when."""

    async def work() -> dict[str, Any]:
        if url:
            return await _asked(url)
        from .trust.standing import standing

        house = await looked_at(settings_of(config, data))
        try:
            return await standing(house.ledger, house.checkpoints)
        finally:
            await house.close()

    said = run(work)
    if as_json:
        typer.echo(msgspec.json.encode(said).decode())
        return
    for line in status_lines(said, int(SystemClock().now().timestamp())):
        typer.echo(line)


@ledger_app.command("deploy")
def ledger_deploy(
    node: Annotated[str, typer.Option("--node", help="JSON-RPC address of a node of the EVM network")],
    config: Config = None,
    data: Data = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this, only say what would be done")] = False,
) -> None:
    """Found the trust log as a contract on an EVM network, with this installation's governors; prints the settings."""

    async def work() -> None:
        from . import onchain
        from .clock import SystemDice
        from .founding import founding_on_chain
        from .house import Foundation, House

        house = House(Foundation(settings_of(config, data), SystemClock(), SystemDice()))
        try:
            f = house.foundation
            await onchain.must_be_new(f)
            founding = await founding_on_chain(house)
            payer = onchain.account_of(f, founding.governors[0][1])
            for address, _ in founding.governors:
                talk.print(f"governor  0x{address.hex()}", highlight=False)
            for role in onchain.SPEAKERS:
                account = onchain.account_of(f, onchain.voice(f, role)).address
                talk.print(f"party     0x{account.hex()}  {role}", highlight=False)
            talk.print(f"{founding.threshold} governors must agree; {founding.delay} s until a party may act")
            talk.print(f"about {await onchain.price(f, node, founding, payer):,} gas, paid by 0x{payer.address.hex()}")
            if not apply:
                talk.print("Nothing was done. Add --apply to deploy.")
                return
            place = await onchain.deploy_log(f, node, founding, payer)
            typer.echo(f'ledger = "{place.setting()}"')
            typer.echo(f'ledger_blocks = "{await onchain.blocks_of(f, node)}"')
        finally:
            await house.close()

    run(work)


@ledger_app.command("audit")
def ledger_audit(url: Url = "", config: Config = None, data: Data = "") -> None:
    """Replay both logs with the rules, and look at what was signed for every entry; exit code 1 when one is wrong."""

    async def work() -> Any:
        from .trust.log.entry import Log
        from .trust.monitor import audit
        from .trust.papers import KeptPapers

        if url:
            async with _client() as http:
                return await _audit_from_afar(_source(http, url))
        house = await looked_at(settings_of(config, data))
        try:
            sizes = {log: (await house.ledger.head(log)).size for log in Log}
            logs = [await house.ledger.entries(log, 0, size) for log, size in sizes.items()]
            from .trust.checkpoints import origin

            papers = KeptPapers(await house.foundation.database("trust"))
            return await audit(logs[0], logs[1], papers, origin(house.settings.base_url))
        finally:
            await house.close()

    found = run(work)
    for wrong in found.wrong:
        typer.echo(f"WRONG {wrong}")
    typer.echo(f"{found.entries} entries, {len(found.wrong)} wrong")
    if found.wrong:
        raise typer.Exit(1)


@ledger_app.command("check")
def ledger_check(
    log: Annotated[str, typer.Argument(help="registry or anchors")],
    index: Annotated[int, typer.Argument(min=0, help="Number of the entry")],
    url: Annotated[str, typer.Option("--url", help="A running installation")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Whose signatures count; default: the log's own")
    ] = None,
    proof: Annotated[Path | None, typer.Option("--proof", help="Keep the proof in this file (C2SP tlog-proof)")] = None,
) -> None:
    """Prove one entry from the log's public files. Give --policy from elsewhere: the log's own proves less."""

    async def work() -> Proven:
        from .trust.log.policy import Policy
        from .trust.prover import prove
        from .trust.replica import NAMES

        wanted = {name: one for one, name in NAMES.items()}.get(log)
        if wanted is None:
            raise Refused(Code.NOT_FOUND, "the logs are registry and anchors")
        async with _client() as http:
            source = _source(http, url)
            text = policy.read_bytes() if policy is not None else await source.get("policy", LIMIT)
            return await prove(lambda path: source.get(f"log/{log}/{path}", LIMIT), Policy.parse(text), wanted, index)

    for line in proven_lines(found := run(work), own=policy is not None):
        typer.echo(line)
    if proof is not None:
        proof.write_bytes(found.proof.encode())


def proven_lines(found: Proven, *, own: bool) -> list[str]:
    """For a person."""
    from .trust.told import Teller

    head = found.cosigned.checkpoint
    lines = [f"entry       {found.entry.index} of {head.origin}: {Teller('en').sentence(found.entry)}"]
    lines.append(f"checkpoint  {head.size} entries, root {head.root.hex()}")
    lines += [f"  {name:20} cosigned {_moment(at)}" for name, at in sorted(found.cosigned.times.items())]
    lines.append(f"path        {len(found.proof.path)} hashes lead from the entry to that root")
    lines.append("proven      by your policy" if own else "proven      by the policy the log itself serves")
    return lines


def status_lines(said: dict[str, Any], now: int) -> list[str]:
    """For a person."""
    lines = [f"engine      {said['engine']}: {said['called']}"]
    lines.append(f"governors   {said['governors']}, {said['threshold']} must agree")
    for name, log in said["logs"].items():
        kept = log.get("checkpoint")
        if log["alarm"]:
            lines.append(f"{name:11} ALARM: {log['alarm']}; nothing is signed, the old checkpoint stands")
        if kept is None:
            lines.append(f"{name:11} {log['size']} entries, no checkpoint a quorum stands behind yet")
            continue
        lines.append(f"{name:11} {log['size']} entries, checkpoint of {kept['size']} with root {kept['root'][:16]}…")
        for witness, at in sorted(kept["cosigned_at"].items()):
            lines.append(f"  {witness:20} cosigned {_moment(at)} ({max(now - at, 0)} s ago)")
        if not kept["cosigned_at"]:
            lines.append("  nobody cosigned: only old replicas would notice a rewritten log")
    lines.append(f"quorum      {said['quorum']}")
    for name, witness in said["witnesses"].items():
        if witness["trouble"]:
            lines.append(f"  {name:20} {witness['trouble']}")
    return lines


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def settings_of(config: Path | None, data: str) -> Settings:
    settings = load_settings(config)
    if data:
        settings = msgspec.structs.replace(settings, data=data, database="")
    return checked(settings)


async def looked_at(settings: Settings) -> House:
    """The log of the settings, without the rest of the house. Raises Refused(BAD_CONFIG) where there is none."""
    from .clock import SystemDice
    from .founding import open_log
    from .house import Foundation, House
    from .trust import ledger_store
    from .trust.log.entry import Log

    if not settings.database and not Path(f"{settings.data}/trust.db").is_file():
        raise Refused(Code.BAD_CONFIG, f"{settings.data} holds no trust.db: give --data, --config or --url")
    house = House(Foundation(settings, SystemClock(), SystemDice()))
    if settings.ledger == "embedded" and not await ledger_store.size(
        await house.foundation.database("trust"), Log.REGISTRY
    ):
        await house.close()
        raise Refused(Code.BAD_CONFIG, "there is no log here yet: start the trust role once, it founds one")
    await open_log(house)
    return house


def _client() -> Any:
    import httpx

    return httpx.AsyncClient(timeout=20, trust_env=False)


def _source(http: Any, url: str) -> HttpSource:
    from .trust.replica import HttpSource

    return HttpSource(http, f"{url.rstrip('/')}/trust")


async def _asked(url: str) -> dict[str, Any]:
    from .formats.jose import decode_json

    async with _client() as http:
        return decode_json(await _source(http, url).get("ledger", LIMIT), limit=LIMIT)


async def _audit_from_afar(source: HttpSource) -> Any:
    """By the checkpoints it publishes itself, and by the policy it serves: this shows what is in the logs, not that
    everybody is shown the same ones."""
    from .trust.log.entry import Log
    from .trust.log.policy import Policy
    from .trust.monitor import audit
    from .trust.replica import Replica

    policy = Policy.parse(await source.get("policy", LIMIT))
    replicas = []
    for log, key in zip(Log, policy.logs, strict=True):
        replica = Replica(policy, key.name, log)
        await replica.follow(source, 0)
        replicas.append(replica)
    origin = policy.logs[0].name.rpartition("/")[0]
    return await audit(replicas[0].entries, replicas[1].entries, source, origin)


def on_registry(
    config: Path | None, data: str, work: Callable[[House, Registry], Awaitable[T]], country: str = ""
) -> T:
    """The registry of the settings, without the rest of the house."""

    async def opened() -> T:
        from .app import registry_of

        settings = settings_of(config, data)
        house = await looked_at(msgspec.structs.replace(settings, country=country) if country else settings)
        try:
            return await work(house, await registry_of(house))
        finally:
            await house.close()

    return run(opened)


def governor_of(house: House, name: str, uri: str) -> Governor:
    from .trust.registry import Governor

    folder = house.foundation.data / "keys" / name
    if uri.startswith("file:") and not folder.is_dir():
        raise Refused(
            Code.BAD_CONFIG, f"there is no key of {name} in {folder}: is the name right? A key elsewhere is named with"
            " --key pkcs11:..."
        )  # fmt: skip
    return Governor(name, house.foundation.keys(name).signer(uri))
