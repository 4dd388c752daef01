"""The options of the ``replace`` command, as those of a separation."""

from dataclasses import dataclass

from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.replacement import ReplacementSettings


@dataclass(frozen=True, kw_only=True)
class ReplacementOptions(SeparationOptions):
    """The options of a separation that makes the drums stem, and of what takes its place."""

    kit: str | None
    blend: float
    mixture: bool

    def make_extras(self) -> ExtraSettings:
        """Return the settings of the new drums."""
        return ExtraSettings(replacement=ReplacementSettings(self.kit, self.blend, self.mixture))
