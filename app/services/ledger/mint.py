"""Where ids and reference numbers come from: the domain has no randomness of its own."""

from secrets import randbits
from uuid import UUID

from uuid_utils.compat import uuid7

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that a number can be read out on the phone."""

_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
"""Two characters for each value of ten bits."""


class RandomMint:
    """Ids are UUIDs of version 7 (RFC 9562), which sort by time; references carry 60 random bits."""

    def id(self) -> UUID:
        """Return a new id."""
        return uuid7()

    def reference(self, prefix: str) -> str:
        """Return a reference such as `TX-7K3M-92QD-XA4P`."""
        bits = randbits(60)
        a, b, c, d, e, f = [_PAIRS[bits >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)]
        return f"{prefix}-{a}{b}-{c}{d}-{e}{f}"
