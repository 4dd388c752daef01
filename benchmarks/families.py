"""External models: the speed of stemsplit and of a family's own code, both in this process.

The networks have the size of the published ones and random weights. Opening a model is not counted.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

from benchmarks.jobs import Bench
from benchmarks.machine import count_cores
from benchmarks.peers import difference_db, export, export_core, open_audio_separator, without_complex
from benchmarks.report import Row
from benchmarks.songs import make_song
from stemsplit import Separator
from stemsplit.types import FloatArray

SONG_S = 60
WARM_UP_S = 10
SAMPLE_RATE = 44100
UNMIX_FRAMES = 1077  # 25 s; once traced, the network takes one length only
UNMIX_TARGETS = ("vocals", "drums", "bass", "other")

Separate = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Comparison:
    """One family: `prepare` returns the separation functions of stemsplit and of `package`."""

    family: str
    package: str
    prepare: Callable[[Path, int], tuple[Separate, Separate]]

    @property
    def is_available(self) -> bool:
        """Whether the package is installed."""
        return find_spec(self.package.replace("-", "_")) is not None


def measure_families(bench: Bench, log: Callable[[str], None]) -> list[Row]:
    """Measure the speed of each family on a minute of music; packages that are not installed are skipped."""
    path = make_song(bench.folder / "song.wav", SONG_S)
    song = soundfile.read(path, dtype="float32", always_2d=True)[0].T.copy()
    return [compare(comparison, bench, song, log) for comparison in COMPARISONS]


def compare(comparison: Comparison, bench: Bench, song: FloatArray, log: Callable[[str], None]) -> Row:
    """Run both functions alternately, after a warm-up on the beginning of the song."""
    row: Row = {"family": comparison.family, "peer": comparison.package}
    if not comparison.is_available:
        log(f"{comparison.family}: skipped, {comparison.package} is not installed")
        return {**row, "skipped": f"{comparison.package} is not installed"}
    folder = bench.folder / comparison.family.replace(" ", "-")
    folder.mkdir()
    runs = comparison.prepare(folder, count_cores())
    for run in runs:
        run(song[:, : WARM_UP_S * SAMPLE_RATE])
    pairs = [[_time(run, song) for run in runs] for _ in range(bench.n_runs)]
    own_s, peer_s = ([seconds for seconds, _ in each] for each in zip(*pairs, strict=True))
    row |= {
        "own_s": round(median(own_s), 2),
        "peer_s": round(median(peer_s), 2),
        "times_peer": round(median(peer / own for own, peer in zip(own_s, peer_s, strict=True)), 2),
        "difference_db": round(difference_db(*(stems for _, stems in pairs[-1])), 1),
    }
    log(f"{comparison.family}: {row['own_s']} s, {comparison.package} {row['peer_s']} s")
    return row


def _time(run: Separate, song: FloatArray) -> tuple[float, FloatArray]:
    """Return the seconds that one separation took, and its stems."""
    started = time.perf_counter()
    stems = run(song)
    return time.perf_counter() - started, stems


def _open_own(folder: Path, *lines: str, threads: int, wiener: int = 0) -> Separate:
    """Return the separation by the model that these lines describe, to ``(targets, channels, samples)``."""
    path = folder / "model.toml"
    path.write_text("\n".join(['name = "peer"', *lines, ""]), encoding="utf-8")
    separator = Separator(models=[path], device="cpu", threads=threads, wiener=wiener)

    def separate(song: FloatArray) -> FloatArray:
        stems = separator(song, SAMPLE_RATE)
        return np.stack([stem for name, stem in stems.items() if name != "residual"])

    return separate


def prepare_unmix(folder: Path, threads: int, *, iterations: int = 0) -> tuple[Separate, Separate]:
    """Prepare four networks of the size of umxhq; the peer processes the whole song at once."""
    import torch

    model = import_module("openunmix.model")
    networks: dict[str, Any] = {}
    for number, target in enumerate(UNMIX_TARGETS):
        torch.manual_seed(number)
        network = model.OpenUnmix(nb_bins=2049, hidden_size=512, nb_layers=3, max_bin=1487).eval()
        networks[target] = network
        export(network, torch.rand(1, 2, 2049, UNMIX_FRAMES), folder / f"{target}.onnx")
    files = ", ".join(f'{target} = "{target}.onnx"' for target in networks)
    lines = ('family = "open-unmix"', f"graphs = {{ {files} }}")
    peer = model.Separator(networks, niter=iterations)
    torch.set_num_threads(threads)

    def separate(song: FloatArray) -> FloatArray:
        with torch.no_grad():
            found: FloatArray = peer(torch.from_numpy(song)[None])[0].numpy()
        return found

    return _open_own(folder, *lines, threads=threads, wiener=iterations), separate


def prepare_filtered_unmix(folder: Path, threads: int) -> tuple[Separate, Separate]:
    """Prepare the same networks with one iteration of the Wiener filter, the peer's default."""
    return prepare_unmix(folder, threads, iterations=1)


def prepare_htdemucs(folder: Path, threads: int, *, family: str = "htdemucs") -> tuple[Separate, Separate]:
    """Prepare a network of the size of htdemucs: segments of 7.8 s, an overlap of a quarter, no shifts."""
    from copy import deepcopy
    from fractions import Fraction

    import torch

    torch.manual_seed(0)
    segment = Fraction(39, 5)
    make = import_module("demucs.htdemucs").HTDemucs
    sources = ["drums", "bass", "other", "vocals"]
    network = make(sources, samplerate=SAMPLE_RATE, segment=segment, bottom_channels=512).eval()
    n_samples = int(segment * SAMPLE_RATE)
    if family == "htdemucs":
        real = without_complex(deepcopy(network), n_samples)
        export(real, torch.rand(1, 2, n_samples), folder / "htdemucs.onnx")
    else:
        export_core(deepcopy(network), n_samples, folder / "htdemucs.onnx")
    lines = (f'family = "{family}"', 'graph = "htdemucs.onnx"', f"targets = {json.dumps(sources)}")
    apply_model = import_module("demucs.apply").apply_model
    torch.set_num_threads(threads)

    def separate(song: FloatArray) -> FloatArray:
        mixture = torch.from_numpy(song)
        mean, deviation = mixture.mean(0).mean(), mixture.mean(0).std() + 1e-8
        found = apply_model(network, ((mixture - mean) / deviation)[None], shifts=0, overlap=0.25)
        levelled: FloatArray = (found * deviation + mean)[0].numpy()
        return levelled

    return _open_own(folder, *lines, threads=threads), separate


def prepare_htdemucs_core(folder: Path, threads: int) -> tuple[Separate, Separate]:
    """Prepare the same network with its STFT outside of the graph."""
    return prepare_htdemucs(folder, threads, family="htdemucs-core")


def prepare_mdx(folder: Path, threads: int) -> tuple[Separate, Separate]:
    """Prepare a graph with the tensors of an MDX-Net and few convolutions; both run it in onnxruntime."""
    import torch
    from torch import nn

    n_bins, n_frames, n_fft = 2048, 256, 6144
    torch.manual_seed(0)
    layers = (nn.Conv2d(4, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 4, 1))
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2]).eval()
    graph = export(network, torch.rand(1, 4, n_bins, n_frames), folder / "mdx.onnx")
    lines = ('family = "mdx"', 'graph = "mdx.onnx"', 'targets = ["vocals"]', f"n_fft = {n_fft}")
    peer = open_audio_separator(graph, n_bins=n_bins, n_frames=n_frames, n_fft=n_fft, threads=threads)
    torch.set_num_threads(threads)
    return _open_own(folder, *lines, threads=threads), lambda song: peer(song)[None]


COMPARISONS = (
    Comparison("open-unmix", "openunmix", prepare_unmix),
    Comparison("open-unmix with wiener 1", "openunmix", prepare_filtered_unmix),
    Comparison("mdx", "audio-separator", prepare_mdx),
    Comparison("htdemucs", "demucs", prepare_htdemucs),
    Comparison("htdemucs-core", "demucs", prepare_htdemucs_core),
)
