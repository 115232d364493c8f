"""Status lists of other countries: on every curve their documents may be on, in both forms, and under no other name."""

from __future__ import annotations

import hmac
import ssl
from datetime import timedelta
from typing import Any

import httpx
import pytest

from elsewhere import (
    ALGORITHMS,
    DOCTYPE,
    FULLY_SPECIFIED,
    NAMESPACE,
    NOW,
    P320,
    Elsewhere,
    Phone,
    Writer,
    by_signature,
    response,
    status_cwt,
    status_jwt,
)  # fmt: skip
from mapae import cli_iso
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.cose import ES256_ONLY, Algorithms
from mapae.formats.curves import ISO, NIST
from mapae.formats.proximity import EphemeralKey
from mapae.formats.status import INVALID, StatusList, StatusRef
from mapae.formats.x509 import Anchors, Profile
from mapae.verifier.checking.check import Issuer
from mapae.verifier.checking.standing import StatusLists, Unreachable
from mapae.verifier.till.reader import Reading, Want

URI = "https://dmv.example/lists/7"
LIST = StatusList.of(1, 64, [(8, INVALID)])
AT = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "sub": URI, "iat": AT - 60, "exp": AT + 3600, "ttl": 300, "status_list": {"bits": 1, "lst": LIST.lst()},
}  # fmt: skip
NAMES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
LANDS = {curve: Elsewhere(curve) for curve in ALGORITHMS}
WANT = Want(DOCTYPE, NAMESPACE, ("age_over_18",))


def issuer(land: Elsewhere, algorithms: Algorithms = ISO, **more: Any) -> Issuer:
    return Issuer("elsewhere", Anchors([land.root], algorithms), None, None, None, None, more.get("profile"))


async def standing(land: Elsewhere, token: str | bytes, place: int = 8, *, of: Issuer | None = None) -> Any:
    """The status, or the code by which the list is refused."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=token)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        try:
            listed = await StatusLists(http, MovableClock(NOW)).listed(StatusRef(URI, place), of or issuer(land))
        except Refused as refused:
            assert not isinstance(refused, Unreachable)
            return refused.code, refused.detail
    assert "statuslist+cwt" in asked[0].headers["accept"]
    return listed[URI].list.read(place)


@pytest.mark.parametrize("curve", list(ALGORITHMS))
async def test_a_list_of_elsewhere_is_read_on_the_curve_its_signer_is_on(curve: str) -> None:
    """Token Status List 5.2 (CWT) on every curve of Table 22; 5.1 (JWT) where JOSE has a name for it."""
    land = LANDS[curve]
    for algorithm in (ALGORITHMS[curve], FULLY_SPECIFIED[curve]):
        assert await standing(land, status_cwt(land, CLAIMS, algorithm)) == INVALID
    assert await standing(land, status_cwt(land, CLAIMS), 7) == 0
    if curve in NAMES:
        assert await standing(land, status_jwt(land, CLAIMS, NAMES[curve])) == INVALID


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
async def test_the_fully_specified_names_of_edwards_curves_are_read_in_tokens(curve: str) -> None:
    """RFC 9864 2.2."""
    land = LANDS[curve]
    assert await standing(land, status_jwt(land, CLAIMS, curve)) == INVALID
    other = "Ed448" if curve == "Ed25519" else "Ed25519"
    assert _not_held(await standing(land, status_jwt(land, CLAIMS, other)))


def _not_held(found: Any) -> tuple[str, str]:
    code, detail = found
    assert code is Code.STATUS_UNKNOWN
    return detail, code.value


@pytest.mark.parametrize("curve", list(ALGORITHMS))
async def test_no_list_is_read_under_the_name_of_another_algorithm(curve: str) -> None:
    """RFC 8725 3.1: the key says the algorithm. Brainpool has no name in JOSE, and borrows none."""
    land = LANDS[curve]
    names = {"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "ES256K", "RS256", "none"}
    for name in sorted(names - ({NAMES.get(curve), curve} if curve[0] != "E" else {NAMES[curve], curve})):
        assert "does not hold" in _not_held(await standing(land, status_jwt(land, CLAIMS, name)))[0]
    mine = {ALGORITHMS[curve], FULLY_SPECIFIED[curve]}
    for number in sorted({*ALGORITHMS.values(), *FULLY_SPECIFIED.values(), 5, -37, -47, -257} - mine):
        assert "does not hold" in _not_held(await standing(land, status_cwt(land, CLAIMS, number)))[0]


async def test_no_list_is_read_by_a_key_used_as_a_secret() -> None:
    """RFC 8725 2.1: HS256 with the signer's public key, in each spelling an attacker could know."""
    land = LANDS["secp384r1"]
    public = land.signer.private.public_key()
    numbers = public.public_numbers()
    for key in (land.leaf, numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")):
        made = status_jwt(land, CLAIMS, "HS256", signed=lambda raw, key=key: hmac.digest(key, raw, "sha256"))
        assert _not_held(await standing(land, made))


async def test_a_list_is_as_narrow_as_its_issuer() -> None:
    """Who signs documents on one curve only publishes no lists on another."""
    for curve, widest in (("secp384r1", NIST), ("Ed25519", ISO), ("brainpoolP256r1", ISO)):
        land = LANDS[curve]
        token = status_cwt(land, CLAIMS)
        assert await standing(land, token, of=issuer(land, widest)) == INVALID
        for narrower in {ES256_ONLY, NIST} - {widest}:
            narrow = Issuer("here", Anchors([land.root], narrower), None, None, None, None, None)
            assert _not_held(await standing(land, token, of=narrow))


async def test_the_checks_of_a_list_are_the_same_on_every_curve() -> None:
    """draft-21 8.3: chain, purpose, type, `sub`, `exp`, a date in the future; and no byte is changed."""
    land = LANDS["Ed448"]
    for claims in (
        CLAIMS | {"sub": URI + "8"}, CLAIMS | {"exp": AT}, CLAIMS | {"iat": AT + 120}, CLAIMS | {"ttl": 0},
    ):  # fmt: skip
        for token in (status_jwt(land, claims, "EdDSA"), status_cwt(land, claims)):
            assert _not_held(await standing(land, token))
    for token in (
        status_jwt(land, CLAIMS, "EdDSA", typ="jwt"), status_cwt(land, CLAIMS, typ="application/cwt"),
        status_jwt(Elsewhere("Ed448", root="Ed25519"), CLAIMS, "EdDSA"), status_jwt(land, CLAIMS, "EdDSA", x5c=[]),
        status_cwt(land, CLAIMS)[1:], b"\xd1" + status_cwt(land, CLAIMS)[1:], b"\xd8\x3d" + status_cwt(land, CLAIMS),
        status_jwt(land, CLAIMS, "EdDSA", crit=["x"]), b"", b"\xd2", "..",
    ):  # fmt: skip
        assert _not_held(await standing(land, token))
    good = status_cwt(land, CLAIMS)
    for at in (-1, -60, 40, len(good) // 2):
        bent = bytearray(good)
        bent[at] ^= 1
        assert _not_held(await standing(land, bytes(bent)))
    assert _not_held(await standing(land, good, of=issuer(land, profile=Profile.STATUS_SIGNER)))


# --- the whole command ------------------------------------------------------------------------------------------------


async def judged(
    tmp_path: Any, lands: list[Elsewhere], shown: Elsewhere, served: Any, uri: str = URI, **how: Any
) -> str:
    """`mapae check iso --anchors` for one licence with a status; step and code, or "accepted"."""
    device = Writer("secp256r1", "phone")
    pem = tmp_path / "iaca.pem"
    pem.write_text("".join(ssl.DER_cert_to_PEM_cert(land.root) for land in lands))
    asked = how.pop("asked", None) or tuple(how.get("elements", ("age_over_18",)))
    want = Want(DOCTYPE, NAMESPACE, asked)
    status = how.pop("status", {"status_list": {"idx": how.pop("place", 7), "uri": uri}})
    licence = shown.licence(device.cose, **({"status": status} if status is not None else {}), **how)
    phone = Phone(EphemeralKey(b"\2" * 48), lambda transcript, _: response(licence, by_signature(device, transcript)))
    reading = Reading(phone.text, b"\1" * 48, ISO)
    response_ = await reading.ask(phone, [want])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=served))
    try:
        answer = await cli_iso.by_anchors(pem, MovableClock(NOW), transport)(reading, response_, want)
    except Refused as refused:
        return f"{refused.step} {refused.code}"
    assert answer["mdoc"].issuer == "CN=IACA,C=UT"
    return "accepted"


@pytest.mark.parametrize("curve", ["secp521r1", "brainpoolP384r1", P320, "Ed25519"])
async def test_the_command_asks_a_licences_own_list(tmp_path, curve: str) -> None:
    land = LANDS[curve]
    assert await judged(tmp_path, [land], land, status_cwt(land, CLAIMS)) == "accepted"
    assert await judged(tmp_path, [land], land, status_cwt(land, CLAIMS), place=8) == "standing revoked"
    assert await judged(tmp_path, [land], land, status_cwt(land, CLAIMS), place=64) == "standing status_unknown"


async def test_another_authority_of_the_file_clears_nobodys_licence(tmp_path) -> None:
    """Each authority vouches for its own lists: who is trusted for one country revokes nothing of its neighbour's."""
    land, neighbour = LANDS["secp384r1"], Elsewhere("Ed25519", root="secp384r1", name="Neighbour")
    cleared = CLAIMS | {"status_list": {"bits": 1, "lst": StatusList.of(1, 64, []).lst()}}
    both = [neighbour, land]
    assert await judged(tmp_path, both, land, status_cwt(land, CLAIMS), place=8) == "standing revoked"
    assert await judged(tmp_path, both, land, status_cwt(neighbour, cleared), place=8) == "standing status_unknown"


async def test_an_address_that_is_none_is_an_unknown_status_and_no_fault(tmp_path) -> None:
    """What a document calls the address of its list was written by a stranger."""
    land = LANDS["secp256r1"]
    for uri in (
        "https://[",
        "https://a\x00b/",
        "x",
        "",
        "file:///etc/passwd",
        "https://" + "a" * 70 + ".example/",
        "http://:x/",
    ):
        expected = "issuer malformed" if not uri else "standing status_unknown"
        served = status_cwt(land, CLAIMS | {"sub": "elsewhere"})
        assert await judged(tmp_path, [land], land, served, uri) == expected, uri


async def test_a_status_we_cannot_read_is_not_no_status(tmp_path) -> None:
    """Second edition 9.1.2.6: an identifier list alone. It may say "revoked", so it does not count as none."""
    land = LANDS["secp256r1"]
    listed = {"identifier_list": {"id": b"7", "uri": "https://dmv.example/ids"}}
    assert await judged(tmp_path, [land], land, b"", status=listed) == "standing status_unknown"
    assert await judged(tmp_path, [land], land, b"", status=None) == "accepted"
    beside = listed | {"status_list": {"idx": 7, "uri": URI}}
    assert await judged(tmp_path, [land], land, status_cwt(land, CLAIMS), status=beside) == "accepted"


async def test_a_certificate_for_something_else_signs_no_licence(tmp_path) -> None:
    """ISO/IEC 18013-5 B.1.4: of what an authority certifies, document signers alone; not readers, not web servers."""
    for profile in (Profile.ACCESS, Profile.STATUS_SIGNER, None):
        land = Elsewhere("secp384r1", profile=profile)
        assert await judged(tmp_path, [land], land, b"", status=None) == "issuer bad_certificate"


@pytest.mark.parametrize(
    "said, expected",
    [
        ({"issuing_country": "UT"}, "accepted"), ({"issuing_country": "XX"}, "issuer untrusted_issuer"),
        ({"issuing_country": "ut"}, "issuer untrusted_issuer"), ({"issuing_country": 1}, "issuer untrusted_issuer"),
        ({"issuing_country": "UT", "issuing_jurisdiction": "UT-A"}, "accepted"),
        ({"issuing_jurisdiction": "A"}, "accepted"), ({"issuing_jurisdiction": "UT-B"}, "issuer untrusted_issuer"),
        ({"issuing_jurisdiction": ["A"]}, "issuer untrusted_issuer"),
    ],
    ids=["same", "another", "small", "a number", "both", "state alone", "another state", "a list"],
)  # fmt: skip
async def test_a_licence_names_the_country_of_its_signer(tmp_path, said: dict[str, Any], expected: str) -> None:
    """ISO/IEC 18013-5 7.2.1: among the authorities of a file, one country does not issue for another."""
    land = Elsewhere(state="A")
    assert await judged(tmp_path, [land], land, b"", status=None, elements=said) == expected


async def test_a_licence_that_has_ended_or_not_begun_is_refused_in_time(tmp_path) -> None:
    land, device = LANDS["secp256r1"], timedelta(days=3)
    for shift, expected in ((device, "dates expired"), (-device, "dates not_yet_valid")):
        dated = land.validity(NOW - shift)
        assert await judged(tmp_path, [land], land, b"", status=None, validityInfo=dated) == expected


@pytest.mark.parametrize(
    "asked, shown, expected",
    [
        (("age_over_21",), {"age_over_25": True}, "accepted"), (("age_over_21",), {"age_over_18": False}, "accepted"),
        (("age_over_21",), {"age_over_25": False}, "request not_what_was_asked"),
        (("age_over_21",), {"age_over_18": True}, "request not_what_was_asked"),
        (("age_over_21", "family_name"), {"family_name": "A", "age_over_25": True}, "accepted"),
        (("age_over_18", "age_over_21"), {"age_over_25": True}, "accepted"),
        (("age_over_18", "age_over_21"), {"age_over_18": True, "age_over_25": True}, "accepted"),
        (("age_over_18", "age_over_65"), {"age_over_25": True}, "request not_what_was_asked"),
        (("age_over_18",), {"age_over_18": True, "age_over_25": True}, "request not_what_was_asked"),
        (("age_over_21",), {"age_over_25": True, "age_over_18": True}, "request not_what_was_asked"),
        (("age_over_21",), {"age_over_25": 1}, "request not_what_was_asked"),
        (("family_name",), {"age_over_25": True}, "request not_what_was_asked"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)  # fmt: skip
async def test_an_age_nobody_computed_is_answered_by_the_nearest(
    tmp_path, asked: tuple[str, ...], shown: dict[str, Any], expected: str
) -> None:
    """ISO/IEC 18013-5 7.2.5: by what follows, and by nothing that was not needed."""
    land = LANDS["secp256r1"]
    assert await judged(tmp_path, [land], land, b"", status=None, elements=shown, asked=asked) == expected
