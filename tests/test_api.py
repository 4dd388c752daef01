"""The Python API: arrays and files, keywords, presets, integers, progress, pickling, types."""

import asyncio
import inspect
import pickle
import pydoc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import stemsplit
from stemsplit import AudioError, FileResult, Separator, SettingsError, Stems, separate, sum_stems
from stemsplit.separation.keywords import SEPARATOR_KEYWORDS
from tests.conftest import make_noise
from tests.support.cli import STEMS, make_song

RATE = 44100


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A second of noise."""
    return make_song(tmp_path / "song.wav")


def test_a_file_becomes_arrays_or_files(song: Path, tiny_model: Path, tmp_path: Path) -> None:
    stems = separate(song, models=[tiny_model])
    assert isinstance(stems, Stems)
    assert (list(stems), stems.sample_rate) == (list(STEMS), RATE)
    mixture = soundfile.read(song, dtype="float32")[0].T
    assert abs(sum_stems(stems) - mixture).max() < 1e-5
    same = separate(mixture, RATE, models=[tiny_model])
    assert all((stems[name] == same[name]).all() for name in STEMS)
    result = separate(str(song), output_dir=tmp_path / "out", format="flac", models=[tiny_model])
    assert isinstance(result, FileResult)
    assert result.outputs["vocals"] == tmp_path / "out" / "song" / "vocals.flac"


def test_an_excerpt_is_exact_to_the_sample(song: Path, tiny_model: Path, tmp_path: Path) -> None:
    mixture = soundfile.read(song, dtype="float32")[0].T
    for chosen in ({"start_s": 0.25, "end_s": 0.75}, {"start_s": 0.25, "duration_s": 0.5}):
        stems = separate(song, models=[tiny_model], **chosen)
        assert abs(sum_stems(stems) - mixture[:, 11025:33075]).max() < 1e-5
        made = separate(song, output_dir=tmp_path / str(chosen), models=[tiny_model], **chosen)
        assert (made.n_samples, made.settings["start_s"], made.settings["end_s"]) == (22050, 0.25, 0.75)
    with pytest.raises(AudioError, match=r"the excerpt begins at 1\.500 s"):
        separate(song, models=[tiny_model], start_s=1.5)
    with pytest.raises(AudioError, match=r"the excerpt at 0\.500 s holds no sample"):
        separate(song, models=[tiny_model], start_s=0.5, end_s=0.50001)


def test_a_salvaged_song_has_a_note(song: Path, tiny_model: Path, tmp_path: Path) -> None:
    song.write_bytes(song.read_bytes()[:-20_000])
    with pytest.raises(AudioError, match="truncated"):
        separate(song, models=[tiny_model])
    stems = separate(song, models=[tiny_model], salvage=True)
    assert "truncated" in stems.notes[0]
    assert pickle.loads(pickle.dumps(stems)).notes == stems.notes
    made = separate(song, output_dir=tmp_path / "out", models=[tiny_model], salvage=True)
    assert "truncated" in (made.note or "")


def test_stems_print_as_one_line_and_can_be_sent(tiny_model: Path) -> None:
    stems = separate(make_noise(2, RATE), RATE, stems=["drums"], models=[tiny_model])
    assert repr(stems) == "<Stems drums: 2 channels, 1.0 s at 44100 Hz>"
    sent = pickle.loads(pickle.dumps(stems))
    assert (sent.sample_rate, list(sent)) == (RATE, ["drums"])
    with pytest.raises(AudioError, match="0 shapes"):
        sum_stems({})


def test_a_wrong_keyword_is_a_settings_error(song: Path, tiny_model: Path) -> None:
    wrong: dict[str, Any] = {"stms": ["vocals"]}
    for call in (lambda: separate(song, **wrong), lambda: Separator(**wrong)):
        with pytest.raises(SettingsError, match="unknown setting 'stms'; did you mean 'stems'"):
            call()
    with pytest.raises(SettingsError, match="did you mean 'overwrite'"):
        separate(song, output_dir="out", **{"overwite": True})  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="format is for files; give output_dir"):
        separate(song, format="flac")  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="leave sample_rate out"):
        separate(song, RATE)  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="not written to files; leave output_dir out"):
        separate(make_noise(1, 100), RATE, output_dir="out")  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="not read from a file; leave start_s, salvage out"):
        separate(make_noise(1, 100), RATE, start_s=1.0, salvage=True)  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="exclude each other"):
        separate(song, end_s=1.0, duration_s=1.0)
    with pytest.raises(SettingsError, match="needs its sample_rate"):
        separate(make_noise(1, 100))  # type: ignore[call-overload]


def test_every_keyword_is_shown_typed_and_described() -> None:
    parameters = inspect.signature(Separator).parameters
    assert tuple(name for name in parameters if name != "unknown") == SEPARATOR_KEYWORDS
    shown = inspect.signature(separate).parameters
    assert set(SEPARATOR_KEYWORDS) <= set(shown) and "settings" not in shown
    described = (separate.__doc__ or "") + (Separator.__doc__ or "")
    assert [name for name in shown if name not in described] == []


def test_a_preset_can_be_overridden(tiny_model: Path, own_folders: Path) -> None:
    (own_folders / "config").mkdir()
    text = (
        f'[mine]\nmodels = ["{tiny_model}"]\nstems = ["vocals"]\nwiener = 2\nchunk = 1.5\nformat = "flac"\n'
    )
    (own_folders / "config" / "presets.toml").write_text(text, encoding="utf-8")
    separator = Separator.from_preset("mine")
    assert separator.stems == ("vocals",)
    assert (separator.settings.wiener, separator.settings.chunk_s) == (2, 1.5)
    assert Separator.from_preset("mine", wiener=0, karaoke="bass").stems == ("bass", "no_bass")
    assert list(separate(make_noise(1, RATE), RATE, preset="mine")) == ["vocals"]
    with pytest.raises(SettingsError, match="has no preset 'minne'; did you mean 'mine'"):
        Separator.from_preset("minne")


def test_the_format_of_a_preset_is_for_files(
    song: Path, tiny_model: Path, tmp_path: Path, own_folders: Path
) -> None:
    (own_folders / "config").mkdir()
    (own_folders / "config" / "presets.toml").write_text('[small]\nformat = "ogg"\n', encoding="utf-8")
    made = separate(song, output_dir=tmp_path / "a", preset="small", models=[tiny_model], stems=["bass"])
    assert made.outputs["bass"].suffix == ".ogg"


@pytest.mark.parametrize("kind", ["int16", "int32", "uint8"])
def test_integers_are_scaled_by_their_type(kind: str, tiny_model: Path) -> None:
    noise = make_noise(2, RATE)
    zero, full = {"int16": (0, 2**15), "int32": (0, 2**31), "uint8": (128, 2**7)}[kind]
    whole = np.round(noise.astype(np.float64) * full + zero).astype(kind)
    mixture = sum_stems(separate(whole, RATE, models=[tiny_model]))
    assert abs(mixture - noise).max() < 1 / full + 1e-5


@pytest.mark.parametrize("kind", ["int64", "uint16", "bool", "complex64"])
def test_what_has_no_full_scale_is_refused(kind: str, tiny_model: Path) -> None:
    with pytest.raises(AudioError, match=f"a waveform of {kind} has no known full scale"):
        separate(np.ones((1, 1000), dtype=kind), RATE, models=[tiny_model])
    with Separator(models=[tiny_model]) as separator, pytest.raises(AudioError, match="floating point"):
        list(separator.stream([np.ones((1, 1000), dtype=kind)], sample_rate=RATE, n_channels=1))


def test_progress_has_a_total(song: Path, tiny_model: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    def note(done: int, total: int | None) -> None:
        seen.append((done, total))

    separate(song, models=[tiny_model], progress=note)
    separate(song, output_dir=tmp_path / "out", models=[tiny_model], progress=note)
    separate(make_noise(1, RATE), RATE, models=[tiny_model], progress=note)
    assert seen.count((RATE, RATE)) == 3
    assert {total for _, total in seen} == {RATE}


def test_it_can_be_awaited(song: Path, tiny_model: Path) -> None:
    async def main() -> tuple[Stems, list[int]]:
        loop, seen = asyncio.get_running_loop(), list[int]()

        def note(done: int, _total: int | None) -> None:
            loop.call_soon_threadsafe(seen.append, done)

        stems = await asyncio.to_thread(separate, song, models=[tiny_model], progress=note)
        return stems, seen

    stems, seen = asyncio.run(main())
    assert list(stems) == list(STEMS) and seen[-1] == RATE


def test_a_separator_is_sent_by_its_settings(tiny_model: Path) -> None:
    separator = Separator(["drums"], models=[tiny_model], device="cpu", wiener=1)
    sent = pickle.loads(pickle.dumps(separator))
    assert (sent.stems, sent.settings, sent.device) == (separator.stems, separator.settings, "cpu")
    noise = make_noise(2, RATE)
    assert (sent(noise, RATE)["drums"] == separator(noise, RATE)["drums"]).all()


def test_models_and_separators_print_as_one_line(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    (model,) = map(repr, separator.models)
    assert model.startswith("<Model tiny 1: vocals, drums, bass, other; ") and "\n" not in model
    assert repr(separator) == "<Separator vocals, drums, bass, other with tiny on cpu>"


def test_help_lists_what_there_is() -> None:
    shown = pydoc.plain(pydoc.render_doc(stemsplit))
    for name in set(stemsplit.__all__) - {"__version__"}:
        assert name in shown and name in dir(stemsplit)
        assert getattr(stemsplit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'separat'"):
        stemsplit.separat  # type: ignore[attr-defined]  # noqa: B018
