"""External models give what the code of their authors gives, for seeded random weights.

Each test needs the author's package and is skipped without it. The level of the difference is kept as a
property of the test, for the table in the documentation.
"""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import difference_db, export, export_core, open_audio_separator, without_complex
from stemsplit.types import FloatArray
from tests.support.peers import SAMPLE_RATE, describe, make_song, separate

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's packages

Check = Callable[[str, FloatArray, Any, float], None]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small networks are slower in many threads, and far slower where the cores are taken."""
    torch = pytest.importorskip("torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def check(record_property: Callable[[str, object], None]) -> Check:
    """Compare a stem with what was expected and note the difference."""

    def compare(name: str, found: FloatArray, expected: Any, limit_db: float) -> None:
        level_db = difference_db(found, expected)
        record_property(name, round(level_db, 1))
        print(f"{name}: {level_db:.1f} dB")
        assert level_db < limit_db

    return compare


# Open-Unmix -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unmix(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two small Open-Unmix networks for songs of 100 frames, and their description."""
    model = pytest.importorskip("openunmix.model")
    import torch

    folder = tmp_path_factory.mktemp("unmix")
    networks = {}
    for number, target in enumerate(("vocals", "drums")):
        torch.manual_seed(number)
        network = model.OpenUnmix(nb_bins=2049, hidden_size=32, nb_layers=2, max_bin=1487).eval()
        # left at their start, all outputs would be near the mixture
        torch.nn.init.normal_(network.output_mean, 0.5, 0.3)
        networks[target] = network
        export(network, torch.rand(1, 2, 2049, 100), folder / f"{target}.onnx")
    files = ", ".join(f'{target} = "{target}.onnx"' for target in networks)
    lines = ('family = "open-unmix"', f"graphs = {{ {files} }}", "overlap = 0", "context_s = 0")
    return describe(folder, *lines), networks


@pytest.mark.parametrize("iterations", [0, 1, 2])
@pytest.mark.parametrize("n_samples", [99 * 1024, 99 * 1024 + 777])
def test_open_unmix(
    unmix: tuple[Path, dict[str, Any]], iterations: int, n_samples: int, check: Check
) -> None:
    import torch
    from openunmix.model import Separator as Peer

    path, networks = unmix
    song = make_song(n_samples)
    peer = Peer(networks, niter=iterations)
    with torch.no_grad():
        expected = peer(torch.from_numpy(song)[None])[0].numpy()
    stems = separate(path, song, wiener=iterations)
    for target, estimate in zip(networks, expected, strict=True):
        check(f"open-unmix, wiener {iterations}, {target}", stems[target], estimate, -80)
    np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)


# norbert ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_norbert(iterations: int, n_channels: int, check: Check) -> None:
    norbert = pytest.importorskip("norbert")
    from stemsplit.dsp.stft import Analysis, StftSpec
    from stemsplit.dsp.wiener import filter_estimates

    song = make_song(20_000)[:n_channels]
    mixture = Analysis(StftSpec(1024, 256, 0, "hann", "hann"), n_channels=n_channels).process(song)
    masks = np.random.default_rng(0).random((3, *mixture.shape))
    magnitudes = masks * np.abs(mixture)
    by_frame = mixture.transpose(2, 1, 0).astype(np.complex128)  # (frames, bins, channels)
    by_target = magnitudes.transpose(3, 2, 1, 0)
    expected = norbert.wiener(by_target, by_frame.copy(), iterations, use_softmask=False)
    found = filter_estimates(
        (masks * mixture).astype(np.complex64),
        mixture,
        iterations=iterations,
        regularisation=float(np.sqrt(np.finfo(np.float64).eps)),
    )
    name = f"norbert, {iterations} iterations, {n_channels} channels"
    check(name, _parts(found), _parts(expected.transpose(3, 2, 1, 0)), -80)


def _parts(spectrogram: Any) -> FloatArray:
    return np.stack([spectrogram.real, spectrogram.imag])


# MDX-Net ----------------------------------------------------------------------------------------------------

DIM_F, DIM_T, MDX_FFT = 512, 32, 1536


@pytest.fixture(scope="module")
def mdx_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional network of the shape of MDX-Net."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(4, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 4, 1)
    ).eval()
    path = tmp_path_factory.mktemp("mdx") / "mdx.onnx"
    return export(network, torch.rand(1, 4, DIM_F, DIM_T), path, input={0: "b"}, output={0: "b"})


@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("denoise", [False, True])
def test_mdx(mdx_graph: Path, overlap: float, denoise: bool, check: Check, tmp_path: Path) -> None:
    pytest.importorskip("audio_separator")
    # a whole number of their steps: then their song ends with a whole segment
    song = make_song(3 * (1024 * (DIM_T - 1) - MDX_FFT))
    peer = open_audio_separator(
        mdx_graph, n_bins=DIM_F, n_frames=DIM_T, n_fft=MDX_FFT, overlap=overlap, denoise=denoise
    )
    expected = peer(song)
    path = describe(
        mdx_graph.parent,
        'family = "mdx"',
        'graph = "mdx.onnx"',
        'targets = ["vocals"]',
        f"n_fft = {MDX_FFT}",
        f"overlap = {overlap}",
        f"denoise = {str(denoise).lower()}",
        "compensate = 1.035",
    )
    stems = separate(path, song)
    assert list(stems) == ["vocals", "residual"]
    inner = slice(0, -MDX_FFT)  # where their last segment, which has another length, has no part
    check(f"mdx {overlap}, denoise {denoise}", stems["vocals"][:, inner], 1.035 * expected[:, inner], -80)
    np.testing.assert_allclose(stems["vocals"] + stems["residual"], song, atol=1e-5)


def demix_trimmed(graph: Path, song: FloatArray) -> FloatArray:
    """KUIELab's published scheme: segments side by side, half a transform thrown away at either end."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    window, trim, length = torch.hann_window(MDX_FFT, periodic=True), MDX_FFT // 2, 1024 * (DIM_T - 1)
    n_kept = length - 2 * trim
    padding = n_kept - song.shape[1] % n_kept
    padded = np.pad(song, ((0, 0), (trim, padding + trim)))
    found = []
    for start in range(0, song.shape[1] + padding, n_kept):
        waveform = torch.from_numpy(padded[:, start : start + length])
        spectra = torch.stft(waveform, MDX_FFT, 1024, window=window, center=True, return_complex=True)
        parts = torch.view_as_real(spectra).permute(0, 3, 1, 2).reshape(1, 4, MDX_FFT // 2 + 1, DIM_T)
        found_bins = session.run(None, {"input": parts[:, :, :DIM_F].numpy()})[0]
        whole = np.pad(found_bins, ((0, 0), (0, 0), (0, MDX_FFT // 2 + 1 - DIM_F), (0, 0)))
        split = torch.from_numpy(whole).reshape(2, 2, MDX_FFT // 2 + 1, DIM_T).permute(0, 2, 3, 1)
        split = torch.view_as_complex(split.contiguous())
        found.append(torch.istft(split, MDX_FFT, 1024, window=window, center=True)[:, trim:-trim].numpy())
    return np.concatenate(found, axis=1)[:, : song.shape[1]]


@pytest.mark.parametrize("n_samples", [60_000, 2 * (1024 * (DIM_T - 1) - MDX_FFT)])
def test_trimmed_mdx(mdx_graph: Path, n_samples: int, check: Check) -> None:
    song = make_song(n_samples)
    path = describe(
        mdx_graph.parent,
        'family = "mdx"',
        'graph = "mdx.onnx"',
        'targets = ["vocals"]',
        f"n_fft = {MDX_FFT}",
        f"trim = {MDX_FFT // 2}",
        "overlap = 0",
        "zeroed_bins = 0",
    )
    check("mdx, trimmed", separate(path, song)["vocals"], demix_trimmed(mdx_graph, song), -80)


# HTDemucs ---------------------------------------------------------------------------------------------------


DEMUCS_SAMPLES = SAMPLE_RATE // 4


@pytest.fixture(scope="module", params=["htdemucs", "htdemucs-core"])
def demucs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A small HTDemucs for segments of a quarter of a second, and its description; the STFT in or outside."""
    htdemucs = pytest.importorskip("demucs.htdemucs")
    from fractions import Fraction

    import torch

    torch.manual_seed(0)
    network = htdemucs.HTDemucs(
        ["drums", "bass", "other", "vocals"],
        channels=8,
        nfft=512,
        depth=2,
        t_layers=1,
        t_heads=2,
        segment=Fraction(1, 4),
        samplerate=SAMPLE_RATE,
    ).eval()
    folder = tmp_path_factory.mktemp("demucs")
    targets = f"targets = {json.dumps(network.sources)}"
    if request.param == "htdemucs":
        real = without_complex(deepcopy(network), DEMUCS_SAMPLES)
        export(real, torch.rand(1, 2, DEMUCS_SAMPLES), folder / "htdemucs.onnx")
        lines = ['family = "htdemucs"']
    else:
        export_core(deepcopy(network), DEMUCS_SAMPLES, folder / "htdemucs.onnx")
        lines = ['family = "htdemucs-core"', "n_fft = 512", "hop_length = 128", f"input_scale = {512**-0.5}"]
    return describe(folder, *lines, 'graph = "htdemucs.onnx"', targets), network


@pytest.mark.parametrize(
    "n_samples",
    [5000, DEMUCS_SAMPLES, DEMUCS_SAMPLES + 1, round(2.3 * DEMUCS_SAMPLES), 3 * DEMUCS_SAMPLES],
)
def test_htdemucs(demucs: tuple[Path, Any], n_samples: int, check: Check) -> None:
    import torch
    from demucs.apply import apply_model

    path, network = demucs
    song = make_song(n_samples) + np.float32(0.01)
    # as demucs.api.Separator does it
    mixture = torch.from_numpy(song)
    mean, deviation = mixture.mean(0).mean(), mixture.mean(0).std() + 1e-8
    levelled = ((mixture - mean) / deviation)[None]
    found = apply_model(network, levelled, shifts=0, split=True, overlap=0.25)
    expected = (found * deviation + mean)[0].numpy()
    stems = separate(path, song)
    assert list(stems) == [*network.sources, "residual"]
    for name, estimate in zip(network.sources, expected, strict=True):
        check(f"htdemucs, {n_samples}, {name}", stems[name], estimate, -60)
    np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)


# Spleeter ---------------------------------------------------------------------------------------------------


SPLEETER_FRAMES = 16


@pytest.fixture(scope="module")
def spleeter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """Two small networks of the shape of Spleeter's: 16 frames of 1,024 bins at a call."""
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Sequential):  # type: ignore[misc, name-defined]
        def forward(self, magnitude: Any) -> Any:
            # (channels, splits, frames, bins)
            return super().forward(magnitude.transpose(0, 1)).transpose(0, 1)

    networks, folder = [], tmp_path_factory.mktemp("spleeter")
    for number, target in enumerate(("vocals", "accompaniment")):
        torch.manual_seed(number)
        networks.append(Network(torch.nn.Conv2d(2, 2, 5, padding=2), torch.nn.Softplus()).eval())
        example = torch.rand(2, 3, SPLEETER_FRAMES, 1024)
        export(networks[-1], example, folder / f"{target}.onnx", input={1: "s"}, output={1: "s"})
    files = 'graphs = { vocals = "vocals.onnx", accompaniment = "accompaniment.onnx" }'
    return describe(folder, 'family = "spleeter"', files), networks


def run_spleeter(
    networks: list[Any], song: FloatArray, *, n_frames_at_once: int = SPLEETER_FRAMES
) -> list[FloatArray]:
    """Separate as Spleeter publishes it (Hennequin et al. 2020), in double precision but for the networks."""
    import torch

    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4096) / 4096)
    n_frames = -(-(song.shape[1] + 4096) // 1024)
    padded = np.pad(song.astype(np.float64), ((0, 0), (4096, 4096 + 1024)))
    starts = 1024 * np.arange(n_frames)
    spectrogram = np.stack([np.fft.rfft(window * padded[:, at : at + 4096]) for at in starts], axis=1)
    magnitude = np.abs(spectrogram)[..., :1024].astype(np.float32)  # (channels, frames, bins)
    n_splits = -(-n_frames // n_frames_at_once)
    filled = np.pad(magnitude, ((0, 0), (0, n_splits * n_frames_at_once - n_frames), (0, 0)))
    splits = torch.from_numpy(filled.reshape(2, n_splits, n_frames_at_once, 1024))
    with torch.no_grad():
        found = [network(splits).numpy().reshape(2, -1, 1024)[:, :n_frames] for network in networks]
    power = np.square(np.stack(found), dtype=np.float64)
    masks = (power + 1e-10 / len(networks)) / (power.sum(axis=0) + 1e-10)
    stems = []
    for mask in np.pad(masks, ((0, 0), (0, 0), (0, 0), (0, 1025))):
        summed = np.zeros_like(padded)
        for at, frame in zip(starts, np.swapaxes(mask * spectrogram, 0, 1), strict=True):
            summed[:, at : at + 4096] += window * np.fft.irfft(frame) * 2 / 3
        stems.append(summed[:, 4096 : 4096 + song.shape[1]])
    return stems


@pytest.mark.parametrize("n_samples", [2000, 16 * 1024 - 4096, 50_000])
def test_spleeter(spleeter: tuple[Path, list[Any]], n_samples: int, check: Check) -> None:
    path, networks = spleeter
    song = make_song(n_samples)
    stems = separate(path, song)
    assert list(stems) == ["vocals", "accompaniment", "residual"]
    for name, estimate in zip(stems, run_spleeter(networks, song), strict=False):
        check(f"spleeter, {n_samples}, {name}", stems[name], estimate, -80)
    np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)
