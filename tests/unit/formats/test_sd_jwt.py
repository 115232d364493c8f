"""SD-JWT and SD-JWT VC: issuing, disclosing, binding; and everything RFC 9901 7.1 says must be refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import Any

import pytest
import yaml

from hands import NOW, Hand, public_vectors, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import jose, sd_jwt
from mapae.formats.jose import PublicKey
from mapae.formats.sd_jwt import Hidden, SdJwt

ISSUER, HOLDER = Hand("issuer"), Hand("holder")
OPEN = {"iss": "https://issuer.example", "vct": "urn:card", "exp": 2_000_000_000, "cnf": {"jwk": HOLDER.jwk}}
CARD = {
    **OPEN,
    "name": Hidden("지수"),
    "age_over_19": Hidden(True),
    "address": Hidden({"city": "Sejong", "street": Hidden("Hannuri-daero")}),
    "licences": [Hidden("A"), "B", Hidden({"class": Hidden("C")})],
}
SHOWN = {
    **OPEN,
    "name": "지수",
    "age_over_19": True,
    "address": {"city": "Sejong", "street": "Hannuri-daero"},
    "licences": ["A", "B", {"class": "C"}],
}


def issue(claims: dict[str, Any], typ: str = "dc+sd-jwt", decoys: int = 0) -> SdJwt:
    draft = sd_jwt.draft({"typ": typ}, claims, entropy=SeededDice(7).bytes, decoys=decoys)
    return SdJwt.parse(draft.complete(ISSUER.sign(draft.signing_input)), typ=typ)


def wrapped(payload: Any, *disclosures: Any, typ: str = "dc+sd-jwt") -> str:
    """A credential put together by hand: the payload as it is, the disclosures as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    token = jose.sign_jws(ISSUER, {"typ": typ}, body)
    return "~".join((token, *(one if isinstance(one, str) else encoded(one) for one in disclosures), ""))


def encoded(item: Any) -> str:
    return jose.b64u(json.dumps(item).encode())


def digest(item: Any) -> str:
    return sd_jwt._hash(item if isinstance(item, str) else encoded(item))


@pytest.mark.parametrize("decoys", [0, 3])
def test_everything_disclosed_is_everything_issued(decoys):
    card = issue(CARD, decoys=decoys)
    assert card.open(ISSUER.key) == SHOWN
    assert card.peek() == SHOWN == card.peek()
    assert len(card.disclosures) == 7
    assert len(json.loads(card.jws.payload)["_sd"]) == 3 + decoys
    assert SdJwt.parse(card.encode()) == card


def test_a_value_written_once_opens_to_the_same_in_every_credential():
    """RFC 9901 4.2.1: whoever issues many may write the end of a disclosure once; each has its own salt and digest."""
    claims = {"name": "지수", "age_over_19": True, "place": {"city": "Sejong", "no": [1, None]}}
    once = {name: sd_jwt.hidden(name, value) for name, value in claims.items()}
    drafts = [sd_jwt.draft({"typ": sd_jwt.TYP}, once | {"vct": "urn:v"}, entropy=token_bytes) for _ in range(2)]
    first, second = [SdJwt.parse(draft.complete(bytes(64))) for draft in drafts]
    assert first.peek() == second.peek() == claims | {"vct": "urn:v"}
    assert set(first.disclosures).isdisjoint(second.disclosures)
    assert len({one[:36] for one in (*first.disclosures, *second.disclosures)}) == 6
    beside = sd_jwt.draft(
        {"typ": sd_jwt.TYP}, {"name": once["name"], "other": Hidden(1), "vct": "v"}, entropy=token_bytes, decoys=2
    )
    assert SdJwt.parse(beside.complete(bytes(64))).peek() == {"name": "지수", "other": 1, "vct": "v"}


def test_a_value_written_for_one_member_does_not_become_another():
    moved = sd_jwt.draft({"typ": sd_jwt.TYP}, {"nick": sd_jwt.hidden("name", "지수"), "vct": "v"}, entropy=token_bytes)
    assert SdJwt.parse(moved.complete(bytes(64))).peek() == {"nick": "지수", "vct": "v"}


@pytest.mark.parametrize("value", [Hidden("x"), {"inside": Hidden("x")}, [Hidden("x")], object(), "\ud800"])
def test_what_hides_something_itself_or_is_no_json_cannot_be_written_once(value):
    """RFC 9901 4.2.1: what is hidden inside needs a fresh salt each time."""
    with refuses(Code.LINT):
        sd_jwt.hidden("name", value)


def test_nothing_hidden_leaves_a_plain_token_with_a_tilde():
    card = issue(OPEN)
    assert card.encode().count("~") == 1
    assert card.open(ISSUER.key) == OPEN


def test_salts_and_digests_are_all_different_and_in_no_telling_order():
    card = issue(CARD)
    assert len({item[0] for item in card.items}) == len(card.items)
    assert all(len(item[0]) == 24 for item in card.items)
    digests = json.loads(card.jws.payload)["_sd"]
    assert digests == sorted(digests)


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ([], {**OPEN, "licences": ["B"]}),
        ([["name"]], {**OPEN, "name": "지수", "licences": ["B"]}),
        ([["address", "city"]], {**OPEN, "address": {"city": "Sejong"}, "licences": ["B"]}),
        ([["address", "street"]], {**OPEN, "address": SHOWN["address"], "licences": ["B"]}),
        ([["address"]], {**OPEN, "address": SHOWN["address"], "licences": ["B"]}),
        ([["licences", 0]], {**OPEN, "licences": ["A", "B"]}),
        ([["licences", None]], {**OPEN, "licences": ["A", "B", {"class": "C"}]}),
        ([["licences", 2, "class"]], {**OPEN, "licences": ["B", {"class": "C"}]}),
        (
            [["address", 0], ["name", None], ["nothing"], ["licences", 9], ["licences", "A"]],
            {**OPEN, "licences": ["B"]},
        ),
    ],
)
def test_only_what_was_asked_is_disclosed(paths, shown):
    assert issue(CARD).disclose(paths).open(ISSUER.key) == shown


def test_a_presentation_is_bound_to_nonce_audience_and_disclosures():
    shown = issue(CARD).disclose([["age_over_19"]])
    text = shown.bind(HOLDER, nonce="n1", audience="x509_hash:abc", now=NOW)
    seen = SdJwt.parse(text)
    assert seen.encode() == text
    key = sd_jwt.holder_key(seen.open(ISSUER.key))
    seen.check_binding(key, nonce="n1", audience="x509_hash:abc", now=NOW)
    for nonce, audience, now, who, code in [
        ("n2", "x509_hash:abc", NOW, key, Code.WRONG_NONCE),
        ("n1", "x509_hash:abd", NOW, key, Code.WRONG_AUDIENCE),
        ("n1", "x509_hash:abc", NOW, ISSUER.key, Code.BAD_HOLDER_PROOF),
        ("n1", "x509_hash:abc", NOW + timedelta(seconds=361), key, Code.BAD_HOLDER_PROOF),
        ("n1", "x509_hash:abc", NOW - timedelta(seconds=61), key, Code.BAD_HOLDER_PROOF),
    ]:
        with refuses(code):
            seen.check_binding(who, nonce=nonce, audience=audience, now=now)
    proof = text.rsplit("~", 1)[1]
    for other in (issue(CARD).disclose([["name"]]), issue(CARD).disclose([])):
        with refuses(Code.BAD_HOLDER_PROOF, "other disclosures"):
            SdJwt.parse(other.encode() + proof).check_binding(key, nonce="n1", audience="x509_hash:abc", now=NOW)
    with refuses(Code.BAD_HOLDER_PROOF, "did not sign"):
        shown.check_binding(key, nonce="n1", audience="x509_hash:abc", now=NOW)


@pytest.mark.parametrize(
    ("typ", "change"),
    [
        ("jwt", {}),
        ("kb+jwt", {"iat": None}),
        ("kb+jwt", {"aud": ["a"]}),
        ("kb+jwt", {"nonce": 1}),
        ("kb+jwt", {"sd_hash": None}),
        ("kb+jwt", {"exp": "tomorrow"}),
    ],
)
def test_a_key_binding_without_its_claims_is_refused(typ, change):
    shown = issue(CARD).disclose([])
    claims = {"nonce": "n", "aud": "a", "iat": int(NOW.timestamp()), "sd_hash": digest(shown.encode())} | change
    claims = {name: value for name, value in claims.items() if value is not None}
    text = shown.encode() + jose.sign_jws(HOLDER, {"typ": typ}, claims)
    with refuses(Code.BAD_HOLDER_PROOF):
        SdJwt.parse(text).check_binding(HOLDER.key, nonce="n", audience="a", now=NOW)


@pytest.mark.parametrize(
    ("change", "good"),
    [({"exp": 61}, True), ({"exp": -59}, True), ({"exp": -60}, False), ({"nbf": 60}, True), ({"nbf": 61}, False),
     ({"nbf": -5, "exp": 5.5}, True)],
)  # fmt: skip
def test_a_key_binding_that_names_its_own_life_is_held_to_it(change, good):
    """RFC 9901 7.3 step 5.8: a valid JWT in all other respects, so RFC 7519 4.1.4 and 4.1.5 count too."""
    shown, at = issue(CARD).disclose([]), int(NOW.timestamp())
    claims = {"nonce": "n", "aud": "a", "iat": at, "sd_hash": digest(shown.encode())}
    claims |= {name: at + off for name, off in change.items()}
    seen = SdJwt.parse(shown.encode() + jose.sign_jws(HOLDER, {"typ": "kb+jwt"}, claims))
    with contextlib.nullcontext() if good else refuses(Code.BAD_HOLDER_PROOF, "another time"):
        seen.check_binding(HOLDER.key, nonce="n", audience="a", now=NOW)


# --- transaction data: OpenID4VP 1.0 8.4 and B.3.3.1 --------------------------------------------------------------


def transaction(**more: Any) -> str:
    return encoded({"type": "payment", "credential_ids": ["card"], **more})


PAY, SIGN = transaction(amount="100"), transaction(document="x", transaction_data_hashes_alg=["sha-512", "sha-256"])


def authorized(*transactions: str, **change: Any) -> SdJwt:
    """A presentation whose key binding authorizes these; `change` bends the claims before the holder signs."""
    shown = issue(CARD).disclose([])
    text = shown.bind(HOLDER, nonce="n", audience="a", now=NOW, transaction_data=transactions)
    claims = json.loads(jose.unb64u(text.rsplit("~", 1)[1].split(".")[1])) | change
    claims = {name: value for name, value in claims.items() if value is not None}
    return SdJwt.parse(shown.encode() + jose.sign_jws(HOLDER, {"typ": "kb+jwt"}, claims))


def approved(shown: SdJwt, *transactions: str) -> None:
    shown.check_binding(HOLDER.key, nonce="n", audience="a", now=NOW, transaction_data=transactions)


@pytest.mark.parametrize("transactions", [(), (PAY,), (SIGN,), (PAY, SIGN)])
def test_the_holder_authorizes_the_transactions_that_were_sent(transactions):
    shown = authorized(*transactions)
    approved(shown, *transactions)
    approved(shown, *reversed(transactions))
    said = json.loads(jose.unb64u(shown.key_binding.split(".")[1]))
    # The hash is over the string as it came, not over what it decodes to.
    assert said.get("transaction_data_hashes", []) == [digest(one) for one in transactions]
    assert ("transaction_data_hashes_alg" in said) == (SIGN in transactions)


@pytest.mark.parametrize(
    ("shown", "transactions"),
    [
        (authorized(), (PAY,)),
        (authorized(PAY), ()),
        (authorized(PAY), (transaction(amount="1000"),)),
        (authorized(PAY), (PAY, SIGN)),
        (authorized(PAY, SIGN), (SIGN,)),
        (authorized(PAY, PAY), (PAY,)),
        (authorized(PAY, transaction_data_hashes=[]), (PAY,)),
        (authorized(transaction_data_hashes=[]), ()),
        (authorized(transaction_data_hashes_alg="sha-256"), ()),
        (authorized(PAY, transaction_data_hashes="x"), (PAY,)),
        (authorized(PAY, transaction_data_hashes=[5]), (PAY,)),
        (authorized(PAY, transaction_data_hashes_alg="sha-512"), (PAY,)),
        (authorized(SIGN, transaction_data_hashes_alg=None), (SIGN,)),
        (authorized(SIGN, transaction_data_hashes_alg="sha-512"), (SIGN,)),
    ],
)
def test_missing_wrong_and_surplus_transactions_are_refused(shown, transactions):
    with refuses(Code.BAD_HOLDER_PROOF):
        approved(shown, *transactions)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (transaction(transaction_data_hashes_alg=["sha-512"]), Code.UNSUPPORTED),
        (transaction(transaction_data_hashes_alg=[]), Code.UNSUPPORTED),
        (transaction(transaction_data_hashes_alg="sha-256"), Code.MALFORMED),
        (transaction(transaction_data_hashes_alg=[1, "sha-256"]), Code.MALFORMED),
        (transaction(transaction_data_hashes_alg=None), Code.MALFORMED),
        (PAY + "=", Code.MALFORMED),
        (encoded([]), Code.MALFORMED),
    ],
)
def test_a_transaction_that_cannot_be_hashed_is_not_authorized(bad, code):
    with refuses(code):
        authorized(PAY, bad)


NAME = ["salt", "name", "x"]
ELEMENT = ["salt", "x"]
VC = {"vct": "urn:card"}


@pytest.mark.parametrize(
    ("payload", "disclosures", "code", "words"),
    [
        ({**VC, "_sd": [digest(NAME), digest(NAME)]}, [NAME], Code.MALFORMED, "digest appears twice"),
        ({**VC, "_sd": ["d" * 43], "a": {"_sd": ["d" * 43]}}, [], Code.MALFORMED, "digest appears twice"),
        ({**VC, "_sd": [digest(NAME)]}, [NAME, NAME], Code.MALFORMED, "disclosure appears twice"),
        (VC, [NAME], Code.BAD_DIGEST, "not covered"),
        ({**VC, "_sd": [digest(NAME)], "name": "y"}, [NAME], Code.MALFORMED, "name of another claim"),
        ({**VC, "_sd": [digest(ELEMENT)]}, [ELEMENT], Code.MALFORMED, "stands in an object"),
        ({**VC, "a": [{"...": digest(NAME)}]}, [NAME], Code.MALFORMED, "stands in an array"),
        ({**VC, "a": [{"...": digest(ELEMENT), "b": 1}]}, [ELEMENT], Code.MALFORMED, "company"),
        ({**VC, "a": [{"...": 5}]}, [], Code.MALFORMED, "not a string"),
        ({**VC, "_sd": [5]}, [], Code.MALFORMED, "not a string"),
        ({**VC, "_sd": "x"}, [], Code.MALFORMED, "not a list"),
        ({**VC, "...": "x"}, [], Code.MALFORMED, "out of place"),
        ({**VC, "a": {"...": "x"}}, [], Code.MALFORMED, "out of place"),
        ({**VC, "a": {"_sd_alg": "sha-256"}}, [], Code.MALFORMED, "out of place"),
        ({**VC, "_sd_alg": "sha-512"}, [], Code.UNSUPPORTED, "SHA-256"),
        ({**VC, "_sd_alg": None}, [], Code.UNSUPPORTED, "SHA-256"),
        ({**VC, "_sd": [digest(["s", "_sd", []])]}, [["s", "_sd", []]], Code.MALFORMED, "reserved"),
        ({**VC, "_sd": [digest(["s", "...", 1])]}, [["s", "...", 1]], Code.MALFORMED, "reserved"),
        ({**VC, "_sd": [digest(["s", "exp", 1])]}, [["s", "exp", 1]], Code.MALFORMED, "may not come"),
        ({"_sd": [digest(["s", "vct", "urn:x"])]}, [["s", "vct", "urn:x"]], Code.MALFORMED, "may not come"),
        (
            {**VC, "cnf": {"_sd": [digest(["s", "jwk", {}])]}},
            [["s", "jwk", {}]],
            Code.MALFORMED,
            "may not come",
        ),
        (
            {"vct": "urn:x", "_sd": [digest(["s", "aka_vcts", ["urn:y"]])]},
            [["s", "aka_vcts", ["urn:y"]]],
            Code.MALFORMED,
            "may not come",
        ),
        ({**VC, "aka_vcts": []}, [], Code.MALFORMED, "other types"),
        ({**VC, "aka_vcts": "urn:y"}, [], Code.MALFORMED, "other types"),
        ({**VC, "aka_vcts": [5]}, [], Code.MALFORMED, "other types"),
        ({**VC, "aka_vcts": ["urn:y", "urn:card"]}, [], Code.MALFORMED, "other types"),
        ({}, [], Code.MALFORMED, "its type"),
        ({"vct": 7}, [], Code.MALFORMED, "its type"),
        ([], [], Code.MALFORMED, "not an object"),
        (b'{"vct":"a","vct":"b"}', [], Code.MALFORMED, "twice"),
    ],
)
def test_what_rfc_9901_7_1_says_must_be_rejected(payload, disclosures, code, words):
    with refuses(code, words):
        SdJwt.parse(wrapped(payload, *disclosures)).open(ISSUER.key)


def test_a_credential_of_a_later_draft_says_which_more_general_types_it_is():
    """SD-JWT VC draft-18 and later, 2.2.2.2: aka_vcts, always in the open."""
    card = issue(CARD | {"aka_vcts": ["urn:general"]})
    assert sd_jwt.types(card.open(ISSUER.key)) == ("urn:card", "urn:general")
    assert sd_jwt.types(issue(CARD).open(ISSUER.key)) == ("urn:card",)


@pytest.mark.parametrize(
    "item",
    [[], ["s"], ["s", "n", 1, 2], {"s": 1}, "text", [1, "n", 1], ["s", 1, 1], ["s", None, 1]],
)
def test_a_disclosure_that_is_none_is_refused_at_the_door(item):
    with refuses(Code.MALFORMED):
        SdJwt.parse(wrapped(VC, item))


def test_text_that_is_no_credential_is_refused():
    good = issue(CARD).encode()
    for text, code in [
        ("", Code.MALFORMED),
        (good.split("~")[0], Code.MALFORMED),
        (good.replace("~", "~~", 1), Code.MALFORMED),
        (good.replace("~", "~é~", 1), Code.MALFORMED),
        (good.replace("~", "~QR~", 1), Code.MALFORMED),
        ("x" * 300_000, Code.TOO_LARGE),
        ("a.b.c" + "~" * 600, Code.TOO_LARGE),
    ]:
        with refuses(code):
            SdJwt.parse(text)
    with refuses(Code.MALFORMED, "type"):
        SdJwt.parse(wrapped(VC, typ="vc+sd-jwt"))
    with refuses(Code.BAD_SIGNATURE):
        SdJwt.parse(good).open(HOLDER.key)


def test_nesting_through_disclosures_is_bounded():
    item, disclosures = ["s", "n", 1], []
    for _ in range(40):
        disclosures.append(item)
        item = ["s", "n", {"_sd": [digest(item)]}]
    disclosures.append(item)
    with refuses(Code.TOO_LARGE, "deeply"):
        SdJwt.parse(wrapped({**VC, "_sd": [digest(item)]}, *disclosures)).peek()
    item, disclosures = ["s", 1], []
    for _ in range(40):
        disclosures.append(item)
        item = ["s", [{"...": digest(item)}]]
    with refuses(Code.TOO_LARGE, "deeply"):
        SdJwt.parse(wrapped({**VC, "a": [{"...": digest(item)}]}, *disclosures, item)).peek()


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"vct": Hidden("x")}, "vct"),
        ({"aka_vcts": [Hidden("x")]}, "aka_vcts"),
        ({"cnf": {"jwk": Hidden({})}}, "cnf"),
        ({"_sd": []}, "keeps for itself"),
        ({"a": {"...": 1}}, "keeps for itself"),
        ({"a": Hidden(Hidden(1))}, "hidden twice"),
        ({"portrait": Hidden(b"jpeg")}, "as JSON"),
        ({"name": Hidden("\ud800")}, "as JSON"),
        ({"number": 2**70}, "as JSON"),
    ],
)
def test_a_draft_that_could_not_be_verified_is_not_made(claims, words):
    with refuses(Code.LINT, words):
        sd_jwt.draft({"typ": "dc+sd-jwt"}, claims, entropy=SeededDice(1).bytes)


@pytest.mark.parametrize("cnf", [None, {}, {"kid": "x"}, "x", {"jwk": "x"}])
def test_a_credential_without_a_holder_key_is_refused(cnf):
    with refuses(Code.MALFORMED):
        sd_jwt.holder_key({"cnf": cnf})


# --- public vectors -----------------------------------------------------------------------------------------------


def test_every_example_of_rfc_9901_opens():
    vectors = json.loads(public_vectors("sd-jwt-rfc9901/examples.json").read_text())
    issuer = PublicKey.from_jwk(vectors["issuer_public_jwk"])
    seen = 0
    for example in vectors["examples"]:
        if example["kind"] == "JWT":
            continue
        card = SdJwt.parse(example["value"], typ=("example+sd-jwt", "dc+sd-jwt"))
        claims = card.open(issuer)
        assert card.encode() == example["value"]
        assert not {"_sd", "_sd_alg"} & claims.keys()
        assert len(card.paths()) == len(card.disclosures)
        if example["kind"] == "SD-JWT+KB":
            said = json.loads(jose.unb64u(card.key_binding.split(".")[1]))
            card.check_binding(
                sd_jwt.holder_key(claims),
                nonce=said["nonce"],
                audience="https://verifier.example.org",
                now=datetime.fromtimestamp(said["iat"], UTC),
            )
        seen += 1
    assert seen == 8


def hide(claims: Any, frame: dict[str, Any]) -> Any:
    """The claims of an sd-jwt-js case, marked as its disclosure frame says."""
    hidden = frame.get("_sd", [])

    def one(name: Any, value: Any) -> Any:
        inner = hide(value, frame.get(str(name), {})) if isinstance(value, dict | list) else value
        return Hidden(inner) if name in hidden else inner

    if isinstance(claims, dict):
        return {name: one(name, value) for name, value in claims.items()}
    return [one(at, value) for at, value in enumerate(claims)]


def asked(frame: Any, claims: Any, path: tuple = ()) -> list[tuple]:
    if not isinstance(frame, dict):
        return [path] if frame else []
    steps = [(int(name) if isinstance(claims, list) else name) for name in frame]
    steps = [step for step in steps if not isinstance(claims, list) or step < len(claims)]
    return [found for step in steps for found in asked(frame[str(step)], claims[step], (*path, step))]


# Not array_none_disclosed: it drops the emptied object, where RFC 9901 7.1 (and the Python case) leave it standing.
JS = "array_data_types array_full_sd array_in_sd array_nested_in_plain array_of_nulls"
JS += " array_of_objects array_of_scalars array_recursive_sd array_recursive_sd_some_disclosed complex header_mod"
JS += " json_serialization key_binding no_sd object_data_types recursions"


@pytest.mark.parametrize("name", JS.split())
def test_the_cases_of_sd_jwt_js(name):
    case = json.loads(public_vectors(f"sd-jwt-js/{name}.json").read_text())
    card = issue(hide(case["claims"], case["disclosureFrame"]), "example+sd-jwt")
    assert card.open(ISSUER.key) == case["claims"]
    shown = card.disclose(asked(case["presentationFrames"], case["claims"]))
    assert shown.open(ISSUER.key) == case["presentedClaims"]


class _Loader(yaml.SafeLoader):
    pass


def _tagged(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return Hidden(loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return Hidden(loader.construct_sequence(node, deep=True))
    plain = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, node.value, (True, False)), node.value)
    value = loader.construct_object(plain) if node.style is None else node.value
    return _Key(value)


class _Key:
    """A scalar tagged !sd: a member's name, or an array's element."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.value == other.value


_Loader.add_constructor("!sd", _tagged)


def marked(raw: Any) -> Any:
    if isinstance(raw, Hidden):
        return Hidden(marked(raw.value))
    if isinstance(raw, _Key):
        return Hidden(raw.value)
    if isinstance(raw, list):
        return [marked(item) for item in raw]
    if isinstance(raw, dict):
        return {
            (name.value if isinstance(name, _Key) else name): Hidden(marked(value))
            if isinstance(name, _Key)
            else marked(value)
            for name, value in raw.items()
        }
    return raw


def chosen(frame: Any, path: tuple = ()) -> list[tuple]:
    if isinstance(frame, dict):
        return [found for name, inner in frame.items() for found in chosen(inner, (*path, name))]
    if isinstance(frame, list):
        return [found for at, inner in enumerate(frame) for found in chosen(inner, (*path, at))]
    return [path] if frame is True else []


PY = "array_data_types array_full_sd array_in_sd array_nested_in_plain array_none_disclosed array_of_nulls"
PY += " array_of_objects array_of_scalars array_recursive_sd array_recursive_sd_some_disclosed header_mod key_binding"
PY += " no_sd object_data_types recursions json_serialization_flattened json_serialization_general"


@pytest.mark.parametrize("name", PY.split())
def test_the_cases_of_sd_jwt_python(name):
    case = yaml.load(public_vectors(f"sd-jwt-python/testcases/{name}.yml").read_text(), Loader=_Loader)
    claims = marked(case["user_claims"])
    card = issue(claims, "example+sd-jwt")
    shown = card.disclose(chosen(case.get("holder_disclosed_claims", {})))
    assert shown.open(ISSUER.key) == case["expect_verified_user_claims"]


def stripped(raw: Any) -> Any:
    """The claims of a case without its marks: what a whole credential opens to."""
    if isinstance(raw, Hidden):
        return stripped(raw.value)
    if isinstance(raw, list):
        return [stripped(item) for item in raw]
    return {name: stripped(value) for name, value in raw.items()} if isinstance(raw, dict) else raw


def of_reference(raw: Any) -> Any:
    """The claims of a case, marked as the reference library wants them."""
    mark = pytest.importorskip("sd_jwt.common").SDObj
    if isinstance(raw, Hidden):
        return mark(of_reference(raw.value))
    if isinstance(raw, list):
        return [of_reference(item) for item in raw]
    if isinstance(raw, dict):
        return {
            (mark(name) if isinstance(value, Hidden) else name): of_reference(
                value.value if isinstance(value, Hidden) else value
            )
            for name, value in raw.items()
        }
    return raw


def private(hand: Hand) -> Any:
    return pytest.importorskip("jwcrypto.jwk").JWK.from_pyca(hand._private)


SPECS = [
    f"{folder}/{name}"
    for folder, names in {
        "sd-jwt-rfc9901/spec": "address_only_flat address_only_recursive address_only_structured "
        "address_only_structured_one_open arf-pid complex_eidas complex_eidas_proposal complex_ekyc "
        "json_serialization_flattened json_serialization_general jsonld simple simple_structured w3c-vc "
        "w3c-vc_for_slide_deck",
        "sd-jwt-python/examples": "address_only_flat address_only_recursive address_only_structured "
        "address_only_structured_one_open complex_eidas complex_eidas_proposal complex_ekyc "
        "json_serialization_flattened json_serialization_general jsonld simple simple_array simple_structured w3c-vc "
        "w3c-vc_for_slide_deck",
        "sd-jwt-vc": "01 02 03-pid",
    }.items()
    for name in names.split()
]


@pytest.mark.parametrize("name", SPECS)
def test_the_input_of_every_published_example_crosses_to_the_reference_library_and_back(name):
    """RFC 9901, its library and SD-JWT VC publish these claims: issued by us they open there, and the other way."""
    issuer, verifier = pytest.importorskip("sd_jwt.issuer"), pytest.importorskip("sd_jwt.verifier")
    case = yaml.load(public_vectors(f"{name}.yml").read_text(), Loader=_Loader)
    claims, typ = marked(case["user_claims"]), case.get("extra_header_parameters", {}).get("typ", "example+sd-jwt")
    whole = stripped(claims)
    card = issue(claims, typ)
    assert card.open(ISSUER.key) == whole
    assert SdJwt.from_json(card.to_json(general="general" in name), typ=typ) == card
    # The library's own JSON form is that of an early draft (disclosures outside the header), so it meets the compact.
    theirs = verifier.SDJWTVerifier(card.encode(), lambda iss, header: private(ISSUER))
    assert theirs.get_verified_payload() == whole
    made = issuer.SDJWTIssuer(of_reference(claims), private(ISSUER), extra_header_parameters={"typ": typ})
    assert SdJwt.parse(made.sd_jwt_issuance, typ=typ).open(ISSUER.key) == whole


# --- JSON form: RFC 9901 8 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("general", [False, True])
def test_the_json_form_is_the_same_credential(general):
    """RFC 9901 8.1 and 7.3: sd_hash is over the compact form, so a key binding fits either."""
    card = issue(CARD)
    assert SdJwt.from_json(json.dumps(card.to_json(general=general))) == card
    bound = SdJwt.parse(card.disclose([["name"]]).bind(HOLDER, nonce="n", audience="a", now=NOW))
    raw = bound.to_json(general=general)
    seen = SdJwt.from_json(raw)
    assert seen == bound
    seen.check_binding(sd_jwt.holder_key(seen.open(ISSUER.key)), nonce="n", audience="a", now=NOW)
    header = raw["signatures"][0]["header"] if general else raw["header"]
    header["disclosures"] = list(card.disclosures)
    with refuses(Code.BAD_HOLDER_PROOF, "other disclosures"):
        SdJwt.from_json(raw).check_binding(HOLDER.key, nonce="n", audience="a", now=NOW)


def test_a_credential_of_two_issuers_is_read_by_the_signature_we_can_judge():
    card = issue(CARD)
    raw = card.to_json(general=True)
    foreign = jose.b64u(jose.encode_json({"alg": "EdDSA", "typ": "dc+sd-jwt"}))
    raw["signatures"].insert(
        0, {"protected": foreign, "signature": "AAAA", "header": raw["signatures"][0].pop("header")}
    )
    assert SdJwt.from_json(raw).open(ISSUER.key) == SHOWN


BOUND = SdJwt.parse(issue(CARD).disclose([["name"]]).bind(HOLDER, nonce="n", audience="a", now=NOW))
FLAT, GENERAL = BOUND.to_json(), BOUND.to_json(general=True)
FIRST = GENERAL["signatures"][0]


@pytest.mark.parametrize(
    "raw",
    [
        FLAT | {"header": {"disclosures": "x"}},
        FLAT | {"header": {"disclosures": [1]}},
        FLAT | {"header": {"disclosures": ["~".join(BOUND.disclosures * 2)]}},
        FLAT | {"header": {"disclosures": [""]}},
        FLAT | {"header": FLAT["header"] | {"kb_jwt": 1}},
        FLAT | {"header": FLAT["header"] | {"kb_jwt": ""}},
        FLAT | {"header": FLAT["header"] | {"kb_jwt": None}},
        FLAT | {"header": FLAT["header"] | {"kb_jwt": f"x~{BOUND.key_binding}"}},
        FLAT | {"header": FLAT["header"] | {"typ": "dc+sd-jwt"}},
        FLAT | {"header": None},
        {"payload": FLAT["payload"]},
        GENERAL | {"signatures": [FIRST, FIRST]},
        GENERAL | {"signatures": [FIRST, FIRST | {"header": {"kb_jwt": BOUND.key_binding}}]},
        GENERAL | {"signatures": [FIRST, FIRST | {"header": {"disclosures": []}}]},
        GENERAL | {"header": FLAT["header"]},
        BOUND.encode(),
        json.dumps([FLAT]),
    ],
)
def test_what_rfc_9901_8_does_not_allow_in_json_is_refused(raw):
    with refuses(Code.MALFORMED):
        SdJwt.from_json(raw)


def test_disclosures_in_the_protected_header_are_refused():
    """RFC 9901 8.1 defines them for the unprotected header; protected, they would be another credential to others."""
    token = jose.sign_jws(ISSUER, {"typ": "dc+sd-jwt", "disclosures": []}, VC)
    protected, payload, signature = token.split(".")
    with refuses(Code.MALFORMED, "protected"):
        SdJwt.from_json({"payload": payload, "protected": protected, "signature": signature})


def test_the_reference_library_accepts_our_presentation():
    reference = pytest.importorskip("sd_jwt.verifier")
    from jwcrypto.jwk import JWK

    shown = issue(CARD, "example+sd-jwt", decoys=2).disclose([["name"], ["licences", None]])
    text = shown.bind(HOLDER, nonce="n1", audience="aud", now=NOW)
    verified = reference.SDJWTVerifier(
        text, lambda issuer, header: JWK(**ISSUER.jwk), "aud", "n1", "compact"
    ).get_verified_payload()
    assert verified == shown.open(ISSUER.key)
