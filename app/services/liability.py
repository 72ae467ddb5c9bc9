"""What the store owes: the value in all wallets, by currency and bucket, and on anonymous gift cards."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from tortoise.connection import get_connection

from app.db import READER


@dataclass(frozen=True, slots=True)
class Liability:
    """A sum. What customers owe (overdrafts) is a bucket of its own, and negative; so is what nobody's card holds."""

    currency: str
    bucket: str
    amount_minor: int


WALLETS_PAGE = 5_000
"""Wallets whose lots are summed up by one statement."""

_LAST = UUID(int=2**128 - 1)
_PAGE = f"SELECT id FROM wallets WHERE id > $1 ORDER BY id LIMIT 1 OFFSET {WALLETS_PAGE - 1}"  # noqa: S608 — our own number

# The conditions are those of the partial index that keeps open lots.
_LOTS = """
SELECT w.currency AS currency, l.bucket AS bucket, sum(l.remaining_minor + l.held_minor) AS amount
FROM wallets w JOIN lots l ON l.wallet_id = w.id
WHERE w.id > $1 AND w.id <= $2 AND (l.remaining_minor > 0 OR l.held_minor > 0) GROUP BY w.currency, l.bucket
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
    """Sum up. It reads every open lot: not for every request.

    The lots of some thousand wallets are read at a time, so that nobody else waits for it, however many there are; what is
    moved meanwhile from the wallets to come to those that were read is missing.
    """
    connection = get_connection(READER)
    sums: Counter[tuple[str, str]] = Counter()
    last: UUID | None = UUID(int=0)
    while last is not None:
        page = await connection.execute_query_dict(_written(_PAGE), [str(last)])
        end = page[0]["id"] if page else _LAST
        for row in await connection.execute_query_dict(_written(_LOTS), [str(last), str(end)]):
            sums[row["currency"], row["bucket"]] += int(row["amount"])
        last = end if page else None
    for statement in (_OVERDRAFTS, _GIFT_CARDS):
        for row in await connection.execute_query_dict(statement):
            sums[row["currency"], row["bucket"]] += int(row["amount"])
    return [Liability(*key, amount) for key, amount in sorted(sums.items())]


def _written(statement: str) -> str:
    on_sqlite = get_connection(READER).capabilities.dialect == "sqlite"
    return statement.replace("$", "?") if on_sqlite else statement
