"""`mapae rp client ...`, and what may be registered: OpenID Connect Core 1.0 8.1, Dynamic Client Registration 1.0 5."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mapae.cli import app
from mapae.errors import Code, Refused
from mapae.verifier.login.client import registered, sector

CB = "https://club.example/cb"


def rp(folder: Path, *words: str) -> Result:
    settings = folder / "mapae.toml"
    settings.write_text(f'data = "{folder}"\nrelying_parties = ["club"]\n')
    return CliRunner().invoke(app, ["rp", "client", *words, "--config", str(settings)])


def test_a_client_is_added_listed_and_ended(tmp_path: Path) -> None:
    added = rp(tmp_path, "add", "site", "--party", "club", "--redirect-uri", CB)
    assert added.exit_code == 0 and len(added.stdout.strip().splitlines()[-1]) == 43, added.output
    assert (
        rp(tmp_path, "add", "app", "--party", "club", "--redirect-uri", "com.example.app:/cb", "--public").exit_code
        == 0
    )
    listed = sorted(json.loads(rp(tmp_path, "list", "--json").stdout), key=lambda one: str(one["id"]))
    assert [(one["id"], one["method"], one["sector"], one["ended"]) for one in listed] == [
        ("app", "none", "com.example.app:", False), ("site", "secret", "club.example", False),
    ]  # fmt: skip
    assert added.stdout.strip().splitlines()[-1] not in json.dumps(listed)
    assert rp(tmp_path, "end", "site").exit_code == 0
    assert rp(tmp_path, "end", "site").exit_code == 1
    assert "ended" in rp(tmp_path, "list").stdout


@pytest.mark.parametrize(
    "words",
    [["--party", "stranger", "--redirect-uri", CB], ["--party", "club", "--redirect-uri", "http://club.example/cb"],
     ["--party", "club", "--redirect-uri", CB, "--alg", "none"],
     ["--party", "club", "--redirect-uri", CB, "--redirect-uri", "https://paper.example/cb"]],
    ids=["party", "address", "algorithm", "two hosts"],
)  # fmt: skip
def test_a_client_that_cannot_be_is_not_added(tmp_path: Path, words: list[str]) -> None:
    assert rp(tmp_path, "add", "site", *words).exit_code == 1


def test_core_8_1_several_hosts_have_one_sector_where_an_address_lists_them_all() -> None:
    uris = [CB, "https://paper.example/cb"]
    assert sector(uris, "https://club.example/hosts.json", uris) == "club.example"
    for wrong in ([CB], {"uris": uris}, None):
        with pytest.raises(Refused):
            sector(uris, "https://club.example/hosts.json", wrong)
    with pytest.raises(Refused):
        sector(uris, "http://club.example/hosts.json", uris)


def test_a_client_has_a_secret_or_keys_and_its_keys_are_p256() -> None:
    for more in ({"secret": "s", "keys": "{}"}, {"keys": '{"keys": [{"kty": "RSA"}]}'}, {"keys": "[]"}):
        with pytest.raises(Refused) as refused:
            registered("site", "club", [CB], **more)
        assert refused.value.code in (Code.MALFORMED, Code.UNSUPPORTED)
