"""An issuing authority whose key never is on the issuer's machine: make, request, sign, import, issue."""

from __future__ import annotations

from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from click.testing import Result
from typer.testing import CliRunner

from mapae.cli import app
from mapae.clock import SystemClock
from mapae.errors import Code, Refused
from town import Town

SETTINGS = 'data = "{data}"\ndemo = true\n[keys]\n"issuer/issuing-ca" = "elsewhere:"\n'


class Machines:
    """Two: the authority's, in a folder of its own, and the issuer's. Files are carried between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "mapae.toml"
        self.settings.write_text(SETTINGS.format(data=folder / "var"), encoding="utf-8")
        self.authority = ("--keys", str(folder / "authority"))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["ca", *words])

    def do(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def refused(self, *words: str) -> Refused:
        done = self.run(*words)
        assert isinstance(done.exception, Refused), done.output
        return done.exception

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def online(self, *words: str) -> tuple[str, ...]:
        return (*words, "--config", str(self.settings))

    def certified(self, name: str) -> None:
        """One signer, from request to import."""
        self.do(*self.online("request", name, "--out", self.file("request")))
        sign = ("sign", self.file("request"), "--ca", self.file("ca.pem"), *self.authority, "--out")
        self.do(*sign, self.file("signer.pem"), "--apply")
        self.do(*self.online("import", self.file("signer.pem"), "--apply"))


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    made = Machines(tmp_path)
    made.do("make", "Our Issuing CA", *made.authority, "--out", made.file("ca.pem"), "--apply")
    return made


def test_a_country_issues_without_its_authoritys_key(machines: Machines) -> None:
    machines.do(*machines.online("import", machines.file("ca.pem"), "--apply"))
    for name in ("document-signer", "status-signer"):
        machines.certified(name)
    with start_blocking_portal() as portal:
        keys = {"issuer/issuing-ca": "elsewhere:"}
        town = Town.open(portal, machines.folder / "var", keys=keys, start=SystemClock().now())
        jisoo = town.citizen()
        jisoo.obtain()
        assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"
        town.close()
    found = {path.name for path in (machines.folder / "var" / "keys" / "issuer").iterdir()}
    assert "issuing-ca.key" not in found and "document-signer.key" in found
    machines.certified("document-signer")  # a renewal, while the log is there: entered at once
    assert not (machines.folder / "var" / "certificates" / "document-signer-next.der").exists()


def test_whoever_signs_reads_it_first_and_nothing_is_made_without_apply(machines: Machines) -> None:
    said = machines.do(*machines.online("request", "document-signer", "--days", "90", "--out", machines.file("r")))
    assert said == ""
    plan = machines.do("sign", machines.file("r"), "--ca", machines.file("ca.pem"), *machines.authority)
    assert "certify as document_signer for 90 days" in plan and "Document Signer" in plan
    assert "BEGIN CERTIFICATE" not in plan
    assert "BEGIN" not in machines.do("make", "Another CA", *machines.authority)


def test_what_does_not_belong_here_is_not_imported(machines: Machines) -> None:
    machines.do(*machines.online("request", "document-signer", "--out", machines.file("r")))
    sign = ("sign", machines.file("r"), "--ca", machines.file("ca.pem"), *machines.authority, "--apply", "--out")
    machines.do(*sign, machines.file("signer.pem"))
    take = machines.online("import", machines.file("signer.pem"), "--apply")
    assert machines.refused(*take).code is Code.BAD_CONFIG  # the authority is not known yet
    other = ("--keys", machines.file("other"))
    machines.do("make", "Somebody Else", *other, "--out", machines.file("other.pem"), "--apply")
    machines.do(*machines.online("import", machines.file("other.pem"), "--apply"))
    assert machines.refused(*take).code is Code.UNTRUSTED_ISSUER
    elsewhere = Machines(machines.folder / "other")
    elsewhere_take = elsewhere.online("import", machines.file("ca.pem"), "--apply")
    elsewhere.do(*elsewhere_take)
    wrong = elsewhere.online("import", machines.file("signer.pem"), "--apply")
    assert elsewhere.refused(*wrong).code is Code.BAD_CERTIFICATE


def test_a_request_that_was_changed_on_the_way_is_not_signed(machines: Machines) -> None:
    machines.do(*machines.online("request", "document-signer", "--out", machines.file("r")))
    text = Path(machines.file("r")).read_text("ascii")
    head, body, seal = text.strip().split(".")
    Path(machines.file("r")).write_text(f"{head}.{body[:-4]}AAAA.{seal}", "ascii")
    sign = ("sign", machines.file("r"), "--ca", machines.file("ca.pem"), *machines.authority, "--apply")
    assert machines.refused(*sign).code in (Code.BAD_SIGNATURE, Code.MALFORMED)


def test_an_issuer_without_its_certificates_says_what_to_do(machines: Machines) -> None:
    with start_blocking_portal() as portal, pytest.raises(Refused) as refused:
        Town.open(portal, machines.folder / "var", keys={"issuer/issuing-ca": "elsewhere:"})
    assert "mapae ca import" in refused.value.detail
