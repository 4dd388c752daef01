"""The lanes of a separator: which models share one, and how often a song goes through it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from stemsplit.errors import SettingsError
from stemsplit.models.external import SpectralModel, WaveModel
from stemsplit.models.mask_model import MaskModel
from stemsplit.separation.recipe import Signal
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.spectral_pipeline import Lane, LaneSpec
from stemsplit.separation.waveform_pipeline import WaveLane, make_segments

AnyModel: TypeAlias = MaskModel | SpectralModel | WaveModel
AnyLane: TypeAlias = Lane | WaveLane


def make_lanes(
    models: Sequence[AnyModel], signals: Sequence[Signal], settings: SeparationSettings, batch_size: int
) -> list[AnyLane]:
    """Return the lanes that give `signals`: each of them in ``settings.shifts`` lanes.

    Models that hear the same STFT in the same chunks share a lane; a model of waveforms has its own.

    Raises
    ------
    SettingsError
        If a model cannot do what the settings say.
    """
    groups: dict[LaneSpec, list[int]] = {}
    lanes: list[AnyLane] = []
    for number, model in enumerate(models):
        if isinstance(model, WaveModel):
            own = tuple(signal for signal in signals if signal.model == number)
            lanes.append(_make_wave_lane(model, own, settings, batch_size))
            continue
        spec = LaneSpec.of(model.spec, chunk_s=settings.chunk_s, overlap_s=settings.overlap_s)
        groups.setdefault(spec, []).append(number)
    for spec, numbers in groups.items():
        own = tuple(signal for signal in signals if signal.model in numbers)
        shared = [models[number] for number in numbers]
        lane = Lane(
            spec=spec,
            models=tuple(model for model in shared if not isinstance(model, WaveModel)),
            signals=own,
            signal_models=tuple(numbers.index(signal.model) for signal in own),
            wiener=settings.wiener,
            batch_size=batch_size,
        )
        lanes.append(lane)
    return [_delay(lane, number, settings.shifts) for lane in lanes for number in range(settings.shifts)]


def _make_wave_lane(
    model: WaveModel, signals: tuple[Signal, ...], settings: SeparationSettings, batch_size: int
) -> WaveLane:
    if settings.wiener:
        raise SettingsError(
            f"{model.spec.name} gives no masks, which the Wiener filter needs; leave --wiener out"
        )
    if settings.chunk_s is not None:
        length_s = model.segment_samples / model.spec.sample_rate
        raise SettingsError(
            f"{model.spec.name} hears {length_s:.1f} s at once, no more and no less; leave --chunk out"
        )
    return WaveLane(
        model=model,
        segments=make_segments(model, overlap_s=settings.overlap_s),
        signals=signals,
        batch_size=batch_size,
    )


def _delay(lane: AnyLane, number: int, n_shifts: int) -> AnyLane:
    """The same lane for pass `number`: the song begins so many parts of a step later in its first frame."""
    if isinstance(lane, WaveLane):
        segments = lane.segments
        return replace(lane, segments=segments.delayed(number * segments.step // n_shifts))
    return replace(lane, delay=number * lane.spec.stft.hop_length // n_shifts)
