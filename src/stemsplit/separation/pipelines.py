"""The pipelines of a separation: their common interface, and the pipelines of a set of models.

The chunks of a pipeline are opaque to the rest: they go from its input to `Pipeline.infer`, and from there to
its output.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from stemsplit.errors import SettingsError
from stemsplit.models.spectral_spec import SpectralPipelineSpec
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.registry.installed import Model
from stemsplit.separation.normalisation import TrackScan
from stemsplit.separation.recipe import Signal
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.spectral_pipeline import SpectralPipeline
from stemsplit.separation.waveform_pipeline import WaveformPipeline, make_segments
from stemsplit.types import FloatArray


class PipelineInput(Protocol):
    """The front end of one song: blocks of the mixture in, chunks out."""

    def process(self, mixture: FloatArray) -> Sequence[Any]:
        """Take ``(channels, samples)`` at the song's rate; return the chunks that it completes."""

    def flush(self) -> Sequence[Any]:
        """Return the last chunks."""


class PipelineOutput(Protocol):
    """The back end of one song: estimates of chunks in, waveforms out."""

    def process(self, chunk: Any) -> list[FloatArray]:
        """Return the completed samples of each signal, ``(channels, samples)`` at the song's rate."""

    def flush(self) -> list[FloatArray]:
        """Return the remaining samples of each signal."""


class PipelineRun(Protocol):
    """One song in a pipeline: an optional first pass, a front end and a back end."""

    @property
    def scan(self) -> TrackScan | None:
        """The first pass over the song, to be completed before `open_input`; None if the models need none."""

    def open_input(self) -> PipelineInput:
        """Return the front end."""

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

    def infer(self, chunks: Sequence[Any]) -> Sequence[Any]:
        """Run the networks on chunks, in batches, and return their estimates."""

    def delay(self, shift: int, *, n_shifts: int) -> "Pipeline":
        """Return a pipeline in which the song begins ``shift / n_shifts`` of a step later."""


def make_pipelines(
    models: Sequence[Model], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[Pipeline]:
    """Return the pipelines that compute `signals`, each in ``settings.shifts`` versions.

    Models with the same STFT and the same chunks share a pipeline; a waveform model has its own.

    Raises
    ------
    SettingsError
        If a model does not support a setting.
    """
    groups: dict[SpectralPipelineSpec, list[int]] = {}
    pipelines: list[Pipeline] = []
    for index, model in enumerate(models):
        if isinstance(model, WaveformModel):
            own = tuple(signal for signal in signals if signal.model == index)
            pipelines.append(_make_waveform_pipeline(model, own, settings, batch_size))
            continue
        spec = SpectralPipelineSpec.of(model.spec, chunk_s=settings.chunk_s, overlap_s=settings.overlap_s)
        groups.setdefault(spec, []).append(index)
    for spec, indices in groups.items():
        own = tuple(signal for signal in signals if signal.model in indices)
        shared = [models[index] for index in indices]
        pipeline = SpectralPipeline(
            spec=spec,
            models=tuple(model for model in shared if not isinstance(model, WaveformModel)),
            signals=own,
            signal_models=tuple(indices.index(signal.model) for signal in own),
            wiener=settings.wiener,
            batch_size=batch_size,
        )
        pipelines.append(pipeline)
    return [
        pipeline.delay(shift, n_shifts=settings.shifts)
        for pipeline in pipelines
        for shift in range(settings.shifts)
    ]


def _make_waveform_pipeline(
    model: WaveformModel, signals: tuple[Signal, ...], settings: SeparationSettings, batch_size: int
) -> WaveformPipeline:
    if settings.wiener:
        raise SettingsError(
            f"{model.spec.name} has no masks, which the Wiener filter needs; leave --wiener out"
        )
    if settings.chunk_s is not None:
        length_s = model.segment_samples / model.spec.sample_rate
        raise SettingsError(
            f"{model.spec.name} has a fixed input length of {length_s:.1f} s; leave --chunk out"
        )
    return WaveformPipeline(
        model=model,
        segments=make_segments(model, overlap_s=settings.overlap_s),
        signals=signals,
        batch_size=batch_size,
    )
