"""Results: as a table on a terminal, as JSON in a file, as tables of the documentation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]

RESULTS = Path(__file__).with_name("results")

TITLES = {
    "load": "load",
    "figure": "figure",
    "value": "value",
    "program": "program",
    "stems": "stems",
    "minutes": "song, min",
    "chunk_s": "chunk, s",
    "songs": "songs",
    "workers": "workers",
    "done": "done",
    "failed": "failed",
    "deaths": "workers that died",
    "simulated_h": "simulated, h",
    "plan_us": "planning, us a song",
    "schedule_us": "scheduling, us a song",
    "journal_us": "journal, us a song",
    "run": "run",
    "songs_per_hour": "songs an hour",
    "speedup": "times one worker",
    "worker_cpu_s": "CPU of the workers, s a song",
    "driver_cpu_s": "of the driver",
    "ray_cpu_s": "of Ray",
    "command": "command",
    "format": "format",
    "speed": "x real time",
    "wall_s": "wall, s",
    "wall_min_s": "min, s",
    "wall_max_s": "max, s",
    "cpu_s": "CPU, s",
    "sndfile_cpu_s": "libsndfile alone, CPU, s",
    "peak_mb": "peak, MB",
    "yardsticks": "times the yardstick",
    "constant_wall_s": "wall with a constant mask, s",
    "constant_cpu_s": "CPU with a constant mask, s",
    "cpu_share_outside": "share of CPU time outside the network",
    "network_s": "network busy, s",
    "wall_share_outside": "share of wall time with no network busy",
    "family": "family",
    "peer": "its own code",
    "own_s": "stemsplit, s",
    "peer_s": "its own code, s",
    "times_peer": "times as fast as its own code",
    "difference_db": "difference, dB",
    "skipped": "skipped",
    "route": "models",
    "first_sdr": "the first, dB",
    "other_sdr": "the other, dB",
    "routed_sdr": "the surer one, dB",
    "best_sdr": "the better one, dB",
    "n_other": "songs to the other",
    "n_other_better": "songs where it is better",
    "kits": "kits",
    "part": "part",
    "n_songs": "songs in which it sounds",
    "sdr": "SDR, dB",
    "share_sdr": "SDR of an equal share, dB",
    "improvement": "improvement, dB",
    "notes": "notes",
    "analysed": "analysed",
    "separated": "drums by",
    "all": "all",
    "electronic": "electronic",
    "others": "others",
    "n_true": "in the songs",
    "precision": "precision",
    "recall": "recall",
    "f": "F",
    "tempo": "tempo within 4 %",
    "octave": "tempo an octave off",
    "beat_f": "beats, F",
    "downbeat_f": "downbeats, F",
    "key": "key exact",
    "key_relative": "key relative",
    "key_weighted": "key, weighted",
    "chord_overlap": "chord overlap",
    "overlap": "overlap",
    "n_borders": "borders",
    "seam_db": "step at borders, dB",
    "before": "before the network",
    "vocals": "vocals",
    "drums": "drums",
    "bass": "bass",
    "other": "other",
    "average": "average",
}


def show(name: str, rows: Sequence[Row]) -> None:
    """Print one benchmark's rows; a single row is transposed."""
    columns = _columns(rows)
    lines = [[TITLES[column] for column in columns]]
    lines += [[_text(row.get(column)) for column in columns] for row in rows]
    if len(rows) == 1:
        lines = [["figure", "value"], *(list(pair) for pair in zip(*lines, strict=True))]
    table = Table(*lines[0], title=name)
    for line in lines[1:]:
        table.add_row(*line)
    Console().print(table)


def save(name: str, rows: Sequence[Row], facts: Row, folder: Path) -> Path:
    """Write one benchmark's rows, with the machine and the models that were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, **facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return path


def load(name: str, folder: Path = RESULTS) -> Row:
    """Read what `save` wrote."""
    result: Row = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return result


def markdown(name: str, columns: Sequence[str], folder: Path = RESULTS) -> str:
    """Return some columns of a stored result as a table in Markdown; those that no row has are left out."""
    rows = load(name, folder)["rows"]
    columns = [column for column in columns if any(column in row for row in rows)]
    lines = [
        [TITLES[column] for column in columns],
        ["---"] * len(columns),
        *([_text(row.get(column)) for column in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _columns(rows: Sequence[Row]) -> list[str]:
    return [column for column in TITLES if any(column in row for row in rows)]


def _text(value: object) -> str:
    return "" if value is None else str(value)
