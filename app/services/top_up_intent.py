"""Top-ups as customers begin them: what can be paid in now, started, left, and ended when nothing came."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiodataloader import DataLoader

from app.domain import top_up_intent as rules
from app.domain.access import Capability, Principal
from app.domain.auto_top_up import AutoTopUpCharge, ChargeStatus
from app.domain.due import Due
from app.domain.errors import CurrencyMismatch, NotFound
from app.domain.ledger import SYSTEM, Draft, WalletStatus
from app.domain.money import currency_of, parse_amount
from app.domain.settings import StoreSettings
from app.domain.top_up import TopUp
from app.domain.top_up_intent import Standing, TopUpIntent, TopUpIntentStatus, TopUpOptions
from app.models.auto_top_up import AutoTopUpCharge as ChargeModel
from app.models.top_up import TopUp as TopUpModel
from app.models.top_up_intent import TopUpIntent as TopUpIntentModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.records import read_auto_top_up_charge, read_top_up, read_top_up_intent
from app.services.ledger.rows import top_up_intent_of, wallet_of
from app.services.ledger.writer import Writer


@dataclass(frozen=True, slots=True)
class Paid:
    """What counts against the limits of one wallet."""

    top_ups: list[TopUp]
    intents: list[TopUpIntent]
    charges: list[AutoTopUpCharge]


@dataclass(frozen=True, slots=True)
class Begun:
    """The wallet and the top-up that was started, and whether this is the answer to a repeated request."""

    wallet: Wallet
    intent: TopUpIntentModel
    replayed: bool


class Standings(DataLoader[tuple[UUID, datetime], Paid]):
    """What was paid into wallets of late and what is under way, for many wallets by three statements; since when is the
    other part of the key.
    """

    async def batch_load_fn(self, keys: list[tuple[UUID, datetime]]) -> list[Paid]:
        """Load what counts against the limits of top-ups."""
        found = {wallet_id: Paid([], [], []) for wallet_id, _ in keys}
        ids, since = list(found), min(since for _, since in keys)
        for top_up in await TopUpModel.filter(wallet_id__in=ids, paid_at__gte=since).values():
            found[top_up["wallet_id"]].top_ups.append(read_top_up(top_up))
        open_ = str(TopUpIntentStatus.STARTED)
        for intent in await TopUpIntentModel.filter(wallet_id__in=ids, status=open_).values():
            found[intent["wallet_id"]].intents.append(read_top_up_intent(intent))
        open_ = str(ChargeStatus.REQUESTED)
        for charge in await ChargeModel.filter(wallet_id__in=ids, status=open_).values():
            found[charge["wallet_id"]].charges.append(read_auto_top_up_charge(charge))
        return [found[wallet_id] for wallet_id, _ in keys]


def options(settings: StoreSettings, now: datetime, wallet: Wallet | None, paid: Paid | None) -> TopUpOptions:
    """Return what can be paid into a wallet now; without one, what the store allows in general."""
    if wallet is None or paid is None:
        return rules.options(settings, Standing(0))
    standing = rules.standing_of(
        wallet.posted_minor,
        is_frozen=wallet.status == WalletStatus.FROZEN,
        top_ups=paid.top_ups,
        intents=paid.intents,
        charges=paid.charges,
        settings=settings,
        now=now,
    )
    return rules.options(settings, standing)


async def start(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    *,
    amount: str,
    currency: str,
    payment_method: str | None,
    idempotency_key: str,
) -> Begun:
    """Start a top-up, decided under the wallet's lock.

    Raises `NotFound` (also for a wallet that is not the caller's), `TopUpsOff`, `TopUpLimitReached`, `WalletFrozen` or a
    refusal of the input.
    """
    amount_minor = parse_amount(amount, currency_of(currency), field=("amount", "amount"))

    def decide(draft: Draft) -> TopUpIntent:
        _require_mine(principal, draft, NotFound("wallet", field=("wallet",)))
        if draft.wallet.currency != currency:
            raise CurrencyMismatch(given=currency, wallet=draft.wallet.currency)
        return rules.start(draft, amount_minor, payment_method, principal.actor)

    content = {"wallet": repr(ref), "amount": amount_minor, "currency": currency, "method": payment_method}
    claim = IdempotencyClaim.of(principal.actor, idempotency_key, "startTopUp", content)
    # Whoever may only pay into their own wallet opens no other one.
    opens = principal.may(Capability.TOP_UPS_WRITE) or (
        ref.external_id is not None and principal.owns(ref.external_id)
    )
    command = Command("startTopUp", principal.actor, ref, decide, claim, opens=opens, tops_up=True)
    return await _begun(await writer.submit(command))


async def cancel(writer: Writer, principal: Principal, intent_id: UUID, *, idempotency_key: str) -> Begun:
    """Leave a top-up that was started. Raises `NotFound` or `TopUpNotOpen`."""
    refusal = NotFound("top-up", field=("topUpIntentId",))
    found = await TopUpIntentModel.get_or_none(id=intent_id)
    if found is None:
        raise refusal

    def decide(draft: Draft) -> TopUpIntent:
        _require_mine(principal, draft, refusal)
        return rules.cancel(draft, draft.row(TopUpIntent, intent_id))

    claim = IdempotencyClaim.of(principal.actor, idempotency_key, "cancelTopUp", {"intent": str(intent_id)})
    rows = ((TopUpIntent, intent_id),)
    ref = WalletRef(wallet_id=found.wallet_id)
    return await _begun(
        await writer.submit(Command("cancelTopUp", principal.actor, ref, decide, claim, rows=rows))
    )


def _require_mine(principal: Principal, draft: Draft, refusal: NotFound) -> None:
    if not (principal.owns(draft.customer.external_id) or principal.may(Capability.TOP_UPS_WRITE)):
        raise refusal


async def _begun(outcome: Outcome) -> Begun:
    if isinstance(outcome.answer, TopUpIntent) and outcome.wallet is not None:
        return Begun(wallet_of(outcome.wallet), top_up_intent_of(outcome.answer), replayed=False)
    intent = await TopUpIntentModel.get(id=outcome.result["TopUpIntent"]).select_related("wallet")
    return Begun(intent.wallet, intent, replayed=True)


async def due(now: datetime, limit: int, without: Collection[UUID] = ()) -> Sequence[Due[TopUpIntentModel]]:
    """Return top-ups whose time is over, the oldest first."""
    query = TopUpIntentModel.filter(status=str(TopUpIntentStatus.STARTED), expires_at__lte=now)
    if without:
        query = query.exclude(id__in=list(without))
    return [Due(row.id, row.expires_at, row) for row in await query.order_by("expires_at", "id").limit(limit)]


async def expire(writer: Writer, intent: TopUpIntentModel) -> None:
    """End a top-up whose time is over; nothing happens where the money came meanwhile."""
    row_id = intent.id

    def decide(draft: Draft) -> TopUpIntent | None:
        return rules.expire(draft, draft.row(TopUpIntent, row_id))

    ref = WalletRef(wallet_id=intent.wallet_id)
    await writer.submit(Command("expireTopUp", SYSTEM, ref, decide, rows=((TopUpIntent, row_id),)))
