"""The families' own code, made to run one network beside stemsplit: for the tests of parity and for speed."""

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.types import FloatArray


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


def difference_db(found: FloatArray, expected: Any) -> float:
    """Return the energy of the difference relative to that of `expected`, in dB."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert expected.any()
    return float(10 * np.log10(np.mean((found - expected) ** 2) / np.mean(expected**2) + 1e-30))


def open_audio_separator(
    graph: Path,
    *,
    n_bins: int,
    n_frames: int,
    n_fft: int,
    overlap: float = 0.25,
    denoise: bool = False,
    threads: int = 1,
) -> Callable[[FloatArray], FloatArray]:
    """Return audio-separator's separation of a waveform, without its file handling and normalisation."""
    import onnxruntime
    import torch

    peer = import_module("audio_separator.separator.architectures.mdx_separator")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    separator = object.__new__(peer.MDXSeparator)
    vars(separator).update(
        logger=logging.getLogger("peer"),
        segment_size=n_frames,
        dim_t=n_frames,
        dim_f=n_bins,
        n_fft=n_fft,
        hop_length=1024,
        overlap=overlap,
        batch_size=1,
        enable_denoise=denoise,
        torch_device=torch.device("cpu"),
        model_run=lambda spectrogram: session.run(None, {"input": spectrogram.cpu().numpy()})[0],
    )
    return lambda song: np.asarray(separator.demix(song), dtype=np.float32)


def without_complex(network: Any, n_samples: int) -> Any:
    """Replace the STFT of an HTDemucs, which ONNX lacks, by real convolutions.

    The results for segments of `n_samples` samples stay the same.
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


def export_core(network: Any, n_samples: int, path: Path) -> None:
    """Write an HTDemucs for segments of `n_samples` samples as ONNX, with its STFT left out.

    The graph takes the waveform and the spectrogram, and gives the estimates of both branches.
    """
    import torch

    class Core(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, waveform: Any, parts: Any) -> Any:
            given = []

            def keep(estimates: Any, length: int) -> Any:
                given.append(estimates)
                return estimates.new_zeros(*estimates.shape[:2], 2, length)

            network._spec = lambda _: parts
            network._magnitude = lambda parts: parts
            network._mask = lambda _parts, estimates: estimates
            network._ispec = keep
            return self.network(waveform), *given

    n_frames = -(-n_samples // network.hop_length)
    example = (torch.rand(1, 2, n_samples), torch.rand(1, 4, network.nfft // 2, n_frames))
    torch.onnx.export(
        Core().eval(),
        example,
        str(path),
        dynamo=False,
        input_names=["input", "x"],
        output_names=["waveforms", "spectrograms"],
    )
