"""The yardstick: the architecture of Open-Unmix in PyTorch, separating the same song.

``python -m benchmarks.yardstick SONG OUTPUT_DIR`` decodes a song, runs four networks (vocals, drums, bass,
other; random weights, which are as fast as trained ones) and writes four 16-bit wavs. The networks are the
published ones: STFT 4096/1024 with a Hann window, 1487 of 2049 bins read, hidden size 512, three
bidirectional LSTM layers, masks multiplied with the mixture, no Wiener filter.

It is optimised as far as that costs no quality: all cores, inference mode, denormals flushed, one STFT for
all four targets, and the segment length that was fastest.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.machine import count_cores
from stemsplit.training.networks.openunmix import OpenUnmix

TARGETS = ("vocals", "drums", "bass", "other")
N_FFT = 4096
HOP_LENGTH = 1024
SEGMENT_S = 15.0


def separate_segment(networks: dict[str, nn.Module], mixture: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the waveform of each target, ``(channels, samples)`` like `mixture`."""
    window = torch.hann_window(N_FFT)
    spectrogram = torch.stft(mixture, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    magnitude = spectrogram.abs().unsqueeze(0)  # (1, channels, bins, frames)
    for target, network in networks.items():
        masked = network(magnitude)[0, 0] * spectrogram
        yield target, torch.istft(masked, N_FFT, HOP_LENGTH, window=window, length=mixture.shape[-1])


@torch.inference_mode()
def separate_song(song: Path, output_dir: Path, *, segment_s: float) -> None:
    """Separate one file into four, segment by segment; 0 seconds means the whole song at once."""
    networks = dict(zip(TARGETS, OpenUnmix().eval().parts, strict=True))
    waveform: NDArray[np.float32]
    waveform, sample_rate = soundfile.read(song, dtype="float32", always_2d=True)
    step = int(segment_s * sample_rate) or len(waveform)
    output_dir.mkdir(parents=True, exist_ok=True)
    files = {
        target: soundfile.SoundFile(
            output_dir / f"{target}.wav", "w", sample_rate, waveform.shape[1], subtype="PCM_16"
        )
        for target in TARGETS
    }
    for start in range(0, len(waveform), step):
        mixture = torch.from_numpy(np.ascontiguousarray(waveform[start : start + step].T))
        for target, estimate in separate_segment(networks, mixture):
            files[target].write(estimate.T.numpy())
    for file in files.values():
        file.close()


def main() -> None:
    """Run the yardstick on one song."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--segment-s", type=float, default=SEGMENT_S)
    arguments = parser.parse_args()
    torch.set_num_threads(count_cores())
    torch.set_flush_denormal(True)
    separate_song(arguments.song, arguments.output_dir, segment_s=arguments.segment_s)


if __name__ == "__main__":
    main()
