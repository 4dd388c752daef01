"""Stages that run at the same time: each is an iterator, pulled from a thread of its own."""

import threading
from collections.abc import Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.05


class _End:
    """The last thing in the queue: the stage is done, or failed with `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[T], *, depth: int = 1) -> Generator[T, None, None]:
    """Yield `items`, made ahead in a thread, at most `depth` of them waiting.

    An error of `items` is raised here, in its place. Closing the generator (or leaving its loop by an
    exception) stops the thread and closes `items`.
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
    except BaseException as raised:  # noqa: BLE001 - carried to the consumer, which raises it
        error = raised
    finally:
        if isinstance(items, Generator):
            items.close()
    _put(queue, _End(error), stop)


def _put(queue: "Queue[T | _End]", item: T | _End, stop: threading.Event) -> bool:
    """Wait for room; give up (False) when the consumer has gone."""
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
            # a timeout, because a wait without one cannot be interrupted on every platform
            item = queue.get(timeout=_POLL_S)
        except Empty:
            continue
        if isinstance(item, _End):
            if item.error is None:
                return
            try:
                raise item.error
            finally:
                del item  # or the error would hold this frame, and this frame the error
        yield item
