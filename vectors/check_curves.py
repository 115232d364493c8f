"""Cases of `checks.json` on P-384 and P-521: authorities, signers and holders there, and algorithms under other names.

RFC 7518 3.4, RFC 9053 2.1, RFC 9864 2.1: the curve of the key says the algorithm; RFC 8725 3.1: nothing else does. Of a
certificate's signature the hash is named in the certificate, on whichever curve (RFC 5758 3.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import check_world as world
from cast import HOLDER, ISSUER, Case
from check_cases import ADULT, DEVICE, MDOC, SD_JWT, SIGNED, Bend, at, no, yes
from check_world import CODE, DOCTYPE
from cryptography.hazmat.primitives import hashes

from hands import Wide
from mapae.errors import Refused
from mapae.formats import cbor, cose, jose, mdoc
from mapae.formats.curves import key_from_cose

S384, S521 = world.SIGNER_384, world.SIGNER_521
PHONES = {"P-384": Wide("phone 384", "P-384"), "P-521": Wide("phone 521", "P-521")}
SHA256, SHA512 = hashes.SHA256(), hashes.SHA512()


def _sealed(hand: Wide, alg: str = "", label: int = 0) -> dict[str, dict[str, Any]]:
    """By format: what `Shown` has to be told so that `hand` seals, under its own name or another."""
    ways: dict[str, dict[str, Any]] = {"sd_jwt": {"alg": alg or hand.alg}, "mdoc": {1: label or hand.label}}
    return {format: {"head": head, "seal": hand.sign} for format, head in ways.items()}


def authorities() -> Iterator[Case]:
    for name, chain in world.CERTIFIED.items():
        yield from yes(f"an authority on {name}", ADULT, chain=(chain,))
    thief = Wide("thief 384", "P-384")
    false = world.certificate("Signer", ISSUER, "P-384", thief, may=world.SIGN)
    yield from no("another authority on P-384 of the same name", "issuer", "untrusted_issuer", chain=(false,))
    made = world.CERTIFIED["P-384 with SHA384"]
    sha384, sha256 = bytes.fromhex("06082a8648ce3d040303"), bytes.fromhex("06082a8648ce3d040302")
    renamed = made.replace(sha384, sha256)
    assert renamed.count(sha256) == 2
    yield from no("an authority that names another hash", "issuer", "untrusted_issuer", chain=(renamed,))
    p384, p521 = bytes.fromhex("06052b81040022"), bytes.fromhex("06052b81040023")
    moved = world.LEAF_384.replace(p384, p521)
    assert moved != world.LEAF_384
    yield from no("a point of P-384 called one of P-521", "issuer", "bad_certificate", chain=(moved,))
    off = world.LEAF_384.replace(S384.cose[-3], S384.cose[-2])
    assert off != world.LEAF_384
    yield from no("a signer's point off P-384", "issuer", "bad_certificate", chain=(off,))


def signers() -> Iterator[Case]:
    chains = [
        ("a signer on P-384", S384, (world.LEAF_384,), -51), ("a signer on P-521", S521, (world.LEAF_521,), -52),
        ("a signer on P-384 under P-256", S384, (world.LEAF_384_HERE,), -51),
        ("a signer on P-384 under P-521 under P-384", S384, (world.LEAF_384_BELOW, world.MIDDLE_521), -51),
    ]  # fmt: skip
    for name, hand, chain, named in chains:
        for format, told in _sealed(hand).items():
            yield from yes(f"wide: {name}", ADULT, (format,), chain=chain, **told)
        told = _sealed(hand, label=named)["mdoc"]
        yield from yes(f"wide: {name}, by the name of its curve", ADULT, MDOC, chain=chain, **told)


def confused() -> Iterator[Case]:
    """Every algorithm under every other name: what the page knows by one name it must not take by another."""
    p256 = {"chain": (world.LEAF,)}
    for alg, labels in (("ES384", (-35, -51)), ("ES512", (-36, -52))):
        yield from no(f"{alg} by a signer on P-256", "seal", "bad_signature", formats=SD_JWT, head={"alg": alg}, **p256)
        for label in labels:
            yield from no(f"{alg} by a signer on P-256 ({label})", "seal", "bad_signature", formats=MDOC,
                          head={1: label}, **p256)  # fmt: skip
    for hand, leaf, names in [
        (S384, world.LEAF_384, (("ES256", -7, SHA256), ("ES256", -9, SHA256), ("ES512", -36, SHA512))),
        (
            S521,
            world.LEAF_521,
            (("ES256", -7, SHA256), ("ES384", -35, hashes.SHA384()), ("ES384", -51, hashes.SHA384())),
        ),
    ]:
        for alg, label, hash_ in names:
            for format, told in _sealed(hand, alg, label).items():
                for how, seal in (("", hand.sign), (", hashed so", lambda raw, h=hand, k=hash_: h.sign(raw, k))):
                    yield from no(f"{alg} ({label}) by a signer for {hand.alg}{how}", "seal", "bad_signature",
                                  formats=(format,), chain=(leaf,), **told | {"seal": seal})  # fmt: skip
        size = len(hand.sign(b""))
        for how, bend in [
            ("with another hash", lambda raw, h=hand: h.sign(raw, SHA256)), ("of zeros", lambda raw, n=size: bytes(n)),
            ("of 64 bytes", lambda raw: bytes(64)), ("cut", lambda raw, h=hand: h.sign(raw)[:-1]),
            ("with a byte more", lambda raw, h=hand: h.sign(raw) + b"\0"),
            ("by another key", Wide("nobody", str(hand.jwk["crv"])).sign),
        ]:  # fmt: skip
            for format, told in _sealed(hand).items():
                yield from no(f"{hand.alg} {how}", "seal", "bad_signature", formats=(format,), chain=(leaf,),
                              **told | {"seal": bend})  # fmt: skip


def holders() -> Iterator[Case]:
    proof = "bad_holder_proof"
    for crv, phone in PHONES.items():
        bound = {"body": {"cnf": {"jwk": dict(phone.jwk)}}}
        said = {"proof": {"alg": phone.alg}, "proves": phone.sign}
        yield from yes(f"a holder on {crv}", ADULT, SD_JWT, **bound, **said)
        for name, change in [
            ("under ES256", {"proof": {}}), ("by the phone of another", {"proves": Wide("another", crv).sign}),
            ("on P-256", {"proof": {}, "proves": HOLDER.sign}), ("with none", {"proof": {"alg": "none"}}),
            ("with another hash", {"proves": lambda raw, p=phone: p.sign(raw, SHA256)}),
        ]:  # fmt: skip
            yield from no(f"a holder on {crv}, proof {name}", "holder", proof, formats=SD_JWT, **bound, **said | change)
        device = {"body": {"deviceKeyInfo": {"deviceKey": phone.cose}}}
        yield from yes(f"a holder on {crv}", ADULT, MDOC, bent=_by(phone, phone.label), **device)
        for name, bend in [
            ("under ES256", _by(phone, -7)), ("by the phone of another", _by(Wide("another", crv), phone.label)),
            ("on P-256", at(*DEVICE, "nameSpaces", value=lambda one: one)),
        ]:  # fmt: skip
            yield from no(f"a holder on {crv}, proof {name}", "holder", proof, formats=MDOC, bent=bend, **device)
        off, short = dict(phone.jwk, y=phone.jwk["x"]), dict(phone.jwk, x=HOLDER.jwk["x"])
        for name, jwk, code in [
            ("off the curve", off, "malformed"), ("with a short coordinate", short, "malformed"),
            ("for another algorithm", dict(phone.jwk, alg="ES256"), "unsupported"),
            ("with its private part", dict(phone.jwk, d="AA"), "malformed"),
        ]:  # fmt: skip
            yield from no(f"bound to a key on {crv} {name}", "holder", code, formats=SD_JWT,
                          body={"cnf": {"jwk": jwk}}, **said)  # fmt: skip
        for name, change, code in [
            ("off the curve", {-3: phone.cose[-2]}, "malformed"),
            ("with a short coordinate", {-2: bytes(32)}, "malformed"),
            ("for another algorithm", {3: -7}, "unsupported"), ("with its private part", {-4: b"d"}, "malformed"),
            ("called one on P-256", {-1: 1}, "malformed"), ("called one on brainpoolP384r1", {-1: 258}, "unsupported"),
        ]:  # fmt: skip
            yield from no(f"bound to a key on {crv} {name}", "issuer", code, formats=MDOC,
                          body={"deviceKeyInfo": {"deviceKey": phone.cose | change}})  # fmt: skip


def signs_of_y() -> Iterator[Case]:
    """RFC 9053 7.1.1: a coordinate by its sign. Of half of all numbers there is none."""
    for crv, key in [("P-256", cose.key_to_cose(HOLDER.key)), *((crv, phone.cose) for crv, phone in PHONES.items())]:
        bent = {} if crv == "P-256" else {"bent": _by(PHONES[crv], PHONES[crv].label)}
        odd = bool(key[-3][-1] & 1)
        for name, change, code in [
            ("the other sign of y", {-3: not odd}, ("holder", "bad_holder_proof")),
            ("y that is neither bytes nor a sign", {-3: 1}, ("issuer", "malformed")),
            ("an x that has no y", {-2: _alone(crv), -3: odd}, ("issuer", "malformed")),
            ("an x beyond the field", {-2: b"\xff" * len(key[-2]), -3: odd}, ("issuer", "malformed")),
            ("a short x", {-2: key[-2][1:], -3: odd}, ("issuer", "malformed")),
        ]:  # fmt: skip
            yield from no(f"a holder on {crv} by {name}", *code, formats=MDOC,
                          body={"deviceKeyInfo": {"deviceKey": key | change}}, **bent)  # fmt: skip
        yield from yes(f"a holder on {crv} by the sign of y", ADULT, MDOC,
                       body={"deviceKeyInfo": {"deviceKey": key | {-3: odd}}}, **bent)  # fmt: skip


def _alone(crv: str) -> bytes:
    """The first number that is the x of no point."""
    curve, size = {"P-256": (1, 32), "P-384": (2, 48), "P-521": (3, 66)}[crv]
    for number in range(1, 99):
        try:
            key_from_cose({1: 2, -1: curve, -2: number.to_bytes(size, "big"), -3: True})
        except Refused:
            return number.to_bytes(size, "big")
    raise AssertionError("half of all numbers are none")


def countries() -> Iterator[Case]:
    """ISO/IEC 18013-5 7.2.1: a licence names the country of its signer, before anything else of it is looked at."""
    space, right, wrong = "org.iso.18013.5.1", ("request", "not_what_was_asked"), ("issuer", "untrusted_issuer")
    for element, value, said in [
        ("issuing_country", "KR", right), ("issuing_country", "UT", wrong), ("issuing_country", 1, wrong),
        ("issuing_jurisdiction", "KR-11", right),  # the certificate names none
    ]:  # fmt: skip
        parts = {"digestID": 0, "random": bytes(16), "elementIdentifier": element, "elementValue": value}
        item = cbor.dumps(parts)
        digests = cbor.loads(cbor.unwrap(cbor.loads(jose.unb64u(world.Shown().mdoc()))["documents"][0]["issuerSigned"]
                                         ["issuerAuth"][2]))["valueDigests"]  # fmt: skip
        covered = {**digests, space: {0: hashlib.sha256(cbor.embed(item)).digest()}}
        more = at(*SIGNED, "nameSpaces", value=lambda all, item=item: {**all, space: [cbor.Tag(24, item)]})
        yield from no(f"{element} is {value}, of a signer in KR", *said, formats=MDOC, bent=more,
                      body={"valueDigests": covered})  # fmt: skip


def _by(phone: Wide, label: int) -> Bend:
    """The device's signature by this phone, under this label."""
    protected = cbor.dumps({1: label})
    signed = mdoc.device_authentication(DOCTYPE, world.tied("code", CODE)[2])
    made = [protected, {}, None, phone.sign(cose.to_be_signed(signed, protected))]
    return at(*DEVICE, "deviceAuth", value=lambda _: {"deviceSignature": made})


def cases() -> Iterator[Case]:
    for group in (authorities, signers, confused, holders, signs_of_y, countries):
        yield from group()
