"""Promotions by worked examples, each with its arithmetic, and what holds whatever happens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.cashback.condition import LineFilter
from app.domain.cashback.occasion import Grant
from app.domain.cashback.reward import Expiry
from app.domain.errors import CouponNotUsable, DomainError, FieldInvalid, NotFound, PromotionArchived
from app.domain.hold import HoldPurpose
from app.domain.ledger import Draft
from app.domain.order import Coupon, Order, OrderLine, OrderSnapshot, OrderStatus, RefundedLine, StoreRefund
from app.domain.promotion import (
    ADVICE,
    CouponCode,
    CouponProblem,
    CouponRedemption,
    Promotion,
    PromotionStatus,
    PromotionUse,
    Terms,
    check_code,
    code_id,
    codes_of,
    follow,
    grants_of,
    limit_of,
    normal_code,
    parse_percent,
    redeem,
    take_back,
    worth_of,
)
from tests.domain.book import START, Book

STORE = Actor(ActorKind.SERVICE, "store")
SPRING = UUID(int=10**20)
P = CouponProblem

LAMP = OrderLine(
    "1",
    "Lamp",
    "p-1",
    sku="LAMP",
    categories=("Home",),
    subtotal_minor=6_000,
    total_minor=5_000,
    tax_minor=950,
)
CUPS = OrderLine(
    "2", "Cup", "p-2", "v-2", "CUP", ("Kitchen", "Home"), Decimal(3), subtotal_minor=3_333, total_minor=3_333
)
GIFT = OrderLine("3", "Card", "p-3", sku="CARD", categories=("Cards",), total_minor=0)


def order(*lines: OrderLine, shipping: int = 490, **parts: Any) -> OrderSnapshot:
    """An order of these lines that costs what they cost."""
    total = sum(line.total_minor + line.tax_minor for line in lines) + shipping
    told = OrderSnapshot(
        "shop",
        "1042",
        START,
        OrderStatus.PAID,
        "paid",
        "USD",
        total,
        shipping_minor=shipping,
        lines=lines,
        placed_at=START,
    )
    return replace(told, **parts)


def promotion(**parts: Any) -> Promotion:
    """A promotion that runs: 5.00 for everybody, once each, unless it is said otherwise."""
    names = {
        "status",
        "starts_at",
        "ends_at",
        "uses_max",
        "budget_minor",
        "uses",
        "granted_minor",
        "currency",
    }
    fields = {name: parts.pop(name) for name in names & set(parts)}
    if "percent_bp" not in parts:
        parts.setdefault("amount_minor", 500)
    whole = Promotion(
        SPRING, "Spring", "", PromotionStatus.ACTIVE, "USD", Terms(**parts), None, None, None, None, 0, 0, START, START
    )  # fmt: skip
    return replace(whole, **fields)


def code(text: str = "SPRING", **parts: Any) -> CouponCode:
    """A code of it."""
    return replace(CouponCode(code_id(text), SPRING, UUID(int=1), text, None, 0, START), **parts)


BOTH = order(LAMP, CUPS)

WORTH: list[tuple[str, dict[str, Any], OrderSnapshot | None, int, CouponProblem | None, int]] = [
    ("an amount, by itself", {}, None, 500, None, 0),
    ("an amount, for an order", {}, BOTH, 500, None, 0),
    ("an amount above the order's", {"amount_minor": 90_000}, BOTH, 90_000, None, 0),
    ("a percentage, by itself", {"percent_bp": 1_000}, None, 0, P.ONLY_AT_CHECKOUT, 0),
    ("a minimum, by itself", {"minimum_minor": 1}, None, 0, P.ONLY_AT_CHECKOUT, 0),
    ("certain products, by themselves", {"lines": LineFilter(skus_in=frozenset({"CUP"}))}, None, 0, P.ONLY_AT_CHECKOUT, 0),
    # 59.50 + 33.33 = 92.83; shipping is no product. 10 %: 9.283, half up 9.28.
    ("10 % with tax", {"percent_bp": 1_000}, BOTH, 928, None, 0),
    # 15 % of 33.33 = 4.9995, half up 5.00.
    ("15 % of the cups", {"percent_bp": 1_500, "lines": LineFilter(skus_in=frozenset({"CUP"}))}, BOTH, 500, None, 0),
    # 12.34 % of 59.50 = 7.3423.
    ("of a product", {"percent_bp": 1_234, "lines": LineFilter(products_in=frozenset({"p-1"}))}, BOTH, 734, None, 0),
    ("of a variation", {"percent_bp": 10_000, "lines": LineFilter(products_in=frozenset({"v-2"}))}, BOTH, 3_333, None, 0),
    ("of a category", {"percent_bp": 1_000, "lines": LineFilter(categories_in=frozenset({"Kitchen"}))}, BOTH, 333, None, 0),
    ("of all but a category", {"percent_bp": 1_000, "lines": LineFilter(categories_out=frozenset({"Kitchen"}))}, BOTH, 595, None, 0),
    ("of nothing that is there", {"lines": LineFilter(skus_in=frozenset({"PEN"}))}, BOTH, 0, P.NOTHING_MATCHES, 0),
    ("of what is in and out", {"lines": LineFilter(categories_in=frozenset({"Home"}), skus_out=frozenset({"LAMP", "CUP"}))}, BOTH, 0, P.NOTHING_MATCHES, 0),
    ("of what costs nothing", {"lines": LineFilter(skus_in=frozenset({"CARD"}))}, order(GIFT), 0, P.NOTHING_MATCHES, 0),
    ("capped", {"percent_bp": 1_000, "cap_minor": 900}, BOTH, 900, None, 0),
    ("below its cap", {"percent_bp": 1_000, "cap_minor": 929}, BOTH, 928, None, 0),
    ("exactly its minimum", {"minimum_minor": 9_283}, BOTH, 500, None, 0),
    ("a cent below its minimum", {"minimum_minor": 9_284}, BOTH, 0, P.BELOW_MINIMUM, 1),
    ("a minimum of the cups alone", {"minimum_minor": 4_000, "lines": LineFilter(skus_in=frozenset({"CUP"}))}, BOTH, 0, P.BELOW_MINIMUM, 667),
    # 0.01 % of 0.49 = 0.000049.
    ("less than a cent", {"percent_bp": 1}, order(replace(CUPS, total_minor=49)), 0, P.NOTHING_LEFT, 0),
    # 1 % of 0.50 = 0.005, half up 0.01.
    ("half a cent", {"percent_bp": 100}, order(replace(CUPS, total_minor=50)), 1, None, 0),
    # Without its lines an order is one piece: 100.00 - 4.90 of shipping.
    ("an order without its lines", {"percent_bp": 1_000}, order(total_minor=10_000), 951, None, 0),
    ("certain products of an order without lines", {"lines": LineFilter(skus_in=frozenset({"CUP"}))}, order(total_minor=10_000), 0, P.NOTHING_MATCHES, 0),
    ("an order in another currency", {}, replace(BOTH, currency="EUR"), 0, P.OTHER_CURRENCY, 0),
    ("all of it", {"percent_bp": 10_000}, BOTH, 9_283, None, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "told", "amount", "problem", "missing"),
    [row[1:] for row in WORTH],
    ids=[row[0] for row in WORTH],
)
def test_what_a_coupon_is_worth(
    terms: dict[str, Any],
    told: OrderSnapshot | None,
    amount: int,
    problem: CouponProblem | None,
    missing: int,
) -> None:
    found = worth_of(promotion(**terms), told)
    assert (found.amount_minor, found.problem, found.missing_minor) == (amount, problem, missing)
    if found.lines:
        assert sum(line.amount_minor for line in found.lines) == amount


def test_a_percentage_is_divided_over_its_lines() -> None:
    found = worth_of(promotion(percent_bp=1_000), BOTH)
    # 928 x 5950 / 9283 = 594.80 and 928 x 3333 / 9283 = 333.19: the larger rest gets the cent.
    assert [(line.line_id, line.amount_minor, line.worth_minor) for line in found.lines] == [
        ("1", 595, 5_950),
        ("2", 333, 3_333),
    ]


LIMITS: list[tuple[dict[str, Any], dict[str, Any], int, int, bool, CouponProblem | None]] = [
    ({}, {}, 0, 500, True, None),
    ({}, {}, 0, 500, False, None),
    ({}, {}, 1, 500, True, P.USED_BY_CUSTOMER),
    ({"uses_per_customer": 3}, {}, 2, 500, True, None),
    ({"uses_per_customer": 3}, {}, 3, 500, True, P.USED_BY_CUSTOMER),
    ({"uses_per_customer": None}, {}, 10**6, 500, True, None),
    ({"first_time_only": True}, {}, 0, 500, True, None),
    ({"first_time_only": True}, {}, 0, 500, False, P.NOT_FIRST_ORDER),
    ({"first_time_only": True, "uses_per_customer": None}, {}, 1, 500, True, P.USED_BY_CUSTOMER),
    ({"uses_max": 10, "uses": 9}, {}, 0, 500, True, None),
    ({"uses_max": 10, "uses": 10}, {}, 0, 500, True, P.USED_UP),
    ({}, {"uses_max": 1, "uses": 1}, 0, 500, True, P.USED_UP),
    ({}, {"uses_max": 2, "uses": 1}, 0, 500, True, None),
    ({"budget_minor": 1_000, "granted_minor": 500}, {}, 0, 500, True, None),
    ({"budget_minor": 1_000, "granted_minor": 501}, {}, 0, 500, True, P.BUDGET_SPENT),
    ({"budget_minor": 1_000, "granted_minor": 501}, {}, 0, 499, True, None),
]


@pytest.mark.parametrize(("terms", "of_code", "used", "amount", "first_time", "problem"), LIMITS)
def test_limits(
    terms: dict[str, Any],
    of_code: dict[str, Any],
    used: int,
    amount: int,
    first_time: bool,
    problem: CouponProblem | None,
) -> None:
    assert limit_of(promotion(**terms), code(**of_code), used, amount, first_time=first_time) is problem


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("parts", "running"),
    [
        ({}, True),
        ({"starts_at": START}, True),
        ({"starts_at": START + timedelta(microseconds=1)}, False),
        ({"ends_at": START}, False),
        ({"ends_at": START + timedelta(microseconds=1)}, True),
        ({"starts_at": START - HOUR, "ends_at": START + HOUR}, True),
        *(({"status": status}, False) for status in PromotionStatus if status is not PromotionStatus.ACTIVE),
    ],
)
def test_running(parts: dict[str, Any], running: bool) -> None:
    assert promotion(**parts).is_running(START) is running


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("WELCOME-10", "WELCOME-10"),
        ("  welcome-10 ", "WELCOME-10"),
        ("ＷＥＬＣＯＭＥ", "WELCOME"),
        ("a_1", "A_1"),
        ("AB", None),
        ("-ABC", None),
        ("=CMD()", None),
        ("TEN OFF", None),
        ("ÄÖÜ", None),
        ("A" * 48, "A" * 48),
        ("A" * 49, None),
        ("ABC\u0000", None),
        ("", None),
    ],
)
def test_codes_in_normal_form(text: str, kept: str | None) -> None:
    assert normal_code(text) == kept
    if kept is None:
        with pytest.raises(FieldInvalid, match="Choose one such as"):
            check_code(text)


@pytest.mark.parametrize(
    ("text", "points"), [("10", 1_000), ("0.01", 1), ("100", 10_000), ("12.5", 1_250), ("12.50", 1_250)]
)
def test_percentages(text: str, points: int) -> None:
    assert parse_percent(text) == points


@pytest.mark.parametrize("text", ["0", "-1", "100.01", "0.001", "1e9"])
def test_percentages_that_can_not_be_meant(text: str) -> None:
    with pytest.raises(FieldInvalid):
        parse_percent(text)


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"amount_minor": 0}, ("amount",)),
        ({"percent_bp": 100, "amount_minor": 1}, ("amount",)),
        ({"percent_bp": 10_001}, ("percent",)),
        ({"cap_minor": 1}, ("cap",)),
        ({"uses_per_customer": 0}, ("usesPerCustomer",)),
        ({"uses_max": 0}, ("usesMax",)),
        ({"uses_max": 1, "uses": 2}, ("usesMax",)),
        ({"budget_minor": 1, "granted_minor": 2}, ("budget",)),
        ({"starts_at": START, "ends_at": START}, ("endsAt",)),
        ({"expiry": Expiry(0)}, ("expiry", "days")),
    ],
)
def test_promotions_that_can_not_be_meant(parts: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(FieldInvalid) as refused:
        promotion(**parts).check()
    assert refused.value.field == path


def test_terms_are_read_as_they_were_written() -> None:
    terms = Terms(
        0, 1_250, 900, 5_000, LineFilter(categories_in=frozenset({"a", "b"})), True, None, Expiry(7, True)
    )
    assert Terms.from_data(terms.as_data()) == terms
    assert Terms.from_data({"amount_minor": 5, "of a newer version": 1}) == Terms(amount_minor=5)


def test_an_archived_promotion_stays_as_it_is() -> None:
    with pytest.raises(PromotionArchived):
        promotion(status=PromotionStatus.ARCHIVED).require_open()


def test_every_problem_has_words_for_the_customer() -> None:
    assert set(ADVICE) == set(CouponProblem)


def test_codes_of_an_order_are_ours_once() -> None:
    coupons = (Coupon("spring"), Coupon("SPRING "), Coupon("ten off"), Coupon("AUTUMN"))
    assert codes_of(replace(BOTH, coupons=coupons), None, BOTH) == ("SPRING", "AUTUMN")


# --- on a wallet --------------------------------------------------------------------------------------------


class Campaign(Book):
    """A wallet, a promotion with one code, and an order."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        self.rows.put(promotion(**parts))
        self.rows.put(code())
        self.order = Order.opened("shop", "1042", START)

    @property
    def promotion(self) -> Promotion:
        found = self.rows[SPRING]
        assert isinstance(found, Promotion)
        return found

    @property
    def redemptions(self) -> list[CouponRedemption]:
        return [row for row in self.rows.values() if isinstance(row, CouponRedemption)]

    def redeem(self, *, first_time: bool = True) -> CouponRedemption:
        return self.do(lambda draft: redeem(draft, "SPRING", SPRING, first_time=first_time, actor=STORE))

    def tell(self, told: OrderSnapshot, *refunds: StoreRefund, settled: bool = True) -> None:
        """As the services do it: what is to be taken back first, then what is granted."""
        self.order = replace(self.order, basis=told, snapshot=told)

        def decide(draft: Draft) -> None:
            take_back(draft, self.order, refunds, is_settled=settled, actor=STORE)
            follow(draft, self.order, is_settled=settled, first_time=True, actor=STORE)

        self.do(decide)
        self.audit()

    def audit(self) -> None:
        """The counts are those of the redemptions, within every limit."""
        counted = [row for row in self.redemptions if row.counts]
        found = self.promotion
        assert (found.uses, found.granted_minor) == (len(counted), sum(row.amount_minor for row in counted))
        assert found.uses_max is None or found.uses <= found.uses_max
        assert found.budget_minor is None or found.granted_minor <= found.budget_minor
        (row,) = (row for row in self.rows.values() if isinstance(row, CouponCode))
        assert row.uses == len(counted)
        uses = [row.uses for row in self.rows.values() if isinstance(row, PromotionUse)]
        assert sum(uses) == len(counted)


COUPON = (Coupon("spring"),)
WITH_COUPON = replace(BOTH, coupons=COUPON)


def test_redeemed_with_an_expiry() -> None:
    book = Campaign(expiry=Expiry(days=10))
    found = book.redeem()
    assert found.expires_at == datetime(2026, 3, 12, tzinfo=UTC)
    assert (book.lots(), book.promotion.uses) == ([(Bucket.PROMO, 500, 0)], 1)
    with pytest.raises(CouponNotUsable, match="used this coupon already"):
        book.redeem()


def test_not_running_and_unknown_are_one() -> None:
    said = set()
    for parts in ({"status": PromotionStatus.PAUSED}, {"ends_at": START}, {"starts_at": START + HOUR}):
        with pytest.raises(NotFound) as refused:
            Campaign(**parts).redeem()
        said.add((refused.value.message, refused.value.field))
    with pytest.raises(NotFound) as refused:
        Campaign().do(lambda draft: redeem(draft, "OTHER", SPRING, first_time=True, actor=STORE))
    assert said == {(refused.value.message, refused.value.field)}


def test_a_code_that_moved_meanwhile_is_unknown() -> None:
    book = Campaign()
    book.rows.put(code(promotion_id=UUID(int=7)))
    with pytest.raises(NotFound):
        book.redeem()


def test_what_an_order_grants_earns_no_cashback() -> None:
    book = Campaign(percent_bp=1_000)
    book.tell(WITH_COUPON)
    assert book.do(lambda draft: grants_of(draft, book.order.id)) == (Grant("SPRING", 928),)
    book.tell(WITH_COUPON, settled=False)
    assert book.do(lambda draft: grants_of(draft, book.order.id)) == ()


def test_only_what_was_granted_is_taken() -> None:
    """Other bonus money that expires later, and some that expires sooner, stay."""
    book = Campaign(percent_bp=1_000, expiry=Expiry(days=10))
    book.credit(300, Bucket.PROMO, hours=1)
    book.tell(WITH_COUPON)
    book.credit(400, Bucket.PROMO, hours=10**4)
    book.debit(500)
    # 300 of the first, 200 of the coupon's 928.
    assert book.lots() == [(Bucket.PROMO, 728, 0), (Bucket.PROMO, 400, 0)]
    book.tell(WITH_COUPON, settled=False)
    assert book.lots() == [(Bucket.PROMO, 400, 0)]
    (found,) = book.redemptions
    assert (found.taken.lots_minor, found.taken.left_minor, found.counts) == (728, 200, True)


def test_what_is_held_is_not_taken() -> None:
    book = Campaign()
    book.tell(WITH_COUPON)
    book.do(lambda draft: draft.reserve(200, HoldPurpose.PAYMENT))
    book.tell(WITH_COUPON, settled=False)
    assert book.lots() == [(Bucket.PROMO, 0, 200)]


# --- whatever happens ---------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 10**6)
ORDER_LINES = st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=6)
PROMOTIONS = st.one_of(
    st.fixed_dictionaries({"amount_minor": st.integers(1, 10**6)}),
    st.fixed_dictionaries(
        {"percent_bp": st.integers(1, 10_000), "cap_minor": st.none() | st.integers(1, 10**6)}
    ),
)


def made_of(amounts: list[tuple[int, int]]) -> OrderSnapshot:
    """An order of lines with these amounts and taxes."""
    lines = [OrderLine(str(n), total_minor=net, tax_minor=tax) for n, (net, tax) in enumerate(amounts)]
    return order(*lines, coupons=COUPON)


@given(PROMOTIONS, ORDER_LINES)
def test_a_percentage_is_never_more_than_its_lines_or_its_cap(
    terms: dict[str, Any], amounts: list[tuple[int, int]]
) -> None:
    told, found = made_of(amounts), promotion(**terms)
    worth = worth_of(found, told)
    if found.terms.percent_bp:
        assert worth.amount_minor <= told.total_minor - told.shipping_minor
        assert worth.amount_minor <= (found.terms.cap_minor or worth.amount_minor)
        assert sum(line.amount_minor for line in worth.lines) == worth.amount_minor


@given(PROMOTIONS, ORDER_LINES)
def test_a_full_refund_takes_all_back(terms: dict[str, Any], amounts: list[tuple[int, int]]) -> None:
    book, told = Campaign(**terms), made_of(amounts)
    book.tell(told)
    book.tell(told, StoreRefund("1", told.total_minor))
    assert book.posted == 0


@given(PROMOTIONS, ORDER_LINES, st.data())
def test_refunds_take_no_more_than_was_granted_and_withdrawn_they_take_nothing(
    terms: dict[str, Any], amounts: list[tuple[int, int]], data: st.DataObject
) -> None:
    book, told = Campaign(**terms), made_of(amounts)
    book.tell(told)
    granted = book.posted
    refunds = []
    for number, line in enumerate(told.lines):
        net, tax = (data.draw(st.integers(0, part)) for part in (line.total_minor, line.tax_minor))
        refunds.append(StoreRefund(str(number), net + tax, tax, lines=(RefundedLine(line.id, amount_minor=net, tax_minor=tax),)))  # fmt: skip
        before = book.posted
        book.tell(told, *refunds)
        assert 0 <= book.posted <= before
    book.tell(told)
    assert book.posted == granted


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.booleans()),
        st.tuples(st.just("refund"), st.integers(1, 10_000)),
        st.tuples(st.just("redeem"), st.booleans()),
        st.tuples(st.just("spend"), st.integers(1, 900)),
        st.tuples(st.just("wait"), st.integers(1, 100)),
    ),
    max_size=12,
)
LIMITED = st.fixed_dictionaries(
    {
        "uses_max": st.none() | st.integers(1, 3),
        "budget_minor": st.none() | st.integers(1, 2_000),
        "uses_per_customer": st.none() | st.integers(1, 3),
        "expiry": st.sampled_from([Expiry(), Expiry(2)]),
    }
)


@given(LIMITED, STEPS)
def test_no_limit_is_ever_exceeded(limits: dict[str, Any], steps: list[tuple[str, Any]]) -> None:
    """Orders told of, paid and called off, refunds that come and go, spending, time: the counts stay right."""
    book = Campaign(**limits)
    refund: tuple[StoreRefund, ...] = ()
    for what, value in steps:
        if what == "tell":
            book.tell(WITH_COUPON, *refund, settled=value)
        elif what == "refund":
            refund = (StoreRefund("1", value),)
        elif what == "wait":
            book.after(hours=value)
        else:
            try:
                _ = book.redeem() if what == "redeem" else book.debit(value)
            except DomainError:
                continue
        book.audit()
    book.tell(WITH_COUPON, settled=False)
    assert not any(row.order_id and row.counts and not row.taken.left_minor for row in book.redemptions)


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_told_often_an_order_grants_what_it_grants_told_once(told: list[bool]) -> None:
    book = Campaign(percent_bp=1_000)
    for settled in told:
        for _ in range(2):
            book.tell(WITH_COUPON, settled=settled)
    assert book.posted == (928 if told[-1] else 0)
    assert len(book.redemptions) == (1 if any(told) else 0)
