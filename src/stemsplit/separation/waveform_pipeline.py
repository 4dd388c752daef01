"""The waveform pipeline: a model whose input and output are segments of waveforms.

As in `stemsplit.separation.spectral_pipeline`, a `WaveformPipeline` is the plan and a `WaveformRun` one song
in it; `WaveformInput`, `WaveformPipeline.infer` and `WaveformOutput` are the three stages of a song, each run
by one thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stemsplit.dsp.channels import group_channels
from stemsplit.dsp.cross_fade import WeightedOverlapAdd
from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.segments import Segment, Segmenter, SegmentSpec
from stemsplit.models.external import WaveformModel
from stemsplit.separation.level_scan import Level, Scan
from stemsplit.separation.recipe import Signal
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class LevelledSegment:
    """A segment of the mixture, and the level that was taken from each group of its channels."""

    segment: Segment
    levels: tuple[Level, ...] | None


@dataclass(frozen=True)
class SplitSegment:
    """The kept samples ``(channels, samples)`` of each signal of the pipeline."""

    estimates: tuple[FloatArray, ...]
    is_last: bool


@dataclass(frozen=True)
class WaveformPipeline:
    """One model and the signals wanted of it."""

    model: WaveformModel
    segments: SegmentSpec
    signals: tuple[Signal, ...]
    batch_size: int

    @property
    def step_s(self) -> float:
        """Seconds from one segment to the next."""
        return self.segments.step / self.sample_rate

    @property
    def sample_rate(self) -> int:
        """Of what the model hears, in Hz."""
        return self.model.spec.sample_rate

    def begin(self, *, sample_rate: int, n_channels: int) -> "WaveformRun":
        """Begin a song, of `n_channels` channels at `sample_rate` Hz."""
        scan = None
        if self.model.spec.normalisation != "none":
            scan = Scan(self.groups(n_channels), sample_rate=sample_rate, model_rate=self.sample_rate)
        return WaveformRun(self, sample_rate, n_channels, scan)

    def delayed(self, number: int, *, n_shifts: int) -> "WaveformPipeline":
        """Return the pipeline of pass `number`, in which the song begins a part of a step later."""
        return replace(self, segments=self.segments.delay(number * self.segments.step // n_shifts))

    def infer(self, chunks: Sequence[LevelledSegment]) -> list[SplitSegment]:
        """Run the network over segments, in batches."""
        split: list[SplitSegment] = []
        for start in range(0, len(chunks), self.batch_size):
            split += self._infer_batch(chunks[start : start + self.batch_size])
        return split

    @property
    def _wanted(self) -> frozenset[int]:
        return frozenset(target for signal in self.signals for target in signal.targets)

    def groups(self, n_channels: int) -> list[list[int]]:
        """Return which of a song's channels the network hears together."""
        return [list(group) for group in group_channels(n_channels, group_size=self.model.spec.n_channels)]

    def _infer_batch(self, chunks: Sequence[LevelledSegment]) -> list[SplitSegment]:
        waveforms = np.stack([chunk.segment.waveform for chunk in chunks])
        shape = (len(chunks), len(self.model.spec.targets), *waveforms.shape[1:])
        estimates = np.empty(shape, dtype=np.float32)
        levels = chunks[0].levels
        for place, group in enumerate(self.groups(waveforms.shape[1])):
            estimates[:, :, group] = self._separate(waveforms[:, group])
            if levels is not None:
                estimates[:, :, group] *= np.float32(levels[place].deviation)
                estimates[:, :, group] += np.float32(levels[place].mean)
        return [
            SplitSegment(self._select(found[..., chunk.segment.kept]), chunk.segment.is_last)
            for chunk, found in zip(chunks, estimates, strict=True)
        ]

    def _separate(self, waveforms: FloatArray) -> FloatArray:
        """Estimates of one group of channels; one without a partner is given to a stereo network twice."""
        n_channels, group_size = waveforms.shape[1], self.model.spec.n_channels
        if n_channels == group_size:
            return self.model(waveforms, self._wanted)
        doubled = self.model(np.repeat(waveforms, group_size, axis=1), self._wanted)
        return np.asarray(doubled.mean(axis=2, keepdims=True))

    def _select(self, estimates: FloatArray) -> tuple[FloatArray, ...]:
        """Each signal of one segment, copied, so that the rest can go."""
        return tuple(estimates[list(signal.targets)].sum(axis=0) for signal in self.signals)


def make_segments(model: WaveformModel, *, overlap_s: float | None) -> SegmentSpec:
    """Return how a model's segments lie; `overlap_s` replaces the overlap that its description proposes.

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
    # the ends of a mirrored segment are the worst of it: the song's ends are kept away from them
    lead = max(spec.trim, spec.n_fft // 2 if spec.output_kind == "complex" else 0)
    return SegmentSpec(length, step, lead, spec.trim, spec.fade, spec.last_segment == "centred")


@dataclass(frozen=True)
class WaveformRun:
    """One song in a pipeline: its first pass, if the model must know the level, and the two ends."""

    pipeline: WaveformPipeline
    sample_rate: int
    n_channels: int
    scan: Scan | None

    def open_input(self) -> "WaveformInput":
        """Begin to read the song, once the first pass is through."""
        return WaveformInput(
            self.pipeline,
            sample_rate=self.sample_rate,
            n_channels=self.n_channels,
            levels=None if self.scan is None else self.scan.finish(),
        )

    def open_output(self) -> "WaveformOutput":
        """Begin to put the song together."""
        return WaveformOutput(self.pipeline, sample_rate=self.sample_rate)


class WaveformInput:
    """The front end of one song: blocks of the mixture in, segments out."""

    def __init__(
        self,
        pipeline: WaveformPipeline,
        *,
        sample_rate: int,
        n_channels: int,
        levels: tuple[Level, ...] | None,
    ) -> None:
        self._levels = levels
        self._groups = pipeline.groups(n_channels)
        self._resampler = Resampler(from_hz=sample_rate, to_hz=pipeline.sample_rate)
        self._segmenter = Segmenter(pipeline.segments, n_channels=n_channels)
        self._n_samples = 0

    def process(self, mixture: FloatArray) -> list[LevelledSegment]:
        """Take ``(channels, samples)`` at the song's rate."""
        found = self._segment(self._resampler.process(mixture))
        return [LevelledSegment(segment, self._levels) for segment in found]

    def flush(self) -> list[LevelledSegment]:
        """Return the last segments."""
        waveform = self._resampler.flush()
        if self._n_samples + waveform.shape[-1] == 0:
            # a song shorter than one sample at the model's rate still has a segment, of silence
            waveform = np.zeros((len(waveform), 1), dtype=np.float32)
        found = [*self._segment(waveform), *self._segmenter.flush()]
        return [LevelledSegment(segment, self._levels) for segment in found]

    def _segment(self, waveform: FloatArray) -> Iterator[Segment]:
        self._n_samples += waveform.shape[-1]
        return self._segmenter.process(self._level(waveform))

    def _level(self, waveform: FloatArray) -> FloatArray:
        if self._levels is None:
            return waveform
        levelled = np.empty_like(waveform)
        for group, level in zip(self._groups, self._levels, strict=True):
            levelled[group] = (waveform[group] - np.float32(level.mean)) / np.float32(level.deviation)
        return levelled


class WaveformOutput:
    """The back end of one song: split segments in, the waveform of every signal out."""

    def __init__(self, pipeline: WaveformPipeline, *, sample_rate: int) -> None:
        self._joins = [WeightedOverlapAdd(pipeline.segments) for _ in pipeline.signals]
        self._resamplers = [
            Resampler(from_hz=pipeline.sample_rate, to_hz=sample_rate) for _ in pipeline.signals
        ]

    def process(self, chunk: SplitSegment) -> list[FloatArray]:
        """Return ``(channels, samples)`` at the song's rate for each signal; all of one length."""
        stages = zip(self._joins, self._resamplers, chunk.estimates, strict=True)
        return [
            resampler.process(join.process(estimate, is_last=chunk.is_last))
            for join, resampler, estimate in stages
        ]

    def flush(self) -> list[FloatArray]:
        """Return what the change of sample rate still held."""
        return [resampler.flush() for resampler in self._resamplers]
