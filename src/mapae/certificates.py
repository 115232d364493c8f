"""The X.509 certificates of one installation, made when first needed and renewed in time.

Promises: `anchor` and `leaf` give the same certificate until three quarters of a leaf's life are over, or until its key
changes; a `renewal` is used once it was promoted, and until then the old one. Trusts: the signers it is handed. Keeps:
one DER file a certificate (public data). Refuses: nothing; a damaged file is made anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from .clock import Clock, Dice
from .formats.jose import PublicKey
from .formats.x509 import UNREADABLE, Profile, Subject, leaf, root, serial_number
from .keys import Signer

ANCHOR_LIFE = timedelta(days=3652)
RENEW_AT = 0.75  # of its life
LEAF_LIFE = timedelta(days=365)  # ISO/IEC 18013-5 table B.3: a document signer lives 457 days at the most


NEXT = "-next"


class Renewal(NamedTuple):
    """Two certificates of one key, DER: the one in use, which may be missing, and the one that is to replace it."""

    using: bytes | None
    waiting: bytes | None


class Certificates:
    def __init__(self, folder: Path, clock: Clock, dice: Dice) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._clock = clock
        self._dice = dice

    def anchor(self, name: str, subject: Subject, ca: Signer) -> bytes:
        """The self-signed certificate of `ca`, DER."""
        kept = self._kept(name, ca)
        if kept is None:
            now = self._clock.now().replace(microsecond=0)
            start = now - timedelta(days=1)
            serial = serial_number(self._dice.bytes(16))
            kept = root(subject, ca, serial=serial, not_before=start, not_after=start + ANCHOR_LIFE)
            self.keep(name, kept)
        return kept

    def given(self, name: str, key: Signer) -> tuple[bytes, ...] | None:
        """The chain somebody else's authority made for `key`, or None when there is none or it needs renewing."""
        kept = self._kept(name, key)
        return None if kept is None else (kept,)

    def usable(self, name: str, key: Signer) -> tuple[bytes, ...] | None:
        """The same for whoever cannot renew it: good until its very end."""
        kept = self._kept(name, key, part=1.0)
        return None if kept is None else (kept,)

    def due(self) -> list[str]:
        """Names of certificates that will be made anew the next time a process of their role starts."""
        now, found = self._clock.now(), []
        for path in sorted(self._folder.glob("[!.]*.der")):
            try:
                certificate = x509.load_der_x509_certificate(path.read_bytes())
            except UNREADABLE:
                found.append(path.stem)
                continue
            if now >= _until(certificate, RENEW_AT):
                found.append(path.stem)
        return found

    def held(self, name: str) -> bytes | None:
        """A certificate in date, whatever its key: of an authority elsewhere."""
        try:
            raw = (self._folder / f"{name}.der").read_bytes()
            certificate = x509.load_der_x509_certificate(raw)
        except (FileNotFoundError, *UNREADABLE):
            return None
        now = self._clock.now()
        return raw if certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc else None

    def over(self, name: str) -> bool:
        """Whether there was one, and it has ended."""
        try:
            certificate = x509.load_der_x509_certificate((self._folder / f"{name}.der").read_bytes())
        except (FileNotFoundError, *UNREADABLE):
            return False
        return certificate.not_valid_after_utc <= self._clock.now()

    def given_renewal(self, name: str, key: Signer) -> Renewal:
        """The same as `renewal` for whoever waits for an authority elsewhere: `give` keeps what came from there."""
        return Renewal(self._kept(name, key, part=1.0), self._kept(f"{name}{NEXT}", key, part=1.0))

    def give(self, name: str, der: bytes) -> None:
        """What an authority elsewhere made, to be used once it was promoted."""
        self.keep(f"{name}{NEXT}", der)

    def renewal(
        self, name: str, profile: Profile, subject: Subject, key: Signer, *, ca: Signer, ca_der: bytes
    ) -> Renewal:  # fmt: skip
        """What `key` signs with now, and what it is to sign with next, if that is another: for a certificate that has
        to be entered somewhere before it counts. The next stays the same until `promote`."""
        kept = self._kept(name, key)
        if kept is not None:
            return Renewal(kept, None)
        waiting = self._kept(f"{name}{NEXT}", key)
        if waiting is None:
            (waiting,) = self.leaf(f"{name}{NEXT}", profile, subject, key, ca=ca, ca_der=ca_der)
        return Renewal(self._kept(name, key, part=1.0), waiting)

    def drop(self, name: str) -> None:
        """Neither the one in use nor the next is to be used any more."""
        for one in (name, f"{name}{NEXT}"):
            (self._folder / f"{one}.der").unlink(missing_ok=True)

    def promote(self, name: str) -> None:
        """From now on the next is the one in use."""
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            (self._folder / f"{name}{NEXT}.der").replace(self._folder / f"{name}.der")

    def leaf(
        self,
        name: str,
        profile: Profile,
        subject: Subject,
        key: Signer,
        *,
        ca: Signer,
        ca_der: bytes,
        dns: Sequence[str] = (),
    ) -> tuple[bytes, ...]:
        """An `x5c` chain for `key`, DER, leaf first and without the anchor (HAIP 1.0)."""
        kept = self._kept(name, key)
        if kept is None:
            # ISO/IEC 18013-5 9.3.1: `signed`, rounded down to the day, must fall into the certificate's life.
            start = self._clock.now().replace(microsecond=0) - timedelta(days=1)
            kept = leaf(
                profile, subject, PublicKey.from_jwk(key.jwk), ca=ca, ca_der=ca_der,
                serial=serial_number(self._dice.bytes(16)), not_before=start, not_after=start + LEAF_LIFE, dns=dns,
            )  # fmt: skip
            self.keep(name, kept)
        return (kept,)

    def _kept(self, name: str, key: Signer, part: float = RENEW_AT) -> bytes | None:
        path = self._folder / f"{name}.der"
        try:
            raw = path.read_bytes()
            certificate = x509.load_der_x509_certificate(raw)
            if certificate.public_key() != key.public_key:
                return None
        except (FileNotFoundError, *UNREADABLE):
            return None
        good = certificate.not_valid_before_utc <= self._clock.now() < _until(certificate, part)
        return raw if good else None

    def keep(self, name: str, der: bytes) -> None:
        """Keep a certificate, also one another authority made."""
        draft = self._folder / f".{name}.{self._dice.token(6)}"  # two processes may start at once
        draft.write_bytes(der)
        draft.replace(self._folder / f"{name}.der")


def _until(certificate: x509.Certificate, part: float) -> datetime:
    """When this part of its life is over."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * part
