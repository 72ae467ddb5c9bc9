"""The demo customer's orders: what the storefront, the store and its staff ask for, through the services they use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.money import Currency
from app.domain.order import OrderLine, OrderSnapshot, OrderStatus, StoreCustomer, order_id
from app.domain.payment import CaptureMethod
from app.seed.people import DEMO_CUSTOMER
from app.seed.story import unit_of
from app.services import order as orders, payment as payments, refund as refunds, renewal as renewals
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from app.services.payment import OrderToPay, PaymentRequest
from app.services.refund import LineRequest, RefundRequest
from app.services.renewal import Announcement, ChargeRequest

SOURCE = "storefront"
_WALLET = WalletRef(external_id=DEMO_CUSTOMER)
_SELF = Principal(PrincipalKind.CUSTOMER, DEMO_CUSTOMER, customer_external_id=DEMO_CUSTOMER)
_STORE = Principal(PrincipalKind.SERVICE, "storefront", capabilities=frozenset(Capability))
_MIRA = Principal(PrincipalKind.STAFF, "mira", capabilities=frozenset({Capability.REFUNDS_WRITE}))
_SUBSCRIPTION = "coffee-2044"
_KEEPS_MINUTES = 43_200

Act = Callable[[Writer, str, datetime], Awaitable[object]]
"""Takes the writer, the idempotency key and the time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request: `day` counts back from the story's end, as in the rest of it."""

    day: int
    key: str
    act: Act


def tell_orders(currency: Currency) -> list[Step]:
    """Return what is asked for, in order, with amounts for this currency."""
    shop = _Shop(currency)
    told = [
        *((24, act) for act in shop.lamp_and_cups()),
        (21, shop.tells(shop.lamp, OrderStatus.COMPLETED)),
        (19, shop.refunds_a_cup),
        *((18, act) for act in shop.partly_by_card()),
        (17, shop.renews),
        (12, shop.authorizes("48202", 4_500, 2_000)),
        (12, shop.tells(shop.told("48202", 4_500), OrderStatus.PENDING)),
        (11, shop.tells(shop.told("48202", 4_500), OrderStatus.CANCELLED)),
        (3, shop.announces),
        (1, shop.authorizes("48290", 2_400, 800)),
        (1, shop.tells(shop.told("48290", 2_400), OrderStatus.PENDING)),
    ]
    return [Step(day, f"seed:orders:{number}", act) for number, (day, act) in enumerate(told)]


class _Shop:
    """Makes the requests; prices are thought up in hundredths."""

    def __init__(self, currency: Currency) -> None:
        self._currency = currency
        self._unit = unit_of(currency.exponent)
        lines = (
            OrderLine("1", "Desk lamp", sku="LAMP-01", categories=("Home",), total_minor=self._minor(3_490)),
            OrderLine("2", "Espresso cup", sku="CUP-04", quantity=Decimal(4), total_minor=self._minor(2_400)),
        )
        self.lamp = replace(self.told("48131", 6_380), lines=lines, shipping_minor=self._minor(490))

    def _minor(self, price: int) -> int:
        return price * self._unit

    def _text(self, price: int) -> str:
        return self._currency.format(self._minor(price))

    def told(self, number: str, price: int) -> OrderSnapshot:
        """Return what the store tells of an order; when and how it stands is said later."""
        return OrderSnapshot(
            source=SOURCE,
            external_id=number,
            number=number,
            modified_at=datetime.min.replace(tzinfo=UTC),
            status=OrderStatus.PENDING,
            store_status="",
            currency=self._currency.code,
            total_minor=self._minor(price),
            customer=StoreCustomer(DEMO_CUSTOMER),
        )

    def tells(self, told: OrderSnapshot, status: OrderStatus) -> Act:
        """Return that the store tells of an order."""

        def act(writer: Writer, key: str, now: datetime) -> Awaitable[object]:
            snapshot = replace(told, status=status, store_status=status.lower(), modified_at=now)
            return orders.record(writer, _STORE.actor, snapshot, idempotency_key=key)

        return act

    def authorizes(self, number: str, price: int, part: int) -> Act:
        """Return that the customer chooses to pay a part of an order from the wallet."""

        def act(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
            request = PaymentRequest(
                wallet=_WALLET,
                order=OrderToPay(SOURCE, number, self._text(price), self._currency.code),
                amount=self._text(part),
                currency=self._currency.code,
                buckets=None,
                lifetime_minutes=_KEEPS_MINUTES,
                capture=CaptureMethod.AUTOMATIC,
                idempotency_key=key,
            )
            return payments.authorize(writer, _SELF, request)

        return act

    def lamp_and_cups(self) -> tuple[Act, ...]:
        """Paid wholly from the wallet."""
        return self.authorizes("48131", 6_380, 6_380), self.tells(self.lamp, OrderStatus.PAID)

    def partly_by_card(self) -> tuple[Act, ...]:
        """Paid from the wallet in part, the rest by card."""
        told = replace(
            self.told("48177", 12_000), paid_otherwise_minor=self._minor(9_000), payment_method="card"
        )
        return self.authorizes("48177", 12_000, 3_000), self.tells(told, OrderStatus.COMPLETED)

    def refunds_a_cup(self, writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
        """Staff refund one of four cups."""
        request = RefundRequest(
            order_id=order_id(SOURCE, "48131"),
            amount=None,
            currencies=(),
            lines=(LineRequest("2", Decimal(1), None),),
            shipping=None,
            with_shipping=False,
            destination=None,
            bucket=None,
            note="One cup of order 48131 arrived with a crack, photo in the ticket, customer keeps the rest",
            store_refund_id=None,
            idempotency_key=key,
        )
        return refunds.refund(writer, _MIRA, request)

    def renews(self, writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
        """The subscription's renewal of this month."""
        request = ChargeRequest(
            wallet=_WALLET,
            source=SOURCE,
            external_id="48181",
            subscription=_SUBSCRIPTION,
            amount=self._text(1_490),
            currency=self._currency.code,
            idempotency_key=key,
        )
        return renewals.charge(writer, _STORE.actor, request)

    def announces(self, writer: Writer, key: str, now: datetime) -> Awaitable[object]:
        """The subscription's renewal of next month."""
        announcement = Announcement(
            wallet=_WALLET,
            source=SOURCE,
            subscription=_SUBSCRIPTION,
            amount=self._text(1_490),
            currency=self._currency.code,
            due_at=(now + timedelta(days=16)).replace(hour=6, minute=0, second=0, microsecond=0),
            description="Coffee of the month, 500 g",
            idempotency_key=key,
        )
        return renewals.announce(writer, _STORE.actor, announcement)
