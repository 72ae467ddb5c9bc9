"""Waking many, a few at a time, so that whoever is many keeps nobody else waiting: no lonely subscriber, and no request."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from itertools import islice

import structlog

log = structlog.get_logger("coffer.live")

AT_ONCE = 200
"""How many are woken before the loop may do something else."""

Wake = Callable[[], None]


class Turns:
    """Calls the members of rounds: each round takes as many turns as it needs, and between two of them others have theirs."""

    def __init__(self) -> None:
        self._rounds: deque[Iterator[Wake]] = deque()
        self._is_coming = False
        self._context: Context = copy_context()

    def begin(self) -> None:
        """Call from here on in the context of whoever says so."""
        # Whoever adds a round may be a request, or the writer: who is woken must not inherit what is theirs.
        self._context = copy_context()

    def add(self, members: Callable[[], Iterable[Wake]]) -> None:
        """Have members called soon: those who are in when their round begins."""
        self._rounds.append(_lazily(members))
        self._come()

    def _come(self) -> None:
        if self._rounds and not self._is_coming:
            self._is_coming = True
            asyncio.get_running_loop().call_soon(self._turn, context=self._context)

    def _turn(self) -> None:
        self._is_coming = False
        left = AT_ONCE
        while self._rounds and left > 0:
            members, woken = self._rounds.popleft(), 0
            for wake in islice(members, left):
                woken += 1
                try:
                    wake()
                except Exception:
                    # One of thousands; the others are woken all the same.
                    log.exception("waking a subscriber failed")
            if woken == left:
                # It may have more of them: the others' turn first.
                self._rounds.append(members)
            left -= max(woken, 1)
        self._come()


def _lazily(members: Callable[[], Iterable[Wake]]) -> Iterator[Wake]:
    yield from members()
