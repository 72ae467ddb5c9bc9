"""Lists stay quick while the store grows: an index that finds parts of names and addresses, and some for filters.

A part of a text is found by its *grams*, the pieces of three characters that it is made of. PostgreSQL keeps them in an
inverted index over an expression, with what it has built in, so that no extension is needed; there, two characters of Chinese,
Japanese or Korean writing are a gram too. SQLite keeps them in a full-text table, which triggers fill: its rows have numbers
of their own, because `VACUUM` may give the customers' rows others.
"""

from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import RunByDialect

_GRAMS = r"""
CREATE FUNCTION coffer_grams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
  SELECT substr($1, n, 3) AS gram FROM generate_series(1, length($1) - 2) AS n
  UNION ALL
  SELECT substr($1, n, 2) FROM generate_series(1, length($1) - 1) AS n
  WHERE ascii(substr($1, n, 1)) >= 11904 AND ascii(substr($1, n + 1, 1)) >= 11904
) AS grams
$$"""

NOTHING = "SELECT 1"
"""What is run where there is nothing to do."""

_NUMBERED = "INSERT INTO customer_search_rows (customer_id) VALUES (NEW.id);"
_INTO = (
    "INSERT INTO customer_search (rowid, search_text) "
    "SELECT number, NEW.search_text FROM customer_search_rows WHERE customer_id = NEW.id;"
)
_OUT_OF = (
    "INSERT INTO customer_search (customer_search, rowid, search_text) "
    "SELECT 'delete', number, OLD.search_text FROM customer_search_rows WHERE customer_id = OLD.id;"
)

SEARCH = [
    RunByDialect(sqlite=NOTHING, postgres=_GRAMS),
    # As new rows come, their grams wait in a list that every search reads too: it is kept short.
    RunByDialect(
        sqlite=NOTHING,
        postgres="CREATE INDEX customers_by_gram ON customers USING gin (coffer_grams(search_text)) "
        "WITH (gin_pending_list_limit = 256)",
    ),
    RunByDialect(
        sqlite="CREATE TABLE customer_search_rows (number INTEGER PRIMARY KEY, customer_id CHAR(36) NOT NULL UNIQUE)",
        postgres=NOTHING,
    ),
    # The texts are those of the customers: nothing but the grams is kept, and in which rows they are.
    RunByDialect(
        sqlite="CREATE VIRTUAL TABLE customer_search USING fts5 "
        "(search_text, content='', detail='none', tokenize='trigram case_sensitive 1')",
        postgres=NOTHING,
    ),
    RunByDialect(
        sqlite="INSERT INTO customer_search_rows (customer_id) SELECT id FROM customers", postgres=NOTHING
    ),
    RunByDialect(
        sqlite="INSERT INTO customer_search (rowid, search_text) SELECT r.number, c.search_text "
        "FROM customer_search_rows r JOIN customers c ON c.id = r.customer_id",
        postgres=NOTHING,
    ),
    RunByDialect(
        sqlite="CREATE TRIGGER customers_search_insert AFTER INSERT ON customers BEGIN "
        f"{_NUMBERED} {_INTO} END",
        postgres=NOTHING,
    ),
    RunByDialect(
        sqlite="CREATE TRIGGER customers_search_update AFTER UPDATE OF search_text ON customers "
        f"WHEN OLD.search_text IS NOT NEW.search_text BEGIN {_OUT_OF} {_INTO} END",
        postgres=NOTHING,
    ),
]

DROPPED = ["customers_by_search_text"]
"""Nothing has ever been found by the whole of the searched text."""

INDEXES = [
    "CREATE INDEX customers_by_created_at ON customers (created_at, id)",
    # Those that work are nearly all: an index of these would only lead astray.
    "CREATE INDEX wallets_frozen ON wallets (created_at, id) WHERE status = 'FROZEN'",
    "CREATE INDEX renewals_by_due_at ON renewals (due_at, id)",
    "CREATE INDEX signals_by_kind ON signals (kind, created_at, id)",
    "CREATE INDEX cashback_awards_by_status ON cashback_awards (status, awarded_at, id)",
    "CREATE INDEX withdrawals_by_payout_reference ON withdrawals (payout_reference) WHERE payout_reference IS NOT NULL",
    "CREATE INDEX withdrawals_by_their_reference ON withdrawals (provider_reference) WHERE provider_reference IS NOT NULL",
]


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0015_email")]

    operations = [*SEARCH, ops.RunSQL([*(f"DROP INDEX {name}" for name in DROPPED), *INDEXES])]
