"""Customers are found by parts of their name, e-mail or store id: the same way, by an index, on both databases.

A word's grams (docs/adr/0026-growth.md) lead to few customers or to many. Few are named by their ids, whatever else the list asks for.
Of many, there are some in every stretch of the list, most likely: it is walked in its own order until the page is full. They may stand
together somewhere else, as all who have a first name do in the order of names; so after some steps the index is asked for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tortoise.connection import get_connection
from tortoise.expressions import Q, RawSQL
from tortoise.queryset import QuerySet

from app.db import READER
from app.domain.customer import fold
from app.domain.errors import FieldInvalid
from app.domain.note import check_text
from app.models.paging import Found, M, Walk, few_of

SEARCH_MAX = 100
"""Characters of a search at most."""

WORD_MIN = 3
"""Characters that one of a search's words must have."""

_SAMPLE, _COMMON, _DULL = 200, 10, 20
"""Of so many of the newest customers, so many have a word that is common, and so many a gram that leads to too many."""

_TELLING_MAX = 3
"""Grams that the index is asked for, beside the rarest of each word: a fourth excludes hardly anybody, and has to be read too."""

_SECOND_SAMPLE, _WORTH_IT = 2_000, 2_000
"""Where the first sample leaves doubt: so many are looked at if more than so many may be named."""

_IDEOGRAPHS_FROM = "\u2e80"
"""Where the writing of China, Japan and Korea begins: two of its characters are a name already."""

_FOUND = (
    "WITH found AS MATERIALIZED ({found} LIMIT {most} + 1), "
    "listed AS MATERIALIZED (SELECT {onward} LIMIT {most} + 1) "
    "SELECT CASE WHEN (SELECT COUNT(*) FROM found) <= {most} AND (SELECT COUNT(*) FROM listed) <= {most} "
    "THEN (SELECT {ids} FROM listed) END AS ids"
)
"""What is listed, by its ids in one text; NULL where that is more than so many, or the customers found are."""

_ONWARD = {
    "customers": "f.id FROM found f",
    "withdrawals": "d.id FROM found f JOIN wallets w ON w.customer_id = f.id JOIN withdrawals d ON d.wallet_id = w.id",
}
"""How one gets from the customers to what is listed."""


@dataclass(frozen=True, slots=True)
class Few:
    """Few rows of a list, by their ids, in one text as their database writes a list.

    It stands in the statement, because a value for each of some thousand takes Python longer than the search takes the database.
    """

    ids: str
    dialect: str

    def among(self, column: str) -> Q:
        """Return the condition that a column, named by its Tortoise path, holds one of the ids."""
        # They are ids that the database wrote itself, so there is no quote among them.
        if self.dialect == "postgres":
            # Asked for by a subquery, because of a list that it sees the planner makes too much: where a page is full long
            # before all of these are looked up and sorted, it would rather walk, and never knows how far.
            return _among(column, f"ANY((SELECT '{self.ids}'::uuid[])::uuid[])", self.dialect)
        return _among(column, f"(SELECT value FROM json_each('{self.ids}'))", self.dialect)  # noqa: S608 - ids


@dataclass(frozen=True, slots=True)
class Many:
    """Too many customers to name, and too few to be met everywhere: a statement finds their ids by the index.

    About one in `every` customers is among them.
    """

    ids: str
    every: int
    dialect: str

    def among(self, column: str) -> Q:
        """Return the condition that a column, named by its Tortoise path, holds one of the ids."""
        listed = f"ANY(ARRAY({self.ids}))" if self.dialect == "postgres" else f"({self.ids})"
        return _among(column, listed, self.dialect)


def _among(column: str, listed: str, dialect: str) -> Q:
    # PostgreSQL compares with any of a list, SQLite looks whether it is in it.
    named: Any = RawSQL(listed)
    return Q(**{column if dialect == "postgres" else f"{column}__in": named})


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


async def few(words: Sequence[str], listed: str = "customers") -> Few | Many | None:
    """Return what is listed of the customers that hold all words, or who they are when these are more than a few; `None`
    when they are met everywhere.

    `listed` is a table: the customers themselves, or what they have.
    """
    connection = get_connection(READER)
    dialect = connection.capabilities.dialect
    grams = _trigrams(words) if dialect == "sqlite" else [*_trigrams(words), *_pairs(words)]
    newest = await _newest(_SAMPLE, words, grams)
    if newest.rows == _SAMPLE and newest.found >= _COMMON:
        # The index would find half of the store.
        return None
    telling = _telling(words, grams, newest)
    most = few_of(newest.customers)
    # Where no index knows a word, the names are read.
    many = Many(_ids(dialect, words, telling), max(1, newest.customers // most), dialect) if grams else None
    if newest.found and most > _WORTH_IT:
        more = await _newest(_SECOND_SAMPLE, words, ())
        # A sample errs, but where it can, both ways take as long; what takes twice as long is to try one and then go the other.
        if more.found * more.customers > most * more.rows:
            return many and replace(many, every=more.rows // more.found)
    (row,) = await connection.execute_query_dict(_search(dialect, words, telling, most, listed))
    return many if row["ids"] is None else Few(row["ids"], dialect)


@dataclass(frozen=True, slots=True)
class _Newest:
    """What the newest customers tell: how many of these `rows` hold all words, and how many each gram; and about how many
    customers there are.
    """

    rows: int
    found: int
    by_gram: dict[str, int]
    customers: int


async def _newest(rows: int, words: Sequence[str], grams: Sequence[str]) -> _Newest:
    connection = get_connection(READER)
    dialect = connection.capabilities.dialect
    counted = [f"COUNT(*) FILTER (WHERE {_holds(dialect, words)})"]
    counted += [f"COUNT(*) FILTER (WHERE {_holds(dialect, [gram])})" for gram in grams]
    columns = ", ".join(f"{count} AS n{place}" for place, count in enumerate(counted))
    (row,) = await connection.execute_query_dict(
        f"SELECT COUNT(*) AS rows_, {columns}, ({_HOW_MANY[dialect]}) AS customers "  # noqa: S608 - quoted by _literal
        f"FROM (SELECT search_text FROM customers ORDER BY created_at DESC, id DESC LIMIT {rows}) c"
    )
    by_gram = {gram: row[f"n{place}"] for place, gram in enumerate(grams, 1)}
    # Nobody has counted them in a new store.
    return _Newest(row["rows_"], row["n0"], by_gram, max(row["customers"] or 0, row["rows_"]))


_HOW_MANY = {
    "postgres": "SELECT reltuples::bigint FROM pg_class WHERE oid = 'customers'::regclass",
    "sqlite": "SELECT MAX(number) FROM customer_search_rows",
}
"""About how many customers there are, without counting them."""


def _trigrams(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word[at : at + 3] for word in words for at in range(len(word) - 2)))


def _pairs(words: Sequence[str]) -> list[str]:
    pairs = (word[at : at + 2] for word in words for at in range(len(word) - 1))
    return list(dict.fromkeys(pair for pair in pairs if _is_ideographic(pair)))


def _telling(words: Sequence[str], grams: Sequence[str], newest: _Newest) -> list[str]:
    """Return the few grams that fewest of the newest customers have, without those that many have; at least two, and one of each word.

    What is in every address is read once through for nothing: the index says of each customer that it has it. But of two
    words the more frequent one must tell too, or all who have the other are looked at.
    """
    # Among equals every third comes first: those don't overlap, and words that share a piece differ in another.
    places = {gram: place % 3 for place, gram in enumerate(grams)}
    ranked = sorted(grams, key=lambda gram: (newest.by_gram[gram], places[gram]))
    telling = {*ranked[:2], *(gram for gram in ranked[:_TELLING_MAX] if newest.by_gram[gram] < _DULL)}
    for word in words:
        rarest = next((gram for gram in ranked if gram in word), None)
        if rarest is not None and newest.by_gram[rarest] * 2 < newest.rows:
            telling.add(rarest)
    return [gram for gram in grams if gram in telling]


def _search(dialect: str, words: Sequence[str], grams: Sequence[str], most: int, listed: str) -> str:
    # Everything stands in the statement, so that its plan is made for it: how many customers have a gram is what the
    # statistics know.
    ids = {"postgres": "coalesce(array_agg(listed.id), '{}')::text", "sqlite": "json_group_array(listed.id)"}
    return _FOUND.format(
        found=_ids(dialect, words, grams), most=most, ids=ids[dialect], onward=_ONWARD[listed]
    )


def _ids(dialect: str, words: Sequence[str], grams: Sequence[str]) -> str:
    """Return the statement that finds the ids of the customers that hold all words, by the index."""
    source, indexed = "customers c", "TRUE"
    if dialect == "postgres":
        listed = ", ".join(_literal(dialect, gram) for gram in grams)
        indexed = f"coffer_grams(c.search_text) @> ARRAY[{listed}]"
    elif grams:
        source, indexed = _SQLITE_SOURCE, f"customer_search MATCH {_literal(dialect, _matching(grams))}"
    # Else two ideographs are no gram here: the names are read until there are enough.
    return f"SELECT c.id FROM {source} WHERE {indexed} AND {_holds(dialect, words)}"  # noqa: S608 - quoted by _literal


_SQLITE_SOURCE = (
    "customer_search s CROSS JOIN customer_search_rows r ON r.number = s.rowid "
    "CROSS JOIN customers c ON c.id = r.customer_id"
)


def _matching(grams: Sequence[str]) -> str:
    return " AND ".join('"{}"'.format(gram.replace('"', '""')) for gram in grams)


def _holds(dialect: str, parts: Sequence[str], text: str = "c.search_text") -> str:
    """Return the condition that a customer's searched text holds all parts."""
    position = "strpos" if dialect == "postgres" else "instr"
    return " AND ".join(f"{position}({text}, {_literal(dialect, part)}) > 0" for part in parts)


def _literal(dialect: str, text: str) -> str:
    quoted = text.replace("'", "''")
    if dialect == "sqlite":
        return f"'{quoted}'"
    # As an escape string, which is read the same whatever the server's settings are.
    return "E'{}'".format(quoted.replace("\\", "\\\\"))


def walking(words: Sequence[str], column: str) -> Q:
    """Return the condition that a text holds all words, for a list that is walked; `column` is its Tortoise path."""
    condition = Q()
    for word in words:
        condition &= Q(**{f"{column}__contains": word})
    return condition


async def narrowed(
    query: QuerySet[M], text: str | None, *, ids: str, column: str, field: str = "search"
) -> Found[M]:
    """Narrow a list to the customers that a text finds; a blank text finds all.

    `ids` and `column` are the Tortoise paths to the customer's id and to its searched text.
    """
    words = words_of(text, field=field) if text else []
    if not words:
        return Found(query)
    found = await few(words)
    if found is None:
        return Found(query.filter(walking(words, column)))
    narrow = query.filter(found.among(ids))
    if isinstance(found, Few):
        return Found(narrow)
    return Found(
        narrow, Walk(query, {"text": column}, _holds(found.dialect, words, "walked.text"), found.every)
    )
