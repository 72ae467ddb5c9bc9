"""The time that something may take."""

import asyncio

import pytest

from app.execution.timing import within


async def test_what_is_there_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def there() -> str:
        return "there"

    def timer(_timeout_s: float) -> None:
        raise AssertionError("nothing is to be waited for")

    monkeypatch.setattr("asyncio.timeout", timer)
    assert await within(1, there()) == "there"


async def test_what_comes_later_is_waited_for() -> None:
    parts = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def later() -> list[int]:
        return [await part for part in parts]

    task = asyncio.create_task(within(60, later()))
    for number, part in enumerate(parts):
        await asyncio.sleep(0)
        part.set_result(number)
    assert await task == [0, 1]


async def test_an_error_comes_through() -> None:
    part = asyncio.get_running_loop().create_future()

    async def handled() -> str:
        try:
            await part
        except LookupError:
            await asyncio.sleep(0)
            return "handled"
        raise AssertionError

    async def failing(*, at_once: bool) -> None:
        if not at_once:
            await asyncio.sleep(0)
        raise ValueError

    task = asyncio.create_task(within(60, handled()))
    await asyncio.sleep(0)
    part.set_exception(LookupError())
    assert await task == "handled"
    for at_once in (True, False):
        with pytest.raises(ValueError):  # noqa: PT011 - it has no words
            await within(60, failing(at_once=at_once))


@pytest.mark.parametrize("by", ["time", "cancellation"])
async def test_it_ends_what_it_waits_for(by: str) -> None:
    ended = []

    async def never() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended.append(by)

    if by == "time":
        with pytest.raises(TimeoutError):
            await within(0.01, never())
    else:
        task = asyncio.create_task(within(60, never()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == [by]
