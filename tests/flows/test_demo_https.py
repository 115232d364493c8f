"""`mapae demo up --tls`: https on this machine, by an authority that can vouch for nothing else."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mapae.clock import SystemClock, SystemDice
from mapae.demo import demo_settings
from mapae.demo_tls import authority_file, server_context
from mapae.house import Foundation
from running import Running, free_port, mapae


def test_the_demo_is_served_over_https_by_an_authority_of_its_own(tmp_path: Path) -> None:
    words = ("demo", "up", "--tls", "--residents", "0")
    first = Running(tmp_path, *words, data="var-tls").wait()
    facts, authority = first.facts(), first.authority.read_bytes()
    assert facts["base_url"] == first.base and facts["roles"]["issuer"]["credential_issuer"].startswith("https://")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):  # nobody else's authority made it
        httpx.get(first.base, trust_env=False, verify=ssl.create_default_context())
    with pytest.raises(httpx.HTTPError):  # and nothing is answered in the clear
        httpx.get(f"http://localhost:{first.port}/", trust_env=False)
    assert first.stop() == 0, first.said
    assert str(authority_file("var-tls")) in first.said
    again = Running(tmp_path, *words, data="var-tls").wait()  # who trusted it once need not again
    assert again.authority.read_bytes() == authority
    assert again.stop() == 0, again.said
    assert not list((tmp_path / "var-tls").glob(".tls-*"))  # the server's key stays nowhere


def test_the_authority_can_vouch_for_this_machine_only(tmp_path: Path) -> None:
    """RFC 5280 4.2.1.10: whoever trusts it in a browser has given nobody the power to be another site."""
    base = "https://id.example.org:8443"
    server_context(Foundation(demo_settings(base_url=base, data=str(tmp_path)), SystemClock(), SystemDice()))
    authority = x509.load_pem_x509_certificate(authority_file(str(tmp_path)).read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    names = {str(one.value) for one in constraints.value.permitted_subtrees or ()}
    assert names == {"id.example.org", "localhost", "127.0.0.1/32", "::1/128"}


def test_the_server_certificate_names_the_host_and_is_for_servers(tmp_path: Path) -> None:
    settings = demo_settings(base_url="https://localhost:8443", data=str(tmp_path))
    served = server_context(Foundation(settings, SystemClock(), SystemDice()))
    trusting = ssl.create_default_context(cafile=str(authority_file(str(tmp_path))))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = served.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):  # the handshake's flights, each way
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    der = client.getpeercert(binary_form=True)
    assert der is not None and client.version() in ("TLSv1.2", "TLSv1.3")
    shown = x509.load_der_x509_certificate(der).extensions
    assert list(shown.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_tls_with_an_address_in_the_clear_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    done = mapae(tmp_path, "demo", "up", "--tls", "--url", f"http://localhost:{port}", "--port", port)
    assert done.returncode == 1 and f"--url https://localhost:{port}" in done.stderr
    assert not (tmp_path / "var-tls").exists()
