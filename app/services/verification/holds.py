"""Holds: what each one says against its reservations, its captures and its status."""

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

from app.domain.hold import HoldStatus
from app.services.ledger.records import read_hold, read_uuid
from app.services.verification.check import Row
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

PAGE = 1_000

_HOLDS = """
SELECT h.*,
  (SELECT COALESCE(SUM(r.amount_minor), 0) FROM reservations r WHERE r.hold_id = h.id) AS r_amount_minor,
  (SELECT COALESCE(SUM(r.captured_minor), 0) FROM reservations r WHERE r.hold_id = h.id) AS r_captured_minor,
  (SELECT COALESCE(SUM(r.released_minor), 0) FROM reservations r WHERE r.hold_id = h.id) AS r_released_minor,
  (SELECT COALESCE(SUM(r.returned_minor), 0) FROM reservations r WHERE r.hold_id = h.id) AS r_returned_minor,
  (SELECT COALESCE(-SUM(t.amount_minor), 0) FROM transactions t WHERE t.hold_id = h.id AND t.wallet_id = h.wallet_id)
    AS t_spent_minor,
  (SELECT COUNT(*) FROM reservations r JOIN lots l ON l.id = r.lot_id
    WHERE r.hold_id = h.id AND l.wallet_id <> h.wallet_id) AS strangers
FROM holds h
"""


async def check_holds(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all holds, or one wallet's, page by page; `on_page` hears how many more are done."""
    async for rows in pages_of(snapshots, _HOLDS, "h", wallet_id):
        for row in rows:
            if (problem := _fault_of(row)) is not None:
                findings.add(problem)
        on_page(len(rows))


async def pages_of(
    snapshots: Snapshots, sql: str, alias: str, wallet_id: UUID | None
) -> AsyncIterator[Sequence[Row]]:
    """Read the rows of a table by their ids, all of them or one wallet's; each page is one snapshot."""
    last: UUID | None = None
    while True:
        wheres, values = ["TRUE"], [value for value in (wallet_id, last) if value is not None]
        if wallet_id is not None:
            wheres.append(f"{alias}.wallet_id = $1")
        if last is not None:
            wheres.append(f"{alias}.id > ${len(values)}")
        async with snapshots.take() as snapshot:
            rows = await snapshot.select(
                f"{sql} WHERE {' AND '.join(wheres)} ORDER BY {alias}.id LIMIT {PAGE}", *values
            )
        yield rows
        if len(rows) < PAGE:
            return
        last = read_uuid(rows[-1]["id"])


def _fault_of(row: Row) -> Fault | None:
    wallet_id, name = read_uuid(row["wallet_id"]), f"hold {row['id']}"
    try:
        hold = read_hold(row)
    except (ValueError, TypeError, AttributeError) as error:
        return Fault(wallet_id, None, Invariant.CONTENT, f"{name} can't be read: {error}")
    problem = None
    said = (hold.amount_minor, hold.captured_minor, hold.released_minor)
    reserved = tuple(int(row[f"r_{part}_minor"]) for part in ("amount", "captured", "released"))
    if said != reserved:
        problem = "says {} held, {} captured, {} released; its reservations {}, {} and {}".format(
            *said, *reserved
        )
    elif (spent := hold.captured_minor - int(row["r_returned_minor"])) != int(row["t_spent_minor"]):
        problem = f"captured and did not give back {spent}, its transactions {row['t_spent_minor']}"
    elif hold.held_minor < 0 or (hold.status is HoldStatus.OPEN) != (hold.held_minor > 0):
        problem = f"is {hold.status} and has {hold.held_minor} left"
    elif row["strangers"]:
        problem = "stands on lots of another wallet"
    return None if problem is None else Fault(wallet_id, None, Invariant.HOLD, f"{name} {problem}")
