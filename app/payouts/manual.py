"""The provider that is a person: staff send the money, and mark the withdrawal as paid with the bank's reference."""

from datetime import datetime, timedelta

from app.domain.payout_method import PayoutMethodKind
from app.payouts.provider import Answer, Headers, PayoutOrder, Told
from app.webhooks.errors import NotAuthentic


class ManualProvider:
    """Sends nothing by itself, so approved withdrawals wait for staff."""

    name = "manual"
    kinds: frozenset[PayoutMethodKind] = frozenset()
    sends_again_for = timedelta(0)

    async def send(self, order: PayoutOrder) -> Answer:
        """Leave it to staff."""
        return Answer.uncertain("staff send it")

    async def outcome(self, order: PayoutOrder) -> Answer:
        """Staff say it themselves."""
        return Answer.uncertain("staff say it")

    def translate(self, headers: Headers, body: bytes, now: datetime) -> Told | None:
        """Nobody signs for a person."""
        raise NotAuthentic("Staff send no webhooks.")

    async def close(self) -> None:
        """Nothing is open."""
