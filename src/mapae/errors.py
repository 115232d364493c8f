"""What mapae refuses, and in which words.

Promises: every refusal a stranger can meet is one `Refused` with one closed `Code`; `detail` is safe to show to the
person it concerns. Trusts: callers to keep secrets and personal data out of `detail`. Keeps: nothing. Refuses:
free-form codes. Anything raised that is not `Refused` is our own bug and becomes an incident number at the web edge.
"""

from __future__ import annotations

import traceback
from enum import StrEnum


class Code(StrEnum):
    """Why a request was refused. The value is stable: clients, tests and translations key on it."""

    # what arrived
    MALFORMED = "malformed"  # not the one spelling we read
    TOO_LARGE = "too_large"  # over the size limit, refused before parsing
    UNSUPPORTED = "unsupported"  # well-formed, but an algorithm, format or version we do not accept
    NOT_FOUND = "not_found"  # no such thing, or not yours to see
    WRONG_METHOD = "wrong_method"  # the path exists, the method does not
    TOO_OFTEN = "too_often"  # rate limit; detail says when to try again
    UNAVAILABLE = "unavailable"  # another role did not answer; nothing was lost, try again
    CONFLICT = "conflict"  # somebody else changed it first

    # who is asking
    NOT_SIGNED_IN = "not_signed_in"
    NOT_ALLOWED = "not_allowed"  # signed in, but not for this
    BAD_CSRF = "bad_csrf"
    BAD_PASSKEY = "bad_passkey"

    # identity check (registers)
    NO_SUCH_PERSON = "no_such_person"  # name, number and phone do not belong together
    WRONG_CODE = "wrong_code"  # one-time code from the text message is wrong
    CODE_EXPIRED = "code_expired"
    CODE_SPENT = "code_spent"  # used already, or too many wrong tries

    # eligibility (issuer)
    TOO_YOUNG = "too_young"
    NO_RECORD = "no_record"
    NO_PHYSICAL_CARD = "no_physical_card"
    PHYSICAL_CARD_LOST = "physical_card_lost"
    OUTSIDE_PILOT = "outside_pilot"
    NOT_STARTED = "not_started"  # the document is not issued yet on this day
    DECEASED = "deceased"
    NOT_A_CITIZEN = "not_a_citizen"
    NO_PHONE = "no_phone"  # no wallet registered for this person yet
    PHONE_ALREADY_ACTIVE = "phone_already_active"
    ALREADY_HOLDS = "already_holds"  # a live card on a live phone
    RECORD_PHOTO_TOO_OLD = "record_photo_too_old"
    WRONG_OFFICE = "wrong_office"  # another office's case
    CASE_CLOSED = "case_closed"
    EVIDENCE_MISSING = "evidence_missing"  # a needed check has not been recorded

    # who is this: face, chip, and the way to a new physical card
    FACE_UNAVAILABLE = "face_unavailable"  # no face verifier answers: the officers compare
    FACE_SPENT = "face_spent"  # too many face checks failed: officers decide
    CHALLENGE_SPENT = "challenge_spent"  # this face challenge was used, is too old or is somebody else's
    PHOTO_REFUSED = "photo_refused"  # the photo cannot serve as a photo on record; step says why
    SECOND_OFFICER = "second_officer"  # a second officer, another one, must confirm this
    CHIP_REFUSED = "chip_refused"  # the chip did not prove to be the card of the register; step says which check
    CHIP_NOT_ACTIVE = "chip_not_active"  # lost, replaced, expired or not yet handed over
    CHIP_USED = "chip_used"  # one issuance a card within the pack's hours
    CHIP_PIN_WRONG = "chip_pin_wrong"  # the card says so; its counter has gone down
    CHIP_SUSPENDED = "chip_suspended"  # one try left: needs the number printed on the card
    CHIP_BLOCKED = "chip_blocked"  # no try left: needs the unblock key
    PAYMENT_FAILED = "payment_failed"  # the payment was declined or undone

    # OAuth 2.0, OpenID4VCI 1.0
    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    USE_FRESH_ATTESTATION = "use_fresh_attestation"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 a code, not a password
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    USE_DPOP_NONCE = "use_dpop_nonce"
    INVALID_CREDENTIAL_REQUEST = "invalid_credential_request"
    UNKNOWN_CREDENTIAL_CONFIGURATION = "unknown_credential_configuration"
    UNKNOWN_CREDENTIAL_IDENTIFIER = "unknown_credential_identifier"
    INVALID_PROOF = "invalid_proof"
    INVALID_NONCE = "invalid_nonce"
    INVALID_ENCRYPTION_PARAMETERS = "invalid_encryption_parameters"
    CREDENTIAL_REQUEST_DENIED = "credential_request_denied"
    INVALID_TRANSACTION_ID = "invalid_transaction_id"
    INVALID_NOTIFICATION_ID = "invalid_notification_id"
    INVALID_NOTIFICATION_REQUEST = "invalid_notification_request"

    # OpenID4VP 1.0
    ACCESS_DENIED = "access_denied"  # the holder said no
    OVER_ASKING = "over_asking"  # the relying party may not ask for this
    UNKNOWN_RELYING_PARTY = "unknown_relying_party"
    SESSION_SPENT = "session_spent"  # answered already, or too late
    EXCESSIVE = "excessive"  # an application asks for items its purpose does not need; step names the rule
    LOGIN_REQUIRED = "login_required"  # OpenID Connect Core 3.1.2.6: the client forbade asking the person
    WRONG_BROWSER = "wrong_browser"  # the answer did not come back to the browser that asked
    INVALID_TRANSACTION_DATA = "invalid_transaction_data"  # of a type we do not know, or not as that type says

    # checking a credential: the numbered steps of docs/checking.md
    UNTRUSTED_ISSUER = "untrusted_issuer"
    BAD_CERTIFICATE = "bad_certificate"
    BAD_SIGNATURE = "bad_signature"
    BAD_DIGEST = "bad_digest"  # a disclosed item no digest of the issuer covers
    BAD_HOLDER_PROOF = "bad_holder_proof"
    WRONG_NONCE = "wrong_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    STATUS_UNKNOWN = "status_unknown"  # no status list fresh enough for this purpose
    NOT_WHAT_WAS_ASKED = "not_what_was_asked"  # other type, missing or surplus items
    SIGNER_REVOKED = "signer_revoked"  # the certificate was revoked in the registry, or never entered there
    STALE_PACK = "stale_pack"  # the offline pack is too old for this purpose
    PRESENTATION_STALE = "presentation_stale"  # a code shown too long after it was made: photographed, or a slow screen
    PRESENTATION_SPENT = "presentation_spent"  # this checker has accepted this very code before
    CLOCK_OFF = "clock_off"  # a code from the future: the clock here or there is wrong
    TRANSPORT_LOST = "transport_lost"  # the other device went away before the answer was whole

    # the trust log, its witnesses, the offline pack
    LEDGER_RULE = "ledger_rule"  # the rules of the log do not allow this change
    FORKED = "forked"  # a history that does not extend the one seen before
    BAD_PROOF = "bad_proof"  # an inclusion or consistency proof that proves something else
    UNWITNESSED = "unwitnessed"  # fewer witnesses have signed than the policy asks for
    BAD_PACK = "bad_pack"  # the offline pack is damaged, incomplete or not what was signed

    # wallet provider
    DEVICE_SUSPENDED = "device_suspended"
    DEVICE_ENDED = "device_ended"  # this phone must erase its cards
    UNKNOWN_DEVICE = "unknown_device"

    # configuration and keys
    BAD_CONFIG = "bad_config"
    KEY_SPENT = "key_spent"  # a signing ticket was offered twice
    LINT = "lint"  # the draft broke a rule no credential may break


class Refused(Exception):
    """A request we turn down on purpose.

    `code` is closed, `detail` is one plain English sentence without personal data, `step` names the numbered check
    that failed (see `step()`), or None outside a numbered list.
    """

    def __init__(self, code: Code, detail: str = "", *, step: str | None = None) -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail
        self.step = step


class step:
    """`with step("seal"):` names the numbered check that runs inside, so that a refusal says which one failed."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if raised is not None and isinstance(raised, Refused) and raised.step is None:
            raised.step = self._name


def where(bug: BaseException) -> list[str]:
    """Where our code broke, for a log: the last frames, and no message or value (either may hold somebody's name)."""
    frames = traceback.extract_tb(bug.__traceback__)[-8:]
    return [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}" for frame in frames]
