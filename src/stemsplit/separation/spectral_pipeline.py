"""The spectral pipeline: models that share one sample rate, STFT and chunk length.

``resample -> STFT -> chunks -> masks -> [Wiener filter] -> cross-fade -> inverse STFT -> resample back``

Between the two resamplings, pairs of channels are mid and side where the models are made for these.

A `SpectralRun` is one song in a `SpectralPipeline`. `SpectralInput`, `SpectralNetworks` and `SpectralOutput`
are its three stages, each run by one thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np

from stemsplit.dsp.channels import group_channels, turn_pairs
from stemsplit.dsp.chunks import Chunk, Chunker
from stemsplit.dsp.cross_fade import CrossFade
from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis, Synthesis
from stemsplit.dsp.wiener import filter_estimates
from stemsplit.models.hpss import HpssModel
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.spectral_model import SpectralModel
from stemsplit.models.spectral_spec import SpectralPipelineSpec
from stemsplit.separation.masks import MaskFunction, apply_mask, copy_frames, mask_channels
from stemsplit.separation.recipe import Signal
from stemsplit.separation.streamed_masks import StreamedMasks
from stemsplit.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class MaskedChunk:
    """The kept frames of a chunk, ``(channels, bins, frames)``, and their masks.

    `masks` has one array ``(1, channels, rows, frames)`` for each signal of the pipeline; with the Wiener
    filter, which needs all targets, it has one array ``(targets, channels, rows, frames)`` for each model.
    """

    spectrogram: ComplexArray
    masks: tuple[FloatArray, ...]
    is_last: bool


@dataclass(frozen=True)
class SpectralPipeline:
    """Models that share a front end, and the signals that are computed from them."""

    spec: SpectralPipelineSpec
    models: tuple[MaskModel | SpectralModel | HpssModel, ...]
    signals: tuple[Signal, ...]
    signal_models: tuple[int, ...]  # for each signal, the index of its model in `models`
    wiener: int
    batch_size: int
    delay_samples: int = 0  # zeros before the song, at the sample rate of the models
    speed: float = 1.0  # at which the models get the song

    @property
    def step_s(self) -> float:
        """Seconds from one chunk to the next."""
        return self.spec.chunks.step * self.spec.stft.hop_length / self.rate_hz

    @property
    def rate_hz(self) -> float:
        """The rate to which the song is converted; the models take it for their own."""
        return self.spec.sample_rate / self.speed

    def begin(self, *, sample_rate: int, n_channels: int) -> "SpectralRun":
        """Return the run of one song of `n_channels` channels at `sample_rate` Hz."""
        return SpectralRun(self, sample_rate, n_channels)

    def delay(self, shift: int, *, n_shifts: int) -> "SpectralPipeline":
        """Return a pipeline in which the song begins ``shift / n_shifts`` of a hop later."""
        return replace(self, delay_samples=shift * self.spec.stft.hop_length // n_shifts)

    def transpose(self, semitones: int) -> "SpectralPipeline":
        """Return a pipeline whose models get the song so many semitones higher, and as much faster."""
        return replace(self, speed=2 ** (semitones / 12))


@dataclass(frozen=True)
class SpectralRun:
    """One song in a pipeline; there is no first pass."""

    pipeline: SpectralPipeline
    sample_rate: int
    n_channels: int

    @property
    def scan(self) -> None:
        """None: there is no first pass over the song."""

    def open_input(self) -> "SpectralInput":
        """Return the front end."""
        return SpectralInput(self.pipeline, sample_rate=self.sample_rate, n_channels=self.n_channels)

    def open_networks(self) -> "SpectralNetworks":
        """Return the networks."""
        return SpectralNetworks(self.pipeline, n_channels=self.n_channels)

    def open_output(self) -> "SpectralOutput":
        """Return the back end."""
        return SpectralOutput(self.pipeline, sample_rate=self.sample_rate, n_channels=self.n_channels)


class SpectralInput:
    """The front end of one song: blocks of the mixture in, chunks out."""

    def __init__(self, pipeline: SpectralPipeline, *, sample_rate: int, n_channels: int) -> None:
        spec = pipeline.spec
        self._resampler = Resampler(from_hz=sample_rate, to_hz=pipeline.rate_hz)
        self._analysis = Analysis(spec.stft, n_channels=n_channels)
        self._chunker = Chunker(spec.chunks)
        self._is_turned = spec.mid_side
        self._n_samples = 0
        self._zeros: FloatArray | None = np.zeros((n_channels, pipeline.delay_samples), dtype=np.float32)

    def process(self, mixture: FloatArray) -> list[Chunk]:
        """Take ``(channels, samples)`` at the song's rate."""
        return list(self._chunker.process(self._analyse(self._resampler.process(mixture))))

    def flush(self) -> list[Chunk]:
        """Return the last chunks."""
        spectrogram = self._analyse(self._resampler.flush())
        if self._n_samples == 0:
            # a song shorter than one sample at the model's rate has one frame of silence
            spectrogram = self._analyse(np.zeros((spectrogram.shape[0], 1), dtype=np.float32))
        return [
            *self._chunker.process(spectrogram),
            *self._chunker.process(self._analysis.flush()),
            *self._chunker.flush(),
        ]

    def _analyse(self, waveform: FloatArray) -> ComplexArray:
        self._n_samples += waveform.shape[-1]
        if self._is_turned:
            waveform = turn_pairs(waveform)
        if self._zeros is not None and waveform.shape[-1]:
            waveform, self._zeros = np.concatenate([self._zeros, waveform], axis=-1), None
        return self._analysis.process(waveform)


class SpectralNetworks:
    """The networks of one song: chunks in, masks out."""

    def __init__(self, pipeline: SpectralPipeline, *, n_channels: int) -> None:
        self._pipeline = pipeline
        self._n_groups = [
            len(group_channels(n_channels, group_size=model.spec.n_channels)) for model in pipeline.models
        ]
        self._streams = [
            StreamedMasks(model, n_channels=n_channels, fade=pipeline.spec.chunks.fade)
            if isinstance(model, MaskModel) and model.spec.delay_frames
            else None
            for model in pipeline.models
        ]

    def infer(self, chunks: Sequence[Chunk]) -> list[MaskedChunk]:
        """Run the networks on `chunks`, in batches of equal shape."""
        masked: list[MaskedChunk] = []
        for _, group in groupby(chunks, key=lambda chunk: chunk.spectrogram.shape):
            equal = list(group)
            for start in range(0, len(equal), self._pipeline.batch_size):
                masked += self._infer_batch(equal[start : start + self._pipeline.batch_size])
        return masked

    def _infer_batch(self, chunks: Sequence[Chunk]) -> list[MaskedChunk]:
        by_model = [
            stream.process(chunks) if stream else self._mask_apart(index, chunks)
            for index, stream in enumerate(self._streams)
        ]
        return [
            MaskedChunk(
                copy_frames(chunk.spectrogram[..., chunk.kept]),
                self._select_masks([masks[index] for masks in by_model]),
                chunk.is_last,
            )
            for index, chunk in enumerate(chunks)
        ]

    def _mask_apart(self, index: int, chunks: Sequence[Chunk]) -> list[FloatArray]:
        """Return the masks of the kept frames by a model that takes every chunk for itself."""
        # a single chunk is not copied
        spectrograms = (
            np.stack([chunk.spectrogram for chunk in chunks]) if chunks[1:] else chunks[0].spectrogram[None]
        )
        functions = [self._mask_function(index)] * self._n_groups[index]
        masks = mask_channels(functions, self._pipeline.models[index].spec, spectrograms)
        return [of_chunk[..., chunk.kept] for of_chunk, chunk in zip(masks, chunks, strict=True)]

    def _mask_function(self, index: int) -> MaskFunction:
        """Return the model as a function; of an external model, only the needed graphs are run."""
        pipeline = self._pipeline
        model = pipeline.models[index]
        if not isinstance(model, SpectralModel) or pipeline.wiener:
            return model
        signals = zip(pipeline.signal_models, pipeline.signals, strict=True)
        wanted = frozenset(target for owner, signal in signals if owner == index for target in signal.targets)
        return partial(model, wanted=wanted)

    def _select_masks(self, by_model: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return the masks that the back end needs, copied so that the batch can be freed."""
        pipeline = self._pipeline
        if pipeline.wiener:
            return tuple(masks.copy() for masks in by_model)
        return tuple(
            by_model[model][list(signal.targets)].sum(axis=0, keepdims=True)
            for model, signal in zip(pipeline.signal_models, pipeline.signals, strict=True)
        )


class SpectralOutput:
    """The back end of one song: masked chunks in, the waveform of every signal out."""

    def __init__(self, pipeline: SpectralPipeline, *, sample_rate: int, n_channels: int) -> None:
        self._pipeline = pipeline
        self._n_channels = n_channels
        self._cross_fades = [CrossFade(pipeline.spec.chunks) for _ in pipeline.signals]
        self._syntheses = [
            Synthesis(pipeline.spec.stft, n_skipped=pipeline.delay_samples) for _ in pipeline.signals
        ]
        self._resamplers = [Resampler(from_hz=pipeline.rate_hz, to_hz=sample_rate) for _ in pipeline.signals]

    def process(self, chunk: MaskedChunk) -> list[FloatArray]:
        """Return the completed samples of each signal, ``(channels, samples)`` at the song's rate."""
        waveforms = []
        for index, estimate in enumerate(self._estimate(chunk)):
            spectrogram = self._cross_fades[index].process(estimate, is_last=chunk.is_last)
            waveform = self._syntheses[index].process(spectrogram)
            if chunk.is_last:
                waveform = np.concatenate([waveform, self._syntheses[index].flush()], axis=-1)
            if self._pipeline.spec.mid_side:
                waveform = turn_pairs(waveform)
            waveforms.append(self._resamplers[index].process(waveform))
        return waveforms

    def flush(self) -> list[FloatArray]:
        """Return the remaining samples of each signal."""
        return [resampler.flush() for resampler in self._resamplers]

    def _estimate(self, chunk: MaskedChunk) -> Iterator[ComplexArray]:
        """Yield the estimated spectrogram of each signal, ``(channels, bins, frames)``."""
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
        """Return all targets of a model after the Wiener filter, ``(targets, channels, bins, frames)``.

        Where the masks do not sum to one, the remainder of the mixture is filtered as one more target.
        """
        pipeline, masks = self._pipeline, chunk.masks[model]
        spec = pipeline.models[model].spec
        if not spec.exhaustive:
            remainder = np.maximum(0, 1 - masks.sum(axis=0, keepdims=True))
            masks = np.concatenate([masks, remainder])
        estimates = np.stack([apply_mask(mask, chunk.spectrogram, rows=spec.row_of_bin) for mask in masks])
        for group in map(list, group_channels(self._n_channels, group_size=spec.n_channels)):
            mixture = chunk.spectrogram[group]
            estimates[:, group] = filter_estimates(
                estimates[:, group], mixture, iterations=pipeline.wiener, regularisation=spec.regularisation
            )
        return estimates
