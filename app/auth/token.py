"""One JSON Web Token: taken apart without trusting it, verified, and made."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from jwt import PyJWS

from app.auth.claims import ClaimPath, claim_at
from app.auth.errors import AuthenticationError, ConfigurationError, Failure
from app.auth.keys import ALGORITHMS, Key, secret_keys

_JWS = PyJWS(algorithms=sorted(ALGORITHMS), options={"verify_signature": True})
"""Verifies signatures and nothing else: `none` is not among its algorithms. The claims are checked here, because
PyJWT reads the wall clock, and Coffer's clock is handed in."""
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_EPOCH_S_MAX = 250_000_000_000
"""In the year 9892: shortly before datetimes end, with room for the leeway. Beyond are milliseconds, mistaken."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """What a token says before anything is proven; good for choosing the issuer and the key, for nothing else."""

    text: str
    algorithm: str
    kid: str | None
    issuer: str | None


def read_unverified(text: str) -> UnverifiedToken:
    """Take a token apart, and refuse at once what no key could make good."""
    try:
        parts = jwt.decode_complete(text.encode("ascii"), options={"verify_signature": False})
    except UnicodeEncodeError:
        raise _malformed() from None
    # PyJWT leaves a few other exceptions to crafted input (a surrogate in a header, a nesting too deep).
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _malformed() from None
    header, claims = parts["header"], parts["payload"]
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if "crit" in header or "b64" in header:
        raise AuthenticationError(
            Failure.WRONG_TYPE,
            "The token demands extensions that this server does not know: send a plain JWT.",
        )
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise AuthenticationError(
            Failure.WRONG_TYPE,
            "The token is of a type that is not for signing in here: send an access token (typ JWT or at+jwt).",
        )
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise AuthenticationError(
            Failure.ALGORITHM_NOT_ALLOWED,
            f"The token must be signed with one of {', '.join(sorted(ALGORITHMS))}.",
        )
    issuer = claims.get("iss")
    if issuer is not None and not isinstance(issuer, str):
        raise _bad_claim("iss", "text")
    return UnverifiedToken(text, algorithm, kid if isinstance(kid, str) else None, issuer)


def _malformed() -> AuthenticationError:
    return AuthenticationError(
        Failure.MALFORMED_TOKEN,
        "The credential is not a JSON Web Token: send the one that the store's sign-in gave, unchanged.",
    )


def verified_claims(token: UnverifiedToken, keys: Sequence[Key]) -> Mapping[str, object]:
    """Return the claims if one of the keys signed the token."""
    for key in keys:
        # The algorithm is safe to name here: the key itself has said that it allows it.
        if token.algorithm not in key.algorithms:
            continue
        try:
            payload = _JWS.decode(token.text, key.material, algorithms=[token.algorithm])
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        claims = json.loads(payload)
        if isinstance(claims, dict):
            return claims
    raise AuthenticationError(
        Failure.BAD_SIGNATURE,
        "The token's signature does not fit: sign in again, and if that does not help, compare the secret or the "
        "keys of the store with those in the settings.",
    )


def check_times(claims: Mapping[str, object], *, now: datetime, leeway_s: int) -> datetime:
    """Refuse tokens that are over, that have not begun or that never end; return when this one ends."""
    leeway = timedelta(seconds=leeway_s)
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise AuthenticationError(
            Failure.MISSING_CLAIM,
            "The token never ends: have the issuer put exp into it; Coffer requires it.",
        )
    if now >= expires_at + leeway:
        raise AuthenticationError(Failure.EXPIRED, "The token has expired: refresh it, or sign in again.")
    for name in ("nbf", "iat"):
        begins_at = _time(claims, name)
        if begins_at is not None and begins_at > now + leeway:
            raise AuthenticationError(
                Failure.NOT_YET_VALID,
                f"The token begins in the future ({name}): set the clocks of the issuer and of this server.",
            )
    return expires_at


def _time(claims: Mapping[str, object], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad_claim(name, "a number of seconds since 1970")
    # Written so that a NaN, which is not between anything, and a number too long for a float are refused too.
    if not 0 <= value <= _EPOCH_S_MAX:
        raise _bad_claim(name, "seconds, not milliseconds, since 1970")
    return datetime.fromtimestamp(value, UTC)


def _bad_claim(name: str, wanted: str) -> AuthenticationError:
    return AuthenticationError(
        Failure.MALFORMED_CLAIM, f"The claim {name} must be {wanted}: correct the issuer."
    )


def check_issuer(claims: Mapping[str, object], issuer: str | None) -> None:
    """Refuse a token of another issuer than the one whose key verified it."""
    if issuer is not None and claims.get("iss") != issuer:
        raise AuthenticationError(
            Failure.UNKNOWN_ISSUER, "The token comes from an issuer that this server does not trust."
        )


def check_audience(
    claims: Mapping[str, object], paths: Sequence[ClaimPath], audience: Sequence[str], *, required: bool
) -> None:
    """Refuse a token that is for somebody else.

    As RFC 7519, 4.1.3 has it: a token that names an audience is refused by whoever is not named there, also by a
    server that has not been told what it is called.
    """
    named = [name for path in paths for name in _names(claim_at(claims, path))]
    if not audience and not required:
        # Without a configured audience only `aud` itself binds: client_id alone is no address.
        if claims.get("aud") in (None, "", []):
            return
        raise AuthenticationError(
            Failure.WRONG_AUDIENCE,
            "The token names an audience, and this server has none: set audience for this issuer in the settings.",
        )
    if not set(named) & set(audience):
        raise AuthenticationError(
            Failure.WRONG_AUDIENCE,
            "The token is not meant for this server: ask the issuer for one with the audience in the settings.",
        )


def _names(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str)]


def check_required(claims: Mapping[str, object], required: Mapping[ClaimPath, frozenset[str]]) -> None:
    """Refuse refresh, identity and other tokens that bear the same signature as access tokens."""
    for path, allowed in required.items():
        value = claim_at(claims, path)
        if not isinstance(value, str) or value not in allowed:
            raise AuthenticationError(
                Failure.WRONG_TYPE,
                f"The token is not for signing in here: its claim {'.'.join(path)} must be one of "
                f"{', '.join(sorted(allowed))}. Send the access token.",
            )
    if claims.get("cnf") is not None:
        # RFC 7800: such a token is worth something only with a proof of its key, and a bearer shows none.
        raise AuthenticationError(
            Failure.WRONG_TYPE,
            "The token is bound to a key (cnf) and needs a proof: send a plain bearer token.",
        )


def issue_token(
    secret: str,
    *,
    subject: str,
    roles: Sequence[str],
    ttl_s: int,
    now: datetime,
    customer_id: str | None = None,
    issuer: str | None = None,
    audience: str | None = None,
    new_id: Callable[[], str] = lambda: secrets.token_hex(16),
) -> str:
    """Make a token of the preset "coffer", signed with HS256; for the command line, for tests and for demos."""
    if ttl_s <= 0:
        raise ConfigurationError("ttl_s must be positive: a token that is over at once serves nobody.")
    secret_keys([secret], frozenset({"HS256"}))  # The same demands that the authenticator makes.
    issued_at = int(now.timestamp())
    optional = {"customer_id": customer_id, "iss": issuer, "aud": audience}
    claims: dict[str, object] = {
        "sub": subject,
        "roles": list(roles),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + ttl_s,
        "jti": new_id(),
        **{name: value for name, value in optional.items() if value is not None},
    }
    return jwt.encode(claims, secret, algorithm="HS256")
