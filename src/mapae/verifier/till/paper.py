"""Checking a temporary certificate on paper: the numbered steps that need no phone.

1 `issuer`    the certificate in the code leads to an issuer that may issue the card the paper stands in for
2 `seal`      the issuer's signature holds over everything the code says
3 `dates`     the paper is valid now, and was signed while its signer could sign
4 `standing`  the issuer's status list does not say that it has ended: the card was handed over, or the paper taken back

What no step can show is who holds the paper. The verdict names the person, and whoever looks compares: the photo on
the paper, the person, and a second document.

Promises: the steps run in this order and a refusal names its step. Where trust or status cannot be had from the network
the offline pack speaks (`offline.py`), for at most as long as for a high risk. Trusts: the trust list, the pack. Keeps:
nothing: what was checked is not written down, for an answer by name there is no mark that could be looked at again.
Refuses: a code that is not one, a pack that is too old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mapae.catalog import Purpose
from mapae.errors import step
from mapae.formats.paper import Paper, Signed
from mapae.rules import Words
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.questions import Questions
from mapae.verifier.checking.offline import Offline
from mapae.verifier.checking.standing import Unreachable
from mapae.verifier.checking.steps import (
    Examined,
    Format,
    Listed,
    Trusted,
    issuer_behind,
    must_be_of,
    must_be_signed_in_time,
    must_be_within,
    signer_stood,
    stands,
)

STEPS: Final = ("issuer", "seal", "dates", "standing")
_NO_WORDS: Final = Words(ko="-", en="-")
# A name on a screen is what a high risk is about: `rules` give it a day without a network.
_PURPOSE: Final = Purpose(
    document="", name=_NO_WORDS, why=_NO_WORDS, legal_basis=_NO_WORDS, items=(), retention=_NO_WORDS, risk="high",
    id="paper",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """All four steps passed. `offline`: on what that stands without a network."""

    paper: Paper
    issuer: str
    offline: Offline | None = None


def examine_paper(signed: Signed, trusted: Trusted, now: datetime) -> Examined:
    """Steps 1 to 3."""
    paper, x5c = signed.paper, (signed.certificate,)
    with step("issuer"):
        # Who may issue the card may issue what stands in for it: one entry of the trust list says both.
        issuer, signer, entered = issuer_behind(x5c, trusted, Format.SD_JWT, (paper.stands_for,), now)
    with step("seal"):
        signed.verify(signer.key)
    signer_stood(entered, paper.issued)
    with step("dates"):
        must_be_within(paper.issued, paper.until, now.timestamp())
        must_be_signed_in_time(paper.issued, signer)
        if issuer.young is not None:
            issuer.young.must_be(paper.issued, paper.until, paper.issued)
    with step("standing"):
        must_be_of(paper.status, issuer)
    return Examined(Format.SD_JWT, issuer, paper.stands_for, {}, x5c, paper.status, bound=False)


def check_paper(text: str, trusted: Trusted, now: datetime) -> Checked:
    """All four steps of what a scanner read. Raises Refused with `step`. Pure."""
    with step("issuer"):
        signed = Signed.parse(text)
    examined = examine_paper(signed, trusted, now)
    stands(examined, trusted.lists, now)
    return Checked(signed.paper, examined.issuer.id)


class PaperDesk:
    """Checks papers for whoever is in front of the page: online, or with the offline pack."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def check(self, text: str) -> Checked:
        """Raises Refused with `step`."""
        with step("issuer"):
            signed = Signed.parse(text.strip())
        basement = self._questions.basement
        with step("issuer"):
            trusted = await self._questions.trust()
        if basement is not None and basement.is_ours(trusted):
            return await self._dark(signed, basement, ask=True)
        try:
            return await self._online(signed, self._questions.trusted(trusted))
        except Unreachable as gone:
            if basement is None or basement.state() is None:
                raise gone from None
            return await self._dark(signed, basement, ask=False)

    async def _online(self, signed: Signed, trusted: Trusted) -> Checked:
        now = self._questions.now()
        examined = examine_paper(signed, trusted, now)
        with step("standing"):
            lists = await self._questions.listed(examined)
        return _concluded(signed, examined, lists, now, None)

    async def _dark(self, signed: Signed, basement: Basement, *, ask: bool) -> Checked:
        now = basement.now()
        examined, lists, grounds = await basement.look_up(
            lambda trusted: examine_paper(signed, trusted, now), _PURPOSE, self._questions.lists, ask=ask
        )
        return _concluded(signed, examined, lists, now, grounds)


def _concluded(
    signed: Signed, examined: Examined, lists: Mapping[str, Listed], now: datetime, grounds: Offline | None
) -> Checked:
    stands(examined, lists, now)
    return Checked(signed.paper, examined.issuer.id, grounds)
