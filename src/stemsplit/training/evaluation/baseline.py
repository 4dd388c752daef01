"""Lower and upper bound of the scores: a baseline without a model, and the oracle ratio mask."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from stemsplit.errors import StemsplitError
from stemsplit.evaluation.metrics import sdr
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.songs import are_bundled
from stemsplit.training.evaluation.scores import Score, load_scores, save_scores
from stemsplit.training.evaluation.validation import ValidationCase, score_cases
from stemsplit.training.networks.spectra import centred_stft, inverse_stft
from stemsplit.types import FloatArray

N_FFT, HOP_LENGTH = 2048, 512
BASS_BELOW_HZ = 180.0
VOICE_HZ = (180.0, 6000.0)


def baseline_estimates(case: ValidationCase) -> FloatArray:
    """Separate without a model: harmonic-percussive separation (Fitzgerald 2010), then frequency bands.

    The percussive part is assigned to the drums, the harmonic part below 180 Hz to the bass. Above that, it
    is shared equally between vocals and other in the range of a voice, and assigned to other beyond. For
    targets other than `TARGETS`, each estimate is an equal share of the mixture.

    Returns
    -------
    FloatArray, shape (targets, 2, samples)
        The estimates sum to the mixture.
    """
    import librosa

    mixture = case.mixture
    if not are_bundled(case.targets):
        return np.stack([mixture / len(case.targets)] * len(case.targets))
    spectrum = librosa.stft(mixture, n_fft=N_FFT, hop_length=HOP_LENGTH)
    harmonic, percussive = librosa.decompose.hpss(np.abs(spectrum).mean(0), kernel_size=21, mask=True)
    frequency_hz = librosa.fft_frequencies(sr=SAMPLE_RATE, n_fft=N_FFT)[:, None]
    is_bass = frequency_hz < BASS_BELOW_HZ
    voice = 0.5 * ((frequency_hz >= VOICE_HZ[0]) & (frequency_hz < VOICE_HZ[1]))
    masks = {"drums": percussive, "bass": harmonic * is_bass, "vocals": harmonic * voice}
    masks["other"] = 1 - sum(masks.values())
    n_samples = mixture.shape[1]
    estimates = [
        librosa.istft(masks[target] * spectrum, hop_length=HOP_LENGTH, length=n_samples)
        for target in case.targets
    ]
    return np.stack(estimates).astype(np.float32)


def oracle_estimates(case: ValidationCase) -> FloatArray:
    """Separate with the ratio mask of the true stems' magnitudes, in the STFT of the bundled model."""
    spectra = centred_stft(torch.from_numpy(case.stems))
    magnitudes = spectra.abs()
    masks = magnitudes / (magnitudes.sum(0, keepdim=True) + 1e-9)
    return inverse_stft(masks * spectra.sum(0), case.stems.shape[-1]).numpy()


def reference_scores(
    cases: Sequence[ValidationCase], path: Path, *, framewise: Collection[str] = ()
) -> dict[str, list[Score]]:
    """Return the scores of baseline and oracle, cached in the file `path` while the cases are the same."""
    with contextlib.suppress(StemsplitError):  # there is no cache, or it is damaged
        scores = load_scores(path)
        if scores.keys() >= {"baseline", "oracle"} and _are_of(scores["oracle"], cases, framewise):
            return scores
    scores = {
        "baseline": score_cases(cases, baseline_estimates, framewise=framewise),
        "oracle": score_cases(cases, oracle_estimates, framewise=framewise),
    }
    save_scores(scores, path)
    return scores


def _are_of(scores: Sequence[Score], cases: Sequence[ValidationCase], framewise: Collection[str]) -> bool:
    """Tell whether scores belong to these cases; songs may have been rendered again under the same names."""
    if not set(framewise) <= {score.case for score in scores if score.n_frames}:
        return False
    # for any estimate, this difference is the SDR of the mixture
    kept = {(score.case, score.target): score.sdr_db - score.improvement_db for score in scores}
    wanted = {
        (case.name, target): sdr(case.stems[case.targets.index(target)], case.mixture)
        for case in cases
        for target in case.known
    }
    return kept.keys() == wanted.keys() and all(
        np.isclose(kept[key], wanted[key], atol=1e-3, equal_nan=True) for key in kept
    )
