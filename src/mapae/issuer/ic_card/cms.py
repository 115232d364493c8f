"""Signed data in the Cryptographic Message Syntax, one signer, SHA-256 and ECDSA on P-256 (RFC 5652 5).

Promises: the same arguments make the same bytes, but for the signature. Trusts: the certificate to be the signer's.
Keeps: nothing. Refuses: certificates of another make. The content goes in, or stays outside: a card's Document Security
Object carries it, a signed PDF does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from mapae.formats import p256
from mapae.issuer.ic_card import der, tlv
from mapae.issuer.ic_card.der import ECDSA_SHA256, SHA256, Outside

DATA: Final = "1.2.840.113549.1.7.1"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE: Final = der.oid("1.2.840.113549.1.9.16.2.47")

Sign = Callable[[bytes], bytes]
"""ES256: message to r and s, 64 bytes, as `mapae.keys.Signer.sign`."""


def signed_data(
    content: bytes,
    content_type: str,
    signer: bytes,
    *,
    sign: Sign,
    signing_time: datetime,
    more_certificates: Sequence[bytes] = (),
    detached: bool = False,
    names_signer: bool = False,
) -> bytes:
    """A ContentInfo. `detached`: without the content. `names_signer`: the certificate's digest is signed as well
    (RFC 5035 3), as PAdES wants it."""
    named = [_signing_certificate(signer)] if names_signer else []
    attributes = signed_attributes(hashlib.sha256(content).digest(), content_type, signing_time, named)
    return assemble(
        None if detached else content, content_type, (signer, *more_certificates), attributes, sign(attributes)
    )


def signed_attributes(digest: bytes, content_type: str, signing_time: datetime, more: Iterable[bytes] = ()) -> bytes:
    """What is signed: the SET OF, with its own tag (RFC 5652 5.4)."""
    pairs = ((_CONTENT_TYPE, der.oid(content_type)), (_MESSAGE_DIGEST, der.octets(digest)))
    attributes = [der.sequence(name, der.set_of([value])) for name, value in pairs]
    attributes.append(der.sequence(_SIGNING_TIME, der.set_of([der.time(signing_time)])))
    return der.set_of([*attributes, *more])


def assemble(
    content: bytes | None, content_type: str, certificates: Sequence[bytes], attributes: bytes, signature: bytes
) -> bytes:
    """The first certificate is the signer's."""
    inside = b"" if content is None else der.explicit(0, der.octets(content))
    signer = der.sequence(
        der.integer(1),  # RFC 5652 5.3: because the signer is named by issuer and serial number
        Outside.parse(certificates[0]).issuer_and_serial,
        SHA256,
        b"\xa0" + attributes[1:],  # [0] IMPLICIT
        ECDSA_SHA256,
        der.octets(p256.to_der(signature)),
    )
    body = der.sequence(
        der.integer(1 if content_type == DATA else 3),  # RFC 5652 5.1
        der.set_of([SHA256]),
        der.sequence(der.oid(content_type), inside),
        tlv.encode(0xA0, b"".join(sorted(certificates))),  # a SET OF
        der.set_of([signer]),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body))


def _signing_certificate(certificate: bytes) -> bytes:
    """RFC 5035 3, SigningCertificateV2; SHA-256 is its default and so left out."""
    id = der.sequence(der.octets(hashlib.sha256(certificate).digest()))
    return der.sequence(_SIGNING_CERTIFICATE, der.set_of([der.sequence(der.sequence(id))]))
