"""A person of the store, known by the store's own id."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

SEARCH_TEXT_MAX = 600
"""Characters that are kept for searches; the longest name, e-mail and id have 584."""


@dataclass(frozen=True, slots=True)
class Customer:
    """What is known of a customer; name and e-mail may be empty until the store tells them."""

    id: UUID
    external_id: str
    name: str
    email: str
    created_at: datetime
    updated_at: datetime

    @property
    def search_text(self) -> str:
        """The case-folded text that searches look into.

        Folding makes a few characters longer ("ß" becomes "ss"); what then doesn't fit is left out.
        """
        return fold(f"{self.name}\n{self.email}\n{self.external_id}")[:SEARCH_TEXT_MAX]


def fold(text: str) -> str:
    """Fold a text for comparison without regard to case.

    The four Turkish letters I come out as one, because which of them are a pair depends on who writes.
    """
    return text.casefold().replace("i\u0307", "i").replace("\u0131", "i")
