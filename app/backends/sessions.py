"""What a connection to PostgreSQL must be before anything is asked over it: a session of its own, with our settings, on the
server that takes writes.

A pooler such as pgbouncer may give every transaction, or every statement, whatever session is free. Prepared statements, LISTEN
and settings then are another's, or nobody's. So what stands between is found out here, by simple statements that need none of these.
"""

from collections.abc import Awaitable, Callable, Mapping

import asyncpg

OPEN_TIMEOUT_S = 10.0
"""How long it may take to make a connection ready: a pooler without a free one would say nothing for two minutes."""

ROUNDS = 3
"""How often a pooler is asked for the session that was had before. Where it hands them out in turn, once is not enough."""


class UnfitSession(ConnectionError):
    """A connection can't be used as it is; the message says why, and names no host."""


class SharedSession(UnfitSession):
    """A pooler gives each transaction or statement another session."""

    def __init__(self) -> None:
        super().__init__(
            "a pooler stands before it that gives each transaction or statement another session; "
            "Coffer needs one that keeps its session (pgbouncer: pool_mode = session)"
        )


class NoSession(UnfitSession):
    """A pooler has no session left for us."""

    def __init__(self) -> None:
        super().__init__(
            f"it gave no session within {OPEN_TIMEOUT_S:.0f} s; "
            "a pooler before it must have as many as all processes of Coffer need"
        )


class StandbyServer(UnfitSession):
    """The server follows another one, and takes no writes."""

    def __init__(self) -> None:
        super().__init__("it is a standby, which takes no writes; name the primary")


STRANGE = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What is said of a session that isn't the one in which our statements were prepared."""

NOT_OURS = (*STRANGE, asyncpg.ReadOnlySQLTransactionError)
"""What another connection may be better for: a session that is not ours, a server that takes no writes any more."""


async def make_ready(
    connection: asyncpg.Connection,
    settings: Mapping[str, str],
    *,
    beside: Callable[[], Awaitable[asyncpg.Connection]] | None,
    may_be_standby: bool,
) -> bool:
    """Put our settings in force in a new session; return whether a pooler stands before it.

    With `beside`, which opens another connection, a pooler is asked whether it keeps our session. Raises `SharedSession`,
    `NoSession` or `StandbyServer`.
    """
    # What a pooler of transactions is told to set, it sets for somebody else: it is asked first.
    direct = f"pg_backend_pid() = {connection.get_server_pid()}"
    change = f"SELECT {', '.join(_set(name, value) for name, value in settings.items())}"
    try:
        is_pooled = not await _holds(connection, f"{change} WHERE {direct}")
        if is_pooled:
            if beside is not None:
                await _require_own(connection, await beside())
            await connection.execute(change, timeout=OPEN_TIMEOUT_S)
        if not may_be_standby and not await _holds(connection, "SELECT 1 WHERE NOT pg_is_in_recovery()"):
            raise StandbyServer
    except TimeoutError as error:
        raise NoSession from error
    return is_pooled


async def _require_own(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """Mark the session, and look who has the mark."""
    mark = f"'{connection.get_server_pid()}'"
    marked = f"SELECT 1 WHERE current_setting('coffer.session', true) = {mark}"
    try:
        for _ in range(ROUNDS):
            await connection.execute(
                f"SELECT set_config('coffer.session', {mark}, false)", timeout=OPEN_TIMEOUT_S
            )
            if await _holds(other, marked):
                raise SharedSession
            # A transaction keeps a session, also the one that we had.
            await other.execute("BEGIN", timeout=OPEN_TIMEOUT_S)
            if await _holds(other, marked):
                raise SharedSession
            for _ in range(2):
                if not await _holds(connection, marked):
                    raise SharedSession
            await other.execute("ROLLBACK", timeout=OPEN_TIMEOUT_S)
    finally:
        other.terminate()


async def _holds(connection: asyncpg.Connection, statement: str) -> bool:
    """Whether a statement finds its one row."""
    done: str = await connection.execute(statement, timeout=OPEN_TIMEOUT_S)
    return done == "SELECT 1"


def _set(name: str, value: str) -> str:
    return f"set_config('{name}', '{value}', false)"
