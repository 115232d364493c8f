from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from mapae.config import Settings, checked
from mapae.errors import Code, Refused
from mapae.keys import KeyStore, Signer, Ticket, Vault


def _verify(signer: Signer, message: bytes, signature: bytes) -> None:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    signer.public_key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


def test_a_key_survives_reopening_and_stays_the_same(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, b"pass")
    store.create("file:issuer-ds")
    kid = store.signer("file:issuer-ds").kid
    store.create("file:issuer-ds")
    again = KeyStore(tmp_path, b"pass").signer("file:issuer-ds")
    assert again.kid == kid
    _verify(again, b"hello", again.sign(b"hello"))
    with pytest.raises(InvalidSignature):
        _verify(again, b"other", again.sign(b"hello"))


def test_a_ticket_signs_once() -> None:
    signer, ticket = Signer.ephemeral(), Ticket("t1")
    signer.sign_once(ticket, b"x")
    with pytest.raises(Refused) as refused:
        signer.sign_once(ticket, b"x")
    assert refused.value.code is Code.KEY_SPENT


@pytest.mark.parametrize("uri", ["file:../x", "file:", "pkcs11:token", "file:A", "issuer"])
def test_a_strange_uri_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(Refused) as refused:
        KeyStore(tmp_path, b"p").create(uri)
    assert refused.value.code is Code.BAD_CONFIG


def test_a_wrong_passphrase_and_a_flipped_bit_are_refused(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, b"pass")
    store.create("file:a")
    with pytest.raises(Refused):
        KeyStore(tmp_path, b"other").signer("file:a")
    path = tmp_path / "a.key"
    raw = bytearray(path.read_bytes())
    raw[20] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Refused):
        KeyStore(tmp_path, b"pass").signer("file:a")


def test_a_key_file_cannot_stand_in_for_another(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, b"pass")
    store.create("file:a")
    (tmp_path / "b.key").write_bytes((tmp_path / "a.key").read_bytes())
    with pytest.raises(Refused):
        store.signer("file:b")


def test_the_key_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    KeyStore(tmp_path / "keys", b"p").create("file:a")
    assert (tmp_path / "keys" / "a.key").stat().st_mode & 0o077 == 0


def test_nothing_on_a_signer_gives_the_private_key() -> None:
    shown = {name for name in dir(Signer.ephemeral()) if not name.startswith("_")}
    assert shown == {"certify", "ephemeral", "jwk", "kid", "public_key", "sign", "sign_once"}


@given(st.binary(max_size=200), st.binary(max_size=20), st.integers(0, 10_000))
def test_a_sealed_value_opens_only_whole_and_in_its_place(plain: bytes, context: bytes, at: int) -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal(plain, context)
    assert vault.open(sealed, context) == plain
    with pytest.raises(Refused):
        vault.open(sealed, context + b"x")
    changed = bytearray(sealed)
    changed[at % len(changed)] ^= 1 << (at % 8)
    with pytest.raises(Refused):
        vault.open(bytes(changed), context)


def test_a_blind_index_depends_on_value_key_and_context() -> None:
    vault = Vault(b"k" * 32)
    assert vault.index("1", b"c") == vault.index("1", b"c")
    assert (
        len({vault.index("1", b"c"), vault.index("2", b"c"), vault.index("1", b"d"), Vault(b"j" * 32).index("1", b"c")})
        == 4
    )


def test_the_settings_say_where_a_roles_key_is() -> None:
    kept = {"issuer/issuing-ca": "pkcs11:token=mapae;object=issuing-ca", "governor-1/voice": "file:voice"}
    assert checked(Settings(keys=kept)).keys == kept


@pytest.mark.parametrize(("name", "uri"), [("issuing-ca", "file:a"), ("issuer/../ca", "file:a"), ("issuer/ca", "/ca")])
def test_settings_that_name_no_key_stop_the_start(name: str, uri: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(Settings(keys={name: uri}))
    assert refused.value.code is Code.BAD_CONFIG
    assert refused.value.detail.startswith("keys")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as refused:
        KeyStore(tmp_path / "file" / "keys", b"p")
    assert refused.value.code is Code.BAD_CONFIG and "file/keys cannot hold keys" in refused.value.detail
