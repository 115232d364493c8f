"""One call for whoever checks: `verify(presentation, ask, pack)`, with no server, no network and no account.

    import mapae

    pack = mapae.open_pack("pack-folder")                   # what `mapae pack fetch` keeps up to date
    bar = mapae.purpose("kr", "alcohol_tobacco")            # or mapae.Wanted(...) with items of your own
    verdict = mapae.verify(texts_of_the_codes, bar, pack)   # a code the holder shows unasked
    verdict.outcome                                         # "accepted", "no" or "refused"

    question = mapae.ask_code(bar, name="Corner shop")      # or ask first: show question.text as a QR code
    verdict = mapae.verify(texts_of_the_answer, question, pack)

Promises: the six steps of docs/checking.md, with what the pack says; a presentation that fails never raises, its
verdict names step and code. A code is accepted once by this process, or once by all who share `spent`. Trusts: the
opened pack, and the caller for what is asked. Keeps: nonces of accepted codes until they are over. Refuses: a code of
another purpose, one shown unasked where the purpose does not let a holder do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from mapae import catalog
from mapae.clock import Dice, SystemClock, SystemDice
from mapae.config import country_tree
from mapae.errors import Code, Refused, step
from mapae.formats import qr
from mapae.formats.jose import Signing
from mapae.trust import entries as registry
from mapae.trust.log.policy import Policy
from mapae.trust.pack import format as pack_format
from mapae.trust.pack.verify import Opened
from mapae.trust.pack.verify import open_pack as open_by_steps
from mapae.trust.purposes import Listed
from mapae.verifier.checking import receipt as receipts
from mapae.verifier.checking.check import (
    Asked,
    ByCode,
    Format,
    Item,
    ItemValue,
    Tie,
    Trusted,
    Verified,
    conclude,
    either,
    examine_answer,
    verified,
)
from mapae.verifier.checking.offline import Known, Light, Offline, Tier, clock, light
from mapae.verifier.checking.spent import Remembered, Spent
from mapae.verifier.checking.steps import FORMATS, Examined

MOST_TEXTS: Final = 10 * qr.MAX_FRAMES  # of one presentation: each frame as often as a camera sees it


# --- what is asked ----------------------------------------------------------------------------------------------------


class Wanted(Struct, frozen=True, kw_only=True):
    """Items of one document, for one purpose. `risk` and `offline` say how old a pack may be (docs/checking.md),
    `anyone` and `by_holder` who may ask and show it, as in a country pack."""

    purpose: str
    items: tuple[Item, ...]
    vct: str | None = None
    doctype: str | None = None
    namespace: str | None = None
    risk: Literal["low", "medium", "high"] = "high"
    offline: catalog.Offline = catalog.Offline()
    anyone: bool = False
    by_holder: bool = False

    @property
    def yes_or_no(self) -> bool:
        return bool(self.items) and all(item.kind == "yes_no" for item in self.items)

    def asked(self, tie: Tie) -> Asked:
        return Asked(either(self.items, self.vct, self.doctype, self.namespace), tie)

    @classmethod
    def of(cls, country: catalog.Country, purpose: str) -> Wanted:
        """A purpose of a country pack. Raises Refused(NOT_FOUND)."""
        found = country.purposes.get(purpose)
        if found is None:
            raise Refused(Code.NOT_FOUND, f"there is no purpose {purpose}; there are {', '.join(country.purposes)}")
        return cls.of_purpose(country, found)

    @classmethod
    def of_purpose(cls, country: catalog.Country, found: catalog.Purpose) -> Wanted:
        """A purpose of the pack, or a party's own as `verifier.asking.purposes` finds it in its registration."""
        document = country.documents[found.document]
        formats = document.formats or catalog.Formats()
        return cls(
            purpose=found.id, items=tuple([Item(name, document.claim(name).kind) for name in found.items]),
            vct=formats.sd_jwt.vct if formats.sd_jwt is not None else None,
            doctype=formats.mdoc.doctype if formats.mdoc is not None else None,
            namespace=formats.mdoc.namespace if formats.mdoc is not None else None,
            risk=found.risk, offline=found.offline, anyone=found.anyone, by_holder=found.by_holder,
        )  # fmt: skip

    @classmethod
    def listed(cls, one: Listed) -> Wanted:
        """A purpose of the signed purposes document, which names no limits of its own: the usual ones."""
        about = one.document
        return cls(
            purpose=one.id, items=tuple([Item(name, one.kinds[name]) for name in one.items]), vct=about.vct or None,
            doctype=about.doctype or None, namespace=about.namespace or None, risk=one.risk, anyone=one.anyone,
            by_holder=one.by_holder,
        )  # fmt: skip


def purpose(country: str, id: str) -> Wanted:
    """By the name of a shipped country pack, or the path of another."""
    return Wanted.of(catalog.parse_country(country_tree(country)), id)


class AskCode(Struct, frozen=True):
    """A question as a code for this checker's screen. It lives `qr.ASK_LIFE` seconds and is answered once."""

    wanted: Wanted
    code: qr.Ask
    made: int

    @property
    def text(self) -> str:
        return self.code.encode()

    @property
    def until(self) -> int:
        return self.made + qr.ASK_LIFE


class Put(Struct, frozen=True):
    """The same question put in another way: `ByRedirect` or `ByBrowser` of `mapae.verifier.checking.check`."""

    wanted: Wanted
    tie: Tie


Ask = Wanted | AskCode | Put


def ask_code(
    wanted: Wanted, *, name: str = "", key: Signing | None = None, certificate: bytes | None = None,
    registration: str | None = None, now: datetime | None = None, dice: Dice | None = None,
) -> AskCode:  # fmt: skip
    """With a `name`, as somebody unknown: yes or no only. Or as a registered party, with its access key and
    certificate (DER); `registration` is its registration certificate, for wallets whose list is older than it, as far
    as it fits one code. Raises Refused(OVER_ASKING, LINT, MALFORMED)."""
    items = tuple([item.name for item in wanted.items])
    nonce = (dice or SystemDice()).bytes(qr.NONCE)
    at = int((now or SystemClock().now()).timestamp())
    if key is not None and certificate is not None:
        code = qr.Ask(
            nonce=nonce, purpose=wanted.purpose, items=items, registration=registration, until=at + qr.ASK_LIFE
        )
        code = code.sealed(key.sign(code.to_be_signed()), certificate)
        code.encode()  # that it fits
        return AskCode(wanted, code, at)
    if not wanted.anyone or not wanted.yes_or_no:
        raise Refused(Code.OVER_ASKING, "not just anybody may ask this: a registered key and certificate are needed")
    code = qr.Ask(nonce=nonce, purpose=wanted.purpose, items=items, name=name)
    qr.Ask.parse(code.encode())  # a name no wallet would show
    return AskCode(wanted, code, at)


# --- the pack ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pack:
    """An opened pack; `high_water` as in `offline.clock`."""

    known: Known
    high_water: int = 0
    spent: Spent = field(default_factory=Remembered)

    @classmethod
    def of(cls, opened: Opened, high_water: int = 0) -> Pack:
        return cls(Known(opened), high_water, HERE)

    @property
    def opened(self) -> Opened:
        return self.known.opened

    def now(self, device: datetime) -> datetime:
        return clock(device, self.opened.newest, self.high_water)

    def ages(self, now: datetime) -> tuple[int, int]:
        """Of trust and of status, in seconds."""
        at = now.timestamp()
        trust = max(0, int(at - self.opened.as_of))
        return trust, max([0, *(int(at - one.as_of) for one in self.opened.statuses)])

    def light(self, now: datetime) -> Light:
        return light(max(self.ages(now)))


HERE: Final = Remembered()  # one process is one checker, unless its caller says otherwise


def open_pack(path: str | Path, policy: str | Path | Policy | None = None) -> Pack:
    """A pack by all its steps; `path` is the file, or the folder `mapae pack fetch` keeps. `policy`: the policy to hold
    it to, where it does not lie beside the pack. Raises Refused with `step`."""
    file = Path(path) / "pack" if Path(path).is_dir() else Path(path)
    if not isinstance(policy, Policy):
        policy = Policy.parse(_read(Path(policy) if policy is not None else file.with_name("policy")).decode())
    noted = file.with_name("clock").read_text() if file.with_name("clock").is_file() else ""
    high_water = int(noted) if noted.isascii() and noted.isdigit() and len(noted) < 13 else 0
    return Pack.of(open_by_steps(_read(file), policy), high_water)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > pack_format.LIMIT:
            raise Refused(Code.TOO_LARGE, f"{path} is too large to be an offline pack or a policy")
        return path.read_bytes()
    except OSError as error:
        raise Refused(Code.BAD_CONFIG, f"{path} cannot be read: {error.strerror}; check the path") from None


# --- the verdict ------------------------------------------------------------------------------------------------------

Outcome = Literal["accepted", "no", "refused"]


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`no`: genuine, and the answer to the question is no. `tier` and the ages say on what it stands; `renew` asks the
    holder to refresh the card. `detail` is one plain English sentence without personal data."""

    outcome: Outcome
    purpose: str
    step: str | None = None
    code: Code | None = None
    detail: str = ""
    items: Mapping[str, ItemValue] = {}
    format: Format | None = None
    issuer: str = ""
    renew: bool = False
    tier: Tier | None = None
    trust_age: int = 0
    status_age: int = 0
    light: Light | None = None


def verify(
    presentation: str | Sequence[str] | qr.Show | Mapping[str, Any],
    ask: Ask,
    pack: Pack | Trusted,
    *,
    now: datetime | None = None,
    spent: Spent | None = None,
) -> Verdict:
    """The texts of the codes that were shown (in any order), or a decoded `vp_token`. Never raises for what was shown.

    In place of a pack, `Trusted` of `mapae.verifier.checking.check`: anchors and status lists of one's own, whose
    age is for the caller to judge."""
    at = now or SystemClock().now()
    wanted = ask if isinstance(ask, Wanted) else ask.wanted
    trust = status = 0
    lamp = None
    if isinstance(pack, Pack):
        at = pack.now(at)
        trust, status = pack.ages(at)
        lamp = light(max(trust, status))
        spent = spent if spent is not None else pack.spent
    try:
        found, grounds = _checked(presentation, ask, pack, at, spent if spent is not None else HERE)
    except Refused as refused:
        return Verdict(
            outcome="refused", purpose=wanted.purpose, step=refused.step, code=refused.code, detail=refused.detail,
            trust_age=trust, status_age=status, light=lamp,
        )  # fmt: skip
    no = wanted.yes_or_no and not all(found.claims.values())
    return Verdict(
        outcome="no" if no else "accepted", purpose=wanted.purpose, items=found.claims, format=found.format,
        issuer=found.issuer, renew=found.renew, tier=grounds.tier if grounds else None,
        trust_age=grounds.trust if grounds else 0, status_age=grounds.status if grounds else 0, light=lamp,
    )  # fmt: skip


def _checked(
    presentation: Any, ask: Ask, pack: Pack | Trusted, now: datetime, spent: Spent
) -> tuple[Verified, Offline | None]:
    wanted = ask if isinstance(ask, Wanted) else ask.wanted
    with step("issuer"):
        trusted = pack.known.trusted(wanted, now) if isinstance(pack, Pack) else pack
    if isinstance(ask, Put):
        found, examined = _answer(presentation, ask.tie, wanted, trusted, now)
        return found, _grounds(examined, wanted, pack, now)
    show = read_code(presentation)
    found, examined = check_code(show, ask, trusted, now)
    grounds = _grounds(examined, wanted, pack, now)
    spend(show, ask, spent, now)
    return found, grounds


def read_code(presentation: Any) -> qr.Show:
    with step("code"):
        if isinstance(presentation, qr.Show):
            return presentation
        texts = [presentation] if isinstance(presentation, str) else presentation
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise Refused(Code.MALFORMED, "a presentation is the texts of its codes")
        if len(texts) > MOST_TEXTS:
            raise Refused(Code.TOO_LARGE, "too many codes for one presentation")
        return qr.join(texts)


def check_code(
    show: qr.Show, ask: Wanted | AskCode, trusted: Trusted, now: datetime
) -> tuple[Verified, Examined]:  # fmt: skip
    """A code that was read: all six steps. Pure. Raises Refused with `step`. `spend` it before anybody sees a yes."""
    wanted = ask if isinstance(ask, Wanted) else ask.wanted
    with step("request"):
        if show.purpose != wanted.purpose:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the code was made for another purpose")
        if isinstance(ask, Wanted) and not ask.by_holder:
            raise Refused(Code.OVER_ASKING, "this purpose has to be asked: nobody shows it unasked")
        if isinstance(ask, AskCode) and now.timestamp() > ask.until:
            raise Refused(Code.SESSION_SPENT, "the question was put too long ago")
    audience, nonce = (qr.OPEN, show.nonce) if isinstance(ask, Wanted) else (ask.code.audience, ask.code.nonce)
    return _answer(
        {FORMATS[show.format].value: [show.presentation]}, ByCode(audience, nonce, show.nonce, show.made), wanted,
        trusted, now,
    )  # fmt: skip


def spend(show: qr.Show, ask: Wanted | AskCode, spent: Spent, now: datetime) -> None:
    """The code counts here no more. Raises Refused(PRESENTATION_SPENT, PRESENTATION_STALE)."""
    over = show.made + qr.LIFE + qr.SKEW
    with step("holder"):
        until = max(over, ask.until) if isinstance(ask, AskCode) else over
        spent.take(show.nonce, until, int(now.timestamp()))


def _answer(token: Any, tie: Tie, wanted: Wanted, trusted: Trusted, now: datetime) -> tuple[Verified, Examined]:
    halfway = examine_answer(token, wanted.asked(tie), trusted, now)
    answer = conclude(halfway, trusted.lists, now)
    return verified(answer, wanted.items), halfway[0][1]


def _grounds(examined: Examined, wanted: Wanted, pack: Pack | Trusted, now: datetime) -> Offline | None:
    if not isinstance(pack, Pack):
        return None
    with step("standing"):
        return pack.known.standing(examined.status.uri if examined.status is not None else None, wanted, now)


def receipt_of(
    verdict: Verdict, ask: Ask, pack: Pack, *, now: datetime | None = None, asked_by: str = receipts.ANYONE,
    registered: registry.Purpose | None = None, minute: bool = False,
) -> receipts.Receipt:  # fmt: skip
    """For who has to show later that a check was made. `registered`: the purpose as `asked_by` registered it, which is
    then the rule; otherwise that is what was wanted."""
    wanted = ask if isinstance(ask, Wanted) else ask.wanted
    return receipts.receipt(
        pack.opened, purpose=wanted.purpose, items=tuple([item.name for item in wanted.items]),
        rule=receipts.rule_digest(registered if registered is not None else wanted), outcome=verdict.outcome,
        now=pack.now(now or SystemClock().now()), asked_by=asked_by, step=verdict.step, code=verdict.code,
        tier=verdict.tier.value if verdict.tier is not None else None, minute=minute,
    )  # fmt: skip
