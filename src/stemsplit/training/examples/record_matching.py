"""Matching of stems to the statistics of a record: spectrum, width, dynamics and levels.

Songs of few makers, or of a virtual band, differ from commercial records in simple statistics. For each
example the statistics of a record are drawn, and every known stem is moved part of the way toward them. The
part is random, so that examples are spread around the records.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.augment import double_voice, scale_width, spread
from stemsplit.training.examples.record_statistics import BAND_EDGES_HZ, StemStatistics
from stemsplit.types import FloatArray

FRAME = round(0.05 * SAMPLE_RATE)
FRAME_RANGE_DB = 40.0  # frames further below the loudest are ignored
MONO_DB = -60.0  # below, the side signal counts as silent
WIDENED = ("vocals", "drums", "bass")
NARROW_DB = 4.0  # one of these that is narrower than the record by more may be widened
FAINT_DB = -50.0  # below, relative to the whole stem, a band counts as empty
_FLOOR = 1e-12
# the gains of bands are interpolated, and steep spectra get those of a neighbour: they are corrected by these
_N_PASSES = 2
# centres of the bands in log frequency; 40 Hz for the lowest band, whose lower edge is 0 Hz
_LOG_CENTRES = np.log2([40, *(np.sqrt(np.array(BAND_EDGES_HZ[1:-1]) * BAND_EDGES_HZ[2:]))])


@dataclass(frozen=True)
class MatchSettings:
    """How far stems are moved toward a record, and by how much they may change.

    Parameters
    ----------
    spectrum, width, dynamics : (float, float)
        Smallest and largest part of the way, in decibels, by which the energies of the bands, the ratio of
        side to middle and the spread of frame levels are moved; above 1 is past the record, (0, 0) leaves
        them unchanged.
    spectrum_db, cut_db : float
        Largest gain and attenuation of a band.
    width_db, dynamics_db : float
        Largest gain of the side signal and of a frame, up or down.
    widened : float
        Probability that a stem is widened where the record is wider than it by more than `NARROW_DB`, since a
        gain of the side signal would only raise its reverb: voices are doubled, bass and drums get other
        sides.
    faint_db : float
        Largest gain of a band that is nearly empty, where a larger gain would amplify noise.
    levels : bool
        Whether stems are set to the levels of the record, but for those of one recorded song.
    level_spread_db : float
        Standard deviation of the random offsets of these levels.
    raise_db : float
        Largest gain of a stem that is set to its level, where a larger gain would make a pause sound.

    Raises
    ------
    StemsplitError
        A share is not from 0 to 1, or a gain is negative.
    """

    spectrum: tuple[float, float] = (0.6, 1.2)
    spectrum_db: float = 14.0
    cut_db: float = 24.0
    faint_db: float = 3.0
    width: tuple[float, float] = (0.4, 1.0)
    width_db: float = 8.0
    widened: float = 0.6
    dynamics: tuple[float, float] = (0.6, 1.2)
    dynamics_db: float = 10.0
    levels: bool = True
    level_spread_db: float = 1.5
    raise_db: float = 12.0

    def __post_init__(self) -> None:
        for name in ("spectrum", "width", "dynamics"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 2:
                raise StemsplitError(f"{name} is {low!r} to {high!r}; it must go up, from 0 to 2 at most")
        if not 0 <= self.widened <= 1:
            raise StemsplitError(f"widened is {self.widened!r}; it must be from 0 to 1")
        for name in ("spectrum", "faint", "cut", "width", "dynamics", "level_spread", "raise"):
            value = getattr(self, f"{name}_db")
            if not value >= 0:
                raise StemsplitError(f"{name}_db is {value!r}; it must not be negative")


def match_stem(
    rng: Generator,
    stem: FloatArray,
    record: StemStatistics,
    settings: MatchSettings,
    *,
    target: str = "other",
) -> FloatArray:
    """Move the spectrum, width and dynamics of a stem toward those of a record and keep its energy.

    Parameters
    ----------
    rng : Generator
        Generator that draws the part of the way of each statistic.
    stem : FloatArray, shape (2, samples)
        The stem; silence is returned unchanged.
    record : StemStatistics
        Statistics of the record.
    settings : MatchSettings
        How far the stem is moved.
    target : str
        What the stem is; `other` is not widened, its stems are as wide as those of records.

    Returns
    -------
    FloatArray, shape (2, samples)
    """
    shares = [float(rng.uniform(*each)) for each in (settings.spectrum, settings.width, settings.dynamics)]
    energy = _energy(stem)
    if not energy > 0:
        return stem
    is_narrow = target in WIDENED and record.side_db - _side_db(stem) > NARROW_DB
    if is_narrow and rng.random() < settings.widened:
        stem = double_voice(rng, stem) if target == "vocals" else spread(rng, stem, record.side_db)
    moved = _match_spectrum(stem, record, shares[0], settings)
    moved = _match_width(moved, record, shares[1], settings)
    moved = _match_dynamics(moved, record, shares[2], settings)
    return np.asarray(moved * np.sqrt(energy / max(_energy(moved), _FLOOR)), np.float32)


def match_levels(
    rng: Generator, stems: FloatArray, levels_db: NDArray[np.float64], settings: MatchSettings
) -> FloatArray:
    """Set the stems of a mixture to the levels of a record, with random offsets.

    Their total energy is kept, but where a stem would be raised by more than `MatchSettings.raise_db`.

    Parameters
    ----------
    rng : Generator
        Generator that draws the offsets.
    stems : FloatArray, shape (targets, 2, samples)
        Stems of the mixture; silent stems stay silent.
    levels_db : NDArray, shape (targets,)
        Levels relative to the mixture.
    settings : MatchSettings
        The spread of the offsets, and the largest gain.

    Returns
    -------
    FloatArray, shape (targets, 2, samples)
    """
    energies = np.array([_energy(stem) for stem in stems])
    offsets_db = rng.normal(0, settings.level_spread_db, len(stems))
    wanted = 10 ** ((levels_db + offsets_db) / 10) * (energies > 0)
    if not wanted.any():
        return stems
    wanted *= energies.sum() / wanted.sum()
    gains = np.minimum(np.sqrt(wanted / np.maximum(energies, _FLOOR)), 10 ** (settings.raise_db / 20))
    return np.asarray(stems * gains[:, None, None], np.float32)


def measure(stem: FloatArray) -> StemStatistics:
    """Return the statistics of a stem ``(2, samples)`` alone; its level is therefore 0 dB."""
    return StemStatistics(
        level_db=0.0,
        side_db=_side_db(stem),
        frame_level_std_db=_spread_db(_frame_levels_db(stem)),
        bands_db=_bands_db(torch.fft.rfft(torch.from_numpy(stem)).abs().square().sum(0).numpy()),
    )


def _match_spectrum(
    stem: FloatArray, record: StemStatistics, share: float, settings: MatchSettings
) -> FloatArray:
    n_samples = stem.shape[1]
    # torch computes these transforms in a fraction of the time of scipy
    spectra = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(stem)))
    power = spectra.abs().square().sum(0).numpy()
    bands_db = _bands_db(power)
    wanted_db = bands_db + share * (record.bands_db - bands_db)
    largest_db = settings.spectrum_db
    highest_db = np.where(bands_db < FAINT_DB, min(settings.faint_db, largest_db), largest_db)
    gains_db, reached_db = np.zeros(len(bands_db)), bands_db
    for number in range(_N_PASSES):
        gains_db = np.clip(gains_db + wanted_db - reached_db, -settings.cut_db, highest_db)
        curve_db = np.interp(_log_frequencies(n_samples), _LOG_CENTRES, gains_db)
        if number + 1 < _N_PASSES:
            reached_db = _bands_db(power * 10 ** (curve_db / 10))
    gains = torch.from_numpy((10 ** (curve_db / 20)).astype(np.float32))
    return np.asarray(torch.fft.irfft(spectra * gains, n_samples).numpy())


def _match_width(
    stem: FloatArray, record: StemStatistics, share: float, settings: MatchSettings
) -> FloatArray:
    side_db = _side_db(stem)
    if side_db <= MONO_DB:  # there is no side signal to amplify
        return stem
    gain_db = float(np.clip(share * (record.side_db - side_db), -settings.width_db, settings.width_db))
    return scale_width(stem, 10 ** (gain_db / 20))


def _match_dynamics(
    stem: FloatArray, record: StemStatistics, share: float, settings: MatchSettings
) -> FloatArray:
    """Expand or compress the levels of frames around their mean."""
    levels_db = _frame_levels_db(stem)
    spread_db = _spread_db(levels_db)
    if not spread_db > 0:
        return stem
    counted = np.maximum(levels_db, levels_db.max() - FRAME_RANGE_DB)
    mean_db = levels_db[levels_db > levels_db.max() - FRAME_RANGE_DB].mean()
    stretch = share * (record.frame_level_std_db / spread_db - 1)
    gains_db = np.clip(stretch * (counted - mean_db), -settings.dynamics_db, settings.dynamics_db)
    centres = (np.arange(gains_db.size) + 0.5) * FRAME
    curve_db = np.interp(np.arange(stem.shape[1]), centres, gains_db)
    return np.asarray(stem * 10 ** (curve_db / 20), np.float32)


def _bands_db(power: FloatArray) -> FloatArray:
    """Return band energies relative to the total of a power spectrum ``(bins,)``, which ends at Nyquist."""
    edges = np.round(np.array(BAND_EDGES_HZ) / (SAMPLE_RATE / 2) * (power.size - 1)).astype(int)
    sums = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    energies = np.diff(sums[edges])
    return np.asarray(10 * np.log10(np.maximum(energies, 0) / max(sums[-1], _FLOOR) + _FLOOR), np.float32)


def _side_db(stem: FloatArray) -> float:
    middle, side = _energy(stem[0] + stem[1]), _energy(stem[0] - stem[1])
    return max(MONO_DB, float(10 * np.log10((side + _FLOOR) / (middle + _FLOOR))))


def _frame_levels_db(stem: FloatArray) -> FloatArray:
    n_frames = stem.shape[1] // FRAME
    power = np.square(stem[:, : n_frames * FRAME]).mean(0).reshape(n_frames, FRAME).mean(1)
    return np.asarray(10 * np.log10(power + _FLOOR), np.float32)


def _spread_db(levels_db: FloatArray) -> float:
    if not levels_db.size:
        return 0.0
    return float(levels_db[levels_db > levels_db.max() - FRAME_RANGE_DB].std())


@cache
def _log_frequencies(n_samples: int) -> FloatArray:
    frequencies_hz = np.arange(n_samples // 2 + 1) * (SAMPLE_RATE / n_samples)
    return np.asarray(np.log2(np.maximum(frequencies_hz, 1.0)))


def _energy(sound: FloatArray) -> float:
    # no dot product: BLAS would use all cores for it, in each of the processes that load examples
    return float(np.square(sound).sum())
