"""The sandbox city: the demo country's people answer for whoever has no phone at hand, rightly or wrongly on purpose.

Promises: an answer is a real one of a real holder: a Python wallet of that very person, with a card from the counter;
a fault is one fault (`demo_faults`), and the page says what a right verifier must make of it. Trusts: whoever reaches
the demo country: its people are made up. Keeps: the wallets, sealed, in the data folder. Refuses: to be there unless
the settings say `demo = true`; a question that is not put by this country, so that nobody has us fetch other addresses.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from .app import ISSUER, issuing_authority
from .certified import voice_of
from .clock import SystemDice
from .config import passphrase
from .demo_faults import MUST_SEE, SD_JWT_ONLY, SENT, SLOW, Fault, FaultyWallet, Resealed, Seen
from .demo_knock import answering, heard
from .demo_lives import SANDBOX, phone_of, visit
from .demo_offer import knock
from .errors import Code, Refused
from .formats.dcql import SD_JWT
from .formats.x509 import Profile, Subject
from .holder.store import FileStore
from .house import House
from .registers.people import Named
from .trust.signers import Purpose, Reason
from .ui.http import Answer, Caller, Csrf, Door, Rate, door, form, json_answer, json_body
from .ui.pages import page

_log = structlog.get_logger("mapae.demo")

PATH: Final = "/sandbox/"
STAY: Final = ("locked", "expired")  # what is odd about them would be mended by a renewal, or cannot be
ROLES: Final = frozenset({"registers", "issuer", "verifier", "wallet_provider", "trust"})
_LINK = re.compile(r"#request=(.+)")


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """`link`: what a QR code of the question says. `person`: a key of /demo.json."""

    link: str
    person: str
    fault: Fault = Fault.NONE


class Sandbox:
    """Where every role is in one process: the counter is needed, and the wallet provider, and the log."""

    def __init__(self, house: House, people: Sequence[Named]) -> None:
        self._house, self._people = house, {named.key: named for named in people}
        self._base = house.settings.base_url
        self._folder = house.foundation.data / SANDBOX
        self._wallets: dict[str, FaultyWallet] = {}
        self._resealed: Resealed | None = None
        self._one = asyncio.Lock()  # people go to the counter one after the other
        self._later: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Door]:
        if not self._house.settings.demo or not set(self._house.roles) >= ROLES:
            return []
        anyone: dict[str, Any] = {"caller": Caller.ANYONE, "rate": Rate(120, 60)}
        self._house.endings.append(self._end)
        return [
            door("GET", PATH, self._page, answer=Answer.PAGE, **anyone),
            door("POST", PATH, self._pressed, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=20_000, **anyone),
            door("GET", f"{PATH}people.json", self._list, answer=Answer.JSON, **anyone),
            door("POST", f"{PATH}answers", self._json, answer=Answer.JSON, limit=20_000, **anyone),
        ]

    # --- doors --------------------------------------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        return self._shown(request, {"link": request.query_params.get("link", "")[:16384]})

    async def _pressed(self, request: Request) -> Response:
        fields = await form(request)
        try:
            fault = Fault(fields.get("fault", Fault.NONE.value))
        except ValueError:
            raise Refused(Code.NOT_FOUND, "there is no such fault") from None
        said = await self.answer(fields.get("link", ""), fields.get("person", ""), fault)
        return self._shown(request, fields, said)

    def _shown(self, request: Request, typed: dict[str, str], said: dict[str, Any] | None = None) -> Response:
        people = [
            {"key": named.key, "name": named.resident.name, "name_latin": named.resident.name_latin, "odd": named.odd,
             "portrait": f"/demo/portraits/{named.key}" if named.resident.photo_seed else ""}
            for named in self._people.values()
        ]  # fmt: skip
        return page(
            request, "demo/sandbox.html", people=people, faults=[(one, MUST_SEE[one]) for one in Fault], said=said,
            link=typed.get("link", ""), person=typed.get("person", "") or next(iter(self._people), ""),
            fault=typed.get("fault", "none"),
        )  # fmt: skip

    async def _list(self, request: Request) -> Response:
        people = [{"key": one.key, "name": one.resident.name, "odd": one.odd} for one in self._people.values()]
        faults = [{"fault": one, "must_see": _seen(MUST_SEE[one])} for one in Fault]
        return json_answer({"people": people, "faults": faults})

    async def _json(self, request: Request) -> Response:
        wanted = await json_body(request, Wanted)
        return json_answer(await self.answer(wanted.link, wanted.person, wanted.fault))

    # --- answering ----------------------------------------------------------------------------------------------------

    async def answer(self, link: str, person: str, fault: Fault) -> dict[str, Any]:
        """What that person's wallet did, and what whoever asked must see of it."""
        text = self._ours(link)
        named = self._people.get(person)
        if named is None:
            raise Refused(Code.NOT_FOUND, "nobody of that name lives here; /sandbox/people.json lists the people")
        said: dict[str, Any] = {"person": named.key, "fault": fault.value, "must_see": _seen(MUST_SEE[fault])}
        if fault is Fault.NOBODY:
            return said | {"wallet": "silent"}
        try:
            wallet = await self._wallet(named)
        except Refused as refused:
            if refused.code is not Code.NO_SUCH_PERSON:
                raise
            return said | {"wallet": "silent", "must_see": _seen(Seen("expired"))}  # no carrier knows this person
        if not wallet.cards:
            asked = await wallet.open_request(text)
            await wallet.refuse(asked)
            return said | {"wallet": "no_card", "must_see": _seen(Seen("declined", "", "access_denied"))}
        if fault is Fault.SLOW:
            task = asyncio.create_task(self._send_later(wallet, text))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return said | {"wallet": "later", "seconds": int(SLOW)}
        return said | await self._send(wallet, text, fault)

    async def _send(self, wallet: FaultyWallet, text: str, fault: Fault) -> dict[str, Any]:
        asked = await wallet.open_request(text)
        who = {"asked_by": asked.who, "purpose": asked.request.purpose.id if asked.request.purpose else ""}
        if fault not in SENT:
            return who | {"wallet": "line_down"}
        option = next((one for one in asked.options if one and all(match.format == SD_JWT for match in one)), None)
        if fault in SD_JWT_ONLY and option is None:
            raise Refused(Code.UNSUPPORTED, "this fault needs a question that takes an SD-JWT")
        if not asked.options:
            await wallet.refuse(asked)
            return who | {"wallet": "no_card", "must_see": _seen(Seen("declined", "", "access_denied"))}
        wallet.faulty.fault = fault
        wallet.faulty.resealed = await self._revoked() if fault is Fault.REVOKED_SIGNER else None
        try:
            shown = await wallet.present(asked, option)
        finally:
            wallet.faulty.fault = Fault.NONE
        return who | {"wallet": "sent", "items": shown.items, "redirect_uri": shown.redirect_uri}

    async def _send_later(self, wallet: FaultyWallet, text: str) -> None:
        await asyncio.sleep(SLOW)
        try:
            await self._send(wallet, text, Fault.NONE)
        except Refused as refused:  # whoever asked went away meanwhile: nobody is there to be told
            _log.info("a slow answer came too late", code=refused.code.value)

    def _ours(self, link: str) -> str:
        """The text of a question this very country puts: neither its request nor its answer goes anywhere else."""
        text = html.unescape(link.strip())
        inside = _LINK.search(text)
        text = unquote(inside[1]) if inside is not None else text
        try:
            fields = parse_qs(urlsplit(text).query)
            [address] = fields.get("request_uri") or fields.get("response_uri") or []
        except ValueError:
            raise Refused(Code.MALFORMED, "this is no question: paste what the QR code says") from None
        if not address.startswith(f"{self._base}/"):
            raise Refused(Code.NOT_ALLOWED, "the sandbox answers questions of this country alone")
        return text

    # --- people -------------------------------------------------------------------------------------------------------

    async def _wallet(self, named: Named) -> FaultyWallet:
        """That person's phone, with a card where the counter gives one. Made when it is first wanted."""
        async with self._one:
            wallet = self._wallets.get(named.key)
            if wallet is None:
                wallet = self._wallets[named.key] = await self._opened(named)
            spent = any(not wallet.copies_left(card) for card in wallet.cards)
            if spent and named.story not in STAY:
                await wallet.renew_if_needed()
            return wallet

    async def _opened(self, named: Named) -> FaultyWallet:
        f = self._house.foundation
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / named.key
        store = FileStore(path, passphrase(f.data))
        wallet = FaultyWallet(
            f.http, self._base, store=store, clock=f.clock, dice=SystemDice(), old_copies=named.story == "expired"
        )
        if path.exists():
            return wallet
        try:
            await self._register(named, wallet)
        except BaseException:  # half made, it would be handed out as a phone without cards from now on
            path.unlink(missing_ok=True)
            raise
        return wallet

    async def _register(self, named: Named, wallet: FaultyWallet) -> None:
        f = self._house.foundation
        fresh = await phone_of(f.http, self._base, f.clock, named.resident, wallet=wallet)
        if (await fresh.standing()).state != "active":
            raise Refused(Code.PHONE_ALREADY_ACTIVE, "this person has a phone of their own: answer with that one")
        try:
            await visit(self._house, named.resident, fresh)
        except Refused as refused:  # too young, a foreigner, no physical card: then this wallet is empty
            _log.info("no card for somebody of the sandbox", code=refused.code.value)
        if wallet.cards and _has_changed(named):
            hits = await self._house.population.search(resident_number=named.resident.number.written)
            await self._house.issuer.renew(hits.hits[0].person, "address", "sandbox")
        await self._house.settle()

    async def _revoked(self) -> Resealed:
        """A signer of the country's own authority, entered in the log and revoked there as stolen: made once."""
        if self._resealed is None:
            f = self._house.foundation
            ca, der = f.signer("issuer", "issuing-ca"), issuing_authority(f)
            key = f.signer("demo", "revoked-signer")
            subject = Subject("Revoked signer of the sandbox", country=f.country.code)
            x5c = f.certificates.leaf("demo-revoked", Profile.DOCUMENT_SIGNER, subject, key, ca=ca, ca_der=der)
            voice = voice_of(self._house, "issuer", ISSUER)
            await voice.enter(x5c[0], Purpose.DOCUMENT_SIGNER)
            thumbprint = sha256(x5c[0]).digest()
            if not any(k == thumbprint and v.revoked for k, v in (await self._house.ledger.state()).keys.items()):
                await voice.revoke(thumbprint, Reason.COMPROMISED)
            f.trust_reader().look_again()
            self._resealed = Resealed(key, x5c)
        return self._resealed

    async def _end(self) -> None:
        for task in tuple(self._later):
            task.cancel()


def _has_changed(named: Named) -> bool:
    """Something on the card is out of date since: it is accepted, and asks to be refreshed."""
    return named.resident.moved_in is not None or bool(named.resident.former_names)


def _seen(seen: Seen) -> dict[str, str]:
    return seen._asdict()


# --- the command ------------------------------------------------------------------------------------------------------


def ask_sandbox(url: str, person: str, link: str, fault: str, ca: Path | None = None) -> str:
    """Without a person, who there is; otherwise what that person's wallet did, as JSON."""
    if bool(person) != bool(link):
        raise Refused(Code.BAD_CONFIG, "--let and --answer go together")
    if fault not in tuple(Fault):
        raise Refused(Code.BAD_CONFIG, f"--fault is one of {', '.join(Fault)}")
    if person:
        return msgspec.json.encode(knock(url, f"{PATH}answers", Wanted(link, person, Fault(fault)), ca)).decode()
    with answering(url), httpx.Client(timeout=20, trust_env=False, verify=str(ca) if ca is not None else True) as http:
        there = heard(http.get(f"{url.rstrip('/')}{PATH}people.json"))
    people = [f"{one['key']:<20} {one['odd']['en']}" for one in there["people"]]
    faults = [
        f"--fault {one['fault']:<16} {' '.join(filter(None, one['must_see'].values()))}" for one in there["faults"]
    ]
    return "\n".join([*people, "", *faults])
