"""The numbered steps by which a pack is believed: each refuses, and nothing is believed on the publisher's word."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from mapae.errors import Code, Refused
from mapae.formats.status import INVALID, VALID
from mapae.keys import Signer
from mapae.trust.entries import document
from mapae.trust.log import tiles
from mapae.trust.log.entry import ZERO, Anchored, Entry, Kind, Log, PartyAdmitted, PolicySet, Role
from mapae.trust.log.note import COSIGNATURE, Note, cosign
from mapae.trust.log.policy import Policy
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.pack import format
from mapae.trust.pack.build import Succession
from mapae.trust.pack.format import Pack
from mapae.trust.pack.verify import AHEAD, EpochHead, Opened, open_pack, status_name
from mapae.trust.signers import Purpose
from packed import Nation, NoteKey, digest, small
from unit.verifier.world import LIST, NOW, STATUS_PREFIX

NATION = small()
PACK = NATION.pack()
STREAM = sha256(STATUS_PREFIX.encode()).digest()
EPOCH = f"{status_name(STREAM)}.epoch".replace(".", "__")
ANCHOR = EPOCH.replace("__epoch", "__anchor")
PROOF = EPOCH.replace("__epoch", "__proof")
STATEMENT = EPOCH.replace("__epoch", "__statement")


def refused(step: str, code: Code, pack: Pack, policy: Policy = NATION.pinned) -> None:
    with pytest.raises(Refused) as caught:
        open_pack(pack.encode(), policy)
    assert (caught.value.step, caught.value.code) == (step, code), caught.value


def said(opened: Opened) -> Any:
    """All that is verified data."""
    lists = {uri: opened.list(uri) for status in opened.statuses for uri in status.lists}
    return opened.trust_list, opened.statuses, lists, opened.registry, opened.policy, opened.head, opened.newest


# --- what a good pack says --------------------------------------------------------------------------------------------


def test_an_opened_pack_knows_who_issues_who_signs_and_what_stands() -> None:
    opened = open_pack(PACK.encode(), NATION.pinned)
    assert [issuer.id for issuer in opened.trust_list.issuers] == ["demo-issuer"]
    purposes = {signer.purpose for signer in opened.trust_list.signers}
    assert purposes == {Purpose.DOCUMENT_SIGNER, Purpose.STATUS_SIGNER, Purpose.LIST_SIGNER}
    listed = opened.list(LIST)
    assert listed is not None and (listed.read(3), listed.read(7)) == (INVALID, VALID)
    assert opened.list(STATUS_PREFIX + "list-9") is None and opened.publisher("http://elsewhere/") is None
    assert opened.head == NATION.state.head(Log.REGISTRY)


def test_age_is_told_by_the_quorum_and_time_by_the_newest() -> None:
    """Two of three are the quorum: the second newest moment is one for which two vouch."""
    opened = open_pack(PACK, NATION.pinned)
    assert (opened.as_of, opened.newest) == (NATION.seconds - 1, NATION.seconds)
    assert opened.statuses[0].as_of == NATION.seconds - 1


def test_one_witness_whose_clock_runs_ahead_moves_neither_age_nor_time() -> None:
    """A single stolen key must not be able to let every card of a country expire."""
    at = NATION.seconds
    note = NATION.note(Log.REGISTRY, times=(at + 10 * 365 * 86400, at - 5, at - 9))
    opened = open_pack(NATION.repacked(PACK, registry__checkpoint=note), NATION.pinned)
    assert (opened.as_of, opened.newest) == (at - 5, at)


def test_revoked_readers_and_signers_come_with_the_registry_log() -> None:
    nation = small()
    nation.revoke_reader(digest("a shop"))
    nation.revoke_key(nation.issuer, sha256(nation.authority.leaf).digest(), 3, nation.seconds - 60)
    opened = open_pack(nation.pack(), nation.pinned)
    [reader] = opened.trust_list.revoked_readers
    assert reader.since == nation.seconds
    [signer] = [one for one in opened.trust_list.signers if one.reason is not None]
    assert (signer.reason, signer.since) == ("compromised", nation.seconds - 60)


def test_a_party_that_was_revoked_is_on_the_list_no_longer() -> None:
    nation = small()
    nation.revoke_party(nation.issuer)
    nation_pack = nation.pack()
    opened = open_pack(nation_pack, nation.pinned)
    assert opened.trust_list.issuers == () and opened.statuses == ()


# --- whole ------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_every_flipped_bit_is_refused_or_harmless(data: st.DataObject) -> None:
    raw = bytearray(PACK.encode())
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at >> 3] ^= 1 << (at & 7)
    try:
        opened = open_pack(bytes(raw), NATION.pinned)
    except Refused as refusal:
        assert refusal.step == "whole"
        return
    assert said(opened) == said(open_pack(PACK, NATION.pinned))


def test_a_truncated_pack_is_refused() -> None:
    raw = PACK.encode()
    for size in range(0, len(raw), 97):
        with refuses(Code.BAD_PACK):
            open_pack(raw[:size], NATION.pinned)


# --- policy and checkpoint --------------------------------------------------------------------------------------------


def test_a_pack_of_another_log_is_not_for_this_checker() -> None:
    stranger = Policy.of([NoteKey("elsewhere.example/trust/log/registry", 1).vkey], [], 0)
    refused("policy", Code.BAD_PACK, PACK, stranger)


def test_too_few_witnesses_are_no_quorum() -> None:
    alone = NATION.repacked(PACK, registry__checkpoint=NATION.note(Log.REGISTRY, witnesses=1))
    refused("checkpoint", Code.UNWITNESSED, alone)


def test_witnesses_of_another_key_do_not_count() -> None:
    others = [(f"w{n}", NoteKey(f"witness-{n}.example", COSIGNATURE).vkey, None) for n in range(3)]
    refused("checkpoint", Code.UNWITNESSED, PACK, Policy.of(NATION.pinned.logs, others, 2))


def test_a_checkpoint_of_the_anchors_log_is_not_one_of_the_registry() -> None:
    refused("checkpoint", Code.BAD_PACK, NATION.repacked(PACK, registry__checkpoint=NATION.note(Log.ANCHORS)))


def test_the_policy_in_the_pack_is_not_the_one_it_is_checked_by() -> None:
    """Whoever publishes packs could name witnesses of his own."""
    mine = Policy.of(NATION.pinned.logs, [("w0", NoteKey("mine.example", COSIGNATURE).vkey, None)], 1)
    assert open_pack(NATION.repacked(PACK, policy=mine.encode()), NATION.pinned).policy == NATION.pinned


# --- replica ----------------------------------------------------------------------------------------------------------


def entries() -> list[bytes]:
    return tiles.unbundle(PACK.named("registry.entries.00000000"), len(NATION.raw[Log.REGISTRY]))


def with_entries(changed: list[bytes]) -> Pack:
    return NATION.repacked(PACK, registry__entries__00000000=tiles.bundle(changed))


def test_an_entry_that_was_changed_does_not_amount_to_the_head() -> None:
    bent = entries()
    bent[-1] = bent[-1][:-1] + bytes((bent[-1][-1] ^ 1,))
    refused("replica", Code.FORKED, with_entries(bent))


def test_no_entry_may_be_left_out_or_added() -> None:
    refused("replica", Code.MALFORMED, with_entries(entries()[:-1]))
    refused("replica", Code.MALFORMED, with_entries([*entries(), entries()[-1]]))
    refused("replica", Code.FORKED, with_entries([*entries()[:-2], entries()[-1], entries()[-2]]))
    refused("replica", Code.BAD_PACK, NATION.repacked(PACK, registry__entries__00000000=None))
    more = NATION.repacked(PACK, registry__entries__00000001=b"\x00")
    refused("replica", Code.BAD_PACK, more)


# --- publisher and documents ------------------------------------------------------------------------------------------


def test_a_publisher_nobody_entered_in_the_log_is_refused_however_well_all_fits() -> None:
    refused("publisher", Code.BAD_PACK, NATION.repacked(PACK, Signer.ephemeral()))


def test_a_publisher_whose_key_was_revoked_publishes_no_more() -> None:
    nation = small()
    signer = NATION.publisher
    nation.enter(nation.access, signer_thumbprint(signer), 5)  # type: ignore[arg-type]
    nation.revoke_key(nation.access, signer_thumbprint(signer))
    refused("publisher", Code.SIGNER_REVOKED, nation.repacked(nation.pack(), signer), nation.pinned)


def signer_thumbprint(signer: Signer) -> bytes:
    return format.PublicKey.from_jwk(signer.jwk).thumbprint_raw


def test_a_key_entered_for_something_else_does_not_publish() -> None:
    nation, signer = small(), Signer.ephemeral()
    nation.enter(nation.access, signer_thumbprint(signer), 2)  # type: ignore[arg-type]
    refused("publisher", Code.BAD_PACK, nation.repacked(nation.pack(), signer), nation.pinned)


def test_each_partys_document_has_to_be_the_one_in_the_log() -> None:
    raw = document(NATION.issuer, "change-1")
    place = "_" + sha256(raw).hexdigest()
    refused("documents", Code.BAD_PACK, NATION.repacked(PACK, **{place: None}))
    refused("documents", Code.BAD_PACK, NATION.repacked(PACK, **{place: raw.replace(b"demo", b"evil")}))


def test_a_document_of_somebody_else_makes_nobody_a_member() -> None:
    """The log says which document; that the document is this party's, its own id says."""
    nation = small()
    raw = document(msgspec.structs.replace(nation.issuer, id="other"), "change-1")
    nation.documents[sha256(raw).digest()] = raw
    terms = PartyAdmitted(
        digest("c")[-20:], digest("v"), Role.ISSUER, nation.seconds, nation.seconds + 99, sha256(raw).digest()
    )
    nation.append(Kind.PARTY, digest("issuer:third"), terms)
    assert [issuer.id for issuer in open_pack(nation.pack(), nation.pinned).trust_list.issuers] == ["demo-issuer"]


# --- status -----------------------------------------------------------------------------------------------------------


def with_list(nation: Nation, pack: Pack, change: dict[int, int]) -> Pack:
    """The publisher of the pack changes a list of the issuer's, and all that follows from it but the anchor."""
    head = EpochHead.parse(pack.named(EPOCH.replace("__", ".")))
    listed = nation.lists[LIST].changed(change.items()).packed
    lists = tuple(
        msgspec.structs.replace(one, digest=sha256(listed).digest()) if one.name == "list-1" else one
        for one in head.lists
    )
    old = next(one.digest for one in head.lists if one.name == "list-1")
    changed = msgspec.structs.replace(head, lists=lists).encode()
    bent = nation.repacked(pack, **{f"_{old.hex()}": listed, EPOCH: changed})
    assert open_lists(bent) == 2
    return bent


def open_lists(pack: Pack) -> int:
    return len(EpochHead.parse(pack.named(EPOCH.replace("__", "."))).lists)


def test_a_revoked_card_cannot_be_made_valid_by_whoever_publishes_packs() -> None:
    refused("status", Code.BAD_PROOF, with_list(NATION, PACK, {3: VALID}))
    assert open_pack(with_list(NATION, PACK, {}), NATION.pinned).list(LIST) is not None


def test_a_list_cannot_be_left_out_or_renamed() -> None:
    head = EpochHead.parse(PACK.named(EPOCH.replace("__", ".")))
    for lists in (head.lists[:1], head.lists[::-1], (head.lists[0], head.lists[0])):
        changed = msgspec.structs.replace(head, lists=lists).encode()
        with pytest.raises(Refused) as caught:
            open_pack(NATION.repacked(PACK, **{EPOCH: changed}), NATION.pinned)
        assert caught.value.step == "status"
    renamed = (msgspec.structs.replace(head.lists[0], name="list-0"), head.lists[1])
    changed = msgspec.structs.replace(head, lists=renamed).encode()
    refused("status", Code.BAD_PROOF, NATION.repacked(PACK, **{EPOCH: changed}))


def test_an_anchor_that_is_not_in_the_log_proves_nothing() -> None:
    nation = small()
    nation.later(minutes=5)
    nation.set("list-1", 3, VALID)
    before = nation.trees[Log.ANCHORS].head()
    nation.anchor()
    raw = nation.raw[Log.ANCHORS][-1]
    pack = nation.pack()
    assert before.size == 1
    bent = nation.repacked(pack, **{ANCHOR: raw[:-1] + bytes((raw[-1] ^ 1,))})
    refused("status", Code.BAD_PROOF, bent, nation.pinned)


def test_anchors_need_their_own_quorum() -> None:
    proof = PACK.named(PROOF.replace("__", "."))
    head, _, _ = proof.partition(b"\n\n")
    alone = head + b"\n\n" + NATION.note(Log.ANCHORS, witnesses=1)
    refused("status", Code.UNWITNESSED, NATION.repacked(PACK, **{PROOF: alone}))


@pytest.mark.parametrize(
    "part", [EPOCH, ANCHOR, PROOF, STATEMENT], ids=["epoch", "anchor", "proof", "statement"]
)  # fmt: skip
def test_a_part_of_the_status_that_is_missing_or_no_such_thing_is_refused(part: str) -> None:
    if part != EPOCH:  # without the head there is nothing that says there were lists
        refused("status", Code.BAD_PACK, NATION.repacked(PACK, **{part: None}))
    with pytest.raises(Refused):
        open_pack(NATION.repacked(PACK, **{part: b"\x80"}), NATION.pinned)


def test_whoever_may_not_publish_status_lists_anchors_in_vain() -> None:
    nation = small()
    before = nation.pack()
    nation.admit(nation.issuer, Role.ISSUER)  # the same party, no longer with STATUS
    after = nation.pack()
    assert open_pack(after, nation.pinned).statuses == ()
    kept = {name: before.named(name.replace("__", ".")) for name in (EPOCH, ANCHOR, PROOF, STATEMENT)}
    lists = {"_" + sha256(one.packed).hexdigest(): one.packed for one in nation.lists.values()}
    refused("status", Code.BAD_PACK, nation.repacked(after, **kept, **lists), nation.pinned)


def anchored(nation: Nation, by: Signer | None = None, **said: Any) -> Pack:
    """Whoever runs the log anchors other lists than the issuer's last, in whose voice he likes."""
    nation.later(minutes=5)
    epoch = nation.anchor()
    payload = Anchored(epoch.stream, epoch.seq, epoch.root, epoch.leaves, nation.seconds + 600)
    raws, tree = nation.raw[Log.ANCHORS], nation.trees[Log.ANCHORS]
    last = Entry.parse(raws[-1])
    forged = msgspec.structs.replace(last, statement=nation.stated(payload._replace(**said), by)).encode()
    raws[-1] = forged
    nation.trees[Log.ANCHORS] = Tree([*(tree.node(0, at) for at in range(tree.size - 1)), leaf_hash(forged)])
    return nation.pack()


def test_whoever_runs_the_log_cannot_anchor_in_an_issuers_place() -> None:
    """Logged and cosigned as it should be, yet nobody but the issuer can make the statement that the entry names."""
    nation = small()
    refused("status", Code.BAD_SIGNATURE, anchored(nation, Signer.ephemeral()), nation.pinned)
    nation = small()
    refused("status", Code.BAD_SIGNATURE, anchored(nation, seq=7), nation.pinned)
    nation = small()
    assert open_pack(anchored(nation), nation.pinned).statuses[0].seq == 2


def test_an_anchor_speaks_in_the_voice_its_publisher_had_then() -> None:
    nation = small()
    pack, first = nation.pack(), nation.voice(nation.issuer)
    nation.later(seconds=1)
    nation.voices[nation.issuer.id] = Signer.ephemeral()
    nation.admit(nation.issuer, Role.ISSUER | Role.STATUS)
    assert open_pack(nation.pack(pack), nation.pinned).statuses[0].seq == 1  # by the old voice, before the change
    nation.anchor()
    assert open_pack(nation.pack(), nation.pinned).statuses[0].seq == 2
    refused("status", Code.BAD_SIGNATURE, anchored(nation, first), nation.pinned)


def test_an_anchor_is_proven_for_its_own_place() -> None:
    """An entry that says another index than it has: both engines write none, and nobody believes one."""
    nation = small()
    nation.later(minutes=5)
    nation.anchor()
    raws, tree = nation.raw[Log.ANCHORS], nation.trees[Log.ANCHORS]
    wrong = msgspec.structs.replace(Entry.parse(raws[1]), index=5).encode()
    raws[1] = wrong
    nation.trees[Log.ANCHORS] = Tree([tree.node(0, 0), leaf_hash(wrong)])
    refused("status", Code.BAD_PROOF, nation.pack(), nation.pinned)


# --- the policy changes -----------------------------------------------------------------------------------------------


def changed(nation: Nation) -> Policy:
    """All three witnesses go and others come: the head with that entry is published under both policies."""
    old, nation.witnesses = nation.witnesses, [NoteKey(f"next-{n}.example", COSIGNATURE) for n in (1, 2, 3)]
    named = [(f"w{n}", witness.vkey, None) for n, witness in enumerate(nation.witnesses)]
    policy = Policy.of([key.vkey for key in nation.logs.values()], named, 2)
    entry = nation.append(Kind.POLICY, ZERO, PolicySet(sha256(policy.encode()).digest(), 2, 0))
    head = Note.parse(nation.note(Log.REGISTRY))
    for witness in old:
        head = head.with_(cosign(head, witness, nation.seconds))
    nation.changes.append(Succession(entry.index, policy.encode(), head.encode()))
    return policy


def test_a_checker_that_slept_through_a_change_of_witnesses_finds_its_way() -> None:
    nation = small()
    pinned = nation.pinned
    for _ in range(2):
        nation.later(days=40)
        nation.pinned = changed(nation)
        nation.revoke_reader(digest(nation.seconds))
    nation.anchor()
    for policy in (pinned, nation.pinned):
        assert open_pack(nation.pack(), policy).policy.encode() == nation.pinned.encode()
    alone = nation.repacked(nation.pack(), **{f"succession__{nation.changes[0].entry:08d}__head": None})
    refused("policy", Code.UNWITNESSED, alone, pinned)


def test_new_witnesses_cannot_appoint_themselves() -> None:
    nation = small()
    pinned = nation.pinned
    nation.pinned = changed(nation)
    entry, text, head = nation.changes[0]
    own = Note.parse(head).only([*(key.vkey for key in nation.logs.values()), *(w.vkey for w in nation.witnesses)])
    nation.changes[0] = Succession(entry, text, own.encode())
    refused("policy", Code.UNWITNESSED, nation.pack(), pinned)
    nation.changes.clear()  # and without saying so at all
    refused("checkpoint", Code.UNWITNESSED, nation.pack(), pinned)


# --- time -------------------------------------------------------------------------------------------------------------


def test_nothing_is_later_than_the_witnesses_say() -> None:
    """A log whose clock runs ahead, or lists that say they are of tomorrow: a pack from the future."""
    nation = small()
    at = nation.seconds
    nation.later(seconds=AHEAD + 60)
    nation.revoke_reader(digest("a shop"))
    notes = {"registry__checkpoint": Log.REGISTRY, "anchors__checkpoint": Log.ANCHORS}
    early = {name: nation.note(log, times=(at, at, at)) for name, log in notes.items()}
    pack = nation.repacked(nation.pack(), **early, **{PROOF: proof_at(nation, at)})
    refused("time", Code.BAD_PACK, pack, nation.pinned)
    nation = small()
    nation.later(hours=1)
    nation.anchor(iat=nation.seconds + 7200, next_update=nation.seconds + 9000)
    refused("time", Code.BAD_PACK, nation.pack(), nation.pinned)


def proof_at(nation: Nation, at: int) -> bytes:
    head, _, _ = nation.pack().named(PROOF.replace("__", ".")).partition(b"\n\n")
    return head + b"\n\n" + nation.note(Log.ANCHORS, times=(at, at, at))


def test_lists_are_as_old_as_their_anchor_however_new_the_proof() -> None:
    """A fresh checkpoint over an old anchor makes the lists no fresher."""
    nation = small()
    at = nation.seconds
    nation.later(days=3)
    opened = open_pack(nation.pack(), nation.pinned)
    assert opened.statuses[0].as_of == at
    assert opened.as_of == nation.seconds - 1
    assert nation.now == NOW - timedelta(minutes=5)
