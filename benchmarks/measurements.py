"""The benchmarks: each function measures and returns rows of figures."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import decoding
from benchmarks.constant_model import write_constant_models
from benchmarks.families import measure_families
from benchmarks.jobs import STEMS, Bench
from benchmarks.process import (
    Usage,
    alternate,
    find_stemsplit,
    measure,
    paired_ratio,
    summarise,
)
from benchmarks.songs import make_song

Row = dict[str, Any]
Log = Callable[[str], None]

SONG_S = 240
MEMORY_MINUTES = (1, 5, 60)
CHUNKS_S = (2, 4, 6, 8, 12, 20)
YARDSTICK = "yardstick"
FAST = "--preset fast"


def measure_speed(bench: Bench, log: Log) -> list[Row]:
    """Measure the speed for 1, 2 and 4 stems of a four-minute mp3, of the fast preset and the yardstick."""
    song = make_song(bench.folder / "song.mp3", SONG_S)
    commands = {str(count): bench.separation(song, stems) for count, stems in STEMS.items()}
    commands[FAST] = bench.separation(song, None, *FAST.split())
    commands[YARDSTICK] = bench.yardstick(song)
    usages = alternate(commands, n_runs=bench.n_runs, log=log)
    rows: list[Row] = [
        {"program": "stemsplit", "stems": count, **_speed(usages[str(count)], SONG_S)} for count in STEMS
    ]
    rows[-1]["yardsticks"] = paired_ratio(usages[YARDSTICK], usages["4"])
    rows.append({"program": f"stemsplit {FAST}", "stems": 4, **_speed(usages[FAST], SONG_S)})
    rows.append({"program": "Open-Unmix (PyTorch)", "stems": 4, **_speed(usages[YARDSTICK], SONG_S)})
    return rows


def measure_overhead(bench: Bench, log: Log) -> list[Row]:
    """Measure how much of a run is spent outside the networks.

    This is measured in two ways: as the CPU time of the same run with constant masks, relative to the real
    run; and as the share of the real run's wall time in which no network was running.
    """
    song = make_song(bench.folder / "song.mp3", SONG_S)
    stand_ins = write_constant_models(bench.folder)
    options = [option for path in stand_ins for option in ("--model", str(path))]
    commands = {"real": bench.separation(song), "constant": bench.separation(song, None, *options)}
    usages = alternate(commands, n_runs=bench.n_runs, log=log)
    real, constant = summarise(usages["real"]), summarise(usages["constant"])
    clocked = [_clock_network(bench, song) for _ in range(bench.n_runs)]
    busy = median(network_s / wall_s for network_s, wall_s in clocked)
    log(f"network busy for {busy:.0%} of the run")
    return [
        {
            "wall_s": real["wall_s"],
            "cpu_s": real["cpu_s"],
            "constant_wall_s": constant["wall_s"],
            "constant_cpu_s": constant["cpu_s"],
            "cpu_share_outside": round(constant["cpu_s"] / real["cpu_s"], 3),
            "network_s": round(median(network_s for network_s, _ in clocked), 3),
            "wall_share_outside": round(1 - busy, 3),
        }
    ]


def _clock_network(bench: Bench, song: Path) -> tuple[float, float]:
    """Return the seconds in which a network was running, and those of the whole process."""
    report = bench.folder / "network.json"
    command = [sys.executable, "-m", "benchmarks.network_time", str(report), *bench.arguments(song)]
    usage = measure(command)
    return float(json.loads(report.read_text(encoding="utf-8"))["network_s"]), usage.wall_s


def measure_memory(bench: Bench, log: Log) -> list[Row]:
    """Measure the peak memory for songs of different lengths, four stems."""
    rows = []
    for minutes in MEMORY_MINUTES:
        log(f"making a song of {minutes} min")
        song = make_song(bench.folder / f"{minutes}.mp3", minutes * 60)
        label = f"{minutes} min"
        usages = alternate({label: bench.separation(song)}, n_runs=bench.n_runs, log=log, n_warm_ups=0)
        rows.append({"minutes": minutes, **_speed(usages[label], minutes * 60)})
        song.unlink()
    return rows


def measure_startup(bench: Bench, log: Log) -> list[Row]:
    """Measure the start-up time of the command, up to a network too, and of an empty Python program."""
    command, song = find_stemsplit(), make_song(bench.folder / "short.mp3", 30)
    first_network = [sys.executable, "-m", "benchmarks.first_network", str(song)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "stemsplit --version": [*command, "--version"],
        "stemsplit --help": [*command, "--help"],
        "stemsplit SONG, up to the first run of a network": [
            *first_network,
            "--output",
            str(bench.folder / "stems"),
        ],
    }
    usages = alternate(commands, n_runs=max(bench.n_runs, 9), log=log)
    return [{"command": name, **summarise(found)} for name, found in usages.items()]


def measure_decoding(bench: Bench, log: Log) -> list[Row]:
    """Measure how fast a four-minute song is decoded in every format."""
    rows = decoding.measure_decoding(bench.folder, bench.n_runs)
    for row in rows:
        log(f"{row['format']}: {row['speed']} x real time")
    return rows


def measure_chunks(bench: Bench, log: Log) -> list[Row]:
    """Measure speed and memory for chunks of different lengths, four stems."""
    song = make_song(bench.folder / "song.mp3", SONG_S)
    commands = {f"{chunk_s} s": bench.separation(song, None, "--chunk", str(chunk_s)) for chunk_s in CHUNKS_S}
    usages = alternate(commands, n_runs=bench.n_runs, log=log)
    return [
        {"chunk_s": chunk_s, **_speed(found, SONG_S)}
        for chunk_s, found in zip(CHUNKS_S, usages.values(), strict=True)
    ]


def _speed(usages: list[Usage], duration_s: float) -> Row:
    summary = summarise(usages)
    return {"speed": round(duration_s / summary["wall_s"], 1), **summary}


BENCHMARKS: dict[str, Callable[[Bench, Log], list[Row]]] = {
    "speed": measure_speed,
    "overhead": measure_overhead,
    "memory": measure_memory,
    "startup": measure_startup,
    "decoding": measure_decoding,
    "chunks": measure_chunks,
    "families": measure_families,
}
