"""A photo somebody brings: made to hold up whoever decodes it, and what becomes of the one that does."""

from __future__ import annotations

import asyncio
import io
import struct
import sys
from datetime import date
from typing import Any

import pytest
from PIL import Image

from mapae.errors import Code, Refused
from mapae.issuer.cards.rewriting import Rewriting
from mapae.issuer.cards.sealing import LARGEST_PORTRAIT, MOST_SCANS, portrait
from unit.issuer.cards.card_world import JISOO, CardWorld, jpeg

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)

TAKEN = date(2026, 3, 1)


def bomb(side: int, scans: int) -> bytes:
    """A progressive grey picture with one of its scans written again and again."""
    out = io.BytesIO()
    Image.new("L", (side, side), 128).save(out, "JPEG", progressive=True, optimize=True)
    raw = out.getvalue()
    last = raw.rindex(b"\xff\xda")
    return raw[:last] + raw[last:-2] * scans + raw[-2:]


def vast() -> bytes:
    """One whose header alone says 65535 by 65535."""
    raw = bytearray(jpeg())
    at = raw.index(b"\xff\xc0")
    raw[at + 5 : at + 9] = struct.pack(">HH", 65535, 65535)
    return bytes(raw)


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decodes a picture in this process fails the test."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("decoded in the issuer's own process")

    monkeypatch.setattr(Image, "open", never)


def _world(world: CardWorld, judge: str) -> CardWorld:
    match judge:
        case "away":
            world.judge.away = True
        case "none":
            world.judge = None  # type: ignore[assignment]
            world.begin()
    return world


@pytest.mark.parametrize("judge", ["away", "none", "there"])
async def test_a_bomb_of_many_scans_is_refused_before_anybody_decodes_it(
    world: CardWorld, undecoded: None, judge: str
) -> None:
    raw = bomb(4000, 9000)
    assert len(raw) < 512 * 1024
    with pytest.raises(Refused) as refused:
        await _world(world, judge).applications.bring_photo(JISOO, raw, TAKEN, "citizen")
    assert (refused.value.code, refused.value.step) == (Code.PHOTO_REFUSED, "unreadable")


@pytest.mark.parametrize("judge", ["away", "none"])
async def test_a_header_of_four_thousand_million_pixels_is_refused_and_no_accident(
    world: CardWorld, undecoded: None, judge: str
) -> None:
    with pytest.raises(Refused) as refused:
        await _world(world, judge).applications.bring_photo(JISOO, vast(), TAKEN, "citizen")
    assert (refused.value.code, refused.value.step) == (Code.PHOTO_REFUSED, "too-large")


@pytest.mark.parametrize("judge", ["away", "none"])
async def test_a_photo_no_machine_judges_is_written_anew_in_a_process_of_its_own(
    world: CardWorld, undecoded: None, judge: str
) -> None:
    judged = await _world(world, judge).applications.bring_photo(JISOO, jpeg(200), TAKEN, "citizen")
    photo, kept = await world.applications.photo(judged.id, JISOO)
    assert photo.verdict == ("good" if judge == "none" else "unjudged")
    assert kept.startswith(b"\xff\xd8\xff") and len(kept) <= LARGEST_PORTRAIT


async def test_the_child_writes_what_we_would_write_upright_and_of_many_pictures_the_first(migrated: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # TIFF 6.0 section 8: turned
    turned, several = io.BytesIO(), io.BytesIO()
    Image.linear_gradient("L").resize((90, 60)).save(turned, "JPEG", exif=exif)
    first = Image.new("RGB", (60, 77), (9, 90, 90))
    first.save(several, "MPO", save_all=True, append_images=[Image.new("RGB", (60, 77))])
    many = bomb(60, 10)
    assert many.count(b"\xff\xda") <= MOST_SCANS
    for raw in (turned.getvalue(), several.getvalue(), many):
        assert await Rewriting().portrait(raw) == portrait(raw)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time; time.sleep(60)", Code.UNAVAILABLE),
        ("raise SystemExit", Code.PHOTO_REFUSED),
        ("import sys; sys.stdout.write('<svg/>')", Code.PHOTO_REFUSED),
        ("import sys\nwhile True: sys.stdout.buffer.write(b'\\xff\\xd8\\xff' * 1000)", Code.UNAVAILABLE),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Code.PHOTO_REFUSED),
    ],
    ids=["hangs", "goes", "babbles", "never ends", "is killed"],
)
async def test_a_child_lost_over_a_photo_is_the_photos_trouble(code: str, said: Code, migrated: Any) -> None:
    """One that takes its time may only have a busy machine: its own limit of processor time ends a bomb."""
    rewriting = Rewriting(command=(sys.executable, "-P", "-c", code), patience=0.5)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await rewriting.portrait(jpeg() + bytes(1 << 18))
        assert refused.value.code is said and (said is Code.UNAVAILABLE or refused.value.step == "unreadable")


async def test_a_child_that_cannot_be_started_is_the_machines_trouble(migrated: Any) -> None:
    with pytest.raises(Refused) as refused:
        await Rewriting(command=("/nonexistent",)).portrait(jpeg())
    assert refused.value.code is Code.UNAVAILABLE


async def test_who_brings_many_photos_at_once_starts_no_many_processes(migrated: Any) -> None:
    rewriting = Rewriting(line=2)
    said = await asyncio.gather(*(rewriting.portrait(jpeg()) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, bytes) for one in said) == 2
    assert [one.code for one in said if isinstance(one, Refused)] == [Code.UNAVAILABLE] * 3
    assert (await rewriting.portrait(jpeg())).startswith(b"\xff\xd8\xff")
