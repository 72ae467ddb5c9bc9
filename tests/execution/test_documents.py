"""Documents are examined once, and the memory of them is bounded."""

import pytest
from graphql import get_introspection_query

from app.execution import documents as module
from app.execution.cache import RecentlyUsed
from app.execution.documents import Documents
from app.execution.limits import Limits
from tests.execution.shop import SCHEMA


@pytest.mark.parametrize("text", ["{ hello }", "{ nope }", "{"])
def test_a_text_is_parsed_once_good_or_bad(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents(SCHEMA, limits=Limits(), introspection=True)
    first = documents.document(text)
    monkeypatch.setattr(module, "parse", None)
    assert documents.document(text) is first


WORDS = " ".join(f"a{number}: 1" for number in range(200))
WRONG = f'{{ find(by: {{name: "{"x" * 50_000}" {WORDS}}}) }}'
"""A text of which each word is answered by all of it."""


def test_what_is_told_of_a_text_is_not_many_times_the_text() -> None:
    errors = Documents(SCHEMA, limits=Limits(), introspection=True).document(WRONG).errors
    assert len(errors) == module.ERRORS_MAX + 1
    assert errors[-1]["message"].startswith("Too many validation errors")
    assert errors[-1]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert max(len(error["message"]) for error in errors) <= module.MESSAGE_CHARS_MAX + 1


def test_what_is_kept_of_wrong_texts_is_bounded() -> None:
    limits = Limits(documents_chars_max=50_000)
    documents = Documents(SCHEMA, limits=limits, introspection=True)
    wrong = " ".join(f"a{number}" for number in range(15))
    told = [documents.document(f"{{ {wrong} b: hello c{number} }}").errors for number in range(100)]
    assert min(map(len, told)) > 10
    assert 0 < len(documents._known) * len(str(told[-1])) < 2 * limits.documents_chars_max


def test_the_introspection_query_of_graphiql_is_within_the_limits() -> None:
    documents = Documents(SCHEMA, limits=Limits(depth_max=5), introspection=True)
    text = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        one_of=True,
    )
    assert documents.document(text).errors == ()


def test_the_cache_forgets_what_was_not_asked_for_longest() -> None:
    cache: RecentlyUsed[int] = RecentlyUsed(entries_max=3, chars_max=10)
    for number, key in enumerate("abc"):
        cache.put(key, number, chars=1)
    assert cache.get("a") == 0
    cache.put("d", 3, chars=1)
    assert (cache.get("b"), cache.get("a")) == (None, 0)
    cache.put("e", 4, chars=9)
    assert (len(cache), cache.get("e"), cache.get("d")) == (2, 4, None)
    cache.put("f", 5, chars=11)
    assert len(cache) == 0
