"""A bounded memory of what was used last."""

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class RecentlyUsed(Generic[V]):
    """A mapping from text that forgets what was not asked for longest.

    It is bounded twice, by entries and by characters, because callers choose what is put in: a thousand texts may
    be a thousand bytes or half a gigabyte.
    """

    def __init__(self, *, entries_max: int, chars_max: int) -> None:
        self._entries_max = entries_max
        self._chars_max = chars_max
        self._chars = 0
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> V | None:
        """Return what is known under the key, and remember that it was asked for."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: str, value: V, *, chars: int) -> None:
        """Keep the value, and let the oldest go if there is no room for all."""
        if key in self._values:
            self._chars -= self._values.pop(key)[1]
        self._values[key] = (value, chars)
        self._chars += chars
        while len(self._values) > self._entries_max or self._chars > self._chars_max:
            _, (_, dropped) = self._values.popitem(last=False)
            self._chars -= dropped
