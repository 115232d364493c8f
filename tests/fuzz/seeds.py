"""Where the fuzzer starts: genuine messages, made here or taken from vectors/. Coverage does the rest."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
from PIL import Image

import checking
import chips
import packed
import taps
from elsewhere import ALGORITHMS, P320, Elsewhere, Writer, by_signature, status_cwt, status_jwt
from elsewhere import response as shown_elsewhere
from fuzz.targets import (
    CHIP_FILES,
    CHIP_KEYS,
    CHIP_LISTS,
    CHIP_READ,
    CHIPS,
    KEY,
    KOREA,
    LAND,
    MEET_CODE,
    NEXT_PACK,
    NOW,
    PACK,
    READER,
    READING,
    _till,
)
from hands import OUR_VECTORS, Hand, Wide
from logged import LOG, ORIGIN, Country, cosigned, digest, policy
from mapae.clock import SeededDice
from mapae.formats import ble, cbor, cose, curves, jose, jwe, mdoc, meet, mip, paper, proximity, qr, sd_jwt, status
from mapae.formats.mdoc import DeviceResponse, IssuerSigned
from mapae.formats.sd_jwt import Hidden, SdJwt
from mapae.formats.status import StatusList, StatusRef
from mapae.formats.x509 import Subject
from mapae.holder.transaction import PAYMENT
from mapae.issuer.face import talk
from mapae.issuer.face.values import Box, FaceOutcome, Finding, Flaw, ModelId, PhotoReport, Reason
from mapae.issuer.ic_card import infos, lds
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import CURVES
from mapae.issuer.ic_card.secure import ChipChannel, TerminalChannel
from mapae.rules import Words
from mapae.trust import entries, epoch, purposes, registration
from mapae.trust import request as ca_requests
from mapae.trust.engine import contract
from mapae.trust.log import acts, statement, tiles
from mapae.trust.log.note import Checkpoint
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.pack import format as pack
from mapae.trust.pack.verify import EpochHead, ListOf
from mapae.trust.witness import Asked
from mapae.verifier.asking import anyone
from mapae.verifier.asking.ask import Form
from mapae.verifier.checking import receipt
from mapae.verifier.till import till_receipts
from mapae.wallet_provider import webpush

ISSUER, HOLDER = Hand("issuer"), Hand("holder")
DICE = SeededDice(b"fuzz")
Seeds = Callable[[], list[bytes]]


def _in_a_row(*spoken: str) -> bytes:
    """What is said over a card's wire, each behind its length."""
    return b"".join(bytes((len(one) // 2,)) + bytes.fromhex(one) for one in spoken)


def _vectors(name: str) -> list[bytes]:
    """The inputs of vectors/NAME.json, good and bad."""
    found = json.loads((OUR_VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    inputs = [case["input"] for case in found]
    return [(one if isinstance(one, str) else json.dumps(one)).encode() for one in inputs]


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value, ensure_ascii=False).encode() for value in values]


def _part(token: bytes, at: int) -> bytes:
    return jose.unb64u(token.split(b".")[at])


def _good_tokens(name: str) -> Iterator[bytes]:
    for token in _vectors(name):
        if token.count(b".") >= 2:
            yield token


def _card() -> SdJwt:
    claims = {
        "vct": "v", "iat": int(NOW.timestamp()), "cnf": {"jwk": HOLDER.jwk}, "name": Hidden("Kim"),
        "address": Hidden({"street": Hidden("x")}), "nationalities": [Hidden("KR"), "XM"],
    }  # fmt: skip
    made = sd_jwt.draft({"typ": "dc+sd-jwt"}, claims, entropy=DICE.bytes)
    return SdJwt.parse(made.complete(ISSUER.sign(made.signing_input)))


def _mdoc() -> IssuerSigned:
    made = mdoc.draft(
        "d", {"n": {"name": "Kim", "born": NOW.date(), "adult": True, "portrait": b"\xff\xd8"}},
        device_key=HOLDER.key, validity=mdoc.Validity(NOW, NOW, NOW + timedelta(days=1)), x5chain=(b"0",),
        status=StatusRef("https://i.example/1", 7), entropy=DICE.bytes,
    )  # fmt: skip
    return IssuerSigned.parse(made.complete(ISSUER.sign(made.signing_input)))


def _response() -> DeviceResponse:
    shown = mdoc.present(_mdoc().disclose({"n": ["name"]}), session_transcript=b"\x83\xf6\xf6\xf6", holder=HOLDER)
    return DeviceResponse.parse(shown)


def _curve_keys() -> list[bytes]:
    agreeing = [curves.CurveEphemeralKey(one, bytes(48)).cose for one in curves.CURVES if one.create or one.weierstrass]
    return [cbor.dumps(Writer(curve, "w").cose) for curve in ALGORITHMS] + agreeing


def _curve_jwks() -> list[bytes]:
    wide = [Wide("w", crv).jwk for crv in ("P-384", "P-521")]
    edwards = [
        {"kty": "OKP", "crv": curve, "x": jose.b64u(Writer(curve, "w").cose[-2])} for curve in ("Ed25519", "Ed448")
    ]
    return _json(*wide, *edwards, dict(HOLDER.jwk), {**wide[0], "alg": "ES384", "d": "AA"})


def _shown_to_a_reader() -> list[bytes]:
    made = []
    for curve in ("secp256r1", "Ed25519"):
        phone = Writer(curve, "phone")
        made.append(shown_elsewhere(LAND.licence(phone.cose), by_signature(phone, READING.transcript)))
    return [*made, shown_elsewhere(Elsewhere().licence(phone.cose), by_signature(phone, READING.transcript))]


def _lists_elsewhere() -> list[bytes]:
    claims = {"sub": "u", "iat": 1, "ttl": 9, "status_list": {"bits": 1, "lst": StatusList.of(1, 8, []).lst()}}
    edwards = Elsewhere("Ed25519")
    lands = (edwards, Elsewhere("secp384r1"), Elsewhere(P320))
    tokens = [status_jwt(edwards, claims, "EdDSA").encode(), status_jwt(lands[1], claims, "ES384").encode()]
    return [*tokens, *(status_cwt(land, claims) for land in lands)]


def _foreign_responses() -> list[bytes]:
    made = []
    for curve in ("secp384r1", "Ed25519"):
        phone = Writer(curve, "phone")
        licence = Elsewhere(curve).licence(phone.cose, digest="SHA-384")
        licence["issuerAuth"][1] = {33: b"0"}
        made.append(shown_elsewhere(licence, by_signature(phone, b"\x83\xf6\xf6\xf6")))
    return made


def _status() -> list[bytes]:
    list_ = StatusList.of(2, 64, [(1, 1), (63, 2)])
    claims = status.status_claims(list_, uri="https://i.example/1", now=NOW, life=timedelta(hours=1), ttl=300)
    return _json(claims, {**claims, "status_list": {"bits": 8, "lst": StatusList.of(8, 4, [(3, 255)]).lst()}})


def _epoch(seq: int, *entries: tuple[int, int]) -> epoch.Epoch:
    prefix = "https://i.example/"
    lists = (epoch.EpochList.of(f"{prefix}a", StatusList.of(2, 64, [(1, 1), *entries])),)
    if entries:
        lists = (*lists, epoch.EpochList.of(f"{prefix}b", StatusList.of(2, 8, entries[:1])))
    return epoch.Epoch("issuer:issuer", prefix, seq, 1, 2, lists)


def _item() -> bytes:
    return cbor.embedded(cbor.loads(_mdoc().encode())["nameSpaces"]["n"][0])


def _mso() -> bytes:
    return bytes(cbor.loads(_mdoc().encode())["issuerAuth"][2])


def _methods() -> list[proximity.Method]:
    return [
        proximity.Ble(True, True, bytes(16), bytes(16), bytes(6)), proximity.Nfc(255, 256),
        proximity.Wifi("pass", 1, 2, b"b"),
    ]  # fmt: skip


def _engagements() -> list[bytes]:
    return [
        proximity.engagement(HOLDER.key, _methods()), proximity.engagement(HOLDER.key, []),
        proximity.engagement(HOLDER.key, _methods()[:1], origins=["https://r.example"]),
    ]  # fmt: skip


def _requests() -> list[bytes]:
    items = mdoc.items_request("d", {"n": {"name": False, "born": True}})
    session = b"\x83\xf6\xf6\xf6"
    plain = mdoc.doc_request(items, session_transcript=session)
    signed = mdoc.doc_request(items, session_transcript=session, reader=ISSUER, x5chain=(b"0",))
    return [mdoc.device_request([plain]), mdoc.device_request([signed, plain])]


QUERY = {
    "credentials": [
        {"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}, "multiple": True,
         "claims": [{"id": "n", "path": ["name", None]},
                    {"id": "b", "path": ["birth", 0, "x"], "values": [1, "2", True]}],
         "claim_sets": [["n", "b"], ["n"]], "trusted_authorities": [{"type": "aki", "values": ["AA"]}]},
        {"id": "m", "format": "mso_mdoc", "meta": {"doctype_value": "d"}, "require_cryptographic_holder_binding": True,
         "claims": [{"path": ["org.iso.18013.5.1", "name"], "intent_to_retain": False}]},
    ],
    "credential_sets": [{"options": [["a"], ["m"]], "required": True}],
}  # fmt: skip
OFFER = {
    "credential_issuer": "https://i.example", "credential_configuration_ids": ["card"],
    "grants": {
        "urn:ietf:params:oauth:grant-type:pre-authorized_code": {
            "pre-authorized_code": "c", "tx_code": {"length": 6, "input_mode": "numeric", "description": "d"},
        },
        "authorization_code": {"issuer_state": "s", "authorization_server": "https://a.example"},
    },
}  # fmt: skip
METADATA = {
    "credential_issuer": "https://i.example", "issuer": "https://i.example", "nonce_endpoint": "https://i.example/n",
    "credential_endpoint": "https://i.example/c", "authorization_servers": ["https://i.example"],
    "token_endpoint": "https://i.example/t", "pushed_authorization_request_endpoint": "https://i.example/p",
    "authorization_endpoint": "https://i.example/a", "batch_credential_issuance": {"batch_size": 10},
    "credential_request_encryption": {"jwks": {"keys": [HOLDER.jwk]}, "enc_values_supported": ["A256GCM"]},
    "credential_configurations_supported": {
        "card": {
            "format": "dc+sd-jwt", "vct": "v", "scope": "s", "cryptographic_binding_methods_supported": ["jwk"],
            "credential_signing_alg_values_supported": ["ES256"],
            "proof_types_supported": {"jwt": {"proof_signing_alg_values_supported": ["ES256"],
                                              "key_attestations_required": {}}},
            "credential_metadata": {"display": [{"name": "n", "locale": "ko"}], "claims": [{"path": ["name"]}]},
        },
        "doc": {"format": "mso_mdoc", "doctype": "d", "scope": "t", "credential_signing_alg_values_supported": [-7]},
    },
}  # fmt: skip


TYPE = {
    "vct": "v", "name": "n", "description": "d", "extends": "base", "extends#integrity": None,
    "display": [{"locale": "ko-KR", "name": "n", "rendering": {
        "simple": {"logo": {"uri": "data:image/png;base64,AA", "alt_text": "l"}, "background_color": "#ffffff"},
        "svg_templates": [{"uri": "https://i.example/t", "properties": {"orientation": "portrait"}}],
    }}],
    "claims": [{"path": ["name"], "sd": "allowed", "svg_id": "name", "mandatory": True,
                "display": [{"locale": "ko", "label": "l", "description": "d"}]},
               {"path": ["nationalities", None], "sd": "never"}, {"path": ["address", "street"]}],
}  # fmt: skip


def _proofs() -> list[bytes]:
    claims = {"aud": "https://i.example", "iat": int(NOW.timestamp()), "nonce": "n", "iss": "c"}
    own = jose.sign_jws(HOLDER, {"typ": "openid4vci-proof+jwt", "jwk": HOLDER.jwk}, claims)
    attested = {"iat": claims["iat"], "exp": claims["iat"] + 60, "nonce": "n", "attested_keys": [HOLDER.jwk]}
    attestation = jose.sign_jws(ISSUER, {"typ": "key-attestation+jwt", "x5c": ["MAA="]}, attested)
    both = jose.sign_jws(HOLDER, {"typ": "openid4vci-proof+jwt", "kid": "0", "key_attestation": attestation}, claims)
    return _json({"proofs": {"jwt": [own]}}, {"proofs": {"attestation": [attestation]}}, {"proofs": {"jwt": [both]}})


def _jwes() -> list[bytes]:
    to = {**KEY.public.jwk, "kid": "k"}
    return [jwe.encrypt(b'{"vp_token":{"a":["x"]},"state":"s"}', to, enc=enc).encode() for enc in jwe.ENCS]


def _certificates() -> list[bytes]:
    found = json.loads((OUR_VECTORS / "x509.json").read_text(encoding="utf-8"))
    texts = [*found["anchors"], *(text for case in found["cases"] for text in case["input"])]
    return jose.read_x5c(texts[:4]) + jose.read_x5c(texts[4:6])  # type: ignore[return-value]


def _documents() -> list[bytes]:
    words = Words(ko="가", en="A")
    purpose = entries.Purpose(id="age", name=words, why=words, legal_basis=words, items=("adult",), retention=words)
    hash = jose.b64u(bytes(32))
    shop = entries.RelyingParty(id="shop", name=words, x509_hash=hash, purposes=(purpose, _own(purpose)))
    raw = entries.document(shop, "c1")
    return [raw, raw.replace(b"relying_party", b"wallet_provider"), raw + b" ", raw.replace(b'"low"', b'""')]


def _own(purpose: entries.Purpose) -> entries.Purpose:
    """Of the party's own: it names its document and its risk."""
    of = entries.AskedOf(vct="urn:card", doctype="org.card.1", namespace="org.card.1")
    return msgspec.structs.replace(purpose, id="own_shop_age", document=of, risk="low")


def _unsigned() -> list[bytes]:
    asked = [anyone.put("alcohol_tobacco", form, NOW, SeededDice("asks")) for form in Form]
    links = [(anyone.anyones(KOREA, one.purpose, Form(one.form)), one) for one in asked]
    return [anyone.link(question, one, "https://bar.example/age/1").encode() for question, one in links]


def _purposes() -> list[bytes]:
    words = Words(ko="가", en="A")
    for_anyone = purposes.Listed(
        id="age", name=words, why=words, legal_basis=words, retention=words, items=("adult",), anyone=True,
        kinds={"adult": "yes_no"}, labels={"adult": words}, by_holder=True, risk="low",
        document=purposes.About(id="card", name=words, vct="urn:card", doctype="card.1", namespace="card.1.1"),
    )  # fmt: skip
    day = int(NOW.timestamp()) // 86400 * 86400
    raw = purposes.PurposesDocument(iat=day, exp=day + 30 * 86400, purposes=(for_anyone,)).payload
    return [raw, raw.replace(b"yes_no", b"text"), raw.replace(b'"age"', b'"Age"'), raw.replace(b"card.1.1", b"")]


def _wishes() -> list[bytes]:
    said = {"kind": "erasure", "purpose": "hospital_reception", "items": ["name"], "shown_at": int(NOW.timestamp()),
            "words": "erase\nit"}  # fmt: skip
    bent: list[dict[str, Any]] = [{"words": "\u202e"}, {"items": ["x"]}, {"shown_at": 0}, {"more": 1}]
    return [json.dumps(said | one).encode() for one in ({}, *bent)]


def _complaints() -> list[bytes]:
    claims = [{"path": ["adult"]}, {"path": ["name"]}, {"path": [None]}]
    query = {"id": "c", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:x"]}, "claims": claims[:2]}
    said = {"dcql_query": {"credentials": [query]}, "mapae_purpose": "adult", "exp": int(NOW.timestamp())}
    asked = [said, {**said, "mapae_purpose": "other"}, {**said, "exp": 1}]
    return [json.dumps(one).encode() for one in (*asked, {**said, "dcql_query": {"credentials": [
        {**query, "claims": claims[:1]}]}})]  # fmt: skip


def _applications() -> list[bytes]:
    own = {
        "id": "pickup", "name": "Pick-up", "why": {"ko": "소포를 전달합니다.", "en": "To hand over."}, "days": 7,
        "legal_basis": "Act 3", "items": ["name", "address"], "risk": "medium", "basis": {"address": "Act 4"},
    }  # fmt: skip
    said = {"id": "corner", "name": "Corner", "number": "123-45-67890", "contact": "https://corner.example/",
            "purposes": [{"ready": "alcohol_tobacco"}, own]}  # fmt: skip
    bent: list[dict[str, Any]] = [
        {"contact": "https://a@b/"},
        {"name": {"ko": "\u202e"}},
        {"purposes": [{"ready": "x"}]},
    ]
    bent += [{"key": dict(HOLDER.jwk)}, {"purposes": 7}, {"id": "../x"}]
    return [json.dumps(said | one).encode() for one in ({}, *bent)]


def _registrations() -> list[bytes]:
    words = Words(ko="가", en="A")
    purpose = entries.Purpose(id="age", name=words, why=words, legal_basis=words, items=("adult",), retention=words)
    purposes = (purpose, _own(purpose))
    shop = entries.RelyingParty(id="shop", name=words, x509_hash=jose.b64u(bytes(32)), purposes=purposes)
    raw = jose.unb64u(registration.make(shop, "https://id.example", ISSUER, NOW).split(".")[1])
    return [raw, raw.replace(b'"shop"', b'"Shop"'), raw.replace(b"adult", b""), raw.replace(b'"exp":', b'"exp":9')]


def _key_requests() -> list[bytes]:
    good = ca_requests.make_access(ISSUER, NOW)
    header = {"typ": ca_requests.ACCESS_TYP, "jwk": dict(ISSUER.jwk)}
    return [good.encode(), jose.sign_jws(ISSUER, header, {"iat": 1}).encode(), f" {good[:90]}\n{good[90:]} ".encode()]


def _ca_requests() -> list[bytes]:
    asked = ca_requests.make("document-signer", Subject("Signer", organization="Us"), ISSUER, NOW)
    claims = json.loads(jose.unb64u(asked.split(".")[1]))
    header = {"typ": ca_requests.TYP, "jwk": dict(ISSUER.jwk)}
    bent = [claims | {"name": "king"}, claims | {"days": 9999}, claims | {"country": "Korea"}]
    bent += [claims | {"common_name": "a\nb"}, claims | {"more": 1}]
    return [asked.encode(), *(jose.sign_jws(ISSUER, header, one).encode() for one in bent)]


def _signers() -> list[bytes]:
    at = int(NOW.timestamp())
    hash = jose.b64u(hashlib.sha256(b"").digest())
    good = {"issuer": "issuer:a", "x5t#S256": hash, "purpose": "document_signer", "from": at - 60, "until": at + 60}
    gone = {**good, "revoked_at": at, "since": at, "reason": "compromised"}
    reader = {"reader": hash, "x509_hash": None, "since": at, "reason": "ceased"}
    return _json(
        [[good], [reader]], [[gone], []], [[good, good], []], [[{**good, "since": at}], [{**reader, "reader": ""}]]
    )


def _proof() -> TlogProof:
    tree = Tree(leaf_hash(word) for word in (b"entry", b"b", b"c"))
    point = Checkpoint(ORIGIN, 3, tree.root())
    return TlogProof(0, tuple(tree.inclusion(0, 3)), cosigned(point, {1: 1, 2: 2}), b"x")


def _entries() -> list[bytes]:
    land = Country()
    land.put_party("issuer")
    land.put_key("issuer", "k")
    land.put_reader("issuer", "shop")
    land.anchor("issuer", 1)
    return [*land.raw[0][:1], *land.raw[0][3:], *land.raw[1]]


def _requests_to_a_witness() -> list[bytes]:
    asked = [Asked(0, (), _proof().checkpoint), Asked(2, (bytes(32), b"\xff" * 32), _proof().checkpoint)]
    return [*(one.encode() for one in asked), b"old 01\n\n" + _proof().checkpoint.encode()]


ACT = acts.PutKey(digest("p"), digest("k"), 2, 0, 9, digest("s"))


def _node_says() -> list[bytes]:
    """An entry as its event, a head, a revert with its reason."""
    entry = Country().raw[0][0]
    event = {
        "topics": [contract.topics()[0], *(f"0x{word.hex()}" for word in (bytes(32), entry[:32], entry[128:160]))],
        "data": "0x" + (32).to_bytes(32, "big").hex() + len(entry).to_bytes(32, "big").hex() + entry.hex(),
        "blockNumber": "0x7",
    }  # fmt: skip
    revert = contract.ERROR + (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"seq".ljust(32, b"\0")
    answers: list[dict[str, Any]] = [
        {"result": [event]}, {"result": [{**event, "removed": True}]}, {"result": "0x" + bytes(64).hex()},
        {"error": {"code": 3, "message": "execution reverted", "data": "0x" + revert.hex()}},
    ]  # fmt: skip
    return _json(*({"jsonrpc": "2.0", "id": 1, **answer} for answer in answers))


def _protected() -> list[bytes]:
    """Commands with data, with an expected length, with both and with neither."""
    commands = (
        CHIP_READ,
        Command(0, 0x2C, 3, 3),
        Command(0, 0x2C, 2, 3, b"7788"),
        Command(0, 0xD7, 0, 0, b"x" * 17, 9),
    )
    return [TerminalChannel(CHIP_KEYS).wrap(command).encode() for command in commands]


def _answers() -> list[bytes]:
    found = []
    for response in (Response(b"hello"), Response(b"", 0x6A82)):
        chip = ChipChannel(CHIP_KEYS)
        chip.open(TerminalChannel(CHIP_KEYS).wrap(CHIP_READ))
        found.append(chip.seal(response).encode())
    return found


def _asks() -> list[qr.Ask]:
    said = {"nonce": b"n" * 16, "purpose": "bar", "items": ("age_over_18",), "until": 1_795_000_000}
    ask, shop = qr.Ask(**said), qr.Ask(**said, registration="e30.e30.e30")
    return [
        qr.Ask(nonce=b"n" * 16, purpose="bar", items=("age_over_18",), name="가게"),
        ask.sealed(bytes(64), b"a certificate"), shop.sealed(bytes(64), b"a certificate"),
    ]  # fmt: skip


def _shows() -> list[qr.Show]:
    said = {"made": 1_795_000_000, "nonce": b"n" * 16, "purpose": "bar"}
    signed = "e30.e30." + jose.b64u(bytes(64))
    return [
        qr.Show(format="dc+sd-jwt", presentation=f"{signed}~WyJzIiwibiIsMV0~{signed}", **said),
        qr.Show(format="mso_mdoc", presentation=jose.b64u(b"a response"), **said),
    ]  # fmt: skip


def _receipts() -> list[bytes]:
    digest = jose.b64u(bytes(32))
    one = receipt.Receipt(
        v=1, at="2026-11-21", asked_by="anyone", purpose="bar", items=("age_over_18",), rule=digest,
        outcome="accepted", step=None, code=None, tier="full",
        registry=receipt.Registry("id.example/log/registry", 7, digest),
        status=(receipt.StatusEpoch("issuer:one", "https://i.example/status/", 3, digest, 9),),
    )  # fmt: skip
    bad = msgspec.structs.replace(one, outcome="refused", step="holder", code="presentation_spent", tier=None)
    return [one.encode(), bad.encode(), one.sign(Hand("voice"), READER).encode(), b"{}"]


def _shown() -> list[bytes]:
    """Codes of vectors/checks.json: the good ones, and one refused at each step."""
    picked: dict[tuple[str, str], Any] = {}
    for case in checking.CASES:
        given = case["input"]
        as_usual = all(given[name] == checking.FILE["usual"][name] for name in ("by", "purpose", "asked", "now", "age"))
        if as_usual:
            picked.setdefault((given["format"], case.get("refused", {}).get("step", "")), given)
    return [
        qr.Show(
            format=checking.FORMATS[given["format"]], made=given["made"], nonce=bytes.fromhex(given["nonce"]),
            purpose="adult", presentation=checking.written(given["format"], given["presentation"]),
        ).encode()
        for given in picked.values()
    ]  # fmt: skip


def _reports() -> list[bytes]:
    registry, epochs = receipt.heads(_till())
    said = till_receipts.Reported(
        id="1", purpose="adult", outcome="accepted", step="", code="", tier="full", at=int(packed.NOW.timestamp()),
        registry=registry, status=epochs,
    )  # fmt: skip
    changes: list[dict[str, Any]] = [
        {}, {"outcome": "refused", "step": "holder", "code": "presentation_spent", "tier": None}, {"purpose": "x"},
        {"at": 0}, {"step": "Step"}, {"status": ()},
    ]  # fmt: skip
    return [msgspec.json.encode(msgspec.structs.replace(said, **change)) for change in changes]


def _written() -> list[bytes]:
    """Pieces as they are written, a length before each."""
    sent = [list(ble.pieces(message, 23)) for message in (b"", b"x" * 9, bytes(range(60)))]
    odd = [[b"\x02x"], [b"\x01"], [b"\x01" + b"x" * 19] * 2]
    return [b"".join(bytes((len(piece),)) + piece for piece in pieces) for pieces in (*sent, *odd)]


def _papers() -> list[paper.Signed]:
    one = paper.Paper(
        stands_for="urn:x", number="T-2026-1", name="홍길동", birth_date=NOW.date(), number_masked="9*", issued=1,
        until=1_800_000_000, status=StatusRef("https://i.example/1", 7),
    )  # fmt: skip
    return [paper.complete(one, bytes(64), b"a certificate")]


def _factory_answers() -> list[bytes]:
    key = b"data group 14"
    hashes = {str(group): b64encode(hashlib.sha256(key).digest()).decode() for group in (1, 2, 11, 14)}
    said = {"order": "order-1", "state": "signed", "hashes": hashes, "dg14": b64encode(key).decode(), "at": 1}
    return _json(said, said | {"state": "queued", "hashes": {}, "dg14": ""}, {"error": "conflict"})


def _pictures() -> list[bytes]:
    """Small ones of every kind that is read, and of some that are not."""
    found = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, mode, more in (
        ("JPEG", "RGB", {"exif": exif}), ("JPEG", "CMYK", {}), ("JPEG", "L", {"progressive": True}), ("PNG", "P", {}),
        ("PNG", "RGBA", {}), ("PNG", "LA", {}), ("PNG", "1", {}), ("PNG", "I;16", {}), ("GIF", "P", {}),
    ):  # fmt: skip
        out = io.BytesIO()
        Image.new(mode, (12, 9)).save(out, kind, **more)
        found.append(out.getvalue())
    return found


def _face_answers() -> list[bytes]:
    model = ModelId("dlib", "1", "0" * 64, accredited=False)
    outcome = FaceOutcome(True, Reason.MATCH, 0.3, 0.5, 1, 40, model)
    report = PhotoReport(False, (Finding(Flaw.TILTED, "photo.tilted", Box(1, 2, 3, 4)),), b"jpeg", b"jpeg")
    answers = (
        talk.Ready(model), talk.Unready("no"), talk.Verified(outcome), talk.Has(Reason.RECORD_NO_FACE), talk.Has(None),
        talk.Judged(report), talk.Broke("Error", ["a:1 b"]),
    )  # fmt: skip
    return [talk.write(answer) for answer in answers]


SEEDS: dict[str, Seeds] = {
    "log_note": lambda: [_proof().checkpoint.encode()],
    "log_add_checkpoint": _requests_to_a_witness,
    "log_checkpoint": lambda: [Checkpoint(ORIGIN, 3, bytes(32), ("more",)).body()],
    "log_key": lambda: [LOG.vkey.encode().encode()],
    "log_policy": lambda: [policy().encode(), b"# none\n\n quorum\tnone \n"],
    "log_proof": lambda: [_proof().encode()],
    "log_bundle": lambda: [b"\x01" + tiles.bundle([b"", b"entry"]), b"\0" + tiles.bundle(_entries()[:1])],
    "log_tile_path": lambda: [b"tile/0/x001/x234/067", b"tile/entries/000.p/7", b"tile/63/001"],
    "log_entry": _entries,
    "log_frontier": lambda: [bytes(8), (5).to_bytes(8, "big") + bytes(64)],
    "log_statement": lambda: [
        statement.make("put_key", acts.args(ACT), ORIGIN, HOLDER, 9).encode(),
        statement.approve(bytes(32), HOLDER, 9).encode()],
    "log_statement_inside": lambda: [
        jose.encode_json({"act": "put_key", "args": acts.args(ACT), "log": ORIGIN, "iat": 9})],
    "log_act": lambda: _json(acts.encode(ACT)),
    "base64url": lambda: _vectors("base64url"),
    "json_value": lambda: _vectors("json") + _json(QUERY),
    "jwk": lambda: _vectors("jwk"),
    "point": lambda: [b"\x04" + HOLDER.key.x + HOLDER.key.y, b"\x02" + HOLDER.key.x, b"\x03" + HOLDER.key.x],
    "jws": lambda: [*_vectors("jws"), *_good_tokens("status")],
    "jws_header": lambda: _json({"alg": "ES256", "typ": "a+jwt", "x5c": ["MAA="], "jwk": HOLDER.jwk, "kid": "k"}),
    "jws_of_several": lambda: _json(
        {"payload": "e30", "signatures": [{"protected": jose.b64u(b'{"alg":"ES256","typ":"a+jwt"}'),
                                           "signature": "AA" * 43, "header": {"kid": "k"}}]}),
    "jwe_message": _jwes,
    "jwe_header": lambda: _json({"alg": "ECDH-ES", "enc": "A256GCM", "kid": "k", "zip": "DEF", "apu": "AA", "apv": "AA",
                                 "epk": HOLDER.jwk}),
    "jwe_key": lambda: _json({**HOLDER.jwk, "use": "enc", "alg": "ECDH-ES", "kid": "k"}),
    "sd_jwt_compact": lambda: [_card().encode().encode()],
    "sd_jwt_json": lambda: _json(_card().to_json(), _card().to_json(general=True)),
    "sd_jwt_inside": lambda: [
        b'{"vct":"v","_sd":["#0#"],"_sd_alg":"sha-256","a":[{"...":"#1#"},1],"cnf":{"jwk":{}}}\n'
        b'["salt","name",{"_sd":["#2#"]}]\n["salt",2]\n["salt","b",null]'],
    "status_token": lambda: list(_good_tokens("status")),
    "status_claims": _status,
    "status_cwt": lambda: [
        cbor.dumps({2: "u", 6: 1, 4: 2, 65534: 3, 65533: {"bits": 1, "lst": zlib.compress(bytes(8))}})],
    "status_lists": lambda: _json({"status_lists": ["https://i.example/1"]}),
    "type_metadata": lambda: [b"\n".join(_json(TYPE, {**TYPE, "vct": "base", "extends": None, "display": []}))],
    "integrity": lambda: [b"sha256-" + b64encode(hashlib.sha256(b"document").digest()), b"sha256-AA sha512-AAAA?x"],
    "evm_answer": _node_says,
    "pack_file": lambda: [PACK.encode()],
    "pack_manifest": lambda: [PACK.manifest.encode()],
    "pack_delta": lambda: [
        pack.delta(PACK, NEXT_PACK, {pack.digest(bytes(63) + b"\1"): pack.digest(bytes(64))}),
        pack.delta(PACK, NEXT_PACK, {})],
    "pack_epoch": lambda: [
        EpochHead("issuer:i", "https://i.example/s/", 2, 7, 9, (ListOf("a", 2, digest("a")),)).encode()],
    "status_epoch": lambda: [_epoch(1).encode(), _epoch(2, (3, 2)).encode()],
    "status_delta": lambda: [epoch.delta(_epoch(1), _epoch(2, (3, 2))).encode()],
    "registry_document": _documents,
    "purposes_document": _purposes,
    "unsigned_request": _unsigned,
    "complaint": _complaints,
    "privacy_wish": _wishes,
    "trust_signers": _signers,
    "ca_request": _ca_requests,
    "rp_application": _applications,
    "rp_registration": _registrations,
    "rp_key_request": _key_requests,
    "status_reference": lambda: _json({"status_list": {"idx": 7, "uri": "https://i.example/1"}}),
    "cbor_value": lambda: [_mso(), cbor.dumps({"a": [1, -2, b"x", None, True, 1.5, NOW.date()]})],
    "cbor_any": lambda: [_mso(), _mdoc().encode(), bytes.fromhex("c074323032362d31312d32315430393a30303a30305a")],
    "cose_sign1": lambda: [cbor.dumps([cose.PROTECTED, {33: b"0"}, b"p", bytes(64)])],
    "cose_mac0": lambda: [cbor.dumps([b"\xa1\x01\x05", {}, None, bytes(32)])],
    "cose_key": lambda: [cose.key_bytes(HOLDER.key), cbor.dumps({1: 2, -1: 1, -2: HOLDER.key.x, -3: True})],
    "curve_key": _curve_keys,
    "curve_jwk": _curve_jwks,
    "engagement_elsewhere": lambda: [
        cbor.dumps({0: "1.0", 1: [1, cbor.Tag(24, one)]}) for one in (*_curve_keys(), cose.key_bytes(HOLDER.key))],
    "read_elsewhere": _shown_to_a_reader,
    "status_elsewhere": _lists_elsewhere,
    "certificate_elsewhere": lambda: [
        *(one for land in (LAND, Elsewhere(P320), Elsewhere("Ed448")) for one in (land.root, land.leaf))],
    "curve_response": _foreign_responses,
    "mdoc_issuer_signed": lambda: [_mdoc().encode()],
    "mdoc_mso": lambda: [_mso()],
    "mdoc_item": lambda: [_item()],
    "mdoc_response": lambda: [_response().encode()],
    "mdoc_request": _requests,
    "engagement": _engagements,
    "session_establishment": lambda: [proximity.establishment(cose.key_bytes(HOLDER.key), b"sealed")],
    "session_data": lambda: [proximity.session_data(b"sealed"), proximity.session_data(status=20)],
    "qr_text": lambda: [
        proximity.uri(_engagements()[1]).encode(), b"openid-credential-offer://?credential_offer=%7B%7D",
        b"haip-vci://?credential_offer_uri=https%3A%2F%2Fi.example%2Fo",
        b"haip-vp://?client_id=x509_hash%3Aa&request_uri=https%3A%2F%2Fv.example%2Fr&request_uri_method=post"],
    "mip_request": lambda: [
        *_json({"data": mip.encode(mip.m310("A" * 25))}, {"data": "e30="}, {"result": True}, {"data": "!"}), b"x"],
    "mip_message": lambda: _json(
        mip.m310("A" * 25), mip.m320("B" * 9), mip.m400("A" * 25, mip.Vp("n", b"x", frozenset({"pin"})).encode()),
        mip.m900("A" * 25, 20901, "cancel by user"), {"type": "mip"}),
    "mip_vp": lambda: _json(
        mip.Vp("n", b"x", frozenset({"pin"})).encode(), {"presentType": 2, "encryptType": 2, "keyType": 2}),
    "mip_code": lambda: [
        jose.unb64u(mip.M200("A" * 25, "direct", "https://i.example").encode()),
        jose.unb64u(mip.M120("A" * 25, "wss://i.example").encode()), b"{}",
        *_json({"type": "mip", "version": "1.0.0", "cmd": "200", "trxcode": "A" * 25, "mode": []})],
    "push_subscription": lambda: [
        f"{where}\n{jose.b64u(webpush.point(Hand('voice')))}\n{jose.b64u(bytes(16))}".encode() for where in (
            "https://push.example/send/1", "https://a.push.example:443/w?t=1", "https://a@push.example/",
            "https://push.example.evil/", "http://127.0.0.1/")],
    "push_token": lambda: [
        webpush.vapid(Hand("voice"), "https://push.example", "https://id.example", NOW).encode(), b"vapid t=, k="],
    "push_token_inside": lambda: _json(
        {"aud": "https://push.example", "exp": int(NOW.timestamp()) + 3600, "sub": "https://id.example"},
        {"aud": ["https://push.example"], "exp": "1"}, {"exp": 1e300}),
    "pushed_to": lambda: ["한지수\n2001-03-09\n010-1234-5678".encode(), b"a\n2001-02-30\n010", b"\n\n"],
    "mip_line": lambda: _json(
        {"msg": "join", "type": "mip", "version": "1.0.0", "trxcode": "A" * 25},
        {"msg": "vp", "request": "presentation", "trxcode": "A" * 25, "vp": {}}, {"msg": 1}, {"more": ""}),
    "meet_code": lambda: [MEET_CODE.text.encode(), b"MAPAE-MEET:"],
    "meet_code_inside": lambda: [MEET_CODE.raw, MEET_CODE.raw[:-1], cbor.dumps({1: 1})],
    "meet_request": lambda: [
        meet.seal("a.b.c", MEET_CODE), jwe.encrypt(b"x", MEET_CODE.key.jwk).encode(), b"a.b.c.d.e", b"\xff"],
    "meet_answer": lambda: [b"response=a.b.c.d.e", b"error=access_denied&state=s", b"a=1&a=2", b"=", b"\xff"],
    "certificate": lambda: list(_certificates()),
    "dcql_query": lambda: _json(QUERY),
    "vp_token": lambda: _json({"vp_token": {"a": ["x"]}}),
    "oid4vp_answer": lambda: _json({"response": _jwes()[0].decode()}, {"error": "access_denied", "state": "s"}),
    "oid4vp_answer_inside": lambda: _json({"vp_token": {"a": ["x"]}, "state": "s"}, {"error": "e", "state": "s"}),
    "oid4vci_offer": lambda: _json(OFFER),
    "oid4vci_metadata": lambda: _json(METADATA),
    "redirect": lambda: [
        b"https://w.example/back?code=c&state=s&iss=https%3A%2F%2Fi.example", b"https://w.example/?error=e&state=s"],
    "transaction_data": lambda: _json(
        [{"type": PAYMENT, "credential_ids": ["a"], "transaction_data_hashes_alg": ["sha-256"], "payee": "p",
          "amount": "1.50", "currency": "KRW"}]),
    "oid4vci_proofs": _proofs,
    "form_with_files": lambda: [
        b"multipart/form-data; boundary=x\n--x\r\nContent-Disposition: form-data; name=\"taken\"\r\n\r\n2026-03-01\r\n"
        b"--x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
        b"\xff\xd8\xff\r\n--x--\r\n",
        b"multipart/form-data; boundary=x\n--x--"],
    "chip_conversation": lambda: [
        _in_a_row("00B09C0000"), _in_a_row("00A4040C07A0000002471001", "00B0810000", "00A4000C"),
        _in_a_row("0022C1A40F800A04007F00070202040202830102", "10860000027C0000",
                  f"10860000457C43814104{(HOLDER.key.x + HOLDER.key.y).hex()}00"),
        _in_a_row("002241A40F800A04007F00070202030202840101", "00860000027C0000", "002C030304", "0CB081000000")],
    "terminal_conversation": lambda: [
        _in_a_row(taps.image().files[0x011C].hex() + "9000"), _in_a_row("31039000", "AABBCC9000"),
        _in_a_row("3102AABB6282"), _in_a_row("61FF"), _in_a_row("6A82")],
    "face_burst": lambda: [bytes.fromhex(one.decode()) for one in _vectors("face_burst")],
    "face_picture": _pictures,
    "face_answer": _face_answers,
    "oid4vci_request": lambda: _json(
        {"credential_configuration_id": "card", "proofs": {"jwt": ["x"]}}, {"credential_identifier": "card"}),
    "chip_tlv": lambda: [infos.card_access(), lds.com(), CHIP_FILES[11], bytes(3)],
    "chip_command": lambda: [
        Command(*head, data=data, ne=ne, extended=long).encode() for head in ((0, 0xB0, 0, 0), (12, 0xA4, 4, 12))
        for data in (b"", b"x") for ne in (None, 4) for long in (False, True)] + [bytes(3)],
    "chip_point": lambda: [*(curve.g.encode() for curve in CURVES.values()), bytes(65), b"\x04" + b"\xff" * 64],
    "chip_protected_command": lambda: [*_protected(), CHIP_READ.encode()],
    "chip_protected_answer": lambda: [*_answers(), Response().encode()],
    "chip_sod": lambda: [CHIPS.sod(CHIP_FILES), CHIPS.sod({**CHIP_FILES, 3: b""})],
    "chip_authority": lambda: [CHIPS.csca, CHIPS.ds],
    "chip_list": lambda: [*CHIP_LISTS, chips.State("other").list()],
    "chip_protocols": lambda: [infos.card_access(), CHIP_FILES[14][4:]],
    "chip_dg1": lambda: [CHIP_FILES[1], CHIP_FILES[1][:-1]],
    "chip_dg2": lambda: [CHIP_FILES[2], CHIP_FILES[2][:-1]],
    "chip_dg11": lambda: [CHIP_FILES[11], CHIP_FILES[11][:-1]],
    "chip_dg14": lambda: [CHIP_FILES[14], CHIP_FILES[14][:-1]],
    "tap_link": lambda: [
        b"https://id.example.org/tap#" + b"Ab-_" * 8, b"http://localhost:8080/tap#" + b"x" * 32,
        b"http://id.example.org/tap#" + b"x" * 32, b"https://id.example.org/tap"],
    "helper_message": lambda: _json(
        {"type": "hello", "version": 1, "secret": "x" * 32}, {"type": "stopped", "code": "chip_blocked"},
        {"type": "card", "card_access": "MQA", "sod": "dwA", "dg14": "bgA"}, {"type": "authenticated"},
        {"type": "answer", "n": 1, "apdu": "kAA"}, {"type": "answer", "n": 1, "apdu": "kAA", "more": 1}),
    "issuer_message": lambda: _json(
        {"type": "ready", "code": "1234", "expires_in": 600, "for": {"ko": "a", "en": "b", "new_phone": True}},
        {"type": "refused", "code": "chip_used", "step": "use"}, {"type": "done"}, {"type": "ready"}),
    "base45_text": lambda: [b"QED8WEX0", b"BB8", b"%69 VD92EX0", b"GGW", b"ab"],
    "paper_text": lambda: [*(one.encode().encode() for one in _papers()), b"MAPAE-PAPER:BB8"],
    "paper_inside": lambda: [*(cbor.dumps(one.sealed.encode()) for one in _papers()), cbor.dumps([])],
    "paper_payload": lambda: [*(one.paper.payload() for one in _papers()), cbor.dumps({4: 1})],
    "login_request": lambda: [
        b"client_id=club&redirect_uri=https%3A%2F%2Fclub.example%2Fcb&response_type=code&scope=openid+email&state=s"
        b"&nonce=n&code_challenge=" + b"x" * 43 + b"&code_challenge_method=S256&response_mode=form_post&max_age=0"
        b"&ui_locales=ko&acr_values=a&prompt=login", b"redirect_uri=https://evil.example&scope=openid"],
    "login_credentials": lambda: [
        b"\nclient_id=open", b"Basic b3Blbjo=\n", b"Basic Y2x1YjpzZWNyZXQ=\nclient_id=club", b"Bearer x\n",
        b"\nclient_id=open&client_secret=s", b"\nclient_assertion_type=x&client_assertion=a.b.c"],
    "login_assertion": lambda: _json(
        {"iss": "club", "sub": "club", "aud": ["https://id.example/login"], "jti": "1",
         "exp": int(NOW.timestamp()) + 60, "iat": int(NOW.timestamp())}, {"iss": "club", "exp": 1}),
    "login_keys": lambda: _json(
        {"keys": [{**HOLDER.key.jwk, "kid": "1", "alg": "ES256"}]}, {"keys": []}, {"keys": [{"kty": "RSA"}]},
        {"keys": [{"kty": "RSA", "n": jose.b64u(b"\xff" * 256), "e": "AQAB", "use": "sig", "alg": "RS256"}]}),
    "login_address": lambda: [
        b"https://club.example/cb?a=1", b"http://localhost:3000/callback", b"com.example.app:/cb", b"https://[::1]/",
        b"javascript:alert(1)", b"https://a;b/", b"https://a/?code=1", b"https://u@a/"],
    "factory_answer": _factory_answers,
    "ask_text": lambda: [*(ask.encode().encode() for ask in _asks()), b"MAPAE-ASK:BB8"],
    "ask_inside": lambda: [*(ask.raw for ask in _asks()), cbor.dumps({1: 2})],
    "show_text": lambda: [*(text.encode() for show in _shows() for text in show.frames(60)), b"MAPAE-SHOW:BB8"],
    "show_whole": lambda: [*(show.encode() for show in _shows()), cbor.dumps({1: 1})],
    "show_folded": lambda: [
        *(qr.fold(show.encode()) for show in _shows()), zlib.compress(bytes(70_000), wbits=-15), b"x"],
    "show_frames": lambda: [*("\n".join(show.frames(60)).encode() for show in _shows()), b"MAPAE-SHOW:BB8"],
    "receipt_text": _receipts,
    "shown_code": _shown,
    "till_report": _reports,
    "ble_pieces": _written,
    "api_body": lambda: _json(
        {"purpose": "adult"}, {"purpose": "adult", "form": "mdoc", "session": "s", "qr": False}, {"code": "ABC123"},
        {"purpose": "adult", "same_device": True, "return_to": "https://shop.example/", "in_person": True},
        {"code": "c" * 22, "session": ""}, {"purpose": "Adult"}, {"purpose": "adult", "more": 1}, []),
}  # fmt: skip
