"""Training of the network that names the kind of music, and its proof: makers that it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stemsplit.music.style import LEAST_PROBABILITY, N_MELS, SAMPLE_RATE, UNKNOWN, LogMelWindows
from stemsplit.training import SAMPLE_RATE as LIBRARY_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.data.styles import GENRES, STYLE_OF_GENRE, STYLES, StyledPiece
from stemsplit.training.networks.style import StyleNetwork
from stemsplit.types import FloatArray

assert SAMPLE_RATE <= LIBRARY_RATE
_BATCH: Final = 32
_N_HIDDEN_MELS: Final = 12  # at most so many neighbouring mels, or frames, are hidden from an example
_N_HIDDEN_FRAMES: Final = 32
_MOST_WINDOWS: Final = 24  # of a piece, so that long ones do not count more
_LABEL_SMOOTHING: Final = 0.1


@dataclass(frozen=True)
class StyledWindows:
    """The windows of one piece, ``(windows, mels, frames)``."""

    piece: StyledPiece
    windows: FloatArray


def cut_windows(pieces: Sequence[StyledPiece], library: Library) -> list[StyledWindows]:
    """Read pieces and cut them into windows; a piece without a whole one that sounds is left out."""
    cut = []
    for piece in pieces:
        meter = LogMelWindows(LIBRARY_RATE)
        windows = meter.process(piece.read(library))
        step = max(1, len(windows) // _MOST_WINDOWS)
        if len(windows):
            cut.append(StyledWindows(piece, windows[::step][:_MOST_WINDOWS]))
    return cut


def make_network() -> StyleNetwork:
    """Return a network of random weights."""
    return StyleNetwork([STYLES.index(STYLE_OF_GENRE[genre]) for genre in GENRES])


def fit_styles(data: Sequence[StyledWindows], *, n_steps: int, seed: int = 0) -> StyleNetwork:
    """Train a network; every genre, and every maker within it, is drawn equally often."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = make_network().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=n_steps)
    makers = _group(data)
    for _ in range(n_steps):
        windows, labels = _draw_batch(makers, rng)
        loss = functional.cross_entropy(network.logits(windows), labels, label_smoothing=_LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


_Makers = Mapping[str, Sequence[Sequence[StyledWindows]]]


def _group(data: Sequence[StyledWindows]) -> _Makers:
    by_genre: dict[str, dict[str, list[StyledWindows]]] = {}
    for each in data:
        by_genre.setdefault(each.piece.genre, {}).setdefault(each.piece.maker, []).append(each)
    return {genre: list(makers.values()) for genre, makers in by_genre.items()}


def _draw_batch(makers: _Makers, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    genres = sorted(makers)
    chosen = [genres[int(rng.integers(len(genres)))] for _ in range(_BATCH)]
    windows = np.stack([_draw_window(makers[genre], rng) for genre in chosen])
    return torch.from_numpy(windows), torch.tensor([GENRES.index(genre) for genre in chosen])


def _draw_window(makers: Sequence[Sequence[StyledWindows]], rng: np.random.Generator) -> FloatArray:
    """Draw a window of a maker's piece, tilt its spectrum, and hide a band and a stretch of time."""
    pieces = makers[int(rng.integers(len(makers)))]
    windows = pieces[int(rng.integers(len(pieces)))].windows
    window = windows[int(rng.integers(len(windows)))].copy()
    window += np.float32(rng.normal(0, 0.25)) * np.linspace(-1, 1, N_MELS, dtype=np.float32)[:, np.newaxis]
    window = np.roll(window, int(rng.integers(window.shape[1])), axis=1)
    for axis, most in ((0, _N_HIDDEN_MELS), (1, _N_HIDDEN_FRAMES)):
        width = int(rng.integers(most + 1))
        start = int(rng.integers(window.shape[axis] - width + 1))
        hidden = [slice(None), slice(None)]
        hidden[axis] = slice(start, start + width)
        window[tuple(hidden)] = 0
    return np.asarray(window, np.float32)


@torch.inference_mode()
def classify(network: StyleNetwork, data: StyledWindows) -> NDArray[np.float64]:
    """Return the probabilities of a piece, the mean over its windows."""
    return np.asarray(network(torch.from_numpy(data.windows)).mean(0).numpy(), np.float64)


def measure_makers(
    data: Sequence[StyledWindows], *, n_folds: int, n_steps: int
) -> list[tuple[StyledPiece, NDArray[np.float64]]]:
    """Return the probabilities of every piece by a network that was trained without its maker.

    The makers are dealt to `n_folds` groups, each of which is left out once, so that every genre has makers
    left wherever it has more than one.
    """
    groups = deal_makers(data, n_folds)
    found = []
    for fold in range(n_folds):
        network = fit_styles([each for each in data if groups[each.piece.maker] != fold], n_steps=n_steps)
        found += [(each.piece, classify(network, each)) for each in data if groups[each.piece.maker] == fold]
    return found


def deal_makers(data: Sequence[StyledWindows], n_folds: int) -> dict[str, int]:
    """Return the group of each maker: those of one genre follow each other around the groups."""
    groups: dict[str, int] = {}
    for number, genre in enumerate(GENRES):
        makers = sorted({each.piece.maker for each in data if each.piece.genre == genre} - groups.keys())
        for place, maker in enumerate(makers):
            groups[maker] = (place + number) % n_folds
    return groups


def name_style(probabilities: NDArray[np.float64]) -> str:
    """Return the style of probabilities as a song's is named."""
    best = int(np.argmax(probabilities))
    return STYLES[best] if probabilities[best] >= LEAST_PROBABILITY else UNKNOWN
