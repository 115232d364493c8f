"""The main job: a card at the counter, shown in a shop; the phone is lost and the shop refuses."""

from __future__ import annotations

import pytest

from town import Town


@pytest.mark.parametrize("form", ["sd_jwt", "mdoc"])
def test_a_card_from_the_counter_proves_age_in_a_shop_until_the_phone_is_lost(town: Town, form: str) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    till = town.till()

    assert till.check(jisoo, "alcohol_tobacco", form)["outcome"] == "accepted"

    jisoo.report_phone_lost()
    town.clock.advance(seconds=5)
    assert till.check(jisoo, "alcohol_tobacco", form) == {"outcome": "refused", "step": "standing", "code": "suspended"}
