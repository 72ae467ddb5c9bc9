"""Seals what must not be read from the database: AES-256-GCM, with keys that are in the settings only.

What is sealed names the row that it belongs to, so that a sealed text which somebody copies into another row opens
no more. The newest key seals; all of them open, until everything that an old one sealed is gone.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE_BYTES = 32

_VERSION = b"\x01"
_MARK_SIZE = 4
_NONCE_SIZE = 12


class CannotOpen(Exception):
    """What is sealed was sealed by a key that is gone, or was tampered with."""


class Vault:
    """Seals and opens details; makes fingerprints by which equal ones are found without being known.

    `keys` are 32 bytes each, the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_SIZE_BYTES for key in keys):
            raise ValueError(f"a vault needs keys of {KEY_SIZE_BYTES} bytes")
        # One key for each purpose, so that neither use says anything about the other.
        self._ciphers = {_derived(key, b"mark")[:_MARK_SIZE]: AESGCM(_derived(key, b"seal")) for key in keys}
        self._hashing = [_derived(key, b"fingerprint") for key in keys]

    def __repr__(self) -> str:
        return f"Vault({len(self._hashing)} keys)"

    def seal(self, details: Mapping[str, str], *, owner: str) -> bytes:
        """Encrypt details for the row that `owner` names."""
        mark, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE_SIZE)
        text = orjson.dumps(dict(details), option=orjson.OPT_SORT_KEYS)
        return _VERSION + mark + nonce + cipher.encrypt(nonce, text, owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> dict[str, str]:
        """Decrypt what was sealed for the row that `owner` names, or raise `CannotOpen`."""
        start = len(_VERSION)
        mark, rest = sealed[start : start + _MARK_SIZE], sealed[start + _MARK_SIZE :]
        cipher = self._ciphers.get(mark)
        if not sealed.startswith(_VERSION) or cipher is None:
            raise CannotOpen("sealed by a key that is not among the settings' keys")
        try:
            text = cipher.decrypt(rest[:_NONCE_SIZE], rest[_NONCE_SIZE:], owner.encode())
        except (InvalidTag, ValueError):
            raise CannotOpen("what is sealed does not belong to this row") from None
        found: dict[str, str] = orjson.loads(text)
        return found

    def fingerprints(self, text: str) -> list[bytes]:
        """Return the keyed hashes of a text, by each key; the first is the one to keep."""
        return [hmac.new(key, text.encode(), hashlib.sha256).digest() for key in self._hashing]


def read_key(text: str) -> bytes:
    """Return a key as it is written in the settings (base64), or raise `ValueError`."""
    key = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), validate=True)
    if len(key) != KEY_SIZE_BYTES:
        raise ValueError(f"a key stands for {KEY_SIZE_BYTES} bytes")
    return key


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.new(key, b"coffer payout methods: " + purpose, hashlib.sha256).digest()
