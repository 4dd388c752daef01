"""Batches: order, failures and cancellation; one file through the Python interface; named pipes."""

import itertools
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit import AudioError, OutputError, Separator
from stemsplit.audio.reader import AudioReader
from stemsplit.jobs.batch import run_jobs, separate_file
from stemsplit.jobs.cancellation import Cancellation, Cancelled
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.name_template import NameTemplate
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.jobs.worker import SongWorker
from stemsplit.types import FloatArray
from tests.support.cli import STEMS, list_files, make_song
from tests.support.external_models import write_waveform
from tests.support.jobs import plan, resume


def make_jobs(*labels: str) -> list[Job]:
    """Return jobs without files."""
    return [Job(SongInput(label, None), {}) for label in labels]


def succeed(job: Job) -> FileResult:
    """Return a result without doing anything."""
    return FileResult(job.source.label, Status.DONE)


def test_results_are_in_the_order_of_the_jobs() -> None:
    second_done = threading.Event()

    def work(job: Job) -> FileResult:
        if job.source.label == "first":
            assert second_done.wait(5)
        else:
            second_done.set()
        return succeed(job)

    jobs = make_jobs("first", "second", "third")
    results = run_jobs(jobs, work, cancellation=Cancellation(), n_jobs=2)
    assert [result.input for result in results] == ["first", "second", "third"]


def test_a_cancelled_run_keeps_finished_songs() -> None:
    cancellation = Cancellation()

    def work(job: Job) -> FileResult:
        cancellation.check()
        if job.source.label == "b":
            cancellation.request(ExitStatus.TERMINATED)
            cancellation.check()
        return succeed(job)

    results = list(run_jobs(make_jobs("a", "b", "c"), work, cancellation=cancellation))
    assert [result.input for result in results] == ["a"]
    assert cancellation.status is ExitStatus.TERMINATED


def test_a_first_pass_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancellation, n_read = Cancellation(), itertools.count(1)

    def blocks(_: AudioReader) -> Iterator[FloatArray]:
        for number in itertools.islice(n_read, 1000):
            if number == 3:
                cancellation.request()
            yield np.zeros((2, 1000), np.float32)

    monkeypatch.setattr(AudioReader, "blocks", blocks)
    job = Job(SongInput("a.wav", make_song(tmp_path / "a.wav")), {"vocals": tmp_path / "out" / "vocals.wav"})
    with Separator(["vocals"], models=[write_waveform(tmp_path)], device="cpu", threads=1) as opened:
        worker = SongWorker(opened, OutputSettings(tmp_path / "out"), cancellation=cancellation)
        with pytest.raises(Cancelled):
            worker.run(job, step=worker.write_files)
    assert next(n_read) == 4
    assert not (tmp_path / "out").exists()


def test_closing_the_results_cancels_the_jobs() -> None:
    cancellation = Cancellation()
    results = run_jobs(make_jobs(*"abcdef"), succeed, cancellation=cancellation)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert cancellation.requested


def test_a_bug_in_one_song_does_not_stop_the_others(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = SongWorker(separator, OutputSettings(tmp_path))

    def step(job: Job) -> FileResult:
        if job.source.label == "bad":
            raise KeyError("nonsense")
        return succeed(job)

    work = partial(worker.run, step=step)
    bad, good = run_jobs(make_jobs("bad", "good"), work, cancellation=Cancellation())
    assert bad.status is Status.FAILED
    assert "nonsense" in (bad.error or "")
    assert "please report" in (bad.error or "")
    assert good.status is Status.DONE
    assert exit_status([bad.status, good.status]) is ExitStatus.FAILED
    assert exit_status([good.status]) is ExitStatus.OK


def test_a_song_truncated_by_a_cancelled_run_has_not_failed(separator: Separator, tmp_path: Path) -> None:
    cancellation = Cancellation()
    worker = SongWorker(separator, OutputSettings(tmp_path), cancellation=cancellation)

    def step(job: Job) -> FileResult:
        cancellation.request()
        raise AudioError("the pipe ended")

    (job,) = make_jobs("-")
    with pytest.raises(Cancelled):
        worker.run(job, step=step)


def test_one_file_into_files(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a song é.wav", seconds=2, seed=3)
    steps: list[int] = []
    result = separate_file(
        separator, song, tmp_path / "out", bits="32f", progress=lambda done, _: steps.append(done)
    )
    assert result.status is Status.DONE
    assert list(result.outputs) == list(STEMS)
    assert result.n_samples == steps[-1] == 2 * 44100
    assert steps == sorted(steps)
    mixture, _ = soundfile.read(song, dtype="float32")
    total = sum(
        soundfile.read(path, dtype="float32")[0].astype(np.float64) for path in result.outputs.values()
    )
    assert np.abs(total - mixture).max() < 1e-5
    assert list_files(tmp_path / "out") == sorted(f"a song é/{stem}.wav" for stem in STEMS)


def test_one_file_that_exists_is_an_error_and_kept(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/drums.wav").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        separate_file(separator, song, tmp_path)
    assert (tmp_path / "a/drums.wav").read_text() == "mine"
    assert not (tmp_path / "a/vocals.wav").exists()
    separate_file(separator, str(song), str(tmp_path), overwrite=True)
    assert (tmp_path / "a/vocals.wav").exists()


@pytest.mark.parametrize("template", ["{track}/{stem}.{ext}", "{title}/{stem}.{ext}"])
def test_a_named_pipe_is_read_while_it_is_written(
    separator: Separator, tmp_path: Path, template: str
) -> None:
    pipe, song = tmp_path / "a.wav", make_song(tmp_path / "b.wav")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(song.read_bytes()), daemon=True)
    writer.start()
    result = resume(separator, pipe, tmp_path / "out", template=NameTemplate(template))
    writer.join()
    assert result.status is Status.DONE, result.error
    expected = resume(separator, song, tmp_path / "out")
    assert result.outputs["bass"].read_bytes() == expected.outputs["bass"].read_bytes()


def test_a_named_pipe_without_a_writer_can_be_cancelled(separator: Separator, tmp_path: Path) -> None:
    pipe, cancellation = tmp_path / "a.wav", Cancellation()
    os.mkfifo(pipe)
    output = OutputSettings(tmp_path / "out")
    (job,) = plan(separator, output, pipe)
    worker = SongWorker(separator, output, cancellation=cancellation)
    threading.Timer(0.3, cancellation.request).start()
    with pytest.raises(Cancelled):
        worker.run(job, step=worker.write_files)
    assert not (tmp_path / "out").exists()
