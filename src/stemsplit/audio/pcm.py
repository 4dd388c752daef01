"""Integer PCM: its range, the gain that keeps samples within it, and its rounding.

Integer PCM of ``bits`` bits holds ``-2**(bits-1) .. 2**(bits-1) - 1``; a sample of value 1.0 stands for
``2**(bits-1)``, as every reader scales it. Rounding is to the nearest step, ties to even, so it has no bias
and a PCM file that is read and written again is bit-identical. (libsndfile rounds down when it writes WAV.)
"""

import numpy as np
import numpy.typing as npt

from stemsplit.audio.encoding import Encoding
from stemsplit.types import FloatArray

PcmArray = npt.NDArray[np.int16] | npt.NDArray[np.int32]


def gain_to_fit(encoding: Encoding, lowest: float, highest: float) -> float:
    """Find the gain that keeps samples between ``lowest`` and ``highest`` from clipping.

    1.0 as long as every sample, rounded, is a value that the encoding can hold; so a PCM sample of
    ``1 - 2**-(bits-1)``, the largest there is, needs no gain. Otherwise the largest gain that makes all fit.
    Lossy encodings fit up to 1.0 in magnitude, float always.
    """
    if encoding.is_float:
        return 1.0
    if encoding.bits is None:
        return 1.0 / max(1.0, highest, -lowest)
    scale = 2.0 ** (encoding.bits - 1)
    fits = np.rint(highest * scale) <= scale - 1 and np.rint(lowest * scale) >= -scale
    if fits:
        return 1.0
    return min(1.0, (scale - 1) / scale / max(highest, 1e-9), 1.0 / max(-lowest, 1e-9))


def quantise(samples: FloatArray, bits: int, *, gain: float = 1.0) -> tuple[PcmArray, int]:
    """Round samples to integer PCM.

    Parameters
    ----------
    samples : array of float32
        Any shape; 1.0 is full scale.
    bits : int
        16, 24 or 32.
    gain : float
        Multiplies the samples first.

    Returns
    -------
    values : array of int16 (16 bits) or int32 (24 and 32 bits; right-aligned)
        Of the same shape.
    n_clipped : int
        How many samples were beyond the range and had to be clipped.

    Examples
    --------
    >>> quantise(np.float32([0.5 / 32768, 1.5 / 32768, -1.5 / 32768, 1.0]), 16)
    (array([    0,     2,    -2, 32767], dtype=int16), 1)
    """
    scale = 2 ** (bits - 1)
    # Scaling by a power of two is exact in float32; anything else, and the limits of 32 bits, are not.
    exact = gain == 1.0 and bits < 32
    scaled = samples * np.float32(scale) if exact else samples.astype(np.float64) * (scale * gain)
    np.rint(scaled, out=scaled)
    n_clipped = 0
    if scaled.size and (scaled.max() > scale - 1 or scaled.min() < -scale):
        n_clipped = int(np.count_nonzero((scaled > scale - 1) | (scaled < -scale)))
        np.clip(scaled, -scale, scale - 1, out=scaled)
    return (scaled.astype(np.int16) if bits == 16 else scaled.astype(np.int32)), n_clipped
