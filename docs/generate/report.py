"""The picture of a report: ``python -m docs.generate.report``.

The example song is separated, and a browser draws its page. It needs playwright, and chromium on the path.
"""

import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "report.png"
SONG = ROOT / "examples" / "caesium.mp3"


def draw() -> None:
    """Make the page of the example song, and draw it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "stemsplit", "report", str(SONG), "-o", folder, "--device", "cpu"]
        subprocess.run(command, check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1010}, color_scheme="dark")
        page.goto(Path(folder, SONG.stem, "report.html").as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('audio')].every(each => each.readyState > 0)", timeout=60_000
        )
        picture = Image.open(BytesIO(page.screenshot()))
        picture.convert("RGB").quantize(128).save(PICTURE, optimize=True)
        browser.close()


if __name__ == "__main__":
    draw()
