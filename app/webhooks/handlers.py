"""What follows from each kind of event: one use case each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from app.domain.access import Actor
from app.domain.catalog import CatalogKind, catalog_item
from app.domain.customer import WORD_MAX, WORDS_MAX, CustomerDetails
from app.domain.delivery import printable
from app.domain.errors import FieldInvalid, TextNotAllowed
from app.domain.money import currency_of
from app.domain.order import OrderSnapshot, StoreRefund
from app.services import catalog, event as events, top_up as top_ups
from app.services.customer import NAME_MAX, check_email, register
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from app.services.renewal import Announcement, announce
from app.webhooks.events import (
    CouponSeen,
    CustomerSeen,
    EventRecorded,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
    RefundSeen,
    RenewalAnnounced,
    TopUpRecorded,
)
from app.webhooks.processing import Handler


class Orders(Protocol):
    """The use cases of orders. Each reconciles, so that it may be called again and late."""

    async def record(self, writer: Writer, actor: Actor, snapshot: OrderSnapshot) -> Any:
        """Follow an order as it stands."""

    async def record_refund(
        self, writer: Writer, actor: Actor, source: str, order_external_id: str, refund: StoreRefund
    ) -> Any:
        """Follow one refund."""

    async def mark_deleted(
        self, writer: Writer, actor: Actor, source: str, external_id: str, at: datetime
    ) -> Any:
        """Follow an order into the bin."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers of one application."""

    writer: Writer
    orders: Orders

    def by_event(self) -> Mapping[type[Any], Handler]:
        """Return who handles what."""
        return {
            OrderSeen: self._order,
            RefundSeen: self._refund,
            OrderDeleted: self._deleted,
            CustomerSeen: self._customer,
            ProductSeen: self._product,
            CouponSeen: self._coupon,
            RenewalAnnounced: self._renewal,
            EventRecorded: self._event,
            TopUpRecorded: self._top_up,
        }

    async def _order(self, actor: Actor, event: OrderSeen) -> str:
        snapshot = await catalog.with_categories(event.snapshot)
        await self.orders.record(self.writer, actor, snapshot)
        return f"Order {snapshot.number or snapshot.external_id} is {snapshot.status.lower()}."

    async def _refund(self, actor: Actor, event: RefundSeen) -> str:
        known = await self.orders.record_refund(
            self.writer, actor, event.source, event.order_external_id, event.refund
        )
        if known is None:
            return f"Nobody's wallet is concerned with order {event.order_external_id} yet, so its refund is left to its own message."
        return f"Refund {event.refund.id} of order {event.order_external_id} was recorded."

    async def _deleted(self, actor: Actor, event: OrderDeleted) -> str:
        await self.orders.mark_deleted(self.writer, actor, event.source, event.external_id, event.at)
        return f"Order {event.external_id} was deleted."

    async def _customer(self, actor: Actor, event: CustomerSeen) -> str:
        customer = event.customer
        await register(
            self.writer,
            actor,
            external_id=customer.external_id,
            name=None if customer.name is None else printable(customer.name, NAME_MAX),
            email=_email(customer.email),
            details=_details(event.details),
            idempotency_key=None,
        )
        return f"Customer {customer.external_id} is known."

    async def _product(self, actor: Actor, event: ProductSeen) -> str:
        item = catalog_item(
            event.source,
            CatalogKind.PRODUCT,
            event.product_id,
            modified_at=event.modified_at,
            deleted=event.deleted,
            name=event.name,
            code=event.sku,
            categories=event.categories,
        )
        await catalog.remember(self.writer, actor, item)
        return f"Product {event.product_id} was {'deleted' if event.deleted else 'remembered'}."

    async def _coupon(self, actor: Actor, event: CouponSeen) -> str:
        item = catalog_item(
            event.source,
            CatalogKind.COUPON,
            event.coupon_id,
            modified_at=event.modified_at,
            deleted=event.deleted,
            code=event.code,
        )
        await catalog.remember(self.writer, actor, item)
        return f"Coupon {event.coupon_id} was {'deleted' if event.deleted else 'remembered'}."

    async def _renewal(self, actor: Actor, event: RenewalAnnounced) -> str:
        await announce(
            self.writer,
            actor,
            Announcement(
                wallet=WalletRef(external_id=event.customer_external_id),
                source=event.source,
                subscription=event.subscription,
                amount=currency_of(event.currency).format(event.amount_minor),
                currency=event.currency,
                due_at=event.due_at,
                description="",
                idempotency_key=None,
            ),
        )
        return f"The renewal of subscription {event.subscription} was announced."

    async def _event(self, actor: Actor, event: EventRecorded) -> str:
        await events.record(self.writer, actor, event.customer_external_id, event.told)
        return f"Event {event.told.name} {event.told.external_id} of customer {event.customer_external_id} was recorded."

    async def _top_up(self, actor: Actor, event: TopUpRecorded) -> str:
        ref = WalletRef(external_id=event.customer_external_id)
        done = await top_ups.record(self.writer, actor, ref, event.told, intent=event.intent)
        return f"Top-up {event.told.external_id} was recorded as {done.top_up.reference}."


def _details(told: CustomerDetails) -> CustomerDetails:
    """Return what can be kept: a customer must not go without a wallet because of too many, or too long, words."""
    return replace(told, roles=_words(told.roles), segments=_words(told.segments))


def _words(words: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    kept = (printable(word, WORD_MAX).strip() for word in words)
    return tuple(dict.fromkeys(word for word in kept if word))[:WORDS_MAX]


def _email(text: str | None) -> str | None:
    """Return an address if it is one: a customer must not go without a wallet because of a typing error in it."""
    if not text:
        # A store that says nothing takes nothing away.
        return None
    try:
        return check_email(text)
    except (FieldInvalid, TextNotAllowed):
        return None
