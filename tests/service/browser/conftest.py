"""One browser for all tests that look at the page; it ends before tests that run an event loop themselves.

Each module has a `service` of its own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.service import Running


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    """A browser without a window."""
    from tests.support.browser import launching, require_browser  # needs the extra serve

    with launching(require_browser()) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(service: "Running") -> Iterator[str]:
    """Where the browser finds the service."""
    from tests.support.browser import listening

    with listening(service.app) as address:
        yield address
