"""A receipt: that a check was made, by which rule, on what knowledge; of no person.

    {"at": day, "purpose": ..., "items": [..], "rule": digest, "asked_by": party or "anyone", "outcome": ...,
     "registry": {origin, size, root}, "status": [{publisher, prefix, seq, root, entry}]}

It names the state of the log and every publisher's status epoch the checker stood on, all of them whichever card was
shown, and is dated to the day, or to the minute where the shop wants that. A shop with an access key signs it (a JWS
with its certificate); otherwise it is the JSON alone, and proves what the log said, not who says so.

Who verifies one later holds it to a pack of then or later, by the steps
1 `read`      its one shape
2 `seal`      where it is signed: an access certificate of the country, and its signature
3 `rule`      where the rule is at hand: its digest
4 `registry`  the log had that very root at that size
5 `status`    each epoch is the one that was anchored: from the pack where it is still the newest, else from the entry
              it names, which `prover.prove` gets from the log's public files

Promises: nothing in it comes from a presentation: no nonce, no time of the phone, no issuer, no index. Pure. Trusts:
the opened pack. Keeps: nothing. Refuses: MALFORMED, BAD_SIGNATURE, BAD_DIGEST, FORKED, BAD_PROOF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, Signing, b64u, decode_json, sign_jws, unb64u, x5c_header
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain
from mapae.trust.log.entry import Anchored, Entry
from mapae.trust.pack.verify import Opened, Status, root_at, status_name

TYPE: Final = "mapae-receipt+jwt"
LIMIT: Final = 65_536
ANYONE: Final = "anyone"
MOST: Final = 256  # items, publishers
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}Z)?")

Outcome = Literal["accepted", "no", "refused"]
Tier = Literal["full", "marked", "young"]


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The registry log as the checker knew it; `root` in base64url."""

    origin: str
    size: int
    root: str


class StatusEpoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One publisher's lists as the checker knew them: `root` is what it anchored, at `entry` of the anchors log."""

    publisher: str
    prefix: str
    seq: int
    root: str
    entry: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int
    at: str
    asked_by: str
    purpose: str
    items: tuple[str, ...]
    rule: str
    outcome: Outcome
    step: str | None
    code: str | None
    tier: Tier | None
    registry: Registry
    status: tuple[StatusEpoch, ...]

    def encode(self) -> bytes:
        return msgspec.json.encode(self, order="sorted")

    def sign(self, key: Signing, certificate: bytes) -> str:
        """As a compact JWS, by the shop's access key."""
        return sign_jws(key, {"typ": TYPE, "x5c": x5c_header([certificate])}, self.encode())


def rule_digest(rule: Mapping[str, Any] | msgspec.Struct) -> str:
    """Of a registered purpose (`trust.entries.Purpose`), or of what a country pack or a caller asks (`kit.Wanted`)."""
    return b64u(sha256(msgspec.json.encode(msgspec.to_builtins(rule), order="sorted")).digest())


def receipt(
    opened: Opened, *, purpose: str, items: tuple[str, ...], rule: str, outcome: Outcome, now: datetime,
    asked_by: str = ANYONE, step: str | None = None, code: str | None = None, tier: Tier | None = None,
    minute: bool = False,
) -> Receipt:  # fmt: skip
    """For a check on this pack; `kit.receipt_of` fills it in from a verdict, a server from what its page reports."""
    at = now.astimezone(UTC)
    registry, status = heads(opened)
    return Receipt(
        v=1, at=f"{at:%Y-%m-%dT%H:%MZ}" if minute else f"{at:%Y-%m-%d}", asked_by=asked_by, purpose=purpose,
        items=items, rule=rule, outcome=outcome, step=step, code=code, tier=tier, registry=registry, status=status,
    )  # fmt: skip


def heads(opened: Opened) -> tuple[Registry, tuple[StatusEpoch, ...]]:
    """What a receipt names of the pack a check stood on."""
    return _registry(opened), tuple([_epoch(opened, status) for status in opened.statuses])


def _registry(opened: Opened) -> Registry:
    head = opened.registry.checkpoint
    return Registry(head.origin, head.size, b64u(head.root))


def _anchor(opened: Opened, status: Status) -> tuple[int, Anchored]:
    name = status_name(sha256(status.prefix.encode()).digest())
    entry = Entry.parse(opened.pack.named(f"{name}.anchor"))
    assert isinstance(entry.payload, Anchored)  # the pack was opened
    return entry.index, entry.payload


def _epoch(opened: Opened, status: Status) -> StatusEpoch:
    entry, anchored = _anchor(opened, status)
    return StatusEpoch(status.publisher, status.prefix, anchored.seq, b64u(anchored.root), entry)


# --- verifying one ----------------------------------------------------------------------------------------------------


class Read(msgspec.Struct, frozen=True):
    """`certificate`: of whoever signed it (DER), None where nobody did. Nothing is verified yet."""

    receipt: Receipt
    certificate: bytes | None
    jws: Jws | None


class Proven(msgspec.Struct, frozen=True):
    """What held. `later`: epochs the pack has newer ones of, still to be proven from the anchors log (`must_be`)."""

    receipt: Receipt
    signed_by: bytes | None
    later: tuple[StatusEpoch, ...]


def read(raw: str | bytes) -> Read:
    """Step 1. Raises Refused(MALFORMED, TOO_LARGE, UNSUPPORTED)."""
    with step("read"):
        text = raw if isinstance(raw, bytes) else raw.encode()
        if len(text) > LIMIT:
            raise Refused(Code.TOO_LARGE, "too large for a receipt")
        if text.startswith(b"{"):
            return Read(_sound(text), None, None)
        jws = Jws.parse(text, typ=TYPE, limit=LIMIT)
        if len(jws.x5c) != 1:
            raise Refused(Code.MALFORMED, "a receipt is signed with one certificate")
        return Read(_sound(jws.payload), jws.x5c[0], jws)


def verify(
    raw: str | bytes, opened: Opened, *, rule: str | None = None
) -> Proven:  # fmt: skip
    """All steps that a pack alone can answer. Raises Refused with `step`."""
    found = read(raw)
    said = found.receipt
    with step("seal"):
        if found.jws is not None and found.certificate is not None:
            found.jws.verify(_signer(found.certificate, Anchors(opened.trust_list.access_ca), said.at).key)
    with step("rule"):
        if rule is not None and said.rule != rule:
            raise Refused(Code.BAD_DIGEST, "the rule was another one")
    with step("registry"):
        _must_have_been(said.registry, opened)
    with step("status"):
        later = tuple([one for one in said.status if not _is_newest(one, opened)])
    return Proven(said, found.certificate, later)


def _signer(certificate: bytes, anchors: Anchors, at: str) -> Checked:
    """In date on that day: it may have begun, or ended, in the course of it."""
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    last = moment if "T" in at else moment + timedelta(days=1, seconds=-1)
    try:
        return check_chain((certificate,), anchors, moment, Profile.ACCESS)
    except Refused as refused:
        if refused.code is not Code.NOT_YET_VALID:
            raise
        return check_chain((certificate,), anchors, last, Profile.ACCESS)


def must_be(said: StatusEpoch, entry: Entry) -> None:
    """Step 5 for an epoch that is over: `entry` was proven to be in the anchors log, under the number it names."""
    with step("status"):
        anchored = entry.payload
        stream = sha256(said.prefix.encode()).digest()
        if (
            not isinstance(anchored, Anchored)
            or entry.index != said.entry
            or entry.subject != sha256(said.publisher.encode()).digest()
            or (anchored.stream, anchored.seq, b64u(anchored.root)) != (stream, said.seq, said.root)
        ):
            raise Refused(Code.BAD_PROOF, "the log has another epoch under this number")


def _must_have_been(said: Registry, opened: Opened) -> None:
    head = opened.registry.checkpoint
    if said.origin != head.origin:
        raise Refused(Code.BAD_PROOF, "the receipt is of another log")
    if said.size > head.size:
        raise Refused(Code.BAD_PROOF, "the pack is older than the receipt: hold it to a newer one")
    if b64u(root_at(opened.pack, head.size, said.size)) != said.root:
        raise Refused(Code.FORKED, "the log never had this root at this size")


def _is_newest(said: StatusEpoch, opened: Opened) -> bool:
    for status in opened.statuses:
        if status.prefix != said.prefix:
            continue
        entry, anchored = _anchor(opened, status)
        if anchored.seq < said.seq:
            raise Refused(Code.BAD_PROOF, "the pack is older than the receipt: hold it to a newer one")
        if anchored.seq == said.seq:
            if (entry, b64u(anchored.root), status.publisher) != (said.entry, said.root, said.publisher):
                raise Refused(Code.BAD_PROOF, "the publisher has anchored another root under this number")
            return True
    return False


def _sound(raw: bytes) -> Receipt:
    decode_json(raw, limit=LIMIT)  # no member twice
    try:
        said = msgspec.json.decode(raw, type=Receipt)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Refused(Code.MALFORMED, "not a receipt") from None
    digests = [said.rule, said.registry.root, *(one.root for one in said.status)]
    numbers = [said.registry.size, *(number for one in said.status for number in (one.seq, one.entry))]
    texts = [said.asked_by, said.purpose, *said.items, said.step or "", said.code or "", said.registry.origin]
    texts += [text for one in said.status for text in (one.publisher, one.prefix)]
    if said.v != 1:
        raise Refused(Code.UNSUPPORTED, "a receipt of another version")
    if not all(text.isprintable() for text in texts):  # somebody else's file is read at a terminal, which obeys some
        raise Refused(Code.MALFORMED, "a text of the receipt is not one plain line")
    if any(len(unb64u(digest)) != 32 for digest in digests) or not all(0 <= number < 2**63 for number in numbers):
        raise Refused(Code.MALFORMED, "a digest or a number of the receipt is none")
    if not _DAY.fullmatch(said.at) or max(len(said.items), len(said.status)) > MOST or said.encode() != raw:
        raise Refused(Code.MALFORMED, "the receipt is not in its one spelling")
    try:
        datetime.fromisoformat(said.at)
    except ValueError:
        raise Refused(Code.MALFORMED, "the receipt's day is none") from None
    return said
