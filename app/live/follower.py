"""One subscriber of one wallet: a position, and what follows from it."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from uuid import UUID

from app.domain.ledger import Transaction, Wallet
from app.live.feed import Feed
from app.live.source import InvalidResume, UpdateKind, WalletUpdate
from app.live.topic import Place, Step, Topic

_NOTHING_YET = -1
"""The version of the state that a subscriber was given, before its snapshot; and the epoch before the first."""


class Desk(Protocol):
    """What a follower asks of the hub."""

    @property
    def is_closed(self) -> bool:
        """Whether all subscriptions end."""

    def enter(self, follower: "WalletFeed") -> Topic:
        """Let a follower in."""

    def leave(self, topic: Topic, follower: "WalletFeed", epoch: int) -> None:
        """Let a follower go, who was caught up at this epoch."""

    def told(
        self, topic: Topic, kind: UpdateKind, wallet: Wallet, transaction: Transaction | None = None
    ) -> WalletUpdate:
        """Return an update."""

    async def missing(self, topic: Topic, after: int) -> Sequence[Transaction]:
        """Read some of the transactions after a sequence number."""

    async def require_reached(self, topic: Topic, sequence: int) -> None:
        """Raise InvalidResume unless the wallet has reached a sequence number."""


class WalletFeed(Feed[WalletUpdate]):
    """The updates of one wallet, from one subscriber's own position on.

    Raises `InvalidResume`, `UnknownWallet`, `LiveUnavailable`.
    """

    __slots__ = (
        "_after",
        "_desk",
        "_epoch",
        "_error",
        "_page",
        "_place",
        "_reading",
        "_topic",
        "wake",
        "wallet_id",
    )
    wake: Callable[[], None]

    def __init__(self, desk: Desk, wallet_id: UUID, after_sequence: int | None) -> None:
        self.wallet_id = wallet_id
        self._desk = desk
        self._after = after_sequence
        self._topic: Topic | None = None
        self._place: Place | None = None
        self._epoch = _NOTHING_YET
        self._page: deque[Transaction] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    def open(self, wake: Callable[[], None]) -> None:
        """Begin."""
        self.wake = wake
        if self._after is not None and self._after < 0:
            self._error = InvalidResume(f"A sequence number to resume from is 0 or more, not {self._after}.")
            return
        # First the topic, then the read: a change in between marks the topic as one to read again.
        self._topic = self._desk.enter(self)

    def close(self) -> None:
        """Leave."""
        if self._reading is not None:
            self._reading.cancel()
        if self._topic is not None:
            topic, self._topic = self._topic, None
            self._desk.leave(topic, self, self._epoch)

    def take(self) -> WalletUpdate | None:
        """Return the next update."""
        topic = self._topic
        if topic is not None and topic.epoch == self._epoch:
            # Nothing has happened since all was taken, and the end is something that happens.
            return None
        if self._error is not None:
            raise self._error
        if topic is None or self._desk.is_closed:
            raise StopAsyncIteration
        if topic.error is not None:
            raise type(topic.error)(*topic.error.args) from topic.error
        wallet = topic.wallet
        if wallet is None or self._reading is not None:
            return None
        place = self._place or self._begin(topic, wallet)
        if place is None:
            return None
        step = topic.step
        if step is None or step.start != place or self._page is not None:
            step = self._next(topic, wallet, place)
        if step is None:
            return None
        self._place = step.end
        if step.is_last:
            self._epoch = topic.caught_up()
        return step.update

    def _begin(self, topic: Topic, wallet: Wallet) -> Place | None:
        if self._after is not None and self._after > wallet.sequence:
            self._read(self._require_reached(topic, self._after))
            return None
        self._place = Place(wallet.sequence if self._after is None else self._after, _NOTHING_YET)
        return self._place

    def _next(self, topic: Topic, wallet: Wallet, place: Place) -> Step | None:
        """Return what follows on a place; None where nothing does, or must be read first."""
        sequence, version = place
        if sequence < wallet.sequence:
            found = self._transaction(topic, sequence)
            if found is None:
                return None
            update = self._desk.told(topic, UpdateKind.TRANSACTION, wallet, found)
            # It tells the newest state along with the transaction.
            end = Place(found.sequence, version if version == _NOTHING_YET else wallet.version)
        elif sequence == wallet.sequence and version < wallet.version:
            kind = UpdateKind.SNAPSHOT if version == _NOTHING_YET else UpdateKind.STATE
            update, end = self._desk.told(topic, kind, wallet), Place(sequence, wallet.version)
        else:
            self._epoch = topic.caught_up()
            return None
        topic.step = Step(place, update, end, is_last=end == (wallet.sequence, wallet.version))
        return topic.step

    def _transaction(self, topic: Topic, sequence: int) -> Transaction | None:
        """Return the next transaction: of what was read, else from the topic's memory, else it must be read."""
        found = self._page.popleft() if self._page else topic.after(sequence)
        if not self._page:
            self._page = None
        if found is None:
            self._read(self._read_page(topic, sequence))
        else:
            _require_no_gap(topic, sequence, found)
        return found

    async def _require_reached(self, topic: Topic, sequence: int) -> None:
        await self._desk.require_reached(topic, sequence)
        self._place = Place(sequence, _NOTHING_YET)

    async def _read_page(self, topic: Topic, sequence: int) -> None:
        page = await self._desk.missing(topic, sequence)
        _require_no_gap(topic, sequence, page[0] if page else None)
        self._page = deque(page)

    def _read(self, work: Coroutine[Any, Any, None]) -> None:
        self._reading = asyncio.create_task(self._until_read(work))

    async def _until_read(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 — it is raised where the subscriber takes
            self._error = error
        finally:
            self._reading = None
        self.wake()


def _require_no_gap(topic: Topic, sequence: int, found: Transaction | None) -> None:
    if found is None or found.sequence != sequence + 1:
        raise RuntimeError(f"wallet {topic.wallet_id} has a gap after transaction {sequence}")
