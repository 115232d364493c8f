"""`mapae trust ...` on a country's data folder: a plan first, two governors, and the next thing to try."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from mapae.cli import app
from mapae.cli_trust import lines_of
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.trust.publish import TrustList
from mapae.trust.signers import Purpose, Signer


class Desk:
    """A governor's terminal: what is said goes to `out`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str) -> str:
        done = self._run(*words)
        assert done.exit_code == 0, done.output
        return done.stdout

    def refused(self, *words: str) -> Refused:
        done = self._run(*words)
        assert isinstance(done.exception, Refused), done.output
        return done.exception

    def _run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["trust", *words, "--data", str(self.folder)])


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Desk:
    shutil.copytree(template, tmp_path / "var")
    return Desk(tmp_path / "var")


ONE, OTHER = ("--as", "governor-1"), ("--as", "governor-2")


def test_a_shop_is_certified_proposed_approved_and_struck_off(desk: Desk, tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = tmp_path / "shop.pem"
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert "plan: certify" in desk("certify", "corner_shop", str(pem), *ONE)
    out = tmp_path / "shop.crt"
    done = desk("certify", "corner_shop", str(pem), *ONE, "--out", str(out), "--apply")
    hash = done.split()[-1]
    assert out.read_text("ascii").startswith("-----BEGIN CERTIFICATE")
    words = {"ko": "구멍가게", "en": "Corner Shop"}
    purpose = {"id": "age", "name": words, "why": words, "legal_basis": words, "items": ["adult_by_year"],
               "retention": words}  # fmt: skip
    entry = {"id": "corner_shop", "name": words, "x509_hash": hash, "purposes": [purpose]}
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({"kind": "relying_party", "entry": entry}), encoding="utf-8")

    plan = desk("propose", str(file), *ONE)
    assert "plan: add relying_party:corner_shop" in plan and "before" not in plan
    assert "corner_shop" not in desk("waiting")  # a plan changes nothing
    id = desk("propose", str(file), *ONE, "--apply").split()[-1]
    assert id in desk("waiting")
    assert desk.refused("approve", id, *ONE, "--apply").code is Code.NOT_ALLOWED
    plan = desk("approve", id, *OTHER)
    assert "plan: agree, as governor-2, with governor-1" in plan and "signed      put_" in plan
    assert "it holds" in desk("approve", id, *OTHER, "--apply")
    assert "relying_party:corner_shop  Corner Shop  age" in desk("list")
    assert json.loads(desk("show", "relying_party:corner_shop"))["entry"]["x509_hash"] == hash

    id = desk("revoke-party", "relying_party:corner_shop", *ONE, "--reason", "withdrawn", "--apply").split()[-1]
    assert [one["governor"] for one in json.loads(desk("show", id))["signed"]] == ["governor-1"]
    desk("approve", id, *OTHER, "--apply")
    assert f"revoked registration  {hash}  withdrawn" in desk("list")
    assert "was registered before" in desk("propose", str(file), *ONE)
    assert "for ever" in desk("revoke-party", "issuer:issuer", *ONE)


def test_a_certificate_is_revoked_by_its_party_or_by_governors(desk: Desk) -> None:
    lines = [line.split() for line in desk("list").splitlines()]
    signers = {words[1]: words[2] for words in lines if words[0] == "issuer:issuer"}
    one, other = signers["document_signer"], signers["status_signer"]
    assert "plan: revoke the document_signer" in desk("revoke-key", one, "--as", "party")
    assert "REVOKED" not in desk("list")
    assert "revoked" in desk("revoke-key", one, "--as", "party", "--apply")
    assert "REVOKED superseded" in desk("list")
    id = desk("revoke-key", other, *ONE, "--reason", "compromised", "--since", "2026-03-02T03:00:00Z", "--apply")
    desk("approve", id.split()[-1], *OTHER, "--apply")
    assert "REVOKED compromised since 2026-03-02 03:00:00 UTC" in desk("list")


def test_what_cannot_be_done_says_what_to_try(desk: Desk, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"kind": "king", "entry": {}}', encoding="utf-8")
    pem = tmp_path / "bad.pem"
    pem.write_text("-----BEGIN PUBLIC KEY-----", encoding="ascii")
    for said, words in [
        ("--since goes with --reason compromised", ("revoke-party", "issuer:issuer", *ONE, "--since", "2026-01-01",
                                                    "--apply")),
        ("--reason is", ("revoke-party", "issuer:issuer", *ONE, "--reason", "boredom", "--apply")),
        ("is the name right?", ("revoke-party", "issuer:issuer", "--as", "governor-9", "--apply")),
        ("`mapae trust list`", ("show", "issuer:nobody")),
        ("`mapae trust list`", ("revoke-key", "AAAA", *ONE)),
        ("the kinds are", ("propose", str(bad), *ONE)),
        ("cannot be read", ("propose", str(tmp_path / "none.json"), *ONE)),
        ("holds no public key", ("certify", "shop", str(pem), *ONE)),
    ]:  # fmt: skip
        assert said in desk.refused(*words).detail, words


def test_governors_and_the_policy_are_changed_by_governors(desk: Desk, tmp_path: Path) -> None:
    pem, policy = tmp_path / "kim.pem", tmp_path / "policy.txt"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    policy.write_text("quorum none\n", encoding="ascii")
    assert "plan: let kim" in desk("propose-governor", "kim", str(pem), *ONE)
    assert "2 governors must agree, 0 s of delay" in desk("propose-policy", str(policy), *ONE)
    for proposal in (("propose-governor", "kim", str(pem)), ("propose-policy", str(policy), "--threshold", "3")):
        id = desk(*proposal, *ONE, "--apply").split()[-1]
        assert "it holds" in desk("approve", id, *OTHER, "--apply")
    id = desk("propose-governor", "kim", str(pem), "--retire", *ONE, "--apply").split()[-1]
    assert "1 more must agree" in desk("approve", id, *OTHER, "--apply")
    assert "let kim govern no longer" in desk("waiting")
    assert "it holds" in desk("approve", id, "--as", "governor-3", "--apply")


def test_the_schemas_of_the_pack_are_in_the_log(desk: Desk) -> None:
    assert "not in the log" not in desk("schemas")
    assert len(desk("schemas").splitlines()) > 1


def test_a_party_that_enters_a_time_beyond_the_calendar_does_not_stop_the_list():
    """The log takes any number below 2^64."""
    endless = Signer(issuer="issuer:x", x5t=b64u(bytes(32)), purpose=Purpose.DOCUMENT_SIGNER, starts=0, ends=2**64 - 1)
    listed = TrustList.of([], seq=1, now=datetime(2026, 3, 2, tzinfo=UTC), life=timedelta(days=1), signers=[endless])
    [line] = lines_of(listed, [])
    assert line.endswith("  without end")
