from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from mapae.errors import Code, Refused
from mapae.keys import KeyStore, NoteKind, NoteSigner

KINDS = list(NoteKind)


def _verify(vkey: str, message: bytes, signature: bytes) -> None:
    """As a stranger would who has C2SP signed-note and the verifier key only."""
    name, id, material = vkey.split("+", 2)
    raw = base64.b64decode(material, validate=True)
    assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == id
    kind = MLDSA44PublicKey if raw[0] == 6 else Ed25519PublicKey
    kind.from_public_bytes(raw[1:]).verify(signature, message)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_note_key_survives_reopening_and_its_verifier_key_verifies(tmp_path: Path, kind: NoteKind) -> None:
    signer = KeyStore(tmp_path, b"pass").note_signer("file:registry", "id.example/log", kind, str)
    again = KeyStore(tmp_path, b"pass").note_signer("file:registry", "id.example/log", kind, str)
    assert again.vkey == signer.vkey
    assert signer.vkey.startswith("id.example/log+")
    _verify(signer.vkey, b"a checkpoint\n", again.sign(b"a checkpoint\n"))
    with pytest.raises(InvalidSignature):
        _verify(signer.vkey, b"another\n", again.sign(b"a checkpoint\n"))


def test_the_published_verifier_key_comes_out_of_its_public_key() -> None:
    """C2SP signed-note, "Example": the key id of example.com/foo."""
    vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    signature = base64.b64decode(
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    )
    _verify(vkey, b"This is an example message.\n", signature[4:])


def test_each_kind_of_signature_has_a_key_of_its_own(tmp_path: Path) -> None:
    """C2SP signed-note: the same public key should not be reused for different signature types."""
    store = KeyStore(tmp_path, b"pass")
    vkeys = [store.note_signer("file:a", "id.example/log", kind, str).vkey for kind in KINDS]
    assert len({vkey.rsplit("+", 1)[1][2:] for vkey in vkeys}) == len(KINDS)


def test_a_note_key_is_encrypted_on_disk_and_not_shown(tmp_path: Path) -> None:
    signer = KeyStore(tmp_path, b"pass").note_signer("file:a", "id.example/log", NoteKind.LOG, str)
    with pytest.raises(Refused) as refused:
        KeyStore(tmp_path, b"other").note_signer("file:a", "id.example/log", NoteKind.LOG, str)
    assert refused.value.code is Code.BAD_CONFIG
    assert {name for name in dir(signer) if not name.startswith("_")} == {"sign", "vkey"}


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        NoteSigner(name, NoteKind.LOG, bytes(32), str)
