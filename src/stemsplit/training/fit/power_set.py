"""Power sets of ensembles: a magnitude image of every non-empty subset of a piece's parts.

The images of a song are one array on disk, ``(windows, subsets, rows, frames)``, float16, which is mapped
into memory. Subset ``s`` holds the parts whose bits are set in ``s + 1``, in the order of the song's stems; a
subset of one part is the reference of all subsets that contain it. Images are relative to the level of all
parts together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.songs import TrainingSong, songs_with_targets
from stemsplit.training.examples.remix import Example
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.networks.iyer import IYER_SPEC, N_FRAMES, N_ROWS
from stemsplit.training.networks.rows import MelRows
from stemsplit.training.networks.spectra import stft
from stemsplit.types import FloatArray

_N_SAMPLES = (N_FRAMES - 1) * IYER_SPEC.hop_length + IYER_SPEC.n_fft
MAX_PARTS = 6  # 63 subsets


@dataclass(frozen=True)
class PieceImages:
    """The images of one song.

    Parameters
    ----------
    path : Path
        File of the array.
    stems : tuple of str
        Its parts, one for each bit of a subset.
    """

    path: Path
    stems: tuple[str, ...]

    @property
    def subsets(self) -> range:
        """All subsets, as numbers whose bits are parts."""
        return range(1, 2 ** len(self.stems))

    def open(self) -> NDArray[np.float16]:
        """Map the array, ``(windows, subsets, rows, frames)``."""
        images: NDArray[np.float16] = np.load(self.path, mmap_mode="r")
        return images

    def having(self, target: str) -> list[int]:
        """Return the subsets that contain a target."""
        bit = 1 << self.stems.index(target)
        return [subset for subset in self.subsets if subset & bit]

    def parts(self, subset: int) -> list[str]:
        """Return the parts of a subset."""
        return [stem for place, stem in enumerate(self.stems) if subset >> place & 1]


def collect_images(
    songs: Sequence[TrainingSong],
    targets: Sequence[str],
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> list[PieceImages]:
    """Write the images of all songs of single instruments that are missing or outdated, and return them all.

    Raises
    ------
    StemsplitError
        There are no such songs.
    """
    chosen = [song for song in songs_with_targets(songs, targets) if is_ensemble(song)]
    if not chosen:
        raise StemsplitError(
            "there are no songs of two to six of these instruments; "
            "run `python -m stemsplit.training ensembles` or `add` first"
        )
    pieces = []
    for song in chosen:
        piece = PieceImages(folder / f"{song.path.stem}.npy", song.stems)
        if not song.is_older_than(piece.path):
            _write(piece, song)
            progress(f"wrote {piece.path.name}, {len(piece.subsets)} mixtures of {len(song.stems)} parts")
        pieces.append(piece)
    return pieces


def is_ensemble(song: TrainingSong) -> bool:
    """Return whether a song has the parts of an ensemble, and a window of them."""
    return song.is_whole and len(song.stems) <= MAX_PARTS and song.n_samples >= _N_SAMPLES


class PowerSet:
    """Draws examples of a power set: a target, a mixture that contains it, and the references of its parts.

    The stems of an `Example` are images here, ``(targets + 1, rows, frames)``: the instruments and, last, the
    mixture.

    Parameters
    ----------
    songs : sequence of TrainingSong
        Where the images come from.
    pieces : sequence of PieceImages
        Their images.
    settings : RemixSettings
        Only its length is used, for the duration of the examples.
    seed : int
        Seed of all examples.
    targets : sequence of str
        Targets of the examples.

    Raises
    ------
    StemsplitError
        A target is in no piece.
    """

    example_kinds: tuple[str, ...] = ("power-set",)

    def __init__(
        self,
        songs: Sequence[TrainingSong],
        pieces: Sequence[PieceImages],
        settings: RemixSettings,
        *,
        seed: int,
        targets: Sequence[str],
    ) -> None:
        self.settings, self._seed, self._targets = settings, seed, tuple(targets)
        self.training_sources = frozenset(song.source for song in songs_with_targets(songs, targets))
        self._pieces = {
            target: [piece for piece in pieces if target in piece.stems] for target in self._targets
        }
        for target, having in self._pieces.items():
            if not having:
                raise StemsplitError(f"no song for training has {target}")

    def example(self, number: int) -> Example:
        """Draw example `number`: all targets are equally frequent."""
        rng = np.random.default_rng((self._seed, number))
        target = self._targets[int(rng.integers(len(self._targets)))]
        having = self._pieces[target]
        piece = having[int(rng.integers(len(having)))]
        images = piece.open()
        window = int(rng.integers(len(images)))
        subset = int(rng.choice(piece.having(target)))
        return read_example(piece, images[window], subset, self._targets)


def read_example(
    piece: PieceImages, images: NDArray[np.float16], subset: int, targets: Sequence[str]
) -> Example:
    """Return the images of a subset as an example; `images` are those of one window."""
    stems = np.zeros((len(targets) + 1, *images.shape[1:]), np.float32)
    known = np.zeros(len(targets), bool)
    for stem in piece.parts(subset):
        place = targets.index(stem)
        stems[place] = images[(1 << piece.stems.index(stem)) - 1]
        known[place] = True
    stems[-1] = images[subset - 1]
    return Example(stems, known)


def _write(piece: PieceImages, song: TrainingSong) -> None:
    starts = range(0, song.n_samples - _N_SAMPLES + 1, N_FRAMES * IYER_SPEC.hop_length // 2)
    images = np.stack([_images(piece, song, start) for start in starts])
    with whole_file(piece.path) as file:
        np.save(file, images)


def _images(piece: PieceImages, song: TrainingSong, start: int) -> NDArray[np.float16]:
    """Return the images of one window, ``(subsets, rows, frames)``."""
    waveforms = np.stack([song.read(stem, start, _N_SAMPLES).mean(0) for stem in piece.stems])
    images = np.stack(list(_magnitudes(waveforms, piece.subsets)))
    level = float(np.sqrt(np.square(images[-1]).mean())) + 1e-6  # the last subset is that of all parts
    return (images / level).clip(0, 6e4).astype(np.float16)


def _magnitudes(waveforms: FloatArray, subsets: range) -> Iterator[FloatArray]:
    rows = MelRows(N_ROWS, IYER_SPEC.n_bins, SAMPLE_RATE)
    spectra = stft(torch.from_numpy(waveforms), IYER_SPEC)  # (parts, bins, frames)
    for subset in subsets:
        places = [place for place in range(len(waveforms)) if subset >> place & 1]
        power = torch.view_as_real(spectra[places].sum(0)).square().sum(-1)
        yield rows.gather(power).sqrt().numpy()
