"""Named events that the store tells of."""

from dataclasses import dataclass

from app.domain import event as rules
from app.domain.access import Actor
from app.domain.cashback.rule import TriggerKind
from app.domain.errors import OwnWallet
from app.domain.event import EventTold, StoreEvent, event_id
from app.domain.ledger import Draft
from app.models.event import StoreEvent as StoreEventModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import store_event_of, wallet_of
from app.services.ledger.writer import Writer

EARNING = (TriggerKind.EVENT,)
"""The occasion that an event is."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The wallet and the event, and whether this is the answer to a repeated request."""

    wallet: Wallet
    event: StoreEventModel
    replayed: bool


async def record(
    writer: Writer,
    actor: Actor,
    customer: str,
    told: EventTold,
    *,
    own: str | None = None,
    idempotency_key: str | None = None,
) -> Recorded:
    """Write down what a customer, by the store's id, did in the store; told twice it is the same event.

    `own` is the customer that the caller is themselves, whom they tell no events of. Raises `OwnWallet` or a refusal of
    the input.
    """
    told = told.checked()
    if own == customer:
        raise OwnWallet(field=("storeCustomerId",))
    row_id = event_id(customer, told.name, told.external_id)

    def decide(draft: Draft) -> StoreEvent:
        return rules.record(draft, told, actor)

    claim = None
    if idempotency_key is not None:
        at = None if told.occurred_at is None else told.occurred_at.isoformat()
        request = {"customer": customer, "event": told.name, "id": told.external_id, "at": at}
        claim = IdempotencyClaim.of(actor, idempotency_key, "recordEvent", request)
    ref, rows = WalletRef(external_id=customer), ((StoreEvent, row_id),)
    command = Command("recordEvent", actor, ref, decide, claim, opens=True, rows=rows, earns=EARNING)
    return await _recorded(await writer.submit(command))


async def _recorded(outcome: Outcome) -> Recorded:
    if isinstance(outcome.answer, StoreEvent) and outcome.wallet is not None:
        return Recorded(wallet_of(outcome.wallet), store_event_of(outcome.answer), replayed=False)
    event = await StoreEventModel.get(id=outcome.result["StoreEvent"]).select_related("wallet")
    return Recorded(event.wallet, event, replayed=True)
