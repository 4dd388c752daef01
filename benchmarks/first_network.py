"""CPU time of a command up to the first run of a network.

``python -m benchmarks.first_network REPORT ARGS...`` writes a report with the seconds of all
threads since the process was started, and ends the process there.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn


def main() -> None:
    """Run the command up to there and write the report."""
    report, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
    _stop_at_first_run(report)
    from stemsplit.cli.app import main as stemsplit

    stemsplit()


def _stop_at_first_run(report: Path) -> None:
    import onnxruntime

    def stop(*_: Any, **__: Any) -> NoReturn:
        report.write_text(json.dumps({"cpu_s": time.process_time()}), encoding="utf-8")
        os._exit(0)

    onnxruntime.InferenceSession.run = stop


if __name__ == "__main__":
    main()
