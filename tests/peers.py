"""What the parity tests share: a song, networks exported to ONNX, descriptions, and a measure in dB."""

from pathlib import Path
from typing import Any

import numpy as np

from stemsplit import Separator
from stemsplit.types import FloatArray

SAMPLE_RATE = 44100


def make_song(n_samples: int, *, seed: int = 0) -> FloatArray:
    """Chords and hits over noise that falls off like music does, stereo, at about -15 dBFS."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal((2, n_samples)))
    noise = np.fft.irfft(spectrum / (1 + np.arange(spectrum.shape[1]) / 40), n_samples)
    song = 0.3 * noise / noise.std()
    for hz in (82.4, 220.0, 277.2, 329.6, 1318.5, 5274.0):
        places = rng.random((2, 1))
        song += places * np.sin(2 * np.pi * hz * time_s) * np.exp(-((time_s * 1.7) % 1) * 3)
    hits = rng.standard_normal((2, n_samples)) * np.exp(-((time_s * 2.1) % 1) * 40)
    return np.asarray(0.1 * (song + 2 * hits), dtype=np.float32)


def export(network: Any, example: Any, path: Path, **axes: Any) -> Path:
    """Write a torch network as ONNX with the shape of `example`; `axes` are torch's ``dynamic_axes``."""
    import torch

    torch.onnx.export(
        network,
        (example,),
        str(path),
        dynamo=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes=axes or None,
    )
    return path


def describe(folder: Path, *lines: str) -> Path:
    """Write a description; return its path."""
    path = folder / "model.toml"
    path.write_text("\n".join(['name = "peer"', *lines, ""]), encoding="utf-8")
    return path


def separate(description: Path, song: FloatArray, **settings: Any) -> dict[str, FloatArray]:
    """Separate a song at 44,100 Hz with one foreign model."""
    with Separator(models=[description], device="cpu", threads=1, **settings) as separator:
        return separator(song, SAMPLE_RATE)


def difference_db(found: FloatArray, expected: Any) -> float:
    """Level of the difference below that of what was expected."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert expected.any()
    return float(10 * np.log10(np.mean((found - expected) ** 2) / np.mean(expected**2) + 1e-30))


def without_complex(network: Any, n_samples: int) -> Any:
    """Give an HTDemucs an STFT of real convolutions in place of torch's, which ONNX does not have.

    What it computes for segments of `n_samples` samples stays the same.
    """
    import torch
    from torch.nn import functional

    n_fft, hop = network.nfft, network.hop_length
    pad, n_frames = hop // 2 * 3, -(-n_samples // hop)
    window = torch.hann_window(n_fft).double()
    angle = 2 * torch.pi * torch.arange(n_fft // 2 + 1)[:, None] * torch.arange(n_fft)[None] / n_fft
    basis = torch.cat([angle.cos(), -angle.sin()]) * window / n_fft**0.5
    twice = torch.full((n_fft // 2 + 1,), 2.0)
    twice[[0, -1]] = 1
    inverse = basis * torch.cat([twice, twice])[:, None]
    envelope = functional.conv_transpose1d(
        torch.ones(1, 1, n_frames + 4).double(), window.square()[None, None], stride=hop
    )
    mirrored = np.pad(np.arange(n_samples), (pad, pad + n_frames * hop - n_samples), mode="reflect")
    index = torch.from_numpy(np.pad(mirrored, n_fft // 2, mode="reflect"))

    def spec(mixture: Any) -> Any:
        frames = mixture[..., index].reshape(-1, 1, len(index))
        found = functional.conv1d(frames, basis.float()[:, None], stride=hop)[..., 2 : 2 + n_frames]
        parts = found.reshape(1, 2, 2, n_fft // 2 + 1, n_frames)  # (batch, channels, parts, bins, frames)
        return parts[..., :-1, :]

    def ispec(parts: Any, length: int) -> Any:
        padded = functional.pad(parts, (2, 2, 0, 1))
        frames = padded.reshape(-1, n_fft + 2, n_frames + 4)
        summed = functional.conv_transpose1d(frames, inverse.float()[:, None], stride=hop)
        whole = (summed / envelope.clamp(min=1e-11).float())[..., n_fft // 2 + pad :]
        return whole[..., :length].reshape(*parts.shape[:3], length)

    network._spec, network._ispec = spec, ispec
    network._magnitude = lambda parts: parts.flatten(1, 2)
    network._mask = lambda _parts, found: found.unflatten(2, (2, 2))
    return network
