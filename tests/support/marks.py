"""Which values of a parametrised test belong to the quick run."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Return `values` for ``parametrize``, all marked slow but those that are in `quick`."""
    return [value if value in quick else mark_slow(value) for value in values]


def mark_slow(value: Any) -> Any:
    """Return a value of a parameter, or a tuple of several, as one of the full run only."""
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.slow)
