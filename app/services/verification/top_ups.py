"""Top-ups against what they credited; what was started, or asked for by a rule, against the money that came for it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.domain.auto_top_up import ChargeStatus
from app.domain.top_up import TopUp
from app.services.ledger.records import (
    read_auto_top_up,
    read_auto_top_up_charge,
    read_top_up,
    read_top_up_intent,
    read_uuid,
)
from app.services.verification.check import Row
from app.services.verification.holds import pages_of
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

# The first credit, and all that followed because the store kept more or less than that.
_TOP_UPS = """
SELECT u.*, f.wallet_id AS f_wallet_id, f.kind AS f_kind, f.currency AS f_currency,
  (SELECT COALESCE(SUM(t.amount_minor), 0) FROM transactions t WHERE t.id = u.transaction_id AND t.kind = 'TOP_UP')
  + (SELECT COALESCE(SUM(t.amount_minor), 0) FROM transactions t
      WHERE t.corrects_id = u.transaction_id AND t.kind = 'TOP_UP') AS t_credited_minor
FROM top_ups u LEFT JOIN transactions f ON f.id = u.transaction_id
"""

_MONEY = "u.wallet_id AS u_wallet_id, u.currency AS u_currency, u.transaction_id AS u_transaction_id"

_INTENTS = f"SELECT i.*, {_MONEY} FROM top_up_intents i LEFT JOIN top_ups u ON u.id = i.top_up_id"

_CHARGES = f"""
SELECT c.*, {_MONEY}, r.wallet_id AS r_wallet_id, r.charge_id AS r_charge_id
FROM auto_top_up_charges c LEFT JOIN top_ups u ON u.id = c.top_up_id LEFT JOIN auto_top_ups r ON r.id = c.rule_id
"""

_RULES = """
SELECT r.*, c.rule_id AS c_rule_id, c.status AS c_status
FROM auto_top_ups r LEFT JOIN auto_top_up_charges c ON c.id = r.charge_id
"""


async def check_top_ups(
    snapshots: Snapshots, findings: Findings, wallet_id: UUID | None, on_page: Callable[[int], None]
) -> None:
    """Check all top-ups, intents, rules and charges, or one wallet's; `on_page` hears how many more are done."""
    for sql, alias, name, problem_of in (
        (_TOP_UPS, "u", "top-up", _problem_of_top_up),
        (_INTENTS, "i", "started top-up", _problem_of_intent),
        (_CHARGES, "c", "automatic top-up", _problem_of_charge),
        (_RULES, "r", "rule of automatic top-ups", _problem_of_rule),
    ):
        async for rows in pages_of(snapshots, sql, alias, wallet_id):
            for row in rows:
                invariant, problem = _problem(problem_of, row)
                if problem is not None:
                    message = f"{name} {_name_of(row)} {problem}"
                    findings.add(Fault(read_uuid(row["wallet_id"]), None, invariant, message))
            on_page(len(rows))


def _problem(problem_of: Callable[[Row], str | None], row: Row) -> tuple[Invariant, str | None]:
    try:
        return Invariant.TOP_UP, problem_of(row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return Invariant.CONTENT, f"can't be read: {error}"


def _name_of(row: Row) -> Any:
    return row["reference"] if "reference" in row.keys() else row["id"]  # noqa: SIM118 — a row of sqlite3 looks at values


def _problem_of_top_up(row: Row) -> str | None:
    top_up = read_top_up(row)
    if (top_up.transaction_id is None) != (row["f_wallet_id"] is None):
        return f"names transaction {top_up.transaction_id}, which does not exist"
    if top_up.transaction_id is not None and not _is_its_credit(top_up, row):
        return "names a credit that is not its own"
    if top_up.credited_minor != int(row["t_credited_minor"]):
        return f"says it credited {top_up.credited_minor}, its transactions {row['t_credited_minor']}"
    if top_up.shortfall_minor < 0 or top_up.credited_minor - top_up.shortfall_minor != top_up.kept_minor:
        return (
            f"kept {top_up.kept_minor}, credited {top_up.credited_minor} and lacks {top_up.shortfall_minor}"
        )
    return None


def _is_its_credit(top_up: TopUp, row: Row) -> bool:
    return (read_uuid(row["f_wallet_id"]), row["f_kind"], row["f_currency"]) == (
        top_up.wallet_id,
        "TOP_UP",
        top_up.currency,
    )


def _problem_of_intent(row: Row) -> str | None:
    intent = read_top_up_intent(row)
    return _problem_of_money(intent.top_up_id, row, intent.status, is_paid=intent.status == "COMPLETED")


def _problem_of_charge(row: Row) -> str | None:
    charge = read_auto_top_up_charge(row)
    if row["r_wallet_id"] is None or read_uuid(row["r_wallet_id"]) != charge.wallet_id:
        return "was asked for by no rule of its wallet"
    waited_for = row["r_charge_id"] is not None and read_uuid(row["r_charge_id"]) == charge.id
    if (charge.status is ChargeStatus.REQUESTED) != waited_for:
        return f"is {charge.status}, its rule waits for {row['r_charge_id']}"
    return _problem_of_money(charge.top_up_id, row, charge.status, is_paid=charge.status is ChargeStatus.PAID)


def _problem_of_rule(row: Row) -> str | None:
    rule = read_auto_top_up(row)
    if rule.charge_id is None:
        return None
    if row["c_rule_id"] is None or read_uuid(row["c_rule_id"]) != rule.id:
        return f"waits for {rule.charge_id}, which it did not ask for"
    return None


def _problem_of_money(top_up_id: UUID | None, row: Row, status: str, *, is_paid: bool) -> str | None:
    if (top_up_id is not None) != is_paid:
        return f"is {status} by the top-up {top_up_id}"
    if top_up_id is None:
        return None
    if row["u_wallet_id"] is None or read_uuid(row["u_wallet_id"]) != read_uuid(row["wallet_id"]):
        return f"was paid by {top_up_id}, which is no top-up of its wallet"
    if row["u_transaction_id"] is None or row["u_currency"] != row["currency"]:
        return f"was paid by {top_up_id}, which credited nothing in its currency"
    return None
