"""`mapae check iso`: read an ISO/IEC 18013-5 document, of this country or any other, over Bluetooth.

The phone shows a QR code that begins with `mdoc:`; the rest goes by radio. Whose signature counts are the authorities
in a file (`--anchors`: what a VICAL or a neighbour country publishes) or, without one, the offline pack. Theirs may
sign by the algorithms and curves of ISO/IEC 18013-5 (`formats/curves.py`); ours by ES256 alone.

Promises: as `cli_check.py`: the verdict on stdout, talk on stderr, exit code 0 green, 1 red, 2 nothing was read.
Trusts: the authorities it is given. Keeps: nothing. Refuses: a document whose status list is named and cannot be read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from .clock import Clock, SystemClock, SystemDice
from .errors import Refused, step

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport

    from .radio import Radio
    from .verifier.checking.check import Answer
    from .verifier.till.reader import Reading, Want

Judge: TypeAlias = "Callable[[Reading, str, Want], Awaitable[Answer]]"
GREEN, RED, UNREAD = 0, 1, 2
LICENCE: Final = "org.iso.18013.5.1.mDL"
LICENCE_SPACE: Final = "org.iso.18013.5.1"


def check_iso(
    code: Annotated[str, typer.Argument(help="What the phone's QR code holds (mdoc:...), as a scanner types it")],
    items: Annotated[list[str], typer.Option("--item", help="An element to ask for; again for more")],
    doctype: Annotated[str, typer.Option("--doctype", help="Type of the document")] = LICENCE,
    namespace: Annotated[str, typer.Option("--namespace", help="Namespace of the elements")] = LICENCE_SPACE,
    anchors: Annotated[
        Path | None, typer.Option("--anchors", help="PEM file of authorities to believe; else the offline pack")
    ] = None,
    pack: Annotated[Path, typer.Option("--pack", help="The folder `mapae pack fetch` keeps, or a pack")] = Path("pack"),
    controller: Annotated[
        str, typer.Option("--controller", help="A Bluetooth controller of one's own (usb:0), also found by phones")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Tell the holder that the elements will be kept")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON")] = False,
) -> None:
    """Read an ISO/IEC 18013-5 document (mobile driving licence) over Bluetooth."""
    from .terminal import run
    from .verifier.till.reader import Want

    want = Want(doctype, namespace, tuple(items), keep)

    async def work() -> dict[str, Any]:
        judge = by_anchors(anchors, SystemClock()) if anchors is not None else by_pack(pack, SystemClock())
        async with _radio(controller) as radio:
            return await read(code.strip(), want, judge, radio, of_anywhere=anchors is not None)

    try:
        verdict = run(work)
    except Refused as refused:
        typer.echo(f"{refused.code.value}: {refused.detail}", err=True)
        raise typer.Exit(UNREAD) from None
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(verdict).decode())
    else:
        for line in _lines(verdict):
            typer.echo(line)
    raise typer.Exit(GREEN if verdict["outcome"] == "accepted" else RED)


async def read(code: str, want: Want, judge: Judge, radio: Radio, *, of_anywhere: bool = False) -> dict[str, Any]:
    """The verdict, as `--json` prints it. Raises Refused without a step where there is none. `of_anywhere`: also a
    phone that opens its session on another curve than P-256."""
    from . import radio as radios
    from .formats.cose import ES256_ONLY
    from .formats.curves import ISO
    from .verifier.till.reader import Reading

    reading = Reading(code, SystemDice().bytes(48), ISO if of_anywhere else ES256_ONLY)
    typer.echo("looking for the phone", err=True)
    link = await radios.meet(radio, reading.engagement)
    typer.echo("asked; the holder decides", err=True)
    response = await reading.ask(link, [want])
    try:
        answer = await judge(reading, response, want)
    except Refused as refused:
        if refused.step is None:
            raise
        return {"outcome": "refused", "step": refused.step, "code": refused.code.value, "detail": refused.detail}
    [shown] = answer.presented
    claims = {str(path[-1]): _written(value) for path, value in shown.claims.items()}
    # Whoever asks for age_over_NN lets somebody in by the answer: genuine, and not of age, is no green (as cli_check).
    outcome = "no" if any(value is False for value in claims.values()) else "accepted"
    return {"outcome": outcome, "issuer": shown.issuer, "type": shown.type, "items": claims}


@asynccontextmanager
async def _radio(controller: str) -> AsyncIterator[Radio]:
    if controller:
        from .radio.controller import opened

        async with opened(controller, SystemDice().bytes(6)) as found:
            yield found
    else:
        from .radio.bluez import Bluez

        yield Bluez()


def by_anchors(path: Path, clock: Clock, transport: AsyncBaseTransport | None = None) -> Judge:
    """By authorities of elsewhere: rules of their own for types, ends and status lists. Each vouches for its own
    signers alone, of documents and of status lists."""
    from .cli_files import read_anchors
    from .formats.curves import ISO
    from .formats.x509 import Profile, by_authority
    from .verifier.checking.check import Issuer, Listed, Policy, Trusted, conclude, examine_answer
    from .verifier.checking.standing import StatusLists
    from .verifier.till.reader import must_say, nearest

    authorities, policy = by_authority(read_anchors(path), ISO), Policy(without_status=True)

    async def judge(reading: Reading, response: str, want: Want) -> Answer:
        import httpx

        # B.1.4: who signs licences has a certificate for it. Other documents have profiles of their own.
        profile = Profile.DOCUMENT_SIGNER if want.doctype == LICENCE else None
        issuers = tuple(Issuer(name, one, None, None, None, profile, None) for name, one in authorities.items())
        token, asked = {"mdoc": [response]}, want
        want = nearest(want, response, ISO)
        halfway = examine_answer(token, reading.asked(want), Trusted(issuers), clock.now(), policy)
        lists: dict[str, Listed] = {}
        async with httpx.AsyncClient(transport=transport) as http:
            for _, examined in halfway:
                if examined.status is not None:
                    with step("standing"):
                        lists |= await StatusLists(http, clock).listed(examined.status, examined.issuer)
        answer = conclude(halfway, lists, clock.now())
        must_say(asked, {str(path[-1]): value for path, value in answer.presented[0].claims.items()})
        return answer

    return judge


def by_pack(path: Path, clock: Clock) -> Judge:
    """By what the offline pack says; asked for no purpose of the pack, so as strictly as for the highest risk."""
    from .catalog import Purpose
    from .rules import Words
    from .verifier.checking.check import check_answer
    from .verifier.checking.kit import open_pack

    opened, none = open_pack(path), Words(ko="-", en="-")
    purpose = Purpose("", none, none, none, (), none, risk="high")

    async def judge(reading: Reading, response: str, want: Want) -> Answer:
        now = opened.now(clock.now())
        trusted = opened.known.trusted(purpose, now)
        return check_answer({"mdoc": [response]}, reading.asked(want), trusted, now)

    return judge


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | bool) else str(value)


def _lines(verdict: Mapping[str, Any]) -> list[str]:
    if verdict["outcome"] == "refused":
        head = typer.style("REFUSED", fg=typer.colors.RED, bold=True)
        return [head, f"{verdict['step']}: {verdict['code']}: {verdict['detail']}"]
    green = verdict["outcome"] == "accepted"
    head = typer.style(
        "GENUINE" if green else "THE ANSWER IS NO", fg=typer.colors.GREEN if green else typer.colors.RED, bold=True
    )
    said = (f"{name}: {value}" for name, value in (*verdict["items"].items(), ("issuer", verdict["issuer"])))
    return [head, *("".join(one if one.isprintable() else "?" for one in line) for line in said)]
