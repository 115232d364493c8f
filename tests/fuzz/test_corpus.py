"""The committed corpus against every parser: fast, without the fuzzer (`make fuzz` finds new cases)."""

from __future__ import annotations

import time

import pytest

from fuzz import corpus, seeds, targets
from mapae.errors import Refused

PATIENCE = 2.0  # seconds; a case takes well under a millisecond


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_only_refusals_come_out(name):
    """No other exception, no case that takes long, and what was read is written again."""
    cases = corpus.cases(name)
    assert cases, "make fuzz --keep writes the corpus"
    for case in cases:
        started = time.process_time()
        targets.run(name, case)
        assert time.process_time() - started < PATIENCE, case


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_a_target_takes_something_and_refuses_something(name):
    """A target that refuses everything, or nothing, watches nobody."""
    outcomes = set()
    for case in [*seeds.SEEDS[name](), *corpus.cases(name)]:
        try:
            targets.TARGETS[name](case)
            outcomes.add(None)
        except Refused as refused:
            outcomes.add(refused.code)
    assert (None in outcomes) != (name in UNTRUSTED), outcomes
    assert len(outcomes) > 1, outcomes


UNTRUSTED = {"jwe_header", "log_proof"}
"""Nothing passes: zeros decrypt to nothing, a policy without logs believes no proof."""


def test_the_corpus_is_small_and_belongs_to_targets():
    files = list(corpus.HERE.iterdir())
    assert {path.stem for path in files} <= set(targets.TARGETS) and set(seeds.SEEDS) == set(targets.TARGETS)
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_a_broken_promise_is_found():
    """The watchers themselves: something that is not a refusal goes through, and so does a changed byte."""
    with pytest.raises(targets.Broken):
        targets.same(b"a", b"b")
    targets.TARGETS["crash"] = lambda data: print(data[9])
    try:
        with pytest.raises(IndexError):
            targets.run("crash", b"")
    finally:
        del targets.TARGETS["crash"]
