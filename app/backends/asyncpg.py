"""PostgreSQL as Tortoise speaks it, made safe for cancelled tasks.

Tortoise's own transaction context takes a connection from the pool and loses it when the task is cancelled
while BEGIN is on its way: a few closed sockets and the pool is empty.
"""

from contextlib import suppress
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections

from app.backends.transaction import uninterrupted

# How long a connection may take to come to rest before it is thrown away instead.
_RELEASE_TIMEOUT_S = 10.0


class SafeAsyncpgClient(AsyncpgDBClient):
    """A pool that is opened by a DSN, so that everything libpq's URLs know (sslmode, a socket's host) works."""

    def __init__(self, dsn: str, **options: Any) -> None:
        super().__init__(**options)
        self._dsn = dsn

    async def create_pool(self, **options: Any) -> "asyncpg.Pool[asyncpg.Record]":
        """Open the pool; address and password come from the DSN alone."""
        for name in ("host", "port", "user", "password", "database"):
            options.pop(name)
        return await asyncpg.create_pool(self._dsn, **options)

    def _in_transaction(self) -> TransactionContext:
        return _SafeTransactionContext(TransactionWrapper(self), self._pool_init_lock)


class _SafeTransactionContext(TransactionContextPooled):
    """Gives its connection back to the pool, whatever happens to the task."""

    __slots__ = ()

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        self.client._connection = await self.client._parent._pool.acquire()
        try:
            await self.client.begin()
        except BaseException:
            await uninterrupted(self._release())
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        get_connections().reset(self.token)
        await uninterrupted(self._end(commit=exc_type is None))

    async def _end(self, *, commit: bool) -> None:
        try:
            if self.client._finalized:
                return
            if commit:
                await self.client.commit()
            else:
                # What ended the transaction is what the caller must hear of. A rollback that fails (the
                # connection is gone) has nothing to add: the server rolls back, and so does the release.
                with suppress(Exception):
                    await self.client.rollback()
        finally:
            await self._release()

    async def _release(self) -> None:
        pool = self.client._parent._pool
        if pool is not None:
            await pool.release(self.client._connection, timeout=_RELEASE_TIMEOUT_S)


client_class = SafeAsyncpgClient
