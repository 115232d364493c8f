"""The reduced pack that the installable checker page lives on: what its own verifier already believes, for a browser.

A browser cannot keep a whole pack with its logs and fold it at each start, and need not: its code comes from the same
server, so whoever could forge this could forge the code (docs/decisions/0017-till-pack.md). It is made from an opened
pack only, so nothing is in it that did not pass the eight steps of `trust/pack/verify.py`.

    issuers   anchors, types, place of status lists, and the signers entered in the log with what became of them
    lists     of each publisher: as of when, and each list's bits and digest; a list itself comes by its digest
    purposes  what may be asked of which document, with kinds, risk and the hours of the tiers
    registry, epochs   the heads that a receipt names
    as_of, newest   of the registry, and the newest moment that witnesses vouch for: no clock goes behind it

A shop's own purposes are not in it, for it is the same for everybody; an enrolled till is told them beside it.

Promises: pure; the same pack and country give the same bytes, so its `id` is an ETag; nobody's name is in it. Trusts:
the opened pack and the country pack. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Final

import msgspec

from mapae.catalog import Country, Purpose
from mapae.formats.jose import b64u
from mapae.rules import Words
from mapae.trust.entries import Issuer, registry_id
from mapae.trust.pack.format import ZLIB
from mapae.trust.pack.verify import Opened, Status
from mapae.trust.signers import Signer
from mapae.verifier.checking.receipt import Registry, StatusEpoch, heads

VERSION: Final = 1


class TillIssuer(msgspec.Struct, frozen=True):
    """`signers` None: it enters none in the log, and its anchors alone decide."""

    id: str
    ca: tuple[bytes, ...]  # DER; standard base64 on the wire
    vcts: tuple[str, ...]
    doctypes: tuple[str, ...]
    status_prefix: str
    signers: tuple[Signer, ...] | None


class TillList(msgspec.Struct, frozen=True):
    """`digest`: SHA-256 of the list as it is unfolded, base64url; by this name it is fetched."""

    uri: str
    bits: int
    digest: str


class TillPublisher(msgspec.Struct, frozen=True):
    prefix: str
    as_of: int
    late: bool
    lists: tuple[TillList, ...]


class TillItem(msgspec.Struct, frozen=True):
    name: str
    kind: str
    label: Words


class TillPurpose(msgspec.Struct, frozen=True):
    """A purpose with what the check of an answer needs to know of its document."""

    id: str
    name: Words
    why: Words
    legal_basis: Words
    retention: Words
    document: Words
    items: tuple[TillItem, ...]
    vct: str | None
    doctype: str | None
    namespace: str | None
    risk: str
    offline: dict[str, int]
    anyone: bool
    by_holder: bool


class TillPack(msgspec.Struct, frozen=True):
    version: int
    as_of: int
    newest: int
    issuers: tuple[TillIssuer, ...]
    publishers: tuple[TillPublisher, ...]
    purposes: tuple[TillPurpose, ...]
    registry: Registry
    epochs: tuple[StatusEpoch, ...]


def made(opened: Opened, country: Country) -> tuple[str, bytes]:
    """Its id and its bytes."""
    raw = msgspec.json.encode(of(opened, country))
    return b64u(sha256(raw).digest()), raw


def of(opened: Opened, country: Country) -> TillPack:
    issuers = tuple([_issuer(opened, entry) for entry in opened.trust_list.issuers])
    publishers = tuple([_publisher(status) for status in opened.statuses])
    purposes = tuple([purpose(country, one) for one in country.purposes.values() if one.items])
    return TillPack(VERSION, opened.as_of, opened.newest, issuers, publishers, purposes, *heads(opened))


def folded(opened: Opened, digest: bytes) -> bytes | None:
    """A status list in zlib (RFC 1950), by the digest of what is inside; None: the pack has no such list."""
    if not any(digest == one.digest for status in opened.statuses for one in status.lists.values()):
        return None  # other parts of the pack are no secret, but nobody needs them here
    method, body = opened.pack.bodies[digest]
    return body if method == ZLIB else zlib.compress(body)


def _issuer(opened: Opened, entry: Issuer) -> TillIssuer:
    mine = registry_id(entry)
    entered = tuple([one for one in opened.trust_list.signers if one.issuer == mine]) if entry.logged else None
    return TillIssuer(entry.id, entry.ca, entry.vcts, entry.doctypes, entry.status_prefix, entered)


def _publisher(status: Status) -> TillPublisher:
    return TillPublisher(status.prefix, status.as_of, status.late, tuple([
        TillList(uri, one.bits, b64u(one.digest)) for uri, one in status.lists.items()
    ]))  # fmt: skip


def purpose(country: Country, asked: Purpose) -> TillPurpose:
    """Of the pack, or, for an enrolled till alone, of its shop's own."""
    document = country.documents[asked.document]
    forms, limits = document.formats, asked.offline
    sd_jwt, mdoc = (forms.sd_jwt, forms.mdoc) if forms is not None else (None, None)
    items = []
    for name in asked.items:
        claim = document.claim(name)
        items.append(TillItem(name, claim.kind, claim.label))
    return TillPurpose(
        id=asked.id, name=asked.name, why=asked.why, legal_basis=asked.legal_basis,
        retention=asked.retention, document=document.name, items=tuple(items),
        vct=sd_jwt.vct if sd_jwt is not None else None,
        doctype=mdoc.doctype if mdoc is not None else None,
        namespace=mdoc.namespace if mdoc is not None else None,
        risk=asked.risk, offline={"full": limits.full, "marked": limits.marked, "last": limits.last},
        anyone=asked.anyone, by_holder=asked.by_holder,
    )  # fmt: skip
