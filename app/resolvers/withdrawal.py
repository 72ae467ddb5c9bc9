"""Withdrawals: requested, taken back, decided."""

from typing import Annotated, TypeVar

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.domain.withdrawal import WithdrawalStatus
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import own_wallet, texts, wallet_ref
from app.schema.types.inputs import (
    INPUT,
    CancelWithdrawalInput,
    MarkWithdrawalPaidInput,
    RejectWithdrawalInput,
    RequestWithdrawalInput,
)
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    CancelWithdrawalPayload,
    MarkWithdrawalPaidPayload,
    RejectWithdrawalPayload,
    RequestWithdrawalPayload,
    WithdrawalPayload,
)
from app.schema.types.wallet import Wallet
from app.schema.types.withdrawal import Withdrawal
from app.services import withdrawal as withdrawals
from app.services.withdrawal import Decided, WithdrawalFilter

A = TypeVar("A", bound=WithdrawalPayload)


async def list_withdrawals(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    statuses: Annotated[
        list[WithdrawalStatus] | None, strawberry.argument(description="Only in one of these states.")
    ] = None,
) -> Connection[Withdrawal]:
    """List the store's withdrawals."""
    query = withdrawals.withdrawals(WithdrawalFilter(statuses=texts(statuses, "statuses")))
    page = await withdrawals.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: Withdrawal(model=row), query.count)


@answering(RequestWithdrawalPayload)
async def request_withdrawal(
    info: AppInfo,
    input: Annotated[RequestWithdrawalInput, INPUT],  # noqa: A002
) -> RequestWithdrawalPayload:
    """Ask to be paid out."""
    done = await withdrawals.request(
        info.context.runtime.writer,
        info.context.principal,
        wallet_ref(input.wallet) if input.wallet else own_wallet(info.context.principal),
        amount=input.amount.amount,
        currency=input.amount.currency,
        note=input.note or "",
        payout_method_id=None
        if input.payout_method_id is None
        else decode_id(input.payout_method_id, "PayoutMethod", field=("payoutMethodId",)),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(RequestWithdrawalPayload, done)


@answering(CancelWithdrawalPayload)
async def cancel_withdrawal(
    info: AppInfo,
    input: Annotated[CancelWithdrawalInput, INPUT],  # noqa: A002
) -> CancelWithdrawalPayload:
    """Take a request back."""
    done = await withdrawals.cancel(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(CancelWithdrawalPayload, done)


@answering(RejectWithdrawalPayload)
async def reject_withdrawal(
    info: AppInfo,
    input: Annotated[RejectWithdrawalInput, INPUT],  # noqa: A002
) -> RejectWithdrawalPayload:
    """Refuse a request."""
    done = await withdrawals.reject(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(RejectWithdrawalPayload, done)


@answering(MarkWithdrawalPaidPayload)
async def mark_withdrawal_paid(
    info: AppInfo,
    input: Annotated[MarkWithdrawalPaidInput, INPUT],  # noqa: A002
) -> MarkWithdrawalPaidPayload:
    """Write down that the money was sent."""
    done = await withdrawals.mark_paid(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        payout_reference=input.payout_reference,
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(MarkWithdrawalPaidPayload, done)


def _payload(kind: type[A], done: Decided) -> A:
    return kind(
        wallet=Wallet(model=done.wallet), withdrawal=Withdrawal(model=done.withdrawal), replayed=done.replayed
    )
