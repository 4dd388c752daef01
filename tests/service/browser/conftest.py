"""One browser for all tests that look at the page; it ends before tests that run an event loop themselves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    """A browser without a window."""
    from tests.support.browser import launching, require_browser  # needs the extra serve

    with launching(require_browser()) as browser:
        yield browser
