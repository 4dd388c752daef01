"""What became of the stems of one song."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WriteReport:
    """What was written.

    Attributes
    ----------
    gain : float
        The one factor on all stems; 1.0 unless a stem would have clipped.
    clipped_samples : int
        Samples, over all channels and stems, that really are clipped in what was written. Always 0 for files,
        as the gain prevents it; a PCM stream on stdout cannot be scaled afterwards and may have some.
    peak : float
        Largest magnitude of any stem, before the gain; 1.0 is full scale.
    n_samples : int
        Samples a channel in each stem.
    notes : tuple of str
        What was left out without loss to the audio (a tag that could not be written).
    """

    gain: float
    clipped_samples: int
    peak: float
    n_samples: int
    notes: tuple[str, ...] = ()
