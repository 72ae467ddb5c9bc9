"""A channel for tests: it hands messages to the test instead of sending them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.services.outbox import Recipient

TAKEN = SendOutcome(Verdict.DELIVERED, status_code=200)
BUSY = SendOutcome(Verdict.FAILED, "It is busy.", status_code=503, answer="busy")


@dataclass
class Mailbox:
    """Tells `targets` of every event; `answers` says what comes of each message."""

    targets: Sequence[str] = ("a",)
    answers: Callable[[OutboxMessage], SendOutcome] = lambda _message: TAKEN
    channel: Channel = Channel.NOTICE
    came: list[OutboxMessage] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """Targets that answer only once their gate is open."""
    at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    at_once_max: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Everybody hears of everything."""
        return {
            event.id: [Recipient(target, event.type, {"data": event.data}) for target in self.targets]
            for event in events
        }

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Keep what came, and answer as the test wants."""
        self.at_once[taken.target] += 1
        self.at_once_max[taken.target] = max(self.at_once_max[taken.target], self.at_once[taken.target])
        try:
            if taken.target in self.gates:
                await self.gates[taken.target].wait()
        finally:
            self.at_once[taken.target] -= 1
        self.came.append(taken)
        return self.answers(taken)

    def came_to(self, target: str) -> int:
        """How many messages came to a target."""
        return sum(message.target == target for message in self.came)
