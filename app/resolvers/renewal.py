"""Renewals of subscriptions: listed, announced, charged, called off."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key, optional_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import wallet_ref
from app.schema.types.inputs import INPUT, AnnounceRenewalInput, CancelRenewalInput, ChargeRenewalInput
from app.schema.types.money import money
from app.schema.types.order import Order
from app.schema.types.payloads import AnnounceRenewalPayload, CancelRenewalPayload, ChargeRenewalPayload
from app.schema.types.renewal import Renewal
from app.schema.types.scalars import DateTime
from app.schema.types.wallet import Wallet
from app.services import renewal as renewals
from app.services.renewal import Announcement, ChargeRequest


async def list_renewals(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    due_before: Annotated[
        DateTime | None, strawberry.argument(description="Only those that are due before this time.")
    ] = None,
) -> Connection[Renewal]:
    """List the renewals that are to come."""
    query = renewals.upcoming(due_before)
    page = await renewals.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: Renewal(model=row), query)


@answering(ChargeRenewalPayload)
async def charge_renewal(
    info: AppInfo,
    input: Annotated[ChargeRenewalInput, INPUT],  # noqa: A002
) -> ChargeRenewalPayload:
    """Take a renewal's money."""
    request = ChargeRequest(
        wallet=wallet_ref(input.wallet),
        source=input.order.source,
        external_id=input.order.external_id,
        subscription=input.subscription,
        amount=input.amount.amount,
        currency=input.amount.currency,
        idempotency_key=checked_key(input.idempotency_key),
    )
    done = await renewals.charge(info.context.runtime.writer, info.context.principal.actor, request)
    payments = await info.context.loaders.payments_of_order.load(done.order.id)
    taken_minor = sum(payment.captured_minor - payment.returned_minor for payment in payments)
    return ChargeRenewalPayload(
        wallet=Wallet(model=done.wallet),
        order=Order(model=done.order),
        taken=money(taken_minor, done.wallet.currency),
        shortfall=money(done.order.shortfall_minor, done.wallet.currency),
        replayed=done.replayed,
    )


@answering(AnnounceRenewalPayload)
async def announce_renewal(
    info: AppInfo,
    input: Annotated[AnnounceRenewalInput, INPUT],  # noqa: A002
) -> AnnounceRenewalPayload:
    """Tell what a renewal will cost."""
    announcement = Announcement(
        wallet=wallet_ref(input.wallet),
        source=input.source,
        subscription=input.subscription,
        amount=input.amount.amount,
        currency=input.amount.currency,
        due_at=input.due_at,
        description=input.description or "",
        idempotency_key=optional_key(input.idempotency_key),
    )
    done = await renewals.announce(info.context.runtime.writer, info.context.principal.actor, announcement)
    return AnnounceRenewalPayload(renewal=Renewal(model=done.renewal), replayed=done.replayed)


@answering(CancelRenewalPayload)
async def cancel_renewal(
    info: AppInfo,
    input: Annotated[CancelRenewalInput, INPUT],  # noqa: A002
) -> CancelRenewalPayload:
    """Call a renewal off."""
    done = await renewals.call_off(
        info.context.runtime.writer,
        info.context.principal.actor,
        input.source,
        input.subscription,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return CancelRenewalPayload(renewal=Renewal(model=done.renewal), replayed=done.replayed)
