"""Work ahead: a function mapped over a stream by several threads, with results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], n_ahead: int) -> Iterator[R]:
    """Yield ``function(item)`` for every item, in order, while the next `n_ahead` are in progress.

    >>> list(map_ahead(abs, [-1, -2, -3], 2))
    [1, 2, 3]
    """
    remaining = iter(items)
    futures: deque[Future[R]] = deque()
    with ThreadPoolExecutor(n_ahead, thread_name_prefix="ahead") as pool:
        try:
            while True:
                new = islice(remaining, n_ahead - len(futures))
                futures.extend(pool.submit(function, item) for item in new)
                if not futures:
                    return
                yield futures.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
