"""The waveform pipeline: a model whose input and output are segments of waveforms.

``resample -> segments -> network -> weighted overlap-add -> resample back``

A `WaveformRun` is one song in a `WaveformPipeline`. `WaveformInput`, `WaveformPipeline.infer` and
`WaveformOutput` are its three stages, each run by one thread.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stemsplit.dsp.channels import group_channels
from stemsplit.dsp.cross_fade import WeightedOverlapAdd
from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.segments import Segment, Segmenter, SegmentSpec
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.separation.normalisation import Normalisation, TrackScan
from stemsplit.separation.recipe import Signal
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class NormalisedSegment:
    """A segment of the mixture, and the normalisation of each group of its channels, if any."""

    segment: Segment
    normalisations: tuple[Normalisation, ...] | None


@dataclass(frozen=True)
class SegmentEstimates:
    """The kept samples of one segment, ``(channels, samples)`` for each signal of the pipeline."""

    estimates: tuple[FloatArray, ...]
    is_last: bool


@dataclass(frozen=True)
class WaveformPipeline:
    """One model and the signals that are computed from it."""

    model: WaveformModel
    segments: SegmentSpec
    signals: tuple[Signal, ...]
    batch_size: int
    speed: float = 1.0  # at which the model gets the song

    @property
    def step_s(self) -> float:
        """Seconds from one segment to the next."""
        return self.segments.step / self.rate_hz

    @property
    def rate_hz(self) -> float:
        """The rate to which the song is converted; the model takes it for its own."""
        return self.sample_rate / self.speed

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model, in Hz."""
        return self.model.spec.sample_rate

    def begin(self, *, sample_rate: int, n_channels: int) -> "WaveformRun":
        """Return the run of one song of `n_channels` channels at `sample_rate` Hz."""
        scan = None
        if self.model.spec.normalisation != "none":
            scan = TrackScan(
                self.group_channels(n_channels), sample_rate=sample_rate, model_rate=self.sample_rate
            )
        return WaveformRun(self, sample_rate, n_channels, scan)

    def delay(self, shift: int, *, n_shifts: int) -> "WaveformPipeline":
        """Return a pipeline in which the song begins ``shift / n_shifts`` of a segment step later."""
        return replace(self, segments=self.segments.delay(shift * self.segments.step // n_shifts))

    def transpose(self, semitones: int) -> "WaveformPipeline":
        """Return a pipeline whose model gets the song so many semitones higher, and as much faster."""
        return replace(self, speed=2 ** (semitones / 12))

    def infer(self, chunks: Sequence[NormalisedSegment]) -> list[SegmentEstimates]:
        """Run the network on segments, in batches."""
        estimates: list[SegmentEstimates] = []
        for start in range(0, len(chunks), self.batch_size):
            estimates += self._infer_batch(chunks[start : start + self.batch_size])
        return estimates

    @property
    def _needed_targets(self) -> frozenset[int]:
        return frozenset(target for signal in self.signals for target in signal.targets)

    def group_channels(self, n_channels: int) -> list[list[int]]:
        """Return the groups of a song's channels that go through the network together."""
        return [list(group) for group in group_channels(n_channels, group_size=self.model.spec.n_channels)]

    def _infer_batch(self, chunks: Sequence[NormalisedSegment]) -> list[SegmentEstimates]:
        waveforms = np.stack([chunk.segment.waveform for chunk in chunks])
        shape = (len(chunks), self.model.spec.n_outputs, *waveforms.shape[1:])
        estimates = np.empty(shape, dtype=np.float32)
        normalisations = chunks[0].normalisations
        for index, group in enumerate(self.group_channels(waveforms.shape[1])):
            estimates[:, :, group] = self._separate(waveforms[:, group])
            if normalisations is not None:
                estimates[:, :, group] *= np.float32(normalisations[index].deviation)
                estimates[:, :, group] += np.float32(normalisations[index].mean)
        return [
            SegmentEstimates(self._sum_targets(each[..., chunk.segment.kept]), chunk.segment.is_last)
            for chunk, each in zip(chunks, estimates, strict=True)
        ]

    def _separate(self, waveforms: FloatArray) -> FloatArray:
        """Estimate the targets of one group of channels.

        A single channel goes into a stereo network twice, and the mean of its two outputs is taken.
        """
        n_channels, group_size = waveforms.shape[1], self.model.spec.n_channels
        if n_channels == group_size:
            return self.model(waveforms, self._needed_targets)
        doubled = self.model(np.repeat(waveforms, group_size, axis=1), self._needed_targets)
        return np.asarray(doubled.mean(axis=2, keepdims=True))

    def _sum_targets(self, estimates: FloatArray) -> tuple[FloatArray, ...]:
        """Return each signal of one segment, copied so that the batch can be freed."""
        return tuple(estimates[list(signal.targets)].sum(axis=0) for signal in self.signals)


def make_segments(model: WaveformModel, *, overlap_s: float | None) -> SegmentSpec:
    """Return the segments of a model; `overlap_s` replaces the overlap of its description.

    Raises
    ------
    SettingsError
        If the overlap is too long.
    """
    spec, length = model.spec, model.segment_samples
    n_kept = length - 2 * spec.trim
    step = (
        int((1 - spec.overlap) * n_kept)
        if overlap_s is None
        else n_kept - round(overlap_s * spec.sample_rate)
    )
    # estimates are least accurate at the mirrored ends of a segment: the song begins and ends elsewhere
    mirrored = max(stft.n_fft // 2 for stft in spec.stfts) if spec.has_complex_output else 0
    lead = max(spec.trim, mirrored)
    return SegmentSpec(length, step, lead, spec.trim, spec.fade, spec.last_segment == "centred")


@dataclass(frozen=True)
class WaveformRun:
    """One song in a pipeline; `scan` is its first pass, if the model needs its input normalised."""

    pipeline: WaveformPipeline
    sample_rate: int
    n_channels: int
    scan: TrackScan | None

    def open_input(self) -> "WaveformInput":
        """Return the front end; the first pass must be complete."""
        return WaveformInput(
            self.pipeline,
            sample_rate=self.sample_rate,
            n_channels=self.n_channels,
            normalisations=None if self.scan is None else self.scan.finish(),
        )

    def open_networks(self) -> WaveformPipeline:
        """Return what runs the network, which keeps nothing of a song."""
        return self.pipeline

    def open_output(self) -> "WaveformOutput":
        """Return the back end."""
        return WaveformOutput(self.pipeline, sample_rate=self.sample_rate)


class WaveformInput:
    """The front end of one song: blocks of the mixture in, segments out."""

    def __init__(
        self,
        pipeline: WaveformPipeline,
        *,
        sample_rate: int,
        n_channels: int,
        normalisations: tuple[Normalisation, ...] | None,
    ) -> None:
        self._normalisations = normalisations
        self._groups = pipeline.group_channels(n_channels)
        self._resampler = Resampler(from_hz=sample_rate, to_hz=pipeline.rate_hz)
        self._segmenter = Segmenter(pipeline.segments, n_channels=n_channels)
        self._n_samples = 0

    def process(self, mixture: FloatArray) -> list[NormalisedSegment]:
        """Take ``(channels, samples)`` at the song's rate."""
        return self._with_normalisations(self._cut(self._resampler.process(mixture)))

    def flush(self) -> list[NormalisedSegment]:
        """Return the last segments."""
        waveform = self._resampler.flush()
        if self._n_samples + waveform.shape[-1] == 0:
            # a song shorter than one sample at the model's rate has one segment of silence
            waveform = np.zeros((len(waveform), 1), dtype=np.float32)
        return self._with_normalisations([*self._cut(waveform), *self._segmenter.flush()])

    def _with_normalisations(self, segments: Iterable[Segment]) -> list[NormalisedSegment]:
        return [NormalisedSegment(segment, self._normalisations) for segment in segments]

    def _cut(self, waveform: FloatArray) -> Iterator[Segment]:
        self._n_samples += waveform.shape[-1]
        return self._segmenter.process(self._normalise(waveform))

    def _normalise(self, waveform: FloatArray) -> FloatArray:
        if self._normalisations is None:
            return waveform
        normalised = np.empty_like(waveform)
        for group, track in zip(self._groups, self._normalisations, strict=True):
            normalised[group] = (waveform[group] - np.float32(track.mean)) / np.float32(track.deviation)
        return normalised


class WaveformOutput:
    """The back end of one song: estimates of segments in, the waveform of every signal out."""

    def __init__(self, pipeline: WaveformPipeline, *, sample_rate: int) -> None:
        self._overlap_adds = [WeightedOverlapAdd(pipeline.segments) for _ in pipeline.signals]
        self._resamplers = [Resampler(from_hz=pipeline.rate_hz, to_hz=sample_rate) for _ in pipeline.signals]

    def process(self, chunk: SegmentEstimates) -> list[FloatArray]:
        """Return the completed samples of each signal, ``(channels, samples)`` at the song's rate."""
        stages = zip(self._overlap_adds, self._resamplers, chunk.estimates, strict=True)
        return [
            resampler.process(overlap_add.process(estimate, is_last=chunk.is_last))
            for overlap_add, resampler, estimate in stages
        ]

    def flush(self) -> list[FloatArray]:
        """Return the remaining samples of each signal."""
        return [resampler.flush() for resampler in self._resamplers]
