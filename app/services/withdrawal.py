"""A customer asks to be paid out; the store decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain import withdrawal as rules
from app.domain.access import Capability, Principal
from app.domain.errors import CurrencyMismatch, NotFound, OwnWallet
from app.domain.ledger import Draft
from app.domain.money import currency_of, parse_amount
from app.domain.note import check_note, check_remark, check_text
from app.domain.page import Page, PageRequest
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal as WithdrawalModel
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import wallet_of, withdrawal_of
from app.services.ledger.writer import Writer

PAYOUT_REFERENCE_MAX = 128


@dataclass(frozen=True, slots=True)
class Decided:
    """The wallet and the withdrawal after a step, and whether this is the answer to a repeated request."""

    wallet: Wallet
    withdrawal: WithdrawalModel
    replayed: bool


SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Withdrawals come newest first."""

Statuses = tuple[str, ...] | None


def withdrawals(statuses: Statuses, wallet_id: UUID | None = None) -> QuerySet[WithdrawalModel]:
    """Return the query of a list of withdrawals, of one wallet or of the whole store."""
    query = WithdrawalModel.all()
    if statuses is not None:
        query = query.filter(status__in=statuses)
    return query if wallet_id is None else query.filter(wallet_id=wallet_id)


async def page_of(query: QuerySet[WithdrawalModel], page: PageRequest) -> Page[WithdrawalModel]:
    """Read one page of a list of withdrawals."""
    return await fetch_page(query, SORT, page)


Pages = PageLoader[Statuses, WithdrawalModel]
Counts = CountLoader[Statuses]


def pages() -> Pages:
    """Return a loader of pages of wallets' withdrawals, newest first."""
    return PageLoader(withdrawals, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many withdrawals wallets have."""
    return CountLoader(withdrawals, partition="wallet_id")


async def request(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    *,
    amount: str,
    currency: str,
    note: str,
    idempotency_key: str,
) -> Decided:
    """Hold an amount of withdrawable money and write the request down.

    Raises `NotFound` (also for a wallet that is not the caller's), `WalletFrozen`, `InsufficientFunds` or a
    refusal of the input.
    """
    amount_minor = parse_amount(amount, currency_of(currency), field=("amount", "amount"))
    note = check_remark(note)
    actor = principal.actor

    def decide(draft: Draft) -> Withdrawal:
        _require_mine(principal, draft, NotFound("wallet", field=("wallet",)))
        if draft.wallet.currency != currency:
            raise CurrencyMismatch(given=currency, wallet=draft.wallet.currency)
        return rules.request(draft, amount_minor, note=note, actor=actor)

    content = {"wallet": repr(ref), "amount_minor": amount_minor, "currency": currency, "note": note}
    claim = IdempotencyClaim.of(actor, idempotency_key, "requestWithdrawal", content)
    return await _decided(await writer.submit(Command("requestWithdrawal", actor, ref, decide, claim)))


async def cancel(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, idempotency_key: str
) -> Decided:
    """Take a request back. Raises `NotFound` or `WithdrawalNotOpen`."""

    def decide(draft: Draft) -> Withdrawal:
        _require_mine(principal, draft, _no_withdrawal())
        withdrawal = draft.row(Withdrawal, withdrawal_id)
        return rules.give_back(
            draft, withdrawal, WithdrawalStatus.CANCELLED, note=None, actor=principal.actor
        )

    return await _decide(writer, principal, withdrawal_id, "cancelWithdrawal", decide, {}, idempotency_key)


async def reject(
    writer: Writer, principal: Principal, withdrawal_id: UUID, *, note: str, idempotency_key: str
) -> Decided:
    """Refuse a request, saying why. Raises `NotFound`, `OwnWallet`, `WithdrawalNotOpen` or a refusal of the note."""
    note = check_note(note)

    def decide(draft: Draft) -> Withdrawal:
        _require_others(principal, draft)
        withdrawal = draft.row(Withdrawal, withdrawal_id)
        return rules.give_back(draft, withdrawal, WithdrawalStatus.REJECTED, note=note, actor=principal.actor)

    content = {"note": note}
    return await _decide(
        writer, principal, withdrawal_id, "rejectWithdrawal", decide, content, idempotency_key
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
        payout_reference = check_text(
            payout_reference, field="payoutReference", length_max=PAYOUT_REFERENCE_MAX
        )
    if note is not None:
        note = check_remark(note)

    def decide(draft: Draft) -> Withdrawal:
        _require_others(principal, draft)
        withdrawal = draft.row(Withdrawal, withdrawal_id)
        return rules.pay(
            draft, withdrawal, payout_reference=payout_reference, note=note, actor=principal.actor
        )

    content = {"payout_reference": payout_reference, "note": note}
    return await _decide(
        writer, principal, withdrawal_id, "markWithdrawalPaid", decide, content, idempotency_key
    )


def _require_mine(principal: Principal, draft: Draft, refusal: NotFound) -> None:
    if not (principal.owns(draft.customer.external_id) or principal.may(Capability.WITHDRAWALS_REQUEST)):
        raise refusal


def _no_withdrawal() -> NotFound:
    return NotFound("withdrawal", field=("withdrawalId",))


def _require_others(principal: Principal, draft: Draft) -> None:
    if principal.owns(draft.customer.external_id):
        raise OwnWallet(field=("withdrawalId",))


async def _decide(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
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
    actor = principal.actor
    request_content = {"withdrawal": str(withdrawal_id), **content}
    claim = IdempotencyClaim.of(actor, idempotency_key, command, request_content)
    outcome = await writer.submit(
        Command(
            command,
            actor,
            WalletRef(wallet_id=found.wallet_id),
            decide,
            claim,
            holds=(found.hold_id,),
            rows=((Withdrawal, withdrawal_id),),
        )
    )
    return await _decided(outcome)


async def _decided(outcome: Outcome) -> Decided:
    if isinstance(outcome.answer, Withdrawal) and outcome.wallet is not None:
        return Decided(wallet_of(outcome.wallet), withdrawal_of(outcome.answer), replayed=False)
    withdrawal = await WithdrawalModel.get(id=outcome.result["Withdrawal"]).select_related("wallet")
    return Decided(withdrawal.wallet, withdrawal, replayed=True)
