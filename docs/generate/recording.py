"""The recording of a terminal session: ``python -m docs.generate.recording``.

The commands really run, in a folder with the example song; what they print is drawn as on a terminal.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
COMMANDS = (
    "stemsplit examples/caesium.mp3",
    "stemsplit examples/caesium.mp3 --karaoke vocals -o karaoke --format flac",
    "stemsplit examples/caesium.mp3 --stems drms",
)
WIDTH = 84


def record() -> None:
    """Run the commands and draw the session."""
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text(_run(command, folder)), highlight=False)
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="stemsplit", unique_id="terminal")


def _run(command: str, folder: Path) -> str:
    """Return what a command prints, standard output and standard error as they come."""
    program, *arguments = command.split()
    run = subprocess.run(
        [sys.executable, "-u", "-m", program, *arguments, "--device", "cpu"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout


if __name__ == "__main__":
    record()
