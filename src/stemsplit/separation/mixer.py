"""The mixer: computes the stems of a `stemsplit.separation.recipe.Recipe` from mixture and signals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from stemsplit.dsp.blocks import Fifo
from stemsplit.dsp.meter import StemMeter
from stemsplit.separation.recipe import Signal, StemRecipe
from stemsplit.types import FloatArray

OUTPUT_SAMPLES: Final = 65536


class Mixer:
    """Mixes the stems of one song as soon as all their inputs have arrived.

    Parameters
    ----------
    stems
        The recipes of the stems, in order.
    pipeline_signals
        The signals that each pipeline returns. A signal that several pipelines return, as with ``shifts``, is
        averaged.
    n_channels
        The number of channels of the song.
    meter
        Updated with the mixture and the stems.
    """

    def __init__(
        self,
        stems: Sequence[StemRecipe],
        pipeline_signals: Sequence[Sequence[Signal]],
        *,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> None:
        self._stems, self._meter = tuple(stems), meter
        self._mixture = Fifo(n_channels)
        self._pipelines = [{signal: Fifo(n_channels) for signal in signals} for signals in pipeline_signals]

    def append_mixture(self, mixture: FloatArray) -> None:
        """Append ``(channels, samples)`` of the mixture."""
        self._mixture.append(mixture)

    def append_signals(self, pipeline: int, waveforms: Sequence[FloatArray]) -> None:
        """Append ``(channels, samples)`` of each signal of the pipeline with the index `pipeline`."""
        for fifo, waveform in zip(self._pipelines[pipeline].values(), waveforms, strict=True):
            fifo.append(waveform)

    def process(self) -> Iterator[dict[str, FloatArray]]:
        """Yield blocks of the stems as far as the mixture and all signals have arrived."""
        lengths = [len(fifo) for signals in self._pipelines for fifo in signals.values()]
        return self._mix(min([len(self._mixture), *lengths]))

    def flush(self) -> Iterator[dict[str, FloatArray]]:
        """Yield the remaining blocks of the stems, up to the length of the mixture."""
        return self._mix(len(self._mixture))

    def _mix(self, n_samples: int) -> Iterator[dict[str, FloatArray]]:
        """Yield the next `n_samples` samples of the stems, in blocks of at most `OUTPUT_SAMPLES`."""
        for start in range(0, n_samples, OUTPUT_SAMPLES):
            n_block = min(OUTPUT_SAMPLES, n_samples - start)
            mixture = self._mixture.pop(n_block)
            signals = _average(
                [{signal: fifo.pop(n_block) for signal, fifo in each.items()} for each in self._pipelines]
            )
            stems = {stem.name: _combine(stem, mixture, signals) for stem in self._stems}
            if self._meter is not None:
                self._meter.update(mixture, stems)
            yield stems


def _average(pipelines: Sequence[Mapping[Signal, FloatArray]]) -> dict[Signal, FloatArray]:
    """Return each signal once: the mean over the pipelines that return it."""
    versions: dict[Signal, list[FloatArray]] = {}
    for signals in pipelines:
        for signal, waveform in signals.items():
            versions.setdefault(signal, []).append(waveform)
    return {signal: each[0] if len(each) == 1 else np.mean(each, axis=0) for signal, each in versions.items()}


def _combine(stem: StemRecipe, mixture: FloatArray, signals: Mapping[Signal, FloatArray]) -> FloatArray:
    """Return the linear combination that `stem` describes, ``(channels, samples)``."""
    total = float(stem.mixture_gain) * mixture if stem.mixture_gain else np.zeros_like(mixture)
    for signal, gain in stem.signal_gains.items():
        total += signals[signal] if gain == 1 else float(gain) * signals[signal]
    return np.asarray(total, dtype=np.float32)
