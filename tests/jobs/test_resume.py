"""Resume: what is separated again, what is skipped, waited for or kept."""

import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import soundfile

from stemsplit import Separator
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.write_report import WriteReport
from stemsplit.files.pending import PendingFile
from stemsplit.jobs.batch import run_jobs
from stemsplit.jobs.cancellation import Cancellation, Cancelled
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.result import Status
from stemsplit.jobs.song_locks import hold_song
from stemsplit.jobs.worker import SongWorker
from tests.support.cli import STEMS, list_files, make_song
from tests.support.jobs import plan, resume


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
