"""Cases of the trust list: which signers count, and who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from cast import AT, Case, refused, taken

from mapae.formats.x509 import x509_hash
from mapae.rules import Words
from mapae.trust.publish import Purpose as Asking
from mapae.trust.publish import RelyingParty
from mapae.trust.signers import Purpose, Reason, RevokedReader, Signer

SINCE = AT - 3600


def _entered(name: str, purpose: Purpose = Purpose.DOCUMENT_SIGNER, **changes: Any) -> Signer:
    given: dict[str, Any] = {"starts": AT - 86400, "ends": AT + 86400, **changes}
    return Signer(issuer="issuer:one", x5t=x509_hash(name.encode()), purpose=purpose, **given)


def _revoked(name: str, reason: Reason, purpose: Purpose = Purpose.DOCUMENT_SIGNER, **changes: Any) -> Signer:
    return _entered(name, purpose, revoked_at=AT - 60, since=SINCE, reason=reason, **changes)


SIGNERS = (
    _entered("good"), _entered("a minute early", starts=AT + 60), _entered("early", starts=AT + 61),
    _entered("in its last second", ends=AT + 1), _entered("ended", ends=AT),
    _entered("lists", Purpose.STATUS_SIGNER),
    _revoked("stolen", Reason.COMPROMISED), _revoked("superseded", Reason.SUPERSEDED),
    _revoked("ceased", Reason.CEASED), _revoked("withdrawn", Reason.WITHDRAWN),
    _revoked("old lists", Reason.SUPERSEDED, Purpose.STATUS_SIGNER),
)  # fmt: skip


def signers() -> Iterator[Case]:
    """`signed`: what a credential says of its signing; absent: something signed anew each time it is asked for."""

    def asks(name: str, purpose: str = "document_signer", **signed: int | None) -> dict[str, Any]:
        return {"certificate": name.encode().hex(), "purpose": purpose, **signed}

    def no(name: str, input_: Any, code: str = "signer_revoked") -> Case:
        return refused(name, input_, "signer", code)

    yield taken("entered", asks("good", signed=AT), True)
    yield taken("entered, and the document has no signing time", asks("good", signed=None), True)
    yield taken("entered, for something made anew", asks("good"), True)
    yield taken("entered for status lists", asks("lists", "status_signer"), True)
    yield taken("our clock is a minute behind the log's", asks("a minute early", signed=AT), True)
    yield taken("in its last second", asks("in its last second", signed=AT), True)
    yield no("never entered", asks("nobody", signed=AT))
    yield no("entered for something else", asks("lists", signed=AT))
    yield no("a document signer under a status list", asks("good", "status_signer"))
    yield no("begins later", asks("early", signed=AT), "not_yet_valid")
    yield no("over", asks("ended", signed=AT - 7200), "expired")
    for name in ("superseded", "ceased", "withdrawn"):
        yield taken(f"{name}: signed before", asks(name, signed=SINCE - 1), True)
        yield no(f"{name}: signed in that second", asks(name, signed=SINCE))
        yield no(f"{name}: signed after", asks(name, signed=SINCE + 1))
        yield no(f"{name}: no signing time", asks(name, signed=None))
        yield no(f"{name}: made anew", asks(name))
    yield no("stolen: signed before", asks("stolen", signed=SINCE - 1))
    yield no("stolen: signed after", asks("stolen", signed=SINCE + 1))
    yield no("stolen: no signing time", asks("stolen", signed=None))
    yield no("a status list of a superseded signer", asks("old lists", "status_signer"))


_WORDS = Words(ko="가게", en="Shop")
_PURPOSE = Asking(id="age", name=_WORDS, why=_WORDS, legal_basis=_WORDS, items=("adult_by_year",), retention=_WORDS)


def _reader(name: str, certificate: str | None) -> RevokedReader:
    hash = None if certificate is None else x509_hash(certificate.encode())
    return RevokedReader(
        reader=x509_hash(name.encode()), x509_hash=hash, since=SINCE, reason=Reason.SUPERSEDED
    )  # fmt: skip


PARTIES = (RelyingParty(id="shop", name=_WORDS, x509_hash=x509_hash(b"shop"), purposes=(_PURPOSE,)),)
READERS = (_reader("an earlier registration", "shop"), _reader("a former shop", "former"), _reader("by name", None))


def askers() -> Iterator[Case]:
    """Whose access certificate it is."""
    yield taken("registered, after an earlier registration was replaced", b"shop".hex(), "shop")
    yield refused("struck off", b"former".hex(), "client", "signer_revoked")
    yield refused("never registered", b"nobody".hex(), "client", "unknown_relying_party")


def written() -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return msgspec.to_builtins(value)

    return {
        "signers": {"now": AT, "signers": plain(SIGNERS), "cases": list(signers())},
        "askers": {
            "relying_parties": plain(PARTIES), "revoked_readers": plain(READERS), "cases": list(askers()),
        },
    }  # fmt: skip
