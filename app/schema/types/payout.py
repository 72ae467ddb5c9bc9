"""What ledger and payout providers don't agree on."""

import strawberry

from app.schema.types.enums import DiscrepancyKind
from app.schema.types.scalars import DateTime
from app.schema.types.withdrawal import Withdrawal


@strawberry.type(
    description="One thing that ledger and payout provider don't agree on, for staff to look at."
)
class PayoutDiscrepancy:
    """What, of which withdrawal, since when."""

    kind: DiscrepancyKind = strawberry.field(description="What they don't agree on.")
    withdrawal: Withdrawal | None = strawberry.field(
        description="The withdrawal; null where the provider tells of a payout that belongs to none."
    )
    provider: str | None = strawberry.field(
        description="The provider, such as stripe; null where staff sent it."
    )
    provider_reference: str | None = strawberry.field(
        description="The provider's own id of the payout, if one is known."
    )
    since: DateTime = strawberry.field(description="Since when.")
