"""What every trainable network is to the training loop, the validation and the commands.

A network owns its STFT, its loss and its way from a mixture to waveforms: nobody else knows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from stemsplit.training.data.songs import is_target, order_targets

# Names of a song's rest, and of columns of the curves.
RESERVED = ("residual", "step", "loss", "average", "elapsed_s", "waiting_s")


class SeparationNetwork(nn.Module, ABC):
    """A network that separates stereo mixtures into stems.

    Attributes
    ----------
    name : str
        What `networks.build` calls it.
    targets : tuple of str
        What it separates, in the order of all arrays.
    n_bins : int
        Bins of its STFT, those of the colours that it is trained with.
    options : dict
        What `networks.build` makes the same network of; plain values, as a checkpoint keeps them.
    ends : tuple of str
        Modules that read the input or write the output; what is between them is hidden.
    """

    name: ClassVar[str]
    ends: ClassVar[tuple[str, ...]]
    targets: tuple[str, ...]
    n_bins: int
    options: dict[str, Any]

    @abstractmethod
    def loss(self, stems: Tensor, known: Tensor, colours: Tensor) -> Tensor:
        """What training lowers: a mean over all known stems of all examples.

        Parameters
        ----------
        stems : Tensor, shape (batch, targets, 2, samples)
            Waveforms; their sum is the mixture.
        known : Tensor, shape (batch, targets)
            One where the loss counts, else zero: there the stem holds something, but of several targets.
        colours : Tensor, shape (batch, targets, n_bins)
            Gain per bin of each stem, which comes before the mixing.

        Returns
        -------
        Tensor, shape ()
        """

    @abstractmethod
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate a song, without gradients: ``(2, samples) -> (targets, 2, samples)``."""

    def grown(self, weights: dict[str, Tensor], targets: Sequence[str]) -> dict[str, Tensor]:
        """Weights of a smaller network of this kind, or of one for other `targets`, as those of this one.

        A network that cannot grow returns them as they are, whatever they are; `RuntimeError` where they
        are of other targets.
        """
        if tuple(targets) != self.targets:
            raise RuntimeError(f"its targets are {', '.join(targets)}")
        return weights

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Take the statistics that a fresh network starts from out of mixtures ``(2, samples)``.

        Networks that need none leave them alone.
        """


def checked_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Targets as a network has them: those of the bundled model in its order, others as they are given.

    Raises
    ------
    ValueError
        They are fewer than two, one comes twice, or one is no name of a target.
    """
    if not isinstance(targets, list | tuple) or len(targets) < 2:
        raise ValueError(f"targets are a list of at least two, not {targets!r}")
    for target in targets:
        if not is_target(target) or target in RESERVED:
            raise ValueError(
                f"no target is called {target!r}: take small letters, and none of {', '.join(RESERVED)}"
            )
    if len(set(targets)) < len(targets):
        raise ValueError(f"a target comes twice in {', '.join(targets)}")
    return order_targets(targets)
