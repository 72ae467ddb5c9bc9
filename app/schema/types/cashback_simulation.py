"""What a rule would have cost."""

from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.cashback.simulation import Outlier, Simulation, Sums
from app.domain.cashback.summary import percent_text, summary
from app.schema.types.cashback_enums import CheckName, Decision
from app.schema.types.enums import Capability
from app.schema.types.money import Money, money
from app.schema.types.order import Order
from app.schema.types.scalars import BigInt, DateTime, Decimal
from app.services.cashback.simulation import Progress


@strawberry.type(description="One of the past orders that would have earned the most.")
class CashbackOutlier:
    """An outlier."""

    order_id: strawberry.Private[UUID]
    number: str = strawberry.field(description="What people call the order.")
    placed_at: DateTime = strawberry.field(description="When it was placed.")
    amount: Money = strawberry.field(description="What it would have earned.")
    order_total: Money = strawberry.field(description="What it cost.")
    sentences: list[str] = strawberry.field(description="Why it is so much.")

    @strawberry.field(description="The order; null for those who may not see it.")
    async def order(self, info: AppInfo) -> Order | None:
        """Load the order."""
        if not info.context.principal.may(Capability.ORDERS_READ):
            return None
        row = await info.context.loaders.orders.load(self.order_id)
        return None if row is None else Order(model=row)


@strawberry.type(description="What the orders of one month came to.")
class CashbackSimulationMonth:
    """A month."""

    month: str = strawberry.field(description="The month in the store's time zone, such as 2026-03.")
    orders: BigInt = strawberry.field(description="Orders that were placed in it.")
    orders_earning: BigInt = strawberry.field(description="Those of them that earn something.")
    gross: Money = strawberry.field(description="What they earn.")
    clawed_back: Money = strawberry.field(description="What their refunds take back of it.")
    net: Money = strawberry.field(description="What it costs after all.")
    revenue: Money = strawberry.field(description="What all the orders cost.")


@strawberry.type(description="How many orders a decision fell for.")
class CashbackDecisionCount:
    """A count of decisions."""

    decision: Decision = strawberry.field(description="What became of the rule.")
    orders: BigInt = strawberry.field(description="For how many orders.")


@strawberry.type(description="How many orders failed a condition; an order may fail several.")
class CashbackConditionCount:
    """A count of conditions."""

    condition: CheckName = strawberry.field(description="Which condition.")
    orders: BigInt = strawberry.field(description="How many orders did not meet it.")


@strawberry.type(
    description="What a rule would have given for past orders, if it had been in force alone: with its caps running along "
    "(without what was taken back later), and facts of customers as they were then. Only completed orders in the store's "
    "currency count; those that were refunded whole since count as completed before."
)
class CashbackSimulation:
    """A simulation's result."""

    sentence: str = strawberry.field(description="The rule that was tried, in plain words.")
    orders: BigInt = strawberry.field(description="Orders that were looked at.")
    orders_earning: BigInt = strawberry.field(description="Those that earn something.")
    customers_earning: BigInt = strawberry.field(description="Customers who earn something.")
    gross: Money = strawberry.field(description="What is given in all.")
    clawed_back: Money = strawberry.field(description="What the orders' refunds take back of it.")
    net: Money = strawberry.field(description="What it costs after all.")
    average: Money = strawberry.field(description="What an order that earns something earns on average.")
    revenue: Money = strawberry.field(description="What all orders that were looked at cost.")
    share_of_revenue_percent: Decimal = strawberry.field(
        description="What it costs after all, in percent of the revenue."
    )
    budget_spent_at: DateTime | None = strawberry.field(
        description="When the order was placed that takes the last of the budget; null when some is left, or none is set."
    )
    outliers: list[CashbackOutlier] = strawberry.field(description="The ten orders that earn the most.")
    months: list[CashbackSimulationMonth] = strawberry.field(description="The same by month.")
    decisions: list[CashbackDecisionCount] = strawberry.field(
        description="What became of the rule, how often."
    )
    failed_conditions: list[CashbackConditionCount] = strawberry.field(
        description="Which conditions were not met, how often."
    )


@strawberry.type(description="How far a simulation has come; the last one is done and has the result.")
class CashbackSimulationProgress:
    """Progress."""

    done: bool = strawberry.field(description="Whether it is the last one.")
    orders_done: BigInt = strawberry.field(description="Orders that were looked at so far.")
    orders_total: BigInt = strawberry.field(description="Orders that there are.")
    result: CashbackSimulation | None = strawberry.field(description="The result, once it is done.")


def progress_type(progress: Progress) -> CashbackSimulationProgress:
    """Return how far a simulation is, as GraphQL shows it."""
    return CashbackSimulationProgress(
        done=progress.done,
        orders_done=BigInt(progress.orders_done),
        orders_total=BigInt(progress.orders_total),
        result=simulation_type(progress.simulation) if progress.done else None,
    )


def simulation_type(found: Simulation) -> CashbackSimulation:
    """Return a result as GraphQL shows it."""
    code, sums = found.currency, found.all
    return CashbackSimulation(
        sentence=summary(found.rule),
        orders=BigInt(sums.orders),
        orders_earning=BigInt(sums.orders_earning),
        customers_earning=BigInt(found.customers_earning),
        gross=money(sums.gross_minor, code),
        clawed_back=money(sums.clawed_back_minor, code),
        net=money(sums.net_minor, code),
        average=money(found.average_minor, code),
        revenue=money(sums.revenue_minor, code),
        share_of_revenue_percent=Decimal(percent_text(found.share_of_revenue_bp)),
        budget_spent_at=None if found.budget_spent_at is None else DateTime(found.budget_spent_at),
        outliers=[_outlier(one, code) for one in found.outliers],
        months=[_month(month, sums, code) for month, sums in sorted(found.months.items())],
        decisions=[
            CashbackDecisionCount(decision=decision, orders=BigInt(number))
            for decision, number in found.decisions.most_common()
        ],
        failed_conditions=[
            CashbackConditionCount(condition=name, orders=BigInt(number))
            for name, number in found.failed.most_common()
        ],
    )


def _outlier(one: Outlier, code: str) -> CashbackOutlier:
    return CashbackOutlier(
        order_id=one.order_id,
        number=one.number,
        placed_at=DateTime(one.placed_at),
        amount=money(one.amount_minor, code),
        order_total=money(one.total_minor, code),
        sentences=list(one.sentences),
    )


def _month(month: str, sums: Sums, code: str) -> CashbackSimulationMonth:
    return CashbackSimulationMonth(
        month=month,
        orders=BigInt(sums.orders),
        orders_earning=BigInt(sums.orders_earning),
        gross=money(sums.gross_minor, code),
        clawed_back=money(sums.clawed_back_minor, code),
        net=money(sums.net_minor, code),
        revenue=money(sums.revenue_minor, code),
    )
