"""How one adjustment is done: by Coffer's writer, by an ORM transaction per request, and by hand-written SQL.

All do the same work on the same tables, which came from the same migration: an idempotency key, the wallet
locked, a transaction chained by its hash, the lot that it opens, the allocation, and the wallet's new totals.
All leave a ledger that `verify` finds clean, so none saves work that the others do.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol, Self
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import orjson
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from app.db import APP_LABEL, MODEL_MODULES, dialect, open_database
from app.domain.access import Actor
from app.domain.adjustment import Adjustment, AdjustmentReason, Direction, adjust
from app.domain.bucket import Bucket
from app.domain.ledger import (
    Allocation,
    CounterAccount,
    Lot,
    Transaction,
    TransactionKind,
    transaction_hash,
)
from app.models import idempotency, lot, transaction, wallet
from app.services.ledger import tables
from app.services.ledger.command import Command, IdempotencyClaim, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.settings import Settings

NOTE = "Parcel of order 1042 arrived broken, customer keeps it"
AMOUNT_MINOR = 100
CONNECTIONS_MAX = 32
"""The pool of those who work per request. More made neither of them faster."""

mint = RandomMint()


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """A wallet to adjust: its id, and the store's id of its customer."""

    wallet_id: UUID
    external_id: str


class Way(Protocol):
    """One way of doing adjustments; open while it is used."""

    name: str

    async def __aenter__(self) -> Self:
        """Connect."""

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """Credit the wallet; return once that is committed."""


# --- Coffer -------------------------------------------------------------------------------------------------


class Coffer:
    """The group-commit writer, as the server uses it."""

    name = "Coffer"

    def __init__(self, settings: Settings, callers: int) -> None:
        self._settings = settings
        self._callers = callers
        self._stack = AsyncExitStack()
        self.writer = Writer(
            currency="USD",
            mint=mint,
            clock=now,
            batch_size_max=settings.batch_size_max,
            queue_max=settings.batch_queue_max,
        )

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(open_database(self._settings))
        self.writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.stop()
        await self._stack.aclose()

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """See `Way`."""
        request = {"wallet": target.external_id, "amount_minor": AMOUNT_MINOR}
        claim = IdempotencyClaim.of(actor, key, "adjustBalance", request)
        await self._credit(WalletRef(wallet_id=target.wallet_id), actor, claim)

    async def open(self, external_id: str, actor: Actor) -> None:
        """Credit a customer who has no wallet yet."""
        await self._credit(WalletRef(external_id=external_id), actor, None)

    async def _credit(self, ref: WalletRef, actor: Actor, claim: IdempotencyClaim | None) -> None:
        wanted = Adjustment(Direction.CREDIT, AMOUNT_MINOR, AdjustmentReason.GOODWILL, NOTE, actor)
        await self.writer.submit(
            Command("adjustBalance", actor, ref, lambda draft: adjust(draft, wanted), claim, opens=True)
        )


# --- What those who work per request share ------------------------------------------------------------------


def _request_hash(target: Target) -> bytes:
    request = {"wallet": target.external_id, "amount_minor": AMOUNT_MINOR}
    return sha256(orjson.dumps(["adjustBalance", request], option=orjson.OPT_SORT_KEYS)).digest()


def _posted(
    target: Target, actor: Actor, *, balance_minor: int, sequence: int, head_hash: bytes
) -> tuple[Transaction, Lot]:
    """Return the next transaction of a wallet that stands at these totals, and the lot that it opens."""
    at = now()
    opened = Lot(
        mint.id(), target.wallet_id, Bucket.CASH, sequence + 1, AMOUNT_MINOR, AMOUNT_MINOR, 0, None, at
    )
    posted = Transaction(
        id=mint.id(),
        wallet_id=target.wallet_id,
        sequence=sequence + 1,
        reference=mint.reference("TX"),
        kind=TransactionKind.ADJUSTMENT,
        counter_account=CounterAccount.ADJUSTMENTS,
        amount_minor=AMOUNT_MINOR,
        balance_after_minor=balance_minor + AMOUNT_MINOR,
        currency="USD",
        reason=AdjustmentReason.GOODWILL,
        note=NOTE,
        actor=actor,
        corrects_id=None,
        hold_id=None,
        created_at=at,
        allocations=(Allocation.of(opened, AMOUNT_MINOR),),
    )
    return replace(posted, hash=transaction_hash(head_hash, posted)), opened


def _result(target: Target, transaction_id: UUID) -> dict[str, str]:
    return {"Wallet": str(target.wallet_id), "Transaction": str(transaction_id)}


# --- The ORM, by the book -----------------------------------------------------------------------------------


class Orm:
    """One Tortoise transaction per request: `select_for_update`, `create`, `save`."""

    name = "ORM"

    def __init__(self, settings: Settings, callers: int) -> None:
        self._url = settings.database_url
        # Tortoise keeps the SQL that it made by the connection's name, whichever database that means by now.
        self._name = dialect(self._url)
        self._connections = min(callers, CONNECTIONS_MAX)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        context = await self._stack.enter_async_context(TortoiseContext())
        app = {"models": list(MODEL_MODULES), "default_connection": self._name}
        connections = {self._name: self._connection()}
        await context.init(
            config={
                "connections": connections,
                "apps": {APP_LABEL: app},
                "use_tz": True,
                "timezone": "UTC",
            }
        )
        return self

    def _connection(self) -> dict[str, Any]:
        if dialect(self._url) == "sqlite":
            pragmas = {"journal_mode": "WAL", "synchronous": "FULL", "foreign_keys": "ON"}
            path = self._url.removeprefix("sqlite:///")
            return {"engine": "tortoise.backends.sqlite", "credentials": {"file_path": path, **pragmas}}
        url = urlsplit(self._url)
        credentials = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password}
        sizes = {"minsize": self._connections, "maxsize": self._connections}
        return {
            "engine": "tortoise.backends.asyncpg",
            "credentials": {**credentials, **sizes, "database": url.path.strip("/")},
        }

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """See `Way`."""
        async with in_transaction(self._name):
            locked = await wallet.Wallet.select_for_update().get(id=target.wallet_id)
            posted, opened = _posted(
                target,
                actor,
                balance_minor=locked.posted_minor,
                sequence=locked.sequence,
                head_hash=bytes(locked.head_hash),
            )
            await idempotency.IdempotencyKey.create(
                id=mint.id(),
                scope=f"{actor.kind}:{actor.id}",
                key=key,
                command="adjustBalance",
                request_hash=_request_hash(target),
                result=_result(target, posted.id),
                created_at=posted.created_at,
            )
            await transaction.Transaction.create(**_fields(tables.TRANSACTIONS, posted))
            await lot.Lot.create(**_fields(tables.LOTS, opened))
            await transaction.Allocation.create(
                id=mint.id(),
                transaction_id=posted.id,
                lot_id=opened.id,
                position=0,
                bucket="CASH",
                amount_minor=AMOUNT_MINOR,
            )
            locked.posted_minor = posted.balance_after_minor
            locked.sequence = posted.sequence
            locked.head_hash = posted.hash
            locked.version += 1
            locked.updated_at = locked.last_activity_at = posted.created_at
            await locked.save(
                update_fields=[
                    "posted_minor",
                    "sequence",
                    "head_hash",
                    "version",
                    "updated_at",
                    "last_activity_at",
                ]
            )


def _fields(table: tables.Table, record: Any) -> dict[str, Any]:
    return dict(zip(table.columns, table.row(record), strict=True))


# --- By hand ------------------------------------------------------------------------------------------------

_WALLET = "posted_minor, sequence, version, head_hash"
_WALLET_CHANGE = ("posted_minor", "sequence", "version", "head_hash", "updated_at", "last_activity_at")


class Asyncpg:
    """Hand-written SQL, a transaction per request, on prepared statements; the four writes are one statement."""

    name = "By hand"

    def __init__(self, settings: Settings, callers: int) -> None:
        self._url = settings.database_url
        self._connections = min(callers, CONNECTIONS_MAX)
        self._pool: Any = None
        places = _Places()
        self._claim = _insert(tables.IDEMPOTENCY_KEYS, _Places())
        self._write = (
            f"WITH t AS ({_insert(tables.TRANSACTIONS, places)}), o AS ({_insert(tables.LOTS, places)}), "
            f"a AS ({_insert(tables.ALLOCATIONS, places)}) "
            f"UPDATE wallets SET {', '.join(f'{name} = {places()}' for name in _WALLET_CHANGE)} WHERE id = {places()}"
        )

    async def __aenter__(self) -> Self:
        size = self._connections
        self._pool = await asyncpg.create_pool(self._url, min_size=size, max_size=size, reset=_leave_as_it_is)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """See `Way`."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                f"SELECT {_WALLET} FROM wallets WHERE id = $1 FOR UPDATE", target.wallet_id
            )
            claim, writes = _rows(target, actor, key, row)
            await connection.execute(self._claim, *claim)
            await connection.execute(self._write, *writes)


class Sqlite3:
    """Hand-written SQL, a transaction per request, on one thread that owns the connection."""

    name = "By hand"

    def __init__(self, settings: Settings, callers: int) -> None:
        self._path = settings.database_url.removeprefix("sqlite:///")
        self._thread = ThreadPoolExecutor(1)
        self._connection: Any = None
        self._inserts = tuple(
            _insert(table, lambda: "?")
            for table in (tables.IDEMPOTENCY_KEYS, tables.TRANSACTIONS, tables.LOTS, tables.ALLOCATIONS)
        )
        self._update = (
            f"UPDATE wallets SET {', '.join(f'{name} = ?' for name in _WALLET_CHANGE)} WHERE id = ?"
        )

    async def __aenter__(self) -> Self:
        await self._run(self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[..., Any], *values: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """See `Way`."""
        await self._run(self._transact, target, actor, key)

    def _transact(self, target: Target, actor: Actor, key: str) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            names = ("posted_minor", "sequence", "version", "head_hash")
            found = execute(
                f"SELECT {_WALLET} FROM wallets WHERE id = ?", (str(target.wallet_id),)
            ).fetchone()
            claim, writes = _rows(target, actor, key, dict(zip(names, found, strict=True)))
            values = [_plain(value) for value in claim + writes]
            for sql in (*self._inserts, self._update):
                count = sql.count("?")
                execute(sql, values[:count])
                del values[:count]
            execute("COMMIT")
        except BaseException:
            execute("ROLLBACK")
            raise


def by_hand(settings: Settings, callers: int) -> Way:
    """Return the hand-written way of the database."""
    kind = Sqlite3 if dialect(settings.database_url) == "sqlite" else Asyncpg
    return kind(settings, callers)


class _Places:
    """`$1`, `$2` … in turn."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return f"${self._count}"


def _insert(table: tables.Table, place: Callable[[], str]) -> str:
    places = ", ".join(place() for _ in table.columns)
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"


def _rows(target: Target, actor: Actor, key: str, row: Any) -> tuple[list[Any], list[Any]]:
    """Return the values of the idempotency key, and those of all other writes, in the order of the statements."""
    posted, opened = _posted(
        target,
        actor,
        balance_minor=row["posted_minor"],
        sequence=row["sequence"],
        head_hash=bytes(row["head_hash"]),
    )
    at, result = posted.created_at, orjson.dumps(_result(target, posted.id)).decode()
    scope = f"{actor.kind}:{actor.id}"
    claim = [mint.id(), scope, key, "adjustBalance", _request_hash(target), result, at]
    allocation = [mint.id(), posted.id, opened.id, 0, "CASH", AMOUNT_MINOR, opened.expires_at]
    totals = [posted.balance_after_minor, posted.sequence, row["version"] + 1, posted.hash, at, at]
    rows: Iterable[Any] = (tables.TRANSACTIONS.row(posted), tables.LOTS.row(opened), allocation, totals)
    return claim, [value for each in rows for value in each] + [target.wallet_id]


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat(" ") if isinstance(value, datetime) else value


async def _leave_as_it_is(_connection: object) -> None:
    """Nothing in a session is changed, so nothing needs a round trip to be put back."""


WAYS: tuple[Callable[[Settings, int], Way], ...] = (Coffer, Orm, by_hand)
