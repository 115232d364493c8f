"""docs/add-a-credential.md, done: its TOML goes into a copy of Maru's pack, and the card is had, shown and checked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

import mapae
from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from town import Town

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "add-a-credential.md"
CARD, PURPOSE, SHOP = re.findall(r"^```toml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the shipped pack with the document's three additions."""
    copy = tmp_path / "maru"
    shutil.copytree(Path(mapae.__file__).parent / "country" / "demo", copy)
    (copy / "credentials" / "library_card.toml").write_text(CARD, encoding="utf-8")
    for name, more in {"purposes.toml": PURPOSE, "shops.toml": SHOP}.items():
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write("\n" + more)
    return copy


def test_a_new_file_makes_a_new_card(pack: Path, tmp_path: Path) -> None:
    with start_blocking_portal() as portal:
        town = Town.open(portal, tmp_path / "var", country=str(pack))
        metadata = town.get_json("/.well-known/openid-credential-issuer/issuer")
        assert "library_card_sd_jwt" in metadata["credential_configurations_supported"]
        assert "Reef Library" in [shop["name"]["en"] for shop in town.get_json("/demo.json")["shops"]]

        alia = town.citizen("alia")
        assert alia.enrol() == "active"
        officer = town.officer(town.office_of(alia))
        officer.find(alia)
        officer.do("/desk/cases", task="issue", kind="library_card")
        officer.do("/face", same="yes")
        officer.do("/file")
        alia.receive(officer.offer())
        library = town.till("reef_library")
        assert library.check(alia, "lending")["outcome"] == "accepted"
        assert library.page is not None
        assert library.page.find("shown-reader_number") or "Reader number" in library.page.text
        shown = [str(item).rsplit(".", 1)[-1] for item in alia.wallet.history[-1].items]
        assert sorted(shown) == ["reader_number", "valid_until"]
        town.close()


def test_a_purpose_for_an_item_that_may_not_be_asked_stops_the_start(pack: Path) -> None:
    card = pack / "credentials" / "library_card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("may_be_asked = true", "may_be_asked = false"), "utf-8")
    with pytest.raises(Refused) as refused:
        parse_country(country_tree(str(pack)))
    assert refused.value.code is Code.BAD_CONFIG
    assert "lending" in refused.value.detail
