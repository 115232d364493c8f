"""A device that was in a drawer while witnesses and keys changed finds its way, and is not led astray."""

from __future__ import annotations

from hashlib import sha256

import pytest

from hands import refuses
from logged import LOG, NOW, ORIGIN, WITNESSES, Country, NoteHand, digest
from mapae.errors import Code
from mapae.trust.log import acts
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.note import Checkpoint, Note, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.trust.log.succession import Named, Step, in_force, named
from mapae.trust.log.tree import Tree, leaf_hash

NEW_LOG = NoteHand(ORIGIN, word="the log's next key")
NEW = [NoteHand(f"next-{n}.example", 4) for n in (1, 2)]
LATER = [NoteHand(f"later-{n}.example", 4) for n in (1, 2)]


def of(log: NoteHand, hands: list[NoteHand]) -> Policy:
    return Policy.of([log.vkey], [(f"w{at}", hand.vkey, None) for at, hand in enumerate(hands, 1)], 2)


FIRST, SECOND, THIRD = of(LOG, WITNESSES), of(NEW_LOG, NEW), of(NEW_LOG, LATER)


def signed(checkpoint: Checkpoint, *by: tuple[NoteHand, list[NoteHand]]) -> Note:
    notes = [sign_checkpoint(checkpoint, log) for log, _ in by]
    note = Note(notes[0].text, tuple(line for one in notes for line in one.signatures))
    for _, hands in by:
        for hand in hands:
            note = note.with_(cosign(note, hand, NOW))
    return note


class Land:
    """A registry log whose policy changes twice, with all that happens in between."""

    def __init__(self) -> None:
        self.country = Country()
        self._put(FIRST)
        self.country.put_party("issuer")
        self._put(SECOND)
        self.second = self._head((LOG, WITNESSES), (NEW_LOG, NEW))
        self.country.put_party("other")
        self._put(THIRD)
        self.third = self._head((NEW_LOG, NEW), (NEW_LOG, LATER))
        self.tree = Tree(leaf_hash(raw) for raw in self.country.raw[Log.REGISTRY])
        self.named = [one for raw in self.country.raw[0] if (one := named(Entry.parse(raw))) is not None]
        self.steps = [Step(SECOND, self.second), Step(THIRD, self.third)]

    def _put(self, policy: Policy) -> None:
        text = sha256(policy.encode()).digest()
        self.country.vote(acts.PutPolicy(text, 2, 0, self.country.statement()))

    def _head(self, *by: tuple[NoteHand, list[NoteHand]]) -> Note:
        return signed(Checkpoint(ORIGIN, *self.country.state.head(Log.REGISTRY)), *by)

    def find(self, pinned: Policy, steps: list[Step] | None = None) -> Policy:
        return in_force(pinned, ORIGIN, self.steps if steps is None else steps, self.named, self.tree.root)


@pytest.fixture(scope="module")
def land() -> Land:
    return Land()


def test_whoever_pinned_any_of_them_comes_to_the_one_in_force(land):
    for pinned in (FIRST, SECOND, THIRD):
        assert land.find(pinned) is THIRD
    assert land.find(THIRD, []) is THIRD


def test_a_policy_the_log_never_named_stays_as_its_owner_made_it(land):
    own = Policy.of([LOG.vkey], [("mine", WITNESSES[0].vkey, None)], 1)
    assert land.find(own) is own


def test_no_step_is_left_out(land):
    for steps, code in (
        ([], Code.UNWITNESSED),
        (land.steps[:1], Code.UNWITNESSED),
        (land.steps[1:], Code.BAD_SIGNATURE),
    ):
        with refuses(code):
            land.find(FIRST, steps)


def test_two_changes_may_come_with_one_head(land):
    """Nobody published anything in between: the first policy's witnesses vouch for a history that has both."""
    both = signed(Checkpoint.parse(land.third.text), (LOG, WITNESSES), (NEW_LOG, LATER))
    assert land.find(FIRST, [Step(THIRD, both)]) is THIRD


def test_the_new_ones_cannot_vouch_for_themselves(land):
    """Whoever has only the new keys, or too few of the old ones, brings nobody to his policy."""
    head = Checkpoint.parse(land.second.text)
    for by, code in (
        ([(NEW_LOG, NEW)], Code.BAD_SIGNATURE), ([(LOG, WITNESSES[:1]), (NEW_LOG, NEW)], Code.UNWITNESSED),
    ):  # fmt: skip
        with refuses(code):
            land.find(FIRST, [Step(SECOND, signed(head, *by)), land.steps[1]])


def test_a_head_before_the_change_vouches_for_nothing(land):
    at = land.named[-2].entry
    early = signed(Checkpoint(ORIGIN, at, land.tree.root(at)), (LOG, WITNESSES))
    with refuses(Code.BAD_SIGNATURE):
        land.find(FIRST, [Step(SECOND, early), land.steps[1]])
    with refuses(Code.UNWITNESSED, "bring"):
        land.find(FIRST, [Step(THIRD, land.second), land.steps[1]])


def test_a_head_of_the_other_log_vouches_for_nothing():
    anchors = NoteHand("mapae.example/trust/log/anchors")
    both = Policy.of([LOG.vkey, anchors.vkey], [("w1", WITNESSES[0].vkey, None)], 1)
    other = signed(Checkpoint(anchors.vkey.name, 99, digest("root")), (anchors, WITNESSES[:1]))
    names = [Named(1, sha256(both.encode()).digest()), Named(2, sha256(SECOND.encode()).digest())]
    with refuses(Code.UNWITNESSED, "bring"):
        in_force(both, ORIGIN, [Step(SECOND, other)], names, lambda size: digest("root"))


def test_a_change_in_another_history_is_a_fork(land):
    head = Checkpoint.parse(land.second.text)
    forked = signed(Checkpoint(ORIGIN, head.size, digest("another root")), (LOG, WITNESSES))
    with refuses(Code.FORKED):
        land.find(FIRST, [Step(SECOND, forked), land.steps[1]])


def test_a_policy_that_came_back_is_followed_from_its_last_time():
    """First, second, first again: whoever pinned the first has nothing to follow."""
    names = [Named(at, sha256(policy.encode()).digest()) for at, policy in enumerate((FIRST, SECOND, FIRST))]
    assert in_force(FIRST, ORIGIN, [], names, digest) is FIRST
