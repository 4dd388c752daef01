"""What may be done with a model: its licence, as stated, and whether commercial use is allowed.

If a licence is not stated, it is ``unknown``: a model does not count as free because nothing forbids its use.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from stemsplit.errors import LicenceError

Commercial = bool | str

UNKNOWN: Final = "unknown"

# SPDX names; what is not here is unknown, however free it may be
_ALLOWING: Final = frozenset(
    name.lower()
    for name in (
        *("MIT", "MIT-0", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unlicense", "Zlib"),
        *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "BSL-1.0", "MPL-2.0"),
    )
)


class Licensed(Protocol):
    """Anything that states its licence."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def licence(self) -> str:
        """Name of the licence; ``unknown`` if it is not stated."""

    @property
    def commercial(self) -> Commercial:
        """True, False or ``unknown``."""


def allows_commercial(licence: str) -> Commercial:
    """Tell from the SPDX name of a licence whether it allows commercial use.

    >>> allows_commercial("MIT"), allows_commercial("CC-BY-NC-4.0"), allows_commercial("see website")
    (True, False, 'unknown')
    """
    name = licence.strip().lower()
    if name in _ALLOWING:
        return True
    return False if name.startswith("cc-by-nc") else UNKNOWN


def say(commercial: Commercial) -> str:
    """Return ``yes``, ``no`` or ``unknown``."""
    if isinstance(commercial, bool):
        return "yes" if commercial else "no"
    return UNKNOWN


def check_commercial(models: Sequence[Licensed]) -> None:
    """Refuse models whose licence does not allow commercial use, or does not say.

    Raises
    ------
    LicenceError
        If there are any; all are named.
    """
    refused = [model for model in models if model.commercial is not True]
    if refused:
        raise LicenceError(
            f"--commercial-only refuses {'; '.join(map(_describe, refused))}; choose another model, "
            "or state in its description what its author allows"
        )


def note_licences(models: Sequence[Licensed]) -> str | None:
    """Return one line on the models that are not known to allow commercial use; None if all are."""
    noted = [model for model in models if model.commercial is not True]
    return f"licence: {'; '.join(map(_describe, noted))}" if noted else None


def _describe(model: Licensed) -> str:
    terms = "commercial use unknown" if model.commercial == UNKNOWN else "no commercial use"
    stated = "licence unknown" if model.licence in {"", UNKNOWN} else model.licence
    return f"{model.name} ({stated}, {terms})"
