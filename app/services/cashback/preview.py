"""What a cart would earn, by the very function that decides what an order earns."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.cashback.award import NOBODYS, Award, award_of
from app.domain.cashback.evaluation import Evaluation, Outcome, evaluate
from app.domain.cashback.occasion import CustomerFacts, Occasion
from app.domain.cashback.rule import TriggerKind
from app.domain.order import OrderSnapshot
from app.models.customer import Customer
from app.services.cashback import facts
from app.services.cashback.book import RuleBooks

TRIGGERS = (TriggerKind.ORDER_PAID, TriggerKind.ORDER_COMPLETED)
"""What an order goes through; one that is completed reaches milestones too."""


@dataclass(frozen=True, slots=True)
class Cart:
    """An order as it would be if it were placed now. `on_sale` are the ids of lines at a lowered price."""

    order: OrderSnapshot
    wallet_pays_minor: int = 0
    on_sale: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Earning:
    """What one rule would give, and the award that it would be."""

    outcome: Outcome
    award: Award


@dataclass(frozen=True, slots=True)
class Preview:
    """What a cart would earn, and what became of every rule."""

    currency: str
    earnings: tuple[Earning, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def total_minor(self) -> int:
        """What is given in all."""
        return sum(evaluation.total_minor for evaluation in self.evaluations)


async def preview(books: RuleBooks, cart: Cart, customer: Customer | None, now: datetime) -> Preview:
    """Return what a cart would earn if it were paid and completed now; nobody is a visitor who is not known."""
    in_force = await books.in_force()
    known: CustomerFacts | None = None if customer is None else await facts.facts_of(customer)
    usage = await facts.usage_of(customer)
    evaluations, earnings = [], []
    for trigger in TRIGGERS:
        occasion = Occasion.of_order(
            cart.order, trigger=trigger, wallet_paid_minor=cart.wallet_pays_minor, on_sale=cart.on_sale
        )
        evaluation = evaluate(in_force.book, occasion, known, usage)
        evaluations.append(evaluation)
        for outcome in evaluation.awarded:
            award = award_of(
                outcome,
                occasion,
                known.id if known else "",
                NOBODYS,
                now=now,
                zone=in_force.book.zone,
                return_period_days=in_force.settings.return_period_days,
            )
            earnings.append(Earning(outcome, award))
            # As in the ledger: what is given for being paid counts before what is given for being completed.
            usage = usage.with_award(outcome.rule.id, award.amount_minor, award.occurred_on)
    return Preview(cart.order.currency, tuple(earnings), tuple(evaluations))
