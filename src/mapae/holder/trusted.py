"""Whom this wallet believes: a view of the signed trust list.

Promises: what comes from here stands on a list the pinned key signed and that is in date. Trusts: that key; without
one given, the first the registry showed, and from then on no other. Keeps: the pinned key; parsed anchors, one set an
issuer and list. Refuses: issuers and relying parties the list does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from mapae.catalog import Words
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, decode_json
from mapae.formats.x509 import Anchors
from mapae.trust.publish import Issuer, RelyingParty, TrustList
from mapae.trust.reader import TrustReader

from .pocket import Pocket
from .wire import Wire


class TrustedIssuer:
    """An issuer of the list, its anchors parsed."""

    def __init__(self, entry: Issuer) -> None:
        self.anchors = Anchors(entry.ca)
        self.status_prefix = entry.status_prefix
        self._kinds = frozenset((*entry.vcts, *entry.doctypes))

    def may_issue(self, kind: str) -> bool:
        return kind in self._kinds


class Trusted:
    """One trust list, looked up the wallet's way."""

    def __init__(self, list_: TrustList) -> None:
        self.list = list_
        self.access = Anchors(list_.access_ca)
        self._issuers: dict[str, TrustedIssuer] = {}
        self._parties = {party.x509_hash: party for party in list_.relying_parties}

    def issuer(self, identifier: str) -> TrustedIssuer:
        """The entry behind a Credential Issuer Identifier: of that id, or with its status lists below that address."""
        if identifier not in self._issuers:
            for entry in self.list.issuers:
                if entry.id == identifier or entry.status_prefix.startswith(f"{identifier}/"):
                    self._issuers[identifier] = TrustedIssuer(entry)
                    break
            else:
                raise Refused(Code.UNTRUSTED_ISSUER, "this issuer is not on the trust list")
        return self._issuers[identifier]

    def party(self, x509_hash: str) -> RelyingParty:
        found = self._parties.get(x509_hash)
        if found is None:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "whoever asks is not on the trust list")
        return found


class TrustSource:
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
        self._trusted: Trusted | None = None

    async def get(self) -> Trusted:
        if self._reader is None:
            self._reader = TrustReader(self._http, f"{self._base}/trust/list", await self._key(), self._clock)
        list_ = await self._reader()
        if self._trusted is None or self._trusted.list is not list_:
            self._trusted = Trusted(list_)
        return self._trusted

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


def by_language(words: Words) -> dict[str, str]:
    return {"ko": words.ko, "en": words.en}
