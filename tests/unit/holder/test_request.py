"""Who may ask, and for what: each step of reading a request fails by its own name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.formats import jwe
from mapae.formats.jose import PublicKey, b64u, sign_jws, x5c_header
from mapae.formats.x509 import Profile, Subject, leaf, root, serial_number, x509_hash
from mapae.holder.country import Listed
from mapae.holder.request import Link, Request, open_request, read_link
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.entries import AskedOf
from mapae.trust.publish import Purpose, RelyingParty, TrustList
from mapae.trust.signers import Reason, RevokedReader

NOW = datetime(2027, 3, 2, tzinfo=UTC)
WORDS = Words(ko="가", en="a")
DICE = SeededDice("requests")


class Shop:
    def __init__(self, profile: Profile = Profile.ACCESS) -> None:
        self.ca, self.signer = Signer.ephemeral(), Signer.ephemeral()
        life = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=30)}
        self.root = root(Subject("Access CA"), self.ca, serial=serial_number(DICE.bytes(16)), **life)
        self.leaf = leaf(
            profile, Subject("Shop"), PublicKey.from_jwk(self.signer.jwk), ca=self.ca, ca_der=self.root,
            serial=serial_number(DICE.bytes(16)), **life,
        )  # fmt: skip
        self.client_id = f"x509_hash:{x509_hash(self.leaf)}"
        self.key = jwe.public_jwk(jwe.private_jwk(DICE.bytes(48), "k1"))

    def trusted(
        self, items: tuple[str, ...] = ("adult_by_year",), of: AskedOf | None = None, **changes: Any
    ) -> Listed:  # fmt: skip
        purpose = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=items, retention=WORDS, document=of)
        party = RelyingParty(id="shop", name=WORDS, x509_hash=x509_hash(self.leaf), purposes=(purpose,))
        at = int(NOW.timestamp())
        given: dict[str, Any] = {
            "iat": at, "exp": at + 600, "issuers": (), "wallet_providers": (), "access_ca": (self.root,),
            "relying_parties": (party,), **changes,
        }  # fmt: skip
        return Listed(TrustList(**given))

    def claims(self, **changes: Any) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "client_id": self.client_id, "aud": "https://self-issued.me/v2", "response_type": "vp_token",
            "response_mode": "direct_post.jwt", "response_uri": "http://localhost:8080/verifier/responses/1",
            "nonce": "n" * 22, "state": "s", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 120,
            "dcql_query": {"credentials": [sd_jwt_query("adult_by_year")]}, "mapae_purpose": "age",
            "client_metadata": {
                "jwks": {"keys": [self.key]}, "encrypted_response_enc_values_supported": ["A128GCM", "A256GCM"],
                "vp_formats_supported": {},
            },
        } | changes  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, signer: Signer | None = None, x5c: tuple[bytes, ...] | None = None, **changes: Any) -> bytes:
        header = {"typ": "oauth-authz-req+jwt", "x5c": x5c_header(x5c or (self.leaf,))}
        return sign_jws(signer or self.signer, header, self.claims(**changes)).encode()

    def link(self) -> Link:
        return Link(self.client_id, "http://localhost:8080/verifier/requests/1", False)

    def opened(self, raw: bytes, trusted: Listed | None = None, wallet_nonce: str | None = None) -> Request:
        return open_request(raw, self.link(), wallet_nonce, trusted or self.trusted(), NOW)


def sd_jwt_query(*names: str) -> dict[str, Any]:
    claims = [{"path": [name]} for name in names]
    return {"id": "one", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:card"]}, "claims": claims}


def refusal(do: Callable[[], Any]) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        do()
    return refused.value.code, refused.value.step


def test_a_proper_request_says_who_and_why() -> None:
    shop = Shop()
    request = shop.opened(shop.signed())
    assert (request.party.id, request.purpose.id, request.enc) == ("shop", "age", "A256GCM")


def test_a_shop_whose_registration_was_revoked_is_told_apart_from_a_stranger() -> None:
    shop = Shop()
    gone = RevokedReader(
        reader=b64u(bytes(32)), x509_hash=x509_hash(shop.leaf), since=int(NOW.timestamp()), reason=Reason.WITHDRAWN
    )
    revoked = shop.trusted(relying_parties=(), revoked_readers=(gone,))
    assert refusal(lambda: shop.opened(shop.signed(), revoked)) == (Code.SIGNER_REVOKED, "client")
    unknown = shop.trusted(relying_parties=())
    assert refusal(lambda: shop.opened(shop.signed(), unknown)) == (Code.UNKNOWN_RELYING_PARTY, "client")
    registered_again = shop.trusted(revoked_readers=(gone,))
    assert shop.opened(shop.signed(), registered_again).party.id == "shop"


@pytest.mark.parametrize(
    ("changes", "code", "step"),
    [
        ({"client_id": "x509_hash:other"}, Code.BAD_SIGNATURE, "client"),
        ({"aud": "https://shop.example"}, Code.WRONG_AUDIENCE, "meant"),
        ({"aud": None}, Code.WRONG_AUDIENCE, "meant"),
        ({"exp": int(NOW.timestamp()) - 120}, Code.EXPIRED, "meant"),
        ({"iat": int(NOW.timestamp()) - 3600}, Code.EXPIRED, "meant"),
        ({"iat": int(NOW.timestamp()) + 3600}, Code.NOT_YET_VALID, "meant"),
        ({"response_type": "code"}, Code.UNSUPPORTED, "answer"),
        ({"response_mode": "direct_post"}, Code.UNSUPPORTED, "answer"),
        ({"response_uri": None}, Code.INVALID_REQUEST, "answer"),
        ({"redirect_uri": "http://localhost/x"}, Code.INVALID_REQUEST, "answer"),
        ({"response_uri": "http://shop.example/x"}, Code.UNSUPPORTED, "answer"),
        ({"response_uri": "https://u@shop.example/x"}, Code.MALFORMED, "answer"),
        ({"client_metadata": None}, Code.UNSUPPORTED, "key"),
        ({"nonce": None}, Code.WRONG_NONCE, "nonce"),
        ({"nonce": "short"}, Code.WRONG_NONCE, "nonce"),
        ({"nonce": "n" * 22 + " "}, Code.WRONG_NONCE, "nonce"),
        ({"state": "s&t"}, Code.MALFORMED, "nonce"),
        ({"client_metadata": []}, Code.MALFORMED, "key"),
        ({"dcql_query": {"credentials": [{"id": "a", "format": "ldp_vc", "meta": {}}]}}, Code.UNSUPPORTED, "formats"),
        ({"state": 7}, Code.MALFORMED, "nonce"),
        ({"transaction_data": ["e30"]}, Code.INVALID_TRANSACTION_DATA, "transaction"),
        ({"dcql_query": None, "scope": "card"}, Code.UNSUPPORTED, "query"),
        ({"dcql_query": {"credentials": []}}, Code.MALFORMED, "query"),
        ({"mapae_purpose": None}, Code.OVER_ASKING, "purpose"),
        ({"mapae_purpose": "other"}, Code.OVER_ASKING, "purpose"),
        ({"dcql_query": {"credentials": [sd_jwt_query("adult_by_year", "name")]}}, Code.OVER_ASKING, "purpose"),
        ({"dcql_query": {"credentials": [sd_jwt_query("resident_number")]}}, Code.OVER_ASKING, "purpose"),
    ],
)
def test_each_wrong_request_fails_at_its_step(changes: dict[str, Any], code: Code, step: str) -> None:
    shop = Shop()
    assert refusal(lambda: shop.opened(shop.signed(**changes))) == (code, step)


@pytest.mark.parametrize("of", [AskedOf(vct="urn:card"), None], ids=["named", "of-before"])
def test_a_purpose_is_asked_of_its_own_document(of: AskedOf | None) -> None:
    shop = Shop()
    assert shop.opened(shop.signed(), shop.trusted(of=of)).purpose is not None


@pytest.mark.parametrize("of", [
    AskedOf(vct="urn:other"), AskedOf(doctype="urn:card", namespace="urn:card"),
], ids=["another-type", "the-other-format"])  # fmt: skip
def test_the_same_items_of_another_document_are_over_asking(of: AskedOf) -> None:
    shop = Shop()
    assert refusal(lambda: shop.opened(shop.signed(), shop.trusted(of=of))) == (Code.OVER_ASKING, "purpose")


@pytest.mark.parametrize(("namespace", "taken"), [("urn:card", True), ("urn:other", False)])
def test_an_item_of_another_namespace_is_over_asking(namespace: str, taken: bool) -> None:
    shop, of = Shop(), AskedOf(doctype="urn:card", namespace="urn:card")
    query = {"id": "one", "format": "mso_mdoc", "meta": {"doctype_value": "urn:card"},
             "claims": [{"path": [namespace, "adult_by_year"]}]}  # fmt: skip
    asked = shop.signed(dcql_query={"credentials": [query]})
    if taken:
        assert shop.opened(asked, shop.trusted(of=of)).purpose is not None
    else:
        assert refusal(lambda: shop.opened(asked, shop.trusted(of=of))) == (Code.OVER_ASKING, "purpose")


def test_over_asking_in_any_query_counts_even_when_the_set_would_not_need_it() -> None:
    shop = Shop()
    mdoc = {
        "id": "two", "format": "mso_mdoc", "meta": {"doctype_value": "kr.card"},
        "claims": [{"path": ["kr.card", "address"]}],
    }  # fmt: skip
    dcql = {"credentials": [sd_jwt_query("adult_by_year"), mdoc], "credential_sets": [{"options": [["one"], ["two"]]}]}
    assert refusal(lambda: shop.opened(shop.signed(dcql_query=dcql))) == (Code.OVER_ASKING, "purpose")
    wild = {**sd_jwt_query("adult_by_year"), "claims": [{"path": [None]}]}
    asked = shop.signed(dcql_query={"credentials": [wild]})
    assert refusal(lambda: shop.opened(asked)) == (Code.OVER_ASKING, "purpose")


def test_a_stranger_and_a_forger_are_told_apart() -> None:
    shop, stranger = Shop(), Shop()
    unknown = shop.trusted(relying_parties=())
    assert refusal(lambda: shop.opened(shop.signed(), unknown)) == (Code.UNKNOWN_RELYING_PARTY, "client")
    forged = shop.signed(signer=stranger.signer)
    assert refusal(lambda: shop.opened(forged)) == (Code.BAD_SIGNATURE, "seal")
    borrowed = shop.signed(signer=stranger.signer, x5c=(stranger.leaf,))
    assert refusal(lambda: shop.opened(borrowed)) == (Code.BAD_CERTIFICATE, "client")
    elsewhere = shop.trusted(access_ca=(stranger.root,))
    assert refusal(lambda: shop.opened(shop.signed(), elsewhere))[1] == "seal"
    anchored = shop.signed(x5c=(shop.leaf, shop.root))
    assert refusal(lambda: shop.opened(anchored)) == (Code.BAD_CERTIFICATE, "seal")


def test_a_certificate_for_something_else_does_not_ask() -> None:
    shop = Shop(Profile.DOCUMENT_SIGNER)
    assert refusal(lambda: shop.opened(shop.signed())) == (Code.BAD_CERTIFICATE, "seal")


def test_an_unsigned_request_is_refused() -> None:
    shop = Shop()
    header, payload, _ = shop.signed().decode().split(".")
    assert refusal(lambda: shop.opened(f"{header}.{payload}.".encode()))[0] is Code.BAD_SIGNATURE


def test_the_wallets_nonce_comes_back() -> None:
    shop = Shop()
    assert shop.opened(shop.signed(wallet_nonce="mine"), wallet_nonce="mine")
    for theirs in ("other", None):
        raw = shop.signed(wallet_nonce=theirs)
        assert refusal(lambda raw=raw: shop.opened(raw, wallet_nonce="mine")) == (Code.WRONG_NONCE, "meant")


def test_unusable_encryption_keys_are_passed_over() -> None:
    shop = Shop()
    odd: list[dict[str, Any]] = [
        {"kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "use": "enc", "x": "A" * 43},
        {**shop.key, "use": "sig"},
        {**shop.key, "alg": "RSA-OAEP"},
        {name: value for name, value in shop.key.items() if name != "alg"},
    ]
    metadata = shop.claims()["client_metadata"]
    mixed = {**metadata, "jwks": {"keys": [*odd, shop.key]}}
    assert shop.opened(shop.signed(client_metadata=mixed)).key == shop.key
    useless = {**metadata, "jwks": {"keys": odd}}
    assert refusal(lambda: shop.opened(shop.signed(client_metadata=useless))) == (Code.UNSUPPORTED, "key")
    old = {**metadata, "encrypted_response_enc_values_supported": ["A128CBC-HS256"]}
    assert refusal(lambda: shop.opened(shop.signed(client_metadata=old))) == (Code.UNSUPPORTED, "key")
    unsaid = {"jwks": {"keys": [shop.key]}}
    assert shop.opened(shop.signed(client_metadata=unsaid)).enc == "A128GCM"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.UNSUPPORTED),
        ("openid4vp://", Code.UNSUPPORTED),
        ("openid4vp://?nonsense", Code.MALFORMED),
        ("mailto:someone@example.com?client_id=x&request_uri=https://a", Code.UNSUPPORTED),
        ("openid4vp://?client_id=x", Code.UNSUPPORTED),
        ("openid4vp://?client_id=x&request=e30", Code.UNSUPPORTED),
        ("openid4vp://?client_id=x&client_id=y&request_uri=https%3A%2F%2Fa.example", Code.MALFORMED),
        ("openid4vp://?client_id=x&request_uri=http%3A%2F%2Fa.example", Code.UNSUPPORTED),
        ("openid4vp://?client_id=x&request_uri=file%3A%2F%2F%2Fetc%2Fpasswd", Code.MALFORMED),
        ("openid4vp://?client_id=x&request_uri=https%3A%2F%2Fa.example&request_uri_method=put", Code.UNSUPPORTED),
        ("openid4vp://?" + "x" * 20000, Code.TOO_LARGE),
    ],
)
def test_what_is_no_request_is_refused(text: str, code: Code) -> None:
    assert refusal(lambda: read_link(text))[0] is code
