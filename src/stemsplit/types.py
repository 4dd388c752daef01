"""The array types of the package.

The axis order is channels-first everywhere: a waveform is ``(channels, samples)``, a spectrogram
``(channels, bins, frames)``, estimates ``(targets, channels, bins, frames)``.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
ComplexArray: TypeAlias = NDArray[np.complex64]
