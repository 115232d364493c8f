"""Whatever arrives, a wallet reads it one way or refuses it; nothing else is ever raised."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from mapae.errors import Refused
from mapae.formats import dcql
from mapae.formats.jose import b64u
from mapae.holder import AnchorTrust, authorization, browser, metadata, offer, request, transaction
from mapae.holder.choose import Candidate, accepts, answers, matches
from mapae.holder.store import State, pack, unpack
from mapae.holder.wire import Reply, must_be_safe

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
claims = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.booleans() | st.integers(0, 3) | st.text(max_size=2) | st.lists(st.integers(0, 2), max_size=3),
    max_size=3,
)
paths = st.lists(st.sampled_from(["a", "b", "c", None, 0, 1]), min_size=1, max_size=3)
ids = st.sampled_from(["q0", "q1", "q2"])


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """Queries that are nearly always well-formed."""
    names = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    credentials = []
    for name in names:
        query: dict[str, Any] = {"id": name, "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:card"]}}
        wanted = draw(st.lists(paths, max_size=3))
        if wanted:
            query["claims"] = [{"id": f"c{n}", "path": path} for n, path in enumerate(wanted)]
            if draw(st.booleans()):
                query["claim_sets"] = draw(
                    st.lists(st.lists(st.sampled_from([f"c{n}" for n in range(len(wanted))]), min_size=1, max_size=2),
                             min_size=1, max_size=2)
                )  # fmt: skip
        credentials.append(query)
    made: dict[str, Any] = {"credentials": credentials}
    if draw(st.booleans()):
        options = st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=2), min_size=1, max_size=3)
        made["credential_sets"] = draw(
            st.lists(st.fixed_dictionaries({"options": options, "required": st.booleans()}), min_size=1, max_size=2)
        )
    return made


@given(queries(), st.lists(claims, max_size=3))
def test_an_answer_is_complete_and_discloses_only_what_its_query_names(raw: dict[str, Any], held: list[Any]) -> None:
    parsed = dcql.parse(raw)
    cards = {f"card{n}": Candidate(f"card{n}", "dc+sd-jwt", "urn:card", one, frozenset()) for n, one in enumerate(held)}
    by_id = {query.id: query for query in parsed.queries}
    found = matches(parsed, cards.values())
    for option in answers(parsed, found):
        assert accepts(parsed, found, option)
        answered = {match.query for match in option}
        assert len(answered) == len(option)
        if parsed.sets:
            required = [wanted for wanted in parsed.sets if wanted.required]
            assert all(any(set(way) <= answered for way in wanted.options) for wanted in required)
        else:
            assert answered == set(by_id)
        for match in option:
            named = {claim.path for claim in by_id[match.query].claims}
            assert set(match.paths) <= named
            for path in match.paths:
                assert dcql.find(cards[match.card].claims, path)


@given(json_values)
def test_any_json_is_a_query_or_refused(value: Any) -> None:
    with suppress(Refused):
        dcql.parse(value)


@given(json_values | st.lists(json_values, min_size=1, max_size=2))
def test_any_json_is_a_transaction_or_refused(value: Any) -> None:
    query = dcql.parse({"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["x"]}}]})
    texts = [b64u(json.dumps(one).encode()) for one in value] if isinstance(value, list) else value
    for raw in (value, texts):
        with suppress(Refused):
            transaction.read_all(raw, query)


@given(
    st.sampled_from(["openid4vp-v1-unsigned", "openid4vp-v1-signed", "openid4vp-v1-multisigned", "x"]),
    st.dictionaries(
        st.sampled_from([
            "request", "payload", "signatures", "signature", "protected", "response_mode", "response_type", "nonce",
            "client_metadata", "dcql_query", "transaction_data", "expected_origins", "client_id",
        ]),
        json_values | st.sampled_from(["dc_api", "dc_api.jwt", "vp_token", "e30.e30.AA"]),
    ),
)  # fmt: skip
def test_whatever_a_browser_hands_over_is_a_request_or_refused(protocol: str, data: dict[str, Any]) -> None:
    with suppress(Refused):
        browser.open_request(protocol, data, "https://a.example", AnchorTrust(strangers=True), datetime.now(UTC))


@given(json_values)
def test_any_json_is_an_offer_or_refused(value: Any) -> None:
    with suppress(Refused):
        offer.read_offer(json.dumps(value))


@given(st.dictionaries(st.sampled_from([
    "credential_issuer", "credential_endpoint", "nonce_endpoint", "authorization_servers", "notification_endpoint",
    "credential_response_encryption", "credential_request_encryption",
    "batch_credential_issuance", "credential_configurations_supported",
]), json_values | st.just("https://a.example")))  # fmt: skip
def test_any_metadata_is_read_or_refused(value: dict[str, Any]) -> None:
    with suppress(Refused):
        metadata.read_issuer(value, "https://a.example").configuration("a")


@given(st.dictionaries(st.sampled_from([
    "format", "vct", "doctype", "scope", "cryptographic_binding_methods_supported", "proof_types_supported",
    "credential_signing_alg_values_supported", "credential_metadata",
]), json_values | st.sampled_from(["dc+sd-jwt", "mso_mdoc"])))  # fmt: skip
def test_any_configuration_is_read_or_refused(value: dict[str, Any]) -> None:
    with suppress(Refused):
        metadata._configuration("a", value)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: "openid4vp://?" + text))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    for read in (request.read_link, offer.read_link, must_be_safe, authorization.read_redirect):
        with suppress(Refused):
            read(text)


@given(st.integers(100, 599), st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_read_or_refused(status: int, body: bytes) -> None:
    reply = Reply(status, httpx.Headers({"content-type": "application/json"}), body)
    with suppress(Refused):
        reply.json()
    assert isinstance(reply.refusal(), Refused)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_state_or_refused(raw: bytes) -> None:
    with suppress(Refused):
        unpack(raw)
    assert pack(unpack(pack(State()))) == pack(State())
