"""Who listens to which wallet, and how what was committed reaches them (docs/adr/0006-live-balances.md).

`Hub` is told by the writer what this process committed, and by a listener that some other process committed
something. A subscriber holds no queue: it holds a position (the last sequence number that it was given), and
takes what follows from its topic's short memory, or else from the database. So a change can't be lost, only be
read later.
"""

from app.live.feed import Feed
from app.live.hearing import Exchange, Tell
from app.live.hub import Hub, Listener
from app.live.listener import PostgresListener, SqliteWatcher
from app.live.source import (
    InvalidResume,
    LiveUnavailable,
    Source,
    SubscriberTooSlow,
    UnknownWallet,
    UpdateKind,
    WalletUpdate,
)

__all__ = [
    "Exchange",
    "Feed",
    "Hub",
    "InvalidResume",
    "Listener",
    "LiveUnavailable",
    "PostgresListener",
    "Source",
    "SqliteWatcher",
    "SubscriberTooSlow",
    "Tell",
    "UnknownWallet",
    "UpdateKind",
    "WalletUpdate",
]
