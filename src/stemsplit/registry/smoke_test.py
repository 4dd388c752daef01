"""Smoke test of a new model: it runs on a silent chunk and on a random one, of its own length."""

import numpy as np

from stemsplit.errors import ModelError
from stemsplit.models.spectral_spec import SpectralPipelineSpec
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.registry.installed import Model
from stemsplit.types import ComplexArray, FloatArray


def try_model(model: Model) -> None:
    """Run `model` on silence and on noise, in chunks of its own length with their context.

    Raises
    ------
    ModelError
        If it fails, or what it gives has the wrong shape or holds NaN or infinity; or if its context leaves
        nothing of a chunk.
    SettingsError
        If its chunks are too short for their overlap.
    """
    shape = _input_shape(model)
    for kind, level in (("silence", 0.0), ("noise", 0.1)):
        noise = (level * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
        try:
            found = _run(model, noise)
        except ModelError as error:
            raise ModelError(f"{error} ({_explain(model, shape)})") from error
        n_rows = (model.spec.n_rows,) if len(shape) == 4 else ()
        expected = (1, model.spec.n_outputs, shape[1], *n_rows, shape[-1])
        if found.shape != expected:
            raise ModelError(f"{model.info.path}: gives {found.shape} of {kind}, not {expected}")
        if not np.isfinite(found).all():
            raise ModelError(
                f"{model.info.path}: gives NaN or infinity of {kind}; the export is broken, or the "
                "description does not fit"
            )


def _input_shape(model: Model) -> tuple[int, ...]:
    if isinstance(model, WaveformModel):
        return (1, model.spec.n_channels, model.segment_samples)
    spec = model.spec
    chunks = SpectralPipelineSpec.of(spec, chunk_s=None, overlap_s=None).chunks
    n_frames = spec.n_frames or chunks.step + chunks.fade + 2 * chunks.context
    return (1, spec.n_channels, spec.stft.n_bins, n_frames)


def _explain(model: Model, shape: tuple[int, ...]) -> str:
    """Return what a failed run was given, and which field of the description it follows from."""
    if isinstance(model, WaveformModel):
        return f"it was run on {shape[-1]} samples"
    if model.spec.n_frames:
        return f"it was run on {shape[-1]} frames, as described"
    return (
        f"it was run on {shape[-1]} frames, by chunk_s {model.spec.chunk_s:g} and context_s "
        f"{model.spec.context_s:g}; if it takes one number only, say it as n_frames"
    )


def _run(model: Model, noise: FloatArray) -> FloatArray:
    if isinstance(model, WaveformModel):
        return model(noise)
    spectrogram: ComplexArray = noise.astype(np.complex64)
    return model(spectrogram)
