"""The key of a song and its tuning, from the energy of its pitch classes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from stemsplit.types import FloatArray

PITCH_CLASSES: Final = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES: Final = ("major", "minor")

# How well listeners found each note to fit a key, from the tonic up (Krumhansl & Kessler 1982).
_PROFILES: Final = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
# Correlation with a profile below which nothing is in a key, noise for one.
_LEAST_FIT: Final = 0.5
# Camelot numbers of the major keys by their tonic; a minor key has that of its relative major.
_CAMELOT: Final = (8, 3, 10, 5, 12, 7, 2, 9, 4, 11, 6, 1)


@dataclass(frozen=True)
class Key:
    """A key: its tonic (0 is C), its mode, and how much better it fits than the next one (0 to 1)."""

    tonic: int
    mode: str
    confidence: float

    @property
    def name(self) -> str:
        """The key in words.

        >>> Key(9, "minor", 1.0).name
        'A minor'
        """
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"

    @property
    def tag(self) -> str:
        """The key as tags have it (ID3's ``TKEY``).

        >>> Key(9, "minor", 1.0).tag, Key(10, "major", 1.0).tag
        ('Am', 'Bb')
        """
        return PITCH_CLASSES[self.tonic] + ("m" if self.mode == "minor" else "")

    @property
    def camelot(self) -> str:
        """The code of the key on the Camelot wheel, as DJ software shows it.

        >>> Key(9, "minor", 1.0).camelot, Key(0, "major", 1.0).camelot
        ('8A', '8B')
        """
        relative = (self.tonic + 3) % 12 if self.mode == "minor" else self.tonic
        return f"{_CAMELOT[relative]}{'A' if self.mode == 'minor' else 'B'}"


def estimate_tuning(chroma: FloatArray) -> float:
    """Return how far a song lies above A = 440 Hz, in cents from -50 to 50.

    Parameters
    ----------
    chroma
        ``(3 * 12, frames)``, see `stemsplit.music.features.ChromaFeatures`.
    """
    thirds = chroma.sum(axis=1).reshape(12, 3).sum(axis=0).astype(np.float64)
    if not thirds.any():
        return 0.0
    # the three bins of a semitone are points of a circle of 100 cents; the middle one is in tune
    angle = np.angle(thirds @ np.exp(2j * np.pi * (np.arange(3) - 1) / 3))
    return round(float(angle / (2 * np.pi) * 100), 1)


def fold_to_semitones(chroma: FloatArray, tuning_cents: float) -> FloatArray:
    """Add the thirds of each semitone up, ``(12, frames)``, moved by the tuning to the nearest third."""
    shift = round(tuning_cents / (100 / 3))
    return np.asarray(np.roll(chroma, -shift, axis=0).reshape(12, 3, -1).sum(axis=1))


def estimate_key(chroma: FloatArray) -> Key | None:
    """Return the key that fits the pitch classes best; None for silence and noise.

    Parameters
    ----------
    chroma
        Energy ``(12, frames)``. Every frame counts alike, whatever its level.

    References
    ----------
    Krumhansl, "Cognitive Foundations of Musical Pitch", 1990.
    """
    peak = chroma.max(axis=0, initial=0)
    sounding = chroma[:, peak > 0.05 * np.max(peak, initial=0)]
    if not sounding.size or not peak.any():
        return None
    profile = (sounding / sounding.sum(axis=0)).mean(axis=1)
    fits = {
        (tonic, mode): float(np.corrcoef(np.roll(_PROFILES[mode], tonic), profile)[0, 1])
        for tonic in range(12)
        for mode in MODES
    }
    if max(fits.values()) < _LEAST_FIT:
        return None
    best, second = sorted(fits, key=lambda key: fits[key], reverse=True)[:2]
    return Key(*best, round(min(1.0, max(0.0, fits[best] - fits[second]) / 0.2), 2))
