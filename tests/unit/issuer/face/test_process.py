"""The worker: what it may do, and that nothing it does or suffers becomes a pass, or a file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from clips import engine, photograph, sitter
from hands import refuses
from mapae.errors import Code, Refused
from mapae.issuer.face import clips, process, weights
from mapae.issuer.face.process import FaceProcess, follows
from mapae.issuer.face.talk import Verify
from mapae.issuer.face.values import Challenge, FaceOutcome, Frame, ModelId, Reason

WRITING = os.O_WRONLY | os.O_RDWR
ONCE = Challenge("c", "n", 1, (1200,), 2900)
BURST = tuple(Frame(at, b"\xff\xd8\xff") for at in range(0, 2900, 100))
HEAD = """
import sys, time
from mapae.issuer.face import talk
from mapae.issuer.face.values import FaceOutcome, Reason
from mapae.issuer.face.weights import model_id
say = lambda message: (sys.stdout.buffer.write(talk.framed(message)), sys.stdout.buffer.flush())
hear = lambda: talk.read_question(sys.stdin.buffer.read(talk.LENGTH.unpack(sys.stdin.buffer.read(4))[0]))
"""


def pretending(code: str, **how: object) -> FaceProcess:
    """A worker that somebody has taken over."""
    return FaceProcess(0.5, command=(sys.executable, "-P", "-c", HEAD + code), **how)  # type: ignore[arg-type]


def child_of(verifier: FaceProcess) -> int:
    assert verifier._child is not None
    return verifier._child._process.pid


async def test_the_worker_starts_with_the_first_question_and_is_shut_in(tmp_path):
    verifier = FaceProcess(0.5)
    try:
        assert (await verifier.model()).name == "dlib-resnet-v1"
        assert verifier._child is None, "started before anybody asked"
        assert await verifier.reads(photograph("p01_b")) is None
        proc = Path(f"/proc/{child_of(verifier)}")
        limits = {line[:25].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
        assert limits["Max file size"] == limits["Max core file size"] == limits["Max processes"] == ["0", "0"]
        assert limits["Max open files"] == ["0", "0"] and {path.name for path in (proc / "fd").iterdir()} == {
            "0",
            "1",
            "2",
        }
        assert limits["Max address space"] == [str(1 << 30)] * 2 and int(limits["Max cpu time"][0]) < 60
        environment = (proc / "environ").read_bytes().decode().split("\0")
        assert {one.partition("=")[0] for one in environment if one} == set(process.ENVIRONMENT)
        assert os.getsid(child_of(verifier)) == child_of(verifier)
    finally:
        await verifier.close()
    assert not proc.exists()


async def test_a_worker_taken_over_that_closes_what_is_open_opens_nothing_in_its_place():
    code = """
import os, socket
from mapae.issuer.face.worker import confine, shut_in
confine(); shut_in()
os.close(2)
for name, attempt in {"file": lambda: os.open("/dev/null", os.O_RDONLY), "socket": socket.socket}.items():
    try:
        attempt()
    except OSError:
        print(name, "refused")
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", code, stdout=asyncio.subprocess.PIPE, env=dict(process.ENVIRONMENT)
    )
    said, _ = await child.communicate()
    assert said.decode().splitlines() == ["file refused", "socket refused"]


async def test_nothing_of_a_check_appears_on_a_disk():
    """The worker cannot write (its limit is nought bytes); here every file opened for writing is heard of."""
    written: list[str] = []
    listening = True

    def hear(event: str, args: tuple[object, ...]) -> None:
        if listening and event == "open" and isinstance(args[0], str) and int(str(args[2])) & WRITING:
            written.append(str(args[0]))

    sys.addaudithook(hear)
    verifier = FaceProcess(0.5)
    try:
        burst = clips.burst(sitter("p01_a"), clips.Kind.LIVE, ONCE, every_ms=130)
        outcome = await verifier.verify(photograph("p01_b"), burst, ONCE)
        report = await verifier.judge(photograph("p01_b"))
        counters = Path(f"/proc/{child_of(verifier)}/io").read_text().split()
    finally:
        listening = False
        await verifier.close()
    assert outcome.ok and outcome.distance is not None and 0.25 < outcome.distance < 0.5
    assert report.picture.startswith(b"\xff\xd8\xff")
    assert [path for path in written if path != "/dev/null"] == []
    assert counters[counters.index("write_bytes:") + 1] == "0"


async def test_a_worker_killed_in_the_middle_fails_that_check_and_not_the_next():
    verifier = FaceProcess(0.5)
    burst = clips.burst(sitter("p01_a"), clips.Kind.LIVE, ONCE, every_ms=130)
    try:
        await verifier.reads(b"")
        asked = asyncio.create_task(verifier.verify(photograph("p01_b"), burst, ONCE))
        await asyncio.sleep(0.15)
        os.kill(child_of(verifier), signal.SIGKILL)
        outcome = await asked
        assert (outcome.ok, outcome.reason) == (False, Reason.VERIFIER_UNAVAILABLE)
        assert await verifier.reads(photograph("p01_b")) is None
    finally:
        await verifier.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("say(talk.Ready(model_id())); hear(); time.sleep(60)", Reason.VERIFIER_SLOW),
        ("say(talk.Ready(model_id())); hear()", Reason.VERIFIER_UNAVAILABLE),
        ("say(talk.Ready(model_id())); hear(); sys.stdout.write('x' * 99)", Reason.VERIFIER_UNAVAILABLE),
        ("say(talk.Ready(model_id())); hear(); say(talk.Has(None))", Reason.VERIFIER_UNAVAILABLE),
        ("say(talk.Ready(model_id())); hear(); say(talk.Broke('Error', []))", Reason.VERIFIER_UNAVAILABLE),
        ("say(talk.Has(None))", Reason.VERIFIER_UNAVAILABLE),
        ("say(talk.Unready('no'))", Reason.VERIFIER_UNAVAILABLE),
        ("raise SystemExit", Reason.VERIFIER_UNAVAILABLE),
        (
            "say(talk.Ready(model_id())); q = hear(); say(talk.Verified(FaceOutcome("
            "True, Reason.MATCH, 0.9, 0.5, 1, len(q.burst), model_id())))",
            Reason.VERIFIER_UNAVAILABLE,
        ),
    ],
    ids=[
        "hangs",
        "goes",
        "babbles",
        "answers something else",
        "broke",
        "is not ready",
        "cannot",
        "ends",
        "lies",
    ],
)
async def test_a_worker_that_misbehaves_is_never_a_pass(code, reason):
    verifier = pretending(code, patience=0.5)
    try:
        outcome = await verifier.verify(b"record", BURST, ONCE)
    finally:
        await verifier.close()
    assert (outcome.ok, outcome.reason, outcome.distance) == (False, reason, None)


async def test_photos_that_nobody_can_judge_are_for_an_officer():
    verifier = pretending("say(talk.Unready('no'))")
    with refuses(Code.FACE_UNAVAILABLE, "officer"):
        await verifier.judge(b"photo")
    with refuses(Code.FACE_UNAVAILABLE):  # known from now on, without asking again
        await verifier.model()
    await verifier.close()


@pytest.mark.parametrize(
    "code",
    [
        "say(talk.Ready(model_id())); hear(); time.sleep(60)",
        "say(talk.Ready(model_id())); hear()",
        "say(talk.Ready(model_id())); hear(); say(talk.Broke('Error', []))",
    ],
    ids=["hangs", "goes", "broke"],
)
async def test_a_photo_over_which_the_worker_is_lost_is_not_called_a_bad_one(code):
    """It may be one, or the machine was busy: a child of its own writes it anew, and an officer looks."""
    verifier = pretending(code, patience=0.5)
    try:
        with refuses(Code.FACE_UNAVAILABLE):
            await verifier.judge(b"photo")
    finally:
        await verifier.close()


async def test_a_house_that_closes_while_a_photo_is_judged_closes():
    verifier = pretending("say(talk.Ready(model_id())); hear(); time.sleep(60)", patience=30)
    asked = asyncio.create_task(verifier.judge(b"photo"))
    await asyncio.sleep(0.5)
    await verifier.close()
    with refuses(Code.FACE_UNAVAILABLE):
        await asked


async def test_too_many_questions_are_turned_away_and_the_first_ones_answered():
    verifier = pretending(
        "say(talk.Ready(model_id()))\nwhile True: hear(); time.sleep(0.05); say(talk.Has(None))", queue=3
    )
    try:
        reasons = await asyncio.gather(*(verifier.reads(b"record") for _ in range(5)))
    finally:
        await verifier.close()
    assert reasons == [None, None, None, Reason.VERIFIER_SLOW, Reason.VERIFIER_SLOW]


async def test_whoever_uploads_photos_leaves_room_for_somebody_before_a_camera():
    verifier = pretending(
        "say(talk.Ready(model_id()))\nwhile True: hear(); time.sleep(0.05); say(talk.Has(None))", queue=4
    )
    photos = [asyncio.create_task(verifier.judge(b"photo")) for _ in range(9)]
    try:
        await asyncio.sleep(0)
        reason = await verifier.reads(b"record")
    finally:
        for photo in photos:
            photo.cancel()
        said = await asyncio.gather(*photos, return_exceptions=True)
        await verifier.close()
    assert reason is None
    codes = [one.code for one in said if isinstance(one, Refused)]
    assert codes == [Code.FACE_UNAVAILABLE] * 9


async def test_a_question_whose_asker_left_is_not_answered_to_the_next_one():
    verifier = pretending("say(talk.Ready(model_id()))\nwhile True: hear(); time.sleep(0.6); say(talk.Has(None))")
    try:
        asked = asyncio.create_task(verifier.reads(b"record"))
        await asyncio.sleep(0.4)
        first = child_of(verifier)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await verifier.reads(b"record") is None and child_of(verifier) != first
    finally:
        await verifier.close()


async def test_a_worker_that_never_stops_talking_holds_up_nobody():
    """asyncio does not see the end of a child whose pipe is still full."""
    verifier = pretending(
        "say(talk.Ready(model_id())); hear(); say(talk.Has(None))\nwhile True: sys.stdout.write('x' * 9999)"
    )
    try:
        assert await verifier.reads(b"record") is None
        await asyncio.sleep(0.5)  # it fills whatever there is to fill
        reason = await asyncio.wait_for(verifier.reads(b"record"), 30)
    finally:
        await asyncio.wait_for(verifier.close(), 30)
    assert reason is Reason.VERIFIER_UNAVAILABLE


async def test_a_worker_is_renewed_after_its_share_of_questions():
    verifier = pretending("say(talk.Ready(model_id()))\nwhile True: hear(); say(talk.Has(None))", questions=2)
    seen = []
    try:
        for _ in range(3):
            assert await verifier.reads(b"record") is None
            seen.append(verifier._child)
    finally:
        await verifier.close()
    assert seen[0] is not None and seen[1] is None and seen[2] is not seen[0]


def test_a_pass_must_follow_from_what_it_says():
    model = ModelId("dlib-resnet-v1", "1", weights.PINNED[weights.RESNET], accredited=False)
    question = Verify(b"", BURST, ONCE, 0.5)
    good = FaceOutcome(True, Reason.MATCH, 0.4, 0.5, 1, len(BURST), model)
    assert follows(good, question)
    for bent in (
        {"distance": 0.51}, {"distance": None}, {"distance": float("nan")}, {"distance": -1.0}, {"blinks": 0},
        {"blinks": None}, {"frames": 1}, {"threshold": 0.9}, {"reason": Reason.NO_MATCH}, {"ok": False},
        {"model": ModelId("other", "1", "0" * 64, accredited=False)},
        {"model": ModelId("dlib-resnet-v1", "1", weights.PINNED[weights.RESNET], accredited=True)},
    ):  # fmt: skip
        fields = {name: getattr(good, name) for name in FaceOutcome.__slots__}
        assert not follows(FaceOutcome(**{**fields, **bent}), question), bent


def test_the_weights_are_the_ones_we_know_and_the_68_points_are_not_needed(tmp_path):
    """A folder with the two files alone serves; one changed byte, or none, does not."""
    engine()
    assert weights.PACKAGE not in sys.modules, "importing it asks for pkg_resources, which is gone"
    for name in weights.PINNED:
        (tmp_path / name).symlink_to(weights.folder() / name)
    assert {path.name for path in tmp_path.iterdir()} == {weights.RESNET, weights.FIVE_POINTS}
    type(engine())(tmp_path)
    changed = bytearray((tmp_path / weights.FIVE_POINTS).read_bytes())
    changed[1000] ^= 1
    (tmp_path / weights.FIVE_POINTS).unlink()
    with refuses(Code.FACE_UNAVAILABLE, "cannot be read"):
        weights.checked(tmp_path, weights.FIVE_POINTS)
    (tmp_path / weights.FIVE_POINTS).write_bytes(changed)
    with refuses(Code.FACE_UNAVAILABLE, "not the file we know"):
        type(engine())(tmp_path)


def test_no_source_names_the_file_that_may_not_be_used():
    sources = Path(weights.__file__).parent.glob("*.py")
    assert not [path.name for path in sources if "shape_predictor_68" in path.read_text(encoding="utf-8")]
