"""Separate a song and write the peak memory so far, in megabytes, once a share of it is finished.

``python memory_probe.py SONG OUTPUT SHARE FIGURE SETTINGS``: `FIGURE` is the file that gets the number,
`SETTINGS` those of `stemsplit.separate` as JSON.
"""

import json
import resource
import sys
from pathlib import Path

import soundfile

import stemsplit


def main(song: Path, output: Path, share: float, figure: Path, settings: str) -> None:
    """Separate `song` into `output`."""
    n_wanted = share * soundfile.info(song).frames

    def hear(n_samples: int) -> None:
        if n_samples >= n_wanted and not figure.exists():
            # kilobytes on Linux, bytes on macOS
            unit = 1 if sys.platform == "darwin" else 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
            figure.write_text(str(peak / 1e6))

    stemsplit.separate(song, output_dir=output, device="cpu", progress=hear, **json.loads(settings))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
