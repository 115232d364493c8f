"""One function a parser: any bytes are read or `Refused`, nothing else comes out, and what was read is written again.

A target that takes a token's inside wraps it first: bent base64 would never get as far as the members. `Broken` is
raised when a promise is broken; any other exception but `Refused` is a finding as well.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from starlette.requests import Request

import checking
import chips
import packed
import taps
from elsewhere import DOCTYPE, NAMESPACE, P320, Elsewhere, Phone, Writer
from hands import Hand
from mapae import catalog, tapping
from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.formats import (
    base45,
    ble,
    cbor,
    cose,
    curves,
    dcql,
    jose,
    jwe,
    jws_json,
    meet,
    mip,
    paper,
    proximity,
    qr,
    sd_jwt,
    status,
    x509,
)
from mapae.formats import type_metadata as types
from mapae.formats.jose import b64u
from mapae.formats.mdoc import DeviceRequest, DeviceResponse, IssuerSigned, Item, Mso
from mapae.holder import authorization, metadata, offer, request, transaction, unsigned
from mapae.issuer import oid4vci
from mapae.issuer.authorization import Attesters
from mapae.issuer.cards import calls, factory_client
from mapae.issuer.face import pictures, talk
from mapae.issuer.face.wire import Burst
from mapae.issuer.ic_card import infos, lds, passive, terminal, tlv
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import CURVES
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel
from mapae.issuer.ic_card.sod import Sod
from mapae.issuer.tap import remote
from mapae.oauth import answer_uri, form_target, must_be_redirect, same_but_for_the_port
from mapae.rules import Words
from mapae.trust import application, complaints, entries, epoch, lint, publish, purposes, registration, signers
from mapae.trust import request as ca_requests
from mapae.trust.engine import chain, contract, rpc
from mapae.trust.log import acts, proof, statement, tiles
from mapae.trust.log.entry import Entry
from mapae.trust.log.note import Checkpoint, Note, VerifierKey
from mapae.trust.log.policy import Policy
from mapae.trust.log.rules import State
from mapae.trust.log.tree import Frontier
from mapae.trust.pack import format as pack
from mapae.trust.pack.verify import EpochHead, Opened, open_pack
from mapae.trust.witness import Asked
from mapae.ui import multipart
from mapae.ui.body import json_message
from mapae.ui.line import read_message
from mapae.verifier.asking import oid4vp
from mapae.verifier.asking.judge import Access
from mapae.verifier.checking import fit, receipt
from mapae.verifier.checking.check import Issuer, Trusted, conclude, examine_answer
from mapae.verifier.checking.steps import Policy as Leniency
from mapae.verifier.login import client as login_client
from mapae.verifier.login import openid as login
from mapae.verifier.login.rsa import RsaKey
from mapae.verifier.privacy import requests as privacy
from mapae.verifier.relay import meet as meetings
from mapae.verifier.relay import push
from mapae.verifier.relay.gateway_web import ProxyMessage
from mapae.verifier.site import api_types
from mapae.verifier.till import till_receipts
from mapae.verifier.till.reader import Reading, Want
from mapae.wallet_provider import webpush

Target = Callable[[bytes], None]
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
KEY = jwe.DecryptionKey.from_jwk(jwe.private_jwk(b"fuzz" * 12, "k"))
VOICE = Hand("voice")
TARGETS: dict[str, Target] = {}


def _packed(number: int, *contents: bytes) -> pack.Pack:
    """By a key made from a word, so that the corpus stays good."""
    by_digest = {pack.digest(content): content for content in contents}
    return pack.make(
        Hand("publisher"), {place: pack.fold(content) for place, content in by_digest.items()},
        {place: len(content) for place, content in by_digest.items()}, {"policy": pack.digest(contents[0])},
        origin="id.example/trust/log/registry", number=number, made=1_790_000_000,
    )  # fmt: skip


PACK = _packed(1, b"policy", bytes(64))
NEXT_PACK = _packed(2, b"policy", bytes(63) + b"\1")


def _listed() -> tuple[bytes, publish.TrustList]:
    """A shop's certificate, and the list that names it for one purpose."""
    day, soon, both = NOW - timedelta(days=1), NOW + timedelta(days=99), Words(ko="가", en="a")
    ca = x509.root(x509.Subject("CA"), VOICE, serial=1, not_before=day, not_after=soon)
    who = x509.Subject("Shop", organization="Shop", country="KR")
    der = x509.leaf(x509.Profile.ACCESS, who, VOICE.key, ca=VOICE, ca_der=ca, serial=2, not_before=day, not_after=soon)
    asks = publish.Purpose(id="adult", name=both, why=both, legal_basis=both, items=("adult",), retention=both)
    shop = publish.RelyingParty(id="shop", name=both, x509_hash=x509.x509_hash(der), purposes=(asks,))
    access = publish.AccessAuthority(id="access", name=both, ca=(ca,))
    return der, publish.TrustList.of([shop, access], seq=1, now=NOW, life=timedelta(days=1))


READER, LISTED = _listed()
LAND = Elsewhere("brainpoolP384r1", root=P320)
P320_ANCHORS = x509.Anchors([LAND.root], curves.ISO)
WANTED = Want(DOCTYPE, NAMESPACE, ("age_over_18",))
READING = Reading(Phone(proximity.EphemeralKey(b"\2" * 48), None).text, b"\1" * 48, curves.ISO)
ELSEWHERE = Trusted((Issuer("elsewhere", P320_ANCHORS, None, None, None, None, None),))
LOOSE = Leniency(without_status=True)
SIGNERS = tuple(Writer(curve, "document signer").public for curve in ("secp384r1", P320, "Ed25519"))
KOREA = parse_country(country_tree("kr"))
LINT = lint.rules_of(country_tree("kr", "lint"))


ASKED = checking.FILE["usual"]["asked"]


class Broken(Exception):
    """A parser took something and did not give it back."""


def target(work: Target) -> Target:
    TARGETS[work.__name__] = work
    return work


def run(name: str, data: bytes) -> None:
    """One input against one target. Raises for whatever a parser may not do."""
    try:
        TARGETS[name](data)
    except Refused:
        return


def same(again: Any, before: Any) -> None:
    if again != before:
        raise Broken(f"read {before!r}, wrote {again!r}"[:500])


def text(data: bytes) -> str:
    """As it comes from a form or a QR code: any text, half surrogate pairs included."""
    return data.decode("utf-8", "surrogateescape")


def wrapped(header: dict[str, Any], payload: bytes) -> str:
    return f"{b64u(json.dumps(header).encode())}.{b64u(payload)}.{b64u(bytes(64))}"


# --- JOSE -------------------------------------------------------------------------------------------------------------


@target
def base64url(data: bytes) -> None:
    same(jose.b64u(jose.unb64u(data)).encode(), data)


@target
def json_value(data: bytes) -> None:
    """What is taken means the same to the standard library's decoder, which shows every member, also a second one.
    Numbers beyond 64 bits are floats to ours."""
    value = jose.decode_json_value(data)
    same(json.loads(data, object_pairs_hook=_once, parse_int=_number), value)


def _number(digits: str) -> int | float:
    value = int(digits) if len(digits) < 99 else float(digits)
    return value if -(2**63) <= value < 2**64 else float(digits)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Broken("a member came twice")
    return dict(pairs)


@target
def jwk(data: bytes) -> None:
    key = jose.PublicKey.from_jwk(jose.decode_json_value(data))
    same(jose.PublicKey.from_jwk(key.jwk), key)
    key.crypto.public_numbers()
    same(len(key.thumbprint), 43)


@target
def point(data: bytes) -> None:
    key = jose.PublicKey.from_point(data)
    same(jose.PublicKey.from_crypto(key.crypto), key)


@target
def jws(data: bytes) -> None:
    token = jose.Jws.parse(data, typ=("a+jwt", "dc+sd-jwt", "statuslist+jwt", "vector+jwt"))
    same(token.encode().encode(), data)
    _each(token.claims, lambda: token.x5c, lambda: token.jwk, lambda: token.kid)
    jose.check_times(token.claims(), NOW)


@target
def jws_header(data: bytes) -> None:
    token = jose.Jws.parse(f"{b64u(data)}.e30.{b64u(bytes(64))}", typ="a+jwt")
    _each(lambda: token.x5c, lambda: token.jwk, lambda: token.kid)


@target
def jws_of_several(data: bytes) -> None:
    for one in jws_json.read(data, typ="a+jwt"):
        one.jws.claims()


@target
def jwe_message(data: bytes) -> None:
    _each(lambda: jwe.decrypt(text(data), KEY).claims())
    jwe.decrypt(text(data), KEY, inflate=True)


@target
def jwe_header(data: bytes) -> None:
    message = f"{b64u(data)}..{b64u(bytes(12))}.{b64u(bytes(20))}.{b64u(bytes(16))}"
    _each(lambda: jwe.decrypt(message, KEY))
    jwe.decrypt(message, KEY, inflate=True)


@target
def jwe_key(data: bytes) -> None:
    jwe.encrypt(b"{}", jose.decode_json(data))


def _each(*calls: Callable[[], Any]) -> None:
    """Each may refuse; the next is asked all the same."""
    for call in calls:
        try:
            call()
        except Refused:
            continue


# --- SD-JWT -----------------------------------------------------------------------------------------------------------


@target
def sd_jwt_compact(data: bytes) -> None:
    shown = sd_jwt.SdJwt.parse(text(data))
    same(shown.encode(), text(data))
    _open(shown)


@target
def sd_jwt_json(data: bytes) -> None:
    shown = sd_jwt.SdJwt.from_json(data)
    same(sd_jwt.SdJwt.from_json(json.dumps(shown.to_json())).encode(), shown.encode())
    _open(shown)


@target
def sd_jwt_inside(data: bytes) -> None:
    """Lines: the payload, then disclosures. `#0#` stands for the digest of the first, in the payload and in others."""
    payload, *inner = data.split(b"\n")[:40]
    disclosures: list[str] = []
    for at in reversed(range(len(inner))):
        made = b64u(inner[at])
        disclosures.insert(0, made)
        digest = b64u(hashlib.sha256(made.encode()).digest()).encode()
        payload = payload.replace(b"#%d#" % at, digest)
        inner[:at] = [one.replace(b"#%d#" % at, digest) for one in inner[:at]]
    token = wrapped({"alg": "ES256", "typ": "dc+sd-jwt"}, payload)
    _open(sd_jwt.SdJwt.parse("~".join([token, *disclosures, ""])))


def _open(shown: sd_jwt.SdJwt) -> None:
    claims = shown.peek()
    paths = shown.paths()
    same(len(paths) <= len(shown.disclosures), True)
    for path in paths:
        if not dcql.find(claims, path):
            raise Broken(f"nothing stands at {path}")
    _each(lambda: sd_jwt.holder_key(claims), lambda: shown.x5c)


@target
def type_metadata(data: bytes) -> None:
    """Lines: documents, the first of the type asked for, each next what the one before it may extend."""
    documents = data.split(b"\n")
    first = types.TypeMetadata.parse(documents[0])
    found = {types.TypeMetadata.parse(one).vct: one for one in reversed(documents)}
    whole = types.resolve(first.vct, lambda vct: found.get(vct, documents[0]))
    claims = {"name": "x", "address": {"street": 1}, "nationalities": ["KR"], "vct": first.vct}
    _each(lambda: types.svg_values(claims, whole), lambda: whole.in_language("ko", "en"))
    token = wrapped({"alg": "ES256", "typ": "dc+sd-jwt"}, json.dumps(claims).encode())
    types.must_fit(sd_jwt.SdJwt.parse(f"{token}~"), whole, complete=True)


@target
def integrity(data: bytes) -> None:
    types.must_match(b"document", text(data))


# --- status lists -----------------------------------------------------------------------------------------------------


@target
def status_token(data: bytes) -> None:
    token = status.StatusToken.parse(data, unpacked=2**20)
    again = token.encode()
    same(again if isinstance(again, bytes) else again.encode(), data)
    _each(lambda: token.x5c, lambda: token.check(KEY.public, token.uri, NOW))


@target
def status_claims(data: bytes) -> None:
    token = status.StatusToken.parse(wrapped({"alg": "ES256", "typ": "statuslist+jwt"}, data), unpacked=2**20)
    if token.list.size:
        token.list.read(token.list.size - 1)


@target
def status_cwt(data: bytes) -> None:
    """The inside of a token in CBOR."""
    protected = cbor.dumps({1: cose.ES256, 16: status.TYPE_CWT})
    token = status.StatusToken.parse(b"\xd2" + cbor.dumps([protected, {}, data, bytes(64)]), unpacked=2**20)
    for moment in (token.issued_at, token.expires_at, token.ttl):
        same(moment is None or math.isfinite(moment), True)


@target
def status_lists(data: bytes) -> None:
    status.read_aggregation(data)


@target
def status_epoch(data: bytes) -> None:
    same(epoch.Epoch.parse(data, unpacked=2**20).encode(), data)


@target
def status_delta(data: bytes) -> None:
    """What can be read can be put on an epoch, or is refused there."""
    step = epoch.Delta.parse(data, unpacked=2**20)
    same(step.encode(), data)
    lists = (epoch.EpochList.of(f"{step.prefix}a", status.StatusList.of(2, 64, [(1, 1)])),)
    old = epoch.Epoch("issuer:issuer", step.prefix, step.since, 0, 0, lists)
    same(epoch.applied(old, step).root, step.root)


@target
def status_reference(data: bytes) -> None:
    reference = status.StatusRef.parse(jose.decode_json_value(data))
    same(status.StatusRef.parse(reference.claim()), reference)


# --- the trust log ----------------------------------------------------------------------------------------------------


@target
def log_note(data: bytes) -> None:
    note = Note.parse(data)
    same(note.encode(), data)
    _each(lambda: Checkpoint.parse(note.text), lambda: note.with_(data.rpartition(b"\n\n")[2]))


@target
def log_add_checkpoint(data: bytes) -> None:
    """What anybody may send to a witness."""
    same(Asked.parse(data).encode(), data)


@target
def log_checkpoint(data: bytes) -> None:
    same(Checkpoint.parse(data).body(), data)


@target
def log_key(data: bytes) -> None:
    key = VerifierKey.parse(text(data))
    same(key.encode(), text(data))
    line = f"\N{EM DASH} {key.name} {_b64(key.id + bytes(72))}\n"
    _each(lambda: key.signed(Note.parse(f"x\n1\nAA\n\n{line}".encode())))


@target
def log_policy(data: bytes) -> None:
    policy = Policy.parse(data)
    same(policy.encode(), data)
    for log in policy.logs:
        root = _b64(bytes(32))
        body = f"{log.name}\n1\n{root}\n\n\N{EM DASH} {log.name} {_b64(log.id + bytes(64))}\n"
        _each(lambda body=body: policy.met(Note.parse(body.encode())))  # type: ignore[misc]


@target
def log_proof(data: bytes) -> None:
    proven = proof.TlogProof.parse(data)
    same(proven.encode(), data)
    proven.verify(b"entry", Policy.parse("quorum none\n"))


@target
def log_bundle(data: bytes) -> None:
    """The first byte says how many entries there should be."""
    width = data[0] + 1 if data else 1
    same(tiles.bundle(tiles.unbundle(data[1:], width)), data[1:])


@target
def log_tile_path(data: bytes) -> None:
    tile = tiles.Tile.parse(text(data))
    same(tile.path(), text(data))
    same(tile.start < tile.end, True)


@target
def log_entry(data: bytes) -> None:
    entry = Entry.parse(data)
    same(entry.encode(), data)
    _each(lambda: State().fold(entry.log, data))


@target
def log_frontier(data: bytes) -> None:
    frontier = Frontier.parse(data)
    same(frontier.encode(), data)
    frontier.root()


@target
def log_statement(data: bytes) -> None:
    said = statement.read(text(data))
    same(said.act(statement.digest(text(data))).NAME, said.act_name)


@target
def log_statement_inside(data: bytes) -> None:
    """The payload, signed as it should be."""
    token = statement.smaller(jose.sign_jws(VOICE, {"typ": statement.TYP, "jwk": VOICE.jwk}, data))
    said = statement.read(token)
    same(statement.must_say(token, said.act(statement.digest(token))), said)


@target
def log_act(data: bytes) -> None:
    value = jose.decode_json_value(data)
    same(acts.encode(acts.parse(value)), value)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# --- CBOR, COSE, mdoc -------------------------------------------------------------------------------------------------


@target
def cbor_value(data: bytes) -> None:
    value = cbor.loads(data, deterministic=True)
    same(cbor.dumps(value), data)


@target
def cbor_any(data: bytes) -> None:
    cbor.loads(data)


@target
def cose_sign1(data: bytes) -> None:
    signed = cose.Sign1.parse(cbor.loads(data))
    same(cose.Sign1.parse(signed.encode()), signed)
    _each(lambda: signed.x5chain, lambda: signed.verify(KEY.public), lambda: signed.verify(KEY.public, payload=b"x"))


@target
def cose_mac0(data: bytes) -> None:
    tagged = cose.Mac0.parse(cbor.loads(data))
    same(cose.Mac0.parse(tagged.encode()), tagged)


@target
def cose_key(data: bytes) -> None:
    key = cose.key_from_cose(cbor.loads(data))
    same(cose.key_from_cose(cose.key_to_cose(key)), key)


@target
def curve_key(data: bytes) -> None:
    key = curves.key_from_cose(cbor.loads(data))
    if isinstance(key, curves.CurveKey):
        same(curves.key_from_cose(key.cose()), key)
        _each(lambda: key.verify(bytes(key.curve.signature), b"m"), lambda: key.companion(bytes(48)).agree(key))


@target
def curve_response(data: bytes) -> None:
    response = DeviceResponse.parse(data, algorithms=curves.ISO)
    same(response.encode(), data)
    for document in response.documents:
        _each(document.issuer_signed.peek, lambda one=document: one.check_device(b"\x83\xf6\xf6\xf6"))  # type: ignore[misc]


@target
def mdoc_issuer_signed(data: bytes) -> None:
    signed = IssuerSigned.parse(data)
    same(signed.encode(), data)
    _each(signed.peek, lambda: signed.x5chain, lambda: signed.names, lambda: signed.open(KEY.public))


@target
def mdoc_mso(data: bytes) -> None:
    Mso.parse(data)


@target
def mdoc_item(data: bytes) -> None:
    same(Item.parse(cbor.loads(cbor.embed(data))).raw, cbor.embed(data))


@target
def mdoc_response(data: bytes) -> None:
    response = DeviceResponse.parse(data)
    same(response.encode(), data)
    for document in response.documents:
        _each(document.issuer_signed.peek, lambda one=document: one.check_device(b"\x83\xf6\xf6\xf6"))  # type: ignore[misc]


@target
def mdoc_request(data: bytes) -> None:
    asked = DeviceRequest.parse(data)
    same(asked.encode(), data)
    for one in asked.requests:
        _each(lambda one=one: one.x5chain)  # type: ignore[misc]


@target
def engagement(data: bytes) -> None:
    same(proximity.DeviceEngagement.parse(data).encode(), data)


@target
def engagement_elsewhere(data: bytes) -> None:
    """The code of a phone of anywhere, up to the keys of the session."""
    reading = Reading(proximity.uri(data), bytes(48), curves.ISO)
    same(reading.engagement.encode(), data)
    key = reading.engagement.key
    _each(lambda: proximity.Session.of_reader(reading._key, key, reading.transcript))


@target
def read_elsewhere(data: bytes) -> None:
    """What a phone of anywhere showed, opened, by all that the command checks without a network."""
    conclude(examine_answer({"mdoc": [jose.b64u(data)]}, READING.asked(WANTED), ELSEWHERE, NOW, LOOSE), {}, NOW)


@target
def status_elsewhere(data: bytes) -> None:
    """A list of another country in either form, by each of its signers' keys."""
    token = status.StatusToken.parse(data, unpacked=2**20, algorithms=curves.ISO)
    again = token.encode()
    same(again if isinstance(again, bytes) else again.encode(), data)
    _each(lambda: token.x5c, *(lambda key=key: token.check(key, token.uri, NOW) for key in SIGNERS))  # type: ignore[misc]


@target
def curve_jwk(data: bytes) -> None:
    key = curves.key_from_jwk(jose.decode_json_value(data))
    if isinstance(key, curves.CurveKey):
        same(curves.key_from_cose(key.cose()), key)
        _each(lambda: key.verify(bytes(key.curve.signature), b"m"))


@target
def certificate_elsewhere(data: bytes) -> None:
    """An authority of a file, or what one of them has signed; keys on brainpoolP320r1 are cut out by hand."""
    _each(lambda: x509.check_chain((data,), P320_ANCHORS, NOW, None))
    x509.by_authority([data], curves.ISO)


@target
def session_establishment(data: bytes) -> None:
    same(proximity.Establishment.parse(data).encode(), data)


@target
def session_data(data: bytes) -> None:
    same(proximity.SessionData.parse(data).encode(), data)


@target
def qr_text(data: bytes) -> None:
    """Whatever a camera reads: a device's engagement, an offer, a request."""
    said = text(data)
    _each(lambda: offer.read_link(said), lambda: request.read_link(said))
    same(proximity.uri(proximity.from_uri(said)), said)


# --- certificates -----------------------------------------------------------------------------------------------------


@target
def certificate(data: bytes) -> None:
    _each(lambda: x509.unvouched((data,), NOW), lambda: x509.Anchors([data]))
    x509.leaf_key(data)


# --- questions and protocol messages ----------------------------------------------------------------------------------


@target
def dcql_query(data: bytes) -> None:
    query = dcql.parse(jose.decode_json_value(data))
    query.answered_by([one.id for one in query.queries])
    for one in query.queries:
        one.selects({"name": ["a", {"b": None}], "org.iso.18013.5.1": {"name": 1}})
    _each(lambda: fit.read_token({one.id: ["x"] for one in query.queries}, query))


@target
def vp_token(data: bytes) -> None:
    query = dcql.parse({"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}}]})
    fit.read_token(jose.decode_json(data).get("vp_token"), query)


@target
def oid4vp_answer(data: bytes) -> None:
    fields = {name: str(value) for name, value in jose.decode_json(data).items()}
    oid4vp.read_answer(fields, KEY, state="s")


@target
def oid4vp_answer_inside(data: bytes) -> None:
    oid4vp.read_answer({"response": jwe.encrypt(data, {**KEY.public.jwk, "kid": "k"})}, KEY, state="s")


@target
def oid4vci_offer(data: bytes) -> None:
    offer.read_offer(data)


@target
def oid4vci_metadata(data: bytes) -> None:
    value = jose.decode_json(data)
    base = "https://i.example"
    _each(lambda: metadata.read_issuer(value, base), lambda: metadata.read_server(value, base))


@target
def redirect(data: bytes) -> None:
    """What a browser brings back from the authorization endpoint (RFC 6749 4.1.2)."""
    authorization.read_redirect(text(data))


@target
def transaction_data(data: bytes) -> None:
    query = dcql.parse({"credentials": [{"id": "a", "format": "dc+sd-jwt", "meta": {"vct_values": ["v"]}}]})
    raw = jose.decode_json_value(data)
    inside = [b64u(json.dumps(one).encode()) for one in raw] if isinstance(raw, list) else raw
    _each(lambda: transaction.read_all(raw, query))
    transaction.read_all(inside, query)


@target
def oid4vci_proofs(data: bytes) -> None:
    proofs = jose.decode_json(data).get("proofs")
    if proofs is None or isinstance(proofs, dict):  # the Struct at the door lets nothing else through
        _each(lambda: oid4vci.check_proofs(proofs, _rules(attested=True)))
        oid4vci.check_proofs(proofs, _rules(attested=False))


def _rules(*, attested: bool) -> oid4vci.ProofRules:
    return oid4vci.ProofRules("https://i.example", "c", 10, attested, Attesters([], "home"), lambda nonce: True, NOW)


@target
def registry_document(data: bytes) -> None:
    """What a replica is handed for a digest the log names."""
    entry = entries.read_document(data)
    assert entries.document(entry, jose.decode_json(data)["change"]) == data


@target
def purposes_document(data: bytes) -> None:
    """Its inside, by the key of whoever publishes it: a stolen list key must not break a phone either."""
    token = jose.sign_jws(VOICE, {"typ": purposes.TYPE}, data)
    read = purposes.PurposesDocument.parse(token, VOICE.key, NOW)
    same(purposes.PurposesDocument.parse(read.sign(VOICE), VOICE.key, NOW), read)


@target
def unsigned_request(data: bytes) -> None:
    """A whole request in a link that nobody signed: what is answered asks yes or no, and answers home."""
    asked = request.read_link(data.decode("utf-8", "replace"))
    if isinstance(asked, request.Unsigned):
        read = unsigned.open_request(asked, purposes.PurposesDocument.of(KOREA, NOW))
        assert read.purpose is not None and KOREA.purposes[read.purpose.id].anyone and not read.transactions
        assert isinstance(read.way, request.DirectPost) and read.audience == f"redirect_uri:{read.way.uri}"


@target
def privacy_wish(data: bytes) -> None:
    """What a phone asks of a relying party."""
    try:
        wish = msgspec.json.decode(data, type=privacy.Wish)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused(Code.MALFORMED) from None
    privacy.must_be_sound(wish, KOREA.purposes.get(wish.purpose), NOW, ended=wish.purpose.startswith("own_"))
    assert 0 < len(wish.words) <= privacy.WORDS and wish.purpose in KOREA.purposes


@target
def complaint(data: bytes) -> None:
    """A registered party's request as somebody reports it: its inside may be anything."""
    token = jose.sign_jws(VOICE, {"typ": complaints.TYPE, "x5c": jose.x5c_header((READER,))}, data)
    party, purpose, items = complaints.beyond(token, LISTED, NOW)
    assert party == "shop" and len(purpose) <= 64 and all(len(item) <= 64 for item in items)


@target
def rp_application(data: bytes) -> None:
    """What a stranger applies with: read, linted, and where nothing stops it the entry it stands for."""
    made = application.read(data)
    same(application.read(msgspec.json.encode(made)), made)
    if not any(one.stops for one in lint.lint(made, KOREA, LINT)):
        entries.must_be_sound(application.entry(made, jose.b64u(bytes(32)), KOREA))


@target
def rp_registration(data: bytes) -> None:
    """The inside of a registration certificate, sealed by the key of the list."""
    token = jose.sign_jws(VOICE, {"typ": registration.TYPE}, data)
    said = registration.parse(token, VOICE.key, NOW)
    entries.must_be_sound(said.party)


@target
def rp_key_request(data: bytes) -> None:
    """What an applicant pastes for a key of its own."""
    assert len(ca_requests.read_access(data.decode("ascii", "replace"), NOW).thumbprint_raw) == 32


@target
def ca_request(data: bytes) -> None:
    """What is carried to the authority's machine."""
    said, key = ca_requests.read(data.decode("ascii", "replace"))
    assert len(key.thumbprint_raw) == 32 and said.subject.name()


@target
def trust_signers(data: bytes) -> None:
    """Inside a signed trust list."""
    try:
        said = msgspec.json.decode(data, type=tuple[list[signers.Signer], list[signers.RevokedReader]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(Code.MALFORMED, "not signers") from None
    signers.must_be_sound(*said)
    entered = signers.Signers(said[0])
    _each(lambda: entered.standing(b"", signers.Purpose.DOCUMENT_SIGNER, NOW))


@target
def evm_answer(data: bytes) -> None:
    """What a node of the log's network says: events, a head, a refusal."""
    try:
        said = rpc.read(data, 1)
    except rpc.NodeRefused as no:
        raise chain.refusal(no) from None
    if not isinstance(said, list):
        contract.head(said)
    for event in said if isinstance(said, list) else ():
        found = contract.appended(event)
        same(int.from_bytes(found.entry[:32], "big"), found.index)


@target
def pack_file(data: bytes) -> None:
    read = pack.read(data)
    same(pack.read(read.encode()).id, read.id)


@target
def pack_manifest(data: bytes) -> None:
    """Inside the publisher's signature."""
    same(pack.Manifest.parse(data).encode(), data)


@target
def pack_delta(data: bytes) -> None:
    """Onto the pack that a checker has."""
    pack.apply(PACK, data)


@target
def pack_epoch(data: bytes) -> None:
    same(EpochHead.parse(data).encode(), data)


@target
def oid4vci_request(data: bytes) -> None:
    jose.decode_json(data)
    try:
        asked = msgspec.json.decode(data, type=oid4vci.CredentialRequest)
    except msgspec.DecodeError:  # as the door does
        return
    _each(lambda: asked.configuration((), {"id": "card"}))
    asked.configuration(("card",), {})


@target
def face_burst(data: bytes) -> None:
    same(Burst.parse(data).encode(), data)


@target
def face_picture(data: bytes) -> None:
    """As the worker decodes it, in its 1 GiB; a reason of the closed list is its refusal."""
    try:
        size, pixels = pictures.size_of(data), pictures.open_picture(data, 64)
    except pictures.Unfit as unfit:
        raise Refused(Code.PHOTO_REFUSED, unfit.reason.value) from None
    if max(pixels.shape[:2]) > 64 or pixels.shape[2] != 3 or not all(size):
        raise Broken(f"a picture of {size} came out as {pixels.shape}")


@target
def face_answer(data: bytes) -> None:
    """Of a worker that somebody has taken over."""
    try:
        answer = talk.read_answer(data)
    except ValueError:
        raise Refused(Code.MALFORMED) from None
    same(talk.read_answer(talk.write(answer)), answer)


@target
def form_with_files(data: bytes) -> None:
    """The first line is the content type, the rest the body."""
    kind, _, raw = data.partition(b"\n")
    sent = multipart.parse(kind.decode("latin-1"), raw)
    for text in sent.fields.values():
        text.encode()


# --- the chip of a physical card ----------------------------------------------------------------------------------

CHIPS = chips.State()
CHIP_FILES = chips.groups(chips.chip_key())
CHIP_LISTS = (CHIPS.list(5), CHIPS.list(5, 6, at=NOW))
CHIP_ANCHORS = passive.Anchors([CHIPS.csca], CHIP_LISTS)
CHIP_KEYS = Keys.of(b"fuzz")
CHIP_READ = Command(0, 0xB0, 0, 0, b"", 223)


@target
def chip_tlv(data: bytes) -> None:
    same(tlv.join(tlv.read(data)), data)


@target
def chip_command(data: bytes) -> None:
    same(Command.parse(data).encode(), data)


@target
def chip_point(data: bytes) -> None:
    for curve in CURVES.values():
        try:
            found = curve.read(data)
        except Refused:
            continue
        same(found.encode(), data)
        return
    raise Refused(Code.MALFORMED, "on neither curve")


@target
def chip_protected_command(data: bytes) -> None:
    """The first of a channel."""
    command = ChipChannel(CHIP_KEYS).open(Command.parse(data))
    same(TerminalChannel(CHIP_KEYS).wrap(command).data, Command.parse(data).data)


@target
def chip_protected_answer(data: bytes) -> None:
    channel = TerminalChannel(CHIP_KEYS)
    channel.wrap(CHIP_READ)
    channel.unwrap(Response.parse(data))


@target
def chip_sod(data: bytes) -> None:
    """Its form first: what passes that is the only encoding of what it says."""
    same(Sod.parse(data).encode(), data)
    passive.check(data, CHIP_FILES, CHIP_ANCHORS, NOW)


@target
def chip_authority(data: bytes) -> None:
    passive.Anchors([data], [])


@target
def chip_list(data: bytes) -> None:
    passive.Anchors([CHIPS.csca], [data])


@target
def chip_protocols(data: bytes) -> None:
    """EF.CardAccess."""
    infos.read_card_access(data)
    infos.must_match(data, CHIP_FILES[14])


@target
def chip_dg1(data: bytes) -> None:
    same(lds.dg1(lds.read_dg1(data)), data)


@target
def chip_dg2(data: bytes) -> None:
    same(lds.dg2(lds.read_dg2(data)), data)


@target
def chip_dg11(data: bytes) -> None:
    same(lds.Details.parse(data).encode(), data)


@target
def chip_dg14(data: bytes) -> None:
    same(infos.dg14(infos.read_dg14(data)), data)


@target
def chip_conversation(data: bytes) -> None:
    """Commands in a row to a chip nobody has shown a PIN: each behind its length."""
    tap = taps.Tap()
    accepted = False
    while data:
        command, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        answer = Response.parse(tap.reader.transmit(command))
        if answer.data and answer.data not in tap.access and answer.data[:1] != b"\x7c":
            raise Broken(f"the chip said {answer.data.hex()} to {command.hex()}")
        accepted |= answer.sw in (0x9000, 0x6282)
    same(tap.memory.state, tap.memory.image.first)
    if not accepted:
        raise Refused(Code.CHIP_REFUSED, "nothing was accepted")


@target
def terminal_conversation(data: bytes) -> None:
    """A card that answers these, each behind its length, when its first file is read; then it is gone."""
    talk = terminal.read_card_access()
    next(talk)
    try:
        while data:
            answer, data = data[1 : 1 + data[0]], data[1 + data[0] :]
            talk.send(answer)
    except StopIteration as end:
        same(tlv.join(tlv.read(end.value)), end.value)
        return
    raise Refused(Code.UNAVAILABLE, "the card is gone")


# --- the line between a card helper and the issuer --------------------------------------------------------------------


@target
def tap_link(data: bytes) -> None:
    """What a scanner reads off a wallet's screen."""
    link = tapping.Link.parse(text(data))
    same(f"{link.base}/tap#{link.secret}", text(data).strip())


@target
def helper_message(data: bytes) -> None:
    """Whatever a stranger says on the line: of the one type that may come next, or nothing."""
    heard = 0
    for kind in (remote.Hello, remote.Shown, remote.Authenticated, remote.Answer):
        try:
            said = read_message(data, kind)
        except Refused as refused:
            last = refused
            continue
        same(read_message(msgspec.json.encode(said), kind), said)
        heard += 1
    if not heard:
        raise last


@target
def issuer_message(data: bytes) -> None:
    """And whatever an issuer that is none says to a helper."""
    said = tapping.read(data, tapping.Ready, "ready")
    assert isinstance(said.asks.new_phone, bool)


# --- near each other ----


@target
def ble_pieces(data: bytes) -> None:
    """Writes of another device, a length before each: what is put together was sent, and is taken apart again."""
    joiner, at, whole = ble.Joiner(), 0, b""
    while at < len(data):
        size = data[at]
        piece, at = data[at + 1 : at + 1 + size], at + 1 + size
        message = joiner.add(piece)
        whole += piece[1:]
        if message is not None:
            same(message, whole)
            again = ble.Joiner()
            *others, last = [again.add(piece) for piece in ble.pieces(message, 23)] or [None]
            assert not any(others) and (last or b"") == message
            return
    raise Refused(Code.MALFORMED, "the message has no end")


# --- questions over HTTP ---------------------------------------------------------------------------------------


@target
def api_body(data: bytes) -> None:
    """What a shop's server or a page puts to the API."""
    request_ = Request({"type": "http", "method": "POST", "path": "/v1/checks", "headers": []})
    read = []
    for kind in (api_types.Ask, api_types.AskAnyone, api_types.Redeem, api_types.Type):
        with contextlib.suppress(Refused):
            read.append(json_message(request_, data, kind))
    if not read:
        raise Refused(Code.MALFORMED)
    for one in read:
        same(msgspec.json.decode(msgspec.json.encode(one), type=type(one)), one)


# --- offline codes ----------------------------------------------------------------------------------------------------


@target
def ask_text(data: bytes) -> None:
    """What a phone's camera reads off a shop's screen."""
    same(qr.Ask.parse(text(data)).encode(), text(data))


@target
def ask_inside(data: bytes) -> None:
    code = qr.ASK + base45.encode(data)
    read = qr.Ask.parse(code)
    same(read.raw, data)
    same(qr.Ask.parse(read.encode()), read)


@target
def show_text(data: bytes) -> None:
    """One frame that a shop's camera reads off a phone."""
    same(qr.Frame.parse(text(data)).encode(), text(data))


@target
def show_whole(data: bytes) -> None:
    read = qr.Show.parse(data)
    same(read.encode(), data)
    same(qr.join(read.frames()), read)


@target
def show_folded(data: bytes) -> None:
    whole = qr.unfold(data)
    assert len(whole) <= qr.LIMIT
    same(qr.unfold(qr.fold(whole)), whole)


@target
def show_frames(data: bytes) -> None:
    """A camera that sees whatever it likes: a line each. It keeps no more than it may, and a list of the same frames
    says the same, or is refused."""
    collector, last = qr.Collector(), Refused(Code.MALFORMED, "nothing was whole")
    for line in text(data).split("\n"):
        try:
            found = collector.add(line)
        except Refused as refused:
            last = refused
            continue
        have, count = collector.progress
        assert have <= count <= qr.MAX_FRAMES and len(collector._seen) <= qr.MAX_SEQUENCES
        if found is not None:
            same(qr.Show.parse(found.encode()), found)
            return
    raise last


@target
def shown_code(data: bytes) -> None:
    """A phone's code by all six steps: never an exception, never a yes but to what the issuer signed."""
    show = qr.Show.parse(data)
    given = {"purpose": "adult", "by": "code", "asked": ASKED, "asked_at": NOW.timestamp(), "age": 0}
    verdict = checking.judged(given | {"now": NOW.timestamp() + 9, "show": show})
    if verdict.code is not None:
        raise Refused(verdict.code, verdict.detail, step=verdict.step)
    assert verdict.items == {"age_over_19": verdict.outcome == "accepted"} and verdict.step is None


@target
def till_report(data: bytes) -> None:
    """What a till says it has done without a network, for a receipt in its shop's name."""
    opened = _till()
    try:
        said = msgspec.json.decode(data, type=till_receipts.Reported)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused(Code.MALFORMED) from None
    access: Any = Access(VOICE, (READER,))  # type: ignore[arg-type]  # whoever signs
    made = till_receipts.signed(said, LISTED.relying_party("shop"), access, opened, packed.NOW)
    read = receipt.read(made)
    assert read.receipt.asked_by == "shop" and read.receipt.items == ("adult",)


@cache
def _till() -> Opened:
    nation = packed.small()
    return open_pack(nation.pack(), nation.pinned)


@target
def receipt_text(data: bytes) -> None:
    """A receipt somebody brings along, signed or not."""
    read = receipt.read(data)
    same(read.jws.encode().encode() if read.jws is not None else read.receipt.encode(), data)


# --- paper, and services outside --------------------------------------------------------------------------------------


@target
def base45_text(data: bytes) -> None:
    same(base45.encode(base45.decode(text(data))), text(data))


@target
def paper_text(data: bytes) -> None:
    """What a scanner types into the checker's page."""
    same(paper.Signed.parse(text(data)).encode(), text(data))


@target
def paper_inside(data: bytes) -> None:
    """Under the code's own alphabet: the seal and everything in it."""
    code = paper.PREFIX + base45.encode(data)
    read = paper.Signed.parse(code)
    same(read.encode(), code)
    _each(lambda: read.verify(VOICE.key))


@target
def paper_payload(data: bytes) -> None:
    """Under a signature that holds."""
    same(paper.Paper.read(data).payload(), data)


# --- meeting over a relay ---------------------------------------------------------------------------------------------

MEETING = jwe.DecryptionKey.from_jwk(
    {name: value for name, value in jwe.private_jwk(b"meet" * 12, "").items() if name != "kid"}
)
MEET_CODE = meet.MeetCode.make("https://id.example/relay", bytes(16), MEETING.public, NOW)


@target
def meet_code(data: bytes) -> None:
    """What a till's scanner types, of anybody's phone."""
    read = meet.MeetCode.parse(text(data))
    same(read.encode(), text(data))
    _each(lambda: read.must_be_live(NOW))


@target
def meet_code_inside(data: bytes) -> None:
    """Under base45."""
    code = meet.PREFIX + base45.encode(data)
    same(meet.MeetCode.parse(code).encode(), code)


@target
def meet_request(data: bytes) -> None:
    """What lies in a phone's mailbox."""
    meet.unseal(data, MEETING, MEET_CODE)


@target
def meet_answer(data: bytes) -> None:
    """What lies in a shop's."""
    read = meetings.read_form(data)  # nothing is a form without fields, which answers no question
    same(dict(parse_qsl(urlencode(read), keep_blank_values=True)), read)


# --- the Korean message family ----------------------------------------------------------------------------------------


@target
def mip_request(data: bytes) -> None:
    """What arrives at the gateway's doors."""
    mip.body(data)


@target
def mip_message(data: bytes) -> None:
    """Under base64: every message a phone sends, each by its own rules."""
    said = mip.body(json.dumps({"data": b64u(data)}).encode())
    taken = []
    for cmd, asked in (("310", "profile"), ("320", "image"), ("400", "presentation"), ("900", None)):
        with contextlib.suppress(Refused):
            taken.append(mip.header(said, cmd, asked))
    if not taken:
        raise Refused(Code.MALFORMED)


@target
def mip_vp(data: bytes) -> None:
    read = mip.Vp.parse(jose.decode_json(data))
    same(mip.Vp.parse(read.encode()), read)


@target
def mip_code(data: bytes) -> None:
    """M200 or M120: what a code, a push or a link holds."""
    try:
        said: mip.M200 | mip.M120 = mip.M200.parse(b64u(data))
    except Refused:
        said = mip.M120.parse(b64u(data))
    same(type(said).parse(said.encode()), said)


@target
def push_subscription(data: bytes) -> None:
    """Where a phone wants to be woken: what is taken is an address of a push service, at its usual port."""
    endpoint, p256dh, auth = [*text(data).split("\n"), "", ""][:3]
    taken = webpush.Subscription.parse(endpoint, p256dh, auth, services=("push.example", "*.push.example"))
    parts = urlsplit(taken.endpoint)
    if parts.scheme != "https" or parts.port not in (None, 443) or parts.username or parts.fragment:
        raise Broken(taken.endpoint)
    if parts.hostname != "push.example" and not (parts.hostname or "").endswith(".push.example"):
        raise Broken(taken.endpoint)
    same((b64u(taken.key), b64u(taken.auth)), (p256dh, auth))


@target
def push_token(data: bytes) -> None:
    """Who says that a push is theirs (RFC 8292), as the simulated push service reads it."""
    webpush.read_vapid(text(data), "https://push.example", NOW)


@target
def push_token_inside(data: bytes) -> None:
    """The same, by somebody who can sign."""
    header = {"typ": "JWT"}
    signed = jose.sign_jws(VOICE, header, data)
    webpush.read_vapid(f"vapid t={signed}, k={b64u(webpush.point(VOICE))}", "https://push.example", NOW)


@target
def pushed_to(data: bytes) -> None:
    """Whom a relying party means: three spellings, each with one form."""
    name, born, phone = [*text(data).split("\n"), "", ""][:3]
    whom = push.Whom.parse(name, born, phone, KOREA.identity.phone_layout)
    same(push.Whom.parse(whom.name, whom.birth_date.isoformat(), whom.phone, KOREA.identity.phone_layout), whom)


@target
def mip_line(data: bytes) -> None:
    read_message(data, ProxyMessage)


# --- the log-in bridge ------------------------------------------------------------------------------------------------

WORDS = {"ko": "가", "en": "a"}
CLUB = login_client.registered("club", "shop", ["https://club.example/cb"], keys=json.dumps({"keys": [VOICE.key.jwk]}))
OFFERS = {frozenset({"openid"}): msgspec.structs.replace(
    msgspec.convert({"document": "d", "name": WORDS, "why": WORDS, "legal_basis": WORDS, "items": ["n"],
                     "retention": WORDS}, catalog.Purpose), id="log_in")}  # fmt: skip


@target
def login_request(data: bytes) -> None:
    """What a browser brings from any site, in its query or in a form."""
    try:
        pairs = parse_qsl(data.decode("latin-1"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise Refused(Code.MALFORMED, "too many fields") from None
    sent = dict(pairs)
    way = login.way_back(sent, CLUB)
    twice = {name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1}
    asked = login.read(sent, twice, CLUB, OFFERS, frozenset({"openid", "profile"}))
    if way.redirect_uri not in CLUB.redirect_uris or not way.address({"code": "c"}).startswith("https://club.example/"):
        raise Broken(f"a browser is led to {way.redirect_uri!r}")
    if isinstance(asked, login.Wrong):
        raise Refused(Code.INVALID_REQUEST, asked.description)
    same(msgspec.json.decode(msgspec.json.encode(asked), type=login.Asked), asked)


@target
def login_credentials(data: bytes) -> None:
    """An Authorization header, and behind a line's end a form: who a site's server says it is."""
    header, _, form = text(data).partition("\n")
    try:
        fields = dict(parse_qsl(form, keep_blank_values=True, max_num_fields=200))
    except ValueError:
        raise Refused(Code.MALFORMED, "too many fields") from None
    said = login_client.credentials(header or None, fields)
    login_client.must_be_secret(login_client.registered("open", "shop", ["https://club.example/cb"]), said)


@target
def login_assertion(data: bytes) -> None:
    """Under a signature that holds."""
    signed = jose.sign_jws(VOICE, {"kid": VOICE.key.thumbprint}, data)
    said = login_client.Credentials("club", assertion=signed)
    checked = login_client.assertion(CLUB, said, ["https://id.example/login"], NOW)
    if jose.decode_json(data)["sub"] != "club" or len(checked.digest) != 32:
        raise Broken("an assertion of somebody else")


@target
def login_keys(data: bytes) -> None:
    """A site's JWK Set."""
    for key in login_client.read_keys(text(data)).values():
        again: object = RsaKey.from_jwk(key.jwk) if isinstance(key, RsaKey) else jose.PublicKey.from_jwk(key.jwk)
        same(again, key)


@target
def login_address(data: bytes) -> None:
    """Where a site wants its answers: a browser must understand the address as we do."""
    uri = text(data)
    must_be_redirect(uri)
    parts = urlsplit(answer_uri(uri, {"code": "c"}))
    if (
        parts.scheme != urlsplit(uri).scheme
        or parts.netloc != urlsplit(uri).netloc
        or ("code", "c") not in parse_qsl(parts.query)
    ):
        raise Broken(f"{uri!r} leads elsewhere")
    if any(letter in form_target(uri) for letter in " ;,'"):
        raise Broken(f"{uri!r} writes into the page's policy")
    if same_but_for_the_port(uri, "http://127.0.0.1/cb") and (parts.hostname, parts.path) != ("127.0.0.1", "/cb"):
        raise Broken(f"{uri!r} is not on this machine")


@target
def factory_answer(data: bytes) -> None:
    said = calls.read_answer("factory", 200, data, factory_client.Answered)
    read = factory_client.production("order-1", said)
    same(read.at.timestamp(), said.at)
