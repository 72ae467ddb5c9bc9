"""Withdrawals: requested, taken back, decided, sent to the bank, and what became of them."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.errors import DomainError
from app.domain.order import check_id
from app.domain.page import PageRequest
from app.domain.payout_file import EXPORTED_MAX
from app.domain.withdrawal import WithdrawalStatus
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.error import user_error
from app.schema.types.filters import own_wallet, wallet_ref, withdrawal_filter
from app.schema.types.inputs import (
    INPUT,
    ApproveWithdrawalInput,
    ApproveWithdrawalsInput,
    CancelWithdrawalInput,
    ExportWithdrawalsInput,
    ImportWithdrawalResultsInput,
    MarkWithdrawalFailedInput,
    MarkWithdrawalPaidInput,
    MarkWithdrawalProcessingInput,
    MarkWithdrawalReturnedInput,
    RejectWithdrawalInput,
    RejectWithdrawalsInput,
    RequestWithdrawalInput,
    ResolveWithdrawalProblemInput,
    ReviewWithdrawalInput,
)
from app.schema.types.money import money
from app.schema.types.node import decode_id, encode_id
from app.schema.types.payloads import (
    ApproveWithdrawalPayload,
    ApproveWithdrawalsPayload,
    CancelWithdrawalPayload,
    ExportWithdrawalsPayload,
    ImportWithdrawalResultsPayload,
    MarkWithdrawalFailedPayload,
    MarkWithdrawalPaidPayload,
    MarkWithdrawalProcessingPayload,
    MarkWithdrawalReturnedPayload,
    PayoutFile,
    PayoutResult,
    RejectWithdrawalPayload,
    RejectWithdrawalsPayload,
    RequestWithdrawalPayload,
    ResolveWithdrawalProblemPayload,
    ReviewWithdrawalPayload,
    WithdrawalPayload,
    WithdrawalResult,
)
from app.schema.types.sort import SortDirection
from app.schema.types.wallet import Wallet
from app.schema.types.withdrawal import (
    Withdrawal,
    WithdrawalFilter,
    WithdrawalSort,
    WithdrawalSortField,
    withdrawal_type,
)
from app.services import (
    payout_batch as payout_batches,
    payout_method as payout_methods,
    settings as store_settings,
    withdrawal as withdrawals,
)
from app.services.withdrawal import Decided

A = TypeVar("A", bound=WithdrawalPayload)


async def list_withdrawals(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    statuses: Annotated[
        list[WithdrawalStatus] | None,
        strawberry.argument(
            description="Only in one of these states.", deprecation_reason="Use `filter.statuses`."
        ),
    ] = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="A reference (the withdrawal's, its batch's, the payer's), or parts of the customer's name, e-mail "
            "or store id."
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        WithdrawalFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
    sort: Annotated[
        WithdrawalSort | None, strawberry.argument(description="The order; newest first when left out.")
    ] = None,
) -> Connection[Withdrawal]:
    """List the store's withdrawals."""
    order = sort or WithdrawalSort(field=WithdrawalSortField.REQUESTED_AT, direction=SortDirection.DESC)
    currency = info.context.runtime.settings.currency
    query = await withdrawals.searched(withdrawal_filter(filter, search, statuses, currency))
    page = await withdrawals.page_of(
        query,
        PageRequest(first, after, last, before, offset),
        sort=order.field.value,
        descending=order.direction is SortDirection.DESC,
    )
    return connection(page, lambda row: Withdrawal(model=row), query)


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
        method=None if input.method is None else check_id(input.method, field="method"),
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


@answering(ReviewWithdrawalPayload)
async def review_withdrawal(
    info: AppInfo,
    input: Annotated[ReviewWithdrawalInput, INPUT],  # noqa: A002
) -> ReviewWithdrawalPayload:
    """Take a request into review."""
    done = await withdrawals.review(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(ReviewWithdrawalPayload, done)


@answering(ApproveWithdrawalPayload)
async def approve_withdrawal(
    info: AppInfo,
    input: Annotated[ApproveWithdrawalInput, INPUT],  # noqa: A002
) -> ApproveWithdrawalPayload:
    """Decide that a request is paid out."""
    done = await withdrawals.approve(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(ApproveWithdrawalPayload, done)


@answering(MarkWithdrawalProcessingPayload)
async def mark_withdrawal_processing(
    info: AppInfo,
    input: Annotated[MarkWithdrawalProcessingInput, INPUT],  # noqa: A002
) -> MarkWithdrawalProcessingPayload:
    """Write down that the money is being sent."""
    done = await withdrawals.mark_processing(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(MarkWithdrawalProcessingPayload, done)


@answering(MarkWithdrawalFailedPayload)
async def mark_withdrawal_failed(
    info: AppInfo,
    input: Annotated[MarkWithdrawalFailedInput, INPUT],  # noqa: A002
) -> MarkWithdrawalFailedPayload:
    """Write down that the money could not be sent."""
    done = await withdrawals.mark_failed(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(MarkWithdrawalFailedPayload, done)


@answering(MarkWithdrawalReturnedPayload)
async def mark_withdrawal_returned(
    info: AppInfo,
    input: Annotated[MarkWithdrawalReturnedInput, INPUT],  # noqa: A002
) -> MarkWithdrawalReturnedPayload:
    """Write down that the money came back."""
    done = await withdrawals.mark_returned(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(MarkWithdrawalReturnedPayload, done)


@answering(ResolveWithdrawalProblemPayload)
async def resolve_withdrawal_problem(
    info: AppInfo,
    input: Annotated[ResolveWithdrawalProblemInput, INPUT],  # noqa: A002
) -> ResolveWithdrawalProblemPayload:
    """Write down that a problem was looked at."""
    done = await withdrawals.resolve(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.withdrawal_id, "Withdrawal", field=("withdrawalId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(ResolveWithdrawalProblemPayload, done)


@answering(ApproveWithdrawalsPayload)
async def approve_withdrawals(
    info: AppInfo,
    input: Annotated[ApproveWithdrawalsInput, INPUT],  # noqa: A002
) -> ApproveWithdrawalsPayload:
    """Decide that several are paid out."""
    done = await withdrawals.approve_many(
        info.context.runtime.writer,
        info.context.principal,
        _ids(input.withdrawal_ids, withdrawals.DECIDED_MAX),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return ApproveWithdrawalsPayload(results=_results(done), replayed=done.replayed)


@answering(RejectWithdrawalsPayload)
async def reject_withdrawals(
    info: AppInfo,
    input: Annotated[RejectWithdrawalsInput, INPUT],  # noqa: A002
) -> RejectWithdrawalsPayload:
    """Refuse several."""
    done = await withdrawals.reject_many(
        info.context.runtime.writer,
        info.context.principal,
        _ids(input.withdrawal_ids, withdrawals.DECIDED_MAX),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return RejectWithdrawalsPayload(results=_results(done), replayed=done.replayed)


@answering(ExportWithdrawalsPayload)
async def export_withdrawals(
    info: AppInfo,
    input: Annotated[ExportWithdrawalsInput, INPUT],  # noqa: A002
) -> ExportWithdrawalsPayload:
    """Make a batch for the bank."""
    runtime = info.context.runtime
    currency = runtime.settings.currency
    ids = None if input.withdrawal_ids is None else _ids(input.withdrawal_ids, EXPORTED_MAX)
    wanted = None if input.filter is None else withdrawal_filter(input.filter, None, None, currency)
    done = await payout_batches.export(
        runtime.writer,
        info.context.principal,
        withdrawal_ids=ids,
        found=None if wanted is None else withdrawals.withdrawals(wanted),
        file_format=input.format,
        terms=(await store_settings.in_force()).settings.withdrawals,
        idempotency_key=checked_key(input.idempotency_key),
        request={"ids": ids and [str(one) for one in ids], "filter": repr(wanted)},
        now=runtime.clock(),
        open_details=partial(payout_methods.opened, runtime.sealer),
    )
    return ExportWithdrawalsPayload(
        file=None if done.file is None else _file(done.file, currency),
        results=[
            _result(row.withdrawal_id, withdrawal_type(row.withdrawal), row.refusal) for row in done.rows
        ],
        replayed=done.replayed,
    )


@answering(ImportWithdrawalResultsPayload)
async def import_withdrawal_results(
    info: AppInfo,
    input: Annotated[ImportWithdrawalResultsInput, INPUT],  # noqa: A002
) -> ImportWithdrawalResultsPayload:
    """Tell what the bank says became of payouts."""
    done = await payout_batches.take_results(
        info.context.runtime.writer,
        info.context.principal,
        input.content,
        idempotency_key=checked_key(input.idempotency_key),
    )
    results = [
        PayoutResult(
            line=row.line.line,
            reference=row.line.reference,
            withdrawal=None if row.withdrawal is None else Withdrawal(model=row.withdrawal),
            user_errors=[] if row.refusal is None else [user_error(row.refusal)],
        )
        for row in done.rows
    ]
    return ImportWithdrawalResultsPayload(results=results, replayed=done.replayed)


def _ids(given: Sequence[str], most: int) -> list[UUID]:
    # Too many are refused where they are counted; ids beyond that are not looked at.
    return [
        decode_id(one, "Withdrawal", field=("withdrawalIds", str(place)))
        for place, one in enumerate(given[: most + 1])
    ]


def _results(done: withdrawals.DecidedEach) -> list[WithdrawalResult]:
    return [
        _result(
            row.withdrawal_id, withdrawal_type(row.decided.withdrawal if row.decided else None), row.refusal
        )
        for row in done.rows
    ]


def _result(withdrawal_id: UUID, row: Withdrawal | None, refusal: DomainError | None) -> WithdrawalResult:
    return WithdrawalResult(
        withdrawal_id=encode_id("Withdrawal", withdrawal_id),
        withdrawal=row,
        user_errors=[] if refusal is None else [user_error(refusal)],
    )


def _file(file: payout_batches.File, currency: str) -> PayoutFile:
    return PayoutFile(
        batch_reference=file.reference,
        name=file.name,
        media_type=file.media_type,
        content=file.content,
        count=file.count,
        total=money(file.total_minor, currency),
    )


def _payload(kind: type[A], done: Decided) -> A:
    return kind(
        wallet=Wallet(model=done.wallet), withdrawal=Withdrawal(model=done.withdrawal), replayed=done.replayed
    )
