"""Separate a song and write the peak memory so far, in megabytes, once a share of it is finished.

``python memory_probe.py SONG OUTPUT SHARE FIGURE SETTINGS``: `FIGURE` is the file for the number, `SETTINGS`
are the arguments of `stemsplit.separate` as JSON.

Before that share is finished, the consumer pauses several times, so that every queue of the pipeline has been
full by then. Otherwise the queues of a busy machine may fill up for the first time later, which would look
like growth.
"""

import json
import resource
import sys
import time
from pathlib import Path

import soundfile

import stemsplit

N_PAUSES = 5
PAUSE_S = 1.0


def main(song: Path, output: Path, share: float, figure: Path, settings: str) -> None:
    """Separate `song` into `output`."""
    n_early = share * soundfile.info(song).frames
    pauses = [n_early * number / (N_PAUSES + 1) for number in range(N_PAUSES, 0, -1)]

    def observe(n_samples: int, _total: int | None) -> None:
        if pauses and n_samples >= pauses[-1]:
            pauses.pop()
            time.sleep(PAUSE_S)
        if n_samples >= n_early and not figure.exists():
            # kilobytes on Linux, bytes on macOS
            unit = 1 if sys.platform == "darwin" else 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
            figure.write_text(str(peak / 1e6))

    stemsplit.separate(song, output_dir=output, device="cpu", progress=observe, **json.loads(settings))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
