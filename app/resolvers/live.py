"""Live balances."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Annotated

import strawberry

from app.context import AppInfo, RequestError
from app.domain.errors import DomainError
from app.live import Feed, InvalidResume, LiveUnavailable, SubscriberTooSlow, WalletUpdate as Update
from app.resolvers.wallet import Selector
from app.schema.types.filters import transaction_filter, wallet_ref
from app.schema.types.live import WalletUpdate, wallet_update
from app.schema.types.refusal import request_error
from app.schema.types.scalars import BigInt
from app.schema.types.transaction import Transaction, TransactionFilter
from app.schema.types.wallet import Wallet
from app.services import wallet as wallets
from app.services.ledger.rows import transaction_of, wallet_of
from app.services.transaction import matches

After = Annotated[
    BigInt | None,
    strawberry.argument(
        description="Resume: the sequence number up to which the caller was told. Left out, it begins with a snapshot."
    ),
]

_RESUME = "Live updates can't be read now. Subscribe again in a moment from the last sequence number that you received."


class _Shown(Feed[WalletUpdate]):
    """A wallet's updates as GraphQL shows them."""

    __slots__ = ("_updates",)

    def __init__(self, updates: Feed[Update]) -> None:
        self._updates = updates

    def open(self, wake: Callable[[], None]) -> None:
        """Begin."""
        self._updates.open(wake)

    def take(self) -> WalletUpdate | None:
        """Return the next update."""
        try:
            update = self._updates.take()
        except InvalidResume as error:
            raise RequestError("BAD_USER_INPUT", str(error), argument="afterSequence") from None
        except LiveUnavailable:
            raise RequestError("SERVICE_UNAVAILABLE", _RESUME) from None
        return None if update is None else _shown(update)

    def close(self) -> None:
        """Leave."""
        self._updates.close()


async def wallet_updated(
    info: AppInfo, wallet: Selector, after_sequence: After = None
) -> AsyncIterable[WalletUpdate]:
    """Tell the present state of a wallet, then every change in order."""
    try:
        found = await wallets.find(wallet_ref(wallet), info.context.principal)
    except DomainError as error:
        raise request_error(error) from None
    if found is None:
        raise RequestError("BAD_USER_INPUT", "There is no such wallet. Check the id and try again.")
    return _Shown(info.context.runtime.hub.follow(found.id, after_sequence))


async def transaction_posted(
    info: AppInfo,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        TransactionFilter | None, strawberry.argument(description="What the stream is narrowed to.")
    ] = None,
) -> AsyncGenerator[Transaction, None]:
    """Tell every transaction of the store as it is posted."""
    try:
        wanted = transaction_filter(filter, info.context.runtime.settings.currency, info.context.principal)
    except DomainError as error:
        raise request_error(error) from None
    posted = info.context.runtime.hub.store_transactions()
    try:
        async with aclosing(posted):
            async for _, transaction in posted:
                row = transaction_of(transaction)
                if await matches(row, wanted):
                    yield Transaction(model=row)
    except SubscriberTooSlow as error:
        raise RequestError("RATE_LIMITED", str(error)) from None
    except LiveUnavailable:
        raise RequestError("SERVICE_UNAVAILABLE", _RESUME) from None


def _shown(update: Update) -> WalletUpdate:
    if not update.shown:
        update.shown.append(_made(update))
    shown: WalletUpdate = update.shown[0]
    return shown


def _made(update: Update) -> WalletUpdate:
    transaction = update.transaction
    return wallet_update(
        update.kind,
        update.sequence,
        transaction.balance_after_minor if transaction else update.wallet.posted_minor,
        Wallet(model=wallet_of(update.wallet)),
        Transaction(model=transaction_of(transaction)) if transaction else None,
    )
