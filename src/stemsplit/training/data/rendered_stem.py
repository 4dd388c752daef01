"""A rendered stem: a waveform and its ingredients."""

from dataclasses import dataclass

from stemsplit.types import FloatArray


@dataclass(frozen=True)
class RenderedStem:
    """A stem as a renderer returns it.

    Parameters
    ----------
    waveform : FloatArray, shape (2, samples)
        The rendered audio.
    ingredients : tuple of str
        Ingredients that an ablation may leave out, such as "sung-speech" or "distortion".
    """

    waveform: FloatArray
    ingredients: tuple[str, ...] = ()
