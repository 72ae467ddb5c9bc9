"""Promotions and coupon codes: listed, made, changed, looked at, redeemed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import strawberry

from app.context import AppInfo
from app.domain.cashback.condition import LineFilter
from app.domain.cashback.period import zone_of
from app.domain.cashback.reward import Expiry
from app.domain.errors import DomainError, NotStoresCurrency
from app.domain.money import Currency, currency_of, parse_amount
from app.domain.page import PageRequest
from app.domain.promotion import ADVICE, Terms, parse_percent
from app.resolvers.answering import answering, checked_key, optional_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import own_wallet, texts, wallet_ref
from app.schema.types.inputs import (
    INPUT,
    CreateCouponCodesInput,
    CreatePromotionInput,
    PromotionLinesInput,
    RedeemCouponInput,
    UpdatePromotionInput,
)
from app.schema.types.money import MoneyInput, money
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    CreateCouponCodesPayload,
    CreatePromotionPayload,
    RedeemCouponPayload,
    UpdatePromotionPayload,
)
from app.schema.types.promotion import (
    CouponCheck,
    CouponRedemption,
    Promotion,
    PromotionFilter,
    lines_of,
    percent,
)
from app.schema.types.scalars import DateTime
from app.schema.types.snapshot import CouponOrderInput, cart_of
from app.schema.types.wallet import Wallet
from app.services import promotion as promotions, settings as store_settings
from app.services.promotion import Checked, CodesWanted, NewPromotion, PromotionChange

PromotionId = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]


async def promotion(info: AppInfo, id: PromotionId) -> Promotion | None:  # noqa: A002
    """Find a promotion."""
    row = await info.context.loaders.promotions.load(decode_id(id, "Promotion", field=("id",)))
    return None if row is None else Promotion(model=row)


async def list_promotions(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None, strawberry.argument(description="A coupon code, or a part of the promotion's name.")
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        PromotionFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[Promotion]:
    """List the promotions."""
    given = filter or PromotionFilter()
    wanted = promotions.PromotionFilter(
        statuses=texts(given.statuses, "filter.statuses"),
        running_at=info.context.runtime.clock() if given.running else None,
        search=search,
    )
    page, query = await promotions.page_of(wanted, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: Promotion(model=row), query)


Code = Annotated[str, strawberry.argument(description="The code; capitals and small letters are the same.")]


async def check_coupon(
    info: AppInfo,
    code: Code,
    order: Annotated[
        CouponOrderInput | None, strawberry.argument(description="What the customer is about to buy.")
    ] = None,
) -> CouponCheck | None:
    """Look at a coupon."""
    now = info.context.runtime.clock()
    cart = None if order is None else cart_of(order, now)
    found = await promotions.check(info.context.principal, code, cart, now)
    if found is None:
        return None
    zone = zone_of((await store_settings.in_force()).settings.time_zone)
    return _check(found, found.promotion.terms.expiry.at(now, zone))


def _check(found: Checked, expires_at: datetime | None) -> CouponCheck:
    promotion, terms, worth = found.promotion, found.promotion.terms, found.worth
    ends_at = promotion.ends_at

    def shown(amount_minor: int | None) -> Any:
        return money(amount_minor, promotion.currency) if amount_minor else None

    return CouponCheck(
        code=found.code,
        name=promotion.name,
        description=promotion.description,
        gives=shown(worth.amount_minor),
        amount=shown(terms.amount_minor),
        percent=percent(terms.percent_bp),
        cap=shown(terms.cap_minor),
        minimum_spend=shown(terms.minimum_minor),
        missing=shown(worth.missing_minor),
        lines=lines_of(terms),
        ends_at=None if ends_at is None else DateTime(ends_at),
        expires_at=None if expires_at is None else DateTime(expires_at),
        problem=found.problem,
        message=None if found.problem is None else ADVICE[found.problem],
    )


@answering(CreatePromotionPayload)
async def create_promotion(
    info: AppInfo,
    input: Annotated[CreatePromotionInput, INPUT],  # noqa: A002
) -> CreatePromotionPayload:
    """Make a promotion."""
    currency = currency_of(info.context.runtime.settings.currency)
    wanted = NewPromotion(
        name=input.name,
        description=input.description or "",
        status=input.status,
        currency=currency.code,
        terms=Terms(
            amount_minor=_minor(input.amount, "amount", currency) or 0,
            percent_bp=0 if input.percent is None else parse_percent(input.percent),
            cap_minor=_minor(input.cap, "cap", currency),
            minimum_minor=_minor(input.minimum_spend, "minimumSpend", currency) or 0,
            lines=_line_filter(input.lines),
            first_time_only=input.first_time_only,
            uses_per_customer=input.uses_per_customer,
            expiry=Expiry(input.granted_for_days, input.granted_to_end_of_month),
        ),
        starts_at=input.starts_at,
        ends_at=input.ends_at,
        uses_max=input.uses_max,
        budget_minor=_minor(input.budget, "budget", currency),
    )
    with _naming_fields():
        done = await promotions.create(
            info.context.runtime.writer,
            info.context.principal,
            wanted,
            note=input.note,
            idempotency_key=optional_key(input.idempotency_key),
        )
    return CreatePromotionPayload(promotion=Promotion(model=done.promotion), replayed=done.replayed)


@answering(UpdatePromotionPayload)
async def update_promotion(
    info: AppInfo,
    input: Annotated[UpdatePromotionInput, INPUT],  # noqa: A002
) -> UpdatePromotionPayload:
    """Change a promotion."""
    currency = currency_of(info.context.runtime.settings.currency)
    with _naming_fields():
        done = await promotions.update(
            info.context.runtime.writer,
            info.context.principal,
            decode_id(input.promotion_id, "Promotion", field=("promotionId",)),
            PromotionChange(
                _changed_fields(input, currency), _changed_terms(input, currency), _changed_expiry(input)
            ),
            note=input.note,
            idempotency_key=optional_key(input.idempotency_key),
        )
    return UpdatePromotionPayload(promotion=Promotion(model=done.promotion), replayed=done.replayed)


def _changed_fields(given: UpdatePromotionInput, currency: Currency) -> dict[str, Any]:
    # A name, a description and a status are never taken away; limits and dates are, by null.
    kept = {name: getattr(given, name) for name in ("name", "description", "status") if getattr(given, name)}
    if given.description == "":
        kept["description"] = ""
    limits = {
        name: getattr(given, name)
        for name in ("starts_at", "ends_at", "uses_max")
        if getattr(given, name) is not strawberry.UNSET
    }
    if given.budget is not strawberry.UNSET:
        limits["budget_minor"] = _minor(given.budget, "budget", currency)
    return kept | limits


def _changed_terms(given: UpdatePromotionInput, currency: Currency) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if given.amount:
        changed |= {
            "amount_minor": _minor(given.amount, "amount", currency),
            "percent_bp": 0,
            "cap_minor": None,
        }
    if given.percent:
        changed |= {"percent_bp": parse_percent(given.percent)} | (
            {} if given.amount else {"amount_minor": 0}
        )
    if given.cap is not strawberry.UNSET:
        changed["cap_minor"] = _minor(given.cap, "cap", currency)
    if given.minimum_spend is not strawberry.UNSET:
        changed["minimum_minor"] = _minor(given.minimum_spend, "minimumSpend", currency) or 0
    if given.lines is not strawberry.UNSET:
        changed["lines"] = _line_filter(given.lines)
    if given.uses_per_customer is not strawberry.UNSET:
        changed["uses_per_customer"] = given.uses_per_customer
    if given.first_time_only is not strawberry.UNSET:
        changed["first_time_only"] = bool(given.first_time_only)
    return changed


def _changed_expiry(given: UpdatePromotionInput) -> dict[str, Any]:
    expiry: dict[str, Any] = {}
    if given.granted_for_days is not strawberry.UNSET:
        expiry["days"] = given.granted_for_days
    if given.granted_to_end_of_month is not strawberry.UNSET:
        expiry["end_of_month"] = bool(given.granted_to_end_of_month)
    return expiry


@answering(CreateCouponCodesPayload)
async def create_coupon_codes(
    info: AppInfo,
    input: Annotated[CreateCouponCodesInput, INPUT],  # noqa: A002
) -> CreateCouponCodesPayload:
    """Make codes."""
    generate = input.generate
    wanted = CodesWanted(
        code=input.code,
        count=None if generate is None else generate.count,
        prefix="" if generate is None else generate.prefix,
        csv=input.csv,
        uses_max=1 if generate is not None and input.uses_max is None else input.uses_max,
    )
    done = await promotions.create_codes(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.promotion_id, "Promotion", field=("promotionId",)),
        wanted,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return CreateCouponCodesPayload(
        promotion=Promotion(model=done.promotion), codes=done.codes, csv=done.csv, replayed=done.replayed
    )


@answering(RedeemCouponPayload)
async def redeem_coupon(
    info: AppInfo,
    input: Annotated[RedeemCouponInput, INPUT],  # noqa: A002
) -> RedeemCouponPayload:
    """Redeem a code."""
    principal = info.context.principal
    done = await promotions.redeem(
        info.context.runtime.writer,
        principal,
        wallet_ref(input.wallet) if input.wallet else own_wallet(principal),
        input.code,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return RedeemCouponPayload(
        wallet=Wallet(model=done.wallet),
        redemption=CouponRedemption(model=done.redemption),
        replayed=done.replayed,
    )


def _minor(given: MoneyInput | None, field: str, currency: Currency) -> int | None:
    if given is None:
        return None
    if given.currency != currency.code:
        raise NotStoresCurrency(given=given.currency, store=currency.code, field=(field, "currency"))
    return parse_amount(given.amount, currency, field=(field, "amount"))


def _line_filter(given: PromotionLinesInput | None) -> LineFilter:
    if given is None:
        return LineFilter()
    return LineFilter(
        categories_in=frozenset(given.categories or ()),
        categories_out=frozenset(given.except_categories or ()),
        products_in=frozenset(given.products or ()),
        products_out=frozenset(given.except_products or ()),
        skus_in=frozenset(given.skus or ()),
        skus_out=frozenset(given.except_skus or ()),
    )


_FIELDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("lines", "categoriesIn"): ("lines", "categories"),
    ("lines", "productsIn"): ("lines", "products"),
    ("lines", "skusIn"): ("lines", "skus"),
    ("lines", "categoriesOut"): ("lines", "exceptCategories"),
    ("lines", "productsOut"): ("lines", "exceptProducts"),
    ("lines", "skusOut"): ("lines", "exceptSkus"),
    ("expiry", "days"): ("grantedForDays",),
}


@contextmanager
def _naming_fields() -> Iterator[None]:
    """Have refusals name the fields of the input."""
    try:
        yield
    except DomainError as error:
        error.field = _FIELDS.get(error.field, error.field)
        raise
