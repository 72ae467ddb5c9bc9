"""Which issuers the settings trust, and how a mistake in them is said at start."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.auth.settings import auth_config
from app.main import create_app
from app.settings import Settings, SettingsError, environment_variable, load_settings

SECRET = "0123456789abcdef0123456789abcdef"
KEYCLOAK = {
    "preset": "keycloak",
    "issuer": "https://id.store.example/realms/shop",
    "discovery": True,
    "audience": "coffer",
}
Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings with these variables, and nobody's `.env`."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_variable(field), raising=False)

    def loaded(**variables: Any) -> Settings:
        for name, value in variables.items():
            text = value if isinstance(value, str) else json.dumps(value)
            monkeypatch.setenv(environment_variable(name), text)
        return load_settings()

    return loaded


def test_flat_and_listed_issuers_are_trusted_together(load: Load) -> None:
    settings = load(
        jwt_secret=SECRET, auth_issuers=[KEYCLOAK], jwks_max_age_s="60", jwks_size_max_bytes="4096"
    )
    config = auth_config(settings)
    assert [issuer.issuer for issuer in config.issuers] == [None, KEYCLOAK["issuer"]]
    assert (config.jwks_max_age_s, config.jwks_bytes_max, config.jwks_cooldown_s) == (60, 4096, 30)


def test_the_flat_issuer_may_be_of_a_preset(load: Load) -> None:
    settings = load(jwt_secret=SECRET, jwt_preset="medusa", environment="production")
    (issuer,) = auth_config(settings).issuers
    assert issuer.claims.role_map["user"] == "administrator"


def test_listed_issuers_suffice_in_production(load: Load) -> None:
    assert len(auth_config(load(auth_issuers=[KEYCLOAK], environment="production")).issuers) == 1


def test_secrets_are_not_shown(load: Load) -> None:
    settings = load(auth_issuers=[{"secret": SECRET}])
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"auth_issuers": '[{"secret": "hush-hush",}]'},
            "COFFER_AUTH_ISSUERS: this is not JSON (line 1, column 25); write a list of objects, as docs/sign-in.md shows.",
        ),
        (
            {"auth_issuers": '{"secret": "hush-hush"}'},
            "COFFER_AUTH_ISSUERS: write a JSON list of objects, one for each issuer, as docs/sign-in.md shows.",
        ),
        (
            {"auth_issuers": [{"secret": SECRET}, {"secret": "hush-hush" * 9, "audiance": "x"}]},
            "COFFER_AUTH_ISSUERS: issuer 2: audiance means nothing in an issuer; known:",
        ),
        (
            {"auth_issuers": [{"secret": SECRET}], "jwt_secret": SECRET},
            "COFFER_AUTH_ISSUERS: Two issuers have the same name (or none); give each its own issuer.",
        ),
        (
            {"auth_issuers": [{"issuer": "https://a.example", "secret": "hush-hush"}]},
            "COFFER_AUTH_ISSUERS: https://a.example: ",
        ),
        (
            {"jwt_secret": SECRET, "jwt_preset": "shopify"},
            "COFFER_JWT_PRESET: There is no preset 'shopify'; there are coffer, wordpress,",
        ),
        (
            {"jwt_preset": "medusa"},
            "COFFER_JWT_PRESET says something about tokens, and their secret is missing: set COFFER_JWT_SECRET, or move",
        ),
        ({"environment": "production"}, "COFFER_JWT_SECRET is not set, so nobody could sign in."),
        ({"jwks_timeout_s": "0"}, "COFFER_JWKS_TIMEOUT_S: '0' will not do; it should be greater than 0."),
    ],
)
def test_what_is_wrong_names_the_setting_and_the_cure(
    load: Load, variables: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        create_app(load(**variables))
    assert str(refused.value).startswith(sentence)
    assert "hush" not in str(refused.value)


def test_a_mistake_beside_a_secret_does_not_tell_it(load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load(auth_issuers='[{"secret": "hush-hush"')
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
