"""What the environment may say, and how a wrong word in it is answered."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.auth.gift_card import code_keys
from app.settings import (
    Settings,
    SettingsError,
    environment_variable,
    load_settings,
    redis_server,
    smtp_server,
)

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no `.env` of whoever runs the tests."""
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_variable(field), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Load the settings with these variables, named without their prefix."""

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(environment_variable(name), value)
        return load_settings()

    return loaded


def test_nothing_is_required_to_begin() -> None:
    settings = load_settings()
    assert settings.database_url == "sqlite:///coffer.sqlite3"
    assert settings.currency == "USD"
    assert settings.in_development
    assert settings.jwt_secret is None
    assert settings.graphiql is None


def test_every_field_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_the_environment_is_read(load: Callable[..., Settings]) -> None:
    settings = load(
        port="9000",
        environment="Production",
        currency="eur",
        jwt_secret=SECRET,
        graphiql="false",
        log_level="WARNING",
        cors_origins="https://shop.example/, https://admin.shop.example,",
        store_name="",
    )
    assert settings.port == 9000
    assert not settings.in_development
    assert settings.currency == "EUR"
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == SECRET
    assert settings.graphiql is False
    assert settings.log_level == "warning"
    assert settings.cors_origins == ("https://shop.example", "https://admin.shop.example")
    assert settings.store_name == "My store"


def test_the_file_is_read_and_the_environment_comes_first(
    load: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("COFFER_PORT=9001\nCOFFER_STORE_NAME=Tea & Co\nOTHER=1\n")
    settings = load(port="9002")
    assert settings.port == 9002
    assert settings.store_name == "Tea & Co"
    assert load_settings(port=9003).port == 9003


@pytest.mark.parametrize("code", ["USD", "JPY", "KWD"])
def test_currencies(load: Callable[..., Settings], code: str) -> None:
    assert load(currency=code).currency == code


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("port", "many", "COFFER_PORT: 'many' will not do; it should be a valid integer."),
        ("port", "70000", "COFFER_PORT: '70000' will not do; it should be less than or equal to 65535."),
        ("log_format", "xml", "COFFER_LOG_FORMAT: 'xml' will not do; it should be 'console' or 'json'."),
        (
            "currency",
            "XYZ",
            "COFFER_CURRENCY: 'XYZ' is no ISO 4217 currency code. Use one in capitals, such as USD.",
        ),
        (
            "currency",
            "UYW",
            "COFFER_CURRENCY: Wallets can't be kept in UYW.",
        ),
        (
            "jwt_secret",
            "hush",
            "COFFER_JWT_SECRET: the secret has 4 bytes and needs 32; make one with: openssl rand -hex 32.",
        ),
        (
            "gift_card_keys",
            "0123456789abcdef0123456789abcdef,hush",
            "COFFER_GIFT_CARD_KEYS: the key has 4 bytes and needs 32; make one with: openssl rand -hex 32.",
        ),
        (
            "database_pool_size_min",
            "11",
            "COFFER_DATABASE_POOL_SIZE_MIN (11) is above COFFER_DATABASE_POOL_SIZE_MAX (10); raise the second.",
        ),
        (
            "only_trusted_documents",
            "yes",
            "COFFER_ONLY_TRUSTED_DOCUMENTS is on, and there are none: name their manifest in COFFER_TRUSTED_DOCUMENTS_FILE.",
        ),
        (
            "cors_origins",
            "shop.example",
            "COFFER_CORS_ORIGINS: shop.example is no origin; write one like https://shop.example.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    load: Callable[..., Settings], field: str, value: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**{field: value})
    assert str(refused.value) == sentence


def test_all_that_is_wrong_is_said_at_once(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError) as refused:
        load(port="x", workers="0", log_level="loud")
    assert len(str(refused.value).splitlines()) == 3


def test_secrets_are_not_repeated(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError) as refused:
        load(jwt_secret="my-pet's-name")
    assert "pet" not in str(refused.value)
    assert SECRET not in repr(load(jwt_secret=SECRET))


def test_keys_of_gift_cards_come_newest_first(load: Callable[..., Settings]) -> None:
    assert code_keys(load())
    assert not code_keys(load(environment="production", jwt_secret=SECRET))
    newer = "newer" * 8
    settings = load(gift_card_keys=f"{newer}, {SECRET}")
    assert code_keys(settings)
    assert settings.gift_card_key_list == (newer, SECRET)
    assert newer not in repr(settings)


def test_proxies_and_names_are_lists(load: Callable[..., Settings]) -> None:
    settings = load(trusted_proxies="10.0.0.7, 10.1.0.0/16", metrics_operation_names="Checkout,Account ,")
    assert settings.trusted_proxies == ("10.0.0.7", "10.1.0.0/16")
    assert settings.metrics_operation_names == ("Checkout", "Account")


def test_a_proxy_that_is_no_address(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"COFFER_TRUSTED_PROXIES: proxy.internal is neither"):
        load(trusted_proxies="proxy.internal")


# --- e-mails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "starttls"),
    [
        ("smtp://mail.example", "mail.example", 587, False, True),
        ("smtp://me:p%40ss@mail.example:2525", "mail.example", 2525, False, True),
        ("smtp://mail.example?tls=offered", "mail.example", 587, False, None),
        ("smtp://mail.example?tls=none", "mail.example", 587, False, False),
        ("smtp://localhost:1025", "localhost", 1025, False, None),
        ("smtps://mail.example", "mail.example", 465, True, False),
    ],
)
def test_addresses_of_email_servers(url: str, host: str, port: int, tls: bool, starttls: bool | None) -> None:
    found = smtp_server(url)
    assert (found.host, found.port, found.tls, found.starttls) == (host, port, tls, starttls)
    if found.username is not None:
        assert (found.username, found.password) == ("me", "p@ss")
        assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "variables",
    [
        {"smtp_url": "https://mail.example", "email_from": "a@b.example"},
        {"smtp_url": "smtp://user:hush@", "email_from": "a@b.example"},
        {"smtp_url": "smtp://user:hush@host:99999", "email_from": "a@b.example"},
        {"smtp_url": "smtp://user:hush@host?tls=perhaps", "email_from": "a@b.example"},
        {"smtp_url": "smtps://user:hush@host?tls=none", "email_from": "a@b.example"},
        {"smtp_url": "smtp://user:hush@host"},
        {"email_from": "nobody"},
        {"email_from": "a@b.example, c@d.example"},
        {"email_reply_to": "A <a@b.example>\nBcc: x@y.example"},
        {"email_preferences_url": "javascript:alert(1)"},
        {"email_preferences_url": "https://shop.example/>\nBcc: x"},
    ],
)
def test_what_emails_can_not_be_sent_with(load: Callable[..., Settings], variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"COFFER_(SMTP|EMAIL)_") as refused:
        load(**variables)
    assert "hush" not in str(refused.value)


KEY = "c29tZSBtYWRlLXVwIGJ5dGVzLCAzMiBvZiB0aGVtLi4="
PRODUCTION = {"environment": "production", "jwt_secret": SECRET}


def test_keys_that_seal_are_read_and_never_repeated(load: Callable[..., Settings]) -> None:
    settings = load(secrets_key=f"{KEY}, {KEY}", **PRODUCTION)
    assert [len(key) for key in settings.sealing_keys] == [32, 32]
    assert KEY not in repr(settings)
    with pytest.raises(SettingsError, match=r"COFFER_SECRETS_KEY: .*openssl rand -base64 32") as refused:
        load(secrets_key="c2hvcnQ=")
    assert "c2hvcnQ" not in str(refused.value)


def test_keys_that_seal_are_made_up_in_development_only(load: Callable[..., Settings]) -> None:
    assert [len(key) for key in load().sealing_keys] == [32]
    assert load(**PRODUCTION).sealing_keys == ()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"payout_provider": "stripe"}, "COFFER_PAYOUT_STRIPE_KEY"),
        ({"payout_provider": "http", "payout_http_url": "https://b.example"}, "COFFER_PAYOUT_HTTP_SECRETS"),
        ({"payout_http_url": "http://b.example", **PRODUCTION}, "https://"),
    ],
)
def test_a_payout_provider_is_whole(
    load: Callable[..., Settings], given: dict[str, str], missing: str
) -> None:
    with pytest.raises(SettingsError, match=missing):
        load(**given)


POSTGRES = "postgresql://coffer@localhost/coffer"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "channel"),
    [
        ("redis://cache.example", "cache.example", 6379, False, "coffer:0"),
        ("redis://me:p%40ss@cache.example:6380/3", "cache.example", 6380, False, "coffer:3"),
        ("rediss://me:p%40ss@cache.example/", "cache.example", 6379, True, "coffer:0"),
        ("redis://[::1]:7000/12", "::1", 7000, False, "coffer:12"),
    ],
)
def test_addresses_of_redis_servers(
    load: Callable[..., Settings], url: str, host: str, port: int, tls: bool, channel: str
) -> None:
    settings = load(live_url=url, database_url=POSTGRES)
    assert settings.live_url is not None
    found = redis_server(settings.live_url.get_secret_value())
    assert (found.host, found.port, found.tls, found.channel) == (host, port, tls, channel)
    assert (found.username, found.password) == (("me", "p@ss") if "@" in url else (None, None))
    assert "p@ss" not in repr(found)


def test_certificates_of_a_redis_server() -> None:
    assert redis_server("rediss://cache.example?ssl_ca_certs=/ca.pem").ca_file == "/ca.pem"
    assert redis_server("rediss://cache.example").ca_file is None


@pytest.mark.parametrize(
    "variables",
    [
        {"live_url": "nats://user:hush@host"},
        {"live_url": "cache.example:6379"},
        {"live_url": "redis://user:hush@"},
        {"live_url": "redis://user:hush@host:99999"},
        {"live_url": "redis://user:hush@host/zero"},
        {"live_url": "redis://user:hush@host?db=3"},
        {"live_url": "redis://user:hush@host?ssl_ca_certs=/ca.pem"},
        {"live_url": "rediss://user:hush@host?ssl_cert_reqs=none"},
        {"live_url": "redis://user:hush@host", "database_url": "sqlite:///coffer.sqlite3"},
    ],
)
def test_addresses_that_are_none_of_redis_servers(
    load: Callable[..., Settings], variables: dict[str, str]
) -> None:
    with pytest.raises(SettingsError) as told:
        load(**{"database_url": POSTGRES, **variables})
    assert "COFFER_LIVE_URL" in str(told.value)
    assert "hush" not in str(told.value)
    assert "\n" not in str(told.value)
