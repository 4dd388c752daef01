"""A browser to look at the page with: Chromium, driven by Playwright."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Return the Chromium that STEMSPLIT_CHROMIUM names, or that of this computer; None if there is none."""
    named = os.environ.get("STEMSPLIT_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def require_browser() -> str:
    """Return the Chromium of this computer; skip the test where there is none."""
    pytest.importorskip("playwright")
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium; install one, or name it in STEMSPLIT_CHROMIUM")
    return path


@contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve `app` at a port of this computer, as the command does; yield its address."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, http="h11", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        end_s = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def launching(path: str) -> Iterator["Browser"]:
    """Start a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
