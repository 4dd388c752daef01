"""The pipelines of a separation: those that compute the signals of a set of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from stemsplit.errors import SettingsError
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.spectral_spec import SpectralPipelineSpec
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.registry.installed import Model
from stemsplit.separation.pipeline import Pipeline
from stemsplit.separation.recipe import Signal
from stemsplit.separation.settings import TRANSPOSITIONS, SeparationSettings
from stemsplit.separation.spectral_pipeline import SpectralPipeline

if TYPE_CHECKING:
    from stemsplit.separation.waveform_pipeline import WaveformPipeline

# what ``--before hpss`` separates from the percussive part of the mixture
DRUM_TARGETS: Final = frozenset(
    {"drums", "percussion", "percussive", "kick", "snare", "toms", "hi-hat", "cymbals"}
)


def make_pipelines(
    models: Sequence[Model], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[Pipeline]:
    """Return the pipelines that compute `signals`, each in a version for every shift and transposition.

    Models with the same STFT and the same chunks share a pipeline; a waveform model has its own.

    Raises
    ------
    SettingsError
        If a model does not support a setting.
    """
    if settings.before is None:
        pipelines = _make_plain(models, signals, settings, batch_size)
    else:
        pipelines = _make_filtered(models, signals, settings, batch_size)
    return [
        pipeline.transpose(semitones).delay(shift, n_shifts=settings.shifts)
        for pipeline in pipelines
        for semitones in TRANSPOSITIONS[: settings.transpositions]
        for shift in range(settings.shifts)
    ]


def _make_filtered(
    models: Sequence[Model], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[Pipeline]:
    """Return the pipelines of the drums, whose input is the percussive part, and those of all others."""
    from stemsplit.separation.before import PercussivePipeline

    drums = [signal for signal in signals if _is_of_drums(models[signal.model], signal)]
    if not drums:
        raise SettingsError(
            f"--before {settings.before} is for drums, which none of the stems needs; leave it out"
        )
    others = [signal for signal in signals if signal not in drums]
    percussive = _make_plain(models, drums, settings, batch_size)
    plain = _make_plain(models, others, settings, batch_size)
    return [*(PercussivePipeline(pipeline) for pipeline in percussive), *plain]


def _is_of_drums(model: Model, signal: Signal) -> bool:
    return all(model.spec.targets[target] in DRUM_TARGETS for target in signal.targets)


def _make_plain(
    models: Sequence[Model], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[Pipeline]:
    groups: dict[SpectralPipelineSpec, list[int]] = {}
    pipelines: list[Pipeline] = []
    needed = {signal.model for signal in signals}
    for index, model in enumerate(models):
        if index not in needed:
            continue
        if isinstance(model, WaveformModel):
            own = tuple(signal for signal in signals if signal.model == index)
            pipelines.append(_make_waveform_pipeline(model, own, settings, batch_size))
            continue
        spec = SpectralPipelineSpec.of(model.spec, chunk_s=settings.chunk_s, overlap_s=settings.overlap_s)
        # a Wiener filter needs statistics of a whole chunk
        if isinstance(model, MaskModel) and model.spec.delay_frames and not settings.wiener:
            spec = spec.begin_early()
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
    return pipelines


def _make_waveform_pipeline(
    model: WaveformModel, signals: tuple[Signal, ...], settings: SeparationSettings, batch_size: int
) -> "WaveformPipeline":
    from stemsplit.separation.waveform_pipeline import WaveformPipeline, make_segments

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
