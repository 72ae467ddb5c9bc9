"""Promotions through the services, on both databases: to the cent, to the lot, to the use."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.domain.bucket import Bucket
from app.domain.cashback.condition import LineFilter
from app.domain.cashback.reward import Expiry
from app.domain.errors import CouponNotUsable, InsufficientFunds, NameTaken, NotFound
from app.domain.order import Coupon, OrderLine, OrderSnapshot, OrderStatus, RefundedLine, StoreRefund
from app.domain.promotion import PromotionStatus
from app.domain.settings import CaptureOn, StoreSettings
from app.services import order as orders, promotion as promotions, withdrawal as withdrawals
from app.services.ledger.records import read_json
from app.services.ledger.writer import Writer
from app.services.verification import verify
from tests.auditor import audit, read_tables
from tests.ledger import START, Clock, change_settings, credit, debit, freeze, named, paying_out
from tests.orders import (
    MANAGER,
    STORE,
    at,
    balance_of,
    id_of,
    lots_of,
    order_row,
    pay,
    refund,
    shopper,
    snapshot,
    tell,
)
from tests.promotions import coupon, promotion, redeem, redemptions, totals

PENDING, PAID, COMPLETED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.COMPLETED
CANCELLED, FAILED = OrderStatus.CANCELLED, OrderStatus.FAILED

LINES = (
    OrderLine("1", "Lamp", "p-1", sku="LAMP", categories=("Home",), subtotal_minor=6_000, total_minor=5_000, tax_minor=1_000),
    OrderLine("2", "Cup", "p-2", sku="CUP", categories=("Kitchen",), subtotal_minor=3_000, total_minor=3_000),
)  # fmt: skip


@pytest.fixture(autouse=True)
async def verified(writer: Writer) -> AsyncIterator[None]:
    """What every test leaves behind is verified too, beside the audit that the writer's fixture makes."""
    yield
    report = await verify()
    assert report.faults == []
    assert report.is_clean


def told(minute: float, status: OrderStatus, *codes: str, total: int = 10_000, **parts: Any) -> OrderSnapshot:
    """The store's word of an order with coupons: 60.00 of lamp with tax, 30.00 of cup, 10.00 of shipping."""
    more = {
        "lines": LINES,
        "shipping_minor": 1_000,
        "tax_minor": 1_000,
        "placed_at": START - timedelta(hours=1),
    }
    coupons = tuple(Coupon(code) for code in codes)
    return snapshot(minute, status, total, coupons=coupons, **{**more, **parts})


def line_refund(number: int, line: str, amount: int, tax: int = 0) -> StoreRefund:
    """A refund of a part of a line."""
    lines = (RefundedLine(line, amount_minor=amount, tax_minor=tax),)
    return StoreRefund(str(number), amount + tax, tax, lines=lines, created_at=at(number / 60))


# --- by the customer ----------------------------------------------------------------------------------------


async def test_redeemed_by_its_customer(writer: Writer) -> None:
    code = await coupon(writer, await promotion(writer, expiry=Expiry(10)))
    done = await redeem(writer, "ada", f" {code.lower()} ", key="k1")
    assert (done.redemption.status, done.redemption.amount_minor, done.wallet.posted_minor) == (
        "GRANTED",
        500,
        500,
    )
    # Ten days of the store's calendar, the last one whole.
    assert done.redemption.expires_at == (START + timedelta(days=11)).replace(hour=0)
    again = await redeem(writer, "ada", f" {code.lower()} ", key="k1")
    assert (again.replayed, again.redemption.id) == (True, done.redemption.id)
    with pytest.raises(CouponNotUsable):
        await redeem(writer, "ada", code)
    assert await lots_of("ada") == [("PROMO", 500, 0)]
    (posted,) = (await read_tables())["transactions"]
    assert (posted["kind"], posted["counter_account"]) == ("PROMOTION", "MARKETING")


async def test_a_frozen_wallet_is_granted_too(writer: Writer) -> None:
    code = await coupon(writer, await promotion(writer))
    await writer.submit(credit("ada", 100))
    await writer.submit(freeze("ada"))
    assert (await redeem(writer, "ada", code)).wallet.posted_minor == 600


async def test_what_settles_an_overdraft_is_in_no_lot(writer: Writer) -> None:
    settings = StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=10_000)
    await writer.submit(change_settings(settings))
    await writer.submit(credit("ada", 100))
    await writer.submit(debit("ada", 900))
    done = await redeem(writer, "ada", await coupon(writer, await promotion(writer)))
    assert (done.wallet.posted_minor, done.redemption.lots) == (-300, [])


async def test_promotional_money_is_never_paid_out(writer: Writer) -> None:
    await writer.submit(change_settings(paying_out(StoreSettings())))
    await redeem(writer, "ada", await coupon(writer, await promotion(writer)))
    await writer.submit(credit("ada", 300))
    with pytest.raises(InsufficientFunds) as refused:
        await withdrawals.request(
            writer, shopper("ada"), named("ada"), amount="3.01", currency="USD", note="", idempotency_key="w"
        )
    assert refused.value.available_minor == 300
    await withdrawals.request(
        writer, shopper("ada"), named("ada"), amount="3.00", currency="USD", note="", idempotency_key="w"
    )
    assert await lots_of("ada") == [("PROMO", 500, 0), ("CASH", 0, 300)]


async def test_promotional_money_is_spent_before_cash(writer: Writer) -> None:
    await writer.submit(credit("ada", 300))
    await redeem(writer, "ada", await coupon(writer, await promotion(writer)))
    await pay(writer, "ada", 600, order="1042", total=600)
    assert await lots_of("ada") == [("CASH", 200, 0)]


async def test_limits_of_a_code_and_of_its_promotion(writer: Writer) -> None:
    found = await promotion(writer, uses_max=3, uses_per_customer=None, budget_minor=10_000)
    once, often = await coupon(writer, found, uses_max=1), await coupon(writer, found)
    await redeem(writer, "ada", once)
    with pytest.raises(CouponNotUsable):
        await redeem(writer, "bob", once)
    await redeem(writer, "ada", often)
    await redeem(writer, "ada", often)
    with pytest.raises(CouponNotUsable):
        await redeem(writer, "eve", often)
    assert await totals(found) == (3, 1_500)


async def test_a_budget_is_never_exceeded(writer: Writer) -> None:
    found = await promotion(writer, budget_minor=1_400)
    code = await coupon(writer, found)
    await redeem(writer, "ada", code)
    await redeem(writer, "bob", code)
    with pytest.raises(CouponNotUsable):
        await redeem(writer, "eve", code)
    assert await totals(found) == (2, 1_000)


async def test_a_code_moves_once_its_promotion_is_archived(writer: Writer) -> None:
    first, second = await promotion(writer), await promotion(writer, amount_minor=700)
    code = await coupon(writer, first)
    with pytest.raises(NameTaken):
        await coupon(writer, second, code=code)
    await redeem(writer, "ada", code)
    change = promotions.PromotionChange({"status": PromotionStatus.ARCHIVED}, {}, {})
    await promotions.update(writer, MANAGER, first, change, note="The season is over", idempotency_key=None)
    with pytest.raises(NotFound):
        await redeem(writer, "bob", code)
    assert await coupon(writer, second, code=code) == code
    # What it was before plays no part: ada has used the one promotion, not the other.
    assert (await redeem(writer, "ada", code)).wallet.posted_minor == 1_200
    assert (await totals(first), await totals(second)) == ((1, 500), (1, 700))


async def test_many_codes_at_once(writer: Writer) -> None:
    found = await promotion(writer)
    wanted = promotions.CodesWanted(count=10_000, prefix="spring", uses_max=1)
    made = await promotions.create_codes(writer, MANAGER, found, wanted, idempotency_key="k")
    assert len(set(made.codes)) == 10_000
    assert made.csv.splitlines()[:2] == ["code", made.codes[0]]
    assert all(code.startswith("SPRING-") for code in made.codes)
    again = await promotions.create_codes(writer, MANAGER, found, wanted, idempotency_key="k")
    assert (again.replayed, again.codes) == (True, made.codes)
    assert (await redeem(writer, "ada", made.codes[7])).wallet.posted_minor == 500


async def test_codes_of_a_file(writer: Writer) -> None:
    found = await promotion(writer)
    wanted = promotions.CodesWanted(csv="\ufeffCode;x,other\r\n")
    with pytest.raises(Exception, match="A code has"):
        await promotions.create_codes(writer, MANAGER, found, wanted, idempotency_key="k")
    wanted = promotions.CodesWanted(
        csv='\ufeffcode,batch\r\nwelcome-10,1\r\n\r\n"Welcome-20",2\r\nWELCOME-10,3\r\n'
    )
    made = await promotions.create_codes(writer, MANAGER, found, wanted, idempotency_key="k")
    assert made.codes == ["WELCOME-10", "WELCOME-20"]
    again = await promotions.create_codes(writer, MANAGER, found, wanted, idempotency_key="k")
    assert (again.replayed, again.codes) == (True, made.codes)


# --- by an order --------------------------------------------------------------------------------------------


async def test_an_order_grants_once_it_is_settled(writer: Writer) -> None:
    found = await promotion(writer, amount_minor=0, percent_bp=1_000)
    code = await coupon(writer, found)
    await tell(writer, told(0, PENDING, code))
    assert await redemptions() == []
    await tell(writer, told(1, PAID, code.lower()))
    # 10 % of 60.00 and 30.00, tax included; shipping is no product.
    (row,) = await redemptions()
    assert (row["status"], row["amount_minor"], row["order_id"]) == (
        "GRANTED",
        900,
        (await order_row())["id"],
    )
    for minute, status in ((1, PAID), (0, PENDING), (2, COMPLETED), (3, COMPLETED)):
        await tell(writer, told(minute, status, code))
    assert (await balance_of("ada"), await totals(found)) == ((900, 0), (1, 900))
    (posted,) = (await read_tables())["transactions"]
    assert posted["order_id"] == row["order_id"]


async def test_a_store_that_charges_on_delivery(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(capture_on=CaptureOn.COMPLETED)))
    code = await coupon(writer, await promotion(writer))
    await tell(writer, told(0, PAID, code))
    assert await redemptions() == []
    await tell(writer, told(1, COMPLETED, code))
    assert await balance_of("ada") == (500, 0)


async def test_an_order_that_is_called_off_gives_its_use_back(writer: Writer) -> None:
    found = await promotion(writer, uses_max=1)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    await tell(writer, told(1, CANCELLED, code))
    assert (await balance_of("ada"), await totals(found)) == ((0, 0), (0, 0))
    (row,) = await redemptions()
    assert (row["status"], row["counts"]) == ("TAKEN_BACK", 0)
    # Reopened, it is granted again; were somebody else quicker, it would say why not.
    await tell(writer, told(2, PAID, code))
    assert (await balance_of("ada"), await totals(found)) == ((500, 0), (1, 500))
    await tell(writer, told(3, FAILED, code))
    await redeem(writer, "bob", code)
    await tell(writer, told(4, PAID, code))
    (mine,) = [row for row in await redemptions() if row["order_id"]]
    assert (mine["status"], mine["problem"], mine["counts"]) == ("TAKEN_BACK", "USED_UP", 0)
    assert (await balance_of("ada"), await totals(found)) == ((0, 0), (1, 500))


async def test_what_was_spent_stays_with_the_customer(writer: Writer) -> None:
    found = await promotion(writer, uses_max=1)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    await writer.submit(credit("ada", 1_000, bucket=Bucket.PROMO))
    await pay(writer, "ada", 300, order="2000", total=300)
    assert await lots_of("ada") == [("PROMO", 200, 0), ("PROMO", 1_000, 0)]
    await tell(writer, told(1, CANCELLED, code))
    # Only the very money that the coupon granted is taken, never the other bonus; and its use is not free again.
    assert await lots_of("ada") == [("PROMO", 1_000, 0)]
    assert await totals(found) == (1, 500)
    (row,) = await redemptions()
    taken = read_json(row["taken"])
    assert (taken["lots_minor"], taken["left_minor"]) == (200, 300)


@pytest.mark.parametrize(
    ("refunds", "left"),
    [
        ((), 900),
        ((line_refund(1, "2", 3_000),), 600),
        ((line_refund(1, "2", 1_000),), 800),
        ((line_refund(1, "1", 2_500, 500),), 600),
        ((line_refund(1, "1", 5_000, 1_000), line_refund(2, "2", 3_000)), 0),
        ((StoreRefund("1", 1_000, shipping_minor=1_000, created_at=at(0)),), 900),
        ((StoreRefund("1", 5_000, created_at=at(0)),), 450),
        ((StoreRefund("1", 10_000, created_at=at(0)),), 0),
    ],
)
async def test_a_percentage_goes_back_line_by_line(
    writer: Writer, refunds: tuple[StoreRefund, ...], left: int
) -> None:
    found = await promotion(writer, amount_minor=0, percent_bp=1_000)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    await tell(writer, told(1, PAID, code, refunds=refunds, paid_otherwise_minor=10_000))
    promo = sum(free for bucket, free, _ in await lots_of("ada") if bucket == "PROMO")
    assert promo == left
    # What the store withdraws counts again.
    await tell(writer, told(2, PAID, code, paid_otherwise_minor=10_000))
    promo = sum(free for bucket, free, _ in await lots_of("ada") if bucket == "PROMO")
    assert (promo, await totals(found)) == (900, (1, 900))


async def test_an_amount_goes_back_with_the_whole_order(writer: Writer) -> None:
    found = await promotion(writer)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code, paid_otherwise_minor=10_000))
    await refund(writer, 9_999)
    assert await balance_of("ada") == (500, 0)
    await refund(writer, 1)
    assert await balance_of("ada") == (0, 0)
    (row,) = await redemptions()
    assert (row["status"], await totals(found)) == ("TAKEN_BACK", (1, 500))


async def test_a_coupon_that_is_taken_off_the_order(writer: Writer) -> None:
    found = await promotion(writer)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    await tell(writer, told(1, PAID))
    assert (await balance_of("ada"), await totals(found)) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("terms", "parts", "problem"),
    [
        ({"minimum_minor": 9_000}, {}, None),
        ({"minimum_minor": 9_001}, {}, "BELOW_MINIMUM"),
        ({"minimum_minor": 3_001, "lines": LineFilter(skus_in=frozenset({"CUP"}))}, {}, "BELOW_MINIMUM"),
        ({"lines": LineFilter(products_in=frozenset({"p-9"}))}, {}, "NOTHING_MATCHES"),
        ({"starts_at": START}, {}, "NOT_RUNNING"),
        ({"starts_at": START}, {"placed_at": START}, None),
        ({"ends_at": START - timedelta(minutes=30)}, {}, None),
        ({"ends_at": START - timedelta(hours=1)}, {}, "NOT_RUNNING"),
        ({"status": PromotionStatus.DRAFT}, {}, "NOT_RUNNING"),
        ({"budget_minor": 499}, {}, "BUDGET_SPENT"),
    ],
)
async def test_why_a_coupon_gave_nothing(
    writer: Writer, terms: dict[str, Any], parts: dict[str, Any], problem: str | None
) -> None:
    code = await coupon(writer, await promotion(writer, **terms))
    await tell(writer, told(0, PAID, code, **parts))
    (row,) = await redemptions()
    assert row["problem"] == problem
    assert await balance_of("ada") == ((0, 0) if problem else (500, 0))


async def test_a_coupon_is_tried_again_when_the_order_is_told_of_again(writer: Writer) -> None:
    found = await promotion(writer, minimum_minor=9_500)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    lines = (*LINES, OrderLine("3", "Spoon", total_minor=500))
    await tell(writer, told(1, PAID, code, lines=lines, total=10_500))
    (row,) = await redemptions()
    assert (row["status"], row["problem"], await totals(found)) == ("GRANTED", None, (1, 500))


async def test_first_time_customers(writer: Writer) -> None:
    code = await coupon(writer, await promotion(writer, first_time_only=True, uses_per_customer=5))
    await tell(writer, snapshot(0, PAID, 1_000, order="1", customer="bob"))
    await tell(writer, told(1, PAID, code, order="2", customer="bob"))
    await tell(writer, told(1, PAID, code, order="3"))
    await tell(writer, told(2, PAID, code, order="4"))
    found = {row["order_id"]: row["problem"] for row in await redemptions()}
    assert sorted(map(str, found.values())) == ["NOT_FIRST_ORDER", "NOT_FIRST_ORDER", "None"]
    assert (await balance_of("ada"), await balance_of("bob")) == ((500, 0), (0, 0))


async def test_two_codes_of_one_promotion_on_one_order(writer: Writer) -> None:
    found = await promotion(writer)
    first, second = await coupon(writer, found), await coupon(writer, found)
    await tell(writer, told(0, PAID, first, second, first.lower()))
    assert [row["problem"] for row in sorted(await redemptions(), key=lambda row: -row["counts"])] == [
        None,
        "USED_BY_CUSTOMER",
    ]
    assert await totals(found) == (1, 500)


async def test_a_guests_coupon_waits_for_its_customer(writer: Writer) -> None:
    code = await coupon(writer, await promotion(writer))
    await tell(writer, told(0, PAID, code, customer=None))
    assert await redemptions() == []
    await orders.claim(writer, STORE.actor, id_of("1042"), "ada", idempotency_key="k")
    assert await balance_of("ada") == (500, 0)


async def test_an_order_that_changes_hands_grants_once(writer: Writer) -> None:
    found = await promotion(writer)
    code = await coupon(writer, found)
    await tell(writer, told(0, PAID, code))
    await tell(writer, told(1, PAID, code, customer="bob"))
    assert (await balance_of("ada"), await totals(found)) == ((500, 0), (1, 500))


async def test_codes_of_the_stores_own_are_none_of_ours(writer: Writer) -> None:
    await tell(writer, told(0, PAID, "TEN OFF", "FREESHIP", "%"))
    assert await redemptions() == []


async def test_money_of_a_coupon_that_came_back_can_be_spent_for_a_while(
    writer: Writer, clock: Clock
) -> None:
    """Expired meanwhile, what was taken for a refund that the store withdraws has the store's grace period."""
    code = await coupon(writer, await promotion(writer, amount_minor=0, percent_bp=1_000, expiry=Expiry(1)))
    whole = (StoreRefund("1", 10_000, created_at=at(0)),)
    await tell(writer, told(0, PAID, code, paid_otherwise_minor=10_000))
    await tell(writer, told(1, PAID, code, paid_otherwise_minor=10_000, refunds=whole))
    clock.move(days=3)
    await tell(writer, told(2, PAID, code, paid_otherwise_minor=10_000))
    assert ("PROMO", 900, 0) in await lots_of("ada")


async def test_the_books_of_a_campaign_add_up(writer: Writer) -> None:
    """A check of the audit itself: a use too many is found."""
    await redeem(writer, "ada", await coupon(writer, await promotion(writer)))
    tables = await read_tables()
    audit(tables)
    tables["promotions"][0]["uses"] += 1
    with pytest.raises(AssertionError):
        audit(tables)
