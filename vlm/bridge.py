"""A blocking iterator in a thread -> an async iterator: the loop stays free, and leaving it early stops the thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


async def in_thread(start: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Yield what `start()` yields, computed in a thread.

    When the consumer is cancelled or walks away, the thread ends before its next item. Its error, if any, is raised
    here.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            for item in start():
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
