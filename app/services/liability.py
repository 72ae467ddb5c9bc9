"""What the store owes: the value in all wallets, by currency and bucket, and on anonymous gift cards."""

from dataclasses import dataclass

from tortoise.connection import get_connection

from app.db import READER


@dataclass(frozen=True, slots=True)
class Liability:
    """A sum. What customers owe (overdrafts) is a bucket of its own, and negative; so is what nobody's card holds."""

    currency: str
    bucket: str
    amount_minor: int


# Both conditions are those of the partial index that keeps open lots.
_LOTS = """
SELECT w.currency AS currency, l.bucket AS bucket, sum(l.remaining_minor + l.held_minor) AS amount
FROM lots l JOIN wallets w ON w.id = l.wallet_id
WHERE l.remaining_minor > 0 OR l.held_minor > 0 GROUP BY w.currency, l.bucket
"""
_OVERDRAFTS = """
SELECT currency, 'OVERDRAFT' AS bucket, -sum(overdraft_minor) AS amount
FROM wallets WHERE overdraft_minor > 0 GROUP BY currency
"""
# Value that was redeemed is in wallets, in the bucket GIFT_CARD; here is only what is still on cards.
_GIFT_CARDS = """
SELECT currency, 'ANONYMOUS_GIFT_CARD' AS bucket, sum(balance_minor) AS amount
FROM gift_cards WHERE balance_minor > 0 GROUP BY currency
"""


async def liabilities() -> list[Liability]:
    """Sum up. It reads every open lot: not for every request."""
    connection = get_connection(READER)
    rows = [
        row
        for statement in (_LOTS, _OVERDRAFTS, _GIFT_CARDS)
        for row in await connection.execute_query_dict(statement)
    ]
    return [Liability(row["currency"], row["bucket"], int(row["amount"])) for row in rows]
