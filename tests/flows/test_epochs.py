"""From a report of loss to the public log: what all lists said, epoch by epoch."""

from __future__ import annotations

import hashlib

import httpx

from mapae.formats.status import SUSPENDED, VALID
from mapae.trust.epoch import Delta, Epoch, applied
from town import BASE, Town


def test_every_epoch_of_the_lists_stands_in_the_log_and_a_lock_is_in_the_next(town: Town) -> None:
    """Anybody can fetch an epoch, find its root in the anchors log, and then fetch only what changed."""

    def get(path: str) -> httpx.Response:
        return town.call(town.house.foundation.http.get, BASE + path)

    def said(epoch: Epoch) -> set[int]:
        rows = town.call(town.house.foundation.databases["issuer"].all, "SELECT list_id, idx FROM ticket")
        lists = {one.uri: one.list() for one in epoch.lists}
        return {lists[epoch.prefix + row["list_id"]].read(row["idx"]) for row in rows}

    jisoo = town.citizen()
    jisoo.obtain()
    town.call(town.house.epochs.cut)
    first = Epoch.parse(get("/issuer/status-epoch").content)
    jisoo.report_phone_lost()
    town.call(town.house.epochs.cut)
    town.settle()
    second = Epoch.parse(get("/issuer/status-epoch").content)
    assert (said(first), said(second), second.seq) == ({VALID}, {SUSPENDED}, first.seq + 1)
    party = hashlib.sha256(first.publisher.encode()).digest()
    anchored = town.call(town.house.ledger.state).anchors[party, second.stream]
    assert (anchored.seq, anchored.root, anchored.next_update) == (second.seq, second.root, second.next_update)
    step = Delta.parse(get(f"/issuer/status-epoch/{second.seq}/since/{first.seq}").content)
    assert applied(first, step).root == anchored.root
