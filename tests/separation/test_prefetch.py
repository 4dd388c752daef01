"""Prefetching in threads: order, exceptions, and threads that end when the consumer stops."""

import threading
import time
from collections.abc import Iterator

import pytest

from stemsplit.separation.prefetch import prefetch


def test_order_is_kept() -> None:
    assert list(prefetch(prefetch(range(100)), depth=3)) == list(range(100))


def test_exception_is_raised_after_the_items_before_it() -> None:
    def stage() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = prefetch(stage())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_no_more_than_depth_items_wait() -> None:
    made: list[int] = []

    def stage() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = prefetch(stage(), depth=2)
    next(items)
    time.sleep(0.3)
    assert len(made) <= 5
    items.close()


def test_closing_stops_the_threads_and_closes_the_stages() -> None:
    closed: list[str] = []

    def stage(name: str, source: Iterator[int]) -> Iterator[int]:
        try:
            yield from source
        finally:
            closed.append(name)

    before = threading.active_count()
    items = prefetch(stage("second", prefetch(stage("first", iter(range(1000))))))
    next(items)
    items.close()
    assert sorted(closed) == ["first", "second"]
    assert threading.active_count() == before
