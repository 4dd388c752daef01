"""A model: one self-contained ``.onnx`` that says in its metadata all that is needed to run it.

The graph takes ``mixture``, float32, and gives ``mask``, float32 in [0, 1]:

- features ``complex``: ``(batch, 2 * channels, bins, frames)``, real and imaginary part of each channel;
- features ``magnitude``: ``(batch, channels, bins, frames)``;
- output: ``(batch, targets, channels, rows, frames)``, where each row is the mask of one bin or of several
  neighbours (`ModelSpec.mask_widths`): a mask coarse in frequency need not be stored or moved in full.

A graph with `ModelSpec.delay_frames` hands on a state besides, see `stemsplit.models.mask_stream`.

The channels are left and right, or mid and side (`ModelSpec.mid_side`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stemsplit.errors import ModelError
from stemsplit.models.device import Device
from stemsplit.models.features import make_features
from stemsplit.models.integrity import hash_file
from stemsplit.models.licence import UNKNOWN, Commercial
from stemsplit.models.mask_stream import INPUTS, OUTPUTS, MaskStream
from stemsplit.models.properties import ModelProperties
from stemsplit.models.session import Session
from stemsplit.models.spec import ModelSpec
from stemsplit.types import ComplexArray, FloatArray

Shape = tuple[int | None, ...]


@dataclass(frozen=True, repr=False)
class ModelInfo:
    """A model file and what it says about itself."""

    path: Path
    sha256: str
    spec: ModelProperties

    def __repr__(self) -> str:
        targets = ", ".join(self.spec.targets)
        return f"<Model {self.name} {self.version}: {targets}; {self.licence}, sha256 {self.sha256[:12]}>"

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.spec.version

    @property
    def licence(self) -> str:
        """The licence of the model; ``unknown`` if it is not stated."""
        return self.spec.licence or UNKNOWN

    @property
    def commercial(self) -> Commercial:
        """Whether commercial use is allowed: True, False or ``unknown``."""
        return self.spec.commercial


class MaskModel:
    """An open model: spectrograms in, masks out. Safe to call from several threads.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    DeviceError
        If the model cannot run on `device`.
    """

    def __init__(self, path: Path, *, device: Device, threads: int | None = None) -> None:
        sha256 = hash_file(path)
        self._session = Session(path, device=device, threads=threads)
        try:
            spec = ModelSpec.from_metadata(self._session.metadata)
            _check_graph(self._session, spec)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self.info = ModelInfo(path, sha256, spec)
        self.spec = spec

    def __call__(self, spectrograms: ComplexArray) -> FloatArray:
        """Return the masks of ``(batch, channels, bins, frames)``.

        The result is ``(batch, targets, channels, rows, frames)``. When the device runs out of memory the
        batch is halved, down to one item.
        """
        mixture = make_features(spectrograms, self.spec.features)
        if self.spec.delay_frames:
            return self.open_stream().process_whole(mixture)
        (masks,) = self._run(mixture)
        return masks

    def open_stream(self) -> MaskStream:
        """Return a song at its beginning, for a model with ``spec.delay_frames``."""
        state = self._session.inputs[INPUTS.index("state")]
        # all axes of a state but the batch are fixed, see `_check_graph`
        shape = tuple(size for size in state.shape[1:] if size is not None)
        return MaskStream(self._run, state_shape=shape, delay_frames=self.spec.delay_frames)

    def _run(self, mixture: FloatArray, *state: FloatArray) -> tuple[FloatArray, ...]:
        masks, *rest = self._session(mixture, *state)
        spec = self.spec
        expected = (len(mixture), len(spec.targets), spec.n_channels, spec.n_rows, mixture.shape[-1])
        if masks.shape != expected:
            raise ModelError(f"{self.info.path}: the masks have shape {masks.shape}, not {expected}")
        return masks, *rest


def _check_graph(session: Session, spec: ModelSpec) -> None:
    """Compare the graph's inputs and outputs with the metadata."""
    inputs = {tensor.name: tensor.shape for tensor in session.inputs}
    outputs = {tensor.name: tensor.shape for tensor in session.outputs}
    taken, given = (INPUTS, OUTPUTS) if spec.delay_frames else (INPUTS[:1], OUTPUTS[:1])
    if tuple(inputs) != taken or tuple(outputs) != given:
        raise ModelError(
            f"the graph must take {_list(taken)} and give {_list(given)}; "
            f"it takes {_list(inputs)}, gives {_list(outputs)}"
        )
    rows = spec.n_channels * (2 if spec.features == "complex" else 1)
    _check_shape("mixture", inputs["mixture"], (None, rows, spec.stft.n_bins, None))
    _check_shape("mask", outputs["mask"], (None, len(spec.targets), spec.n_channels, spec.n_rows, None))
    if spec.delay_frames:
        _check_shape("present", inputs["present"], (None, None))
        state = inputs["state"]
        if None in state[1:] or len(state) < 2:
            raise ModelError(f"the graph's 'state' has shape {list(state)}; only the batch may vary")
        _check_shape("next_state", outputs["next_state"], state)


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _check_shape(name: str, found: Shape, wanted: Shape) -> None:
    """Compare a graph's declared shape with the metadata; an axis of any length is None on either side."""
    fits = len(found) == len(wanted) and all(
        None in (has, wants) or has == wants for has, wants in zip(found, wanted, strict=True)
    )
    if not fits:
        raise ModelError(f"the graph's {name!r} has shape {list(found)}; the metadata says {list(wanted)}")
