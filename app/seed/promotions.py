"""The demo's promotions: a campaign whose coupon is redeemed by customers, and one for orders."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.cashback.reward import Expiry
from app.domain.money import Currency
from app.domain.order import Coupon, OrderLine, OrderSnapshot, OrderStatus, StoreCustomer
from app.domain.page import PageRequest
from app.domain.promotion import PromotionStatus, Terms
from app.seed.orders import SOURCE, Act, Step
from app.seed.people import DEMO_CUSTOMER, FIRST_NUMBER
from app.seed.story import unit_of
from app.services import order as orders, promotion as promotions
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from app.services.promotion import CodesWanted, NewPromotion, PromotionFilter

HELLO = "HELLO-5"
"""The code that customers redeem by themselves."""
TEN = "SPRING-10"
"""The code that orders carry."""

_STORE = Principal(PrincipalKind.SERVICE, "storefront", capabilities=frozenset(Capability))
_JONAS = Principal(PrincipalKind.STAFF, "jonas", capabilities=frozenset({Capability.PROMOTIONS_WRITE}))
_CUSTOMERS = [str(FIRST_NUMBER + number) for number in range(60)]
_HELLO_NAME = "Hello again"
_TEN_NAME = "Ten percent back"
_NOTE = "Planned with marketing for this season"


def tell_promotions(currency: Currency) -> list[Step]:
    """Return what is asked for, in order, with amounts for this currency."""
    campaign = _Campaign(currency)
    told: list[tuple[int, Act]] = [
        (20, campaign.begins_hello),
        (20, campaign.makes(HELLO, _HELLO_NAME)),
        (20, campaign.begins_ten),
        (20, campaign.makes(TEN, _TEN_NAME)),
    ]
    told += [
        (19 - number % 15, campaign.redeems(who))
        for number, who in enumerate([DEMO_CUSTOMER, *_CUSTOMERS[:24]])
    ]
    for number, who in enumerate(_CUSTOMERS[40:48]):
        order, day = campaign.order(f"483{number:02}", who, 2_900 + number * 700), 16 - number
        told.append((day, campaign.tells(order, OrderStatus.PAID)))
        if number == 2:
            told.append((day - 1, campaign.tells(order, OrderStatus.CANCELLED)))
    told.sort(key=lambda step: -step[0])
    return [Step(day, f"seed:promotions:{number}", act) for number, (day, act) in enumerate(told)]


class _Campaign:
    """Makes the requests; prices are thought up in hundredths."""

    def __init__(self, currency: Currency) -> None:
        self._currency = currency
        self._unit = unit_of(currency.exponent)

    def _new(self, name: str, description: str, now: datetime, terms: Terms) -> NewPromotion:
        return NewPromotion(
            name=name,
            description=description,
            status=PromotionStatus.ACTIVE,
            currency=self._currency.code,
            terms=terms,
            starts_at=now,
            ends_at=(now + timedelta(days=80)).replace(hour=22, minute=0, second=0, microsecond=0),
            uses_max=1_000,
            budget_minor=400_000 * self._unit,
        )

    def makes(self, code: str, name: str) -> Act:
        """Return that a promotion, found by its name, gets a code."""

        async def act(writer: Writer, key: str, _now: datetime) -> object:
            wanted = PromotionFilter(search=name)
            page, _ = await promotions.page_of(wanted, PageRequest(first=1))
            codes = CodesWanted(code=code)
            return await promotions.create_codes(writer, _JONAS, page.rows[0].id, codes, idempotency_key=key)

        return act

    def begins_hello(self, writer: Writer, key: str, now: datetime) -> Awaitable[object]:
        """An amount for everybody, once."""
        terms = Terms(amount_minor=500 * self._unit, expiry=Expiry(days=90))
        wanted = self._new(_HELLO_NAME, "A little something for the next order", now, terms)
        return promotions.create(writer, _JONAS, wanted, note=_NOTE, idempotency_key=key)

    def begins_ten(self, writer: Writer, key: str, now: datetime) -> Awaitable[object]:
        """A percentage of orders above a minimum."""
        terms = Terms(
            percent_bp=1_000,
            cap_minor=2_000 * self._unit,
            minimum_minor=3_000 * self._unit,
            uses_per_customer=3,
            expiry=Expiry(days=60, end_of_month=True),
        )
        wanted = self._new(_TEN_NAME, "Ten percent of an order as store credit", now, terms)
        return promotions.create(writer, _JONAS, wanted, note=_NOTE, idempotency_key=key)

    def redeems(self, who: str) -> Act:
        """Return that a customer redeems the one code."""
        principal = Principal(PrincipalKind.CUSTOMER, who, customer_external_id=who)

        def act(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
            return promotions.redeem(
                writer, principal, WalletRef(external_id=who), HELLO, idempotency_key=key
            )

        return act

    def order(self, number: str, who: str, price: int) -> OrderSnapshot:
        """Return an order with the other code; the first ones are below its minimum."""
        return OrderSnapshot(
            source=SOURCE,
            external_id=number,
            number=number,
            modified_at=datetime.min.replace(tzinfo=UTC),
            status=OrderStatus.PENDING,
            store_status="",
            currency=self._currency.code,
            total_minor=price * self._unit,
            payment_method="card",
            customer=StoreCustomer(who),
            lines=(OrderLine("1", "Wool blanket", sku="WOOL-02", total_minor=price * self._unit),),
            coupons=(Coupon(TEN.lower()),),
        )

    def tells(self, told: OrderSnapshot, status: OrderStatus) -> Act:
        """Return that the store tells of an order."""

        def act(writer: Writer, key: str, now: datetime) -> Awaitable[object]:
            snapshot = replace(told, status=status, store_status=status.lower(), modified_at=now)
            return orders.record(writer, _STORE.actor, snapshot, idempotency_key=key)

        return act
