"""What is known of a customer, and what they were given before: what evaluations ask beside the occasion."""

from uuid import UUID

from tortoise.connection import get_connection

from app.db import READER
from app.domain.cashback.occasion import CustomerFacts, Usage
from app.domain.order import OrderStatus
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


async def find(*, customer_id: UUID | None = None, external_id: str | None = None) -> Customer | None:
    """Return a customer by their id, or by the store's own id."""
    if customer_id is not None:
        return await Customer.get_or_none(id=customer_id)
    return await Customer.get_or_none(external_id=external_id)


async def facts_of(customer: Customer) -> CustomerFacts:
    """Return what is known of a customer now. Roles, segments and birthdays are not kept yet."""
    orders, refunds = await _sums(_ORDERS, customer.id), await _sums(_REFUNDED, customer.id)
    return CustomerFacts(
        id=customer.external_id,
        signed_up_at=customer.created_at,
        orders_completed=orders["orders"],
        lifetime_spend_minor=max(0, orders["spent"] - refunds["refunded"]),
    )


async def usage_of(customer: Customer | None) -> Usage:
    """Return what all rules have given, in all and to this customer. Nothing is given before awards are kept."""
    return Usage()


async def _sums(sql: str, customer_id: UUID) -> dict[str, int]:
    connection = get_connection(READER)
    sqlite = connection.capabilities.dialect == "sqlite"
    values = [str(customer_id) if sqlite else customer_id]
    _, rows = await connection.execute_query(sql.replace("$", "?") if sqlite else sql, values)
    return {name: int(value) for name, value in dict(rows[0]).items()}
