"""Batches: order, failures, cancellation and resume; and one file through the Python interface."""

import itertools
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stemsplit import AudioError, OutputError, Separator, SettingsError
from stemsplit.audio.reader import AudioReader
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.write_report import WriteReport
from stemsplit.files.atomic import PendingFile
from stemsplit.jobs.batch import run_jobs, separate_file
from stemsplit.jobs.cancellation import Cancellation, Cancelled
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.name_template import NameTemplate
from stemsplit.jobs.output_folder import LocalFolder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_jobs
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.jobs.song_locks import hold_song
from stemsplit.jobs.worker import SongWorker
from stemsplit.types import FloatArray
from tests.support.cli import STEMS, list_files, make_song
from tests.support.external_models import write_waveform


@pytest.fixture(scope="module")
def separator(tiny_model: Path) -> Iterator[Separator]:
    """Open a separator with a tiny model."""
    with Separator(device="cpu", models=[tiny_model], threads=1) as opened:
        yield opened


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


def test_outputs_with_the_same_path_are_rejected(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    with pytest.raises(SettingsError, match="both be written"):
        separate_file(separator, song, tmp_path / "out", name="{track}.{ext}")


def plan(separator: Separator, output: OutputSettings, *songs: Path, **options: Any) -> list[Job]:
    """Plan the jobs of songs."""
    sources = [SongInput(str(song), song) for song in songs]
    return plan_jobs(sources, Provenance.of(separator, output), output, options.get("journal"))


def test_an_output_over_an_input_is_rejected(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "vocals.wav")
    (tmp_path / "here").symlink_to(tmp_path)
    output = OutputSettings(tmp_path / "here", overwrite=True)
    for text in ("{stem}.{ext}", "x/{stem}.{ext}"):
        output = OutputSettings(tmp_path / "here", type(output.template)(text), overwrite=True)
        if "/" in text:
            assert plan(separator, output, song)
        else:
            with pytest.raises(SettingsError, match="over the input"):
                plan(separator, output, song)


def test_an_output_over_an_input_does_not_stop_other_songs(separator: Separator, tmp_path: Path) -> None:
    songs = [make_song(tmp_path / name) for name in ("a.wav", "b.wav", "a - bass.wav")]
    output = OutputSettings(tmp_path, NameTemplate("{track} - {stem}.{ext}"), overwrite=True)
    over, *others = plan(separator, output, *songs)
    assert over.result is not None
    assert over.result.status is Status.FAILED
    assert "over the input" in (over.result.error or "")
    assert [job.result for job in others] == [None, None]


def test_an_output_that_is_another_name_of_an_input_may_be_replaced(
    separator: Separator, tmp_path: Path
) -> None:
    song = make_song(tmp_path / "a.wav")
    stem, link = tmp_path / "out/a/bass.wav", tmp_path / "out/a/drums.wav"
    stem.parent.mkdir(parents=True)
    stem.hardlink_to(song)
    output = OutputSettings(tmp_path / "out", overwrite=True)
    assert plan(separator, output, song)[0].result is None
    link.symlink_to(song)
    with pytest.raises(SettingsError, match=r"drums of .* over the input"):
        plan(separator, output, song)


def test_planning_asks_for_nothing_of_a_song_without_a_folder(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = [make_song(tmp_path / f"{name}.wav") for name in "ab"]
    output = OutputSettings(tmp_path / "out", resume=True)
    journal = Journal(output.storage)
    read: list[str] = []
    monkeypatch.setattr(LocalFolder, "read", lambda _, name: read.append(name))
    assert [job.result for job in plan(separator, output, *songs, journal=journal)] == [None, None]
    assert read == []


def test_tag_fields_are_read_from_the_tags(separator: Separator, tmp_path: Path) -> None:
    import mutagen

    song = make_song(tmp_path / "x.flac")
    tagged = mutagen.File(song)
    tagged["title"], tagged["artist"], tagged["tracknumber"] = "../T?", "A/B", "3/12"
    tagged.save()
    template = "{artist}/{album}/{number} {title} {stem}.{ext}"
    output = OutputSettings(tmp_path, type(OutputSettings(tmp_path).template)(template))
    (job,) = plan(separator, output, song)
    assert job.outputs["bass"] == tmp_path / "A_B/Unknown album/03 .._T_ bass.wav"


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


def test_resume_separates_changed_songs_again(separator: Separator, tmp_path: Path) -> None:
    songs = [make_song(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    out = tmp_path / "out"

    def run(**changes: Any) -> list[Status]:
        output = OutputSettings(out, resume=True, **changes)
        worker = SongWorker(separator, output, journal=Journal(out))
        jobs = plan(separator, output, *songs, journal=Journal(out))
        return [worker.run(job, step=worker.write_files).status for job in jobs]

    done, skipped = Status.DONE, Status.SKIPPED
    assert not (out / ".stemsplit").exists()
    assert run() == [done, done, done]
    assert run() == [skipped, skipped, skipped]
    (out / "a/bass.wav").unlink()
    make_song(songs[1], seed=9)
    assert run() == [done, done, skipped]
    assert run(bits="24") == [done, done, done]
    assert run() == [done, done, done]


def test_a_song_with_a_new_modification_time_is_the_same_if_its_content_is(
    separator: Separator, tmp_path: Path
) -> None:
    song = make_song(tmp_path / "a.wav")
    out = tmp_path / "out"
    assert resume(separator, song, out).status is Status.DONE
    os.utime(song, (1, 1))
    assert resume(separator, song, out).status is Status.SKIPPED
    assert resume(separator, song, out, bits="24").status is Status.DONE
    data = song.read_bytes()
    song.write_bytes(data[:-2] + b"\x12\x34")  # the same size, the same beginning
    assert resume(separator, song, out, bits="24").status is Status.DONE
    os.utime(song, (1, 1))
    assert resume(separator, song, out, bits="24").status is Status.SKIPPED


def test_stems_with_new_modification_times_are_still_ours(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    out = tmp_path / "out"
    assert resume(separator, song, out).status is Status.DONE
    for stem in out.glob("a/*.wav"):
        os.utime(stem, (1, 1))
    assert resume(separator, song, out, bits="24").status is Status.DONE


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_song_that_another_run_holds_is_waited_for(
    separator: Separator, tmp_path: Path, is_finished: bool
) -> None:
    songs = [make_song(tmp_path / name) for name in ("a.wav", "b.wav")]
    out = tmp_path / "out"
    output = OutputSettings(out, resume=True)
    journal = Journal(out)
    jobs = plan(separator, output, *songs, journal=journal)
    worker = SongWorker(separator, output, journal=journal, waits=False)
    release, held = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_song(out, jobs[0].name):
            held.set()
            assert release.wait(20)
            if is_finished:
                SongWorker(separator, output, journal=journal)._write_files(jobs[0])

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(20)
    work = partial(worker.run, step=worker.write_files)
    results = []
    for result in run_jobs(jobs, work, cancellation=Cancellation()):
        results.append((Path(result.input).name, result.status))
        release.set()
    other.join()
    # the other song comes first
    assert results == [
        ("b.wav", Status.DONE),
        ("a.wav", Status.SKIPPED if is_finished else Status.DONE),
    ]


def test_a_run_that_waits_can_be_cancelled(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    out = tmp_path / "out"
    output, cancellation = OutputSettings(out, resume=True), Cancellation()
    (job,) = plan(separator, output, song, journal=Journal(out))
    worker = SongWorker(separator, output, journal=Journal(out), cancellation=cancellation)
    threading.Timer(0.3, cancellation.request).start()
    with hold_song(out, job.name), pytest.raises(Cancelled):
        worker.run(job, step=worker.write_files)
    assert not out.exists()


def test_a_kill_after_the_stems_appeared_is_resumed(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = make_song(tmp_path / "a.wav")
    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        resume(separator, song, out)
    assert len(list_files(out)) == len(STEMS)
    assert resume(separator, song, out).status is Status.DONE
    assert resume(separator, song, out).status is Status.SKIPPED


def resume(separator: Separator, song: Path, out: Path, **changes: Any) -> FileResult:
    """Separate a song as the command does with --resume."""
    journal, output = Journal(out), OutputSettings(out, resume=True, **changes)
    (job,) = plan(separator, output, song, journal=journal)
    worker = SongWorker(separator, output, journal=journal)
    return worker.run(job, step=worker.write_files)


@pytest.mark.parametrize("bits", ["16", "24"])
def test_a_kill_between_two_names_is_resumed(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str
) -> None:
    song = make_song(tmp_path / "a.wav")
    out = tmp_path / "out"
    if bits == "24":  # the run that is killed replaces the stems of an earlier one
        assert resume(separator, song, out).status is Status.DONE
    place = PendingFile.place

    def place_or_die(pending: PendingFile) -> None:
        place(pending)
        if pending.path.name.startswith("drums"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PendingFile, "place", place_or_die)
        patch.setattr(PendingFile, "withdraw", lambda _: None)
        resume(separator, song, out, bits=bits)
    assert (out / "a/drums.wav").exists()
    assert resume(separator, song, out, bits=bits).status is Status.DONE
    assert {soundfile.info(path).subtype for path in out.glob("a/*.wav")} == {f"PCM_{bits}"}
    assert resume(separator, song, out, bits=bits).status is Status.SKIPPED


@pytest.mark.parametrize("text", ["mine", "m" * 44100])
def test_resume_keeps_a_stem_that_was_edited(separator: Separator, tmp_path: Path, text: str) -> None:
    song = make_song(tmp_path / "a.wav")
    edited = tmp_path / "out/a/vocals.wav"
    assert resume(separator, song, tmp_path / "out").status is Status.DONE
    edited.write_text(text)
    result = resume(separator, song, tmp_path / "out")
    assert result.status is Status.FAILED
    assert str(edited) in (result.error or "")
    assert "move it away, or replace it with --overwrite" in (result.error or "")
    assert edited.read_text() == text
    assert resume(separator, song, tmp_path / "out", overwrite=True).status is Status.DONE


def test_resume_keeps_a_foreign_file_that_appeared_during_the_earlier_run(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = make_song(tmp_path / "a.wav")
    foreign = tmp_path / "out/a/bass.wav"
    complete = StemSet.complete

    def complete_and_meet(stems: StemSet) -> WriteReport:
        foreign.write_text("mine")
        return complete(stems)

    with monkeypatch.context() as patch:
        patch.setattr(StemSet, "complete", complete_and_meet)
        assert resume(separator, song, tmp_path / "out").status is Status.FAILED
    assert resume(separator, song, tmp_path / "out").status is Status.FAILED
    assert foreign.read_text() == "mine"
    assert list_files(tmp_path / "out") == ["a/bass.wav"]


def test_resume_keeps_a_stem_that_is_edited_during_the_run(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = make_song(tmp_path / "a.wav")
    edited = tmp_path / "out/a/bass.wav"
    assert resume(separator, song, tmp_path / "out").status is Status.DONE
    complete = StemSet.complete

    def complete_and_meet(stems: StemSet) -> WriteReport:
        edited.write_text("mine")
        return complete(stems)

    monkeypatch.setattr(StemSet, "complete", complete_and_meet)
    result = resume(separator, song, tmp_path / "out", bits="24")
    assert "no longer, as stemsplit wrote it" in (result.error or "")
    assert edited.read_text() == "mine"
    assert {soundfile.info(tmp_path / f"out/a/{stem}.wav").subtype for stem in ("vocals", "other")} == {
        "PCM_16"
    }


def test_resume_keeps_foreign_files(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    foreign = tmp_path / "out/a/bass.wav"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    (job,) = plan(
        separator, OutputSettings(tmp_path / "out", resume=True), song, journal=Journal(tmp_path / "out")
    )
    assert job.result is not None
    assert job.result.status is Status.FAILED
    assert foreign.read_text() == "mine"
