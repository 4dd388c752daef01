"""A separator for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stemsplit import Separator


@pytest.fixture(scope="module")
def separator(tiny_model: Path) -> Iterator[Separator]:
    """Open a separator with a tiny model."""
    with Separator(device="cpu", models=[tiny_model], threads=1) as opened:
        yield opened
