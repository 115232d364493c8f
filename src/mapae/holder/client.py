"""Who this wallet is to an authorization server: the attester behind it, and one client key for each issuer.

Promises: an attestation is shown to one issuer only (HAIP 1.0 4.4.1), and each request has a proof of its own. Trusts:
the attester it was given. Keeps: the client keys and their attestations while they last. Refuses: a server that wants
an attestation when there is nobody to give one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing, sign_jws, x5c_header

from .dpop import POP_TYPE, ClientHeaders, Dpop
from .metadata import ServerMetadata
from .pocket import Pocket
from .store import Attested
from .wire import Wire

ATTESTED: Final = "attest_jwt_client_auth"
FORM: Final = "application/x-www-form-urlencoded"
FRESH: Final = 60  # an attestation with less life than this is renewed first
LIFE: Final = 3600
KEYS_LIFE: Final = 600


class Attester(Protocol):
    """A wallet provider, as the wallet reaches it."""

    @property
    def client_id(self) -> str:
        """The same for every wallet of the provider, so that it identifies no one."""
        ...

    async def attest_client(self, jwk: Mapping[str, str]) -> tuple[str, int]:
        """A client attestation (draft-07) for this key, and the seconds it is good for."""
        ...

    async def attest_keys(self, keys: Sequence[Signing], nonce: str | None) -> str:
        """One key attestation (OpenID4VCI 1.0 D.1) for all of them."""
        ...


class ProviderAttester:
    """A wallet provider whose signing key is at hand: for those who run one, and for `mapae demo wallet-provider`."""

    def __init__(
        self,
        signer: Signing,
        x5c: Sequence[bytes],
        client_id: str,
        *,
        clock: Clock,
        issuer: str | None = None,
        storage: str = "iso_18045_basic",
    ) -> None:
        self._signer = signer
        self._header = {"kid": signer.kid, "x5c": x5c_header(x5c)}
        self._client_id = client_id
        self._clock = clock
        self._issuer = issuer or client_id
        self._storage = storage

    @property
    def client_id(self) -> str:
        return self._client_id

    async def attest_client(self, jwk: Mapping[str, str]) -> tuple[str, int]:
        at = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,  # draft-07 requires it; from -08 on it is ignored
            "sub": self._client_id,
            "iat": at,
            "exp": at + LIFE,
            "cnf": {"jwk": dict(jwk)},
        }
        return sign_jws(self._signer, {"typ": "oauth-client-attestation+jwt", **self._header}, claims), LIFE

    async def attest_keys(self, keys: Sequence[Signing], nonce: str | None) -> str:
        at = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "iat": at,
            "exp": at + KEYS_LIFE,
            "attested_keys": [dict(key.jwk) for key in keys],
            "key_storage": [self._storage],
            "user_authentication": [self._storage],
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return sign_jws(self._signer, {"typ": "key-attestation+jwt", **self._header}, claims)


class Clients:
    """The wallet's identities, one an issuer."""

    def __init__(self, pocket: Pocket, wire: Wire, dpop: Dpop, attester: Attester | None, client_id: str) -> None:
        self._pocket = pocket
        self._wire = wire
        self._dpop = dpop
        self._attester = attester
        self._client_id = client_id

    @property
    def client_id(self) -> str:
        return self._client_id if self._attester is None else self._attester.client_id

    async def authenticate(self, server: ServerMetadata, issuer: str) -> ClientHeaders | None:
        """Makes client authentication headers, fresh at each call. None where the server wants none."""
        if not server.attests_clients:
            return None
        if self._attester is None:
            raise Refused(Code.UNSUPPORTED, "the authorization server wants a wallet attestation, and nobody gives one")
        if server.challenge_endpoint is not None:
            await self._challenge(server.challenge_endpoint, server.token_endpoint)
        client = await self._attested(self._attester, server.issuer, issuer)
        key, token, audience = self._pocket.keys.signer(client.key), client.token or "", server.issuer

        def headers(challenge: str | None) -> Mapping[str, str]:
            return {
                "OAuth-Client-Attestation": token,
                "OAuth-Client-Attestation-PoP": self._pop(key, audience, challenge),
            }

        return headers

    async def attest_keys(self, keys: Sequence[Signing], nonce: str | None) -> str:
        if self._attester is None:
            raise Refused(Code.UNSUPPORTED, "the issuer wants attested keys, and nobody attests ours")
        return await self._attester.attest_keys(keys, nonce)

    def forget(self, server: ServerMetadata, issuer: str) -> None:
        """The attestation was not fresh enough for this server (draft-07 6.1, use_fresh_attestation)."""
        client = self._pocket.state.clients.get(_name(server.issuer, issuer))
        if client is not None:
            client.token = None

    async def _attested(self, attester: Attester, server: str, issuer: str) -> Attested:
        clients, name = self._pocket.state.clients, _name(server, issuer)
        client = clients.get(name)
        if client is None:
            client = clients[name] = Attested(self._pocket.keys.create())
            self._pocket.save()
        if client.token is None or client.until - FRESH < self._pocket.at():
            client.token, life = await attester.attest_client(self._pocket.keys.signer(client.key).jwk)
            client.until = self._pocket.at() + life
            self._pocket.save()
        return client

    async def _challenge(self, url: str, used_at: str) -> None:
        """draft-07 8: a server with a challenge endpoint wants one of its challenges in the proof."""
        reply = await self._wire.post(url, b"", FORM, {"Accept": "application/json"}, limit=65536)
        challenge = reply.json().get("attestation_challenge")
        if isinstance(challenge, str) and challenge:
            self._dpop.challenged(used_at, challenge)

    def _pop(self, key: Signing, audience: str, challenge: str | None) -> str:
        claims = {
            "iss": self.client_id,  # draft-07 5.2
            "aud": audience,
            "jti": self._pocket.dice.token(16),
            "iat": self._pocket.at(),
        }
        if challenge is not None:
            claims["challenge"] = challenge
        return sign_jws(key, {"typ": POP_TYPE}, claims)


def _name(server: str, issuer: str) -> str:
    """Two issuers behind one authorization server must not see the same attestation either."""
    return server if server == issuer else f"{issuer} {server}"
