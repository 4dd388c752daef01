"""Separates mutated songs, in a process of its own that a broken C library may take down.

Called with the folder of the whole songs, a model, a folder to work in, the first seed and the number of
seeds. Prints a line of JSON for each file that breaks the law, and the numbers of what became of the others;
the file ``current.json`` says which one is being tried.
"""

import json
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from stemsplit import Separator, StemsplitError, separate_file

# a frame of mp3 at 48,000 Hz and rounding: what is lost at the very end and may go unnoticed
_SLACK: Final = 1152 + 50

Mutation = Callable[[bytearray, np.random.Generator], None]


def _flip_bits(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(0, len(data), rng.integers(1, 6)):
        data[at] ^= 1 << int(rng.integers(8))


def _change_the_head(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(0, min(len(data), 200), rng.integers(1, 4)):
        data[at] = int(rng.integers(256))


def _overwrite(data: bytearray, rng: np.random.Generator) -> None:
    start, n_bytes = int(rng.integers(len(data))), int(rng.integers(1, 2000))
    n_bytes = min(n_bytes, len(data) - start)
    data[start : start + n_bytes] = rng.bytes(n_bytes) if rng.integers(2) else bytes(n_bytes)


def _delete(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 2000))]


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    data[start:start] = rng.bytes(int(rng.integers(1, 2000)))


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    data[start:start] = data[start : start + int(rng.integers(1, 2000))]


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _flip_bits,
    _change_the_head,
    _overwrite,
    _delete,
    _insert,
    _repeat,
    _truncate,
)


def mutate(data: bytes, seed: int) -> tuple[str, bytes]:
    """Return the name of a mutation and what it makes of a file; the same for the same seed."""
    rng = np.random.default_rng(seed)
    mutation = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
    changed = bytearray(data)
    mutation(changed, rng)
    return mutation.__name__.strip("_"), bytes(changed)


def try_one(song: Path, out: Path, separator: Separator, lengths: dict[str, int]) -> tuple[str, str]:
    """Separate a song; return what became of it and, if it broke the law, how."""
    kind = song.suffix[1:]
    try:
        result = separate_file(separator, song, out)
    except StemsplitError as error:
        outcome = "refused"
        problem = "" if str(song) in str(error) else f"the error does not name the file: {error}"
        if left := [path.name for path in out.rglob("*") if path.is_file()]:
            problem = f"files are left: {left}"
        return outcome, problem
    except Exception:  # noqa: BLE001 - this is what is looked for
        return "broken", traceback.format_exc()
    if result.note is None and (result.n_samples or 0) < lengths[kind] - _SLACK:
        return "shortened", f"{result.n_samples} samples of {lengths[kind]}, without a word"
    return "separated", ""


def clear(folder: Path) -> None:
    """Remove the stems of the last song."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
        else:
            path.rmdir()


def main(songs: Path, model: Path, work: Path, first: int, count: int) -> None:
    """Try `count` mutations of the songs."""
    warnings.simplefilter("error")
    out = work / "out"
    outcomes: Counter[str] = Counter()
    wholes = sorted(songs.iterdir())
    with Separator(["vocals"], models=[model], device="cpu", threads=1) as separator:
        lengths: dict[str, int] = {}
        for song in wholes:
            lengths[song.suffix[1:]] = separate_file(separator, song, out).n_samples or 0
            clear(out)
        for seed in range(first, first + count):
            whole = wholes[seed % len(wholes)]
            name, data = mutate(whole.read_bytes(), seed)
            song = work / f"song{whole.suffix}"
            song.write_bytes(data)
            known: dict[str, Any] = {"seed": seed, "song": whole.name, "mutation": name}
            (work / "current.json").write_text(json.dumps(known), encoding="utf-8")
            outcome, problem = try_one(song, out, separator, lengths)
            outcomes[outcome] += 1
            if problem:
                print(json.dumps({**known, "problem": problem}), flush=True)
            if out.exists():
                clear(out)
    print(json.dumps({"outcomes": outcomes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
