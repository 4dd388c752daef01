"""Planning: what is named, what may be replaced, and what is asked of a song."""

from pathlib import Path

import pytest

from stemsplit import Separator, SettingsError
from stemsplit.jobs.batch import separate_file
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.name_template import NameTemplate
from stemsplit.jobs.output_folder import LocalFolder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.result import Status
from tests.support.cli import make_song
from tests.support.jobs import plan


def test_outputs_with_the_same_path_are_rejected(separator: Separator, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    with pytest.raises(SettingsError, match="both be written"):
        separate_file(separator, song, tmp_path / "out", name="{track}.{ext}")


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
