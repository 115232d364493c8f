"""A question that anybody may put: no certificate, no account, no registration, and yes or no for an answer.

OpenID4VP 1.0 5.9.3, client identifier prefix `redirect_uri`: the client is the very address the answer goes to, so
there is nobody to sign and the text forbids it. A wallet of the country answers only what its signed purposes document
marks `anyone`, with exactly that purpose's items; it shows the address's host and says that nobody approved it.

Promises: what is asked is one purpose of the pack that is marked `anyone`, whole; the answer is encrypted to a key made
for this one question and bound to a nonce made for it. Trusts: nobody's word for who asks. Pure: time and chance are
arguments. Keeps: nothing. Refuses: any other purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from mapae.catalog import Country
from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.formats import jwe, uri
from mapae.verifier.asking import oid4vp
from mapae.verifier.asking.ask import Form, Question, question
from mapae.verifier.checking.check import ByRedirect

LIFE: Final = timedelta(seconds=120)  # of a question: time to find the phone


class Pending(Struct, frozen=True):
    """One question as it was put. `jwk`: the private key its answer is encrypted to; empty where that is kept apart."""

    id: str
    purpose: str
    form: str
    nonce: str
    state: str
    jwk: Mapping[str, str]
    opened_at: datetime
    expires_at: datetime


def anyones(country: Country, purpose: str, form: Form = Form.EITHER) -> Question:
    """Raises Refused(NOT_FOUND) for a purpose the pack does not know, NOT_ALLOWED for one that needs a registration."""
    known = country.purposes.get(purpose)
    if known is None:
        raise Refused(Code.NOT_FOUND, "there is no such purpose")
    if not known.anyone:
        raise Refused(Code.NOT_ALLOWED, "only a registered relying party may ask this")
    return question(country, known, form)


def put(purpose: str, form: Form, now: datetime, dice: Dice) -> Pending:
    now = now.replace(microsecond=0)
    key = jwe.private_jwk(dice.bytes(48), "1")  # the only one there is
    return Pending(dice.token(18), purpose, form.value, dice.token(16), dice.token(9), key, now, now + LIFE)


def link(asked: Question, pending: Pending, response_uri: str) -> str:
    """The whole request in one text, for a QR code or a link. By value: a request by reference is a signed one.

    A camera must read it off a screen, so what the text lets be left out is: algorithms of a format, the content
    encryption (A128GCM where nothing is said, section 8.3).
    """
    key = {name: value for name, value in jwe.public_jwk(dict(pending.jwk)).items() if name != "use"}
    formats: dict[str, dict[str, str]] = {one.format: {} for one in asked.query.queries}
    fields = oid4vp.parameters(asked, pending.nonce, None) | {
        "client_id": client_id(response_uri), "response_uri": response_uri, "response_mode": "direct_post.jwt",
        "client_metadata": {"vp_formats_supported": formats, "jwks": {"keys": [key]}}, "state": pending.state,
    }  # fmt: skip
    texts = {name: one if isinstance(one, str) else msgspec.json.encode(one).decode() for name, one in fields.items()}
    return f"openid4vp://?{uri.query(texts, ':/,')}"  # RFC 3986 3.4: these may stand in a query


def client_id(response_uri: str) -> str:
    return f"redirect_uri:{response_uri}"


def read(pending: Pending, fields: Mapping[str, str], response_uri: str) -> tuple[oid4vp.Answered, ByRedirect]:
    """The wallet's form, and what an answer to this question, and to no other, is bound to.

    Raises Refused without a step for what is no answer to this question."""
    key = jwe.DecryptionKey.from_jwk(pending.jwk)
    answered = oid4vp.read_answer(fields, key, state=pending.state)
    tie = ByRedirect(client_id(response_uri), pending.nonce, response_uri, key.public.thumbprint_raw)
    return answered, tie
