"""Customers are found by parts of their name, e-mail or store id: the same way, by an index, on both databases.

A word's grams (docs/adr/0026-growth.md) lead to few customers or to many. Few are named by their ids, whatever else the list asks for.
Of many, there are some in every stretch of the list: it is walked in its own order until the page is full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.expressions import Q, RawSQL

from app.domain.customer import fold
from app.domain.errors import FieldInvalid
from app.domain.note import check_text
from app.models.customer import Customer

SEARCH_MAX = 100
"""Characters of a search at most."""

WORD_MIN = 3
"""Characters that one of a search's words must have."""

FEW_MAX = 2_500
"""Customers that are named by their ids; where more are found, the list is walked.

Of a million, this is about where both take as long: so many rows are looked up and sorted, or a page is full after some thousand steps.
"""

_SAMPLE, _COMMON, _DULL = 200, 10, 20
"""Of so many of the newest customers, so many have a word that is common, and so many a gram that leads to too many."""

_IDEOGRAPHS_FROM = "\u2e80"
"""Where the writing of China, Japan and Korea begins: two of its characters are a name already."""

_FOUND = "SELECT c.id AS id FROM {found} WHERE {indexed} AND {exact} LIMIT {most}"


@dataclass(frozen=True, slots=True)
class Few:
    """Few customers, by their ids."""

    customer_ids: Sequence[UUID]

    def named(self) -> RawSQL:
        """Return the set of their ids.

        It stands in the statement, because a value for each of some thousand takes Python longer than the search takes the database.
        """
        named = ", ".join([f"'{row_id}'" for row_id in self.customer_ids])
        return RawSQL(f"({named or 'NULL'})")

    def wallets(self) -> RawSQL:
        """Return the set of the ids of their wallets."""
        return RawSQL(f"(SELECT w.id FROM wallets w WHERE w.customer_id IN {self.named().sql})")  # noqa: S608 - ids


def words_of(text: str, *, field: str = "search") -> list[str]:
    """Return the folded words of a search; none for a blank one.

    Raises `FieldInvalid` for a text that can't be one, or whose words are all too short for an index.
    """
    words = fold(check_text(text, field=field, length_max=SEARCH_MAX)).split()
    if words and not any(_has_grams(word) for word in words):
        raise FieldInvalid(
            f"A search needs a word of at least {WORD_MIN} characters. Write more of the name, e-mail or id.",
            field=tuple(field.split(".")),
        )
    return words


def _has_grams(word: str) -> bool:
    return len(word) >= WORD_MIN or _is_ideographic(word)


def _is_ideographic(word: str) -> bool:
    return len(word) == WORD_MIN - 1 and min(word) >= _IDEOGRAPHS_FROM


async def few(words: Sequence[str]) -> Few | None:
    """Return the customers that hold all words, or `None` when they are more than a few."""
    newest = (
        Customer.all().order_by("-created_at", "-id").limit(_SAMPLE).values_list("search_text", flat=True)
    )
    texts: list[Any] = list(await newest)
    if len(texts) == _SAMPLE and sum(all(word in text for word in words) for text in texts) >= _COMMON:
        # The index would find half of the store.
        return None
    connection = get_connection("default")
    if connection.capabilities.dialect == "sqlite":
        grams = _telling(_trigrams(words), texts)
        sql, values = _on_sqlite(words), [_matching(grams), *words]
    else:
        grams = _telling([*_trigrams(words), *_pairs(words)], texts)
        sql, values = _on_postgres(words, grams), []
    rows = await connection.execute_query_dict(sql, values)
    if len(rows) > FEW_MAX:
        return None
    return Few([row["id"] for row in rows])


def _trigrams(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word[at : at + 3] for word in words for at in range(len(word) - 2)))


def _pairs(words: Sequence[str]) -> list[str]:
    pairs = (word[at : at + 2] for word in words for at in range(len(word) - 1))
    return list(dict.fromkeys(pair for pair in pairs if _is_ideographic(pair)))


def _telling(grams: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return those grams that not many of these texts have, at least the two that fewest have.

    What is in every address is read once through for nothing: the index says of each customer that it has it.
    """
    counted = sorted((sum(gram in text for text in texts), place) for place, gram in enumerate(grams))
    places = {place for number, (count, place) in enumerate(counted) if number < 2 or count < _DULL}
    return [gram for place, gram in enumerate(grams) if place in places]


def _on_sqlite(words: Sequence[str]) -> str:
    exact = " AND ".join(["instr(c.search_text, ?) > 0"] * len(words))
    if not any(len(word) >= WORD_MIN for word in words):
        # Two ideographs are no gram here: the names are read until there are enough.
        return _FOUND.format(found="customers c", indexed="? IS NOT NULL", exact=exact, most=FEW_MAX + 1)
    found = (
        "customer_search s CROSS JOIN customer_search_rows r ON r.number = s.rowid "
        "CROSS JOIN customers c ON c.id = r.customer_id"
    )
    return _FOUND.format(found=found, indexed="customer_search MATCH ?", exact=exact, most=FEW_MAX + 1)


def _matching(grams: Sequence[str]) -> str:
    return " AND ".join('"{}"'.format(gram.replace('"', '""')) for gram in grams)


def _on_postgres(words: Sequence[str], grams: Sequence[str]) -> str:
    # They stand in the statement, so that its plan is made for them: how many customers have a gram is what the
    # statistics know.
    indexed = f"coffer_grams(c.search_text) @> ARRAY[{', '.join(_literal(gram) for gram in grams)}]"
    exact = " AND ".join(f"strpos(c.search_text, {_literal(word)}) > 0" for word in words)
    return _FOUND.format(found="customers c", indexed=indexed, exact=exact, most=FEW_MAX + 1)


def _literal(word: str) -> str:
    # As an escape string, which is read the same whatever the server's settings are.
    return "E'{}'".format(word.replace("\\", "\\\\").replace("'", "''"))


def walking(words: Sequence[str], column: str) -> Q:
    """Return the condition that a text holds all words, for a list that is walked; `column` is its Tortoise path."""
    condition = Q()
    for word in words:
        condition &= Q(**{f"{column}__contains": word})
    return condition


async def narrowed(text: str | None, *, ids: str, column: str, field: str = "search") -> Q | None:
    """Return what narrows a list to the customers that a text finds; `None` for a blank text.

    `ids` and `column` are the Tortoise paths to the customer's id and to its searched text.
    """
    words = words_of(text, field=field) if text else []
    if not words:
        return None
    found = await few(words)
    if found is None:
        return walking(words, column)
    named: Any = found.named()
    return Q(**{f"{ids}__in": named})
