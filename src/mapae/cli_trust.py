"""`mapae trust ...`: who is in the registry, and two governors behind every change of it.

Promises: results on stdout, talk on stderr; what changes the registry prints its plan and stops unless `--apply`; an
error ends with what to try next. Works on the data folder or the database of the settings while the roles run. Trusts:
the person at the terminal to hold the governor's key he names. Keeps: nothing. Refuses: what the registry and the rules
of the log refuse.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from .cli_files import ENTRY_HELP, read_entry, read_key
from .cli_ledger import governor_of, on_registry
from .errors import Code, Refused
from .formats.jose import unb64u
from .terminal import must_stop, talk

if TYPE_CHECKING:
    from .house import House
    from .trust.publish import TrustList
    from .trust.registry import Agreed, Proposal, Registry

T = TypeVar("T")
trust_app = typer.Typer(no_args_is_help=True, help="The registry: who may issue, who may ask, whose keys count.")

LAST = 253_370_764_800  # the year 9999: a party may enter any number below 2^64 as an end, and a calendar ends there
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")]
By = Annotated[str, typer.Option("--as", help="The governor who acts: governor-1")]
Key = Annotated[
    str, typer.Option("--key", help="URI of the governor's key: file:voice in the data folder's keys, or pkcs11:...")
]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, only the plan is printed")]
Why = Annotated[str, typer.Option("--reason", help="superseded, ceased, compromised or withdrawn")]
Since = Annotated[
    str, typer.Option("--since", help="2026-11-26T09:00:00Z, for what was compromised earlier; default: now")
]


# --- reading ----------------------------------------------------------------------------------------------------------


@trust_app.command("list")
def trust_list(config: Config = None, data: Data = "") -> None:
    """Everybody who is in the registry now, and the certificates that count."""

    async def work(house: House, registry: Registry) -> None:
        for line in lines_of((await registry.published()).list, await registry.entries()):
            typer.echo(line)

    on_registry(config, data, work)


@trust_app.command("show")
def trust_show(
    name: Annotated[str, typer.Argument(help="Kind and id: issuer:issuer, relying_party:hanbit_mart; or a proposal")],
    config: Config = None,
    data: Data = "",
) -> None:
    """One entry, or one proposal with what each governor signed, as JSON."""

    async def work(house: House, registry: Registry) -> None:
        from .trust.entries import registry_id

        for entry in await registry.entries():
            if registry_id(entry) == name:
                listed = (await registry.published()).list
                signers = [signer for signer in listed.signers if signer.issuer == name]
                _print({"kind": name.partition(":")[0], "entry": entry, "signers": signers})
                return
        try:
            proposed, votes = await registry.proposal(name)
        except Refused:
            raise Refused(
                Code.NOT_FOUND, f"{name} is nothing in the registry: `mapae trust list` and `mapae trust waiting` say"
                " what is"
            ) from None  # fmt: skip
        _print({"proposal": proposed, "signed": [{"governor": one.governor, "jws": one.signed} for one in votes]})

    on_registry(config, data, work)


@trust_app.command("waiting")
def trust_waiting(config: Config = None, data: Data = "") -> None:
    """Proposals that governors have to decide, and changes that wait for the log."""

    async def work(house: House, registry: Registry) -> None:
        for one in await registry.waiting():
            typer.echo(f"{one.id}  {_deed(one)}, proposed by {one.proposer} on {_moment(one.proposed_at)}")
        for one in await registry.unsettled():
            typer.echo(f"{one.id}  {_deed(one)}, agreed on; waits for the log")

    on_registry(config, data, work)


@trust_app.command("schemas")
def trust_schemas(config: Config = None, data: Data = "") -> None:
    """The types of credential whose schema is in the log, and the digest of each document."""

    async def work(house: House, registry: Registry) -> None:
        from hashlib import sha256

        from .trust.schemas import schemas

        state = await house.ledger.state()
        for name in sorted(schemas(house.country)):
            known = state.schemas.get(sha256(name.encode()).digest())
            said = "not in the log" if known is None else known.digest.hex()
            typer.echo(f"{name}  {said}" + ("  withdrawn" if known is not None and known.withdrawn_at else ""))

    on_registry(config, data, work)


# --- changing ---------------------------------------------------------------------------------------------------------


@trust_app.command("propose")
def trust_propose(
    file: Annotated[Path, typer.Argument(help=ENTRY_HELP)],
    by: By,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Ask for an entry to be added, or to replace the one of its id. Prints the proposal's id."""

    async def work(house: House, registry: Registry) -> None:
        from .trust.entries import must_be_sound, registry_id
        from .trust.store import ever_held

        entry = read_entry(file)
        must_be_sound(entry)
        there = registry_id(entry) in {registry_id(one) for one in await registry.entries()}
        plan = f"{'replace' if there else 'add'} {registry_id(entry)} ({entry.name.en}), proposed by {by}"
        if not there and await ever_held(await house.foundation.database("trust"), *registry_id(entry).split(":", 1)):
            plan += "; the id was registered before, and what citizens wrote to it lies there: is it the same one?"
        _plan(plan)
        if must_stop(apply):
            return
        _next(await registry.propose(entry, governor_of(house, by, key)))

    on_registry(config, data, work)


@trust_app.command("propose-governor")
def trust_propose_governor(
    name: Annotated[str, typer.Argument(help="What people call him")],
    public_key: Annotated[Path, typer.Argument(help="His public key: a PEM file, or a JWK")],
    by: By,
    retire: Annotated[bool, typer.Option("--retire", help="He is to govern no longer")] = False,
    account: Annotated[str, typer.Option(help="His account, 0x..., where the log is on a chain")] = "",
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Ask for somebody to govern, or no longer. Votes that are under way for other changes are void then."""

    async def work(house: House, registry: Registry) -> None:
        public = read_key(public_key)
        verb = "govern no longer" if retire else "govern"
        _plan(f"let {name} ({public.thumbprint}) {verb}, proposed by {by}")
        if must_stop(apply):
            return
        governor = governor_of(house, by, key)
        try:
            address = bytes.fromhex(account.removeprefix("0x")) if account else None
        except ValueError:
            raise Refused(Code.BAD_CONFIG, "--account is 0x and 40 hexadecimal digits") from None
        _next(await registry.propose_governor(name, public, governor, standing=not retire, account=address))

    on_registry(config, data, work)


@trust_app.command("propose-policy")
def trust_propose_policy(
    file: Annotated[Path, typer.Argument(help="C2SP tlog-policy, as at /trust/policy, with other witnesses")],
    by: By,
    threshold: Annotated[int, typer.Option(help="How many governors must agree; 0: as now")] = 0,
    delay: Annotated[int, typer.Option(help="Seconds before an admitted party may act; -1: as now")] = -1,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Ask for another policy of the log."""

    async def work(house: House, registry: Registry) -> None:
        from .trust.log.policy import Policy

        try:
            policy = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Refused(Code.BAD_CONFIG, f"{file} cannot be read") from None
        Policy.parse(policy)
        state = await house.ledger.state()
        agree, wait = threshold or state.threshold, state.delay if delay < 0 else delay
        _plan(f"another policy of the log, {agree} governors must agree, {wait} s of delay, proposed by {by}")
        if must_stop(apply):
            return
        _next(await registry.propose_policy(policy, agree, wait, governor_of(house, by, key)))

    on_registry(config, data, work)


@trust_app.command("approve")
def trust_approve(
    id: Annotated[str, typer.Argument(help="A proposal; `mapae trust waiting` lists them")],
    by: By,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Agree with another governor's proposal; with enough of you it is handed to the log."""

    async def work(house: House, registry: Registry) -> None:
        proposed, votes = await registry.proposal(id)
        _plan(f"agree, as {by}, with {', '.join(vote.governor for vote in votes)}: {_deed(proposed)}")
        for line in _asked(votes[0].signed):
            typer.echo(line)
        if must_stop(apply):
            return
        typer.echo(_said(await registry.approve(id, governor_of(house, by, key))))

    on_registry(config, data, work)


@trust_app.command("reject")
def trust_reject(
    id: Annotated[str, typer.Argument(help="A proposal; `mapae trust waiting` lists them")],
    by: By,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Turn a proposal down. It is not asked about again."""

    async def work(house: House, registry: Registry) -> None:
        proposed, _ = await registry.proposal(id)
        _plan(f"turn down, as {by}: {_deed(proposed)}")
        if must_stop(apply):
            return
        await registry.reject(id, governor_of(house, by, key))
        typer.echo("turned down")

    on_registry(config, data, work)


@trust_app.command("revoke-party")
def trust_revoke_party(
    name: Annotated[str, typer.Argument(help="Kind and id: issuer:their-city, relying_party:hanbit_mart")],
    by: By,
    reason: Why = "ceased",
    since: Since = "",
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Ask for an entry to be struck off. An issuer, wallet provider or access authority never comes back under its id;
    a relying party may be registered again."""

    async def work(house: House, registry: Registry) -> None:
        kind, _, id = name.partition(":")
        final = "" if kind == "relying_party" else "; for ever: it can only come back under another id"
        _plan(f"strike off {name} ({reason}), proposed by {by}{final}")
        if must_stop(apply):
            return
        governor = governor_of(house, by, key)
        _next(await registry.propose_removal(kind, id, governor, _reason(reason), _since(since, reason)))

    on_registry(config, data, work)


@trust_app.command("revoke-key")
def trust_revoke_key(
    thumbprint: Annotated[
        str, typer.Argument(help="SHA-256 of the certificate in hexadecimal, as `mapae trust list` shows it")
    ],
    by: Annotated[str, typer.Option("--as", help="A governor, who needs others to agree; or `party`: its own voice")],
    reason: Why = "superseded",
    since: Since = "",
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """End a certificate: what is signed with it is refused from the next trust list on. `compromised` refuses every
    card it ever signed, any other reason the cards signed from now on."""

    async def work(house: House, registry: Registry) -> None:
        listed = (await registry.published()).list
        signer = next((one for one in listed.signers if _hex(one.x5t) == thumbprint.lower()), None)
        if signer is None:
            raise Refused(
                Code.NOT_FOUND, "the trust log has no such certificate; `mapae trust list` shows those it has"
            )
        at = _since(since, reason)
        _plan(f"revoke the {signer.purpose.value} {thumbprint} of {signer.issuer} ({reason}), as {by}")
        if must_stop(apply):
            return
        if by != "party":
            governor = governor_of(house, by, key)
            _next(await registry.propose_key_revocation(bytes.fromhex(thumbprint), governor, _reason(reason), at))
            return
        from .certified import voice_of
        from .trust.signers import Reason

        role = _role_of(signer.issuer)
        await voice_of(house, role, signer.issuer).revoke(bytes.fromhex(thumbprint), Reason(reason), at)
        typer.echo("revoked")

    on_registry(config, data, work)


@trust_app.command("certify")
def trust_certify(
    id: Annotated[str, typer.Argument(help="Id of the relying party, as its entry will have it")],
    public_key: Annotated[Path, typer.Argument(help="Its public key: a PEM file, or a JWK")],
    by: By,
    name: Annotated[str, typer.Option(help="Its name in the certificate; default: the id")] = "",
    dns: Annotated[list[str] | None, typer.Option(help="Host names it asks from, for x509_san_dns")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the certificate goes (PEM); default: stdout")] = None,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Give a relying party's key an access certificate. It counts once an approved entry names its hash."""

    async def work(house: House, registry: Registry) -> None:
        import ssl

        from .formats.x509 import Subject, x509_hash

        public = read_key(public_key)
        _plan(f"certify the key {public.thumbprint} for {id}, by {by}")
        if must_stop(apply):
            return
        subject = Subject(name or id, organization=name or id, country=house.country.code)
        der = await registry.certify(id, public, subject, governor_of(house, by, key), dns=tuple(dns or ()))
        pem = ssl.DER_cert_to_PEM_cert(der)
        if out is not None:
            out.write_text(pem, encoding="ascii")
        talk.print(f'In its entry: "x509_hash": "{x509_hash(der)}"', highlight=False, soft_wrap=True)
        typer.echo(x509_hash(der) if out is not None else pem)

    on_registry(config, data, work)


# --- inside -----------------------------------------------------------------------------------------------------------


def _role_of(party: str) -> str:
    from .app import VOICES

    if party not in VOICES:
        raise Refused(Code.NOT_ALLOWED, f"the voice of {party} is not here: it revokes its keys, or governors do")
    return VOICES[party]


def _reason(word: str) -> Any:
    from .trust.log.entry import Reason

    try:
        return Reason[word.upper()]
    except KeyError:
        raise Refused(Code.BAD_CONFIG, "--reason is superseded, ceased, compromised or withdrawn") from None


def _since(text: str, reason: str) -> int:
    if not text:
        return 0
    if reason != "compromised":
        raise Refused(Code.BAD_CONFIG, "--since goes with --reason compromised: only a theft reaches back in time")
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Refused(Code.BAD_CONFIG, "--since is written 2026-11-26T09:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _hex(x5t: str) -> str:
    """In base64url a thumbprint may begin with a hyphen, and would be an option."""
    return unb64u(x5t).hex()


def _next(id: str) -> None:
    talk.print(f"Now another governor: mapae trust approve {id} --as NAME --apply", highlight=False)
    typer.echo(id)


def _print(said: dict[str, Any]) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())


def _plan(text: str) -> None:
    typer.echo(f"plan: {text}")


def _said(agreed: Agreed) -> str:
    if agreed.missing:
        return f"agreed; {agreed.missing} more must agree"
    if agreed.rule is not None:
        raise Refused(Code.LEDGER_RULE, f"everybody agreed, but the log refuses it ({agreed.rule}): propose it anew")
    return "it holds" if agreed.holds else "agreed; it waits for the log, and is handed over as soon as that answers"


def _deed(proposed: Proposal) -> str:
    if proposed.kind == "key":
        return f"revoke the certificate {proposed.subject}"
    if proposed.kind == "governor":
        return f"let {proposed.subject} govern{'' if proposed.entry is not None else ' no longer'}"
    if proposed.kind == "policy":
        return "give the log another policy"
    return f"{'strike off' if proposed.entry is None else 'enter'} {proposed.kind}:{proposed.subject}"


def _asked(signed: str) -> list[str]:
    """The statement itself: this is what an approval is of."""
    from .trust.log import statement

    said = statement.read(signed)
    args = [f"  {name:<12}{value}" for name, value in said.args.items()]
    return [f"  {'signed':<12}{said.act_name}, for {said.origin}", *args]


def lines_of(listed: TrustList, entries: Any) -> list[str]:
    from .trust.entries import RelyingParty, registry_id

    lines = []
    for entry in entries:
        what = ", ".join(p.id for p in entry.purposes) if isinstance(entry, RelyingParty) else f"{len(entry.ca)} CA"
        lines.append(f"{registry_id(entry)}  {entry.name.en}  {what}")
    for one in listed.signers:
        ended = f"  REVOKED {one.reason.value} since {_moment(one.since)}" if one.reason else ""
        lines.append(f"{one.issuer}  {one.purpose.value}  {_hex(one.x5t)}  {_until(one.ends)}{ended}")
    for gone in listed.revoked_readers:
        lines.append(
            f"revoked registration  {gone.x509_hash or gone.reader}  {gone.reason.value} since {_moment(gone.since)}"
        )
    return lines


def _until(end: int) -> str:
    return f"until {_moment(end)}" if end < LAST else "without end"


def _moment(at: datetime | int | None) -> str:
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int) else at
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
