"""`mapae rp client ...`: sites' clients of the OpenID Connect bridge.

Promises: a client's secret is printed once, alone on stdout, and nowhere kept in a form that could be used. Trusts:
whoever can read the verifier's settings. Keeps: nothing. Refuses: a relying party that this process does not ask for,
an address a browser may not be sent to, a host that another relying party has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .config import load_settings
from .errors import Code, Refused
from .terminal import run, talk

if TYPE_CHECKING:
    from .verifier.login.openid import Client

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Json = Annotated[bool, typer.Option("--json", help="All of it, as JSON")]

client_app = typer.Typer(no_args_is_help=True, help="OpenID Connect clients: the sites and apps that log people in.")


@client_app.command("add")
def client_add(
    id: Annotated[str, typer.Argument(help="client_id, as the site will write it")],
    party: Annotated[str, typer.Option(help="The relying party's id in the registry")],
    redirect_uri: Annotated[list[str], typer.Option(help="Where the site takes the answer, to the letter; repeat it")],
    logout_uri: Annotated[list[str] | None, typer.Option(help="Where it may be led after a log-out; repeat it")] = None,
    public: Annotated[bool, typer.Option(help="An app or a page without a server: it has no secret")] = False,
    keys: Annotated[Path | None, typer.Option(help="A JWK Set: it proves itself by private_key_jwt instead")] = None,
    alg: Annotated[str, typer.Option(help="ID tokens are signed with RS256, which every client reads, or ES256")] = (
        "RS256"
    ),
    pkce_optional: Annotated[bool, typer.Option(help="A server whose library knows no PKCE: it sends a nonce instead")]
    = False,
    sector_identifier_uri: Annotated[str, typer.Option(help="Lists all redirect URIs, where they have several hosts")]
    = "",
    config: Config = None,
) -> None:  # fmt: skip
    """Register a client. A confidential one gets a secret: this is the only time it can be read."""

    async def work() -> tuple[Client, str | None]:
        from .clock import SystemClock, SystemDice
        from .house import role_database
        from .verifier.login import store as login_store
        from .verifier.login.client import registered
        from .verifier.site import hosting_store

        settings = load_settings(config)
        secret = None if public or keys is not None else SystemDice().token(32)
        listed = await _listed(sector_identifier_uri) if sector_identifier_uri else None
        client = registered(
            id, party, redirect_uri, logout_uris=logout_uri or [], secret=secret, alg=alg,
            keys=keys.read_text(encoding="utf-8") if keys is not None else None, sector_uri=sector_identifier_uri,
            listed=listed, pkce_optional=pkce_optional,
        )  # fmt: skip
        async with role_database(settings, "verifier") as db:
            if party not in settings.relying_parties and not await hosting_store.has(db, party):
                raise Refused(Code.UNKNOWN_RELYING_PARTY, f"this verifier does not ask for {party}")
            if not await login_store.add_client(db, client, SystemClock().now()):
                raise Refused(
                    Code.CONFLICT, f"there is a client {id}, or another relying party has the host {client.sector}"
                )
        return client, secret

    client, secret = run(work)
    talk.print(f"client {client.id} of {client.relying_party}, sector {client.sector}, {client.alg}")
    if secret is not None:
        talk.print("its secret, which is not shown again:")
        typer.echo(secret)


@client_app.command("list")
def client_list(config: Config = None, as_json: Json = False) -> None:
    """All clients, without what could be used of them."""

    async def work() -> list[Client]:
        from .house import role_database
        from .verifier.login import store as login_store

        async with role_database(load_settings(config), "verifier") as db:
            return await login_store.clients(db)

    rows: list[dict[str, Any]] = [
        {
            "id": one.id, "relying_party": one.relying_party, "method": one.method, "alg": one.alg,
            "sector": one.sector, "redirect_uris": one.redirect_uris, "ended": one.ended,
            "pkce_optional": one.pkce_optional,
        }
        for one in run(work)
    ]  # fmt: skip
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        state = "ended" if row["ended"] else "live"
        typer.echo(f"{row['id']}  {row['relying_party']}  {state}  {row['method']}  {' '.join(row['redirect_uris'])}")


@client_app.command("end")
def client_end(id: Annotated[str, typer.Argument(help="As `list` has it")], config: Config = None) -> None:
    """End a client at once; log-ins under way end with it."""

    async def work() -> None:
        from .clock import SystemClock
        from .house import role_database
        from .verifier.login import store as login_store

        async with role_database(load_settings(config), "verifier") as db:
            if not await login_store.end_client(db, id, SystemClock().now()):
                raise Refused(Code.NOT_FOUND, "there is no such live client: see `mapae rp client list`")

    run(work)
    talk.print(f"client {id} has ended")


async def _listed(uri: str) -> Any:
    """OpenID Connect Dynamic Client Registration 1.0 5: a JSON array of redirect URIs."""
    import httpx

    from .formats.jose import decode_json_value

    if not uri.startswith("https://"):
        raise Refused(Code.MALFORMED, "sector_identifier_uri is an https address")
    try:
        async with httpx.AsyncClient(timeout=10, follow_redirects=False, trust_env=False) as http:
            answer = await http.get(uri)
    except httpx.HTTPError as error:
        raise Refused(Code.UNAVAILABLE, f"{uri} does not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        raise Refused(Code.UNAVAILABLE, f"{uri} answers {answer.status_code}")
    return decode_json_value(answer.content)
