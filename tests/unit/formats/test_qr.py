"""Offline codes: what was read is written again, in frames of any size and order; the cases of vectors/qr.json hold."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hands import OUR_VECTORS, refuses
from mapae.errors import Code, Refused
from mapae.formats import qr
from mapae.formats.jose import PublicKey
from mapae.formats.status import StatusList
from mapae.formats.x509 import Anchors
from mapae.holder.country import Listed as View
from mapae.holder.qr import open_ask
from mapae.trust.publish import TrustList
from mapae.trust.purposes import Listed, PurposesDocument
from mapae.verifier.checking.check import Issuer, Trusted
from mapae.verifier.checking.check import Listed as Known
from mapae.verifier.checking.kit import AskCode, Wanted, check_code, read_code, spend
from mapae.verifier.checking.spent import Remembered

FILE = json.loads((OUR_VECTORS / "qr.json").read_text(encoding="utf-8"))
CASES = FILE["cases"]
TRUST = msgspec.convert(FILE["trust_list"], TrustList)
PURPOSES = PurposesDocument(
    iat=FILE["now"], exp=FILE["now"] + 86_400, purposes=msgspec.convert(FILE["purposes"], tuple[Listed, ...])
)
LIST_KEY = PublicKey.from_jwk(FILE["list_jwk"])
GOOD = [case["input"]["show"] for case in CASES if "show" in case["input"] and "expected" in case]


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def trusted(now: datetime) -> Trusted:
    issuers = [
        Issuer(one.id, Anchors(one.ca), frozenset(one.vcts), frozenset(one.doctypes), one.status_prefix)
        for one in TRUST.issuers
    ]
    lists = {uri: Known(StatusList.decode(said["bits"], said["lst"]), now) for uri, said in FILE["lists"].items()}
    return Trusted(tuple(issuers), lists)


def ask(given: dict[str, Any]) -> dict[str, Any]:
    """As the wallet does."""
    view = View(TRUST, LIST_KEY)
    question = open_ask(given["ask"], view, PURPOSES, moment(FILE["now"]), view.introduced)
    code = question.ask
    assert code.encode() == given["ask"]
    return {
        "party": question.party.id if question.party is not None else None, "name": code.name,
        "purpose": question.purpose.id, "items": list(code.items), "nonce": code.nonce.hex(),
        "audience": code.audience, "raw": code.raw.hex(), "until": code.until,
    }  # fmt: skip


def show(given: dict[str, Any]) -> dict[str, Any]:
    """As the checker does."""
    wanted = Wanted.listed(PURPOSES.purpose(given["purpose"]))
    question: Wanted | AskCode = wanted
    if given["asked"] is not None:
        question = AskCode(wanted, qr.Ask.parse(given["asked"]), given["asked_at"])
    now, spent = moment(given["now"]), Remembered()
    for nonce in given["spent"]:
        spent.take(bytes.fromhex(nonce), given["now"] + 30, given["now"])
    code = read_code(given["show"])
    found, _ = check_code(code, question, trusted(now), now)
    spend(code, question, spent, now)
    assert qr.Show.parse(code.encode()) == code
    return {
        "claims": {name: _plain(value) for name, value in found.claims.items()}, "format": code.format,
        "made": code.made, "nonce": code.nonce.hex(), "purpose": code.purpose, "presentation": code.presentation,
        "whole": code.encode().hex(),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_each_case_is_read_or_refused_at_the_step_it_names(case: dict[str, Any]) -> None:
    given = case["input"]
    read = ask if "ask" in given else show
    if "expected" in case:
        assert read(given) == case["expected"]
        return
    with pytest.raises(Refused) as refusal:
        read(given)
    assert {"step": refusal.value.step, "code": refusal.value.code.value} == case["refused"], refusal.value.detail


# --- frames -----------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=3000), st.integers(min_value=100, max_value=1500))
@settings(max_examples=50, deadline=None)
def test_any_bytes_go_into_frames_and_come_back(folded: bytes, size: int) -> None:
    frames = [qr.Frame.parse(text) for text in qr.split(folded, size)]
    assert b"".join(frame.chunk for frame in frames) == folded
    assert [frame.encode() for frame in frames] == list(qr.split(folded, size))
    assert qr.unfold(qr.fold(folded)) == folded


def test_a_camera_that_sees_two_codes_at_once_collects_both() -> None:
    one, two = (qr.join(frames).frames(200) for frames in GOOD[:2])
    collector, found = qr.Collector(), []
    for first, second in zip(one, two, strict=False):
        found += [collector.add(first), collector.add(second)]
    found += [collector.add(text) for text in (*one, *two)]
    assert [show for show in found if show is not None][:2] == [qr.join(one), qr.join(two)]


def test_a_camera_says_how_many_frames_it_has() -> None:
    frames = qr.join(GOOD[0]).frames(200)
    collector = qr.Collector()
    assert collector.progress == (0, 0)
    collector.add(frames[2])
    collector.add(frames[2])
    collector.add(frames[0])
    assert collector.progress == (2, len(frames))


def test_a_thousand_strange_sequences_take_no_more_room_than_three() -> None:
    collector = qr.Collector()
    for number in range(1000):
        collector.add(qr.split(bytes(number + 300), 200)[0])
    assert len(collector._seen) == qr.MAX_SEQUENCES


def test_a_bent_sequence_is_forgotten_and_the_next_turn_is_read() -> None:
    good = qr.join(GOOD[0])
    frames = good.frames(200)
    first = qr.Frame.parse(frames[0])
    bent = msgspec.structs.replace(first, chunk=bytes(len(first.chunk)))
    collector = qr.Collector()
    with refuses(Code.MALFORMED, "belong together"):
        for text in (bent.encode(), *frames[1:]):
            collector.add(text)
    assert [collector.add(text) for text in frames][-1] == good


def test_what_is_too_much_for_a_code_is_not_made() -> None:
    with refuses(Code.TOO_LARGE):
        qr.fold(bytes(qr.LIMIT + 1))
    with refuses(Code.TOO_LARGE):
        qr.split(bytes(33 * 700), 700)
    with refuses(Code.LINT):
        qr.Ask(nonce=bytes(16), purpose="x", items=("y",), registration="z" * 4000).encode()
    with refuses(Code.LINT, "until when"):
        qr.Ask(nonce=bytes(16), purpose="x", items=("y",)).sealed(bytes(64), b"a certificate")


def test_a_credential_that_is_not_bound_to_its_holder_is_not_put_into_a_code() -> None:
    good = qr.join(GOOD[0])
    unbound = good.presentation.rpartition("~")[0] + "~"
    with refuses(Code.LINT):
        msgspec.structs.replace(good, presentation=unbound).encode()


def test_a_status_list_of_the_vectors_is_the_one_that_was_written() -> None:
    [said] = FILE["lists"].values()
    assert StatusList.decode(said["bits"], said["lst"]) == StatusList.of(2, 64, [(8, 1)])
