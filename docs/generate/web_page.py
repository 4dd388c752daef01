"""The pictures of the web page: ``python -m docs.generate.web_page``.

The page is served, the example song is separated in a browser, and what it shows while it plays are the
pictures. It needs playwright, and chromium on the path.
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
PICTURES = ROOT / "docs" / "pictures"
# name, width and height in pixels, light or dark
SIGHTS = (
    ("web-page", 1280, 900, "light"),
    ("web-page-dark", 1280, 900, "dark"),
    ("web-page-wide", 1920, 1000, "dark"),
    ("web-page-phone", 390, 844, "light"),
)
TIMEOUT_MS = 120_000


def draw() -> None:
    """Separate the example song on the page, and draw it while it plays."""
    PICTURES.mkdir(exist_ok=True)
    with _serve() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, width, height, scheme in SIGHTS:
            page = browser.new_page(
                bypass_csp=True, viewport={"width": width, "height": height}, color_scheme=scheme
            )  # type: ignore[arg-type]
            page.set_default_timeout(TIMEOUT_MS)
            page.goto(address)
            page.click("#demo")
            page.wait_for_selector(".mixer")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            page.click(".play")
            page.wait_for_function("Number(document.querySelector('.clock').textContent.slice(2, 6)) > 11")
            page.screenshot(path=PICTURES / f"{name}.png")
            page.close()
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
