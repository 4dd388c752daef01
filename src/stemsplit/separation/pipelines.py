"""The pipelines of a separator: which models share one, and how often a song goes through it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from stemsplit.errors import SettingsError
from stemsplit.models.external import SpectralModel, WaveformModel
from stemsplit.models.mask_model import MaskModel
from stemsplit.separation.recipe import Signal
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.spectral_pipeline import SpectralPipeline, SpectralPipelineSpec
from stemsplit.separation.waveform_pipeline import WaveformPipeline, make_segments

AnyModel: TypeAlias = MaskModel | SpectralModel | WaveformModel
AnyPipeline: TypeAlias = SpectralPipeline | WaveformPipeline


def make_pipelines(
    models: Sequence[AnyModel], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[AnyPipeline]:
    """Return the pipelines that give `signals`: each of them in ``settings.shifts`` pipelines.

    Models that hear the same STFT in the same chunks share a pipeline; a model of waveforms has its own.

    Raises
    ------
    SettingsError
        If a model cannot do what the settings say.
    """
    groups: dict[SpectralPipelineSpec, list[int]] = {}
    pipelines: list[AnyPipeline] = []
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
        _delay(pipeline, number, settings.shifts)
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


def _delay(pipeline: AnyPipeline, number: int, n_shifts: int) -> AnyPipeline:
    """Return the pipeline of pass `number`, in which the song begins a part of a step later."""
    if isinstance(pipeline, WaveformPipeline):
        segments = pipeline.segments
        return replace(pipeline, segments=segments.delayed(number * segments.step // n_shifts))
    return replace(pipeline, delay=number * pipeline.spec.stft.hop_length // n_shifts)
