"""What kind of model a graph is, by the shapes of what it takes and gives and by how loud its output is.

A spectrogram of four channels is complex (the real and imaginary part of left and right), one of two is of
magnitudes. A network whose output grows with its input gives spectrograms, one whose output does not gives
masks: that is found out by running it at two levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stemsplit.errors import ModelError, StemsplitError
from stemsplit.models.families import FAMILIES
from stemsplit.models.layout import Layout
from stemsplit.models.output_kinds import COMPLEX_KINDS
from stemsplit.models.session import Session, Tensor

Shape = tuple[int | None, ...]

_LOUDER: Final = 4.0
_PROBE_FRAMES: Final = 64
_PLAIN: Final = "batch channels bins frames"
_DEMUCS_TARGETS: Final = ("drums", "bass", "other", "vocals", "guitar", "piano")


@dataclass(frozen=True)
class Recognition:
    """What kind of model a graph is.

    Parameters
    ----------
    reason
        What it was recognised by, in a few words.
    family
        A key of `stemsplit.models.families.FAMILIES`, or empty.
    output_kind, features, layout
        As the fields of a description.
    n_targets
        How many targets the graph gives; 1 where it does not say.
    targets
        Their names, if all models of this kind have the same.
    n_bins, n_frames, n_samples
        As the input's shape states them; None if it leaves them open.
    """

    reason: str
    family: str
    output_kind: str
    features: str
    n_targets: int
    layout: str = _PLAIN
    n_channels: int = 2
    targets: tuple[str, ...] = ()
    n_bins: int | None = None
    n_frames: int | None = None
    n_samples: int | None = None

    @property
    def n_fft(self) -> int:
        """Length of the transform: twice the bins less one, if that can be all of them; 0 if it cannot."""
        n_fft = FAMILIES.get(self.family, {}).get("n_fft", 0)
        has_all_bins = self.n_bins is not None and self.n_bins % 2 == 1
        return n_fft or (2 * (self.n_bins - 1) if self.n_bins and has_all_bins else 0)


def recognise(session: Session) -> Recognition:
    """Return what kind of model an open graph is.

    Raises
    ------
    ModelError
        If it is of no kind that can be run.
    """
    inputs, outputs = session.inputs, session.outputs
    if len(inputs) == len(outputs) == 2:
        return _recognise_hybrid(inputs, outputs)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{session.path}: the graph takes {_name(inputs)} and gives {_name(outputs)}; one that can be "
            "run takes and gives one array, or a waveform and a spectrogram"
        )
    taken, given = inputs[0].shape, outputs[0].shape
    if len(given) - len(taken) in {0, 1}:
        if len(taken) == 3:
            return _recognise_waveform(taken, given)
        layout = _find_layout(taken)
        if layout is not None:
            return _recognise_spectrogram(session, taken, given, layout)
    raise ModelError(
        f"{session.path}: takes {show_shape(taken)}, gives {show_shape(given)}; one that can be run takes "
        "waveforms (batch, channels, samples) or spectrograms (batch, channels, bins, frames) and gives the "
        "same, or with an axis of targets"
    )


def show_shape(shape: Shape) -> str:
    """Return a shape in parentheses, with ``any`` for what is open."""
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _name(tensors: Sequence[Tensor]) -> str:
    return f"{len(tensors)} arrays ({', '.join(tensor.name for tensor in tensors)})"


def _recognise_hybrid(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Recognition:
    waveform, spectrogram = sorted((tensor.shape for tensor in inputs), key=len)
    given = min((tensor.shape for tensor in outputs), key=len)
    return Recognition(
        "two inputs, a waveform and a spectrogram",
        "htdemucs-core",
        "hybrid",
        "hybrid",
        _count_targets(waveform, given),
        targets=_name_demucs(_count_targets(waveform, given)),
        n_frames=spectrogram[-1],
        n_samples=waveform[-1],
    )


def _recognise_waveform(taken: Shape, given: Shape) -> Recognition:
    n_targets = _count_targets(taken, given)
    targets = _name_demucs(n_targets)
    reason = "waveforms (batch, channels, samples)" + (", as many stems as HTDemucs" if targets else "")
    return Recognition(
        reason,
        "htdemucs" if targets else "",
        "waveform",
        "waveform",
        n_targets,
        n_channels=taken[1] or 2,
        targets=targets,
        n_samples=taken[2],
    )


def _name_demucs(n_targets: int) -> tuple[str, ...]:
    return _DEMUCS_TARGETS[:n_targets] if n_targets in {4, 6} else ()


def _find_layout(taken: Shape) -> Layout | None:
    """Return the order of the axes of a spectrogram; None if it is none."""
    if len(taken) == 5:
        if taken[4] == 2:
            return Layout.parse("batch channels bins frames parts")
        return Layout.parse("batch channels parts bins frames") if taken[2] == 2 else None
    if len(taken) != 4:
        return None
    if taken[3] == 2:
        return Layout.parse("batch (bins channels) frames parts")
    if taken[0] == 2 and taken[1] is None:
        return Layout.parse(FAMILIES["spleeter"]["layout"])
    return Layout.parse(_PLAIN)


def _recognise_spectrogram(session: Session, taken: Shape, given: Shape, layout: Layout) -> Recognition:
    sizes = dict(zip(layout.axes, taken, strict=True))
    n_rows = sizes.get(("channels",))
    is_complex = "parts" in layout.names or n_rows == 4
    n_targets = _count_targets(taken, given) if layout.axes[0] == ("batch",) else 1
    gives_masks = not _grows(session, layout, taken)
    kinds = COMPLEX_KINDS if is_complex else ("magnitude", "mask")
    n_bins = sizes.get(("bins",)) or _divide(sizes.get(("bins", "channels")), 2)
    found = Recognition(
        f"{'complex spectrograms' if is_complex else 'magnitudes'}, and what it gives "
        f"{'does not grow' if gives_masks else 'grows'} with them",
        "",
        kinds[1] if gives_masks else kinds[0],
        "complex" if is_complex else "magnitude",
        n_targets,
        layout=str(layout),
        n_channels=1 if n_rows == 1 else 2,
        n_bins=n_bins,
        n_frames=sizes.get(("frames",)),
    )
    return _with_family(found)


def _with_family(found: Recognition) -> Recognition:
    family = ""
    if found.output_kind == "magnitude" and found.layout == FAMILIES["spleeter"]["layout"]:
        family = "spleeter"
    elif found.output_kind == "magnitude" and found.n_bins == 2049 and found.n_targets == 1:
        family = "open-unmix"
    elif found.output_kind == "complex" and found.n_bins and found.n_bins % 2 == 0 and found.n_frames:
        family = "mdx"
    return Recognition(**{**vars(found), "family": family})


def _count_targets(taken: Shape, given: Shape) -> int:
    """Return how many targets there are, on an axis of their own or in that of the channels."""
    if len(given) > len(taken):
        return given[1] or 1
    return _divide(given[1], taken[1]) or 1


def _divide(size: int | None, by: int | None) -> int | None:
    return size // by if size and by and size % by == 0 else None


def _grows(session: Session, layout: Layout, taken: Shape) -> bool:
    """Tell whether louder input gives louder output; where the graph does not run it is said to."""
    defaults: dict[tuple[str, ...], int] = {("batch",): 1, ("frames",): _PROBE_FRAMES}
    shape = [size or defaults.get(names) for names, size in zip(layout.axes, taken, strict=True)]
    if None in shape:
        return True
    noise = np.abs(np.random.default_rng(0).standard_normal([size or 1 for size in shape])).astype(np.float32)
    try:
        quiet, loud = (
            float(np.sqrt(np.square(session(level * noise)[0]).mean()))
            for level in (np.float32(1), np.float32(_LOUDER))
        )
    except StemsplitError:
        return True
    return not quiet or loud / quiet > np.sqrt(_LOUDER)
