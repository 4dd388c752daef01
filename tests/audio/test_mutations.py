"""Two thousand mutated songs: each is separated whole, or refused by name and leaves nothing."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.audio_files import song_bytes, tones
from tests.support.av_files import encode
from tests.support.cli import make_environment

pytestmark = pytest.mark.slow

N_FILES = 2000
N_SAMPLES = 12_000
RATE = 48_000
# fmt: off
CODED = {
    "m4a": "aac", "mkv": "flac", "webm": "libopus", "wma": "wmav2", "avi": "libmp3lame", "ts": "mp2",
    "aac": "aac", "wv": "wavpack", "mov": "pcm_s16le", "flv": "libmp3lame", "mp2": "mp2",
}
PLAIN = {
    "wav": "pcm16.wav", "bwf": "float.wav", "w64": "sony.w64", "flac": "pcm16.flac", "mp3": "song.mp3",
    "ogg": "song.ogg", "opus": "song.opus", "aiff": "song.aiff", "au": "song.au", "caf": "song.caf",
}
# fmt: on


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """A folder with a quarter of a second in every kind of file."""
    folder = tmp_path / "songs"
    folder.mkdir()
    waveform = tones(N_SAMPLES, 1)
    for ending, kind in PLAIN.items():
        (folder / f"whole.{ending}").write_bytes(song_bytes(kind, waveform))
    for ending, codec in CODED.items():
        encode(folder / f"whole.{ending}", waveform, codec, RATE)
    return folder


def test_mutated_songs_are_whole_or_refused(songs: Path, tiny_model: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tests.support.mutation_probe"]
    done = subprocess.run(
        [*command, songs, tiny_model, work, "0", str(N_FILES)],
        cwd=ROOT,
        env=make_environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    tried = (work / "current.json").read_text(encoding="utf-8")
    assert done.returncode == 0, f"it ended at {tried}: {done.stderr[-2000:]}"
    *problems, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert problems == []
    assert "Traceback" not in done.stderr
    outcomes = last["outcomes"]
    assert sum(outcomes.values()) == N_FILES
    # neither is everything refused, nor nothing
    assert min(outcomes["separated"], outcomes["refused"]) > N_FILES / 10
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime:.1f} s of CPU", outcomes)
