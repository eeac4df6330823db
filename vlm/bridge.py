"""Work that can be left at any moment: a blocking iterator in a thread, and an await that a stop event ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from vlm.errors import raise_if_set

T = TypeVar("T")

GLANCE = 0.05
"""Seconds between two looks at a stop event."""


async def in_thread(start: Callable[[threading.Event], Iterator[T]]) -> AsyncIterator[T]:
    """Yield what `start` yields, computed in a thread; its error, if any, is raised here.

    Args:
        start: is handed an event that is set once the consumer was cancelled or walked away: work that yields
            seldom has to look at it.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            for item in start(left):
                if left.is_set():
                    return
                loop.call_soon_threadsafe(items.put_nowait, (item,))
        finally:
            if not left.is_set():
                loop.call_soon_threadsafe(items.put_nowait, None)

    worker = asyncio.ensure_future(asyncio.to_thread(work))
    # Nobody waits for the thread of an abandoned stream: fetch its error, or asyncio reports it as lost.
    worker.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        while (item := await items.get()) is not None:
            yield item[0]
        await worker
    finally:
        left.set()


async def unless(stop: threading.Event | None, work: Awaitable[T]) -> T:
    """Return what `work` returns, or cancel it and raise StoppedError once `stop` is set."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            raise_if_set(stop)
            await asyncio.wait({task}, timeout=GLANCE)
        return task.result()
    finally:
        task.cancel()
