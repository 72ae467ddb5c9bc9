"""What the store itself decides, as opposed to what the machine is told by its environment."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.access import Actor
from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The store's settings of one version; amounts in minor units of the store's currency."""

    negative_balance_enabled: bool = False
    """Whether a staff debit may take a wallet below zero."""
    negative_balance_limit_minor: int = 0
    """How far below zero, when it may."""
    inactive_after_months: int = 6
    """Months without a transaction after which a wallet counts as inactive."""
    high_balance_minor: int = 50_000
    """Balances from here on are listed for regular review."""

    def __post_init__(self) -> None:
        if not 0 <= self.negative_balance_limit_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                "The limit of negative balances is negative or too large. Choose a smaller amount, or 0.",
                field=("negativeBalanceLimit",),
            )
        if not 1 <= self.inactive_after_months <= 120:
            raise FieldInvalid("Choose from 1 to 120 months.", field=("inactiveAfterMonths",))
        if not 0 < self.high_balance_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                "The high balance must be more than zero. Choose a larger amount.", field=("highBalance",)
            )
        if self.negative_balance_enabled and self.negative_balance_limit_minor == 0:
            raise FieldInvalid(
                "Say how far below zero a wallet may go when you enable negative balances.",
                field=("negativeBalanceLimit",),
            )

    @property
    def credit_limit_minor(self) -> int:
        """How far a staff debit may take a wallet below zero; 0 when negative balances are off."""
        return self.negative_balance_limit_minor if self.negative_balance_enabled else 0

    def as_data(self) -> dict[str, Any]:
        """Return the settings as they are stored."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "StoreSettings":
        """Read stored settings; fields that a newer program added get their defaults."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """A new version of the settings: who made it, when and why."""

    id: UUID
    settings: StoreSettings
    actor: Actor
    note: str
    created_at: datetime
