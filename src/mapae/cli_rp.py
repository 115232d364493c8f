"""`mapae rp ...`: apply to ask, and decide who may.

Promises: results on stdout, talk on stderr; what changes something prints its plan and stops unless `--apply`; an error
ends with what to try next. An applicant's commands speak to a running installation and need nothing but its address; a
governor's work on the data folder or the database of the settings while the roles run. Trusts: the person at the
terminal to hold the key he names. Keeps: the key file that `key` is told to write. Refuses: to write over a file.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from .cli_ledger import governor_of, on_registry
from .errors import Code, Refused
from .terminal import talk

if TYPE_CHECKING:
    from .house import House
    from .trust.application import Application
    from .trust.lint import Finding
    from .trust.onboarding import Onboarding, Seen
    from .trust.registry import Agreed, Registry

T = TypeVar("T")
rp_app = typer.Typer(no_args_is_help=True, help="Relying parties: apply to ask, and two governors decide.")

URL = "http://localhost:8080"
Url = Annotated[str, typer.Option("--url", help="The installation to apply at")]
Link = Annotated[str, typer.Argument(help="The secret link that `mapae rp apply` printed, or its last part")]
File = Annotated[Path, typer.Argument(help="The application, as `mapae rp new` writes one (JSON)")]
Case = Annotated[str, typer.Argument(help="An application; `mapae rp waiting` lists them")]
Country = Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder; default: the settings'")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")]
By = Annotated[str, typer.Option("--as", help="The governor who acts: governor-1")]
Key = Annotated[
    str, typer.Option("--key", help="URI of the governor's key: file:voice in the data folder's keys, or pkcs11:...")
]
Why = Annotated[str, typer.Option("--words", help="Why, for the applicant to read")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, only the plan is printed")]


# --- the applicant ----------------------------------------------------------------------------------------------------


@rp_app.command("new")
def rp_new(
    id: Annotated[str, typer.Argument(help="Short name for addresses: small letters, digits and _")],
    name: Annotated[str, typer.Option(help="Name of the organisation, as customers know it")],
    number: Annotated[str, typer.Option(help="Organisation number")],
    contact: Annotated[str, typer.Option(help="https address for complaints and requests to erase")],
    purpose: Annotated[list[str], typer.Option(help="A ready purpose of the country; may be given several times")],
    request: Annotated[
        Path | None, typer.Option(help="What `mapae rp key` printed, for a verifier of your own")
    ] = None,
) -> None:
    """Print an application to begin with: ready purposes, which ask for the minimum."""
    from .clock import SystemClock
    from .trust import application
    from .trust.request import read_access

    said: dict[str, Any] = {"id": id, "name": name, "number": number, "contact": contact,
                            "purposes": [{"ready": one} for one in purpose]}  # fmt: skip
    if request is not None:
        said["key"] = read_access(_text(request), SystemClock().now()).jwk
    _print(application.check(said))


@rp_app.command("key")
def rp_key(
    out: Annotated[Path, typer.Option(help="Where the private key goes (PEM); it never leaves this machine")],
) -> None:
    """Make a key of one's own, and print the request that goes into the application."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from .clock import SystemClock
    from .keys import Signer
    from .trust.request import make_access

    key = ec.generate_private_key(ec.SECP256R1())
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{out} cannot be written, or is there already: name another file") from None
    talk.print(f"The key is in {out}. The request below holds nothing secret: mapae rp new ... --request FILE")
    typer.echo(make_access(Signer(key), SystemClock().now()))


@rp_app.command("lint")
def rp_lint(
    file: File,
    country: Country = "",
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON")] = False,
) -> None:
    """Say what is too much for the purpose. Exit code 1: it could not be handed in. Needs no network."""
    from .catalog import parse_country
    from .config import country_tree, load_settings
    from .trust.lint import lint, rules_of
    from .trust.onboarding_web import said

    pack = country or load_settings(config).country
    found = lint(_read(file), parse_country(country_tree(pack)), rules_of(country_tree(pack, "lint")))
    if as_json:
        _print([said(one) for one in found])
    for line in () if as_json else lines_of(found):
        typer.echo(line)
    if any(one.stops for one in found):
        raise typer.Exit(1)


@rp_app.command("apply")
def rp_apply(
    file: File,
    url: Url = URL,
    filed_by: Annotated[str, typer.Option(help="Who files it; a governor of this name cannot approve it")] = "",
    apply: Apply = False,
) -> None:
    """Hand an application in. Prints the secret link that alone leads back to it."""
    made = _read(file)
    asked = ", ".join(one.ready or one.id for one in made.purposes)
    who = "asked for by the country's checker" if made.hosted else "with a key of its own"
    typer.echo(f"plan: apply at {url} for {made.name.en} ({made.id}), {who}, to ask for {asked or 'nothing'}")
    for line in _say_findings(_post(url, "/rp/lint", made)):
        talk.print(line, highlight=False, markup=False)
    if _must_stop(apply):
        return
    begun = _post(url, "/rp/applications", made, {"Mapae-Filer": filed_by} if filed_by else {})
    link = f"{url.rstrip('/')}/rp/a/{begun['token']}"
    try:
        _post(url, f"/rp/applications/{begun['token']}/submit", {})
    except Refused:
        talk.print(f"It is kept as a draft: {link}", highlight=False, markup=False, soft_wrap=True)
        raise
    said = f"Application {begun['id']} is handed in. Two governors decide: mapae rp show {begun['id']}"
    talk.print(said, highlight=False, markup=False, soft_wrap=True)
    typer.echo(link)


@rp_app.command("status")
def rp_status(
    link: Link, url: Url = URL, as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON")] = False
) -> None:
    """Where an application stands, and the certificate once there is one."""
    said = _get(*_at(link, url))
    if as_json:
        _print(said)
        return
    typer.echo(f"{said['party']}  {said['stage']}{'  one governor has agreed' if said['agreed'] else ''}")
    if said["note"]:
        typer.echo(f"note: {said['note']}")
    for line in _say_findings(said):
        typer.echo(line)
    if said["certificate"]:
        typer.echo(said["certificate"])


@rp_app.command("till")
def rp_till(link: Link, url: Url = URL) -> None:
    """A one-time code that makes a browser a till of the approved party."""
    base, path = _at(link, url)
    code = _post(base, f"{path}/till", {})["till"]
    talk.print(f"Open {base}/checker/?code={code} on the tablet, within ten minutes.", highlight=False, soft_wrap=True)
    typer.echo(code)


@rp_app.command("api-key")
def rp_api_key(link: Link, url: Url = URL) -> None:
    """A key with which the approved party's own server asks over HTTP. It is shown this once."""
    base, path = _at(link, url)
    typer.echo(_post(base, f"{path}/key", {})["key"])


@rp_app.command("withdraw")
def rp_withdraw(link: Link, url: Url = URL, apply: Apply = False) -> None:
    """Take an application back."""
    base, path = _at(link, url)
    typer.echo(f"plan: withdraw the application of {_get(base, path)['party']}")
    if not _must_stop(apply):
        typer.echo(_post(base, f"{path}/withdraw", {})["stage"])


# --- the governors ----------------------------------------------------------------------------------------------------


@rp_app.command("waiting")
def rp_waiting(config: Config = None, data: Data = "", country: Country = "") -> None:
    """Applications that governors have to decide."""

    async def work(house: House, onboarding: Onboarding) -> None:
        for seen in await onboarding.waiting():
            agreed = await onboarding.agreed(seen.case)
            by = f", agreed to by {', '.join(agreed)}" if agreed else ""
            typer.echo(f"{seen.reading}  {seen.made.id}  {seen.made.name.en}  {_asks(seen)}{by}")

    _on(config, data, country, work)


@rp_app.command("show")
def rp_show(id: Case, config: Config = None, data: Data = "", country: Country = "") -> None:
    """One application: what is asked on which legal basis, what the linter says, whom the name could be taken for."""

    async def work(house: House, onboarding: Onboarding) -> None:
        seen = await onboarding.look(id)
        _print(
            {
                "case": seen.reading,
                "stage": seen.case.stage,
                "agreed": await onboarding.agreed(seen.case),
                "application": seen.made,
            }
        )
        for line in lines_of((*await onboarding.about(seen), *seen.findings)):
            typer.echo(line)

    _on(config, data, country, work)


@rp_app.command("approve")
def rp_approve(
    id: Case,
    by: By,
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
    country: Country = "",
) -> None:
    """Agree to an application as `mapae rp waiting` and `show` name it, with the version that was read.

    The first governor's word makes the certificate and the proposal, the second's the registration."""

    async def work(house: House, onboarding: Onboarding) -> None:
        seen = await onboarding.look(id)
        typer.echo(f"plan: agree, as {by}, that {seen.made.name.en} ({seen.made.id}) asks {_asks(seen)}")
        for line in lines_of((*await onboarding.about(seen), *seen.findings)):
            typer.echo(line)
        if "." not in id:
            talk.print(f"What you have read is {seen.reading}: agree to just that.", highlight=False)
        if not _must_stop(apply):
            if "." not in id:
                raise Refused(Code.CONFLICT, f"name what you have read, for it may change: {seen.reading}")
            typer.echo(_said(await onboarding.approve(id, governor_of(house, by, key)), "approve", id))

    _on(config, data, country, work)


@rp_app.command("return")
def rp_return(
    id: Case, by: By, words: Why, key: Key = "file:voice", apply: Apply = False, config: Config = None, data: Data = "",
    country: Country = "",
) -> None:  # fmt: skip
    """Send an application back with words, to be changed."""
    _decline("send back", id, by, words, key, apply, (config, data, country))


@rp_app.command("refuse")
def rp_refuse(
    id: Case, by: By, words: Why, key: Key = "file:voice", apply: Apply = False, config: Config = None, data: Data = "",
    country: Country = "",
) -> None:  # fmt: skip
    """Refuse an application for good, with words."""
    _decline("refuse", id, by, words, key, apply, (config, data, country))


@rp_app.command("renew")
def rp_renew(
    id: Case, by: By, key: Key = "file:voice", apply: Apply = False, config: Config = None, data: Data = "",
    country: Country = "",
) -> None:  # fmt: skip
    """A new access certificate in the last 90 days of the old one; two governors again."""

    async def work(house: House, onboarding: Onboarding) -> None:
        seen = await onboarding.look(id)
        typer.echo(f"plan: renew the access certificate of {seen.made.id}, as {by}")
        if not _must_stop(apply):
            typer.echo(_said(await onboarding.renew(id, governor_of(house, by, key)), "renew", id))

    _on(config, data, country, work)


@rp_app.command("end")
def rp_end(
    id: Case,
    by: By,
    reason: Annotated[str, typer.Option(help="ceased, withdrawn or compromised")] = "ceased",
    key: Key = "file:voice",
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
    country: Country = "",
) -> None:
    """Take a registration back: wallets refuse the party from the next trust list on. Two governors."""

    async def work(house: House, onboarding: Onboarding) -> None:
        from .trust.log.entry import Reason

        if reason not in ("ceased", "withdrawn", "compromised"):
            raise Refused(Code.BAD_CONFIG, "--reason is ceased, withdrawn or compromised")
        seen = await onboarding.look(id)
        typer.echo(f"plan: end the registration of {seen.made.id} ({reason}), as {by}")
        if not _must_stop(apply):
            agreed = await onboarding.end(id, governor_of(house, by, key), Reason[reason.upper()])
            typer.echo(_said(agreed, "end", id))

    _on(config, data, country, work)


# --- inside -----------------------------------------------------------------------------------------------------------


def _decline(
    deed: str, id: str, by: str, words: str, key: str, apply: bool, where: tuple[Path | None, str, str]
) -> None:  # fmt: skip
    async def work(house: House, onboarding: Onboarding) -> None:
        typer.echo(f"plan: {deed} the application of {(await onboarding.look(id)).made.id}, as {by}: {words}")
        if not _must_stop(apply):
            act = onboarding.refuse if deed == "refuse" else onboarding.send_back
            typer.echo((await act(id, governor_of(house, by, key), words)).stage.value)

    _on(*where, work)


def _on(
    config: Path | None, data: str, country: str, work: Callable[[House, Onboarding], Awaitable[T]]
) -> T:  # fmt: skip
    async def opened(house: House, registry: Registry) -> T:
        from .app import onboarding_of

        house.registry = registry
        return await work(house, await onboarding_of(house))

    return on_registry(config, data, opened, country)


def _said(agreed: Agreed, verb: str, id: str) -> str:
    if agreed.missing:
        talk.print(f"Now another governor: mapae rp {verb} {id} --as NAME --apply", highlight=False)
        return f"agreed; {agreed.missing} more must agree"
    if agreed.rule is not None:
        raise Refused(Code.LEDGER_RULE, f"everybody agreed, but the log refuses it ({agreed.rule})")
    return "it holds" if agreed.holds else "agreed; it waits for the log, and is handed over as soon as that answers"


def _asks(seen: Seen) -> str:
    return ", ".join(one.ready + "".join(f"+{item}" for item in one.items) if one.ready else
                     f"{one.id}({' '.join(one.items)})" for one in seen.made.purposes)  # fmt: skip


def lines_of(found: tuple[Finding, ...]) -> list[str]:
    return [_line(one.rule, one.level, one.stops, one.says.en, one.do.en, one.answer) for one in found]


def _say_findings(said: Mapping[str, Any]) -> list[str]:
    return [
        _line(one["rule"], one["level"], one["stops"], one["says"]["en"], one["do"]["en"], one["answer"])
        for one in said["findings"]
    ]  # fmt: skip


def _line(rule: str, level: str, stops: bool, says: str, do: str, answer: str) -> str:
    kind = "stops" if stops else "answered" if answer else level
    return f"{kind}  {rule}: {says} {do}" + (f" Named: {answer}" if answer else "")


def _read(file: Path) -> Application:
    from .trust import application

    try:
        return application.read(file.read_bytes())
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read: `mapae rp new` writes one") from None
    except Refused as refused:
        raise Refused(refused.code, f"{file}: {refused.detail}", step=refused.step) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read") from None


def _at(link: str, url: str) -> tuple[str, str]:
    """Address of the installation, and path of the application's doors."""
    base, there, token = link.rpartition("/rp/a/")
    return (base if there else url).rstrip("/"), f"/rp/applications/{token.strip('/')}"


def _post(url: str, path: str, message: Any, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    return _knock("POST", url, path, msgspec.json.encode(message), headers)


def _get(url: str, path: str) -> dict[str, Any]:
    return _knock("GET", url, path, None)


def _knock(
    method: str, url: str, path: str, body: bytes | None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:  # fmt: skip
    import httpx

    try:
        with httpx.Client(timeout=20, trust_env=False) as http:
            head = {"Content-Type": "application/json", **(headers or {})}
            answer = http.request(method, url.rstrip("/") + path, content=body, headers=head)
        said: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise Refused(
            Code.UNAVAILABLE, f"no installation answers at {url}: is it running (`mapae demo up`), and is --url right?"
        ) from None
    if answer.is_success:
        return said
    try:
        code = Code(str(said.get("error", "")))
    except ValueError:
        code = Code.UNAVAILABLE
    step = said.get("step")
    detail = str(said.get("detail", ""))
    raise Refused(code, f"{detail} ({step})" if step else detail, step=step)


def _must_stop(apply: bool) -> bool:
    if not apply:
        talk.print("Nothing was changed. With --apply it is done.")
    return not apply


def _print(said: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
