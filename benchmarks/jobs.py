"""The measured commands: each separates one song."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import find_stemsplit

STEMS = {1: ("vocals",), 2: ("vocals", "drums"), 4: ("vocals", "drums", "bass", "other")}


@dataclass(frozen=True)
class Bench:
    """The folder of songs and stems, and the number of measurements."""

    folder: Path
    n_runs: int

    @property
    def output_dir(self) -> Path:
        """The folder of the stems; each run replaces those of the previous one."""
        return self.folder / "stems"

    def separation(self, song: Path, stems: Sequence[str] | None = None, *options: str) -> list[str]:
        """Return the command line that separates `song` into `stems` (None: all)."""
        return [*find_stemsplit(), *self.arguments(song, stems, *options)]

    def arguments(self, song: Path, stems: Sequence[str] | None = None, *options: str) -> list[str]:
        """Return the arguments of that command line."""
        wanted = ["--stems", ",".join(stems)] if stems else []
        return [str(song), "-o", str(self.output_dir), "--overwrite", "--quiet", *wanted, *options]

    def yardstick(self, song: Path) -> list[str]:
        """Return the command line that separates `song` with the PyTorch implementation of Open-Unmix."""
        return [sys.executable, "-m", "benchmarks.yardstick", str(song), str(self.output_dir / "yardstick")]
