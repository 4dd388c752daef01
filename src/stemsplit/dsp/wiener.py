"""The multichannel Wiener filter, refined by expectation-maximisation.

Each target's short-time power and its spatial covariance are estimated from the current estimates; the
filter then shares the mixture out among all targets (Duong, Vincent & Gribonval 2010; Nugraha, Liutkus &
Vincent 2016). Bins are independent, so the work goes band by band and its memory stays small. Inside,
everything is float64 and complex128.
"""

import numpy as np
from numpy.typing import NDArray

from stemsplit.types import ComplexArray

_BINS_AT_ONCE = 256
_EPSILON = 1e-10


def filter_estimates(
    estimates: ComplexArray, mixture: ComplexArray, *, iterations: int, regularisation: float = 0.0
) -> ComplexArray:
    """Refine ``(targets, channels, bins, frames)`` estimates of a ``(channels, bins, frames)`` mixture.

    The result sums to the mixture wherever any estimate has energy, unless there is a `regularisation`.

    Parameters
    ----------
    estimates
        First guesses, for instance masks times mixture. All the targets of the mixture.
    mixture
        One or two channels.
    iterations
        Rounds of expectation-maximisation, 1 or more.
    regularisation
        Power of white noise that is assumed in the mixture and taken out, over a hundredth of the power of
        the loudest bin (at least 1). Open-Unmix has 1e-5, norbert 1.5e-8; 0 for the least that keeps silence
        invertible, bin by bin.
    """
    refined = np.empty_like(estimates)
    loudest = float(np.abs(mixture).max(initial=0)) if regularisation else 0.0
    noise = regularisation * max(1.0, loudest / 10) ** 2
    for start in range(0, mixture.shape[1], _BINS_AT_ONCE):
        bins = slice(start, start + _BINS_AT_ONCE)
        band = estimates[:, :, bins].astype(np.complex128)
        for _ in range(iterations):
            band = _maximise(band, mixture[:, bins].astype(np.complex128), noise)
        refined[:, :, bins] = band
    return refined


def _maximise(
    estimates: NDArray[np.complex128], mixture: NDArray[np.complex128], noise: float
) -> NDArray[np.complex128]:
    """One round: power and covariance of every target, then the filter."""
    power = np.mean(np.abs(estimates) ** 2, axis=1)  # (targets, bins, frames)
    spatial = np.einsum("jcbt,jdbt->jbcd", estimates, estimates.conj())
    spatial /= power.sum(axis=-1)[..., None, None] + _EPSILON  # (targets, bins, channels, channels)
    total = np.einsum("jbt,jbcd->btcd", power, spatial)
    # too small to matter, large enough that silence can be inverted
    scale = np.mean(power.sum(axis=0), axis=-1)[:, None, None, None]
    total += (noise or 1e-7 * scale + _EPSILON) * np.eye(mixture.shape[0])
    whitened = np.linalg.solve(total, mixture.transpose(1, 2, 0)[..., None])[
        ..., 0
    ]  # (bins, frames, channels)
    filtered: NDArray[np.complex128] = np.einsum(
        "jbt,jbcd,btd->jcbt", power, spatial, whitened, optimize=True
    )
    return filtered
