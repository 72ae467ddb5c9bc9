"""Batches of payouts: approved withdrawals go to the bank as a file, and what the bank says comes back as one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID, uuid5

from tortoise.queryset import QuerySet

from app.domain import payout_method as methods, withdrawal as rules
from app.domain.access import Actor, Principal
from app.domain.errors import DomainError, FieldInvalid, NotFound, OwnWallet
from app.domain.ledger import Desk, Draft
from app.domain.payout_file import (
    EXPORTED_MAX,
    Payee,
    Payout,
    PayoutFileFormat,
    ResultLine,
    as_csv,
    batch_reference,
    payee_of,
    read_results,
)
from app.domain.payout_method import PayoutMethod
from app.domain.withdrawal import PayoutOutcome, Withdrawal, WithdrawalStatus
from app.domain.withdrawal_terms import FeePayer, WithdrawalTerms
from app.models.payout_method import PayoutMethod as PayoutMethodModel
from app.models.withdrawal import Withdrawal as WithdrawalModel
from app.pain001 import CURRENCY, Payer, as_pain_001, can_be_named
from app.services.ledger.command import OWN_KEY_PREFIX, Command, DeskCommand, IdempotencyClaim, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.rows import withdrawal_of
from app.services.ledger.writer import Writer

AT_ONCE = 100
"""Withdrawals of one batch that are handed to the writer together."""


@dataclass(frozen=True, slots=True)
class Export:
    """A request to export; nothing but its id is kept, with the key."""

    id: UUID


Open = Callable[[PayoutMethodModel], Mapping[str, str]]
"""Opens the sealed details of a payout method, or raises a `DomainError` where the key for them is missing."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """What became of one withdrawal: what it is now, or why not."""

    withdrawal_id: UUID
    withdrawal: WithdrawalModel | None = None
    refusal: DomainError | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A batch as it goes to the bank; the total is in minor units."""

    reference: str
    name: str
    media_type: str
    content: str = field(repr=False)
    count: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class Exported:
    """The file, unless nothing could be exported, a result for each, and whether this answers a repeated request."""

    file: File | None
    rows: list[BatchRow]
    replayed: bool


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What became of one line: the withdrawal as it is now, or why not."""

    line: ResultLine
    withdrawal: WithdrawalModel | None = None
    refusal: DomainError | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A result for each line, and whether this answers a repeated request."""

    rows: list[ImportedRow]
    replayed: bool


# --- to the bank --------------------------------------------------------------------------------------------


async def export(
    writer: Writer,
    principal: Principal,
    *,
    withdrawal_ids: Sequence[UUID] | None,
    found: QuerySet[WithdrawalModel] | None,
    file_format: PayoutFileFormat,
    terms: WithdrawalTerms,
    idempotency_key: str,
    request: Mapping[str, object],
    now: datetime,
    open_details: Open,
) -> Exported:
    """Mark approved withdrawals as processing under one batch's reference, and write that batch for the bank.

    They are named, or the oldest that a query finds. Repeated with its key, the same batch is written again: what was
    marked stays marked, so a file that got lost is asked for again and nothing is sent twice. Where the money goes is read
    from the sealed payout methods; that somebody reads it is written down before it is told. Raises `FieldInvalid` for
    input that can't be meant, or for pain.001 without the payer's account, and `PayoutMethodsClosed` for a batch whose
    details can't be opened any more.
    """
    if (withdrawal_ids is None) == (found is None):
        raise FieldInvalid("Give `withdrawalIds` or a `filter`, and not both.", field=("withdrawalIds",))
    if withdrawal_ids is not None and not 1 <= len(withdrawal_ids) <= EXPORTED_MAX:
        raise FieldInvalid(f"Name from 1 to {EXPORTED_MAX} withdrawals.", field=("withdrawalIds",))
    payer = _payer(terms) if file_format is PayoutFileFormat.PAIN_001 else None
    actor = principal.actor
    content = {"format": str(file_format), **request}
    claim = IdempotencyClaim.of(actor, idempotency_key, "exportWithdrawals", content)
    own = Export(RandomMint().id())
    outcome = await writer.submit(DeskCommand("exportWithdrawals", actor, lambda _desk: own, claim))
    # Where a commit's answer was lost, the writer finds its own key at the second try: nothing was marked yet.
    replayed = outcome.replayed and outcome.result.get("Export") != str(own.id)
    batch = batch_reference(claim.scope, claim.key)
    rows: list[BatchRow] = []
    if withdrawal_ids is not None or not replayed:
        chosen = await _chosen(withdrawal_ids, found)
        rows = await _mark(
            writer, principal, chosen, claim, batch, to_account=payer is not None, open_details=open_details
        )
    marked = await _with_customers(WithdrawalModel.filter(batch_reference=batch)).order_by("created_at", "id")
    if not rows:
        rows = [BatchRow(row.id, row) for row in marked]
    if not marked:
        return Exported(None, rows, replayed)
    named = await _named(marked)
    payouts = [_payout(row, named, open_details) for row in marked]
    await _write_down(writer, actor, list(named.values()), batch)
    return Exported(await _written(payouts, batch, file_format, payer, now.date()), rows, replayed)


def _payer(terms: WithdrawalTerms) -> Payer:
    if not terms.payer_iban or not terms.payer_name:
        raise FieldInvalid(
            "The store's own account is not known. Choose CSV, or give payerName and payerIban in the settings first.",
            field=("format",),
        )
    return Payer(terms.payer_name, terms.payer_iban, terms.payer_bic or None)


def _with_customers(query: QuerySet[WithdrawalModel]) -> QuerySet[WithdrawalModel]:
    return query.select_related("wallet__customer")


async def _chosen(
    ids: Sequence[UUID] | None, found: QuerySet[WithdrawalModel] | None
) -> list[tuple[UUID, WithdrawalModel | None]]:
    """Return what is meant, in the order in which it was named, or the oldest first."""
    if ids is not None:
        wanted = list(dict.fromkeys(ids))
        known = {row.id: row for row in await _with_customers(WithdrawalModel.filter(id__in=wanted))}
        return [(one, known.get(one)) for one in wanted]
    if found is None:
        return []
    approved = found.filter(status=str(WithdrawalStatus.APPROVED)).order_by("created_at", "id")
    return [(row.id, row) for row in await _with_customers(approved.limit(EXPORTED_MAX))]


async def _mark(
    writer: Writer,
    principal: Principal,
    chosen: list[tuple[UUID, WithdrawalModel | None]],
    claim: IdempotencyClaim,
    batch: str,
    *,
    to_account: bool,
    open_details: Open,
) -> list[BatchRow]:
    named = await _named([row for _, row in chosen if row is not None])

    async def one(withdrawal_id: UUID, row: WithdrawalModel | None) -> BatchRow:
        try:
            if row is None:
                raise NotFound("withdrawal", field=("withdrawalIds",))
            # Opened before it is marked: what can't be sent stays approved.
            _require_account(row, _payout(row, named, open_details).payee, to_account=to_account)
            decide = _into_batch(principal, row, batch)
            own = replace(claim, key=str(uuid5(withdrawal_id, claim.key)))
            return BatchRow(withdrawal_id, await _submitted(writer, principal, row, decide, own))
        except DomainError as refusal:
            return BatchRow(withdrawal_id, refusal=refusal)

    rows: list[BatchRow] = []
    for start in range(0, len(chosen), AT_ONCE):
        rows += await asyncio.gather(*(one(*each) for each in chosen[start : start + AT_ONCE]))
    return rows


async def _named(rows: Sequence[WithdrawalModel]) -> dict[UUID, PayoutMethodModel]:
    """Return the payout methods that withdrawals name."""
    ids = {row.payout_method_id for row in rows if row.payout_method_id is not None}
    return {one.id: one for one in await PayoutMethodModel.filter(id__in=list(ids))} if ids else {}


def _payout(row: WithdrawalModel, named: Mapping[UUID, PayoutMethodModel], open_details: Open) -> Payout:
    """Return a withdrawal as a row of a batch. Raises what `open_details` raises."""
    customer = row.wallet.customer
    name = customer.name or customer.external_id
    # Where the customer named no method, the store knows where to pay; here nothing more than the name is known.
    payee = (
        Payee(name)
        if row.payout_method_id is None
        else payee_of(open_details(named[row.payout_method_id]), name)
    )
    return Payout(
        reference=row.reference,
        amount_minor=row.amount_minor - (row.fee_minor if row.fee_payer == FeePayer.CUSTOMER else 0),
        currency=row.currency,
        method=row.method,
        payee=payee,
        customer=customer.external_id,
    )


def _require_account(row: WithdrawalModel, payee: Payee, *, to_account: bool) -> None:
    if to_account and not payee.iban:
        raise FieldInvalid(
            "No bank account of this customer is known. Ask them for one, or choose CSV.",
            field=("withdrawalIds",),
        )
    if to_account and not can_be_named(payee.name):
        raise FieldInvalid(
            "The account holder's name has no letters that a bank can read. Ask the customer for another payout method, "
            "or choose CSV.",
            field=("withdrawalIds",),
        )
    if to_account and row.currency != CURRENCY:
        raise FieldInvalid(
            f"SEPA moves {CURRENCY}, not {row.currency}. Choose CSV.", field=("withdrawalIds",)
        )


def _into_batch(principal: Principal, row: WithdrawalModel, batch: str) -> Callable[[Draft], Withdrawal]:
    def decide(draft: Draft) -> Withdrawal:
        _require_others(principal, draft, "withdrawalIds")
        withdrawal = draft.row(Withdrawal, row.id)
        rules.require_move(withdrawal, WithdrawalStatus.PROCESSING)
        if row.payout_method_id is not None:
            methods.require_there(draft.row(PayoutMethod, row.payout_method_id))
        note = f"Exported for the bank with batch {batch}"
        return rules.start_processing(
            draft, withdrawal, actor=principal.actor, note=note, batch_reference=batch
        )

    return decide


async def _write_down(writer: Writer, actor: Actor, opened: Sequence[PayoutMethodModel], batch: str) -> None:
    """Write down that somebody reads these details, each time that a file with them is made."""

    def decide(desk: Desk) -> None:
        methods.read_together(desk, opened, note=f"Exported for the bank with batch {batch}", actor=actor)

    if opened:
        claim = IdempotencyClaim.own(actor, f"{OWN_KEY_PREFIX}batch:{RandomMint().id()}")
        await writer.submit(DeskCommand("readPayoutDetails", actor, decide, claim))


async def _written(
    payouts: Sequence[Payout], batch: str, file_format: PayoutFileFormat, payer: Payer | None, today: date
) -> File:
    total = sum(payout.amount_minor for payout in payouts)
    if payer is None:
        text, name, media_type = as_csv(payouts), f"{batch}.csv", "text/csv"
    else:
        # The schema is read anew each time, which takes a while: not on the loop that serves everybody.
        text = await asyncio.to_thread(as_pain_001, payouts, payer, reference=batch, executed_on=today)
        name, media_type = f"{batch}.xml", "application/xml"
    return File(batch, name, media_type, text, len(payouts), total)


# --- from the bank ------------------------------------------------------------------------------------------


async def take_results(
    writer: Writer, principal: Principal, content: str, *, idempotency_key: str
) -> Imported:
    """Bring withdrawals to where the bank says that they are, line by line; one that is refused keeps no other.

    May be told any number of times. Raises `FieldInvalid` for what is no file of results.
    """
    lines = read_results(content)
    actor = principal.actor
    claim = IdempotencyClaim.of(actor, idempotency_key, "importWithdrawalResults", {"content": content})
    outcome = await writer.submit(DeskCommand("importWithdrawalResults", actor, _nothing, claim))
    references = {line.reference for line in lines if line.outcome is not None}
    known = {row.reference: row for row in await WithdrawalModel.filter(reference__in=list(references))}

    async def one(line: ResultLine) -> ImportedRow:
        try:
            if line.outcome is None:
                return ImportedRow(line, refusal=line.refusal)
            row = known.get(line.reference)
            if row is None:
                raise NotFound("withdrawal", field=("content",))
            decide = _told(principal, row, line.outcome)
            own = replace(claim, key=str(uuid5(row.id, f"{line.line}:{claim.key}")))
            return ImportedRow(line, await _submitted(writer, principal, row, decide, own))
        except DomainError as refusal:
            return ImportedRow(line, refusal=refusal)

    rows: list[ImportedRow] = []
    for start in range(0, len(lines), AT_ONCE):
        # In the order of the file: what is said of one withdrawal on two lines is told in that order.
        rows += await asyncio.gather(*(one(line) for line in lines[start : start + AT_ONCE]))
    return Imported(rows, outcome.replayed)


def _told(
    principal: Principal, row: WithdrawalModel, outcome: PayoutOutcome
) -> Callable[[Draft], Withdrawal]:
    def decide(draft: Draft) -> Withdrawal:
        _require_others(principal, draft, "content")
        return rules.settle_outcome(draft, draft.row(Withdrawal, row.id), outcome, actor=principal.actor)

    return decide


# --- shared -------------------------------------------------------------------------------------------------


def _require_others(principal: Principal, draft: Draft, field: str) -> None:
    if principal.owns(draft.customer.external_id):
        raise OwnWallet(field=(field,))


def _nothing(desk: Desk) -> None:
    """Nothing but the key is written."""


async def _submitted(
    writer: Writer,
    principal: Principal,
    row: WithdrawalModel,
    decide: Callable[[Draft], Withdrawal],
    claim: IdempotencyClaim,
) -> WithdrawalModel:
    method = () if row.payout_method_id is None else ((PayoutMethod, row.payout_method_id),)
    outcome = await writer.submit(
        Command(
            "payoutBatch",
            principal.actor,
            WalletRef(wallet_id=row.wallet_id),
            decide,
            claim,
            holds=(row.hold_id,),
            rows=((Withdrawal, row.id), *method),
        )
    )
    if isinstance(outcome.answer, Withdrawal):
        return withdrawal_of(outcome.answer)
    return await WithdrawalModel.get(id=row.id)
