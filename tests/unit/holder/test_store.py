"""What a wallet keeps, and what it refuses to open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mapae.clock import MovableClock, SeededDice
from mapae.errors import Code, Refused
from mapae.holder import FileStore, MemoryStore, StoredKeys
from mapae.holder.pocket import Pocket
from mapae.holder.store import VERSION, State, pack, unpack
from mapae.keys import KeyStore
from unit.holder.conftest import SD_JWT


def test_a_file_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "wallet"
    assert FileStore(path, b"482915").load() is None
    store = FileStore(path, b"482915")
    store.save(b"first")
    store.save(b"second")
    assert FileStore(path, b"482915").load() == b"second"
    assert b"second" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(Refused):
        FileStore(path, b"000000").load()


@pytest.mark.parametrize("place", [0, 16, 30, -1])
def test_a_changed_file_does_not_open(tmp_path: Path, place: int) -> None:
    path = tmp_path / "wallet"
    FileStore(path, b"482915").save(b"state")
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(Refused) as refused:
        FileStore(path, b"482915").load()
    assert refused.value.code is Code.BAD_CONFIG


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x80\x80", pack(State(version=VERSION + 1))])
def test_a_state_we_cannot_read_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        unpack(raw)
    assert refused.value.code is Code.BAD_CONFIG


def test_a_state_from_before_sign_ins_and_deferral_opens_as_it_was() -> None:
    """What Step 1 wrote: orders, tasks, cards and history without the members that came later."""
    card = {
        "id": "c", "order": "o", "issuer": "i", "configuration": "f", "format": "dc+sd-jwt", "kind": "k", "name": {},
        "received": 1, "copies": [{"id": "1", "key": "k", "raw": "r", "expires": 2, "status_uri": "u",
                                   "status_index": 3, "used": 0}],
    }  # fmt: skip
    order = {
        "id": "o", "issuer": "i", "server": "s", "dpop_key": "d", "code": None, "tx_code": None, "created": 1,
        "tasks": [{"configuration": "f", "stage": "told", "keys": [], "notification": None, "identifier": None}],
        "access_token": None, "token_until": 0, "refresh_token": "r",
    }  # fmt: skip
    shown = {
        "id": "h", "at": 1, "relying_party": "mart", "name": {}, "purpose": "p", "purpose_name": {}, "items": [],
        "cards": [], "outcome": "sent", "redirect_uri": None,
    }  # fmt: skip
    old = {"version": 1, "cards": {"c": card}, "orders": {"o": order}, "history": [shown]}
    state = unpack(msgspec.msgpack.encode(old))
    assert (state.cards["c"].standing, state.cards["c"].reusable) == ("listed", False)
    assert (state.orders["o"].state, state.orders["o"].tasks[0].transaction) == (None, None)
    assert (state.history[0].standing, state.history[0].payments) == ("listed", [])


def test_keys_live_in_the_state_and_go_when_dropped() -> None:
    store = MemoryStore()
    pocket = Pocket(store, MovableClock(), SeededDice(1), None)
    name = pocket.keys.create()
    pocket.save()
    again = Pocket(store, MovableClock(), SeededDice(2), None)
    assert again.keys.signer(name).jwk == pocket.keys.signer(name).jwk
    again.keys.drop(name)
    with pytest.raises(Refused):
        again.keys.signer(name)


async def test_a_wallet_on_files_and_a_key_store_lives_through_a_restart(country: Any, tmp_path: Path) -> None:
    path, keystore = tmp_path / "wallet", KeyStore(tmp_path / "keys", b"passphrase")
    store = FileStore(path, b"482915")
    citizen = await country.carded(store=store, keys=StoredKeys(keystore, SeededDice("keys")))
    again = country.wallet(FileStore(path, b"482915"), keys=StoredKeys(keystore, SeededDice("later")))
    assert [card.id for card in again.cards] == [card.id for card in citizen.wallet.cards]
    qr, id = await country.asks()
    await again.present(await again.open_request(qr))
    assert (await country.verdict(id)).outcome.value == "accepted"
    assert again.copies_left(again.card(SD_JWT)) == 9
    assert citizen.resident.name.encode() not in path.read_bytes()


async def test_erasing_leaves_the_history_and_no_key_of_a_card(country: Any) -> None:
    citizen = await country.carded()
    qr, _ = await country.asks()
    await citizen.wallet.present(await citizen.wallet.open_request(qr))
    await citizen.wallet.give_up()
    assert citizen.wallet.cards == ()
    assert len(citizen.wallet.history) == 1
    raw = citizen.store.load()
    assert raw is not None
    state = unpack(raw)
    assert (state.orders, state.cards) == ({}, {})
    assert set(state.keys) <= {state.device_key, *(client.key for client in state.clients.values())}


async def test_no_resident_number_is_ever_stored_outside_the_card(country: Any) -> None:
    citizen = await country.citizen()
    raw = citizen.store.load()
    assert raw is not None
    assert citizen.resident.number.written.encode() not in raw
    assert citizen.resident.phones[0].encode() not in raw
