"""Keys that an issuer publishes: fetched, kept for a while, fetched again when a token names an unknown one.

Three promises. A flood of unknown key ids costs one fetch per cooldown. An issuer that is down, slow or confused
takes nobody's sign-in away whose key is already known (`stale_max_s`). And nothing that it answers can cost more
than `bytes_max` of memory and `timeout_s` of anybody's time.
"""

import asyncio
import contextvars
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import structlog

from app.auth.errors import AuthenticationError, ConfigurationError, Failure
from app.auth.keys import PUBLIC_ALGORITHMS, Key, check_algorithms, fitting, jwk_key, narrowed

_log = structlog.get_logger(__name__)
_KEYS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How often to fetch, and how much of an answer to take."""

    max_age_s: int
    stale_max_s: int
    cooldown_s: int
    retry_s: int
    timeout_s: float
    bytes_max: int


class FetchError(Exception):
    """An issuer's answer cannot be used. The message is for the log, not for the caller."""


class PublishedKeys:
    """The keys behind one JWKS address, or behind one issuer's OpenID Connect discovery."""

    def __init__(
        self,
        *,
        limits: FetchLimits,
        now: Callable[[], datetime],
        url: str | None = None,
        discover: str | None = None,
        algorithms: frozenset[str] = frozenset(),
    ) -> None:
        self._limits = limits
        self._now = now
        self._url = url
        self._discover = discover
        self._algorithms = algorithms
        self._possible = algorithms or PUBLIC_ALGORITHMS
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._fetch: asyncio.Task[None] | None = None
        self.fetches = 0
        """How many fetches were begun, for metrics and tests."""
        check_algorithms(algorithms)
        if not self._possible <= PUBLIC_ALGORITHMS:
            raise ConfigurationError("Published keys are public keys: HS256, HS384 and HS512 need a secret.")
        _require_safe(url or discover or "")

    async def keys(self, algorithm: str, kid: str | None) -> Sequence[Key]:
        """Return the keys that fit, fetching first if what is known is too old or does not hold the key."""
        if self._age_s() >= self._limits.max_age_s:
            await self._refresh()
        elif algorithm in self._possible and not any(key.fits(algorithm, kid) for key in self._keys):
            # The issuer may have rotated its keys since, so this is worth one look, but not one per token.
            await self._refresh()
        if not self._keys or self._age_s() >= self._limits.stale_max_s:
            raise AuthenticationError(
                Failure.KEYS_UNAVAILABLE,
                "The issuer's keys cannot be fetched at the moment, so the token cannot be checked: try again soon.",
            )
        return fitting(self._keys, algorithm, kid)

    def _age_s(self) -> float:
        if self._fetched_at is None:
            return float("inf")
        # A clock that was set back makes an age negative; such keys are as doubtful as old ones.
        age_s = (self._now() - self._fetched_at).total_seconds()
        return age_s if age_s >= 0 else self._limits.max_age_s

    async def _refresh(self) -> None:
        """Fetch, unless that was tried a moment ago; join a fetch that is under way."""
        if self._fetch is None:
            wait_s = self._limits.cooldown_s if self._keys else self._limits.retry_s
            now = self._now()
            if self._tried_at is not None and timedelta(0) <= now - self._tried_at < timedelta(
                seconds=wait_s
            ):
                return
            self._tried_at = now
            self.fetches += 1
            # An empty context: the fetch serves every waiting request, and belongs to none of them.
            self._fetch = asyncio.create_task(self._run(), context=contextvars.Context())
        # Shielded: a caller who hangs up must not cancel the fetch that the others wait for.
        await asyncio.shield(self._fetch)

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                keys = await self._published()
        except (FetchError, httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            _log.warning(
                "issuer_keys_not_fetched", source=self._url or self._discover, error=str(error)[:200]
            )
        else:
            self._keys = keys
            self._fetched_at = self._now()
            _log.info("issuer_keys_fetched", source=self._url or self._discover, keys=len(keys))
        finally:
            self._fetch = None

    async def _published(self) -> tuple[Key, ...]:
        url = self._url or await self._discovered(self._discover or "")
        document = await self._get(url)
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise FetchError("the answer is not a key set")
        found = (jwk_key(jwk) for jwk in listed[:_KEYS_MAX] if isinstance(jwk, Mapping))
        keys = narrowed((key for key in found if key is not None), self._algorithms)
        if not keys:
            raise FetchError("the key set holds no key that can be used")
        return keys

    async def _discovered(self, issuer: str) -> str:
        document = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        # OpenID Connect Discovery, 4.3: otherwise one tenant's document could stand in for another's.
        if document.get("issuer") != issuer:
            raise FetchError("the discovery document belongs to another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str):
            raise FetchError("the discovery document names no jwks_uri")
        try:
            _require_safe(url)
        except ConfigurationError as error:
            raise FetchError(str(error)) from None
        return url

    async def _get(self, url: str) -> dict[str, object]:
        """Fetch a JSON object: no redirects, no compression (a bomb would pass the limit), no proxy to oneself."""
        client = httpx.AsyncClient(
            timeout=self._limits.timeout_s, follow_redirects=False, trust_env=not _is_loopback(url)
        )
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with client, client.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise FetchError(f"the answer has status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchError("the answer is compressed, though that was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._limits.bytes_max:
                    raise FetchError(f"the answer is longer than {self._limits.bytes_max} bytes")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise FetchError("the answer is not JSON") from None
        if not isinstance(document, dict):
            raise FetchError("the answer is not a JSON object")
        return document


def _require_safe(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("The address of the issuer's keys is not a URL.") from None
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_loopback(url):
        raise ConfigurationError(
            "Keys are fetched by https only (http from this machine itself), because whoever can change them on "
            "the way can sign in as anybody."
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
