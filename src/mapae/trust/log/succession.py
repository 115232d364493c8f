"""From the policy somebody pinned years ago to the one in force: step by step, each vouched for by the one before.

The registry log names each policy by the digest of its text. The head that brings a new one is published under both
policies: the old witnesses' last word is that the new ones follow. Whoever was away when that happened needs those
heads, one for each change, and nothing else.

Promises: a policy that comes out is the one in force in a history that a quorum of the policy before stood behind, and
so on back to the pinned one; what cannot be followed changes nothing. Trusts: the pinned policy. Keeps: nothing.
Refuses: a change nobody of before vouches for, a head that is not of this log's history (FORKED).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from mapae.errors import Code, Refused
from mapae.trust.log.entry import Entry, PolicySet
from mapae.trust.log.note import Checkpoint, Note
from mapae.trust.log.policy import Policy


class Step(NamedTuple):
    """A head of the registry log, cosigned under the policy before, and the policy that is in force at that head."""

    policy: Policy
    head: Note


class Named(NamedTuple):
    """Which entry of the registry log names which policy, by the digest of its text."""

    entry: int
    policy: bytes


def named(entry: Entry) -> Named | None:
    """Of an entry that brings a policy."""
    return Named(entry.index, entry.payload.document) if isinstance(entry.payload, PolicySet) else None


def in_force(
    pinned: Policy, origin: str, steps: Sequence[Step], all_named: Sequence[Named], root_at: Callable[[int], bytes]
) -> Policy:
    """The policy to hold the newest checkpoint of `origin` against.

    `all_named` are the policies of the registry log in order, `root_at` gives the root over its first so many entries;
    both may still be unproven: each step proves them up to its head. A pinned policy the log never named is one its
    owner made up, and stays.
    """
    reached = max((one.entry for one in all_named if one.policy == _digest(pinned)), default=None)
    if reached is None:
        return pinned
    policy = pinned
    for step in sorted(steps, key=lambda step: Checkpoint.parse(step.head.text).size):
        size = Checkpoint.parse(step.head.text).size
        brought = max((one for one in all_named if one.entry < size), default=None)
        if brought is None or brought.entry <= reached:
            continue  # before what is pinned
        head = policy.met(step.head).checkpoint
        if head.origin != origin or brought.policy != _digest(step.policy):
            raise Refused(Code.UNWITNESSED, "a head does not bring the policy it should vouch for")
        if root_at(head.size) != head.root:
            raise Refused(Code.FORKED, "the policy was changed in another history than this one")
        policy, reached = step.policy, brought.entry
    if reached != all_named[-1].entry:
        raise Refused(Code.UNWITNESSED, "a change of the policy is missing, or nobody vouches for it")
    return policy


def _digest(policy: Policy) -> bytes:
    return sha256(policy.encode()).digest()
