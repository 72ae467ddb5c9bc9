"""Value reserved: a hold takes its lots when it is made, so that a release gives back exactly those."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.errors import HoldNotOpen


class HoldPurpose(StrEnum):
    """What the value is reserved for."""

    WITHDRAWAL = "WITHDRAWAL"
    """A withdrawal that is not paid out yet."""
    PAYMENT = "PAYMENT"
    """An order that is being paid."""


class HoldStatus(StrEnum):
    """How a hold stands."""

    OPEN = "OPEN"
    """Value is reserved."""
    CAPTURED = "CAPTURED"
    """All of it was spent, or a part was and the rest given back."""
    RELEASED = "RELEASED"
    """All of it was given back."""
    EXPIRED = "EXPIRED"
    """It ran out and was given back."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`amount_minor` was reserved; of it `captured_minor` was spent and `released_minor` given back."""

    id: UUID
    wallet_id: UUID
    purpose: HoldPurpose
    status: HoldStatus
    amount_minor: int
    captured_minor: int
    released_minor: int
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def opened(
        cls,
        hold_id: UUID,
        wallet_id: UUID,
        purpose: HoldPurpose,
        amount_minor: int,
        *,
        expires_at: datetime | None,
        now: datetime,
    ) -> "Hold":
        """Return a new open hold."""
        return cls(hold_id, wallet_id, purpose, HoldStatus.OPEN, amount_minor, 0, 0, expires_at, now, now)

    @property
    def held_minor(self) -> int:
        """What it still holds."""
        return self.amount_minor - self.captured_minor - self.released_minor

    def require_open(self) -> None:
        """Raise `HoldNotOpen` unless value is still reserved."""
        if self.status is not HoldStatus.OPEN:
            raise HoldNotOpen(self.status)

    def captured(self, amount_minor: int, now: datetime) -> "Hold":
        """Return the hold after a part, or all, was spent."""
        captured_minor = self.captured_minor + amount_minor
        done = captured_minor + self.released_minor == self.amount_minor
        status = HoldStatus.CAPTURED if done else HoldStatus.OPEN
        return replace(self, captured_minor=captured_minor, status=status, updated_at=now)

    def released(self, amount_minor: int, status: HoldStatus, now: datetime) -> "Hold":
        """Return the hold after what it still held was given back."""
        final = HoldStatus.CAPTURED if self.captured_minor else status
        return replace(self, released_minor=self.released_minor + amount_minor, status=final, updated_at=now)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The part of a hold that stands on one lot; of what was captured, `returned_minor` came back to it."""

    id: UUID
    hold_id: UUID
    lot_id: UUID
    amount_minor: int
    captured_minor: int
    released_minor: int
    returned_minor: int = 0

    @property
    def held_minor(self) -> int:
        """What of it is still held."""
        return self.amount_minor - self.captured_minor - self.released_minor

    @property
    def spent_minor(self) -> int:
        """What of it was spent and has not come back."""
        return self.captured_minor - self.returned_minor
