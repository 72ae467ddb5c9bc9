"""Money that customers paid in."""

from typing import Annotated

from app.context import AppInfo
from app.domain.errors import CurrencyMismatch
from app.domain.money import currency_of, parse_signed
from app.domain.top_up import TopUpTold
from app.resolvers.answering import answering, checked_key
from app.schema.types.filters import wallet_ref
from app.schema.types.inputs import INPUT, RecordTopUpInput
from app.schema.types.money import MoneyInput
from app.schema.types.payloads import RecordTopUpPayload
from app.schema.types.top_up import TopUp
from app.schema.types.wallet import Wallet
from app.services import top_up as top_ups


@answering(RecordTopUpPayload)
async def record_top_up(
    info: AppInfo,
    input: Annotated[RecordTopUpInput, INPUT],  # noqa: A002
) -> RecordTopUpPayload:
    """Tell of a top-up."""
    currency, face = input.paid.currency, input.face_value
    if face is not None and face.currency != currency:
        raise CurrencyMismatch(given=face.currency, wallet=currency, field=("faceValue", "currency"))
    told = TopUpTold(
        source=input.source,
        external_id=input.external_id,
        paid_minor=_minor(input.paid, "paid"),
        currency=currency,
        face_value_minor=None if face is None else _minor(face, "faceValue"),
        payment_method=input.payment_method,
        paid_at=input.paid_at,
        modified_at=input.modified_at,
    )
    principal = info.context.principal
    done = await top_ups.record(
        info.context.runtime.writer,
        principal.actor,
        wallet_ref(input.wallet),
        told,
        intent=input.intent,
        own=principal.customer_external_id,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return RecordTopUpPayload(
        wallet=Wallet(model=done.wallet), top_up=TopUp(model=done.top_up), replayed=done.replayed
    )


def _minor(given: MoneyInput, name: str) -> int:
    return parse_signed(given.amount, currency_of(given.currency), field=(name, "amount"))
