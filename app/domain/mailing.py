"""Which e-mails follow from what happened. An e-mail's body holds ids and amounts; who gets it is looked up when it is sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app.domain.email_kind import EmailKind
from app.domain.event_catalogue import EventType
from app.domain.event_data import money
from app.domain.global_id import global_id
from app.domain.ledger import Row, Transaction, TransactionKind, Wallet
from app.domain.notice import NOTICED
from app.domain.outbox import Channel, OutboxMessage, message
from app.domain.outgoing import OutboxEvent

Body = dict[str, Any]

_BY_TRANSACTION: Mapping[str, EmailKind] = {
    TransactionKind.REFUND: EmailKind.REFUND,
    TransactionKind.TOP_UP: EmailKind.TOP_UP,
    TransactionKind.GIFT_CARD: EmailKind.GIFT_CARD_REDEEMED,
    TransactionKind.PROMOTION: EmailKind.PROMOTION,
}
"""Credits that are told of by themselves; adjustments are when staff say so, cashback by its award."""

_PENDING = "PENDING"


def email_of(event: OutboxEvent) -> tuple[EmailKind, Body] | None:
    """Return the e-mail that tells a customer of an event, if there is one."""
    kind = _kind_of(event)
    if kind is None or event.wallet_id is None:
        return None
    return kind, {name: part for name, part in event.data.items() if name not in {"customer", "walletId"}}


_BY_EVENT: Mapping[str, EmailKind] = {
    EventType.CASHBACK_VESTED: EmailKind.CASHBACK_EARNED,
    EventType.VALUE_EXPIRING: EmailKind.EXPIRY_REMINDER,
    EventType.WALLET_FROZEN: EmailKind.WALLET_FROZEN,
    EventType.WALLET_UNFROZEN: EmailKind.WALLET_UNFROZEN,
    EventType.WITHDRAWAL_REQUESTED: EmailKind.WITHDRAWAL_REQUESTED,
    EventType.WITHDRAWAL_APPROVED: EmailKind.WITHDRAWAL_APPROVED,
    EventType.WITHDRAWAL_PAID: EmailKind.WITHDRAWAL_PAID,
    EventType.WITHDRAWAL_REJECTED: EmailKind.WITHDRAWAL_REJECTED,
    EventType.WITHDRAWAL_CANCELLED: EmailKind.WITHDRAWAL_CANCELLED,
    EventType.WITHDRAWAL_FAILED: EmailKind.WITHDRAWAL_FAILED,
    EventType.WITHDRAWAL_RETURNED: EmailKind.WITHDRAWAL_FAILED,
}
"""Events that always come to an e-mail of one kind."""


_MAILED = frozenset({*_BY_EVENT, *NOTICED, EventType.CASHBACK_AWARDED})


def is_mailed(event_type: EventType, row: Row) -> bool:
    """Tell whether an e-mail may tell of an event of a row, to its customer or to those who run the store.

    It is asked of every event that a command brings about, before anything is made of it.
    """
    if isinstance(row, Transaction):
        return row.amount_minor > 0 and row.kind in _BY_TRANSACTION
    return event_type in _MAILED


def _kind_of(event: OutboxEvent) -> EmailKind | None:
    data = event.data
    if event.type in _BY_EVENT:
        return _BY_EVENT[event.type]
    if event.type == EventType.TRANSACTION_POSTED:
        told = data["transaction"]
        return _BY_TRANSACTION.get(told["kind"]) if told["direction"] == "CREDIT" else None
    if event.type == EventType.CASHBACK_AWARDED:
        return EmailKind.CASHBACK_PENDING if data["award"]["status"] == _PENDING else None
    return None


class Posted(Protocol):
    """A transaction, as the ledger or a model has it."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def reference(self) -> str:
        """Its reference number."""

    @property
    def kind(self) -> str:
        """Why money moved."""

    @property
    def amount_minor(self) -> int:
        """How much; negative for a debit."""

    @property
    def balance_after_minor(self) -> int:
        """The balance after it."""

    @property
    def currency(self) -> str:
        """The currency of both."""

    @property
    def reason(self) -> str | None:
        """What an adjustment is grouped by."""


def transaction_body(transaction: Posted) -> Body:
    """Return the body of an e-mail about a transaction."""
    return {
        "transaction": {
            "id": global_id("Transaction", transaction.id),
            "reference": transaction.reference,
            "kind": str(transaction.kind),
            "direction": "CREDIT" if transaction.amount_minor > 0 else "DEBIT",
            "amount": money(abs(transaction.amount_minor), transaction.currency),
            "balanceAfter": money(transaction.balance_after_minor, transaction.currency),
            "reason": None if transaction.reason is None else str(transaction.reason),
        }
    }


def adjustment_email(transaction: Transaction, wallet: Wallet, *, now: datetime) -> OutboxMessage:
    """Return the e-mail that tells of an adjustment; it leaves with the transaction that it tells of."""
    body = transaction_body(transaction)
    return message(
        transaction.id, Channel.EMAIL, str(wallet.customer_id), str(EmailKind.ADJUSTMENT), body, now=now
    )


def kind_of_transaction(kind: str, *, credit: bool) -> EmailKind | None:
    """Return the kind of e-mail that tells of a transaction, if there is one: so it can be shown."""
    if kind == TransactionKind.ADJUSTMENT:
        return EmailKind.ADJUSTMENT
    return _BY_TRANSACTION.get(kind) if credit else None


def customer_of(target: str) -> UUID:
    """Return the id of the customer that an e-mail goes to."""
    return UUID(target)
