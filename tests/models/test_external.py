"""External models of every kind: streamed, exact in length, sums of the mixture."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import AudioError, OutputError
from stemsplit.models.device import Device
from stemsplit.models.external import WaveformModel
from stemsplit.separation.normalisation import TrackScan
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.separation.test_separator import stream
from tests.support.external_models import (
    GAINS,
    SEGMENT,
    WRITERS,
    write_complex,
    write_description,
    write_graph,
    write_magnitude,
    write_ratio,
    write_waveform,
)
from tests.support.marks import slow_but

CPU = Device("cpu")


@pytest.fixture(scope="module", params=WRITERS)
def external(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each kind."""
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("sample_rate", [44100, 48000])
@pytest.mark.parametrize("n_channels", slow_but([1, 2], [1, 2, 6]))
@pytest.mark.parametrize("n_samples", slow_but([1, 20011], [1, SEGMENT, 20011]))
def test_stems_have_the_mixtures_shape_and_sum_to_it(
    external: Path, sample_rate: int, n_channels: int, n_samples: int
) -> None:
    mixture = make_noise(n_channels, n_samples)
    stems = Separator(models=[external], device="cpu", threads=1)(mixture, sample_rate)
    assert list(stems)[-1] == "residual"
    assert all(samples.shape == mixture.shape for samples in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


def test_a_song_may_be_shorter_than_a_sample_of_the_model(external: Path) -> None:
    mixture = make_noise(2, 1)
    stems = Separator(models=[external], device="cpu", threads=1)(mixture, 192_000)
    assert all(samples.shape == mixture.shape for samples in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


@pytest.mark.parametrize("block", [777, 65536])
def test_output_does_not_depend_on_blocks(external: Path, block: int) -> None:
    mixture = make_noise(2, 30_000)
    separator = Separator(models=[external], device="cpu", threads=1)
    whole = separator(mixture, 48000)
    for name, samples in stream(separator, mixture, block, 48000).items():
        np.testing.assert_array_equal(samples, whole[name])


def test_batches_change_nothing(external: Path) -> None:
    mixture = make_noise(3, 30_000)
    one = Separator(models=[external], device="cpu", threads=1)(mixture, 44100)
    four = Separator(models=[external], device="cpu", threads=1, batch_size=4)(mixture, 44100)
    for name, samples in one.items():
        np.testing.assert_allclose(four[name], samples, atol=1e-6)


@pytest.mark.parametrize(
    ("write", "wiener", "is_judged"),
    [
        (write_ratio, 0, True),
        (write_ratio, 1, False),
        (write_magnitude, 0, False),
        (write_waveform, 0, False),
        (write_complex, 0, False),
    ],
)
def test_stems_of_ratio_masks_alone_are_judged(
    write: Any, wiener: int, is_judged: bool, tmp_path: Path
) -> None:
    separator = Separator(models=[write(tmp_path)], device="cpu", threads=1, wiener=wiener)
    separator.close()  # a song that has begun still wants to know
    assert separator.masked_stems == (frozenset(separator.stems) if is_judged else frozenset())


@pytest.mark.parametrize("write", [write_magnitude, write_waveform])
@pytest.mark.parametrize("n_samples", [3, 5000, 40_000])
def test_each_stem_is_what_the_network_makes_of_the_mixture(
    write: Any, n_samples: int, tmp_path: Path
) -> None:
    mixture = make_noise(2, n_samples)
    mixture -= mixture.mean()  # a network that gives half gives half of a mean, too, if there is one
    stems = Separator(models=[write(tmp_path)], device="cpu", threads=1)(mixture, 44100)
    for name, gain in GAINS.items():
        np.testing.assert_allclose(stems[name], gain * mixture, atol=1e-6)


def test_masks_of_a_ratio_share_the_mixture_by_power(tmp_path: Path) -> None:
    time_s = np.arange(60_000) / 44100
    mixture = np.stack([np.sin(2 * np.pi * hz * time_s) for hz in (440, 3000)]).astype(np.float32)
    stems = Separator(models=[write_ratio(tmp_path)], device="cpu", threads=1)(mixture, 44100)
    share = 0.5**2 / (0.5**2 + 0.3**2)
    inner = slice(8192, -8192)
    np.testing.assert_allclose(stems["vocals"][:, inner], share * mixture[:, inner], atol=1e-3)


def test_bins_that_the_network_does_not_hear_stay_in_the_residual(tmp_path: Path) -> None:
    time_s = np.arange(40_000) / 44100
    mixture = np.stack([np.sin(2 * np.pi * hz * time_s) for hz in (5000, 20_000)]).astype(np.float32)
    stems = Separator(models=[write_complex(tmp_path)], device="cpu", threads=1)(mixture, 44100)
    inner = slice(4000, -4000)
    np.testing.assert_allclose(stems["vocals"][0, inner], 0.5 * mixture[0, inner], atol=1e-3)
    assert np.abs(stems["vocals"][1, inner]).max() < 1e-3


@pytest.mark.parametrize("framing", ["centred", "covering", "delayed"])
def test_frames_of_a_complex_network_stand_as_described(framing: str, tmp_path: Path) -> None:
    mixture = np.sin(np.arange(40_000, dtype=np.float32) * 0.7)[None].repeat(2, axis=0)
    path = write_complex(tmp_path, f'framing = "{framing}"')
    vocals = Separator(models=[path], device="cpu", threads=1)(mixture, 44100)["vocals"]
    np.testing.assert_allclose(vocals[:, 4000:-4000], 0.5 * mixture[:, 4000:-4000], atol=2e-3)


def test_compensation_is_part_of_the_stem(tmp_path: Path) -> None:
    mixture = make_noise(2, 30_000)
    write = write_complex(tmp_path, "compensate = 1.5")
    plain, louder = (
        Separator(models=[path], device="cpu", threads=1)(mixture, 44100)
        for path in (write_complex(_folder(tmp_path)), write)
    )
    np.testing.assert_allclose(louder["vocals"], 1.5 * plain["vocals"], atol=1e-6)
    np.testing.assert_allclose(louder["vocals"] + louder["residual"], mixture, atol=1e-6)


def _folder(parent: Path) -> Path:
    (parent / "other").mkdir()
    return parent / "other"


def test_the_level_of_the_song_is_taken_and_given_back(tmp_path: Path) -> None:
    mixture = make_noise(2, 30_000) + np.float32(0.25)
    path = write_waveform(tmp_path)
    inputs: list[FloatArray] = []
    with Separator(models=[path], device="cpu", threads=1) as separator:
        (model,) = separator._models
        assert isinstance(model, WaveformModel)
        run = model._separate

        def spy(graph: Any, waveforms: FloatArray) -> FloatArray:
            inputs.append(waveforms)
            return run(graph, waveforms)

        model._separate = spy  # type: ignore[method-assign]
        stems = separator(mixture, 44100)
    inner = np.concatenate([segment[0] for segment in inputs[:-2]], axis=1)
    assert abs(inner.mean()) < 0.02
    assert abs(inner.mean(axis=0).std() - 1) < 0.02
    mean = mixture.mean()
    np.testing.assert_allclose(stems["vocals"], 0.5 * (mixture - mean) + mean, atol=1e-5)


@pytest.mark.parametrize("n_samples", [20, 500, 5000])
def test_the_level_of_a_song_is_that_of_all_of_it_however_short(n_samples: int) -> None:
    mixture = make_noise(2, n_samples)
    scan = TrackScan([[0, 1]], sample_rate=48000, model_rate=44100)
    scan.process(mixture)
    (level,) = scan.finish()
    resampler = Resampler(from_hz=48000, to_hz=44100)
    whole = np.concatenate([resampler.process(mixture), resampler.flush()], axis=1).mean(axis=0)
    assert level.mean == pytest.approx(whole.mean(), abs=1e-6)
    assert level.deviation == pytest.approx(whole.std(ddof=1), rel=1e-4)


def test_a_song_that_can_be_read_once_is_kept_for_the_second_pass(tmp_path: Path) -> None:
    mixture = make_noise(2, 200_000)
    separator = Separator(models=[write_waveform(tmp_path)], device="cpu", threads=1)
    whole = separator(mixture, 44100)

    def blocks() -> Iterator[FloatArray]:
        yield from (mixture[:, at : at + 30_000] for at in range(0, 200_000, 30_000))

    parts = list(separator.stream(blocks(), sample_rate=44100, n_channels=2))
    found = np.concatenate([part["vocals"] for part in parts], axis=1)
    np.testing.assert_array_equal(found, whole["vocals"])


def test_a_first_pass_refuses_what_the_second_would(tmp_path: Path) -> None:
    separator = Separator(models=[write_waveform(tmp_path)], device="cpu", threads=1)
    with pytest.raises(AudioError, match="3 channels, not 2"):
        list(separator.stream([np.zeros((3, 9), np.float32)], sample_rate=44100, n_channels=2))
    with pytest.raises(AudioError, match="no samples"):
        list(separator.stream(iter([]), sample_rate=44100, n_channels=2))
    broken = make_noise(2, 9000)
    broken[0, 5000] = np.nan
    with pytest.raises(AudioError, match="is nan, not audio"):
        separator(broken, 44100)


@pytest.mark.parametrize("n_bytes", [0, 1000])
def test_a_song_that_cannot_be_kept_for_the_second_pass_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    class Full:
        """A file on a disk with little room, whose every further word fails, the last one included."""

        def __init__(self, **_: object) -> None:
            self.write(b"")

        def write(self, data: Any) -> None:
            if len(data) >= n_bytes:
                raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    separator = Separator(models=[write_waveform(tmp_path)], device="cpu", threads=1)
    blocks = iter([make_noise(2, 9000)])
    with pytest.raises(
        OutputError, match=f"{re.escape(str(tmp_path))}: .* No space left on device; .*TMPDIR"
    ):
        list(separator.stream(blocks, sample_rate=44100, n_channels=2))


def test_only_the_graphs_that_are_needed_run(tmp_path: Path) -> None:
    mixture = make_noise(2, 30_000)
    ran: list[str] = []
    for write, expected in ((write_magnitude, ["drums"]), (write_ratio, ["vocals", "drums"])):
        path = write(_fresh(tmp_path, write.__name__))
        with Separator(["drums"], models=[path], device="cpu", threads=1) as separator:
            ran.clear()
            (model,) = separator._models
            for part in model._graphs:  # type: ignore[union-attr]
                _watch(part._session, ran)
            separator(mixture, 44100)
        assert list(dict.fromkeys(ran)) == expected


def _fresh(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def _watch(session: Any, ran: list[str]) -> None:
    run = session._run

    def spy(arrays: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        ran.append(session.path.stem)
        return run(arrays)  # type: ignore[no-any-return]

    session._run = spy


def test_a_file_of_several_targets_runs_once(tmp_path: Path) -> None:
    write_graph(tmp_path / "both.onnx", ["n", 2, 2049, "t"], [0.5, 0.3], axis=1)
    path = write_description(
        tmp_path, 'family = "open-unmix"', 'graphs = { vocals = "both.onnx", drums = "both.onnx" }'
    )
    mixture = make_noise(2, 30_000)
    ran: list[str] = []
    with Separator(models=[path], device="cpu", threads=1) as separator:
        (model,) = separator._models
        (part,) = model._graphs  # type: ignore[union-attr]
        _watch(part._session, ran)
        stems = separator(mixture, 44100)
    assert ran == ["both"]
    np.testing.assert_allclose(stems["drums"], 0.3 * mixture, atol=1e-6)


def test_an_external_mask_needs_no_family(tmp_path: Path) -> None:
    write_graph(tmp_path / "mask.onnx", ["n", 2, 257, "t"], [0.0])
    path = write_description(
        tmp_path,
        'output_kind = "mask"',
        'features = "magnitude"',
        'graph = "mask.onnx"',
        'targets = ["vocals"]',
        "n_fft = 512",
        "hop_length = 128",
    )
    mixture = make_noise(2, 30_000)
    stems = Separator(models=[path], device="cpu", threads=1)(mixture, 44100)
    np.testing.assert_array_equal(stems["vocals"], 0)
    np.testing.assert_allclose(stems["residual"], mixture, atol=1e-6)


def test_a_remainder_takes_the_place_of_the_residual(tmp_path: Path) -> None:
    mixture = make_noise(2, 30_000)
    path = write_ratio(tmp_path, 'remainder = "drums"')
    stems = Separator(models=[path], device="cpu", threads=1)(mixture, 44100)
    assert list(stems) == ["vocals", "drums"]
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


def test_external_and_own_models_work_together(tiny_model: Path, tmp_path: Path) -> None:
    mixture = make_noise(2, 60_000)
    external = write_waveform(tmp_path)
    separator = Separator(models=[external, tiny_model], device="cpu", threads=1)
    stems = separator(mixture, 48000)
    assert list(stems) == ["vocals", "drums", "bass", "other", "residual"]
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
    alone = Separator(models=[tiny_model], device="cpu", threads=1)(mixture, 48000)
    np.testing.assert_allclose(stems["bass"], alone["bass"], atol=1e-6)
