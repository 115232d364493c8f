"""From one opened pack to the next: never back, never to another history. Pure.

1 the same log  2 no other history: entries, anchors and epochs that were there are there, the same (FORKED otherwise)
3 not older: no log shorter, no quorum's time earlier, no publisher's epoch lower or gone (BAD_PACK otherwise)

Promises: a checker that keeps to `must_follow` cannot be shown an older state again. Trusts: that both packs were
opened under its policy. Keeps: nothing. Refuses: a fork, which is evidence and is kept by `keep.py`; a rollback.
"""

from __future__ import annotations

from mapae.errors import Code, Refused
from mapae.trust.pack.verify import Opened, root_at


def must_follow(old: Opened, new: Opened) -> None:
    """Raises Refused(FORKED, BAD_PACK)."""
    if new.pack.manifest.origin != old.pack.manifest.origin:
        raise Refused(Code.BAD_PACK, "the pack is of another log than the one before")
    _must_be_one_history(old, new)
    before, after = old.registry, new.registry
    if after.checkpoint.size < before.checkpoint.size or after.age_from < before.age_from:
        raise _older("its registry")
    if new.anchors.checkpoint.size < old.anchors.checkpoint.size or new.anchors.age_from < old.anchors.age_from:
        raise _older("its anchors")
    for status in old.statuses:
        party = new.state.parties.get(status.party)
        now = next((one for one in new.statuses if one.prefix == status.prefix), None)
        if now is None and party is not None and party.revoked is None:
            raise _older("a publisher's status lists are gone")
        if now is not None and now.seq < status.seq:
            raise _older("a publisher's status lists")


def _must_be_one_history(old: Opened, new: Opened) -> None:
    size = old.registry.checkpoint.size
    longer = new.registry.checkpoint.size
    if longer >= size and root_at(new.pack, longer, size) != old.registry.checkpoint.root:
        raise Refused(Code.FORKED, "the registry log has another history than the one seen before")
    # Of the anchors log a pack has only what it needs; that longer heads extend shorter ones is what witnesses sign
    # for.
    before, after = old.anchors.checkpoint, new.anchors.checkpoint
    if after.size == before.size and after.root != before.root:
        raise Refused(Code.FORKED, "the anchors log has another history than the one seen before")
    for status in old.statuses:
        for now in new.statuses:
            if (now.prefix, now.seq) == (status.prefix, status.seq) and now.lists != status.lists:
                raise Refused(Code.FORKED, "a publisher has anchored two things under one number")


def _older(what: str) -> Refused:
    return Refused(Code.BAD_PACK, f"the pack is older than the one this checker has: {what}")
