"""Statements: one act, one key, one spelling."""

from __future__ import annotations

import pytest

from hands import Hand, refuses
from logged import NOW, digest
from mapae.errors import Code
from mapae.formats import jose, p256
from mapae.trust.log import acts, statement

ORIGIN = "mapae.example/trust/log/registry"
PARTY, OTHER = Hand("party"), Hand("other")
ARGS = acts.args(acts.PutKey(digest("p"), digest("k"), 2, 0, NOW + 9, digest("s")))


def made(**change) -> str:
    header = {"typ": statement.TYP, "jwk": PARTY.jwk} | change.pop("header", {})
    claims = {"act": "put_key", "args": ARGS, "log": ORIGIN, "iat": NOW} | change
    said = {name: value for name, value in claims.items() if value is not None}
    return statement.smaller(jose.sign_jws(PARTY, header, said))


def other_s(jws: str) -> str:
    """What anybody can make of a signature without its key: it fits as well."""
    said, _, signature = jws.rpartition(".")
    raw = jose.unb64u(signature)
    return f"{said}.{jose.b64u(raw[:32] + (p256.N - int.from_bytes(raw[32:])).to_bytes(32))}"


def test_a_statement_says_the_act_and_whose_voice_it_is():
    token = statement.make("put_key", ARGS, ORIGIN, PARTY, NOW)
    act = acts.of("put_key", ARGS, statement.digest(token))
    said = statement.must_say(token, act, ORIGIN)
    assert said.voice == PARTY.key.thumbprint_raw and said.iat == NOW and said.act(act.statement) == act
    assert statement.read(made()) == said


def test_a_statement_is_not_another_acts():
    token = statement.make("put_key", ARGS, ORIGIN, PARTY, NOW)
    with refuses(Code.NOT_ALLOWED, "another statement"):
        statement.must_say(token, acts.of("put_key", ARGS, digest("another")))
    with refuses(Code.NOT_ALLOWED, "something else"):
        statement.must_say(token, acts.of("put_key", {**ARGS, "purpose": 3}, statement.digest(token)))
    with refuses(Code.NOT_ALLOWED, "another log"):
        statement.read(token, "mapae.example/trust/log/anchors")


def test_an_approval_is_of_one_statement():
    token = statement.approve(digest("s"), OTHER, NOW)
    read = statement.read_approval(token)
    assert (read.statement, read.voice, read.iat) == (digest("s"), OTHER.key.thumbprint_raw, NOW)
    with refuses(Code.MALFORMED):
        statement.read(token)
    with refuses(Code.MALFORMED):
        statement.read_approval(made())


@pytest.mark.parametrize(
    "change",
    [
        {"more": "Kim Jisoo, 010-1234-5678"}, {"act": "put_keys"}, {"act": 7}, {"args": None}, {"args": []},
        {"args": {**ARGS, "note": "x"}}, {"args": {**ARGS, "party": digest("p").hex().upper()}},
        {"args": dict(reversed(ARGS.items()))}, {"iat": NOW + 0.5}, {"iat": True}, {"iat": -1}, {"iat": None},
        {"log": "A log for Kim"}, {"log": 7}, {"log": "a" * 200}, {"header": {"kid": "Kim"}},
        {"header": {"jwk": {**PARTY.jwk, "use": "sig"}}}, {"header": {"jwk": dict(reversed(PARTY.jwk.items()))}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_nothing_but_the_act_fits_into_a_statement(change):
    with refuses(Code.MALFORMED):
        statement.read(made(**change))


def test_a_statement_has_one_spelling():
    spaced = jose.sign_jws(PARTY, {"typ": statement.TYP, "jwk": PARTY.jwk}, b'{"act": "put_key"}')
    with refuses(Code.MALFORMED):
        statement.read(spaced)
    payload = jose.encode_json({"act": "put_key", "args": ARGS, "log": ORIGIN, "iat": NOW})
    for written in (payload + b" ", payload.replace(b'"put_key"', b'"put\\u005fkey"')):
        with refuses(Code.MALFORMED, "spelling"):
            statement.read(jose.sign_jws(PARTY, {"typ": statement.TYP, "jwk": PARTY.jwk}, written))


def test_nobody_makes_a_second_statement_or_vote_of_what_was_signed_once():
    """ECDSA takes n - s for s. A statement used once, or a vote that is void, would come back under another digest."""
    said, vote = statement.make("put_key", ARGS, ORIGIN, PARTY, NOW), statement.approve(digest("s"), OTHER, NOW)
    for jws, read, key in ((said, statement.read, PARTY.key), (vote, statement.read_approval, OTHER.key)):
        read(jws)
        signed, _, seal = other_s(jws).rpartition(".")
        key.verify(jose.unb64u(seal), signed.encode())
        with refuses(Code.MALFORMED, "signature is not in its one spelling"):
            read(other_s(jws))


@pytest.mark.parametrize("count", range(8))
def test_whichever_s_a_signer_comes_up_with_the_smaller_is_written(count):
    statement.read(statement.make("put_key", ARGS, ORIGIN, PARTY, NOW + count))
    statement.read_approval(statement.approve(digest("s"), OTHER, NOW + count))


def test_a_signature_that_does_not_fit_is_refused_and_so_is_what_is_too_long():
    stolen = jose.sign_jws(OTHER, {"typ": statement.TYP, "jwk": PARTY.jwk}, {"act": "put_key", "args": ARGS,
                                                                          "log": ORIGIN, "iat": NOW})  # fmt: skip
    with refuses(Code.BAD_SIGNATURE):
        statement.read(stolen)
    with refuses(Code.TOO_LARGE):
        statement.read("a" * 5000)
    with refuses(Code.MALFORMED):
        statement.make("put_key", {**ARGS, "more": 1}, ORIGIN, PARTY, NOW)
