"""Staff adjust a balance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain import adjustment as rules
from app.domain.access import Principal
from app.domain.adjustment import Adjustment, AdjustmentReason, Direction
from app.domain.bucket import Bucket
from app.domain.email_kind import EmailKind, absence
from app.domain.errors import CurrencyMismatch, OwnWallet
from app.domain.ledger import Draft, Row, Transaction
from app.domain.mailing import adjustment_email
from app.domain.money import currency_of, parse_amount
from app.domain.note import check_note
from app.domain.outbox import Channel, message_id
from app.models.outbox import OutboxMessage
from app.models.transaction import Transaction as TransactionModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, WalletRef
from app.services.ledger.rows import transaction_of, wallet_of
from app.services.ledger.writer import Writer


@dataclass(frozen=True, slots=True)
class AdjustmentRequest:
    """What staff asked for, as it came in; `corrects_id` names the transaction that it puts right."""

    wallet: WalletRef
    direction: Direction
    amount: str
    currency: str
    reason: AdjustmentReason
    note: str
    bucket: Bucket | None
    expires_at: datetime | None
    corrects_id: UUID | None
    idempotency_key: str
    notify: bool = False
    """Whether the customer shall be told by e-mail."""


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The wallet after the adjustment, the transaction, and whether this is the answer to a repeated request.

    `notified` is whether an e-mail to the customer was written with it, as far as that is still known.
    """

    wallet: Wallet
    transaction: TransactionModel
    replayed: bool
    notified: bool


async def adjust(
    writer: Writer, principal: Principal, request: AdjustmentRequest, *, sends_emails: bool = False
) -> Adjusted:
    """Post an adjustment, opening a wallet (and making the store's customer known) where there is none.

    With `notify` the e-mail to the customer is written in the same database transaction, if this server sends e-mails
    (`sends_emails`), and if the customer has an address and neither they nor the store switched such e-mails off.

    Raises the `DomainError` that says why not; then nothing has moved.
    """
    actor = principal.actor
    amount_minor = parse_amount(request.amount, currency_of(request.currency), field=("amount", "amount"))
    adjustment = Adjustment(
        direction=request.direction,
        amount_minor=amount_minor,
        reason=request.reason,
        note=check_note(request.note),
        actor=actor,
        bucket=request.bucket,
        expires_at=request.expires_at,
        corrects_id=request.corrects_id,
    )

    def decide(draft: Draft) -> Row:
        if principal.owns(draft.customer.external_id):
            raise OwnWallet
        if draft.wallet.currency != request.currency:
            raise CurrencyMismatch(given=request.currency, wallet=draft.wallet.currency)
        posted = rules.adjust(draft, adjustment)
        if request.notify and sends_emails and _reaches(draft):
            draft.add(adjustment_email(posted, draft.wallet, now=draft.now))
        return posted

    claim = IdempotencyClaim.of(
        actor, request.idempotency_key, "adjustBalance", _content(request, adjustment)
    )
    command = Command(
        "adjustBalance",
        actor,
        request.wallet,
        decide,
        claim,
        opens=True,
        corrects=adjustment.corrects_id,
    )
    outcome = await writer.submit(command)
    if isinstance(outcome.answer, Transaction) and outcome.wallet is not None:
        posted = transaction_of(outcome.answer)
        wallet = wallet_of(outcome.wallet)
        return Adjusted(wallet, posted, replayed=False, notified=await _is_notified(request, posted, wallet))
    transaction = await TransactionModel.get(id=outcome.result["Transaction"]).select_related("wallet")
    notified = await _is_notified(request, transaction, transaction.wallet)
    return Adjusted(transaction.wallet, transaction, replayed=True, notified=notified)


def _reaches(draft: Draft) -> bool:
    customer = draft.customer
    why = absence(
        EmailKind.ADJUSTMENT,
        kinds=draft.settings.email_kinds,
        switched_off=customer.emails_off,
        address=customer.email,
    )
    return why is None


async def _is_notified(request: AdjustmentRequest, posted: TransactionModel, wallet: Wallet) -> bool:
    if not request.notify:
        return False
    return await OutboxMessage.exists(id=message_id(posted.id, Channel.EMAIL, str(wallet.customer_id)))


def _content(request: AdjustmentRequest, adjustment: Adjustment) -> dict[str, Any]:
    return {
        "wallet": repr(request.wallet),
        "direction": adjustment.direction,
        "amount_minor": adjustment.amount_minor,
        "currency": request.currency,
        "reason": adjustment.reason,
        "note": adjustment.note,
        "bucket": adjustment.bucket,
        "expires_at": None if adjustment.expires_at is None else adjustment.expires_at.isoformat(),
        "corrects": None if adjustment.corrects_id is None else str(adjustment.corrects_id),
        # Left out where nobody is told, so that requests of before this was there are still the same.
        **({"notify": True} if request.notify else {}),
    }
