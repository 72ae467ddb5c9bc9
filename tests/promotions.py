"""Promotions for tests below the API: made, redeemed, and what the tables hold of them."""

from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from app.domain.promotion import PromotionStatus, Terms
from app.services import promotion as promotions
from app.services.ledger.writer import Writer
from app.services.promotion import CodesWanted, NewPromotion, Redemption
from tests.auditor import read_tables
from tests.ledger import named
from tests.orders import MANAGER, shopper

_numbers = count(1)


async def promotion(
    writer: Writer,
    *,
    status: PromotionStatus = PromotionStatus.ACTIVE,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    uses_max: int | None = None,
    budget_minor: int | None = None,
    **terms: Any,
) -> UUID:
    """A promotion that runs: 5.00 for everybody, once each, unless its terms are others; its id."""
    wanted = NewPromotion(
        name="Spring",
        description="",
        status=status,
        currency="USD",
        terms=Terms(**{"amount_minor": 500} | terms),
        starts_at=starts_at,
        ends_at=ends_at,
        uses_max=uses_max,
        budget_minor=budget_minor,
    )
    done = await promotions.create(
        writer, MANAGER, wanted, note="Agreed with the owner", idempotency_key=None
    )
    return done.promotion.id


async def coupon(writer: Writer, of: UUID, *, code: str | None = None, uses_max: int | None = None) -> str:
    """A code of a promotion."""
    number = next(_numbers)
    wanted = CodesWanted(code=code or f"SPRING-{number}", uses_max=uses_max)
    made = await promotions.create_codes(writer, MANAGER, of, wanted, idempotency_key=f"code {number}")
    return made.codes[0]


async def redeem(writer: Writer, who: str, code: str, *, key: str | None = None) -> Redemption:
    """Redeem a code as its customer."""
    key = key or f"redeem {next(_numbers)}"
    return await promotions.redeem(writer, shopper(who), named(who), code, idempotency_key=key)


async def totals(of: UUID) -> tuple[int, int]:
    """How often a promotion was used, and what it granted."""
    (row,) = (row for row in (await read_tables())["promotions"] if row["id"] == str(of))
    return row["uses"], row["granted_minor"]


async def redemptions() -> list[dict[str, Any]]:
    """What became of all coupons."""
    return (await read_tables())["coupon_redemptions"]
