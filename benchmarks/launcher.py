"""Run one command and write its resource usage, as the operating system reports it, as JSON.

``python -I -S launcher.py REPORT COMMAND...``. This is a process of its own because a child inherits the peak
memory of its parent, and this one is small.
"""

import json
import os
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Run `command`; return its exit code, negative for a signal."""
    started = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    elapsed_s = time.perf_counter() - started
    # kilobytes on Linux, bytes on macOS
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    figures = {"wall_s": elapsed_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": peak_bytes / 1e6}
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would triple the start-up
        json.dump(figures, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2:]) else 0)
