"""A running service, and a gate that holds it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.service import Gate, Running


@pytest.fixture
def service(tiny_model: Path, tmp_path: Path) -> "Iterator[Running]":
    """A service with generous limits."""
    from tests.support.service import running  # needs the extra serve

    with running(tiny_model, tmp_path / "songs") as service:
        yield service


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Gate]":
    """A gate that is open in the end, so that the worker can be."""
    from tests.support.service import Gate

    gate = Gate(monkeypatch)
    yield gate
    gate.open()
