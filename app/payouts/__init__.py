"""Payouts: who sends the money of approved withdrawals, and how the ledger learns what became of it."""
