"""The common interface of all pipelines.

The chunks of a pipeline are opaque to the rest: they go from its input to its networks, and from there to its
output.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from stemsplit.separation.normalisation import TrackScan
from stemsplit.separation.recipe import Signal
from stemsplit.types import FloatArray


class PipelineInput(Protocol):
    """The front end of one song: blocks of the mixture in, chunks out."""

    def process(self, mixture: FloatArray) -> Sequence[Any]:
        """Take ``(channels, samples)`` at the song's rate; return the chunks that it completes."""

    def flush(self) -> Sequence[Any]:
        """Return the last chunks."""


class PipelineNetworks(Protocol):
    """The networks of one song: chunks in, estimates out."""

    def infer(self, chunks: Sequence[Any]) -> Sequence[Any]:
        """Run the networks on the next chunks of the song, in batches, and return their estimates."""


class PipelineOutput(Protocol):
    """The back end of one song: estimates of chunks in, waveforms out."""

    def process(self, chunk: Any) -> list[FloatArray]:
        """Return the completed samples of each signal, ``(channels, samples)`` at the song's rate."""

    def flush(self) -> list[FloatArray]:
        """Return the remaining samples of each signal."""


class PipelineRun(Protocol):
    """One song in a pipeline: an optional first pass, a front end, networks and a back end."""

    @property
    def scan(self) -> TrackScan | None:
        """The first pass over the song, to be completed before `open_input`; None if the models need none."""

    def open_input(self) -> PipelineInput:
        """Return the front end."""

    def open_networks(self) -> PipelineNetworks:
        """Return the networks."""

    def open_output(self) -> PipelineOutput:
        """Return the back end."""


class Pipeline(Protocol):
    """Computes the signals of one or more models from the mixture."""

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that the output returns, in order."""

    @property
    def step_s(self) -> float:
        """Seconds from one chunk to the next."""

    def begin(self, *, sample_rate: int, n_channels: int) -> PipelineRun:
        """Return the run of one song of `n_channels` channels at `sample_rate` Hz."""

    def delay(self, shift: int, *, n_shifts: int) -> "Pipeline":
        """Return a pipeline in which the song begins ``shift / n_shifts`` of a step later."""

    def transpose(self, semitones: int) -> "Pipeline":
        """Return a pipeline whose models get the song so many semitones higher, and as much faster."""
