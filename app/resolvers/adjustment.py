"""Adjustments of balances."""

from typing import Annotated

from app.context import AppInfo
from app.resolvers.answering import answering, checked_key
from app.schema.types.filters import wallet_ref
from app.schema.types.inputs import INPUT, AdjustBalanceInput
from app.schema.types.node import decode_id
from app.schema.types.payloads import AdjustBalancePayload
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
from app.services import adjustment as adjustments
from app.services.adjustment import AdjustmentRequest


@answering(AdjustBalancePayload)
async def adjust_balance(
    info: AppInfo,
    input: Annotated[AdjustBalanceInput, INPUT],  # noqa: A002
) -> AdjustBalancePayload:
    """Post an adjustment."""
    corrects_id = None
    if input.corrects is not None:
        corrects_id = decode_id(input.corrects, "Transaction", field=("corrects",))
    done = await adjustments.adjust(
        info.context.runtime.writer,
        info.context.principal,
        AdjustmentRequest(
            wallet=wallet_ref(input.wallet),
            direction=input.direction,
            amount=input.amount.amount,
            currency=input.amount.currency,
            reason=input.reason,
            note=input.note,
            bucket=input.bucket,
            expires_at=input.expires_at,
            corrects_id=corrects_id,
            idempotency_key=checked_key(input.idempotency_key),
            notify=input.notify_customer,
        ),
        sends_emails=info.context.runtime.settings.smtp_url is not None,
    )
    return AdjustBalancePayload(
        wallet=Wallet(model=done.wallet),
        transaction=Transaction(model=done.transaction),
        replayed=done.replayed,
        customer_notified=done.notified,
    )
