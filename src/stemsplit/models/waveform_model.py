"""An external model that takes segments of the waveform; it gives waveforms, complex spectrograms or both."""

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from stemsplit.dsp.stft import Analysis, StftSpec, Synthesis
from stemsplit.errors import ModelError
from stemsplit.models.features import join_parts, split_parts
from stemsplit.models.limits import MAX_SIZE
from stemsplit.models.mask_model import ModelInfo
from stemsplit.types import ComplexArray, FloatArray

if TYPE_CHECKING:
    from stemsplit.models.description import Description
    from stemsplit.models.external_graph import ExternalGraph


class WaveformModel:
    """Waveforms of a fixed length in, waveforms of each target out.

    Raises
    ------
    ModelError
        If the length is not stated, is absurd, or differs between the graphs.
    """

    def __init__(self, info: ModelInfo, spec: "Description", graphs: "Sequence[ExternalGraph]") -> None:
        self.info = info
        self.spec = spec
        self._graphs = graphs
        self._check_length()

    def _check_length(self) -> None:
        spec, path = self.spec, self.info.path
        needed = "n_frames" if spec.has_complex_output else "n_samples"
        if not getattr(spec, needed):
            raise ModelError(f"{path}: {needed} is missing, and the graph leaves it open; describe it")
        if self.segment_samples < 1:
            raise ModelError(
                f"{path}: n_frames is {spec.n_frames}; so few frames of framing {spec.framing!r} cover "
                "not one sample"
            )
        if self.segment_samples > MAX_SIZE:
            raise ModelError(
                f"{path}: the network takes {spec.n_frames} frames at a call, {spec.hop_length} samples "
                f"apart; at most {MAX_SIZE} samples are accepted"
            )
        self._check_frames()

    def _check_frames(self) -> None:
        spec, path = self.spec, self.info.path
        if spec.output_kind == "hybrid":
            n_frames = {stft.n_frames(spec.n_samples) for stft in spec.stfts}
            if spec.n_frames and n_frames != {spec.n_frames}:
                raise ModelError(
                    f"{path}: the network takes {spec.n_frames} frames of {spec.n_samples} samples; with "
                    f"hop_length {spec.hop_length} and framing {spec.framing!r} there are {max(n_frames)}"
                )
        if spec.has_complex_output and len({stft.n_samples(spec.n_frames) for stft in spec.stfts}) > 1:
            raise ModelError(
                f"{path}: graphs of different n_fft need framing 'centred': their segments differ in length"
            )

    @property
    def segment_samples(self) -> int:
        """Samples that the network takes at a call."""
        spec = self.spec
        return spec.stft.n_samples(spec.n_frames) if spec.has_complex_output else spec.n_samples

    def __call__(self, waveforms: FloatArray, wanted: Set[int] | None = None) -> FloatArray:
        """Return ``(batch, targets, channels, samples)`` of ``(batch, channels, samples)``.

        Only the targets numbered in `wanted` (all for None) need be right.
        """
        found = []
        for number, graph in enumerate(self._graphs):
            if wanted is not None and wanted.isdisjoint(graph.places):
                silent = (len(waveforms), len(graph.places), *waveforms.shape[1:])
                found.append(np.zeros(silent, dtype=np.float32))
            elif self.spec.output_kind == "waveform":
                found.append(self._separate(graph, waveforms))
            else:
                separate = self._separate_complex if self.spec.has_complex_output else self._separate_hybrid
                found.append(separate(graph, waveforms, self.spec.stfts[number]))
        return np.concatenate(found, axis=1)

    def _run(self, graph: "ExternalGraph", *features: FloatArray) -> tuple[FloatArray, ...]:
        """Run a graph on `features`, the last of them scaled; return its estimates in their own units."""
        spec = self.spec
        scaled = _multiply(features, 1.0, last=spec.input_scale)
        estimates = graph(*scaled)
        if spec.denoise:
            # what the network adds to any input is the same both times
            negatives = graph(*(-each for each in scaled))
            pairs = zip(estimates, negatives, strict=True)
            estimates = tuple((each - negative) * np.float32(0.5) for each, negative in pairs)
        unit = 1.0 if spec.output_kind == "complex_mask" else spec.input_scale  # a mask has none
        return _multiply(estimates, spec.compensate, last=spec.compensate / unit)

    def _separate(self, graph: "ExternalGraph", waveforms: FloatArray) -> FloatArray:
        return self._run(graph, waveforms)[0]

    def _separate_complex(self, graph: "ExternalGraph", waveforms: FloatArray, stft: StftSpec) -> FloatArray:
        band = self._take_band(waveforms, stft)
        estimates = join_parts(self._run(graph, split_parts(band))[0])
        if self.spec.output_kind == "complex_mask":
            estimates *= band[:, None]
        return _synthesise(stft, estimates, n_samples=waveforms.shape[-1])

    def _separate_hybrid(self, graph: "ExternalGraph", waveforms: FloatArray, stft: StftSpec) -> FloatArray:
        band = self._take_band(waveforms, stft)
        found, parts = self._run(graph, waveforms, split_parts(band))
        # as the family's own code has it: frames beyond a segment are silent
        return found + _synthesise(stft, join_parts(parts), n_samples=waveforms.shape[-1], silent_ends=True)

    def _take_band(self, waveforms: FloatArray, stft: StftSpec) -> ComplexArray:
        """Return the bins of the spectrograms that the network takes."""
        band = _analyse(stft, waveforms)[:, :, : self.spec.n_bins or stft.n_bins]
        band[:, :, : self.spec.zeroed_bins] = 0
        return band


def _multiply(arrays: Sequence[FloatArray], gain: float, *, last: float) -> tuple[FloatArray, ...]:
    """Return all arrays times `gain`, but the last of them times `last`."""
    return (*(each * np.float32(gain) for each in arrays[:-1]), arrays[-1] * np.float32(last))


def _analyse(stft: StftSpec, waveforms: FloatArray) -> ComplexArray:
    """Return the spectrograms ``(batch, channels, bins, frames)`` of ``(batch, channels, samples)``."""
    n_batch, n_channels, n_samples = waveforms.shape
    analysis = Analysis(stft, n_channels=n_batch * n_channels)
    frames = np.concatenate([analysis.process(waveforms.reshape(-1, n_samples)), analysis.flush()], axis=-1)
    return frames.reshape(n_batch, n_channels, *frames.shape[1:])


def _synthesise(
    stft: StftSpec, spectrograms: ComplexArray, *, n_samples: int, silent_ends: bool = False
) -> FloatArray:
    """Return the waveforms of ``(..., bins, frames)``; the bins above those that are there are zero."""
    missing = stft.n_bins - spectrograms.shape[-2]
    padding = [*((0, 0) for _ in spectrograms.shape[:-2]), (0, missing), (0, 0)]
    synthesis = Synthesis(stft, silent_ends=silent_ends)
    whole = np.pad(spectrograms, padding)
    samples = np.concatenate([synthesis.process(whole), synthesis.flush()], axis=-1)
    return samples[..., :n_samples]
