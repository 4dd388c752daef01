"""The spectral pipeline: models that share one sample rate, STFT and chunking, from waveform to signals.

A `SpectralPipeline` is the plan and a `SpectralRun` one song in it; `SpectralInput`, `SpectralPipeline.infer`
and `SpectralOutput` are the three stages of a song, each run by one thread.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.channels import group_channels
from stemsplit.dsp.chunks import Chunk, Chunker, ChunkSpec
from stemsplit.dsp.cross_fade import CrossFade
from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis, StftSpec, Synthesis
from stemsplit.dsp.wiener import filter_estimates
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.external import SpectralModel
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.properties import ModelProperties
from stemsplit.separation.recipe import Signal
from stemsplit.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class SpectralPipelineSpec:
    """What models must have in common to share a pipeline."""

    sample_rate: int
    stft: StftSpec
    chunks: ChunkSpec

    @classmethod
    def of(
        cls, spec: ModelProperties, *, chunk_s: float | None, overlap_s: float | None
    ) -> "SpectralPipelineSpec":
        """The pipeline of a model; `chunk_s` and `overlap_s` replace what the model proposes."""
        return cls(spec.sample_rate, spec.stft, _make_chunks(spec, chunk_s, overlap_s))


def _make_chunks(spec: ModelProperties, chunk_s: float | None, overlap_s: float | None) -> ChunkSpec:
    """Chunks as the model proposes them; those of a network that takes so many frames and no others."""
    frames_per_s = spec.sample_rate / spec.stft.hop_length
    length_s = spec.chunk_s if chunk_s is None else chunk_s
    if spec.n_frames:
        if chunk_s is not None:
            raise SettingsError(
                f"{spec.name} takes {spec.n_frames / frames_per_s:.1f} s at a call, no more and no less; "
                "leave --chunk out"
            )
        context = int(np.ceil(spec.context_s * frames_per_s - 1e-6))
        if spec.n_frames <= 2 * context:
            raise ModelError(
                f"{spec.name} takes {spec.n_frames} frames at a call, which leaves none between {context} "
                "frames of context on either side; give a smaller context_s in its description"
            )
        length_s = (spec.n_frames - 2 * context) / frames_per_s
    chunks = ChunkSpec.from_seconds(
        chunk_s=length_s,
        overlap_s=spec.propose_overlap(length_s) if overlap_s is None else overlap_s,
        context_s=spec.context_s,
        frames_per_s=frames_per_s,
    )
    if 0 < spec.n_frames < chunks.step + chunks.fade + 2 * chunks.context:
        raise SettingsError(
            f"{spec.name} takes {spec.n_frames} frames at a call, which cannot overlap by {chunks.fade}; "
            "use a shorter overlap"
        )
    return chunks


@dataclass(frozen=True)
class MaskedChunk:
    """The kept frames of a chunk ``(channels, bins, frames)`` and masks ``(n, channels, rows, frames)``.

    There is one array of masks for each signal of the pipeline (of one mask), or one for each model where the
    Wiener filter needs every target.
    """

    spectrogram: ComplexArray
    masks: tuple[FloatArray, ...]
    is_last: bool


@dataclass(frozen=True)
class SpectralPipeline:
    """Models that share a front end, and the signals wanted of them."""

    spec: SpectralPipelineSpec
    models: tuple[MaskModel | SpectralModel, ...]
    signals: tuple[Signal, ...]
    signal_models: tuple[int, ...]  # for each signal the place of its model in `models`
    wiener: int
    batch_size: int
    delay: int = 0  # samples of silence before the song, at the models' rate

    @property
    def step_s(self) -> float:
        """Seconds from one chunk to the next."""
        return self.spec.chunks.step * self.spec.stft.hop_length / self.spec.sample_rate

    def begin(self, *, sample_rate: int, n_channels: int) -> "SpectralRun":
        """Begin a song, of `n_channels` channels at `sample_rate` Hz."""
        return SpectralRun(self, sample_rate, n_channels)

    def delayed(self, number: int, *, n_shifts: int) -> "SpectralPipeline":
        """Return the pipeline of pass `number`, in which the song begins a part of a frame later."""
        return replace(self, delay=number * self.spec.stft.hop_length // n_shifts)

    def infer(self, chunks: Sequence[Chunk]) -> list[MaskedChunk]:
        """Run the networks over `chunks`, in batches of equal shape."""
        masked: list[MaskedChunk] = []
        for _, run in groupby(chunks, key=lambda chunk: chunk.spectrogram.shape):
            alike = list(run)
            for start in range(0, len(alike), self.batch_size):
                masked += self._infer_batch(alike[start : start + self.batch_size])
        return masked

    def _infer_batch(self, chunks: Sequence[Chunk]) -> list[MaskedChunk]:
        # one chunk needs no copy
        spectrograms = (
            np.stack([chunk.spectrogram for chunk in chunks]) if chunks[1:] else chunks[0].spectrogram[None]
        )
        by_model = [
            _mask_channels(self._ask(number), model.spec, spectrograms)
            for number, model in enumerate(self.models)
        ]
        return [
            MaskedChunk(
                _copy_frames(chunk.spectrogram[..., chunk.kept]),
                self._select([masks[place][..., chunk.kept] for masks in by_model]),
                chunk.is_last,
            )
            for place, chunk in enumerate(chunks)
        ]

    def _ask(self, number: int) -> Callable[[ComplexArray], FloatArray]:
        """The model as a function; of a foreign one, only the graphs that are needed."""
        model = self.models[number]
        if isinstance(model, MaskModel) or self.wiener:
            return model
        signals = zip(self.signal_models, self.signals, strict=True)
        wanted = frozenset(place for owner, signal in signals if owner == number for place in signal.targets)
        return partial(model, wanted=wanted)

    def _select(self, by_model: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """What the back end needs of each model's masks, copied, so that the rest can go."""
        if self.wiener:
            return tuple(masks.copy() for masks in by_model)
        return tuple(
            by_model[model][list(signal.targets)].sum(axis=0, keepdims=True)
            for model, signal in zip(self.signal_models, self.signals, strict=True)
        )


def _mask_channels(
    ask: Callable[[ComplexArray], FloatArray], spec: ModelProperties, spectrograms: ComplexArray
) -> FloatArray:
    """Masks of ``(batch, channels, bins, frames)`` for any number of channels.

    A channel without a partner is given to a stereo network on both sides; the two masks are averaged.
    """
    n_batch, n_channels, _, n_frames = spectrograms.shape
    group_size = spec.n_channels
    groups = group_channels(n_channels, group_size=group_size)
    if len(groups) == 1 and n_channels == group_size:
        return ask(spectrograms)
    whole = np.empty((n_batch, len(spec.targets), n_channels, spec.n_rows, n_frames), dtype=np.float32)
    for group in groups:
        doubled = group + group[-1:] * (group_size - len(group))
        masks = ask(spectrograms[:, doubled])
        whole[:, :, group] = masks if len(group) == group_size else masks.mean(axis=2, keepdims=True)
    return whole


@dataclass(frozen=True)
class SpectralRun:
    """One song in a pipeline: the two ends of it; no first pass is needed."""

    pipeline: SpectralPipeline
    sample_rate: int
    n_channels: int

    @property
    def scan(self) -> None:
        """The first pass over the song: there is none."""

    def open_input(self) -> "SpectralInput":
        """Begin to read the song."""
        return SpectralInput(self.pipeline, sample_rate=self.sample_rate, n_channels=self.n_channels)

    def open_output(self) -> "SpectralOutput":
        """Begin to put the song together."""
        return SpectralOutput(self.pipeline, sample_rate=self.sample_rate, n_channels=self.n_channels)


class SpectralInput:
    """The front end of one song: blocks of the mixture in, chunks out."""

    def __init__(self, pipeline: SpectralPipeline, *, sample_rate: int, n_channels: int) -> None:
        spec = pipeline.spec
        self._resampler = Resampler(from_hz=sample_rate, to_hz=spec.sample_rate)
        self._analysis = Analysis(spec.stft, n_channels=n_channels)
        self._chunker = Chunker(spec.chunks)
        self._n_samples = 0
        self._silence: FloatArray | None = np.zeros((n_channels, pipeline.delay), dtype=np.float32)

    def process(self, mixture: FloatArray) -> list[Chunk]:
        """Take ``(channels, samples)`` at the song's rate."""
        return list(self._chunker.process(self._analyse(self._resampler.process(mixture))))

    def flush(self) -> list[Chunk]:
        """Return the last chunks."""
        spectrogram = self._analyse(self._resampler.flush())
        if self._n_samples == 0:
            # a song shorter than one sample at the model's rate still has a frame, of silence
            spectrogram = self._analyse(np.zeros((spectrogram.shape[0], 1), dtype=np.float32))
        return [
            *self._chunker.process(spectrogram),
            *self._chunker.process(self._analysis.flush()),
            *self._chunker.flush(),
        ]

    def _analyse(self, waveform: FloatArray) -> ComplexArray:
        self._n_samples += waveform.shape[-1]
        if self._silence is not None and waveform.shape[-1]:
            waveform, self._silence = np.concatenate([self._silence, waveform], axis=-1), None
        return self._analysis.process(waveform)


class SpectralOutput:
    """The back end of one song: masked chunks in, the waveform of every signal out."""

    def __init__(self, pipeline: SpectralPipeline, *, sample_rate: int, n_channels: int) -> None:
        self._pipeline = pipeline
        self._n_channels = n_channels
        self._fades = [CrossFade(pipeline.spec.chunks) for _ in pipeline.signals]
        self._syntheses = [Synthesis(pipeline.spec.stft, n_skipped=pipeline.delay) for _ in pipeline.signals]
        self._resamplers = [
            Resampler(from_hz=pipeline.spec.sample_rate, to_hz=sample_rate) for _ in pipeline.signals
        ]

    def process(self, chunk: MaskedChunk) -> list[FloatArray]:
        """Return ``(channels, samples)`` at the song's rate for each signal; all of one length."""
        finished = []
        for place, estimate in enumerate(self._estimate(chunk)):
            spectrogram = self._fades[place].process(estimate, is_last=chunk.is_last)
            waveform = self._syntheses[place].process(spectrogram)
            if chunk.is_last:
                waveform = np.concatenate([waveform, self._syntheses[place].flush()], axis=-1)
            finished.append(self._resamplers[place].process(waveform))
        return finished

    def flush(self) -> list[FloatArray]:
        """Return what the change of sample rate still held."""
        return [resampler.flush() for resampler in self._resamplers]

    def _estimate(self, chunk: MaskedChunk) -> Iterator[ComplexArray]:
        """The spectrogram of each signal in turn, ``(channels, bins, frames)``."""
        pipeline = self._pipeline
        models = zip(pipeline.signal_models, pipeline.signals, strict=True)
        if pipeline.wiener:
            refined = [self._refine(model, chunk) for model in range(len(pipeline.models))]
            yield from (refined[model][list(signal.targets)].sum(axis=0) for model, signal in models)
            return
        for (model, _), masks in zip(models, chunk.masks, strict=True):
            rows = pipeline.models[model].spec.row_of_bin
            yield apply_mask(masks[0], chunk.spectrogram, rows=rows)

    def _refine(self, model: int, chunk: MaskedChunk) -> ComplexArray:
        """All targets of a model, and what they leave over, through the Wiener filter."""
        pipeline, masks = self._pipeline, chunk.masks[model]
        spec = pipeline.models[model].spec
        if not spec.exhaustive:
            rest = np.maximum(0, 1 - masks.sum(axis=0, keepdims=True))
            masks = np.concatenate([masks, rest])
        guesses = np.stack([apply_mask(mask, chunk.spectrogram, rows=spec.row_of_bin) for mask in masks])
        for group in map(list, group_channels(self._n_channels, group_size=spec.n_channels)):
            mixture = chunk.spectrogram[group]
            guesses[:, group] = filter_estimates(
                guesses[:, group], mixture, iterations=pipeline.wiener, regularisation=spec.regularisation
            )
        return guesses


def _copy_frames(spectrogram: ComplexArray) -> ComplexArray:
    """Copy ``(channels, bins, frames)`` in its order in memory, so that what it was cut from can go."""
    return spectrogram.swapaxes(-1, -2).copy().swapaxes(-1, -2)


def apply_mask(
    mask: FloatArray, spectrogram: ComplexArray, *, rows: NDArray[np.intp] | None = None
) -> ComplexArray:
    """Multiply ``(channels, bins, frames)`` by a mask, keeping the spectrogram's order in memory.

    The mask is ``(channels, rows, frames)``; `rows` names the row of each bin.
    """
    by_frame = np.ascontiguousarray(mask.swapaxes(-1, -2))
    if rows is not None:
        by_frame = by_frame.take(rows, axis=-1)
    return np.asarray(by_frame * spectrogram.swapaxes(-1, -2)).swapaxes(-1, -2)
