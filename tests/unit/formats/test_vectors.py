"""The cases of vectors/, which the wallet's tests run as well: each is read, or refused at the step it names."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from hands import OUR_VECTORS
from mapae.errors import Code, Refused, step
from mapae.formats import dcql, jose, jwe, jws_json, mdoc, proximity, sd_jwt, x509
from mapae.formats.jose import Jws, PublicKey
from mapae.formats.mdoc import DeviceResponse
from mapae.formats.proximity import DeviceEngagement, Establishment, Session, SessionData
from mapae.formats.sd_jwt import SdJwt
from mapae.formats.status import StatusToken
from mapae.issuer.face.wire import Burst
from mapae.trust import signers
from mapae.trust.publish import TrustList

NAMES = (
    "base64url",
    "dcql",
    "json",
    "jws",
    "jws_json",
    "jwe",
    "jwk",
    "sd_jwt",
    "sd_jwt_json",
    "mdoc",
    "proximity",
    "status",
)
NAMES += ("status_cwt", "x509", "dcql", "signers", "askers", "face_burst")
FILES = {name: json.loads((OUR_VECTORS / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
CASES = [(name, case) for name, file in FILES.items() for case in file["cases"]]


def now(file: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(file["now"], UTC)


def read_base64url(file: dict[str, Any], raw: Any) -> Any:
    with step("base64url"):
        return jose.unb64u(raw).hex()


def read_json(file: dict[str, Any], raw: Any) -> Any:
    with step("json"):
        return jose.decode_json(raw)


def read_jws(file: dict[str, Any], raw: Any) -> Any:
    with step("parse"):
        jws = Jws.parse(raw, typ=file["typ"])
    with step("signature"):
        jws.verify(PublicKey.from_jwk(file["issuer_jwk"]))
    return jws.claims()


def read_jwk(file: dict[str, Any], raw: Any) -> Any:
    with step("key"):
        return PublicKey.from_jwk(raw).thumbprint


def read_sd_jwt(file: dict[str, Any], raw: Any) -> Any:
    with step("parse"):
        shown = SdJwt.parse(raw)
    with step("seal"):
        claims = shown.open(PublicKey.from_jwk(file["issuer_jwk"]))
    with step("holder"):
        key = sd_jwt.holder_key(claims)
        shown.check_binding(key, nonce=file["nonce"], audience=file["audience"], now=now(file))
    return claims


def read_jws_json(file: dict[str, Any], raw: Any) -> Any:
    def ours(jws: Jws) -> bool:
        try:
            jws.verify(PublicKey.from_jwk(file["issuer_jwk"]))
        except Refused:
            return False
        return True

    with step("parse"):
        return [ours(signed.jws) for signed in jws_json.read(raw, typ=file["typ"])]


def read_jwe(file: dict[str, Any], raw: Any) -> Any:
    with step("decrypt"):
        return jwe.decrypt(raw, jwe.DecryptionKey.from_jwk(file["private_jwk"])).claims()


def read_sd_jwt_json(file: dict[str, Any], raw: Any) -> Any:
    with step("parse"):
        text = SdJwt.from_json(raw).encode()
    return read_sd_jwt(file, text)


def read_status_cwt(file: dict[str, Any], raw: Any) -> Any:
    return read_status(file, bytes.fromhex(raw))


def read_mdoc(file: dict[str, Any], raw: Any) -> Any:
    with step("parse"):
        document = DeviceResponse.parse(bytes.fromhex(raw)).one()
    with step("seal"):
        opened = document.issuer_signed.open(PublicKey.from_jwk(file["issuer_jwk"]))
    with step("holder"):
        document.check_device(bytes.fromhex(file["session_transcript"]))

    def readable(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"hex": value.hex()}
        return value.isoformat() if isinstance(value, date) else value

    return {namespace: {name: readable(value) for name, value in some.items()} for namespace, some in opened.items()}


def read_proximity(file: dict[str, Any], raw: Any) -> Any:
    code, first, last = raw
    device = proximity.EphemeralKey(bytes.fromhex(file["device_seed"]))
    with step("engagement"):
        met = DeviceEngagement.parse(proximity.from_uri(code))
    with step("establishment"):
        begun = Establishment.parse(bytes.fromhex(first))
    transcript = mdoc.qr_transcript(engagement=met.raw, reader_key=begun.reader_key_raw)
    with step("session"):
        session = Session.of_device(device, begun.reader_key, transcript)
        opened = session.open(begun.data)
    with step("request"):
        request = mdoc.DeviceRequest.parse(opened)
    with step("reader"):
        anchors = x509.Anchors(jose.read_x5c(file["anchors"]))
        for one in request.requests:
            if one.x5chain is None:
                raise Refused(Code.BAD_SIGNATURE, "the reader does not say who it is")
            reader = x509.check_chain(one.x5chain, anchors, now(file), x509.Profile.ACCESS)
            one.check_reader(reader.key, transcript)
    with step("goodbye"):
        goodbye = SessionData.parse(bytes.fromhex(last))
        assert session.open(goodbye.data or b"") == b"bye"
        assert goodbye.status == proximity.TERMINATION
    return {one.doctype: one.elements for one in request.requests}


def read_status(file: dict[str, Any], raw: Any) -> Any:
    with step("parse"):
        token = StatusToken.parse(raw)
    with step("standing"):
        token.check(PublicKey.from_jwk(file["issuer_jwk"]), file["uri"], now(file))
    return {index: token.list.read(int(index)) for index in ("1", "2", "3", "4", "63")}


def read_x509(file: dict[str, Any], raw: Any) -> Any:
    anchors = x509.Anchors(jose.read_x5c(file["anchors"]))
    with step("issuer"):
        chain = jose.read_x5c(raw)
        return x509.check_chain(chain, anchors, now(file), x509.Profile[file["profile"]]).key.jwk


def read_dcql(file: dict[str, Any], raw: Any) -> Any:
    with step("query"):
        (query,) = dcql.parse({"credentials": [raw]}).queries
    assert query.kinds == {file["vct"]}
    paths = query.selects(file["claims"])
    if paths is None:
        return None
    return [value for path in paths for _, value in dcql.find(file["claims"], path)]


def read_signers(file: dict[str, Any], raw: Any) -> Any:
    """The rule of trust/signers.py: a credential has `signed`, what is made anew each time has not."""
    entered = signers.Signers(msgspec.convert(file["signers"], list[signers.Signer]))
    certificate, purpose = bytes.fromhex(raw["certificate"]), signers.Purpose(raw["purpose"])
    with step("signer"):
        if "signed" in raw:
            found = entered.entered(certificate, purpose, now(file))
            signers.must_be_signed_before_its_end(found, raw["signed"])
        else:
            entered.standing(certificate, purpose, now(file))
    return True


def read_askers(file: dict[str, Any], raw: Any) -> Any:
    said = {name: file[name] for name in ("relying_parties", "revoked_readers")}
    empty: dict[str, Any] = {"iat": 0, "exp": 1, "issuers": [], "wallet_providers": [], "access_ca": []}
    with step("client"):
        return msgspec.convert({**empty, **said}, TrustList).asker(x509.x509_hash(bytes.fromhex(raw))).id


def read_face_burst(file: dict[str, Any], raw: Any) -> Any:
    with step("burst"):
        burst = Burst.parse(bytes.fromhex(raw))
    assert burst.encode().hex() == raw
    return {"challenge": burst.challenge, "frames": [[frame.at_ms, frame.jpeg.hex()] for frame in burst.frames]}


READ: dict[str, Callable[[dict[str, Any], Any], Any]] = {name: globals()[f"read_{name}"] for name in NAMES}


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_each_case_is_read_or_refused_at_the_step_it_names(name, case):
    if "expected" in case:
        assert READ[name](FILES[name], case["input"]) == case["expected"]
        return
    with pytest.raises(Refused) as refusal:
        READ[name](FILES[name], case["input"])
    assert {"step": refusal.value.step, "code": refusal.value.code.value} == case["refused"], refusal.value.detail


def test_the_cases_are_what_make_py_writes():
    spec = importlib.util.spec_from_file_location("vectors_make", OUR_VECTORS / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    for name, content in make.everything().items():
        assert make.written(content) == (OUR_VECTORS / f"{name}.json").read_text(encoding="utf-8"), name
