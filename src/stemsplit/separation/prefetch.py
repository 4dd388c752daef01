"""Concurrent stages: an iterator is consumed by a thread of its own, ahead of its consumer."""

import threading
from collections.abc import Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.05


class _End:
    """The last item of a queue: the stage has ended, with `error` if it failed."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[T], *, depth: int = 1) -> Generator[T, None, None]:
    """Yield `items`, computed ahead in a thread; at most `depth` of them are queued.

    An exception of `items` is raised after the items before it. Closing the generator stops the thread and
    closes `items`.
    """
    queue: Queue[T | _End] = Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(iter(items), queue, stop), daemon=True)
    thread.start()
    try:
        yield from _drain(queue)
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterator[T], queue: "Queue[T | _End]", stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, stop):
                break
    except BaseException as raised:  # noqa: BLE001 - raised again in the consumer
        error = raised
    finally:
        if isinstance(items, Generator):
            items.close()
    _put(queue, _End(error), stop)


def _put(queue: "Queue[T | _End]", item: T | _End, stop: threading.Event) -> bool:
    """Queue an item as soon as there is room; return False if the consumer has stopped."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
        except Full:
            continue
        return True
    return False


def _drain(queue: "Queue[T | _End]") -> Iterator[T]:
    while True:
        try:
            # with a timeout, since a wait without one cannot be interrupted on every platform
            item = queue.get(timeout=_POLL_S)
        except Empty:
            continue
        if isinstance(item, _End):
            if item.error is None:
                return
            try:
                raise item.error
            finally:
                del item  # breaks the cycle between the exception and this frame
        yield item
