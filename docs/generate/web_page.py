"""The picture of the web page: ``python -m docs.generate.web_page``.

The page is served, the example song is separated in a browser, and what it shows then is the picture. It
needs playwright, and chromium on the path.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SONG = ROOT / "examples" / "caesium.mp3"
PICTURE = ROOT / "docs" / "pictures" / "web-page.png"
SIZE = {"width": 760, "height": 620}
TIMEOUT_MS = 120_000


def draw() -> None:
    """Separate the example song on the page and draw it."""
    PICTURE.parent.mkdir(exist_ok=True)
    with _serve() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.goto(address)
        page.locator("input[type=file]").set_input_files(SONG)
        page.get_by_role("button", name="Split").click()
        page.get_by_role("link", name="zip").wait_for(timeout=TIMEOUT_MS)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


@contextmanager
def _serve() -> Iterator[str]:
    """Run the service on a free port; give its address."""
    command = [sys.executable, "-m", "stemsplit", "serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        try:
            yield next(found[0] for line in service.stderr if (found := re.search(r"http://\S+", line)))
        finally:
            service.terminate()


if __name__ == "__main__":
    draw()
