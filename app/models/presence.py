"""Rows that have something, or lack it, asked for so that both databases find their index of those that have it."""

from typing import Any

from tortoise.expressions import Q


def has_text(column: str, *, there: bool = True) -> Q:
    """Return the condition that a column of texts, named by its Tortoise path, holds one, or that it holds none.

    Tortoise writes `NOT (problem IS NULL)`, and SQLite doesn't see that this is what an index `WHERE problem IS NOT NULL` knows.
    Every text is at least the empty one, and what is compared is there: that it sees, and so does PostgreSQL.
    """
    condition: dict[str, Any] = {f"{column}__gte": ""} if there else {f"{column}__isnull": True}
    return Q(**condition)
