"""`mapae rp ...` for governors: decide who may ask.

Promises: results on stdout, talk on stderr; what changes something prints its plan and stops unless `--apply`; an error
ends with what to try next. It works on the data folder or the database of the settings while the roles run. Trusts: the
person at the terminal to hold the key he names. Keeps: nothing. Refuses: to agree to what has not been read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .cli_apply import Apply, Config, Country, lines_of, printed, rp_app
from .cli_ledger import governor_of, on_registry
from .errors import Code, Refused
from .terminal import must_stop, talk

__all__ = ["rp_app"]

if TYPE_CHECKING:
    from .house import House
    from .trust.onboarding import Onboarding, Seen
    from .trust.registry import Agreed, Registry

T = TypeVar("T")
Case = Annotated[str, typer.Argument(help="An application; `mapae rp waiting` lists them")]
Data = Annotated[str, typer.Option("--data", help="Data folder; default: that of the settings")]
By = Annotated[str, typer.Option("--as", help="The governor who acts: governor-1")]
Key = Annotated[
    str, typer.Option("--key", help="URI of the governor's key: file:voice in the data folder's keys, or pkcs11:...")
]
Why = Annotated[str, typer.Option("--words", help="Why, for the applicant to read")]


# --- the governors ----------------------------------------------------------------------------------------------------


@rp_app.command("waiting")
def rp_waiting(config: Config = None, data: Data = "", country: Country = "") -> None:
    """Applications that governors have to decide."""

    async def work(house: House, onboarding: Onboarding) -> None:
        for seen in await onboarding.waiting():
            agreed = await onboarding.agreed(seen.case)
            by = f", agreed to by {', '.join(agreed)}" if agreed else ""
            typer.echo(f"{seen.reading}  {seen.made.id}  {seen.made.name.en}  {_asks(seen)}{by}")
        for seen, left in await onboarding.due():
            talk.print(f"Ends in {left.days} days: {seen.made.id}. To renew it: mapae rp renew {seen.case.id}",
                       highlight=False, soft_wrap=True)  # fmt: skip

    _on(config, data, country, work)


@rp_app.command("show")
def rp_show(id: Case, config: Config = None, data: Data = "", country: Country = "") -> None:
    """One application: what is asked on which legal basis, what the linter says, whom the name could be taken for."""

    async def work(house: House, onboarding: Onboarding) -> None:
        from .trust.application import document_of, items_of, risk_of

        seen, pack = await onboarding.look(id), onboarding.country
        found = [(one, document_of(one, pack)) for one in seen.made.purposes]
        printed(
            {
                "case": seen.reading,
                "stage": seen.case.stage,
                "agreed": await onboarding.agreed(seen.case),
                "application": seen.made,
                # What is signed for, in words also where the application leaves them out.
                "asks": [
                    {
                        "purpose": one.ready or one.id,
                        "document": document.id if document is not None else None,
                        "items": items_of(one, pack),
                        "risk": risk_of(one, pack),
                    }
                    for one, document in found
                ],
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
        if not must_stop(apply):
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
        if not must_stop(apply):
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
        if not must_stop(apply):
            agreed = await onboarding.end(id, governor_of(house, by, key), Reason[reason.upper()])
            typer.echo(_said(agreed, "end", id))

    _on(config, data, country, work)


@rp_app.command("relink")
def rp_relink(id: Case, apply: Apply = False, config: Config = None, data: Data = "", country: Country = "") -> None:
    """A new secret link for a party that lost its own, or from which somebody else took it. See first who asks."""

    async def work(house: House, onboarding: Onboarding) -> None:
        seen = await onboarding.look(id)
        typer.echo(f"plan: a new link for {seen.made.name.en} ({seen.made.id}); the old one leads nowhere then")
        if not must_stop(apply):
            token = await onboarding.relink_for(id, "operator")
            typer.echo(f"{house.settings.base_url.rstrip('/')}/rp/a/{token}")

    _on(config, data, country, work)


# --- inside -----------------------------------------------------------------------------------------------------------


def _decline(
    deed: str, id: str, by: str, words: str, key: str, apply: bool, where: tuple[Path | None, str, str]
) -> None:  # fmt: skip
    async def work(house: House, onboarding: Onboarding) -> None:
        typer.echo(f"plan: {deed} the application of {(await onboarding.look(id)).made.id}, as {by}: {words}")
        if not must_stop(apply):
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
                     f"{one.id}({one.document}: {' '.join(one.items)})" for one in seen.made.purposes)  # fmt: skip
