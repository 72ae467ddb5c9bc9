"""What can be wrong with a credential, or with the configuration that judges it.

Exception
├── AuthenticationError    the caller showed a credential that proves nothing
└── ConfigurationError     the operator's sign-in settings cannot work; raised at start, never per request
"""

from enum import StrEnum


class Failure(StrEnum):
    """Why a credential was refused. These words are part of the public contract: clients branch on them."""

    MALFORMED_HEADER = "MALFORMED_HEADER"
    """There is a credential, but not as `Bearer <token>`."""
    MALFORMED_TOKEN = "MALFORMED_TOKEN"  # noqa: S105 - a word of the contract, not a secret
    """It is not a JSON Web Token."""
    TOKEN_TOO_LARGE = "TOKEN_TOO_LARGE"  # noqa: S105 - as above
    """It is longer than this server reads."""
    ALGORITHM_NOT_ALLOWED = "ALGORITHM_NOT_ALLOWED"
    """It is signed in a way that the issuer's keys do not allow, or not at all."""
    WRONG_TYPE = "WRONG_TYPE"
    """It is a token for something else: a refresh, identity, logout or proof token."""
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"
    """Nobody whom this server trusts issued it."""
    UNKNOWN_KEY = "UNKNOWN_KEY"
    """The issuer publishes no such key."""
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE"
    """The issuer's keys could not be fetched. The token may be good: try again."""
    BAD_SIGNATURE = "BAD_SIGNATURE"
    """The signature does not fit."""
    EXPIRED = "EXPIRED"
    """It was good, and is not any more."""
    NOT_YET_VALID = "NOT_YET_VALID"
    """It begins in the future, or claims to have been issued there."""
    WRONG_AUDIENCE = "WRONG_AUDIENCE"
    """It was issued for somebody else."""
    INVALID_API_KEY = "INVALID_API_KEY"
    """It looks like an API key of this server, and is none."""
    REVOKED = "REVOKED"
    """The API key was revoked."""
    RIGHTS_UNAVAILABLE = "RIGHTS_UNAVAILABLE"
    """What callers may do could not be read. The credential may be good: try again."""
    MISSING_CLAIM = "MISSING_CLAIM"
    """A claim that this server needs is not there."""
    MALFORMED_CLAIM = "MALFORMED_CLAIM"
    """A claim is there in a shape that means nothing."""
    NOT_ACCEPTED = "NOT_ACCEPTED"
    """It is genuine, but its issuer may not vouch for this kind of caller."""


class AuthenticationError(Exception):
    """A credential that proves nothing. The message says what to do, and never holds the credential."""

    def __init__(self, reason: Failure, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def temporary(self) -> bool:
        """Tell whether the same credential may be accepted in a moment."""
        return self.reason in {Failure.KEYS_UNAVAILABLE, Failure.RIGHTS_UNAVAILABLE, Failure.NOT_YET_VALID}


class ConfigurationError(ValueError):
    """Sign-in settings that cannot work. The message names the setting and never holds a secret."""
