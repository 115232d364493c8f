"""An issuer whose authority and signers are in a hardware token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from mapae.errors import Code, Refused
from tokens import SoftToken
from town import Town

KEYS = {
    f"issuer/{name}": f"pkcs11:token=mapae;object=town-{name}"
    for name in ("issuing-ca", "document-signer", "status-signer")
}


@pytest.fixture
def town(tmp_path: Path, token: SoftToken) -> Iterator[Town]:
    with start_blocking_portal() as portal:
        opened = Town.open(portal, tmp_path / "var", keys=KEYS)
        yield opened
        opened.close()


def test_a_card_signed_in_the_token_is_accepted_in_a_shop(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()
    for form in ("sd_jwt", "mdoc"):
        assert till.check(jisoo, "alcohol_tobacco", form)["outcome"] == "accepted"
    files = {path.stem for path in (Path(town.house.settings.data) / "keys" / "issuer").glob("*.key")}
    assert files.isdisjoint({"issuing-ca", "document-signer", "status-signer"})


def test_without_its_token_the_issuer_starts_and_signs_when_it_is_back(town: Town, token: SoftToken) -> None:
    """All that waits is what must be signed; no process is started again for it."""
    jisoo = town.citizen()
    jisoo.enrol()
    officer = town.officer(town.office_of(jisoo))
    offer = officer.offer_for(jisoo)
    token.unplug()
    town.restart()
    jisoo.restart()
    with pytest.raises(Refused) as refused:
        jisoo.receive(offer)
    assert refused.value.code is Code.UNAVAILABLE
    token.plug()
    jisoo.receive(offer)
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_a_country_issues_while_its_authority_lies_in_a_drawer(tmp_path: Path, token: SoftToken) -> None:
    """The CA signs its signers' certificates and nothing else: it is needed on the day they are made."""
    with start_blocking_portal() as portal:
        town = Town.open(portal, tmp_path / "var", keys={"issuer/issuing-ca": "pkcs11:token=mapae;object=drawer-ca"})
        try:
            token.unplug()
            town.restart()
            jisoo = town.citizen()
            jisoo.obtain()
            assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"
        finally:
            town.close()
