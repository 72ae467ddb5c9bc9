"""What a Python team writes by the book: Strawberry's own application for Starlette, and Tortoise.

One database transaction a request, `select_for_update`, `create`, `save`; parsed and validated documents are kept.
The part of Coffer's API that the bench asks for, on Coffer's tables.

Environment: DATABASE_URL, PORT, JWT_SECRET. Ends when its standard input does.
"""

import base64
import json
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NewType, Self
from urllib.parse import urlsplit
from uuid import UUID

import jwt
import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info
from tortoise.contrib.starlette import RegisterTortoise
from tortoise.transactions import in_transaction

from app.db import APP_LABEL, MODEL_MODULES
from app.domain.access import Actor, ActorKind
from app.domain.adjustment import AdjustmentReason as Reason
from app.domain.bucket import Bucket
from app.domain.ledger import (
    Allocation,
    CounterAccount,
    Lot,
    Transaction as Posted,
    TransactionKind as Kind,
    transaction_hash,
)
from app.models import customer, idempotency, lot, transaction, wallet
from app.services.ledger import tables
from app.services.ledger.mint import RandomMint

CONNECTIONS_MAX = 32
NOTE_MIN, NOTE_MAX = 10, 1000
STAFF = "administrator"

mint = RandomMint()

BigInt = NewType("BigInt", int)
CurrencyCode = NewType("CurrencyCode", str)
DateTime = NewType("DateTime", datetime)
Decimal = NewType("Decimal", str)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


CONFIG = StrawberryConfig(
    scalar_map={
        BigInt: strawberry.scalar(name="BigInt", serialize=int, parse_value=int),
        CurrencyCode: strawberry.scalar(name="CurrencyCode", serialize=str, parse_value=str),
        DateTime: strawberry.scalar(name="DateTime", serialize=_time, parse_value=datetime.fromisoformat),
        Decimal: strawberry.scalar(name="Decimal", serialize=str, parse_value=str),
    }
)


@strawberry.enum
class Direction(StrEnum):
    """Which way money goes."""

    CREDIT = "CREDIT"
    DEBIT = "DEBIT"


@strawberry.enum
class AdjustmentReason(StrEnum):
    """What an adjustment is grouped by."""

    GOODWILL = "GOODWILL"
    OTHER = "OTHER"


@strawberry.enum
class WalletStatus(StrEnum):
    """Whether a wallet can be used."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"


@strawberry.enum
class TransactionKind(StrEnum):
    """Why money moved."""

    ADJUSTMENT = "ADJUSTMENT"
    PURCHASE = "PURCHASE"


@strawberry.type
class Money:
    """An amount with its currency."""

    amount: Decimal
    currency: CurrencyCode


def _money(minor: int, currency: str) -> Money:
    sign = "-" if minor < 0 else ""
    whole, cents = divmod(abs(minor), 100)
    return Money(amount=Decimal(f"{sign}{whole}.{cents:02}"), currency=CurrencyCode(currency))


@strawberry.type
class Transaction:
    """A transaction."""

    id: strawberry.ID
    reference: str
    sequence: BigInt
    kind: TransactionKind
    amount: Money
    balance_after: Money
    note: str
    created_at: DateTime

    @classmethod
    def of(cls, row: transaction.Transaction) -> Self:
        """Return what the API shows of a row."""
        return cls(
            id=_global_id("Transaction", row.id),
            reference=row.reference,
            sequence=BigInt(row.sequence),
            kind=TransactionKind(row.kind),
            amount=_money(abs(row.amount_minor), row.currency),
            balance_after=_money(row.balance_after_minor, row.currency),
            note=row.note,
            created_at=DateTime(row.created_at),
        )


@strawberry.type
class TransactionConnection:
    """A page of transactions."""

    nodes: list[Transaction]


@strawberry.type
class Wallet:
    """A wallet."""

    row_id: strawberry.Private[UUID]
    id: strawberry.ID
    status: WalletStatus
    sequence: BigInt
    updated_at: DateTime
    balance: Money
    available: Money

    @classmethod
    def of(cls, row: wallet.Wallet) -> Self:
        """Return what the API shows of a row."""
        return cls(
            row_id=row.id,
            id=_global_id("Wallet", row.id),
            status=WalletStatus(row.status),
            sequence=BigInt(row.sequence),
            updated_at=DateTime(row.updated_at),
            balance=_money(row.posted_minor, row.currency),
            available=_money(row.posted_minor - row.held_minor, row.currency),
        )

    @strawberry.field
    async def transactions(self, first: int) -> TransactionConnection:
        """Return the newest transactions."""
        query = transaction.Transaction.filter(wallet_id=self.row_id)
        rows = await query.order_by("-sequence").limit(min(first, 100))
        return TransactionConnection(nodes=[Transaction.of(row) for row in rows])


@strawberry.input
class WalletSelector:
    """Names a wallet."""

    id: strawberry.ID | None = None
    store_customer_id: str | None = None


@strawberry.input
class MoneyInput:
    """An amount that was sent."""

    amount: Decimal
    currency: CurrencyCode


@strawberry.input
class AdjustBalanceInput:
    """What staff ask for."""

    wallet: WalletSelector
    direction: Direction
    amount: MoneyInput
    reason: AdjustmentReason
    note: str
    idempotency_key: str


@strawberry.type
class UserError:
    """Why not."""

    code: str
    message: str
    field: list[str] | None


@strawberry.type
class AdjustBalancePayload:
    """What came of it."""

    wallet: Wallet | None
    transaction: Transaction | None
    user_errors: list[UserError]


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field
    async def wallet(self, info: Info[Any, Any], by: WalletSelector) -> Wallet | None:
        """Return a wallet that the caller may see."""
        principal = info.context["principal"]
        query = wallet.Wallet.all().select_related("customer")
        row = await (
            query.get_or_none(customer__external_id=by.store_customer_id)
            if by.id is None
            else query.get_or_none(id=_row_id("Wallet", by.id))
        )
        if row is None or not (_is_staff(principal) or row.customer.external_id == principal["sub"]):
            return None
        return Wallet.of(row)


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation
    async def adjust_balance(self, info: Info[Any, Any], input: AdjustBalanceInput) -> AdjustBalancePayload:  # noqa: A002 — the argument's name in the API
        """Credit a customer."""
        principal = info.context["principal"]
        if not _is_staff(principal):
            raise PermissionError("You may not adjust balances.")
        credit = _checked(input)
        if credit.customer == principal["sub"]:
            raise PermissionError("Nobody adjusts their own wallet.")
        return await _adjust(Actor(ActorKind.STAFF, principal["sub"]), credit)


@dataclass(frozen=True, slots=True)
class Credit:
    """What was asked for."""

    customer: str
    amount_minor: int
    currency: str
    reason: str
    note: str
    key: str

    def request_hash(self) -> bytes:
        """Return what tells this request from another."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()

    def posted_to(self, row: wallet.Wallet, actor: Actor) -> tuple[Posted, Lot]:
        """Return the next transaction of the wallet, and the lot that it opens."""
        at, sequence = datetime.now(UTC), row.sequence + 1
        opened = Lot(
            mint.id(), row.id, Bucket.CASH, sequence, self.amount_minor, self.amount_minor, 0, None, at
        )
        posted = Posted(
            id=mint.id(),
            wallet_id=row.id,
            sequence=sequence,
            reference=mint.reference("TX"),
            kind=Kind.ADJUSTMENT,
            counter_account=CounterAccount.ADJUSTMENTS,
            amount_minor=self.amount_minor,
            balance_after_minor=row.posted_minor + self.amount_minor,
            currency=self.currency,
            reason=Reason(self.reason),
            note=self.note,
            actor=actor,
            corrects_id=None,
            hold_id=None,
            created_at=at,
            allocations=(Allocation.of(opened, self.amount_minor),),
        )
        return replace(posted, hash=transaction_hash(bytes(row.head_hash), posted)), opened


def _checked(given: AdjustBalanceInput) -> Credit:
    customer_id, amount = given.wallet.store_customer_id, given.amount
    if customer_id is None or given.direction is not Direction.CREDIT:
        raise ValueError("The bench only credits customers.")
    if not re.fullmatch(r"(0|[1-9]\d{0,12})\.\d\d", amount.amount):
        raise ValueError("This is no amount.")
    if not NOTE_MIN <= len(given.note) <= NOTE_MAX:
        raise ValueError("This is no note.")
    amount_minor = int(amount.amount.replace(".", ""))
    return Credit(
        customer_id, amount_minor, amount.currency, given.reason.value, given.note, given.idempotency_key
    )


async def _adjust(actor: Actor, credit: Credit) -> AdjustBalancePayload:
    async with in_transaction():
        owner = await customer.Customer.get_or_none(external_id=credit.customer)
        if owner is None:
            return _refused("NOT_FOUND", "There is no such wallet.", "wallet")
        row = await wallet.Wallet.select_for_update().get(customer_id=owner.id)
        if row.currency != credit.currency:
            return _refused("CURRENCY_MISMATCH", f"The wallet is in {row.currency}.", "amount")
        scope, request_hash = f"{actor.kind}:{actor.id}", credit.request_hash()
        stored = await idempotency.IdempotencyKey.get_or_none(scope=scope, key=credit.key)
        if stored is not None:
            if bytes(stored.request_hash) != request_hash:
                return _refused("IDEMPOTENCY_KEY_REUSED", _REUSED, "idempotencyKey")
            result: Any = stored.result
            again = await transaction.Transaction.get(id=result["Transaction"])
            return AdjustBalancePayload(
                wallet=Wallet.of(row), transaction=Transaction.of(again), user_errors=[]
            )
        return await _post(actor, row, credit, scope, request_hash)


async def _post(
    actor: Actor, row: wallet.Wallet, credit: Credit, scope: str, request_hash: bytes
) -> AdjustBalancePayload:
    if row.overdraft_minor or row.debt_minor:
        raise ValueError("The bench credits no wallet that is below zero.")
    posted, opened = credit.posted_to(row, actor)
    await idempotency.IdempotencyKey.create(
        id=mint.id(),
        scope=scope,
        key=credit.key,
        command="adjustBalance",
        request_hash=request_hash,
        result={"Wallet": str(row.id), "Transaction": str(posted.id)},
        created_at=posted.created_at,
    )
    created = await transaction.Transaction.create(**_columns(tables.TRANSACTIONS, posted))
    await lot.Lot.create(**_columns(tables.LOTS, opened))
    await transaction.Allocation.create(
        id=mint.id(),
        transaction_id=posted.id,
        lot_id=opened.id,
        position=0,
        bucket="CASH",
        amount_minor=credit.amount_minor,
    )
    row.posted_minor, row.sequence = posted.balance_after_minor, posted.sequence
    row.head_hash, row.version = posted.hash, row.version + 1
    row.updated_at = row.last_activity_at = posted.created_at
    await row.save()
    return AdjustBalancePayload(wallet=Wallet.of(row), transaction=Transaction.of(created), user_errors=[])


def _columns(table: tables.Table, record: Any) -> dict[str, Any]:
    return dict(zip(table.columns, table.row(record), strict=True))


_REUSED = (
    "This idempotency key was already used for a request with other input. "
    "Repeat that request unchanged, or choose a new key for a new one."
)


def _refused(code: str, message: str, field: str) -> AdjustBalancePayload:
    return AdjustBalancePayload(
        wallet=None,
        transaction=None,
        user_errors=[UserError(code=code, message=message, field=[field])],
    )


def _is_staff(principal: dict[str, Any]) -> bool:
    return STAFF in principal.get("roles", ())


def _global_id(type_name: str, row_id: UUID) -> strawberry.ID:
    content = base64.urlsafe_b64encode(f"{type_name}:{row_id.hex}".encode())
    return strawberry.ID(content.rstrip(b"=").decode())


def _row_id(type_name: str, given: str) -> UUID:
    name, _, row_id = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode().partition(":")
    if name != type_name:
        raise ValueError("This is no id of that.")
    return UUID(hex=row_id)


class Endpoint(GraphQL[Any, Any]):
    """Strawberry's application; a verified token is kept, as Coffer keeps it."""

    _verified: dict[str, dict[str, Any]]

    def __init__(self, schema: strawberry.Schema, secret: str) -> None:
        super().__init__(schema, graphql_ide=None)
        self._secret = secret
        self._verified = {}

    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        """Return who asks."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        principal = self._verified.get(token)
        if principal is None:
            principal = jwt.decode(token, self._secret, algorithms=["HS256"])
            self._verified[token] = principal
        return {"request": request, "response": response, "principal": principal}


async def _livez(_request: Request) -> Response:
    return Response("ok")


def create_app(database_url: str, secret: str) -> Starlette:
    """Return the application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        url = urlsplit(database_url)
        credentials = {
            "host": url.hostname,
            "port": url.port,
            "user": url.username,
            "password": url.password,
            "database": url.path.strip("/"),
            "minsize": CONNECTIONS_MAX,
            "maxsize": CONNECTIONS_MAX,
        }
        config = {
            "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": credentials}},
            "apps": {APP_LABEL: {"models": list(MODEL_MODULES), "default_connection": "default"}},
            "use_tz": True,
            "timezone": "UTC",
        }
        async with RegisterTortoise(app, config=config):
            yield

    schema = strawberry.Schema(
        Query,
        mutation=Mutation,
        config=CONFIG,
        extensions=[lambda: ParserCache(maxsize=128), lambda: ValidationCache(maxsize=128)],
    )
    endpoint = Endpoint(schema, secret)
    return Starlette(
        routes=[Route("/graphql", endpoint, methods=["POST"]), Route("/livez", _livez)],
        lifespan=lifespan,
    )


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.run(
        create_app(os.environ["DATABASE_URL"], os.environ["JWT_SECRET"]),
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
