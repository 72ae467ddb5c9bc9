"""Promotions: made and changed; their codes made, looked at and redeemed."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.domain import promotion as rules
from app.domain.access import Capability, Principal
from app.domain.audit import AuditAction, AuditEntry, changes
from app.domain.cashback.data import plain
from app.domain.errors import CouponUnknown, FieldInvalid, NameTaken, NotFound
from app.domain.ledger import Desk, Draft
from app.domain.note import check_reason, check_text
from app.domain.order import OrderSnapshot
from app.domain.page import Page, PageRequest
from app.domain.promotion import (
    CODES_MAX,
    CouponCode,
    CouponProblem,
    CouponRedemption,
    Promotion,
    PromotionStatus,
    PromotionUse,
    Terms,
    Worth,
    code_id,
    use_id,
)
from app.models.customer import Customer
from app.models.order import Order as OrderModel
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.models.promotion import (
    CouponCode as CouponCodeModel,
    CouponRedemption as CouponRedemptionModel,
    Promotion as PromotionModel,
    PromotionUse as PromotionUseModel,
)
from app.models.wallet import Wallet
from app.services.ledger import tables
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.records import read_promotion
from app.services.ledger.rows import coupon_redemption_of, promotion_of, wallet_of
from app.services.ledger.writer import Writer

SEARCH_MAX = 100
GIVEN_MAX = 128
"""Characters of a code as a customer may send it: more than any code has."""
CSV_MAX = 1_000_000
"""Characters of a file of codes at most."""

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Promotions, codes and redemptions come newest first."""


# --- read ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromotionFilter:
    """What a list of promotions is narrowed to; `None` does not narrow. `search` is a code, or a part of the name."""

    statuses: tuple[str, ...] | None = None
    running_at: datetime | None = None
    search: str | None = None


def promotions(wanted: PromotionFilter) -> QuerySet[PromotionModel]:
    """Return the query of a list of promotions."""
    query = PromotionModel.all()
    if wanted.statuses is not None:
        query = query.filter(status__in=wanted.statuses)
    if (at := wanted.running_at) is not None:
        begun = Q(starts_at__isnull=True) | Q(starts_at__lte=at)
        query = query.filter(
            begun & (Q(ends_at__isnull=True) | Q(ends_at__gt=at)), status=str(PromotionStatus.ACTIVE)
        )
    return query


async def page_of(
    wanted: PromotionFilter, page: PageRequest
) -> tuple[Page[PromotionModel], QuerySet[PromotionModel]]:
    """Read one page of a list of promotions, newest first; and the query, for whoever counts it."""
    query = promotions(wanted)
    if wanted.search:
        query = query.filter(await _search(wanted.search))
    return await fetch_page(query, SORT, page), query


async def _search(text: str) -> Q:
    text = check_text(text, field="search", length_max=SEARCH_MAX)
    found = Q(name__icontains=text)
    code = rules.normal_code(text)
    known = None if code is None else await CouponCodeModel.get_or_none(id=code_id(code))
    return found if known is None else found | Q(id=known.promotion_id)


CodeWanted = str | None
"""What the list of a promotion's codes is narrowed to: the one code, if one is named."""


def codes(wanted: CodeWanted, promotion_id: UUID | None = None) -> QuerySet[CouponCodeModel]:
    """Return the query of a list of codes."""
    query = (
        CouponCodeModel.all() if promotion_id is None else CouponCodeModel.filter(promotion_id=promotion_id)
    )
    if wanted is None:
        return query
    code = rules.normal_code(wanted)
    return query.filter(id__in=[] if code is None else [code_id(code)])


Redeemed = tuple[str, ...] | None
"""What a list of redemptions is narrowed to: their states."""


def redemptions(wanted: Redeemed, promotion_id: UUID | None = None) -> QuerySet[CouponRedemptionModel]:
    """Return the query of a list of a promotion's redemptions."""
    query = CouponRedemptionModel.all()
    if promotion_id is not None:
        query = query.filter(promotion_id=promotion_id)
    return query if wanted is None else query.filter(status__in=wanted)


def _of_wallet(wanted: Redeemed, wallet_id: UUID | None = None) -> QuerySet[CouponRedemptionModel]:
    query = redemptions(wanted)
    return query if wallet_id is None else query.filter(wallet_id=wallet_id)


CodePages = PageLoader[CodeWanted, CouponCodeModel]
CodeCounts = CountLoader[CodeWanted]
RedemptionPages = PageLoader[Redeemed, CouponRedemptionModel]
RedemptionCounts = CountLoader[Redeemed]


def code_pages() -> CodePages:
    """Return a loader of pages of promotions' codes, newest first."""
    return PageLoader(codes, SORT, partition="promotion_id")


def code_counts() -> CodeCounts:
    """Return a loader of how many codes promotions have."""
    return CountLoader(codes, partition="promotion_id")


def redemption_pages() -> RedemptionPages:
    """Return a loader of pages of promotions' redemptions, newest first."""
    return PageLoader(redemptions, SORT, partition="promotion_id")


def redemption_counts() -> RedemptionCounts:
    """Return a loader of how many redemptions promotions have."""
    return CountLoader(redemptions, partition="promotion_id")


def wallet_pages() -> RedemptionPages:
    """Return a loader of pages of wallets' redemptions, newest first."""
    return PageLoader(_of_wallet, SORT, partition="wallet_id")


def wallet_counts() -> RedemptionCounts:
    """Return a loader of how many redemptions wallets have."""
    return CountLoader(_of_wallet, partition="wallet_id")


# --- make and change ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """The promotion after a change, and whether this is the answer to a repeated request."""

    promotion: PromotionModel
    replayed: bool


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """What a new promotion shall be; amounts in minor units of `currency`."""

    name: str
    description: str
    status: PromotionStatus
    currency: str
    terms: Terms
    starts_at: datetime | None
    ends_at: datetime | None
    uses_max: int | None
    budget_minor: int | None


async def create(
    writer: Writer, principal: Principal, wanted: NewPromotion, *, note: str, idempotency_key: str | None
) -> Kept:
    """Make a promotion. Raises a refusal of the input."""
    if wanted.status is PromotionStatus.ARCHIVED:
        raise FieldInvalid("A new promotion can't be over. Choose another status.", field=("status",))
    note = check_reason(note)

    def decide(desk: Desk) -> Promotion:
        promotion = Promotion(
            id=desk.mint.id(),
            name=wanted.name,
            description=wanted.description,
            status=wanted.status,
            currency=wanted.currency,
            terms=wanted.terms,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            uses_max=wanted.uses_max,
            budget_minor=wanted.budget_minor,
            uses=0,
            granted_minor=0,
            created_at=desk.now,
            updated_at=desk.now,
        ).check()
        desk.add(promotion)
        _audit(desk, principal, AuditAction.CREATE_PROMOTION, promotion.name, {}, promotion.as_data(), note)
        return promotion

    content = {"wanted": _content(wanted), "note": note}
    return await _submit(writer, principal, "createPromotion", decide, content, idempotency_key)


def _content(wanted: NewPromotion) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "description": wanted.description,
        "status": wanted.status,
        "currency": wanted.currency,
        "terms": wanted.terms.as_data(),
        "limits": [wanted.starts_at, wanted.ends_at, wanted.uses_max, wanted.budget_minor],
    }


@dataclass(frozen=True, slots=True)
class PromotionChange:
    """What shall be different: fields of the promotion, of its terms and of their expiry by name; the rest stays."""

    fields: dict[str, Any]
    terms: dict[str, Any]
    expiry: dict[str, Any]


async def update(
    writer: Writer,
    principal: Principal,
    promotion_id: UUID,
    wanted: PromotionChange,
    *,
    note: str,
    idempotency_key: str | None,
) -> Kept:
    """Change a promotion: its terms, its limits, or how it stands. Raises `NotFound`, `PromotionArchived` or a refusal
    of the input.
    """
    note = check_reason(note)

    def decide(desk: Desk) -> Promotion:
        promotion = _promotion(desk, promotion_id)
        promotion.require_open()
        expiry = replace(promotion.terms.expiry, **wanted.expiry)
        terms = replace(promotion.terms, **wanted.terms, expiry=expiry)
        changed = replace(promotion, **wanted.fields, terms=terms).check()
        if changed.status is PromotionStatus.DRAFT and promotion.status is not PromotionStatus.DRAFT:
            raise FieldInvalid(
                "It has begun, so it is no draft any more. Choose to pause it.", field=("status",)
            )
        if changed == promotion:
            return promotion
        changed = replace(changed, updated_at=desk.now)
        desk.add(changed)
        before, after = promotion.as_data(), changed.as_data()
        _audit(desk, principal, AuditAction.UPDATE_PROMOTION, promotion.name, before, after, note)
        return changed

    content = {
        "promotion": str(promotion_id),
        "fields": wanted.fields,
        "terms": plain(wanted.terms),
        "expiry": wanted.expiry,
        "note": note,
    }
    rows: tuple[tuple[type[Any], UUID], ...] = ((Promotion, promotion_id),)
    return await _submit(writer, principal, "updatePromotion", decide, content, idempotency_key, rows)


def _promotion(desk: Desk, promotion_id: UUID) -> Promotion:
    found = desk.found(Promotion, promotion_id)
    if found is None:
        raise NotFound("promotion", field=("promotionId",))
    return found


def _audit(  # noqa: PLR0917 — who did what, and how it was and is
    desk: Desk,
    principal: Principal,
    action: AuditAction,
    name: str,
    before: dict[str, Any],
    after: dict[str, Any],
    note: str,
) -> None:
    data = changes(name, before, after)
    desk.add(AuditEntry(desk.mint.id(), None, action, principal.actor, note, desk.now, data))


async def _submit(  # noqa: PLR0917 — the two public functions name everything
    writer: Writer,
    principal: Principal,
    command: str,
    decide: Callable[[Desk], Promotion],
    content: dict[str, Any],
    idempotency_key: str | None,
    rows: tuple[tuple[type[Any], UUID], ...] = (),
) -> Kept:
    actor, claim = principal.actor, None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, command, content)
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, rows=rows))
    if isinstance(outcome.answer, Promotion):
        return Kept(promotion_of(outcome.answer), replayed=False)
    return Kept(await PromotionModel.get(id=outcome.result["Promotion"]), replayed=True)


# --- codes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodesWanted:
    """Which codes are made: one by name, so many new ones, or those of a file. `uses_max` is each one's limit."""

    code: str | None = None
    count: int | None = None
    prefix: str = ""
    csv: str | None = None
    uses_max: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The promotion and the codes that were made for it."""

    promotion: PromotionModel
    codes: list[str]
    replayed: bool

    @property
    def csv(self) -> str:
        """The codes as a file of one column (RFC 4180)."""
        return "".join(f"{code}\r\n" for code in ("code", *self.codes))


async def create_codes(
    writer: Writer, principal: Principal, promotion_id: UUID, wanted: CodesWanted, *, idempotency_key: str
) -> Made:
    """Make codes of a promotion. Raises `NotFound`, `PromotionArchived`, `NameTaken` (for a code that is another
    promotion's, or its own already) or a refusal of the input.
    """
    rules.check_limit(wanted.uses_max, "usesMax")
    made = _named(wanted)
    ids = {code_id(code): code for code in made}
    # A code whose promotion is archived may be given to another one: so that is locked too.
    owners = {row.promotion_id for row in await CouponCodeModel.filter(id__in=list(ids))}
    field = ("code",) if wanted.code is not None else ("csv",)

    def decide(desk: Desk) -> CouponCode:
        promotion = _promotion(desk, promotion_id)
        promotion.require_open()
        batch_id = desk.mint.id()
        for row_id, code in ids.items():
            known = desk.found(CouponCode, row_id)
            owner = None if known is None else desk.found(Promotion, known.promotion_id)
            if known is not None and (owner is None or owner.status is not PromotionStatus.ARCHIVED):
                raise NameTaken("a coupon code", code, field=field)
            desk.add(CouponCode(row_id, promotion_id, batch_id, code, wanted.uses_max, 0, desk.now))
        after = {"codes": len(ids), "first": made[0], "usesMax": wanted.uses_max}
        _audit(desk, principal, AuditAction.CREATE_COUPON_CODES, promotion.name, {}, after, "")
        return CouponCode(code_id(made[0]), promotion_id, batch_id, made[0], wanted.uses_max, 0, desk.now)

    content = {
        "promotion": str(promotion_id),
        "codes": made if wanted.count is None else [wanted.count, wanted.prefix],
        "uses_max": wanted.uses_max,
    }
    claim = IdempotencyClaim.of(principal.actor, idempotency_key, "createCouponCodes", content)
    rows: list[tuple[type[Any], UUID]] = [(Promotion, row_id) for row_id in {promotion_id, *owners}]
    rows += [(CouponCode, row_id) for row_id in ids]
    command = DeskCommand("createCouponCodes", principal.actor, decide, claim, rows=tuple(rows))
    outcome = await writer.submit(command)
    if isinstance(outcome.answer, CouponCode):
        return Made(await PromotionModel.get(id=promotion_id), made, replayed=False)
    first = await CouponCodeModel.get(id=outcome.result["CouponCode"])
    batch = await CouponCodeModel.filter(batch_id=first.batch_id).values_list("code", flat=True)
    known = [str(code) for code in batch]
    in_order = {code: place for place, code in enumerate(made)}
    known.sort(key=lambda code: (in_order.get(code, 0), code))
    return Made(await PromotionModel.get(id=promotion_id), known, replayed=True)


def _named(wanted: CodesWanted) -> list[str]:
    """Return the codes in normal form, each once; generated ones have 60 random bits each."""
    code = None if wanted.code is None else [rules.check_code(wanted.code)]
    of_file = None if wanted.csv is None else _of_file(wanted.csv)
    if (wanted.count is None) + (code is None) + (of_file is None) != 2:
        raise FieldInvalid(
            "Give a code, or how many to generate, or a file. Choose one of these.", field=("code",)
        )
    return code or of_file or _generated(wanted.count or 0, wanted.prefix)


def _generated(count: int, given: str) -> list[str]:
    if not 1 <= count <= CODES_MAX:
        raise FieldInvalid(f"Choose from 1 to {CODES_MAX} codes at once.", field=("generate", "count"))
    prefix, mint = rules.check_prefix(given), RandomMint()
    return sorted(mint.reference(prefix) for _ in range(count))


def _of_file(text: str) -> list[str]:
    if len(text) > CSV_MAX:
        raise FieldInvalid("The file is too large. Send it in parts.", field=("csv",))
    try:
        cells = [row[0].strip() for row in csv.reader(StringIO(text.lstrip("\ufeff"))) if row]
    except csv.Error:
        raise FieldInvalid("This is no CSV file. Check its quotes.", field=("csv",)) from None
    if cells and cells[0].lower() == "code":
        del cells[0]
    found = list(dict.fromkeys(rules.check_code(cell, field="csv") for cell in cells if cell))
    if not 1 <= len(found) <= CODES_MAX:
        raise FieldInvalid(f"Send from 1 to {CODES_MAX} codes at once, one a line.", field=("csv",))
    return found


# --- redeem -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redemption:
    """The wallet and what became of the code, and whether this is the answer to a repeated request."""

    wallet: Wallet
    redemption: CouponRedemptionModel
    replayed: bool


async def redeem(
    writer: Writer, principal: Principal, ref: WalletRef, code: str, *, idempotency_key: str
) -> Redemption:
    """Grant what a code gives without an order.

    Raises `NotFound` (for a wallet that is not the caller's, and for a code that is unknown or not running),
    `CouponNotUsable` or a refusal of the input.
    """
    customer = await _customer_of(ref)
    if customer is None or not (principal.owns(customer) or principal.may(Capability.COUPONS_REDEEM)):
        raise NotFound("wallet", field=("wallet",))
    normal = rules.normal_code(check_text(code, field="code", length_max=GIVEN_MAX))
    found = None if normal is None else await CouponCodeModel.get_or_none(id=code_id(normal))
    if normal is None or found is None:
        raise CouponUnknown
    promotion_id, first_time = found.promotion_id, await _is_first(customer)
    actor = principal.actor

    def decide(draft: Draft) -> CouponRedemption:
        return rules.redeem(draft, normal, promotion_id, first_time=first_time, actor=actor)

    claim = IdempotencyClaim.of(actor, idempotency_key, "redeemCoupon", {"wallet": repr(ref), "code": normal})
    rows: tuple[tuple[type[Any], UUID], ...] = (
        (Promotion, promotion_id),
        (CouponCode, code_id(normal)),
        (PromotionUse, use_id(promotion_id, customer)),
    )
    command = Command(
        "redeemCoupon", actor, WalletRef(external_id=customer), decide, claim, opens=True, rows=rows
    )
    outcome = await writer.submit(command)
    if isinstance(outcome.answer, CouponRedemption) and outcome.wallet is not None:
        return Redemption(wallet_of(outcome.wallet), coupon_redemption_of(outcome.answer), replayed=False)
    row = await CouponRedemptionModel.get(id=outcome.result["CouponRedemption"]).select_related("wallet")
    return Redemption(row.wallet, row, replayed=True)


async def _customer_of(ref: WalletRef) -> str | None:
    """Return the store's id of the customer whose wallet is named, known or not."""
    if ref.external_id is not None:
        return ref.external_id
    if ref.customer_id is not None:
        known = await Customer.get_or_none(id=ref.customer_id)
        return None if known is None else known.external_id
    wallet = await Wallet.get_or_none(id=ref.wallet_id).select_related("customer")
    return None if wallet is None else wallet.customer.external_id


async def _is_first(customer: str) -> bool:
    """Tell whether a customer has not bought anything yet."""
    bought = OrderModel.filter(wallet__customer__external_id=customer, status__in=rules.BOUGHT)
    return not await bought.exists()


# --- check --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """What a code would give now: `worth` tells the amount, or the problem and what is missing to the minimum."""

    code: str
    promotion: Promotion
    worth: Worth

    @property
    def problem(self) -> CouponProblem | None:
        """Why it would give nothing."""
        return self.worth.problem


async def check(
    principal: Principal, code: str, order: OrderSnapshot | None, now: datetime
) -> Checked | None:
    """Look at a code as its customer would use it now; nothing is kept.

    `None` for one that is unknown, not begun, paused or over: all alike, so that guesses are told nothing.
    """
    normal = rules.normal_code(code)
    if normal is None:
        return None
    row = await CouponCodeModel.get_or_none(id=code_id(normal)).select_related("promotion")
    if row is None:
        return None
    promotion = _record(row.promotion)
    if not promotion.is_running(now):
        return None
    worth = rules.worth_of(promotion, order)
    used, first_time = 0, True
    customer = principal.customer_external_id
    if customer is not None:
        use = await PromotionUseModel.get_or_none(id=use_id(promotion.id, customer))
        used = use.uses if use else 0
        first_time = not promotion.terms.first_time_only or await _is_first(customer)
    record = CouponCode(row.id, promotion.id, row.batch_id, normal, row.uses_max, row.uses, row.created_at)
    limit = rules.limit_of(promotion, record, used, worth.amount_minor, first_time=first_time)
    # A limit says more than what is missing of the order: adding to it would not help.
    return Checked(normal, promotion, Worth(problem=limit) if limit else worth)


def _record(model: PromotionModel) -> Promotion:
    return read_promotion({name: getattr(model, name) for name in tables.BESIDE[Promotion].columns})
