"""A route: which of several separators a song gets, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemsplit.music.style import Style


@dataclass(frozen=True)
class Route:
    """Which candidate separates a song, and why.

    Parameters
    ----------
    name
        Of the candidate.
    reason
        In words.
    scores_db
        The mean expected SDR of the stems of each candidate on the excerpt; empty if the style decided.
    style
        The kind of music; None for silence, and where no style has a route.
    """

    name: str
    reason: str
    scores_db: Mapping[str, float | None] = field(default_factory=dict)
    style: "Style | None" = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        style = None if self.style is None else self.style.to_dict()
        return {
            "name": self.name,
            "reason": self.reason,
            "expected_sdr_db": dict(self.scores_db),
            "style": style,
        }
