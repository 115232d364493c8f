"""`mapae check`: a till at a terminal, its codes from pictures, a scanner and a camera."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
import segno
import zxingcpp
from PIL import Image
from typer.testing import CliRunner

from mapae.catalog import parse_country
from mapae.cli import app
from mapae.config import country_tree
from mapae.errors import Refused
from mapae.formats import jose, qr
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.formats.status import INVALID
from mapae.verifier.checking import kit
from packed import Nation
from unit.verifier.checking.test_kit import show
from unit.verifier.world import Authority, Card

BAR = kit.Wanted.of(parse_country(country_tree("kr")), "alcohol_tobacco")
BOTH = kit.Wanted.of(parse_country(country_tree("kr")), "name_birth_date")
# What the command takes the time from is the machine's clock.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Till:
    """A folder with a pack made now, and cards issued today."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(start=DAY - timedelta(days=30), end=DAY + timedelta(days=300))
        self.nation = Nation(now=datetime.now(UTC) - timedelta(minutes=5), authority=self.authority)
        self.nation.put_list("list-1", 4096, {3: INVALID})
        self.nation.anchor()
        self.keep()

    def keep(self) -> None:
        (self.folder / "pack").write_bytes(self.nation.pack().encode())
        (self.folder / "policy").write_bytes(self.nation.pinned.encode())

    def card(self, **more: Any) -> Card:
        return Card(self.authority, starts=DAY, signed=DAY, ends=DAY + timedelta(days=14), **more)

    def shows(self, format: str = SD_JWT, wanted: kit.Wanted = BAR, age: int = 0, **more: Any) -> qr.Show:
        made = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=age)
        return show(format, wanted, **{"card": self.card(), "made": made} | more)

    def runs(self, *words: str, **more: Any) -> Any:
        place = [] if words[0] == "purposes" else ["--pack", str(self.folder)]
        return CliRunner().invoke(app, ["check", *words, *place], **more)


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path)


def drawn(text: str, folder: Path, name: str) -> str:
    path = folder / f"{name}.png"
    segno.make(text, error="l", boost_error=False, micro=False).save(str(path), scale=3, border=4)
    return str(path)


CODE = ("code", "--purpose", "alcohol_tobacco")


def test_a_code_in_pictures_is_green(till: Till) -> None:
    pictures = [drawn(text, till.folder, str(at)) for at, text in enumerate(till.shows().frames())]
    done = till.runs(*CODE, *reversed(pictures))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "GREEN  Yes."
    assert "Offline data: fresh, 5 min old" in done.stdout
    again = till.runs(*CODE, *pictures, "--language", "ko")
    assert (again.exit_code, again.stdout.splitlines()[0]) == (1, "적색  받아들일 수 없습니다.")
    assert "holder, presentation_spent" in again.stdout and "5분 지남" in again.stdout
    one = till.runs(*CODE, pictures[0])
    assert (one.exit_code, "missing" in one.output or "code, malformed" in one.output) == (1, True)


def test_a_scanner_types_the_code_line_by_line_with_noise_between(till: Till) -> None:
    frames = till.shows(MDOC, BOTH).frames()
    typed = "\r\n".join(["4006381333931", *frames[:1], *frames]) + "\r\n"
    done = till.runs("code", "--purpose", "name_birth_date", "--json", input=typed)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["outcome"], told["items"]["birth_date"]) == ("accepted", "2001-03-09")
    assert "1 of 2" in done.stderr
    plain = till.runs(
        "code", "--purpose", "name_birth_date", input="\n".join(till.shows(MDOC, BOTH, nonce=b"n" * 16).frames())
    )
    assert "김지수" in plain.stdout and "GREEN  The card is good." in plain.stdout


def test_a_camera_puts_an_animated_code_together(till: Till) -> None:
    film = _film(till.shows().frames(), till.folder / "film.avi")
    done = till.runs(*CODE, "--camera", film)
    assert done.exit_code == 0, done.output
    assert "GREEN" in done.stdout and "1 of 2" in done.stderr


def _film(frames: tuple[str, ...], path: Path) -> str:
    """As a webcam sees a phone: 640x480, tilted and blurred, the code changing every other picture."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    assert video.isOpened()
    for text in [frames[1], *frames, *frames]:
        code = segno.make(text, error="l", boost_error=False, micro=False)
        modules = numpy.array(list(code.matrix_iter(scale=4, border=4)), numpy.uint8)
        screen = numpy.where(modules, 0, 255).astype(numpy.uint8)
        side = float(screen.shape[0])
        corners = numpy.array([[0, 0], [side, 0], [side, side], [0, side]], numpy.float32)
        seen = numpy.array([[150, 60], [492, 72], [486, 410], [144, 402]], numpy.float32)
        flat = cv2.warpPerspective(
            screen, cv2.getPerspectiveTransform(corners, seen), (640, 480), flags=cv2.INTER_AREA, borderValue=90
        )  # fmt: skip
        picture = cv2.cvtColor(cv2.GaussianBlur(flat, (0, 0), 0.8), cv2.COLOR_GRAY2BGR)
        for _ in range(2):
            video.write(picture)
    video.release()
    return str(path)


def test_a_question_is_put_on_the_screen_and_its_answer_read(till: Till) -> None:
    picture = till.folder / "ask.png"
    words = ["ask", "--purpose", "alcohol_tobacco", "--name", "구멍가게", "--png", str(picture)]
    command = [sys.executable, "-m", "mapae", "check", *words, "--pack", str(till.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as running:
        assert running.stderr is not None
        while "approved" not in running.stderr.readline():  # it has drawn its code and waits for the scanner
            assert running.poll() is None
        asked = qr.Ask.parse(zxingcpp.read_barcodes(Image.open(picture))[0].text)
        told, _ = running.communicate("\n".join(till.shows(ask=asked).frames()) + "\n", timeout=20)
    assert (running.returncode, asked.name) == (0, "구멍가게")
    assert told.startswith("GREEN  Yes.")
    # An answer to an earlier question is none to this one.
    earlier = "\n".join(till.shows(ask=asked).frames())
    assert "wrong_nonce" in till.runs(*words, input=earlier).stdout


def test_what_is_not_green_is_red_and_says_why_and_what_to_do(till: Till) -> None:
    for shown, said in [
        (till.shows(age=60), ("presentation_stale", "photo")),
        (till.shows(card=till.card(reference=None)), ("status_unknown",)),
        (till.shows(wanted=BOTH), ("not_what_was_asked",)),
    ]:
        done = till.runs(*CODE, input="\n".join(shown.frames()))
        assert done.exit_code == 1
        assert done.stdout.startswith("RED  Not accepted.") and all(word in done.stdout for word in said), done.stdout
    minor = till.card(claims={"adult_by_year": False})
    done = till.runs(*CODE, input="\n".join(till.shows(card=minor).frames()))
    assert (done.exit_code, done.stdout.splitlines()[:2]) == (
        1,
        ["RED  The answer is no.", "Adult (by calendar year): no"],
    )


def test_where_nothing_was_read_or_set_up_the_exit_code_is_two(till: Till) -> None:
    assert till.runs(*CODE, input="").exit_code == 2
    assert till.runs("code", "--purpose", "nothing", input="").exit_code == 2
    assert till.runs(*CODE, str(till.folder / "nothing.png")).exit_code == 2
    assert till.runs(*CODE, "--camera", str(till.folder / "nothing.avi")).exit_code == 2
    assert till.runs("ask", "--purpose", "name_birth_date", input="").exit_code == 2
    (till.folder / "policy").unlink()
    assert till.runs(*CODE, input="").exit_code == 2


def test_the_counter_and_the_receipt_are_all_that_is_kept(till: Till) -> None:
    paper = till.folder / "receipt.json"
    assert till.runs(*CODE, "--receipt", str(paper), input="\n".join(till.shows().frames())).exit_code == 0
    assert till.runs(*CODE, input="\n".join(till.shows(age=60).frames())).exit_code == 1
    counts = json.loads(till.runs("counter", "--json").stdout)
    assert [(one["purpose"], one["outcome"], one["count"]) for one in counts] == [
        ("alcohol_tobacco", "accepted", 1), ("alcohol_tobacco", "refused", 1)
    ]  # fmt: skip
    assert till.runs("counter").stdout.count("alcohol_tobacco") == 2
    done = till.runs("receipt", "verify", str(paper))
    assert done.exit_code == 0, done.output
    assert "anyone asked for adult_by_year" in done.stdout and "not signed" in done.stdout
    kept = {path.name for path in till.folder.iterdir()} - {"till.db-shm", "till.db-wal"}
    assert kept == {"pack", "policy", "till.db", "receipt.json"}
    assert "김지수".encode() not in (till.folder / "till.db").read_bytes()


def test_a_receipt_outlives_its_pack_and_a_forged_one_does_not_pass(till: Till) -> None:
    paper = till.folder / "receipt.json"
    till.runs(*CODE, "--receipt", str(paper), "--minute", input="\n".join(till.shows().frames()))
    till.nation.set("list-1", 9, INVALID)
    till.nation.later(seconds=9)
    till.nation.anchor()
    till.keep()
    done = till.runs("receipt", "verify", str(paper))
    assert (done.exit_code, "NOT PROVEN by this pack alone" in done.stdout) == (2, True), done.output
    forged = json.loads(paper.read_bytes()) | {"outcome": "no"}
    forged["registry"]["root"] = jose.b64u(bytes(32))
    paper.write_text(json.dumps(forged, separators=(",", ":"), sort_keys=True, ensure_ascii=False))
    done = till.runs("receipt", "verify", str(paper))
    assert (done.exit_code, done.stdout.startswith("registry: FAILED: forked")) == (1, True), done.output


def test_the_purposes_are_listed_with_who_may_ask_and_show_them(till: Till) -> None:
    listed = till.runs("purposes", "--country", "demo").stdout
    [bar] = [line for line in listed.splitlines() if line.startswith("bar ")]
    assert "anyone, by holder" in bar and "[age_over_18]" in bar


def test_a_picture_that_is_too_large_is_not_looked_at(till: Till) -> None:
    path = till.folder / "large.png"
    Image.new("1", (8000, 8000)).save(path)
    done = till.runs(*CODE, str(path))
    assert (done.exit_code, "too_large" in done.output) == (2, True)


def _lines(count: int) -> Iterator[str]:
    return (f"MAPAE-SHOW:{number:06}" for number in range(count))


def test_ten_thousand_strange_lines_end_the_reading() -> None:
    from mapae.cli_check import collect

    assert isinstance(collect(_lines(9000), lambda have, count: None), Refused)
