"""What is asked of somebody in front of the camera."""

from __future__ import annotations

from mapae.clock import SeededDice
from mapae.issuer.face.values import FIRST_PROMPT_MS, NEXT_PROMPT_MS, TAIL_MS, WINDOW_MS, Challenge


def test_a_challenge_asks_once_or_twice_at_moments_nobody_can_know():
    dice = SeededDice("challenges")
    drawn = [Challenge.drawn(dice, "id", "nonce") for _ in range(400)]
    assert {challenge.blinks for challenge in drawn} == {1, 2}
    assert len({challenge.prompts_ms for challenge in drawn}) > 350
    for challenge in drawn:
        first, *more = challenge.prompts_ms
        assert len(challenge.prompts_ms) == challenge.blinks
        assert FIRST_PROMPT_MS[0] <= first <= FIRST_PROMPT_MS[1]
        assert all(NEXT_PROMPT_MS[0] <= at - first <= NEXT_PROMPT_MS[1] for at in more)


def test_one_blink_can_never_answer_two_prompts_and_the_last_window_is_seen_to_its_end():
    dice = SeededDice("windows")
    assert NEXT_PROMPT_MS[0] > WINDOW_MS
    for challenge in (Challenge.drawn(dice, "id", "nonce") for _ in range(100)):
        assert challenge.length_ms == challenge.prompts_ms[-1] + WINDOW_MS + TAIL_MS
