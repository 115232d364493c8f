"""What the HTTP interface reads and says, as types.

Promises: the doors parse with these types and the OpenAPI document is made of them. Trusts: nothing. Keeps: nothing.
Refuses: whatever does not fit, an unknown member included.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from mapae.verifier.asking.ask import Form

PurposeId = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9_]{0,63}$",
        description="A purpose you are registered for: of the country pack, such as alcohol_tobacco, or your own",
    ),
]
SessionWord = Annotated[
    str,
    Meta(
        pattern="^[!-~]{0,256}$",
        description="Your own word for the browser session that asks: best the hash of its cookie. The answer counts in"
        " that session alone and is redeemed with a code. Empty: your server reads the answer by itself.",
    ),
]
_Draw = Annotated[bool, Meta(description="Whether to draw the code of the link: false where nobody shows it")]
Url = Annotated[
    str,
    Meta(
        max_length=1024,
        description="Your page. A wallet on the same device leads back to it; who types a code is told its host.",
    ),
]
_Code = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{20,64}$", description="What the page got when the check ended")]


class Ask(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A question of a registered relying party."""

    purpose: PurposeId
    form: Form = Form.EITHER
    session: SessionWord = ""
    qr: _Draw = True
    same_device: bool = False
    return_to: Url = ""
    in_person: Annotated[
        bool,
        Meta(description="The holder stands before you. Without it a purpose of high risk needs a session, and a code"
             " that the phone shows is typed into the page"),
    ] = False  # fmt: skip


class AskAnyone(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A yes-or-no question that needs no registration: only purposes marked `anyone`."""

    purpose: PurposeId
    form: Form = Form.EITHER
    session: SessionWord = ""
    qr: _Draw = True


class Type(Struct, forbid_unknown_fields=True):
    code: Annotated[str, Meta(max_length=64, description="Six characters, as the phone's browser shows them")]


class Typed(Struct):
    """0: it was right, or wrong once too often; look again."""

    tries_left: int


class Redeem(Struct, forbid_unknown_fields=True):
    code: _Code
    session: SessionWord


class Said(Struct):
    """A sentence in both languages."""

    ko: str
    en: str


class State(StrEnum):
    """The first three are on the way; the others are final."""

    OPEN = "open"
    SEEN = "seen"  # a wallet is showing the question
    ANSWERED = "answered"  # the wallet has answered; the verdict waits for the session that asked
    ACCEPTED = "accepted"  # checked, and yes, or the values are here
    NO = "no"  # checked and genuine, but the answer is no
    REFUSED = "refused"  # a numbered step of the check failed
    DECLINED = "declined"  # the holder said no
    EXPIRED = "expired"
    CANCELLED = "cancelled"


FINAL: Final = frozenset(State) - {State.OPEN, State.SEEN, State.ANSWERED}


class Asking(Struct):
    """What is asked, in words for a page."""

    id: str
    name: Said
    why: Said
    items: list[Said]


class Started(Struct):
    """A check that has been put. `page` goes to the page that shows the code, and to nobody else."""

    id: str
    purpose: Asking
    link: Annotated[str, Meta(description="openid4vp link: for a QR code, or for any wallet on this device")]
    wallet_link: Annotated[str, Meta(description="https link to the country's own wallet")]
    expires_at: datetime
    page: Annotated[str | None, Meta(description="Bearer token with which the page watches; null without a session")]
    typed_back: Annotated[bool, Meta(description="Once answered, the phone shows a code to type into the page")] = False
    qr: Annotated[str, Meta(description="The QR code of `link`, as a data: URI of an SVG")] = ""


class Looked(Struct):
    """How a check stands. `values` are there once, for the first reader, and then erased."""

    id: str
    state: State
    seconds_left: int
    step: Annotated[str | None, Meta(description="Which numbered step failed: docs/checking.md")] = None
    code: str | None = None
    words: Said | None = None
    note: Annotated[str | None, Meta(description="`renew`: ask the holder to refresh the card")] = None
    format: str | None = None
    offline: Annotated[str | None, Meta(description="How fresh the offline data was, where no network was there")] = (
        None
    )
    values: dict[str, str] = msgspec.field(default_factory=dict)


class Watched(Struct):
    """How a check stands, for a page to show. `result_code` goes to the shop's own server, which redeems it."""

    id: str
    state: State
    seconds_left: int
    step: str | None = None
    code: str | None = None
    words: Said | None = None
    result_code: str | None = None


class Nothing(Struct, forbid_unknown_fields=True):
    pass


class Trouble(Struct):
    """Every refusal. `error` is stable; `detail` is one plain English sentence; `incident` numbers a fault of ours."""

    error: str
    detail: str
    step: str | None = None
    incident: str | None = None
