"""A person of the store, known by the store's own id."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from app.domain.email_kind import EmailKind
from app.domain.errors import FieldInvalid
from app.domain.note import check_text

T = TypeVar("T")

SEARCH_TEXT_MAX = 600
"""Characters that are kept for searches; the longest name, e-mail and id have 584."""

BORN_FIRST = date(1850, 1, 1)
"""No customer was born before."""

WORDS_MAX = 50
"""Roles, or segments, that a customer can have."""
WORD_MAX = 100
"""Characters of a role or a segment."""

SIGN_UP_AGE_MAX = timedelta(days=31)
"""How long ago somebody may have signed up in the store who counts as new when Coffer learns of them.

The first reading of a store's customers brings all of them: those who have been there for years are not new.
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """What is known of a customer; name and e-mail may be empty until the store tells them.

    `roles` and `segments` are the store's own words. `signed_up_at` is when the customer registered in the store; nothing
    while the store has told of orders or money only. `language` is the one that they read e-mails in, empty for the store's;
    `emails_off` are the kinds of e-mails that they don't want.
    """

    id: UUID
    external_id: str
    name: str
    email: str
    created_at: datetime
    updated_at: datetime
    birthday: date | None = None
    roles: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    signed_up_at: datetime | None = None
    language: str = ""
    emails_off: tuple[EmailKind, ...] = ()

    @property
    def search_text(self) -> str:
        """The case-folded text that searches look into.

        Folding makes a few characters longer ("ß" becomes "ss"); what then doesn't fit is left out.
        """
        return fold(f"{self.name}\n{self.email}\n{self.external_id}")[:SEARCH_TEXT_MAX]

    @property
    def birthday_on(self) -> int:
        """The day of the year of the birthday, as month * 100 + day; 0 where it is not known."""
        return 0 if self.birthday is None else day_of_year(self.birthday)

    def told(self, details: "CustomerDetails", now: datetime) -> "Customer":
        """Return the customer after the store told this. Raises `FieldInvalid` for a birthday that can't be one."""
        birthday = None if details.without_birthday else details.birthday or self.birthday
        if details.birthday is not None and not BORN_FIRST <= details.birthday <= now.date() + timedelta(
            days=1
        ):
            raise FieldInvalid(
                "Nobody has this birthday. Write the day of birth, such as 1987-05-17.", field=("birthday",)
            )
        new = replace(
            self,
            name=_kept(details.name, self.name),
            email=_kept(details.email, self.email),
            birthday=birthday,
            roles=_kept(details.roles, self.roles),
            segments=_kept(details.segments, self.segments),
            signed_up_at=details.signed_up_at or self.signed_up_at,
            language=_kept(details.language, self.language),
        )
        return self if new == self else replace(new, updated_at=now)


@dataclass(frozen=True, slots=True)
class CustomerDetails:
    """What the store tells of a customer; what it doesn't say (`None`) stays as it is known.

    Name, e-mail and language are taken away by empty texts, a birthday by `without_birthday`.
    """

    name: str | None = None
    email: str | None = None
    birthday: date | None = None
    roles: tuple[str, ...] | None = None
    segments: tuple[str, ...] | None = None
    signed_up_at: datetime | None = None
    without_birthday: bool = False
    language: str | None = None

    @property
    def counts(self) -> bool:
        """Whether something is told that cashback can be given for."""
        facts = (self.birthday, self.roles, self.segments, self.signed_up_at)
        return self.without_birthday or any(fact is not None for fact in facts)

    def as_data(self) -> dict[str, object]:
        """Return what is told as plain data; what is not said is left out."""
        data = {
            "name": self.name,
            "email": self.email,
            "birthday": None if self.birthday is None else self.birthday.isoformat(),
            "roles": self.roles,
            "segments": self.segments,
            "signed_up_at": None if self.signed_up_at is None else self.signed_up_at.isoformat(),
            "without_birthday": self.without_birthday or None,
            "language": self.language,
        }
        # Name and e-mail have always been part of a request, said or not.
        return {name: value for name, value in data.items() if value is not None or name in {"name", "email"}}


def _kept(told: T | None, known: T) -> T:
    return known if told is None else told


def check_words(words: Iterable[str], *, field: str) -> tuple[str, ...]:
    """Return roles or segments as they are kept, each once, or raise `FieldInvalid`."""
    kept = tuple(dict.fromkeys(check_text(word, field=field, length_max=WORD_MAX) for word in words))
    if len(kept) > WORDS_MAX:
        raise FieldInvalid(f"Give at most {WORDS_MAX}.", field=(field,))
    if "" in kept:
        raise FieldInvalid("One of these is empty. Leave it out.", field=(field,))
    return kept


def day_of_year(day: date) -> int:
    """Return a day without its year, as month * 100 + day: an index finds birthdays by it."""
    return day.month * 100 + day.day


def fold(text: str) -> str:
    """Fold a text for comparison without regard to case.

    The four Turkish letters I come out as one, because which of them are a pair depends on who writes.
    """
    return text.casefold().replace("i\u0307", "i").replace("\u0131", "i")
