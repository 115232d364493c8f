"""Words with something filled in read as somebody who speaks the language would say them."""

from __future__ import annotations

import pytest

from mapae.ui.words import say


@pytest.mark.parametrize(
    ("item", "begins"),
    [
        ("이름", "이름을 묻"),
        ("주소", "주소를 묻"),
        ("주소’", "주소’를 묻"),
        ("등록 3", "등록 3을 묻"),
        ("등록 2", "등록 2를 묻"),
        ("e-mail", "e-mail을(를) 묻"),
    ],
)
def test_a_korean_particle_fits_what_was_filled_in(item: str, begins: str) -> None:
    assert say("ko", "rp.rule.unnamed_in_law.says", item=item).startswith(begins)


@pytest.mark.parametrize(
    ("site", "back"),
    [("서점", "서점으로"), ("책마을", "책마을로"), ("가게", "가게로"), ("a.example", "a.example(으)로")],
)
def test_a_place_one_goes_to_follows_its_own_rule(site: str, back: str) -> None:
    assert say("ko", "login.on.lead", site=site).startswith(back)


def test_english_is_left_alone() -> None:
    assert "이름을(를)" in say("en", "rp.rule.unnamed_in_law.says", item="이름을(를)")
