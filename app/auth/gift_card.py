"""Codes of gift cards: how they are made, and the keyed hash by which they are found.

A code is short enough to be typed, so its hash is keyed (HMAC-SHA-256): whoever reads the table learns nothing that a
faster machine would turn into codes. The newest key hashes new codes; a code is looked up under every key, so a key may
be replaced while cards are about (docs/adr/0015-gift-cards.md).
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from app.domain.gift_card import CODE_BITS, CardCode, code_of, last_characters
from app.settings import Settings

DEVELOPMENT_KEY = b"Everybody knows this key: it is for a developer's machine only."
"""Always the same, so that the cards of yesterday's demo can be redeemed today."""

_LABEL = b"coffer gift card\n"


class CodeKeys:
    """The keys, newest first. Without any there are no gift cards."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"CodeKeys({len(self._keys)} keys)"

    def kept(self, code: str) -> CardCode:
        """Return what is kept of a new code, which is in normal form."""
        return CardCode(_hash(self._keys[0], code), last_characters(code))

    def hashes(self, code: str) -> list[str]:
        """Return the hashes under which the code may be kept."""
        return [_hash(key, code) for key in self._keys]

    def proves(self, code: str, kept: str) -> bool:
        """Tell whether this is the code whose hash was kept, in a time that does not depend on where they differ."""
        return sum(hmac.compare_digest(found, kept) for found in self.hashes(code)) > 0


def code_keys(settings: Settings) -> CodeKeys:
    """Return the keys of the settings; on a developer's machine there is always one."""
    keys = [key.encode() for key in settings.gift_card_key_list]
    if not keys and settings.in_development:
        keys = [DEVELOPMENT_KEY]
    return CodeKeys(keys)


def new_code() -> str:
    """Make a code."""
    return code_of(secrets.randbits(CODE_BITS))


def _hash(key: bytes, code: str) -> str:
    return hmac.new(key, _LABEL + code.encode(), hashlib.sha256).hexdigest()
