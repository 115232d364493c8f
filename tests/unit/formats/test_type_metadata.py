"""Type Metadata of SD-JWT VC: draft-13 sections 6 to 9, and what the later drafts say more precisely."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from hands import Hand, refuses
from mapae.clock import SeededDice
from mapae.errors import Code
from mapae.formats import sd_jwt, type_metadata
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.formats.type_metadata import Claim, ClaimDisplay, TypeMetadata

ISSUER = Hand("issuer")
BASE = "https://types.example/base"
CHILD = "https://types.example/child"


def raw(**members: Any) -> bytes:
    return json.dumps({"vct": CHILD} | members).encode()


def sri(document: bytes, name: str = "sha256") -> str:
    return f"{name}-{base64.b64encode(hashlib.new(name, document).digest()).decode()}"


LABEL = {"locale": "en", "label": "City"}
FULL = raw(
    name="child", description="for developers", extends=BASE,
    display=[
        {
            "locale": "en-GB", "name": "Card", "description": "A card",
            "rendering": {
                "simple": {
                    "logo": {"uri": "https://x/logo.png", "uri#integrity": "sha256-x", "alt_text": "logo"},
                    "background_image": {"uri": "data:image/png;base64,AAAA"},
                    "background_color": "#12107c", "text_color": "#FFFFFF",
                },
                "svg_templates": [
                    {"uri": "https://x/1.svg", "properties": {"orientation": "portrait", "color_scheme": "light"}},
                    {"uri": "https://x/2.svg", "properties": {"contrast": "high"}},
                ],
            },
        },
        {"locale": "ko", "name": "카드"},
    ],
    claims=[
        {"path": ["name"], "display": [{"locale": "en", "label": "Name"}], "sd": "always", "mandatory": True},
        {"path": ["degrees", None, "type"], "svg_id": "degree_types"},
        {"path": ["nationalities", 0], "sd": "allowed"},
    ],
    nobody_knows=1,
)  # fmt: skip


def test_a_whole_document_is_read_and_what_nobody_knows_is_ignored():
    found = TypeMetadata.parse(FULL)
    assert (found.vct, found.extends, found.name, found.description) == (CHILD, BASE, "child", "for developers")
    rendering = found.display[0].rendering
    assert (rendering.simple.logo.alt_text, rendering.simple.logo.integrity) == ("logo", "sha256-x")
    assert [template.properties.contrast for template in rendering.svg_templates] == [None, "high"]
    assert [claim.path for claim in found.claims] == [("name",), ("degrees", None, "type"), ("nationalities", 0)]
    assert found.in_language("ko").name == "카드"
    assert found.in_language("fr", "en").name == found.in_language("fr").name == "Card"
    assert TypeMetadata.parse(raw()).in_language("en") is None


@pytest.mark.parametrize(
    "members",
    [
        {"vct": None},
        {"vct": 5},
        {"extends": 5},
        {"display": {}},
        {"display": [{"locale": "en"}]},
        {"display": [{"lang": "en", "name": "x"}]},  # before draft-12
        {"display": [{"locale": "not a locale", "name": "x"}]},
        {"display": [{"locale": "en", "name": "x", "rendering": {"simple": {"logo": {"alt_text": "x"}}}}]},
        {"display": [{"locale": "en", "name": "x", "rendering": {"simple": {"logo": {"uri": "javascript:x"}}}}]},
        {"display": [{"locale": "en", "name": "x", "rendering": {"svg_templates": [{"uri": "http://x"}]}}]},
        {"display": [{"locale": "en", "name": "x", "rendering": {"svg_templates": [{"uri": "https://x"}] * 2}}]},
        {
            "display": [
                {"locale": "en", "name": "x", "rendering": {"svg_templates": [{"uri": "https://x", "properties": {}}]}}
            ]
        },
        {
            "display": [
                {
                    "locale": "en",
                    "name": "x",
                    "rendering": {"svg_templates": [{"uri": "https://x", "properties": {"contrast": "low"}}]},
                }
            ]
        },
        {"claims": {}},
        {"claims": [{}]},
        {"claims": [{"path": []}]},
        {"claims": [{"path": "name"}]},
        {"claims": [{"path": [-1]}]},
        {"claims": [{"path": [True]}]},
        {"claims": [{"path": [1.5]}]},
        {"claims": [{"path": ["a"], "sd": "sometimes"}]},
        {"claims": [{"path": ["a"], "mandatory": "yes"}]},
        {"claims": [{"path": ["a"], "display": [{"locale": "en"}]}]},
        {"claims": [{"path": ["a"], "display": [{"locale": "", "label": "x"}]}]},
        {"claims": [{"path": ["a"]}, {"path": ["a"]}]},
        {"claims": [{"path": ["a"], "svg_id": "1a"}]},
        {"claims": [{"path": ["a"], "svg_id": "a-b"}]},
        {"claims": [{"path": ["a"], "svg_id": ""}]},
        {"claims": [{"path": ["a"], "svg_id": "x"}, {"path": ["b"], "svg_id": "x"}]},
    ],
)
def test_a_document_outside_the_draft_is_refused(members):
    with refuses(Code.MALFORMED):
        TypeMetadata.parse(raw(**members))


def test_a_document_is_bounded():
    for bad in (b"[]", b"no", b'{"vct":"a","vct":"b"}'):
        with refuses(Code.MALFORMED):
            TypeMetadata.parse(bad)
    with refuses(Code.TOO_LARGE):
        TypeMetadata.parse(raw(name="x" * 300_000))
    with refuses(Code.TOO_LARGE, "too many claims"):
        TypeMetadata.parse(raw(claims=[{"path": [str(at)]} for at in range(600)]))


# --- integrity --------------------------------------------------------------------------------------------------------


def test_the_strongest_hash_decides():
    """draft-25 7: of several hashes those of the strongest algorithm count; W3C SRI 3.3.4."""
    other = b"another document"
    for good in (
        sri(FULL), sri(FULL, "sha384"), sri(FULL, "sha512"),
        f"{sri(other)} {sri(FULL)}", f"{sri(other)} {sri(FULL, 'sha512')}", f"md5-AAAA {sri(FULL)}?ct=x",
        sri(FULL).replace("+", "-").replace("/", "_"), sri(FULL).rstrip("="),
    ):  # fmt: skip
        type_metadata.must_match(FULL, good)
    for bad in (sri(other), f"{sri(FULL)} {sri(other, 'sha384')}", "sha256-AAAA", "sha256-A"):
        with refuses(Code.BAD_DIGEST):
            type_metadata.must_match(FULL, bad)
    for unknown in ("", "md5-AAAA", "sha256", "sha256:AAAA"):
        with refuses(Code.UNSUPPORTED):
            type_metadata.must_match(FULL, unknown)
    with refuses(Code.MALFORMED):
        type_metadata.must_match(FULL, 5)


# --- extends ----------------------------------------------------------------------------------------------------------


def found_in(*documents: bytes):
    return {json.loads(document)["vct"]: document for document in documents}.__getitem__


def test_the_example_of_the_draft_is_resolved():
    """draft-13 9.5.2: inherited, overridden and added claims, in that order."""
    name = {"path": ["name"], "display": [{"label": "Full Name", "locale": "en"}]}
    base = raw(vct=BASE, claims=[name, {"path": ["address", "city"], "display": [{"label": "City", "locale": "en"}]}])
    child = raw(
        extends=BASE,
        claims=[
            {"path": ["address", "city"], "display": [{"label": "Town", "locale": "en"}]},
            {"path": ["nationalities"], "display": [{"label": "Nationalities", "locale": "en"}]},
        ],
    )
    whole = type_metadata.resolve(CHILD, found_in(base, child))
    assert whole.claims == tuple(
        Claim(path, (ClaimDisplay("en", label),))
        for path, label in [
            (("name",), "Full Name"), (("address", "city"), "Town"), (("nationalities",), "Nationalities")
        ]
    )  # fmt: skip


def test_properties_are_combined_and_the_display_is_the_childs_or_else_the_parents():
    """draft-25 6.4.2 and 6.5.6."""
    base = raw(
        vct=BASE, display=[{"locale": "en", "name": "Base"}],
        claims=[{"path": ["a"], "sd": "always", "mandatory": True, "svg_id": "a", "display": [LABEL]}],
    )  # fmt: skip
    plain = raw(extends=BASE, claims=[{"path": ["a"], "display": []}])
    whole = type_metadata.resolve(CHILD, found_in(base, plain))
    assert whole.claims == (Claim(("a",), (), True, "always", "a"),)
    assert whole.display[0].name == "Base"
    own = raw(extends=BASE, display=[{"locale": "en", "name": "Child"}])
    assert [one.name for one in type_metadata.resolve(CHILD, found_in(base, own)).display] == ["Child"]


@pytest.mark.parametrize(
    ("fixed", "changed", "allowed"),
    [
        ({}, {"sd": "never"}, True),
        ({"sd": "allowed"}, {"sd": "always"}, True),
        ({"sd": "always"}, {"sd": "always"}, True),
        ({"sd": "always"}, {"sd": "never"}, False),
        ({"sd": "always"}, {"sd": "allowed"}, False),
        ({"sd": "never"}, {"sd": "allowed"}, False),
        ({}, {"mandatory": True}, True),
        ({"mandatory": False}, {"mandatory": True}, True),
        ({"mandatory": True}, {"mandatory": False}, False),
        ({"svg_id": "x"}, {"svg_id": "y"}, True),
    ],
)
def test_a_child_may_tighten_and_not_loosen(fixed, changed, allowed):
    """draft-13 9.5.1."""
    base, child = (
        raw(vct=BASE, claims=[{"path": ["a"], **fixed}]),
        raw(extends=BASE, claims=[{"path": ["a"], **changed}]),
    )
    if allowed:
        assert type_metadata.resolve(CHILD, found_in(base, child)).claims[0].path == ("a",)
    else:
        with refuses(Code.MALFORMED, "a type"):
            type_metadata.resolve(CHILD, found_in(base, child))


def test_an_id_for_templates_is_unique_in_the_whole_chain():
    base = raw(vct=BASE, claims=[{"path": ["a"], "svg_id": "x"}])
    with refuses(Code.MALFORMED, "same id"):
        type_metadata.resolve(CHILD, found_in(base, raw(extends=BASE, claims=[{"path": ["b"], "svg_id": "x"}])))


def test_integrity_is_checked_along_the_chain():
    """draft-13 7: vct#integrity for the first document, extends#integrity for the next."""
    base = raw(vct=BASE)
    child = json.dumps({"vct": CHILD, "extends": BASE, "extends#integrity": sri(base, "sha384")}).encode()
    assert type_metadata.resolve(CHILD, found_in(base, child), integrity=sri(child)).vct == CHILD
    with refuses(Code.BAD_DIGEST):
        type_metadata.resolve(CHILD, found_in(base, child + b" "), integrity=sri(child))
    with refuses(Code.BAD_DIGEST):
        type_metadata.resolve(CHILD, found_in(base + b" ", child), integrity=sri(child))


def test_a_loop_a_long_chain_and_another_type_are_refused():
    """draft-13 security considerations, circular extends; draft-13 6.3: the vct must be identical."""
    with refuses(Code.MALFORMED, "extends itself"):
        type_metadata.resolve(CHILD, found_in(raw(extends=BASE), raw(vct=BASE, extends=CHILD)))
    with refuses(Code.MALFORMED, "extends itself"):
        type_metadata.resolve(CHILD, found_in(raw(extends=CHILD)))
    chain = [raw(vct=f"urn:{at}", extends=f"urn:{at + 1}") for at in range(100)]
    with refuses(Code.TOO_LARGE, "too many others"):
        type_metadata.resolve("urn:0", found_in(*chain))
    with refuses(Code.MALFORMED, "another type"):
        type_metadata.resolve(CHILD, lambda vct: raw(vct=BASE))


# --- a credential against its type ------------------------------------------------------------------------------------


def card(**claims: Any) -> SdJwt:
    draft = sd_jwt.draft({"typ": "dc+sd-jwt"}, {"vct": CHILD, **claims}, entropy=SeededDice(3).bytes)
    return SdJwt.parse(draft.complete(ISSUER.sign(draft.signing_input)))


WHOLE = card(
    name=Hidden("Arthur"), country="KR", address=Hidden({"city": Hidden("Sejong"), "zip": "1"}),
    degrees=[Hidden({"type": "a"}), {"type": Hidden("b")}],
)  # fmt: skip


def rules(*claims: dict[str, Any]) -> TypeMetadata:
    return TypeMetadata.parse(raw(claims=list(claims)))


@pytest.mark.parametrize(
    "claim",
    [
        {"path": ["name"], "sd": "always", "mandatory": True},
        {"path": ["country"], "sd": "never", "mandatory": True},
        {"path": ["country"], "sd": "allowed"},
        {"path": ["address"], "sd": "always"},
        {"path": ["address", "city"], "sd": "always"},
        {"path": ["address", "zip"], "sd": "never", "mandatory": True},  # hidden only because its parent is
        {"path": ["degrees"], "sd": "never"},
        {"path": ["degrees", 0], "sd": "always"},
        {"path": ["degrees", 1], "sd": "never"},
        {"path": ["degrees", 7], "sd": "never"},
        {"path": ["nothing"], "sd": "always"},
    ],
)
def test_a_credential_that_keeps_the_rules_of_its_type(claim):
    """draft-25 6.5: whether a claim is a disclosure itself, not whether it lies in one."""
    type_metadata.must_fit(WHOLE, rules(claim), complete=True)
    type_metadata.must_fit(WHOLE.disclose([]), rules(claim), complete=False)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"path": ["name"], "sd": "never"}, "hidden"),
        ({"path": ["country"], "sd": "always"}, "in the open"),
        ({"path": ["address", "zip"], "sd": "always"}, "in the open"),
        ({"path": ["degrees", None], "sd": "always"}, "in the open"),
        ({"path": ["degrees", None, "type"], "sd": "never"}, "hidden"),
        ({"path": ["nothing"], "mandatory": True}, "lacks"),
        ({"path": ["degrees", 2], "mandatory": True}, "lacks"),
        ({"path": ["country", "code"]}, "another shape"),
        ({"path": ["address", 0]}, "another shape"),
        ({"path": ["address", None]}, "another shape"),
        ({"path": ["degrees", "type"]}, "another shape"),
    ],
)
def test_a_credential_that_breaks_the_rules_of_its_type(claim, words):
    with refuses(Code.MALFORMED, words):
        type_metadata.must_fit(WHOLE, rules(claim), complete=True)


def test_what_a_verifier_was_not_shown_is_no_proof_that_it_is_missing():
    """draft-25 6.5: but a claim that could not have been hidden, and is not there, is."""
    shown = WHOLE.disclose([["address", "zip"]])
    type_metadata.must_fit(shown, rules({"path": ["name"], "mandatory": True}), complete=False)
    type_metadata.must_fit(shown, rules({"path": ["degrees", 0, "type"], "sd": "never"}), complete=False)
    with refuses(Code.MALFORMED, "lacks"):
        type_metadata.must_fit(shown, rules({"path": ["name"], "mandatory": True}), complete=True)
    with refuses(Code.MALFORMED, "lacks"):
        type_metadata.must_fit(shown, rules({"path": ["x"], "mandatory": True, "sd": "never"}), complete=False)


def test_places_in_an_array_count_as_they_were_issued():
    """draft-25 6.5: an element nobody showed keeps its place."""
    shown = WHOLE.disclose([["degrees", 1, "type"]])
    assert shown.peek()["degrees"] == [{"type": "b"}]
    type_metadata.must_fit(shown, rules({"path": ["degrees", 0], "sd": "always"}), complete=False)
    with refuses(Code.MALFORMED, "in the open"):
        type_metadata.must_fit(shown, rules({"path": ["degrees", 1], "sd": "always"}), complete=False)


def test_a_description_of_another_type_says_nothing():
    with refuses(Code.MALFORMED, "another type"):
        type_metadata.must_fit(WHOLE, TypeMetadata.parse(raw(vct=BASE)), complete=True)


def test_what_goes_into_a_template_is_escaped_and_empty_where_nothing_is():
    """draft-13 8.1.2.2: five characters at least; an absent claim is an empty text."""
    described = rules(
        {"path": ["name"], "svg_id": "name"},
        {"path": ["degrees", None, "type"], "svg_id": "degrees"},
        {"path": ["age"], "svg_id": "age"},
        {"path": ["nothing"], "svg_id": "nothing"},
        {"path": ["address"], "svg_id": "address"},
    )
    claims = {"name": '<a href="x">&\'', "degrees": [{"type": "a"}, {"type": "b"}], "age": 7, "address": {"zip": [1]}}
    assert type_metadata.svg_values(claims, described) == {
        "name": "&lt;a href=&quot;x&quot;&gt;&amp;&apos;", "degrees": "a, b", "age": "7", "nothing": "",
        "address": "{&quot;zip&quot;:[1]}",
    }  # fmt: skip
