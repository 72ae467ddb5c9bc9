"""Cashback that was given: what of it is due by the clock, and what can be read of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiodataloader import DataLoader
from tortoise.functions import Min, Sum
from tortoise.queryset import QuerySet

from app.domain.cashback.award import Award, AwardSource, AwardStatus
from app.domain.cashback.posting import expire_due, vest_due
from app.domain.due import Due
from app.domain.ledger import SYSTEM, Draft
from app.domain.page import Page, PageRequest
from app.models.cashback_award import CashbackAward, CashbackEvaluation
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.writer import Writer


@dataclass(frozen=True, slots=True)
class AwardFilter:
    """What a list of awards is narrowed to; `None` does not narrow."""

    statuses: tuple[str, ...] | None = None
    rule_id: UUID | None = None
    awarded_from: datetime | None = None
    awarded_to: datetime | None = None


SORT = Sort("AWARDED_AT", "awarded_at", lambda row: row.awarded_at, time_value, descending=True)
"""Awards come newest first."""

EVALUATIONS = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""What was looked at comes newest first."""


# --- read ---------------------------------------------------------------------------------------------------


def awards(narrowed: AwardFilter, wallet_id: UUID | None = None) -> QuerySet[CashbackAward]:
    """Return the query of a list of cashback awards, of one wallet or of the whole store."""
    query = CashbackAward.filter(source=str(AwardSource.CASHBACK))
    if wallet_id is not None:
        query = query.filter(wallet_id=wallet_id)
    for name, value in (
        ("status__in", narrowed.statuses),
        ("given_by", narrowed.rule_id),
        ("awarded_at__gte", narrowed.awarded_from),
        ("awarded_at__lte", narrowed.awarded_to),
    ):
        if value is not None:
            query = query.filter(**{name: value})
    return query


def evaluations(_narrowed: None, wallet_id: UUID | None = None) -> QuerySet[CashbackEvaluation]:
    """Return the query of what was looked at, for one wallet or for the whole store."""
    return CashbackEvaluation.all() if wallet_id is None else CashbackEvaluation.filter(wallet_id=wallet_id)


async def page_of(query: QuerySet[CashbackAward], page: PageRequest) -> Page[CashbackAward]:
    """Read one page of a list of awards, newest first."""
    return await fetch_page(query, SORT, page)


Pages = PageLoader[AwardFilter, CashbackAward]
Counts = CountLoader[AwardFilter]
EvaluationPages = PageLoader[None, CashbackEvaluation]
EvaluationCounts = CountLoader[None]


def pages() -> Pages:
    """Return a loader of pages of wallets' awards, newest first."""
    return PageLoader(awards, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many awards wallets have."""
    return CountLoader(awards, partition="wallet_id")


def evaluation_pages() -> EvaluationPages:
    """Return a loader of pages of what was looked at for wallets, newest first."""
    return PageLoader(evaluations, EVALUATIONS, partition="wallet_id")


def evaluation_counts() -> EvaluationCounts:
    """Return a loader of how often the rules were asked for wallets."""
    return CountLoader(evaluations, partition="wallet_id")


@dataclass(frozen=True, slots=True)
class Sums:
    """A wallet's awards in all, in minor units; `owed_minor` stands in the wallet itself."""

    earned_minor: int = 0
    pending_minor: int = 0
    expired_minor: int = 0
    clawed_minor: int = 0
    next_vesting_at: datetime | None = None


class SumLoader(DataLoader[UUID, Sums]):
    """The sums of wallets' awards, by the wallet's id: one statement for all of them."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[Sums]:
        """Add up."""
        query = CashbackAward.filter(source=str(AwardSource.CASHBACK), wallet_id__in=keys).annotate(
            amount=Sum("amount_minor"),
            clawed=Sum("clawed_minor"),
            expired=Sum("expired_minor"),
            next=Min("vests_at"),
        )
        found: dict[UUID, Sums] = {}
        for row in await query.group_by("wallet_id", "status").values(
            "wallet_id", "status", "amount", "clawed", "expired", "next"
        ):
            before, net = found.get(row["wallet_id"], Sums()), int(row["amount"]) - int(row["clawed"])
            pending = row["status"] == AwardStatus.PENDING
            found[row["wallet_id"]] = Sums(
                before.earned_minor + (0 if pending else net),
                before.pending_minor + (net if pending else 0),
                before.expired_minor + int(row["expired"]),
                before.clawed_minor + int(row["clawed"]),
                row["next"] if pending else before.next_vesting_at,
            )
        return [found.get(key, Sums()) for key in keys]


# --- the clock ----------------------------------------------------------------------------------------------


async def due_to_vest(now: datetime, limit: int, without: Collection[UUID] = ()) -> list[Due[CashbackAward]]:
    """Return awards, at most so many, that become money now, the longest due first; without those of these ids."""
    query = CashbackAward.filter(status=str(AwardStatus.PENDING), vests_at__lte=now)
    if without:
        query = query.exclude(id__in=list(without))
    return [Due(row.id, row.vests_at, row) for row in await query.order_by("vests_at").limit(limit)]


async def due_to_expire(
    now: datetime, limit: int, without: Collection[UUID] = ()
) -> list[Due[CashbackAward]]:
    """Return awards, at most so many, whose money has run out, and that don't say so yet; without those of these ids."""
    query = CashbackAward.filter(status=str(AwardStatus.VESTED), expires_at__lte=now)
    if without:
        query = query.exclude(id__in=list(without))
    rows = await query.order_by("expires_at").limit(limit)
    return [Due(row.id, row.expires_at or now, row) for row in rows]


async def vest(writer: Writer, award: CashbackAward) -> None:
    """Make an award money; nothing happens when somebody else has done it meanwhile."""

    def decide(draft: Draft) -> Award:
        return vest_due(draft, draft.row(Award, award.id))

    await _by_the_clock(writer, "vestAward", award, decide)


async def expire(writer: Writer, award: CashbackAward) -> None:
    """Write down that an award has run out. What was left of its money was posted as breakage before."""

    def decide(draft: Draft) -> Award:
        return expire_due(draft, draft.row(Award, award.id))

    await _by_the_clock(writer, "expireAward", award, decide)


async def _by_the_clock(
    writer: Writer, name: str, award: CashbackAward, decide: Callable[[Draft], Award]
) -> None:
    ref = WalletRef(wallet_id=award.wallet_id)
    await writer.submit(Command(name, SYSTEM, ref, decide, rows=((Award, award.id),)))
