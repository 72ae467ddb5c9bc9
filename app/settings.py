"""Settings: what the environment says, read once and handed down."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.errors import FieldInvalid
from app.domain.money import currency_of

ENVIRONMENT_PREFIX = "COFFER_"
JWT_SECRET_SIZE_MIN_BYTES = 32


WEBHOOK_SECRET_SIZE_MIN_BYTES = 24
SECRETS_KEY_SIZE_BYTES = 32

_DEVELOPMENT_KEY = b"for development only: no secret!"
"""What seals secrets on a developer's machine, where none are real."""

_PROVIDER_SETTINGS = {
    "http": ("payout_http_url", "payout_http_secrets"),
    "stripe": ("payout_stripe_key",),
}
"""What a payout provider can't do without."""


_SECRET = frozenset(
    {
        "jwt_secret",
        "auth_issuers",
        "metrics_token",
        "gift_card_keys",
        "woocommerce_webhook_secret",
        "shopify_webhook_secret",
        "standard_webhook_secrets",
        "woocommerce_key",
        "woocommerce_secret",
        "secrets_key",
        "smtp_url",
        "live_url",
        "payout_http_secrets",
        "payout_stripe_key",
        "payout_stripe_webhook_secret",
    }
)
"""Settings whose value is never repeated."""


class SettingsError(Exception):
    """The environment is not usable. The message has one line for each setting to put right."""


class Settings(BaseSettings):
    """What an operator decides. The store's own choices (limits, policies) are kept in the database instead."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    environment: Literal["development", "production"] = Field(
        "development", description="Production refuses weak secrets and hides developers' tools."
    )
    database_url: str = Field(
        "sqlite:///coffer.sqlite3",
        description="Where the ledger is kept: sqlite:///file.sqlite3 or postgresql://user@host/name.",
    )
    database_pool_size_min: int = Field(
        2, ge=0, le=1000, description="PostgreSQL: reading connections that each process keeps open."
    )
    database_pool_size_max: int = Field(
        10, ge=1, le=1000, description="PostgreSQL: reading connections that each process may open."
    )
    database_statement_timeout_s: float = Field(
        5.0, gt=0, le=3600, description="PostgreSQL: how long one reading statement may run."
    )
    database_acquire_timeout_s: float = Field(
        2.0,
        gt=0,
        le=600,
        description="How long a request waits for a reading connection before it is told to try again.",
    )
    currency: str = Field("USD", description="The store's currency, by its ISO 4217 code.")
    store_name: str = Field(
        "My store",
        min_length=1,
        max_length=100,
        description="The store's name, as customers read it in e-mails.",
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="The secret that the store signs its tokens with, 32 bytes or more. Required in production.",
    )
    jwt_preset: str | None = Field(
        None,
        description="What those tokens look like: coffer (the default), wordpress, medusa, saleor and others; "
        "see docs/sign-in.md.",
    )
    jwt_issuer: str | None = Field(None, description="The issuer that tokens must name, if any.")
    jwt_audience: str | None = Field(None, description="The audience that tokens must name, if any.")
    jwt_leeway_s: int = Field(
        30, ge=0, le=600, description="How far the store's clock may be off when a token's times are checked."
    )
    auth_issuers: SecretStr | None = Field(
        None,
        description="More issuers of tokens, or all of them, as a JSON list; see docs/sign-in.md.",
    )
    jwks_max_age_s: int = Field(
        600,
        ge=10,
        le=86_400,
        description="How long an issuer's published keys are used before they are fetched anew.",
    )
    jwks_stale_max_s: int = Field(
        86_400, ge=0, le=604_800, description="How long they still count while the issuer can't be reached."
    )
    jwks_cooldown_s: int = Field(
        30, ge=1, le=3600, description="At most one fetch per issuer in this time, whatever tokens come."
    )
    jwks_timeout_s: float = Field(5.0, gt=0, le=60, description="How long a fetch may take.")
    jwks_size_max_bytes: int = Field(
        524_288, ge=1024, le=10_485_760, description="The largest answer that is read of an issuer."
    )

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Server processes. More than one needs PostgreSQL.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses or networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, "
        "separated by commas.",
    )
    keep_alive_s: float = Field(
        30.0, ge=0, le=3600, description="How long an idle HTTP connection is kept for the next request."
    )
    hsts_max_age_s: int = Field(
        0,
        ge=0,
        le=63_072_000,
        description="Seconds for which browsers shall use HTTPS only (Strict-Transport-Security); 0 says nothing.",
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="How long a server that was told to stop goes on serving while /readyz already answers 503, "
        "so that load balancers notice.",
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, le=600, description="How long requests may go on once the server was told to stop."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose pages may call the API and open sockets, separated by commas; * for all.",
    )
    body_size_max_bytes: int = Field(
        1_048_576, ge=1024, le=104_857_600, description="The largest request body that is read."
    )
    body_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="How long a caller may take to send a request body."
    )

    graphiql: bool | None = Field(None, description="Serve the GraphiQL page. Unset: in development only.")
    introspection: bool | None = Field(
        None, description="Answer introspection and suggest field names. Unset: in development only."
    )
    query_depth_max: int = Field(12, ge=1, le=100, description="How deep a query may nest.")
    query_aliases_max: int = Field(30, ge=0, le=1000, description="How many aliases a query may have.")
    query_tokens_max: int = Field(2000, ge=100, le=100_000, description="How many tokens a query may have.")
    query_cost_max: int = Field(
        20_000, ge=1, le=10_000_000, description="The highest cost of one operation (docs/operations.md)."
    )
    query_cost_shown: bool = Field(
        False,
        description="Show the cost in every answer, not only to callers who send the header X-GraphQL-Cost: 1.",
    )
    cost_budget: int = Field(
        100_000,
        ge=1,
        le=1_000_000_000,
        description="Cost that one caller may spend at once, in each process.",
    )
    cost_restored_per_s: int = Field(
        4_000,
        ge=0,
        le=1_000_000_000,
        description="Cost that a caller's budget regains each second; 0 lifts the limit.",
    )
    cost_service_factor: int = Field(
        50, ge=1, le=100_000, description="How many times as much services may spend as people."
    )
    requests_per_address_burst: int = Field(
        2_000,
        ge=1,
        le=10_000_000,
        description="Requests that one address may send at once, to each process; loopback may send any number.",
    )
    requests_per_address_per_s: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="Requests per second that one address may go on sending; 0 lifts the limit.",
    )
    operation_timeout_s: float = Field(
        15.0,
        gt=0,
        le=3600,
        description="How long an operation may take before its caller is answered; a query is stopped then.",
    )
    sockets_per_principal_max: int = Field(
        50, ge=1, le=100_000, description="Websockets that one caller may have open in each process."
    )
    trusted_documents_file: Path | None = Field(
        None,
        description="Queries of the store's own front ends, which may be named by their SHA-256: a JSON object from "
        "hash to text, as Relay writes it, or a manifest of Apollo.",
    )
    only_trusted_documents: bool = Field(
        False, description="Run nothing but the trusted documents: for a store whose front ends are known."
    )
    prepared_operations: bool = Field(
        True,
        description="Compile each GraphQL operation once, which answers the same in less time; off: graphql-core runs all.",
    )
    shared_events: bool = Field(
        True,
        description="Execute a subscription's event once for all callers who ask the same with the same rights, if their "
        "operations are compiled; off: once for each.",
    )
    subscriptions_per_principal_max: int = Field(
        20, ge=1, le=10_000, description="Subscriptions that one caller may have open in each process."
    )

    batch_size_max: int = Field(
        512, ge=1, le=10_000, description="Commands that the writer takes into one database transaction."
    )
    batch_queue_max: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Commands that may wait for the writer before it refuses more.",
    )
    batch_wait_max_s: float = Field(
        5.0,
        gt=0,
        le=600,
        description="Seconds that a command may be expected to wait for the writer while a whole batch waits already; beyond it "
        "callers are told to come again (OVERLOADED).",
    )
    live_queue_max: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Updates kept for slow subscribers; who is further behind reads them from the database.",
    )
    live_poll_interval_s: float = Field(
        0.25, ge=0.01, le=60, description="SQLite: how often to look for what another process wrote."
    )

    live_url: SecretStr | None = Field(
        None,
        description="PostgreSQL: a Redis server by which many processes tell each other what they commit, such as "
        "redis://user:password@host:6379/0 or rediss://… (docs/scale.md). Needs the extra `redis`. Unset: the database tells.",
    )

    clock_jobs: bool = Field(
        True,
        description="Whether this process does what the clock brings about, such as expiry. Of several processes, one with it "
        "is enough.",
    )
    jobs_interval_s: float = Field(
        20,
        ge=0.05,
        le=3600,
        description="How often the clock looks for what is due, such as value that expires.",
    )

    woocommerce_webhook_secret: SecretStr | None = Field(
        None,
        description="The secret of the store's webhooks in WooCommerce; several, while one replaces another, separated by "
        "commas. Unset: /webhooks/woocommerce is closed.",
    )
    shopify_webhook_secret: SecretStr | None = Field(
        None,
        description="What Shopify signs the store's webhooks with; several separated by commas. Unset: /webhooks/shopify is "
        "closed.",
    )
    standard_webhook_secrets: SecretStr | None = Field(
        None,
        description="The secrets (whsec_…) of programs that send messages in Coffer's own form, separated by commas. Unset: "
        "/webhooks/standard is closed.",
    )
    webhook_body_size_max_bytes: int = Field(
        2_097_152, ge=1024, le=104_857_600, description="The largest webhook that is read."
    )
    deliveries_at_once: int = Field(
        4,
        ge=0,
        le=100,
        description="Webhooks that each process works on at a time; with 0 it keeps them for another process.",
    )
    deliveries_interval_s: float = Field(
        5.0,
        ge=0.05,
        le=3600,
        description="How often to look for webhooks that are due again, or that another process left behind.",
    )
    deliveries_kept_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="For how many days webhooks are kept once they are worked off; those that failed stay for 90 at least.",
    )
    outbox_at_once: int = Field(
        16,
        ge=0,
        le=1000,
        description="Messages that each process has on their way at a time (webhooks, e-mails); with 0 it leaves them to "
        "another process.",
    )
    outbox_at_once_each: int = Field(
        2,
        ge=1,
        le=100,
        description="How many of them go to one receiver at a time, so that a slow one delays nobody else.",
    )
    outbox_interval_s: float = Field(
        5.0,
        ge=0.05,
        le=3600,
        description="How often to look for messages that are due again, or that another process left behind.",
    )
    outbox_kept_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="For how many days messages are kept once they were delivered; dead ones stay for 90 at least.",
    )
    secrets_key: SecretStr | None = Field(
        None,
        description="The key that secrets in the database (of endpoints, details of payout methods) are sealed with: 32 bytes "
        "in base64, from: openssl rand -base64 32. While one key replaces another, both separated by a comma, the new one "
        "first. Unset: production makes no endpoints of webhooks and keeps no payout methods.",
    )
    webhook_timeout_s: float = Field(
        15.0, gt=0, le=50, description="How long an endpoint of the store's may take to answer a message."
    )
    webhook_answer_size_max_bytes: int = Field(
        65_536, ge=0, le=1_048_576, description="How much is read of what an endpoint answers."
    )
    webhook_private_addresses: bool = Field(
        False,
        description="Send messages also to private addresses, such as 10.0.0.7 or localhost, and without HTTPS: for a store "
        "whose own network the endpoints are in.",
    )

    woocommerce_url: str | None = Field(
        None,
        description="The address of a WooCommerce store that is asked for what its webhooks lost, such as "
        "https://shop.example; see docs/doors.md.",
    )
    woocommerce_key: SecretStr | None = Field(
        None, description="The consumer key of that store's REST API; it needs the right to read."
    )
    woocommerce_secret: SecretStr | None = Field(
        None, description="The consumer secret that belongs to the key."
    )
    woocommerce_sync_interval_s: float = Field(
        300,
        ge=0,
        le=86_400,
        description="How often that store is asked what changed; 0 leaves it to `python -m app sync woocommerce`.",
    )

    payout_provider: Literal["manual", "http", "stripe"] = Field(
        "manual",
        description="Who sends the money of approved withdrawals: staff (manual), a bridge of the store's own (http), or "
        "Stripe; see docs/payouts.md.",
    )
    payout_http_url: str | None = Field(
        None,
        description="The address of the store's bridge, such as https://bank-bridge.shop.example/payouts.",
    )
    payout_http_secrets: SecretStr | None = Field(
        None,
        description="The secrets (whsec_…) that messages to and from the bridge are signed with, the newest first, "
        "separated by commas.",
    )
    payout_stripe_key: SecretStr | None = Field(
        None, description="Stripe's secret key; a restricted one that may write payouts is enough."
    )
    payout_stripe_webhook_secret: SecretStr | None = Field(
        None,
        description="The secret (whsec_…) of the webhook endpoint in Stripe. Unset: outcomes are polled.",
    )
    payout_stripe_url: str = Field(
        "https://api.stripe.com", description="Where Stripe's API is; another address is for tests."
    )
    payout_timeout_s: float = Field(
        20.0,
        gt=0,
        le=25,
        description="How long a provider may take to answer before the payout is asked about later.",
    )
    payout_interval_s: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="How often approved withdrawals are looked for to hand them over; 0 leaves it to another process.",
    )

    balance_reads_per_minute_max: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Queries for balances that one caller may send in a minute before that is noted as a signal "
        "for fraud; nothing is refused.",
    )

    gift_card_keys: SecretStr | None = Field(
        None,
        description="The key that codes of gift cards are hashed with, 32 bytes or more; several separated by commas, newest "
        "first, since a code is found only under the key of its time. Unset in production: there are no gift cards.",
    )
    gift_card_guesses_per_hour_max: int = Field(
        10,
        ge=1,
        le=1_000_000,
        description="Codes that are none, or of no active gift card, that one caller may send to each process in an hour; an "
        "address may send 5 times, the store's own programs 50 times and all callers together 100 times as many.",
    )

    smtp_url: SecretStr | None = Field(
        None,
        description="The server that e-mails to customers go to: smtp://user:password@host:587 (STARTTLS), "
        "smtps://user:password@host:465 (TLS); see docs/email.md. Unset: no e-mails are sent.",
    )
    smtp_timeout_s: float = Field(
        20.0, gt=0, le=50, description="How long the e-mail server may take for each of its answers."
    )
    email_from: str | None = Field(
        None,
        description="Who e-mails come from, such as My Shop <wallet@shop.example>; needed to send any.",
    )
    email_reply_to: str | None = Field(
        None, description="Where answers to e-mails go, if not to who they come from."
    )
    email_templates: Path | None = Field(
        None,
        description="A folder with the store's own templates of e-mails and translations; see docs/email.md.",
    )
    email_preferences_url: str | None = Field(
        None,
        description="The store's page where customers choose their e-mails; it stands in each e-mail and its header.",
    )

    metrics_token: SecretStr | None = Field(
        None,
        description="The bearer token that opens /metrics. Unset: it answers callers on the same machine only.",
    )
    metrics_operation_names: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names of operations that /metrics tells apart, separated by commas; all others count as other.",
    )
    metrics_liabilities_interval_s: float = Field(
        60.0,
        ge=1,
        le=86_400,
        description="How old the liabilities shown in /metrics may be before they are summed up again.",
    )
    metrics_folder: Path | None = Field(
        None,
        description="Where the processes of one server leave for each other what they counted, so that /metrics tells of all. "
        "serve --workers makes a folder by itself.",
    )
    tracing: bool = Field(
        False,
        description="Send OpenTelemetry traces. Needs the extra `otel`; the exporter reads OTEL_EXPORTER_OTLP_ENDPOINT.",
    )

    log_format: Literal["console", "json"] = Field("console", description="Logs for people or for machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important line that is logged."
    )

    @field_validator("currency", mode="before")
    @classmethod
    def _known_currency(cls, value: object) -> str:
        try:
            return currency_of(str(value).strip().upper()).code
        except FieldInvalid as error:
            raise ValueError(str(error).rstrip(".")) from None

    @field_validator("log_level", "log_format", "environment", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("trusted_proxies", "metrics_operation_names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(item.strip() for item in value.split(",") if item.strip())

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            try:
                ip_network(address, strict=False)
            except ValueError:
                raise ValueError(
                    f"{address} is neither an address nor a network; write one like 10.0.0.7 or 10.0.0.0/8"
                ) from None
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())

    @field_validator("cors_origins")
    @classmethod
    def _whole_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not origin.startswith(("http://", "https://")):
                raise ValueError(f"{origin} is no origin; write one like https://shop.example")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _long_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        size = len(value.get_secret_value().encode())
        if size < JWT_SECRET_SIZE_MIN_BYTES:
            raise ValueError(
                f"the secret has {size} bytes and needs {JWT_SECRET_SIZE_MIN_BYTES}; "
                "make one with: openssl rand -hex 32"
            )
        return value

    @field_validator("woocommerce_webhook_secret", "shopify_webhook_secret")
    @classmethod
    def _long_webhook_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        sizes = [len(secret.encode()) for secret in _spelled(value)]
        if any(size < WEBHOOK_SECRET_SIZE_MIN_BYTES for size in sizes):
            raise ValueError(
                f"the secret has {min(sizes)} bytes and needs {WEBHOOK_SECRET_SIZE_MIN_BYTES}; "
                "make one with: openssl rand -hex 32"
            )
        return value if sizes else None

    @field_validator("standard_webhook_secrets", "payout_http_secrets")
    @classmethod
    def _long_standard_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        sizes = [_decoded_size_bytes(secret) for secret in _listed(value)]
        if any(size < WEBHOOK_SECRET_SIZE_MIN_BYTES for size in sizes):
            raise ValueError(
                f"the secret stands for {min(sizes)} bytes and needs {WEBHOOK_SECRET_SIZE_MIN_BYTES}; write it in base64 "
                "behind whsec_, such as the output of: echo whsec_$(openssl rand -base64 32)"
            )
        return value if sizes else None

    @field_validator("gift_card_keys")
    @classmethod
    def _long_gift_card_keys(cls, value: SecretStr | None) -> SecretStr | None:
        sizes = [len(key.encode()) for key in _listed(value)]
        if any(size < JWT_SECRET_SIZE_MIN_BYTES for size in sizes):
            raise ValueError(
                f"the key has {min(sizes)} bytes and needs {JWT_SECRET_SIZE_MIN_BYTES}; "
                "make one with: openssl rand -hex 32"
            )
        return value if sizes else None

    @field_validator("secrets_key")
    @classmethod
    def _whole_keys(cls, value: SecretStr | None) -> SecretStr | None:
        keys = _listed(value)
        if any(_decoded_size_bytes(key) != SECRETS_KEY_SIZE_BYTES for key in keys):
            raise ValueError(
                f"a key has {SECRETS_KEY_SIZE_BYTES} bytes, written in base64; make one with: openssl rand -base64 32"
            )
        return value if keys else None

    @field_validator("auth_issuers")
    @classmethod
    def _list_of_issuers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        try:
            issuers = json.loads(value.get_secret_value())
        except ValueError as error:
            # Only where, not what: the text around a mistake may be a secret.
            where = (
                f" (line {error.lineno}, column {error.colno})"
                if isinstance(error, json.JSONDecodeError)
                else ""
            )
            raise ValueError(
                f"this is not JSON{where}; write a list of objects, as docs/sign-in.md shows"
            ) from None
        if not isinstance(issuers, list) or not all(isinstance(issuer, dict) for issuer in issuers):
            raise ValueError("write a JSON list of objects, one for each issuer, as docs/sign-in.md shows")
        return value

    @model_validator(mode="after")
    def _pool_sizes_in_order(self) -> "Settings":
        if self.database_pool_size_min > self.database_pool_size_max:
            raise ValueError(
                f"{ENVIRONMENT_PREFIX}DATABASE_POOL_SIZE_MIN ({self.database_pool_size_min}) is above "
                f"{ENVIRONMENT_PREFIX}DATABASE_POOL_SIZE_MAX ({self.database_pool_size_max}); raise the second"
            )
        return self

    @model_validator(mode="after")
    def _trusted_documents_to_run(self) -> "Settings":
        if self.only_trusted_documents and self.trusted_documents_file is None:
            raise ValueError(
                f"{ENVIRONMENT_PREFIX}ONLY_TRUSTED_DOCUMENTS is on, and there are none: name their manifest in "
                f"{ENVIRONMENT_PREFIX}TRUSTED_DOCUMENTS_FILE"
            )
        return self

    @field_validator("smtp_url")
    @classmethod
    def _an_smtp_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            smtp_server(value.get_secret_value())
        return value

    @field_validator("live_url")
    @classmethod
    def _a_redis_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            redis_server(value.get_secret_value())
        return value

    @field_validator("email_from", "email_reply_to")
    @classmethod
    def _one_mailbox(cls, value: str | None) -> str | None:
        if value is not None:
            mailbox(value)
        return value

    @field_validator("email_preferences_url")
    @classmethod
    def _a_page(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s<>\"']+", value):
            raise ValueError(
                "this is no address of a page; write one like https://shop.example/account/emails"
            )
        return value

    @model_validator(mode="after")
    def _several_processes_to_tell(self) -> "Settings":
        if self.live_url is not None and self.database_url.lower().startswith("sqlite"):
            raise ValueError(
                f"SQLite serves one process, which has nobody to tell: leave {environment_variable('live_url')} out, or use "
                f"PostgreSQL ({environment_variable('database_url')})"
            )
        return self

    @model_validator(mode="after")
    def _sender_of_emails(self) -> "Settings":
        if self.smtp_url is not None and self.email_from is None:
            raise ValueError(
                f"e-mails need a sender: set {environment_variable('email_from')}, such as My Shop <wallet@shop.example>"
            )
        return self

    @model_validator(mode="after")
    def _whole_payout_provider(self) -> "Settings":
        named = _PROVIDER_SETTINGS.get(self.payout_provider, ())
        missing = [environment_variable(name) for name in named if not getattr(self, name)]
        if missing:
            raise ValueError(
                f"the payout provider {self.payout_provider} needs more: set {' and '.join(missing)} too"
            )
        if (
            self.payout_http_url
            and not self.in_development
            and not self.payout_http_url.startswith("https://")
        ):
            raise ValueError(
                f"details of payouts don't travel in the open: write {environment_variable('payout_http_url')} "
                "with https://"
            )
        return self

    @model_validator(mode="after")
    def _whole_woocommerce_store(self) -> "Settings":
        named = ("woocommerce_url", "woocommerce_key", "woocommerce_secret")
        missing = [environment_variable(name) for name in named if not getattr(self, name)]
        if missing and len(missing) < len(named):
            raise ValueError(
                f"a WooCommerce store needs its address, key and secret: set {' and '.join(missing)} too"
            )
        return self

    @property
    def issuers(self) -> list[dict[str, object]]:
        """The list of issuers, as it was written."""
        found: list[dict[str, object]] = (
            json.loads(self.auth_issuers.get_secret_value()) if self.auth_issuers else []
        )
        return found

    @property
    def sealing_keys(self) -> tuple[bytes, ...]:
        """The keys that seal secrets, the newest first; where none is set, a made-up one in development only."""
        keys = tuple(base64.b64decode(key + "=" * (-len(key) % 4)) for key in _listed(self.secrets_key))
        return keys or ((_DEVELOPMENT_KEY,) if self.in_development else ())

    @property
    def bridge_secrets(self) -> tuple[str, ...]:
        """The secrets shared with the store's payout bridge, the newest first."""
        return _listed(self.payout_http_secrets)

    def webhook_secrets(self, door: str) -> tuple[str, ...]:
        """The secrets of a door, such as `woocommerce`; a message may be signed with any of them."""
        if door == "standard":
            return _listed(self.standard_webhook_secrets)
        by_door = {"woocommerce": self.woocommerce_webhook_secret, "shopify": self.shopify_webhook_secret}
        return _spelled(by_door[door])

    @property
    def gift_card_key_list(self) -> tuple[str, ...]:
        """The keys for codes of gift cards, newest first."""
        return _listed(self.gift_card_keys)

    @property
    def in_development(self) -> bool:
        """Whether this is a developer's machine, where tools are open and secrets may be made up."""
        return self.environment == "development"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`; what is given here (a command's option) comes before both."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(detail) for detail in error.errors())) from None


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that look like settings and are none, each with the one that was probably meant."""
    known = [environment_variable(field) for field in Settings.model_fields]
    return {
        name: next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)
        for name in sorted(environment)
        if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known
    }


def environment_variable(field: str) -> str:
    """The name of the environment variable that sets this field."""
    return ENVIRONMENT_PREFIX + field.upper()


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where e-mails go. `starttls`: whether the connection must be encrypted first; nothing means where it is offered."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    starttls: bool | None


_TLS = {"smtp": ("required", "offered", "none"), "smtps": ("required",)}


def smtp_server(url: str) -> SmtpServer:
    """Read the address of an SMTP server; `ValueError` says what is wrong with it and repeats no secret."""
    parts, port = _split_url(url, "smtp://user:password@host:587")
    if parts.scheme not in _TLS or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(
            "this is no address of an e-mail server; write one like smtp://user:password@host:587, with the signs of the "
            "password that are not letters or digits written as %40"
        )
    given = dict(parse_qsl(parts.query))
    tls = given.pop("tls", "offered" if parts.hostname in {"localhost", "127.0.0.1", "::1"} else "required")
    if given or tls not in _TLS[parts.scheme] + (("offered",) if parts.scheme == "smtps" else ()):
        raise ValueError(
            "the only option behind ? is tls=required, tls=offered or tls=none, and only of smtp://"
        )
    implicit = parts.scheme == "smtps"
    starttls = {"required": True, "offered": None, "none": False}[tls]
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if implicit else 587),
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=implicit,
        starttls=False if implicit else starttls,
    )


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis server, and the channel on it. `ca_file` holds certificates to trust instead of the system's."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    ca_file: str | None
    channel: str


def redis_server(url: str) -> RedisServer:
    """Read the address of a Redis server; `ValueError` says what is wrong with it and repeats no secret.

    Channels don't belong to one of the server's numbered databases, so the number is made a part of the channel's name:
    stores with numbers of their own don't hear each other.
    """
    parts, port = _split_url(url, "redis://user:password@host:6379/0")
    number = re.fullmatch(r"(?:/([0-9]{1,4})?)?", parts.path, re.ASCII)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or not number or parts.fragment:
        raise ValueError(
            "this is no address of a Redis server; write one like redis://user:password@host:6379/0 or rediss://…, with the "
            "signs of the password that are not letters or digits written as %40"
        )
    tls = parts.scheme == "rediss"
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    ca_file = given.pop("ssl_ca_certs", None)
    if given or (ca_file is not None and not (tls and ca_file)):
        raise ValueError("the only option behind ? is ssl_ca_certs=/file.pem, and only of rediss://")
    return RedisServer(
        host=parts.hostname,
        port=port or 6379,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        ca_file=ca_file,
        channel=f"coffer:{int(number[1] or 0)}",
    )


def _split_url(url: str, example: str) -> tuple[SplitResult, int | None]:
    """Return the parts of an address, and its port; what is wrong is told with an example, for the address may hold a secret."""
    try:
        parts = urlsplit(url.strip())
        return parts, parts.port
    except ValueError:
        raise ValueError(f"this is no address; write one like {example}") from None


def mailbox(text: str) -> Address:
    """Read one mailbox, such as My Shop <wallet@shop.example>; `ValueError` says what is wrong with it."""
    wrong = ValueError(f"{text!r} is no mailbox; write one like My Shop <wallet@shop.example>")
    try:
        [(name, address)] = getaddresses([text])
        found = Address(display_name=name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise wrong from None
    if not found.username or not found.domain or not text.isprintable():
        raise wrong
    return found


def _listed(secrets: SecretStr | None) -> tuple[str, ...]:
    text = secrets.get_secret_value() if secrets else ""
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def _spelled(secrets: SecretStr | None) -> tuple[str, ...]:
    """Secrets that may hold any character: WooCommerce makes up some with commas in them.

    So a comma parts two secrets only where both are long enough to be one, and the line as a whole counts too.
    """
    found: list[str] = []
    for line in (secrets.get_secret_value() if secrets else "").splitlines():
        whole = line.strip().strip(",").strip()
        parts = [part.strip() for part in whole.split(",")]
        if len(parts) > 1 and all(len(part.encode()) >= WEBHOOK_SECRET_SIZE_MIN_BYTES for part in parts):
            found += parts
        if whole:
            found.append(whole)
    return tuple(found)


def _decoded_size_bytes(secret: str) -> int:
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        return len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except ValueError:
        return 0


def _sentence(detail: ErrorDetails) -> str:
    """One sentence: which variable, what is wrong with it, what to write instead."""
    field = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "value_error":
        problem = str(detail["ctx"]["error"])
    elif detail["type"] == "extra_forbidden":
        problem = "there is no such setting"
    else:
        given = "the value" if field in _SECRET else repr(detail["input"])
        wanted = detail["msg"].removeprefix("Input ").split(", unable to")[0]
        problem = f"{given} will not do; it {wanted}"
    return f"{environment_variable(field)}: {problem}." if field else f"{problem}."
