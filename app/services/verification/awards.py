"""Awards: what each says against itself, against its wallet's transactions and debt, and against its rule's total."""

from collections.abc import Callable
from uuid import UUID

from app.services.ledger.records import read_award, read_uuid
from app.services.verification.check import Row
from app.services.verification.holds import pages_of
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

_AWARDS = "SELECT a.* FROM cashback_awards a"

# What was posted of an award is what vested of it, less what was taken back out of the wallet; of a coupon, what was
# granted, less the same.
_POSTED = """
SELECT COALESCE(SUM(a.amount_minor - CAST(a.taken->>'unvested_minor' AS BIGINT) - CAST(a.taken->>'lots_minor' AS BIGINT)
  - CAST(a.taken->>'others_minor' AS BIGINT)), 0)
FROM cashback_awards a WHERE a.wallet_id = w.id AND a.vested_at IS NOT NULL
"""

_GRANTED = """
SELECT COALESCE(SUM(r.amount_minor - CAST(r.taken->>'lots_minor' AS BIGINT) - CAST(r.taken->>'others_minor' AS BIGINT)), 0)
FROM coupon_redemptions r WHERE r.wallet_id = w.id AND r.transaction_id IS NOT NULL
"""

_WALLETS = f"""
SELECT w.id, w.id AS wallet_id, w.debt_minor,
  (SELECT COALESCE(SUM(a.debt_minor), 0) FROM cashback_awards a WHERE a.wallet_id = w.id) AS a_debt_minor,
  ({_POSTED}) + ({_GRANTED}) AS a_posted_minor,
  (SELECT COALESCE(SUM(t.amount_minor), 0) FROM transactions t
    WHERE t.wallet_id = w.id AND t.kind IN ('CASHBACK', 'PROMOTION', 'CLAWBACK')) AS t_posted_minor
FROM (SELECT id, id AS wallet_id, debt_minor FROM wallets) w
"""

_TOTALS = """
SELECT t.id, t.given_by, t.given_minor, t.awards,
  (SELECT COALESCE(SUM(a.amount_minor - a.clawed_minor), 0) FROM cashback_awards a WHERE a.given_by = t.given_by)
    AS a_given_minor,
  (SELECT COUNT(*) FROM cashback_awards a WHERE a.given_by = t.given_by) AS a_awards
FROM cashback_totals t
"""


# A coupon that was used counts for its promotion until nothing of it is left because its order was called off.
_PROMOTIONS = """
SELECT p.id, p.name, p.uses, p.granted_minor,
  (SELECT COUNT(*) FROM coupon_redemptions r WHERE r.promotion_id = p.id AND r.counts = 1) AS r_uses,
  (SELECT COALESCE(SUM(r.amount_minor), 0) FROM coupon_redemptions r WHERE r.promotion_id = p.id AND r.counts = 1)
    AS r_granted_minor
FROM promotions p
"""


async def check_awards(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all awards, or one wallet's, and what wallets and rules say of theirs; `on_page` hears how many are done."""
    async for rows in pages_of(snapshots, _AWARDS, "a", wallet_id):
        for row in rows:
            if (problem := _problem_of(row)) is not None:
                _add(findings, row, f"award {row['id']} {problem}")
        on_page(len(rows))
    async for rows in pages_of(snapshots, _WALLETS, "w", wallet_id):
        for row in rows:
            if (problem := _problem_of_wallet(row)) is not None:
                _add(findings, row, problem)
    if wallet_id is None:
        await _check_totals(snapshots, findings)
        await _check_promotions(snapshots, findings)


async def _check_totals(snapshots: Snapshots, findings: Findings) -> None:
    async for rows in pages_of(snapshots, _TOTALS, "t", None):
        for row in rows:
            says = (int(row["given_minor"]), int(row["awards"]))
            come_to = (int(row["a_given_minor"]), int(row["a_awards"]))
            if says != come_to:
                message = "the total of {} says {} in {} awards, they come to {} in {}"
                told = message.format(row["given_by"], *says, *come_to)
                findings.add(Fault(None, None, Invariant.AWARD, told))


async def _check_promotions(snapshots: Snapshots, findings: Findings) -> None:
    async for rows in pages_of(snapshots, _PROMOTIONS, "p", None):
        for row in rows:
            says = (int(row["uses"]), int(row["granted_minor"]))
            come_to = (int(row["r_uses"]), int(row["r_granted_minor"]))
            if says != come_to:
                message = "promotion {} says {} uses that granted {}, its redemptions come to {} and {}"
                told = message.format(row["id"], *says, *come_to)
                findings.add(Fault(None, None, Invariant.AWARD, told))


def _add(findings: Findings, row: Row, message: str) -> None:
    findings.add(Fault(read_uuid(row["wallet_id"]), None, Invariant.AWARD, message))


def _problem_of(row: Row) -> str | None:
    try:
        award = read_award(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return f"can't be read: {error}"
    taken = award.taken
    if (row["clawed_minor"], row["debt_minor"]) != (taken.total_minor, taken.debt_minor):
        return f"says {row['clawed_minor']} taken back, {row['debt_minor']} owed; its parts {taken}"
    if row["status"] != award.status:
        return f"says {row['status']}, and is {award.status}"
    if award.lines and sum(line.amount_minor for line in award.lines) != award.amount_minor:
        return f"gives {award.amount_minor}, which its lines don't add up to"
    return None


def _problem_of_wallet(row: Row) -> str | None:
    if int(row["debt_minor"]) != int(row["a_debt_minor"]):
        return f"the wallet owes {row['debt_minor']}, its awards {row['a_debt_minor']}"
    if int(row["t_posted_minor"]) != int(row["a_posted_minor"]):
        return f"{row['t_posted_minor']} of cashback and coupons was posted, they come to {row['a_posted_minor']}"
    return None
