"""ISO/IEC 18013-5 mdoc. `draft` makes one, `IssuerSigned` reads it, `present` shows it, `DeviceResponse` reads what was
shown, `DeviceRequest` what was asked. Sessions in proximity are next door, in `mapae.formats.proximity`."""

from mapae.formats.mdoc.device import (
    Agreeing,
    DeviceResponse,
    DeviceSigned,
    Document,
    MacKey,
    SelfAsserted,
    device_authentication,
    present,
    respond,
    session_secret,
    show,
)
from mapae.formats.mdoc.issuer_signed import MAX_MDOC, IssuerSigned, Item
from mapae.formats.mdoc.issuing import Draft, draft
from mapae.formats.mdoc.mso import KeyAuthorizations, Mso
from mapae.formats.mdoc.request import DeviceRequest, DocRequest, device_request, doc_request, items_request
from mapae.formats.mdoc.transcript import (
    nfc_transcript,
    openid4vp_dc_api_transcript,
    openid4vp_transcript,
    qr_transcript,
)
from mapae.formats.mdoc.values import Validity

__all__ = [
    "MAX_MDOC",
    "Agreeing",
    "DeviceRequest",
    "DeviceResponse",
    "DeviceSigned",
    "DocRequest",
    "Document",
    "Draft",
    "IssuerSigned",
    "Item",
    "KeyAuthorizations",
    "MacKey",
    "Mso",
    "SelfAsserted",
    "Validity",
    "device_authentication",
    "device_request",
    "doc_request",
    "draft",
    "items_request",
    "nfc_transcript",
    "openid4vp_dc_api_transcript",
    "openid4vp_transcript",
    "present",
    "qr_transcript",
    "respond",
    "session_secret",
    "show",
]
