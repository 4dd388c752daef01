"""External models, open: what a description says and what its graphs say, held against each other.

`SpectralModel` gives masks, whatever its network gives, so that all that follows knows masks only;
`WaveformModel` gives waveforms. Both are called with a batch and any of their graphs runs once a call.
"""

from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from stemsplit.dsp.stft import Analysis, Synthesis
from stemsplit.errors import ModelError
from stemsplit.models.description import Description, GraphEntry, read_description
from stemsplit.models.device import Device
from stemsplit.models.integrity import check_files, hash_model
from stemsplit.models.limits import MAX_SIZE
from stemsplit.models.mask_model import ModelInfo, make_features
from stemsplit.models.session import Session, Tensor
from stemsplit.types import ComplexArray, FloatArray

_SPECTRAL_AXES = ("batch", "channels", "bins", "frames")
_WAVE_AXES = ("batch", "channels", "samples")


def open_external(
    path: Path, *, device: Device, threads: int | None = None
) -> "SpectralModel | WaveformModel":
    """Open the model that the description at `path` describes.

    Raises
    ------
    ModelError
        If the description or a file of the model is missing or wrong, or the two contradict each other.
    DeviceError
        If the model cannot run on `device`.
    """
    description = read_description(path)
    try:
        hashes = check_files(description, path.parent)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    sessions = [
        Session(path.parent / each.file, device=device, threads=threads) for each in description.graphs
    ]
    parts = [
        GraphPart(session, entry, description)
        for session, entry in zip(sessions, description.graphs, strict=True)
    ]
    for part in parts:
        description = part.complete(description)
    info = ModelInfo(path, hash_model(path, hashes), description)
    kind = SpectralModel if description.is_spectral else WaveformModel
    return kind(info, description, parts)


class GraphPart:
    """One graph, its targets, and the order of its axes."""

    def __init__(self, session: Session, entry: GraphEntry, description: Description) -> None:
        self._session = session
        self._targets = entry.targets
        self.places = frozenset(map(description.targets.index, entry.targets))
        wave = description.output_kind == "waveform"
        self._axes = _WAVE_AXES if wave else _SPECTRAL_AXES
        self._layout = self._axes if wave else tuple(description.layout.split())
        self._input, self._output = self._find_tensors()
        rank = len(self._output.shape)
        # a graph of one target may leave the axis of targets out
        self._gives_targets = len(entry.targets) > 1 or rank == len(self._layout) + 1

    def _find_tensors(self) -> tuple[Tensor, Tensor]:
        path = self._session.path
        for verb, tensors in (("takes", self._session.inputs), ("gives", self._session.outputs)):
            if len(tensors) != 1:
                names = ", ".join(tensor.name for tensor in tensors)
                raise ModelError(f"{path}: the graph {verb} {len(tensors)} arrays ({names}); it must be one")
        return self._session.inputs[0], self._session.outputs[0]

    @property
    def _output_layout(self) -> tuple[str, ...]:
        if not self._gives_targets:
            return self._layout
        place = self._layout.index("batch") + 1
        return (*self._layout[:place], "targets", *self._layout[place:])

    def complete(self, description: Description) -> Description:
        """Return `description` with what the graph's shapes say.

        Raises
        ------
        ModelError
            If they say something else.
        """
        rows = description.n_channels * (2 if description.features == "complex" else 1)
        known = {
            "batch": 0,
            "targets": len(self._targets),
            "channels": rows,
            "bins": description.n_bins,
            "frames": description.n_frames,
            "samples": description.n_samples,
        }
        self._compare("takes", self._layout, self._input.shape, known)
        # a mask of a complex network has one row a channel
        known["channels"] = rows if description.output_kind == "complex" else description.n_channels
        self._compare("gives", self._output_layout, self._output.shape, known)
        found = {f"n_{axis}": known[axis] for axis in self._axes if axis not in {"batch", "channels"}}
        try:
            return description.with_sizes(found)
        except ModelError as error:
            raise ModelError(f"{self._session.path}: by the graph's shape, {error}") from error

    def _compare(
        self, verb: str, layout: Sequence[str], shape: Sequence[int | None], known: dict[str, int]
    ) -> None:
        """Take from `shape` what is not known and refuse what is known otherwise."""
        path = self._session.path
        if len(shape) != len(layout):
            raise ModelError(
                f"{path}: the graph {verb} an array of shape {list(shape)}; described are the axes "
                f"{', '.join(layout)}"
            )
        for axis, size in zip(layout, shape, strict=True):
            if axis == "batch":
                if size not in {None, 1}:
                    raise ModelError(f"{path}: the graph {verb} a batch of {size}; it must be 1 or free")
            elif size is not None and known[axis] not in {0, size}:
                raise ModelError(
                    f"{path}: the graph {verb} {size} {axis}, and the description says {known[axis]}"
                )
            elif size is not None:
                known[axis] = size

    def __call__(self, array: FloatArray) -> FloatArray:
        """Run the graph on ``(batch, channels, ...)``; return ``(batch, targets, channels, ...)``."""
        order = [self._axes.index(axis) for axis in self._layout]
        batch_axis = self._layout.index("batch")
        (found,) = self._session(np.ascontiguousarray(array.transpose(order)), batch_axis=batch_axis)
        layout = self._output_layout
        if found.ndim != len(layout):
            raise ModelError(
                f"{self._session.path}: the network gave {found.shape}, not ({', '.join(layout)})"
            )
        wanted = [axis for axis in self._axes if axis != "batch"]
        if not self._gives_targets:
            layout = (*layout, "targets")
            found = found[..., None]
        found = found.transpose([layout.index(axis) for axis in ("batch", "targets", *wanted)])
        expected = (len(array), len(self._targets), *array.shape[2:])
        if (*found.shape[:2], *found.shape[3:]) != expected:
            raise ModelError(
                f"{self._session.path}: the network gave {found.shape[:2]} items and targets of "
                f"{found.shape[3:]}, not {expected[:2]} of {expected[2:]}"
            )
        return found


def _run_parts(parts: Sequence[GraphPart], features: FloatArray, wanted: Set[int] | None) -> FloatArray:
    """Run the graphs that give wanted targets, each once; what the others would give is silence."""
    found = {part: part(features) for part in parts if wanted is None or wanted & part.places}
    ((n_batch, _, *shape), *_) = (each.shape for each in found.values())
    silence = np.zeros((n_batch, 1, *shape), dtype=np.float32)
    return np.concatenate(
        [found[part] if part in found else silence.repeat(len(part.places), axis=1) for part in parts], axis=1
    )


class SpectralModel:
    """Spectrograms in, masks out, like `stemsplit.models.mask_model.MaskModel`."""

    def __init__(self, info: ModelInfo, spec: Description, parts: Sequence[GraphPart]) -> None:
        self.info = info
        self.spec = spec
        self._parts = parts

    def __call__(self, spectrograms: ComplexArray, wanted: Set[int] | None = None) -> FloatArray:
        """Mask ``(batch, channels, bins, frames)``: ``(batch, targets, channels, bins, frames)``.

        Only the targets numbered in `wanted` (all for None) need be right.
        """
        spec = self.spec
        n_bins, n_frames = spectrograms.shape[-2:]
        used = slice(spec.zeroed_bins, spec.n_bins or n_bins)
        kept = spectrograms[:, :, : used.stop].copy()
        kept[:, :, : used.start] = 0
        missing = spec.n_frames - n_frames if spec.n_frames else 0
        assert missing >= 0, "a chunk is longer than the network takes"
        features = make_features(np.pad(kept, ((0, 0), (0, 0), (0, 0), (0, missing))), spec.features)
        everyone = spec.output_kind == "magnitude" and spec.masking == "ratio"
        found = _run_parts(self._parts, features, None if everyone else wanted)[..., :n_frames]
        estimates = found * np.float32(spec.compensate)
        masks = np.zeros((*estimates.shape[:3], n_bins, n_frames), dtype=np.float32)
        masks[:, :, :, used] = self._mask(estimates, kept)[:, :, :, used.start :]
        return masks

    def _mask(self, estimates: FloatArray, mixture: ComplexArray) -> FloatArray:
        spec = self.spec
        if spec.output_kind == "mask":
            return estimates
        if spec.masking == "ratio":
            return share(estimates)
        magnitude = np.abs(mixture)[:, None]
        return np.divide(estimates, magnitude, out=np.zeros_like(estimates), where=magnitude > 1e-20)


def share(magnitudes: FloatArray) -> FloatArray:
    """Turn magnitudes ``(batch, targets, ...)`` into masks that sum to one over the targets.

    Where all are silent each gets the same (Hennequin et al. 2020, Spleeter's published code).
    """
    epsilon = np.float32(1e-10)
    power = np.square(magnitudes)
    total = power.sum(axis=1, keepdims=True) + epsilon
    return np.asarray((power + epsilon / power.shape[1]) / total)


class WaveformModel:
    """Waveforms of a fixed length in, waveforms of each target out."""

    def __init__(self, info: ModelInfo, spec: Description, parts: Sequence[GraphPart]) -> None:
        self.info = info
        self.spec = spec
        self._parts = parts
        needed = "n_frames" if spec.output_kind == "complex" else "n_samples"
        if not getattr(spec, needed):
            raise ModelError(f"{info.path}: {needed} is missing, and the graph leaves it open; describe it")
        if self.segment_samples < 1:
            raise ModelError(
                f"{info.path}: n_frames is {spec.n_frames}; so few frames of framing {spec.framing!r} cover "
                "not one sample"
            )
        if self.segment_samples > MAX_SIZE:
            raise ModelError(
                f"{info.path}: the network takes {spec.n_frames} frames at a call, {spec.hop_length} samples "
                f"apart; at most {MAX_SIZE} samples are accepted"
            )

    @property
    def segment_samples(self) -> int:
        """Samples that the network takes at a call."""
        spec = self.spec
        return spec.stft.n_samples(spec.n_frames) if spec.output_kind == "complex" else spec.n_samples

    def __call__(self, waveforms: FloatArray, wanted: Set[int] | None = None) -> FloatArray:
        """Return ``(batch, targets, channels, samples)`` of ``(batch, channels, samples)``.

        Only the targets numbered in `wanted` (all for None) need be right.
        """
        run = self._run_complex if self.spec.output_kind == "complex" else self._run
        estimates = run(waveforms, wanted)
        return estimates * np.float32(self.spec.compensate)

    def _run(self, features: FloatArray, wanted: Set[int] | None) -> FloatArray:
        estimates = _run_parts(self._parts, features, wanted)
        if not self.spec.denoise:
            return estimates
        # what the network adds to any input is the same both times
        negative = _run_parts(self._parts, -features, wanted)
        return np.asarray((estimates - negative) * np.float32(0.5))

    def _run_complex(self, waveforms: FloatArray, wanted: Set[int] | None) -> FloatArray:
        spec = self.spec
        n_batch, n_channels, n_samples = waveforms.shape
        analysis = Analysis(spec.stft, n_channels=n_batch * n_channels)
        flat = waveforms.reshape(-1, n_samples)
        frames = np.concatenate([analysis.process(flat), analysis.flush()], axis=-1)
        used = frames[:, : spec.n_bins or spec.stft.n_bins]
        used[:, : spec.zeroed_bins] = 0
        features = make_features(used.reshape(n_batch, n_channels, *used.shape[1:]), "complex")
        estimates = self._run(features, wanted)
        lead = (n_batch, estimates.shape[1], n_channels)
        parts = estimates.reshape(*lead, 2, *used.shape[1:])
        whole = np.zeros((*lead, *frames.shape[1:]), dtype=np.complex64)
        whole[:, :, :, : used.shape[1]] = parts[:, :, :, 0] + np.complex64(1j) * parts[:, :, :, 1]
        synthesis = Synthesis(spec.stft)
        samples = np.concatenate([synthesis.process(whole), synthesis.flush()], axis=-1)
        return samples[..., :n_samples]
