"""What governors sign for: the access certificate and the proposal of one application, each found again after a kill.

Promises: of one application there is one certificate in use and one proposal, however often it is begun; a certificate
that is taken says just what the application says, also its name. Trusts: the registry. Keeps: nothing (the registry
keeps both). Refuses: nothing of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mapae.catalog import Country
from mapae.clock import Clock
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Subject, is_for, leaf_key, x509_hash
from mapae.trust import application
from mapae.trust.application import Application
from mapae.trust.entries import RelyingParty
from mapae.trust.onboarding_moves import left_of
from mapae.trust.onboarding_store import Case
from mapae.trust.registry import Governor, Registry

KIND: Final = "relying_party"


class Pins:
    """`hosts`: the names that certificates of the hosted checker are also for."""

    def __init__(self, registry: Registry, clock: Clock, country: Country, hosts: tuple[str, ...]) -> None:
        self._registry, self._clock, self._country, self._hosts = registry, clock, country, hosts

    async def proposed(self, case: Case, made: Application, by: Governor) -> tuple[str, bool]:
        """The proposal, and whether it is this governor's own."""
        for proposed in await self._registry.waiting():
            if (proposed.kind, proposed.subject) == (KIND, case.party) and proposed.entry is not None:
                entry = msgspec.json.decode(proposed.entry, type=RelyingParty)
                if self.means(entry, made) and await self._fits(case, made, entry.x509_hash):
                    _, votes = await self._registry.proposal(proposed.id)
                    return proposed.id, votes[0].voice == by.voice
        entry = application.entry(made, await self._certified(case, made, by), self._country)
        return await self._registry.propose(entry, by), True

    def means(self, entry: RelyingParty, made: Application) -> bool:
        """Whether the entry is just what was linted."""
        return entry == application.entry(made, entry.x509_hash, self._country)

    async def _fits(self, case: Case, made: Application, hash: str) -> bool:
        der = await self._registry.certificate(hash)
        return der is not None and self._serves(case, made, der)

    async def _certified(self, case: Case, made: Application, by: Governor) -> str:
        """The hash of the access certificate: one made before a kill, or by another governor just now, is taken."""
        for der in await self._registry.certificates_of(case.party):
            if self._serves(case, made, der):
                return x509_hash(der)
        subject, dns = self._whose(made)
        return x509_hash(await self._registry.certify(case.party, _key(case), subject, by, dns))

    def _serves(self, case: Case, made: Application, der: bytes) -> bool:
        """A new one, of this key, and of this name: it may have been changed since one was made."""
        fresh = left_of(der, self._clock.now()).light == "green" and x509_hash(der) != case.x509_hash
        return fresh and leaf_key(der).thumbprint == _key(case).thumbprint and is_for(der, *self._whose(made))

    def _whose(self, made: Application) -> tuple[Subject, tuple[str, ...]]:
        name = made.name.en[:64]  # RFC 5280 A.1 ub-common-name
        return Subject(name, organization=name, country=self._country.code), self._hosts if made.hosted else ()


def _key(case: Case) -> PublicKey:
    return PublicKey.from_jwk(msgspec.json.decode(case.key or "{}"))
