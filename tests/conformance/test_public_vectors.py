"""Every public vector is read by some test: the table says by which, and fails for a file that none claims. Files no
other test reads, most of them snippets out of specifications, are read here."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from conformance.world import ASKER, ASKERS
from hands import PUBLIC_VECTORS, Hand, public_vectors
from mapae.errors import Code, Refused
from mapae.formats import dcql, x509
from mapae.formats.jose import Jws, PublicKey, decode_json, decode_json_value, sign_jws, x5c_header
from mapae.formats.sd_jwt import SdJwt, holder_key
from mapae.holder import AnchorTrust, Wallet
from mapae.holder.metadata import open_signed, read_issuer
from mapae.holder.offer import read_offer
from mapae.issuer.authorization_request import parse_details
from mapae.issuer.oid4vci import CredentialRequest

CROSSES = "test_the_input_of_every_published_example_crosses_to_the_reference_library_and_back"

# Which test reads which files. An empty module is this one; a name may also be that of the file read.
READ_BY: dict[str, tuple[str, str]] = {
    "sd-jwt-rfc9901/examples.json": ("unit/formats/test_sd_jwt.py", "test_every_example_of_rfc_9901_opens"),
    "sd-jwt-*/settings.yml": ("", "test_settings_name_keys_we_read"),
    "sd-jwt-*/*/settings.yml": ("", "test_settings_name_keys_we_read"),
    "sd-jwt-rfc9901/spec/*.yml": ("unit/formats/test_sd_jwt.py", CROSSES),
    "sd-jwt-python/examples/*.yml": ("unit/formats/test_sd_jwt.py", CROSSES),
    "sd-jwt-vc/*.yml": ("unit/formats/test_sd_jwt.py", CROSSES),
    "sd-jwt-python/testcases/*.yml": ("unit/formats/test_sd_jwt.py", "test_the_cases_of_sd_jwt_python"),
    "sd-jwt-js/*.json": ("unit/formats/test_sd_jwt.py", "test_the_cases_of_sd_jwt_js"),
    "token-status-list/long-vectors.json": ("unit/formats/test_status.py", "test_the_long_vectors_of_the_draft"),
    "token-status-list/short-and-token-examples.json": (
        "unit/formats/test_status.py", "test_the_short_examples_of_the_draft",
    ),
    "iso-18013-5-annex-d/annex-d.json": (
        "unit/formats/test_mdoc.py", "test_the_issuer_signed_part_of_iso_18013_5_annex_d_opens",
    ),
    "mdoc-foreign/isomdl-certs/*.pem": ("unit/formats/test_x509.py", "isomdl-certs"),
    "mdoc-foreign/animo-mdoc-examples.json": ("unit/formats/test_mdoc.py", "animo-mdoc-examples.json"),
    "mdoc-foreign/isomdl-definitions.json": ("unit/formats/test_proximity.py", "isomdl-definitions.json"),
    "openid4vp/session-transcript.json": (
        "unit/formats/test_mdoc.py", "test_the_session_transcripts_of_openid4vp_b_2_6",
    ),
    "openid4vp/encrypted-response.json": (
        "unit/verifier/asking/test_oid4vp.py", "test_the_specifications_encrypted_response_opens",
    ),
    "openid4vp/examples/query_lang/*.json": ("unit/formats/test_dcql.py", "openid4vp/examples/query_lang"),
    "openid4vp/examples/request/dcql_*.json": ("", "test_a_query_for_other_formats_is_read_and_nothing_fits_it"),
    "openid4vp/examples/request/*client_id_did.json": ("", "test_a_request_by_a_did_is_not_taken"),
    "openid4vp/examples/digital_credentials_api/signed_*.json": ("", "test_the_signed_browser_request_is_read"),
    "openid4vp/examples/digital_credentials_api/error_*.json": ("", "test_snippets_are_json"),
    "openid4vp/examples/client_metadata/*.json": ("", "test_a_verifiers_metadata_has_our_algorithms"),
    "openid4vp/examples/credentials/sd_jwt_*.json": ("", "test_the_sd_jwt_payloads_of_openid4vp_are_read"),
    "openid4vp/examples/sd_jwt_vcld/01/*": ("", "test_the_sd_jwt_with_json_ld_opens"),
    "openid4vp/examples/response/kb_jwt_unsecured.json": ("", "test_snippets_are_json"),
    "openid4vp/examples/*/*vc.json": ("", "test_snippets_are_json"),  # jwt_vc and ldp_vc: formats of others
    "openid4vci/examples/wallet_attestation.jwt.txt": (
        "unit/formats/test_jose.py", "test_the_wallet_attestation_of_openid4vci_reads",
    ),
    "openid4vci/examples/issuer_jwks.json": ("", "test_the_issuers_key_is_read"),
    "openid4vci/examples/credential_offer_*": ("", "test_the_offers_are_read"),
    "openid4vci/examples/authorization_details*.json": ("", "test_authorization_details_are_read"),
    "openid4vci/examples/credential_metadata_*.json": ("", "test_issuer_metadata_is_read"),
    "openid4vci/examples/credential_issuer_metadata_sd_jwt_long.json": ("", "test_issuer_metadata_is_read"),
    "openid4vci/examples/credential_issuer_metadata_sd_jwt_jwt.txt": ("", "test_signed_issuer_metadata_is_read"),
    "openid4vci/examples/credential_request_iso_mdl.json": ("", "test_a_request_as_drafts_had_it_is_refused"),
    "openid4vci/examples/credential_response_*.txt": ("", "test_credential_responses_are_json_with_credentials"),
    "haip/credential_request_sd_jwt_vc.json": ("", "test_a_request_as_drafts_had_it_is_refused"),
    "haip/credential_offer_sd_jwt_vc.json": ("", "test_what_haip_still_shows_of_drafts_is_refused"),
    "haip/authorization_details_sd_jwt_vc.json": ("", "test_what_haip_still_shows_of_drafts_is_refused"),
    "haip/presentation_definition_sd_jwt_vc.json": ("", "test_what_haip_still_shows_of_drafts_is_refused"),
    "haip/*_metadata_sd_jwt_vc.json": ("", "test_snippets_are_json"),
    "README.md": ("", "test_every_public_vector_is_read_by_a_test"),
}  # fmt: skip

TESTS = Path(__file__).resolve().parents[1]


def test_every_public_vector_is_read_by_a_test() -> None:
    public_vectors("README.md")
    files = sorted(str(path.relative_to(PUBLIC_VECTORS)) for path in PUBLIC_VECTORS.rglob("*") if path.is_file())
    claimed = {file: [pattern for pattern in READ_BY if fnmatch(file, pattern)] for file in files}
    assert [file for file, patterns in claimed.items() if not patterns] == []
    idle = set(READ_BY) - {pattern for patterns in claimed.values() for pattern in patterns}
    assert idle == set(), "patterns that fit no file"


@pytest.mark.parametrize("pattern", READ_BY)
def test_the_test_that_is_said_to_read_a_vector_does(pattern: str) -> None:
    module, name = READ_BY[pattern]
    source = (TESTS / module if module else Path(__file__)).read_text("utf-8")
    assert name in source
    folder = pattern.partition("/")[0].partition("*")[0]
    assert folder in source or not module


# --- OpenID4VCI, HAIP -------------------------------------------------------------------------------------------------


def each(pattern: str) -> list[tuple[str, str]]:
    """Name and text of each file; the test is skipped where the vectors are not."""
    public_vectors("README.md")
    found = sorted(PUBLIC_VECTORS.glob(pattern))
    assert found, pattern
    return [(path.name, path.read_text("utf-8")) for path in found]


def body(text: str) -> str:
    """An HTTP message's body, without the line breaks a specification puts into long strings."""
    return "".join(line.strip() for line in text[text.index("{") :].split("\n"))


def test_the_offers_are_read() -> None:
    """OpenID4VCI 1.0 4.1.1."""
    for name, text in each("openid4vci/examples/credential_offer_*"):
        offer = read_offer(body(text) if name.endswith(".txt") else text)
        assert offer.issuer == "https://credential-issuer.example.com"
        assert (offer.pre_authorized is None) == name.startswith("credential_offer_authz_code"), name


def test_authorization_details_are_read() -> None:
    """OpenID4VCI 1.0 5.1.1; claims in them are no more than a wish."""
    issuer = "https://credential-issuer.example.com"
    for name, text in each("openid4vci/examples/authorization_details*.json"):
        ids = [one["credential_configuration_id"] for one in json.loads(text)]
        known: Any = dict.fromkeys(ids)
        assert parse_details(text, issuer, known) == tuple(ids), name
        with pytest.raises(Refused):
            parse_details(text, issuer, {})


def test_issuer_metadata_is_read() -> None:
    """OpenID4VCI 1.0 12.2.4, Appendix A; formats of others stand beside ours without harm."""
    for name, text in each("openid4vci/examples/credential_*metadata_*.json"):
        raw = json.loads(text)
        issuer = raw.get("credential_issuer", "https://credential-issuer.example.com")
        sealed = raw.get("credential_request_encryption", {})
        if isinstance(sealed.get("jwks"), list):  # the example leaves the set out around its keys
            sealed["jwks"] = {"keys": sealed["jwks"]}
        whole = {"credential_issuer": issuer, "credential_endpoint": f"{issuer}/credential", **raw}
        read = read_issuer(whole, issuer)
        assert read.configurations.keys() == raw["credential_configurations_supported"].keys(), name


def test_signed_issuer_metadata_is_read() -> None:
    """OpenID4VCI 1.0 12.2.3: its signature holds; HAIP 1.0 4.1 would not take its self-signed certificate."""
    ((_, text),) = each("openid4vci/examples/credential_issuer_metadata_sd_jwt_jwt.txt")
    raw = "".join(text.split()).encode()
    jws = open_signed(raw, "https://credential-issuer.example.com")
    jws.verify(x509.leaf_key(jws.x5c[0]))
    with pytest.raises(Refused) as refused:
        x509.check_chain(jws.x5c, x509.Anchors([]), datetime(2026, 1, 1, tzinfo=UTC), None)
    assert refused.value.code is Code.BAD_CERTIFICATE


def test_the_issuers_key_is_read() -> None:
    """RFC 7638 3.1: its kid, broken over two lines in the example, is its thumbprint."""
    ((_, text),) = each("openid4vci/examples/issuer_jwks.json")
    (raw,) = json.loads("".join(line.strip() for line in text.splitlines()))["jwks"]
    key = PublicKey.from_jwk({name: raw[name] for name in ("kty", "crv", "x", "y")})
    assert raw["kid"].endswith(key.thumbprint)


def test_a_request_as_drafts_had_it_is_refused() -> None:
    """OpenID4VCI 1.0 8.2: a format is no way to ask any more."""
    texts = each("openid4vci/examples/credential_request_iso_mdl.json") + each("haip/credential_request_sd_jwt_vc.json")
    for _, text in texts:
        raw = json.loads(text.replace("\n", " "))
        asked = CredentialRequest(
            raw.get("credential_configuration_id"), raw.get("credential_identifier"), raw.get("proofs")
        )
        with pytest.raises(Refused) as refused:
            asked.configuration(("org.iso.18013.5.1.mDL",), {})
        assert refused.value.code is Code.INVALID_CREDENTIAL_REQUEST


def test_credential_responses_are_json_with_credentials() -> None:
    """OpenID4VCI 1.0 8.3: always a list of objects."""
    for name, text in each("openid4vci/examples/credential_response_*.txt"):
        (one,) = decode_json(body(text).encode())["credentials"]
        assert one["credential"], name


def test_what_haip_still_shows_of_drafts_is_refused() -> None:
    """`credentials` in an offer, `format` in authorization details, presentation definitions."""
    ((_, text),) = each("haip/credential_offer_sd_jwt_vc.json")
    attempts: list[Callable[[], object]] = [lambda: read_offer(text)]
    ((_, details),) = each("haip/authorization_details_sd_jwt_vc.json")
    attempts.append(lambda: parse_details(details, "https://credential-issuer.example.com", {}))
    ((_, definition),) = each("haip/presentation_definition_sd_jwt_vc.json")
    attempts.append(lambda: dcql.parse(json.loads(definition)))
    for attempt in attempts:
        with pytest.raises(Refused):
            attempt()


# --- OpenID4VP --------------------------------------------------------------------------------------------------------


def test_a_query_for_other_formats_is_read_and_nothing_fits_it() -> None:
    """OpenID4VP 1.0 6.1, B.1: a wallet without such credentials reads on."""
    for name, text in each("openid4vp/examples/request/dcql_*.json"):
        query = dcql.parse(json.loads(text))
        assert [one.format for one in query.queries] == [json.loads(text)["credentials"][0]["format"]], name
        assert query.queries[0].format not in (dcql.SD_JWT, dcql.MDOC)


def test_a_request_by_a_did_is_not_taken() -> None:
    """HAIP 1.0 5: x509_hash; the example is signed with RS256 by a key a DID would have to give."""
    ((_, header),) = each("openid4vp/examples/request/request_header_client_id_did.json")
    ((_, payload),) = each("openid4vp/examples/request/request_object_client_id_did.json")
    claims = json.loads(payload.replace("{ ... }", "{}"))
    token = sign_jws(Hand("somebody"), {**json.loads(header)}, claims)
    with pytest.raises(Refused) as refused:
        Jws.parse(token, typ="oauth-authz-req+jwt")
    assert refused.value.code is Code.UNSUPPORTED


async def test_the_signed_browser_request_is_read() -> None:
    """OpenID4VP 1.0 A.2, A.3.2: expected_origins decide where it counts."""
    query = {"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["x"]}}]}
    x5c = [ASKERS.certify(x509.Profile.ACCESS, ASKER.signer)]
    for _, text in each("openid4vp/examples/digital_credentials_api/signed_request_payload*.json"):
        claims = json.loads(text.replace("{...}", json.dumps(query)).replace("{ ... }", json.dumps(query)))
        claims["client_metadata"]["jwks"]["keys"][0]["alg"] = "ECDH-ES"  # section 8.3: it must be there
        claims |= {"client_id": f"x509_hash:{x509.x509_hash(x5c[0])}", "aud": "https://self-issued.me/v2"}
        header = {"typ": "oauth-authz-req+jwt", "x5c": x5c_header(x5c)}
        data = {"request": sign_jws(ASKER.signer, header, {**claims, "response_mode": "dc_api.jwt"})}
        async with httpx.AsyncClient() as http:
            wallet = Wallet(http, trust=AnchorTrust(verifiers=[ASKERS.root]))
            asked = await wallet.open_browser_request("openid4vp-v1-signed", data, claims["expected_origins"][0])
            assert asked.standing == "anchored"
            with pytest.raises(Refused):
                await wallet.open_browser_request("openid4vp-v1-signed", data, "https://elsewhere.example")


def test_a_verifiers_metadata_has_our_algorithms() -> None:
    """OpenID4VP 1.0 B.2.2, B.3.4: among those asked for are the ones we have."""
    found = {}
    for _, text in each("openid4vp/examples/client_metadata/*.json"):
        found |= json.loads(text)["vp_formats_supported"]
    assert "ES256" in found["dc+sd-jwt"]["sd-jwt_alg_values"]
    assert "ES256" in found["dc+sd-jwt"]["kb-jwt_alg_values"]
    assert {-7, -9} & set(found["mso_mdoc"]["issuerauth_alg_values"])


def test_the_sd_jwt_payloads_of_openid4vp_are_read() -> None:
    """OpenID4VP 1.0 B.3: signed by a hand of ours, for the example has no signature."""
    hand = Hand("issuer")
    for name, text in each("openid4vp/examples/credentials/sd_jwt_*.json"):
        payload = json.loads(text)
        card = SdJwt.parse(sign_jws(hand, {"typ": "dc+sd-jwt"}, payload) + "~")
        opened = card.open(hand.key)
        hidden = {"_sd", "_sd_alg"}
        assert opened == {claim: value for claim, value in payload.items() if claim not in hidden}, name


def test_the_sd_jwt_with_json_ld_opens() -> None:
    """OpenID4VP 1.0 B.3.7, RFC 9901 7.1 and 7.3: disclosures, key binding over them, and what is left."""
    files = dict(each("openid4vp/examples/sd_jwt_vcld/01/*"))
    texts = {name: "".join(text.split()) for name, text in files.items()}
    issued, shown = (SdJwt.parse(texts[f"sd_jwt_{name}.txt"]) for name in ("issuance", "presentation"))
    assert issued.jws.encode() == shown.jws.encode() == texts["sd_jwt_jws_part.txt"]
    assert shown.jws.claims() == json.loads(files["sd_jwt_payload.json"])
    assert shown.peek() == json.loads(files["verified_contents.json"])
    assert issued.peek()["ld"] == json.loads(files["user_claims.json"])["ld"]
    binding = json.loads(files["kb_jwt_payload.json"])
    assert shown.key_binding == texts["kb_jwt_serialized.txt"]
    assert (
        Jws.parse(texts["kb_jwt_serialized.txt"], typ=json.loads(files["kb_jwt_header.json"])["typ"]).claims()
        == binding
    )
    shown.check_binding(
        holder_key(shown.peek()), nonce=binding["nonce"], audience=binding["aud"],
        now=datetime.fromtimestamp(binding["iat"], UTC),
    )  # fmt: skip


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_snippets_are_json() -> None:
    """Formats of others, and single values: our strict reader takes them, one spelling and no member twice."""
    names = [pattern for pattern, (_, name) in READ_BY.items() if name == "test_snippets_are_json"]
    for pattern in names:
        for name, text in each(pattern):
            assert decode_json_value(text.encode()) == json.loads(text), name


def test_settings_name_keys_we_read() -> None:
    """The keys that the reference implementation made its examples with."""
    for pattern in ("sd-jwt-*/settings.yml", "sd-jwt-*/*/settings.yml"):
        for name, text in each(pattern):
            keys = yaml.safe_load(text)["key_settings"]
            for who in ("issuer", "holder"):
                raw = keys.get(f"{who}_key") or keys[f"{who}_keys"][0]
                assert PublicKey.from_jwk({part: raw[part] for part in ("kty", "crv", "x", "y")}), name
