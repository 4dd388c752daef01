"""Training examples: stems cut out of songs and mixed anew.

An example is a function of (seed, number), so a training that resumes sees what it would have seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from stemsplit.errors import StemsplitError
from stemsplit.training import TARGETS
from stemsplit.training.songs import ACCOMPANIMENT, Song
from stemsplit.types import FloatArray

# Where a stem stands in a record: decibels against full scale while it sounds, and how much that varies.
TARGET_LEVELS_DB = {"vocals": -19.0, "drums": -18.5, "bass": -20.0, "other": -19.0, ACCOMPANIMENT: -15.0}
LEVEL_SPREAD_DB = 4.5


@dataclass(frozen=True)
class RemixSettings:
    """How examples are drawn.

    Parameters
    ----------
    n_samples : int
        Length of an example.
    coherent : float
        Share of examples whose stems come from one place of one song.
    backing : float
        Share of examples that are a voice over unseparated real music; there only vocals are known.
    real : float
        Chance that a stem of a mixed example comes from a real recording instead of a render.
    silence : float
        Chance that a stem of an example is left out.
    speed : float
        Chance that a stem is played up to an eighth faster or slower, pitch included.
    master : float
        Chance that a limiter works on the mixture, as in mastering: stems duck under the loudest together.
    """

    n_samples: int
    coherent: float = 0.2
    backing: float = 0.3
    real: float = 0.25
    silence: float = 0.05
    speed: float = 0.3
    master: float = 0.4


@dataclass(frozen=True)
class Example:
    """Stems of one example, and which of them are known.

    Parameters
    ----------
    stems : FloatArray, shape (targets, 2, samples)
        In the order of `TARGETS`. Unseparated accompaniment stands in the place of "other".
    known : NDArray of bool, shape (targets,)
        Targets that the loss may count.
    """

    stems: FloatArray
    known: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


class Remixer:
    """Draws examples from songs.

    Parameters
    ----------
    songs : sequence of Song
        All must be of split "train", or all of "valid".
    settings : RemixSettings
        How examples are drawn.
    seed : int
        With the number of an example, all that it depends on.

    Raises
    ------
    StemsplitError
        A target is in none of the songs.
    """

    def __init__(self, songs: Sequence[Song], settings: RemixSettings, *, seed: int) -> None:
        self.settings, self.seed, self.n_songs = settings, seed, len(songs)
        self._whole = [song for song in songs if len(song.stems) >= 3]
        self._accompaniments = [song for song in songs if ACCOMPANIMENT in song.stems]
        self._pools = {target: _pools(songs, target) for target in TARGETS}

    def example(self, number: int) -> Example:
        """Draw example `number`."""
        rng = np.random.default_rng((self.seed, number))
        example = self._draw(rng)
        if rng.random() >= self.settings.master:
            return example
        return replace(example, stems=mastered(example.stems, float(rng.uniform(3, 12))))

    def _draw(self, rng: Generator) -> Example:
        draw = rng.random()
        if draw < self.settings.backing and self._accompaniments:
            return self._over_backing(rng)
        if draw < self.settings.backing + self.settings.coherent and self._whole:
            return self._coherent(rng)
        return self._mixed(rng)

    def _over_backing(self, rng: Generator) -> Example:
        stems = self._silence()
        backing = _choose(rng, self._accompaniments)
        stems[TARGETS.index("other")] = self._cut(rng, backing, ACCOMPANIMENT)
        if rng.random() >= self.settings.silence:
            stems[0] = self._cut(rng, self._song(rng, "vocals"), "vocals")
        return Example(stems, np.array([True, False, False, False]))

    def _coherent(self, rng: Generator) -> Example:
        song = _choose(rng, self._whole)
        start = self._start(rng, song)
        gain_db = rng.normal(0, 2) + TARGET_LEVELS_DB["other"] - max(song.levels_db)
        stems = self._silence()
        for index, target in enumerate(TARGETS):
            if target in song.stems and rng.random() >= self.settings.silence / 2:
                cut = song.read(target, start, self.settings.n_samples)
                stems[index] = cut * 10 ** ((gain_db + rng.normal(0, 2)) / 20)
        return Example(_turned(rng, stems, together=True), np.ones(len(TARGETS), bool))

    def _mixed(self, rng: Generator) -> Example:
        stems = self._silence()
        for index, target in enumerate(TARGETS):
            if rng.random() >= self.settings.silence:
                stems[index] = self._cut(rng, self._song(rng, target), target)
        return Example(_turned(rng, stems, together=False), np.ones(len(TARGETS), bool))

    def _song(self, rng: Generator, target: str) -> Song:
        real, rendered = self._pools[target]
        pool = real if real and (not rendered or rng.random() < self.settings.real) else rendered
        return _choose(rng, pool)

    def _cut(self, rng: Generator, song: Song, stem: str) -> FloatArray:
        """Cut a stretch of a stem at the level it has in a record, more or less."""
        n_samples = self.settings.n_samples
        speed = float(np.exp(rng.uniform(-0.12, 0.12))) if rng.random() < self.settings.speed else 1.0
        n_read = round(n_samples * speed) + 2
        cut = song.read(stem, self._start(rng, song), n_read)
        if speed != 1.0:
            places = np.arange(n_samples) * speed
            cut = np.stack([np.interp(places, np.arange(n_read), row) for row in cut])
        level_db = TARGET_LEVELS_DB[stem] + rng.normal(0, LEVEL_SPREAD_DB)
        gain_db = min(level_db - song.level_db(stem), 24.0)
        return (cut[:, :n_samples] * 10 ** (gain_db / 20)).astype(np.float32)

    def _start(self, rng: Generator, song: Song) -> int:
        return int(rng.integers(0, max(1, song.n_samples - self.settings.n_samples)))

    def _silence(self) -> FloatArray:
        return np.zeros((len(TARGETS), 2, self.settings.n_samples), np.float32)


def mastered(stems: FloatArray, depth_db: float) -> FloatArray:
    """Limit the mixture by lowering all its stems together where it is loudest.

    Parameters
    ----------
    stems : FloatArray, shape (targets, 2, samples)
        Their sum is the mixture.
    depth_db : float
        How far the limiter's threshold lies below the mixture's peak.

    Returns
    -------
    FloatArray, shape (targets, 2, samples)
    """
    step = 441  # 10 ms
    level = np.abs(stems.sum(0)).max(0)
    blocks = np.pad(level, (0, -level.size % step)).reshape(-1, step).max(1)
    threshold = blocks.max() * 10 ** (-depth_db / 20)
    gain = np.minimum(1, threshold / np.maximum(blocks, 1e-9))
    # a look-ahead of two blocks, then a smooth recovery
    held = np.minimum.reduce([np.roll(gain, shift) for shift in (-2, -1, 0, 1, 2)])
    smooth = np.convolve(np.pad(held, 4, mode="edge"), np.hanning(11)[1:-1] / 5, mode="valid")
    curve = np.interp(np.arange(level.size), (np.arange(smooth.size) + 0.5) * step, smooth)
    return np.asarray(stems * curve, np.float32)


def _pools(songs: Sequence[Song], target: str) -> tuple[list[Song], list[Song]]:
    """(real, rendered) songs with a target, the longer ones more often."""
    having = [song for song in songs if target in song.stems and song.level_db(target) > -60]
    if not having:
        raise StemsplitError(f"no song has {target}; run `python -m stemsplit.training prepare` first")
    real = [song for song in having if song.kind != "render"]
    # a copy per minute, at least one and at most three, so that long songs do not drown short ones
    weighted = [song for song in real for _ in range(min(3, 1 + song.n_samples // 2_646_000))]
    return weighted, [song for song in having if song.kind == "render"]


def _choose(rng: Generator, songs: Sequence[Song]) -> Song:
    return songs[int(rng.integers(len(songs)))]


def _turned(rng: Generator, stems: FloatArray, *, together: bool) -> FloatArray:
    """Swap channels and polarity, of all stems or of each by itself."""
    turned = stems.copy()
    groups = [slice(None)] if together else [slice(i, i + 1) for i in range(len(stems))]
    for group in groups:
        if rng.random() < 0.5:
            turned[group] = turned[group][:, ::-1]
        if rng.random() < 0.5:
            turned[group] *= -1
    return turned
