"""The imports done ahead: after them, the first song imports no library of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import make_environment, make_song

_PROBE = """
import sys
import stemsplit.jobs.worker
from stemsplit import separate
from stemsplit.jobs.imports import import_ahead

song, out, model = sys.argv[1:]
import_ahead()
ahead = set(sys.modules)
separate(song, output_dir=out, models=[model], device="cpu")
print(*sorted({"av", "filelock", "mutagen", "soundfile", "mutagen.flac"} & (set(sys.modules) - ahead)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["song.mp3", "song.wav", "song.flac"])
def test_the_first_song_imports_no_library(name: str, tmp_path: Path, tiny_model: Path) -> None:
    song = make_song(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(song), str(tmp_path / "out"), str(tiny_model)],
        capture_output=True,
        env=make_environment(),
        check=True,
        text=True,
    )
    assert done.stdout.split() == []
