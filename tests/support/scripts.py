"""Runs modules of the page without a browser, in Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stemsplit.service.page_files import page_folder


def run_script(script: str, *arguments: object, folder: Path) -> Any:
    """Return what a module of JavaScript prints, as JSON.

    The module lies in `folder`, beside a copy of those of the page and of their texts, and finds `arguments`
    in ``given``. Skips the test where there is no Node.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    for path in Path(str(page_folder())).glob("*.js*"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(f"const given = {json.dumps(arguments)};\n{script}")
    command = [node, str(folder / "script.js")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
