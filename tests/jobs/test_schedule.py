"""The schedule of a cluster, with workers that start, die and never start, in this process."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.plan import Job
from stemsplit.jobs.progress import NoProgress
from stemsplit.jobs.result import FileResult, Status
from stemsplit.jobs.schedule import Call, Schedule


class ActorError(Exception):
    """A worker has died."""


class FakePool:
    """Workers that do in this process what a test wants; the `stuck` ones never become ready."""

    class exceptions:  # noqa: N801 - the name of Ray's module
        RayError = ActorError
        RayActorError = ActorError

    def __init__(self, n_workers: int, separate: Callable[[Job], Any], *, stuck: int = 0) -> None:
        self.ray: Any = self
        self.n_workers, self._separate, self._n_stuck = n_workers, separate, stuck
        self.n_started = self.n_discarded = 0
        self.start: Callable[[], None] = lambda: None
        self._calls: dict[Call, Callable[[], Any]] = {}

    def start_worker(self) -> Any:
        self.n_started += 1
        worker: Any = type("FakeWorker", (), {})()
        worker.separate = lambda job, _: self._separate(job)
        worker.wait_until_ready = self.start if self.n_started > self._n_stuck else None
        return worker

    def discard(self, worker: Any) -> None:  # noqa: ARG002 - of a pool
        self.n_discarded += 1

    def call(self, method: Any, *args: Any) -> Call:
        call = Call()
        if method is not None:
            self._calls[call] = lambda: method(*args)
        return call

    def wait(self, timeout_s: float) -> list[Call]:
        assert timeout_s > 0
        if not self._calls:
            return []
        ended, work = self._calls.popitem()
        try:
            ended.set_result(work())
        except ActorError as error:
            ended.set_exception(error)
        return [ended]


def done(job: Job) -> FileResult:
    return FileResult(job.source.label, Status.DONE)


def run(pool: FakePool, *names: str, retries: int = 2) -> list[FileResult]:
    jobs = (Job(SongInput(name, Path(name)), {}) for name in names)
    schedule = Schedule(pool, retries, Path("out"), Cancellation(), NoProgress())
    return list(schedule.run(jobs))


def test_results_are_in_order_and_workers_are_used_again() -> None:
    pool = FakePool(2, done)
    assert [result.input for result in run(pool, *"abcdef")] == [*"abcdef"]
    assert pool.n_started == 2


def test_a_worker_that_never_starts_holds_no_song() -> None:
    pool = FakePool(3, done, stuck=2)
    assert {result.status for result in run(pool, *"abcdef")} == {Status.DONE}
    assert pool.n_started == 3


def test_a_song_whose_workers_die_fails_and_no_other() -> None:
    calls: Counter[str] = Counter()

    def separate(job: Job) -> FileResult:
        calls[job.source.label] += 1
        if job.source.label == "poison" or calls["once"] == 1:
            raise ActorError("killed")
        return done(job)

    pool = FakePool(2, separate)
    statuses = {result.input: result.status for result in run(pool, "once", "poison", "good")}
    assert statuses == {"once": Status.DONE, "poison": Status.FAILED, "good": Status.DONE}
    assert calls["poison"] == 3
    assert pool.n_discarded == 4


@pytest.mark.timeout(20)
def test_workers_that_cannot_start_fail_every_song_by_name() -> None:
    pool = FakePool(2, done)

    def fail() -> None:
        raise ActorError("no such model")

    pool.start = fail
    results = run(pool, *"abc", retries=1)
    assert [(result.input, result.status) for result in results] == [(n, Status.FAILED) for n in "abc"]
    assert all("no such model" in (result.error or "") for result in results)
