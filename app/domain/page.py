"""Which rows of a list are wanted, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.errors import FieldInvalid

PAGE_MAX = 100
"""Rows in one page at most."""

PAGE_DEFAULT = 20
"""Rows in one page when nothing is said."""

OFFSET_MAX = 10_000
"""Rows that may be skipped by an offset: each of them is read."""

COUNT_MAX = 10_000
"""Rows that are counted at most."""

SEARCHED_MAX = 20_000
"""Of a list that is searched by what no index holds, the rows that are looked at, the newest ones."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which rows are wanted: the first n after a cursor, or the last n before one, or an offset."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    offset: int | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None:
            raise FieldInvalid("Ask for `first` or for `last`, not for both.", field=("last",))
        for name in ("first", "last"):
            size = getattr(self, name)
            if size is not None and not 0 <= size <= PAGE_MAX:
                raise FieldInvalid(
                    f"A page has from 0 to {PAGE_MAX} rows. Ask for fewer, and then for the next page.",
                    field=(name,),
                )
        if self.offset is not None:
            if not 0 <= self.offset <= OFFSET_MAX:
                raise FieldInvalid(
                    f"An offset is from 0 to {OFFSET_MAX}. Use `after` to go further.", field=("offset",)
                )
            if self.after or self.before or self.last is not None:
                raise FieldInvalid(
                    "An offset goes with `first` only. Leave `last` and the cursors out.", field=("offset",)
                )

    @property
    def backwards(self) -> bool:
        """Whether the rows are wanted from the end."""
        return self.last is not None

    @property
    def size(self) -> int:
        """How many rows are wanted at most."""
        size = self.last if self.backwards else self.first
        return PAGE_DEFAULT if size is None else size


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows in their order, what tells the cursor of one, and whether there are more on either side."""

    rows: Sequence[T]
    cursor_of: Callable[[T], str]
    has_next: bool
    has_previous: bool

    @property
    def cursors(self) -> list[str]:
        """The cursors of the rows, made when somebody asks: most who read a page never do."""
        return [self.cursor_of(row) for row in self.rows]
