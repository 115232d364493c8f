"""The schemas of the log: one a type, the same bytes from the same pack, and metadata other software reads."""

from __future__ import annotations

import pytest

from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.formats.type_metadata import TypeMetadata
from mapae.trust.schemas import schemas


@pytest.mark.parametrize("pack", ["kr", "demo"])
def test_each_type_of_the_pack_has_one_schema_with_its_items(pack: str) -> None:
    country = parse_country(country_tree(pack))
    made = schemas(country)
    assert made == schemas(parse_country(country_tree(pack)))
    for document in country.documents.values():
        if document.formats is None or document.formats.sd_jwt is None:
            continue
        read = TypeMetadata.parse(made[document.formats.sd_jwt.vct])
        assert read.vct == document.formats.sd_jwt.vct
        assert [claim.path for claim in read.claims] == [(claim.name,) for claim in document.claims]
        assert all(claim.sd == "always" for claim in read.claims)
    assert all(len(raw) < 65536 for raw in made.values())
