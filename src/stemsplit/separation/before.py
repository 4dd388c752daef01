"""A step before the networks: drums are separated from the percussive part of the mixture, see `hpss`.

A `PercussivePipeline` is a pipeline whose input is that part. The other stems keep the mixture as
their input, so that consonants and plucked strings are not taken from them, and the stem that completes the
sum, such as `other`, is still the mixture minus all others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stemsplit.models.hpss import HARMONIC, PERCUSSIVE, HpssModel
from stemsplit.models.spectral_spec import SpectralPipelineSpec
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.normalisation import TrackScan
from stemsplit.separation.pipeline import (
    Pipeline,
    PipelineInput,
    PipelineNetworks,
    PipelineOutput,
    PipelineRun,
)
from stemsplit.separation.recipe import Signal, make_recipe
from stemsplit.separation.spectral_pipeline import SpectralPipeline
from stemsplit.types import FloatArray


class HarmonicPercussiveFilter:
    """Splits a stream into its harmonic and its percussive part, which sum to it."""

    def __init__(self, *, sample_rate: int, n_channels: int) -> None:
        model = HpssModel()
        recipe = make_recipe([model.spec], (HARMONIC, PERCUSSIVE))
        pipeline = SpectralPipeline(
            spec=SpectralPipelineSpec.of(model.spec, chunk_s=None, overlap_s=None),
            models=(model,),
            signals=recipe.signals,
            signal_models=(0,) * len(recipe.signals),
            wiener=0,
            batch_size=1,
        )
        run = pipeline.begin(sample_rate=sample_rate, n_channels=n_channels)
        self._input, self._networks, self._output = run.open_input(), run.open_networks(), run.open_output()
        self._mixer = Mixer(recipe.stems, [recipe.signals], n_channels=n_channels)
        self._n_channels = n_channels

    def process(self, mixture: FloatArray) -> dict[str, FloatArray]:
        """Take ``(channels, samples)``; return the completed samples of both parts."""
        self._mixer.append_mixture(mixture)
        self._run(self._input.process(mixture))
        return self._join(self._mixer.process())

    def flush(self) -> dict[str, FloatArray]:
        """Return the remaining samples of both parts: together they are as long as the mixture."""
        self._run(self._input.flush())
        self._mixer.append_signals(0, self._output.flush())
        return self._join(self._mixer.flush())

    def _run(self, chunks: Sequence[Any]) -> None:
        for chunk in self._networks.infer(chunks):
            self._mixer.append_signals(0, self._output.process(chunk))

    def _join(self, blocks: Iterable[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        found = list(blocks)
        empty = np.zeros((self._n_channels, 0), np.float32)
        return {
            part: np.concatenate([empty, *(each[part] for each in found)], axis=-1)
            for part in (HARMONIC, PERCUSSIVE)
        }


@dataclass(frozen=True)
class PercussivePipeline:
    """A pipeline whose input is the percussive part of the mixture."""

    pipeline: Pipeline

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that the output returns, in order."""
        return self.pipeline.signals

    @property
    def step_s(self) -> float:
        """Seconds from one chunk to the next."""
        return self.pipeline.step_s

    def begin(self, *, sample_rate: int, n_channels: int) -> "PercussiveRun":
        """Return the run of one song of `n_channels` channels at `sample_rate` Hz."""
        run = self.pipeline.begin(sample_rate=sample_rate, n_channels=n_channels)
        return PercussiveRun(run, sample_rate, n_channels)

    def delay(self, shift: int, *, n_shifts: int) -> "PercussivePipeline":
        """Return a pipeline in which the song begins ``shift / n_shifts`` of a step later."""
        return replace(self, pipeline=self.pipeline.delay(shift, n_shifts=n_shifts))

    def transpose(self, semitones: int) -> "PercussivePipeline":
        """Return a pipeline whose models get the song so many semitones higher, and as much faster."""
        return replace(self, pipeline=self.pipeline.transpose(semitones))


@dataclass(frozen=True)
class PercussiveRun:
    """One song in a `PercussivePipeline`."""

    run: PipelineRun
    sample_rate: int
    n_channels: int

    @property
    def scan(self) -> TrackScan | None:
        """The first pass over the song, whose statistics are those of the mixture."""
        return self.run.scan

    def open_input(self) -> "PercussiveInput":
        """Return the front end."""
        splitter = HarmonicPercussiveFilter(sample_rate=self.sample_rate, n_channels=self.n_channels)
        return PercussiveInput(self.run.open_input(), splitter)

    def open_networks(self) -> PipelineNetworks:
        """Return the networks."""
        return self.run.open_networks()

    def open_output(self) -> PipelineOutput:
        """Return the back end."""
        return self.run.open_output()


class PercussiveInput:
    """The front end of one song: blocks of the mixture in, chunks of its percussive part out."""

    def __init__(self, inner: PipelineInput, splitter: HarmonicPercussiveFilter) -> None:
        self._inner, self._splitter = inner, splitter

    def process(self, mixture: FloatArray) -> Sequence[Any]:
        """Take ``(channels, samples)`` at the song's rate; return the chunks that it completes."""
        return self._inner.process(self._splitter.process(mixture)[PERCUSSIVE])

    def flush(self) -> Sequence[Any]:
        """Return the last chunks."""
        return [*self._inner.process(self._splitter.flush()[PERCUSSIVE]), *self._inner.flush()]
