"""A verifier that is on nobody's list: its own authority, its own request, and no more of it than the wallet meets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext, Route

from mapae.formats import jose
from mapae.formats.x509 import Profile, Subject, leaf, root, serial_number, x509_hash
from mapae.keys import Signer

HOST: Final = "shop.abroad.test"
CORS: Final = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}


class Abroad:
    """Answers for its host inside this browser; `answers` are the forms that came to its response_uri."""

    def __init__(self, context: BrowserContext, query: dict[str, Any]) -> None:
        self.query, self.answers = query, list[str]()
        self._key, authority = Signer.ephemeral(), Signer.ephemeral()
        self._encryption = Signer.ephemeral()
        self._day = datetime.now(UTC).replace(microsecond=0)
        life = {"not_before": self._day - timedelta(days=1), "not_after": self._day + timedelta(days=30)}
        anchor = root(Subject("Abroad CA", country="GB"), authority, serial=serial_number(b"abroad-ca"), **life)
        self._leaf = leaf(
            Profile.ACCESS, Subject("Corner Shop", "Corner Shop Ltd", country="GB"),
            jose.PublicKey.from_jwk(self._key.jwk), ca=authority, ca_der=anchor,
            serial=serial_number(b"corner-shop"), dns=[HOST], **life,
        )  # fmt: skip
        context.route(f"https://{HOST}/**", self._answer)

    @property
    def link(self) -> str:
        return f"openid4vp://?{urlencode({'client_id': self._id, 'request_uri': f'https://{HOST}/request'})}"

    @property
    def _id(self) -> str:
        return f"x509_hash:{x509_hash(self._leaf)}"

    def _request(self) -> str:
        jwk = {**self._encryption.jwk, "alg": "ECDH-ES", "use": "enc", "kid": "1"}
        claims = {
            "client_id": self._id, "aud": "https://self-issued.me/v2", "response_type": "vp_token",
            "response_mode": "direct_post.jwt", "response_uri": f"https://{HOST}/answer", "nonce": "n" * 22,
            "iat": int(self._day.timestamp()), "exp": int(datetime.now(UTC).timestamp()) + 300,
            "dcql_query": self.query, "client_metadata": {"jwks": {"keys": [jwk]}},
        }  # fmt: skip
        header = {"typ": "oauth-authz-req+jwt", "x5c": jose.x5c_header([self._leaf])}
        return jose.sign_jws(self._key, header, claims)

    def _answer(self, route: Route) -> None:
        path = route.request.url.partition(HOST)[2]
        if path == "/request":
            kind = "application/oauth-authz-req+jwt"
            route.fulfill(status=200, body=self._request(), headers={**CORS, "Content-Type": kind})
        elif path == "/answer" and route.request.method == "POST":
            self.answers.append(route.request.post_data or "")
            route.fulfill(status=200, body=json.dumps({}), headers={**CORS, "Content-Type": "application/json"})
        else:
            route.fulfill(status=204, headers=CORS)
