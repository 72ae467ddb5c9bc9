"""Payouts: which withdrawals are to be sent or asked about, what providers told, and what the two sides don't agree on."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.expressions import Q, Subquery

from app.db import READER
from app.domain.access import Actor
from app.domain.due import Due
from app.domain.ledger import Desk
from app.domain.payout import DiscrepancyKind, PayoutMessage, message_id
from app.domain.payout_method import PayoutMethodStatus
from app.domain.withdrawal import UNDER_WAY, PayoutOutcomeKind, WithdrawalStatus
from app.models.payout_message import PayoutMessage as PayoutMessageModel
from app.models.payout_method import PayoutMethod
from app.models.presence import has_text
from app.models.withdrawal import Withdrawal
from app.models.withdrawal_step import WithdrawalStep
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.records import read_time
from app.services.ledger.writer import Writer

OVERDUE = timedelta(days=3)
"""After how long without an outcome a payout that was taken on is listed: banks take a day or two."""

UNCONFIRMED = timedelta(hours=1)
"""After how long a payout is listed that no provider has confirmed."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A withdrawal that is to be sent, or was handed over; with where its money goes."""

    withdrawal: Withdrawal
    method: PayoutMethod
    handed_over_at: datetime | None


async def to_send(kinds: Collection[str], limit: int, without: Collection[UUID]) -> list[Due[UUID]]:
    """Return approved withdrawals that go to payout methods of these kinds, the oldest first, due since they were approved.

    Those whose method was removed since, or whose wallet is frozen, are left to staff.
    """
    usable = PayoutMethod.filter(kind__in=list(kinds), status=str(PayoutMethodStatus.ACTIVE))
    query = Withdrawal.filter(
        status=str(WithdrawalStatus.APPROVED),
        wallet__status="ACTIVE",
        payout_method_id__in=Subquery(usable.values("id")),
    )
    if without:
        query = query.exclude(id__in=list(without))
    rows = await query.order_by("created_at", "id").limit(limit)
    steps = WithdrawalStep.filter(
        withdrawal_id__in=[row.id for row in rows], to_status=str(WithdrawalStatus.APPROVED)
    )
    approved = (
        {step.withdrawal_id: step.created_at for step in await steps.order_by("number")} if rows else {}
    )
    return [Due(row.id, approved.get(row.id, row.created_at), row.id) for row in rows]


async def _handed_over(ids: Collection[UUID]) -> dict[UUID, datetime]:
    if not ids:
        return {}
    # A step to the status that it has already tells of a reference, so the first one counts.
    steps = await WithdrawalStep.filter(
        withdrawal_id__in=list(ids), to_status=str(WithdrawalStatus.PROCESSING)
    ).order_by("-number")
    return {step.withdrawal_id: step.created_at for step in steps}


async def sending(withdrawal_id: UUID) -> Sending | None:
    """Return a withdrawal and where it goes."""
    withdrawal = await Withdrawal.get_or_none(id=withdrawal_id)
    if withdrawal is None or withdrawal.payout_method_id is None:
        return None
    method = await PayoutMethod.get_or_none(id=withdrawal.payout_method_id)
    if method is None:
        return None
    return Sending(withdrawal, method, (await _handed_over([withdrawal.id])).get(withdrawal.id))


async def named(provider: str, withdrawal_id: UUID | None, provider_reference: str | None) -> UUID | None:
    """Return the withdrawal that a provider means, if it was ever handed to that provider."""
    wanted = Q(id=withdrawal_id) if withdrawal_id else Q(provider_reference=provider_reference)
    if withdrawal_id is None and provider_reference is None:
        return None
    found = await Withdrawal.filter(wanted, provider=provider).first()
    return None if found is None else found.id


async def keep_message(
    writer: Writer,
    actor: Actor,
    *,
    provider: str,
    external_id: str,
    withdrawal_id: UUID | None,
    provider_reference: str | None,
    kind: PayoutOutcomeKind,
) -> None:
    """Write down what a provider told; told twice, it is kept once."""
    row_id = message_id(provider, external_id)

    def decide(desk: Desk) -> PayoutMessage | None:
        if desk.found(PayoutMessage, row_id) is not None:
            return None
        message = PayoutMessage(
            row_id, provider, external_id, withdrawal_id, provider_reference, kind, desk.now
        )
        desk.add(message)
        return message

    claim = IdempotencyClaim.own(actor, f"payout-message:{row_id}")
    rows = ((PayoutMessage, row_id),)
    await writer.submit(DeskCommand("keepPayoutMessage", actor, decide, claim, rows=rows))


# --- how it stands ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many withdrawals are at one step, since when the oldest was asked for, and how much they are, in minor units."""

    status: str
    number: int
    amount_minor: int
    oldest_at: datetime


_UNDER_WAY = ", ".join(f"'{status}'" for status in sorted(UNDER_WAY))
_WAITING = f"""
SELECT status, COUNT(*) AS number, SUM(amount_minor) AS amount_minor, MIN(created_at) AS oldest_at
FROM withdrawals WHERE status IN ({_UNDER_WAY}) GROUP BY status
"""  # noqa: S608 — our own words


async def waiting() -> list[Waiting]:
    """Count the withdrawals that are under way, by their status."""
    rows = await get_connection(READER).execute_query_dict(_WAITING)
    return [
        Waiting(row["status"], row["number"], int(row["amount_minor"]), read_time(row["oldest_at"]))
        for row in rows
    ]


# --- reconciliation -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that ledger and provider don't agree on, since when."""

    kind: DiscrepancyKind
    withdrawal: Withdrawal | None
    provider: str | None
    provider_reference: str | None
    since: datetime


async def reconciliation(now: datetime, limit: int) -> list[Discrepancy]:
    """Return what ledger and providers don't agree on, at most so many of each kind: the oldest first."""
    found = await _differing(limit)
    found += await _waiting(now, limit)
    messages = (
        await PayoutMessageModel.filter(withdrawal_id__isnull=True).order_by("received_at", "id").limit(limit)
    )
    found += [
        Discrepancy(
            DiscrepancyKind.UNKNOWN_PAYOUT, None, one.provider, one.provider_reference, one.received_at
        )
        for one in messages
    ]
    return found


async def _differing(limit: int) -> list[Discrepancy]:
    rows = await Withdrawal.filter(has_text("problem")).order_by("created_at", "id").limit(limit)
    return [
        Discrepancy(
            DiscrepancyKind.OUTCOME_DIFFERS,
            row,
            row.provider,
            row.provider_reference,
            row.decided_at or row.created_at,
        )
        for row in rows
    ]


async def _waiting(now: datetime, limit: int) -> list[Discrepancy]:
    """Return what was handed over and has no outcome: unconfirmed ones soon, those that were taken on later."""
    started = WithdrawalStep.filter(
        to_status=str(WithdrawalStatus.PROCESSING),
        from_status=str(WithdrawalStatus.APPROVED),
        created_at__lte=now - UNCONFIRMED,
        withdrawal__status=str(WithdrawalStatus.PROCESSING),
        withdrawal__provider__isnull=False,
    )
    late = Q(withdrawal__provider_reference__isnull=True) | Q(created_at__lte=now - OVERDUE)
    steps = await started.filter(late).select_related("withdrawal").order_by("created_at", "id").limit(limit)
    return [
        Discrepancy(
            DiscrepancyKind.NOT_CONFIRMED
            if step.withdrawal.provider_reference is None
            else DiscrepancyKind.NO_OUTCOME,
            step.withdrawal,
            step.withdrawal.provider,
            step.withdrawal.provider_reference,
            step.created_at,
        )
        for step in steps
    ]
