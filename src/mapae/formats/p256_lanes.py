"""Eight P-256 verifications at a time, through Intel's crypto_mb by ctypes: AVX-512 IFMA, batches only.

mapae neither ships nor installs that library: see docs/decisions/0008. Promises: the answers of `Point.fits`, one a
lane. Trusts: the library, after known answers in every lane. Keeps: its fixed buffers, behind a lock. Refuses: a
machine without the library or the instructions.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Sequence
from threading import Lock
from typing import Final

from mapae.errors import Code, Refused
from mapae.formats.p256 import KNOWN, Check, Engine, well_formed

WIDTH: Final = 8
_FEW: Final = 2
"""So many are cheaper one by one: eight lanes cost about as much as two single verifications."""
_FOLDERS: Final = (f"{sys.prefix}/lib/", "")
"""Where pip puts the library of the wheel, then where the machine looks."""
# The wheel is built with Intel's compiler and names its runtime; one built from the sources needs none of it.
_RUNTIME: Final = ("libintlc.so.5", "libimf.so", "libirng.so", "libsvml.so")


class Lanes:
    name = "crypto_mb"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        library = _library()
        self._verify = library.mbx_nistp256_ecdsa_verify_mb8
        self._verify.restype = ctypes.c_uint32
        kinds = ("r", "s", "digest", "x", "y")
        self._memory = {kind: ctypes.create_string_buffer(WIDTH * 32) for kind in kinds}
        self._lanes = {
            kind: (ctypes.c_void_p * WIDTH)(*(ctypes.addressof(memory) + 32 * lane for lane in range(WIDTH)))
            for kind, memory in self._memory.items()
        }
        self._known_answers()

    def verify(self, checks: Sequence[Check]) -> list[bool]:
        fits = [False] * len(checks)
        sound = [at for at, (_, signature, _) in enumerate(checks) if well_formed(signature)]
        while len(sound) > _FEW:
            lanes, sound = sound[:WIDTH], sound[WIDTH:]
            for at, fit in zip(lanes, self._eight([checks[at] for at in lanes]), strict=True):
                fits[at] = fit
        for at in sound:
            fits[at] = self._engine.verify(*checks[at])
        return fits

    def _eight(self, checks: Sequence[Check]) -> list[bool]:
        """One to eight. Lanes that are left over hold zeros; what they say is not read."""
        columns = {
            "r": b"".join([signature[:32] for _, signature, _ in checks]),
            "s": b"".join([signature[32:] for _, signature, _ in checks]),
            "digest": b"".join([hashlib.sha256(message).digest() for _, _, message in checks]),
            "x": b"".join([point.x[::-1] for point, _, _ in checks]),  # coordinates are limbs, the least one first
            "y": b"".join([point.y[::-1] for point, _, _ in checks]),
        }
        with self._lock:
            for kind, column in columns.items():
                self._memory[kind].raw = column.ljust(WIDTH * 32, b"\x00")
            lanes = self._lanes
            status = self._verify(lanes["r"], lanes["s"], lanes["digest"], lanes["x"], lanes["y"], None, None)
        return [not status >> 4 * lane & 15 for lane in range(len(checks))]  # four bits a lane, 0: it fits

    def _known_answers(self) -> None:
        point, signature, message = KNOWN
        for wrong in range(-1, WIDTH):
            checks = [(point, signature, message + b"!" * (lane == wrong)) for lane in range(WIDTH)]
            if self._eight(checks) != [lane != wrong for lane in range(WIDTH)]:
                raise Refused(Code.BAD_CONFIG, "the batch engine crypto_mb gives a wrong answer on this machine")


def _library() -> ctypes.CDLL:
    for folder in _FOLDERS:
        for name in _RUNTIME:
            _load(folder + name)
        library = _load(f"{folder}libcrypto_mb.so")
        if library is not None:
            break
    else:
        raise Refused(
            Code.BAD_CONFIG,
            "the batch engine crypto_mb is not installed, or its runtime is not: docs/operate.md says what it takes",
        )
    if not library.mbx_is_crypto_mb_applicable(ctypes.c_uint64(0)):  # 0: look at this processor
        raise Refused(Code.BAD_CONFIG, "the batch engine crypto_mb needs a processor with AVX-512 IFMA")
    return library


def _load(path: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None
