"""Batches: order, failures, cancellation; and one file through the Python interface."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stemsplit import AudioError, OutputError, Separator, SettingsError
from stemsplit.batch import run_jobs, separate_file
from stemsplit.cancel import Cancellation, Cancelled
from stemsplit.inputs import Source
from stemsplit.journal import Journal
from stemsplit.plan import Delivery, Job, Provenance, plan_jobs
from stemsplit.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.song import SongWorker
from tests.cli_support import STEMS, list_files, make_song


@pytest.fixture(scope="module")
def separator(tiny_model: Path) -> Iterator[Separator]:
    """A separator with a tiny model."""
    with Separator(device="cpu", models=[tiny_model], threads=1) as opened:
        yield opened


def make_jobs(*labels: str) -> list[Job]:
    """Jobs without files."""
    return [Job(Source(label, None), {}) for label in labels]


def succeed(job: Job) -> FileResult:
    """Do nothing, well."""
    return FileResult(job.source.label, Status.DONE)


def test_results_come_in_the_order_of_the_jobs() -> None:
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


def test_a_request_to_stop_keeps_what_is_finished() -> None:
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


def test_a_consumer_that_leaves_stops_the_work() -> None:
    cancellation = Cancellation()
    results = run_jobs(make_jobs(*"abcdef"), succeed, cancellation=cancellation)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert cancellation.requested


def test_a_bug_in_one_song_does_not_stop_the_others(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = SongWorker(separator, Delivery(tmp_path))

    def step(job: Job) -> FileResult:
        if job.source.label == "bad":
            raise KeyError("nonsense")
        return succeed(job)

    work = partial(worker.attempt, step=step)
    bad, good = run_jobs(make_jobs("bad", "good"), work, cancellation=Cancellation())
    assert bad.status is Status.FAILED
    assert "nonsense" in (bad.error or "")
    assert "please report" in (bad.error or "")
    assert good.status is Status.DONE
    assert exit_status([bad, good]) is ExitStatus.FAILED
    assert exit_status([good]) is ExitStatus.OK


def test_a_song_that_breaks_off_when_all_is_stopped_has_not_failed(
    separator: Separator, tmp_path: Path
) -> None:
    cancellation = Cancellation()
    worker = SongWorker(separator, Delivery(tmp_path), cancellation=cancellation)

    def step(job: Job) -> FileResult:
        cancellation.request()
        raise AudioError("the pipe ended")

    (job,) = make_jobs("-")
    with pytest.raises(Cancelled):
        worker.attempt(job, step=step)


def test_one_file_into_files(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a song é.wav", seconds=2, seed=3)
    steps: list[int] = []
    result = separate_file(separator, song, tmp_path / "out", bits="32f", progress=steps.append)
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


def test_outputs_that_meet_are_refused(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    with pytest.raises(SettingsError, match="both be written"):
        separate_file(separator, song, tmp_path, name="{track}.{ext}")


def plan(separator: Separator, delivery: Delivery, *songs: Path, **options: Any) -> list[Job]:
    """Plan songs."""
    sources = [Source(str(song), song) for song in songs]
    return plan_jobs(sources, Provenance.of(separator, delivery), delivery, options.get("journal"))


def test_an_output_over_an_input_is_refused(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "vocals.wav")
    (tmp_path / "here").symlink_to(tmp_path)
    delivery = Delivery(tmp_path / "here", overwrite=True)
    for text in ("{stem}.{ext}", "x/{stem}.{ext}"):
        delivery = Delivery(tmp_path / "here", type(delivery.template)(text), overwrite=True)
        if "/" in text:
            assert plan(separator, delivery, song)
        else:
            with pytest.raises(SettingsError, match="over the input"):
                plan(separator, delivery, song)


def test_tag_fields_come_from_the_tags(separator: Separator, tmp_path: Path) -> None:
    import mutagen

    song = make_song(tmp_path / "x.flac")
    tagged = mutagen.File(song)
    tagged["title"], tagged["artist"], tagged["tracknumber"] = "../T?", "A/B", "3/12"
    tagged.save()
    template = "{artist}/{album}/{number} {title} {stem}.{ext}"
    delivery = Delivery(tmp_path, type(Delivery(tmp_path).template)(template))
    (job,) = plan(separator, delivery, song)
    assert job.outputs["bass"] == tmp_path / "A_B/Unknown album/03 .._T_ bass.wav"


def test_resume_redoes_what_differs(separator: Separator, tmp_path: Path) -> None:
    songs = [make_song(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    out = tmp_path / "out"
    journal = Journal(out)

    def run(**changes: Any) -> list[Status]:
        delivery = Delivery(out, resume=True, **changes)
        worker = SongWorker(separator, delivery, Journal(out))
        jobs = plan(separator, delivery, *songs, journal=Journal(out))
        return [worker.attempt(job, step=worker.write_files).status for job in jobs]

    done, skipped = Status.DONE, Status.SKIPPED
    assert not journal.path.exists()
    assert run() == [done, done, done]
    assert run() == [skipped, skipped, skipped]
    (out / "a/bass.wav").unlink()
    make_song(songs[1], seed=9)
    assert run() == [done, done, skipped]
    assert run(bits="24") == [done, done, done]
    assert run() == [done, done, done]


def test_a_kill_after_the_stems_appeared_is_resumed(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = make_song(tmp_path / "a.wav")
    delivery = Delivery(tmp_path / "out", resume=True)

    def run() -> FileResult:
        journal = Journal(tmp_path / "out")
        (job,) = plan(separator, delivery, song, journal=journal)
        worker = SongWorker(separator, delivery, journal)
        return worker.attempt(job, step=worker.write_files)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run()
    assert len(list_files(tmp_path / "out")) == len(STEMS)
    assert run().status is Status.DONE
    assert run().status is Status.SKIPPED


def test_resume_does_not_touch_what_it_did_not_make(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    foreign = tmp_path / "out/a/bass.wav"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    (job,) = plan(separator, Delivery(tmp_path / "out", resume=True), song, journal=Journal(tmp_path / "out"))
    assert job.settled is not None
    assert job.settled.status is Status.FAILED
    assert foreign.read_text() == "mine"
