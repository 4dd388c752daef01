"""The imports done ahead: after them, the first song imports no library before its network runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import make_environment, make_song

_PROBE = """
import os
import pathlib
import sys
import onnxruntime
import stemsplit.jobs.worker
from stemsplit import separate
from stemsplit.jobs.imports import import_ahead

song, out, model = sys.argv[1:]
import_ahead([pathlib.Path(song)])
ahead = set(sys.modules)

def stop(*_):
    decoders = {f"stemsplit.audio.{name}" for name in ("frame_decoder", "pyav", "wav_decoder")}
    libraries = {"av", "filelock", "mutagen", "soundfile", "soxr"}
    print(*sorted((decoders | libraries) & (set(sys.modules) - ahead)))
    sys.stdout.flush()
    os._exit(0)

onnxruntime.InferenceSession.run = stop
separate(song, output_dir=out, models=[model], device="cpu")
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
