"""Songs as training sees them: aligned stems in one array on the disk each.

A song is ``<name>.npy``, int16 ``(stems, 2, samples)``, beside ``<name>.json``. A stem is a target, or
unseparated music, named by the targets it may hold: "bass+other" has no drums and no voice in it. Songs of
the library and of the virtual band know `TARGETS`; those of a data set of one's own may know others.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.training import OPEN_DATA, TARGETS
from stemsplit.training.data.library import to_int16
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.types import FloatArray

LIBRARY = ("library", OPEN_DATA)
SHORTEST_S = 6.0  # of a recording that is worth a song
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_ -]*[a-z0-9])?")
Origin = tuple[tuple[str, str, float, float], ...]


@dataclass(frozen=True)
class TrainingSong:
    """Aligned stems of one piece of music.

    Parameters
    ----------
    path : Path
        The array.
    split : str
        "train" or "valid".
    kind : str
        "multitrack", "backing", "performance", "singing", "passage", "separated", "screened" (never drawn),
        "render" or "added".
    stems : tuple of str
        What the first axis of the array holds.
    levels_db : tuple of float
        Level of each stem while it sounds, in dB against full scale.
    n_samples : int
        Length.
    ingredients : dict of str to tuple of str
        What an ablation may leave out, by stem.
    maker : str
        Whose music it is, where it is real: songs of one maker sound alike.
    origin : tuple of (str, str, float, float)
        What of the library a recording is: stem, file, start and duration in seconds of each of its items.
    model : str
        Hash of the model whose estimate a separated stem is.
    dataset : str
        The data set that an added song came with.
    licence : str
        What may be done with an added song, or with one that a model separated which is not openly licensed.
    """

    path: Path
    split: str
    kind: str
    stems: tuple[str, ...]
    levels_db: tuple[float, ...]
    n_samples: int
    ingredients: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maker: str = ""
    origin: Origin = ()
    model: str = ""
    dataset: str = ""
    licence: str = ""

    @property
    def source(self) -> tuple[str, str]:
        """Where it comes from, and what may be done with that."""
        if self.dataset or self.licence:
            return self.dataset or "separated by another model", self.licence
        return LIBRARY

    @property
    def targets(self) -> frozenset[str]:
        """Targets that its stems may hold."""
        return frozenset(target for stem in self.stems for target in targets_of(stem))

    @property
    def is_whole(self) -> bool:
        """Whether its stems stand beside each other as in a mixture, none of them unseparated music."""
        return len(self.stems) > 1 and all(len(targets_of(stem)) == 1 for stem in self.stems)

    def level_db(self, stem: str) -> float:
        """Level of a stem while it sounds."""
        return self.levels_db[self.stems.index(stem)]

    def read(self, stem: str, start: int, n_samples: int) -> FloatArray:
        """Samples of one stem, ``(2, n_samples)``; silence beyond the end."""
        # mapped for this stretch only: a map that is kept costs a file descriptor for each song drawn
        row = _mapped(self.path)[self.stems.index(stem), :, start : start + n_samples]
        waveform = np.zeros((2, n_samples), np.float32)
        np.multiply(row, np.float32(1 / 32768), out=waveform[:, : row.shape[1]])
        return waveform


def _mapped(array: Path) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = np.load(array, mmap_mode="r")
    return samples


def is_target(name: object) -> bool:
    """Whether this can be the name of a target."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def targets_of(stem: str) -> tuple[str, ...]:
    """Targets that a stem may hold.

    Raises
    ------
    StemsplitError
        The name is none of a stem.

    >>> targets_of("bass+other")
    ('bass', 'other')
    """
    targets = tuple(stem.split("+"))
    if not all(map(is_target, targets)) or len(set(targets)) < len(targets):
        raise StemsplitError(
            f"{stem!r} names no stem: write a target in small letters, or several that it may hold, with '+'"
        )
    if set(targets) <= set(TARGETS) and stem != stem_of(targets):
        raise StemsplitError(f"{stem!r} names no stem: write {stem_of(targets)}")
    return targets


def stem_of(held: Iterable[str], targets: Sequence[str] = TARGETS) -> str:
    """Name of the stem that holds some targets, in the order of all of them.

    >>> stem_of(["other", "drums"])
    'drums+other'
    """
    wanted = set(held)
    return "+".join(target for target in targets if target in wanted)


def are_bundled(targets: Iterable[str]) -> bool:
    """Whether these are the targets of the bundled model, in any order."""
    return set(targets) == set(TARGETS)


def in_order(targets: Sequence[str]) -> tuple[str, ...]:
    """Targets as arrays have them: those of the bundled model in its order, others as they are given."""
    return TARGETS if are_bundled(targets) else tuple(targets)


def songs_of(songs: Iterable[TrainingSong], targets: Sequence[str]) -> list[TrainingSong]:
    """Songs that know these targets and no others.

    What the library and the virtual band call other is all that is no voice, drum or bass: their songs
    know `TARGETS` only.
    """
    return [song for song in songs if song.targets <= set(targets) and (song.dataset or are_bundled(targets))]


def active_level_db(waveform: FloatArray) -> float:
    """Power mean of the louder half-second pieces of a waveform, in dB against full scale."""
    size = 22050
    pieces = waveform[:, : max(size, waveform.shape[1] // size * size)]
    power = np.square(pieces).mean(0)
    power = power[: power.size // size * size].reshape(-1, size).mean(1) if power.size >= size else power
    loud = power[power > 0.05 * power.max(initial=0.0)]
    return float(10 * np.log10(loud.mean() + 1e-10)) if loud.size else -100.0


def added_up(waveforms: Sequence[FloatArray]) -> FloatArray:
    """Sum of waveforms ``(1 or 2, samples)`` that begin together; it is as long as the longest."""
    n_channels, n_samples = (max(each.shape[axis] for each in waveforms) for axis in (0, 1))
    total = np.zeros((n_channels, n_samples), np.float32)
    for each in waveforms:
        total[:, : each.shape[1]] += each
    return total


def save_song(
    folder: Path,
    name: str,
    takes: Mapping[str, RenderedStem],
    *,
    split: str,
    kind: str,
    maker: str = "",
    origin: Origin = (),
    model: str = "",
    dataset: str = "",
    licence: str = "",
) -> None:
    """Write a song; shorter stems are padded with silence, the peak of all is brought below full scale."""
    stems = [take.waveform for take in takes.values()]
    n_samples = max(stem.shape[1] for stem in stems)
    padded = [np.pad(stem, ((0, 0), (0, n_samples - stem.shape[1]))) for stem in stems]
    samples = np.stack([np.broadcast_to(stem, (2, n_samples)) for stem in padded])
    samples = samples * min(1.0, 0.98 / max(1e-9, float(np.abs(samples).max())))
    levels = [round(active_level_db(stem), 2) for stem in samples]
    facts = {"split": split, "kind": kind, "stems": list(takes), "levels_db": levels, "n_samples": n_samples}
    facts |= {"ingredients": {stem: take.ingredients for stem, take in takes.items()}, "maker": maker}
    optional = {"origin": origin, "model": model, "dataset": dataset, "licence": licence}
    facts |= {name: value for name, value in optional.items() if value}
    with whole_file(folder / f"{name}.npy") as file:
        np.save(file, to_int16(samples))
    # the description comes last: a song without one is not there
    with whole_file(folder / f"{name}.json") as file:
        file.write(_as_text(facts))


def load_songs(folder: Path) -> list[TrainingSong]:
    """Every song of a folder, by name.

    Raises
    ------
    StemsplitError
        There is none, or one is damaged.
    """
    songs = find_songs(folder)
    if not songs:
        raise StemsplitError(
            f"{folder} holds no songs; run `python -m stemsplit.training prepare` or `add` first"
        )
    return songs


def find_songs(folder: Path) -> list[TrainingSong]:
    """Every song of a folder that may be empty, by name; `StemsplitError` if one is damaged."""
    return [_load_song(path) for path in sorted(folder.glob("*.json"))]


def _load_song(description: Path) -> TrainingSong:
    array = description.with_suffix(".npy")
    try:
        facts = json.loads(description.read_text(encoding="utf-8"))
        facts = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        made_of = facts.pop("ingredients", {})  # songs of an earlier version say nothing
        facts["ingredients"] = {stem: tuple(names) for stem, names in made_of.items()}
        facts["origin"] = tuple(tuple(part) for part in facts.get("origin", ()))
        song = TrainingSong(path=array, **facts)
        # an array that is cut off cannot be mapped; else it would be noticed only when training draws it
        samples = _mapped(array)
    except (OSError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(description, f"{error!r}") from error
    expected = (len(song.stems), 2, song.n_samples)
    if samples.dtype != np.int16 or samples.shape != expected:
        raise _damaged(
            description, f"{array.name} holds {samples.dtype} {samples.shape}, not int16 {expected}"
        )
    return song


def _damaged(description: Path, reason: str) -> StemsplitError:
    return StemsplitError(
        f"{description} describes no song that can be used ({reason}); "
        "delete it and run `python -m stemsplit.training prepare` or `add` again"
    )


def amend_song(song: TrainingSong, **facts: object) -> None:
    """Write other facts into the description of a song; what says them already is left alone."""
    path = song.path.with_suffix(".json")
    written = path.read_bytes()
    amended = _as_text(json.loads(written) | facts)
    if amended != written:
        with whole_file(path) as file:
            file.write(amended)


def _as_text(facts: Mapping[str, object]) -> bytes:
    return (json.dumps(facts) + "\n").encode()


def remove_song(array: Path) -> None:
    """Remove a song; its description goes first, so that no song is left without its array."""
    array.with_suffix(".json").unlink()
    array.unlink(missing_ok=True)
