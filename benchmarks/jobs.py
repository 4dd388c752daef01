"""The commands that are measured: one song in, stems out."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import find_stemsplit

STEMS = {1: ("vocals",), 2: ("vocals", "drums"), 4: ("vocals", "drums", "bass", "other")}


@dataclass(frozen=True)
class Bench:
    """Where songs and stems lie, and how often to measure."""

    folder: Path
    n_runs: int

    @property
    def output_dir(self) -> Path:
        """Stems of every run go here; a run replaces those of the one before."""
        return self.folder / "stems"

    def separation(self, song: Path, stems: Sequence[str] | None = None, *options: str) -> list[str]:
        """Separate `song` with the installed command, into all stems or some."""
        return [*find_stemsplit(), *self.arguments(song, stems, *options)]

    def arguments(self, song: Path, stems: Sequence[str] | None = None, *options: str) -> list[str]:
        """What follows the name of the command."""
        wanted = ["--stems", ",".join(stems)] if stems else []
        return [str(song), "-o", str(self.output_dir), "--overwrite", "--quiet", *wanted, *options]

    def yardstick(self, song: Path) -> list[str]:
        """Separate `song` into four stems with the PyTorch implementation of Open-Unmix's architecture."""
        return [sys.executable, "-m", "benchmarks.yardstick", str(song), str(self.output_dir / "yardstick")]
