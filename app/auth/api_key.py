"""How an API key looks, and how it is compared: `cof_` + what finds it + `_` + the secret.

The secret has 256 bits of chance, so its plain SHA-256 can be kept: there is nothing to guess that a slow hash or a
pepper would protect (docs/adr/0009-rights.md).
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from app.domain.api_key import Secret

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PREFIX_LENGTH = 12
_SECRET_BYTES = 32
_WHOLE = re.compile(rf"cof_([0-9a-z]{{{_PREFIX_LENGTH}}})_[0-9a-f]{{{2 * _SECRET_BYTES}}}")
_NOBODYS = hashlib.sha256(b"no key at all").digest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: `text` is shown once, `secret` is what is kept."""

    text: str
    secret: Secret

    def __repr__(self) -> str:
        return f"NewKey({self.secret.prefix})"


def new_api_key() -> NewKey:
    """Make a key."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX_LENGTH))
    text = f"cof_{prefix}_{secrets.token_hex(_SECRET_BYTES)}"
    return NewKey(text, Secret(prefix, _hash(text)))


def is_api_key(text: str) -> bool:
    """Tell whether a credential means to be an API key and not a JWT."""
    return text.startswith("cof_")


def prefix_of(text: str) -> str | None:
    """Return what finds the key; `None` when it can't be one."""
    match = _WHOLE.fullmatch(text)
    return match.group(1) if match else None


def proves(text: str, kept: bytes | None) -> bool:
    """Tell whether this is the key whose hash was kept; an unknown one takes as long as a wrong one."""
    same = hmac.compare_digest(_hash(text), _NOBODYS if kept is None else kept)
    return same and kept is not None


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
