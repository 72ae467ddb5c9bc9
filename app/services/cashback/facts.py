"""What is known of a customer, and what they were given before: what evaluations ask beside the occasion."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.functions import Sum

from app.db import READER
from app.domain.access import Capability, Principal
from app.domain.cashback.award import AwardSource
from app.domain.cashback.earning import usage_by_days
from app.domain.cashback.occasion import CustomerFacts, Usage
from app.domain.errors import NotFound
from app.domain.order import OrderStatus
from app.models.cashback_award import CashbackAward, CashbackTotal
from app.models.customer import Customer

_OF_CUSTOMER = "o.wallet_id IN (SELECT w.id FROM wallets w WHERE w.customer_id = $1)"
_COMPLETED = f"{_OF_CUSTOMER} AND o.status = '{OrderStatus.COMPLETED}'"
_ORDERS = (
    f"SELECT count(*) AS orders, coalesce(sum(o.total_minor), 0) AS spent FROM orders o WHERE {_COMPLETED}"  # noqa: S608
)
_REFUNDED = (
    "SELECT coalesce(sum(r.amount_minor), 0) AS refunded FROM refunds r JOIN orders o ON o.id = r.order_id "  # noqa: S608
    f"WHERE {_COMPLETED} AND r.withdrawn_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class CustomerRef:
    """Names a customer by their id, or by the store's own id."""

    customer_id: UUID | None = None
    external_id: str | None = None


async def customer_for(principal: Principal, named: CustomerRef | None) -> Customer | None:
    """Return whom a caller asks for: oneself unless somebody is named, nobody for visitors and staff.

    Raises `NotFound` also for a customer of whom the caller may know nothing.
    """
    if named is None:
        own = principal.customer_external_id
        return None if own is None else await Customer.get_or_none(external_id=own)
    if named.customer_id is not None:
        found = await Customer.get_or_none(id=named.customer_id)
    else:
        found = await Customer.get_or_none(external_id=named.external_id)
    if found is None or not (principal.may(Capability.CASHBACK_READ) or principal.owns(found.external_id)):
        raise NotFound("customer", field=("customer",))
    return found


async def facts_of(customer: Customer) -> CustomerFacts:
    """Return what is known of a customer now."""
    orders, refunds = await _sums(_ORDERS, customer.id), await _sums(_REFUNDED, customer.id)
    return CustomerFacts(
        id=customer.external_id,
        roles=frozenset(customer.roles),
        segments=frozenset(customer.segments),
        signed_up_at=customer.signed_up_at or customer.created_at,
        birthday=customer.birthday,
        orders_completed=orders["orders"],
        lifetime_spend_minor=max(0, orders["spent"] - refunds["refunded"]),
    )


async def usage_of(customer: Customer | None) -> Usage:
    """Return what all rules have given, in all and to this customer: what the ledger works by, read without its locks."""
    totals = {row.given_by: row.given_minor for row in await CashbackTotal.all()}
    days: dict[UUID, dict[date, int]] = {}
    if customer is not None:
        sums = CashbackAward.filter(
            source=str(AwardSource.CASHBACK), wallet__customer_id=customer.id
        ).annotate(given=Sum("amount_minor"), taken=Sum("clawed_minor"))
        for row in await sums.group_by("given_by", "occurred_on").values(
            "given_by", "occurred_on", "given", "taken"
        ):
            day = date.fromisoformat(row["occurred_on"])
            days.setdefault(row["given_by"], {})[day] = int(row["given"]) - int(row["taken"])
    return Usage({rule_id: usage_by_days(days.get(rule_id, {}), total) for rule_id, total in totals.items()})


async def _sums(sql: str, customer_id: UUID) -> dict[str, int]:
    connection = get_connection(READER)
    sqlite = connection.capabilities.dialect == "sqlite"
    values = [str(customer_id) if sqlite else customer_id]
    _, rows = await connection.execute_query(sql.replace("$", "?") if sqlite else sql, values)
    return {name: int(value) for name, value in dict(rows[0]).items()}
