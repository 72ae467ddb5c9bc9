"""Posts messages to addresses that others chose, with suspicion.

The name is resolved, every address that it has is checked, and the connection goes to the address that was checked: a name
that leads elsewhere a moment later leads nowhere. The certificate is that of the name all the same. Redirects are not
followed, proxies of the environment are not used, and of an answer a limited part is read.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from app.addresses import is_public

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a name."""

ADDRESSES_MAX = 3
"""Addresses of one name that are tried, one after the other."""


class Undelivered(Exception):
    """Nothing was delivered; the message is a sentence for staff."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered: the status, the beginning of the body, and how long it asks to be left alone."""

    status_code: int
    text: str
    wait_s: float = 0.0


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Poster:
    """Posts to endpoints. With `private`, addresses of the store's own network are fine."""

    def __init__(
        self,
        *,
        timeout_s: float,
        answer_size_max_bytes: int,
        private: bool = False,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._timeout_s = timeout_s
        self._answer_size_max_bytes = answer_size_max_bytes
        self._private = private
        self._resolve = resolve
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body and return the answer, or raise `Undelivered`."""
        try:
            # Each step of a connection has a limit of its own; an answer that drips could take for ever within those.
            async with asyncio.timeout(self._timeout_s):
                return await self._post(httpx.URL(url), body, headers)
        except TimeoutError:
            raise Undelivered(f"It did not answer within {self._timeout_s:g} s.") from None
        except httpx.InvalidURL:
            raise Undelivered("Its address can't be used.") from None
        except (httpx.HTTPError, OSError) as error:
            raise Undelivered(f"The connection failed ({type(error).__name__}).") from None

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        if url.scheme != "https" and not (self._private and url.scheme == "http"):
            raise Undelivered("Messages are sent by HTTPS only.")
        addresses = await self._checked(url)
        for place, address in enumerate(addresses, 1):
            try:
                return await self._post_to(address, url, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if place == len(addresses):
                    raise
        raise Undelivered("Its name has no address.")

    async def _checked(self, url: httpx.URL) -> Sequence[str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            # IDNA: what is resolved is what the certificate is compared with.
            addresses = await self._resolve(url.raw_host.decode("ascii").strip("[]"), port)
        except (OSError, UnicodeError):
            raise Undelivered("Its name can't be resolved.") from None
        # One that isn't public is reason enough: nobody who means well has both.
        if not self._private and not all(is_public(address) for address in addresses):
            raise Undelivered("Its name leads to a private address, where nothing is sent.")
        return addresses[:ADDRESSES_MAX]

    async def _post_to(self, address: str, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        name = url.raw_host.decode("ascii").strip("[]")
        client = httpx.AsyncClient(
            verify=self._context(),
            timeout=self._timeout_s,
            follow_redirects=False,
            trust_env=False,
            # A connection to an address may not be used again for another name of the same address.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        async with client:
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers={**headers, "host": url.netloc.decode("ascii"), "accept-encoding": "identity"},
                extensions={"sni_hostname": name} if url.scheme == "https" else {},
            )
            response = await client.send(request, stream=True)
            async with aclosing(response):
                return await self._answer(response)

    async def _answer(self, response: httpx.Response) -> Answer:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= self._answer_size_max_bytes:
                break
        text = bytes(body[: self._answer_size_max_bytes]).decode("utf-8", "replace")
        return Answer(response.status_code, text, _wait_s(response.headers.get("retry-after")))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def _wait_s(value: str | None) -> float:
    """Return how long `Retry-After` asks to wait: seconds, or until a date."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        return 0.0
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
