"""stub"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.domain.ledger import Transaction, Wallet, WalletChange


class UpdateKind(StrEnum):
    SNAPSHOT = "SNAPSHOT"
    """The present state."""
    TRANSACTION = "TRANSACTION"
    """A transaction."""
    STATE = "STATE"
    """The state changed."""


class InvalidResume(Exception):
    pass


@dataclass
class WalletUpdate:
    kind: UpdateKind
    wallet: Wallet
    transaction: Transaction | None
    sequence: int


class Hub:
    @asynccontextmanager
    async def running(self):
        yield

    def publish(self, changes: list[WalletChange]) -> None: ...
    async def wallet_updates(self, wallet_id: UUID, after: int | None) -> AsyncGenerator[WalletUpdate, None]:
        raise InvalidResume
        yield

    async def store_transactions(self) -> AsyncGenerator[tuple[Wallet, Transaction], None]:
        raise InvalidResume
        yield
