"""What no credential may be signed with. Runs on the bytes that would be signed, before any key is near.

Promises: the numbered list of `docs/issuing.md` part 2 holds for every copy that passes, and for the batch as a whole.
Trusts: nothing of the draft but its bytes: each copy is read back as a wallet would. Keeps: nothing.
Refuses: with LINT, our own bug, naming the rule and never a value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from mapae.catalog import ClaimValue, Country, MdocFormat, SdJwtFormat
from mapae.errors import Code, Refused, step
from mapae.formats import cbor, mdoc, sd_jwt
from mapae.formats.jose import b64u, decode_json, encode_json, unb64u
from mapae.formats.status import StatusRef
from mapae.issuer.draft import Copy, Draft, json_value

Said = TypeVar("Said", str, bytes)

OPEN_CLAIMS = frozenset({"iss", "iat", "exp", "cnf", "vct", "status", "_sd", "_sd_alg"})
PORTRAIT_LIMIT = 32 * 1024
UNSIGNED = bytes(64)  # stands where the signature will be, so that the copy can be read back
_FULL_DATE = 1004  # RFC 8943
# RFC 9901 4.2.1: `["<salt>",<name>,<value>]`; 24 characters are the 144 bits our drafts salt with. Up to the salt's end
# these are nine whole blocks of base64.
_SALTED = re.compile(rb'\["([A-Za-z0-9_-]{24})"')
_SALTED_TEXT, _SALTED_RAW = 36, 27
# ISO/IEC 18013-5 9.1.2.5, members in their deterministic order: the salt of 24 bytes, then the element's number.
_ELEMENT = re.compile(rb"\xa4\x66random\x58\x18(.{24})\x68digestID([\x00-\x17]|\x18[\x18-\xff])", re.DOTALL)


def lint(draft: Draft, country: Country, issuer: str, now: datetime) -> None:
    """1 all items  2 nothing in the open  3 dates  4 holder's key  5 status  6 sizes  7 type  8 unlinkable."""
    with step("lint_items"):
        _items(draft)
    with step("lint_sizes"):
        _sizes(draft.values)
    with step("lint_dates"):
        _dates(draft, country, now)
    match draft.configuration.format:
        case SdJwtFormat(vct=vct):
            facts, needles = _disclosures(draft.values), _needles(draft.values)
            salts = [salt for copy in draft.copies for salt in _sd_jwt(draft, copy, vct, issuer, facts, needles)]
        case MdocFormat() as form:
            elements = _elements(draft.values)
            salts = [salt for copy in draft.copies for salt in _mdoc(draft, copy, form, elements)]
    with step("lint_unlinkable"):
        _unlinkable(draft, salts)


def _no(rule: str) -> Refused:
    return Refused(Code.LINT, rule)


def _items(draft: Draft) -> None:
    claims = {claim.name: claim for claim in draft.configuration.document.claims}
    if set(draft.values) != set(claims):
        raise _no("the draft lacks an item of the document, or has one too many")
    for name, value in draft.values.items():
        if value is None or (isinstance(value, str | bytes) and not value):
            raise _no(f"item {name} is empty")
        if (claims[name].kind == "yes_no") != isinstance(value, bool):
            raise _no(f"item {name} has the wrong kind")
    if not draft.copies:
        raise _no("a batch has at least one copy")


def _sizes(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, bytes):
            if not value.startswith(b"\xff\xd8\xff"):
                raise _no(f"item {name} is not a JPEG picture")
            if len(value) > PORTRAIT_LIMIT:
                raise _no(f"item {name} is larger than {PORTRAIT_LIMIT} bytes")
        elif isinstance(value, str) and len(value) > 512:
            raise _no(f"item {name} is longer than 512 characters")


def _dates(draft: Draft, country: Country, now: datetime) -> None:
    start, end = draft.life.start, draft.life.end
    if not start <= now < end:
        raise _no("the copies are not valid now")
    if end - start > timedelta(days=country.issuance.copy_days, hours=2):  # an hour or so for summer time
        raise _no("the copies live too long")
    for moment in (start, end):
        local = moment.astimezone(ZoneInfo(country.timezone))
        if (local.hour, local.minute, local.second, local.microsecond) != (0, 0, 0, 0):
            raise _no("a date is not a whole day in the country")
    expiry = draft.values.get("expiry_date")
    if isinstance(expiry, date) and (end - timedelta(seconds=1)).astimezone(ZoneInfo(country.timezone)).date() > expiry:
        raise _no("a copy outlives its card")


def _disclosures(values: Mapping[str, ClaimValue]) -> list[str]:
    """What every copy must say, encoded here, not by whoever drafted: each disclosure from its salt's end on."""
    return [b64u(b",%b,%b]" % (encode_json(name), encode_json(json_value(value)))) for name, value in values.items()]


def _elements(values: Mapping[str, ClaimValue]) -> list[bytes]:
    """The same of an mdoc: each element from its value on."""
    label, name_label = cbor.text("elementValue"), cbor.text("elementIdentifier")
    return [
        label
        + cbor.dumps(cbor.Tag(_FULL_DATE, value.isoformat()) if isinstance(value, date) else value)
        + name_label
        + cbor.text(name)
        for name, value in values.items()
    ]


def _sd_jwt(
    draft: Draft, copy: Copy, vct: str, issuer: str, facts: list[str], needles: Sequence[tuple[str, bytes]]
) -> list[bytes]:
    """The copy's salts."""
    assert isinstance(copy.body, sd_jwt.Draft)
    _, _, text = copy.signing_input.partition(b".")
    raw = unb64u(text)
    payload = decode_json(raw)
    with step("lint_open"):
        if not payload.keys() <= OPEN_CLAIMS:
            raise _no("the draft shows a claim that must be selectively disclosable")
        for name, needle in needles:
            if needle in raw:
                raise _no(f"item {name} stands in the open")
    with step("lint_type"):
        if payload.get("vct") != vct or payload.get("iss") != issuer:
            raise _no("the draft is of another type or issuer")
    with step("lint_dates"):
        if payload.get("exp") != _epoch(draft.life.end) or payload.get("iat") != _epoch(draft.life.start):
            raise _no("exp or iat is missing or not the batch's")
    with step("lint_key"):
        if payload.get("cnf") != {"jwk": copy.key.jwk}:
            raise _no("the draft is bound to another key")
    with step("lint_status"):
        _status(StatusRef.parse(payload.get("status")), copy)
    with step("lint_items"):
        texts = copy.body.disclosures
        _each_once([text[_SALTED_TEXT:] for text in texts], facts)
        digests = b64u(b"\0".join([hashlib.sha256(one.encode()).digest() for one in texts]))
        covered = payload.get("_sd")
        if covered != sorted([digests[at : at + 43] for at in range(0, len(digests), 44)]):
            raise _no("each item has exactly one disclosure, and each disclosure one digest")
        heads = unb64u("".join([text[:_SALTED_TEXT] for text in texts]))
        return [_salt(_SALTED.fullmatch(heads, at, at + _SALTED_RAW)) for at in range(0, len(heads), _SALTED_RAW)]


def _salt(start: re.Match[bytes] | None) -> bytes:
    if start is None:
        raise _no("an item is salted too little")
    return start[1]


def _each_once(said: list[Said], facts: list[Said]) -> None:
    """Each item says one of the facts, to the byte, and each fact comes once."""
    if said == facts:  # nearly always: they come in the facts' order
        return
    left = list(facts)
    for one in said:
        if one not in left:
            raise _no("an item says something else than the facts")
        left.remove(one)
    if left:
        raise _no("an item is missing")


def _needles(values: Mapping[str, ClaimValue]) -> tuple[tuple[str, bytes], ...]:
    """What may not stand in the open: values as they are and numbers without dashes. Shorter ones would match by
    chance."""
    found: list[tuple[str, bytes]] = []
    for name, value in values.items():
        text = json_value(value)
        if isinstance(text, bool):
            continue
        if len(text) >= 8:
            # As JSON writes it, and as it is: one of them is what a payload could hold.
            found += [(name, needle) for needle in {encode_json(text)[1:-1], text.encode()}]
        digits = re.sub(r"\D", "", text) if len(text) <= 64 else ""
        if 13 <= len(digits) <= 20:
            found.append((name, digits.encode()))
    return tuple(found)


def _mdoc(draft: Draft, copy: Copy, form: MdocFormat, facts: list[bytes]) -> list[bytes]:
    """The copy's salts."""
    assert isinstance(copy.body, mdoc.Draft)  # the configuration's format made it
    parts = cbor.loads(copy.body.complete(UNSIGNED))
    mso = mdoc.Mso.parse(parts["issuerAuth"][2])
    with step("lint_type"):
        if mso.doctype != form.doctype:
            raise _no("the draft is of another type")
    with step("lint_dates"):
        if (mso.validity.valid_from, mso.validity.valid_until) != (draft.life.start, draft.life.end):
            raise _no("the validity is missing or not the batch's")
    with step("lint_key"):
        if mso.device_key != copy.key:
            raise _no("the draft is bound to another key")
    with step("lint_status"):
        if mso.status is None:
            raise _no("the draft has no status")
        _status(mso.status, copy)
    with step("lint_items"):
        if parts["nameSpaces"].keys() != {form.namespace} or mso.digests.keys() != {form.namespace}:
            raise _no("the draft has other namespaces than the document")
        items = [cbor.embedded(item) for item in parts["nameSpaces"][form.namespace]]
        starts = [_ELEMENT.match(item) for item in items]
        salts = [_salt(start) for start in starts]
        _each_once([item[start.end() :] for item, start in zip(items, starts, strict=True) if start], facts)
        digests = [hashlib.sha256(cbor.embed(item)).digest() for item in items]
        numbered = {start[2][-1]: digest for start, digest in zip(starts, digests, strict=True) if start}
        if numbered != mso.digests[form.namespace]:
            raise _no("each element has exactly one digest")
        return salts


def _status(found: StatusRef, copy: Copy) -> None:
    if found != copy.status:
        raise _no("the status is missing or not this copy's")


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _unlinkable(draft: Draft, salts: list[bytes]) -> None:
    """No two copies of a batch share a key, a status index or a salt, and so no digest."""
    copies = draft.copies
    if len({copy.key for copy in copies}) != len(copies):
        raise _no("two copies share a key")
    if len({copy.status for copy in copies}) != len(copies):
        raise _no("two copies share a status index")
    if len(set(salts)) != len(salts):
        raise _no("two items share a salt")
