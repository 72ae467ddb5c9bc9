"""Plain JSON data of records, for storage: written in one way, read with defaults for what is not there."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID


class Record(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Record)
Reader = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """Return a record, or a part of one, as plain JSON data; sets are sorted, times are in UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, frozenset | list | tuple):
        parts = [plain(part) for part in value]
        return sorted(parts) if isinstance(value, frozenset) else parts
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, UUID | StrEnum) else value


def read(kind: type[R], data: Mapping[str, Any], readers: Mapping[str, Reader]) -> R:
    """Read a record: what a newer program wrote beside is left out, what an older one left out has its default."""
    known = {field.name for field in fields(kind)}
    return kind(
        **{name: readers.get(name, _as_it_is)(value) for name, value in data.items() if name in known}
    )


def maybe(reader: Reader) -> Reader:
    """Return a reader that leaves `None` as it is."""
    return lambda value: None if value is None else reader(value)


def _as_it_is(value: Any) -> Any:
    return value
