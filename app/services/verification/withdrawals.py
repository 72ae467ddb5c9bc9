"""Withdrawals: what each says against its hold, what it moved in its wallet, and the steps that it took."""

from collections.abc import Callable
from uuid import UUID

from app.domain.hold import HoldPurpose, HoldStatus
from app.domain.withdrawal import MOVES, UNDER_WAY, PayoutOutcomeKind, Withdrawal, WithdrawalStatus
from app.services.ledger.records import read_uuid, read_withdrawal
from app.services.verification.check import Row
from app.services.verification.holds import pages_of
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

# Read with the withdrawal by one statement: beside a live server, another one would see newer steps.
_STEPS = "SELECT {} FROM withdrawal_steps s WHERE s.withdrawal_id = w.id"

_ALLOWED = ", ".join(
    f"'{before}>{after}'" for before, moves in MOVES.items() for after in sorted({before, *moves})
)

_BROKEN = f"""
SELECT COUNT(*) FROM withdrawal_steps s
LEFT JOIN withdrawal_steps b ON b.withdrawal_id = s.withdrawal_id AND b.number = s.number - 1
WHERE s.withdrawal_id = w.id AND (s.wallet_id <> w.wallet_id OR COALESCE(s.from_status, '') <> COALESCE(b.to_status, '')
  OR (s.number = 1 AND s.to_status <> 'REQUESTED')
  OR (s.number > 1 AND s.from_status || '>' || s.to_status NOT IN ({_ALLOWED})))
"""

_WITHDRAWALS = f"""
SELECT w.*, h.wallet_id AS h_wallet_id, h.purpose AS h_purpose, h.status AS h_status, h.amount_minor AS h_amount_minor,
  (SELECT COALESCE(-SUM(t.amount_minor), 0) FROM transactions t WHERE t.hold_id = w.hold_id AND t.kind = 'WITHDRAWAL')
    AS t_sent_minor,
  (SELECT COALESCE(-SUM(t.amount_minor), 0) FROM transactions t WHERE t.hold_id = w.hold_id AND t.kind = 'FEE')
    AS t_fee_minor,
  (SELECT COUNT(*) FROM transactions t WHERE t.hold_id = w.hold_id
    AND (t.kind NOT IN ('WITHDRAWAL', 'FEE') OR t.wallet_id <> w.wallet_id)) AS t_strangers,
  ({_STEPS.format("COUNT(*)")}) AS s_count, ({_STEPS.format("MAX(s.number)")}) AS s_last,
  ({_STEPS.format("s.to_status")} AND s.number = w.step_count) AS s_status,
  ({_STEPS.format("s.problem")} AND s.number = w.step_count) AS s_problem,
  ({_BROKEN}) AS s_broken
FROM withdrawals w LEFT JOIN holds h ON h.id = w.hold_id
"""

# What was told was settled first, so it shows: what was paid took a step there or was marked, what failed is not paid.
_MESSAGES = """
SELECT m.id, m.wallet_id, m.reference, m.provider, m.w_provider, m.kind, m.status, m.followed FROM (
  SELECT p.id, p.provider, p.kind, w.wallet_id, w.reference, w.status, w.provider AS w_provider,
    (SELECT COUNT(*) FROM withdrawal_steps s WHERE s.withdrawal_id = w.id
      AND (s.to_status IN ('PAID', 'RETURNED') OR s.problem = 'PAID_AFTER_END')) AS followed
  FROM payout_messages p JOIN withdrawals w ON w.id = p.withdrawal_id
) m
"""


async def check_payout_messages(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check what providers told of all withdrawals, or of one wallet's; `on_page` hears how many more are done."""
    async for rows in pages_of(snapshots, _MESSAGES, "m", wallet_id):
        for row in rows:
            if (problem := _problem_of_message(row)) is not None:
                message = f"withdrawal {row['reference']} {problem}"
                findings.add(Fault(read_uuid(row["wallet_id"]), None, Invariant.WITHDRAWAL, message))
        on_page(len(rows))


def _problem_of_message(row: Row) -> str | None:
    if row["provider"] != row["w_provider"]:
        return f"is with {row['w_provider']}, and {row['provider']} tells of it"
    paid, unpaid = PayoutOutcomeKind.PAID, {PayoutOutcomeKind.FAILED, PayoutOutcomeKind.RETURNED}
    still = {WithdrawalStatus.PROCESSING, WithdrawalStatus.PAID}
    if (row["kind"] in unpaid and row["status"] in still) or (row["kind"] == paid and not row["followed"]):
        return f"is {row['status']}, though {row['provider']} told that it is {row['kind']}"
    return None


async def check_withdrawals(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all withdrawals, or one wallet's, page by page; `on_page` hears how many more are done."""
    async for rows in pages_of(snapshots, _WITHDRAWALS, "w", wallet_id):
        for row in rows:
            if (problem := _problem_of(row)) is not None:
                message = f"withdrawal {row['reference']} {problem}"
                findings.add(Fault(read_uuid(row["wallet_id"]), None, Invariant.WITHDRAWAL, message))
        on_page(len(rows))


def _problem_of(row: Row) -> str | None:
    try:
        withdrawal = read_withdrawal(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return f"can't be read: {error}"
    return _problem_of_money(withdrawal, row) or _problem_of_steps(withdrawal, row)


def _problem_of_money(withdrawal: Withdrawal, row: Row) -> str | None:
    if row["h_wallet_id"] is None or read_uuid(row["h_wallet_id"]) != withdrawal.wallet_id:
        return "stands on a hold that is not its wallet's"
    if row["h_purpose"] != HoldPurpose.WITHDRAWAL or row["h_amount_minor"] != withdrawal.amount_minor:
        return (
            f"is about {withdrawal.amount_minor}, its {row['h_purpose']} hold about {row['h_amount_minor']}"
        )
    captured = withdrawal.transaction_id is not None
    held = HoldStatus.OPEN if withdrawal.status in UNDER_WAY else None
    if row["h_status"] != (held or (HoldStatus.CAPTURED if captured else HoldStatus.RELEASED)):
        return f"is {withdrawal.status}, its hold {row['h_status']}"
    paid = withdrawal.status is WithdrawalStatus.PAID
    wanted = (withdrawal.sent_minor, withdrawal.charged_minor) if paid else (0, 0)
    moved = (int(row["t_sent_minor"]), int(row["t_fee_minor"]))
    if moved != wanted or row["t_strangers"]:
        return (
            f"is {withdrawal.status} and should have moved {wanted[0]} and a fee of {wanted[1]}, not {moved}"
        )
    return None


def _problem_of_steps(withdrawal: Withdrawal, row: Row) -> str | None:
    if not withdrawal.step_count == row["s_count"] == row["s_last"]:
        return f"took {withdrawal.step_count} steps, {row['s_count']} are there, up to {row['s_last']}"
    if row["s_broken"]:
        return "took a step that it can't, or from where it was not"
    if (row["s_status"], row["s_problem"]) != (withdrawal.status, withdrawal.problem):
        return f"is {withdrawal.status}, its last step led to {row['s_status']}"
    return None
