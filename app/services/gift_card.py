"""Gift cards: issued, activated, stopped, looked up by their codes, redeemed into wallets, expired."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.auth.gift_card import CodeKeys, new_code
from app.domain import gift_card as rules
from app.domain.access import Actor, ActorKind, Capability, Principal
from app.domain.due import Due
from app.domain.errors import (
    CurrencyMismatch,
    FieldInvalid,
    GiftCardsOff,
    GiftCardUnknown,
    NotFound,
    OwnWallet,
)
from app.domain.fraud import TYPO_COST, Guesser, GuessLimits
from app.domain.gift_card import (
    CARDS_MAX,
    LABEL_MAX,
    LAST,
    CardOrder,
    GiftCard,
    GiftCardAccount,
    GiftCardEntry,
    GiftCardStatus,
)
from app.domain.ledger import SYSTEM, Desk, Draft
from app.domain.money import currency_of, parse_amount
from app.domain.note import check_reason, check_remark, check_text
from app.domain.page import Page, PageRequest
from app.domain.reference import read_reference
from app.models.gift_card import GiftCard as GiftCardModel, GiftCardEntry as GiftCardEntryModel
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, integer_value, time_value
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import gift_card_of
from app.services.ledger.writer import Writer

SEARCH_MAX = 100
CODE_MAX = 100

Card = GiftCardModel
"""What `look_up` finds and `redeem` takes."""

NO_KEY = (
    "This server has no key for codes of gift cards. Ask the operator to set COFFER_GIFT_CARD_KEYS; one is made with: "
    "openssl rand -hex 32."
)


class TooManyGuesses(Exception):
    """Too many wrong codes came from this caller, their address, or altogether."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many codes were wrong. Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


# --- lists --------------------------------------------------------------------------------------------------

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Cards come newest first."""

BY_SEQUENCE = Sort("SEQUENCE", "sequence", lambda row: row.sequence, integer_value)
"""What happened to a card comes in its order."""


@dataclass(frozen=True, slots=True)
class GiftCardFilter:
    """What a list of cards is narrowed to; bounds are inclusive."""

    statuses: tuple[str, ...] | None = None
    batch_id: UUID | None = None
    currency: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    expires_from: datetime | None = None
    expires_to: datetime | None = None
    search: str | None = None


_CONDITIONS = {
    "statuses": "status__in",
    "batch_id": "batch",
    "currency": "currency",
    "created_from": "created_at__gte",
    "created_to": "created_at__lte",
    "expires_from": "expires_at__gte",
    "expires_to": "expires_at__lte",
}


def gift_cards(wanted: GiftCardFilter) -> QuerySet[GiftCardModel]:
    """Return the query of a list of cards. A search finds the last four characters, references and labels."""
    query = GiftCardModel.all()
    for name, condition in _CONDITIONS.items():
        bound = getattr(wanted, name)
        if bound is not None:
            query = query.filter(**{condition: bound})
    if wanted.search:
        text = check_text(wanted.search, field="search", length_max=SEARCH_MAX)
        spoken = text.upper()
        wanted_by_name = Q(reference__startswith=spoken) | Q(label__icontains=text)
        if len(spoken) == LAST:
            wanted_by_name |= Q(last_characters=spoken)
        query = query.filter(wanted_by_name)
    return query


async def page_of(query: QuerySet[GiftCardModel], page: PageRequest) -> Page[GiftCardModel]:
    """Read one page of a list of cards."""
    return await fetch_page(query, SORT, page)


async def find(*, card_id: UUID | None = None, reference: str | None = None) -> GiftCardModel | None:
    """Return a card, or `None`."""
    if card_id is not None:
        return await GiftCardModel.get_or_none(id=card_id)
    spoken = read_reference(reference)
    return None if spoken is None else await GiftCardModel.get_or_none(reference=spoken)


Histories = PageLoader[None, GiftCardEntryModel]
HistoryCounts = CountLoader[None]


def _history(_all: None, card_id: UUID | None) -> QuerySet[GiftCardEntryModel]:
    return GiftCardEntryModel.all() if card_id is None else GiftCardEntryModel.filter(card_id=card_id)


def histories() -> Histories:
    """Return a loader of pages of cards' histories, oldest first."""
    return PageLoader(_history, BY_SEQUENCE, partition="card_id")


def history_counts() -> HistoryCounts:
    """Return a loader of how long cards' histories are."""
    return CountLoader(_history, partition="card_id")


# --- issuing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """Which cards are wanted, as it came in: so many of an amount, or those of a list (`csv`).

    `currency` is that of the amount, or of all amounts of the list.
    """

    amount: str | None
    currency: str
    count: int | None
    csv: str | None
    expires_at: datetime | None
    label: str
    note: str
    active: bool
    promotional: bool
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """The cards of one request, and their codes in the same order: in the first answer only."""

    cards: Sequence[GiftCardModel]
    codes: Sequence[str] | None
    replayed: bool


async def issue(writer: Writer, keys: CodeKeys, actor: Actor, request: IssueRequest) -> Issued:
    """Make cards. Raises `GiftCardsOff`, `ExpiryInPast` or a refusal of the input."""
    if not keys:
        raise GiftCardsOff(NO_KEY, field=())
    orders = _orders(request)
    # Made here, not in the decision: that is pure, and may be run again.
    codes = {keys.kept(code): code for code in (new_code() for _ in orders)}
    wanted = list(zip(orders, codes, strict=True))
    funded_by = GiftCardAccount.MARKETING if request.promotional else GiftCardAccount.FUNDING

    def decide(desk: Desk) -> GiftCard:
        return rules.issue(desk, wanted, request.currency, funded_by, actor, active=request.active)[0]

    claim = None
    if request.idempotency_key is not None:
        content = _content(request)
        claim = IdempotencyClaim.of(actor, request.idempotency_key, "issueGiftCards", content)
    outcome = await writer.submit(DeskCommand("issueGiftCards", actor, decide, claim))
    first = await GiftCardModel.get(id=outcome.result["GiftCard"])
    cards = await GiftCardModel.filter(batch=first.batch).order_by("id")
    by_hash = {kept.hash: code for kept, code in codes.items()}
    if any(card.code_hash not in by_hash for card in cards):
        return Issued(cards, None, replayed=True)
    # Made just now, whatever the writer says: when a commit's answer is lost, it finds its own key at the second try.
    return Issued(cards, [rules.printed(by_hash[card.code_hash]) for card in cards], replayed=False)


def _orders(request: IssueRequest) -> list[CardOrder]:
    note = check_reason(request.note)
    label = check_text(request.label, field="label", length_max=LABEL_MAX)
    if request.csv is not None:
        if request.amount is not None or request.count is not None or request.expires_at is not None:
            raise FieldInvalid(
                "Give either a list, or an amount and a count; a list says amounts and expiries itself.",
                field=("csv",),
            )
        found = rules.read_orders(request.csv, currency_of(request.currency))
        return [replace(one, label=one.label or label, note=one.note or note) for one in found]
    if request.amount is None:
        raise FieldInvalid("Give an amount, or a list of cards.", field=("amount",))
    count = 1 if request.count is None else request.count
    if not 1 <= count <= CARDS_MAX:
        raise FieldInvalid(f"Choose from 1 to {CARDS_MAX} cards.", field=("count",))
    amount_minor = parse_amount(request.amount, currency_of(request.currency), field=("amount", "amount"))
    return [CardOrder(amount_minor, request.expires_at, label, note)] * count


def _content(request: IssueRequest) -> dict[str, Any]:
    return {
        "amount": request.amount,
        "currency": request.currency,
        "count": request.count,
        "csv": request.csv,
        "expires_at": None if request.expires_at is None else request.expires_at.isoformat(),
        "label": request.label,
        "note": request.note,
        "active": request.active,
        "promotional": request.promotional,
    }


# --- steps --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stepped:
    """The card after a step, and whether this is the answer to a repeated request."""

    card: GiftCardModel
    replayed: bool


async def activate(
    writer: Writer, actor: Actor, card_id: UUID, *, note: str | None, idempotency_key: str
) -> Stepped:
    """Give a card its value, as when it is sold. Raises `NotFound`, `GiftCardNotUsable` or a refusal of the note."""
    note = check_remark(note or "")
    return await _step(writer, actor, card_id, "activateGiftCard", rules.activate, note, idempotency_key)


async def disable(writer: Writer, actor: Actor, card_id: UUID, *, note: str, idempotency_key: str) -> Stepped:
    """Stop a card, saying why. Raises `NotFound`, `GiftCardNotUsable` or a refusal of the note."""
    note = check_reason(note)
    return await _step(writer, actor, card_id, "disableGiftCard", rules.disable, note, idempotency_key)


async def enable(writer: Writer, actor: Actor, card_id: UUID, *, note: str, idempotency_key: str) -> Stepped:
    """Let a stopped card go again. Raises `NotFound`, `GiftCardNotUsable` or a refusal of the note."""
    note = check_reason(note)
    return await _step(writer, actor, card_id, "enableGiftCard", rules.enable, note, idempotency_key)


async def _step(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    actor: Actor,
    card_id: UUID,
    command: str,
    step: Callable[[Desk, GiftCard, Actor, str], GiftCard],
    note: str,
    idempotency_key: str,
) -> Stepped:
    def decide(desk: Desk) -> GiftCard:
        card = desk.found(GiftCard, card_id)
        if card is None:
            raise NotFound("gift card", field=("giftCardId",))
        return step(desk, card, actor, note)

    content: Mapping[str, str] = {"card": str(card_id), "note": note}
    claim = IdempotencyClaim.of(actor, idempotency_key, command, content)
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, rows=((GiftCard, card_id),)))
    if isinstance(outcome.answer, GiftCard):
        return Stepped(gift_card_of(outcome.answer), replayed=False)
    return Stepped(await GiftCardModel.get(id=outcome.result["GiftCard"]), replayed=True)


# --- codes --------------------------------------------------------------------------------------------------


async def look_up(
    keys: CodeKeys, guesses: GuessLimits, who: Guesser, typed: str, now: datetime
) -> GiftCardModel:
    """Return the card of a code, if it was ever activated.

    Raises `GiftCardUnknown`, `TooManyGuesses`, `GiftCardsOff` where there is no key, or a refusal of a text that none
    can be. A wrong code counts against the caller's limit; one whose check character is wrong hardly.
    """
    if not keys:
        raise GiftCardsOff(NO_KEY)
    check_text(typed, field="code", length_max=CODE_MAX)
    if wait_s := guesses.pay(who, now):
        raise TooManyGuesses(wait_s)
    cost = 0.0
    try:
        code = rules.normal_form(typed)
        if code is None:
            cost = TYPO_COST
            raise GiftCardUnknown
        found = await GiftCardModel.filter(code_hash__in=keys.hashes(code)).first()
        if found is None or found.activated_at is None or not keys.proves(code, found.code_hash):
            cost = 1.0
            raise GiftCardUnknown
        return found
    finally:
        guesses.settle(who, cost, now)


def guesser(principal: Principal, address: str | None) -> Guesser:
    """Return a caller as the limits of guesses know them."""
    trusted = principal.may(Capability.GIFT_CARDS_REDEEM)
    is_anonymous = not principal.subject
    return Guesser(None if is_anonymous else principal.actor, address, trusted)


# --- redeeming ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Wallet, card and the wallet's transaction, and whether this is the answer to a repeated request."""

    wallet: Wallet
    card: GiftCardModel
    transaction: Transaction
    replayed: bool


async def redeem(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    card: GiftCardModel,
    *,
    amount: str | None,
    currency: str | None,
    idempotency_key: str,
) -> Redeemed:
    """Move the value of a card that `look_up` found into a wallet: the caller's own, or with the capability any.

    Raises `NotFound` for another's wallet, `OwnWallet` for staff who issued or activated the card themselves, or what
    `domain.gift_card.redeem` raises.
    """
    amount_minor = None
    if amount is not None and currency is not None:
        amount_minor = parse_amount(amount, currency_of(currency), field=("amount", "amount"))
    card_id, actor = card.id, principal.actor

    def decide(draft: Draft) -> GiftCardEntry:
        owns = principal.owns(draft.customer.external_id)
        if not (owns or principal.may(Capability.GIFT_CARDS_REDEEM)):
            raise NotFound("wallet", field=("wallet",))
        found = draft.found(GiftCard, card_id)
        if found is None:
            raise GiftCardUnknown
        if owns and _made_by(found, draft.customer.external_id):
            raise OwnWallet
        if currency not in {None, found.currency}:
            raise CurrencyMismatch(given=str(currency), wallet=found.currency)
        return rules.redeem(draft, found, amount_minor, actor)

    # The card's id stands for its code, which is kept nowhere, not even under a hash without a key.
    content = {
        "wallet": repr(ref),
        "card": str(card_id),
        "amount_minor": amount_minor,
        "currency": currency,
    }
    claim = IdempotencyClaim.of(actor, idempotency_key, "redeemGiftCard", content)
    rows = ((GiftCard, card_id),)
    outcome = await writer.submit(Command("redeemGiftCard", actor, ref, decide, claim, opens=True, rows=rows))
    return await _redeemed(outcome)


def _made_by(card: GiftCard, person: str) -> bool:
    """Whether a person of the store issued or activated the card: that and redeeming it is for two."""
    return Actor(ActorKind.STAFF, person) in {card.created_by, card.activated_by}


async def _redeemed(outcome: Outcome) -> Redeemed:
    entry = await GiftCardEntryModel.get(id=outcome.result["GiftCardEntry"]).select_related(
        "card", "transaction__wallet"
    )
    transaction = entry.transaction
    if transaction is None:
        raise LookupError(f"entry {entry.id} has no transaction")
    return Redeemed(transaction.wallet, entry.card, transaction, outcome.replayed)


# --- what the clock ends ------------------------------------------------------------------------------------

_CAN_EXPIRE = (GiftCardStatus.INACTIVE, GiftCardStatus.ACTIVE, GiftCardStatus.DISABLED)


async def due(now: datetime, limit: int, without: Collection[UUID] = ()) -> list[Due[UUID]]:
    """Return the cards, at most so many, whose time has run out, the oldest first; those named in `without` are left out."""
    query = GiftCardModel.filter(status__in=_CAN_EXPIRE, expires_at__lte=now)
    if without:
        query = query.exclude(id__in=list(without))
    return [
        Due(card.id, card.expires_at or now, card.id)
        for card in await query.order_by("expires_at").limit(limit)
    ]


async def expire(writer: Writer, card_id: UUID) -> None:
    """Post what is left of a card as breakage; nothing happens when it was redeemed meanwhile."""

    def decide(desk: Desk) -> GiftCard | None:
        card = desk.found(GiftCard, card_id)
        return None if card is None else rules.expire(desk, card)

    await writer.submit(DeskCommand("expireGiftCard", SYSTEM, decide, rows=((GiftCard, card_id),)))
