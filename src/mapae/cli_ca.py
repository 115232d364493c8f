"""`mapae ca ...`: an issuing authority whose key is on no machine that anybody can reach.

Four steps, and two machines between which somebody carries files: `request` where the issuer runs, `sign` where the
authority's key is, `import` where the issuer runs; `make` once, to begin with. Promises: whoever signs sees every word
of what is certified before it is; what makes something prints its plan and stops unless `--apply`. Trusts: the person
at the terminal. Keeps: certificates in the data folder. Refuses: a certificate for another key, of another authority or
for another purpose than the issuer asked for.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_files import read_certificate, read_text
from .cli_ledger import looked_at, settings_of
from .errors import Code, Refused
from .terminal import must_stop, run, talk

if TYPE_CHECKING:
    from .house import Foundation
    from .keys import Signer

ca_app = typer.Typer(no_args_is_help=True, help="An issuing authority whose key is elsewhere.")

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); default: $MAPAE_CONFIG")]
Data = Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")]
Keys = Annotated[Path, typer.Option("--keys", help="Folder of the authority's encrypted key, on its own machine")]
Uri = Annotated[str, typer.Option("--key", help="file:issuing-ca in that folder, or pkcs11:...")]
Out = Annotated[Path | None, typer.Option("--out", help="File to write; default: stdout")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, only the plan is printed")]
FOLDER = Path("var-ca")


@ca_app.command("make")
def ca_make(
    name: Annotated[str, typer.Argument(help="The authority's name in its certificate")],
    country: Annotated[str, typer.Option(help="Two letters")] = "KR",
    keys: Keys = FOLDER,
    key: Uri = "file:issuing-ca",
    out: Out = None,
    apply: Apply = False,
) -> None:
    """Once, on the authority's machine: its key, unless it is there, and its certificate for ten years (PEM)."""
    from .certificates import ANCHOR_LIFE
    from .clock import SystemClock, SystemDice
    from .formats.x509 import Subject, root, serial_number

    typer.echo(f"plan: make the authority {name} ({country}) with the key {key} in {keys}, for ten years")
    if must_stop(apply):
        return
    signer, start = _authority(keys, key, make=True), SystemClock().now().replace(microsecond=0) - timedelta(days=1)
    der = root(
        Subject(name, country=country), signer, serial=serial_number(SystemDice().bytes(16)), not_before=start,
        not_after=start + ANCHOR_LIFE,
    )  # fmt: skip
    _write(_pem(der), out)


@ca_app.command("request")
def ca_request(
    name: Annotated[str, typer.Argument(help="document-signer or status-signer")],
    days: Annotated[int, typer.Option(help="How long it is to live", min=1, max=457)] = 365,
    out: Out = None,
    config: Config = None,
    data: Data = "",
) -> None:
    """Where the issuer runs: a request for a certificate of its key, to be carried to the authority."""
    from .app import signer_subject
    from .trust import request

    f = _foundation(config, data)
    key = f.signer("issuer", name) if name in request.PROFILES else None
    if key is None:
        raise Refused(Code.BAD_CONFIG, f"a certificate is asked for one of {', '.join(request.PROFILES)}")
    _write(request.make(name, signer_subject(f, name), key, f.clock.now(), days) + "\n", out)
    talk.print(f"The key's thumbprint, to be read out at the authority: {key.kid}", highlight=False)


@ca_app.command("sign")
def ca_sign(
    file: Annotated[Path, typer.Argument(help="A request")],
    ca: Annotated[Path, typer.Option("--ca", help="The authority's certificate (PEM)")],
    keys: Keys = FOLDER,
    key: Uri = "file:issuing-ca",
    out: Out = None,
    apply: Apply = False,
) -> None:
    """On the authority's machine: certify what a request asks for, once you have read it."""
    from .clock import SystemClock, SystemDice
    from .formats.x509 import serial_number
    from .trust import request

    said, public = request.read(read_text(file))
    subject = said.subject
    typer.echo(f"plan: certify as {said.profile.name.lower()} for {said.days} days")
    typer.echo(f"  subject     {subject.common_name}, {subject.organization}, {subject.country}")
    typer.echo(f"  public key  {public.thumbprint} (compare it with what the issuer reads out)")
    if must_stop(apply):
        return
    dice, now = SystemDice(), SystemClock().now()
    der = request.certify(said, public, _authority(keys, key), read_certificate(ca), serial_number(dice.bytes(16)), now)
    _write(_pem(der), out)


@ca_app.command("import")
def ca_import(
    file: Annotated[Path, typer.Argument(help="A certificate (PEM): the authority's, or one it made")],
    apply: Apply = False,
    config: Config = None,
    data: Data = "",
) -> None:
    """Where the issuer runs: check a certificate, keep it, and enter it in the trust log. Processes use it when they
    start the next time."""
    from .formats.x509 import Anchors, check_chain, is_authority, leaf_key
    from .trust.request import PROFILES

    f, der = _foundation(config, data), read_certificate(file)
    if is_authority(der):
        Anchors([der])
        typer.echo("plan: keep the issuing authority's certificate; its issuer's entry must name it too")
        if not must_stop(apply):
            f.certificates.keep("issuing-ca", der)
            typer.echo("kept")
        return
    held = f.certificates.held("issuing-ca")
    if held is None:
        raise Refused(Code.BAD_CONFIG, "import the authority's own certificate first")
    names = [name for name in PROFILES if f.signer("issuer", name).jwk == leaf_key(der).jwk]
    if not names:
        raise Refused(Code.BAD_CERTIFICATE, "this certificate is of no key of this issuer: was it made for another?")
    [name] = names
    check_chain([der], Anchors([held]), f.clock.now(), PROFILES[name])
    typer.echo(f"plan: keep the {name}'s certificate and enter it in the trust log")
    if must_stop(apply):
        return
    f.certificates.give(name, der)
    typer.echo("in use from the next start" if _enter(name, der, config, data) else "kept; entered at the next start")


# --- inside -----------------------------------------------------------------------------------------------------------


def _enter(name: str, der: bytes, config: Path | None, data: str) -> bool:
    """At once where the log can be had; a process that starts does it otherwise."""

    async def work() -> bool:
        from .app import ISSUER
        from .certified import voice_of
        from .trust.signers import Purpose

        try:
            house = await looked_at(settings_of(config, data))
        except Refused as refused:
            talk.print(f"not in the log yet: {refused.detail}", highlight=False)
            return False
        try:
            purposes = {"document-signer": Purpose.DOCUMENT_SIGNER, "status-signer": Purpose.STATUS_SIGNER}
            await voice_of(house, "issuer", ISSUER).enter(der, purposes[name])
            house.foundation.certificates.promote(name)
            return True
        except Refused as refused:
            talk.print(f"not in the log yet: {refused.detail}", highlight=False)
            return False
        finally:
            await house.close()

    return run(work)


def _foundation(config: Path | None, data: str) -> Foundation:
    from .clock import SystemClock, SystemDice
    from .house import Foundation

    return Foundation(settings_of(config, data), SystemClock(), SystemDice())


def _authority(folder: Path, uri: str, *, make: bool = False) -> Signer:
    from .config import passphrase
    from .keys import KeyStore

    store = KeyStore(folder / "keys", passphrase(folder))
    if make:
        store.create(uri)
    return store.signer(uri)


def _pem(der: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="ascii")
    talk.print(f"written to {out}", highlight=False)
