"""The multichannel Wiener filter, refined by expectation-maximisation (EM).

Every target ``j`` is modelled as a local Gaussian process: a power spectral density ``v_j(bin, frame)`` and a
spatial covariance matrix ``R_j(bin)`` [1]_. One iteration estimates both from the current estimates [2]_ and
filters the mixture ``x`` by the generalised Wiener filter [3]_::

    y_j = v_j R_j (sum_k v_k R_k)^-1 x

The bins are independent and are filtered band by band, which bounds the memory. The arithmetic is float64 and
complex128.

References
----------
.. [1] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation
   using a full-rank spatial covariance model", IEEE Transactions on Audio, Speech, and Language Processing
   18(7), 2010.
.. [2] A. A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with deep neural
   networks", IEEE/ACM Transactions on Audio, Speech, and Language Processing 24(9), 2016.
.. [3] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP,
   2015.
"""

import numpy as np
from numpy.typing import NDArray

from stemsplit.types import ComplexArray

_BAND_BINS = 256
_EPSILON = 1e-10


def filter_estimates(
    estimates: ComplexArray, mixture: ComplexArray, *, iterations: int, regularisation: float = 0.0
) -> ComplexArray:
    """Refine ``(targets, channels, bins, frames)`` estimates of a ``(channels, bins, frames)`` mixture.

    The result sums to the mixture wherever any estimate has energy, unless there is a `regularisation`.

    Parameters
    ----------
    estimates
        Initial estimates of all targets of the mixture, for instance masks times mixture; complex64.
    mixture
        One or two channels; complex64.
    iterations
        Number of EM iterations, 1 or more.
    regularisation
        Power of the white noise that is assumed in the mixture and removed from it, relative to a hundredth
        of the power of the loudest bin (at least 1). Open-Unmix uses 1e-5 and norbert 1.5e-8; 0 adds, bin by
        bin, only as much as keeps the covariance of silence invertible.

    Returns
    -------
    ComplexArray
        The refined estimates, shaped as `estimates`.
    """
    refined = np.empty_like(estimates)
    loudest = float(np.abs(mixture).max(initial=0)) if regularisation else 0.0
    noise = regularisation * max(1.0, loudest / 10) ** 2
    for start in range(0, mixture.shape[1], _BAND_BINS):
        bins = slice(start, start + _BAND_BINS)
        band = estimates[:, :, bins].astype(np.complex128)
        for _ in range(iterations):
            band = _run_em_iteration(band, mixture[:, bins].astype(np.complex128), noise)
        refined[:, :, bins] = band
    return refined


def _run_em_iteration(
    estimates: NDArray[np.complex128], mixture: NDArray[np.complex128], noise: float
) -> NDArray[np.complex128]:
    """Estimate the power and the covariance of every target, and filter the mixture with them."""
    power = np.mean(np.abs(estimates) ** 2, axis=1)  # (targets, bins, frames)
    spatial = np.einsum("jcbt,jdbt->jbcd", estimates, estimates.conj())
    spatial /= power.sum(axis=-1)[..., None, None] + _EPSILON  # (targets, bins, channels, channels)
    total = np.einsum("jbt,jbcd->btcd", power, spatial)
    # negligible next to the signal, and enough to keep the covariance of silence invertible
    scale = np.mean(power.sum(axis=0), axis=-1)[:, None, None, None]
    total += (noise or 1e-7 * scale + _EPSILON) * np.eye(mixture.shape[0])
    whitened = np.linalg.solve(total, mixture.transpose(1, 2, 0)[..., None])[
        ..., 0
    ]  # (bins, frames, channels)
    filtered: NDArray[np.complex128] = np.einsum(
        "jbt,jbcd,btd->jcbt", power, spatial, whitened, optimize=True
    )
    return filtered
