"""What a new withdrawal depends on beside its wallet: past requests, where its lots came from, and odd signs."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from app.domain.ledger import WITHDRAWABLE, WalletState
from app.domain.withdrawal import GIVEN_BACK
from app.domain.withdrawal_allowance import counted_since
from app.domain.withdrawal_terms import WithdrawalTerms
from app.services.ledger import records
from app.services.ledger.store import Found, Session

_ASKED = """
SELECT * FROM withdrawals WHERE wallet_id IN {{ids}} AND created_at > '{since}' AND status NOT IN ({given_back})
"""

_GIVEN_BACK = ", ".join(f"'{status}'" for status in sorted(GIVEN_BACK))

_TOPPED_UP = """
SELECT a.lot_id AS lot_id, t.wallet_id AS wallet_id FROM allocations a
JOIN transactions t ON t.id = a.transaction_id AND t.kind = 'TOP_UP'
WHERE a.lot_id IN {ids} AND a.amount_minor > 0
"""

_SIGNALLED = """
SELECT wallet_id, MAX(created_at) AS signalled_at FROM signals WHERE wallet_id IN {ids} GROUP BY wallet_id
"""


async def asked(
    session: Session, wallet_ids: Collection[UUID], terms: WithdrawalTerms, now: datetime
) -> Found:
    """Return the withdrawals of wallets that may count for a limit that is in force."""
    since = counted_since(terms, now)
    if since is None:
        return []
    # SQLite compares times as the texts that the writer wrote, in UTC.
    sql = _ASKED.format(since=since.astimezone(UTC).isoformat(" "), given_back=_GIVEN_BACK)
    return await session.select(sql, wallet_ids)


async def mark_topped_up(session: Session, states: Sequence[WalletState]) -> None:
    """Tell wallets which of their open lots were topped up."""
    known = {state.wallet.id: state for state in states}
    lots = [lot.id for state in known.values() for lot in state.lots if lot.bucket in WITHDRAWABLE]
    if not lots:
        return
    topped_up: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await session.select(_TOPPED_UP, lots):
        topped_up[records.read_uuid(row["wallet_id"])].add(records.read_uuid(row["lot_id"]))
    for wallet_id, found in topped_up.items():
        known[wallet_id].topped_up |= found


async def mark_signalled(session: Session, states: Sequence[WalletState]) -> None:
    """Tell wallets when something odd was last noticed of them."""
    known = {state.wallet.id: state for state in states}
    for row in await session.select(_SIGNALLED, known):
        at = row["signalled_at"]
        known[records.read_uuid(row["wallet_id"])].signalled_at = (
            None if at is None else records.read_time(at)
        )
