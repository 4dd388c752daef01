"""Augmentations of stems: reverb, stereo width, fades, saturation, speed and mastering.

All of them are cheap: a stem of 4.5 s takes milliseconds.
"""

from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.random import Generator
from scipy.fft import next_fast_len

from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class AugmentSettings:
    """Probability of each augmentation of a stem.

    Parameters
    ----------
    reverb : float
        Convolution with exponentially decaying noise.
    width : float
        Scaling of the side signal, from nearly mono to very wide.
    fade : float
        A fade-in or fade-out within the example.
    saturation : float
        Soft clipping.
    """

    reverb: float = 0.1
    width: float = 0.4
    fade: float = 0.1
    saturation: float = 0.05


def augment(rng: Generator, stem: FloatArray, settings: AugmentSettings) -> FloatArray:
    """Apply randomly drawn augmentations to a stem ``(2, samples)``."""
    draws = rng.random(4)
    if draws[0] < settings.saturation:
        stem = saturate(stem, float(rng.uniform(3, 12)))
    if draws[1] < settings.width:
        stem = scale_width(stem, float(np.exp(rng.uniform(np.log(0.1), np.log(1.8)))))
    if draws[2] < settings.reverb:
        stem = reverberate(rng, stem)
    if draws[3] < settings.fade:
        stem = fade(rng, stem)
    return stem


def change_speed(sound: FloatArray, speed: float) -> FloatArray:
    """Change speed and pitch together by resampling: ``(channels, samples) -> (channels, samples / speed)``.

    Changes of less than a cent are ignored, because the resampler then returns too few samples.
    """
    if abs(speed - 1) < 5e-4:
        return sound
    return np.asarray(soxr.resample(sound.T, SAMPLE_RATE * speed, SAMPLE_RATE, quality="HQ").T, np.float32)


def reverberate(rng: Generator, stem: FloatArray) -> FloatArray:
    """Add reverb: stereo noise that decays by 60 dB in 0.2 to 1.5 s, 6 to 20 dB below the stem."""
    decay_s = float(rng.uniform(0.2, 1.5))
    n_room = round(decay_s * SAMPLE_RATE)
    time = np.arange(n_room, dtype=np.float32) / n_room
    room = rng.standard_normal((2, n_room), np.float32) * np.exp(-6.9 * time)
    room[:, : round(float(rng.uniform(0, 0.03)) * SAMPLE_RATE)] = 0  # before the first reflection
    # walls absorb the highs: a low-pass of two samples, applied twice
    room[:, 1:] += room[:, :-1]
    room[:, 1:] += room[:, :-1]
    room *= 10 ** (float(rng.uniform(-20, -6)) / 20) / np.sqrt(np.square(room).sum(1, keepdims=True))
    length = next_fast_len(stem.shape[1] + n_room, real=True)
    # torch computes transforms of this length in a fraction of the time of scipy
    spectra = torch.fft.rfft(torch.from_numpy(stem), length) * torch.fft.rfft(torch.from_numpy(room), length)
    wet = torch.fft.irfft(spectra, length)[:, : stem.shape[1]].numpy()
    return np.asarray(stem + wet, np.float32)


def scale_width(stem: FloatArray, width: float) -> FloatArray:
    """Scale the side signal of a stem by `width` and keep its power; 0 would be mono."""
    # left is middle plus side and right middle minus side: each is (1 + width) / 2 of itself and (1 - width)
    # / 2 of the other channel
    turned = stem[::-1] * np.float32((1 - width) / 2)
    turned += stem * np.float32((1 + width) / 2)
    before, after = _energy(stem), _energy(turned)
    if not after > 0:
        return stem
    turned *= np.float32(np.sqrt(before / after))
    return turned


def double_voice(rng: Generator, stem: FloatArray) -> FloatArray:
    """Double a voice left and right, as in records where it is sung twice, and keep its power.

    The voice stays in the middle, more or less, and late copies whose pitch and time wander come from the
    sides. Where it does not stay, one of the sides is the voice itself.
    """
    voice = stem.mean(0)
    copies = np.stack([copy_late(rng, voice, (0.008, 0.03), (0.001, 0.006)) for _ in range(2)])
    if rng.random() < 0.5:
        doubled = stem + copies * np.float32(rng.uniform(0.4, 1.2))
    else:
        copies[int(rng.integers(2))] = voice
        doubled = copies + np.float32(rng.uniform(0, 0.3)) * stem
    return _keep_power(doubled, stem)


def spread(rng: Generator, stem: FloatArray, side_db: float) -> FloatArray:
    """Give a stem other sides, at all frequencies alike: `side_db` above its middle. Its power is kept.

    They are a copy of the middle, late by some milliseconds, as of a chorus or a small room.
    """
    middle = stem.mean(0)
    side = copy_late(rng, middle, (0.001, 0.01), (0, 0.0005))
    level = _energy(middle) * 10 ** (side_db / 10) / max(_energy(side), 1e-12)
    side *= np.float32(np.sqrt(level) * (1 if rng.random() < 0.5 else -1))
    return _keep_power(np.stack([middle + side, middle - side]), stem)


def copy_late(
    rng: Generator, voice: FloatArray, delay_s: tuple[float, float], depth_s: tuple[float, float]
) -> FloatArray:
    """Return a sound ``(samples,)`` after a delay that swings slowly around a value in `delay_s`."""
    time = np.arange(voice.size)
    drawn_s, swing_s = rng.uniform(*delay_s), rng.uniform(*depth_s)
    wander_s = swing_s * np.sin(2 * np.pi * rng.uniform(0.1, 0.6) * time / SAMPLE_RATE)
    return np.interp(time - (drawn_s + wander_s) * SAMPLE_RATE, time, voice, left=0.0).astype(np.float32)


def fade(rng: Generator, stem: FloatArray) -> FloatArray:
    """Fade a stem in or out within 0.05 to 1 s, centred between one and four fifths of its length."""
    n_samples = stem.shape[1]
    middle = float(rng.uniform(0.2, 0.8)) * n_samples
    length = float(rng.uniform(0.05, 1.0)) * SAMPLE_RATE
    rise = np.clip((np.arange(n_samples, dtype=np.float32) - middle) / length + 0.5, 0, 1)
    curve = np.sin(rise * (np.pi / 2))
    return np.asarray(stem * (curve if rng.random() < 0.5 else curve[::-1]), np.float32)


def saturate(stem: FloatArray, drive_db: float) -> FloatArray:
    """Clip a stem softly, with its peak `drive_db` above the threshold, and keep its power."""
    peak = float(np.abs(stem).max(initial=0.0))
    if peak == 0:
        return stem
    driven = np.tanh(stem * (10 ** (drive_db / 20) / peak))
    return np.asarray(driven * np.sqrt(_energy(stem) / _energy(driven)), np.float32)


def _keep_power(changed: FloatArray, stem: FloatArray) -> FloatArray:
    """Scale a changed stem to the power that it had; where nothing is left of it, return it as it was."""
    after = _energy(changed)
    return np.asarray(changed * np.sqrt(_energy(stem) / after), np.float32) if after > 0 else stem


def _energy(sound: FloatArray) -> float:
    # no dot product: BLAS would use all cores for it, in each of the processes that load examples
    return float(np.square(sound).sum())


def apply_mastering(stems: FloatArray, depth_db: float) -> FloatArray:
    """Limit the mixture by attenuating all stems together where it is loudest.

    Parameters
    ----------
    stems : FloatArray, shape (targets, 2, samples)
        Their sum is the mixture.
    depth_db : float
        Distance of the limiter's threshold below the peak of the mixture.

    Returns
    -------
    FloatArray, shape (targets, 2, samples)
    """
    step = 441  # 10 ms
    level = np.abs(stems.sum(0)).max(0)
    blocks = np.pad(level, (0, -level.size % step)).reshape(-1, step).max(1)
    threshold = blocks.max() * 10 ** (-depth_db / 20)
    gain = np.minimum(1, threshold / np.maximum(blocks, 1e-9))
    # a look-ahead of two blocks, then a smooth release
    held = np.lib.stride_tricks.sliding_window_view(np.pad(gain, 2, mode="edge"), 5).min(-1)
    smooth = np.convolve(np.pad(held, 4, mode="edge"), np.hanning(11)[1:-1] / 5, mode="valid")
    curve = np.interp(np.arange(level.size), (np.arange(smooth.size) + 0.5) * step, smooth)
    return np.asarray(stems * curve.astype(np.float32), np.float32)
