"""Keys, and which algorithms each of them may verify.

The rule that keeps algorithm confusion out: a key knows its algorithms, from its own kind and size, and a token
only chooses among the keys that allow what it names. So an HMAC secret is never tried on an RS256 token, a
public key is never taken for an HMAC secret, and `none` belongs to no key at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError
from jwt.algorithms import HMACAlgorithm

from app.auth.errors import AuthenticationError, ConfigurationError, Failure

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_HMAC_BYTES_MIN = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518, 3.2: a secret is at least as long as the hash, or it can be guessed from one token."""
_RSA_BITS_MIN = 2048
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_EC = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
PUBLIC_ALGORITHMS = frozenset({*_RSA, *_EC.values(), "EdDSA"})
ALGORITHMS = PUBLIC_ALGORITHMS | frozenset(_HMAC_BYTES_MIN)


@dataclass(frozen=True, slots=True)
class Key:
    """One key that can verify signatures."""

    material: PublicKey | bytes = field(repr=False)
    algorithms: frozenset[str]
    kid: str | None = None

    def fits(self, algorithm: str, kid: str | None) -> bool:
        """Tell whether a token that names this algorithm and key id may be verified by this key.

        A token without a key id is tried on every key; a key without one (a PEM in the settings) on every token.
        """
        return algorithm in self.algorithms and (kid is None or self.kid is None or self.kid == kid)


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def keys(self, algorithm: str, kid: str | None) -> Sequence[Key]:
        """Return the keys that may have signed such a token, or raise `AuthenticationError`."""


class StaticKeys:
    """Keys from the settings: shared secrets or public keys."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)

    async def keys(self, algorithm: str, kid: str | None) -> Sequence[Key]:
        """Return the keys that fit."""
        return fitting(self._keys, algorithm, kid)


def fitting(keys: Sequence[Key], algorithm: str, kid: str | None) -> Sequence[Key]:
    """Choose the keys that fit, and say what is wrong when there is none."""
    found = [key for key in keys if key.fits(algorithm, kid)]
    if not found and not any(algorithm in key.algorithms for key in keys):
        raise AuthenticationError(
            Failure.ALGORITHM_NOT_ALLOWED,
            "The token is signed with an algorithm that its issuer's keys do not allow: sign it with one of "
            f"{', '.join(sorted(frozenset[str]().union(*(key.algorithms for key in keys))))}.",
        )
    if not found:
        raise AuthenticationError(
            Failure.UNKNOWN_KEY, "The token names a key that its issuer does not publish: sign in again."
        )
    return found


def secret_keys(secrets: Iterable[str], algorithms: frozenset[str]) -> StaticKeys:
    """Make keys of shared secrets; each allows the algorithms that it is long enough for."""
    return StaticKeys([_secret_key(secret, algorithms) for secret in secrets])


def _secret_key(secret: str, algorithms: frozenset[str]) -> Key:
    material = secret.encode()
    allowed = {name for name, bytes_min in _HMAC_BYTES_MIN.items() if len(material) >= bytes_min}
    if not allowed:
        raise ConfigurationError(
            f"The secret has {len(material)} bytes and needs at least {_HMAC_BYTES_MIN['HS256']}; 64 serve every "
            "algorithm. Make one with: openssl rand -hex 32"
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(material)
    except PyJWTError:
        # A public key as a shared secret would let everybody who can read it sign tokens.
        raise ConfigurationError(
            "The secret is a public or private key: put it into public_keys instead."
        ) from None
    return Key(material, _narrowed(allowed, algorithms, "the secret"))


def public_keys(keys: Iterable[str | Mapping[str, object]], algorithms: frozenset[str]) -> StaticKeys:
    """Make keys of PEM texts and JWKs from the settings."""
    return StaticKeys([_public_key(key, algorithms) for key in keys])


def _public_key(source: str | Mapping[str, object], algorithms: frozenset[str]) -> Key:
    if isinstance(source, Mapping):
        key = jwk_key(source)
    else:
        try:
            key = _key_of(load_pem_public_key(source.encode()))
        except (ValueError, UnsupportedAlgorithm):
            key = None
    if key is None:
        raise ConfigurationError(
            f"A public key cannot be used: give an RSA key of at least {_RSA_BITS_MIN} bits, an EC key on P-256, "
            "P-384 or P-521, or an Ed25519 key, as PEM (BEGIN PUBLIC KEY) or as a JWK for signatures."
        )
    return Key(key.material, _narrowed(key.algorithms, algorithms, "the public key"), key.kid)


def jwk_key(jwk: Mapping[str, object]) -> Key | None:
    """Make a key of a JWK; None if it is not one that verifies signatures.

    A symmetric key is refused too: what is published to everybody cannot be a secret.
    """
    if jwk.get("use", "sig") != "sig" or jwk.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    # Whoever publishes the private half by mistake gets the public half used, and nothing else kept here.
    public = {name: value for name, value in jwk.items() if name in {"kty", "n", "e", "crv", "x", "y"}}
    try:
        key = _key_of(PyJWK.from_dict(public).key)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None
    if key is None:
        return None
    named = jwk.get("alg", None)
    if named is not None and named not in key.algorithms:
        return None
    kid = jwk.get("kid")
    only = key.algorithms if named is None else frozenset({str(named)})
    return Key(key.material, only, kid if isinstance(kid, str) else None)


def _key_of(material: object) -> Key | None:
    match material:
        case RSAPublicKey() if material.key_size >= _RSA_BITS_MIN:
            return Key(material, _RSA)
        case EllipticCurvePublicKey() if material.curve.name in _EC:
            return Key(material, frozenset({_EC[material.curve.name]}))
        case Ed25519PublicKey():
            return Key(material, frozenset({"EdDSA"}))
        case _:
            return None


def narrowed(keys: Iterable[Key], algorithms: frozenset[str]) -> tuple[Key, ...]:
    """Return the keys with only these algorithms (all, if none are named); a key that has none left is out."""
    if not algorithms:
        return tuple(keys)
    reduced = (Key(key.material, key.algorithms & algorithms, key.kid) for key in keys)
    return tuple(key for key in reduced if key.algorithms)


def _narrowed(allowed: Iterable[str], algorithms: frozenset[str], what: str) -> frozenset[str]:
    check_algorithms(algorithms)
    left = frozenset(allowed) & algorithms if algorithms else frozenset(allowed)
    if not left:
        raise ConfigurationError(
            f"The algorithms in the settings do not fit {what}; it allows {sorted(allowed)}."
        )
    return left


def check_algorithms(algorithms: frozenset[str]) -> None:
    """Refuse algorithms that do not exist here, `none` first of all."""
    unknown = sorted(algorithms - ALGORITHMS)
    if unknown:
        raise ConfigurationError(
            f"No such algorithm: {', '.join(unknown)}; there are {', '.join(sorted(ALGORITHMS))}."
        )
