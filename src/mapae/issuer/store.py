"""Orders, offers, wallet sessions and what was spent, in SQL. The other half of the tables is in ticket_store.py.

Promises: each function is one or two statements inside the caller's transaction; a state changes by compare-and-swap
and the count says whether it did. Trusts: its caller to hold `tx.serial` of the person where two rows must agree.
Keeps: tables issue_order, issue_offer, offer_event, wallet_session, spent, follower. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from mapae.db import Db, Row, Tx
from mapae.issuer.evidence import Need
from mapae.issuer.order import Bound, Card, OfferEvent, Order, Session, Wallets, Way, What

Reader = Db | Tx

EVENTS_KEPT = 60  # of one case from whoever has the QR in hand; what we do ourselves has as much room again
_BY_STRANGERS = {
    What.SCANNED, What.REFUSED_SECOND_SCAN, What.REFUSED_EXPIRED, What.REFUSED_OTHER_WALLET, What.REFUSED_TX_CODE,
}  # fmt: skip


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# --- orders -----------------------------------------------------------------------------------------------------------

_CARD = (
    "o.id, o.case_id, o.person, o.kind, o.document_number, o.issued_on, o.expires_on, o.state AS order_state, o.device,"
    " o.wallets, o.waits_until, o.second_look, o.needs, o.about"
)
_SELECT_CARD = f"SELECT {_CARD} FROM issue_order o"  # noqa: S608 our own words


def _card(row: Row) -> Card:
    return Card(
        row["id"], row["case_id"], row["person"], row["kind"], row["document_number"],
        date.fromisoformat(row["issued_on"]), date.fromisoformat(row["expires_on"]), row["order_state"], row["device"],
        Wallets(row["wallets"]), row["waits_until"], row["second_look"], _needs(row["needs"]),
        row["about"],
    )  # fmt: skip


def _needs(raw: str) -> tuple[Need, ...]:
    return tuple(Need(name) for name in raw.split(",") if name)


async def card_of_case(reader: Reader, case_id: str) -> Card | None:
    row = await reader.one(_SELECT_CARD + " WHERE o.case_id = $1", case_id)
    return None if row is None else _card(row)


async def card(reader: Reader, order_id: str) -> Card | None:
    row = await reader.one(_SELECT_CARD + " WHERE o.id = $1", order_id)
    return None if row is None else _card(row)


async def cards_of(reader: Reader, person: str) -> list[Card]:
    rows = await reader.all(_SELECT_CARD + " WHERE o.person = $1 ORDER BY o.opened, o.id", person)
    return [_card(row) for row in rows]


async def cards_on(reader: Reader, device: str) -> list[Card]:
    rows = await reader.all(_SELECT_CARD + " WHERE o.device = $1 ORDER BY o.id", device)
    return [_card(row) for row in rows]


async def add_order(tx: Tx, order: Order, card: Card, now: datetime) -> bool:
    return await tx.run(
        "INSERT INTO issue_order (id, case_id, person, kind, office, officer, document_number, issued_on, expires_on,"
        " device, state, opened, changed, wallets, waits_until, second_look, needs, about)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, 'open', $10, $10, $11, $12, $13, $14, $15)"
        " ON CONFLICT DO NOTHING",
        card.id, order.case_id, order.person, order.kind, order.office, order.officer, card.document_number,
        card.issued_on.isoformat(), card.expires_on.isoformat(), seconds(now), card.wallets.value, card.waits_until,
        card.second_look, ",".join(card.needs), card.about,
    ) == 1  # fmt: skip


async def redate_order(tx: Tx, order_id: str, fresh: Card, now: datetime) -> bool:
    """A case that was opened yesterday and is offered again today, on the terms of `fresh`."""
    return await tx.run(
        "UPDATE issue_order SET issued_on = $2, expires_on = $3, changed = $4, wallets = $5, waits_until = $6,"
        " second_look = $7, needs = $8 WHERE id = $1 AND state = 'open'",
        order_id, fresh.issued_on.isoformat(), fresh.expires_on.isoformat(), seconds(now), fresh.wallets.value,
        fresh.waits_until, fresh.second_look, ",".join(fresh.needs),
    ) == 1  # fmt: skip


async def set_needs(tx: Tx, case_id: str, needs: Sequence[Need]) -> bool:
    """What still stands between the order of this case and its first signature; after that, nothing does."""
    return await tx.run(
        "UPDATE issue_order SET needs = $2 WHERE case_id = $1 AND state = 'open'", case_id, ",".join(needs)
    ) == 1  # fmt: skip


async def still_needs(tx: Tx, order_id: str) -> bool:
    """Asked behind `hold_still`, so that nobody changes it before the caller's transaction is through."""
    row = await tx.one(
        "SELECT 1 AS found FROM issue_order WHERE id = $1 AND state = 'open' AND needs <> ''", order_id
    )  # fmt: skip
    return row is not None


async def stop_waiting(tx: Tx, order_id: str, now: datetime) -> bool:
    """No new wallet may fetch this order. False when it has been issued or ended already."""
    return await tx.run(
        "UPDATE issue_order SET waits_until = 0, changed = $2 WHERE id = $1 AND state = 'open'", order_id, seconds(now)
    ) == 1  # fmt: skip


async def hold_still(tx: Tx, order_id: str, now: datetime) -> bool:
    """Take the order's row while it may still be issued; a lock or an end waits for us, or we lose to it."""
    return (
        await tx.run(
            "UPDATE issue_order SET changed = $2 WHERE id = $1 AND state IN ('open', 'held')", order_id, seconds(now)
        )
        == 1
    )


async def set_order(tx: Tx, order_id: str, before: tuple[str, ...], state: str, now: datetime) -> bool:
    """`before`: the one or two states it may be in."""
    return await tx.run(
        "UPDATE issue_order SET state = $2, changed = $3 WHERE id = $1 AND state IN ($4, $5)",
        order_id, state, seconds(now), before[0], before[-1],
    ) == 1  # fmt: skip


async def set_device(tx: Tx, order_id: str, device: str) -> None:
    await tx.run("UPDATE issue_order SET device = $2 WHERE id = $1", order_id, device)


# --- offers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfferRow:
    id: str
    state: str
    expires: int
    redeemed_by: str | None
    card: Card
    way: Way
    tx_hash: bytes | None
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class NewOffer:
    id: str
    code_hash: bytes
    way: Way
    expires: datetime
    tx_hash: bytes | None = None
    tx_tries: int = 0
    bound: Bound | None = None


async def add_offer(tx: Tx, order_id: str, new: NewOffer, now: datetime) -> None:
    dpop_jkt, client_jkt = (new.bound.dpop_jkt, new.bound.client_jkt) if new.bound is not None else ("", "")
    await tx.run(
        "INSERT INTO issue_offer (id, order_id, code_hash, state, opened, expires, redeemed_by, way, tx_hash, tx_tries,"
        " dpop_jkt, client_jkt) VALUES ($1, $2, $3, 'open', $4, $5, NULL, $6, $7, $8, $9, $10)",
        new.id, order_id, new.code_hash, seconds(now), seconds(new.expires), new.way.value, new.tx_hash, new.tx_tries,
        dpop_jkt, client_jkt,
    )  # fmt: skip


_SELECT_OFFER = (
    "SELECT f.id AS offer_id, f.state, f.expires, f.redeemed_by, f.way, f.tx_hash, f.dpop_jkt, f.client_jkt,"  # noqa: S608 our own words
    f" {_CARD}"
    " FROM issue_offer f JOIN issue_order o ON o.id = f.order_id"
)


def _offer(row: Row | None) -> OfferRow | None:
    if row is None:
        return None
    return OfferRow(
        row["offer_id"], row["state"], row["expires"], row["redeemed_by"], _card(row), Way(row["way"]),
        None if row["tx_hash"] is None else bytes(row["tx_hash"]),
        Bound(row["dpop_jkt"], row["client_jkt"]) if row["dpop_jkt"] else None,
    )  # fmt: skip


async def offer(reader: Reader, id: str) -> OfferRow | None:
    return _offer(await reader.one(_SELECT_OFFER + " WHERE f.id = $1", id))


async def offer_by_code(reader: Reader, code_hash: bytes) -> OfferRow | None:
    return _offer(await reader.one(_SELECT_OFFER + " WHERE f.code_hash = $1", code_hash))


async def redeem_offer(tx: Tx, id: str, jkt: str, now: datetime) -> bool:
    return await tx.run(
        "UPDATE issue_offer SET state = 'redeemed', redeemed_by = $2 WHERE id = $1 AND state = 'open' AND expires > $3",
        id, jkt, seconds(now),
    ) == 1  # fmt: skip


async def waits_for_others(tx: Tx, order_id: str, bound: Bound) -> bool:
    """Whether the order was opened for the keys of one wallet, and these are not they, whatever the grant."""
    row = await tx.one(
        "SELECT 1 AS found FROM issue_offer WHERE order_id = $1 AND state <> 'cancelled' AND dpop_jkt <> ''"
        " AND (dpop_jkt <> $2 OR client_jkt <> $3) LIMIT 1",
        order_id, bound.dpop_jkt, bound.client_jkt,
    )  # fmt: skip
    return row is not None


async def use_up_offers(tx: Tx, order_id: str, jkt: str) -> None:
    """The order is fetched by another way: nobody else redeems what was offered for it."""
    await tx.run(
        "UPDATE issue_offer SET state = 'redeemed', redeemed_by = $2 WHERE order_id = $1 AND state = 'open'",
        order_id, jkt,
    )  # fmt: skip


async def still_waits(tx: Tx, order_id: str) -> bool:
    """Not withdrawn by an officer meanwhile; what is held was never withdrawn."""
    row = await tx.one(
        "SELECT 1 AS found FROM issue_order WHERE id = $1 AND (state = 'held' OR waits_until > 0)", order_id
    )
    return row is not None


async def take_tx_try(tx: Tx, id: str) -> int | None:
    """Taken before the transaction code is looked at, so that nobody guesses more often by guessing at once. How many
    are left; None when none was."""
    row = await tx.one(
        "UPDATE issue_offer SET tx_tries = tx_tries - 1 WHERE id = $1 AND tx_tries > 0 AND state <> 'cancelled'"
        " RETURNING tx_tries",
        id,
    )
    return None if row is None else int(row["tx_tries"])


async def cancel_offer(tx: Tx, id: str) -> None:
    await tx.run("UPDATE issue_offer SET state = 'cancelled' WHERE id = $1 AND state = 'open'", id)


async def cancel_offers(tx: Tx, order_id: str) -> int:
    """Every offer of this order, used or not; sessions that came from one are the caller's to end."""
    return await tx.run(
        "UPDATE issue_offer SET state = 'cancelled' WHERE order_id = $1 AND state IN ('open', 'redeemed')", order_id
    )


async def tell(tx: Tx, case_id: str, what: What, detail: str, now: datetime) -> None:
    """One line for the officer's screen."""
    await tx.serial(f"case:{case_id}")
    last = await tx.one("SELECT COUNT(*) AS n, MAX(place) AS place FROM offer_event WHERE case_id = $1", case_id)
    room = EVENTS_KEPT if what in _BY_STRANGERS else 2 * EVENTS_KEPT
    if last is None or last["n"] >= room:
        return
    await tx.run(
        "INSERT INTO offer_event (case_id, place, at, what, detail) VALUES ($1, $2, $3, $4, $5)",
        case_id, (last["place"] or 0) + 1, seconds(now), what.value, detail,
    )  # fmt: skip


async def told(reader: Reader, case_id: str) -> list[OfferEvent]:
    rows = await reader.all("SELECT at, what, detail FROM offer_event WHERE case_id = $1 ORDER BY place", case_id)
    return [OfferEvent(moment(row["at"]), row["what"], row["detail"]) for row in rows]


async def was_told(reader: Reader, case_id: str, what: What, detail: str) -> bool:
    row = await reader.one(
        "SELECT 1 AS found FROM offer_event WHERE case_id = $1 AND what = $2 AND detail = $3 LIMIT 1",
        case_id, what.value, detail,
    )  # fmt: skip
    return row is not None


# --- sessions and tokens ----------------------------------------------------------------------------------------------

_SELECT_SESSION = (
    f"SELECT s.id AS session_id, s.state AS session_state, s.device AS session_device, {_CARD},"  # noqa: S608 our own words
    " s.offer_id, s.dpop_jkt, s.client_jkt, s.client_id, s.configurations, s.identified"
    " FROM wallet_session s JOIN issue_order o ON o.id = s.order_id"
)


def _session(row: Row | None) -> Session | None:
    if row is None:
        return None
    return Session(
        row["session_id"], row["offer_id"], row["dpop_jkt"], row["client_jkt"], row["client_id"],
        row["session_device"], row["session_state"], _card(row), tuple(row["configurations"].split()),
        bool(row["identified"]),
    )  # fmt: skip


async def session_of_offer(reader: Reader, offer_id: str) -> Session | None:
    return _session(await reader.one(_SELECT_SESSION + " WHERE s.offer_id = $1", offer_id))


async def wallet_of_case(reader: Reader, case_id: str) -> str:
    """The key of the one wallet that may fetch this case's order; empty while nobody has come for it."""
    row = await reader.one(
        "SELECT s.client_jkt FROM wallet_session s JOIN issue_order o ON o.id = s.order_id"
        " WHERE o.case_id = $1 AND s.state = 'live' ORDER BY s.opened DESC LIMIT 1",
        case_id,
    )
    return "" if row is None else str(row["client_jkt"])


async def session_by_access(reader: Reader, access_hash: bytes, now: datetime) -> Session | None:
    return _session(
        await reader.one(
            _SELECT_SESSION + " WHERE s.access_hash = $1 AND s.access_expires > $2", access_hash, seconds(now)
        )
    )


async def session_by_refresh(reader: Reader, refresh_hash: bytes, now: datetime) -> Session | None:
    return _session(
        await reader.one(
            _SELECT_SESSION + " WHERE s.refresh_hash = $1 AND s.expires > $2", refresh_hash, seconds(now)
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenHashes:
    access: bytes
    access_expires: datetime
    refresh: bytes


async def add_session(tx: Tx, session: Session, tokens: TokenHashes, expires: datetime, now: datetime) -> None:
    await tx.run(
        "INSERT INTO wallet_session (id, order_id, offer_id, dpop_jkt, client_jkt, client_id, device, state,"
        " access_hash, access_expires, refresh_hash, expires, opened, configurations, identified)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 'live', $8, $9, $10, $11, $12, $13, $14)",
        session.id, session.card.id, session.offer_id, session.dpop_jkt, session.client_jkt, session.client_id,
        session.device, tokens.access, seconds(tokens.access_expires), tokens.refresh, seconds(expires), seconds(now),
        " ".join(session.configurations), int(session.identified),
    )  # fmt: skip


async def replace_tokens(tx: Tx, session_id: str, tokens: TokenHashes, asked: Session) -> bool:
    """The answer with the last tokens was lost: those are dead, these live, for what was asked this time."""
    return await tx.run(
        "UPDATE wallet_session SET access_hash = $2, access_expires = $3, refresh_hash = $4,"
        " configurations = $5, identified = $6 WHERE id = $1 AND state = 'live'",
        session_id, tokens.access, seconds(tokens.access_expires), tokens.refresh, " ".join(asked.configurations),
        int(asked.identified),
    ) == 1  # fmt: skip


async def renew_access(tx: Tx, session_id: str, refresh_hash: bytes, tokens: TokenHashes) -> bool:
    """A new access token; the one before is dead."""
    return await tx.run(
        "UPDATE wallet_session SET access_hash = $3, access_expires = $4"
        " WHERE id = $1 AND state = 'live' AND refresh_hash = $2",
        session_id, refresh_hash, tokens.access, seconds(tokens.access_expires),
    ) == 1  # fmt: skip


async def end_session_of(tx: Tx, source: str) -> int:
    """The session that came from this offer or authorization."""
    return await tx.run(
        "UPDATE wallet_session SET state = 'ended', access_hash = NULL, access_expires = 0"
        " WHERE offer_id = $1 AND state IN ('live', 'suspended')", source,
    )  # fmt: skip


async def session_lives(tx: Tx, session_id: str) -> bool:
    """Take the session's row while it lives; whoever wants to end it waits for us, or we lose to it."""
    return await tx.run("UPDATE wallet_session SET state = 'live' WHERE id = $1 AND state = 'live'", session_id) == 1


async def has_session_on(reader: Reader, device: str) -> bool:
    row = await reader.one(
        "SELECT 1 AS found FROM wallet_session WHERE device = $1 AND state IN ('live', 'suspended') LIMIT 1", device
    )
    return row is not None


async def end_sessions_on(tx: Tx, device: str) -> int:
    return await tx.run(
        "UPDATE wallet_session SET state = 'ended', access_hash = NULL, access_expires = 0"
        " WHERE device = $1 AND state IN ('live', 'suspended')", device,
    )  # fmt: skip


async def set_sessions(tx: Tx, order_id: str, before: tuple[str, ...], state: str) -> int:
    """All wallets of an order at once; whatever the new state, their access tokens are dead."""
    return await tx.run(
        "UPDATE wallet_session SET state = $2, access_hash = NULL, access_expires = 0"
        " WHERE order_id = $1 AND state IN ($3, $4)",
        order_id, state, before[0], before[-1],
    )  # fmt: skip


# --- things used once -------------------------------------------------------------------------------------------------


async def spend(tx: Tx, kind: str, hash: bytes, expires: datetime) -> bool:
    """False when it was spent before."""
    return await tx.run(
        "INSERT INTO spent (kind, hash, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        kind, hash, seconds(expires),
    ) == 1  # fmt: skip


async def forget(tx: Tx, now: datetime, offers_before: datetime) -> int:
    gone = await tx.run("DELETE FROM spent WHERE expires < $1", seconds(now))
    gone += await tx.run("DELETE FROM issue_offer WHERE expires < $1 AND state <> 'redeemed'", seconds(offers_before))
    return gone


# --- following the wallet provider ------------------------------------------------------------------------------------


async def seen_until(reader: Reader, name: str) -> int:
    row = await reader.one("SELECT seen FROM follower WHERE name = $1", name)
    return 0 if row is None else int(row["seen"])


async def saw(tx: Tx, name: str, until: int) -> None:
    await tx.run(
        "INSERT INTO follower (name, seen) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seen = $2", name, until
    )
