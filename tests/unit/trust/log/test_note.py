"""Signed notes, checkpoints and cosignatures of C2SP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from logged import LOG, NOW, ORIGIN, POST_QUANTUM, WITNESSES, NoteHand, cosigned, digest
from mapae.errors import Code
from mapae.keys import KeyStore, NoteKind
from mapae.trust.log import note
from mapae.trust.log.note import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    cosign,
    cosigned_at,
    open_checkpoint,
    sign_checkpoint,
)

POINT = Checkpoint(ORIGIN, 7, digest("root"))
PLAIN = sign_checkpoint(POINT, LOG)
RAW = PLAIN.encode()


def test_the_examples_of_the_texts_are_read():
    """tlog-checkpoint and tlog-cosignature show a checkpoint without the keys to it."""
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE"
        "+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA==\n"
    )
    read = Note.parse(text.encode())
    point = Checkpoint.parse(read.text)
    assert (point.origin, point.size) == ("example.com/behind-the-sofa", 20852163)
    assert int.from_bytes(read.signatures[1].blob[:8], "big") == 1679315147  # the time its text shows
    assert read.encode() == text.encode() and point.body() == read.text


# --- notes -----------------------------------------------------------------------------------------------------------

SIGNATURE = PLAIN.signatures[0].encode()


@pytest.mark.parametrize(
    "raw",
    [
        "", "\n", "\n\n", "text", "text\n", "text\n\n", f"text\n{SIGNATURE}", f"\n\n{SIGNATURE}",
        f"text\n\n{SIGNATURE[:-1]}", f"text\n\n{SIGNATURE}more\n", f"te\x01xt\n\n{SIGNATURE}", f"te\txt\n\n{SIGNATURE}",
        f"te\udcffxt\n\n{SIGNATURE}", f"text\r\n\n{SIGNATURE}", f"text\n\n-{SIGNATURE[1:]}",
        f"text\n\n— {SIGNATURE[1:]}", "text\n\n— name\n", "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— na\u00a0me AAAAAAAA\n",
        "text\n\n— name AAAA\n", "text\n\n— name AAAAAA=\n", "text\n\n— name AAAAAAB=\n", "text\n\n— name AAAAAAA\n",
        "text\n\n— name AA_-AAAA\n", "text\n\n— name AAAAAAAA \n",
    ],
    ids=range(25),
)  # fmt: skip
def test_what_is_no_signed_note_is_refused(raw):
    with refuses(Code.MALFORMED):
        Note.parse(raw.encode("utf-8", "surrogateescape"))


def test_a_note_may_have_empty_lines_and_is_cut_at_the_last():
    raw = ("one\n\n\n— two\n\n" + SIGNATURE).encode()
    assert Note.parse(raw).text == "one\n\n\n— two\n".encode() and Note.parse(raw).encode() == raw


def test_a_note_is_bounded_and_still_takes_sixteen_post_quantum_signatures():
    """signed-note, Format: at least 16 signatures, which can be up to nearly 5 kB each."""
    many = [Signature(f"w{at}", bytes(4), bytes(5000)).encode() for at in range(16)]
    assert len(Note.parse(RAW).with_("".join(many)).signatures) == 17
    with refuses(Code.TOO_LARGE):
        Note.parse(RAW + "".join(many).encode(), limit=1000)
    with refuses(Code.TOO_LARGE):
        Note.parse(RAW * 200 + b"x" * note.LIMIT)
    crowd = "".join(Signature(f"w{at}", bytes(4), b"0").encode() for at in range(65))
    with refuses(Code.TOO_LARGE):
        Note.parse(b"text\n\n" + crowd.encode())
    with refuses(Code.TOO_LARGE):
        PLAIN.with_("".join(Signature(f"w{at}", bytes(4), b"0").encode() for at in range(64)))


@given(st.binary(max_size=80), st.integers(0, len(RAW)))
def test_what_is_read_is_written_again(more, at):
    raw = RAW[:at] + more + RAW[at:]
    try:
        read = Note.parse(raw)
    except Exception:  # refused; which refusal is for the tests above
        return
    assert read.encode() == raw


def test_a_fresher_line_of_the_same_key_takes_the_place_of_the_older():
    first = PLAIN.with_(cosign(PLAIN, WITNESSES[0], NOW)).with_(cosign(PLAIN, WITNESSES[1], NOW))
    fresher = first.with_(cosign(first, WITNESSES[0], NOW + 5))
    assert len(fresher.signatures) == 3 and cosigned_at(fresher, WITNESSES[0].vkey) == NOW + 5
    assert cosigned_at(fresher, WITNESSES[1].vkey) == NOW
    assert first.only([LOG.vkey]) == PLAIN


# --- keys ------------------------------------------------------------------------------------------------------------

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_verifier_key_that_is_cut_or_changed_anywhere_is_refused():
    """As golang.org/x/mod/sumdb/note tests it."""
    pieces = [PETER[i:j] for i in range(len(PETER)) for j in range(i, len(PETER) + 1) if (i, j) != (0, len(PETER))]
    bent = [PETER[:i] + chr(ord(PETER[i]) + 1) + PETER[i + 1 :] for i in range(len(PETER))]
    wrong_length = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
    for text in (*pieces, *bent, wrong_length, PETER.replace("c74f20a3", "C74F20A3"), PETER + "\n", ""):
        with refuses(Code.MALFORMED):
            VerifierKey.parse(text)
    with refuses(Code.UNSUPPORTED):
        VerifierKey.parse("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    with refuses(Code.TOO_LARGE):
        VerifierKey.parse("a" * 5000)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb", "a\x00b", "a\ud800b"], ids=range(7))
def test_a_name_with_spaces_or_plus_is_no_name(name):
    with refuses(Code.MALFORMED):
        VerifierKey(name, 1, bytes(32))


def test_one_key_has_another_id_for_each_type_of_signature():
    """signed-note, Verifier keys."""
    public = WITNESSES[0].vkey.public
    assert len({VerifierKey("w", kind, public).id for kind in (1, 4)}) == 2


def test_lines_of_keys_we_do_not_know_are_passed_over_and_a_line_of_ours_must_fit():
    """signed-note, Signatures: the same name or the same id alone does not make it ours."""
    one = WITNESSES[0].vkey
    strange = [Signature(one.name, b"\0\0\0\1", bytes(72)), Signature("somebody", one.id, bytes(72))]
    read = PLAIN.with_("".join(line.encode() for line in strange))
    assert one.signed(read) is None
    with refuses(Code.UNWITNESSED):
        cosigned_at(read, one)
    for blob in (bytes(72), bytes(7), (1 << 63).to_bytes(8, "big") + bytes(64), bytes(80)):
        with refuses(Code.BAD_SIGNATURE):
            cosigned_at(PLAIN.with_(Signature(one.name, one.id, blob).encode()), one)
    good = PLAIN.with_(cosign(PLAIN, WITNESSES[0], NOW))
    both = Note(good.text, (*good.signatures, Signature(one.name, one.id, bytes(72))))
    with refuses(Code.BAD_SIGNATURE):  # one good line does not save the note from a bad one
        one.signed(both)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_signed_by_the_log_whose_name_it_bears():
    assert open_checkpoint(Note.parse(RAW), LOG.vkey) == POINT
    with refuses(Code.BAD_CONFIG):
        sign_checkpoint(Checkpoint("another.example/log", 7, digest("root")), LOG)
    with refuses(Code.BAD_SIGNATURE):
        open_checkpoint(PLAIN, NoteHand(ORIGIN, word="another key").vkey)
    foreign = NoteHand("another.example/log")
    moved = Note(PLAIN.text, sign_checkpoint(Checkpoint("another.example/log", 7, digest("root")), foreign).signatures)
    with refuses(Code.BAD_SIGNATURE):
        open_checkpoint(moved, foreign.vkey)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "o\n1\n", "o\n1\n{root}", "\n1\n{root}\n", "o\n\n{root}\n", "o\n01\n{root}\n", "o\n+1\n{root}\n",
        "o\n1 \n{root}\n", "o\n-1\n{root}\n", "o\n9223372036854775808\n{root}\n", "o\n١\n{root}\n", "o\n1\nAAAA\n",
        "o\n1\n{root}\n\n", "o\n1\n{root}\n\nmore\n", "o\n1\n{root}=\n", "o\r\n1\n{root}\n",
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    with refuses(Code.MALFORMED):
        Checkpoint.parse(text.replace("{root}", note.b64(bytes(32))).encode())


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(st.sampled_from(["x", "두 말"])))
def test_a_checkpoint_is_written_in_its_one_spelling(size, root, extensions):
    point = Checkpoint("log.example", size, root, tuple(extensions))
    assert Checkpoint.parse(point.body()) == point


# --- cosignatures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("witness", [WITNESSES[0], POST_QUANTUM], ids=["Ed25519", "ML-DSA-44"])
def test_a_cosignature_says_what_was_seen_and_when(witness):
    read = Note.parse(PLAIN.with_(cosign(PLAIN, witness, NOW)).encode())
    assert cosigned_at(read, witness.vkey) == NOW
    for bent in (
        Note(POINT.body().replace(b"\n7\n", b"\n8\n"), read.signatures),
        Note(read.text.replace(b"registry", b"anchors_"), read.signatures),
        Note(read.text, (read.signatures[0], _later(read.signatures[1]))),
    ):
        with refuses(Code.BAD_SIGNATURE):
            cosigned_at(bent, witness.vkey)


def _later(line: Signature) -> Signature:
    return Signature(line.name, line.id, (int.from_bytes(line.blob[:8], "big") + 1).to_bytes(8, "big") + line.blob[8:])


def test_the_message_of_a_cosignature_is_that_of_the_text():
    """tlog-cosignature, Ed25519 signed message and ML-DSA-44 signed message, byte by byte."""
    line = Signature.parse(cosign(PLAIN, WITNESSES[0], NOW)[:-1])
    WITNESSES[0].vkey.verify(b"cosignature/v1\ntime %d\n" % NOW + POINT.body(), line.blob[8:])
    line = Signature.parse(cosign(PLAIN, POST_QUANTUM, NOW)[:-1])
    name = POST_QUANTUM.vkey.name.encode()
    told = b"".join([
        b"\x73\x75\x62\x74\x72\x65\x65\x2f\x76\x31\x0a\x00", bytes([len(name)]), name, NOW.to_bytes(8, "big"),
        bytes([len(ORIGIN)]), ORIGIN.encode(), bytes(8), (7).to_bytes(8, "big"), digest("root"),
    ])  # fmt: skip
    POST_QUANTUM.vkey.verify(told, line.blob[8:])
    assert len(line.blob) == 8 + 2420 and len(POST_QUANTUM.vkey.public) == 1312


def test_a_cosignature_has_a_time_and_a_cosigners_key():
    for now in (0, -1, 1 << 63):
        with refuses(Code.MALFORMED, "time"):
            cosign(PLAIN, WITNESSES[0], now)
    with refuses(Code.BAD_CONFIG):
        cosign(PLAIN, LOG, NOW)
    with refuses(Code.UNSUPPORTED):
        cosigned_at(PLAIN, LOG.vkey)


def test_a_log_may_sign_with_a_post_quantum_key_which_says_no_time():
    """tlog-checkpoint, Signatures; tlog-cosignature: both timestamps MAY be zero."""
    hand = NoteHand(ORIGIN, note.ML_DSA_44)
    signed = sign_checkpoint(POINT, hand)
    assert open_checkpoint(signed, hand.vkey) == POINT and hand.vkey.signed(signed) == 0
    with refuses(Code.UNWITNESSED):
        cosigned_at(signed, hand.vkey)


def test_a_post_quantum_key_signs_nothing_it_cannot_name():
    """It does not sign extension lines, and has one byte for the length of a name."""
    extended = Checkpoint(ORIGIN, 7, digest("root"), ("more",))
    with refuses(Code.UNSUPPORTED):
        cosign(extended.body(), POST_QUANTUM, NOW)
    assert cosign(extended.body(), WITNESSES[0], NOW)
    with refuses(Code.MALFORMED, "too long"):
        cosign(Checkpoint("o" * 256, 7, digest("root")).body(), POST_QUANTUM, NOW)
    with refuses(Code.MALFORMED, "too long"):
        VerifierKey("n" * 256, note.ML_DSA_44, bytes(1312))


@pytest.mark.parametrize("kind", list(NoteKind), ids=[kind.name for kind in NoteKind])
def test_the_keys_of_the_key_store_sign_notes(tmp_path, kind):
    signer = KeyStore(tmp_path, b"passphrase").note_signer("file:w", ORIGIN, kind, VerifierKey.parse)
    if kind is not NoteKind.COSIGNER:
        assert open_checkpoint(sign_checkpoint(POINT, signer), signer.vkey) == POINT
    if kind is not NoteKind.LOG:
        assert cosigned_at(PLAIN.with_(cosign(PLAIN, signer, NOW)), signer.vkey) == NOW


def test_a_note_of_a_whole_quorum_fits_its_bounds():
    full = cosigned(POINT, {1: NOW, 2: NOW, 3: NOW, 4: NOW})
    assert Note.parse(full.encode()) == full and len(full.signatures) == 5
