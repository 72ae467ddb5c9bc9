"""Money that customers paid in by the store's checkout."""

from dataclasses import dataclass
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain import top_up as rules, top_up_intent as intents
from app.domain.access import Actor
from app.domain.cashback.rule import TriggerKind
from app.domain.errors import NotFound, OwnWallet, TopUpOfAnother
from app.domain.ledger import Draft, Row
from app.domain.note import check_text
from app.domain.reference import read_reference
from app.domain.top_up import TopUp, TopUpTold
from app.domain.top_up_intent import TopUpIntent
from app.models.paging import CountLoader, PageLoader, Sort, time_value
from app.models.top_up import TopUp as TopUpModel
from app.models.top_up_intent import TopUpIntent as TopUpIntentModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import top_up_of, wallet_of
from app.services.ledger.writer import Writer

EARNING = (TriggerKind.TOP_UP,)
"""The occasion that a top-up is."""

SORT = Sort("PAID_AT", "paid_at", lambda row: row.paid_at, time_value, descending=True)
"""Top-ups come newest first."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The wallet and the top-up, and whether this is the answer to a repeated request."""

    wallet: Wallet
    top_up: TopUpModel
    replayed: bool


def top_ups(_all: None, wallet_id: UUID | None = None) -> QuerySet[TopUpModel]:
    """Return the query of top-ups, of one wallet or of the whole store."""
    query = TopUpModel.all()
    return query if wallet_id is None else query.filter(wallet_id=wallet_id)


Pages = PageLoader[None, TopUpModel]
Counts = CountLoader[None]


def pages() -> Pages:
    """Return a loader of pages of wallets' top-ups, newest first."""
    return PageLoader(top_ups, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many top-ups wallets have."""
    return CountLoader(top_ups, partition="wallet_id")


async def record(
    writer: Writer,
    actor: Actor,
    ref: WalletRef,
    told: TopUpTold,
    *,
    intent: str | None = None,
    own: str | None = None,
    idempotency_key: str | None = None,
) -> Recorded:
    """Bring a wallet to what the store kept of a top-up; told twice it is credited once.

    `intent` is the reference of the top-up that was started here, where it is known. `own` is the customer that the caller
    is themselves: nobody credits their own wallet. Raises `NotFound`, `OwnWallet`, `CurrencyMismatch`, `TopUpOfAnother`,
    `BalanceTooLarge` or a refusal of the input.
    """
    told = told.checked()
    intent_id = await _intent_id(intent)

    def decide(draft: Draft) -> TopUp:
        if own == draft.customer.external_id:
            raise OwnWallet
        top_up = rules.record(draft, told, actor)
        if intent_id is not None:
            started = draft.found(TopUpIntent, intent_id)
            if started is None or started.wallet_id != draft.wallet.id:
                raise TopUpOfAnother(field=("intent",))
            intents.complete(draft, started, top_up)
        return top_up

    claim = None
    if idempotency_key is not None:
        request = {"wallet": repr(ref), "told": repr(told), "intent": intent}
        claim = IdempotencyClaim.of(actor, idempotency_key, "recordTopUp", request)
    rows: tuple[tuple[type[Row], UUID], ...] = ((TopUp, told.id),)
    if intent_id is not None:
        rows += ((TopUpIntent, intent_id),)
    command = Command("recordTopUp", actor, ref, decide, claim, opens=True, rows=rows, earns=EARNING)
    outcome = await writer.submit(command)
    return await _recorded(outcome)


INTENT_MAX = 64
"""Characters of a reference, as people may write it."""


async def _intent_id(reference: str | None) -> UUID | None:
    """Return the id of a top-up that was started here, or raise `NotFound`; a reference never changes."""
    if reference is None:
        return None
    spoken = read_reference(check_text(reference, field="intent", length_max=INTENT_MAX))
    found = None if spoken is None else await TopUpIntentModel.get_or_none(reference=spoken)
    if found is None:
        raise NotFound("top-up", field=("intent",))
    return found.id


async def _recorded(outcome: Outcome) -> Recorded:
    if isinstance(outcome.answer, TopUp) and outcome.wallet is not None:
        return Recorded(wallet_of(outcome.wallet), top_up_of(outcome.answer), replayed=False)
    top_up = await TopUpModel.get(id=outcome.result["TopUp"]).select_related("wallet")
    return Recorded(top_up.wallet, top_up, replayed=True)
