"""Who may sit at the desk: passkeys, sessions, and their limits.

Promises: nobody signs in without a fresh, user-verified WebAuthn assertion for our origin; a challenge serves one
browser once; a session ends by sign-out, after 15 idle minutes, or after a working day. Trusts: the passkeys the
office enrolled, the `webauthn` library for the ceremony's checks (Web Authentication Level 2, 7.1 and 7.2).
Keeps: officers, passkeys, hashes of session tokens. Refuses: a sixth failed sign-in of one officer within 15 minutes,
a counter that went back (a cloned key), the removal of an officer's last passkey.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from mapae.audit import Event, record
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.errors import Code, Refused

from . import officer_store as store
from .officer_store import Challenge, Officer, Passkey

__all__ = ["IDLE", "WORKING_DAY", "Officer", "Officers", "Passkey", "Site"]

IDLE: Final = timedelta(minutes=15)
WORKING_DAY: Final = timedelta(hours=10)
CHALLENGE_LIFE: Final = timedelta(minutes=5)
FAILURES: Final = 5
FAILURE_WINDOW: Final = timedelta(minutes=15)
_CREDENTIAL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,1400}")  # WebAuthn 4: at most 1023 bytes, in base64url
_SIGN_IN: Final = "get"
_ENROL: Final = "create"
_SECOND: Final = "second"  # and the case it is for
_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


@dataclass(frozen=True, slots=True)
class Site:
    """What browsers know the desk by: the domain, a name people read, and the exact origin."""

    rp_id: str
    name: str
    origin: str


class Officers:
    """Passkeys and sessions of the issuer's officers."""

    def __init__(self, db: Db, clock: Clock, dice: Dice, site: Site) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self.site = site

    # --- who may ---------------------------------------------------------------------------------------------------

    async def appoint(self, officer: Officer, actor: str = "operator") -> None:
        """Enter an officer, or change name and office. Idempotent. Passkeys come by `begin_passkey`."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            await store.put_officer(tx, officer)
            await record(tx, Event(officer.id, "officer", "appointed", actor, {"office": officer.office}), now)

        if await store.officer(self._db, officer.id) != officer:
            await self._db.write(body)

    async def dismiss(self, officer_id: str, actor: str = "operator") -> None:
        """From this moment the officer's sessions and passkeys open nothing."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if await store.end_officer(tx, officer_id):
                await record(tx, Event(officer_id, "officer", "dismissed", actor), now)

        await self._db.write(body)

    async def all(self) -> list[Officer]:
        return await store.officers(self._db)

    # --- passkeys --------------------------------------------------------------------------------------------------

    async def passkeys(self, officer_id: str) -> list[Passkey]:
        return await store.passkeys(self._db, officer_id)

    async def begin_passkey(self, officer_id: str) -> tuple[str, dict[str, Any]]:
        """A knock (the browser's cookie value) and options for `navigator.credentials.create`."""
        officer = await store.officer(self._db, officer_id)
        if officer is None:
            raise Refused(Code.NOT_FOUND, "no such officer")
        challenge = self._dice.bytes(32)
        held = await store.passkeys(self._db, officer_id)
        options = generate_registration_options(
            rp_id=self.site.rp_id,
            rp_name=self.site.name,
            user_id=officer.id.encode(),
            user_name=officer.id,
            user_display_name=officer.name,
            challenge=challenge,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.credential_id)) for key in held
            ],
            supported_pub_key_algs=_ALGORITHMS,
        )
        return await self._knock(challenge, _ENROL, officer_id), options_to_json_dict(options)

    async def add_passkey(self, officer_id: str, knock: str, answer: str, label: str) -> str:
        """Check the browser's answer and keep the new passkey; its id."""
        challenge = await self._take(knock, _ENROL)
        if challenge.officer_id != officer_id:
            raise Refused(Code.BAD_PASSKEY, "this registration was begun by somebody else")
        made = self._registered(answer, challenge)
        now = self._clock.now()
        passkey = Passkey(
            bytes_to_base64url(made.credential_id),
            officer_id,
            made.credential_public_key,
            made.sign_count,
            label.strip()[:60] or "passkey",
            int(now.timestamp()),
            None,
        )

        async def body(tx: Tx) -> None:
            await store.put_passkey(tx, passkey)
            await record(tx, Event(officer_id, "passkey", "added", officer_id), now)

        try:
            await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "this passkey is registered already") from None
        return passkey.credential_id

    async def end_passkey(self, officer_id: str, credential_id: str) -> None:
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if not await store.end_passkey(tx, officer_id, credential_id, int(now.timestamp())):
                raise Refused(Code.CONFLICT, "the last passkey stays: add another one first")
            await record(tx, Event(officer_id, "passkey", "ended", officer_id), now)

        await self._db.write(body)

    # --- sessions --------------------------------------------------------------------------------------------------

    async def begin_sign_in(self) -> tuple[str, dict[str, Any]]:
        """A knock and options for `navigator.credentials.get`; the passkey itself says who the officer is."""
        challenge = self._dice.bytes(32)
        options = generate_authentication_options(
            rp_id=self.site.rp_id, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
        )
        return await self._knock(challenge, _SIGN_IN, None), options_to_json_dict(options)

    async def sign_in(self, knock: str, answer: str) -> tuple[str, Officer]:
        """1 our challenge, unused  2 a passkey we know  3 not too many failures  4 the assertion  5 the counter."""
        challenge = await self._take(knock, _SIGN_IN)
        passkey, officer = await self._known(answer)
        proved = await self._proved_or_counted(answer, challenge, passkey, officer)
        now = self._clock.now()
        at, token = int(now.timestamp()), self._dice.token()

        async def body(tx: Tx) -> None:
            await self._use(tx, passkey, proved, officer, at)
            await store.sweep_sessions(tx, at, at - int(IDLE.total_seconds()), at - int(WORKING_DAY.total_seconds()))
            await store.put_session(tx, _hash(token), officer.id, at)
            await record(tx, Event(officer.id, "officer", "signed_in", officer.id, {"office": officer.office}), now)

        await self._db.write(body)
        return token, officer

    # --- another officer of the same office ------------------------------------------------------------------------

    async def colleagues(self, first: Officer) -> list[Officer]:
        return [one for one in await store.officers(self._db) if one.office == first.office and one.id != first.id]

    async def begin_second(self, first: Officer, case_id: str) -> tuple[str, dict[str, Any]]:
        """A knock and options for a colleague's passkey, in the browser the first officer is signed in with. They open
        no session and count for this case only."""
        challenge = self._dice.bytes(32)
        held = [key for one in await self.colleagues(first) for key in await store.passkeys(self._db, one.id)]
        options = generate_authentication_options(
            rp_id=self.site.rp_id,
            challenge=challenge,
            user_verification=UserVerificationRequirement.REQUIRED,
            allow_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.credential_id)) for key in held],
        )
        return await self._knock(challenge, f"{_SECOND} {case_id}", first.id), options_to_json_dict(options)

    async def second(self, first: Officer, case_id: str, knock: str, answer: str) -> Officer:
        """1 a challenge drawn for this officer and this case  2 a passkey we know  3 somebody else's  4 of the same
        office  5 not too many failures  6 the assertion and its counter."""
        challenge = await self._take(knock, f"{_SECOND} {case_id}")
        if challenge.officer_id != first.id:
            raise Refused(Code.BAD_PASSKEY, "this question was put to somebody else")
        passkey, officer = await self._known(answer)
        if officer.id == first.id:
            raise Refused(Code.SECOND_OFFICER, "the second officer must be somebody else")
        if officer.office != first.office:
            raise Refused(Code.WRONG_OFFICE, "the second officer must be of the same office")
        proved = await self._proved_or_counted(answer, challenge, passkey, officer)
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            await self._use(tx, passkey, proved, officer, int(now.timestamp()))
            facts = {"office": officer.office, "case": case_id, "first": first.id}
            await record(tx, Event(officer.id, "officer", "stepped_up", officer.id, facts), now)

        await self._db.write(body)
        return officer

    async def signed_in(self, token: str, *, active: bool = True) -> Officer:
        """The officer of a live session. A page that asks again by itself is no sign of life: `active=False`."""
        at = int(self._clock.now().timestamp())
        found = await store.session_officer(
            self._db, _hash(token), at, at - int(IDLE.total_seconds()), at - int(WORKING_DAY.total_seconds())
        )
        if not token or found is None:
            raise Refused(Code.NOT_SIGNED_IN, "sign in with your passkey")
        officer, seen = found
        if active and at - seen >= 10:  # a write every page would cost more than ten seconds are worth
            await self._db.write(lambda tx: store.touch_session(tx, _hash(token), at))
        return officer

    async def sign_out(self, token: str) -> None:
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            officer_id = await store.end_session(tx, _hash(token))
            if officer_id is not None:
                await record(tx, Event(officer_id, "officer", "signed_out", officer_id), now)

        await self._db.write(body)

    # --- the ceremony ----------------------------------------------------------------------------------------------

    async def _knock(self, challenge: bytes, ceremony: str, officer_id: str | None) -> str:
        knock, now = self._dice.token(), self._clock.now()
        kept = Challenge(challenge, ceremony, officer_id, int((now + CHALLENGE_LIFE).timestamp()))
        await self._db.write(lambda tx: store.put_challenge(tx, _hash(knock), kept, int(now.timestamp())))
        return knock

    async def _take(self, knock: str, ceremony: str) -> Challenge:
        challenge = await self._db.write(lambda tx: store.take_challenge(tx, _hash(knock)))
        if challenge is None or challenge.ceremony != ceremony:
            raise Refused(Code.BAD_PASSKEY, "this sign-in page was used already: load it again")
        if challenge.expires <= int(self._clock.now().timestamp()):
            raise Refused(Code.BAD_PASSKEY, "this sign-in page is too old: load it again")
        return challenge

    async def _known(self, answer: str) -> tuple[Passkey, Officer]:
        passkey = await store.passkey(self._db, _credential_id(answer))
        officer = await store.officer(self._db, passkey.officer_id) if passkey else None
        if passkey is None or officer is None:
            raise Refused(Code.BAD_PASSKEY, "this passkey is not registered here")
        return passkey, officer

    async def _proved_or_counted(
        self, answer: str, challenge: Challenge, passkey: Passkey, officer: Officer
    ) -> VerifiedAuthentication:
        """The assertion; or one more failure of this officer on record."""
        now = self._clock.now()
        at, window = int(now.timestamp()), int((now - FAILURE_WINDOW).timestamp())
        if await store.failures(self._db, officer.id, at, window) >= FAILURES:
            raise Refused(Code.TOO_OFTEN, "too many failed sign-ins: wait 15 minutes")
        try:
            return self._proved(answer, challenge, passkey)
        except Refused:
            await self._db.write(lambda tx: self._failed(tx, officer, at, window))
            raise

    async def _use(
        self, tx: Tx, passkey: Passkey, proved: VerifiedAuthentication, officer: Officer, at: int
    ) -> None:  # fmt: skip
        if not await store.used_passkey(tx, passkey, proved.new_sign_count, at):
            raise Refused(Code.BAD_PASSKEY, "the passkey was used elsewhere at the same moment")
        await store.forget_failures(tx, officer.id)

    async def _failed(self, tx: Tx, officer: Officer, at: int, window: int) -> None:
        await store.count_failure(tx, officer.id, at, window)
        await record(tx, Event(officer.id, "officer", "sign_in_refused", officer.id), self._clock.now())

    def _proved(self, answer: str, challenge: Challenge, passkey: Passkey) -> VerifiedAuthentication:
        try:
            return verify_authentication_response(
                credential=answer,
                expected_challenge=challenge.challenge,
                expected_rp_id=self.site.rp_id,
                expected_origin=self.site.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except (
            Exception
        ) as error:  # The library parses a stranger's CBOR and DER: whatever breaks there is a bad answer.
            raise Refused(Code.BAD_PASSKEY, "the passkey's answer does not check out") from error

    def _registered(self, answer: str, challenge: Challenge) -> VerifiedRegistration:
        try:
            return verify_registration_response(
                credential=answer,
                expected_challenge=challenge.challenge,
                expected_rp_id=self.site.rp_id,
                expected_origin=self.site.origin,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except Exception as error:  # As in _proved.
            raise Refused(Code.BAD_PASSKEY, "the passkey's answer does not check out") from error


def _credential_id(answer: str) -> str:
    try:
        read = json.loads(answer)
    except (ValueError, RecursionError):
        raise Refused(Code.BAD_PASSKEY, "the passkey's answer is not JSON") from None
    found = read.get("id") if isinstance(read, dict) else None
    if not isinstance(found, str) or not _CREDENTIAL_ID.fullmatch(found):
        raise Refused(Code.BAD_PASSKEY, "the passkey's answer names no credential")
    return found


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
