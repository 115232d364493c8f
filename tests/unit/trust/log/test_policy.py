"""C2SP tlog-policy: who is believed, and how many it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from logged import LOG, NOW, ORIGIN, POST_QUANTUM, WITNESSES, NoteHand, cosigned, digest, policy
from mapae.errors import Code, Refused
from mapae.trust.log import note
from mapae.trust.log.note import Checkpoint, Note, Signature
from mapae.trust.log.policy import MOST, Policy

POINT = Checkpoint(ORIGIN, 7, digest("root"))
L = f"log {LOG.vkey.encode()}\n"
W = "".join(f"witness w{at} {hand.vkey.encode()}\n" for at, hand in enumerate((*WITNESSES, POST_QUANTUM), 1))
# The example of tlog-policy, its elided keys filled in.
NESTED = [NoteHand(f"{side}{n}.example", note.COSIGNATURE) for side in "xy" for n in (1, 2, 3)]
EXAMPLE = (
    f"log {LOG.vkey.encode()}\n\n"
    + "".join(f"witness X{n} {NESTED[n - 1].vkey.encode()}\n" for n in (1, 2, 3))
    + "group X-witnesses 2 X1 X2 X3\n\n"
    + "".join(f"witness Y{n} {NESTED[n + 2].vkey.encode()}\n" for n in (1, 2, 3))
    + "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def note_of(hands: dict[NoteHand, int]) -> Note:
    made = cosigned(POINT, {})
    for hand, time in hands.items():
        made = made.with_(note.cosign(made, hand, time))
    return made


def test_the_example_of_the_text():
    read = Policy.parse(EXAMPLE)
    x1, x2, x3, y1, y2, _ = NESTED
    assert read.logs == (LOG.vkey,) and len(read.witnesses) == 6 and read.quorum == "X-and-Y"
    assert read.met(note_of({x1: NOW, x3: NOW + 9, y2: NOW + 4})).age_from == NOW
    for few in ({x1: NOW, y1: NOW, y2: NOW}, {x1: NOW, x2: NOW, x3: NOW}, {}):
        with refuses(Code.UNWITNESSED):
            read.met(note_of(few))


def test_what_the_text_allows_is_read_and_comes_back_as_it_was():
    spaced = f"\twitness\tw1 {WITNESSES[0].vkey.encode()}   https://w.example/submit \n"
    raw = f"# a policy\n\n \t\n{L}{spaced}  # 한\nquorum  w1\n"
    for text in (raw, raw.encode(), raw.encode() + b"# \xff\n"):
        read = Policy.parse(text)
        assert read.encode() == (text if isinstance(text, bytes) else text.encode())
        assert read.witnesses["w1"].url == "https://w.example/submit"
    opaque = b"witness \xff " + WITNESSES[0].vkey.encode().encode() + b"\nquorum \xff\n"
    assert Policy.parse(opaque).encode() == opaque
    assert Policy.parse("quorum none\n").logs == ()


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "quorum w1\n", f"{L}{W}", f"{L}{W}quorum w1", f"{W}quorum w1\nquorum w2\n", f"{W}quorum\n",
        f"{W}quorum w1 w2\n", f"{W}{W}quorum w1\n", f"{L}{L}quorum none\n", "log\nquorum none\n",
        f"{L[:-1]} a b\nquorum none\n", f"{W[:-1]} a b\nquorum none\n", "witness w1\nquorum none\n",
        f"witness none {WITNESSES[0].vkey.encode()}\nquorum none\n", f"{W}group none 1 w1\nquorum none\n",
        f"{W}group w1 1 w2\nquorum w1\n", f"{W}group g 1 w1 w1\nquorum g\n",
        f"{W}group g 1 w1\ngroup h 1 w1\nquorum g\n",
        f"{W}group g 1 h\ngroup h 1 w1\nquorum g\n", f"{W}group g 1 g\nquorum g\n", f"{W}group g 0 w1\nquorum g\n",
        f"{W}group g 2 w1\nquorum g\n", f"{W}group g -1 w1\nquorum g\n", f"{W}group g 01 w1\nquorum g\n",
        f"{W}group g ANY w1\nquorum g\n", f"{W}group g all\nquorum g\n", f"{W}group g 1 none\nquorum g\n",
        f"{W}group g 1 w9\nquorum g\n", f"{W}quorum g\ngroup g 1 w1\n", f"{W}quorums w1\n", f"{W}Quorum w1\n",
        f"{W}quorum w1 # the first\n", f"{W}quorum w1\r\n", f"{W}\x0bquorum w1\n", f"{W}quorum\u00a0w1\n",
        f"witness w1 {WITNESSES[0].vkey.encode()[:-1]}\nquorum w1\n",
        # tlog-policy, Public key representation: the same key under another name is a duplicate.
        f"{W}witness w9 {NoteHand('w9.example', note.COSIGNATURE, WITNESSES[0].vkey.name).vkey.encode()}\nquorum w1\n",
        f"{L}log {NoteHand('other.example', word=ORIGIN).vkey.encode()}\nquorum none\n",
    ],
    ids=range(39),
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text):
    with refuses(Code.MALFORMED):
        Policy.parse(text)


def test_a_key_of_the_wrong_type_has_no_part_in_a_policy():
    for text in (f"log {WITNESSES[0].vkey.encode()}\nquorum none\n", f"witness w {LOG.vkey.encode()}\nquorum w\n"):
        with refuses(Code.UNSUPPORTED):
            Policy.parse(text)


def test_a_policy_is_bounded_and_takes_what_the_text_asks_for():
    hands = [NoteHand(f"{at}.example", note.COSIGNATURE) for at in range(MOST + 1)]
    named = [(f"w{at}", hand.vkey, None) for at, hand in enumerate(hands)]
    assert len(Policy.of([LOG.vkey], named[:MOST], 9).witnesses) == MOST >= 32
    with refuses(Code.TOO_LARGE):
        Policy.of([LOG.vkey], named, 9)
    with refuses(Code.TOO_LARGE):
        Policy.parse("# " + "x" * 300_000 + "\nquorum none\n")


# --- meeting it ------------------------------------------------------------------------------------------------------


def test_a_quorum_of_witnesses_makes_a_checkpoint_believable():
    met = policy(2).met(cosigned(POINT, {1: NOW + 3, 2: NOW, 3: NOW + 1}))
    assert met.checkpoint == POINT and met.times == {"w1": NOW + 3, "w2": NOW, "w3": NOW + 1}
    assert met.age_from == NOW + 1  # two of the three vouch for that moment
    assert policy(1).met(cosigned(POINT, {2: NOW})).age_from == NOW
    with refuses(Code.UNWITNESSED):
        policy(2).met(cosigned(POINT, {1: NOW}))
    assert policy(0).met(cosigned(POINT, {})).age_from == 0


def test_a_post_quantum_witness_counts_as_any_other():
    mixed = policy(2, [WITNESSES[0], POST_QUANTUM])
    assert mixed.met(cosigned(POINT, {1: NOW, 4: NOW + 1})).age_from == NOW


def test_one_witness_cannot_make_a_checkpoint_look_newer():
    met = policy(2).met(cosigned(POINT, {1: NOW + 10**9, 2: NOW, 3: NOW}))
    assert met.age_from == NOW


def test_the_quorum_is_of_different_witnesses_of_the_policy():
    twice = cosigned(POINT, {1: NOW})
    fresher = Signature.parse(note.cosign(twice, WITNESSES[0], NOW + 1)[:-1])
    twice = Note(twice.text, (*twice.signatures, fresher))
    with refuses(Code.UNWITNESSED):
        policy(2).met(twice)
    assert policy(1).met(twice).times == {"w1": NOW + 1}
    strangers = note_of({WITNESSES[0]: NOW, NESTED[0]: NOW, NESTED[1]: NOW})
    with refuses(Code.UNWITNESSED):
        policy(2).met(strangers)


def test_one_line_that_does_not_fit_spoils_the_note():
    """signed-note, Signatures: of a known key. Otherwise a false line could hide among enough good ones."""
    good = cosigned(POINT, {1: NOW, 2: NOW, 3: NOW})
    for at in range(1, 4):
        line = good.signatures[at]
        bent = Signature(line.name, line.id, line.blob[:-1] + bytes([line.blob[-1] ^ 1]))
        with refuses(Code.BAD_SIGNATURE):
            policy(2).met(Note(good.text, (*good.signatures[:at], bent, *good.signatures[at + 1 :])))


def test_only_a_log_of_the_policy_is_believed():
    thief = NoteHand(ORIGIN, word="thief")
    with refuses(Code.BAD_SIGNATURE):
        policy(2).met(cosigned(POINT, {1: NOW, 2: NOW}, log=thief))
    other = NoteHand("other.example/log")
    moved = cosigned(Checkpoint("other.example/log", 7, digest("root")), {1: NOW, 2: NOW}, log=other)
    with refuses(Code.BAD_SIGNATURE):
        policy(2).met(moved)
    with refuses(Code.BAD_SIGNATURE):
        Policy.parse("quorum none\n").met(cosigned(POINT, {}))


def test_a_log_may_change_its_key_with_both_in_the_policy():
    new = NoteHand(ORIGIN, word="new key")
    both = Policy.of([LOG.vkey, new.vkey], [("w1", WITNESSES[0].vkey, None)], 1)
    assert both.log(ORIGIN) == (LOG.vkey, new.vkey)
    for hand in (LOG, new):
        assert both.met(cosigned(POINT, {1: NOW}, log=hand)).checkpoint == POINT


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 5))
def test_the_age_is_the_kth_newest(times, least):
    """However the times lie: as old as the last of the k newest, or unwitnessed."""
    hands = NESTED[: len(times)]
    if least > len(times):
        return
    cosigners = {hand: NOW + time for hand, time in zip(hands, times, strict=True)}
    named = [(f"w{at}", hand.vkey, None) for at, hand in enumerate(hands)]
    met = Policy.of([LOG.vkey], named, least).met(note_of(cosigners))
    assert met.age_from == NOW + sorted(times, reverse=True)[least - 1]


@given(st.data())
def test_no_changed_byte_of_a_note_is_believed(data):
    """Of the text and of every line that counts: refused, or the same checkpoint and the same witnesses."""
    raw = bytearray(cosigned(POINT, {1: NOW, 2: NOW}).encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        met = policy(2).met(Note.parse(bytes(raw)))
    except Refused as refused:
        assert refused.code in (Code.MALFORMED, Code.BAD_SIGNATURE, Code.UNWITNESSED)
        return
    raise AssertionError(f"believed with byte {at} changed: {met}")
