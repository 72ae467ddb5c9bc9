"""What is read of records, one by one and many at once."""

from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.money import currency_of, written
from app.execution import writing
from app.readings import Reading, taking


class Placed(tuple[Any, ...]):
    """A record that says where its columns stand; one of them is read otherwise than it stands there."""

    __slots__ = ()
    places = {"a": 0, "b": 2}  # noqa: RUF012 - as the classes of rows have it
    a = property(itemgetter(0))
    b = property(itemgetter(2))
    c = property(lambda self: self[1] * 100)


PLACED = Placed((1, 2, 3))
NAMED = SimpleNamespace(a=1, b=3, c=200)


@pytest.mark.parametrize("columns", [(), ("a",), ("b", "a"), ("a", "b", "c"), ("c",)])
def test_columns_are_taken_in_one_go_as_they_are_read_by_name(columns: tuple[str, ...]) -> None:
    expected = tuple(getattr(PLACED, column) for column in columns)
    assert taking(Placed, columns)(PLACED) == expected == taking(SimpleNamespace, columns)(NAMED)


def read_all(*fields: tuple[str, writing.Sort]) -> Any:
    return writing.written_for_records(fields)


def test_records_of_several_classes_are_read() -> None:
    kept = writing.kept(int)
    read = read_all(("x", writing.read(Reading(("b",)), kept)), ("y", writing.read(Reading(("c",)), kept)))
    assert read([PLACED, NAMED, PLACED]) == [{"x": 3, "y": 200}] * 3
    assert read([]) == []


def test_nothing_is_taken_of_records_of_which_nothing_is_read() -> None:
    assert read_all(("t", writing.constant("Wallet")))([PLACED, NAMED]) == [{"t": "Wallet"}] * 2


def test_what_is_not_as_mostly_is_left_to_others() -> None:
    read = read_all(("x", writing.read(Reading(("b",)), writing.kept(int))))
    assert read([PLACED, SimpleNamespace(b="3")]) is None
    assert read([PLACED, SimpleNamespace()]) is None


@pytest.mark.parametrize("code", ["USD", "JPY", "BHD"])
@pytest.mark.parametrize("amount_minor", [0, 1, 9, 99, 100, 999, 1_000, 123_456_789, -1, -99, -100, -1_001])
def test_amounts_are_written_in_one_way(code: str, amount_minor: int) -> None:
    assert written(amount_minor, code) == currency_of(code).format(amount_minor)
