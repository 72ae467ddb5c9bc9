"""Where ids and reference numbers come from: the domain has no randomness of its own."""

from secrets import randbits

from asyncpg.pgproto.pgproto import UUID
from uuid_utils import uuid7

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that a number can be read out on the phone."""

_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
"""Two characters for each value of ten bits."""


class RandomMint:
    """Ids are UUIDs of version 7 (RFC 9562), which sort by time; references carry 60 random bits."""

    def id(self) -> UUID:
        """Return a new id."""
        # The driver's own UUIDs, as ids that are read are: they are written out, hashed and sent by compiled code.
        return UUID(uuid7().bytes)

    def reference(self, prefix: str) -> str:
        """Return a reference such as `TX-7K3M-92QD-XA4P`."""
        bits = randbits(60)
        a, b, c = _PAIRS[bits >> 50], _PAIRS[bits >> 40 & 1023], _PAIRS[bits >> 30 & 1023]
        d, e, f = _PAIRS[bits >> 20 & 1023], _PAIRS[bits >> 10 & 1023], _PAIRS[bits & 1023]
        return f"{prefix}-{a}{b}-{c}{d}-{e}{f}"
