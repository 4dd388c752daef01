"""One song on its way through the pipelines: read, infer and mix, each stage in a thread of its own.

``blocks -> read -> chunks of every pipeline -> infer -> estimates -> mix -> blocks of the stems``

The queues between the stages are bounded, and so is the memory of a song.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from stemsplit.dsp.blocks import check_blocks, regroup
from stemsplit.errors import AudioError
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.normalisation import scan_blocks
from stemsplit.separation.pipeline import Pipeline, PipelineInput, PipelineRun
from stemsplit.separation.prefetch import prefetch
from stemsplit.types import FloatArray

# by which the conversion of a song's sample rate lags behind, at most, if that is 22,050 Hz or more
_LAG_S: Final = 0.05


@dataclass(frozen=True)
class _Piece:
    """A block of the mixture and the chunks that it completed, or their estimates, pipeline by pipeline."""

    mixture: FloatArray
    chunks: tuple[Sequence[Any], ...]  # of a type that only the pipeline knows


# A stage closes the generator that it draws from, also when it fails. Otherwise the earlier stages would keep
# running, and reading from a song that the caller has closed, as long as the exception is referenced.
_Pieces: TypeAlias = Generator[_Piece, None, None]


def stream_song(
    blocks: Iterable[FloatArray],
    pipelines: Sequence[Pipeline],
    mixer: Mixer,
    *,
    sample_rate: int,
    n_channels: int,
    batch_size: int,
) -> Generator[dict[str, FloatArray], None, None]:
    """Yield blocks of the stems, ``(channels, samples)`` each; closing the generator stops all stages.

    Parameters
    ----------
    blocks
        The mixture, float32 ``(channels, samples)``.
    pipelines
        At least one.
    mixer
        Of this song, made for `pipelines`.
    sample_rate
        Of the song, in Hz.
    n_channels
        Of the song.
    batch_size
        Chunks that the pipelines run at a time: as many are read before the first inference, and not more.

    Raises
    ------
    AudioError
        If the mixture has no samples, contains NaN or infinity, or a block has another number of channels.
    """
    runs = [pipeline.begin(sample_rate=sample_rate, n_channels=n_channels) for pipeline in pipelines]
    lengths = choose_lengths(pipelines, batch_size, sample_rate)
    read = prefetch(read_chunks(runs, blocks, lengths, sample_rate, n_channels))
    estimated = prefetch(_infer(pipelines, read))
    return prefetch(_mix(runs, estimated, mixer))


def choose_lengths(pipelines: Sequence[Pipeline], batch_size: int, sample_rate: int) -> tuple[int, int]:
    """Return how many samples are read before the first inference, and from each one to the next."""
    densest = min(pipelines, key=lambda pipeline: pipeline.step_s)
    first_s = densest.reach_s + (batch_size - 1) * densest.step_s + _LAG_S
    return math.ceil(first_s * sample_rate), max(1, int(batch_size * densest.step_s * sample_rate))


def read_chunks(
    runs: Sequence[PipelineRun],
    blocks: Iterable[FloatArray],
    lengths: tuple[int, int],
    sample_rate: int,
    n_channels: int,
) -> Iterator[_Piece]:
    """Yield the song in blocks of `lengths` with their chunks, after a first pass where one is needed."""
    n_first, n_samples = lengths
    scans = [run.scan for run in runs if run.scan is not None]
    with scan_blocks(blocks, scans, n_channels=n_channels) as scanned:
        inputs = [run.open_input() for run in runs]
        regrouped = regroup(check_blocks(scanned, n_channels), n_samples, n_first=n_first)
        yield from _cut_chunks(regrouped, inputs, sample_rate, n_channels)


def _cut_chunks(
    blocks: Iterable[FloatArray], inputs: Sequence[PipelineInput], sample_rate: int, n_channels: int
) -> Iterator[_Piece]:
    n_samples = 0
    for mixture in blocks:
        _check_finite(mixture, start_s=n_samples / sample_rate)
        n_samples += mixture.shape[-1]
        yield _Piece(mixture, tuple(each.process(mixture) for each in inputs))
    if n_samples == 0:
        raise AudioError("the mixture has no samples")
    empty = np.zeros((n_channels, 0), dtype=np.float32)
    yield _Piece(empty, tuple(each.flush() for each in inputs))


def _infer(pipelines: Sequence[Pipeline], pieces: _Pieces) -> Iterator[_Piece]:
    with closing(pieces):
        for piece in pieces:
            chunks = zip(pipelines, piece.chunks, strict=True)
            yield _Piece(piece.mixture, tuple(pipeline.infer(each) for pipeline, each in chunks))


def _mix(runs: Sequence[PipelineRun], pieces: _Pieces, mixer: Mixer) -> Iterator[dict[str, FloatArray]]:
    with closing(pieces):
        outputs = [run.open_output() for run in runs]
        for piece in pieces:
            mixer.append_mixture(piece.mixture)
            for index, (output, chunks) in enumerate(zip(outputs, piece.chunks, strict=True)):
                for chunk in chunks:
                    mixer.append_signals(index, output.process(chunk))
            yield from mixer.process()
        for index, output in enumerate(outputs):
            mixer.append_signals(index, output.flush())
        yield from mixer.flush()


def _check_finite(mixture: FloatArray, *, start_s: float) -> None:
    if not np.isfinite(mixture).all():
        raise AudioError(f"the mixture holds NaN or infinity after {start_s:.1f} s; repair it first")
