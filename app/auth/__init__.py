"""Bearer token or `connection_init` payload → Principal. The store's own sign-in is the only one there is.

authenticator  the door: chooses the issuer, verifies, reads who it is
config         which issuers are trusted (data), and how settings write that
presets        what the tokens of well-known sign-ins look like (data)
claims         where a token keeps what
token          one token: read, verified, made
keys  jwks     keys from the settings; keys that an issuer publishes
api_key        keys of services: how they look and are compared
cache          tokens verified a moment ago
errors         what can be wrong
"""

from app.auth.authenticator import Authenticator, principal_now
from app.auth.config import AuthConfig, IssuerConfig, issuer_config
from app.auth.errors import AuthenticationError, ConfigurationError, Failure
from app.auth.token import issue_token

__all__ = [
    "AuthConfig",
    "AuthenticationError",
    "Authenticator",
    "ConfigurationError",
    "Failure",
    "IssuerConfig",
    "issue_token",
    "issuer_config",
    "principal_now",
]
