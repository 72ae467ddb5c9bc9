"""Payments against the holds that they stand on; orders against their transactions, payments and refunds."""

from collections.abc import Callable
from uuid import UUID

from app.domain.hold import HoldPurpose, HoldStatus
from app.domain.payment import PaymentStatus
from app.services.ledger.records import read_order, read_payment, read_uuid
from app.services.verification.check import Row
from app.services.verification.holds import pages_of
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

_PAYMENTS = """
SELECT p.*, h.wallet_id AS h_wallet_id, h.purpose AS h_purpose, h.status AS h_status,
  h.amount_minor AS h_amount_minor, h.captured_minor AS h_captured_minor,
  (SELECT COALESCE(SUM(r.returned_minor), 0) FROM reservations r WHERE r.hold_id = p.hold_id) AS r_returned_minor,
  (SELECT COUNT(*) FROM transactions t
    WHERE t.hold_id = p.hold_id AND (t.order_id IS NULL OR t.order_id <> p.order_id)) AS strangers
FROM payments p LEFT JOIN holds h ON h.id = p.hold_id
"""

_ORDERS = """
SELECT o.*,
  (SELECT COALESCE(SUM(t.amount_minor), 0) FROM transactions t
    WHERE t.order_id = o.id AND t.kind IN ('PURCHASE', 'REFUND')) AS t_moved_minor,
  (SELECT COUNT(*) FROM transactions t
    WHERE t.order_id = o.id AND t.kind IN ('PURCHASE', 'REFUND') AND (o.wallet_id IS NULL OR t.wallet_id <> o.wallet_id)) AS t_strangers,
  (SELECT COUNT(*) FROM payments p
    WHERE p.order_id = o.id AND p.captured_minor > 0 AND (o.wallet_id IS NULL OR p.wallet_id <> o.wallet_id))
    AS p_strangers,
  (SELECT COALESCE(SUM(p.captured_minor - p.returned_minor), 0) FROM payments p WHERE p.order_id = o.id)
    AS p_net_minor,
  (SELECT COALESCE(SUM(r.credited_minor), 0) FROM refunds r WHERE r.order_id = o.id) AS r_credited_minor,
  (SELECT COUNT(*) FROM refunds r WHERE r.order_id = o.id AND (
    r.wallet_minor < 0 OR r.credited_minor < 0 OR r.elsewhere_minor < 0
    OR r.wallet_minor + r.credited_minor + r.elsewhere_minor
      > CASE WHEN r.withdrawn_at IS NULL THEN r.amount_minor ELSE 0 END)) AS r_beyond
FROM orders o
"""

_HOLD_OF = {
    PaymentStatus.AUTHORIZED: HoldStatus.OPEN,
    PaymentStatus.PARTIALLY_CAPTURED: HoldStatus.OPEN,
    PaymentStatus.CAPTURED: HoldStatus.CAPTURED,
    PaymentStatus.VOIDED: HoldStatus.RELEASED,
    PaymentStatus.EXPIRED: HoldStatus.EXPIRED,
}


async def check_payments(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all payments, or one wallet's; `on_page` hears how many more are done."""
    async for rows in pages_of(snapshots, _PAYMENTS, "p", wallet_id):
        for row in rows:
            invariant, problem = _problem(Invariant.PAYMENT, _problem_of_payment, row)
            if problem is not None:
                message = f"payment {row['reference']} {problem}"
                findings.add(Fault(read_uuid(row["wallet_id"]), None, invariant, message))
        on_page(len(rows))


async def check_orders(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all orders, or one wallet's, with their refunds; `on_page` hears how many more are done."""
    async for rows in pages_of(snapshots, _ORDERS, "o", wallet_id):
        for row in rows:
            invariant, problem = _problem(Invariant.ORDER, _problem_of_order, row)
            if problem is not None:
                of_wallet = None if row["wallet_id"] is None else read_uuid(row["wallet_id"])
                message = f"order {row['source']} {row['external_id']} {problem}"
                findings.add(Fault(of_wallet, None, invariant, message))
        on_page(len(rows))


def _problem(
    invariant: Invariant, problem_of: Callable[[Row], str | None], row: Row
) -> tuple[Invariant, str | None]:
    try:
        return invariant, problem_of(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return Invariant.CONTENT, f"can't be read: {error}"


def _problem_of_payment(row: Row) -> str | None:
    payment = read_payment(row)
    if row["h_wallet_id"] is None:
        return f"stands on hold {row['hold_id']}, which does not exist"
    if read_uuid(row["h_wallet_id"]) != payment.wallet_id or row["h_purpose"] != HoldPurpose.PAYMENT:
        return "stands on a hold that is not its own"
    says = (payment.amount_minor, payment.captured_minor, payment.returned_minor)
    held = (row["h_amount_minor"], row["h_captured_minor"], int(row["r_returned_minor"]))
    if says != held:
        return "says {} held, {} captured, {} given back; its hold {}, {} and {}".format(*says, *held)
    if row["h_status"] != _HOLD_OF[payment.status]:
        return f"is {payment.status}, its hold {row['h_status']}"
    if not 0 <= payment.owed_minor <= payment.amount_minor:
        return f"owes {payment.owed_minor} of {payment.amount_minor}"
    return "has transactions of another order" if row["strangers"] else None


def _problem_of_order(row: Row) -> str | None:
    order = read_order(row)
    if row["t_strangers"] or row["p_strangers"]:
        return "moved money in a wallet that is not its own"
    net_minor, moved_minor = int(row["p_net_minor"]), int(row["t_moved_minor"])
    if moved_minor != order.credited_minor - net_minor:
        return (
            f"moved {moved_minor}; its payments gave {net_minor}, its refunds credited {order.credited_minor}"
        )
    if row["r_beyond"]:
        return "has a refund that gives more than its amount"
    if int(row["r_credited_minor"]) > order.credited_minor:
        return f"credited {order.credited_minor}, its refunds {row['r_credited_minor']}"
    return None
