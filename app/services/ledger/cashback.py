"""What cashback needs beside its wallet: the rules in force, what they have given, and the customer's history."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

import structlog

from app.domain.cashback.award import Award
from app.domain.cashback.earning import CustomerHistory, Earning, total_id
from app.domain.cashback.evaluation import RuleBook
from app.domain.cashback.expression import Expressions
from app.domain.cashback.posting import counted
from app.domain.cashback.rule import CashbackRule, TriggerKind
from app.domain.errors import FieldInvalid
from app.domain.ledger import LoadedRows
from app.domain.order import Order
from app.domain.refund import Refund
from app.services.ledger import records
from app.services.ledger.store import Session

log = structlog.get_logger("coffer.cashback")

_RULES = "SELECT data FROM cashback_rules WHERE status IN {ids} ORDER BY id"

_ORDERS = """
SELECT wallet_id, COUNT(*) AS orders, SUM(total_minor) AS spend_minor FROM orders
WHERE wallet_id IN {ids} AND status = 'COMPLETED' AND (deleted_at IS NULL OR modified_at > deleted_at)
GROUP BY wallet_id
"""

_REFUNDS = """
SELECT o.wallet_id AS wallet_id, SUM(r.amount_minor) AS refunded_minor FROM orders o
JOIN refunds r ON r.order_id = o.id AND r.withdrawn_at IS NULL
WHERE o.wallet_id IN {ids} AND o.status = 'COMPLETED' AND (o.deleted_at IS NULL OR o.modified_at > o.deleted_at)
GROUP BY o.wallet_id
"""

_GIVEN = """
SELECT wallet_id, given_by, occurred_on, SUM(amount_minor - clawed_minor) AS given_minor FROM cashback_awards
WHERE wallet_id IN {ids} AND source = 'CASHBACK'
GROUP BY wallet_id, given_by, occurred_on
"""

_EXPIRED = """
SELECT a.lot_id AS lot_id, t.wallet_id AS wallet_id, SUM(-a.amount_minor) AS expired_minor FROM allocations a
JOIN transactions t ON t.id = a.transaction_id AND t.kind = 'EXPIRY'
WHERE a.lot_id IN {ids}
GROUP BY a.lot_id, t.wallet_id
"""


class KnownRules:
    """The rules in force, kept from batch to batch while none of them changes."""

    def __init__(self, expressions: Expressions | None = None) -> None:
        self._expressions = expressions
        self._key: tuple[tuple[int, datetime | None], str] | None = None
        self._book: RuleBook | None = None

    async def at(self, session: Session, revision: tuple[int, datetime | None], time_zone: str) -> RuleBook:
        """Return the rules in force, by the store's clocks; `revision` is the newest version of any rule, and when it came."""
        key = (revision, time_zone)
        if self._book is None or key != self._key:
            found = await session.select(_RULES, ["ACTIVE"], "text")
            rules = [CashbackRule.from_data(records.read_json(row["data"])) for row in found]
            self._book, self._key = self._made(rules, time_zone), key
        return self._book

    def _made(self, rules: Sequence[CashbackRule], time_zone: str) -> RuleBook:
        try:
            return RuleBook(rules, time_zone=time_zone, expressions=self._expressions)
        except FieldInvalid:
            usable = [rule for rule in rules if self._is_usable(rule, time_zone)]
            return RuleBook(usable, time_zone=time_zone, expressions=self._expressions)

    def _is_usable(self, rule: CashbackRule, time_zone: str) -> bool:
        """Tell whether a rule can be made ready: the money of everybody else must not wait for one that can't."""
        try:
            RuleBook([rule], time_zone=time_zone, expressions=self._expressions)
        except FieldInvalid as error:
            log.warning("cashback rule left out", rule=str(rule.id), version=rule.version, why=str(error))
            return False
        return True


async def histories(
    session: Session, wallet_ids: Collection[UUID], loaded: LoadedRows
) -> dict[UUID, CustomerHistory]:
    """Return what the completed orders of wallets come to, without those that the batch itself names."""
    found: dict[UUID, CustomerHistory] = dict.fromkeys(wallet_ids, CustomerHistory())
    for row in await session.select(_ORDERS, wallet_ids):
        wallet_id = records.read_uuid(row["wallet_id"])
        found[wallet_id] = CustomerHistory(int(row["orders"]), int(row["spend_minor"]))
    for row in await session.select(_REFUNDS, wallet_ids):
        wallet_id = records.read_uuid(row["wallet_id"])
        found[wallet_id] = found[wallet_id].plus(0, -int(row["refunded_minor"]))
    for order in [row for row in loaded.values() if isinstance(row, Order)]:
        if order.wallet_id in found:
            refunds = [row for row in loaded.of_order(order.id) if isinstance(row, Refund)]
            orders, spend_minor = counted(order, refunds)
            found[order.wallet_id] = found[order.wallet_id].plus(-orders, -spend_minor)
    return found


async def given(session: Session, wallet_ids: Collection[UUID]) -> dict[UUID, dict[UUID, dict[date, int]]]:
    """Return what each rule has given to the customers of wallets, by wallet, rule and day, in minor units."""
    found: dict[UUID, dict[UUID, dict[date, int]]] = {}
    for row in await session.select(_GIVEN, wallet_ids):
        rules = found.setdefault(records.read_uuid(row["wallet_id"]), {})
        days = rules.setdefault(records.read_uuid(row["given_by"]), {})
        days[date.fromisoformat(row["occurred_on"])] = int(row["given_minor"])
    return found


async def expired(session: Session, awards: Iterable[Award]) -> dict[UUID, dict[UUID, int]]:
    """Return what of the awards' lots was posted as breakage, by wallet and lot, in minor units."""
    lots = [lot_id for award in awards if award.expires_at is not None for lot_id in award.lot_ids]
    found: dict[UUID, dict[UUID, int]] = {}
    if lots:
        for row in await session.select(_EXPIRED, lots):
            by_lot = found.setdefault(records.read_uuid(row["wallet_id"]), {})
            by_lot[records.read_uuid(row["lot_id"])] = int(row["expired_minor"])
    return found


async def earnings(
    session: Session, book: RuleBook, wallet_ids: Collection[UUID], loaded: LoadedRows
) -> dict[UUID, Earning]:
    """Return what cashback is worked out from, for each wallet; what no rule asks for is not read."""
    past = await histories(session, wallet_ids, loaded) if wallet_ids and book.asks_history else {}
    so_far = await given(session, wallet_ids) if wallet_ids and book.asks_usage else {}
    return {
        wallet_id: Earning(
            book, history=past.get(wallet_id, CustomerHistory()), given=so_far.get(wallet_id, {})
        )
        for wallet_id in wallet_ids
    }


def totals_of(book: RuleBook | None, triggers: Iterable[TriggerKind], loaded: LoadedRows) -> set[UUID]:
    """Return the ids of the totals that awards may change: of the rules that may fire, and of awards that are known."""
    rules = {row.rule_id for row in loaded.values() if isinstance(row, Award)}
    if book is not None:
        for trigger in triggers:
            rules |= {ready.rule.id for ready in book.waiting_for(trigger)}
    return {total_id(rule_id) for rule_id in rules}
