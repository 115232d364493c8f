"""Keys in a token, against a real PKCS #11 module."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.p256 import to_der
from mapae.formats.x509 import Anchors, Profile, Subject, check_chain, leaf, root
from mapae.keys import KeyStore, Signer
from mapae.keys.pkcs11 import TokenKey
from tokens import PIN, SoftToken

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def _uri(object: str, query: str = "") -> str:
    return f"pkcs11:token=mapae;object={object}{query}"


def _signer(folder: Path, uri: str) -> Signer:
    store = KeyStore(folder, b"p")
    store.create(uri)
    return store.signer(uri)


def _verify(signer: Signer, message: bytes, signature: bytes) -> None:
    signer.public_key.verify(to_der(signature), message, ec.ECDSA(SHA256()))


def _refusal(work: object) -> Refused:
    with pytest.raises(Refused) as refused:
        work()  # type: ignore[operator]
    return refused.value


def test_a_key_in_the_token_signs_and_stays_the_same(tmp_path: Path, token: SoftToken) -> None:
    first, again = _signer(tmp_path, _uri("stays")), _signer(tmp_path, _uri("stays"))
    assert first.kid == again.kid != _signer(tmp_path, _uri("other")).kid
    for message in (b"", b"a", b"a" * 10_000):
        _verify(first, message, again.sign(message))


def test_no_private_key_can_be_read_back(tmp_path: Path, token: SoftToken) -> None:
    signer = _signer(tmp_path, _uri("sealed"))
    assert {name for name in dir(signer) if not name.startswith("_")} == {
        name for name in dir(Signer.ephemeral()) if not name.startswith("_")
    }
    with pkcs11.lib(token.module).get_token(token_label="mapae").open() as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="sealed")
        sealed = {name: key[getattr(pkcs11.Attribute, name)] for name in ("SENSITIVE", "ALWAYS_SENSITIVE", "PRIVATE")}
        assert sealed == {"SENSITIVE": True, "ALWAYS_SENSITIVE": True, "PRIVATE": True}
        assert not key[pkcs11.Attribute.EXTRACTABLE]
        assert key[pkcs11.Attribute.NEVER_EXTRACTABLE]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
    assert list(tmp_path.glob("*.key")) == []


def test_a_key_that_can_be_read_out_is_not_used(tmp_path: Path, token: SoftToken) -> None:
    _signer(tmp_path, _uri("anything"))  # logs in
    with pkcs11.lib(token.module).get_token(token_label="mapae").open(rw=True) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}, local=True
        )
        curve.generate_keypair(
            store=True, label="loose", private_template={pkcs11.Attribute.EXTRACTABLE: True}
        )  # fmt: skip
    refused = _refusal(lambda: _signer(tmp_path, _uri("loose")))
    assert refused.code is Code.BAD_CONFIG
    assert "read out" in refused.detail


def test_a_key_of_another_curve_is_not_used(tmp_path: Path, token: SoftToken) -> None:
    _signer(tmp_path, _uri("anything"))
    with pkcs11.lib(token.module).get_token(token_label="mapae").open(rw=True) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06052b81040022")}, local=True
        )
        curve.generate_keypair(store=True, label="p384")
    assert "P-256" in _refusal(lambda: _signer(tmp_path, _uri("p384"))).detail


def test_what_an_authority_in_the_token_certifies_passes_the_check_of_chains(tmp_path: Path, token: SoftToken) -> None:
    """Its own certificate and a leaf, long enough for two length octets, read and verified by the library."""
    ca, key = _signer(tmp_path, _uri("ca")), Signer.ephemeral()
    start, end = NOW - timedelta(days=1), NOW + timedelta(days=365)
    anchor = root(Subject("CA", "mapae"), ca, serial=1 << 100, not_before=start, not_after=end, contact="https://a.b")
    for dns in ((), ("id.example",), tuple(f"host-{number}.example" for number in range(40))):
        signed = leaf(
            Profile.DOCUMENT_SIGNER, Subject("DS"), PublicKey.from_jwk(key.jwk), ca=ca, ca_der=anchor,
            serial=7, not_before=start, not_after=end, dns=dns,
        )  # fmt: skip
        checked = check_chain((signed,), Anchors([anchor]), NOW, Profile.DOCUMENT_SIGNER)
        assert checked.key.jwk == key.jwk
        assert checked.dns == dns
    stranger = root(Subject("CA", "mapae"), Signer.ephemeral(), serial=9, not_before=start, not_after=end)
    assert _refusal(
        lambda: check_chain((signed,), Anchors([stranger]), NOW, Profile.DOCUMENT_SIGNER)
    ).code is Code.UNTRUSTED_ISSUER  # fmt: skip


def test_a_wrong_pin_is_said_once_and_not_tried_again(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token counts wrong PINs and locks; a service that starts again and again must not use them up."""
    script = """
import os, sys
from pathlib import Path
from mapae.errors import Refused
from mapae.keys import KeyStore
for pin in ("0000", "0000", os.environ["RIGHT"]):
    os.environ["MAPAE_PKCS11_PIN"] = pin
    try:
        store = KeyStore(Path(sys.argv[1]), b"p")
        store.create("pkcs11:token=mapae;object=pin")
        print(store.signer("pkcs11:token=mapae;object=pin").kid)
    except Refused as refused:
        print(refused.code, refused.detail)
"""
    wrong, again, right = _run(tmp_path, token, script, RIGHT=PIN)
    assert wrong.startswith("bad_config the PIN of pkcs11:token=mapae;object=pin is wrong: correct")
    assert "not asked again" in again
    assert len(right) == 43
    assert "0000" not in wrong + again


def test_the_pin_comes_from_the_file_the_uri_names(tmp_path: Path, token: SoftToken) -> None:
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    script = """
import sys
from pathlib import Path
from mapae.keys import KeyStore
store = KeyStore(Path(sys.argv[1]), b"p")
store.create(sys.argv[2])
print(store.signer(sys.argv[2]).kid)
"""
    uri = _uri("by-file", f"?pin-source=file:{file}&module-path={token.module}")
    (kid,) = _run(tmp_path, token, script, uri, MAPAE_PKCS11_PIN="", MAPAE_PKCS11_MODULE="")
    assert kid == _signer(tmp_path, _uri("by-file")).kid


def test_a_token_that_was_pulled_out_is_missed_and_found_again(tmp_path: Path, token: SoftToken) -> None:
    signer = _signer(tmp_path, _uri("pulled"))
    token.unplug()
    lost = _refusal(lambda: signer.sign(b"x"))
    assert lost.code is Code.UNAVAILABLE
    assert "plug it in" in lost.detail
    token.plug()
    _verify(signer, b"x", signer.sign(b"x"))


def test_an_authority_in_a_drawer_is_known_but_certifies_nothing(tmp_path: Path, token: SoftToken) -> None:
    """A process starts while its authority's token is away: only what has to be signed waits."""
    kid = _signer(tmp_path, _uri("offline-ca")).kid
    token.unplug()
    offline = _signer(tmp_path, _uri("offline-ca"))
    assert offline.kid == kid
    assert _refusal(lambda: offline.sign(b"x")).code is Code.UNAVAILABLE
    assert _refusal(lambda: _signer(tmp_path, _uri("never-seen"))).code is Code.UNAVAILABLE


def test_another_key_under_the_same_name_is_refused(tmp_path: Path, token: SoftToken) -> None:
    signer = _signer(tmp_path, _uri("swapped"))
    with pkcs11.lib(token.module).get_token(token_label="mapae").open(rw=True) as session:
        for kept in list(session.get_objects({pkcs11.Attribute.LABEL: "swapped"})):
            kept.destroy()
    emptied = _refusal(lambda: _signer(tmp_path, _uri("swapped")))
    assert "no key" in emptied.detail, "an emptied token does not become a new authority"
    _signer(tmp_path / "elsewhere", _uri("swapped"))
    assert "another key than before" in _refusal(lambda: _signer(tmp_path, _uri("swapped"))).detail
    assert "another key than before" in _refusal(lambda: signer.sign(b"x")).detail


def test_two_processes_make_one_key_and_share_it(tmp_path: Path, token: SoftToken) -> None:
    script = """
import sys
from pathlib import Path
from mapae.keys import KeyStore
store = KeyStore(Path(sys.argv[1]), b"p")
input()
store.create("pkcs11:token=mapae;object=shared")
print(store.signer("pkcs11:token=mapae;object=shared").kid)
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **token.environment},
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    kids = {process.communicate(timeout=60)[0].strip() for process in started}
    assert kids == {_signer(tmp_path, _uri("shared")).kid}


def test_a_child_after_a_fork_signs_for_itself(tmp_path: Path, token: SoftToken) -> None:
    script = """
import os, sys
from pathlib import Path
from mapae.keys import KeyStore
store = KeyStore(Path(sys.argv[1]), b"p")
store.create("pkcs11:token=mapae;object=forked")
signer = store.signer("pkcs11:token=mapae;object=forked")
signer.sign(b"before")
if child := os.fork():
    os.waitpid(child, 0)
print(signer.sign(b"after").hex(), flush=True)
"""
    signer = _signer(tmp_path, _uri("forked"))
    for signature in _run(tmp_path, token, script):
        _verify(signer, b"after", bytes.fromhex(signature))


def test_a_missing_module_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAPAE_PKCS11_MODULE", raising=False)
    assert "MAPAE_PKCS11_MODULE" in _refusal(lambda: _signer(tmp_path, _uri("a"))).detail
    missing = _refusal(lambda: _signer(tmp_path, _uri("a", f"?module-path={tmp_path}/none.so")))
    assert missing.code is Code.BAD_CONFIG
    assert "does not load" in missing.detail


STRANGE = {
    "another scheme": "file:a",
    "no token": "pkcs11:object=a",
    "no object": "pkcs11:token=a",
    "nothing": "pkcs11:",
    "twice": "pkcs11:token=a;token=b;object=c",
    "a slot number": "pkcs11:slot-id=1;object=a",
    "a certificate": "pkcs11:token=a;object=b;type=cert",
    "a bad escape": "pkcs11:token=%zz;object=a",
    "not UTF-8": "pkcs11:token=%ff;object=a",
    "a space": "pkcs11:token=a b;object=a",
    "a PIN": "pkcs11:token=a;object=b?pin-value=13579",
    "a program": "pkcs11:token=a;object=b?module-path=/m&pin-source=|cat%20/etc/13579",
    "unknown query": "pkcs11:token=a;object=b?module-name=p11-kit",
    "empty part": "pkcs11:token=a;;object=b",
}


@pytest.mark.parametrize("uri", STRANGE.values(), ids=STRANGE.keys())
def test_a_strange_uri_is_refused_and_its_pin_not_repeated(uri: str) -> None:
    refused = _refusal(lambda: TokenKey.parse(uri).pin())
    assert refused.code is Code.BAD_CONFIG
    assert "13579" not in refused.detail


def test_the_attributes_of_rfc_7512_are_read() -> None:
    key = TokenKey.parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
        "serial=4a;object=my-key;type=private;id=%69%95%3E%5C%F4%BD%EC%91?pin-source=file:/etc/token_pin"
    )
    assert dict(key.token) == {
        "token": "The Software PKCS#11 Softtoken", "manufacturer": "Snake Oil, Inc.", "model": "1.0", "serial": "4a",
    }  # fmt: skip
    assert (key.label, key.id) == ("my-key", bytes.fromhex("69953e5cf4bdec91"))
    assert key.pin_source == "file:/etc/token_pin"
    assert "pin" not in str(key)


@given(st.text(max_size=80))
def test_no_text_makes_the_reader_of_uris_stumble(text: str) -> None:
    for uri in (text, f"pkcs11:{text}", f"pkcs11:token=a;object={text}", f"pkcs11:token=a;object=b?{text}"):
        try:
            assert str(TokenKey.parse(uri)).startswith("pkcs11:")
        except Refused as refused:
            assert refused.code is Code.BAD_CONFIG


def _run(folder: Path, token: SoftToken, script: str, *words: str, **extra: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), *words], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **token.environment, **extra},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
