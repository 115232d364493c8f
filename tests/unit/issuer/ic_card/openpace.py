"""OpenPACE (`libeac.so.3`, Debian's libeac3) through ctypes: somebody else's PACE and secure messaging, to be held
against ours. Only tests load it: it is under the GPL, and nothing that ships may."""

from __future__ import annotations

import ctypes as c
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from typing import Any

import pytest


class _Buffer(c.Structure):
    """OpenSSL's BUF_MEM."""

    _fields_ = [("length", c_size_t), ("data", c.POINTER(c.c_ubyte)), ("max", c_size_t), ("flags", c.c_ulong)]


_B = c.POINTER(_Buffer)
_CALLS: dict[str, tuple[Any, list[Any]]] = {
    "EAC_init": (None, []),
    "EAC_CTX_new": (c_void_p, []),
    "EAC_CTX_clear_free": (None, [c_void_p]),
    "EAC_CTX_init_ef_cardaccess": (c_int, [c_char_p, c_size_t, c_void_p]),
    "EAC_CTX_set_encryption_ctx": (c_int, [c_void_p, c_int]),
    "EAC_increment_ssc": (c_int, [c_void_p]),
    "EAC_encrypt": (_B, [c_void_p, _B]),
    "EAC_decrypt": (_B, [c_void_p, _B]),
    "EAC_authenticate": (_B, [c_void_p, _B]),
    "PACE_SEC_new": (c_void_p, [c_char_p, c_size_t, c_int]),
    "PACE_SEC_clear_free": (None, [c_void_p]),
    "PACE_STEP1_enc_nonce": (_B, [c_void_p, c_void_p]),
    "PACE_STEP2_dec_nonce": (c_int, [c_void_p, c_void_p, _B]),
    "PACE_STEP3A_generate_mapping_data": (_B, [c_void_p]),
    "PACE_STEP3A_map_generator": (c_int, [c_void_p, _B]),
    "PACE_STEP3B_generate_ephemeral_key": (_B, [c_void_p]),
    "PACE_STEP3B_compute_shared_secret": (c_int, [c_void_p, _B]),
    "PACE_STEP3C_derive_keys": (c_int, [c_void_p]),
    "PACE_STEP3D_compute_authentication_token": (_B, [c_void_p, _B]),
    "PACE_STEP3D_verify_authentication_token": (c_int, [c_void_p, _B]),
    "BUF_MEM_clear_free": (None, [_B]),
}
_library: Any = None


class OpenPaceRefuses(Exception):
    pass


def library() -> Any:
    """Skips the test where it is not installed; `make setup` installs it."""
    global _library
    if _library is None:
        try:
            _library = c.CDLL("libeac.so.3")
        except OSError:
            pytest.skip("OpenPACE is not installed (apt-get install libeac3): nobody to hold our PACE against")
        for name, (result, arguments) in _CALLS.items():
            call = getattr(_library, name)
            call.restype, call.argtypes = result, arguments
        _library.EAC_init()
    return _library


def _buffer(data: bytes) -> Any:
    held = (c.c_ubyte * max(len(data), 1)).from_buffer_copy(data or b"\0")
    made = _Buffer(len(data), c.cast(held, c.POINTER(c.c_ubyte)), len(data), 0)
    made.held = held  # as long as the structure lives, so does what it points to
    return c.byref(made)


class OpenPace:
    """One side of one PACE, and the channel that comes out of it."""

    def __init__(self, card_access: bytes, password: int, secret: str) -> None:
        self._library = library()
        self._it = self._library.EAC_CTX_new()
        self._must(self._library.EAC_CTX_init_ef_cardaccess(card_access, len(card_access), self._it))
        self._secret = self._library.PACE_SEC_new(secret.encode(), len(secret), password)

    def close(self) -> None:
        self._library.PACE_SEC_clear_free(self._secret)
        self._library.EAC_CTX_clear_free(self._it)

    def _must(self, answer: int) -> None:
        if answer != 1:
            raise OpenPaceRefuses

    def _out(self, pointer: Any) -> bytes:
        if not pointer:
            raise OpenPaceRefuses
        data = bytes(pointer.contents.data[: pointer.contents.length])
        self._library.BUF_MEM_clear_free(pointer)
        return data

    def nonce(self) -> bytes:
        return self._out(self._library.PACE_STEP1_enc_nonce(self._it, self._secret))

    def take_nonce(self, sealed: bytes) -> None:
        self._must(self._library.PACE_STEP2_dec_nonce(self._it, self._secret, _buffer(sealed)))

    def mapping(self) -> bytes:
        return self._out(self._library.PACE_STEP3A_generate_mapping_data(self._it))

    def take_mapping(self, point: bytes) -> None:
        self._must(self._library.PACE_STEP3A_map_generator(self._it, _buffer(point)))

    def key(self) -> bytes:
        return self._out(self._library.PACE_STEP3B_generate_ephemeral_key(self._it))

    def take_key(self, point: bytes) -> None:
        self._must(self._library.PACE_STEP3B_compute_shared_secret(self._it, _buffer(point)))
        self._must(self._library.PACE_STEP3C_derive_keys(self._it))
        self._theirs = point

    def token(self) -> bytes:
        return self._out(self._library.PACE_STEP3D_compute_authentication_token(self._it, _buffer(self._theirs)))

    def take_token(self, token: bytes) -> None:
        self._must(self._library.PACE_STEP3D_verify_authentication_token(self._it, _buffer(token)))
        self._must(self._library.EAC_CTX_set_encryption_ctx(self._it, 0))  # 0: PACE's keys

    # --- the channel: its counter, cipher and MAC are OpenPACE's; how the objects lie is Doc 9303-11 9.8.4, by hand

    def count(self) -> None:
        self._must(self._library.EAC_increment_ssc(self._it))

    def mac(self, data: bytes) -> bytes:
        """Over data that is padded already; it puts its counter before it."""
        return self._out(self._library.EAC_authenticate(self._it, _buffer(data)))

    def encrypt(self, data: bytes) -> bytes:
        return self._out(self._library.EAC_encrypt(self._it, _buffer(padded(data))))

    def decrypt(self, data: bytes) -> bytes:
        return self._out(self._library.EAC_decrypt(self._it, _buffer(data))).rstrip(b"\0")[:-1]


def padded(data: bytes) -> bytes:
    return data + b"\x80" + bytes(15 - len(data) % 16)
