"""The kinds of value that a wallet holds."""

from enum import StrEnum


class Bucket(StrEnum):
    """The kind of value in a wallet."""

    CASH = "CASH"
    """The customer's own money: it can be spent and withdrawn."""
    PROMO = "PROMO"
    """Bonus money: it can be spent and never withdrawn."""
    GIFT_CARD = "GIFT_CARD"
    """Value from gift cards: it can be spent and never withdrawn."""
