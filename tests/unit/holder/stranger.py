"""An issuer and a verifier of no country of ours: other certificates, other documents, every option the texts allow.

They check what a wallet sends and answer over HTTP as OpenID4VCI 1.0 and OpenID4VP 1.0 say. `terms` says how they are
set up; a test changes them, or what goes out with `bend`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx

from mapae.clock import MovableClock, SeededDice
from mapae.formats import jwe, mdoc, sd_jwt
from mapae.formats.jose import Jws, PublicKey, b64u, decode_json, encode_json, sign_jws, unb64u, x5c_header
from mapae.formats.x509 import Profile, Subject, leaf, root, serial_number, x509_hash
from mapae.keys import Signer

ISSUER = "https://issuer.abroad.example/tenant"
SERVER = "https://login.abroad.example"
VERIFIER = "https://shop.abroad.example"
VCT, DOCTYPE = "https://abroad.example/student", "example.abroad.member.1"
DICE = SeededDice("abroad")


class Authority:
    """A root and the leaves under it. The leaves are of ACCESS, whatever they sign: profiles are not ours to set."""

    def __init__(self, clock: MovableClock, name: str) -> None:
        self._key = Signer.ephemeral()
        now = clock.now()
        self._life = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=300)}
        self.root = root(Subject(name), self._key, serial=serial_number(DICE.bytes(16)), **self._life)

    def leaf(self, key: Signer, name: str, dns: tuple[str, ...] = ()) -> bytes:
        return leaf(
            Profile.ACCESS, Subject(name), PublicKey.from_jwk(key.jwk), ca=self._key, ca_der=self.root,
            serial=serial_number(DICE.bytes(16)), dns=dns, **self._life,
        )  # fmt: skip


@dataclass
class Terms:
    dpop: bool = True
    attested: bool = False  # client attestation
    challenges: bool = False
    par: bool = True
    scope: bool = True
    own_server: bool = True  # the issuer is its own authorization server
    nonces: bool = True
    batch: int = 3
    bound: bool = True
    key_attestation: bool = False
    encrypts: str = ""  # "", "request" or "both"
    deflates: bool = False
    later: int = 0  # how often the issuer says: not yet
    signed_metadata: bool = False
    datasets: tuple[str, ...] = ()
    refreshes: bool = True
    exp: bool = True


@dataclass
class Abroad:
    """Both of them, behind one transport."""

    clock: MovableClock
    terms: Terms = field(default_factory=Terms)
    sent: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    attestations: dict[str, set[str]] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    bend: Callable[[str, Any], Any] = lambda path, answer: answer
    watch: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        self.ca, self.key = Authority(self.clock, "Abroad"), Signer.ephemeral()
        self.chain = (self.ca.leaf(self.key, "Registry"),)
        self.readers, self.reader = Authority(self.clock, "Readers abroad"), Signer.ephemeral()
        self.reader_chain = (self.readers.leaf(self.reader, "Shop abroad", ("shop.abroad.example",)),)
        self.encryption = jwe.private_jwk(DICE.bytes(48), "issuer-1")
        self.answer_key = jwe.private_jwk(DICE.bytes(48), "shop-1")
        self.server = ISSUER if self.terms.own_server else SERVER
        self.codes: dict[str, dict[str, str]] = {"pre-1": {}}
        self.tokens: dict[str, str] = {}
        self.pushed: dict[str, dict[str, str]] = {}
        self.waiting: dict[str, tuple[list[PublicKey], str, int]] = {}
        self.nonces: set[str] = set()
        self.issued = 0
        self.requests: dict[str, bytes] = {}
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))

    @property
    def now(self) -> datetime:
        return self.clock.now()

    # --- offers ---

    def offer(self, *configurations: str, tx: bool = False, scheme: str = "haip-vci") -> str:
        grant: dict[str, Any] = {"pre-authorized_code": "pre-1"} | ({"tx_code": {}} if tx else {})
        return self._offer(configurations, {"urn:ietf:params:oauth:grant-type:pre-authorized_code": grant}, scheme)

    def offer_by_code(self, *configurations: str) -> str:
        return self._offer(
            configurations, {"authorization_code": {"issuer_state": "desk-7"}}, "openid-credential-offer"
        )

    def _offer(self, configurations: tuple[str, ...], grants: dict[str, Any], scheme: str) -> str:
        made = {"credential_issuer": ISSUER, "credential_configuration_ids": list(configurations or ("student",))}
        return f"{scheme}://?credential_offer={quote(encode_json({**made, 'grants': grants}).decode())}"

    def signs_in(self, url: str) -> str:
        """The person signs in; the redirect."""
        query = dict(parse_qsl(urlsplit(url).query))
        asked = self.pushed.pop(query["request_uri"]) if "request_uri" in query else query
        assert asked["code_challenge_method"] == "S256" and asked["issuer_state"] == "desk-7"
        code = DICE.token(16)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.server}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    # --- the wire ---

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.sent.append(f"{request.method} {path}")
        self.watch(f"{request.method} {path}")
        answer = self._answer(request, path)
        headers = dict(answer.headers) if isinstance(answer, httpx.Response) else {}
        if isinstance(answer, httpx.Response) and headers.get("content-type") != "application/json":
            return answer
        status, body = (answer.status_code, answer.json()) if isinstance(answer, httpx.Response) else (200, answer)
        changed = self.bend(path, body)
        if isinstance(changed, httpx.Response):
            return changed
        kept = {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}
        return httpx.Response(status, json=changed, headers=kept)

    def _answer(self, request: httpx.Request, path: str) -> Any:
        match path:
            case "/.well-known/openid-credential-issuer/tenant":
                return self._metadata(request)
            case "/.well-known/oauth-authorization-server" | "/.well-known/oauth-authorization-server/tenant":
                return self._server_metadata()
            case "/tenant/challenge":
                return {"attestation_challenge": "challenge-1"}
            case "/tenant/nonce":
                nonce = DICE.token(16)
                self.nonces.add(nonce)
                return httpx.Response(200, json={"c_nonce": nonce}, headers={"DPoP-Nonce": "dpop-1"})
            case "/tenant/par":
                return self._push(request)
            case "/tenant/token":
                return self._token(request)
            case "/tenant/credential" | "/tenant/deferred":
                return self._credential(request, path)
            case "/tenant/notification":
                self.told.append(decode_json(request.content)["event"])
                return httpx.Response(204)
            case _ if path.startswith("/requests/"):
                kind = {"content-type": "application/oauth-authz-req+jwt"}
                return httpx.Response(200, content=self.requests[path], headers=kind)
            case "/answer":
                self.answers.append(dict(parse_qsl(request.content.decode())))
                return {"redirect_uri": f"{VERIFIER}/done#{DICE.token(16)}"}
            case _:
                return httpx.Response(404)

    # --- the issuer ---

    def _metadata(self, request: httpx.Request) -> Any:
        terms = self.terms
        said: dict[str, Any] = {
            "credential_issuer": ISSUER, "credential_endpoint": f"{ISSUER}/credential",
            "deferred_credential_endpoint": f"{ISSUER}/deferred", "notification_endpoint": f"{ISSUER}/notification",
            "credential_configurations_supported": {
                "student": self._configuration("dc+sd-jwt", {"vct": VCT}, "jwk"),
                "member": self._configuration("mso_mdoc", {"doctype": DOCTYPE}, "cose_key"),
            },
        }  # fmt: skip
        if terms.nonces:
            said["nonce_endpoint"] = f"{ISSUER}/nonce"
        if terms.batch > 1:
            said["batch_credential_issuance"] = {"batch_size": terms.batch}
        if not terms.own_server:
            said["authorization_servers"] = [SERVER]
        if terms.encrypts:
            zips = {"zip_values_supported": ["DEF"]} if terms.deflates else {}
            said["credential_request_encryption"] = {
                "jwks": {"keys": [jwe.public_jwk(self.encryption)]}, "enc_values_supported": ["A128GCM"],
                "encryption_required": True, **zips,
            }  # fmt: skip
            if terms.encrypts == "both":
                said["credential_response_encryption"] = {
                    "alg_values_supported": ["ECDH-ES"], "enc_values_supported": ["A128GCM", "A256GCM"],
                    "encryption_required": True, **zips,
                }  # fmt: skip
        if not terms.signed_metadata or "application/jwt" not in request.headers["accept"]:
            return said
        claims = {**said, "sub": ISSUER, "iat": int(self.now.timestamp())}
        header = {"typ": "openidvci-issuer-metadata+jwt", "x5c": x5c_header(self.chain)}
        bent = self.bend("signed metadata", claims)
        signed = sign_jws(self.key, header, bent)
        return httpx.Response(200, text=signed, headers={"content-type": "application/jwt"})

    def _configuration(self, format_: str, kind: dict[str, str], binding: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "format": format_,
            **kind,
            "credential_metadata": {"display": [{"name": "Student", "locale": "en-GB"}]},
        }
        if self.terms.scope:
            made["scope"] = kind.get("vct", kind.get("doctype"))
        if self.terms.bound:
            proof: dict[str, Any] = {"proof_signing_alg_values_supported": ["ES256"]}
            if self.terms.key_attestation:
                proof["key_attestations_required"] = {}
            made |= {"cryptographic_binding_methods_supported": [binding], "proof_types_supported": {"jwt": proof}}
        return made

    def _server_metadata(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "issuer": self.server, "token_endpoint": f"{ISSUER}/token", "authorization_endpoint": f"{ISSUER}/authorize",
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth" if self.terms.attested else "none"],
        }  # fmt: skip
        if self.terms.dpop:
            said["dpop_signing_alg_values_supported"] = ["ES256"]
        if self.terms.par:
            said["pushed_authorization_request_endpoint"] = f"{ISSUER}/par"
        if self.terms.challenges:
            said["challenge_endpoint"] = f"{ISSUER}/challenge"
        return said

    def _push(self, request: httpx.Request) -> Any:
        wrong = self._client(request)
        if wrong is not None:
            return wrong
        uri = f"urn:ietf:params:oauth:request_uri:{DICE.token(12)}"
        self.pushed[uri] = dict(parse_qsl(request.content.decode()))
        return httpx.Response(201, json={"request_uri": uri, "expires_in": 60})

    def _client(self, request: httpx.Request) -> httpx.Response | None:
        if not self.terms.attested:
            return None
        attestation = Jws.parse(request.headers["oauth-client-attestation"], typ="oauth-client-attestation+jwt")
        pop = Jws.parse(request.headers["oauth-client-attestation-pop"], typ="oauth-client-attestation-pop+jwt")
        said, proved = attestation.claims(), pop.claims()
        pop.verify(PublicKey.from_jwk(said["cnf"]["jwk"]))
        assert (proved["iss"], proved["aud"]) == (said["sub"], self.server)  # draft-07 5.2
        self.attestations.setdefault(self.server, set()).add(attestation.encode())
        if self.terms.challenges and proved.get("challenge") != "challenge-1":
            return httpx.Response(
                400, json={"error": "use_attestation_challenge"},
                headers={"OAuth-Client-Attestation-Challenge": "challenge-1"},
            )  # fmt: skip
        return None

    def _token(self, request: httpx.Request) -> Any:
        wrong = self._client(request)
        if wrong is not None:
            return wrong
        form = dict(parse_qsl(request.content.decode()))
        if self.terms.dpop:
            proof = Jws.parse(request.headers["dpop"], typ="dpop+jwt")
            proof.verify(proof.jwk)
            if proof.claims().get("nonce") != "dpop-1":
                return httpx.Response(400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": "dpop-1"})
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != "refresh-1":
                return httpx.Response(400, json={"error": "invalid_grant"})
        else:
            asked = self.codes.pop(form.get("pre-authorized_code", form.get("code", "")), None)
            if asked is None or (asked and not self._same(asked, form)):
                return httpx.Response(400, json={"error": "invalid_grant"})
        token = DICE.token(16)
        self.tokens[token] = ""
        said: dict[str, Any] = {"access_token": token, "token_type": "DPoP" if self.terms.dpop else "Bearer"}
        said["expires_in"] = 300
        if self.terms.refreshes:
            said["refresh_token"] = "refresh-1"
        if self.terms.datasets:
            said["authorization_details"] = [{
                "type": "openid_credential", "credential_configuration_id": "student",
                "credential_identifiers": list(self.terms.datasets),
            }]  # fmt: skip
        return said

    def _same(self, asked: dict[str, str], form: dict[str, str]) -> bool:
        pkce = b64u(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
        return pkce and form["redirect_uri"] == asked["redirect_uri"]

    def _credential(self, request: httpx.Request, path: str) -> Any:
        scheme, token = request.headers["authorization"].split(" ")
        assert scheme == ("DPoP" if self.terms.dpop else "Bearer")
        if token not in self.tokens:
            return httpx.Response(401, json={"error": "invalid_token"})
        raw = request.content
        if self.terms.encrypts:
            assert request.headers["content-type"] == "application/jwt"
            opened = jwe.decrypt(raw.decode(), jwe.DecryptionKey.from_jwk(self.encryption), inflate=True)
            assert ("zip" in opened.header) is self.terms.deflates
            raw = opened.payload
        message = decode_json(raw)
        answer = self._deferred(message) if path.endswith("deferred") else self._first(message)
        wanted = message.get("credential_response_encryption")
        assert (wanted is not None) is (self.terms.encrypts == "both")
        if wanted is None or answer.status_code >= 400:
            return answer
        body = encode_json(self.bend(path, answer.json()))
        sealed = jwe.encrypt(body, wanted["jwk"], enc=wanted["enc"], deflate=wanted.get("zip") == "DEF")
        return httpx.Response(answer.status_code, text=sealed, headers={"content-type": "application/jwt"})

    def _first(self, message: dict[str, Any]) -> httpx.Response:
        keys = self._proved(message.get("proofs", {}))
        identifier = message.get("credential_identifier", "")
        assert bool(identifier) is bool(self.terms.datasets)
        kind = message.get("credential_configuration_id", "student")
        if self.terms.later:
            transaction = DICE.token(12)
            self.waiting[transaction] = (keys, kind, self.terms.later)
            return httpx.Response(202, json={"transaction_id": transaction, "interval": 60})
        return self._issue(keys, kind, identifier)

    def _deferred(self, message: dict[str, Any]) -> httpx.Response:
        keys, kind, left = self.waiting.get(message["transaction_id"], ([], "", 0))
        if not left:
            return httpx.Response(400, json={"error": "invalid_transaction_id"})
        self.waiting[message["transaction_id"]] = (keys, kind, left - 1)
        if left > 1:
            return httpx.Response(202, json={"transaction_id": message["transaction_id"], "interval": 60})
        return self._issue(keys, kind, "")

    def _proved(self, proofs: dict[str, Any]) -> list[PublicKey]:
        keys = []
        for token in proofs.get("jwt", []):
            jws = Jws.parse(token, typ="openid4vci-proof+jwt")
            jws.verify(jws.jwk)
            said = jws.claims()
            assert said["aud"] == ISSUER
            assert (said.get("nonce") in self.nonces) is self.terms.nonces
            keys.append(jws.jwk)
            if self.terms.key_attestation:  # HAIP 1.0 4.5.1: one attestation for all keys
                attested = Jws.parse(jws.header["key_attestation"], typ="key-attestation+jwt").claims()
                assert attested["nonce"] in self.nonces and len(proofs["jwt"]) == 1
                keys = [PublicKey.from_jwk(jwk) for jwk in attested["attested_keys"]]
        return keys

    def _issue(self, keys: list[PublicKey], kind: str, dataset: str) -> httpx.Response:
        made = [self.credential(kind, key, dataset) for key in (keys or [None])]
        return httpx.Response(
            200, json={"credentials": [{"credential": one} for one in made], "notification_id": DICE.token(8)}
        )

    def credential(self, kind: str, key: PublicKey | None, dataset: str = "") -> str:
        self.issued += 1
        if kind == "member":
            return self._mdoc(key)
        claims: dict[str, Any] = {
            "vct": VCT, "iat": int(self.now.timestamp()), "name": sd_jwt.Hidden("Ada"),
            "courses": [sd_jwt.Hidden("maths"), sd_jwt.Hidden("music")],
        }  # fmt: skip
        if dataset:
            claims["programme"] = dataset
        if self.terms.exp:
            claims["exp"] = int(self.now.timestamp()) + 86400 * 30
        if key is not None:
            claims["cnf"] = {"jwk": key.jwk}
        header = {"typ": "dc+sd-jwt", "x5c": x5c_header(self.chain)}
        draft = sd_jwt.draft(header, claims, entropy=DICE.bytes)
        return draft.complete(self.key.sign(draft.signing_input))

    def _mdoc(self, key: PublicKey | None) -> str:
        assert key is not None
        start = self.now.replace(microsecond=0)
        validity = mdoc.Validity(signed=start, valid_from=start, valid_until=start + timedelta(days=30))
        draft = mdoc.draft(
            DOCTYPE, {DOCTYPE: {"name": "Ada", "level": 3}}, device_key=key, validity=validity, status=None,
            x5chain=self.chain, entropy=DICE.bytes,
        )  # fmt: skip
        return b64u(draft.complete(self.key.sign(draft.signing_input)))

    # --- the verifier ---

    @property
    def client_id(self) -> str:
        return f"x509_hash:{x509_hash(self.reader_chain[0])}"

    def ask(self, query: dict[str, Any], *, client_id: str = "", post: bool = False, **changes: Any) -> str:
        """A QR text; the request object behind it."""
        id = client_id or self.client_id
        self.requests["/requests/1"] = sign_jws(
            self.reader, {"typ": "oauth-authz-req+jwt", "x5c": x5c_header(self.reader_chain)},
            self.request(query, client_id=id, **changes),
        ).encode()  # fmt: skip
        fields = {"client_id": id, "request_uri": f"{VERIFIER}/requests/1"}
        return f"haip-vp://?{urlencode({**fields, 'request_uri_method': 'post'} if post else fields)}"

    def request(self, query: dict[str, Any], **changes: Any) -> dict[str, Any]:
        at = int(self.now.timestamp())
        made = {
            "aud": "https://self-issued.me/v2", "response_type": "vp_token", "response_mode": "direct_post.jwt",
            "response_uri": f"{VERIFIER}/answer", "nonce": "n-0S6_WzA2Mj", "state": "s-9", "iat": at, "exp": at + 300,
            "dcql_query": query,
            "client_metadata": {
                "jwks": {"keys": [jwe.public_jwk(self.answer_key)]},
                "encrypted_response_enc_values_supported": ["A128GCM"],
                "vp_formats_supported": {"dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"]}},
            },
            **changes,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    def opened(self, answer: dict[str, Any]) -> dict[str, Any]:
        opened = jwe.decrypt(answer["response"], jwe.DecryptionKey.from_jwk(self.answer_key))
        return decode_json(opened.payload)

    def check(self, presentation: str, audience: str, **more: Any) -> dict[str, Any]:
        """The claims of an SD-JWT VC presentation, every signature checked."""
        shown = sd_jwt.SdJwt.parse(presentation)
        claims = shown.open(PublicKey.from_jwk(self.key.jwk))
        shown.check_binding(sd_jwt.holder_key(claims), nonce="n-0S6_WzA2Mj", audience=audience, now=self.now, **more)
        return claims

    def check_mdoc(self, presentation: str, transcript: bytes) -> dict[str, Any]:
        (document,) = mdoc.DeviceResponse.parse(unb64u(presentation)).documents
        namespaces = document.issuer_signed.open(PublicKey.from_jwk(self.key.jwk))
        document.check_device(transcript)
        return {space: dict(items) for space, items in namespaces.items()}
