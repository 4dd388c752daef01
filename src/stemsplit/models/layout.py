"""Axes of an array, in the notation of einops: ``batch (bins channels) frames parts``.

Names in parentheses share one axis, the last of them runs fastest. The names are

- ``batch``: items that are computed independently; an axis of its own;
- ``targets``: what the graph gives, in the order of its rows;
- ``channels``: of the audio;
- ``parts``: real and imaginary part, where values are complex;
- ``bins`` and ``frames`` of a spectrogram, or ``samples`` of a waveform.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stemsplit.errors import ModelError
from stemsplit.types import FloatArray

AXES = ("batch", "targets", "channels", "parts", "bins", "frames", "samples")
_TOKEN = re.compile(r"\(([^()]*)\)|(\S+)")

Sizes = Mapping[str, int | None]
Shape = Sequence[int | None]


@dataclass(frozen=True)
class Layout:
    """The axes of an array, each of them one name or several."""

    axes: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """Read a layout.

        Raises
        ------
        ModelError
            If a name is unknown or there twice, the batch is missing or shares its axis.

        Examples
        --------
        >>> Layout.parse("batch (channels parts) bins frames").axes
        (('batch',), ('channels', 'parts'), ('bins',), ('frames',))
        """
        axes = tuple(
            tuple((match[1] if match[1] is not None else match[2]).split()) for match in _TOKEN.finditer(text)
        )
        layout = cls(axes)
        names = layout.names
        unknown = [name for name in names if name not in AXES]
        if unknown:
            raise ModelError(f"layout {text!r} has the axis {unknown[0]!r}; there are {', '.join(AXES)}")
        if len(set(names)) < len(names):
            raise ModelError(f"layout {text!r} names an axis twice")
        if ("batch",) not in axes:
            raise ModelError(f"layout {text!r} must have an axis of its own for the batch")
        return layout

    def __str__(self) -> str:
        return " ".join(names[0] if len(names) == 1 else f"({' '.join(names)})" for names in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, from the slowest to the fastest."""
        return tuple(name for names in self.axes for name in names)

    @property
    def batch_axis(self) -> int:
        """The number of the axis of the batch."""
        return self.axes.index(("batch",))

    def split_channels(self) -> "Layout":
        """Return the layout of complex values: without ``parts``, the ``channels`` hold those too."""
        if "parts" in self.names:
            return self
        return Layout(tuple(_replace(names, "channels", ("channels", "parts")) for names in self.axes))

    def drop(self, name: str) -> "Layout":
        """Return the layout without a name."""
        kept = (tuple(each for each in names if each != name) for names in self.axes)
        return Layout(tuple(names for names in kept if names))

    def insert_targets(self) -> "Layout":
        """Return the layout with an axis of targets behind that of the batch."""
        behind = self.batch_axis + 1
        return Layout((*self.axes[:behind], ("targets",), *self.axes[behind:]))

    def fold_targets(self) -> "Layout":
        """Return the layout with the targets in the axis of the channels, as its slowest part."""
        return Layout(tuple(_replace(names, "channels", ("targets", "channels")) for names in self.axes))

    def solve(self, shape: Shape, known: Sizes) -> dict[str, int | None]:
        """Return the sizes of all names, as far as the shape of an array and what is known tell them.

        Raises
        ------
        ModelError
            If the two contradict each other; the axis is named.
        """
        if len(shape) != len(self.axes):
            raise ModelError(f"has the shape {list(shape)}; described are the axes {self}")
        sizes = {name: known.get(name) for name in self.names}
        for names, size in zip(self.axes, shape, strict=True):
            if size is not None:
                _solve_axis(names, size, sizes)
        return sizes

    def pack(self, array: FloatArray, names: Sequence[str]) -> FloatArray:
        """Return `array`, whose axes are `names`, in this layout."""
        flat = array.transpose([names.index(name) for name in self.names])
        sizes = dict(zip(names, array.shape, strict=True))
        shape = [math.prod(sizes[name] for name in each) for each in self.axes]
        return np.ascontiguousarray(flat.reshape(shape))

    def unpack(self, array: FloatArray, names: Sequence[str], sizes: Sizes) -> FloatArray:
        """Return an array of this layout with the axes `names`; those that it lacks have the length one.

        Raises
        ------
        ModelError
            If its shape contradicts `sizes`.
        """
        found = self.solve(array.shape, sizes)
        split = array.reshape([found[name] or 0 for name in self.names])
        lacking = [name for name in names if name not in self.names]
        split = split.reshape(*split.shape, *(1 for _ in lacking))
        order = [*self.names, *lacking]
        return split.transpose([order.index(name) for name in names])


def _replace(names: tuple[str, ...], old: str, new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for name in names for each in (new if name == old else (name,)))


def _solve_axis(names: tuple[str, ...], size: int, sizes: dict[str, int | None]) -> None:
    open_names = [name for name in names if sizes[name] is None]
    product = math.prod(sizes[name] or 1 for name in names if name not in open_names)
    if not open_names and product == size:
        return
    if len(open_names) == 1 and size % product == 0:
        sizes[open_names[0]] = size // product
        return
    if len(names) == 1:
        raise ModelError(f"has {size} {names[0]}; described are {product}")
    wanted = " x ".join(f"{sizes[name] or 'any'} {name}" for name in names)
    raise ModelError(f"has {size} on the axis ({' '.join(names)}); described are {wanted}")
