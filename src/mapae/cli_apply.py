"""`mapae rp ...` for whoever applies, and for an approved party by its secret link.

Promises: results on stdout, talk on stderr; what changes something prints its plan and stops unless `--apply`; an error
ends with what to try next. The commands speak to a running installation and need nothing but its address. Trusts: the
person at the terminal. Keeps: the key file that `key` is told to write. Refuses: to write over a file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .errors import Code, Refused
from .terminal import must_stop, talk

if TYPE_CHECKING:
    from .trust.application import Application
    from .trust.lint import Finding

rp_app = typer.Typer(no_args_is_help=True, help="Relying parties: apply to ask, and two governors decide.")

URL = "http://localhost:8080"
Url = Annotated[str, typer.Option("--url", help="The installation to apply at")]
Link = Annotated[str, typer.Argument(help="The secret link that `mapae rp apply` printed, or its last part")]
File = Annotated[Path, typer.Argument(help="The application, as `mapae rp new` writes one (JSON)")]
Country = Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder; default: the settings'")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, only the plan is printed")]


@rp_app.command("new")
def rp_new(
    id: Annotated[str, typer.Argument(help="Short name for addresses: small letters, digits and _")],
    name: Annotated[str, typer.Option(help="Name of the organisation, as customers know it")],
    number: Annotated[str, typer.Option(help="Organisation number")],
    contact: Annotated[str, typer.Option(help="https address for complaints and requests to erase")],
    purpose: Annotated[
        list[str] | None, typer.Option(help="A ready purpose of the country; may be given several times")
    ] = None,
    own: Annotated[
        list[Path] | None, typer.Option(help="A purpose of your own (JSON); may be given several times")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="What `mapae rp key` printed, for a verifier of your own")
    ] = None,
) -> None:
    """Print an application to begin with: ready purposes, which ask for the minimum, and your own."""
    from .clock import SystemClock
    from .trust import application
    from .trust.request import read_access

    said: dict[str, Any] = {"id": id, "name": name, "number": number, "contact": contact,
                            "purposes": [*({"ready": one} for one in purpose or ()),
                                         *(_own(file) for file in own or ())]}  # fmt: skip
    if request is not None:
        said["proof"] = "".join(_text(request).split())
        said["key"] = read_access(said["proof"], SystemClock().now()).jwk
    printed(application.check(said))


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
    from .trust.onboarding_json import said

    pack = country or load_settings(config).country
    found = lint(_read(file), parse_country(country_tree(pack)), rules_of(country_tree(pack, "lint")))
    if as_json:
        printed([said(one) for one in found])
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
    if must_stop(apply):
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
        printed(said)
        return
    typer.echo(f"{said['party']}  {said['stage']}{'  one governor has agreed' if said['agreed'] else ''}")
    if said["note"]:
        typer.echo(f"note: {said['note']}")
    if (left := said.get("left")) is not None:
        next = "" if left["light"] == "green" else f": ask two governors for `mapae rp renew {said['id']}`"
        typer.echo(f"{left['light']}  {left['days']} days left, until {left['until'][:10]}{next}")
    for one in said.get("holdings") or []:
        typer.echo(_holding(one))
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
def rp_api_key(
    link: Link, url: Url = URL, label: Annotated[str, typer.Option(help="Your own name for it")] = ""
) -> None:  # fmt: skip
    """A key with which the approved party's own server asks over HTTP. It is shown this once."""
    base, path = _at(link, url)
    typer.echo(_post(base, f"{path}/key", {"label": label})["key"])


@rp_app.command("stop")
def rp_stop(
    link: Link,
    what: Annotated[str, typer.Argument(help="As `mapae rp status` lists it: key:1f2e3d4c5b6a, till:..., client:...")],
    url: Url = URL,
    apply: Apply = False,
) -> None:
    """End a till, an API key or a log-in client of the party, at once and for good."""
    base, path = _at(link, url)
    said = _get(base, path)
    found = [one for one in said["holdings"] or [] if f"{one['kind']}:{one['id']}" == what]
    if not found:
        raise Refused(Code.NOT_FOUND, f"{said['party']} has no {what}: `mapae rp status` lists what it has")
    typer.echo(f"plan: end {_holding(found[0])}")
    if not must_stop(apply):
        _post(base, f"{path}/end", {"kind": found[0]["kind"], "id": found[0]["id"]})
        typer.echo("ended")


@rp_app.command("link")
def rp_link(link: Link, url: Url = URL, apply: Apply = False) -> None:
    """Another secret link in place of this one, which leads nowhere from then on. What was made with it stays."""
    base, path = _at(link, url)
    typer.echo(f"plan: another link for the application of {_get(base, path)['party']}")
    if not must_stop(apply):
        typer.echo(f"{base}/rp/a/{_post(base, f'{path}/link', {})['token']}")


@rp_app.command("withdraw")
def rp_withdraw(link: Link, url: Url = URL, apply: Apply = False) -> None:
    """Take an application back."""
    base, path = _at(link, url)
    typer.echo(f"plan: withdraw the application of {_get(base, path)['party']}")
    if not must_stop(apply):
        typer.echo(_post(base, f"{path}/withdraw", {})["stage"])


# --- inside -----------------------------------------------------------------------------------------------------------


def lines_of(found: tuple[Finding, ...]) -> list[str]:
    return [_line(one.rule, one.level, one.stops, one.says.en, one.do.en, one.answer) for one in found]


def _holding(one: Mapping[str, Any]) -> str:
    made, used, until = (
        time.strftime("%Y-%m-%d", time.gmtime(at)) if (at := one.get(name)) else "never"
        for name in ("made_at", "used_at", "until")
    )
    over = f"  until {until}" if one.get("until") else ""
    return f"{one['kind']}:{one['id']}  {one['label'] or '-'}  made {made}  last used {used}{over}"


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


def _own(file: Path) -> dict[str, Any]:
    from .formats.jose import decode_json
    from .trust.application import LIMIT

    try:
        return decode_json(file.read_bytes(), limit=LIMIT)
    except OSError:
        raise Refused(Code.BAD_CONFIG, f"{file} cannot be read: docs/tutorial.md has one to begin with") from None
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


def printed(said: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
