"""Names are compared without regard to case."""

from dataclasses import replace
from uuid import UUID

import pytest

from app.domain.customer import Customer, fold
from tests.domain.book import START

ADA = Customer(UUID(int=1), "wc-17", "Ada Łoś", "Ada@Shop.Example", START, START)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ADA", "ada"),
        ("STRASSE", "straße"),
        ("ŁOŚ", "łoś"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ÉMILE", "émile"),
        ("ﬁn", "FIN"),
    ],
)
def test_folded_texts_are_equal(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize("part", ["ADA", "łoś", "ŁOŚ", "shop.example", "WC-17", "a ł"])
def test_a_part_of_name_mail_or_id_is_found(part: str) -> None:
    assert fold(part) in ADA.search_text


def test_a_part_does_not_reach_from_one_field_into_the_next() -> None:
    assert fold("Łośada@") not in ADA.search_text
    assert replace(ADA, name="", email="").search_text == "\n\nwc-17"
