"""One graph of an external model: its inputs and outputs with named axes, its targets by their rows.

Arrays come and go with their axes in one order, whatever the layout of the graph:

- magnitudes and masks: ``(batch, channels, bins, frames)`` and ``(batch, targets, channels, bins, frames)``;
- complex values: ``(batch, channels, parts, bins, frames)``, with the targets behind the batch in an output;
- waveforms: ``(batch, channels, samples)`` and ``(batch, targets, channels, samples)``;
- hybrid graphs take and give two arrays: the waveform, and the complex values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stemsplit.errors import ModelError
from stemsplit.models.activity import ACTIVITY
from stemsplit.models.description import Description, GraphEntry
from stemsplit.models.layout import Layout
from stemsplit.models.output_kinds import COMPLEX_KINDS
from stemsplit.models.session import Session, Tensor
from stemsplit.types import FloatArray

_REAL = ("batch", "channels", "bins", "frames")
_COMPLEX = ("batch", "channels", "parts", "bins", "frames")
_WAVEFORM = ("batch", "channels", "samples")
_WAVEFORM_LAYOUT = Layout.parse("batch channels samples")
# what a graph takes or gives that has several arrays, in the order in which they come and go
_ARRAYS_OF: Final = {"hybrid": ("waveform", "complex")}


@dataclass(frozen=True)
class _Port:
    """An input or output of a graph: its place and layout there, and the order of its axes here."""

    tensor: Tensor
    place: int
    layout: Layout
    names: tuple[str, ...]


class ExternalGraph:
    """An open graph and the targets that are taken from it.

    Parameters
    ----------
    session
        The open file.
    entry
        Its targets and their rows.
    description
        Of the model.

    Attributes
    ----------
    places
        For each target its place among all that graphs of the model give.
    sizes
        Of the axes, by name, as far as the shapes of the graph and the description state them.
    activity
        The session with the output that states where targets play; None if there is none.

    Raises
    ------
    ModelError
        If the number of inputs or outputs, or a shape, contradicts the description.
    """

    def __init__(self, session: Session, entry: GraphEntry, description: Description) -> None:
        # what states where targets play is no estimate, see `stemsplit.models.activity`
        activity = session.select([ACTIVITY])
        self.activity = activity if activity.outputs else None
        session = session.select([tensor.name for tensor in session.outputs if tensor.name != ACTIVITY])
        self._session = session
        self._entry = entry
        self.places = tuple(map(description.graph_targets.index, entry.targets))
        self._inputs = [
            _input_port(place, tensor, kind, description)
            for kind, place, tensor in self._find_tensors("takes", session.inputs, description.features)
        ]
        self._outputs = [
            self._output_port(place, tensor, kind, description)
            for kind, place, tensor in self._find_tensors("gives", session.outputs, description.output_kind)
        ]
        self.sizes = self._solve(description)

    def _find_tensors(self, verb: str, tensors: Sequence[Tensor], kind: str) -> list[tuple[str, int, Tensor]]:
        """Return the kind, the place and the declaration of each array; waveforms have the fewest axes."""
        kinds = _ARRAYS_OF.get(kind, (kind,))
        if len(tensors) != len(kinds):
            names = ", ".join(tensor.name for tensor in tensors)
            raise ModelError(
                f"{self._session.path}: the graph {verb} {len(tensors)} arrays ({names}); {kind!r} is "
                f"{len(kinds)}, and 'hybrid' two: a waveform and a spectrogram"
            )
        places = sorted(range(len(tensors)), key=lambda place: len(tensors[place].shape))
        return [(each, place, tensors[place]) for each, place in zip(kinds, places, strict=True)]

    def _output_port(self, place: int, tensor: Tensor, kind: str, description: Description) -> _Port:
        names = _names_of(kind)
        if kind == "waveform":
            layout = _WAVEFORM_LAYOUT
        elif description.output_layout:
            layout = Layout.parse(description.output_layout)
        else:
            layout = _input_layout(description)
        layout = layout.split_channels() if "parts" in names else layout.drop("parts")
        if "targets" not in layout.names:
            layout = self._place_targets(layout, len(tensor.shape))
        return _Port(tensor, place, layout, ("batch", "targets", *names[1:]))

    def _place_targets(self, layout: Layout, rank: int) -> Layout:
        if rank == len(layout.axes) + 1:
            return layout.insert_targets()
        has_several = max(self._entry.n_outputs, *(row + 1 for row in self._entry.rows_of_targets)) > 1
        return layout.fold_targets() if has_several and rank == len(layout.axes) else layout

    def _solve(self, description: Description) -> dict[str, int | None]:
        sizes: dict[str, int | None] = {
            "channels": description.n_channels,
            "parts": 2,
            "bins": description.n_bins or None,
            "frames": description.n_frames or None,
            "samples": description.n_samples or None,
            "targets": self._entry.n_outputs or (None if self._entry.rows else len(self._entry.targets)),
        }
        ports = [*(("takes", port) for port in self._inputs), *(("gives", port) for port in self._outputs)]
        for verb, port in ports:
            self._check_batch(verb, port)
            try:
                found = port.layout.solve(port.tensor.shape, sizes)
            except ModelError as error:
                raise ModelError(
                    f"{self._session.path}: the graph {verb} {port.tensor.name!r}, which {error} "
                    f"(read from its shape {list(port.tensor.shape)} as {port.layout})"
                ) from error
            sizes |= {name: size for name, size in found.items() if name != "batch"}
        n_targets = sizes["targets"]
        if n_targets is not None and max(self._entry.rows_of_targets) >= n_targets:
            raise ModelError(
                f"{self._session.path}: the graph gives {n_targets} targets; there is no row "
                f"{max(self._entry.rows_of_targets)}"
            )
        return sizes

    def _check_batch(self, verb: str, port: _Port) -> None:
        if len(port.tensor.shape) != len(port.layout.axes):
            return  # its shape is refused in a moment
        size = port.tensor.shape[port.layout.batch_axis]
        if size not in {None, 1}:
            raise ModelError(
                f"{self._session.path}: the graph {verb} a batch of {size}; it must be 1 or free"
            )
        first = self._inputs[0] if verb == "takes" else self._outputs[0]
        if port.layout.batch_axis != first.layout.batch_axis:
            raise ModelError(
                f"{self._session.path}: the graph {verb} arrays whose batches are different axes; "
                "both layouts must begin alike"
            )

    def complete(self, description: Description) -> Description:
        """Return `description` with the sizes that the graph states.

        Raises
        ------
        ModelError
            If they are out of range.
        """
        sizes = {f"n_{name}": self.sizes[name] or 0 for name in ("bins", "frames", "samples")}
        try:
            return description.with_sizes(sizes)
        except ModelError as error:
            raise ModelError(f"{self._session.path}: by the graph's shape, {error}") from error

    def __call__(self, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """Run the graph; return what it gives of its own targets."""
        sizes = dict(self.sizes)
        packed: dict[int, FloatArray] = {}
        for port, array in zip(self._inputs, arrays, strict=True):
            sizes |= dict(zip(port.names, array.shape, strict=True))
            packed[port.place] = port.layout.pack(array, port.names)
        found = self._session(
            *(packed[place] for place in range(len(packed))),
            batch_axis=self._inputs[0].layout.batch_axis,
            output_batch_axis=self._outputs[0].layout.batch_axis,
        )
        return tuple(self._unpack(port, found[port.place], sizes) for port in self._outputs)

    def _unpack(self, port: _Port, found: FloatArray, sizes: dict[str, int | None]) -> FloatArray:
        try:
            estimates = port.layout.unpack(found, port.names, sizes)
        except ModelError as error:
            raise ModelError(
                f"{self._session.path}: the network gave an array that {error}; the export is broken"
            ) from error
        rows = list(self._entry.rows_of_targets)
        return estimates if rows == list(range(estimates.shape[1])) else estimates[:, rows]


def _names_of(kind: str) -> tuple[str, ...]:
    if kind == "waveform":
        return _WAVEFORM
    return _COMPLEX if kind in COMPLEX_KINDS else _REAL


def _input_layout(description: Description) -> Layout:
    layout = Layout.parse(description.layout)
    return layout if description.features == "magnitude" else layout.split_channels()


def _input_port(place: int, tensor: Tensor, kind: str, description: Description) -> _Port:
    layout = _WAVEFORM_LAYOUT if kind == "waveform" else _input_layout(description)
    return _Port(tensor, place, layout, _names_of(kind))
