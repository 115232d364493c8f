"""What no credential may be signed with. Runs on the bytes that would be signed, before any key is near.

Promises: the numbered list of `docs/issuing.md` part 2 holds for every copy that passes, and for the batch as a whole.
Trusts: nothing of the draft but its bytes: each copy is read back as a wallet would. Keeps: nothing.
Refuses: with LINT, our own bug, naming the rule and never a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mapae.catalog import Country, MdocFormat, SdJwtFormat
from mapae.errors import Code, Refused, step
from mapae.formats import mdoc, sd_jwt
from mapae.formats.jose import decode_json, unb64u
from mapae.formats.status import StatusRef
from mapae.issuer.draft import Copy, Draft, json_value

OPEN_CLAIMS = frozenset({"iss", "iat", "exp", "cnf", "vct", "status", "_sd", "_sd_alg"})
PORTRAIT_LIMIT = 32 * 1024
UNSIGNED = bytes(64)  # stands where the signature will be, so that the copy can be read back


def lint(draft: Draft, country: Country, issuer: str, now: datetime) -> None:
    """1 all items  2 nothing in the open  3 dates  4 holder's key  5 status  6 sizes  7 type  8 unlinkable."""
    with step("lint_items"):
        _items(draft)
    with step("lint_sizes"):
        _sizes(draft.values)
    with step("lint_dates"):
        _dates(draft, country, now)
    for copy in draft.copies:
        match draft.configuration.format:
            case SdJwtFormat(vct=vct):
                _sd_jwt(draft, copy, vct, issuer)
            case MdocFormat() as form:
                _mdoc(draft, copy, form)
    with step("lint_unlinkable"):
        _unlinkable(draft)


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


def _sd_jwt(draft: Draft, copy: Copy, vct: str, issuer: str) -> None:
    parsed = sd_jwt.SdJwt.parse(copy.complete(UNSIGNED))
    payload = decode_json(parsed.jws.payload)
    with step("lint_open"):
        if not set(payload) <= OPEN_CLAIMS:
            raise _no("the draft shows a claim that must be selectively disclosable")
        _hidden(parsed.jws.payload.decode(), draft)
    with step("lint_type"):
        if payload.get("vct") != vct or payload.get("iss") != issuer:
            raise _no("the draft is of another type or issuer")
    with step("lint_dates"):
        if payload.get("exp") != _epoch(draft.life.end) or payload.get("iat") != _epoch(draft.life.start):
            raise _no("exp or iat is missing or not the batch's")
    with step("lint_key"):
        if sd_jwt.holder_key(payload) != copy.key:
            raise _no("the draft is bound to another key")
    with step("lint_status"):
        _status(StatusRef.parse(payload.get("status")), copy)
    with step("lint_items"):
        if len(parsed.disclosures) != len(draft.values):
            raise _no("each item has exactly one disclosure")
        shown = parsed.peek()
        if any(shown.get(name) != json_value(value) for name, value in draft.values.items()):
            raise _no("a disclosure says something else than the facts")


def _hidden(payload: str, draft: Draft) -> None:
    """Nothing of the person in plain, dashes or no dashes. Shorter values would match by chance."""
    for name, value in draft.values.items():
        text = json_value(value)
        if isinstance(text, bool):
            continue
        digits = re.sub(r"\D", "", text) if len(text) <= 64 else ""
        if (len(text) >= 8 and text in payload) or (13 <= len(digits) <= 20 and digits in payload):
            raise _no(f"item {name} stands in the open")


def _mdoc(draft: Draft, copy: Copy, form: MdocFormat) -> None:
    parsed = mdoc.IssuerSigned.parse(unb64u(copy.complete(UNSIGNED)))
    mso = parsed.mso
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
        if parsed.peek() != {form.namespace: dict(draft.values)}:
            raise _no("an element is missing or says something else than the facts")


def _status(found: StatusRef, copy: Copy) -> None:
    if found != copy.status:
        raise _no("the status is missing or not this copy's")


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _unlinkable(draft: Draft) -> None:
    """No two copies of a batch share a key, a status index, a salt or a digest."""
    copies = draft.copies
    if len({copy.key for copy in copies}) != len(copies):
        raise _no("two copies share a key")
    if len({copy.status for copy in copies}) != len(copies):
        raise _no("two copies share a status index")
    if len({copy.digest for copy in copies}) != len(copies):
        raise _no("two copies are the same")
    marks: set[object] = set()
    for copy in copies:
        for mark in _marks(copy):
            if mark in marks:
                raise _no("two items share a salt")
            marks.add(mark)


def _marks(copy: Copy) -> list[object]:
    """What is random about each item: the salt of a disclosure, the digest of an element."""
    if isinstance(copy.body, sd_jwt.Draft):
        return [decode_disclosure(one) for one in copy.body.disclosures]
    mso = mdoc.IssuerSigned.parse(copy.body.complete(UNSIGNED)).mso
    return [digest for digests in mso.digests.values() for digest in digests.values()]


def decode_disclosure(text: str) -> str:
    salt = json.loads(unb64u(text))[0]
    if not isinstance(salt, str) or len(salt) < 22:  # RFC 9901 section 4.2.1: 128 bits of salt
        raise _no("a salt is too short")
    return salt
