"""What draws the examples of a training."""

from typing import Protocol

from stemsplit.training.examples.remix import Example
from stemsplit.training.examples.settings import RemixSettings


class ExampleSource(Protocol):
    """Draws examples, each a function of its number.

    Attributes
    ----------
    settings : RemixSettings
        Distribution of the examples.
    training_sources : frozenset of (str, str)
        Sources of the songs, each with its licence.
    example_kinds : tuple of str
        Kinds of examples, for the checkpoint.
    """

    settings: RemixSettings
    training_sources: frozenset[tuple[str, str]]

    @property
    def example_kinds(self) -> tuple[str, ...]:
        """Available kinds of examples."""

    def example(self, number: int) -> Example:
        """Draw example `number`."""
