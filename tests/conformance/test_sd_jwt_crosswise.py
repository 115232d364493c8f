"""SD-JWT VC by two other libraries, npm's @sd-jwt/sd-jwt-vc and PyPI's sd-jwt, against ours: each reads what the other
makes, and what they make wrongly is refused by the numbered step of docs/checking.md that is there for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import pytest
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from conformance.peers import Node, PeerRefused, deviates
from conformance.world import (
    AUTHORITY,
    HOLDER,
    ISSUER,
    NONCE,
    NOW,
    OTHER_VCT,
    PERSON,
    STRANGER,
    Pair,
    ask,
    dice,
    just_now,
    open_claims,
    trusted,
    x5c,
)
from mapae.errors import Code, Refused
from mapae.formats import sd_jwt, status
from mapae.formats.jose import b64u, decode_json_value, encode_json, sign_jws, unb64u
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.verifier.checking.check import Format, Shown, check
from unit.verifier.world import LIST

ASK = ask()
# The same card in each library's words: everything can be hidden, arrays by element, the address recursively.
FRAME = {
    "_sd": list(PERSON), "_sd_decoy": 2, "nationalities": {"_sd": [0, 2], "_sd_decoy": 1},
    "address": {"_sd": ["region", "street"], "street": {"_sd": ["name"]}},
}  # fmt: skip


def hidden(claims: dict[str, Any]) -> dict[str, Any]:
    """FRAME in our words."""
    street = claims["address"]["street"]
    address = {
        "region": Hidden(claims["address"]["region"]),
        "street": Hidden({**street, "name": Hidden(street["name"])}),
    }
    first, second, third = claims["nationalities"]
    inside = {"address": address, "nationalities": [Hidden(first), second, Hidden(third)]}
    return {name: Hidden(inside.get(name, value)) for name, value in claims.items()}


def marked(claims: dict[str, Any]) -> dict[Any, Any]:
    """FRAME in the words of PyPI's sd-jwt."""
    street = claims["address"]["street"]
    address = {
        SDObj("region"): claims["address"]["region"],
        SDObj("street"): {"number": street["number"], SDObj("name"): street["name"]},
    }
    first, second, third = claims["nationalities"]
    inside = {"address": address, "nationalities": [SDObj(first), second, SDObj(third)]}
    return {SDObj(name): inside.get(name, value) for name, value in claims.items()}


def jwk(pair: Pair, private: bool = False) -> JWK:
    return JWK(**(pair.private if private else pair.public))


def ours(claims: dict[str, Any] | None = None) -> SdJwt:
    header = {"typ": "dc+sd-jwt", "x5c": x5c()}
    draft = sd_jwt.draft(header, {**(claims or open_claims()), **hidden(PERSON)}, entropy=dice.bytes, decoys=2)
    return SdJwt.parse(draft.complete(ISSUER.signer.sign(draft.signing_input)))


def by_node(node: Node, claims: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {**(claims or open_claims()), **PERSON}
    given = {"claims": claims, "frame": FRAME, "header": {"x5c": x5c()}, "key": ISSUER.private}
    return str(node.sd_jwt.issue(**{**given, **changes}))


def by_python() -> str:
    issuer = SDJWTIssuer(
        {**open_claims(), **marked(PERSON)}, jwk(ISSUER, private=True), None, "ES256", add_decoy_claims=True,
        extra_header_parameters={"typ": "dc+sd-jwt", "x5c": x5c()},
    )  # fmt: skip
    return str(issuer.sd_jwt_issuance)


def status_token(standing: int = status.VALID) -> str:
    listed = status.StatusList.of(2, 64, [(7, standing)])
    return status.publish(
        listed, AUTHORITY.status_signer, (AUTHORITY.status_leaf,), uri=LIST, now=NOW, life=timedelta(days=1), ttl=5
    )


def node_reads(node: Node, card: str, nonce: str | None = None, **changes: Any) -> dict[str, Any]:
    given = {
        "card": card, "issuerKey": ISSUER.public, "nonce": nonce, "now": int(NOW.timestamp()),
        "statusToken": status_token(), "statusKey": AUTHORITY.status_signer.jwk,
    }  # fmt: skip
    return dict(node.sd_jwt.verify(**{**given, **changes}))


def python_reads(card: str, aud: str | None = None, nonce: str | None = None) -> Any:
    try:
        return SDJWTVerifier(card, lambda issuer, header: jwk(ISSUER), aud, nonce).get_verified_payload()
    except Exception as error:
        raise PeerRefused(str(error)) from error


# --- each reads what the other makes ----------------------------------------------------------------------------------


def test_they_read_every_claim_we_issue(node: Node) -> None:
    """RFC 9901 4.2: objects, arrays by element, recursive disclosures, decoys."""
    card = ours()
    expected = {**open_claims(), **PERSON}
    assert card.open(ISSUER.key) == expected
    assert node_reads(node, card.encode())["payload"] == expected
    assert python_reads(card.encode()) == expected


@pytest.mark.parametrize("library", ["node", "python"])
def test_we_read_every_claim_they_issue(library: str, node: Node) -> None:
    """RFC 9901 7.1, and `parse(x).encode() == x` over what others wrote."""
    text = by_node(node) if library == "node" else by_python()
    card = SdJwt.parse(text)
    assert card.open(ISSUER.key) == {**open_claims(), **PERSON}
    assert card.encode() == text


@pytest.mark.parametrize("paths", [
    [["name"]],
    [["address", "street", "name"]],
    [["address", "region"], ["nationalities", 2]],
    [["nationalities", None], ["nothing"], ["score"]],
    [],
], ids=str)  # fmt: skip
def test_they_read_what_our_holder_chooses_to_show(paths: list[list[Any]], node: Node) -> None:
    """RFC 9901 7.2: the same claims in three libraries, for the same disclosures of our card and of theirs."""
    for card in (ours(), SdJwt.parse(by_node(node)), SdJwt.parse(by_python())):
        answer = card.disclose(paths).bind(HOLDER.signer, nonce=NONCE, audience=ASK.client_id, now=NOW)
        expected = SdJwt.parse(answer).open(ISSUER.key)
        read = node_reads(node, answer, NONCE)
        assert read["payload"] == expected
        assert read["kb"]["aud"] == ASK.client_id
        assert python_reads(answer, ASK.client_id, NONCE) == expected


def test_our_steps_accept_what_their_holders_show(node: Node) -> None:
    """All six steps, over a card issued and shown by others; and over ours shown by others."""
    for card in (by_node(node), by_python(), ours().encode()):
        holder = SDJWTHolder(card)
        holder.create_presentation(BOTH, NONCE, ASK.client_id, jwk(HOLDER, True), "ES256")
        for answer in (present(node, card, BOTH, iat=int(just_now().timestamp())), holder.sd_jwt_presentation):
            verified = check(Shown(Format.SD_JWT, answer), ASK, trusted(), just_now())
            assert verified.claims["name"] == PERSON["name"]
            assert str(verified.claims["birth_date"]) == PERSON["birth_date"]


# --- their wrong answers, our steps -----------------------------------------------------------------------------------

BOTH = {"name": True, "birth_date": True}
Make = Callable[[Node], str]


def seconds(**delta: int) -> int:
    return int((NOW + timedelta(**delta)).timestamp())


def present(node: Node, card: str, frame: dict[str, bool], holder: Pair = HOLDER, **kb: Any) -> str:
    payload = {"iat": seconds(), "aud": ASK.client_id, "nonce": NONCE, **kb}
    return str(node.sd_jwt.present(card=card, frame=frame, holder=holder.private, kb=payload))


def shown(*names: str, holder: Pair = HOLDER, **kb: Any) -> Make:
    """A good card; the key binding, or the choice of what is shown, is wrong."""
    frame = dict.fromkeys(names, True) or BOTH
    return lambda node: present(node, by_node(node), frame, holder, **kb)


def issued(claims: dict[str, Any] | None = None, **changes: Any) -> Make:
    """A card its issuer made wrongly, on purpose or not, shown as it should be."""
    return lambda node: by_hand(by_node(node, open_claims(**(claims or {})), **changes))


def reissued(key: Pair = ISSUER, header: dict[str, Any] | None = None, **change: Any) -> Make:
    """The same for what their issuer would not make: its signed part is changed and signed again."""
    return lambda node: by_hand(
        node.sd_jwt.reissue(card=by_node(node), change=change, header=header or {}, key=key.private)
    )


def by_hand(card: str) -> str:
    """Shown by us without looking, for libraries refuse to show what is wrong."""
    token, *disclosures, _ = card.split("~")
    wanted = [[name, PERSON[name]] for name in BOTH]
    kept = [one for one in disclosures if decode_json_value(unb64u(one))[1:] in wanted]
    text = "~".join([token, *kept, ""])
    hash = b64u(hashlib.sha256(text.encode()).digest())
    claims = {"nonce": NONCE, "aud": ASK.client_id, "iat": seconds(), "sd_hash": hash}
    return text + sign_jws(HOLDER.signer, {"typ": "kb+jwt"}, claims)


def bound(alg: str = "ES256", holder: dict[str, str] | None = None, typ: str = "kb+jwt", **changes: Any) -> Make:
    """A key binding that says exactly what we please, by their KBJwt class; None leaves a claim out."""

    def make(node: Node) -> str:
        text = present(node, by_node(node), BOTH).rpartition("~")[0] + "~"
        hash = node.sd_jwt.hash(text=text)
        said = {"iat": seconds(), "aud": ASK.client_id, "nonce": NONCE, "sd_hash": hash, **changes}
        payload = {name: value for name, value in said.items() if value is not None}
        key = holder or HOLDER.private
        return str(node.sd_jwt.bind(shown=text, holder=key, header={"typ": typ}, payload=payload, alg=alg))

    return make


def spliced(change: Callable[[list[str]], list[str]]) -> Make:
    """Disclosures taken away, added or altered after the holder signed."""

    def make(node: Node) -> str:
        token, *disclosures, binding = present(node, by_node(node), BOTH).split("~")
        return "~".join([token, *change(disclosures), binding])

    return make


def altered(disclosures: list[str]) -> list[str]:
    salt, name, _ = decode_json_value(unb64u(disclosures[0]))
    return [b64u(encode_json([salt, name, "somebody else"])), *disclosures[1:]]


def unbound(node: Node) -> str:
    return str(node.sd_jwt.present(card=by_node(node), frame=BOTH))


def place(uri: str = LIST, idx: int = 7) -> dict[str, Any]:
    return {"status_list": {"idx": idx, "uri": uri}}


P384 = {**JWK.generate(kty="EC", crv="P-384").export(as_dict=True), "kid": None}
ELSEWHERE = "http://elsewhere.test/1"
BARE = ASK.client_id.partition(":")[2]

WRONG: dict[str, tuple[Make, str, Code]] = {
    # RFC 9901 7.3 and 4.3: the key binding
    "no key binding": (unbound, "holder", Code.BAD_HOLDER_PROOF),
    "another nonce": (shown(nonce="another"), "holder", Code.WRONG_NONCE),
    "another audience": (shown(aud="x509_hash:other"), "holder", Code.WRONG_AUDIENCE),
    "an audience without its prefix": (shown(aud=BARE), "holder", Code.WRONG_AUDIENCE),
    "audiences in a list": (bound(aud=[ASK.client_id]), "holder", Code.BAD_HOLDER_PROOF),
    "another holder's key": (shown(holder=STRANGER), "holder", Code.BAD_HOLDER_PROOF),
    "another sd_hash": (bound(sd_hash=b64u(bytes(32))), "holder", Code.BAD_HOLDER_PROOF),
    "no sd_hash": (bound(sd_hash=None), "holder", Code.BAD_HOLDER_PROOF),
    "no nonce": (bound(nonce=None), "holder", Code.BAD_HOLDER_PROOF),
    "signed last week": (shown(iat=seconds(days=-7)), "holder", Code.BAD_HOLDER_PROOF),
    "signed tomorrow": (shown(iat=seconds(days=1)), "holder", Code.BAD_HOLDER_PROOF),
    "binding of another type": (bound(typ="jwt"), "holder", Code.BAD_HOLDER_PROOF),
    "binding with alg none": (bound("none"), "holder", Code.BAD_HOLDER_PROOF),
    "binding on another curve": (bound("ES384", P384), "holder", Code.BAD_HOLDER_PROOF),
    # RFC 9901 7.1: the disclosures
    "a disclosure removed": (spliced(lambda some: some[:-1]), "holder", Code.BAD_HOLDER_PROOF),
    "a disclosure twice": (spliced(lambda some: [*some, some[0]]), "seal", Code.MALFORMED),
    "a disclosure altered": (spliced(altered), "seal", Code.BAD_DIGEST),
    "a disclosure added": (spliced(lambda some: [*some, b64u(b'["salt","sex","x"]')]), "seal", Code.BAD_DIGEST),
    "another hash": (reissued(_sd_alg="sha-512"), "seal", Code.UNSUPPORTED),
    "a digest twice": (reissued(_sd=["A" * 43, "A" * 43]), "seal", Code.MALFORMED),
    # SD-JWT VC draft-13 2.2.2, 3.4: the issuer's part
    "another issuer's signature": (reissued(STRANGER), "seal", Code.BAD_SIGNATURE),
    "alg none": (issued(alg="none"), "issuer", Code.UNSUPPORTED),
    "issued with ES384": (issued(alg="ES384", key=P384), "issuer", Code.UNSUPPORTED),
    "no chain": (issued(header={}), "issuer", Code.MALFORMED),
    "another media type": (issued(header={"typ": "example+sd-jwt", "x5c": x5c()}), "issuer", Code.MALFORMED),
    "critical header": (reissued(header={"crit": ["mapae-test"], "mapae-test": 1}), "issuer", Code.UNSUPPORTED),
    "no holder key": (issued({"cnf": {}}), "holder", Code.MALFORMED),
    # RFC 7519 4.1: dates
    "expired": (issued({"exp": seconds(hours=-1)}), "dates", Code.EXPIRED),
    "not yet valid": (issued({"nbf": seconds(hours=1)}), "dates", Code.NOT_YET_VALID),
    "no end": (issued({"exp": None}), "dates", Code.MALFORMED),
    "signed before the certificate": (issued({"iat": seconds(days=-400)}), "dates", Code.BAD_CERTIFICATE),
    # standing and request
    "no status": (issued({"status": None}), "standing", Code.STATUS_UNKNOWN),
    "a list elsewhere": (issued({"status": place(ELSEWHERE)}), "standing", Code.STATUS_UNKNOWN),
    "beyond the list": (issued({"status": place(idx=70_000)}), "standing", Code.STATUS_UNKNOWN),
    "a type it may not issue": (issued({"vct": "urn:example:1"}), "issuer", Code.UNTRUSTED_ISSUER),
    "another type": (issued({"vct": OTHER_VCT}), "request", Code.NOT_WHAT_WAS_ASKED),
    "an item not shown": (shown("name"), "request", Code.NOT_WHAT_WAS_ASKED),
    "more than was asked": (shown("name", "birth_date", "score"), "request", Code.NOT_WHAT_WAS_ASKED),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_their_wrong_sd_jwt_is_refused_by_the_step_that_is_there_for_it(wrong: str, node: Node) -> None:
    make, step, code = WRONG[wrong]
    answer = make(node)
    with pytest.raises(Refused) as refused:
        check(Shown(Format.SD_JWT, answer), ASK, trusted(), NOW)
    assert (refused.value.step, refused.value.code) == (step, code), refused.value.detail


@pytest.mark.parametrize(("standing", "code"), [(status.INVALID, Code.REVOKED), (status.SUSPENDED, Code.SUSPENDED)])
def test_both_sides_refuse_a_card_that_does_not_stand(standing: int, code: Code, node: Node) -> None:
    """Token Status List draft-21 7.1, 8.3, the list being ours."""
    answer = shown()(node)
    with pytest.raises(Refused) as refused:
        check(Shown(Format.SD_JWT, answer), ASK, trusted(standing=standing), NOW)
    assert (refused.value.step, refused.value.code) == ("standing", code)
    with pytest.raises(PeerRefused):
        node_reads(node, answer, NONCE, statusToken=status_token(standing))


# --- what they make of the same wrong answers -------------------------------------------------------------------------

# What a verifier must do (RFC 9901 7.3, SD-JWT VC) and a library may leave to whoever calls it.
ASKED = {
    "no chain", "no end", "signed before the certificate", "no status", "a list elsewhere", "another type",
    "a type it may not issue",
    "an item not shown", "more than was asked",
}  # fmt: skip
WHEN = {"signed last week", "signed tomorrow"}
WHOM = {"another audience", "an audience without its prefix", "audiences in a list"}


def judged(leaves: Collection[str], bugs: dict[str, str]) -> list[Any]:
    """Every wrong answer that is the library's to refuse. `bugs`: what it lets pass, by clause."""
    return [
        pytest.param(wrong, marks=[deviates(bugs[wrong], "accepts " + wrong)] if wrong in bugs else [], id=wrong)
        for wrong in WRONG
        if wrong not in leaves
    ]


@pytest.mark.parametrize("wrong", judged(ASKED | WHEN | WHOM, {
    "a digest twice": "RFC 9901 7.1 step 4",
    "another media type": "SD-JWT VC draft-13 2.2.1 (typ dc+sd-jwt)",
    "critical header": "RFC 7515 4.1.11",
}))  # fmt: skip
def test_sd_jwt_js_refuses_it_too(wrong: str, node: Node) -> None:
    answer = WRONG[wrong][0](node)
    with pytest.raises(PeerRefused):
        node_reads(node, answer, NONCE)


@pytest.mark.parametrize("wrong", judged(ASKED | {"another media type", "beyond the list"}, {
    "signed last week": "RFC 9901 7.3 step 5 (creation time)",
    "signed tomorrow": "RFC 9901 7.3 step 5 (creation time)",
    "expired": "RFC 9901 7.1 step 6, RFC 7519 4.1.4",
    "not yet valid": "RFC 9901 7.1 step 6, RFC 7519 4.1.5",
}))  # fmt: skip
def test_sd_jwt_python_refuses_it_too(wrong: str, node: Node) -> None:
    answer = WRONG[wrong][0](node)
    with pytest.raises(PeerRefused):
        python_reads(answer, ASK.client_id, NONCE)
