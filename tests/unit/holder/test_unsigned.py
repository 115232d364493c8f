"""Without a signature a wallet answers exactly what the country lets anyone ask, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from mapae.catalog import parse_country
from mapae.clock import SeededDice
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.holder import unsigned
from mapae.holder.request import Request, Unsigned, read_link
from mapae.trust.purposes import PurposesDocument
from mapae.verifier.asking import anyone
from mapae.verifier.asking.ask import Form, question

COUNTRY = parse_country(country_tree("kr"))
NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
PURPOSES = PurposesDocument.of(COUNTRY, NOW)
URI = "https://bar.example/mapae/answers/7"
PURPOSE = "alcohol_tobacco"


def link(form: Form = Form.EITHER, purpose: str = PURPOSE) -> str:
    pending = anyone.put(purpose, form, NOW, SeededDice("asks"))
    return anyone.link(anyone.anyones(COUNTRY, purpose, form), pending, URI)


def changed(**parameters: Any) -> str:
    """The link with other parameters; None leaves one out, a function changes what was there."""
    fields = {name: values[0] for name, values in parse_qs(urlsplit(link()).query).items()}
    for name, value in parameters.items():
        if callable(value):
            whole = json.loads(fields[name])
            value(whole)
            fields[name] = json.dumps(whole)
        elif value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return "openid4vp://?" + urlencode(fields)


def opened(text: str) -> Request:
    asked = read_link(text)
    assert isinstance(asked, Unsigned)
    return unsigned.open_request(asked, PURPOSES)


@pytest.mark.parametrize("form", list(Form), ids=str)
def test_what_anyone_may_ask_is_answered_in_either_format(form: Form) -> None:
    """OpenID4VP 1.0 5.9.3, redirect_uri: the client is the address of the answer, and its host is all that is known."""
    asked = opened(link(form))
    assert asked.party.standing == "unknown"
    assert dict(asked.party.name) == {"": "bar.example"}
    assert asked.purpose is not None
    assert asked.purpose.items == COUNTRY.purposes[PURPOSE].items
    assert asked.audience == f"redirect_uri:{URI}"


def test_the_address_may_be_said_once() -> None:
    """5.9.3: response_uri may be left out, for the client identifier says it."""
    assert opened(changed(response_uri=None)).audience == f"redirect_uri:{URI}"


def first_claim(query: Any) -> Any:
    return query["credentials"][0]["claims"]


def more(query: Any) -> None:
    first_claim(query).append({"path": ["name"]})


def other(query: Any) -> None:
    first_claim(query)[0]["path"] = ["birth_date"]


def wished(query: Any) -> None:
    first_claim(query)[0]["values"] = [True]


def everything(query: Any) -> None:
    del query["credentials"][0]["claims"]


def both(query: Any) -> None:
    del query["credential_sets"]


def optional(query: Any) -> None:
    query["credential_sets"][0]["required"] = False


def pair(query: Any) -> None:
    query["credential_sets"][0]["options"] = [["sd_jwt", "mdoc"]]


def twice(query: Any) -> None:
    query["credentials"].append({**query["credentials"][0], "id": "again"})


def several(query: Any) -> None:
    query["credentials"][0]["multiple"] = True


def unbound(query: Any) -> None:
    query["credentials"][0]["require_cryptographic_holder_binding"] = False


def elsewhere(query: Any) -> None:
    query["credentials"][0]["meta"]["vct_values"] = ["https://other.example/card"]


def widened(query: Any) -> None:
    query["credentials"][0]["meta"]["vct_values"].append("https://other.example/card")


def from_one(query: Any) -> None:
    query["credentials"][0]["trusted_authorities"] = [{"type": "aki", "values": ["AAAA"]}]


def kept(query: Any) -> None:
    query["credentials"][1]["claims"][0]["intent_to_retain"] = True


QUERIES = [
    more,
    other,
    wished,
    everything,
    both,
    optional,
    pair,
    twice,
    several,
    unbound,
    elsewhere,
    widened,
    from_one,
    kept,
]


@pytest.mark.parametrize("change", QUERIES, ids=lambda change: change.__name__)
def test_one_item_more_or_one_answer_more_is_refused(change: Any) -> None:
    with pytest.raises(Refused) as refused:
        opened(changed(dcql_query=change))
    assert (refused.value.code, refused.value.step) == (Code.OVER_ASKING, "purpose")


@pytest.mark.parametrize("purpose", ["name_birth_date", "no_such_purpose", None], ids=str)
def test_a_purpose_that_is_not_for_anyone_is_refused(purpose: str | None) -> None:
    with pytest.raises(Refused) as refused:
        opened(changed(mapae_purpose=purpose))
    assert (refused.value.code, refused.value.step) == (Code.OVER_ASKING, "purpose")


def test_a_name_and_birth_date_are_refused_whatever_purpose_is_named() -> None:
    purpose = COUNTRY.purposes["name_birth_date"]
    asked = question(COUNTRY, purpose, Form.EITHER)
    with pytest.raises(Refused) as refused:
        opened(changed(dcql_query=json.dumps(asked.dcql)))
    assert refused.value.code is Code.OVER_ASKING


def no_key(metadata: Any) -> None:
    metadata["jwks"] = {"keys": []}


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("link", {"request": "e30.e30."}),
        ("client", {"client_id": "redirect_uri:http://bar.example/"}),
        ("client", {"client_id": "redirect_uri:"}),
        ("answer", {"response_uri": "https://elsewhere.example/"}),
        ("answer", {"redirect_uri": URI}),
        ("answer", {"response_mode": "direct_post"}),
        ("answer", {"response_mode": "fragment"}),
        ("answer", {"response_type": "id_token"}),
        ("key", {"client_metadata": no_key}),
        ("key", {"client_metadata": None}),
        ("nonce", {"nonce": "short"}),
        ("nonce", {"nonce": None}),
        ("nonce", {"state": "a b"}),
        ("transaction", {"transaction_data": '["e30"]'}),
        ("query", {"dcql_query": None}),
        ("query", {"scope": "age"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_each_step_refuses_in_its_own_name(step: str, change: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        opened(changed(**change))
    assert refused.value.step == step


def test_a_client_that_is_an_address_cannot_ask_by_reference() -> None:
    """5.9.3: it must not be signed; what lies behind a request_uri must be. `client` refuses it once it was fetched."""
    assert not isinstance(read_link(changed(request_uri="https://bar.example/request")), Unsigned)


@pytest.mark.parametrize("client", ["x509_hash:abc", "bar.example", "origin:https://bar.example", "did:web:bar"])
def test_any_other_client_without_a_signature_is_refused_as_before(client: str) -> None:
    """HAIP 1.0 5.1."""
    with pytest.raises(Refused) as refused:
        read_link(changed(client_id=client))
    assert (refused.value.code, refused.value.step) == (Code.UNSUPPORTED, "link")
