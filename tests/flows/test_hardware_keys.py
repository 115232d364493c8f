"""An issuer whose authority and signers are in a hardware token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

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
