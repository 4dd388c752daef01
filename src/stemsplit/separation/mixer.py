"""The mixer: adds the mixture and the signals of the pipelines up to stems as soon as all are there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from stemsplit.dsp.blocks import Fifo
from stemsplit.dsp.meter import StemMeter
from stemsplit.separation.recipe import Signal, StemRecipe
from stemsplit.types import FloatArray

OUTPUT_SAMPLES: Final = 65536


class Mixer:
    """Makes the stems of one song.

    Parameters
    ----------
    stems
        What to make, in order.
    passes
        The signals that each pipeline gives; one that several give counts with its mean.
    n_channels
        Of the song.
    meter
        Hears the song and its stems.
    """

    def __init__(
        self,
        stems: Sequence[StemRecipe],
        passes: Sequence[Sequence[Signal]],
        *,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> None:
        self._stems, self._meter = tuple(stems), meter
        self._mixture = Fifo(n_channels)
        self._passes = [{signal: Fifo(n_channels) for signal in signals} for signals in passes]

    def put_mixture(self, mixture: FloatArray) -> None:
        """Take more of the mixture, ``(channels, samples)``."""
        self._mixture.append(mixture)

    def put_signals(self, number: int, waveforms: Sequence[FloatArray]) -> None:
        """Take more of the signals of pass `number`, in their order."""
        for fifo, waveform in zip(self._passes[number].values(), waveforms, strict=True):
            fifo.append(waveform)

    def process(self) -> Iterator[dict[str, FloatArray]]:
        """Yield the stems as far as everything has come."""
        lengths = [len(fifo) for signals in self._passes for fifo in signals.values()]
        return self._take(min([len(self._mixture), *lengths]))

    def flush(self) -> Iterator[dict[str, FloatArray]]:
        """Yield the rest of the stems, as long as the mixture."""
        return self._take(len(self._mixture))

    def _take(self, n_samples: int) -> Iterator[dict[str, FloatArray]]:
        """Take `n_samples` samples and make the stems of them, in blocks that cost little memory."""
        for start in range(0, n_samples, OUTPUT_SAMPLES):
            n_taken = min(OUTPUT_SAMPLES, n_samples - start)
            mixture = self._mixture.pop(n_taken)
            passes = [{s: fifo.pop(n_taken) for s, fifo in signals.items()} for signals in self._passes]
            signals = _average(passes)
            made = {stem.name: _add_up(stem, mixture, signals) for stem in self._stems}
            if self._meter is not None:
                self._meter.update(mixture, made)
            yield made


def _average(passes: Sequence[Mapping[Signal, FloatArray]]) -> dict[Signal, FloatArray]:
    """Each signal once: the mean of the passes that hold it."""
    found: dict[Signal, list[FloatArray]] = {}
    for made in passes:
        for signal, waveform in made.items():
            found.setdefault(signal, []).append(waveform)
    return {s: each[0] if len(each) == 1 else np.mean(each, axis=0) for s, each in found.items()}


def _add_up(stem: StemRecipe, mixture: FloatArray, signals: Mapping[Signal, FloatArray]) -> FloatArray:
    total = float(stem.mixture) * mixture if stem.mixture else np.zeros_like(mixture)
    for signal, factor in stem.signals.items():
        total += signals[signal] if factor == 1 else float(factor) * signals[signal]
    return np.asarray(total, dtype=np.float32)
