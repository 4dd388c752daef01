"""Measurements of whole processes: wall time, CPU time and peak memory, from start to exit."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Usage:
    """The resources of one process; `peak_mb` is its maximum resident set size in megabytes (1e6 bytes)."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def find_stemsplit() -> list[str]:
    """Return the installed ``stemsplit`` command, or the module if there is no command."""
    beside = Path(sys.executable).with_name("stemsplit")
    found = str(beside) if beside.exists() else shutil.which("stemsplit")
    return [found] if found else [sys.executable, "-m", "stemsplit"]


def measure(command: Sequence[str]) -> Usage:
    """Run `command` to its end and return its resources.

    Raises
    ------
    RuntimeError
        If it fails; the message contains its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "usage.json"
        launch = [sys.executable, "-I", "-S", str(_LAUNCHER), str(report), *command]
        run = subprocess.run(
            launch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
        return Usage(**json.loads(report.read_text(encoding="utf-8")))


def alternate(
    commands: Mapping[str, Sequence[str]],
    *,
    n_runs: int,
    log: Callable[[str], None],
    n_warm_ups: int = 1,
) -> dict[str, list[Usage]]:
    """Measure commands alternately, A B A B ..., so that a change of the machine's speed affects all of them.

    The warm-up runs, which fill the file cache, are not counted.
    """
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for number in range(-n_warm_ups, n_runs):
        for name, command in commands.items():
            usage = measure(command)
            log(f"{name}: {usage.wall_s:.2f} s{' (warm-up)' if number < 0 else ''}")
            if number >= 0:
                usages[name].append(usage)
    return usages


def summarise(usages: Sequence[Usage]) -> dict[str, float]:
    """Return the medians, and the shortest and longest wall time."""
    walls = [usage.wall_s for usage in usages]
    return {
        "wall_s": round(median(walls), 3),
        "wall_min_s": round(min(walls), 3),
        "wall_max_s": round(max(walls), 3),
        "cpu_s": round(median(usage.cpu_s for usage in usages), 3),
        "peak_mb": round(median(usage.peak_mb for usage in usages), 1),
    }


def paired_ratio(slower: Sequence[Usage], faster: Sequence[Usage]) -> float:
    """Return the median over all pairs of the ratio of their wall times."""
    ratios = [one.wall_s / other.wall_s for one, other in zip(slower, faster, strict=True)]
    return round(median(ratios), 2)
