"""The identity check: name, resident number and phone belong together, and whoever asks holds that phone.

Promises: an assertion is signed only after the right one-time code, within its life and within its tries, and once a
check. Wrong name, wrong number, wrong phone, deceased and unknown are one answer after the same work, so nobody learns
which part was wrong. That answer is honest, because an applicant who mistyped must be told; what keeps it from being a
dictionary is that it needs all three parts at once, that knocks are counted by number, by phone and by address before
anything is looked up (an address over its limit counts for nobody else), and that every hit rings the phone of the
person it is about. Trusts: the population register, the carrier to deliver. Keeps: checks for a day, the code only as
a keyed hash; knocks as keyed hashes while they count. Refuses: a knock too many, a wrong, late or used code. A
stranger who knows somebody's number can use up that person's knocks for a while; the counter, where an officer looks
at a card, is the way round that.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from ..audit import Event, record
from ..clock import Clock, Dice
from ..db import Db, Tx
from ..errors import Code, Refused
from ..formats.jose import Signing, sign_jws
from ..keys import Vault
from ..rules import IdentityRules, KnockLimit, NumberScheme
from .number import parse_number
from .population import LONGEST_NAME
from .store import Check, Match, PopulationStore, end_check, forget_identity, knock, look_at_check, open_check, take_try

TYP = "mapae-identity+jwt"
ISSUER = "registers"
KEEP_SECONDS = 86400
AUDIENCES = frozenset({"wallet_provider", "issuer"})


@dataclass(frozen=True, slots=True)
class Ask:
    """What the person typed, and for whom the assertion shall be."""

    name: str
    resident_number: str
    phone: str
    audience: str
    language: str = "ko"


@dataclass(frozen=True, slots=True)
class Started:
    check_id: str
    expires_in: int
    tries: int
    phone_hint: str


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How the number is written, d for each digit, and how many leading digits need no hiding while it is typed."""

    layout: str
    shown: int


@dataclass(frozen=True, slots=True)
class PhoneForm:
    layout: str


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of what a wallet asks its holder to type: the country's, so that the wallet knows no country."""

    number: NumberForm
    phone: PhoneForm
    code_digits: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    assertion: str
    person_name: str


class WrongCode(Refused):
    """The code is wrong; `tries_left` more tries."""

    def __init__(self, tries_left: int) -> None:
        super().__init__(Code.WRONG_CODE, f"tries left: {tries_left}")
        self.tries_left = tries_left


@dataclass(frozen=True, slots=True)
class Carrier:
    """Where text messages are handed in."""

    http: httpx.AsyncClient
    url: str
    key: str

    async def send(self, id: str, to: str, text: str) -> None:
        """Raises Refused(UNAVAILABLE) when the carrier did not take the message."""
        message = {"id": id, "to": to, "text": text}
        try:
            # Of the answer nothing but the status is read.
            async with self.http.stream(
                "POST", self.url, json=message, headers={"Authorization": f"Bearer {self.key}"}
            ) as answer:
                status = answer.status_code
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the text message could not be sent; try again") from None
        if status != 202:
            raise Refused(Code.UNAVAILABLE, "the text message could not be sent; try again")


class IdentityCheck:
    """Starts and confirms identity checks for the named audiences."""

    def __init__(
        self, db: Db, vault: Vault, clock: Clock, dice: Dice, *, scheme: NumberScheme, rules: IdentityRules,
        signer: Signing, carrier: Carrier, audiences: Collection[str] = AUDIENCES,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self._scheme, self._rules = scheme, rules
        self._signer, self._carrier = signer, carrier
        self._audiences = frozenset(audiences)
        self._population = PopulationStore(db, vault)

    def form(self) -> Form:
        number = "".join("d" if letter.isalpha() else letter for letter in self._scheme.layout)
        return Form(
            NumberForm(number, self._scheme.shown), PhoneForm(self._rules.phone_layout), self._rules.code_digits
        )

    async def start(self, ask: Ask, client: str) -> Started:
        """1 spelling  2 knocks  3 the three belong together  4 check on record  5 text message."""
        if ask.audience not in self._audiences:
            raise Refused(Code.MALFORMED, "unknown audience")
        if not ask.name.strip() or len(ask.name) > LONGEST_NAME:
            raise Refused(Code.MALFORMED, "the name is missing or too long")
        number = parse_number(self._scheme, ask.resident_number)
        phone = parse_phone(self._rules.phone_layout, ask.phone)
        await self._count_knocks({"person": number.written, "phone": phone, "address": client})
        match = await self._population.match(ask.name, number, phone)
        if match is None:
            raise Refused(Code.NO_SUCH_PERSON, "name, resident number and phone do not belong together")
        code = self._dice.digits(self._rules.code_digits)
        check = self._draft(ask, match, phone, code)
        await self._db.write(lambda tx: open_check(tx, check))
        await self._send(check.id, phone, code, ask.language)
        return Started(check.id, self._rules.code_seconds, self._rules.tries, check.phone_hint)

    async def confirm(self, check_id: str, code: str) -> Confirmed:
        """1 a check that waits  2 one try spent  3 the code  4 the check ends  5 the assertion is signed."""
        if len(code) != self._rules.code_digits or not (code.isascii() and code.isdecimal()):
            raise Refused(Code.MALFORMED, f"the code has {self._rules.code_digits} digits")
        now = self._clock.now()
        known = await look_at_check(self._db, check_id)
        if known is None or known.state != "waiting" or known.expires_at <= int(now.timestamp()):
            raise _why_not(known)  # whoever tries ids keeps no writer busy
        check, right = await self._db.write(lambda tx: self._try(tx, check_id, code, now))
        if not right:
            raise WrongCode(check.tries_left)
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": check.audience,
            "sub": check.person,
            "name": check.name,
            "phone_hint": check.phone_hint,
            "iat": issued,
            "exp": issued + self._rules.assertion_seconds,
            "jti": self._dice.token(16),
        }
        return Confirmed(sign_jws(self._signer, {"typ": TYP, "kid": self._signer.kid}, claims), check.name)

    async def _count_knocks(self, subjects: dict[str, str]) -> None:
        """Counted before anything is looked up, so that a refused knock costs the same as any other. The address comes
        first: one that is over its limit uses up nobody's knocks and leaves no new row."""
        now = int(self._clock.now().timestamp())
        longest = max(limit.seconds for limit in self._rules.limits)

        async def count(tx: Tx, limits: Iterable[KnockLimit]) -> int:
            wait = 0
            for limit in limits:
                starts_at = now - now % limit.seconds
                context = f"knock {limit.subject} {limit.seconds}".encode()
                if await knock(tx, self._vault.index(subjects[limit.subject], context), starts_at) > limit.most:
                    wait = max(wait, starts_at + limit.seconds - now)
            return wait

        async def body(tx: Tx) -> int:
            sure = int(self._clock.surely().timestamp())  # what is forgotten counts no more against whoever knocks
            await forget_identity(tx, sure - KEEP_SECONDS, sure - 2 * longest)
            limits = self._rules.limits
            wait = await count(tx, [limit for limit in limits if limit.subject == "address"])
            return wait or await count(tx, [limit for limit in limits if limit.subject != "address"])

        wait = await self._db.write(body)
        if wait:
            raise Refused(Code.TOO_OFTEN, f"try again in {wait} seconds")

    def _draft(self, ask: Ask, match: Match, phone: str, code: str) -> Check:
        id = self._dice.token(24)
        return Check(
            id=id,
            person=match.person,
            name=match.name,
            phone_hint=phone_hint(phone),
            audience=ask.audience,
            code_hash=self._code_hash(id, code),
            tries_left=self._rules.tries,
            state="waiting",
            expires_at=int(self._clock.now().timestamp()) + self._rules.code_seconds,
        )

    def _code_hash(self, id: str, code: str) -> bytes:
        return self._vault.index(code, b"identity_check.code " + id.encode())

    async def _send(self, id: str, phone: str, code: str, language: str) -> None:
        text = self._rules.sms.pick(language).format(code=code, minutes=self._rules.code_seconds // 60)
        try:
            await self._carrier.send(id, phone, text)
        except Refused:
            await self._db.write(lambda tx: end_check(tx, id, "not_sent"))
            raise

    async def _try(self, tx: Tx, id: str, code: str, now: datetime) -> tuple[Check, bool]:
        check = await take_try(tx, id, int(now.timestamp()))
        if check is None:
            raise _why_not(await look_at_check(tx, id))
        right = hmac.compare_digest(check.code_hash, self._code_hash(id, code))
        if not right and check.tries_left > 0:
            return check, False
        await end_check(tx, id, "used" if right else "spent")
        event = Event(check.person, "identity", "checked" if right else "spent", check.audience)
        await record(tx, event, now)
        return replace(check, state="used" if right else "spent"), right


def _why_not(check: Check | None) -> Refused:
    if check is None:
        return Refused(Code.NOT_FOUND, "no such identity check")
    if check.state == "waiting":
        return Refused(Code.CODE_EXPIRED, "the code is too old; ask for a new one")
    return Refused(Code.CODE_SPENT, "this code cannot be used any more; ask for a new one")


def parse_phone(layout: str, raw: str) -> str:
    """A phone number in the country's spelling; spaces, dots and hyphens do not matter. Or Refused(MALFORMED)."""
    digits = "".join(letter for letter in raw if letter not in " -.")
    if len(digits) != layout.count("d") or not (digits.isascii() and digits.isdecimal()):
        raise Refused(Code.MALFORMED, f"a phone number has {layout.count('d')} digits")
    rest = iter(digits)
    return "".join(next(rest) if letter == "d" else letter for letter in layout)


def phone_hint(phone: str) -> str:
    """The phone with its middle groups hidden, or its first where there are two: enough to recognise one's own."""
    groups = re.split(r"([^0-9])", phone)
    hidden = range(2, len(groups) - 1) if len(groups) > 3 else range(1)
    return "".join("*" * len(group) if at in hidden and group.isdigit() else group for at, group in enumerate(groups))
