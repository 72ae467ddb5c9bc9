"""A store's REST API, read with patience and with suspicion.

Slow, busy and broken answers are asked for again, for a while. What comes is limited in size and time, redirects are
not followed (the key and the secret go to the store that was named, and nowhere else), and everything but loopback
is asked by HTTPS only.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from app.webhooks.document import BODY_MAX_BYTES, Node, parse
from app.webhooks.errors import Untranslatable

_log = structlog.get_logger(__name__)
_BUSY = frozenset({408, 425, 429})


class SyncError(Exception):
    """The store can't be read now. The message is a sentence for the operator; what was read so far is kept."""


class _TryAgainError(Exception):
    """An answer that may be better in a while; `wait_s` is what the store asks for, if it does."""

    def __init__(self, problem: str, *, wait_s: float | None = None) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a store, how often to ask again, and how much of an answer to take."""

    timeout_s: float = 60.0
    attempts_max: int = 6
    wait_s: float = 1.0
    wait_max_s: float = 60.0
    body_max_bytes: int = BODY_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the document, and what the clock of the store's server says."""

    document: Node
    at: datetime | None


class RestClient(AbstractAsyncContextManager["RestClient"]):
    """Reads one store's REST API. `sleep` is how it waits before it asks again."""

    def __init__(
        self,
        url: str,
        *,
        key: str,
        secret: str,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        require_safe(url)
        self._url = url.rstrip("/")
        self._patience = patience or Patience()
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            auth=httpx.BasicAuth(key, secret),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "Coffer"},
            timeout=self._patience.timeout_s,
            follow_redirects=False,
            trust_env=not _is_loopback(url),
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Return an answer, however many attempts it takes within the limits, or raise `SyncError`."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=stop_after_attempt(self._patience.attempts_max),
            wait=self._wait_s,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(self._attempt, path, parameters)
        except _TryAgainError as error:
            raise SyncError(
                f"The store could not be read: {error}. What was read so far is kept; the next run goes on from there."
            ) from None

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        _log.info("store_asked_again", attempt=state.attempt_number, problem=str(error)[:200])
        if isinstance(error, _TryAgainError) and error.wait_s is not None:
            return error.wait_s
        patience = self._patience
        return float(wait_random_exponential(multiplier=patience.wait_s, max=patience.wait_max_s)(state))

    async def _attempt(self, path: str, parameters: Mapping[str, str]) -> Answer:
        try:
            # httpx limits each step; a body that drips could take for ever within that.
            async with asyncio.timeout(self._patience.timeout_s):
                return await self._read(path, parameters)
        except TimeoutError:
            raise _TryAgainError(f"no whole answer within {self._patience.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise _TryAgainError(f"the connection failed ({type(error).__name__})") from None

    async def _read(self, path: str, parameters: Mapping[str, str]) -> Answer:
        url = f"{self._url}{path}"
        async with self._client.stream("GET", url, params=dict(parameters)) as response:
            self._check(response, path)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._patience.body_max_bytes:
                    raise SyncError(
                        f"An answer of the store is longer than {self._patience.body_max_bytes} bytes."
                    )
        try:
            return Answer(parse(bytes(body)), _date(response.headers.get("date")))
        except Untranslatable as error:
            # A page that says "maintenance", or a warning of PHP before the JSON: often gone a moment later.
            raise _TryAgainError(f"the answer to {path} is not JSON ({error.message})") from None

    def _check(self, response: httpx.Response, path: str) -> None:
        status = response.status_code
        if status in _BUSY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            wait_s = _retry_after_s(response.headers.get("retry-after"))
            if wait_s is not None and wait_s > self._patience.wait_max_s:
                raise SyncError(
                    f"The store answered {status} and asks to be left alone for {wait_s:.0f} s. "
                    "What was read so far is kept; the next run goes on from there."
                )
            raise _TryAgainError(f"the store answered {status} to {path}", wait_s=wait_s)
        if response.is_redirect:
            raise SyncError(
                f"The store redirects {path} to another address, which is not followed. Set the address that it "
                "answers at, with https and with or without www."
            )
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise SyncError(f"The store refuses the key ({status}). It needs the right to read.")
        if status == httpx.codes.NOT_FOUND:
            raise NotThereError(f"The store knows nothing at {path} (404).")
        if status != httpx.codes.OK:
            raise SyncError(f"The store answered {status} to {path}, which it should not.")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # A few compressed bytes can become gigabytes, past the limit.
            raise SyncError("The store compresses its answers, though it was asked not to.")


class NotThereError(SyncError):
    """The store has nothing at this path."""


def require_safe(url: str) -> None:
    """Raise `SyncError` for an address that a key must not be sent to."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise SyncError("The address of the store is not a URL.") from None
    if not host or parts.username or parts.query or parts.fragment or parts.scheme not in ("http", "https"):
        raise SyncError("The address of the store should look like https://shop.example.")
    if parts.scheme == "http" and not _is_loopback(url):
        raise SyncError("The store is asked by https only, because the key would be readable on the way.")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after_s(value: str | None) -> float | None:
    """Return how long `Retry-After` asks to wait: seconds, or until a date."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until = _date(value)
    return None if until is None else max((until - datetime.now(UTC)).total_seconds(), 0.0)


def _date(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
