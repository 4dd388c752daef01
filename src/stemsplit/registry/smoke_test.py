"""A first run of a model that nobody has run here: a silent chunk and a random one."""

import numpy as np

from stemsplit.errors import ModelError
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.registry.installed import Model
from stemsplit.types import ComplexArray, FloatArray

_FRAMES = 64


def try_model(model: Model) -> None:
    """Run `model` on silence and on noise.

    Raises
    ------
    ModelError
        If it fails, or what it gives has the wrong shape or holds NaN or infinity.
    """
    shape = _input_shape(model)
    for kind, level in (("silence", 0.0), ("noise", 0.1)):
        noise = (level * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
        found = _run(model, noise)
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
    n_frames = getattr(spec, "n_frames", 0) or _FRAMES
    return (1, spec.n_channels, spec.stft.n_bins, n_frames)


def _run(model: Model, noise: FloatArray) -> FloatArray:
    if isinstance(model, WaveformModel):
        return model(noise)
    spectrogram: ComplexArray = noise.astype(np.complex64)
    return model(spectrogram)
