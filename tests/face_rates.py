"""The error rates of docs/face.md, measured on what is here: `PYTHONPATH=src:tests python -m face_rates [CLIPS.npz]`.

Photographs from the archives and, where it is there, from ../shared/faces. A clip file holds an array `frames` (count,
height, width, 3) of 25 frames a second; the file's name says who it is and what happens in it (p01_blink1).
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from clips import PEOPLE, SHARED, card_photo, engine, photograph
from mapae.clock import SeededDice
from mapae.issuer.face import clips
from mapae.issuer.face.clips import Kind, Sitter
from mapae.issuer.face.dlib_verifier import DlibVerifier, apart
from mapae.issuer.face.pictures import open_picture
from mapae.issuer.face.quality import DlibJudge
from mapae.issuer.face.values import Challenge, Frame

THRESHOLD = 0.5
TRIES = 6  # challenges for each photograph and act
PACES = (40, 80, 125, 160)  # milliseconds between frames


def photographs() -> dict[str, bytes]:
    """By person and letter. The collected set holds the archives' five again, so it replaces them where it is."""
    folder = SHARED / "pd"
    found = {path.name[:5]: path.read_bytes() for path in sorted(folder.glob("p0*.jpg"))}
    return found or {name: photograph(name) for name in PEOPLE}


def pairs(people: dict[str, bytes]) -> None:
    verifier = engine()
    known = {}
    for name, data in people.items():
        pixels = open_picture(data)
        known[name] = verifier.embedding(pixels, verifier.one_face(pixels))
    same, different = [], []
    for one, other in itertools.combinations(sorted(known), 2):
        (same if one[:3] == other[:3] else different).append(apart(known[one], known[other]))
    print(f"pairs: same {len(same)} {min(same):.3f}..{max(same):.3f}, over {THRESHOLD}: {sum(d > 0.5 for d in same)}")
    print(f"pairs: different {len(different)} {min(different):.3f}..{max(different):.3f}, within: "
          f"{sum(d <= THRESHOLD for d in different)}")  # fmt: skip


def acted(people: dict[str, bytes]) -> None:
    verifier, dice = DlibVerifier(engine()), SeededDice("rates")
    sitters: dict[str, Sitter] = {name: clips.sitter(data, engine()) for name, data in people.items()}
    counts: dict[str, Counter[str]] = {}
    distances: dict[str, list[float]] = {}
    for name, who in sitters.items():
        own = next((other for other in people if other != name and other[:3] == name[:3]), name)
        strange = next(other for other in people if other[:3] != name[:3])
        for kind in Kind:
            for record, label in ((own, kind.value), (strange, "another person")):
                if label == "another person" and kind is not Kind.LIVE:
                    continue
                for turn in range(TRIES):
                    challenge = Challenge.drawn(dice, "rates", "n")
                    begun = [prompt + 150 + dice.below(450) for prompt in challenge.prompts_ms]
                    shown = clips.burst(
                        who, kind, challenge, blinks_ms=begun, every_ms=PACES[turn % len(PACES)], seed=turn
                    )[:150]
                    outcome = verifier.verify(people[record], shown, challenge, THRESHOLD)
                    counts.setdefault(label, Counter())[outcome.reason.value] += 1
                    if outcome.distance is not None:
                        distances.setdefault(label, []).append(outcome.distance)
    for label, found in counts.items():
        far = distances.get(label)
        print(f"{label}: {dict(found)}" + (f" distances {min(far):.3f}..{max(far):.3f}" if far else ""))


def filmed(path: Path, people: dict[str, bytes]) -> None:
    """A clip made by others, as often as prompts can be laid so that its blinks would answer, or would not."""
    frames = np.load(path)["frames"]
    verifier = DlibVerifier(engine())
    shown = tuple(Frame(at * 40, clips.jpeg(pixels)) for at, pixels in enumerate(frames))[:150]
    length = shown[-1].at_ms
    own = [data for name, data in people.items() if name[:3] == path.stem[:3]]
    record = own[-1] if own else next(iter(people.values()))
    said = []
    for prompts in ((1000,), (1000, 1900)):
        challenge = Challenge("rates", "n", len(prompts), prompts, length)
        outcome = verifier.verify(record, shown, challenge, THRESHOLD)
        said.append(f"{len(prompts)}: {outcome.reason.value} {outcome.blinks} {outcome.distance}")
    print(f"{path.stem}: {len(shown)} frames, asked {', '.join(said)}")


def photos(people: dict[str, bytes]) -> None:
    judge = DlibJudge(engine())
    for label, made in (("as they are", people), ("as card photos", {name: card_photo(name) for name in PEOPLE})):
        found = {name: [finding.code.value for finding in judge.judge(data).findings] for name, data in made.items()}
        print(f"photo quality, {label}: {found}")
    closed = 0
    for data in people.values():
        who = clips.sitter(data, engine())
        pixels = np.clip(clips._shut(who, 1.0), 0, 255).astype(np.uint8)[:, 140:500]
        closed += any(f.code.value == "eyes-closed" for f in judge.judge(clips.jpeg(pixels)).findings)
    print(f"photo quality: closed eyes seen in {closed} of {len(people)}")


def main() -> None:
    people = photographs()
    print(f"{len(people)} photographs of {len({name[:3] for name in people})} people")
    pairs(people)
    photos(people)
    for path in map(Path, sys.argv[1:]):
        filmed(path, people)
    acted(people)


if __name__ == "__main__":
    main()
