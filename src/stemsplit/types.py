"""The array types of the package, and what a sample may be.

The axis order is channels-first everywhere: a waveform is ``(channels, samples)``, a spectrogram
``(channels, bins, frames)``, estimates ``(targets, channels, bins, frames)``.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
ComplexArray: TypeAlias = NDArray[np.complex64]

# Beyond this a sample is damage, not sound, and its square would overflow further down.
LOUDEST: Final = 1e12
