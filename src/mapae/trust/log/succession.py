"""From the policy somebody pinned years ago to the one in force: step by step, each vouched for by the one before.

The registry log names each policy by the digest of its text. Where an entry brings a new one, the head with that entry
is published under both policies: the old witnesses' last word is that the new ones follow. Whoever was away when that
happened needs those heads, one for each change, and nothing else.

Promises: a policy that comes out was named by an entry that a quorum of the policy before stood behind, and so on back
to the pinned one; what cannot be followed changes nothing. Trusts: the pinned policy. Keeps: nothing. Refuses: a step
left out, another order, a head that is not of this log's history (FORKED), a head the policy before is not behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from mapae.errors import Code, Refused
from mapae.trust.log.entry import Entry, PolicySet
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy


class Step(NamedTuple):
    """A policy, and a head of the registry log that has the entry naming it, cosigned under the policy before."""

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
    digest = sha256(pinned.encode()).digest()
    places = [at for at, one in enumerate(all_named) if one.policy == digest]
    if not places:
        return pinned
    policy = pinned
    for one in all_named[places[-1] + 1 :]:
        step = next((step for step in steps if sha256(step.policy.encode()).digest() == one.policy), None)
        if step is None:
            raise Refused(Code.UNWITNESSED, "a change of the policy is missing, or nobody vouches for it")
        head = policy.met(step.head).checkpoint
        if head.origin != origin or head.size <= one.entry:
            raise Refused(Code.UNWITNESSED, "a head does not reach the change of the policy it should vouch for")
        if root_at(head.size) != head.root:
            raise Refused(Code.FORKED, "the policy was changed in another history than this one")
        policy = step.policy
    return policy
