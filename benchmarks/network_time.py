"""Run ``stemsplit`` and time its networks: ``python -m benchmarks.network_time REPORT ARGS...``.

The report contains the seconds in which a network was running.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import onnxruntime

from stemsplit.cli.app import main as stemsplit


def clock_networks() -> list[float]:
    """Time every run of every network from now on; the returned list receives the seconds."""
    seconds: list[float] = []
    run = onnxruntime.InferenceSession.run

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return run(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - started)

    onnxruntime.InferenceSession.run = timed
    return seconds


def main() -> None:
    """Run the command and write the report."""
    report, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
    seconds = clock_networks()
    try:
        stemsplit()
    finally:
        report.write_text(json.dumps({"network_s": sum(seconds), "calls": len(seconds)}), encoding="utf-8")


if __name__ == "__main__":
    main()
