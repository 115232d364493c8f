"""Whom a wallet believes: the seam between the protocols and a trust framework.

Promises: an issuer's or asker's signature counts only when a `View` says whose it is, and every answer says how far the
trust goes: *listed* on a country's trust list, *anchored* under an authority the caller named, or *unknown*, which only
those get who said they let the person decide. Trusts: what it was built with. Keeps: parsed anchors. Refuses: everybody
else. `country.py` has the citizen's view; this file has that of a wallet outside any country.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from mapae.errors import Code, Refused
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain, unvouched, x509_hash
from mapae.rules import Words
from mapae.trust.publish import Purpose
from mapae.trust.purposes import PurposesDocument

from .store import Standing

Chain = Sequence[bytes]
_UNLED: Final = (Code.UNTRUSTED_ISSUER, Code.UNKNOWN_RELYING_PARTY)

LOGIN_ID = "login_id"  # the item of a card that goes to the country's log-in bridge, and to nobody else


@dataclass(frozen=True, slots=True)
class Party:
    """Who asks, as far as this wallet can tell."""

    id: str
    name: Mapping[str, str]  # by language; "" when whoever asks has a name in no particular one
    standing: Standing
    purposes: tuple[Purpose, ...] = ()  # what it registered to ask for; nothing for strangers
    known_at: int | None = None  # when the list that names it was signed, where that list is over: the holder is told


class TrustedIssuer(Protocol):
    """An issuer, and how its signatures are checked."""

    @property
    def strict(self) -> bool:
        """Whether everything HAIP 1.0 asks of an issuer is asked of this one."""
        ...

    def may_issue(self, kind: str) -> bool: ...

    def signer(self, chain: Chain, profile: Profile | None, now: datetime) -> Checked: ...

    def must_have_signed(self, checked: Checked, signed: float | None, now: datetime) -> None:
        """Once the seal vouches for it: the time a card names, against a revocation of its signer."""
        ...

    def may_publish(self, status_uri: str) -> bool: ...


class View(Protocol):
    """What is believed today."""

    def issuer(self, identifier: str) -> TrustedIssuer:
        """Raises UNTRUSTED_ISSUER."""
        ...

    def party(self, chain: Chain, now: datetime) -> Party:
        """Whose certificate this is. Raises UNKNOWN_RELYING_PARTY."""
        ...

    def introduced(self, registration: str, chain: Chain, now: datetime) -> Party:
        """Whose certificate this is by a registration certificate that came along. Raises UNKNOWN_RELYING_PARTY."""
        ...

    def asker(self, chain: Chain, now: datetime) -> Checked:
        """The checked chain of whoever asks."""
        ...

    def origin(self, origin: str) -> Party:
        """A web site that asks without a signature. Raises UNKNOWN_RELYING_PARTY."""
        ...


class Trust(Protocol):
    async def today(self) -> View: ...

    async def for_showing(self) -> View:
        """The same, or what was last known where whoever keeps it is out of reach: whoever asks is no stranger for
        that, and `Party.known_at` says so."""
        ...

    async def purposes(self) -> PurposesDocument:
        """What anybody may ask, by the country's signed word. Raises UNKNOWN_RELYING_PARTY outside a country."""
        ...


def by_language(words: Words) -> dict[str, str]:
    return {"ko": words.ko, "en": words.en}


def standing_of(issuer: TrustedIssuer, signer: Checked) -> Standing:
    if issuer.strict:
        return "listed"
    return "anchored" if signer.anchor else "unknown"


class _Stranger:
    """An issuer of another country: any document, under the anchors we hold or, where allowed, under none."""

    strict = False

    def __init__(self, anchors: Anchors, strangers: bool) -> None:
        self._anchors = anchors
        self._strangers = strangers

    def may_issue(self, kind: str) -> bool:
        return True

    def signer(self, chain: Chain, profile: Profile | None, now: datetime) -> Checked:
        return _anchored(chain, self._anchors, self._strangers, now)

    def must_have_signed(self, checked: Checked, signed: float | None, now: datetime) -> None:
        """No log of ours has the signers of another country."""

    def may_publish(self, status_uri: str) -> bool:
        return True


class AnchorTrust:
    """Trust by certificates the caller names, for wallets outside a country. Both the `Trust` and its `View`.

    `issuers` and `verifiers` are DER certificates of authorities. With `strangers` whoever leads to none of them is
    taken as well, and called unknown: the holder decides. Without it such a card or request is refused.
    """

    def __init__(
        self, *, issuers: Iterable[bytes] = (), verifiers: Iterable[bytes] = (), strangers: bool = False
    ) -> None:
        self._issuer = _Stranger(Anchors(issuers), strangers)
        self._verifiers = Anchors(verifiers)
        self._strangers = strangers

    async def today(self) -> View:
        return self

    async def for_showing(self) -> View:
        return self

    async def purposes(self) -> PurposesDocument:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "whoever asks did not sign")

    def issuer(self, identifier: str) -> TrustedIssuer:
        return self._issuer

    def party(self, chain: Chain, now: datetime) -> Party:
        try:
            checked = self.asker(chain, now)
        except Refused as refused:
            if refused.code is Code.UNTRUSTED_ISSUER:
                raise Refused(Code.UNKNOWN_RELYING_PARTY, "no authority we trust knows whoever asks") from None
            raise
        name = {"": checked.subject} if checked.subject else {}
        return Party(f"x509_hash:{x509_hash(checked.leaf)}", name, "anchored" if checked.anchor else "unknown")

    def introduced(self, registration: str, chain: Chain, now: datetime) -> Party:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "no country of ours registers whoever asks")

    def asker(self, chain: Chain, now: datetime) -> Checked:
        return _anchored(chain, self._verifiers, self._strangers, now)

    def origin(self, origin: str) -> Party:
        if not self._strangers:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "whoever asks did not sign")
        return Party(f"origin:{origin}", {"": origin}, "unknown")


class Widened:
    """`first`, and for whomever it does not know `then`: a citizen who also takes cards of strangers."""

    def __init__(self, first: Trust, then: Trust) -> None:
        self._first = first
        self._then = then

    async def today(self) -> View:
        return _Widened(await self._first.today(), await self._then.today())

    async def for_showing(self) -> View:
        return _Widened(await self._first.for_showing(), await self._then.for_showing())

    async def purposes(self) -> PurposesDocument:
        return await self._first.purposes()


class _Widened:
    def __init__(self, first: View, then: View) -> None:
        self._first = first
        self._then = then

    def issuer(self, identifier: str) -> TrustedIssuer:
        try:
            return self._first.issuer(identifier)
        except Refused as refused:
            if refused.code not in _UNLED:
                raise
            return self._then.issuer(identifier)

    def party(self, chain: Chain, now: datetime) -> Party:
        return self._knowing(chain, now).party(chain, now)

    def introduced(self, registration: str, chain: Chain, now: datetime) -> Party:
        """Whoever `first` does not list has been taken for a stranger already."""
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "nobody we trust knows whoever asks")

    def asker(self, chain: Chain, now: datetime) -> Checked:
        return self._knowing(chain, now).asker(chain, now)

    def origin(self, origin: str) -> Party:
        return self._then.origin(origin)

    def _knowing(self, chain: Chain, now: datetime) -> View:
        """Once `first` knows a certificate, only its rules apply."""
        try:
            self._first.party(chain, now)
        except Refused as refused:
            if refused.code not in _UNLED:
                raise
            return self._then
        return self._first


def _anchored(chain: Chain, anchors: Anchors, strangers: bool, now: datetime) -> Checked:
    try:
        return check_chain(chain, anchors, now, None)
    except Refused as refused:
        if refused.code is not Code.UNTRUSTED_ISSUER or not strangers:
            raise
        return unvouched(chain, now)
