"""The separator: streaming equals offline, exact lengths, conservation, seamless chunks, clear errors."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from stemsplit import Separator, separate
from stemsplit.dsp.blocks import Fifo, regroup
from stemsplit.dsp.channels import group_channels
from stemsplit.errors import AudioError, ModelError, OutputError, SettingsError
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.spec import OVERLAP_S
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.support.cli import make_song
from tests.support.external_models import write_ratio
from tests.support.marks import slow_but
from tests.support.tiny_models import TARGETS, make_spec, write_model

SONG = Path(__file__).parents[2] / "examples" / "caesium.mp3"


def stream(separator: Separator, mixture: FloatArray, block: int, sample_rate: int) -> dict[str, FloatArray]:
    blocks = (mixture[:, at : at + block] for at in range(0, mixture.shape[1], block))
    parts = list(separator.stream(blocks, sample_rate=sample_rate, n_channels=len(mixture)))
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in separator.stems}


@pytest.mark.parametrize("sample_rate", [44100, 48000, 22050])
@pytest.mark.parametrize("block", slow_but([1, 4097], [1, 100, 4097, 65536]))
def test_output_does_not_depend_on_blocks(tiny_model: Path, sample_rate: int, block: int) -> None:
    mixture = make_noise(2, 4000 if block == 1 else 100_000)
    separator = Separator(models=[tiny_model], device="cpu")
    whole = separator(mixture, sample_rate)
    for name, samples in stream(separator, mixture, block, sample_rate).items():
        np.testing.assert_array_equal(samples, whole[name])


@pytest.mark.parametrize("sample_rate", slow_but([8000, 96000], [8000, 22050, 44100, 48000, 96000, 192000]))
@pytest.mark.parametrize("n_channels", slow_but([1, 2, 6], [1, 2, 3, 6, 8]))
@pytest.mark.parametrize("n_samples", slow_but([1, 30011], [1, 2, 500, 30011]))
def test_stems_have_the_mixtures_shape_and_sum_to_it(
    tiny_model: Path, sample_rate: int, n_channels: int, n_samples: int
) -> None:
    mixture = make_noise(n_channels, n_samples)
    stems = Separator(models=[tiny_model], device="cpu")(mixture, sample_rate)
    assert tuple(stems) == TARGETS
    assert all(samples.shape == mixture.shape for samples in stems.values())
    error = np.abs(sum(stems.values()) - mixture).max()
    assert error < 10 ** (-110 / 20) * np.abs(mixture).max()


@pytest.mark.parametrize(
    "settings",
    [
        {"stems": ["drums"], "residual": True},
        {"stems": ["other", "bass"], "residual": True},
        {"karaoke": "vocals"},
        {"karaoke": "other"},
        {"wiener": 1},
    ],
    ids=str,
)
def test_every_completed_set_sums_to_the_mixture(tiny_model: Path, settings: dict[str, object]) -> None:
    mixture = make_noise(2, 60_000)
    stems = Separator(models=[tiny_model], device="cpu", **settings)(mixture, 48000)  # type: ignore[arg-type]
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-6


def test_separate_models_sum_to_the_mixture_by_a_residual(tiny_model: Path, vocals_model: Path) -> None:
    mixture = make_noise(2, 60_000)
    separator = Separator(models=[vocals_model, tiny_model], device="cpu", wiener=1)
    stems = separator(mixture, 44100)
    assert separator.stems == ("vocals", "drums", "bass", "other", "residual")
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-6


def test_a_stem_does_not_depend_on_the_other_requested_stems(tiny_model: Path) -> None:
    mixture = make_noise(2, 60_000)
    whole = Separator(models=[tiny_model], device="cpu")(mixture, 44100)
    for name in TARGETS:
        alone = Separator([name], models=[tiny_model], device="cpu")(mixture, 44100)
        np.testing.assert_allclose(alone[name], whole[name], atol=1e-6)


@pytest.mark.parametrize(
    ("chunk_s", "overlap_s"),
    slow_but([(0.1, 0.04), (1, None)], [(0.1, 0.04), (0.5, 0.1), (3, 0), (1, None), (2, 1)]),
)
def test_chunks_leave_no_seam(tiny_model: Path, chunk_s: float, overlap_s: float | None) -> None:
    mixture = make_noise(2, 200_000)
    single = Separator(models=[tiny_model], device="cpu", chunk_s=600)(mixture, 44100)
    cut = Separator(models=[tiny_model], device="cpu", chunk_s=chunk_s, overlap_s=overlap_s)(mixture, 44100)
    for name in TARGETS:
        assert np.abs(cut[name] - single[name]).max() < 1e-4 * np.abs(single[name]).max()


@pytest.fixture(scope="module")
def streamed_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a state that is handed on from chunk to chunk."""
    return write_model(tmp_path_factory.mktemp("streamed") / "tiny.onnx", make_spec(delay_frames=3))


@pytest.mark.parametrize("n_samples", [1, 300, 44_100, 44_900, 200_000])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"chunk_s": 0.1, "overlap_s": 0.04},
        {"chunk_s": 0.1, "overlap_s": 0},
        {"chunk_s": 1, "batch_size": 4},
        {"wiener": 1},
    ],
    ids=str,
)
def test_a_state_changes_nothing_but_the_time(
    tiny_model: Path, streamed_model: Path, n_samples: int, settings: dict[str, Any]
) -> None:
    mixture = make_noise(2, n_samples)
    apart, streamed = (
        Separator(models=[model], device="cpu", **settings)(mixture, 44100)
        for model in (tiny_model, streamed_model)
    )
    for name in TARGETS:
        np.testing.assert_allclose(streamed[name], apart[name], atol=2e-6)


@pytest.mark.parametrize("n_channels", [1, 3, 6])
def test_a_state_is_kept_for_each_group_of_channels(
    tiny_model: Path, streamed_model: Path, n_channels: int
) -> None:
    mixture = make_noise(n_channels, 100_000)
    apart, streamed = (
        Separator(models=[model], device="cpu")(mixture, 44100) for model in (tiny_model, streamed_model)
    )
    for name in TARGETS:
        np.testing.assert_allclose(streamed[name], apart[name], atol=2e-6)


def test_no_frame_goes_through_a_network_with_a_state_twice(
    streamed_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    run = MaskModel._run

    def count(self: MaskModel, mixture: FloatArray, *state: FloatArray) -> tuple[FloatArray, ...]:
        lengths.append(mixture.shape[-1])
        return run(self, mixture, *state)

    monkeypatch.setattr(MaskModel, "_run", count)
    n_frames = 700
    Separator(models=[streamed_model], device="cpu")(make_noise(2, n_frames * 256), 44100)
    assert len(lengths) > 5
    assert lengths[0] < lengths[1]  # the network begins as soon as it may
    # one more for the last samples of the song, and the delay
    assert sum(lengths) == n_frames + 1 + 3


def test_the_bundled_network_does_not_depend_on_chunks() -> None:
    mixture = soundfile.read(SONG, frames=12 * 44100, dtype="float32")[0].T
    short, long = (Separator(device="cpu", chunk_s=chunk_s)(mixture, 44100) for chunk_s in (1, 60))
    for name, samples in long.items():
        np.testing.assert_allclose(short[name], samples, atol=1e-5)


def test_songs_at_the_same_time_keep_their_states_apart(streamed_model: Path) -> None:
    songs = [make_noise(2, 150_000), 0.1 * make_noise(2, 150_000)[:, ::-1]]
    with Separator(models=[streamed_model], device="cpu") as separator:
        alone = [separator(song, 44100) for song in songs]
        streams = [separator.stream([song], sample_rate=44100, n_channels=2) for song in songs]
        blocks = [list(each) for each in zip(*streams, strict=True)]
    for index, stems in enumerate(alone):
        joined = np.concatenate([block[index]["drums"] for block in blocks], axis=-1)
        np.testing.assert_array_equal(joined, stems["drums"])


def test_context_too_short_would_leave_seams(tmp_path: Path) -> None:
    """The test above can fail: a model whose metadata understate its context leaves seams."""
    path = write_model(tmp_path / "understated.onnx", make_spec(n_context=3))
    import onnx

    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, make_spec(n_context=0).to_metadata())
    onnx.save(graph, str(path))
    mixture = make_noise(2, 100_000)
    single = Separator(models=[path], device="cpu", chunk_s=600)(mixture, 44100)
    cut = Separator(models=[path], device="cpu", chunk_s=0.1, overlap_s=0)(mixture, 44100)
    assert np.abs(cut["drums"] - single["drums"]).max() > 1e-3


@pytest.mark.slow
def test_batches_change_nothing(tiny_model: Path) -> None:
    mixture = make_noise(6, 150_000)
    one = Separator(models=[tiny_model], device="cpu")(mixture, 44100)
    four = Separator(models=[tiny_model], device="cpu", batch_size=4)(mixture, 44100)
    for name in TARGETS:
        np.testing.assert_allclose(four[name], one[name], atol=1e-6)


def test_batches_have_at_most_the_requested_size(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu", batch_size=3)
    sizes: list[int] = []
    session = separator._models[0]._session  # type: ignore[union-attr]
    run = session._run

    def spy(arrays: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        sizes.append(len(arrays[0]))
        return run(arrays)

    session._run = spy  # type: ignore[method-assign]
    separator(make_noise(2, 300_000), 44100)
    assert max(sizes) == 3


def test_wiener_filter_models_the_remainder_of_the_masks(vocals_model: Path) -> None:
    mixture = make_noise(1, 50_000)
    plain, filtered = (
        Separator(["vocals"], models=[vocals_model], device="cpu", wiener=n)(mixture, 44100)["vocals"]
        for n in (0, 1)
    )
    assert np.mean(filtered**2) < 0.9 * np.mean(mixture**2)
    assert np.mean(filtered**2) > 0.1 * np.mean(plain**2)


def test_mono_is_the_same_as_two_equal_channels(tiny_model: Path) -> None:
    mono = make_noise(1, 50_000)
    separator = Separator(models=[tiny_model], device="cpu")
    alone, twice = separator(mono, 44100), separator(np.concatenate([mono, mono]), 44100)
    for name in TARGETS:
        np.testing.assert_allclose(alone[name][0], twice[name].mean(axis=0), atol=1e-6)


def test_content_above_the_band_goes_to_the_remainder(tiny_model: Path) -> None:
    sample_rate, tone_hz = 96000, 30000
    tone = np.sin(2 * np.pi * tone_hz * np.arange(sample_rate) / sample_rate).astype(np.float32)[None]
    stems = Separator(models=[tiny_model], device="cpu")(tone, sample_rate)
    inner = slice(2000, -2000)  # the tone's ends are clicks, which hold every frequency
    np.testing.assert_allclose(stems["other"][:, inner], tone[:, inner], atol=1e-3)
    assert all(np.abs(stems[name][:, inner]).max() < 1e-3 for name in ("vocals", "drums", "bass"))


@pytest.mark.parametrize("settings", [{}, {"wiener": 1}], ids=str)
def test_a_mask_may_be_coarse_in_frequency(tmp_path: Path, settings: dict[str, int]) -> None:
    widths = (*[1] * 57, *[8] * 25)
    starts = np.cumsum([0, *widths[:-1]])
    coarse_spec = make_spec(mask_widths=widths)
    coarse = write_model(tmp_path / "coarse.onnx", coarse_spec, bins=starts.tolist())
    full = write_model(tmp_path / "full.onnx", make_spec(), bins=np.repeat(starts, widths).tolist())
    mixture = make_noise(3, 40_000)
    one, other = (
        Separator(models=[path], device="cpu", **settings)(mixture, 44100)  # type: ignore[arg-type]
        for path in (coarse, full)
    )
    for name in TARGETS:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6)


def test_same_input_gives_the_same_output(tiny_model: Path) -> None:
    mixture = make_noise(2, 100_000)
    first, second = (Separator(models=[tiny_model], device="cpu")(mixture, 48000) for _ in range(2))
    for name in TARGETS:
        np.testing.assert_array_equal(first[name], second[name])


def test_several_songs_at_once(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    songs = [make_noise(2, 60_000, seed=seed) for seed in range(3)]
    alone = [separator(song, 44100) for song in songs]
    streams = [separator.stream([song], sample_rate=44100, n_channels=2) for song in songs]
    blocks: list[list[dict[str, FloatArray]]] = [[] for _ in songs]
    for number in (0, 1, 2):
        blocks[number].append(next(streams[number]))
    for number in (2, 0, 1):
        blocks[number] += streams[number]
    for expected, parts in zip(alone, blocks, strict=True):
        found = np.concatenate([part["drums"] for part in parts], axis=-1)
        np.testing.assert_array_equal(found, expected["drums"])


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (np.inf, "inf"), (-1e18, r"-1e\+18")])
def test_what_is_not_audio_is_rejected_where_it_stands(tiny_model: Path, value: float, said: str) -> None:
    mixture = make_noise(2, 100_000)
    mixture[1, 90_000] = value
    for block in (100_000, 4097):
        with pytest.raises(AudioError, match=rf"at 2\.0 s \(channel 2\) of the mixture is {said}, not audio"):
            stream(Separator(models=[tiny_model], device="cpu"), mixture, block, 44100)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_blocks_may_be_floating_point_of_any_width(tiny_model: Path, dtype: type) -> None:
    mixture = make_noise(2, 20_000).astype(dtype)
    separator = Separator(models=[tiny_model], device="cpu")
    expected = separator(mixture, 48000)
    for name, samples in stream(separator, mixture, 4097, 48000).items():
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, expected[name])


def test_nan_in_the_output_of_a_model_is_an_error(tmp_path: Path) -> None:
    broken = write_model(tmp_path / "broken.onnx", make_spec(), floor=-1.0)
    with pytest.raises(ModelError, match=r"'vocals' holds NaN or infinity, the model \(tiny\) made it"):
        Separator(models=[broken], device="cpu")(make_noise(2, 50_000), 44100)


def test_silence_and_dc_are_fine(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    silence = np.zeros((2, 50_000), dtype=np.float32)
    assert all(not samples.any() for samples in separator(silence, 44100).values())
    stems = separator(silence + np.float32(0.5), 44100)
    np.testing.assert_allclose(sum(stems.values()), 0.5, atol=1e-6)


def test_empty_and_misshapen_input_is_rejected(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    with pytest.raises(AudioError, match="no samples"):
        separator(np.zeros((2, 0), dtype=np.float32), 44100)
    with pytest.raises(AudioError, match=r"\(channels, samples\)"):
        separator(np.zeros(100, dtype=np.float32), 44100)
    with pytest.raises(AudioError, match="3 channels, not 2"):
        list(separator.stream([np.zeros((3, 9), np.float32)], sample_rate=44100, n_channels=2))


@pytest.mark.parametrize("shape", [(44100, 2), (100, 2), (9, 8)], ids=str)
def test_exchanged_axes_are_rejected(tiny_model: Path, shape: tuple[int, int]) -> None:
    with pytest.raises(AudioError, match=r"channels, samples\): pass waveform\.T"):
        separate(np.zeros(shape, dtype=np.float32), 44100, models=[tiny_model], device="cpu")
    with pytest.raises(AudioError, match="44100 channels cannot be separated"):
        Separator(models=[tiny_model], device="cpu").stream([], sample_rate=44100, n_channels=44100)


def test_blocks_of_other_shapes_are_rejected(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    for shape, reason in (((1, 10), "1 channels, not 2"), ((2,), r"shape \(2,\)")):
        blocks = [np.zeros((2, 10), np.float32), np.zeros(shape, np.float32)]
        with pytest.raises(AudioError, match=reason):
            list(separator.stream(blocks, sample_rate=44100, n_channels=2))


def test_a_closed_separator_is_an_error(tiny_model: Path) -> None:
    mixture = make_noise(2, 50_000)
    with Separator(["drums"], models=[tiny_model], device="cpu") as separator:
        whole = separator(mixture, 44100)
        begun = separator.stream([mixture], sample_rate=44100, n_channels=2)
    parts = [block["drums"] for block in begun]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole["drums"])
    with pytest.raises(SettingsError, match="is closed"):
        separator(mixture, 44100)


@pytest.mark.parametrize(
    "settings", [{"stems": "vocals"}, {"models": "band"}, {"models": Path("x.onnx")}], ids=str
)
def test_a_single_name_in_place_of_a_list_is_rejected(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"give a list, as \w+=\['"):
        Separator(**settings)


def test_an_empty_list_of_models_is_refused() -> None:
    with pytest.raises(SettingsError, match="list of models is empty"):
        Separator(models=[], device="cpu")


def test_exception_of_the_reader_is_propagated(tiny_model: Path) -> None:
    def blocks() -> Iterator[FloatArray]:
        yield make_noise(2, 50_000)
        raise AudioError("torn tape")

    with pytest.raises(AudioError, match="torn tape"):
        list(Separator(models=[tiny_model], device="cpu").stream(blocks(), sample_rate=44100, n_channels=2))


@pytest.mark.parametrize("stage", ["SpectralNetworks.infer", "SpectralOutput.process"])
def test_a_stage_that_fails_stops_those_before_it(
    stage: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def blocks() -> Iterator[FloatArray]:
        try:
            while True:
                yield make_noise(2, 50_000)
        finally:
            closed.append(True)

    def fail(*_: object, **__: object) -> None:
        raise ModelError("out of order")

    monkeypatch.setattr(f"stemsplit.separation.spectral_pipeline.{stage}", fail)
    n_threads = threading.active_count()
    with pytest.raises(ModelError, match="out of order") as raised:
        list(Separator(models=[tiny_model], device="cpu").stream(blocks(), sample_rate=44100, n_channels=2))
    assert raised.value.__traceback__ is not None  # the error holds on to what raised it
    assert closed
    assert threading.active_count() == n_threads


@pytest.mark.parametrize(
    "settings",
    [{"wiener": 11}, {"wiener": -1}, {"chunk_s": -1}, {"overlap_s": 700}, {"threads": 0}, {"batch_size": 0}],
    ids=str,
)
def test_settings_out_of_range_are_rejected(tiny_model: Path, settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings)).removesuffix("_s")):
        Separator(models=[tiny_model], device="cpu", **settings)  # type: ignore[arg-type]


def test_function_takes_arrays(tiny_model: Path) -> None:
    progress: list[int] = []
    mixture = make_noise(2, 50_000)
    stems = separate(
        mixture,
        44100,
        stems=["bass"],
        models=[tiny_model],
        device="cpu",
        progress=lambda done, _: progress.append(done),
    )
    assert list(stems) == ["bass"]
    assert progress == sorted(progress)
    assert progress[-1] == 50_000


def test_array_without_a_sample_rate_is_rejected(tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="sample_rate"):
        separate(make_noise(1, 10), models=[tiny_model], device="cpu")  # type: ignore[call-overload]


def test_function_takes_settings_of_files(tiny_model: Path, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav", seconds=0.2)
    settings: dict[str, Any] = {"models": [tiny_model], "device": "cpu", "stems": ["drums"]}
    files: dict[str, Any] = {"output_dir": tmp_path, "name": "{stem}-of-{track}.{ext}", "format": "flac"}
    for _ in range(2):
        result = separate(song, **files, bits="24", overwrite=True, **settings)
    assert result.outputs == {"drums": tmp_path / "drums-of-a.flac"}
    assert soundfile.info(str(tmp_path / "drums-of-a.flac")).subtype == "PCM_24"
    with pytest.raises(OutputError, match="exists"):
        separate(song, **files, **settings)
    with pytest.raises(SettingsError, match="leave sample_rate out"):
        separate(song, 44100, **settings)  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="leave overwrite out"):
        separate(make_noise(2, 10), 44100, overwrite=True, **settings)


def test_default_overlap_shrinks_with_the_chunk(tiny_model: Path) -> None:
    assert OVERLAP_S == 0.5
    Separator(models=[tiny_model], device="cpu", chunk_s=0.1)


@given(lengths=st.lists(st.integers(0, 30), max_size=20), n_samples=st.integers(1, 40))
def test_regroup_keeps_every_sample(lengths: list[int], n_samples: int) -> None:
    samples = np.arange(sum(lengths), dtype=np.float32)[None]
    edges = np.cumsum([0, *lengths])
    blocks = [samples[:, a:b] for a, b in itertools.pairwise(edges)]
    found = list(regroup(blocks, n_samples))
    assert all(block.shape[1] == n_samples for block in found[:-1])
    np.testing.assert_array_equal(np.concatenate([samples[:, :0], *found], axis=1), samples)


def test_fifo_pads_with_silence() -> None:
    fifo = Fifo(1)
    fifo.append(np.ones((1, 3), dtype=np.float32))
    np.testing.assert_array_equal(fifo.pop(2), [[1, 1]])
    np.testing.assert_array_equal(fifo.pop(3), [[1, 0, 0]])


@pytest.mark.parametrize("n_channels", range(1, 12))
@pytest.mark.parametrize("group_size", [1, 2])
def test_every_channel_is_in_one_group(n_channels: int, group_size: int) -> None:
    groups = group_channels(n_channels, group_size=group_size)
    assert [channel for group in groups for channel in group] == list(range(n_channels))
    assert all(1 <= len(group) <= group_size for group in groups)


@pytest.mark.parametrize(("name", "stem"), [("accompaniment", "accompaniment"), ("Vocals", "vocals")])
def test_names_of_stems_mean_the_same_to_an_external_model(name: str, stem: str, tmp_path: Path) -> None:
    path = write_ratio(tmp_path)
    path.write_text(path.read_text().replace("drums =", "accompaniment ="), encoding="utf-8")
    assert Separator([name], models=[path], device="cpu").stems == (stem,)
