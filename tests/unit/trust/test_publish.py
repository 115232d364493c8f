"""What a reader of the trust list accepts, and what it keeps when the network is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, sign_jws
from mapae.formats.x509 import Subject, root
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.entries import must_be_sound
from mapae.trust.publish import TYPE, AccessAuthority, Purpose, RelyingParty, TrustList
from mapae.trust.reader import TrustReader

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
KEY = Signer.ephemeral()
BOTH = Words(ko="가", en="a")
CA = root(Subject("CA"), KEY, serial=1, not_before=START - timedelta(days=1), not_after=START + timedelta(days=99))


def shop(id: str = "shop", fill: bytes = b"s") -> RelyingParty:
    asks = Purpose(id="p", name=BOTH, why=BOTH, legal_basis=BOTH, items=("name",), retention=BOTH)
    return RelyingParty(id=id, name=BOTH, x509_hash=b64u(fill * 32), purposes=(asks,))


def a_list(*parties: RelyingParty, seq: int = 1, now: datetime = START) -> TrustList:
    return TrustList.of(
        [*parties, AccessAuthority(id="access", name=BOTH, ca=(CA,))], seq=seq, now=now, life=timedelta(hours=1)
    )


def parse(token: str, now: datetime = START) -> TrustList:
    return TrustList.parse(token, KEY.jwk, now)


def test_a_signed_list_reads_back() -> None:
    assert parse(a_list(shop()).sign(KEY)) == a_list(shop())


def _claims(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(a_list(shop()))
    return {name: value for name, value in (made | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (a_list(shop()).sign(Signer.ephemeral()), Code.BAD_SIGNATURE),
        (sign_jws(KEY, {"typ": "JWT"}, _claims()), Code.MALFORMED),
        (sign_jws(KEY, {"typ": TYPE}, _claims(exp=None)), Code.MALFORMED),
        (sign_jws(KEY, {"typ": TYPE}, _claims(exp=int(START.timestamp()) - 61)), Code.EXPIRED),
        (sign_jws(KEY, {"typ": TYPE}, _claims(iat=int(START.timestamp()) + 3600)), Code.NOT_YET_VALID),
        (sign_jws(KEY, {"typ": TYPE}, _claims(access_ca=["bm8="])), Code.BAD_CERTIFICATE),
        (sign_jws(KEY, {"typ": TYPE}, _claims(issuers="all")), Code.MALFORMED),
        (a_list(shop(), shop("other")).sign(KEY), Code.MALFORMED),
        (a_list(shop(), shop("shop", b"t")).sign(KEY), Code.MALFORMED),
        ("a.b.c", Code.MALFORMED),
    ],
)
def test_a_list_that_is_not_ours_or_not_sound_is_refused(token: str, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        parse(token)
    assert caught.value.code is code


def test_a_list_of_before_the_log_is_still_read() -> None:
    """Nobody on it is logged, so nothing is refused for want of signers; its `seq` says that it is older."""
    before = parse(sign_jws(KEY, {"typ": TYPE}, _claims(signers=None, revoked_readers=None)))
    assert (before.signers, before.revoked_readers) == ((), ())
    assert before.asker(shop().x509_hash) == shop()


@pytest.mark.parametrize(
    "signers",
    [
        [{"issuer": "issuer:a", "x5t#S256": "AAAA", "purpose": "anchor", "from": 1, "until": 2}],
        [{"issuer": "issuer:a", "x5t#S256": b64u(bytes(32)), "purpose": "king", "from": 1, "until": 2}],
        [{"issuer": "issuer:a", "x5t#S256": b64u(bytes(32)), "purpose": "anchor", "from": 2, "until": 2}],
        [{"issuer": "issuer:a", "x5t#S256": b64u(bytes(32)), "purpose": "anchor", "from": 1, "until": 2, "since": 1}],
        [{"issuer": f"issuer:{one}", "x5t#S256": b64u(bytes(32)), "purpose": "anchor", "from": 1, "until": 2}
         for one in "ab"],
    ],
    ids=["short", "purpose", "never", "half revoked", "twice"],
)  # fmt: skip
def test_a_list_with_a_signer_that_is_none_is_refused(signers: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused) as caught:
        parse(sign_jws(KEY, {"typ": TYPE}, _claims(signers=signers)))
    assert caught.value.code is Code.MALFORMED


def test_members_of_tomorrow_are_ignored() -> None:
    """A newer registry may say more; an older reader reads what it knows."""
    assert parse(sign_jws(KEY, {"typ": TYPE}, _claims(ledger="x"))) == a_list(shop())


class Registry:
    """What the network answers."""

    def __init__(self) -> None:
        self.token: str | None = a_list(shop()).sign(KEY)
        self.asked: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("if-none-match"))
        if self.token is None:
            raise httpx.ConnectError("no network")
        etag = f'"{hash(self.token)}"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304)
        return httpx.Response(200, text=self.token, headers={"ETag": etag})


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def reader(registry: Registry, clock: MovableClock) -> TrustReader:
    http = httpx.AsyncClient(transport=httpx.MockTransport(registry))
    return TrustReader(http, "http://a.test/trust/list", KEY.jwk, clock)


async def test_an_unchanged_list_is_asked_for_rarely_and_stays_the_same_object(
    reader: TrustReader, registry: Registry, clock: MovableClock
) -> None:
    first = await reader()
    assert await reader() is first and len(registry.asked) == 1
    clock.advance(seconds=5)
    assert await reader() is first
    assert registry.asked[1] is not None


async def test_a_changed_list_is_seen_within_seconds(
    reader: TrustReader, registry: Registry, clock: MovableClock
) -> None:
    await reader()
    registry.token = a_list(seq=2).sign(KEY)
    clock.advance(seconds=5)
    assert (await reader()).relying_parties == ()


@pytest.mark.parametrize(
    "broken",
    [None, "rubbish", a_list(shop()).sign(Signer.ephemeral()), a_list(seq=0).sign(KEY), "x" * (5 * 1024 * 1024)],
    ids=["no network", "rubbish", "another key", "older", "too large"],
)
async def test_the_last_good_list_serves_until_it_is_over(
    reader: TrustReader, registry: Registry, clock: MovableClock, broken: str | None
) -> None:
    good = await reader()
    registry.token = broken
    clock.advance(minutes=59)
    assert await reader() is good
    clock.advance(minutes=2)
    with pytest.raises(Refused) as caught:
        await reader()
    assert caught.value.code is Code.UNAVAILABLE


GRACE = timedelta(days=30)


async def test_a_silent_registrys_last_list_serves_late_for_as_long_as_was_agreed(
    reader: TrustReader, registry: Registry, clock: MovableClock
) -> None:
    good = await reader()
    registry.token = None
    clock.advance(timedelta(hours=1) + GRACE - timedelta(seconds=1))
    assert await reader.late(GRACE) is good
    clock.advance(seconds=2)
    with pytest.raises(Refused) as caught:
        await reader.late(GRACE)
    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize(
    "broken",
    ["rubbish", a_list(shop()).sign(Signer.ephemeral()), a_list(seq=0).sign(KEY), "x" * (5 * 1024 * 1024)],
    ids=["rubbish", "another key", "older", "too large"],
)
async def test_a_registry_that_says_something_wrong_is_not_silent(
    reader: TrustReader, registry: Registry, clock: MovableClock, broken: str
) -> None:
    await reader()
    registry.token = broken
    clock.advance(hours=2)
    with pytest.raises(Refused):
        await reader.late(GRACE)


async def test_where_a_list_is_to_be_had_nothing_late_is_used(
    reader: TrustReader, registry: Registry, clock: MovableClock
) -> None:
    await reader()
    clock.advance(hours=2)
    registry.token = a_list(shop(), seq=2, now=clock.now()).sign(KEY)
    assert (await reader.late(GRACE)).seq == 2


async def test_a_list_made_while_the_clock_was_ahead_does_not_stay(
    reader: TrustReader, registry: Registry, clock: MovableClock
) -> None:
    """What is over by then is missing in it, and the log, by which lists are numbered, has not changed."""
    clock.advance(days=400)
    registry.token = a_list(now=clock.now()).sign(KEY)
    assert (await reader()).relying_parties == ()
    clock.advance(days=-400)
    registry.token = a_list(shop(), now=clock.now()).sign(KEY)
    assert [one.id for one in (await reader()).relying_parties] == ["shop"]
    clock.advance(minutes=2)
    held = await reader()
    registry.token = a_list(now=START - timedelta(minutes=1)).sign(KEY)  # older: refused as ever
    clock.advance(minutes=2)
    assert await reader() is held


async def test_a_reader_recovers(reader: TrustReader, registry: Registry) -> None:
    registry.token = None
    with pytest.raises(Refused):
        await reader()
    registry.token = a_list(shop()).sign(KEY)
    assert (await reader()).relying_parties == (shop(),)


@pytest.mark.parametrize(
    "name", ["Bank\u202eknaB", "Bank\u200b", "Bank\nof", "B" * 401], ids=["turned", "unseen", "line", "long"]
)
def test_a_name_says_what_is_seen(name: str) -> None:
    """A direction mark or an unseen space would make one member look like another in every list and wallet."""
    with pytest.raises(Refused) as refused:
        must_be_sound(msgspec.structs.replace(shop(), name=Words(ko="은행", en=name)))
    assert refused.value.code is Code.MALFORMED
