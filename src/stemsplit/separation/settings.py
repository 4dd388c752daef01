"""The settings of a separation."""

from dataclasses import dataclass, field
from typing import Final

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights

BEFORE: Final = ("hpss",)
# onnxruntime allocates memory for every thread, by the gigabyte for absurd numbers
MAX_THREADS = 1024
# semitones by which the passes over a song are transposed, in the order of what they gain
TRANSPOSITIONS: Final = (0, 1, -1, 2, -2)
# the drums as one stem, or the parts of the kit
DRUMS = ("stem", "kit")


@dataclass(frozen=True)
class SeparationSettings:
    """Everything that determines the stems, besides the models and the song.

    Parameters
    ----------
    stems
        Targets to return; None for all of them.
    residual
        Also return the mixture minus all stems.
    karaoke
        Return only this stem and the mixture minus it.
    wiener
        Number of iterations of the Wiener filter, 0 (off) to 10.
    chunk_s, overlap_s
        Length of a chunk (0.1 to 600 s) and of the cross-fade between two (0 to 600 s); None for the chunk
        length of the model and half a second.
    ensemble
        How models that offer the same stem are combined.
    half
        Run the networks in half precision; requires a GPU.
    int8
        Run networks that have an 8-bit form in it, where the device is the CPU: 1.25 times as fast.
    shifts
        Number of passes over the song, 1 to 16, whose mean is taken; each begins a fraction of a frame or
        segment step later. The run time is proportional to it.
    transpositions
        Number of passes over the song, 1 to 5, whose mean is taken; each has the song in another key, as
        `TRANSPOSITIONS` says, and at another speed, as a tape would. The run time is proportional to it, and
        to `shifts`.
    drums
        ``stem``, or ``kit`` for kick, snare and cymbals in the place of the drums, whose sum they are.
    before
        A step before the networks, one of `BEFORE`; None for none. ``hpss`` separates the drums from the
        percussive part of the mixture.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    stems: tuple[str, ...] | None = None
    residual: bool = False
    karaoke: str | None = None
    wiener: int = 0
    chunk_s: float | None = None
    overlap_s: float | None = None
    ensemble: EnsembleWeights = field(default_factory=EnsembleWeights)
    half: bool = False
    int8: bool = False
    shifts: int = 1
    transpositions: int = 1
    drums: str = "stem"
    before: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.wiener <= 10:
            raise SettingsError(f"wiener is {self.wiener}; it must be from 0 (off) to 10 iterations")
        if self.drums not in DRUMS:
            raise unknown_name(f"drums cannot be {self.drums!r}", self.drums, DRUMS)
        if not 1 <= self.shifts <= 16:
            raise SettingsError(f"shifts is {self.shifts}; it must be from 1 (a single pass) to 16")
        if not 1 <= self.transpositions <= len(TRANSPOSITIONS):
            raise SettingsError(
                f"transpositions is {self.transpositions}; it must be from 1 (a single pass) to "
                f"{len(TRANSPOSITIONS)}"
            )
        if self.before is not None and self.before not in BEFORE:
            raise unknown_name(f"there is no step {self.before!r} before the networks", self.before, BEFORE)
        # single frames do not carry enough information for a network
        for name, value_s, min_s in (("chunk", self.chunk_s, 0.1), ("overlap", self.overlap_s, 0)):
            if value_s is not None and not min_s <= value_s <= 600:
                raise SettingsError(f"{name} is {value_s} s; it must be from {min_s} to 600 s")
