"""What a failed batch means: whether it is worth another try, and whether one of its commands is to blame."""

import sqlite3
from enum import Enum, auto

import asyncpg
from tortoise.exceptions import DBConnectionError, OperationalError, TransactionManagementError

from app.backends.sessions import NOT_OURS
from app.backends.transaction import driver_error


class Failure(Enum):
    """Why a batch failed."""

    UNREACHABLE = auto()
    """The database is away or too busy: no command is to blame, and all of them are worth another try."""
    SLOW = auto()
    """The database stopped a statement that took longer than its operators allow (`statement_timeout` of the role): nothing
    was written, and the next try may be quicker."""
    RACE = auto()
    """Another process was quicker (a new row, a lock): the next try sees what it did."""
    DEFECT = auto()
    """Something in the batch can't be loaded, decided or stored, and never will be."""


_RACES = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_RACES_SQLITE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,  # a migration changed a table under a prepared statement
    asyncpg.InvalidTransactionStateError,
    *NOT_OURS,  # read-only after a failover, or a pooler that gave us another session
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    sqlite3.OperationalError,  # busy, disk full
    DBConnectionError,
    TransactionManagementError,
    OSError,  # ConnectionError and TimeoutError are among them
)


def failure_of(error: Exception) -> Failure:
    """Tell what a batch's error means."""
    # Tortoise's own kinds lump a text that is too long together with a full disk.
    driver = driver_error(error)
    if isinstance(driver, asyncpg.QueryCanceledError):
        # Nobody's connection is lost, and no statement is on its way any more: PostgreSQL itself says that it ended this one.
        return Failure.SLOW
    if isinstance(driver, _RACES):
        return Failure.RACE
    if isinstance(driver, sqlite3.IntegrityError) and driver.sqlite_errorname in _RACES_SQLITE:
        return Failure.RACE
    if isinstance(driver, ValueError | TypeError):
        # The driver could not encode an argument: an InterfaceError too, and yet nobody's connection is lost.
        return Failure.DEFECT
    if isinstance(driver, _UNREACHABLE) or type(driver) is OperationalError:
        return Failure.UNREACHABLE
    return Failure.DEFECT
