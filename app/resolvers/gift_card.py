"""Gift cards: issued, activated, stopped, listed, checked and redeemed."""

from typing import Annotated, TypeVar

import strawberry

from app.context import AppInfo, RequestError
from app.domain.access import PrincipalKind
from app.domain.errors import FieldInvalid, GiftCardUnknown, NotStoresCurrency
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import own_wallet, wallet_ref
from app.schema.types.gift_card import (
    GiftCard,
    GiftCardBalance,
    GiftCardFilter,
    GiftCardSelector,
    gift_card_balance,
    gift_card_filter,
)
from app.schema.types.inputs import (
    INPUT,
    ActivateGiftCardInput,
    DisableGiftCardInput,
    EnableGiftCardInput,
    IssueGiftCardsInput,
    RedeemGiftCardInput,
)
from app.schema.types.node import decode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.payloads import (
    ActivateGiftCardPayload,
    DisableGiftCardPayload,
    EnableGiftCardPayload,
    GiftCardPayload,
    IssueGiftCardsPayload,
    RedeemGiftCardPayload,
)
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
from app.services import gift_card as gift_cards, settings as store_settings
from app.services.gift_card import Card, IssueRequest, Stepped, TooManyGuesses

A = TypeVar("A", bound=GiftCardPayload)


async def gift_card(
    info: AppInfo,
    by: Annotated[GiftCardSelector, strawberry.argument(description="Names the gift card.")],
) -> GiftCard | None:
    """Find one card."""
    if by.id is not strawberry.UNSET and by.id is not None:
        row = await gift_cards.find(card_id=decode_id(by.id, "GiftCard", field=("by", "id")))
    else:
        row = await gift_cards.find(reference=str(by.reference))
    return None if row is None else GiftCard(model=row)


async def list_gift_cards(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="The last four characters of a code, the beginning of a reference, or a part of a label."
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        GiftCardFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[GiftCard]:
    """List cards."""
    query = gift_cards.gift_cards(gift_card_filter(filter, search))
    page = await gift_cards.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: GiftCard(model=row), query)


async def check_gift_card(
    info: AppInfo,
    code: Annotated[str, strawberry.argument(description="The card's code, as it was typed.")],
) -> GiftCardBalance | None:
    """Tell what is on a card."""
    context = info.context
    if context.principal.kind is PrincipalKind.ANONYMOUS:
        found = await store_settings.in_force()
        if not found.settings.gift_card_check_by_anyone:
            raise RequestError("UNAUTHENTICATED", "Sign in first: send a token as `Authorization: Bearer …`.")
    try:
        card = await _look_up(info, code)
    except GiftCardUnknown:
        return None
    return gift_card_balance(card, context.runtime.clock())


@answering(IssueGiftCardsPayload)
async def issue_gift_cards(
    info: AppInfo,
    input: Annotated[IssueGiftCardsInput, INPUT],  # noqa: A002
) -> IssueGiftCardsPayload:
    """Make cards."""
    context = info.context
    done = await gift_cards.issue(
        context.runtime.writer,
        context.runtime.gift_card_keys,
        context.principal.actor,
        _request(input, context.runtime.settings.currency),
    )
    return IssueGiftCardsPayload(
        gift_cards=[GiftCard(model=card) for card in done.cards],
        codes=None if done.codes is None else list(done.codes),
        replayed=done.replayed,
    )


def _request(given: IssueGiftCardsInput, currency: str) -> IssueRequest:
    if given.amount is not None and given.currency is not None:
        raise FieldInvalid("The amount has its currency already. Leave this one out.", field=("currency",))
    chosen = given.amount.currency if given.amount else given.currency or currency
    if chosen != currency:
        field = ("amount", "currency") if given.amount else ("currency",)
        raise NotStoresCurrency(given=chosen, store=currency, field=field)
    return IssueRequest(
        amount=None if given.amount is None else given.amount.amount,
        currency=currency,
        count=given.count,
        csv=given.csv,
        expires_at=given.expires_at,
        label=given.label or "",
        note=given.note,
        active=given.active,
        promotional=given.promotional,
        idempotency_key=checked_key(given.idempotency_key),
    )


@answering(ActivateGiftCardPayload)
async def activate_gift_card(
    info: AppInfo,
    input: Annotated[ActivateGiftCardInput, INPUT],  # noqa: A002
) -> ActivateGiftCardPayload:
    """Give a card its value."""
    done = await gift_cards.activate(
        info.context.runtime.writer,
        info.context.principal.actor,
        decode_id(input.gift_card_id, "GiftCard", field=("giftCardId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(ActivateGiftCardPayload, done)


@answering(DisableGiftCardPayload)
async def disable_gift_card(
    info: AppInfo,
    input: Annotated[DisableGiftCardInput, INPUT],  # noqa: A002
) -> DisableGiftCardPayload:
    """Stop a card."""
    done = await gift_cards.disable(
        info.context.runtime.writer,
        info.context.principal.actor,
        decode_id(input.gift_card_id, "GiftCard", field=("giftCardId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(DisableGiftCardPayload, done)


@answering(EnableGiftCardPayload)
async def enable_gift_card(
    info: AppInfo,
    input: Annotated[EnableGiftCardInput, INPUT],  # noqa: A002
) -> EnableGiftCardPayload:
    """Let a card go again."""
    done = await gift_cards.enable(
        info.context.runtime.writer,
        info.context.principal.actor,
        decode_id(input.gift_card_id, "GiftCard", field=("giftCardId",)),
        note=input.note,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(EnableGiftCardPayload, done)


@answering(RedeemGiftCardPayload)
async def redeem_gift_card(
    info: AppInfo,
    input: Annotated[RedeemGiftCardInput, INPUT],  # noqa: A002
) -> RedeemGiftCardPayload:
    """Move a card's value into a wallet."""
    context = info.context
    ref = wallet_ref(input.wallet) if input.wallet else own_wallet(context.principal)
    key = checked_key(input.idempotency_key)
    card = await _look_up(info, input.code)
    done = await gift_cards.redeem(
        context.runtime.writer,
        context.principal,
        ref,
        card,
        amount=input.amount.amount if input.amount else None,
        currency=input.amount.currency if input.amount else None,
        idempotency_key=key,
    )
    # The right to redeem is not the right to see balances.
    seen = await seen_wallet(info, done.wallet.id)
    return RedeemGiftCardPayload(
        wallet=Wallet(model=done.wallet) if seen else None,
        gift_card=gift_card_balance(done.card, context.runtime.clock()),
        transaction=Transaction(model=done.transaction) if seen else None,
        replayed=done.replayed,
    )


async def _look_up(info: AppInfo, code: str) -> Card:
    context, runtime = info.context, info.context.runtime
    who = gift_cards.guesser(context.principal, context.address)
    try:
        return await gift_cards.look_up(runtime.gift_card_keys, runtime.guesses, who, code, runtime.clock())
    except TooManyGuesses as error:
        raise RequestError("RATE_LIMITED", str(error), retryAfter=error.retry_after_s) from None


def _payload(kind: type[A], done: Stepped) -> A:
    return kind(gift_card=GiftCard(model=done.card), replayed=done.replayed)
