"""Token buckets: how much one caller may ask for, over time.

The buckets are this process's own. With several processes a caller has one in each, so what a store allows is divided
by hand, or a proxy in front counts for all. Memory is bounded: the bucket that was used longest ago is forgotten, and
begins full when its caller comes again.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Budget:
    """How large a bucket is, and how fast it fills again."""

    capacity: float
    restore_per_s: float


class Balance(NamedTuple):
    """What is left after an attempt to take; `wait_s` is 0 when it was granted."""

    available: int
    wait_s: float = 0.0

    @property
    def retry_after_s(self) -> int:
        """Whole seconds to wait, as an HTTP header has them."""
        return max(1, math.ceil(self.wait_s))


class Buckets:
    """A bucket for each key."""

    def __init__(self, *, keys_max: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._keys_max = keys_max
        self._clock = clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: Hashable, amount: float, budget: Budget) -> Balance:
        """Take the amount if it is there. More than the bucket can hold takes all of it."""
        now = self._clock()
        level, seen = self._levels.pop(key, (budget.capacity, now))
        level = min(budget.capacity, level + (now - seen) * budget.restore_per_s)
        missing = min(amount, budget.capacity) - level
        if missing <= 0:
            level = max(0.0, level - amount)
        self._levels[key] = (level, now)
        if len(self._levels) > self._keys_max:
            self._levels.popitem(last=False)
        return Balance(int(level), missing / budget.restore_per_s if missing > 0 else 0.0)


class Allowance:
    """Buckets of one size that are looked at before anything is taken: for what is only known afterwards to count."""

    def __init__(self, budget: Budget, *, clock: Callable[[], float] = monotonic) -> None:
        self._buckets = Buckets(clock=clock)
        self._budget = budget

    def wait_s(self, key: Hashable) -> int:
        """Return for how many whole seconds the bucket is empty; 0 while there is something in it."""
        if self._buckets.take(key, 0, self._budget).available >= 1:
            return 0
        return max(1, math.ceil(1 / self._budget.restore_per_s))

    def spend(self, key: Hashable) -> None:
        """Take one, if there is one."""
        self._buckets.take(key, 1, self._budget)
