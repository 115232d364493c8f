"""Session transcripts: what ties an mdoc's device authentication to one conversation (ISO/IEC 18013-5 9.1.5.1).

Promises: the bytes of SessionTranscript, deterministic. Trusts: the caller for the values. Keeps: nothing. Refuses:
nothing; a wrong value makes a transcript nobody signed.
"""

from __future__ import annotations

import hashlib

from mapae.formats import cbor

_OPENID4VP = b"\x83\xf6\xf6\x82" + cbor.text("OpenID4VPHandover")
_DC_API = b"\x83\xf6\xf6\x82" + cbor.text("OpenID4VPDCAPIHandover")


def openid4vp_transcript(*, client_id: str, nonce: str, response_uri: str, thumbprint: bytes | None) -> bytes:
    """OpenID4VP 1.0 B.2.6.1; `thumbprint` is that of the key the response is encrypted to, None when it is not."""
    info = b"\x84" + cbor.text(client_id) + cbor.text(nonce) + _maybe(thumbprint) + cbor.text(response_uri)
    return _OPENID4VP + cbor.bstr(hashlib.sha256(info).digest())


def openid4vp_dc_api_transcript(*, origin: str, nonce: str, thumbprint: bytes | None) -> bytes:
    """OpenID4VP 1.0 B.2.6.2, for the Digital Credentials API."""
    info = b"\x83" + cbor.text(origin) + cbor.text(nonce) + _maybe(thumbprint)
    return _DC_API + cbor.bstr(hashlib.sha256(info).digest())


def qr_transcript(*, engagement: bytes, reader_key: bytes) -> bytes:
    """ISO/IEC 18013-5 9.1.5.1: DeviceEngagement as it was in the QR code, eReaderKey as it came; handover null."""
    return _proximity(engagement, reader_key, b"\xf6")


def nfc_transcript(*, engagement: bytes, reader_key: bytes, select: bytes, request: bytes | None) -> bytes:
    """The same over NFC: the Handover Select message and, when negotiated, the Handover Request before it."""
    return _proximity(engagement, reader_key, b"\x82" + cbor.bstr(select) + _maybe(request))


def _proximity(engagement: bytes, reader_key: bytes, handover: bytes) -> bytes:
    return b"\x83" + cbor.embed(engagement) + cbor.embed(reader_key) + handover


def _maybe(value: bytes | None) -> bytes:
    return b"\xf6" if value is None else cbor.bstr(value)
