"""Gift cards against their histories, and what left them for wallets against what arrived there."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from uuid import UUID

from app.domain.gift_card import (
    GiftCard,
    GiftCardAccount,
    GiftCardEntry,
    GiftCardEvent,
    GiftCardStatus,
    entry_hash,
)
from app.domain.ledger import GENESIS_HASH, CounterAccount, TransactionKind
from app.services.ledger.records import read_gift_card, read_gift_card_entry, read_uuid
from app.services.verification.check import Row
from app.services.verification.holds import pages_of
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Snapshots

PAGE = 500

_ENTRIES = """
SELECT e.*, t.kind AS t_kind, t.amount_minor AS t_amount_minor, t.currency AS t_currency,
  t.counter_account AS t_counter_account
FROM gift_card_entries e LEFT JOIN transactions t ON t.id = e.transaction_id
WHERE e.card_id IN {ids} ORDER BY e.card_id, e.sequence
"""

_REDEMPTIONS = """
SELECT t.id, t.wallet_id, t.sequence,
  (SELECT COUNT(*) FROM gift_card_entries e WHERE e.transaction_id = t.id AND e.kind = 'REDEEMED'
    AND e.account = 'WALLETS' AND e.amount_minor = -t.amount_minor AND e.currency = t.currency) AS entries
FROM (SELECT * FROM transactions WHERE counter_account = 'GIFT_CARDS') t
"""

_ACCOUNTS: dict[GiftCardEvent, set[GiftCardAccount | None]] = {
    GiftCardEvent.ACTIVATED: {GiftCardAccount.FUNDING, GiftCardAccount.MARKETING},
    GiftCardEvent.REDEEMED: {GiftCardAccount.WALLETS},
    GiftCardEvent.EXPIRED: {GiftCardAccount.BREAKAGE, None},
}
_AFTER = {
    GiftCardEvent.ISSUED: {GiftCardStatus.INACTIVE},
    GiftCardEvent.ACTIVATED: {GiftCardStatus.ACTIVE},
    GiftCardEvent.REDEEMED: {GiftCardStatus.ACTIVE, GiftCardStatus.REDEEMED},
    GiftCardEvent.DISABLED: {GiftCardStatus.DISABLED},
    GiftCardEvent.ENABLED: {GiftCardStatus.INACTIVE, GiftCardStatus.ACTIVE},
    GiftCardEvent.EXPIRED: {GiftCardStatus.EXPIRED},
}


async def check_gift_cards(snapshots: Snapshots, findings: Findings, on_page: Callable[[int], None]) -> None:
    """Check every card; `on_page` hears how many more are done."""
    last: UUID | None = None
    while True:
        where, values = ("TRUE", []) if last is None else ("c.id > $1", [last])
        async with snapshots.take() as snapshot:
            cards = await snapshot.select(
                f"SELECT c.* FROM gift_cards c WHERE {where} ORDER BY c.id LIMIT {PAGE}",
                *values,
            )
            ids = [read_uuid(row["id"]) for row in cards]
            entries = await snapshot.select_named(_ENTRIES, ids) if ids else ()
        histories: dict[UUID, list[Row]] = defaultdict(list)
        for row in entries:
            histories[read_uuid(row["card_id"])].append(row)
        for row in cards:
            _check_card(row, histories[read_uuid(row["id"])], findings)
        on_page(len(cards))
        if len(cards) < PAGE:
            return
        last = ids[-1]


def _check_card(row: Row, history: Sequence[Row], findings: Findings) -> None:
    invariant = Invariant.GIFT_CARD
    try:
        card, entries = read_gift_card(row), [read_gift_card_entry(entry) for entry in history]
        problem = _problem_of_history(card, entries) or _problem_of_card(card, entries)
        problem = problem or next(filter(None, map(_problem_of_other_side, history)), None)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        invariant, problem = Invariant.CONTENT, f"can't be read: {error}"
    if problem is not None:
        # A card is nobody's, so a fault of it belongs to no wallet.
        findings.add(Fault(None, None, invariant, f"gift card {row['reference']} {problem}"))


def _problem_of_history(card: GiftCard, entries: Sequence[GiftCardEntry]) -> str | None:
    head, balance_minor = GENESIS_HASH, 0
    for place, entry in enumerate(entries, 1):
        if entry.sequence != place:
            return f"lacks entry {place}"
        if problem := _problem_of_entry(card, entry, balance_minor):
            return f"has an entry {place} {problem}"
        if entry_hash(head, entry) != entry.hash:
            return f"has an entry {place} that is not what its hash covers"
        head, balance_minor = entry.hash, entry.balance_after_minor
    if (card.sequence, card.head_hash) != (len(entries), head):
        return f"counts {card.sequence} entries, there are {len(entries)}; or its head is not the last one's hash"
    return None


def _problem_of_entry(card: GiftCard, entry: GiftCardEntry, balance_minor: int) -> str | None:
    if entry.currency != card.currency:
        return f"in {entry.currency}, itself in {card.currency}"
    if entry.balance_after_minor != balance_minor + entry.amount_minor or entry.balance_after_minor < 0:
        return f"that leaves {entry.balance_after_minor}, not {balance_minor} + {entry.amount_minor}"
    if entry.account not in _ACCOUNTS.get(entry.kind, {None}):
        return f"({entry.kind}) against {entry.account}"
    return None


def _problem_of_card(card: GiftCard, entries: Sequence[GiftCardEntry]) -> str | None:
    if not entries:
        return "has no history"
    last = entries[-1]
    if card.balance_minor != last.balance_after_minor:
        return f"says {card.balance_minor}, its history {last.balance_after_minor}"
    if card.status not in _AFTER[last.kind] or (card.status is GiftCardStatus.REDEEMED) != (
        last.kind is GiftCardEvent.REDEEMED and not card.balance_minor
    ):
        return f"is {card.status} after {last.kind}"
    activated = [entry for entry in entries if entry.kind is GiftCardEvent.ACTIVATED]
    if [entry.amount_minor for entry in activated] not in ([], [card.initial_minor]):
        return f"was issued for {card.initial_minor} and activated with another amount"
    if bool(activated) != (card.activated_at is not None):
        return "says otherwise than its history whether it was activated"
    return None


def _problem_of_other_side(row: Row) -> str | None:
    if row["kind"] != GiftCardEvent.REDEEMED:
        return None if row["transaction_id"] is None else f"has an entry {row['sequence']} with a transaction"
    if row["t_kind"] is None:
        return f"has an entry {row['sequence']} whose transaction does not exist"
    there = (row["t_kind"], row["t_counter_account"], row["t_amount_minor"], row["t_currency"])
    here = (
        TransactionKind.GIFT_CARD,
        CounterAccount.GIFT_CARDS,
        -row["amount_minor"],
        row["currency"],
    )
    if there != here:
        return f"gave {-row['amount_minor']} by entry {row['sequence']}, and the wallet's transaction says otherwise"
    return None


async def check_redemptions(snapshots: Snapshots, findings: Findings, wallet_id: UUID | None) -> None:
    """Check that each transaction against the gift cards is the other side of one entry."""
    async for rows in pages_of(snapshots, _REDEMPTIONS, "t", wallet_id):
        for row in rows:
            if row["entries"] != 1:
                message = (
                    f"transaction {row['sequence']} took value of {row['entries']} gift cards, not of one"
                )
                findings.add(
                    Fault(read_uuid(row["wallet_id"]), row["sequence"], Invariant.GIFT_CARD, message)
                )
