"""Training songs: aligned stems, stored as one array per song.

A song is ``<name>.npy``, int16 ``(stems, 2, samples)``, with its description ``<name>.json``. A stem is a
target, or unseparated music named by the targets that it may contain: "bass+other" contains neither drums nor
vocals. Songs of the library and of the virtual band have the targets `TARGETS`; those of other data sets may
have others.
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

LIBRARY_SOURCE = ("library", OPEN_DATA)
SHORTEST_S = 6.0  # shortest recording that is stored as a song
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_ -]*[a-z0-9])?")
Origin = tuple[tuple[str, str, float, float], ...]


@dataclass(frozen=True)
class TrainingSong:
    """Aligned stems of one piece of music.

    Parameters
    ----------
    path : Path
        File of the array.
    split : str
        "train" or "valid".
    kind : str
        "multitrack", "backing", "performance", "singing", "passage", "separated", "screened" (never drawn),
        "render" or "added".
    stems : tuple of str
        Stems along the first axis of the array.
    levels_db : tuple of float
        Level of each stem while it is active, in dB relative to full scale.
    n_samples : int
        Length in samples.
    ingredients : dict of str to tuple of str
        Ingredients that an ablation may leave out, by stem.
    maker : str
        Artist of real music: songs of one artist sound alike.
    origin : tuple of (str, str, float, float)
        Items of the library in a recording: stem, file, start and duration in seconds of each.
    model : str
        Hash of the model that separated the stem.
    dataset : str
        Data set of an added song.
    licence : str
        Licence of an added song, or of one separated by a model that is not openly licensed.
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
        """The source of the song and its licence."""
        if self.dataset or self.licence:
            return self.dataset or "separated by another model", self.licence
        return LIBRARY_SOURCE

    @property
    def targets(self) -> frozenset[str]:
        """Targets that its stems may contain."""
        return frozenset(target for stem in self.stems for target in targets_of(stem))

    @property
    def is_whole(self) -> bool:
        """Whether the song has several stems, none of which is unseparated music."""
        return len(self.stems) > 1 and all(len(targets_of(stem)) == 1 for stem in self.stems)

    def level_db(self, stem: str) -> float:
        """Return the level of a stem while it is active, in dB relative to full scale."""
        return self.levels_db[self.stems.index(stem)]

    def is_older_than(self, derived: Path) -> bool:
        """Return whether a file made from these stems exists, and they were not stored again since."""
        return derived.exists() and derived.stat().st_mtime_ns >= self.path.stat().st_mtime_ns

    def read(self, stem: str, start: int, n_samples: int) -> FloatArray:
        """Read samples of one stem, ``(2, n_samples)``, padded with silence beyond its end."""
        # mapped for this read only: a map that is kept open costs a file descriptor for each song drawn
        row = _open_array(self.path)[self.stems.index(stem), :, start : start + n_samples]
        waveform = np.zeros((2, n_samples), np.float32)
        np.multiply(row, np.float32(1 / 32768), out=waveform[:, : row.shape[1]])
        return waveform


def _open_array(array: Path) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = np.load(array, mmap_mode="r")
    return samples


def is_target(name: object) -> bool:
    """Return whether this is a valid name of a target."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def targets_of(stem: str) -> tuple[str, ...]:
    """Return the targets that a stem may contain.

    Raises
    ------
    StemsplitError
        The name is not a stem.

    >>> targets_of("bass+other")
    ('bass', 'other')
    """
    targets = tuple(stem.split("+"))
    if not all(map(is_target, targets)) or len(set(targets)) < len(targets):
        raise StemsplitError(
            f"{stem!r} is not a stem: write a target in small letters, or several targets joined by '+'"
        )
    if set(targets) <= set(TARGETS) and stem != stem_name(targets):
        raise StemsplitError(f"{stem!r} is not a stem: write {stem_name(targets)}")
    return targets


def stem_name(held: Iterable[str], targets: Sequence[str] = TARGETS) -> str:
    """Return the name of the stem that contains some targets, in the order of all targets.

    >>> stem_name(["other", "drums"])
    'drums+other'
    """
    wanted = set(held)
    return "+".join(target for target in targets if target in wanted)


def are_bundled(targets: Iterable[str]) -> bool:
    """Return whether these are the targets of the bundled model, in any order."""
    return set(targets) == set(TARGETS)


def order_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the targets as arrays order them: those of the bundled model in its order, others as given."""
    return TARGETS if are_bundled(targets) else tuple(targets)


def songs_with_targets(songs: Iterable[TrainingSong], targets: Sequence[str]) -> list[TrainingSong]:
    """Return the songs whose stems contain these targets only.

    The "other" of the library and of the virtual band is everything except vocals, drums and bass: their
    songs match `TARGETS` only.
    """
    return [song for song in songs if song.targets <= set(targets) and (song.dataset or are_bundled(targets))]


def active_level_db(waveform: FloatArray) -> float:
    """Return the mean power of the louder half-seconds of a waveform, in dB relative to full scale."""
    size = 22050
    pieces = waveform[:, : max(size, waveform.shape[1] // size * size)]
    power = np.square(pieces).mean(0)
    power = power[: power.size // size * size].reshape(-1, size).mean(1) if power.size >= size else power
    loud = power[power > 0.05 * power.max(initial=0.0)]
    return float(10 * np.log10(loud.mean() + 1e-10)) if loud.size else -100.0


def sum_waveforms(waveforms: Sequence[FloatArray]) -> FloatArray:
    """Sum waveforms ``(1 or 2, samples)`` that start together; the sum is as long as the longest."""
    n_channels, n_samples = (max(each.shape[axis] for each in waveforms) for axis in (0, 1))
    total = np.zeros((n_channels, n_samples), np.float32)
    for each in waveforms:
        total[:, : each.shape[1]] += each
    return total


def save_song(
    folder: Path,
    name: str,
    stems: Mapping[str, RenderedStem],
    *,
    split: str,
    kind: str,
    maker: str = "",
    origin: Origin = (),
    model: str = "",
    dataset: str = "",
    licence: str = "",
) -> None:
    """Write a song; shorter stems are padded with silence and peaks above 0.98 are scaled down."""
    waveforms = [rendered.waveform for rendered in stems.values()]
    n_samples = max(waveform.shape[1] for waveform in waveforms)
    padded = [np.pad(each, ((0, 0), (0, n_samples - each.shape[1]))) for each in waveforms]
    samples = np.stack([np.broadcast_to(stem, (2, n_samples)) for stem in padded])
    samples = samples * min(1.0, 0.98 / max(1e-9, float(np.abs(samples).max())))
    levels = [round(active_level_db(stem), 2) for stem in samples]
    facts = {"split": split, "kind": kind, "stems": list(stems), "levels_db": levels, "n_samples": n_samples}
    facts |= {"ingredients": {stem: rendered.ingredients for stem, rendered in stems.items()}, "maker": maker}
    optional = {"origin": origin, "model": model, "dataset": dataset, "licence": licence}
    facts |= {name: value for name, value in optional.items() if value}
    with whole_file(folder / f"{name}.npy") as file:
        np.save(file, to_int16(samples))
    # the description is written last: a song without one does not exist
    with whole_file(folder / f"{name}.json") as file:
        file.write(_to_json(facts))


def load_songs(folder: Path) -> list[TrainingSong]:
    """Load every song of a folder, by name.

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
    """Load every song of a folder, which may be empty, by name; raises `StemsplitError` if one is damaged."""
    return [_load_song(path) for path in sorted(folder.glob("*.json"))]


def _load_song(description: Path) -> TrainingSong:
    array = description.with_suffix(".npy")
    try:
        facts = json.loads(description.read_text(encoding="utf-8"))
        facts = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        ingredients = facts.pop("ingredients", {})  # absent in songs of earlier versions
        facts["ingredients"] = {stem: tuple(names) for stem, names in ingredients.items()}
        facts["origin"] = tuple(tuple(part) for part in facts.get("origin", ()))
        song = TrainingSong(path=array, **facts)
        # a truncated array cannot be mapped; otherwise it would be noticed only when training draws it
        samples = _open_array(array)
    except (OSError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise _damaged_error(description, f"{error!r}") from error
    expected = (len(song.stems), 2, song.n_samples)
    if samples.dtype != np.int16 or samples.shape != expected:
        raise _damaged_error(
            description, f"{array.name} holds {samples.dtype} {samples.shape}, not int16 {expected}"
        )
    return song


def _damaged_error(description: Path, reason: str) -> StemsplitError:
    return StemsplitError(
        f"{description} is not the description of a usable song ({reason}); "
        "delete it and run `python -m stemsplit.training prepare` or `add` again"
    )


def amend_song(song: TrainingSong, **facts: object) -> None:
    """Change facts in the description of a song; the file is written only if they differ."""
    path = song.path.with_suffix(".json")
    written = path.read_bytes()
    amended = _to_json(json.loads(written) | facts)
    if amended != written:
        with whole_file(path) as file:
            file.write(amended)


def _to_json(facts: Mapping[str, object]) -> bytes:
    return (json.dumps(facts) + "\n").encode()


def remove_song(array: Path) -> None:
    """Remove a song; its description goes first, so that no song is left without its array."""
    array.with_suffix(".json").unlink()
    array.unlink(missing_ok=True)
