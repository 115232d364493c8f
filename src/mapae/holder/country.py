"""The citizen's view of trust: the signed list of her country, and nothing beside it.

Promises: what comes from here stands on a list the pinned key signed and that is in date; when a registry has been
silent for longer, cards can still be shown to whom the last list names, for `LATE`. Trusts: that key; without
one given, the first the registry showed, and from then on no other. Keeps: the pinned key; parsed anchors, one set an
issuer and list. Refuses: issuers and relying parties the list does not name, certificates the trust log revoked, and
anybody who asks without signing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, decode_json
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain, x509_hash
from mapae.trust.publish import Issuer, TrustList
from mapae.trust.purposes import DAY, LIMIT, PurposesDocument
from mapae.trust.registration import parse
from mapae.trust.signers import Purpose, Signers, must_be_signed_before_its_end

from .pocket import Pocket
from .trusted import Chain, Party, TrustedIssuer, View, by_language
from .wire import Wire

if TYPE_CHECKING:
    import httpx

    from mapae.trust.reader import TrustReader

# As long as a copy may live, and as far as a checker with no network goes (`verifier/checking/offline.py`). A shop that
# was struck off in that time could still ask whoever cannot reach the registry: the holder is told how old the list is.
LATE: Final = timedelta(days=30)


class _ListedIssuer:
    """An issuer of the list, its anchors parsed."""

    strict = True

    def __init__(self, entry: Issuer, signers: Signers | None) -> None:
        self._anchors = Anchors(entry.ca)
        self._signers = signers
        self._status_prefix = entry.status_prefix
        self._kinds = frozenset((*entry.vcts, *entry.doctypes))

    def may_issue(self, kind: str) -> bool:
        return kind in self._kinds

    def signer(self, chain: Chain, profile: Profile | None, now: datetime) -> Checked:
        checked = check_chain(chain, self._anchors, now, profile)
        if self._signers is not None:
            if profile is Profile.STATUS_SIGNER:
                self._signers.standing(checked.leaf, Purpose.STATUS_SIGNER, now)
            else:
                self._signers.entered(checked.leaf, Purpose.DOCUMENT_SIGNER, now)
        return checked

    def must_have_signed(self, checked: Checked, signed: float | None, now: datetime) -> None:
        if self._signers is not None:
            must_be_signed_before_its_end(self._signers.entered(checked.leaf, Purpose.DOCUMENT_SIGNER, now), signed)

    def may_publish(self, status_uri: str) -> bool:
        return status_uri.startswith(self._status_prefix)


class Listed:
    """One trust list, looked up the wallet's way."""

    def __init__(self, list_: TrustList, key: PublicKey | None = None) -> None:
        self.list, self._key = list_, key
        self._access = Anchors(list_.access_ca)
        self._issuers: dict[str, TrustedIssuer] = {}
        self._parties = {party.x509_hash: party for party in list_.relying_parties}

    def issuer(self, identifier: str) -> TrustedIssuer:
        """The entry behind a Credential Issuer Identifier: of that id, or with its status lists below that address."""
        if identifier not in self._issuers:
            for entry in self.list.issuers:
                if entry.id == identifier or entry.status_prefix.startswith(f"{identifier}/"):
                    self._issuers[identifier] = _ListedIssuer(entry, self.list.signers_of(entry))
                    break
            else:
                raise Refused(Code.UNTRUSTED_ISSUER, "this issuer is not on the trust list")
        return self._issuers[identifier]

    def party(self, chain: Chain, now: datetime) -> Party:
        found = self._parties.get(x509_hash(chain[0]))
        if found is None:
            raise self.list.stranger(x509_hash(chain[0]))
        known_at = self.list.iat if self.list.exp <= now.timestamp() else None
        return Party(found.id, by_language(found.name), "listed", found.purposes, known_at)

    def introduced(self, registration: str, chain: Chain, now: datetime) -> Party:
        """A party that was registered after this list was signed; one that is not on a later list has ended."""
        if self._key is None:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list does not name this certificate")
        said = parse(registration, self._key, now, x509_hash(chain[0]))
        if said.iat < self.list.iat:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "the trust list is newer, and does not name this certificate")
        known_at = self.list.iat if self.list.exp <= now.timestamp() else None
        return Party(said.sub, by_language(said.name), "listed", said.purposes, known_at)

    def asker(self, chain: Chain, now: datetime) -> Checked:
        return check_chain(chain, self._access, now, Profile.ACCESS)

    def origin(self, origin: str) -> Party:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "whoever asks did not sign, so the trust list cannot name it")


class CountryTrust:
    """Today's list, fetched when needed."""

    def __init__(
        self, pocket: Pocket, http: httpx.AsyncClient, base: str, clock: Clock, key: Mapping[str, Any] | None
    ) -> None:
        self._pocket = pocket
        self._http = http
        self._base = base
        self._clock = clock
        self._pinned = None if key is None else PublicKey.from_jwk(key)
        self._reader: TrustReader | None = None
        self._listed: Listed | None = None
        self._purposes: PurposesDocument | None = None

    async def today(self) -> View:
        return self._view(await (await self._reading())())

    async def for_showing(self) -> View:
        return self._view(await (await self._reading()).late(LATE))

    async def purposes(self) -> PurposesDocument:
        """The newest, fetched once a day; the last good one while nobody answers, to its own end."""
        key, now = await self._key(), self._clock.now()
        if self._purposes is None and self._pocket.state.purposes is not None:
            with suppress(Refused):  # it is over
                self._purposes = PurposesDocument.parse(self._pocket.state.purposes, key, now)
        kept = self._purposes
        if kept is not None and 0 <= now.timestamp() - kept.iat < DAY:
            return kept
        try:
            reply = await Wire(self._http).get(f"{self._base}/trust/purposes", limit=LIMIT)
            reply.must_be_ok()
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE or kept is None or now.timestamp() >= kept.exp:
                raise
            return kept
        read = PurposesDocument.parse(reply.body, key, now)
        if kept is not None and read.iat < kept.iat:
            return kept
        self._purposes, self._pocket.state.purposes = read, reply.body
        self._pocket.save()
        return read

    def introduced(self, registration: str, chain: Chain, now: datetime) -> Party:
        """By the list that was looked at last."""
        if self._listed is None:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "no trust list has been read yet")
        return self._listed.introduced(registration, chain, now)

    async def _reading(self) -> TrustReader:
        if self._reader is None:
            from mapae.trust.reader import TrustReader  # late: brings in what only a country's wallet needs

            self._reader = TrustReader(
                self._http, f"{self._base}/trust/list", await self._key(), self._clock,
                kept=self._pocket.state.trust_list, keep=self._keep,
            )  # fmt: skip
        return self._reader

    def _view(self, list_: TrustList) -> Listed:
        if self._listed is None or self._listed.list is not list_:
            self._listed = Listed(list_, self._pinned)
        return self._listed

    def _keep(self, signed: bytes, at: int) -> None:
        """A phone that is switched on in a blackout still knows who may ask."""
        self._pocket.state.trust_list = signed, at
        self._pocket.save()

    async def _key(self) -> PublicKey:
        if self._pinned is None:
            state = self._pocket.state
            if state.trust_key is None:
                reply = await Wire(self._http).get(f"{self._base}/trust/key", limit=4096)
                reply.must_be_ok()
                state.trust_key = PublicKey.from_jwk(decode_json(reply.body)).jwk
                self._pocket.save()
            self._pinned = PublicKey.from_jwk(state.trust_key)
        return self._pinned
