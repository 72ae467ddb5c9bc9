"""A customer asks to be paid out; the store decides; whoever sends the money says what became of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.domain import withdrawal as rules
from app.domain.access import Actor, Capability, Principal
from app.domain.errors import CurrencyMismatch, DomainError, FieldInvalid, NotFound, OwnWallet
from app.domain.ledger import Desk, Draft
from app.domain.money import currency_of, parse_amount
from app.domain.note import check_note, check_remark, check_text
from app.domain.outbox import Channel, message
from app.domain.page import Page, PageRequest
from app.domain.payout_method import PayoutMethod, require_usable
from app.domain.withdrawal import PayoutOutcome, Withdrawal, WithdrawalStatus
from app.models.paging import FEW_MAX, CountLoader, PageLoader, Sort, fetch_page, integer_value, time_value
from app.models.presence import has_text
from app.models.search import SEARCH_MAX, Few, few, walking, words_of
from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal as WithdrawalModel
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import wallet_of, withdrawal_of
from app.services.ledger.writer import Writer

REFERENCE_MAX = 128
"""Characters of a bank's or provider's reference at most."""

DECIDED_MAX = 100
"""Withdrawals that one request can decide."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The wallet and the withdrawal after a step, and whether this is the answer to a repeated request."""

    wallet: Wallet
    withdrawal: WithdrawalModel
    replayed: bool


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one withdrawal of several: what it is now, or why not."""

    withdrawal_id: UUID
    decided: Decided | None = None
    refusal: DomainError | None = None


@dataclass(frozen=True, slots=True)
class DecidedEach:
    """What became of each of several, and whether this is the answer to a repeated request."""

    rows: list[RowResult]
    replayed: bool


# --- lists --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WithdrawalFilter:
    """What a list of withdrawals is narrowed to; `None` does not narrow. Bounds are inclusive, amounts in minor units."""

    statuses: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    requested_from: datetime | None = None
    requested_to: datetime | None = None
    batch_reference: str | None = None
    has_problem: bool | None = None
    search: str | None = None
    """A reference (ours, the payer's, a batch's), or parts of the customer's name, e-mail or store id."""


_BOUNDS = {
    "statuses": "status__in",
    "methods": "method__in",
    "amount_min_minor": "amount_minor__gte",
    "amount_max_minor": "amount_minor__lte",
    "requested_from": "created_at__gte",
    "requested_to": "created_at__lte",
    "batch_reference": "batch_reference",
}

SORTS = {
    "REQUESTED_AT": Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value),
    "AMOUNT": Sort("AMOUNT", "amount_minor", lambda row: row.amount_minor, integer_value),
}
"""The orders that a list of withdrawals comes in."""

SORT = replace(SORTS["REQUESTED_AT"], descending=True)
"""A wallet's withdrawals come newest first."""


def withdrawals(wanted: WithdrawalFilter, wallet_id: UUID | None = None) -> QuerySet[WithdrawalModel]:
    """Return the query of a list of withdrawals, of one wallet or of the whole store."""
    query = WithdrawalModel.all() if wallet_id is None else WithdrawalModel.filter(wallet_id=wallet_id)
    for name, condition in _BOUNDS.items():
        if (bound := getattr(wanted, name)) is not None:
            query = query.filter(**{condition: bound})
    if wanted.has_problem is not None:
        query = query.filter(has_text("problem", there=wanted.has_problem))
    return query


async def searched(wanted: WithdrawalFilter) -> QuerySet[WithdrawalModel]:
    """Return the query of the store's withdrawals, those that the search finds. Raises a refusal of the search."""
    query = withdrawals(wanted)
    text = check_text(wanted.search or "", field="search", length_max=SEARCH_MAX)
    return query.filter(await _search(text)) if text else query


async def _search(text: str) -> Q:
    # Asked for first and alone: each of them has an index, and together with the customer's name there would be none.
    named = WithdrawalModel.filter(
        Q(reference=text.upper())
        | Q(provider_reference=text)
        | Q(payout_reference=text)
        | Q(batch_reference=text.upper())
    )
    ids: list[Any] = list(await named.limit(FEW_MAX).values_list("id", flat=True))
    if ids:
        return Q(id__in=ids)
    words = words_of(text)
    found = await few(words, "withdrawals")
    return found.among("id") if isinstance(found, Few) else walking(words, "wallet__customer__search_text")


async def page_of(
    query: QuerySet[WithdrawalModel],
    page: PageRequest,
    *,
    sort: str = "REQUESTED_AT",
    descending: bool = True,
) -> Page[WithdrawalModel]:
    """Read one page of a list of withdrawals."""
    return await fetch_page(query, replace(SORTS[sort], descending=descending), page)


Pages = PageLoader[WithdrawalFilter, WithdrawalModel]
Counts = CountLoader[WithdrawalFilter]


def pages() -> Pages:
    """Return a loader of pages of wallets' withdrawals, newest first."""
    return PageLoader(withdrawals, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many withdrawals wallets have."""
    return CountLoader(withdrawals, partition="wallet_id")


# --- asked for and taken back -------------------------------------------------------------------------------


async def request(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    *,
    amount: str,
    currency: str,
    note: str,
    idempotency_key: str,
    method: str | None = None,
    payout_method_id: UUID | None = None,
) -> Decided:
    """Hold an amount of withdrawable money and write the request down.

    Raises `NotFound` (also for a wallet or payout method that is not the caller's), `PayoutMethodNotUsable`,
    `WithdrawalsDisabled`, `WalletFrozen`,
    `WithdrawalOutOfLimits`, `InsufficientFunds` or a refusal of the input.
    """
    amount_minor = parse_amount(amount, currency_of(currency), field=("amount", "amount"))
    note = check_remark(note)
    actor = principal.actor

    def decide(draft: Draft) -> Withdrawal:
        _require_mine(principal, draft, NotFound("wallet", field=("wallet",)))
        if draft.wallet.currency != currency:
            raise CurrencyMismatch(given=currency, wallet=draft.wallet.currency)
        chosen = method
        if payout_method_id is not None:
            chosen = _sent_to(draft, payout_method_id, method)
        return rules.request(
            draft, amount_minor, note=note, actor=actor, method=chosen, payout_method_id=payout_method_id
        )

    content = {"wallet": repr(ref), "amount_minor": amount_minor, "currency": currency, "note": note}
    if method is not None or payout_method_id is not None:
        # Left out where nothing is said, so that a key of an earlier version still stands for the same request.
        content |= {"method": method, "payout_method": payout_method_id and str(payout_method_id)}
    claim = IdempotencyClaim.of(actor, idempotency_key, "requestWithdrawal", content)
    rows = () if payout_method_id is None else ((PayoutMethod, payout_method_id),)
    command = Command("requestWithdrawal", actor, ref, decide, claim, rows=rows, withdraws=True)
    return await _decided(await writer.submit(command))


async def cancel(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, idempotency_key: str
) -> Decided:
    """Take a request back, until it is processing. Raises `NotFound` or `WithdrawalNotOpen`."""

    def decide(draft: Draft) -> Withdrawal:
        _require_mine(principal, draft, _no_withdrawal())
        withdrawal = draft.row(Withdrawal, withdrawal_id)
        return rules.give_back(
            draft, withdrawal, WithdrawalStatus.CANCELLED, note=None, actor=principal.actor
        )

    return await _decide(
        writer, principal.actor, withdrawal_id, "cancelWithdrawal", decide, {}, idempotency_key
    )


# --- decided by staff ---------------------------------------------------------------------------------------

Rule = Callable[[Draft, Withdrawal], Withdrawal]


async def review(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str | None, idempotency_key: str
) -> Decided:
    """Take a request into review. Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen` or a refusal of the note."""
    note = _remark(note)
    rule = partial(rules.take_into_review, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "reviewWithdrawal", rule, {"note": note}, idempotency_key
    )


async def approve(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str | None, idempotency_key: str
) -> Decided:
    """Decide that a request is paid out.

    Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen`, `WalletFrozen` or a refusal of the note.
    """
    note = _remark(note)
    rule = partial(rules.approve, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "approveWithdrawal", rule, {"note": note}, idempotency_key
    )


async def reject(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str, idempotency_key: str
) -> Decided:
    """Refuse a request, saying why. Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen` or a refusal of the note."""
    note = check_note(note)
    rule = partial(rules.give_back, status=WithdrawalStatus.REJECTED, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "rejectWithdrawal", rule, {"note": note}, idempotency_key
    )


async def approve_many(
    writer: Writer,
    principal: Principal,
    withdrawal_ids: Sequence[UUID],
    *,
    note: str | None,
    idempotency_key: str,
) -> DecidedEach:
    """Approve several, each by itself: one that is refused keeps no other. Raises a refusal of the input."""
    note = _remark(note)
    rule = partial(rules.approve, note=note, actor=principal.actor)
    return await _each(
        writer, principal, withdrawal_ids, "approveWithdrawals", rule, {"note": note}, idempotency_key
    )


async def reject_many(
    writer: Writer, principal: Principal, withdrawal_ids: Sequence[UUID], *, note: str, idempotency_key: str
) -> DecidedEach:
    """Refuse several, each by itself: one that is refused keeps no other. Raises a refusal of the input."""
    note = check_note(note)
    rule = partial(rules.give_back, status=WithdrawalStatus.REJECTED, note=note, actor=principal.actor)
    return await _each(
        writer, principal, withdrawal_ids, "rejectWithdrawals", rule, {"note": note}, idempotency_key
    )


# --- what became of the money -------------------------------------------------------------------------------


async def mark_processing(
    writer: Writer,
    principal: Principal,
    withdrawal_id: UUID,
    *,
    note: str | None,
    idempotency_key: str,
) -> Decided:
    """Write down that the money is being sent, so that nobody cancels it any more.

    Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen`, `WalletFrozen` or a refusal of the note.
    """
    note = _remark(note)
    rule = partial(rules.start_processing, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "markWithdrawalProcessing", rule, {"note": note}, idempotency_key
    )


async def mark_paid(
    writer: Writer,
    principal: Principal,
    withdrawal_id: UUID,
    *,
    payout_reference: str | None,
    note: str | None,
    idempotency_key: str,
) -> Decided:
    """Write down that the money was sent. Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen` or `WalletFrozen`."""
    if payout_reference is not None:
        payout_reference = check_text(payout_reference, field="payoutReference", length_max=REFERENCE_MAX)
    note = _remark(note)
    rule = partial(rules.pay, payout_reference=payout_reference, note=note, actor=principal.actor)
    content = {"payout_reference": payout_reference, "note": note}
    return await _by_staff(
        writer, principal, withdrawal_id, "markWithdrawalPaid", rule, content, idempotency_key
    )


async def mark_failed(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str, idempotency_key: str
) -> Decided:
    """Write down that the money could not be sent. Raises `NotFound`, `OwnWallet` or `WithdrawalNotOpen`."""
    note = check_note(note)
    rule = partial(rules.fail, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "markWithdrawalFailed", rule, {"note": note}, idempotency_key
    )


async def mark_returned(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str, idempotency_key: str
) -> Decided:
    """Write down that the money came back. Raises `NotFound`, `OwnWallet` or `WithdrawalNotOpen`."""
    note = check_note(note)
    rule = partial(rules.take_back, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "markWithdrawalReturned", rule, {"note": note}, idempotency_key
    )


async def resolve(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str, idempotency_key: str
) -> Decided:
    """Write down that what ledger and payer did not agree on was looked at.

    Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen` or a refusal of the note.
    """
    note = check_note(note)
    rule = partial(rules.resolve_problem, note=note, actor=principal.actor)
    return await _by_staff(
        writer, principal, withdrawal_id, "resolveWithdrawal", rule, {"note": note}, idempotency_key
    )


async def start_processing(
    writer: Writer,
    actor: Actor,
    withdrawal_id: UUID,
    *,
    provider: str,
    idempotency_key: str,
) -> Decided:
    """Hand an approved withdrawal to a provider: the message that has it sent is written in the same transaction.

    So it is processing before the provider is asked, and the provider is asked for one payout.

    Raises `NotFound`, `WithdrawalNotOpen` or `WalletFrozen`.
    """

    def decide(draft: Draft) -> Withdrawal:
        withdrawal = draft.row(Withdrawal, withdrawal_id)
        started = rules.start_processing(draft, withdrawal, actor=actor, provider=provider)
        body = {"withdrawal": str(withdrawal_id)}
        draft.add(message(withdrawal_id, Channel.PAYOUT, provider, "payout", body, now=draft.now))
        return started

    content = {"provider": provider}
    return await _decide(writer, actor, withdrawal_id, "startWithdrawal", decide, content, idempotency_key)


async def settle(
    writer: Writer, actor: Actor, withdrawal_id: UUID, outcome: PayoutOutcome, *, idempotency_key: str
) -> Decided:
    """Bring a withdrawal to where a provider says that it is; may be told any number of times, in any order.

    A key of its own for each message is enough: what is told twice changes nothing. Raises `NotFound`.
    """

    def decide(draft: Draft) -> Withdrawal:
        return rules.settle_outcome(draft, draft.row(Withdrawal, withdrawal_id), outcome, actor=actor)

    content = {
        "kind": str(outcome.kind),
        "provider_reference": outcome.provider_reference,
        "payout_reference": outcome.payout_reference,
        "note": outcome.note,
    }
    return await _decide(writer, actor, withdrawal_id, "settleWithdrawal", decide, content, idempotency_key)


# --- where it is sent ---------------------------------------------------------------------------------------


def _sent_to(draft: Draft, payout_method_id: UUID, method: str | None) -> str:
    """Return the way of paying out that a payout method stands for, if the wallet may use it now."""
    found = draft.found(PayoutMethod, payout_method_id)
    if found is None or found.wallet_id != draft.wallet.id:
        raise NotFound("payout method", field=("payoutMethodId",))
    require_usable(found, draft.now)
    if method is not None and method != found.kind:
        raise FieldInvalid(
            f"This payout method is a {found.kind}. Leave the method out, or choose another payout method.",
            field=("method",),
        )
    return str(found.kind)


# --- shared -------------------------------------------------------------------------------------------------


def _remark(note: str | None) -> str | None:
    return None if note is None else check_remark(note)


def _require_mine(principal: Principal, draft: Draft, refusal: NotFound) -> None:
    if not (principal.owns(draft.customer.external_id) or principal.may(Capability.WITHDRAWALS_REQUEST)):
        raise refusal


def _no_withdrawal() -> NotFound:
    return NotFound("withdrawal", field=("withdrawalId",))


def _of_others(principal: Principal, withdrawal_id: UUID, rule: Rule) -> Callable[[Draft], Withdrawal]:
    """Return what decides by a rule, unless the wallet is the caller's own."""

    def decide(draft: Draft) -> Withdrawal:
        if principal.owns(draft.customer.external_id):
            raise OwnWallet(field=("withdrawalId",))
        return rule(draft, draft.row(Withdrawal, withdrawal_id))

    return decide


async def _by_staff(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
    withdrawal_id: UUID,
    command: str,
    rule: Rule,
    content: Mapping[str, str | None],
    idempotency_key: str,
) -> Decided:
    decide = _of_others(principal, withdrawal_id, rule)
    return await _decide(writer, principal.actor, withdrawal_id, command, decide, content, idempotency_key)


async def _decide(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    actor: Actor,
    withdrawal_id: UUID,
    command: str,
    decide: Callable[[Draft], Withdrawal],
    content: Mapping[str, str | None],
    idempotency_key: str,
) -> Decided:
    # Wallet and hold of a withdrawal never change, so they may be read before the wallet is locked.
    found = await WithdrawalModel.get_or_none(id=withdrawal_id)
    if found is None:
        raise _no_withdrawal()
    claim = IdempotencyClaim.of(
        actor, idempotency_key, command, {"withdrawal": str(withdrawal_id), **content}
    )
    return await _decided(await writer.submit(_command(command, actor, found, decide, claim)))


def _command(
    name: str,
    actor: Actor,
    found: WithdrawalModel,
    decide: Callable[[Draft], Withdrawal],
    claim: IdempotencyClaim,
) -> Command:
    return Command(
        name,
        actor,
        WalletRef(wallet_id=found.wallet_id),
        decide,
        claim,
        holds=(found.hold_id,),
        rows=((Withdrawal, found.id),),
    )


async def _each(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
    withdrawal_ids: Sequence[UUID],
    command: str,
    rule: Rule,
    content: Mapping[str, Any],
    idempotency_key: str,
) -> DecidedEach:
    """Decide each by a command of its own; the request's key is claimed first, so that it stands for one list."""
    if not 1 <= len(withdrawal_ids) <= DECIDED_MAX:
        raise FieldInvalid(f"Name from 1 to {DECIDED_MAX} withdrawals.", field=("withdrawalIds",))
    wanted, actor = list(dict.fromkeys(withdrawal_ids)), principal.actor
    whole = {"withdrawals": [str(one) for one in wanted], **content}
    claim = IdempotencyClaim.of(actor, idempotency_key, command, whole)
    claimed = await writer.submit(DeskCommand(command, actor, _nothing, claim))
    found = {row.id: row for row in await WithdrawalModel.filter(id__in=wanted)}

    async def one(withdrawal_id: UUID) -> RowResult:
        row = found.get(withdrawal_id)
        if row is None:
            return RowResult(withdrawal_id, refusal=_no_withdrawal())
        # Each has a key of its own, below the one that the caller chose.
        own = replace(claim, key=str(uuid5(withdrawal_id, idempotency_key)))
        decide = _of_others(principal, withdrawal_id, rule)
        try:
            outcome = await writer.submit(_command(command, actor, row, decide, own))
        except DomainError as refusal:
            return RowResult(withdrawal_id, refusal=refusal)
        return RowResult(withdrawal_id, decided=await _decided(outcome))

    rows = await asyncio.gather(*(one(withdrawal_id) for withdrawal_id in wanted))
    return DecidedEach(list(rows), claimed.replayed)


def _nothing(desk: Desk) -> None:
    """Nothing but the key is written."""


async def _decided(outcome: Outcome) -> Decided:
    if isinstance(outcome.answer, Withdrawal) and outcome.wallet is not None:
        return Decided(wallet_of(outcome.wallet), withdrawal_of(outcome.answer), replayed=False)
    withdrawal = await WithdrawalModel.get(id=outcome.result["Withdrawal"]).select_related("wallet")
    return Decided(withdrawal.wallet, withdrawal, replayed=True)
