"""One song on its way through the pipelines: read, cut, infer and mix, each stage in a thread of its own.

``blocks -> read -> cut -> chunks of every pipeline -> infer -> estimates -> mix -> blocks of the stems``

The queues between the stages are bounded, and so is the memory of a song.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np

from stemsplit.dsp.blocks import check_blocks, regroup
from stemsplit.errors import AudioError
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.normalisation import scan_blocks
from stemsplit.separation.pipeline import Pipeline, PipelineInput, PipelineRun
from stemsplit.separation.prefetch import prefetch
from stemsplit.types import FloatArray

_BLOCK_S: Final = 1.0


@dataclass(frozen=True)
class Piece:
    """Some of the mixture and the chunks that it completed, or their estimates, pipeline by pipeline."""

    mixture: FloatArray
    chunks: tuple[Sequence[Any], ...]  # of a type that only the pipeline knows


# A stage closes the generator that it draws from, also when it fails. Otherwise the earlier stages would keep
# running, and reading from a song that the caller has closed, as long as the exception is referenced.
Pieces: TypeAlias = Generator[Piece, None, None]


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
        The mixture, floating point ``(channels, samples)``.
    pipelines
        At least one.
    mixer
        Of this song, made for `pipelines`.
    sample_rate
        Of the song, in Hz.
    n_channels
        Of the song.
    batch_size
        Chunks that the pipelines run at a time: the song is read no further for the first inference.

    Raises
    ------
    AudioError
        If the mixture has no samples, or as of `check_blocks`.
    """
    runs = [pipeline.begin(sample_rate=sample_rate, n_channels=n_channels) for pipeline in pipelines]
    step_s = min(pipeline.step_s for pipeline in pipelines)
    n_samples = max(1, int(min(step_s, _BLOCK_S) * sample_rate))
    cut = cut_chunks(runs, blocks, n_samples, sample_rate=sample_rate, n_channels=n_channels)
    estimated = prefetch(_infer(runs, prefetch(gather(cut, batch_size))))
    return prefetch(_mix(runs, estimated, mixer))


def cut_chunks(
    runs: Sequence[PipelineRun],
    blocks: Iterable[FloatArray],
    n_samples: int,
    *,
    sample_rate: int,
    n_channels: int,
) -> Pieces:
    """Read the song in blocks of `n_samples`, after a first pass where a pipeline needs one, and cut each."""
    scans = [run.scan for run in runs if run.scan is not None]
    with scan_blocks(blocks, scans, sample_rate=sample_rate, n_channels=n_channels) as scanned:
        inputs = [run.open_input() for run in runs]
        checked = check_blocks(scanned, n_channels, sample_rate=sample_rate)
        with closing(prefetch(regroup(checked, n_samples))) as read:
            yield from _cut_blocks(read, inputs, n_channels)


def _cut_blocks(
    blocks: Iterable[FloatArray], inputs: Sequence[PipelineInput], n_channels: int
) -> Iterator[Piece]:
    n_samples = 0
    for mixture in blocks:
        n_samples += mixture.shape[-1]
        yield Piece(mixture, tuple(each.process(mixture) for each in inputs))
    if n_samples == 0:
        raise AudioError("the mixture has no samples")
    empty = np.zeros((n_channels, 0), dtype=np.float32)
    yield Piece(empty, tuple(each.flush() for each in inputs))


def gather(pieces: Pieces, n_chunks: int) -> Iterator[Piece]:
    """Join pieces until a pipeline has `n_chunks` chunks, for one inference; the last ones may be fewer."""
    with closing(pieces):
        held: list[Piece] = []
        for piece in pieces:
            held.append(piece)
            if (
                max(sum(map(len, chunks)) for chunks in zip(*(each.chunks for each in held), strict=True))
                >= n_chunks
            ):
                yield _join(held)
                held = []
        if held:
            yield _join(held)


def _join(pieces: Sequence[Piece]) -> Piece:
    mixture = np.concatenate([piece.mixture for piece in pieces], axis=-1)
    by_pipeline = zip(*(piece.chunks for piece in pieces), strict=True)
    return Piece(mixture, tuple(list(chain.from_iterable(chunks)) for chunks in by_pipeline))


def _infer(runs: Sequence[PipelineRun], pieces: Pieces) -> Iterator[Piece]:
    with closing(pieces):
        networks = [run.open_networks() for run in runs]
        for piece in pieces:
            chunks = zip(networks, piece.chunks, strict=True)
            yield Piece(piece.mixture, tuple(each.infer(found) for each, found in chunks))


def _mix(runs: Sequence[PipelineRun], pieces: Pieces, mixer: Mixer) -> Iterator[dict[str, FloatArray]]:
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
