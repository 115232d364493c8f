"""What the registry has entries of: issuers, wallet providers, access authorities, relying parties; and the public
document by which the trust log knows each.

Promises: `read_document(document(entry, change)) == entry`, and no other bytes say the same; `must_be_sound` holds of
whatever is read. Trusts: nobody: a document is believed because the log names its SHA-256. Keeps: nothing. Refuses: an
authority or a certificate hash that is none, a purpose without items, a second spelling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal, assert_never

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.dcql import MDOC, Query
from mapae.formats.jose import decode_json, unb64u
from mapae.formats.x509 import Anchors
from mapae.rules import Words

DOCUMENT_LIMIT: Final = 64 * 1024
LONGEST_TEXT: Final = 400
_ID = re.compile(r"[a-z0-9][a-z0-9_.:/-]{0,127}")
_PREFIX = re.compile(r"https?://[^/?#\s]+/(?:[^?#\s]*/)?")
# http for a country on its own machine, as everywhere (ui/http.py, wallet/src/net.ts)
_CONTACT = re.compile(r"|https://[^/?#\s@]+/[^#\s]{0,400}|http://localhost(:[0-9]{1,5})?/[^#\s]{0,400}")
_TYPE = re.compile(r"[!-~]{1,256}")
_ACCOUNT = re.compile(r"|[0-9a-f]{40}")


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose seals count, for which types of credential, and where its status lists are.

    `logged`: only signers it has entered in the trust log count. `voice` (RFC 7638 thumbprint of the key that signs its
    statements to the log; empty: the key of its first certificate) and `account` (20 bytes in hexadecimal, where the
    log is on a chain; empty: the voice's last 20 bytes) are the same for each kind of party.
    """

    id: str
    name: Words
    ca: tuple[bytes, ...]  # DER anchors; standard base64 on the wire
    vcts: tuple[str, ...]
    doctypes: tuple[str, ...]
    status_prefix: str
    logged: bool = False
    voice: str = ""
    account: str = ""


class WalletProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Who vouches for wallets. `logged`: only with attesters it has entered in the trust log."""

    id: str
    name: Words
    ca: tuple[bytes, ...]
    logged: bool = False
    voice: str = ""
    account: str = ""


class AccessAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """Who certifies the keys with which relying parties sign their requests, and speaks for them to the log."""

    id: str
    name: Words
    ca: tuple[bytes, ...]
    voice: str = ""
    account: str = ""


class AskedOf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document a purpose is about, by the types its formats go by. Empty: it does not come in that format."""

    vct: str = ""
    doctype: str = ""
    namespace: str = ""


class Purpose(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a relying party may ask for, why, on which legal basis, and how long it may keep the answer.

    `document`: of which document; None: registered before registrations said so. `risk`: what a wrong yes would cost,
    of a purpose of the party's own; empty: the country pack says so, and of an unknown purpose the worst is supposed.
    Decision 22.
    """

    id: str
    name: Words
    why: Words
    legal_basis: Words
    items: tuple[str, ...]
    retention: Words
    document: AskedOf | None = None
    risk: Literal["", "low", "medium", "high"] = ""

    def covers(self, query: Query) -> bool:
        """Whether a query in a format of ours is about the document it may be asked of."""
        of = self.document
        if of is None:
            return True
        if query.format == MDOC:
            return query.kinds <= {of.doctype} - {""} and all(one.path[0] == of.namespace for one in query.claims)
        return query.kinds <= {of.vct} - {""}


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may ask, with which certificate (base64url SHA-256 of its DER, as in `x509_hash:`), for which purposes.

    `contact`: the https address that takes complaints and requests to erase; empty: none was registered.
    """

    id: str
    name: Words
    x509_hash: str
    purposes: tuple[Purpose, ...]
    contact: str = ""


Party = Issuer | WalletProvider | AccessAuthority
Entry = Party | RelyingParty
KINDS: Final[Mapping[str, type[Entry]]] = {
    "issuer": Issuer,
    "wallet_provider": WalletProvider,
    "access_ca": AccessAuthority,
    "relying_party": RelyingParty,
}


def kind_of(entry: Entry) -> str:
    match entry:
        case Issuer():
            return "issuer"
        case WalletProvider():
            return "wallet_provider"
        case AccessAuthority():
            return "access_ca"
        case RelyingParty():
            return "relying_party"
        case _:
            assert_never(entry)


def registry_id(entry: Entry) -> str:
    """How the log and its signers name an entry: its kind and its id."""
    return f"{kind_of(entry)}:{entry.id}"


def must_be_sound(entry: Entry) -> None:
    """What no entry may be, whoever approved it. MALFORMED, or BAD_CERTIFICATE for an authority that is none."""
    _require(_ID.fullmatch(entry.id) is not None, "an id is small letters, digits and . : / _ -")
    _must_be_plain(entry.name)
    match entry:
        case RelyingParty():
            _require(len(unb64u(entry.x509_hash)) == 32, "the certificate hash is not a SHA-256")
            _require(_CONTACT.fullmatch(entry.contact) is not None, "the contact is an https address")
            _require(len({p.id for p in entry.purposes}) == len(entry.purposes) > 0, "purposes must differ")
            for purpose in entry.purposes:
                for words in (purpose.name, purpose.why, purpose.legal_basis, purpose.retention):
                    _must_be_plain(words)
                _require(len(set(purpose.items)) == len(purpose.items) > 0, "a purpose asks for each item once")
                if purpose.document is not None:
                    _must_be_types(purpose.document)
        case Issuer():
            _must_be_anchors(entry.ca)
            _require(bool(entry.vcts or entry.doctypes), "an issuer issues something")
            _require(
                _PREFIX.fullmatch(entry.status_prefix) is not None,
                "the status prefix is a URL with a host, that ends in a slash",
            )
        case WalletProvider() | AccessAuthority():
            _must_be_anchors(entry.ca)
    if not isinstance(entry, RelyingParty):
        _require(not entry.voice or len(unb64u(entry.voice)) == 32, "the voice is not a SHA-256")
        _require(_ACCOUNT.fullmatch(entry.account) is not None, "an account is 20 bytes in hexadecimal")


def _must_be_types(of: AskedOf) -> None:
    named = [text for text in (of.vct, of.doctype, of.namespace) if text]
    _require(bool(of.vct or of.doctype), "a purpose is about a document of no format")
    _require(bool(of.doctype) == bool(of.namespace), "a doctype without its namespace")
    _require(all(_TYPE.fullmatch(text) for text in named), "the type of a document is printable ASCII, without spaces")


def _must_be_plain(words: Words) -> None:
    for text in (words.ko, words.en):
        _require(is_seen(text) and len(text) <= LONGEST_TEXT, "a text has a character that is not seen, or is too long")


# Letters, marks and signs that are drawn as nothing: Unicode's Default_Ignorable_Code_Point as far as the category does
# not say so already, and the empty Braille pattern. Hangul fillers are letters: a name could be made of them alone, or
# be another's with some between.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_seen(text: str) -> bool:
    """Control, format and line characters, and those that are not drawn, can make a name read as another (Unicode UTS
    55 2)."""
    return _UNSEEN.search(text) is None and not any(
        unicodedata.category(one)[0] == "C" or unicodedata.category(one) in ("Zl", "Zp") for one in text
    )


# --- the documents the log names --------------------------------------------------------------------------------------


def digest_of(registry_id: str) -> bytes:
    """How the log calls a party: SHA-256 of its kind and id."""
    return sha256(registry_id.encode()).digest()


def document(entry: Entry, change: str) -> bytes:
    """The public document of an entry: JSON, members in order, no spaces. `change` is the proposal that brought it, so
    that two registrations with the same words are still two."""
    made = {"change": change, "entry": msgspec.to_builtins(entry), "kind": kind_of(entry)}
    return msgspec.json.encode(made, order="sorted")


def read_document(raw: bytes) -> Entry:
    """MALFORMED unless it is one, in its one spelling."""
    said = decode_json(raw, limit=DOCUMENT_LIMIT)
    kind, change = said.get("kind"), said.get("change")
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(change, str):
        raise Refused(Code.MALFORMED, "not a document of the registry")
    try:
        entry = msgspec.convert(said.get("entry"), KINDS[kind])
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "not a document of the registry") from None
    must_be_sound(entry)
    if document(entry, change) != raw:
        raise Refused(Code.MALFORMED, "a document of the registry is not in its one spelling")
    return entry


def _must_be_anchors(ders: Sequence[bytes]) -> None:
    if not ders:
        raise Refused(Code.BAD_CERTIFICATE, "an authority without a certificate")
    Anchors(ders)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise)
