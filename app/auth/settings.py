"""Which issuers the operator's settings trust. What is wrong with them is said at start, with the setting's name."""

import secrets
from collections.abc import Mapping

from app.auth.config import AuthConfig, IssuerConfig, issuer_config
from app.auth.errors import ConfigurationError
from app.settings import Settings, SettingsError, environment_variable

_FLAT = ("jwt_secret", "jwt_preset", "jwt_issuer", "jwt_audience")


def auth_config(settings: Settings) -> AuthConfig:
    """Return what the authenticator needs to know, or raise `SettingsError`."""
    issuers = [*_flat_issuer(settings), *_listed_issuers(settings)]
    if not issuers:
        issuers = [_nobodys_issuer(settings)]
    try:
        return AuthConfig(
            issuers=tuple(issuers),
            leeway_s=settings.jwt_leeway_s,
            jwks_max_age_s=settings.jwks_max_age_s,
            jwks_stale_max_s=settings.jwks_stale_max_s,
            jwks_cooldown_s=settings.jwks_cooldown_s,
            jwks_timeout_s=settings.jwks_timeout_s,
            jwks_bytes_max=settings.jwks_size_max_bytes,
        )
    except ConfigurationError as error:
        raise SettingsError(f"{environment_variable('auth_issuers')}: {error}") from None


def _flat_issuer(settings: Settings) -> list[IssuerConfig]:
    """The one issuer that needs no JSON: a shared secret and, perhaps, a preset, a name and an audience."""
    if settings.jwt_secret is None:
        lonely = [name for name in _FLAT if name != "jwt_secret" and getattr(settings, name) is not None]
        if lonely:
            raise SettingsError(
                f"{environment_variable(lonely[0])} says something about tokens, and their secret is missing: set "
                f"{environment_variable('jwt_secret')}, or move the issuer to {environment_variable('auth_issuers')}."
            )
        return []
    given = {
        "secret": settings.jwt_secret.get_secret_value(),
        "preset": settings.jwt_preset,
        "issuer": settings.jwt_issuer,
        "audience": settings.jwt_audience,
    }
    return [_issuer({word: value for word, value in given.items() if value}, "jwt_preset")]


def _listed_issuers(settings: Settings) -> list[IssuerConfig]:
    return [
        _issuer(issuer, "auth_issuers", place=f"issuer {number}: ")
        for number, issuer in enumerate(settings.issuers, 1)
    ]


def _issuer(data: Mapping[str, object], setting: str, *, place: str = "") -> IssuerConfig:
    try:
        return issuer_config(data)
    except ConfigurationError as error:
        raise SettingsError(f"{environment_variable(setting)}: {place}{error}") from None


def _nobodys_issuer(settings: Settings) -> IssuerConfig:
    """In development a server without any issuer still starts; nobody can sign in until one is set."""
    if not settings.in_development:
        raise SettingsError(
            f"{environment_variable('jwt_secret')} is not set, so nobody could sign in. Give it the secret (32 bytes "
            f"at least) that your store signs its tokens with, or {environment_variable('auth_issuers')} the list of "
            "issuers (docs/sign-in.md)."
        )
    return issuer_config({"secret": secrets.token_urlsafe(48)})
