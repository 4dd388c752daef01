"""Settings of a separation."""

from dataclasses import dataclass, field

from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights

# onnxruntime sets up as many as it is told, by the gigabyte
MAX_THREADS = 1024


@dataclass(frozen=True)
class SeparationSettings:
    """Everything that decides what is in the stems, besides the models and the song.

    Parameters
    ----------
    stems
        Targets to write; None for all of them.
    residual
        Also write what the stems leave over.
    karaoke
        Write only this stem and the mixture minus it.
    wiener
        Iterations of the Wiener filter, 0 to 10; 0 leaves it out.
    chunk_s, overlap_s
        Length of a chunk (0.1 to 600) and of the cross-fade between two (0 to 600), in seconds; None for the
        model's chunk length and half a second.
    blend
        What is whose where several models offer a stem.
    half
        Compute in half precision, which the GPU must be for.
    shifts
        Passes over the song, each with the frames or segments a part of their step later; the mean of all
        is taken. Time grows with it.

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
    blend: EnsembleWeights = field(default_factory=EnsembleWeights)
    half: bool = False
    shifts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.wiener <= 10:
            raise SettingsError(f"wiener is {self.wiener}; it must be from 0 (off) to 10 iterations")
        if not 1 <= self.shifts <= 16:
            raise SettingsError(f"shifts is {self.shifts}; it must be from 1 (a single pass) to 16")
        # a network that hears single frames has nothing to go by
        for name, value, least in (("chunk", self.chunk_s, 0.1), ("overlap", self.overlap_s, 0)):
            if value is not None and not least <= value <= 600:
                raise SettingsError(f"{name} is {value} s; it must be from {least} to 600 s")
