"""The pipelines of a separator: what all of them do, which models share one, and how many there are.

Nobody but a pipeline itself knows what its chunks are: they go from its input to `Pipeline.infer`, and from
there to its output.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from stemsplit.errors import SettingsError
from stemsplit.models.external import WaveformModel
from stemsplit.registry.catalog import Model
from stemsplit.separation.level_scan import Scan
from stemsplit.separation.recipe import Signal
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.spectral_pipeline import SpectralPipeline, SpectralPipelineSpec
from stemsplit.separation.waveform_pipeline import WaveformPipeline, make_segments
from stemsplit.types import FloatArray


class PipelineInput(Protocol):
    """The front end of one song: blocks of the mixture in, chunks out."""

    def process(self, mixture: FloatArray) -> Sequence[Any]:
        """Take ``(channels, samples)`` at the song's rate; return the chunks that are complete."""

    def flush(self) -> Sequence[Any]:
        """Return the last chunks."""


class PipelineOutput(Protocol):
    """The back end of one song: what the network made of the chunks in, waveforms out."""

    def process(self, chunk: Any) -> list[FloatArray]:
        """Return ``(channels, samples)`` at the song's rate for each signal; all of one length."""

    def flush(self) -> list[FloatArray]:
        """Return the last samples of each signal."""


class PipelineRun(Protocol):
    """One song in a pipeline."""

    @property
    def scan(self) -> Scan | None:
        """The first pass over the song, which must be through before `open_input`; None if none is needed."""

    def open_input(self) -> PipelineInput:
        """Begin to read the song."""

    def open_output(self) -> PipelineOutput:
        """Begin to put the song together."""


class Pipeline(Protocol):
    """The way from the mixture to the signals of one or more models."""

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What the pipeline gives, in order."""

    @property
    def step_s(self) -> float:
        """Seconds from one chunk to the next."""

    def begin(self, *, sample_rate: int, n_channels: int) -> PipelineRun:
        """Begin a song, of `n_channels` channels at `sample_rate` Hz."""

    def infer(self, chunks: Sequence[Any]) -> Sequence[Any]:
        """Run the networks over chunks, in batches."""

    def delayed(self, number: int, *, n_shifts: int) -> "Pipeline":
        """Return the pipeline of pass `number`, in which the song begins a little later."""


def make_pipelines(
    models: Sequence[Model], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[Pipeline]:
    """Return the pipelines that give `signals`: each of them in ``settings.shifts`` pipelines.

    Models that hear the same STFT in the same chunks share a pipeline; a model of waveforms has its own.

    Raises
    ------
    SettingsError
        If a model cannot do what the settings say.
    """
    groups: dict[SpectralPipelineSpec, list[int]] = {}
    pipelines: list[Pipeline] = []
    for number, model in enumerate(models):
        if isinstance(model, WaveformModel):
            own = tuple(signal for signal in signals if signal.model == number)
            pipelines.append(_make_waveform_pipeline(model, own, settings, batch_size))
            continue
        spec = SpectralPipelineSpec.of(model.spec, chunk_s=settings.chunk_s, overlap_s=settings.overlap_s)
        groups.setdefault(spec, []).append(number)
    for spec, numbers in groups.items():
        own = tuple(signal for signal in signals if signal.model in numbers)
        shared = [models[number] for number in numbers]
        pipeline = SpectralPipeline(
            spec=spec,
            models=tuple(model for model in shared if not isinstance(model, WaveformModel)),
            signals=own,
            signal_models=tuple(numbers.index(signal.model) for signal in own),
            wiener=settings.wiener,
            batch_size=batch_size,
        )
        pipelines.append(pipeline)
    return [
        pipeline.delayed(number, n_shifts=settings.shifts)
        for pipeline in pipelines
        for number in range(settings.shifts)
    ]


def _make_waveform_pipeline(
    model: WaveformModel, signals: tuple[Signal, ...], settings: SeparationSettings, batch_size: int
) -> WaveformPipeline:
    if settings.wiener:
        raise SettingsError(
            f"{model.spec.name} gives no masks, which the Wiener filter needs; leave --wiener out"
        )
    if settings.chunk_s is not None:
        length_s = model.segment_samples / model.spec.sample_rate
        raise SettingsError(
            f"{model.spec.name} hears {length_s:.1f} s at once, no more and no less; leave --chunk out"
        )
    return WaveformPipeline(
        model=model,
        segments=make_segments(model, overlap_s=settings.overlap_s),
        signals=signals,
        batch_size=batch_size,
    )
