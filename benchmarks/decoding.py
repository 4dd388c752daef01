"""How fast songs of every format are decoded."""

import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.songs import make_song
from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet

SONG_S: Final = 240
FORMATS: Final = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "alac")


def make_songs(folder: Path, duration_s: float) -> dict[str, Path]:
    """Write the same song in every format."""
    wav = make_song(folder / "song.wav", duration_s)
    return {name: wav if name == "wav" else _convert(wav, name) for name in FORMATS}


def _convert(wav: Path, format: str) -> Path:
    with open_audio(wav) as reader:
        encoding = choose_encoding(format, None, reader.info)
        path = wav.with_name(f"{format}.{encoding.extension}")
        info = reader.info
        stems = StemSet(
            {"song": path}, sample_rate=info.sample_rate, n_channels=info.n_channels, encoding=encoding
        )
        with stems:
            for block in reader.blocks():
                stems.write({"song": block})
            stems.complete()
            stems.place()
    return path


def decode(path: Path) -> tuple[float, float]:
    """Return how long a song is and the CPU time in which it is decoded, both in seconds."""
    started_s = time.process_time()
    with open_audio(path) as reader:
        n_samples = sum(block.shape[1] for block in reader.blocks())
        return n_samples / reader.info.sample_rate, time.process_time() - started_s


def measure_decoding(folder: Path, n_runs: int, *, duration_s: float = SONG_S) -> list[dict[str, Any]]:
    """Return a row for each format, with seconds of music per second of CPU time."""
    rows = []
    for name, path in make_songs(folder, duration_s).items():
        runs = [decode(path) for _ in range(n_runs + 1)][1:]  # the first one loads libraries
        rows.append(
            {
                "format": name,
                "speed": round(median(length_s / cpu_s for length_s, cpu_s in runs), 1),
                "cpu_s": round(median(cpu_s for _, cpu_s in runs), 3),
            }
        )
    return rows
