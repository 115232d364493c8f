"""Telling a person something that matters, on every phone number the register has: a channel that neither a wallet nor
whoever stole one decides about.

Promises: a notice under one id is one message a number, however often it is asked for; the words are ours, in the
languages of the country's screens. Trusts: the issuer for what happened; the carrier to deliver. Keeps: nothing.
Refuses: kinds it has no words for, terms the words do not have, people it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from ..audit import Event, record
from ..clock import Clock
from ..db import Db
from ..errors import Code, Refused
from ..keys import Vault
from ..ui.words import LANGUAGES, say, words
from .identity import Carrier
from .store import PopulationStore

KINDS = frozenset({"card_used_for_new_phone", "card_used_for_issue", "moved_at_counter"})
LONGEST_TERM = 200


@dataclass(frozen=True, slots=True)
class Notice:
    """`language`: one of the screens', or "" for all of them: a register does not know what somebody reads."""

    id: str
    person: str
    kind: str
    terms: Mapping[str, str]
    language: str = ""


class Telling:
    def __init__(self, db: Db, vault: Vault, clock: Clock, carrier: Carrier) -> None:
        self._db, self._clock, self._carrier = db, clock, carrier
        self._population = PopulationStore(db, vault)

    async def tell(self, notice: Notice, asked_by: str) -> int:
        """To how many numbers. Raises Refused(UNAVAILABLE) when one did not go out: ask again with the same id."""
        text = text_of(notice)
        if not 1 <= len(notice.id) <= 64 or not (notice.id.isascii() and notice.id.isprintable()):
            raise Refused(Code.MALFORMED, "a notice has an id of at most 64 characters")
        phones = await self._population.phones_of(notice.person)
        if phones is None:
            raise Refused(Code.NOT_FOUND, "no such person")
        for place, phone in enumerate(phones):
            await self._carrier.send(f"{notice.id}.{place}", phone, text)
        now = self._clock.now()
        event = Event(notice.person, "resident", "told", asked_by, {"kind": notice.kind, "numbers": len(phones)})
        await self._db.write(lambda tx: record(tx, event, now))
        return len(phones)


def text_of(notice: Notice) -> str:
    """The words of the kind with its terms filled in, in one language or in all."""
    if notice.kind not in KINDS:
        raise Refused(Code.MALFORMED, "there are no words for that kind of notice")
    key = f"notice.{notice.kind}"
    wanted = {name for _, name, _, _ in Formatter().parse(words("en")[key]) if name is not None}
    if set(notice.terms) != wanted or any(len(value) > LONGEST_TERM for value in notice.terms.values()):
        raise Refused(Code.MALFORMED, "these are not the terms of that notice")
    chosen = [one for one in LANGUAGES if notice.language in ("", one)] or list(LANGUAGES)
    return "\n\n".join(say(language, key, **notice.terms) for language in chosen)
