"""What a maker of stems gives: a waveform, and what went into it."""

from dataclasses import dataclass

from stemsplit.types import FloatArray


@dataclass(frozen=True)
class RenderedStem:
    """A stem as it was made.

    Parameters
    ----------
    waveform : FloatArray, shape (2, samples)
        The stem.
    ingredients : tuple of str
        Names of what an ablation may leave out, such as "sung-speech" or "distortion".
    """

    waveform: FloatArray
    ingredients: tuple[str, ...] = ()
