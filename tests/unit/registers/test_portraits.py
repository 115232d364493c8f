"""Drawn faces: ours, small, repeatable, and older when their person is older."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from mapae.registers.portraits import portrait


def test_a_face_is_small_upright_and_repeatable() -> None:
    sizes = []
    for at in range(40):
        raw = portrait(f"face {at}", age=5 + at * 2, sex="male" if at % 2 else "female")
        image = Image.open(BytesIO(raw))
        assert image.format == "JPEG" and image.size == (240, 320)
        sizes.append(len(raw))
    assert max(sizes) < 12_000
    assert portrait("face 1", age=7, sex="male") == portrait("face 1", age=7, sex="male")
    assert portrait("face 1", age=30, sex="male") != portrait("face 2", age=30, sex="male")


def test_a_face_gets_older_with_its_person() -> None:
    ages = {age: portrait("one", age=age, sex="female") for age in (20, 50, 80)}
    assert len(set(ages.values())) == 3
