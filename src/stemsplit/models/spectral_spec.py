"""What spectral models must have in common to share a pipeline: sample rate, STFT and chunks."""

from dataclasses import dataclass, replace

import numpy as np

from stemsplit.dsp.chunks import ChunkSpec
from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.properties import ModelProperties


@dataclass(frozen=True)
class SpectralPipelineSpec:
    """The front end of a spectral pipeline. Models with equal specs share a pipeline."""

    sample_rate: int
    stft: StftSpec
    chunks: ChunkSpec
    mid_side: bool = False

    @classmethod
    def of(
        cls, spec: ModelProperties, *, chunk_s: float | None, overlap_s: float | None
    ) -> "SpectralPipelineSpec":
        """Return the spec of a model's pipeline.

        Parameters
        ----------
        spec
            The properties of the model.
        chunk_s, overlap_s
            Lengths of a chunk and of the cross-fade in seconds; None for those of the model.

        Raises
        ------
        SettingsError
            If the chunks are too short for the overlap, or the model's input has a fixed length.
        ModelError
            If the context on both sides leaves no frames between.
        """
        return cls(spec.sample_rate, spec.stft, _make_chunks(spec, chunk_s, overlap_s), spec.mid_side)

    def begin_early(self) -> "SpectralPipelineSpec":
        """Return the spec with a first chunk that is as short as can be."""
        return replace(self, chunks=replace(self.chunks, lead=self.chunks.step - 1))


def _make_chunks(spec: ModelProperties, chunk_s: float | None, overlap_s: float | None) -> ChunkSpec:
    frames_per_s = spec.sample_rate / spec.stft.hop_length
    length_s = spec.chunk_s if chunk_s is None else chunk_s
    if spec.n_frames:
        length_s = _measure_fixed_chunk(spec, chunk_s, frames_per_s)
    chunks = ChunkSpec.from_seconds(
        chunk_s=length_s,
        overlap_s=spec.propose_overlap(length_s) if overlap_s is None else overlap_s,
        context_s=spec.context_s,
        frames_per_s=frames_per_s,
    )
    if 0 < spec.n_frames < chunks.step + chunks.fade + 2 * chunks.context:
        raise SettingsError(
            f"{spec.name} has a fixed input length of {spec.n_frames} frames, which cannot overlap by "
            f"{chunks.fade}; use a shorter overlap"
        )
    return chunks


def _measure_fixed_chunk(spec: ModelProperties, chunk_s: float | None, frames_per_s: float) -> float:
    """Return the length in seconds of the chunks of a model with a fixed number of input frames."""
    if chunk_s is not None:
        raise SettingsError(
            f"{spec.name} has a fixed input length of {spec.n_frames / frames_per_s:.1f} s; leave --chunk out"
        )
    context = int(np.ceil(spec.context_s * frames_per_s - 1e-6))
    if spec.n_frames <= 2 * context:
        raise ModelError(
            f"{spec.name} has a fixed input length of {spec.n_frames} frames, which leaves none between "
            f"{context} frames of context on either side; use a smaller context_s in its description"
        )
    return (spec.n_frames - 2 * context) / frames_per_s
