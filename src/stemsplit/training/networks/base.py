"""The interface between networks and training, validation and commands.

A network owns its STFT, its loss and the way from a mixture to waveforms; no other module depends on them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from stemsplit.training.data.songs import is_target, order_targets

# Columns of the curves of adversarial training.
ADVERSARIAL_FIGURES = ("error", "adversarial", "discriminator", "margin", "energy_db", "collapsed")
# Names of the residual and of columns of training curves.
RESERVED = ("residual", "step", "loss", "average", "elapsed_s", "waiting_s", *ADVERSARIAL_FIGURES)


class SeparationNetwork(nn.Module, ABC):
    """A network that separates stereo mixtures into stems.

    Attributes
    ----------
    name : str
        Name in `catalog.NETWORKS`.
    uses_autocast : bool
        Whether it trains in the precision of `precision.precision_on`, else in float32.
    targets : tuple of str
        Targets in the order of all arrays.
    n_bins : int
        Number of STFT bins, and of equaliser gains in training.
    options : dict
        Arguments of `catalog.build` for the same network; plain values that checkpoints can hold.
    end_modules : tuple of str
        Modules that read the input or write the output; all others are hidden.
    """

    name: ClassVar[str]
    end_modules: ClassVar[tuple[str, ...]]
    uses_autocast: ClassVar[bool] = True
    targets: tuple[str, ...]
    n_bins: int
    options: dict[str, Any]

    @abstractmethod
    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the loss that training minimises: a mean over all known stems of all examples.

        Parameters
        ----------
        stems : Tensor, shape (batch, targets, 2, samples)
            Waveforms; their sum is the mixture.
        known : Tensor, shape (batch, targets)
            One where the loss counts, zero where a stem contains several targets.
        eq_gains : Tensor, shape (batch, targets, n_bins)
            Gain per bin of each stem, applied before mixing.

        Returns
        -------
        Tensor, shape ()
        """

    @abstractmethod
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate a song, without gradients: ``(2, samples) -> (targets, 2, samples)``."""

    def figures(self, excerpts: Iterable[Tensor]) -> dict[str, float]:
        """Compute figures of this kind of network, by name, from the stems of validation excerpts.

        Parameters
        ----------
        excerpts : iterable of Tensor, shape (targets, 2, samples)
            Waveforms; all targets are known.

        Returns
        -------
        dict of str to float
            Empty for networks that are judged by their estimates alone.
        """
        _ = excerpts
        return {}

    def adapt_weights(self, weights: dict[str, Tensor], targets: Sequence[str]) -> dict[str, Tensor]:
        """Convert weights of a smaller network of this kind, or of one for other `targets`, to this one.

        Networks that cannot be widened return the weights unchanged; they raise `RuntimeError` for other
        targets.
        """
        if tuple(targets) != self.targets:
            raise RuntimeError(f"its targets are {', '.join(targets)}")
        return weights

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Initialise the statistics of a fresh network from mixtures ``(2, samples)``.

        Networks without such statistics ignore the mixtures.
        """


def check_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Check targets and return them in the order of a network: the bundled model's order, or as given.

    Raises
    ------
    ValueError
        There are fewer than two, one occurs twice, or one is not a valid name.
    """
    if not isinstance(targets, list | tuple) or len(targets) < 2:
        raise ValueError(f"targets must be a list of at least two, not {targets!r}")
    for target in targets:
        if not is_target(target) or target in RESERVED:
            raise ValueError(
                f"a target cannot be called {target!r}: "
                f"use small letters, but not one of {', '.join(RESERVED)}"
            )
    if len(set(targets)) < len(targets):
        raise ValueError(f"a target occurs twice in {', '.join(targets)}")
    return order_targets(targets)
