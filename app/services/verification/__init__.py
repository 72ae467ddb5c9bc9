"""Verify the ledger: re-derive everything that is stored twice, and name the first fault of each wallet.

report    what is found: faults, totals, figures
snapshot  consistent reads, beside a live server, on both databases
check     the arithmetic of one wallet: pure, fed row by row
holds     holds against their reservations and captures
awards    cashback against what was posted, what is owed and what its rules gave
orders    payments against their holds, orders against what they moved
gift_cards  gift cards against their histories and the wallets they were redeemed into
withdrawals  withdrawals against their holds, what they moved, and their steps
sweep     what belongs to no single wallet: references, idempotency keys
ledger    puts them together, page by page
"""

from app.services.verification.ledger import verify
from app.services.verification.report import Fault, Invariant, Phase, Progress, Report, Total

__all__ = ["Fault", "Invariant", "Phase", "Progress", "Report", "Total", "verify"]
