"""Top-ups that are begun here, and rules of automatic ones."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.auto_top_up import AutoTopUpStatus, ChargeOutcome
from app.domain.auto_top_up_charge import AutoTopUpTerms
from app.domain.errors import CurrencyMismatch, FieldInvalid
from app.domain.money import currency_of, parse_amount, parse_signed
from app.domain.page import PageRequest
from app.domain.top_up import TopUpTold
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.enums import ChargeStatus
from app.schema.types.filters import own_wallet, texts, wallet_ref
from app.schema.types.inputs import (
    INPUT,
    CancelAutoTopUpInput,
    CancelTopUpInput,
    PauseAutoTopUpInput,
    ReportAutoTopUpChargeInput,
    SetAutoTopUpInput,
    StartTopUpInput,
)
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    CancelAutoTopUpPayload,
    CancelTopUpPayload,
    PauseAutoTopUpPayload,
    ReportAutoTopUpChargePayload,
    SetAutoTopUpPayload,
    StartTopUpPayload,
)
from app.schema.types.top_up_intent import (
    AutoTopUp,
    AutoTopUpCharge,
    TopUpIntent,
    TopUpOptions,
    options_type,
)
from app.schema.types.wallet import Wallet, top_up_options_of
from app.services import auto_top_up as autos, top_up_intent as intents, wallet as wallets
from app.services.auto_top_up import Ruled
from app.services.ledger.command import WalletRef


async def top_up_options(info: AppInfo) -> TopUpOptions:
    """Tell what the caller can pay in."""
    principal = info.context.principal
    if principal.customer_external_id is not None:
        wallet = await wallets.find(WalletRef(external_id=principal.customer_external_id), principal)
        if wallet is not None:
            return await top_up_options_of(info, wallet)
    loaders, runtime = info.context.loaders, info.context.runtime
    settings = await loaders.settings.load(loaders.settings.IN_FORCE)
    return options_type(intents.options(settings, runtime.clock(), None, None), runtime.settings.currency)


async def list_charges(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    statuses: Annotated[
        list[ChargeStatus] | None,
        strawberry.argument(description="Only in one of these states; left out, those that are to be made."),
    ] = None,
) -> Connection[AutoTopUpCharge]:
    """List what the store is asked to charge."""
    query = autos.charges(texts(statuses, "statuses"))
    page = await autos.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: AutoTopUpCharge(model=row), query)


@answering(StartTopUpPayload)
async def start_top_up(
    info: AppInfo,
    input: Annotated[StartTopUpInput, INPUT],  # noqa: A002
) -> StartTopUpPayload:
    """Start a top-up."""
    principal = info.context.principal
    done = await intents.start(
        info.context.runtime.writer,
        principal,
        wallet_ref(input.wallet) if input.wallet else own_wallet(principal),
        amount=input.amount.amount,
        currency=input.amount.currency,
        payment_method=input.payment_method,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return StartTopUpPayload(
        wallet=Wallet(model=done.wallet), top_up_intent=TopUpIntent(model=done.intent), replayed=done.replayed
    )


@answering(CancelTopUpPayload)
async def cancel_top_up(
    info: AppInfo,
    input: Annotated[CancelTopUpInput, INPUT],  # noqa: A002
) -> CancelTopUpPayload:
    """Leave a top-up that was started."""
    done = await intents.cancel(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.top_up_intent_id, "TopUpIntent", field=("topUpIntentId",)),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return CancelTopUpPayload(
        wallet=Wallet(model=done.wallet), top_up_intent=TopUpIntent(model=done.intent), replayed=done.replayed
    )


@answering(SetAutoTopUpPayload)
async def set_auto_top_up(
    info: AppInfo,
    input: Annotated[SetAutoTopUpInput, INPUT],  # noqa: A002
) -> SetAutoTopUpPayload:
    """Make or change a rule."""
    principal, currency = info.context.principal, input.amount.currency
    known, threshold = currency_of(currency), input.threshold
    if threshold is not None and threshold.currency != currency:
        raise CurrencyMismatch(given=threshold.currency, wallet=currency, field=("threshold", "currency"))
    terms = AutoTopUpTerms(
        kind=input.kind,
        amount_minor=parse_amount(input.amount.amount, known, field=("amount", "amount")),
        payment_method=input.payment_method,
        payment_token=input.payment_token,
        threshold_minor=None
        if threshold is None
        else parse_amount(threshold.amount, known, field=("threshold", "amount")),
        day_of_month=input.day_of_month,
    )
    ref = wallet_ref(input.wallet) if input.wallet else own_wallet(principal)
    key = checked_key(input.idempotency_key)
    done = await autos.set_rule(info.context.runtime.writer, principal, ref, terms, currency, key)
    return SetAutoTopUpPayload(
        wallet=Wallet(model=done.wallet), auto_top_up=AutoTopUp(model=done.rule), replayed=done.replayed
    )


@answering(PauseAutoTopUpPayload)
async def pause_auto_top_up(
    info: AppInfo,
    input: Annotated[PauseAutoTopUpInput, INPUT],  # noqa: A002
) -> PauseAutoTopUpPayload:
    """Pause a rule."""
    done = await _stop(info, input.auto_top_up_id, AutoTopUpStatus.PAUSED, input.idempotency_key)
    return PauseAutoTopUpPayload(
        wallet=Wallet(model=done.wallet), auto_top_up=AutoTopUp(model=done.rule), replayed=done.replayed
    )


@answering(CancelAutoTopUpPayload)
async def cancel_auto_top_up(
    info: AppInfo,
    input: Annotated[CancelAutoTopUpInput, INPUT],  # noqa: A002
) -> CancelAutoTopUpPayload:
    """End a rule."""
    done = await _stop(info, input.auto_top_up_id, AutoTopUpStatus.CANCELLED, input.idempotency_key)
    return CancelAutoTopUpPayload(
        wallet=Wallet(model=done.wallet), auto_top_up=AutoTopUp(model=done.rule), replayed=done.replayed
    )


async def _stop(info: AppInfo, id_: strawberry.ID, status: AutoTopUpStatus, key: str) -> Ruled:
    return await autos.stop(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(id_, "AutoTopUp", field=("autoTopUpId",)),
        status,
        idempotency_key=checked_key(key),
    )


@answering(ReportAutoTopUpChargePayload)
async def report_auto_top_up_charge(
    info: AppInfo,
    input: Annotated[ReportAutoTopUpChargeInput, INPUT],  # noqa: A002
) -> ReportAutoTopUpChargePayload:
    """Tell what came of a charge."""
    writer, principal = info.context.runtime.writer, info.context.principal
    charge_id = decode_id(input.charge_id, "AutoTopUpCharge", field=("chargeId",))
    key = checked_key(input.idempotency_key)
    if input.outcome is ChargeOutcome.DECLINED:
        if input.paid is not None:
            raise FieldInvalid(
                "Nothing is paid by a charge that was declined. Leave it out.", field=("paid",)
            )
        done = await autos.hear_declined(
            writer, principal, charge_id, input.problem or "", idempotency_key=key
        )
    else:
        if input.problem is not None:
            raise FieldInvalid("A charge that was paid has no problem. Leave it out.", field=("problem",))
        done = await autos.hear_paid(writer, principal, charge_id, _told(input), idempotency_key=key)
    return ReportAutoTopUpChargePayload(
        wallet=Wallet(model=done.wallet),
        auto_top_up_charge=AutoTopUpCharge(model=done.charge),
        replayed=done.replayed,
    )


def _told(given: ReportAutoTopUpChargeInput) -> TopUpTold:
    if given.paid is None or given.source is None or given.external_id is None:
        name = "paid" if given.paid is None else "source" if given.source is None else "externalId"
        raise FieldInvalid("Give this with a charge that was paid.", field=(name,))
    paid = given.paid
    return TopUpTold(
        source=given.source,
        external_id=given.external_id,
        paid_minor=parse_signed(paid.amount, currency_of(paid.currency), field=("paid", "amount")),
        currency=paid.currency,
        payment_method=given.payment_method,
    )
