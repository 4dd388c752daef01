"""Layouts that published graphs have, each run on a song and compared with the same computation in numpy.

The graphs are stand-ins: they multiply their input by a factor for each row, bin or sample, so that any$
mistake in the order of axes, the STFT or the scales is far above the limit.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers import difference_db
from tests.support.peers import describe, make_song, separate

LIMIT_DB = -100

Array = NDArray[Any]
Nodes = Sequence[tuple[str, Sequence[str], str, Mapping[str, Any]]]


def write_network(
    path: Path,
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, Any],
    nodes: Nodes,
) -> None:
    """Write a graph; a node is its operator, what it takes, what it gives, and its attributes."""
    graph = helper.make_graph(
        [helper.make_node(kind, list(taken), [given], **rest) for kind, taken, given, rest in nodes],
        "stand-in",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def hann(n_fft: int) -> Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft))


def transform(padded: Array, n_fft: int, hop: int, n_frames: int) -> Array:
    """(..., samples) as (..., bins, frames); frame t begins at sample t * hop."""
    frames = [padded[..., hop * t : hop * t + n_fft] * hann(n_fft) for t in range(n_frames)]
    return np.stack([np.fft.rfft(frame) for frame in frames], axis=-1)


def invert(spectrogram: Array, n_fft: int, hop: int, *, whole_gain: bool = False) -> Array:
    """(..., bins, frames) as (..., samples), over the sum of the squared windows."""
    n_frames = spectrogram.shape[-1]
    summed = np.zeros((*spectrogram.shape[:-2], hop * (n_frames - 1) + n_fft))
    gain = np.zeros(summed.shape[-1])
    for t in range(n_frames):
        frame = np.fft.irfft(spectrogram[..., t], n_fft)
        summed[..., hop * t : hop * t + n_fft] += frame * hann(n_fft)
        gain[hop * t : hop * t + n_fft] += hann(n_fft) ** 2
    if whole_gain:
        gain[:] = gain.max()
    return summed / np.maximum(gain, 1e-9)


def analyse_centred(waveform: Array, n_fft: int, hop: int) -> Array:
    padding = [(0, 0)] * (waveform.ndim - 1) + [(n_fft // 2, n_fft // 2)]
    padded = np.pad(waveform, padding, mode="reflect")
    return transform(padded, n_fft, hop, waveform.shape[-1] // hop + 1)


def fill_bins(band: Array, n_bins: int) -> Array:
    """Complete the bins of (..., bins, frames) with zeros."""
    return np.pad(band, [(0, 0)] * (band.ndim - 2) + [(0, n_bins - band.shape[-2]), (0, 0)])


def run_side_by_side(song: Array, length: int, trim: int, run: Callable[[Array], Array]) -> Array:
    """Run segments that lose `trim` samples at either end and stand side by side."""
    step = length - 2 * trim
    n_segments = -(-song.shape[1] // step)
    padded = np.pad(song.astype(np.float64), ((0, 0), (trim, n_segments * step + trim)))
    found = [run(padded[:, n * step : n * step + length])[..., trim:-trim] for n in range(n_segments)]
    return np.concatenate(found, axis=-1)[..., : song.shape[1]]


def check(found: Array, expected: Array, name: str) -> None:
    level_db = difference_db(np.asarray(found, dtype=np.float32), expected)
    print(f"{name}: {level_db:.1f} dB")
    assert level_db < LIMIT_DB, name


# complex masks, real and imaginary part last, stereo merged into the bins -----------------------------------


@pytest.mark.parametrize("kind", ["complex_mask", "complex"])
def test_parts_last_and_channels_within_bins(kind: str, tmp_path: Path) -> None:
    n_fft, hop, n_bins, n_frames = 1024, 256, 513, 40
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.2, 1, (2 * n_bins, 1, 2)).astype(np.float32)
    shape = ["batch", 2 * n_bins, n_frames, 2]
    write_network(
        tmp_path / "core.onnx", {"in": shape}, {"out": shape}, {"f": factors},
        [("Tanh", ["in"], "bounded", {}), ("Mul", ["bounded", "f"], "out", {})],
    )  # fmt: skip
    path = describe(
        tmp_path,
        f'output_kind = "{kind}"',
        'features = "complex"',
        'graph = "core.onnx"',
        'targets = ["vocals"]',
        'layout = "batch (bins channels) frames parts"',
        f"n_fft = {n_fft}",
        f"hop_length = {hop}",
        'framing = "centred"',
        f"trim = {n_fft // 2}",
        "overlap = 0",
    )

    def run(segment: Array) -> Array:
        spectrogram = analyse_centred(segment, n_fft, hop)
        parts = np.stack([spectrogram.real, spectrogram.imag], axis=-1)  # (channels, bins, frames, parts)
        merged = parts.transpose(1, 0, 2, 3).reshape(2 * n_bins, n_frames, 2)
        given = (np.tanh(merged) * factors).reshape(n_bins, 2, n_frames, 2).transpose(1, 0, 2, 3)
        found = given[..., 0] + 1j * given[..., 1]
        found = found * spectrogram if kind == "complex_mask" else found
        return invert(found, n_fft, hop)[:, n_fft // 2 : -n_fft // 2]

    song = make_song(30_000)
    expected = run_side_by_side(song, hop * (n_frames - 1), n_fft // 2, run)
    check(separate(path, song)["vocals"], expected, kind)


# a transform of its own for each graph of a set -------------------------------------------------------------


def test_each_graph_of_a_set_has_its_own_transform(tmp_path: Path) -> None:
    hop, n_bins, n_frames, trim = 256, 250, 40, 1024
    transforms = {"vocals": 1536, "drums": 1024, "bass": 2048, "other": 512}
    rng = np.random.default_rng(0)
    factors = {name: rng.uniform(0.2, 1, (n_bins, 1)).astype(np.float32) for name in transforms}
    shape = ["batch", 4, n_bins, n_frames]
    for name, factor in factors.items():
        nodes: Nodes = [("Mul", ["in", "f"], "out", {})]
        write_network(tmp_path / f"{name}.onnx", {"in": shape}, {"out": shape}, {"f": factor}, nodes)
    tables = ", ".join(f'{name} = {{ file = "{name}.onnx", n_fft = {n} }}' for name, n in transforms.items())
    path = describe(
        tmp_path,
        'family = "mdx"',
        f"graphs = {{ {tables} }}",
        f"hop_length = {hop}",
        f"trim = {trim}",
        "overlap = 0",
        "zeroed_bins = 2",
    )
    song = make_song(30_000)
    stems = separate(path, song)
    for name, n_fft in transforms.items():

        def run(segment: Array, n_fft: int = n_fft, factor: Array = factors[name]) -> Array:
            band = analyse_centred(segment, n_fft, hop)[:, :n_bins] * factor
            band[:, :2] = 0
            return invert(fill_bins(band, n_fft // 2 + 1), n_fft, hop)[:, n_fft // 2 : -n_fft // 2]

        check(stems[name], run_side_by_side(song, hop * (n_frames - 1), trim, run), f"{name}, {n_fft}")


# the mask above the band of the network ---------------------------------------------------------------------


def test_the_average_mask_goes_on_above_the_band(tmp_path: Path) -> None:
    n_bins, n_frames = 1024, 32
    rng = np.random.default_rng(0)
    factors = {
        name: rng.uniform(0.2, 1, (n_frames, n_bins)).astype(np.float32) for name in ("vocals", "drums")
    }
    shape = [2, "splits", n_frames, n_bins]
    for name, factor in factors.items():
        nodes: Nodes = [("Mul", ["in", "f"], "out", {})]
        write_network(tmp_path / f"{name}.onnx", {"in": shape}, {"out": shape}, {"f": factor}, nodes)
    files = ", ".join(f'{name} = "{name}.onnx"' for name in factors)
    path = describe(tmp_path, 'family = "spleeter"', f"graphs = {{ {files} }}", 'mask_extension = "average"')
    song = make_song(50_000)
    n_needed = -(-(song.shape[1] + 4096) // 1024)
    padded = np.pad(song.astype(np.float64), ((0, 0), (4096, 4096 + 1024)))
    spectrogram = transform(padded, 4096, 1024, n_needed)
    magnitude = np.abs(spectrogram[:, :n_bins])  # (channels, bins, frames)
    repeats = -(-n_needed // n_frames)
    power = {
        name: (magnitude * np.tile(factor.T, repeats)[:, :n_needed]) ** 2 for name, factor in factors.items()
    }
    total = sum(power.values()) + 1e-10
    stems = separate(path, song)
    for name in factors:
        mask = (power[name] + 1e-10 / 2) / total
        above = np.broadcast_to(mask.mean(axis=1, keepdims=True), (2, 2049 - n_bins, n_needed))
        found = np.concatenate([mask, above], axis=1) * spectrogram
        expected = invert(found, 4096, 1024, whole_gain=True)[:, 4096 : 4096 + song.shape[1]]
        check(stems[name], expected, name)


# two inputs: the waveform, and its spectrogram --------------------------------------------------------------


def write_hybrid(path: Path, *, waveform_first: bool) -> tuple[Array, Array]:
    """A graph of the shapes of HTDemucs with its STFT outside; return its factors for either branch."""
    rng = np.random.default_rng(0)
    of_waveform = rng.uniform(0.1, 0.4, (1, 4, 2, 1)).astype(np.float32)
    of_bins = rng.uniform(0.1, 0.4, (1, 4, 4, 2048, 1)).astype(np.float32)
    ends = {"input": [1, 2, 343980], "x": [1, 4, 2048, 336]}
    given = {"output": [1, 4, 4, 2048, 336], "add_67": [1, 4, 2, 343980]}
    if not waveform_first:
        ends = dict(reversed(ends.items()))
        given = dict(reversed(given.items()))
    nodes: Nodes = [
        ("Unsqueeze", ["input", "axis"], "waveforms", {}),
        ("Mul", ["waveforms", "w"], "add_67", {}),
        ("Unsqueeze", ["x", "axis"], "spectrograms", {}),
        ("Mul", ["spectrograms", "f"], "output", {}),
    ]
    write_network(path, ends, given, {"axis": np.array([1]), "w": of_waveform, "f": of_bins}, nodes)
    return of_waveform[0].astype(float), of_bins[0].astype(float)


@pytest.mark.slow
@pytest.mark.parametrize(("waveform_first", "n_samples"), [(True, 250_000), (False, 343_980)])
def test_a_graph_of_two_inputs_gives_the_sum_of_both_branches(
    waveform_first: bool, n_samples: int, tmp_path: Path
) -> None:
    of_waveform, of_bins = write_hybrid(tmp_path / "core.onnx", waveform_first=waveform_first)
    names = ["drums", "bass", "other", "vocals"]
    path = describe(tmp_path, 'family = "htdemucs-core"', 'graph = "core.onnx"', f"targets = {names}")
    song = make_song(n_samples) + np.float32(0.01)
    mono = song.mean(axis=0, dtype=np.float64)
    mean, deviation = mono.mean(), mono.std(ddof=1)
    n_missing, hop, n_fft = 343980 - song.shape[1], 1024, 4096
    before = n_missing // 2  # the last segment lies in the middle
    segment = np.pad((song - mean) / deviation, ((0, 0), (before, n_missing - before)))
    after = 1536 + 336 * hop - 343980
    padded = np.pad(segment, ((0, 0), (1536, after)), mode="reflect")
    band = transform(padded, n_fft, hop, 336)[:, :2048]
    stems = separate(path, song)
    for row, name in enumerate(names):
        real, imaginary = of_bins[row].reshape(2, 2, 2048, 1).swapaxes(0, 1)
        found = fill_bins(band.real * real + 1j * band.imag * imaginary, 2049)
        branch = invert(found, n_fft, hop, whole_gain=True)[:, 1536 : 1536 + 343980]
        whole = (of_waveform[row] * segment + branch)[:, before : before + song.shape[1]]
        # up to there no other segment has a part
        only = slice(0, 250_000)
        check(stems[name][:, only], (whole * deviation + mean)[:, only], name)


def test_frames_that_do_not_fit_the_samples_are_refused(tmp_path: Path) -> None:
    write_hybrid(tmp_path / "core.onnx", waveform_first=True)
    lines = ('family = "htdemucs-core"', 'graph = "core.onnx"', 'targets = ["a", "b", "c", "d"]')
    with pytest.raises(Exception, match="takes 336 frames of 343980 samples; with hop_length 512"):
        separate(describe(tmp_path, *lines, "hop_length = 512"), make_song(2000))
    with pytest.raises(Exception, match=r"takes 2 arrays \(input, x\); 'waveform' is 1, and 'hybrid' two"):
        separate(describe(tmp_path, 'family = "htdemucs"', *lines[1:]), make_song(2000))
