"""How fast songs of every format are decoded."""

import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import soundfile

from benchmarks.songs import make_song
from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet

SONG_S: Final = 240
FORMATS: Final = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "alac")
PEER_FORMATS: Final = ("wav", "flac", "mp3", "ogg", "opus")
BLOCK_SAMPLES: Final = 65_536


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


def decode_alone(path: Path) -> float:
    """Return the CPU time in which libsndfile decodes a song, in seconds, for formats that it reads."""
    started_s = time.process_time()
    with soundfile.SoundFile(path) as file:
        for _ in file.blocks(BLOCK_SAMPLES, dtype="float32"):
            pass
    return time.process_time() - started_s


def measure_decoding(folder: Path, n_runs: int, *, duration_s: float = SONG_S) -> list[dict[str, Any]]:
    """Return a row for each format, with seconds of music per second of CPU time.

    Where libsndfile reads the format, it decodes the same file in turns with the program.
    """
    rows = []
    for name, path in make_songs(folder, duration_s).items():
        has_peer = name in PEER_FORMATS
        pairs = [(decode(path), decode_alone(path) if has_peer else 0.0) for _ in range(n_runs + 1)]
        (length_s, _), _ = pairs[0]  # the first one loads libraries
        cpu_s = median(own_s for (_, own_s), _ in pairs[1:])
        peer_s = median(peer_s for _, peer_s in pairs[1:])
        rows.append(
            {
                "format": name,
                "speed": round(length_s / cpu_s, 1),
                "cpu_s": round(cpu_s, 3),
                "sndfile_cpu_s": round(peer_s, 3) if has_peer else None,
            }
        )
    return rows
