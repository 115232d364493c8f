"""Strangers at the door: requests no honest program would send, straight into the ASGI application, and what a refusal
must look like. Plus a phone taken apart: every key of the Python holder, to sign whatever a thief would like to."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st
from starlette.applications import Starlette

from mapae.errors import Code
from mapae.formats.jose import b64u, sign_jws
from mapae.holder.store import Order, State, unpack
from mapae.keys import Signer
from mapae.ui.http import PROTOCOL, Answer, Door
from town import BASE, Citizen, Town

# --- a request as bytes ---------------------------------------------------------------------------------------------


@dataclass
class Knock:
    method: str
    path: str  # as on the wire: percent-encoded, never normalised
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    chunks: Sequence[bytes] = (b"",)


@dataclass
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind = self.headers.get("content-type", "").partition(";")[0]


async def knock(site: Starlette, sent: Knock) -> Heard:
    """One request as a server would hand it over: nothing between the bytes and our code."""
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": sent.method, "scheme": "http",
        "path": unquote(sent.path), "raw_path": sent.path.encode(), "query_string": sent.query, "root_path": "",
        "headers": [(b"host", b"localhost:8080"), *sent.headers], "server": ("localhost", 8080),
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    waiting = list(sent.chunks)
    answer: dict[str, Any] = {"status": 0, "headers": [], "body": b""}

    async def receive() -> dict[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer["status"], answer["headers"] = message["status"], message["headers"]
        elif message["type"] == "http.response.body":
            answer["body"] += message.get("body", b"")

    await site(scope, receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer["headers"]}
    return Heard(answer["status"], headers, answer["body"])


# --- what a refusal must look like ----------------------------------------------------------------------------------

OAUTH_ERRORS = {error for _, error in PROTOCOL.values()} - {"server_error"}
CODES = {code.value for code in Code}
SHOWN_AGAIN = re.compile(rb'aria-invalid="true"|role="alert"')  # the form once more, and what was wrong with it
PLAIN = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")  # RFC 6749 5.2: what error_description may hold


def code_of(door: Door, heard: Heard) -> str:
    """The stable code of a refusal, after checking that it has the shape of its door."""
    assert 400 <= heard.status < 500 or heard.status == 503, heard
    match door.answer:
        case Answer.PAGE:
            assert heard.kind == "text/html", heard.headers
            found = re.search(rb'id="refusal-code" data-code="([a-z_]+)"', heard.body)
            if found is None and SHOWN_AGAIN.search(heard.body):
                return "shown_again"
            assert found, f"a page without a code: {heard.body[:1500]!r}"
            code = found[1].decode()
            assert code in CODES, code
        case Answer.OAUTH:
            assert heard.kind == "application/json", heard.headers
            value = msgspec.json.decode(heard.body)
            code = value["error"]
            assert code in OAUTH_ERRORS, value
            assert set(value) <= {"error", "error_description"}, value
            assert PLAIN.fullmatch(value.get("error_description", "")), value
            assert heard.headers["cache-control"] == "no-store"
        case Answer.JSON:
            assert heard.kind == "application/json", heard.headers
            value = msgspec.json.decode(heard.body)
            code = value["error"]
            assert code in CODES, value
            assert isinstance(value["detail"], str)
            assert heard.headers["cache-control"] == "no-store"
    return str(code)


def must_be_civil(door: Door, sent: Knock, heard: Heard) -> None:
    """Never our own mistake; and a refusal in the shape of this door."""
    about = (door.path, sent, heard.status, heard.body[:300])
    assert heard.status < 500 or heard.status == 503, about
    assert heard.status not in (301, 302, 307), about
    if sent.method == "HEAD":
        assert heard.body == b"", about
    elif heard.status == 503 and heard.kind == "text/html":
        return  # the wallet of a checkout that was not built says so
    elif not door.path_regex.match(unquote(sent.path)):
        assert heard.status == 404 and (b'"not_found"' in heard.body or b'"refusal-code"' in heard.body), about
    elif heard.status >= 400:
        code_of(door, heard)


# --- what strangers send --------------------------------------------------------------------------------------------

odd_words = st.sampled_from([
    "", "\x00", "a\x00b", "..", ".", "../../etc/passwd", "..%2f..%2f", "%00", "%", " ", "\t\r\n", "'", '"; DROP x',
    "<script>1</script>", "{{7*7}}", "é", "한지수", "\u202e", "🪪" * 20, "a" * 700, "a" * 5000, "0", "-1", "1e400",
    "9" * 30, "2001-02-30", "0001-01-01", "99999-12-31", "010-0000-0001", "null", "true", "[]", "{}", "٣٤٥", "\ufeff",
])  # fmt: skip
words = odd_words | st.text(max_size=30)
numbers = st.sampled_from([0, -1, 2**31, 2**53, 2**63, -(2**63) - 1, 2**64, 10**40]) | st.integers()
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=10,
)
FIELDS = [
    "name", "resident_number", "phone", "audience", "language", "code", "assertion", "proof", "platform", "client_jwk",
    "keys", "nonce", "grant_type", "pre-authorized_code", "refresh_token", "client_id", "tx_code", "response",
    "credential_configuration_id", "credential_identifier", "proofs", "credential_response_encryption", "vp_token",
    "notification_id", "event", "event_description", "state", "error", "wallet_nonce", "wallet_metadata", "officer",
    "options", "origin", "person", "jkt", "reason", "actor", "device_id", "device", "old", "since", "limit", "to",
    "text", "id", "mode", "seconds", "count", "birth_date", "purpose", "form", "answer", "label", "passkey", "look",
    "task", "kind", "number", "photo", "undamaged", "same", "asked", "ends", "check", "sure", "csrf", "lang", "show",
    "mine", "stage", "seen", "keep", "access_token",
]  # fmt: skip
KNOWN = [
    "yes", "no", "issue", "release", "resident_card", "application", "2001-03-09", "wallet_provider", "issuer", "none",
    "urn:ietf:params:oauth:grant-type:pre-authorized_code", "refresh_token", "resident_card_sd_jwt", "fail", "delay",
    "credential_accepted", "credential_failure", "alcohol_tobacco", "either", "access_denied", BASE + "/wallet/",
]  # fmt: skip
TYPS = [
    "dpop+jwt", "oauth-client-attestation+jwt", "oauth-client-attestation-pop+jwt", "key-attestation+jwt", "JWT",
    "openid4vci-proof+jwt", "mapae-device-proof+jwt", "mapae-device-request+jwt", "mapae-identity+jwt", "dc+sd-jwt",
    "mapae-peer+jwt", "kb+jwt", "statuslist+jwt",
]  # fmt: skip
CLAIMS = ["iss", "sub", "aud", "iat", "exp", "nbf", "jti", "htm", "htu", "ath", "nonce", "bod", "pth", "cnf", "x",
          "attested_keys", "key_storage"]  # fmt: skip
_KEY = Signer.ephemeral()


@st.composite
def jwts(draw: st.DrawFn) -> str:
    """Looks like a token; is none. Half of them are well signed, by nobody we know."""
    header: dict[str, Any] = {
        "alg": draw(st.sampled_from(["ES256", "ES256", "ES256", "none", "HS256", "RS256", 7, None])),
        "typ": draw(st.sampled_from(TYPS) | words | json_values),
    }
    if draw(st.booleans()):
        header["jwk"] = draw(st.just(_KEY.jwk) | st.just({**_KEY.jwk, "d": "AQ"}) | json_values)
    if draw(st.booleans()):
        header["x5c"] = draw(st.lists(words | st.sampled_from(["MIIB", "AAAA"]), max_size=6) | json_values)
    if draw(st.booleans()):
        header[draw(st.sampled_from(["kid", "crit", "key_attestation", "b64"]))] = draw(json_values)
    claims = draw(
        st.dictionaries(st.sampled_from(CLAIMS), json_values, max_size=9)
        | json_values
        | st.just("[" * 3000 + "]" * 3000)
    )
    payload = claims if isinstance(claims, str) else _text_of(claims)
    signing = f"{b64u(_text_of(header).encode('utf-8', 'replace'))}.{b64u(payload.encode('utf-8', 'replace'))}"
    if draw(st.booleans()):
        return f"{signing}.{b64u(_KEY.sign(signing.encode()))}"
    return signing + draw(st.sampled_from(["", ".", ".AAAA", "." + "A" * 86, "." + "A" * 90000, ".." + "A"]))


def _text_of(value: Any) -> str:
    import json  # the lenient one: it writes NaN and half a surrogate pair, as strangers do

    return json.dumps(value)


tokens = jwts() | words | st.sampled_from(["a.b.c", "...", "e30.e30.", "A" * 4000])
fields = st.dictionaries(st.sampled_from(FIELDS) | words, words | tokens | st.sampled_from(KNOWN), max_size=6)
messages = st.dictionaries(
    st.sampled_from(FIELDS) | words,
    json_values | tokens | st.sampled_from(KNOWN) | st.lists(tokens, max_size=3) | st.dictionaries(
        st.sampled_from(["jwt", "attestation", "di_vp", "sd_jwt", "mdoc"]), st.lists(tokens, max_size=12) | json_values,
        max_size=2,
    ),
    max_size=6,
)  # fmt: skip
KINDS = [
    b"application/json", b"application/x-www-form-urlencoded", b"application/json; charset=utf-16", b"text/plain", b"",
    b"multipart/form-data", b"multipart/form-data; boundary=x", b"application/JSON ;;", b"\xff/\x00",
]  # fmt: skip
header_values = (
    tokens.map(lambda text: text.encode("utf-8", "replace"))
    | tokens.map(lambda text: b"DPoP " + text.encode("utf-8", "replace"))
    | tokens.map(lambda text: b"Bearer " + text.encode("utf-8", "replace"))
    | words.map(lambda text: f"mapae_desk={text}; mapae_till={text}; mapae_form={text}".encode("utf-8", "replace"))
    | st.binary(max_size=60)
)
HEADERS = [
    b"authorization", b"dpop", b"oauth-client-attestation", b"oauth-client-attestation-pop", b"mapae-device", b"cookie",
    b"if-none-match", b"accept-language", b"accept", b"content-length", b"hx-request", b"hx-current-url", b"referer",
    b"origin", b"sec-fetch-site", b"x-csrf-token", b"expect", b"host", b"range",
]  # fmt: skip
headers = st.lists(st.tuples(st.sampled_from(HEADERS), header_values), max_size=5)


def _form(value: Mapping[str, str]) -> bytes:
    return urlencode(value, errors="replace").encode()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Content type and body; mostly belonging together, so that something gets past the first line."""
    kind, body = draw(
        st.tuples(st.just(KINDS[0]), messages.map(_text_of).map(lambda text: text.encode("utf-8", "replace")))
        | st.tuples(st.just(KINDS[1]), fields.map(_form))
        | st.tuples(st.just(KINDS[0]), json_values.map(lambda v: _text_of(v).encode()))
        | st.tuples(st.sampled_from(KINDS), st.binary(max_size=200))
        | st.tuples(st.sampled_from(KINDS[:2]), st.sampled_from([
            b'{"a":1,"a":2}', b'{"a":' * 900 + b"1" + b"}" * 900, b'{"name":"\\ud800"}', b"[" * 60000, b"a=1&a=2",
            b"&" * 500, b"%", b"%ff=%ff", b"\xef\xbb\xbf{}", b'{"since":1e999}', b"a=" + b"%F0%9F" * 9,
        ]))
    )  # fmt: skip
    return kind, body


path_words = (words.map(lambda text: quote(text.encode("utf-8", "replace"), safe="")) | st.sampled_from([
    "%ff%fe", "..", "%2e%2e", "..%2f..%2fpasswd", "%00", "%2F", "%252e", "a" * 9000, "%C0%AE", "-", "0" * 32,
]))  # fmt: skip
queries = (fields.map(_form) | st.binary(max_size=60) | st.just(b"a=" + b"x" * 8191) | st.just(b"lang=ko&lang=en")).map(
    lambda raw: raw.replace(b"#", b"").replace(b" ", b"+")
)


def path_for(door: Door, values: Mapping[str, str], stranger: str) -> str:
    """The door's path with its parameters filled in: known ids where there are some, else the stranger's."""
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: values.get(found[1], stranger), door.path)


# --- a phone taken apart --------------------------------------------------------------------------------------------


class Apart:
    """What the Python holder keeps, in the hands of somebody who signs what he likes with it."""

    _serial = itertools.count()

    def __init__(self, town: Town, citizen: Citizen) -> None:
        self.town, self.citizen = town, citizen
        self.nonce = ""

    @property
    def state(self) -> State:
        raw = self.citizen.store.load()
        assert raw is not None
        return unpack(raw)

    @property
    def order(self) -> Order:
        return next(iter(self.state.orders.values()))

    def key(self, name: str) -> Signer:
        return Signer(ec.derive_private_key(int.from_bytes(self.state.keys[name], "big"), ec.SECP256R1()))

    @property
    def dpop_key(self) -> Signer:
        return self.key(self.order.dpop_key)

    @property
    def client_key(self) -> Signer:
        return self.key(self.state.clients[f"{BASE}/issuer"].key)

    @property
    def device_key(self) -> Signer:
        assert self.state.device_key is not None
        return self.key(self.state.device_key)

    def stamp(self, seconds: int = 0) -> dict[str, Any]:
        return {"iat": int(self.town.clock.now().timestamp()) + seconds, "jti": f"jti-{next(self._serial):016}"}

    async def c_nonce(self) -> str:
        answer = await self.http.post(f"{BASE}/issuer/nonce")
        self.nonce = answer.headers["dpop-nonce"]
        return str(answer.json()["c_nonce"])

    @property
    def http(self) -> httpx.AsyncClient:
        return self.town.house.foundation.http

    def client(self, seconds: int = 0, **changed: Any) -> dict[str, str]:
        """Client attestation and its proof of possession."""
        attested = self.state.clients[f"{BASE}/issuer"].token
        assert attested is not None
        claims = {"iss": f"{BASE}/wallet/", "aud": f"{BASE}/issuer", **self.stamp(seconds), **changed}
        pop = sign_jws(self.client_key, {"typ": "oauth-client-attestation-pop+jwt"}, claims)
        return {"OAuth-Client-Attestation": attested, "OAuth-Client-Attestation-PoP": pop}

    def dpop(
        self, path: str, token: str | None = None, *, key: Signer | None = None, seconds: int = 0, **changed: Any
    ) -> dict[str, str]:
        key = key or self.dpop_key
        claims = {"htm": "POST", "htu": BASE + path, "nonce": self.nonce, **self.stamp(seconds)}
        headers = {}
        if token is not None:
            claims["ath"] = b64u(hashlib.sha256(token.encode()).digest())
            headers["Authorization"] = f"DPoP {token}"
        return {**headers, "DPoP": sign_jws(key, {"typ": "dpop+jwt", "jwk": key.jwk}, {**claims, **changed})}

    def device(self, method: str, path: str, body: bytes = b"", *, seconds: int = 0, **changed: Any) -> dict[str, str]:
        claims = {
            "aud": f"{BASE}/wallet-provider", "htm": method, "htu": BASE + path,
            "bod": b64u(hashlib.sha256(body).digest()), **self.stamp(seconds), **changed,
        }  # fmt: skip
        header = {"typ": "mapae-device-request+jwt", "jwk": self.device_key.jwk}
        return {"Mapae-Device": sign_jws(self.device_key, header, claims)}

    async def attested_keys(self, keys: Sequence[Signer], nonce: str) -> str:
        body = msgspec.json.encode({"keys": [key.jwk for key in keys], "nonce": nonce})
        path = "/wallet-provider/key-attestations"
        headers = {"Content-Type": "application/json", **self.device("POST", path, body)}
        answer = await self.http.post(BASE + path, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["key_attestation"])

    async def proofs(
        self, keys: Sequence[Signer], c_nonce: str, *, seconds: int = 0, attested: str = "", **changed: Any
    ) -> dict[str, Any]:
        attested = attested or await self.attested_keys(keys, c_nonce)
        header = {"typ": "openid4vci-proof+jwt", "jwk": keys[0].jwk, "key_attestation": attested}
        claims = {"iss": f"{BASE}/wallet/", "aud": f"{BASE}/issuer", "nonce": c_nonce, **self.stamp(seconds), **changed}
        claims.pop("jti")
        return {"jwt": [sign_jws(keys[0], header, claims)]}
