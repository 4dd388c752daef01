"""What a model states about itself, in its own file or in a description beside it."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.stft import StftSpec
from stemsplit.models.licence import Commercial


class ModelProperties(Protocol):
    """The properties of any model, as the separation, the licence check and the listings need them.

    `stemsplit.models.spec.ModelSpec` has them for the project's own models and
    `stemsplit.models.description.Description` for external ones.
    """

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def version(self) -> str:
        """The model's version."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what the model gives, in the order of its output."""

    @property
    def n_outputs(self) -> int:
        """How many of the targets, from the first, the model itself gives; the rest is the complement."""

    @property
    def remainder(self) -> str:
        """The target that also gets what no target reaches, or empty."""

    @property
    def sample_rate(self) -> int:
        """Of the model's input, in Hz."""

    @property
    def n_channels(self) -> int:
        """Channels of the model's input, 1 or 2."""

    @property
    def stft(self) -> StftSpec:
        """The STFT around the network; of no meaning where waveforms are its input."""

    @property
    def n_frames(self) -> int:
        """Frames that the network takes at a call; 0 if any number will do."""

    @property
    def chunk_s(self) -> float:
        """Seconds that a chunk should have, without its context."""

    @property
    def context_s(self) -> float:
        """Seconds of context on either side of a chunk."""

    def propose_overlap(self, chunk_s: float) -> float:
        """Return the cross-fade, in seconds, between chunks of `chunk_s` seconds."""

    @property
    def n_rows(self) -> int:
        """Rows of a mask."""

    @property
    def row_of_bin(self) -> NDArray[np.intp] | None:
        """For each bin the row of the mask that holds for it; None if each bin has its own."""

    @property
    def exhaustive(self) -> bool:
        """Whether the targets are all there is in the music."""

    @property
    def regularisation(self) -> float:
        """Of the Wiener filter, see `stemsplit.dsp.wiener.filter_estimates`."""

    @property
    def mid_side(self) -> bool:
        """Whether the model's two channels are mid and side."""

    @property
    def has_ratio_masks(self) -> bool:
        """Whether each mask is known to be the share of its target in the mixture."""

    @property
    def licence(self) -> str:
        """Of the weights."""

    @property
    def commercial(self) -> Commercial:
        """Whether commercial use is allowed: True, False or ``unknown``."""

    @property
    def attribution(self) -> str:
        """Who is to be named, or empty."""

    @property
    def source(self) -> str:
        """Where the model comes from, an address; or empty."""

    def to_dict(self) -> dict[str, Any]:
        """Return every field that is written down, by name."""
