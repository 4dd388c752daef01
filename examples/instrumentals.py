"""Write the instrumental of every song of a folder: ``python instrumentals.py Music Instrumentals``."""

import sys
from pathlib import Path

from stemsplit import Separator, StemsplitError, separate_file

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".aiff"}


def main(music: str, output: str) -> int:
    """Separate the songs below `music` that have no instrumental in `output` yet; return the exit code."""
    failed = 0
    with Separator(["instrumental"]) as separator:
        for song in sorted(Path(music).rglob("*")):
            if song.suffix.lower() not in SUFFIXES:
                continue
            folder = Path(output, song.parent.relative_to(music))
            if (folder / f"{song.stem} (instrumental).flac").exists():
                continue
            try:
                separate_file(separator, song, folder, name="{track} ({stem}).{ext}", format="flac")
            except StemsplitError as error:
                failed += 1
                print(f"{song}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
