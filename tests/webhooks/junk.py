"""Made-up junk for translators: any JSON, and good messages with one part replaced."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.stores import Json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "0", "-1.5", "1e999", "9" * 70, "2026-11-21T10:00:00", "USD", "trash", "NaN"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)

JSON_BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        found.extend(_places(part, (*path, name)))
    return found


def _replaced(message: Json, path: tuple[str | int, ...], value: Any) -> Json:
    changed: Any = copy.deepcopy(message)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    result: Json = changed
    return result


def mutations_of(message: Json) -> st.SearchStrategy[Json]:
    """Return copies of a message in which one part, however deep, is something else."""
    return st.builds(_replaced, st.just(message), st.sampled_from(_places(message)), VALUES)
