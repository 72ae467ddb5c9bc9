"""Processes that tell each other by Redis, Valkey or what else speaks their protocol. Needs the extra `redis`.

Redis forgets what it is told while a process is away, and so may we: a note is only a reason to look, and whoever
subscribes anew compares everything with the database (docs/adr/0034-redis.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.live.hearing import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_INTERVAL_S,
    KEEPALIVE_TIMEOUT_S,
    RECENT_S,
    Health,
    Hearing,
    Tell,
    listen_for_ever,
)
from app.live.hub import Hub
from app.live.reader import backoff_s, heed_cancellation
from app.settings import RedisServer

log = structlog.get_logger("coffer.live")

QUEUE_MAX = 1_000
"""Notes that wait to be published. Each has less than 8,000 bytes; of what is more, only that it was is told."""

PUBLISH_MAX = 100
"""Notes that are published in one round trip."""

FAREWELL_S = 2.0
"""How long a process that ends may take to publish its last notes."""

_ERRORS = (OSError, TimeoutError, RedisError)


class RedisListener:
    """Hears what others publish, and publishes what this process commits; each on a connection that comes back.

    What is committed while Redis is away is found in the database: by each try to reach Redis again, so seconds late.
    `process`, `hear_rights` and `hear_version` are as with `PostgresListener`.
    """

    is_vital = False
    """Without Redis all processes are deaf at once, and events are late: no reason to answer nobody."""

    def __init__(
        self,
        hub: Hub,
        server: RedisServer,
        *,
        process: str,
        keepalive_interval_s: float = KEEPALIVE_INTERVAL_S,
        hear_rights: Callable[[], None] = lambda: None,
        hear_version: Callable[[UUID, int], None] = lambda wallet_id, version: None,
    ) -> None:
        self._hub = hub
        self._server = server
        self._keepalive_interval_s = keepalive_interval_s
        self._hearing = Hearing(hub, process=process, hear_rights=hear_rights, hear_version=hear_version)
        self._health = Health()
        self._publisher = RedisPublisher(server, process=process)

    @property
    def is_healthy(self) -> bool:
        """Whether it listens, and what it published last arrived."""
        return self._health.is_healthy and self._publisher.is_healthy

    @property
    def lag_s(self) -> float:
        """For how many seconds it has not been listening, or nothing could be published; 0 while both work."""
        return max(self._health.lag_s, self._publisher.lag_s)

    @property
    def tell(self) -> Tell:
        """Publishes notes; see `RedisPublisher.tell`."""
        return self._publisher.tell

    async def run(self) -> None:
        """Listen and publish for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publisher.run())
            tasks.create_task(listen_for_ever(self._listen, self._health, _ERRORS, deaf=self._look_around))

    async def _listen(self) -> None:
        async with _client(self._server) as client, client.pubsub() as channel:
            await channel.subscribe(self._server.channel)
            while True:
                heed_cancellation()
                message = await channel.get_message(timeout=self._keepalive_interval_s)
                if message is None:
                    await channel.ping()
                    message = await channel.get_message(timeout=KEEPALIVE_TIMEOUT_S)
                    if message is None:
                        raise TimeoutError("the server does not answer")
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._hearing.hear(message["data"])
        elif message["type"] == "subscribe":
            # The client may have come back by itself, so it is the server's word that counts: from here on nothing
            # is missed. First listening, then looking, so that nothing falls between.
            self._hearing.look()
            self._health.set(healthy=True)

    def _look_around(self) -> None:
        self._hub.recheck(RECENT_S)


class RedisPublisher:
    """Publishes the writer's notes after its commits, in order, from a queue of `QUEUE_MAX` at most.

    A process without subscribers, such as the command line, has only this; `process` is its writer's name.
    """

    def __init__(self, server: RedisServer, *, process: str) -> None:
        self._server = server
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()
        self._health = Health(healthy=True)
        self._missed = orjson.dumps({"process": process, "wallets": [], "missed": True}).decode()

    @property
    def is_healthy(self) -> bool:
        """Whether the last try to publish worked."""
        return self._health.is_healthy

    @property
    def lag_s(self) -> float:
        """For how many seconds publishing has not worked; 0 while it does."""
        return self._health.lag_s

    def tell(self, notes: Sequence[str]) -> None:
        """Have notes published. Waits for nothing and never fails: what they tell of is committed already."""
        if len(self._queue) + len(notes) > QUEUE_MAX:
            # The others then look at everything, which makes up for any number of notes.
            self._queue.clear()
            notes = [self._missed]
        self._queue.extend(notes)
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever; whoever cancels it has what still waits published first, if that takes no time."""
        async with _client(self._server) as client:
            try:
                await self._publish_for_ever(client)
            except asyncio.CancelledError:
                with suppress(*_ERRORS):
                    async with asyncio.timeout(FAREWELL_S):
                        await self._publish(client)
                raise

    async def _publish_for_ever(self, client: Redis) -> None:
        attempt = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._publish(client)
            except _ERRORS as error:
                attempt += 1
                self._health.set(healthy=False)
                log.warning(
                    "other processes can't be told", error=f"{type(error).__name__}({error})", attempt=attempt
                )
                self._wake.set()
            else:
                attempt = 0
                self._health.set(healthy=True)
            heed_cancellation()
            if attempt:
                await asyncio.sleep(backoff_s(attempt))

    async def _publish(self, client: Redis) -> None:
        while self._queue:
            notes = [self._queue.popleft() for _ in range(min(len(self._queue), PUBLISH_MAX))]
            try:
                async with client.pipeline(transaction=False) as pipeline:
                    for note in notes:
                        pipeline.publish(self._server.channel, note)
                    await pipeline.execute()
            except BaseException:
                # Some of them may have arrived; to hear them twice does no harm.
                self._queue.extendleft(reversed(notes))
                raise


def _client(server: RedisServer) -> Redis:
    return Redis(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        ssl=server.tls,
        ssl_ca_certs=server.ca_file,
        client_name="coffer",
        # What every server of the last ten years speaks.
        protocol=2,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=KEEPALIVE_TIMEOUT_S,
        # We try again ourselves, and know of it.
        retry=Retry(NoBackoff(), 0),
    )
