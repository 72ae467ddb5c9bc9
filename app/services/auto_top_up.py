"""Automatic top-ups: rules of customers, what they ask the store to charge, and what came of that."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aiodataloader import DataLoader
from tortoise.expressions import F, Q
from tortoise.queryset import QuerySet

from app.domain import auto_top_up_charge as rules, top_up as top_ups
from app.domain.access import Actor, Capability, Principal
from app.domain.auto_top_up import AutoTopUp, AutoTopUpCharge, AutoTopUpKind, AutoTopUpStatus, ChargeStatus
from app.domain.auto_top_up_charge import AutoTopUpTerms
from app.domain.cashback.rule import TriggerKind
from app.domain.due import Due
from app.domain.errors import CurrencyMismatch, NotFound, OwnWallet
from app.domain.ledger import SYSTEM, Draft, Row
from app.domain.page import Page, PageRequest
from app.domain.top_up import TopUp, TopUpTold
from app.models.auto_top_up import AutoTopUp as AutoTopUpModel, AutoTopUpCharge as ChargeModel
from app.models.paging import Sort, fetch_page, time_value
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import auto_top_up_charge_of, auto_top_up_of, wallet_of
from app.services.ledger.writer import Writer

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value)
"""Charges come oldest first: who has waited longest is charged first."""

Decide = Callable[[Draft], AutoTopUp]


class Rules(DataLoader[UUID, list[AutoTopUpModel]]):
    """The rules of wallets, those that are over included."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[AutoTopUpModel]]:
        """Load the rules of the wallets."""
        found: dict[UUID, list[AutoTopUpModel]] = {key: [] for key in keys}
        for row in await AutoTopUpModel.filter(wallet_id__in=keys).order_by("kind"):
            found[row.wallet_id].append(row)
        return [found[key] for key in keys]


@dataclass(frozen=True, slots=True)
class Ruled:
    """The wallet and the rule after a step, and whether this is the answer to a repeated request."""

    wallet: Wallet
    rule: AutoTopUpModel
    replayed: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """The wallet and the charge after its outcome was told, and whether this is the answer to a repeated request."""

    wallet: Wallet
    charge: ChargeModel
    replayed: bool


async def set_rule(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    terms: AutoTopUpTerms,
    currency: str,
    idempotency_key: str,
) -> Ruled:
    """Make or change a wallet's rule of a kind.

    Raises `NotFound` (also for a wallet that is not the caller's), `TopUpsOff`, `TopUpLimitReached` or a refusal of the
    input.
    """
    terms = terms.checked()

    def decide(draft: Draft) -> AutoTopUp:
        _require_mine(principal, draft, NotFound("wallet", field=("wallet",)))
        if draft.wallet.currency != currency:
            raise CurrencyMismatch(given=currency, wallet=draft.wallet.currency)
        return rules.set_rule(draft, terms, principal.actor)

    content = {"wallet": repr(ref), "terms": repr(terms), "currency": currency}
    return await _ruled(writer, principal, ref, "setAutoTopUp", decide, content, idempotency_key)


async def stop(
    writer: Writer, principal: Principal, rule_id: UUID, status: AutoTopUpStatus, *, idempotency_key: str
) -> Ruled:
    """Pause or cancel a rule. Raises `NotFound`."""
    refusal = NotFound("automatic top-up", field=("autoTopUpId",))
    found = await AutoTopUpModel.get_or_none(id=rule_id)
    if found is None:
        raise refusal

    def decide(draft: Draft) -> AutoTopUp:
        _require_mine(principal, draft, refusal)
        return rules.stop(draft, draft.row(AutoTopUp, rule_id), status)

    name = "pauseAutoTopUp" if status is AutoTopUpStatus.PAUSED else "cancelAutoTopUp"
    content = {"rule": str(rule_id)}
    ref = WalletRef(wallet_id=found.wallet_id)
    return await _ruled(writer, principal, ref, name, decide, content, idempotency_key)


def _require_mine(principal: Principal, draft: Draft, refusal: NotFound) -> None:
    if not (principal.owns(draft.customer.external_id) or principal.may(Capability.TOP_UPS_WRITE)):
        raise refusal


async def _ruled(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    name: str,
    decide: Decide,
    content: Mapping[str, Any],
    idempotency_key: str,
) -> Ruled:
    claim = IdempotencyClaim.of(principal.actor, idempotency_key, name, content)
    command = Command(name, principal.actor, ref, decide, claim, tops_up=True)
    outcome = await writer.submit(command)
    if isinstance(outcome.answer, AutoTopUp) and outcome.wallet is not None:
        return Ruled(wallet_of(outcome.wallet), auto_top_up_of(outcome.answer), replayed=False)
    rule = await AutoTopUpModel.get(id=outcome.result["AutoTopUp"]).select_related("wallet")
    return Ruled(rule.wallet, rule, replayed=True)


# --- what the clock does ------------------------------------------------------------------------------------


async def due(now: datetime, limit: int, without: Collection[UUID] = ()) -> Sequence[Due[AutoTopUpModel]]:
    """Return rules whose time has come and that wait for no answer: wallets that ran low, and days of the month."""
    low = Q(wallet__posted_minor__lt=F("threshold_minor") + F("wallet__held_minor"))
    query = AutoTopUpModel.filter(
        Q(kind=str(AutoTopUpKind.MONTHLY)) | low,
        status=str(AutoTopUpStatus.ACTIVE),
        charge_id=None,
        next_attempt_at__lte=now,
    )
    if without:
        query = query.exclude(id__in=list(without))
    found = await query.order_by("next_attempt_at", "id").limit(limit)
    return [Due(row.id, row.next_attempt_at, row) for row in found]


async def ask(writer: Writer, rule: AutoTopUpModel) -> None:
    """Ask the store to charge; nothing happens where that was done meanwhile, and where it is forbidden it waits."""
    rule_id = rule.id

    def decide(draft: Draft) -> AutoTopUpCharge | None:
        return rules.ask(draft, draft.row(AutoTopUp, rule_id))

    ref = WalletRef(wallet_id=rule.wallet_id)
    await writer.submit(Command("askToCharge", SYSTEM, ref, decide, tops_up=True))


# --- what the store says ------------------------------------------------------------------------------------


Statuses = tuple[str, ...] | None


def charges(statuses: Statuses) -> QuerySet[ChargeModel]:
    """Return the query of the charges in one of these states; those that are to be made, where none is named."""
    return ChargeModel.filter(status__in=statuses or (str(ChargeStatus.REQUESTED),))


async def page_of(query: QuerySet[ChargeModel], page: PageRequest) -> Page[ChargeModel]:
    """Read one page of a list of charges, the oldest first."""
    return await fetch_page(query, SORT, page)


async def hear_paid(
    writer: Writer,
    principal: Principal,
    charge_id: UUID,
    told: TopUpTold,
    *,
    idempotency_key: str,
) -> Heard:
    """Credit what the store kept of a charge, and write down that it was paid.

    Raises `NotFound`, `OwnWallet`, `CurrencyMismatch`, `TopUpOfAnother` or a refusal of the input.
    """
    told = told.checked()

    def decide(draft: Draft) -> Row:
        charge = _charge(principal, draft, charge_id)
        top_up = top_ups.record(draft, told, principal.actor)
        return rules.hear_paid(draft, charge, top_up)

    content = {"charge": str(charge_id), "told": repr(told)}
    rows = ((TopUp, told.id),)
    return await _heard(writer, principal.actor, charge_id, decide, content, idempotency_key, rows)


async def hear_declined(
    writer: Writer, principal: Principal, charge_id: UUID, problem: str, *, idempotency_key: str
) -> Heard:
    """Write down that a charge was declined. Raises `NotFound`, `OwnWallet` or `TopUpChargeNotOpen`."""

    def decide(draft: Draft) -> Row:
        return rules.hear_declined(draft, _charge(principal, draft, charge_id), problem)

    content = {"charge": str(charge_id), "problem": problem}
    return await _heard(writer, principal.actor, charge_id, decide, content, idempotency_key)


def _charge(principal: Principal, draft: Draft, charge_id: UUID) -> AutoTopUpCharge:
    if principal.owns(draft.customer.external_id):
        raise OwnWallet(field=("chargeId",))
    return draft.row(AutoTopUpCharge, charge_id)


async def _heard(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    actor: Actor,
    charge_id: UUID,
    decide: Callable[[Draft], Row],
    content: Mapping[str, Any],
    idempotency_key: str,
    rows: tuple[tuple[type[Row], UUID], ...] = (),
) -> Heard:
    # Wallet and rule of a charge never change, so they may be read before the wallet is locked.
    found = await ChargeModel.get_or_none(id=charge_id)
    if found is None:
        raise NotFound("charge", field=("chargeId",))
    claim = IdempotencyClaim.of(actor, idempotency_key, "reportAutoTopUpCharge", content)
    named = ((AutoTopUp, found.rule_id), (AutoTopUpCharge, charge_id), *rows)
    ref = WalletRef(wallet_id=found.wallet_id)
    command = Command(
        "reportAutoTopUpCharge", actor, ref, decide, claim, rows=named, earns=(TriggerKind.TOP_UP,)
    )
    return await _heard_of(await writer.submit(command))


async def _heard_of(outcome: Outcome) -> Heard:
    if isinstance(outcome.answer, AutoTopUpCharge) and outcome.wallet is not None:
        return Heard(wallet_of(outcome.wallet), auto_top_up_charge_of(outcome.answer), replayed=False)
    charge = await ChargeModel.get(id=outcome.result["AutoTopUpCharge"]).select_related("wallet")
    return Heard(charge.wallet, charge, replayed=True)
