"""A licence of elsewhere, on every curve of ISO/IEC 18013-5, by its authority alone; and what of it is refused here."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elsewhere import (
    ALGORITHMS,
    DOCTYPE,
    NAMESPACE,
    NOW,
    P320,
    Elsewhere,
    Phone,
    Writer,
    by_mac,
    by_signature,
    response,
)
from hands import refuses
from mapae import cli_iso
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats import cbor, cose, jose, proximity
from mapae.formats.curves import CURVES, ISO, CurveEphemeralKey
from mapae.formats.proximity import EphemeralKey
from mapae.formats.x509 import Anchors, Profile, authority_key_ids, check_chain
from mapae.verifier.checking.check import Answer, Format, Issuer, Policy, Trusted, check, check_answer
from mapae.verifier.checking.steps import issuer_behind
from mapae.verifier.till.reader import Reading, Want
from unit.verifier.world import AUTHORITY, Card, trusted
from unit.verifier.world import NOW as TODAY
from unit.verifier.world import ask as asked_here

CURVES_THAT_SIGN = list(ALGORITHMS)
OTHERS = CURVES_THAT_SIGN[1:]
WANT = Want(DOCTYPE, NAMESPACE, ("age_over_18",))
LOOSE = Policy(without_status=True)
DEVICE = Writer("secp256r1", "phone")
AGREEING = {curve.name: curve for curve in CURVES if curve.name not in ("Ed25519", "Ed448", P320)}


def session(curve: str = "secp256r1", seed: bytes = b"\2" * 48) -> EphemeralKey | CurveEphemeralKey:
    return EphemeralKey(seed) if curve == "secp256r1" else CurveEphemeralKey(AGREEING[curve], seed)


async def read(
    land: Elsewhere, *, device: Writer = DEVICE, algorithms: cose.Algorithms = ISO, key: Any = None, mac: Any = None,
    **how: Any,
) -> Answer:  # fmt: skip
    """Over the session: the phone shows its licence, bound to `device` or, by a MAC, to `mac`."""
    own = how.pop("proof", None)

    def answer(transcript: bytes, reader: Any) -> bytes:
        bound = device.cose if mac is None else _cose(mac)
        auth = by_signature(device, transcript, own) if mac is None else by_mac(mac, reader, transcript)
        return response(land.licence(bound, **how), auth)

    phone = Phone(key or session(), answer)
    reading = Reading(phone.text, b"\1" * 48, ISO)
    shown = await reading.ask(phone, [WANT])
    issuer = Issuer("elsewhere", Anchors([land.root], algorithms), None, None, None, Profile.DOCUMENT_SIGNER, None)
    return check_answer({"mdoc": [shown]}, reading.asked(WANT), Trusted((issuer,)), NOW, LOOSE)


def _cose(key: EphemeralKey | CurveEphemeralKey) -> dict[int, Any]:
    return cose.key_to_cose(key.public) if isinstance(key, EphemeralKey) else key.public.cose()


def green(answer: Answer) -> bool:
    return answer["mdoc"].claims == {(NAMESPACE, "age_over_18"): True}


@pytest.mark.parametrize("curve", CURVES_THAT_SIGN)
async def test_a_licence_signed_on_any_curve_is_read_by_its_authority(curve: str) -> None:
    """9.1.2.4, B.1.4: the document signer's key; and the phone signs on the same curve (9.1.3.6)."""
    assert green(await read(Elsewhere(curve), device=Writer(curve, "phone")))


@pytest.mark.parametrize("curve", ["brainpoolP384r1", P320, "Ed25519", "Ed448"])
async def test_an_authority_may_be_on_a_curve_of_its_own(curve: str) -> None:
    """B.1.1."""
    land = Elsewhere("secp384r1", root=curve)
    assert green(await read(land))
    assert authority_key_ids((land.leaf,), ISO) == frozenset()
    with refuses(Code.BAD_CERTIFICATE):
        Anchors([land.root])


@pytest.mark.parametrize("curve", OTHERS)
async def test_who_says_nothing_reads_es256_on_p256_alone(curve: str) -> None:
    """HAIP 1.0 7: without `ISO` nothing is accepted that was not accepted before, of the signer or of the phone."""
    for land, device in ((Elsewhere(curve), DEVICE), (Elsewhere(), Writer(curve, "phone"))):
        with pytest.raises(Refused) as refused:
            await read(land, device=device, algorithms=cose.ES256_ONLY)
        assert (refused.value.step, refused.value.code) == ("issuer", Code.UNSUPPORTED)


async def test_a_signature_under_another_curves_name_is_no_seal_and_no_proof() -> None:
    for curve, name in (
        ("secp384r1", -7),
        ("secp256r1", -35),
        ("brainpoolP256r1", -9),
        ("Ed25519", -53),
        ("Ed448", -7),
    ):
        with pytest.raises(Refused) as refused:
            await read(Elsewhere(curve), algorithm=name)
        assert (refused.value.step, refused.value.code) == ("seal", Code.BAD_SIGNATURE)
        with pytest.raises(Refused) as refused:
            await read(Elsewhere(), device=Writer(curve, "phone"), proof=name)
        assert (refused.value.step, refused.value.code) == ("holder", Code.BAD_HOLDER_PROOF)


@pytest.mark.parametrize("curve", ["secp256r1", *AGREEING])
async def test_a_phone_may_prove_itself_by_a_mac_on_the_curve_of_its_session(curve: str) -> None:
    """9.1.1.4, 9.1.3.5, Table 22: cipher suite 1 all the same, the reader's key on the curve of the phone's."""
    assert green(await read(Elsewhere(), key=session(curve), mac=session(curve, b"\3" * 48)))


async def test_a_phone_may_sign_in_a_session_on_another_curve() -> None:
    assert green(await read(Elsewhere("secp384r1"), key=session("X25519"), device=Writer("Ed25519", "phone")))


async def test_a_mac_by_a_key_on_another_curve_than_the_session_is_no_proof() -> None:
    """Whoever has no key there cannot have made it: it is refused, not tried in another way."""
    land, other = Elsewhere(), session("secp384r1", b"\3" * 48)

    def answer(transcript: bytes, reader: Any) -> bytes:
        made = {"deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]}
        return response(land.licence(_cose(other)), made)

    phone = Phone(session(), answer)
    reading = Reading(phone.text, b"\1" * 48, ISO)
    shown = await reading.ask(phone, [WANT])
    issuer = Issuer("elsewhere", Anchors([land.root], ISO), None, None, None)
    with refuses(Code.BAD_HOLDER_PROOF, "different curves"):
        check_answer({"mdoc": [shown]}, reading.asked(WANT), Trusted((issuer,)), NOW, LOOSE)


async def test_on_brainpool_p320_a_session_and_a_mac_are_refused_by_name() -> None:
    """Signatures are read there; a secret of ours would be told by the time it takes (decision 23)."""
    phone = Writer(P320, "phone")
    code = proximity.uri(cbor.dumps({0: "1.0", 1: [1, cbor.Tag(24, cbor.dumps(phone.cose))]}))
    with refuses(Code.UNSUPPORTED, "no session or MAC"):
        Reading(code, b"\1" * 48, ISO)
    land = Elsewhere()

    def answer(transcript: bytes, reader: Any) -> bytes:
        return response(land.licence(phone.cose), {"deviceMac": [cose.PROTECTED_MAC, {}, None, bytes(32)]})

    reading = Reading((met := Phone(session(), answer)).text, b"\1" * 48, ISO)
    shown = await reading.ask(met, [WANT])
    issuer = Issuer("elsewhere", Anchors([land.root], ISO), None, None, None)
    with refuses(Code.BAD_HOLDER_PROOF, "different curves"):
        check_answer({"mdoc": [shown]}, reading.asked(WANT), Trusted((issuer,)), NOW, LOOSE)


def test_a_phone_whose_session_is_on_another_curve_needs_a_reader_that_said_so() -> None:
    phone = Phone(session("secp521r1"), None)
    with refuses(Code.UNSUPPORTED, "not on P-256"):
        Reading(phone.text, b"\1" * 48)
    assert Reading(phone.text, b"\1" * 48, ISO).transcript


@pytest.mark.parametrize("digest", ["SHA-256", "SHA-384", "SHA-512"])
async def test_elements_may_be_digested_by_each_hash_of_the_standard(digest: str) -> None:
    """9.1.2.5, Table 21."""
    assert green(await read(Elsewhere("secp384r1"), digest=digest))
    if digest != "SHA-256":
        with refuses(Code.UNSUPPORTED, "another hash"):
            await read(Elsewhere(), digest=digest, algorithms=cose.ES256_ONLY)


async def test_other_hashes_are_refused_of_everybody() -> None:
    with refuses(Code.UNSUPPORTED, "another hash"):
        await read(Elsewhere(), digest="SHA-224")


def test_a_key_off_p256_never_comes_out_where_es256_is_meant() -> None:
    """Whoever asks a checked chain for its ES256 key gets none, however wide the anchors are."""
    land = Elsewhere("secp384r1")
    checked = check_chain([land.leaf], Anchors([land.root], ISO), NOW, Profile.DOCUMENT_SIGNER)
    assert checked.signer == land.signer.public
    with refuses(Code.UNSUPPORTED):
        _ = checked.key


async def test_the_command_reads_by_the_authorities_in_a_file_on_any_curve(tmp_path) -> None:
    """`mapae check iso --anchors`: what they may sign with is the standard's, not this country's."""
    land, device = Elsewhere("secp521r1", root="Ed25519"), Writer("brainpoolP256r1", "phone")
    pem = tmp_path / "iaca.pem"
    pem.write_bytes(ssl.DER_cert_to_PEM_cert(land.root).encode())
    phone = Phone(
        session(), lambda transcript, _: response(land.licence(device.cose), by_signature(device, transcript))
    )
    reading = Reading(phone.text, b"\1" * 48, ISO)
    shown = await reading.ask(phone, [WANT])
    assert green(await cli_iso.by_anchors(pem, MovableClock(NOW))(reading, shown, WANT))


# --- side by side with this country -----------------------------------------------------------------------------------


def judged(shown: Any, *issuers: Issuer) -> str:
    """Of a question of this country, by several issuers at once; the code, or "accepted"."""
    try:
        check(shown, asked_here(), replace(trusted(), issuers=issuers), TODAY)
    except Refused as refused:
        return f"{refused.step} {refused.code}"
    return "accepted"


def test_a_neighbour_on_other_curves_changes_nothing_for_this_country() -> None:
    """An mdoc of ours beside authorities of elsewhere: ES256 still, in whichever order they stand."""
    wide = Issuer("elsewhere", Anchors([Elsewhere("secp384r1").root], ISO), None, None, None, None, None)
    for issuers in ((AUTHORITY.issuer(), wide), (wide, AUTHORITY.issuer())):
        assert judged(Card().show(Format.MDOC, asked_here()), *issuers) == "accepted"
        assert judged(Card().show(Format.SD_JWT, asked_here()), *issuers) == "accepted"
        spoilt = _under_es384(Card().show(Format.MDOC, asked_here()))
        assert judged(spoilt, *issuers) == "issuer unsupported"
        assert judged(spoilt, wide) == "issuer untrusted_issuer"


def _under_es384(shown: Any) -> Any:
    """The issuer's own signature, with the algorithm's name changed."""
    raw = jose.unb64u(shown.presentation)
    changed = raw.replace(b"\x43\xa1\x01\x26\xa1\x18\x21", b"\x44\xa1\x01\x38\x22\xa1\x18\x21", 1)
    assert changed != raw
    return replace(shown, presentation=jose.b64u(changed))


def test_the_right_issuers_reason_is_told_though_another_knows_es256_alone() -> None:
    """A licence of elsewhere that is past its certificate's end, among issuers of this country."""
    land = Elsewhere("secp384r1")
    wide = Issuer("elsewhere", Anchors([land.root], ISO), None, None, None)
    late = NOW + timedelta(days=400)
    for issuers in ((AUTHORITY.issuer(doctypes=None), wide), (wide, AUTHORITY.issuer(doctypes=None))):
        with refuses(Code.EXPIRED):
            issuer_behind((land.leaf,), Trusted(issuers), Format.MDOC, (DOCTYPE,), late)
        found, signer, _ = issuer_behind((land.leaf,), Trusted(issuers), Format.MDOC, (DOCTYPE,), NOW)
        assert (found.id, signer.signer) == ("elsewhere", land.signer.public)
