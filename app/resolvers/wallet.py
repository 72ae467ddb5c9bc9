"""Wallets: read, listed, frozen, watched."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.resolvers.answering import answering, optional_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection_of
from app.schema.types.filters import wallet_filter, wallet_ref
from app.schema.types.inputs import INPUT, FreezeWalletInput, UnfreezeWalletInput
from app.schema.types.payloads import FreezeWalletPayload, UnfreezeWalletPayload
from app.schema.types.sort import SortDirection
from app.schema.types.wallet import (
    Wallet,
    WalletFilter,
    WalletSelector,
    WalletSort,
    WalletSortField,
)
from app.services import wallet as wallets

Selector = Annotated[WalletSelector, strawberry.argument(description="Names the wallet.")]


async def wallet(info: AppInfo, by: Selector) -> Wallet | None:
    """Find one wallet."""
    row = await wallets.find(wallet_ref(by, field="by"), info.context.principal)
    return None if row is None else Wallet(model=row)


async def list_wallets(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="Parts of the customer's name, e-mail or store id, without regard to case; one of at least three characters."
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        WalletFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
    sort: Annotated[
        WalletSort | None, strawberry.argument(description="The order; newest wallets first when left out.")
    ] = None,
) -> Connection[Wallet]:
    """List wallets."""
    order = sort or WalletSort(field=WalletSortField.CREATED_AT, direction=SortDirection.DESC)
    wanted = wallet_filter(filter, search, info.context.runtime.settings.currency)
    found = await wallets.wallets(wanted, order.field.value)
    page = await wallets.page_of(
        found,
        order.field.value,
        PageRequest(first, after, last, before, offset),
        descending=order.direction is SortDirection.DESC,
    )
    return connection_of(Wallet, page, found.query)


@answering(FreezeWalletPayload)
async def freeze_wallet(
    info: AppInfo,
    input: Annotated[FreezeWalletInput, INPUT],  # noqa: A002
) -> FreezeWalletPayload:
    """Stop a wallet."""
    context = info.context
    row = await wallets.freeze(
        context.runtime.writer,
        context.principal,
        wallet_ref(input.wallet),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return FreezeWalletPayload(wallet=Wallet(model=row))


@answering(UnfreezeWalletPayload)
async def unfreeze_wallet(
    info: AppInfo,
    input: Annotated[UnfreezeWalletInput, INPUT],  # noqa: A002
) -> UnfreezeWalletPayload:
    """Let a wallet go again."""
    context = info.context
    row = await wallets.unfreeze(
        context.runtime.writer,
        context.principal,
        wallet_ref(input.wallet),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return UnfreezeWalletPayload(wallet=Wallet(model=row))
