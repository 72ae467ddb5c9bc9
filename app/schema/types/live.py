"""What subscriptions tell."""

from dataclasses import field
from typing import Any

import strawberry

from app.schema.types.enums import UpdateKind
from app.schema.types.money import Money, money
from app.schema.types.scalars import BigInt
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet


@strawberry.type(description="One step of a wallet's live balance.")
class WalletUpdate:
    """A snapshot, a transaction, or a change of state without one."""

    kind: UpdateKind = strawberry.field(description="What this update tells.")
    sequence: BigInt = strawberry.field(
        description="The sequence number up to which the caller is now told; give it as `afterSequence` to resume."
    )
    balance: Money = strawberry.field(description="The balance at this step.")
    wallet: Wallet = strawberry.field(description="The wallet; as it is now, when steps are told late.")
    transaction: Transaction | None = strawberry.field(
        description="The transaction, when this update tells one."
    )
    answers: strawberry.Private[dict[Any, Any]] = field(default_factory=dict)
    """What was answered of it: all who are told the same update are given the same object."""


def wallet_update(
    kind: UpdateKind, sequence: int, balance_minor: int, wallet: Wallet, transaction: Transaction | None
) -> WalletUpdate:
    """Return an update as GraphQL shows it."""
    return WalletUpdate(
        kind=kind,
        sequence=BigInt(sequence),
        balance=money(balance_minor, wallet.model.currency),
        wallet=wallet,
        transaction=transaction,
    )
