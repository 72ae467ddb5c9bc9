"""Rounding, and dividing an amount so that its parts add up to it again. Integers only."""

from collections.abc import Sequence
from enum import StrEnum


class Rounding(StrEnum):
    """What becomes of a part of a minor unit."""

    HALF_UP = "HALF_UP"
    """A half or more is rounded up."""
    HALF_EVEN = "HALF_EVEN"
    """More than a half is rounded up, a half to the even neighbour."""
    DOWN = "DOWN"
    """Every part is dropped: the store's favour."""
    UP = "UP"
    """Every part is rounded up: the customer's favour."""


def rounded(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Round a fraction that is not negative to a whole number."""
    if rounding is Rounding.HALF_UP:
        return (2 * numerator + denominator) // (2 * denominator)
    whole, rest = divmod(numerator, denominator)
    if rounding is Rounding.DOWN or not rest:
        return whole
    if rounding is Rounding.UP:
        return whole + 1
    if 2 * rest != denominator:
        return whole + (2 * rest > denominator)
    return whole + whole % 2


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to weights that are not negative, by the largest remainder.

    The parts add up to the amount. Where remainders are equal, the earlier part gets the unit. Where all weights are
    zero, all parts weigh the same. No part with a weight of zero gets anything otherwise.
    """
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    parts = [amount * weight // total for weight in weights]
    left = amount - sum(parts)
    if left:
        remainders = [amount * weight % total for weight in weights]
        # The sort is stable, so the earlier of two equals comes first also when the order is reversed.
        for place in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[place] += 1
    return parts
